"""The log: topics of records, rows of lanes, and one atomic commit over both.

Every backend is a class that satisfies ``Log``. A *lane* is one agent's share of one partition; whoever claims it last
owns it, and every commit of a former owner is refused (``Fenced``). What a unit did travels as ``Staged``: rows,
records and offsets that become visible together or not at all. Keys choose partitions by CRC-32, which no process
seeds differently.

Failures are named for what the process does next; each carries the exit code that a supervisor reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol, TypeAlias
from zlib import crc32

from msgspec import Struct

from stream.ports import Headers, Loss, Record
from stream.topics import PARKED

Health = dict[str, str]
Given: TypeAlias = Callable[[frozenset[int]], Awaitable[None]]
"""Called with the partitions that are this process's from now on."""
Taken: TypeAlias = Callable[[], Awaitable[None]]
"""Called before that changes: let go of every lane."""


class EngineError(Exception):
    """The engine cannot go on; the process ends with ``exit_code``."""

    exit_code: ClassVar[int] = 70


class Fenced(EngineError):
    """Somebody else owns the lane now: exit and leave the work to them."""


class Closed(EngineError):
    """The log was closed before the work was durable: nothing of it happened."""

    exit_code = 75


class InUse(EngineError):
    """Another process holds the log: try again later."""

    exit_code = 75


class Full(EngineError):
    """No room to write: free some and start again."""

    exit_code = 75


class Forbidden(EngineError):
    """The log may not be opened, or not be written, by this user: give it the right, and try again."""

    exit_code = 3


class Corrupt(EngineError):
    """Stored bytes are damaged: restore before starting again."""

    exit_code = 78


class Mismatch(EngineError):
    """The log does not fit this program or its settings: change one of them."""

    exit_code = 78


class TopicSettings(Struct, frozen=True):
    """How long a topic is kept: ``retention`` seconds (``None``: for ever), or the last record per key."""

    retention: float | None = None
    compact: bool = False


DAY: Final = 86_400.0

ALWAYS: Final[Mapping[str, TopicSettings]] = {PARKED: TopicSettings(30 * DAY)}
"""Topics of every app."""


class LaneId(Struct, frozen=True, order=True):
    """One agent's share of one partition."""

    agent: str
    partition: int

    def __str__(self) -> str:
        return f"{self.agent}/{self.partition}"


class Outgoing(Struct, frozen=True, gc=False):
    """A record on its way into the log. ``timestamp``: milliseconds, else the log's own clock; brokers go by theirs."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp: int | None = None


class Staged(Struct, gc=False):
    """What a unit did. A row that is ``None`` is deleted; ``offsets`` are the next ones to read."""

    lane: LaneId
    epoch: int
    rows: Mapping[bytes, bytes | None]
    records: Sequence[Outgoing]
    offsets: Mapping[str, int]


class Claim(Protocol):
    """A lane in the hands of its owner: where to start, and what is there."""

    lane: LaneId
    epoch: int
    offsets: Mapping[str, int]

    def head(self, topic: str) -> int:
        """The offset after the last record that ``read`` can give now; quick."""
        ...

    def read(self, topic: str, start: int, limit: int) -> Sequence[Record]:
        """Committed records from ``start`` on; offsets may have gaps. What lies before ``start`` may be forgotten."""
        ...

    def end(self, topic: str) -> int:
        """The offset after the last committed record, as far as is known."""
        ...

    async def catch_up(self) -> None:
        """Return when ``read`` gives all that was committed before this call, or more than a unit's worth of it."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """A committed row."""
        ...

    def several(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Committed rows of these keys, as many as there are, in one go."""
        ...

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        """Committed rows by prefix, in key order, from beyond ``after``."""
        ...


LARGEST: Final = 500_000_000
"""Bytes of a record that a log takes which knows no bound of its own: SQLite takes twice as many."""


class Log(Protocol):
    """A backend. Every method may raise ``EngineError``; after one of a commit the lane is lost."""

    on_fatal: Callable[[EngineError], object]
    largest: int
    """Bytes of the key and value of the largest record, or row, that it takes."""

    @property
    def partitions(self) -> int:
        """Of every topic."""
        ...

    @property
    def topics(self) -> Mapping[str, TopicSettings]:
        """What has been declared."""
        ...

    def exists(self) -> bool:
        """Whether there is such a log already, as far as can be seen from here."""
        ...

    @property
    def loss(self) -> Loss:
        """The latest loss of state, as far as one was noticed."""
        ...

    def hold(self) -> None:
        """Take what only one process may have, before anything else starts. Raises ``InUse``."""
        ...

    async def open(self) -> None:
        """Take hold of the log; a second call does nothing."""
        ...

    async def declare(self, topics: Mapping[str, TopicSettings], partitions: int, agents: Sequence[str] = ()) -> None:
        """Have these topics: create them, or see that they are as they should be. Raises ``Mismatch`` with a remedy."""
        ...

    async def share(self, topics: Sequence[str], given: Given, taken: Taken) -> None:
        """Take part in the work on these topics: returns after ``given`` was called for the first time.

        A partition number is one process's at a time, in all topics. When others come or go, ``taken`` is called, and
        then ``given`` again.
        """
        ...

    async def claim(self, lane: LaneId, topics: Sequence[str], wake: Callable[[], None]) -> Claim:
        """Fence the former owner and say where to start; ``wake`` is called when its topics have grown."""
        ...

    async def commit(self, unit: Staged) -> None:
        """Make all of it visible at once, or nothing."""
        ...

    async def release(self, lane: LaneId) -> None:
        """Let go of a lane."""
        ...

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append records outside any unit, all or none; returns when they are durable."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...

    async def heal(self) -> None:
        """Note that the latest loss of state has been made good."""
        ...

    def sure(self) -> None:
        """Raises ``Fenced`` when what this process holds may be somebody else's by now; quick."""
        ...

    def health(self) -> Health:
        """``state`` green or red, and the ``reason``."""
        ...

    def alarm(self, reason: str) -> None:
        """Turn health red until the process ends: something stands still that only a person can move."""
        ...

    def status(self) -> dict[str, Any]:
        """Lanes with their lag, and health."""
        ...


def must_exist(log: Log, what: str, topic: str, partition: int | None) -> None:
    """Raises ``LookupError`` for a topic or partition that does not exist; ``what`` is what was to be done there."""
    if topic not in log.topics:
        raise LookupError(f"{what}: topic {topic!r} is not declared; declare it where the app is created")
    if partition is not None and not 0 <= partition < log.partitions:
        raise LookupError(f"{what}: {topic} has no partition {partition}; 0 to {log.partitions - 1} exist")


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that a key belongs to."""
    return crc32(key) % partitions
