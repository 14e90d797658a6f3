"""A log that two made-up systems and all three stages have left, for commands that look into it.

The systems are in memory and the stages are called one after the other, so a log with a whole history is there in a
moment, and what it must say is known exactly. ``topics.yaml`` beside it says the same as the bench did.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from connectors.memory import TRAITS, MemoryEndpoint
from stream.engine.backends import open_reader
from stream.engine.embedded.log import EmbeddedLog
from stream.engine.log import TopicSettings
from stream.ports import Record
from stream.topics import PARKED
from stream.topology import Topology, read_topology
from stream.wanted import topics_of
from tests.stages.build import PARTITIONS, Bench

DECLARED = """\
connector: plain
auth: {kind: bearer}
types:
  t:
    list: {path: /t}
    read: {path: "/t/{id}"}
    create: {path: /t}
    update: {path: "/t/{id}"}
    marker: {field: mark, filter: mark}
    fields: {id: string, name: string, x: string, y: string}
    writable: [name, x, y]
    unverified: [a new record is found by its mark at once]
"""

TOPICS = """\
broker: ${LINKSTREAM_BROKER:-sqlite:///log.db}
partitions: 2
systems:
  a: {connector: plain.yaml, url: "${A_URL:-http://127.0.0.1:1}", token: "${A_TOKEN}"}
  b: {connector: plain.yaml, url: "${B_URL:-http://127.0.0.1:1}", token: "${B_TOKEN}"}
topics:
  a.t: {poll: 1h}
  b.t: {poll: 1h}
flows:
  - name: f
    from: a.t
    to: b.t
    create: forward
    match: [{name: name}]
    fields:
      - {from: name, to: name}
      - {from: x, to: x}
"""


class Kept(Bench):
    """The bench over a file; ``folder`` holds the log and its configuration."""

    def __init__(self, folder: Path, log: EmbeddedLog, topology: Topology, **endpoint: Any) -> None:
        super().__init__(log, TRAITS, **endpoint)  # type: ignore[arg-type]  # it reads the file, not the double
        self.folder = folder
        self.topology = topology

    @property
    def a(self) -> MemoryEndpoint:
        return self.systems["a"]

    @property
    def b(self) -> MemoryEndpoint:
        return self.systems["b"]

    async def settle_without(self, paused: str) -> None:
        """Settle, as a worker does that does not read a type that is paused."""
        for _ in range(3):
            for name in self.topology.types:
                while name != paused and await self.poll(name):
                    pass
            await self.run_join()
            for system in self.systems:
                await self.run_push(system)

    def kept(self, topic: str) -> list[Record]:
        """What a topic holds."""
        with open_reader(self.topology.broker) as reader:
            return [record for partition in range(PARTITIONS) for record in reader.records(topic, partition)]

    def only(self, system: str) -> str:
        """The one record of a system."""
        [id] = self.systems[system].all("t")
        return f"{system}.t:{id}"


def configured(folder: Path) -> Topology:
    """A configuration of two systems, as a file."""
    (folder / "plain.yaml").write_text(DECLARED)
    (folder / "topics.yaml").write_text(TOPICS)
    broker = f"sqlite:///{folder}/log.db"
    return read_topology(folder / "topics.yaml", {"A_TOKEN": "x", "B_TOKEN": "x", "LINKSTREAM_BROKER": broker})


@asynccontextmanager
async def kept(
    folder: Path, *, systems: dict[str, MemoryEndpoint] | None = None, now: int = 0, **endpoint: Any
) -> AsyncIterator[Kept]:
    """A log of one's own, open while its history is made; with ``systems`` it goes on where it ended."""
    topology = configured(folder)
    log = EmbeddedLog(topology.broker)
    await log.open()
    await log.declare({**topics_of(topology), PARKED: TopicSettings()}, PARTITIONS)
    made = Kept(folder, log, topology, **endpoint)
    made.systems = systems or made.systems
    for system in made.systems.values():
        system._clock = lambda: made.now
    made.now = max(now, made.now)
    await made.start()
    try:
        yield made
    finally:
        await log.close()
