"""What anybody may read of a log: its topics, its records, its rows, and how far lanes are behind.

Each kind of log has a reader; ``stream.engine.backends.open_reader`` gives the one that a URL names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, Self

from msgspec import Struct

from stream.ports import Loss, Record


class TopicInfo(Struct, frozen=True):
    """A topic: per partition the offset of the first record still there, and the next one to come."""

    name: str
    partitions: int
    first: tuple[int, ...]
    heads: tuple[int, ...]


class Lag(Struct, frozen=True):
    """How far a lane is behind in a topic: ``lag`` records wait between ``next`` and ``head``."""

    agent: str
    partition: int
    topic: str
    next: int
    head: int
    markers: int = 0
    """Offsets between them that are no records."""

    @property
    def lag(self) -> int:
        """Records that wait."""
        return self.head - self.next - self.markers


class Reader(Protocol):
    """A log, opened for reading, while its workers run or when none does. Sees what is committed."""

    fresh: float
    """Seconds for which rows that were looked at may stand for the latest."""

    def __enter__(self) -> Self:
        """A reader is closed at the end of its ``with``."""
        ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """Give back what it holds."""
        ...

    def forget(self) -> None:
        """Drop rows that were kept for the next question."""
        ...

    def topics(self) -> list[TopicInfo]:
        """All topics, by name."""
        ...

    def count(self, topic: str) -> int:
        """The records in a topic; 0 when it is not there."""
        ...

    def lags(self) -> list[Lag]:
        """Every lane's place in every topic it reads."""
        ...

    def records(
        self,
        topic: str,
        partition: int,
        *,
        start: int | None = None,
        limit: int = ...,
        newest_first: bool = False,
    ) -> list[Record]:
        """Records of a partition from ``start`` on (inclusive; downwards if newest first), at most ``limit``."""
        ...

    def keyed(self, topic: str, key: bytes, *, limit: int = ...) -> list[Record]:
        """The newest records of a key, newest first; nothing for a topic that is not there."""
        ...

    def rows(self, agent: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows of an agent, in key order within each partition."""
        ...

    def row(self, agent: str, key: bytes, partition: int | None = None) -> bytes | None:
        """One row; without a partition, of the one its key belongs to."""
        ...

    def loss(self) -> Loss:
        """The latest loss of state that was noticed."""
        ...

    def size(self) -> dict[str, int]:
        """Bytes that the log takes, as far as can be told from here."""
        ...

    def check(self) -> list[str]:
        """What is wrong with what is stored, if anything."""
        ...
