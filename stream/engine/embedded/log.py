"""The embedded log: ``stream.engine.log.Log`` over one SQLite file.

Everything that writes goes through the writer's thread; reads of records and rows are plain SELECTs on a second,
read-only connection in the loop's thread, a few microseconds each. After a transaction the writer hands over the heads
that moved and the lanes that read them are woken: nothing polls.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from stream.engine.embedded import schema
from stream.engine.embedded.lease import Lease, address_of
from stream.engine.embedded.upkeep import Upkeep
from stream.engine.embedded.writer import Writer
from stream.engine.log import (
    LARGEST,
    Claim,
    Closed,
    EngineError,
    Given,
    Health,
    LaneId,
    Mismatch,
    Outgoing,
    Staged,
    Taken,
    TopicSettings,
    must_exist,
)
from stream.ports import Loss, Record

DRAIN = 10.0  # seconds that closing waits for the writer
SEVERAL = 500  # keys in one SELECT
PAGE = 500  # rows that a scan reads at a time, so that it never holds a checkpoint back


class EmbeddedClaim:
    """A lane of an embedded log."""

    def __init__(self, log: EmbeddedLog, lane: LaneId, number: int, epoch: int, offsets: Mapping[str, int]) -> None:
        self.lane = lane
        self.epoch = epoch
        self.offsets = offsets
        self._log = log
        self._number = number
        self._tps = {topic: log.tp(topic, lane.partition) for topic in offsets}

    def head(self, topic: str) -> int:
        """The next offset of the topic."""
        return self._log.heads.get(self._tps[topic], 0)

    def read(self, topic: str, start: int, limit: int) -> Sequence[Record]:
        """Records from ``start`` on."""
        first = schema.first_id(self._tps[topic])
        found = self._log.select(
            "select id, ts, key, value, headers from records where id >= ? and id < ? order by id limit ?",
            (first + start, first + self.head(topic), limit),
        )
        partition, mask, unpack = self.lane.partition, schema.OFFSET_MASK, schema.unpack_headers
        return [
            Record(topic, partition, number & mask, key, value, moment, unpack(headers) if headers else ())
            for number, moment, key, value, headers in found
        ]

    def end(self, topic: str) -> int:
        """The next offset of the topic."""
        return self.head(topic)

    async def catch_up(self) -> None:
        """All is at hand."""

    def get(self, key: bytes) -> bytes | None:
        """A committed row, its checksum verified."""
        found = self._log.select("select value from rows where lane = ? and key = ?", (self._number, key))
        return self._row(key, found[0][0]) if found else None

    def several(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Committed rows of these keys: every SELECT of its own would wait for the writer's thread to yield."""
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), SEVERAL):
            some = keys[start : start + SEVERAL]
            marks = ",".join("?" * len(some))
            statement = f"select key, value from rows where lane = ? and key in ({marks})"  # noqa: S608 - marks alone
            found.update((key, self._row(key, row)) for key, row in self._log.select(statement, (self._number, *some)))
        return found

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Committed rows by prefix, read page by page."""
        after, sign = (after, ">") if after > prefix else (prefix, ">=")
        while True:
            found = self._log.select(
                f"select key, value from rows where lane = ? and key {sign} ? order by key limit ?",  # noqa: S608
                (self._number, after, PAGE),
            )
            for key, stored in found:
                if not key.startswith(prefix):
                    return
                yield key, self._row(key, stored)
            if len(found) < PAGE:
                return
            after, sign = found[-1][0], ">"

    def _row(self, key: bytes, stored: bytes) -> bytes:
        row = schema.unseal(key, stored)
        if row is None:
            raise self._log.fatal(
                schema.damaged(self._log.place.path, f"row {key!r} of lane {self.lane} fails its checksum")
            )
        return row


class EmbeddedLog:
    """A ``Log`` in a file. ``clock`` gives seconds since the epoch; ``on_fatal`` is told what ends the process."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time, upkeep: float = 60.0) -> None:
        self.place = schema.place_of(url)
        self.partitions = 0
        self.largest = LARGEST
        self.topics: dict[str, TopicSettings] = {}
        self.heads: dict[int, int] = {}
        self.loss = Loss()
        self.lease = Lease(self.place.path)
        self.on_fatal: Callable[[EngineError], object] = lambda _: None
        self._clock = clock
        self._upkeep = Upkeep(upkeep)
        self._writer: Writer | None = None
        self._reader: sqlite3.Connection | None = None
        self._ids: dict[str, int] = {}
        self._claims: dict[LaneId, tuple[Claim, Callable[[], None]]] = {}
        self._watchers: dict[int, list[Callable[[], None]]] = {}
        self._next: dict[LaneId, dict[str, int]] = {}
        self._alarm = ""

    # Open and close

    @property
    def writer(self) -> Writer:
        """The writer of an open log."""
        if self._writer is None:
            raise Closed(f"{self.place.path}: the log is not open")
        return self._writer

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.place.path.exists()

    def hold(self) -> None:
        """Take the lease. Raises ``InUse``."""
        self.lease.acquire(str(address_of(self.place.path)))

    async def open(self) -> None:
        """Take the lease and open the file. Raises ``InUse``, ``Corrupt``, ``Mismatch``."""
        if self._writer is not None:
            return
        self.hold()
        loop = asyncio.get_running_loop()
        try:
            writer = Writer(self.place, self._clock, self._upkeep)
        except BaseException:
            self.lease.release()
            raise
        self.lease.on_lost = lambda error: _in_loop(loop, self.fatal, error)
        self.lease.opened()
        writer.on_heads = self._grown
        writer.on_fatal = self.fatal
        writer.start()
        self._writer = writer
        self.loss = writer.loss
        self._reader = schema.open_reader(self.place.path)
        self.heads = dict(self.select("select tp, next from heads"))
        for number, name, partitions in self.select("select id, name, partitions from topics"):
            self._ids[name], self.partitions = number, partitions
            self.topics.setdefault(name, TopicSettings())

    async def close(self) -> None:
        """Finish what waits and let go of the file; what finds no room is given up."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        writer.stop()
        await asyncio.wait((writer.ended,), timeout=DRAIN)
        self.lease.release()

    async def declare(
        self,
        topics: Mapping[str, TopicSettings],
        partitions: int,
        agents: Sequence[str] = (),  # noqa: ARG002 - rows need no topics
    ) -> None:
        """Create missing topics. Raises ``Mismatch`` for another number of partitions."""
        if not 0 < partitions <= 1 << schema.PARTITION_BITS:
            raise Mismatch(
                f"{self.place.path}: {partitions} partitions; 1 to {1 << schema.PARTITION_BITS} are possible"
            )

        def create(connection: sqlite3.Connection) -> dict[str, int]:
            there = connection.execute("select name, partitions from topics").fetchall()
            for name, count in there:
                if count != partitions:
                    raise Mismatch(
                        f"{self.place.path}: topic {name} has {count} partitions, asked for {partitions}; "
                        f"keys and rows live by that number: set it back to {count}, or start with an empty file",
                    )
            missing = sorted(topics.keys() - {name for name, _ in there})
            connection.executemany(
                "insert into topics(name, partitions) values (?, ?)", [(name, partitions) for name in missing]
            )
            return dict(connection.execute("select name, id from topics"))

        self._ids = await self.writer.order(create)
        self.partitions = partitions
        self.topics.update(topics)
        self._upkeep.topics = self.topics

    # Lanes

    async def share(self, topics: Sequence[str], given: Given, taken: Taken) -> None:  # noqa: ARG002 - nobody else
        """All partitions are ours: the lease says so."""
        await given(frozenset(range(self.partitions)))

    async def claim(self, lane: LaneId, topics: Sequence[str], wake: Callable[[], None]) -> EmbeddedClaim:
        """Raise the lane's epoch and say where to start."""
        for topic in topics:
            if topic not in self.topics:
                raise Mismatch(
                    f"{lane}: reads topic {topic!r}, which is not declared; declare it where the app is created"
                )
        tps = {topic: self.tp(topic, lane.partition) for topic in topics}

        def take(connection: sqlite3.Connection) -> tuple[int, int, dict[int, int]]:
            connection.execute(
                "insert into lanes(agent, part, epoch) values (?, ?, 1) on conflict do update set epoch = epoch + 1",
                (lane.agent, lane.partition),
            )
            number, epoch = connection.execute(
                "select id, epoch from lanes where agent = ? and part = ?", (lane.agent, lane.partition)
            ).fetchone()
            rows = [(number, tp) for tp in tps.values()]
            connection.executemany("insert into offsets(lane, tp, next) values (?, ?, 0) on conflict do nothing", rows)
            return number, epoch, dict(connection.execute("select tp, next from offsets where lane = ?", (number,)))

        number, epoch, offsets = await self.writer.order(take)
        await self.release(lane)
        claim = EmbeddedClaim(self, lane, number, epoch, {topic: offsets[tp] for topic, tp in tps.items()})
        self._claims[lane] = claim, wake
        self._next[lane] = dict(claim.offsets)
        for tp in tps.values():
            self._watchers.setdefault(tp, []).append(wake)
        return claim

    async def release(self, lane: LaneId) -> None:
        """Stop waking the lane."""
        _, wake = self._claims.pop(lane, (None, None))
        for wakes in self._watchers.values():
            if wake in wakes:
                wakes.remove(wake)

    async def commit(self, unit: Staged) -> None:
        """One SQL transaction, shared with whatever else waits."""
        await self.writer.write((unit,), ())
        self._next[unit.lane].update(unit.offsets)

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append; durable when this returns."""
        for record in records:
            must_exist(self, "publish", record.topic, record.partition)
        if records:
            await self.writer.write((), records)

    # Reading, in the loop's thread

    def tp(self, topic: str, partition: int) -> int:
        """A topic and partition as one number."""
        return schema.tp_of(self._ids[topic], partition)

    def select(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a SELECT."""
        if self._reader is None:
            raise Closed(f"{self.place.path}: the log is not open")
        try:
            return self._reader.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise self.fatal(schema.known(error, self.place.path)) from error

    def _grown(self, heads: Mapping[int, int]) -> None:
        self.heads.update(heads)
        for tp in heads:
            for wake in self._watchers.get(tp, ()):
                wake()

    # Health and upkeep

    async def heal(self) -> None:
        """Note that the latest loss of state has been made good."""
        now = int(self._clock() * 1e6)
        await self.writer.order(lambda connection: connection.execute("update life set healed_at = ?", (now,)))
        self.loss = replace(self.loss, healed=now)

    def fatal(self, error: EngineError) -> EngineError:
        """Say what ends the process, and hand the error back to be raised."""
        self._alarm = self._alarm or str(error)
        self.on_fatal(error)
        return error

    def alarm(self, reason: str) -> None:
        """Turn health red."""
        self._alarm = reason

    def sure(self) -> None:
        """The lease is the kernel's: whoever takes it from a process that stands still ends that first."""

    def health(self) -> Health:
        """Red while nothing can be written, and after an alarm."""
        reason = self._alarm or (self._writer.trouble if self._writer else "")
        return {"state": "red" if reason else "green", "reason": reason}

    def status(self) -> dict[str, Any]:
        """Lanes with their lag, and health."""
        lanes = [
            {
                "agent": lane.agent,
                "partition": lane.partition,
                "topic": topic,
                "next": done,
                "head": head,
                "lag": head - done,
            }
            for lane, (claim, _) in sorted(self._claims.items())
            for topic, done in sorted(self._next[lane].items())
            for head in [claim.head(topic)]
        ]
        return {"lanes": lanes, "health": self.health()}

    async def tidy(self) -> None:
        """A whole round of upkeep, now."""

        def round_(connection: sqlite3.Connection) -> None:
            for _ in self._upkeep.pieces(connection, self._clock()):
                pass

        await self.writer.order(round_, bare=True)


def _in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, *arguments)
