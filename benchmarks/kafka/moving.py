"""How long edits wait while workers come and go: 500 a second, from being sent to their committed commands.

One worker decides all of them; a second one comes, with an empty folder, and takes half of the partitions; the first is
killed, and the second takes the rest when its session is over. ``product.py`` runs it.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.product import PARTITIONS, RIGHT, fill, waiting
from stream.engine.kafka.address import Address, address_of
from stream.engine.log import partition_of

RATE = 500
WARM, ALONE, JOINED, KILLED = 10, 10, 10, 20
"""Seconds of each part."""


class Workers:
    """Processes that decide, each with a folder of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._running: list[asyncio.subprocess.Process] = []

    async def come(self) -> None:
        """One more."""
        folder = address_of(self._url).state
        url = self._url.replace(f"state={folder}", f"state={folder}/{len(self._running)}")
        script = str(Path(__file__).with_name("product.py"))
        command = [sys.executable, script, "--child-work", url]
        self._running.append(await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE))

    async def moved(self) -> frozenset[int]:
        """The partitions that the second one was given."""
        said = self._running[1].stdout
        assert said is not None
        return frozenset(json.loads(await said.readline()))

    def kill(self) -> None:
        """The first one."""
        self._running[0].kill()

    async def end(self) -> None:
        for each in self._running:
            if each.returncode is None:
                each.terminate()
            await each.wait()


def moving(url: str) -> dict[str, float]:
    """How long edits take at most while partitions move, and what they take otherwise."""
    many = RATE * (WARM + ALONE + JOINED + KILLED)
    asyncio.run(fill(url, many, 0, 0.0))
    sent, came, theirs = asyncio.run(measured(url, many))
    first, second, third = (sent[RATE * seconds] for seconds in (WARM, WARM + ALONE, WARM + ALONE + JOINED))
    whole = [(at, came[number]) for number, at in enumerate(sent)]
    alone = [1000 * (end - at) for at, end in whole if first <= at and end < second]
    joined = [(1000 * (end - at), number) for number, (at, end) in enumerate(whole) if second <= at and end < third]
    stayed, moved = (
        max(took for took, number in joined if (partition(many, number) in theirs) == went) for went in (False, True)
    )
    killed = max(end - max(at, third) for at, end in whole if end >= third)
    usual = statistics.median(alone)
    return {
        "p50_ms": usual,
        "worst_ms": max(alone),
        "joining_p50_ms": statistics.median(took for took, _ in joined),
        "joining_worst_ms": max(stayed, moved),
        "staying_extra_ms": stayed - usual,
        "moving_extra_ms": moved - usual,
        "joining_extra_ms": max(stayed, moved) - usual,
        "killed_s": killed,
        "after_session_s": killed - address_of(url).session,
        "load": os.getloadavg()[0],
    }


async def measured(url: str, many: int) -> tuple[list[float], dict[int, float], frozenset[int]]:
    """When each edit was sent, and when its command came; there is one for each. And which partitions moved."""
    address, workers = address_of(url), Workers(url)
    came: dict[int, float] = {}
    try:
        await workers.come()
        async with arriving(address, came):
            sent = await steadily(address, many, workers)
            async with asyncio.timeout(60):
                while len(came) < many:  # noqa: ASYNC110 - nobody tells us
                    await asyncio.sleep(0.05)
            theirs = await workers.moved()
            assert 0 < len(theirs) < PARTITIONS, "the second worker came when the first was gone: a busy machine"
    finally:
        await workers.end()
    return sent, came, theirs


async def steadily(address: Address, many: int, workers: Workers) -> list[float]:
    """Send edits at a steady rate, while workers come and go; when each was sent."""
    sent = []
    async with AIOKafkaProducer(bootstrap_servers=list(address.servers), enable_idempotence=True) as producer:
        began = time.perf_counter()
        for number, edit in edits(many):
            if number == RATE * (WARM + ALONE):
                await workers.come()
            elif number == RATE * (WARM + ALONE + JOINED):
                workers.kill()
            await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            sent.append(time.perf_counter())
            await producer.send(address.topic(edit[0]), edit[2], edit[1], partition_of(edit[1], PARTITIONS))
    return sent


def edits(many: int) -> Iterator[tuple[int, tuple[str, bytes, bytes]]]:
    """One of every pair: the first command is not answered, so no second one would follow."""
    for number in range(many):
        edit = waiting(many, number, f"Edited {number}")
        yield number, (edit.topic, edit.key, edit.value or b"")


def partition(many: int, number: int) -> int:
    return partition_of(waiting(many, number, "").key, PARTITIONS)


@asynccontextmanager
async def arriving(address: Address, came: dict[int, float]) -> AsyncIterator[None]:
    """Note when each command is there for a reader of committed records."""

    async def read(consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            number = int(record.key.rpartition(b":")[2])
            assert number not in came, f"{number} came twice"
            came[number] = time.perf_counter()

    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(address.servers), isolation_level="read_committed", fetch_max_wait_ms=50
    )
    async with consumer:
        consumer.assign([TopicPartition(address.topic(f"upserts.{RIGHT}"), number) for number in range(PARTITIONS)])
        await consumer.seek_to_beginning()
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read(consumer))
            yield
            reading.cancel()
