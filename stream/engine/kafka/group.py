"""Who works on which partitions: a consumer group in which every topic is shared out alike.

All topics have as many partitions, and a number is one member's in all of them, with the lanes of every agent. Members
get equal shares, and nothing moves but what must; so who comes knows before what it will get. The member itself reads
nothing. It only learns what is its own, and keeps the group told that it is alive.

While it holds lanes, a heartbeat that was answered is a lease until the session would end. A process that was frozen
and goes on finds its lease over, and ends before it writes to anybody: the brokers would refuse its commits, but a
business system would take its requests. A thread looks, for the loop may have been what stood still.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError
from msgspec import msgpack

from stream.engine.kafka.address import Address
from stream.engine.kafka.errors import explained, known
from stream.engine.kafka.fetch import consumer_of
from stream.engine.log import EngineError, Fenced, Given, Taken

NEVER = (1 << 31) - 1
DRAIN = 30.0
"""Seconds that the group waits for a member to let go of what it has."""
BEAT = 0.5
"""Seconds between two heartbeats: so long it takes to hear that somebody comes or goes; twice, of somebody killed."""
MARGIN = 1.0
"""Seconds before the end of a session at which a lease is over: a clock may be slow, a request on its way."""
LOOK = 0.1
SHOWN = 5.0
"""Seconds between two notes for Kafka's own tools of how far we are."""

logger = logging.getLogger(__name__)


def shares(partitions: int, held: Mapping[str, Collection[int]]) -> dict[str, list[int]]:
    """What each gets: an equal share, in which it keeps as much as it can of what it has. Who has nothing is last."""
    order = sorted(held, key=lambda member: (not held[member], member))
    least, longer = divmod(partitions, len(held))
    free, given = set(range(partitions)), dict[str, list[int]]()
    for member in order:
        given[member] = sorted(free.intersection(held[member]))[: least + (longer > 0)]
        free.difference_update(given[member])
        longer -= len(given[member]) > least
    for member in order:
        if len(given[member]) <= least:
            given[member] += sorted(free)[: least + (longer > 0) - len(given[member])]
            free.difference_update(given[member])
            longer -= len(given[member]) > least
    return given


def share_of_next(partitions: int, held: Mapping[str, Collection[int]]) -> list[int]:
    """What somebody gets who comes when the others have this."""
    return shares(partitions, {**held, "": ()})[""]


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(list[int]).decode


