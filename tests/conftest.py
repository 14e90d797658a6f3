"""What tests of several folders share: a real Kafka, and that no law is judged by a clock.

One process of tests starts one broker, when the first test asks for it; with ``-n 2`` there are two, and neither knows
of the other. That costs four seconds and spares locks. Tests share it as strangers share a broker: each takes names of
its own (``name`` below) for topics, groups and transactions. What breaks a broker gets one for itself (``cluster``).
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.kafka.broker import Cluster
from tests.kafka.jars import NoKafka

GIVEN = "LINKSTREAM_TEST_KAFKA"

settings.register_profile("any pace", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any pace")  # laws are judged by what is right, and never by a clock

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a shell's background; processes inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def started(stack: ExitStack, **wanted: Any) -> Cluster:
    try:
        return stack.enter_context(Cluster(**wanted))
    except NoKafka as reason:
        pytest.skip(f"Kafka: {reason}")


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """``host:port`` of a Kafka that this process's tests share: the one of LINKSTREAM_TEST_KAFKA, or one of our own."""
    with ExitStack() as stack:
        yield os.environ.get(GIVEN) or started(stack).bootstrap


@pytest.fixture
def cluster() -> Iterator[Callable[..., Cluster]]:
    """Starts clusters that are the test's own, to be broken: ``cluster(brokers=3)``; see ``Cluster`` for the rest."""
    with ExitStack() as stack:
        yield lambda **wanted: started(stack, **wanted)


@pytest.fixture
def name() -> str:
    """A name that no other test has: the beginning of the names of topics and groups."""
    return f"t{uuid.uuid4().hex[:12]}"
