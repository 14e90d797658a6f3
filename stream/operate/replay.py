"""Replay: what was read once is told again, from the topics that keep it.

Records are chosen by entity type, by record, by offset and by time, in the order in which they were written. Onto the
running system each goes to its own topic and partition once more, as it was, with a header that says where the first
one stands. A row takes it for what it is, an old reading: it knows newer ones, so nothing is an edit and nothing is
written; what it did not have of the record it gets. A copy is never chosen again, or every replay would be twice the
last.

How far a replay has come is kept in a file beside the log, written after each batch. Killed at any moment, it goes on
with that batch: told twice, a reading says nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from stream.engine.log import Outgoing, partition_of
from stream.engine.reader import TopicInfo
from stream.ports import Record
from stream.topics import changes

REPLAYED: Final = "linkstream.replayed"
"""The header of a record that was told again: partition and offset of the first one."""
PAGE: Final = 1000
LARGEST: Final = 4 << 20
"""Bytes of one batch, about."""


class Log(Protocol):
    """What is asked of a log."""

    def topics(self) -> Sequence[TopicInfo]:
        """All topics."""
        ...

    def records(self, topic: str, partition: int, *, start: int | None = None, limit: int = ...) -> list[Record]:
        """Records of a partition."""
        ...


class Range(Struct, frozen=True):
    """Offsets of one partition, both ends among them."""

    partition: int
    first: int = 0
    last: int | None = None


class Selection(Struct, frozen=True, kw_only=True):
    """Which records are chosen."""

    types: tuple[str, ...] = ()
    """Entity types."""
    refs: tuple[str, ...] = ()
    """Single records, beside the types."""
    ranges: tuple[Range, ...] = ()
    """Offsets; all where nothing is said."""
    since: int | None = None
    """Milliseconds since the epoch: only what was written to the log from then on, and before ``until``."""
    until: int | None = None

    def topics(self) -> dict[str, frozenset[bytes]]:
        """The change topics, and the keys that are wanted of each; none for all."""
        found: dict[str, frozenset[bytes]] = {}
        for ref in self.refs:
            topic = changes(ref.partition(":")[0])
            found[topic] = found.get(topic, frozenset()) | {ref.encode()}
        return found | dict.fromkeys(map(changes, self.types), frozenset())

    def within(self, record: Record) -> bool:
        """Whether offset and time of a record are wanted."""
        if self.since is not None and record.timestamp < self.since:
            return False
        if self.until is not None and record.timestamp >= self.until:
            return False
        return not self.ranges or any(
            each.partition == record.partition
            and each.first <= record.offset
            and (each.last is None or record.offset <= each.last)
            for each in self.ranges
        )


class Place(Struct, kw_only=True):
    """How far a replay has come: by topic and partition (``changes.a.t/2``), where to go on, and where to end."""

    selection: Selection
    next: dict[str, int]
    end: dict[str, int]
    done: int = 0
    """Records that were told again."""

    @property
    def left(self) -> int:
        """Offsets that have not been looked at."""
        return sum(max(0, end - self.next[part]) for part, end in self.end.items())


def begin(log: Log, selection: Selection) -> Place:
    """A replay from the first record to the last that is there now. Raises LookupError for a topic that is not."""
    known = {info.name: info for info in log.topics()}
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    for topic, keys in selection.topics().items():
        if topic not in known:
            raise LookupError(f"found no topic {topic} in the log; linkstream run creates it")
        info = known[topic]
        partitions = {partition_of(key, info.partitions) for key in keys} or set(range(info.partitions))
        for partition in sorted(partitions):
            starts[f"{topic}/{partition}"] = info.first[partition]
            ends[f"{topic}/{partition}"] = info.heads[partition]
    return Place(selection=selection, next=starts, end=ends)


def chosen(log: Log, place: Place) -> Iterator[Record]:
    """The records of a selection that are still to come, oldest first; each partition in its own order."""
    parts = [_part(log, place, part) for part in place.end]
    return heapq.merge(*parts, key=attrgetter("timestamp"))


def _part(log: Log, place: Place, part: str) -> Iterator[Record]:
    topic, _, partition = part.rpartition("/")
    selection, keys = place.selection, place.selection.topics()[topic]
    start, end = place.next[part], place.end[part]
    while start < end:
        page = log.records(topic, int(partition), start=start, limit=PAGE)
        for record in page:
            if record.offset >= end:
                return
            wanted = record.value is not None and (not keys or record.key in keys)
            if wanted and selection.within(record) and not is_copy(record):
                yield record
        if len(page) < PAGE:
            return  # what lies before the end is no record: a cluster counts marks of its transactions among offsets
        start = page[-1].offset + 1


def is_copy(record: Record) -> bool:
    """Whether a record was told again."""
    return any(name == REPLAYED for name, _ in record.headers)


def told_again(record: Record) -> Outgoing:
    """A record once more, for its own topic and partition."""
    origin = f"{record.partition}/{record.offset}".encode()
    return Outgoing(record.topic, record.key, record.value, (*record.headers, (REPLAYED, origin)), record.partition)


def batches(records: Iterator[Record], size: int) -> Iterator[list[Record]]:
    """Some records at a time, never many bytes."""
    batch: list[Record] = []
    weight = 0
    for record in records:
        batch.append(record)
        weight += len(record.value or b"")
        if len(batch) >= size or weight >= LARGEST:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def pass_on(place: Place, batch: Sequence[Record]) -> None:
    """These were told again."""
    for record in batch:
        place.next[f"{record.topic}/{record.partition}"] = record.offset + 1
    place.done += len(batch)


def finish(place: Place) -> None:
    """Everything was looked at."""
    place.next |= place.end


# Where it is kept


def file_of(folder: Path, words: Mapping[str, object]) -> Path:
    """The file of the replay that was asked for in these words."""
    name = blake2b(msgspec.json.encode(words, order="sorted"), digest_size=6).hexdigest()
    return folder / f"replay-{name}.json"


def load(file: Path) -> Place | None:
    """How far it has come; nothing if it was not begun, or the file cannot be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Place)
    except (OSError, msgspec.MsgspecError):
        return None


def save(file: Path, place: Place) -> None:
    """Keep it: all of it or what was there before. Raises OSError."""
    beside = file.with_suffix(".new")
    file.parent.mkdir(parents=True, exist_ok=True)
    beside.write_bytes(msgspec.json.encode(place))
    beside.replace(file)