class Keeping(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Shares partition numbers out; members tell each other what they have."""

    name = "keeping"

    def __init__(self) -> None:
        self.held: Collection[int] = ()

    def metadata(self, topics: Collection[str]) -> Any:
        """What a member tells."""
        return ConsumerProtocolMemberMetadata(0, list(topics), _encode(sorted(self.held)))

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        """Who gets what."""
        topics = {
            topic: cluster.partitions_for_topic(topic) or () for told in members.values() for topic in told.subscription
        }
        partitions = max(map(len, topics.values()))
        given = shares(partitions, {member: _decode(told.user_data) for member, told in members.items()})
        return {
            member: ConsumerProtocolMemberAssignment(
                0, [(topic, [one for one in share if one in there]) for topic, there in sorted(topics.items())], b""
            )
            for member, share in given.items()
        }

    def on_assignment(self, assignment: Any) -> None:
        """Note what is ours."""
        self.held = {partition for _, partitions in assignment.assignment for partition in partitions}


class Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """A process as a member of the group."""

    def __init__(self, address: Address, on_fatal: Callable[[EngineError], object]) -> None:
        self._address = address
        self._on_fatal = on_fatal
        self._consumer: AIOKafkaConsumer | None = None
        self._changing = asyncio.Lock()
        self._change: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._given: Given | None = None
        self._taken: Taken | None = None
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = False
        self._answered = time.monotonic()
        self._holding = False
        self._over = threading.Event()
        self.partitions: frozenset[int] = frozenset()
        self.offsets: Callable[[], Mapping[TopicPartition, int]] = dict
        """How far the lanes are, for Kafka's own tools."""

    async def join(self, topics: Sequence[str], given: Given, taken: Taken) -> None:
        """Enter the group; returns when the first share is ours and ``given`` is through."""
        self._given, self._taken = given, taken
        address = self._address
        consumer = consumer_of(
            address,
            group_id=address.group,
            group_instance_id=address.instance or None,
            session_timeout_ms=round(address.session * 1000),
            heartbeat_interval_ms=round(min(BEAT, 0.3 * address.session) * 1000),
            rebalance_timeout_ms=round(DRAIN * 1000),
            max_poll_interval_ms=NEVER,
            partition_assignment_strategy=(Keeping(),),
            max_partition_fetch_bytes=1,
        )
        self._consumer = consumer
        consumer.subscribe([address.topic(topic) for topic in topics], listener=self)
        with explained(address, f"group {address.group}"):
            async with asyncio.timeout(address.timeout + address.session + DRAIN):
                await consumer.start()
        self._listen(consumer)
        threading.Thread(target=self._look, name="lease", daemon=True).start()
        self._watch = asyncio.ensure_future(self._look_after(consumer))
        await self._first

    def _listen(self, consumer: AIOKafkaConsumer) -> None:
        """Note when the last heartbeat that was answered was sent."""
        coordinator = consumer._coordinator  # noqa: SLF001 - it tells nobody
        beat = coordinator._do_heartbeat  # noqa: SLF001

        async def noted() -> bool:
            sent = time.monotonic()
            answered: bool = await beat()
            if answered:
                self._answered = sent
            return answered

        coordinator._do_heartbeat = noted  # noqa: SLF001

    def lapsed(self) -> bool:
        """Whether others may have been given our lanes."""
        return self._holding and time.monotonic() - self._answered > self._address.session - MARGIN

    def lapse(self) -> Fenced:
        """The error for that."""
        silent = time.monotonic() - self._answered
        return Fenced(
            f"group {self._address.group}: no heartbeat was answered for {silent:.0f} s; others may have our lanes"
        )

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            if self.lapsed():
                self._on_fatal(self.lapse())
                return

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let go before anybody else may take hold."""
        if self._change is not None:
            await asyncio.gather(self._change, return_exceptions=True)
            self._change = None
        if revoked and self._taken is not None and not self._left:
            self._show()
            await self._taken()
            self._holding = False

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Note what is ours; lanes are claimed beside, for the group waits for this call."""
        self._answered = time.monotonic()
        self._holding = bool(assigned)
        if self._consumer is not None and assigned:
            self._consumer.pause(*assigned)
        self._change = asyncio.ensure_future(self._take_over(frozenset(tp.partition for tp in assigned)))

    async def _take_over(self, partitions: frozenset[int]) -> None:
        self.partitions = partitions
        logger.info("partitions of this worker: %s", ", ".join(map(str, sorted(partitions))) or "none for now")
        try:
            assert self._given is not None
            await self._given(partitions)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of a task that nobody awaits
            failed = known(error, self._address, "claiming lanes")
            if not self._first.done():
                self._first.set_exception(failed)
            else:
                self._on_fatal(failed)
            return
        if not self._first.done():
            self._first.set_result(None)

    async def _look_after(self, consumer: AIOKafkaConsumer) -> None:
        """Hear of what the group's coordinator refuses, and tell Kafka's tools how far we are."""
        while True:
            try:
                await consumer.getmany(timeout_ms=round(SHOWN * 1000))
            except KafkaError as error:
                self._on_fatal(known(error, self._address, f"group {self._address.group}"))
                return
            await self._commit(consumer)

    def _show(self) -> None:
        if self._consumer is not None:
            asyncio.ensure_future(self._commit(self._consumer))  # noqa: RUF006 - nobody waits for a note

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        ours = consumer.assignment()
        offsets = {tp: offset for tp, offset in self.offsets().items() if tp in ours}
        if offsets:
            with suppress(KafkaError):  # a note: the next one comes
                await consumer.commit(offsets)

    async def leave(self) -> None:
        """Leave the group; with a fixed name the place is kept until the session is over."""
        self._left = True
        self._holding = False
        self._over.set()
        for task in (self._watch, self._change):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            for last, seconds in ((self._commit(consumer), 1.0), (consumer.stop(), 2.0)):
                with suppress(KafkaError, TimeoutError):  # without brokers either would wait for ever
                    async with asyncio.timeout(seconds):
                        await last
