"""Looking into a log on a cluster: what is committed, read by a consumer of its own that is in nobody's way.

Rows are what is left of a changelog partition when it is read from end to end; what was read stays in memory.
Where lanes are stands in the meta record that ends every transaction, so a look at the end of a changelog tells it.
Offsets on a cluster are no count of records: every transaction leaves markers among them. What is counted, is read.

The client wants a loop, and commands have one or have none: a reader brings a thread with its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping
from typing import Any, Final, Self, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from stream.engine.kafka.address import address_of
from stream.engine.kafka.cluster import partitions_of, reach
from stream.engine.kafka.errors import explained, quieten
from stream.engine.kafka.fetch import aware, consumer_of
from stream.engine.kafka.life import decode_life
from stream.engine.kafka.pages import Plain, batches
from stream.engine.kafka.rows import META, decode_meta
from stream.engine.log import LaneId, Mismatch, partition_of
from stream.engine.reader import Lag, TopicInfo
from stream.ports import Loss, Record

T = TypeVar("T")

BEFORE: Final = 64
"""Offsets before its end in which a changelog has a meta record, if no transaction was aborted there."""
COUNTED: Final = 20_000
"""Records that are counted one by one; beyond, offsets stand for them."""
PAGE: Final = 500
BRIEF: Final = 20
"""Milliseconds that a broker may wait for records: at an end there are none, and the next request waits behind it."""
FEW: Final = 3
"""Rows that are looked for one by one before all of a lane are kept."""


class KafkaReader:
    """A log on a cluster, opened for reading. Raises ``Unreachable``, ``Mismatch``."""

    def __init__(self, url: str) -> None:
        self.address = address_of(url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-reader", daemon=True)
        self._thread.start()
        self._consumer: AIOKafkaConsumer | None = None
        self._tables: dict[TopicPartition, tuple[int | None, dict[bytes, bytes]]] = {}
        self._asked: Counter[TopicPartition] = Counter()
        self._looked: dict[TopicPartition, float] = {}
        self.fresh = 0.0
        """Seconds for which rows that were looked at may stand for the latest."""
        try:
            self._known: Mapping[str, int] = self._do(self._open())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, end the thread."""
        if self._loop.is_closed():
            return
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            self._do(consumer.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def forget(self) -> None:
        """Drop rows that were kept for the next question."""
        self._tables.clear()
        self._looked.clear()
        self._asked.clear()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> Mapping[str, int]:
        quieten()
        self.address = await reach(self.address)
        known = await partitions_of(self.address)
        with explained(self.address, "reading"):
            self._consumer = consumer_of(self.address, fetch_max_wait_ms=BRIEF)
            await self._consumer.start()
        return known

    @property
    def consumer(self) -> AIOKafkaConsumer:
        """The consumer of an open reader."""
        assert self._consumer is not None
        return self._consumer

    # Topics

    def topics(self) -> list[TopicInfo]:
        """All topics, by name. Offsets of transactions' markers are among those between first and head."""
        return self._do(self._topics())

    async def _topics(self) -> list[TopicInfo]:
        tps = [self._tp(name, partition) for name, count in self._known.items() for partition in range(count)]
        first, heads = await self._firsts(tps), await self._ends(tps)
        found = []
        for name, count in sorted(self._known.items()):
            mine = [self._tp(name, partition) for partition in range(count)]
            found.append(TopicInfo(name, count, tuple(first[tp] for tp in mine), tuple(heads[tp] for tp in mine)))
        return found

    def count(self, topic: str) -> int:
        """The records in a topic; 0 when it is not there."""
        if topic not in self._known:
            return 0
        tps = [self._tp(topic, partition) for partition in range(self._known[topic])]
        return self._do(self._counted(dict.fromkeys(tps))).total()

    async def _counted(self, starts: Mapping[TopicPartition, int | None]) -> Counter[TopicPartition]:
        """The records from these offsets to the end."""
        ends = await self._ends(starts)
        found: Counter[TopicPartition] = Counter()

        def count(records: list[ConsumerRecord]) -> None:
            for record in records:
                tp = TopicPartition(record.topic, record.partition)
                found[tp] += record.offset < ends[tp]

        many = {tp: start for tp, start in starts.items() if start is not None and ends[tp] - start > COUNTED}
        await self._through({tp: start for tp, start in starts.items() if tp not in many}, ends, count)
        found.update({tp: ends[tp] - start for tp, start in many.items()})
        return found

    # Records

    def records(
        self,
        topic: str,
        partition: int,
        *,
        start: int | None = None,
        limit: int = PAGE,
        newest_first: bool = False,
    ) -> list[Record]:
        """Records of a partition from ``start`` on (inclusive; downwards if newest first), at most ``limit``."""
        self._partitions(topic)
        if newest_first:
            return self._do(self._down(topic, partition, start, limit))
        return self._do(self._up(topic, partition, start, limit))

    async def _up(self, topic: str, partition: int, start: int | None, limit: int) -> list[Record]:
        tp, found = self._tp(topic, partition), list[Record]()
        ends = await self._ends((tp,))

        def keep(records: list[ConsumerRecord]) -> None:
            found.extend(_record(topic, each) for each in records)

        await self._through({tp: start}, ends, keep, until=lambda: len(found) >= limit)
        return found[:limit]

    async def _down(self, topic: str, partition: int, start: int | None, limit: int) -> list[Record]:
        tp = self._tp(topic, partition)
        first = (await self._firsts((tp,)))[tp]
        end = (await self._ends((tp,)))[tp]
        end = end if start is None else min(end, start + 1)
        step, low = 2 * limit, end
        while True:
            low = max(first, low - step)
            kept: deque[Record] = deque(maxlen=limit)

            def keep(records: list[ConsumerRecord], kept: deque[Record] = kept) -> None:
                kept.extend(_record(topic, each) for each in records if each.offset < end)

            await self._through({tp: low}, {tp: end}, keep)
            if len(kept) == limit or low == first:
                return list(reversed(kept))
            step *= 4

    def keyed(self, topic: str, key: bytes, *, limit: int = PAGE) -> list[Record]:
        """The newest records of one key, newest first; nothing for a topic that is not there. Reads a partition."""
        if topic not in self._known:
            return []
        return self._do(self._keyed(topic, key, limit))

    async def _keyed(self, topic: str, key: bytes, limit: int) -> list[Record]:
        partition = partition_of(key, self._known[topic])
        found: deque[Plain] = deque(maxlen=limit)
        async for batch in self._batches(self._tp(topic, partition)):
            found.extend([each for each in batch if each.key == key])
        return [
            Record(topic, partition, each.offset, key, each.value, each.timestamp, tuple(each.headers))
            for each in reversed(found)
        ]

    async def _batches(
        self, tp: TopicPartition, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[list[Plain]]:
        """What is committed of a partition, from ``start`` or its beginning."""
        with explained(self.address, "reading"):
            if start is None:
                start = (await self._firsts((tp,)))[tp]
            if end is None:
                end = (await self._ends((tp,)))[tp]
            async for batch in batches(self.consumer, tp, start, end):
                yield batch

    # Lanes

    def rows(self, agent: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows of an agent, in key order within each partition."""
        for partition in range(self._rows_of(agent)):
            rows = self._do(self._table(agent, partition))
            yield from sorted(row for row in rows.items() if row[0].startswith(prefix))

    def row(self, agent: str, key: bytes, partition: int | None = None) -> bytes | None:
        """One row; without a partition, of the one its key belongs to."""
        count = self._rows_of(agent)
        if not count:
            return None
        where = partition_of(key, count) if partition is None else partition
        tp = TopicPartition(self.address.changelog(agent), where)
        self._asked[tp] += 1
        if tp not in self._tables and self._asked[tp] <= FEW:
            return self._do(self._last(tp, key))
        return self._do(self._table(agent, where)).get(key)

    async def _last(self, tp: TopicPartition, key: bytes) -> bytes | None:
        """What was written last under a key."""
        found: bytes | None = None
        async for batch in self._batches(tp):
            for each in [each for each in batch if each.key == key]:
                found = each.value
        return found

    def loss(self) -> Loss:
        """The latest loss of state that was noticed."""
        name = self.address.life.removeprefix(self.address.prefix)
        newest = self.records(name, 0, limit=1, newest_first=True) if name in self._known else []
        return decode_life(newest[0].value or b"") if newest else Loss()

    def _rows_of(self, agent: str) -> int:
        return self._known.get(self.address.changelog(agent).removeprefix(self.address.prefix), 0)

    async def _table(self, agent: str, partition: int) -> dict[bytes, bytes]:
        """The rows of a lane; once they were read, only what came since is."""
        tp = TopicPartition(self.address.changelog(agent), partition)
        start, rows = self._tables.get(tp, (None, {}))
        if start is not None and time.monotonic() - self._looked[tp] < self.fresh:
            return rows
        self._looked[tp] = time.monotonic()
        end = (await self._ends((tp,)))[tp]
        async for batch in self._batches(tp, start, end):
            for each in batch:
                key = each.key or b""
                if each.value is None:
                    rows.pop(key, None)
                elif key != META:
                    rows[key] = each.value
        self._tables[tp] = end, rows
        return rows

    def lags(self) -> list[Lag]:
        """Every lane's place in every topic it reads."""
        return self._do(self._lags())

    async def _lags(self) -> list[Lag]:
        places = await self._places()
        offsets = {
            (lane, topic): offset
            for lane, topics in places.items()
            for topic, offset in topics.items()
            if topic in self._known
        }
        ends = await self._ends({self._tp(topic, lane.partition) for lane, topic in offsets})
        behind = {key: offset for key, offset in offsets.items() if ends[self._tp(key[1], key[0].partition)] > offset}
        counts: dict[tuple[LaneId, str], int] = {}
        while behind:  # lanes of different agents may read one topic, each from its own place
            round_: dict[TopicPartition, tuple[LaneId, str]] = {}
            for lane, topic in behind:
                round_.setdefault(self._tp(topic, lane.partition), (lane, topic))
            counted = await self._counted({tp: behind[key] for tp, key in round_.items()})
            for tp, key in round_.items():
                counts[key] = counted[tp]
                del behind[key]
        return [
            Lag(lane.agent, lane.partition, topic, offset, end, max(0, end - offset) - counts.get((lane, topic), 0))
            if (end := ends[self._tp(topic, lane.partition)]) >= offset
            else Lag(lane.agent, lane.partition, topic, offset, offset)
            for (lane, topic), offset in sorted(
                offsets.items(), key=lambda each: (each[0][0].agent, each[0][1], each[0][0])
            )
        ]

    async def _places(self) -> dict[LaneId, dict[str, int]]:
        """The last meta record of every lane."""
        changelogs = {
            TopicPartition(self.address.changelog(agent), partition): LaneId(agent, partition)
            for name, count in self._known.items()
            if (agent := self._agent(name)) is not None
            for partition in range(count)
        }
        ends = await self._ends(changelogs)
        firsts = await self._firsts(changelogs)
        found: dict[LaneId, dict[str, int]] = {}

        def keep(records: list[ConsumerRecord]) -> None:
            for record in records:
                if record.key == META:
                    lane = changelogs[TopicPartition(record.topic, record.partition)]
                    found[lane] = decode_meta(record.value).offsets

        step, open_ = BEFORE, {tp for tp in changelogs if ends[tp] > firsts[tp]}
        while open_:
            await self._through({tp: max(firsts[tp], ends[tp] - step) for tp in open_}, ends, keep)
            open_ = {tp for tp in open_ if changelogs[tp] not in found and ends[tp] - step > firsts[tp]}
            step *= 8
        return found

    def _agent(self, name: str) -> str | None:
        begin = self.address.group.removeprefix(self.address.prefix) + "-"
        if name.startswith(begin) and name.endswith("-changelog"):
            return name.removeprefix(begin).removesuffix("-changelog")
        return None

    # What else there is

    def size(self) -> dict[str, int]:
        """Not to be told from here: the brokers know."""
        return {}

    def check(self) -> list[str]:
        """The brokers check what they store; every batch that is read has its checksum looked at."""
        return []

    # Reading

    def _tp(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self.address.topic(topic), partition)

    def _partitions(self, topic: str) -> int:
        if topic not in self._known:
            raise Mismatch(f"{self.address}: no topic {topic!r}; there are {', '.join(sorted(self._known))}")
        return self._known[topic]

    async def _ends(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        with explained(self.address, "reading"):
            await aware(self.consumer, [tp.topic for tp in tps])
            ends: dict[TopicPartition, int] = await self.consumer.end_offsets(list(tps))
        return ends

    async def _firsts(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        with explained(self.address, "reading"):
            await aware(self.consumer, [tp.topic for tp in tps])
            firsts: dict[TopicPartition, int] = await self.consumer.beginning_offsets(list(tps))
        return firsts

    async def _through(
        self,
        starts: Mapping[TopicPartition, int | None],
        ends: Mapping[TopicPartition, int],
        keep: Callable[[list[ConsumerRecord]], None],
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Hand over what is committed from the starts (``None``: the beginning) to the ends, or until it is enough."""
        if not starts:
            return
        with explained(self.address, "reading"):
            self.consumer.assign(list(starts))
            beginnings = [tp for tp, start in starts.items() if start is None]
            if beginnings:
                await self.consumer.seek_to_beginning(*beginnings)
            for tp, start in starts.items():
                if start is not None:
                    self.consumer.seek(tp, start)
            open_ = {tp for tp, start in starts.items() if start is None or start < ends[tp]}
            places: dict[TopicPartition, int] = {}
            async with asyncio.timeout(self.address.timeout) as patience:  # from each step to the next
                while open_ and not until():
                    fetched = await self.consumer.getmany(*open_, timeout_ms=50)
                    for records in fetched.values():
                        keep(records)
                    former, places = places, {tp: await self.consumer.position(tp) for tp in open_}
                    open_ = {tp for tp in open_ if places[tp] < ends[tp]}
                    if places != former:
                        patience.reschedule(asyncio.get_running_loop().time() + self.address.timeout)


def _record(topic: str, each: ConsumerRecord) -> Record:
    return Record(topic, each.partition, each.offset, each.key or b"", each.value, each.timestamp, each.headers)
