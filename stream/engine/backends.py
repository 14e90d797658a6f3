"""Which log a URL names: ``sqlite:///path/to/file.db`` or ``kafka://host:port``. Nothing else asks.

A backend is imported when its URL comes: a worker over one file loads no Kafka client for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self

from msgspec import Struct

from stream.engine.embedded.lease import address_of as socket_of
from stream.engine.log import Log, Mismatch
from stream.ports import Loss, Record

KINDS = "sqlite:///path/to/file.db or kafka://host:9092"


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

    def __enter__(self) -> Self:
        """A reader is closed at the end of its ``with``."""
        ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """Give back what it holds."""
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


def log_at(url: str) -> Log:
    """The log that a URL names, not open yet. Raises ``Mismatch``."""
    if is_kafka(url):
        from stream.engine.kafka.log import KafkaLog  # noqa: PLC0415 - see above

        return KafkaLog(url)
    if url.startswith("sqlite:"):
        from stream.engine.embedded.log import EmbeddedLog  # noqa: PLC0415

        return EmbeddedLog(url)
    raise Mismatch(f"{shown(url)}: unknown kind of log; {KINDS} would be right")


def open_reader(url: str) -> Reader:
    """Open a log for reading. Raises ``Mismatch`` when there is none, and whatever else is in its way."""
    if is_kafka(url):
        from stream.engine.kafka.reader import KafkaReader  # noqa: PLC0415

        return KafkaReader(url)
    from stream.engine.embedded.reader import Reader as EmbeddedReader  # noqa: PLC0415

    return EmbeddedReader(url)


def is_kafka(url: str) -> bool:
    """Whether the log is a cluster: several workers share it, and each of them answers for itself alone."""
    return url.startswith("kafka:")


def socket_at(url: str, pid: int) -> Path:
    """Where a worker over this log answers commands."""
    if is_kafka(url):
        one = _cluster(url)
        return one.with_name(f"{one.stem}-{pid}.sock")
    from stream.engine.embedded.schema import place_of  # noqa: PLC0415

    return socket_of(place_of(url).path)


def sockets_at(url: str) -> Sequence[Path]:
    """Where workers over this log may answer commands on this machine."""
    if is_kafka(url):
        one = _cluster(url)
        return sorted(one.parent.glob(f"{one.stem}-*.sock"))
    from stream.engine.embedded.lease import holder_of  # noqa: PLC0415
    from stream.engine.embedded.schema import place_of  # noqa: PLC0415

    path = place_of(url).path
    holder = holder_of(path)
    return [Path(holder.address) if holder and holder.address else socket_of(path)]


def _cluster(url: str) -> Path:
    from stream.engine.kafka.address import address_of  # noqa: PLC0415

    address = address_of(url)
    return socket_of(Path("/kafka") / ",".join(address.servers) / address.group)


def shown(url: str) -> str:
    """A URL as it may be shown: without options, among which secrets may be."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.partition('?')[0].rpartition('@')[2]}"


def secrets_of(url: str) -> tuple[str, ...]:
    """What in a URL must never be seen, as written and as meant."""
    if not is_kafka(url):
        return ()
    from stream.engine.kafka.address import secrets_of as found  # noqa: PLC0415

    return found(url)
