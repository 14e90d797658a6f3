"""Records on their way to lanes: an inbox per topic and partition, and requests to the brokers for all that have room.

Who owns what is decided elsewhere, and lanes say where to start. Committed records only are read. Nothing is asked for
a full inbox, so that what waits on the broker does not fill memory: it keeps what came last as it came, mostly
compressed, and takes records out of it as they are taken from it.

A broker holds a request back until it has something for it, and looks at nothing else that comes by the same
connection. So there are two connections to each: what gets room while one request is held back is asked for by the
other. (The client's own consumer has one, and leaves a broker alone for 100 ms while of one partition not everything
was taken: a lane that is behind with one topic would get nothing of the others.)
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient, ConnectionGroup

from stream.engine.kafka.address import Address
from stream.engine.kafka.errors import explained, known
from stream.engine.kafka.pages import AGAIN, Answer, Page, Plain, answered, asked
from stream.engine.log import EngineError
from stream.ports import Record

MANY: Final = 2000
ROOM: Final = 512 << 10
"""Records, and bytes of them, that are enough to be taken out of what came at a time: whole batches are."""
PIECE: Final = 512 << 10
"""Bytes that the broker gives of a partition at a time."""
POLL: Final = 0.5
"""Seconds that the broker holds a request back."""
WAYS: Final = tuple(ConnectionGroup)

logger = logging.getLogger(__name__)


Inboxes: TypeAlias = "dict[TopicPartition, Inbox]"
Way: TypeAlias = tuple[int | None, ConnectionGroup]
"""A connection to a broker; to none, where nobody leads the partition."""


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
        self.asked = False
        """Whether a request for it is under way."""
        self._stable = start
        self._page: Page | None = None
        self._batches: Iterator[list[Plain]] = iter(())
        self._records: deque[Record] = deque()
        self._size = 0

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return self._page is not None

    def put(self, page: Page, stable: int) -> None:
        """Take over what was fetched, while the partition went up to ``stable``."""
        self._page, self._batches, self._stable = page, page.batches(), stable
        self._open()

    def _open(self) -> None:
        """Take records out of what was fetched, as many as there is room for."""
        page = self._page
        assert page is not None
        topic, partition = self.topic, self.partition
        while self._page is not None and len(self._records) < MANY and self._size < ROOM:
            batch = next(self._batches, None)
            if batch is None:
                self._page = None
                break
            records = [
                Record(topic, partition, each.offset, each.key or b"", each.value, each.timestamp, tuple(each.headers))
                for each in batch
            ]
            self._records += records
            self._size += _size(records)
            self.head = records[-1].offset + 1
        self.reached = page.next
        # at the end, markers behind the last record are no records that wait
        self.end = self.head if self.reached >= self._stable else self._stable

    def take(self, start: int, limit: int) -> Sequence[Record]:
        """The next records from ``start`` on; what lies before it is forgotten."""
        records = self._records
        while records and records[0].offset < start:
            self._size -= _size((records.popleft(),))
        taken = [records.popleft() for _ in range(min(limit, len(records)))]
        self._size -= _size(taken)
        if self._page is not None:
            self._open()
            if self._page is None:
                self.on_room()
        return taken


def _size(records: Collection[Record]) -> int:
    return sum([len(record.key) + len(record.value or b"") for record in records]) + 100 * len(records)


class Fetch:
    """Brings records to the inboxes of one agent's lanes."""

    def __init__(self, address: Address, on_fatal: Callable[[EngineError], object]) -> None:
        self._address = address
        self._on_fatal = on_fatal
        self._client: AIOKafkaClient | None = None
        self._inboxes: Inboxes = {}
        self._task: asyncio.Task[None] | None = None
        self._flights: dict[Way, asyncio.Task[None]] = {}
        self._uncommitted: AIOKafkaConsumer | None = None
        self._closed = False
        self._changing = asyncio.Lock()
        self._moved = asyncio.Event()
        self._stirred = asyncio.get_running_loop().create_future()

    async def open(self, topics: Collection[str]) -> None:
        """Connect, and look where these topics are: what is done before lanes are claimed holds none of them up."""
        async with self._changing:
            if not self._closed:
                with explained(self._address, "reading"):
                    await (await self._connected()).set_topics(topics)

    async def _connected(self) -> AIOKafkaClient:
        if self._client is None:
            client = AIOKafkaClient(**self._address.client(), client_id=self._address.group)
            await client.bootstrap()
            self._client = client
        return self._client

    async def add(self, inboxes: Mapping[TopicPartition, Inbox]) -> None:
        """Begin to fill inboxes; an earlier one of the same partition gets no more."""
        async with self._changing:
            if not inboxes or self._closed:
                return
            with explained(self._address, "reading"):
                client = await self._connected()
                for topic in {tp.topic for tp in inboxes}:
                    client.add_topic(topic)
                    await client._wait_on_metadata(topic)  # noqa: SLF001 - its consumer does so, too
            for tp, inbox in inboxes.items():
                inbox.on_room = self._stir
                self._inboxes[tp] = inbox
            if self._task is None:
                self._task = asyncio.ensure_future(self._run(client))
            self._stir()

    async def remove(self, inboxes: Mapping[TopicPartition, Inbox]) -> None:
        """Stop filling inboxes."""
        for tp, inbox in inboxes.items():
            if self._inboxes.get(tp) is inbox:
                del self._inboxes[tp]
        self._tell()

    def _tell(self) -> None:
        """Whoever waits for something to come looks again."""
        self._moved.set()
        self._moved.clear()

    def _stir(self) -> None:
        """There is something else to ask for."""
        if not self._stirred.done():
            self._stirred.set_result(None)

    async def _run(self, client: AIOKafkaClient) -> None:
        """Ask for all that has room, again and again."""
        looking = client._sync_task  # noqa: SLF001 - where it is over, nobody hears where partitions are: we would wait
        try:
            while True:
                self._stirred = asyncio.get_running_loop().create_future()
                for way, inboxes in self._ways(client):
                    self._flights[way] = asyncio.ensure_future(self._ask(client, way, inboxes))
                done, _ = await asyncio.wait(
                    {*self._flights.values(), self._stirred, looking}, return_when=asyncio.FIRST_COMPLETED
                )
                if looking in done:
                    client._sync_task = None  # noqa: SLF001 - closing would raise the same
                    looking.result()
                for way, flight in [*self._flights.items()]:
                    if flight in done:
                        self._flights.pop(way).result()
        except Exception as error:  # noqa: BLE001 - the edge of a task that nobody awaits
            self._on_fatal(known(error, self._address, "reading"))

    def _ways(self, client: AIOKafkaClient) -> Iterator[tuple[Way, Inboxes]]:
        """What to ask for now, and where."""
        found: dict[int | None, Inboxes] = {}
        for tp, inbox in self._inboxes.items():
            if not inbox.full and not inbox.asked:
                node = client.cluster.leader_for_partition(tp)
                found.setdefault(None if node == -1 else node, {})[tp] = inbox
        for node, inboxes in found.items():
            way = next(((node, group) for group in WAYS if (node, group) not in self._flights), None)
            if way is not None:
                yield way, inboxes

    async def _ask(self, client: AIOKafkaClient, way: Way, inboxes: Inboxes) -> None:
        """One request. What cannot be had now is asked for again."""
        for inbox in inboxes.values():
            inbox.asked = True
        try:
            if not await self._answered(client, way, inboxes):
                await client.force_metadata_update()
                await asyncio.sleep(AGAIN)
        finally:
            for inbox in inboxes.values():
                inbox.asked = False

    async def _answered(self, client: AIOKafkaClient, way: Way, inboxes: Inboxes) -> bool:
        """Ask and take what comes. No, when not all of it could be had."""
        node, group = way
        if node is None:
            return False
        try:
            request = asked({tp: inbox.reached for tp, inbox in inboxes.items()}, POLL, PIECE)
            answer = await client.send(node, request, group=group)
        except kafka.KafkaError as error:
            if not error.retriable:
                raise
            return False
        errors = [told for told in answered(answer) if not self._take(told, inboxes[told.tp])]
        self._tell()
        return not errors

    def _take(self, told: Answer, inbox: Inbox) -> bool:
        """Put what came where it belongs. No, when there is an error that goes by."""
        if told.error.errno:
            if told.error is kafka.OffsetOutOfRangeError:
                raise kafka.OffsetOutOfRangeError({told.tp: inbox.reached})
            if told.error is kafka.TopicAuthorizationFailedError:
                raise kafka.TopicAuthorizationFailedError(told.tp.topic)
            logger.warning("reading %s/%d: %s", told.tp.topic, told.tp.partition, told.error.__name__)
            return False
        if self._inboxes.get(told.tp) is inbox:
            before = inbox.head
            inbox.put(Page(told.tp, inbox.reached, told.data, told.aborted), told.stable)
            if inbox.head > before:
                inbox.wake()
        return True

    async def catch_up(self, inboxes: Mapping[TopicPartition, Inbox]) -> None:
        """Return when the inboxes have all that is committed now, or are full.

        A commit returns before the brokers have marked its records as committed, so what is begun counts, too.
        """
        with explained(self._address, "reading"):
            if self._uncommitted is None:
                self._uncommitted = consumer_of(self._address, isolation_level="read_uncommitted")
                await self._uncommitted.start()
            await aware(self._uncommitted, [tp.topic for tp in inboxes])
            ends = await self._uncommitted.end_offsets(list(inboxes))
        while any(inbox.reached < ends[tp] and not inbox.full for tp, inbox in inboxes.items()):
            if any(self._inboxes.get(tp) is not inbox for tp, inbox in inboxes.items()):
                return
            await self._moved.wait()

    async def close(self) -> None:
        """Stop."""
        self._closed = True
        async with self._changing:
            tasks = [task for task in (self._task, *self._flights.values()) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
        if self._uncommitted is not None:
            await self._uncommitted.stop()


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


async def aware(consumer: AIOKafkaConsumer, topics: Iterable[str]) -> None:
    """Have a consumer know where these topics are: it asks for one after the other, and waits 100 ms before each."""
    client = consumer._client  # noqa: SLF001 - the client knows no other way
    await client.set_topics({*client._topics, *topics})  # noqa: SLF001
