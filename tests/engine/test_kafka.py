from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stream.engine.kafka import cluster
from stream.engine.kafka.address import address_of
from stream.engine.kafka.log import KafkaLog
from tests.engine.contract import PARTITIONS, TOPICS, LogContract

AGENTS = ("join", "push", "witness")


async def created(url: str) -> None:
    address = address_of(url)
    await cluster.apply(address, cluster.wanted(address, TOPICS, AGENTS, PARTITIONS, 1))


@pytest.fixture
def url(tmp_path: Path, kafka: str, name: str) -> str:
    return f"kafka://{kafka}?prefix={name}.&state={tmp_path}"


@pytest.fixture
async def log(url: str) -> AsyncIterator[KafkaLog]:
    await created(url)
    log = KafkaLog(url)
    await log.open()
    await log.declare(TOPICS, PARTITIONS, AGENTS)
    yield log
    await log.close()


class TestKafkaLog(LogContract):
    """The contract, over a cluster."""
