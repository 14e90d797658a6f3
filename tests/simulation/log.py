"""The log in memory: partitions, lanes, and units that commit as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from stream.ports import Headers, Loss, Record

Emitted: TypeAlias = tuple[str, bytes, bytes | None, Headers, int | None]


class Crash(BaseException):
    """The process dies here."""


class Fenced(BaseException):
    """Somebody else owns the lane: whoever meets this is the former owner, and exits."""


class Lane:
    """Positions and rows of one (agent, partition)."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.positions: dict[str, int] = {}
        self.epoch = 0

    def keep(self, puts: dict[bytes, bytes | None]) -> None:
        for key, row in puts.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row


class SimUnit:
    """A unit over a lane of the world's log."""

    def __init__(self, world: Any, lane: Lane, partition: int, records: list[Record]) -> None:
        self.partition = partition
        self.partitions: int = world.partitions
        self._world = world
        self._lane = lane
        self._epoch = lane.epoch
        self._records = records
        self.loss: Loss = world.loss
        self.puts: dict[bytes, bytes | None] = {}
        self.emits: list[Emitted] = []
        self.watch: Callable[[dict[bytes, bytes | None], Lane], None] | None = None

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def get(self, key: bytes) -> bytes | None:
        return self.puts[key] if key in self.puts else self._lane.rows.get(key)

    def put(self, key: bytes, row: bytes | None) -> None:
        self.puts[key] = row

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        merged = {key: row for key, row in {**self._lane.rows, **self.puts}.items() if key.startswith(prefix)}
        return [(key, row) for key, row in sorted(merged.items()) if key > after and row is not None]

    def emit(
        self, topic: str, key: bytes, value: bytes | None, headers: Headers = (), partition: int | None = None
    ) -> None:
        self.emits.append((topic, key, value, headers, partition))

    def sure(self) -> None:
        """Nobody else is there."""

    async def save(self) -> None:
        self._world.maybe_crash("before its note is kept")
        self._keep()
        self._world.maybe_crash("right after its note was kept")

    def _keep(self) -> None:
        if self._epoch != self._lane.epoch:
            raise Fenced
        if self.watch is not None:
            self.watch(self.puts, self._lane)
        self._lane.keep(self.puts)
        self.puts = {}

    def commit(self) -> None:
        """All of it, or Fenced."""
        self._keep()
        for topic, key, value, headers, partition in self.emits:
            self._world.append(topic, key, value, headers, partition)
        for record in self._records:
            self._lane.positions[record.topic] = record.offset + 1
