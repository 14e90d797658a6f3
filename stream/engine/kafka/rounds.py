"""What the lanes of a worker commit, in rounds: a transaction of all that waits, when one of two producers is free.

A transaction costs the brokers about the same whatever is in it: partitions are added, its end is written down, markers
are written to every partition; and readers of committed records wait at the first one that is open. So lanes that get
ready while both producers are busy share the next round. There are two because brokers refuse a producer's next
transaction until all markers of its last one are written, which is after they have answered.

All of it is written under two transactional ids, the worker's, for as long as it has these partitions; with the next
ones it takes others. Every commit says in its meta record whose ids these are, and so does the claim of a lane, which
is written under the id of the lane itself. So whoever claims a lane next knows who may still be writing, and ends that
*writer* for good. A worker that handed its lanes over by the rules has other ids by then, and notices nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from secrets import token_hex
from typing import Final, TypeAlias

from aiokafka import TopicPartition

from stream.engine.kafka.address import Address
from stream.engine.kafka.producer import Place, Producer
from stream.engine.log import Fenced, Outgoing

Parts: TypeAlias = "Mapping[TopicPartition, Sequence[Outgoing]]"
Landed: TypeAlias = "Mapping[TopicPartition, Place]"

HANDS: Final = ("a", "b")
WHAT: Final = "a commit of this worker's lanes"


class Rounds:
    """The transactions of a worker."""

    def __init__(self, address: Address, topics: Collection[str] = ()) -> None:
        self.writer = ""
        """What the transactional ids begin with, while partitions are ours."""
        self._address = address
        self._topics = topics
        self._opening = asyncio.Lock()
        self._next: asyncio.Task[tuple[str, list[Producer]]] | None = None
        self._free: list[Producer] = []
        self._waiting: list[tuple[Parts, asyncio.Future[Landed]]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None
        self._ended: dict[str, asyncio.Task[None]] = {}

    def prepare(self) -> None:
        """Begin to take ids that nobody had: the next ones, for partitions are given out anew."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._fresh())

    async def open(self) -> None:
        """Have ids that nobody had, if there are none."""
        async with self._opening:
            if not self.writer:
                coming, self._next = self._next or asyncio.ensure_future(self._fresh()), None
                self.writer, self._free = await coming

    async def _fresh(self) -> tuple[str, list[Producer]]:
        writer = f"{self._address.group}-{token_hex(8)}"
        return writer, await self._owned(writer, self._topics)

    async def _owned(self, writer: str, topics: Collection[str] = ()) -> list[Producer]:
        producers = [Producer(self._address, f"{writer}-{hand}") for hand in HANDS]
        await asyncio.gather(*(producer.open(topics) for producer in producers))
        return producers

    async def commit(self, parts: Parts) -> Landed:
        """Take part in the next round. Returns each partition's last place; after an error its outcome is unknown."""
        if not self.writer:
            raise Fenced(f"{WHAT}: they were let go of")
        if self._failure is not None:
            raise self._failure
        landed: asyncio.Future[Landed] = asyncio.get_running_loop().create_future()
        self._waiting.append((parts, landed))
        if self._free:
            running = asyncio.ensure_future(self._run(self._free.pop(0)))
            self._running.add(running)
            running.add_done_callback(self._running.discard)
        return await landed

    async def _run(self, producer: Producer) -> None:
        """Go on for as long as anything waits."""
        while self._waiting:
            round_, self._waiting = self._waiting, []
            try:
                last = await producer.transact(_together([parts for parts, _ in round_]), WHAT)
            except Exception as error:  # noqa: BLE001 - who waits is told: its producer is good for nothing more
                self._failure = error
                told, self._waiting = [*round_, *self._waiting], []
                for _, landed in told:
                    if not landed.done():
                        landed.set_exception(error)
            else:
                for _, landed in round_:
                    if not landed.done():
                        landed.set_result(last)
        self._free.append(producer)

    async def end(self, writer: str) -> None:
        """End what another worker writes, for good; returns when all of its transactions have ended."""
        if writer in ("", self.writer):
            return
        if writer not in self._ended:
            self._ended[writer] = asyncio.ensure_future(self._end(writer))
        await asyncio.shield(self._ended[writer])

    async def _end(self, writer: str) -> None:
        await asyncio.gather(*(producer.close() for producer in await self._owned(writer)))

    async def rest(self) -> None:
        """Write no more under these ids."""
        self.writer, self._failure = "", None
        if self._running:
            await asyncio.wait(self._running)
        producers, self._free = self._free, []
        await asyncio.gather(*(producer.close() for producer in producers))

    async def close(self) -> None:
        """Write no more."""
        await self.rest()
        coming, self._next = self._next, None
        if coming is not None:
            coming.cancel()
            await asyncio.wait((coming,))
            if not coming.cancelled() and coming.exception() is None:
                await asyncio.gather(*(producer.close() for producer in coming.result()[1]))


def _together(several: Sequence[Parts]) -> Parts:
    if len(several) == 1:
        return several[0]
    found: dict[TopicPartition, list[Outgoing]] = {}
    for parts in several:
        for tp, some in parts.items():
            found.setdefault(tp, []).extend(some)
    return found
