"""Upkeep: what may go goes, in small pieces, when nothing waits.

Retention takes the old prefix of a partition, below the next offset of every lane that reads it, 500 records at a
time. Compaction of a keyed topic goes over a partition once, newest first, and takes what a later record of the same
key has replaced, and tombstones after a day. Neither ever takes a partition's last record. Pages that became free are
given back to the file system when there are many. One long transaction would stop every lane for as long as it runs;
hence pieces.

Ages go by a clock that may be wrong. One that jumps ahead by a month would make everything old that nobody reads on, so
it is believed after an hour only: most are set right before.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b

from msgspec import Struct

from stream.engine.embedded.schema import first_id, tp_of
from stream.engine.log import TopicSettings

PIECE = 500
FORGOTTEN = 86_400.0  # seconds after which a tombstone of a compacted topic may go
GROWTH = 1000  # records after which a compacted partition is worth another pass
FREE = 2000  # pages of the file that may lie idle
DOUBT = 3600.0  # seconds for which a clock that jumped ahead is not believed
SLACK = 60.0  # seconds by which it may run ahead
PATIENCE = 50  # transactions after which upkeep no longer waits for a pause


class Belief:
    """What time it is by a clock that may jump; ``ticks`` are seconds that never do."""

    def __init__(self, now: float, ticks: float, doubt: float = DOUBT) -> None:
        self.doubt = doubt
        self._known = now - ticks
        self._since: float | None = None

    def time(self, now: float, ticks: float) -> float:
        """What the clock says, or what it would say, had it not jumped ahead within the last hour."""
        if now - ticks <= self._known + SLACK:
            self._known, self._since = now - ticks, None
            return now
        self._since = ticks if self._since is None else self._since
        if ticks - self._since < self.doubt:
            return self._known + ticks
        self._known, self._since = now - ticks, None
        return now


class Upkeep:
    """Rounds of upkeep, ``every`` so many seconds; each step is one piece."""

    def __init__(self, every: float = 60.0) -> None:
        self.topics: Mapping[str, TopicSettings] = {}
        self._every = every
        self._next = time.monotonic() + every
        self._round: Iterator[None] | None = None
        self.belief: Belief | None = None
        self._compacted: dict[int, int] = {}
        self._missed = 0

    def begin(self, saved: float, now: float) -> None:
        """The log was written last at ``saved``; zero if it is new."""
        self.belief = Belief(saved or now, time.monotonic())

    def patience(self) -> float:
        """Seconds that the writer may sleep."""
        return 0.0 if self._round is not None else max(0.0, self._next - time.monotonic())

    def due(self, *, waiting: bool) -> bool:
        """Whether a piece should be done now; work that waits goes first, but not for ever."""
        if self._round is None and time.monotonic() < self._next:
            return False
        self._missed = self._missed + 1 if waiting else PATIENCE
        return self._missed >= PATIENCE

    def step(self, connection: sqlite3.Connection, now: float) -> None:
        """Do one piece."""
        self._missed = 0
        if self._round is None:
            self._round = self.pieces(connection, self.belief.time(now, time.monotonic()) if self.belief else now)
        try:
            next(self._round)
        except StopIteration:
            self._round, self._next = None, time.monotonic() + self._every
        except sqlite3.Error:
            self._round, self._next = None, time.monotonic() + self._every
            raise

    def pieces(self, connection: sqlite3.Connection, now: float) -> Generator[None, None, None]:
        """One round over all topics."""
        for number, name, partitions in connection.execute("select id, name, partitions from topics").fetchall():
            settings = self.topics.get(name)
            for partition in range(partitions if settings else 0):
                assert settings is not None
                part = _part(connection, tp_of(number, partition))
                if part.head == 0:
                    continue
                if settings.compact and part.head - self._compacted.get(part.tp, -GROWTH) >= GROWTH:
                    yield from compact(connection, part, now)
                    self._compacted[part.tp] = part.head
                if not settings.compact and settings.retention is not None:
                    yield from expire(connection, part, now - settings.retention)
        yield from vacuum(connection)


class Part(Struct, frozen=True):
    """One partition: records below ``safe`` may go."""

    tp: int
    head: int
    safe: int


def _part(connection: sqlite3.Connection, tp: int) -> Part:
    head = connection.execute("select next from heads where tp = ?", (tp,)).fetchone()
    read = connection.execute("select min(next) from offsets where tp = ?", (tp,)).fetchone()
    top = head[0] if head else 0
    return Part(tp, top, min(top - 1, top if read[0] is None else read[0]))


def expire(connection: sqlite3.Connection, part: Part, before: float) -> Generator[None, None, None]:
    """Delete the prefix of a partition that is older than ``before``, in seconds since the epoch."""
    first, last = first_id(part.tp), first_id(part.tp) + part.safe
    while True:
        with transaction(connection):
            found = connection.execute(
                "select id, ts from records where id >= ? and id < ? order by id limit ?", (first, last, PIECE)
            ).fetchall()
            young = next((place for place, (_, moment) in enumerate(found) if moment >= before * 1000), len(found))
            if young:
                connection.execute("delete from records where id >= ? and id <= ?", (first, found[young - 1][0]))
        yield
        if young < PIECE:
            return


def compact(connection: sqlite3.Connection, part: Part, now: float) -> Generator[None, None, None]:
    """Delete what later records have replaced, and old tombstones."""
    first = first_id(part.tp)
    above, safe = first + part.head, first + part.safe
    seen: set[bytes] = set()
    while True:
        with transaction(connection):
            found = connection.execute(
                "select id, ts, key, value is null from records where id >= ? and id < ? order by id desc limit ?",
                (first, above, PIECE),
            ).fetchall()
            gone = []
            for number, moment, key, tombstone in found:
                name = blake2b(key, digest_size=16).digest()
                if number < safe and (name in seen or (tombstone and moment < (now - FORGOTTEN) * 1000)):
                    gone.append((number,))
                seen.add(name)
            connection.executemany("delete from records where id = ?", gone)
        yield
        if len(found) < PIECE:
            return
        above = found[-1][0]


def vacuum(connection: sqlite3.Connection) -> Generator[None, None, None]:
    """Give free pages back, some at a time."""
    while True:
        (free,) = connection.execute("pragma freelist_count").fetchone()
        if free < FREE:
            return
        connection.executescript("pragma incremental_vacuum(250)")  # execute() would free a single page
        yield


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit at the end, roll back on an error."""
    connection.execute("begin immediate")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")
