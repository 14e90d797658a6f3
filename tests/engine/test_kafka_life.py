"""A cluster loses what it had acknowledged: it is noticed, told to every worker, and lanes go on in a new life."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import UnknownError
from msgspec.structs import replace

from stream.engine.backends import open_reader
from stream.engine.kafka import cluster as topics
from stream.engine.kafka import life
from stream.engine.kafka.address import address_of
from stream.engine.kafka.life import SetBack
from stream.engine.kafka.log import KafkaLog
from stream.engine.kafka.rows import LocalRows
from stream.engine.log import EngineError
from tests.engine.contract import PARTITIONS, TOPICS, lane_of, sent
from tests.engine.test_kafka import AGENTS, copy_of, created, filled, forget

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]


@pytest.fixture
async def url(tmp_path: Path, kafka: str, name: str) -> str:
    url = f"kafka://{kafka}?prefix={name}.&state={tmp_path}"
    await created(url)
    return url


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[KafkaLog]:
    """A log as a worker opens it."""
    log = KafkaLog(url)
    await log.open()
    await log.declare(TOPICS, PARTITIONS, AGENTS)
    try:
        yield log
    finally:
        await log.close()


async def remove(url: str, *names: str) -> None:
    """Delete topics; all of them, if none is named."""
    address = address_of(url)
    wanted = topics.wanted(address, TOPICS, AGENTS, PARTITIONS, 1)
    gone = {topic.name for topic in wanted if not names or topic.name in names}
    await topics.remove(address, [topic for topic in wanted if topic.name in gone])
    async with asyncio.timeout(20):
        while gone & (await topics.existing(address, gone)).keys():  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.05)


async def rows(log: KafkaLog) -> list[bytes]:
    return [key for key, _ in (await lane_of(log)).claim.scan(b"")]


async def restarted(url: str, found: Sequence[bytes], words: str = "") -> None:
    """The next start has a life of its own if state was lost, and so has the one after it; some rows are left."""
    async with worker(url) as log:
        loss = log.loss
        assert (words in loss.reason) if words else (loss.at == 0), loss.reason
        assert bool(loss.at) == bool(words)
        assert await rows(log) == list(found)
        with open_reader(url) as reader:
            assert reader.loss() == loss
    async with worker(url) as log:
        assert log.loss == loss
        assert await rows(log) == list(found)
        await log.heal()
    async with worker(url) as log:
        assert log.loss == replace(loss, healed=log.loss.healed)
        assert bool(log.loss.healed) == bool(words)


async def test_nothing_is_lost_where_nothing_was_lost(url: str) -> None:
    async with worker(url) as log:
        await filled(log, 3)
    await restarted(url, [b"k0", b"k1", b"k2"])


@pytest.mark.parametrize("grown", [30, 0])
async def test_topics_that_were_made_anew(
    url: str, tmp_path: Path, grown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new changelog has grown longer than the old one was, by somebody who knew nothing of it, or it has not."""
    async with worker(url) as log:
        await filled(log)
    copy = copy_of(tmp_path)
    before = copy.read_bytes()
    await remove(url)
    await created(url)
    forget(tmp_path)
    if grown:
        async with worker(url) as log:
            for number in range(grown):
                async with (await lane_of(log)).turn() as unit:
                    unit.put(b"new", bytes(number))
    forget(tmp_path)
    copy.write_bytes(before)
    monkeypatch.setattr(life, "CLOCKS", 0.001)
    words = "was committed before what is at offset" if grown else "was committed, and the next one is 0"
    await restarted(url, [b"new"] if grown else [], words)


async def test_a_changelog_alone_that_was_made_anew(url: str) -> None:
    async with worker(url) as log:
        await filled(log, 3)
    await remove(url, address_of(url).changelog("join"))
    await created(url)
    await restarted(url, [], "join-changelog/0")


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(url: str, tmp_path: Path) -> None:
    async with worker(url) as log:
        await log.publish(sent("a", "b", "c"))
        lane = await lane_of(log)
        async with asyncio.timeout(10):
            await lane.finish(lane.take(3))
            await lane.settled()
    await remove(url, address_of(url).topic("in"))
    await created(url)
    async with worker(url) as log:
        await log.publish(sent("d"))
        with pytest.raises(SetBack, match=r"in/0: offset 2 was worked on, the next one is 1"):
            await lane_of(log)
    forget(tmp_path)  # another machine takes over
    async with worker(url) as log:
        assert "was worked on" in log.loss.reason
        lane = await lane_of(log)
        assert [record.key for record in lane.take(5)] == [b"d"]
    async with worker(url) as log:
        assert [record.key for record in (await lane_of(log)).take(5)] == [b"d"]


