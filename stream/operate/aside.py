"""What was set aside, and what lost: listed, and settled by a person.

Both topics only grow. That somebody has dealt with a record is said by another one after it, under the same key and
so in the same partition: without a value, and with headers that name the first one and what was done. So the history
stays, every reader can tell what is still open, and it works alike on every log.

To retry a record is to bring it once more to where it was going; what was refused by a system is told to its row,
which writes it again. Orders that belong together are published at once, all or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from stream.codec import encode
from stream.core.matching import INDEX
from stream.engine.log import Outgoing
from stream.model import Order, Wake
from stream.parking import PREFIX
from stream.ports import Headers, Record
from stream.topics import MAIL, PARKED, POLLS

SETTLED: Final = "linkstream.settled"
"""The header that names the offset of the record that was dealt with."""
HOW: Final = "linkstream.how"

How = Literal["retried", "dropped", "kept", "reversed"]

NOT_APPLIED: Final = "not applied"
"""The class of what a row reports: its message was worked in, and something of it could not be done."""

MOST = 100
"""Records that are retried or dropped at once without being told twice."""
PAGE = 500


class Topics(Protocol):
    """What is asked of a log."""

    def topics(self) -> Sequence[Info]:
        """All topics."""
        ...

    def records(
        self, topic: str, partition: int, *, start: int | None = None, limit: int = ..., newest_first: bool = False
    ) -> list[Record]:
        """Records of a partition."""
        ...


class Info(Protocol):
    """One topic."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def partitions(self) -> int:
        """How many there are."""
        ...


class Aside(Struct, frozen=True):
    """One record of ``parked`` or ``conflicts``, and what became of it; ``id`` is partition and offset."""

    id: str
    record: Record
    settled: str

    @property
    def about(self) -> dict[str, str]:
        """Kafka Connect's headers, without their prefix."""
        return {
            name.removeprefix(PREFIX): value.decode(errors="replace")
            for name, value in self.record.headers
            if name.startswith(PREFIX)
        }


def asides(log: Topics, topic: str) -> Iterator[Aside]:
    """Every record of a topic, newest first in each partition, with what became of it."""
    partitions = next((info.partitions for info in log.topics() if info.name == topic), 0)
    for partition in range(partitions):
        done: dict[str, str] = {}
        start: int | None = None
        while page := log.records(topic, partition, start=start, limit=PAGE, newest_first=True):
            for record in page:
                said = dict(record.headers)
                if SETTLED in said:
                    done.setdefault(said[SETTLED].decode(), said.get(HOW, b"").decode())
                else:
                    yield Aside(f"{partition}/{record.offset}", record, done.get(str(record.offset), ""))
            start = page[-1].offset - 1
            if start < 0:
                break


def found(log: Topics, topic: str, id: str) -> Aside | None:
    """One record by its partition and offset."""
    return next((each for each in asides(log, topic) if each.id == id), None)


def settling(aside: Aside, how: How) -> Outgoing:
    """The record that says that a record was dealt with."""
    record = aside.record
    headers: Headers = ((SETTLED, str(record.offset).encode()), (HOW, how.encode()))
    return Outgoing(record.topic, record.key, None, headers, record.partition)


def retrying(aside: Aside) -> list[Outgoing]:
    """The orders that try a parked record again; none for one that is tried again by itself."""
    record, about = aside.record, aside.about
    topic, stage, key = about.get("topic", ""), about.get("stage", ""), record.key
    if stage == "TASK_POLL":
        ref = key.decode(errors="replace")
        type, _, id = ref.partition(":")
        return [Outgoing(POLLS, type.encode(), encode(Order(ref=ref)))] if id else []
    if about.get("class.name") == NOT_APPLIED:
        return [] if key.startswith(INDEX.encode()) else [Outgoing(MAIL, key, encode(Wake(retry=True)))]
    if not topic or topic == PARKED:
        return []
    kept = tuple(header for header in record.headers if not header[0].startswith(PREFIX))
    return [Outgoing(topic, key, record.value, kept, record.partition)]


def retried(asides: Sequence[Aside]) -> list[Outgoing]:
    """All that tries parked records again: each order once, however many ask for it, and that they are settled."""
    orders = {(order.topic, order.key, order.value): order for each in asides for order in retrying(each)}
    return [*orders.values(), *(settling(each, "retried") for each in asides)]
