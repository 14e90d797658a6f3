"""A lane in the hands of its owner, over Kafka.

To claim is, in this order: own the lane's transactional id, so that of two who claim it only the last one can; bring
the local rows to the end of the changelog, which says who writes to it, and end that writer (``kafka/rounds.py``);
write down that we are the writer now; begin to read where the last transaction says. Offsets travel in the changelog
too, in the *meta* record that ends every transaction's part of it: they can be neither ahead of the rows nor behind
them, and no retention of the group's offsets can lose them. (The group's own offsets are written now and then, for the
eyes of Kafka's tools.)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from secrets import token_bytes

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec.structs import replace

from stream.engine.kafka.address import Address
from stream.engine.kafka.errors import explained
from stream.engine.kafka.fetch import Fetch, Inbox, aware
from stream.engine.kafka.life import Life, SetBack
from stream.engine.kafka.pages import Plain, batches
from stream.engine.kafka.producer import Producer, parts_of
from stream.engine.kafka.rounds import Landed, Parts, Rounds
from stream.engine.kafka.rows import META, LocalRows, Meta, decode_meta, encode_meta, rows_at
from stream.engine.log import EngineError, LaneId, Outgoing, Staged
from stream.ports import Record

logger = logging.getLogger(__name__)

HEAVY, HEAVIER = 4 << 20, 32 << 20
"""Bytes of fresh rows that are too many: while units come, and while rows are made anew, when nothing else does."""
REMEMBERED = 20 * 3600
"""Seconds for which the brokers surely keep a tombstone: a copy that is older may hold rows of which the changelog no
longer says that they were deleted. It is a day by default, two by our settings (a clock of ours may be wrong)."""
LAST = 2
"""Offsets of a meta record and its marker: nothing follows."""
LATER = 5.0
"""Seconds between two writes of fresh rows to their file: what it lacks after a kill is read again."""


class KafkaClaim:
    """A lane of a ``KafkaLog``."""

    def __init__(self, address: Address, lane: LaneId, partitions: int, life: Life, rounds: Rounds) -> None:
        self.lane = lane
        self.epoch = 0
        self.offsets: Mapping[str, int] = {}
        self.next: dict[str, int] = {}
        self._left: Mapping[str, int] = {}
        """Places in topics that are read no more: they may come back."""
        self._address = address
        self._partitions = partitions
        self._changelog = TopicPartition(address.changelog(lane.agent), lane.partition)
        self._producer = Producer(address, f"{address.group}-{lane.agent}-{lane.partition}")
        self._life = life
        self._rounds = rounds
        self._rows: LocalRows | None = None
        self._born = b""
        self._keeping: asyncio.Task[None] | None = None
        self._kept = time.monotonic()
        self._writing = False
        self._still = asyncio.Event()  # nothing is on its way
        self._still.set()
        self._fetch: Fetch | None = None
        self._inboxes: dict[str, Inbox] = {}

    # Taking hold

    async def prepare(self, consumer: AIOKafkaConsumer) -> None:
        """Make a copy of the rows where there is none, while the lane is somebody else's: a claim reads the tail alone.

        One that is there may be that of a worker on this machine. Whatever goes wrong, the claim tells.
        """
        try:
            self._rows = LocalRows(rows_at(self._address, self.lane), new=True)
        except FileExistsError:
            return
        try:
            with suppress(EngineError), explained(self._address, f"lane {self.lane}: reading {self._changelog.topic}"):
                await aware(consumer, [self._changelog.topic])
                await self._reach_end(consumer, self._rows)
        finally:
            await self.close()

    async def open(
        self, epoch: int, topics: Sequence[str], consumer: AIOKafkaConsumer, fetch: Fetch, wake: Callable[[], None]
    ) -> None:
        """Fence the former owner, catch up with its rows, begin to read. Raises ``SetBack``."""
        self.epoch = epoch
        self._rows = LocalRows(rows_at(self._address, self.lane))
        await asyncio.gather(self._producer.open(), self._rounds.open(), self._rounds.end(_writer(self._rows)))
        self.next = await self._restore(consumer, self._rows, topics)
        meta = self._rows.meta
        self._born = token_bytes(16) if meta is None else meta.born
        if meta is not None and meta.life == self._life.loss.at:
            self._left = {topic: place for topic, place in meta.offsets.items() if topic not in self.next}
        await self._take()
        await self._begin(fetch, wake)
        if self._keeping is None or self._keeping.done():
            await self._keep()  # beside: what was made anew

    async def rest(self) -> bool:
        """Read no more, but keep the rows at hand: the lane may come back at once. No, while something is under way."""
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            await fetch.remove(self._assigned())
        return not self._writing

    async def resume(self, epoch: int, fetch: Fetch, wake: Callable[[], None]) -> None:
        """Go on after a rest. Raises ``Fenced`` if anybody else had the lane meanwhile."""
        self.epoch = epoch
        await self._take()
        await self._begin(fetch, wake)

    async def _take(self) -> None:
        """Write down that we are the writer from now on: under the lane's id, so nobody has claimed it since we did."""
        await self._rounds.open()
        await self._write({}, {}, dict(self.next), lambda parts: self._producer.transact(parts, f"lane {self.lane}"))

    async def _begin(self, fetch: Fetch, wake: Callable[[], None]) -> None:
        """Read on where the last commit says."""
        self.offsets = dict(self.next)
        self._fetch = fetch
        self._inboxes = {
            topic: Inbox(topic, self.lane.partition, offset, wake) for topic, offset in self.offsets.items()
        }
        await fetch.add(self._assigned())

    @property
    def reading(self) -> bool:
        """Whether it is open, and not at rest."""
        return self._fetch is not None

    @property
    def life(self) -> int:
        """The life of the log in which it committed last."""
        return 0 if self.rows.meta is None else self.rows.meta.life

    def _assigned(self) -> dict[TopicPartition, Inbox]:
        return {
            TopicPartition(self._address.topic(topic), self.lane.partition): box for topic, box in self._inboxes.items()
        }

    @property
    def rows(self) -> LocalRows:
        """The local copy, open."""
        assert self._rows is not None
        return self._rows

    async def _restore(self, consumer: AIOKafkaConsumer, rows: LocalRows, topics: Sequence[str]) -> dict[str, int]:
        """Bring the copy to the end of the changelog: nobody but us writes to it now. Returns where to read on."""
        tp = self._changelog
        with explained(self._address, f"lane {self.lane}: reading {tp.topic}"):
            await aware(consumer, [tp.topic, *map(self._address.topic, topics)])
            ended = None
            while ended != (writer := _writer(rows)):
                await self._rounds.end(writer)
                await self._reach_end(consumer, rows)  # it may have gone on meanwhile
                ended = writer
            return await self._places(consumer, rows.meta, topics)

    async def _reach_end(self, consumer: AIOKafkaConsumer, rows: LocalRows) -> None:
        """Bring the copy to what is the end now."""
        tp = self._changelog
        first = (await consumer.beginning_offsets([tp]))[tp]
        end = (await consumer.end_offsets([tp]))[tp]
        if rows.at < first or (rows.meta is not None and rows.meta.life != self._life.loss.at):
            await self._forget(rows)
        born = None if rows.meta is None else rows.meta.born
        ours = rows.at < end
        if ours and end - rows.at > LAST and abs(rows.age) > REMEMBERED:
            await self._forget(rows)  # before anything is taken over: with that it would look like a young one
        if not ours or not await self._follow(batches(consumer, tp, max(rows.at, first), end), rows, born):
            raise SetBack(f"{tp.topic}/{tp.partition} is not the one that was written")

    async def _forget(self, rows: LocalRows) -> None:
        """Have the copy made anew."""
        if self._keeping is not None:
            await self._keeping
            self._keeping = None
        rows.clear()

    async def _places(self, consumer: AIOKafkaConsumer, meta: Meta | None, topics: Sequence[str]) -> dict[str, int]:
        """Where to read on: where the last commit says, as far as the topics go."""
        tps = {topic: TopicPartition(self._address.topic(topic), self.lane.partition) for topic in topics}
        firsts, ends = (
            await consumer.beginning_offsets(list(tps.values())),
            await consumer.end_offsets(list(tps.values())),
        )
        places = {}
        for topic, tp in tps.items():
            place = 0 if meta is None else meta.offsets.get(topic, 0)
            if place > ends[tp]:
                if meta is not None and meta.life == self._life.loss.at:
                    raise SetBack(
                        f"{tp.topic}/{tp.partition}: offset {place - 1} was worked on, the next one is {ends[tp]}"
                    )
                place = 0
            places[topic] = max(place, firsts[tp])
            if 0 < place < firsts[tp]:
                logger.warning(
                    "%s/%d: offsets %d to %d were deleted before they were read; a longer retention.ms would be right, "
                    "and linkstream resync --full now", tp.topic, tp.partition, place, firsts[tp] - 1
                )  # fmt: skip
        return places

    async def _follow(self, changelog: AsyncIterator[list[Plain]], rows: LocalRows, born: bytes | None) -> bool:
        """Apply what the changelog has from the copy's place on. No: it is not the one that was ``born`` so.

        The first record is the last meta that the copy has; this, or a later one, says whose the changelog is.
        """
        begun: dict[bytes, bytes | None] = {}
        async for batch in changelog:
            last = batch[-1]  # a meta record ends the batch that it is in
            begun.update({each.key or b"": each.value for each in batch})
            if last.key == META:
                meta = replace(decode_meta(begun.pop(META) or b""), moment=last.timestamp)
                if born not in (None, meta.born):
                    return False
                born = meta.born
                rows.apply(begun, last.offset, meta)
            elif rows.at < 0:  # where the brokers compacted, many rows come before the first meta
                rows.apply(begun, rows.at, None)
            else:
                continue
            begun.clear()
            await self._keep(HEAVIER)
        return True

    async def _keep(self, most: int = HEAVY) -> None:
        """Have the file follow, now and then; waits when too much is fresh."""
        heavy = self.rows.heavy(most)
        if self._keeping is not None and (self._keeping.done() or heavy):
            await self._keeping
            self._keeping = None
        if self._keeping is None and (heavy or time.monotonic() - self._kept > LATER):
            self._kept = time.monotonic()
            self._keeping = asyncio.ensure_future(self.rows.keep())

    async def _kept_all(self) -> None:
        """Have the file follow to the end."""
        if self._keeping is not None:
            await self._keeping
            self._keeping = None
        await self.rows.keep()

    # Reading

    def head(self, topic: str) -> int:
        """The offset after the last record at hand."""
        return self._inboxes[topic].head

    def read(self, topic: str, start: int, limit: int) -> Sequence[Record]:
        """Records from ``start`` on."""
        with explained(self._address, f"lane {self.lane}: reading {topic}"):
            return self._inboxes[topic].take(start, limit)

    def end(self, topic: str) -> int:
        """The offset after the last record, as far as the broker has told."""
        return self._inboxes[topic].end

    async def catch_up(self) -> None:
        """Have at hand what is committed now."""
        assert self._fetch is not None
        await self._fetch.catch_up(self._assigned())

    def get(self, key: bytes) -> bytes | None:
        """A committed row."""
        return self.rows.get(key)

    def several(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Committed rows of these keys."""
        return self.rows.several(keys)

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Committed rows by prefix."""
        return self.rows.scan(prefix, after)

    # Writing

    async def commit(self, unit: Staged) -> None:
        """All in one transaction: records, rows, and the offsets in the meta record behind them."""
        parts = parts_of(unit.records, self._address, self._partitions)
        await self._write(unit.rows, parts, {**self.next, **unit.offsets}, self._rounds.commit)
        self.next.update(unit.offsets)

    async def _write(
        self,
        rows: Mapping[bytes, bytes | None],
        parts: dict[TopicPartition, list[Outgoing]],
        offsets: dict[str, int],
        transact: Callable[[Parts], Awaitable[Landed]],
    ) -> None:
        meta = Meta(self._born, {**self._left, **offsets}, self._life.loss.at, self._life.cluster, self._rounds.writer)
        if META in rows:
            raise EngineError(
                f"lane {self.lane}: found a row under {META!r}, which is ours; another key would be right"
            )
        name = self._changelog.topic
        changelog = [Outgoing(name, key, row) for key, row in rows.items()]
        parts[self._changelog] = [*changelog, Outgoing(name, META, encode_meta(meta))]
        self._writing = True
        self._still.clear()
        try:
            last = (await transact(parts))[self._changelog]
        finally:
            self._still.set()
        self._writing = False
        if last.offset <= self.rows.at:
            raise EngineError(
                f"{self._changelog.topic}/{self._changelog.partition}: found it set back while it was written to; the "
                "next start sees what is there"
            )
        self.rows.apply(rows, last.offset, replace(meta, moment=last.moment))
        await self._keep()

    # Letting go

    async def close(self) -> None:
        """Read no more, write no more; what was committed is safe."""
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            await fetch.remove(self._assigned())
        await self._still.wait()
        await self._producer.close()
        if self._rows is not None:
            with suppress(EngineError):  # what the file lacks is read again
                await self._kept_all()
            self._rows.close()


def _writer(rows: LocalRows) -> str:
    """Who wrote to the changelog last, as far as the copy goes."""
    return "" if rows.meta is None else rows.meta.writer
