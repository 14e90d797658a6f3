"""Lend a command a Kafka for as long as it runs: ``python -m tests.kafka.lend COMMAND --broker kafka://{}``.

Every ``{}`` in it becomes ``host:port``: of a broker that starts for it and ends with it, or of the one that
LINKSTREAM_TEST_KAFKA names. Signals are the command's own matter; the broker goes when it has ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from tests.kafka.broker import Cluster
from tests.kafka.jars import NoKafka, cache

GIVEN = "LINKSTREAM_TEST_KAFKA"
MISSING = 3
"""As of every command here, when the machine lacks something."""


def lend(command: Sequence[str]) -> int:
    """Run a command over a broker; its exit code."""
    with ExitStack() as stack:
        server = os.environ.get(GIVEN, "")
        if not server:
            if not cache().is_dir():
                print("kafka: fetching Apache Kafka, once (67 MB)", file=sys.stderr)
            print("kafka: a broker starts on this machine", file=sys.stderr)
            server = stack.enter_context(Cluster()).bootstrap
        with subprocess.Popen([word.replace("{}", server) for word in command]) as process:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda number, _: process.send_signal(number))
            return process.wait()


def main() -> int:
    """The exit code of the command, or that there is no Kafka."""
    try:
        return lend(sys.argv[1:])
    except NoKafka as reason:
        print(f"kafka: {reason}", file=sys.stderr)
        return MISSING


if __name__ == "__main__":
    sys.exit(main())
