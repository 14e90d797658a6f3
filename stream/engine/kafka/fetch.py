"""Records on their way to lanes: one consumer per agent, an inbox per topic and partition.

The consumer belongs to no group: who owns what is decided elsewhere, and lanes say where to start. It reads committed
records only. A full inbox is not asked for more, so that what waits on the broker does not fill memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.engine.kafka.address import Address
from stream.engine.kafka.errors import explained
from stream.engine.kafka.pages import Plain
from stream.engine.log import EngineError
from stream.ports import Record

FEW, MANY = 20, 2000
"""Records taken over at a time, at least and at most: what the broker sends compressed may be large here."""
ROOM = 512 << 10
"""An inbox with more bytes than these is full, and so is one of ``MANY`` records."""
PIECE = 512 << 10
"""Bytes that the broker gives of a partition at a time."""
POLL = 0.2
"""Seconds that the broker waits for records; so long a change of what is read can take."""
LONG, SHORT = 1.0, 0.02
"""Seconds to wait for records: when every inbox has room, and when one may get it."""


Inboxes: TypeAlias = "dict[TopicPartition, Inbox]"


class Inbox:
    """The records of one topic and partition that were fetched and not taken."""

    def __init__(self, topic: str, partition: int, start: int, wake: Callable[[], None]) -> None:
        self.topic = topic
        self.partition = partition
        self.head = start
        self.end = start
        """Of the partition, as far as is known."""
        self.reached = start
        """Everything below was looked at: markers of transactions have offsets, too."""
        self.wake = wake
        self.on_room: Callable[[], object] = lambda: None
        """Called when it is no longer full."""
        self._records: deque[Record] = deque()
        self._size = 0

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return self._size > ROOM or len(self._records) >= MANY

    def put(self, fetched: Iterable[Plain]) -> int:
        """Take over what was fetched; how many bytes that were."""
        topic, partition = self.topic, self.partition
        records = [
            Record(topic, partition, each.offset, each.key or b"", each.value, each.timestamp, tuple(each.headers))
            for each in fetched
        ]
        self._records += records
        if records:
            self.head = records[-1].offset + 1
        size = _size(records)
        self._size += size
        return size

    def take(self, start: int, limit: int) -> Sequence[Record]:
        """The next records from ``start`` on; what lies before it is forgotten."""
        records, full = self._records, self.full
        while records and records[0].offset < start:
            self._size -= _size((records.popleft(),))
        taken = [records.popleft() for _ in range(min(limit, len(records)))]
        self._size -= _size(taken)
        if full and not self.full:
            self.on_room()
        return taken


def _plainly(consumer: AIOKafkaConsumer, tps: Iterable[TopicPartition]) -> None:
    """Have what is here already handed over as it lies in its batches.

    The client's own object around each record takes as long as all else of reading it.
    """
    waiting = consumer._fetcher._records  # noqa: SLF001 - the client knows no other way
    for tp in tps:
        page = getattr(waiting.get(tp), "_partition_records", None)
        if page is not None:
            page._consumer_record = _plain  # noqa: SLF001


def _plain(_: TopicPartition, record: Plain) -> Plain:
    return record


def _size(records: Collection[Record]) -> int:
    return sum([len(record.key) + len(record.value or b"") for record in records]) + 100 * len(records)


class Fetch:
    """Brings records to the inboxes of one agent's lanes."""

    def __init__(self, address: Address, on_fatal: Callable[[EngineError], object]) -> None:
        self._address = address
        self._on_fatal = on_fatal
        self._consumer: AIOKafkaConsumer | None = None
        self._inboxes: Inboxes = {}
        self._task: asyncio.Task[None] | None = None
        self._uncommitted: AIOKafkaConsumer | None = None
        self._many = FEW
        self._closed = False
        self._changing = asyncio.Lock()
        self._moved = asyncio.Event()
        self._room = asyncio.Event()

    async def add(self, inboxes: Mapping[TopicPartition, Inbox]) -> None:
        """Begin to fill inboxes; an earlier one of the same partition gets no more."""
        await self._change(lambda now: {**now, **inboxes})

    async def remove(self, inboxes: Mapping[TopicPartition, Inbox]) -> None:
        """Stop filling inboxes."""
        await self._change(lambda now: {tp: inbox for tp, inbox in now.items() if inboxes.get(tp) is not inbox})

    async def _change(self, change: Callable[[Inboxes], Inboxes]) -> None:
        async with self._changing:
            await self._pause()
            self._inboxes = inboxes = change(self._inboxes)
            if not inboxes or self._closed:
                return
            with explained(self._address, "reading"):
                if self._consumer is None:
                    self._consumer = consumer_of(self._address, auto_offset_reset="none")
                    await self._consumer.start()
                self._consumer.assign(list(inboxes))
                for tp, inbox in inboxes.items():
                    inbox.on_room = self._room.set
                    self._consumer.seek(tp, max(inbox.head, inbox.reached))
            self._task = asyncio.ensure_future(self._run(self._consumer))

    async def _pause(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self, consumer: AIOKafkaConsumer) -> None:
        try:
            while True:
                with explained(self._address, "reading"):
                    await self._round(consumer)
        except EngineError as error:
            self._on_fatal(error)

    async def _round(self, consumer: AIOKafkaConsumer) -> None:
        self._room.clear()
        open_ = [tp for tp, inbox in self._inboxes.items() if not inbox.full]
        if not open_:
            await self._room.wait()
            return
        _plainly(consumer, open_)
        wait = LONG if len(open_) == len(self._inboxes) else SHORT
        fetched = await consumer.getmany(*open_, timeout_ms=round(wait * 1000), max_records=self._many)
        for tp, records in fetched.items():
            size = self._inboxes[tp].put(records) / len(records)
            self._many = max(FEW, min(2 * self._many, MANY, int(ROOM / size)))
        for tp in open_:
            await self._note(consumer, tp, self._inboxes[tp])
        for wake in {inbox.wake for tp in fetched for inbox in [self._inboxes[tp]]}:
            wake()
        self._moved.set()
        self._moved.clear()

    @staticmethod
    async def _note(consumer: AIOKafkaConsumer, tp: TopicPartition, inbox: Inbox) -> None:
        """How far the partition goes; at its end, markers behind the last record are no records that wait."""
        inbox.reached = max(inbox.reached, await consumer.position(tp))
        last = consumer.last_stable_offset(tp)
        if last is not None:
            inbox.end = inbox.head if inbox.reached >= last else last

    async def catch_up(self, inboxes: Mapping[TopicPartition, Inbox]) -> None:
        """Return when the inboxes have all that is committed now, or are full.

        A commit returns before the brokers have marked its records as committed, so what is begun counts, too.
        """
        assert self._consumer is not None
        with explained(self._address, "reading"):
            if self._uncommitted is None:
                self._uncommitted = consumer_of(self._address, isolation_level="read_uncommitted")
                await self._uncommitted.start()
            ends = await self._uncommitted.end_offsets(list(inboxes))
        while any(inbox.reached < ends[tp] and not inbox.full for tp, inbox in inboxes.items()):
            with suppress(TimeoutError):  # nobody is woken by markers alone
                async with asyncio.timeout(SHORT):
                    await self._moved.wait()
            for tp, inbox in inboxes.items():
                if self._inboxes.get(tp) is not inbox:
                    return
                await self._note(self._consumer, tp, inbox)

    async def close(self) -> None:
        """Stop."""
        self._closed = True
        async with self._changing:
            await self._pause()
        for consumer in (self._consumer, self._uncommitted):
            if consumer is not None:
                await consumer.stop()


def consumer_of(address: Address, *topics: str, **settings: object) -> AIOKafkaConsumer:
    """A consumer of committed records."""
    return AIOKafkaConsumer(
        *topics,
        **{
            **address.client(),
            "client_id": address.group,
            "isolation_level": "read_committed",
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "max_partition_fetch_bytes": PIECE,
            "fetch_max_wait_ms": round(POLL * 1000),
            **settings,
        },
    )
