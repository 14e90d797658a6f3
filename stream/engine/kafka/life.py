"""The life of a log on a cluster: what brokers lost although they had it is noticed, and every worker hears of it.

A cluster that was restored from a backup, or whose topics were deleted and made anew, looks like any other. What tells
it apart lies outside: with the rows that a worker keeps on its own machine stands where in the changelog its last
commit was put, when, and on which cluster. A changelog that is shorter than that has lost state, and one in which
something much later stands before that place; so has a lane that is further than what it reads goes.

Then the log begins a new *life* (``stream.ports.Loss``): a record in a topic of its own, for all workers must live the
same. They read it whenever partitions are given out. Nobody holds any at that moment, and whoever has noticed a loss
writes it down before it takes part, so no lane goes on in a former life beside one in the new. What was noted in a
former life counts no more; taking a log for set back by mistake costs a reading of all systems, and harms nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import msgpack, structs

from stream.engine.kafka.address import Address
from stream.engine.kafka.cluster import administering
from stream.engine.kafka.errors import Unsaid, explained
from stream.engine.kafka.fetch import aware, consumer_of
from stream.engine.kafka.producer import Producer
from stream.engine.kafka.rows import META, Meta, noted, rows_at
from stream.engine.log import EngineError, Fenced, LaneId, Outgoing
from stream.ports import Loss

KEY = b"life"
AGAIN = 0.5
"""Seconds after which it is tried again to write a life, when somebody else was about to."""
CLOCKS = 600.0
"""Seconds by which the clocks of brokers may differ."""
TAIL = 64
"""Offsets before the end of a changelog in which its last commit is looked for."""


class SetBack(EngineError):
    """A lane finds that the log lost state; the next start goes on in a new life."""


class Life:
    """What is known of a log's life, and the topic that says it."""

    def __init__(self, address: Address) -> None:
        self.loss = Loss()
        self.cluster = ""
        self._address = address
        self._place = TopicPartition(address.life, 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._read = 0

    @property
    def recovering(self) -> bool:
        """Whether a loss was not made good yet."""
        return bool(self.loss.at) and not self.loss.healed

    async def open(self, lanes: Iterable[LaneId]) -> None:
        """Read the latest life, and see whether the log is what it was when these lanes were here last."""
        await self.close()
        async with administering(self._address) as admin:
            self.cluster = (await admin.describe_cluster()).get("cluster_id") or ""
        with explained(self._address, f"reading {self._place.topic}"):
            self._consumer = consumer_of(self._address)
            await self._consumer.start()
            self._consumer.assign([self._place])
            self._consumer.pause(self._place)  # questions wait behind a request for what does not come
        await self.hear()
        notes = {
            TopicPartition(self._address.changelog(lane.agent), lane.partition): note
            for lane in lanes
            if (note := noted(rows_at(self._address, lane))) is not None
        }
        await self._compare(notes)

    async def hear(self) -> None:
        """Read the latest life."""
        consumer = self._consumer
        assert consumer is not None
        with explained(self._address, f"reading {self._place.topic}"):
            end = (await consumer.end_offsets([self._place]))[self._place]
            if end <= self._read:
                return
            consumer.seek(self._place, self._read)
            consumer.resume(self._place)
            for _, records in await _through(consumer, {self._place: end}, self._address.timeout):
                self.loss = _decode(records[-1].value)
            consumer.pause(self._place)
            self._read = end

    async def _compare(self, notes: Mapping[TopicPartition, tuple[int, Meta]]) -> None:
        """Begin a new life if a note of this one, or of a later one, does not fit to what is there."""
        if forgotten := [meta.life for _, meta in notes.values() if meta.life > self.loss.at]:
            await self.begin("the log is older than it was: a loss that was noticed is forgotten", 0, max(forgotten))
            return
        notes = {tp: note for tp, note in notes.items() if note[1].life == self.loss.at}
        if not notes:
            return
        with explained(self._address, "looking for what was committed last"):
            consumer = consumer_of(self._address, isolation_level="read_uncommitted")
            await consumer.start()
            try:
                await aware(consumer, [tp.topic for tp in notes])
                ends = await consumer.end_offsets(list(notes))
                times = {tp: meta.moment + round(CLOCKS * 1000) for tp, (_, meta) in notes.items()}
                later = await consumer.offsets_for_times(times)
                reasons = {
                    tp: reason
                    for tp, (at, meta) in notes.items()
                    if (reason := self._doubt(tp, at, meta, ends[tp], later[tp].offset if later[tp] else None))
                }
                since = await self._last(consumer, {tp: ends[tp] for tp in reasons})
            finally:
                await consumer.stop()
        if reasons:
            [first, *others] = [reasons[tp] for tp in sorted(reasons)]
            more = f", and {len(others)} more changelogs likewise" if others else ""
            await self.begin(f"{first}{more}; was a backup restored, or were topics made anew?", since)

    def _doubt(self, tp: TopicPartition, at: int, meta: Meta, end: int, later: int | None) -> str:
        """Why a changelog is not the one that a note was made of, if it is not."""
        where = f"{tp.topic}/{tp.partition}"
        if meta.cluster != self.cluster:
            return f"{where}: the cluster is {self.cluster}, it was {meta.cluster}"
        if at >= end:
            return f"{where}: offset {at} was committed, and the next one is {end}"
        if later is not None and later <= at:
            return f"{where}: offset {at} was committed before what is at offset {later} now"
        return ""

    async def _last(self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> int:
        """When the last commit was that is left, in microseconds; of several changelogs, in the one that is oldest."""
        moments = dict.fromkeys(ends, 0)
        if moments:
            firsts = await consumer.beginning_offsets(list(ends))
            consumer.assign(list(ends))
            for tp, end in ends.items():
                consumer.seek(tp, max(firsts[tp], end - TAIL))
            for tp, records in await _through(consumer, ends, self._address.timeout):
                moments[tp] = max([moments[tp], *(each.timestamp for each in records if each.key == META)])
        return 1000 * min(moments.values(), default=0)

    async def begin(self, reason: str, since: int, after: int = 0) -> None:
        """Begin a new life, unless somebody was quicker; others hear of it when they are given partitions next."""
        before = self.loss
        since = min(since, before.since) if self.recovering else since
        loss = Loss(max(time.time_ns() // 1000, before.at + 1, after + 1), since, reason)
        while not await self._written(loss, before):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(AGAIN)

    async def heal(self) -> None:
        """Note that the loss has been made good."""
        while self.recovering:
            healed = structs.replace(self.loss, healed=time.time_ns() // 1000)
            if await self._written(healed, self.loss):
                return
            await asyncio.sleep(AGAIN)

    async def _written(self, loss: Loss, before: Loss) -> bool:
        """Write a life where ``before`` is the latest: one process at a time can. No: another one is about to."""
        producer = Producer(self._address, f"{self._address.group}-life")
        try:
            await producer.open()
            await self.hear()
            if self.loss.at == before.at:
                record = Outgoing(self._place.topic, KEY, _encode(loss))
                await producer.transact({self._place: [record]}, "beginning a new life")
                self.loss = loss
        except (Fenced, Unsaid):
            return False
        finally:
            await producer.close()
        return True

    async def close(self) -> None:
        """Close the connection."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()


async def _through(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], seconds: float
) -> list[tuple[TopicPartition, list[ConsumerRecord]]]:
    """What is between the places of a consumer and these ends, which is little. Raises ``TimeoutError``."""
    found = []
    async with asyncio.timeout(seconds):
        while open_ := [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
            read = await consumer.getmany(*open_, timeout_ms=50)
            found += [(tp, records) for tp, records in read.items() if records]
    return found


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(Loss).decode


def decode_life(data: bytes) -> Loss:
    """A record of the topic."""
    return _decode(data)
