"""A log on a cluster, looked into: what is committed and nothing else, however it is asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from stream.engine.kafka import cluster as topics
from stream.engine.kafka.address import address_of
from stream.engine.kafka.errors import Unreachable
from stream.engine.kafka.fetch import consumer_of
from stream.engine.kafka.log import KafkaLog
from stream.engine.kafka.reader import FEW, KafkaReader
from stream.engine.log import LaneId, Outgoing, TopicSettings
from stream.engine.readers import Readers
from tests.engine.contract import PARTITIONS, TOPICS, lane_of
from tests.engine.test_kafka import AGENTS, created

pytestmark = pytest.mark.kafka


@pytest.fixture
def url(tmp_path: Path, kafka: str, name: str) -> str:
    return f"kafka://{kafka}?prefix={name}.&state={tmp_path}"


@pytest.fixture
async def log(url: str) -> AsyncIterator[KafkaLog]:
    await created(url)
    log = KafkaLog(url)
    await log.open()
    await log.declare(TOPICS, PARTITIONS, AGENTS)
    yield log
    await log.close()


async def test_records_of_a_key_are_those_that_are_committed_newest_first(log: KafkaLog, url: str) -> None:
    for number in range(5):
        await log.publish(
            [Outgoing("in", b"mine", b"%d" % number, (("h", b"1"),), 0), Outgoing("in", b"o", b"", (), 0)]
        )
    topic = log.address.topic("in")
    async with AIOKafkaProducer(bootstrap_servers=log.address.servers, transactional_id=f"{topic}-other") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted", b"mine", partition=0)
        await producer.abort_transaction()
        await log.publish([Outgoing("in", b"mine", b"last", (), 0)])
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"open", b"mine", partition=0)
        found = await asyncio.to_thread(keyed, url, 4)
    assert [record.value for record in found] == [b"last", b"4", b"3", b"2"]
    assert (found[1].topic, found[1].partition, found[1].key, found[1].headers) == ("in", 0, b"mine", (("h", b"1"),))
    assert [record.value for record in await asyncio.to_thread(keyed, url, 99)][-1] == b"0"


async def marked(log: KafkaLog) -> None:
    """A commit returns before its markers are written; until then readers see nothing of it."""
    tp = TopicPartition(log.address.changelog("join"), 0)
    async with consumer_of(log.address) as sees, consumer_of(log.address, isolation_level="read_uncommitted") as all_:
        while await sees.end_offsets([tp]) != await all_.end_offsets([tp]):
            pass


def keyed(url: str, limit: int) -> list[object]:
    with KafkaReader(url) as reader:
        reader._known = {**reader._known, "in": 1}  # the key's own partition may be another
        assert reader.keyed("nowhere", b"mine") == []
        return list(reader.keyed("in", b"mine", limit=limit))


async def test_a_row_is_the_last_of_its_key_looked_for_alone_or_among_all(log: KafkaLog, url: str) -> None:
    lane = await lane_of(log)
    for number in range(3):
        async with lane.turn() as unit:
            unit.put(b"k", b"%d" % number)
            unit.put(b"gone", b"x" if number < 2 else None)
    await marked(log)
    reader = await asyncio.to_thread(KafkaReader, url)
    for number in range(FEW + 2):
        assert await asyncio.to_thread(reader.row, "join", b"k", 0) == b"2"
        assert await asyncio.to_thread(reader.row, "join", b"gone", 0) is None
        assert bool(reader._tables) == (2 * (number + 1) > FEW)
    async with lane.turn() as unit:
        unit.put(b"k", b"later")
        unit.put(b"l", b"new")
    await marked(log)
    assert await asyncio.to_thread(reader.row, "join", b"k", 0) == b"later"
    rows = await asyncio.to_thread(lambda: list(reader.rows("join")))
    assert rows == [(b"k", b"later"), (b"l", b"new")]
    await asyncio.to_thread(reader.close)
    await log.release(LaneId("join", 0))


async def test_readers_are_lent_again_to_one_at_a_time_and_not_after_a_failure(log: KafkaLog, url: str) -> None:
    def lend() -> None:
        readers = Readers(url)
        with readers.lent() as first, readers.lent() as second:
            assert first is not second
            list(first.rows("join"))
        with readers.lent() as again:
            assert again is first
            assert not again._tables  # type: ignore[attr-defined]
        with pytest.raises(ZeroDivisionError), readers.lent() as failing:
            failing.row("join", b"k", 1 // 0)
        with readers.lent() as other:
            assert other is not failing
            readers.close()
        assert all(each._loop.is_closed() for each in (first, second, other))  # type: ignore[attr-defined]

    await asyncio.to_thread(lend)


async def test_what_does_not_come_is_not_waited_for_for_ever(log: KafkaLog, url: str) -> None:
    """An end that is not reached, as when a broker falls silent; a partition that nobody leads."""
    await log.publish([Outgoing("in", b"k", b"one", (), 0)])
    tp = TopicPartition(log.address.topic("in"), 0)

    def looked() -> None:
        with KafkaReader(f"{url}&timeout=1") as reader:
            for work in (reader._through({tp: None}, {tp: 99}, list), read(reader, tp._replace(partition=99))):
                with pytest.raises(Unreachable):
                    reader._do(work)

    async def read(reader: KafkaReader, tp: TopicPartition) -> None:
        async for _ in reader._batches(tp, 0, 1):
            pass

    async with asyncio.timeout(10):
        await asyncio.to_thread(looked)


async def test_many_topics_are_asked_for_at_once(url: str) -> None:
    """The client by itself asks for one after the other, 100 ms apart."""
    address, many = address_of(url), {f"topic{number}": TopicSettings() for number in range(20)}
    await topics.apply(address, topics.wanted(address, many, [], 1, 1))

    def looked() -> float:
        with KafkaReader(url) as reader:
            began = time.monotonic()
            assert len(reader.topics()) == 20 + 1
            return time.monotonic() - began

    assert await asyncio.to_thread(looked) < 20 * 0.1