async def test_a_topic_that_is_made_anew_under_a_worker_ends_it(url: str) -> None:
    async with worker(url) as log:
        fatal: list[EngineError] = []
        log.on_fatal = fatal.append
        await log.publish(sent("a", "b", "c"))
        await lane_of(log)
        await remove(url, address_of(url).topic("in"))
        await created(url)
        async with asyncio.timeout(30):
            while not fatal:  # noqa: ASYNC110 - the log says so when it sees it
                await asyncio.sleep(0.05)
    assert "found another topic than was read before" in str(fatal[0])


async def test_a_changelog_that_is_made_anew_under_a_worker_ends_it(url: str) -> None:
    async with worker(url) as log:
        lane = await lane_of(log)
        for number in range(5):
            async with lane.turn() as unit:
                unit.put(b"k", bytes(number))
        await remove(url, address_of(url).changelog("join"))
        await created(url)
        with pytest.raises(EngineError, match="found it set back while it was written to"):
            async with lane.turn() as unit:
                unit.put(b"k", b"late")


async def test_another_cluster_is_told_by_its_id(url: str, tmp_path: Path) -> None:
    async with worker(url) as log:
        await filled(log, 3)
    copy = LocalRows(copy_of(tmp_path))
    assert copy.meta is not None
    copy.apply({}, copy.at, replace(copy.meta, cluster="another"))
    await copy.keep()
    copy.close()
    await restarted(url, [b"k0", b"k1", b"k2"], "the cluster is linkstreamtestsAAAAAAAA, it was another")


async def test_a_loss_that_was_lost_itself(url: str) -> None:
    async with worker(url) as log:
        await log._life.begin("a first one", 0)
        await filled(log, 3)
        first = log.loss
    await remove(url, address_of(url).life)
    await created(url)
    async with worker(url) as log:
        assert "a loss that was noticed is forgotten" in log.loss.reason
        assert log.loss.at > first.at


async def test_everybody_hears_of_it_with_the_next_partitions(url: str) -> None:
    given: list[int] = []

    async with worker(url) as one, worker(f"{url}/two") as two:

        async def told(_: frozenset[int]) -> None:
            given.append(one.loss.at)

        async def nothing(*_: object) -> None: ...

        await one.share(["in"], told, nothing)
        await two._life.begin("noticed elsewhere", 5)
        await two.share(["in"], nothing, nothing)
        async with asyncio.timeout(30):
            while len(given) < 2:  # noqa: ASYNC110 - the group says when
                await asyncio.sleep(0.05)
    assert given == [0, two.loss.at]


async def test_of_several_who_notice_one_begins_a_life(url: str) -> None:
    async with worker(f"{url}/one") as one, worker(f"{url}/two") as two, worker(f"{url}/three") as three:
        logs = (one, two, three)
        await asyncio.gather(*(log._life.begin(f"number {number}", 0) for number, log in enumerate(logs)))
        with open_reader(url) as reader:
            assert reader.count("linkstream-life") == 1
        for log in logs:
            await log._life.hear()
        assert len({log.loss.at for log in logs}) == 1
        await asyncio.gather(*(log.heal() for log in logs))
        assert all(log.loss.healed for log in logs)


async def test_who_is_ended_while_it_begins_a_life_looks_whether_there_is_one(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker says of a transaction that somebody else is ending that it does not know what went wrong."""
    commit, failed = AIOKafkaProducer.commit_transaction, list[bool]()

    async def unsaid(producer: AIOKafkaProducer) -> None:
        if not failed:
            failed.append(True)
            raise UnknownError
        await commit(producer)

    async with worker(url) as log:
        monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", unsaid)
        await log._life.begin("number one", 0)
        assert (failed, log.loss.reason) == ([True], "number one")


async def test_what_retention_took_unread_is_told(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with worker(url) as log:
        await log.publish(sent("a", "b", "c"))
        lane = await lane_of(log)
        await lane.finish(lane.take(1))
        await lane.settled()
        place = TopicPartition(log.address.topic("in"), 0)
        async with topics.administering(log.address) as admin:
            await admin.delete_records({place: RecordsToDelete(before_offset=2)})
    with caplog.at_level(logging.WARNING):
        async with worker(url) as log:
            assert [record.key for record in (await lane_of(log)).take(5)] == [b"c"]
            assert log.loss.at == 0
    assert "offsets 1 to 1 were deleted before they were read" in caplog.text


async def test_what_was_noted_in_a_former_life_counts_no_more(url: str) -> None:
    """Another machine comes back later, with what it noted before the loss."""
    for state in ("one", "two"):
        async with worker(f"{url}/{state}") as log:
            await filled(log, 3)
    await remove(url)
    await created(url)
    async with worker(f"{url}/one") as log:
        first = log.loss
        assert await rows(log) == []
    async with worker(f"{url}/two") as log:
        assert log.loss == first
        assert await rows(log) == []
