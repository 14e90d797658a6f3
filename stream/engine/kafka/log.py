"""The Kafka log: ``stream.engine.log.Log`` over a cluster.

Lanes that commit at the same time do so in one transaction (``stream.engine.kafka.rounds``); a former owner of any of
them is refused by the brokers themselves. Whatever fails inside a transaction ends the process: its outcome may be
unknown, and the next owner's claim settles it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec.structs import replace

from stream.engine.kafka.address import address_of
from stream.engine.kafka.claim import KafkaClaim
from stream.engine.kafka.cluster import members, partitions_of, reach, verify
from stream.engine.kafka.errors import explained, quieten
from stream.engine.kafka.fetch import Fetch, aware, consumer_of
from stream.engine.kafka.group import Member, share_of_next
from stream.engine.kafka.life import Life, SetBack
from stream.engine.kafka.producer import Producer, parts_of
from stream.engine.kafka.rounds import Rounds
from stream.engine.log import (
    Closed,
    EngineError,
    Fenced,
    Given,
    Health,
    LaneId,
    Mismatch,
    Outgoing,
    Staged,
    Taken,
    TopicSettings,
    must_exist,
)
from stream.ports import Loss

logger = logging.getLogger(__name__)


class KafkaLog:
    """A ``Log`` on a cluster."""

    def __init__(self, url: str) -> None:
        self.address = address_of(url)
        self.partitions = 0
        self.largest = self.address.largest
        self.topics: dict[str, TopicSettings] = {}
        self.on_fatal: Callable[[EngineError], object] = lambda _: None
        self._life = Life(self.address)
        self._lanes: list[LaneId] = []
        self._claims: dict[LaneId, KafkaClaim] = {}
        self._resting: dict[LaneId, KafkaClaim] = {}
        """Lanes that may come back, while partitions are given out anew."""
        self._moving = False
        self._fetches: dict[str, Fetch] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._rounds = Rounds(self.address)
        self._epoch = 0
        self._member: Member | None = None
        self._publisher: Producer | None = None
        self._name = os.urandom(8).hex()  # of this process alone: commands must not fence a worker
        self._publishing = asyncio.Lock()
        self._alarm = ""
        self._open = False

    # Open and close

    def exists(self) -> bool:
        """What is on a cluster is seen when it is opened."""
        return True

    def hold(self) -> None:
        """Workers share the log."""

    async def open(self) -> None:
        """See that the cluster is there and lets us in. Raises ``Unreachable``, ``Mismatch``."""
        if self._open:
            return
        quieten()
        self.address = await reach(self.address)
        self._life = Life(self.address)
        for name, count in (await partitions_of(self.address)).items():
            self.topics.setdefault(name, TopicSettings())
            if not name.startswith("__"):
                self.partitions = self.partitions or count
        self._open = True

    async def declare(self, topics: Mapping[str, TopicSettings], partitions: int, agents: Sequence[str] = ()) -> None:
        """See that the topics are there. Raises ``Mismatch``: they are created by ``linkstream topics apply`` alone."""
        for drift in await verify(self.address, topics, agents, partitions):
            logger.warning("%s", drift)
        self.partitions = partitions
        self.topics = dict(topics)
        self._lanes = [LaneId(agent, partition) for agent in agents for partition in range(partitions)]
        await self._life.open(self._lanes)
        names = [*map(self.address.topic, topics), *map(self.address.changelog, agents)]
        self._rounds = Rounds(self.address, names)
        self._consumer = consumer_of(self.address)
        self._fetches = {agent: Fetch(self.address, self.fatal) for agent in agents}
        with explained(self.address, "reading changelogs"):
            await asyncio.gather(self._consumer.start(), *(fetch.open(names) for fetch in self._fetches.values()))
            await aware(self._consumer, names)

    @property
    def consumer(self) -> AIOKafkaConsumer:
        """Of changelogs, once topics are declared."""
        assert self._consumer is not None
        return self._consumer

    @property
    def loss(self) -> Loss:
        """The latest loss of state that was noticed."""
        return self._life.loss

    async def close(self) -> None:
        """Leave the group and let go of everything."""
        self._open = False
        if self._member is not None:
            await self._member.leave()
        claims = [*self._claims.values(), *self._resting.values()]
        await asyncio.gather(*(fetch.close() for fetch in self._fetches.values()))
        if self._publisher is not None:
            await self._publisher.close()
        await self._rounds.close()
        await asyncio.gather(*(claim.close() for claim in claims))
        await self._life.close()
        if self._consumer is not None:
            await self._consumer.stop()
        self._claims.clear()
        self._fetches.clear()

    # Lanes

    async def share(self, topics: Sequence[str], given: Given, taken: Taken) -> None:
        """Take part in the group's work."""
        # A seat that was kept is taken without anybody else being told; of another life all must hear.
        address = replace(self.address, instance="") if self._life.recovering else self.address
        await self.prepare()
        self._member = Member(address, self.fatal)
        self._member.offsets = self._offsets

        async def told(partitions: frozenset[int]) -> None:
            await self._life.hear()
            if max(partitions, default=0) >= self.partitions:
                raise Mismatch(
                    f"{self.address}: found {max(partitions) + 1} partitions or more in a topic; {self.partitions} "
                    "would be right: keys and rows live by that number; use another prefix= to begin anew beside it"
                )
            if not partitions:  # brokers forget ids that are not used for a week
                await self._rounds.close()
            gone = [lane for lane in self._resting if lane.partition not in partitions]
            leaving = [self._resting.pop(lane) for lane in gone]
            try:
                await given(partitions)
            finally:
                await asyncio.gather(*(claim.close() for claim in leaving))  # those that stay do not wait for it

        await self._member.join(topics, told, lambda: self._hand_over(taken))

    async def prepare(self) -> None:
        """Do what takes long before the group stops for us: open ids, and copy the rows that others work on as yet."""
        await self._rounds.open()
        with suppress(EngineError):  # whatever it is, the claims tell
            others = {id: worker.partitions for id, worker in (await members(self.address)).items()}
            if others and not self.address.instance:  # lanes of a fixed name may wait for it
                share = share_of_next(self.partitions, others)
                lanes = [lane for lane in self._lanes if lane.partition in share]
                await asyncio.gather(*(self._claim(lane).prepare(self.consumer) for lane in lanes))

    async def _hand_over(self, taken: Taken) -> None:
        """Let go of all lanes by the rules: from then on, whoever claims one may fence who wrote to it."""
        self._moving = True
        try:
            self._rounds.prepare()
            await taken()
            await self._rounds.rest()
        finally:
            self._moving = False

    def _offsets(self) -> Mapping[TopicPartition, int]:
        return {
            TopicPartition(self.address.topic(topic), lane.partition): offset
            for lane, claim in self._claims.items()
            for topic, offset in claim.next.items()
        }

    async def claim(self, lane: LaneId, topics: Sequence[str], wake: Callable[[], None]) -> KafkaClaim:
        """Fence the former owner, bring its rows here, begin to read."""
        for topic in topics:
            if topic not in self.topics:
                raise Mismatch(
                    f"{lane}: reads topic {topic!r}, which is not declared; declare it where the app is created"
                )
        self._epoch += 1
        fetch = self._fetches.setdefault(lane.agent, Fetch(self.address, self.fatal))
        if (former := self._claims.pop(lane, None)) is not None:
            await former.close()
        epoch = self._epoch
        claim = await self._resumed(lane, epoch, fetch, wake) or self._claim(lane)
        try:
            if not claim.reading:
                await claim.open(epoch, topics, self.consumer, fetch, wake)
        except SetBack as error:
            await claim.close()
            await self._life.begin(str(error), 0)
            raise
        except BaseException:
            await claim.close()
            raise
        self._claims[lane] = claim
        return claim

    def _claim(self, lane: LaneId) -> KafkaClaim:
        return KafkaClaim(self.address, lane, self.partitions, self._life, self._rounds)

    async def _resumed(self, lane: LaneId, epoch: int, fetch: Fetch, wake: Callable[[], None]) -> KafkaClaim | None:
        """The claim of a lane that comes back, if nobody else had it and the log's life is the same."""
        claim = self._resting.pop(lane, None)
        if claim is None:
            return None
        with suppress(EngineError):  # whatever it is, a claim from the start settles it
            if claim.life == self._life.loss.at:
                await claim.resume(epoch, fetch, wake)
                return claim
        await claim.close()
        return None

    async def release(self, lane: LaneId) -> None:
        """Let go of a lane; one that may come back keeps what it has for so long."""
        claim = self._claims.pop(lane, None)
        if claim is None:
            return
        if self._moving and await claim.rest():
            self._resting[lane] = claim
        else:
            await claim.close()

    async def commit(self, unit: Staged) -> None:
        """In one Kafka transaction, with others that wait."""
        claim = self._claims.get(unit.lane)
        if claim is None or claim.epoch != unit.epoch:
            raise Fenced(f"lane {unit.lane}: was let go of")
        await claim.commit(unit)

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append: to one partition as it is, to several in a transaction."""
        for record in records:
            must_exist(self, "publish", record.topic, record.partition)
        if not records:
            return
        parts = parts_of(records, self.address, self.partitions)
        async with self._publishing:
            if not self._open:
                raise Closed(f"{self.address}: the log is not open")
            [(tp, some), *others] = parts.items()
            if others or not await self._append(tp, some):
                producer = Producer(self.address, f"{self.address.group}-publish-{self._name}")
                try:
                    await producer.open()
                    await producer.transact(parts, "publishing")
                finally:
                    await producer.close()

    async def _append(self, tp: TopicPartition, records: Sequence[Outgoing]) -> bool:
        """Append to one partition, if one batch has room for that. A producer that failed is good for nothing more."""
        if self._publisher is None:
            producer = Producer(self.address)
            await producer.open()
            self._publisher = producer
        publisher = self._publisher
        try:
            return await publisher.append(tp, records)
        except BaseException:
            self._publisher = None
            await publisher.close()
            raise

    # Health

    def fatal(self, error: EngineError) -> EngineError:
        """Say what ends the process, and hand the error back to be raised."""
        self._alarm = self._alarm or str(error)
        self.on_fatal(error)
        return error

    def alarm(self, reason: str) -> None:
        """Turn health red."""
        self._alarm = reason

    async def heal(self) -> None:
        """Note that the latest loss of state has been made good."""
        await self._life.heal()

    def sure(self) -> None:
        """Raises ``Fenced`` when the group has not heard of us for so long that it may have given our lanes away."""
        if self._member is not None and self._member.lapsed():
            raise self.fatal(self._member.lapse())

    def health(self) -> Health:
        """Red after an alarm."""
        return {"state": "red" if self._alarm else "green", "reason": self._alarm}

    def status(self) -> dict[str, Any]:
        """Lanes of this worker with their lag, and health."""
        lanes = [
            {
                "agent": lane.agent,
                "partition": lane.partition,
                "topic": topic,
                "next": done,
                "head": end,
                "lag": max(0, end - done),
            }
            for lane, claim in sorted(self._claims.items())
            for topic, done in sorted(claim.next.items())
            for end in [claim.end(topic)]
        ]
        return {"lanes": lanes, "health": self.health()}
