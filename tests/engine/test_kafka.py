from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec.structs import replace

from stream.engine.kafka import claim, fetch
from stream.engine.kafka import cluster as topics
from stream.engine.kafka.address import address_of
from stream.engine.kafka.claim import KafkaClaim
from stream.engine.kafka.errors import Unreachable
from stream.engine.kafka.log import KafkaLog
from stream.engine.kafka.pages import Plain
from stream.engine.kafka.producer import Producer
from stream.engine.kafka.rows import LocalRows, Meta
from stream.engine.lanes import Lane
from stream.engine.log import EngineError, Fenced, LaneId
from tests.engine.contract import PARTITIONS, TOPICS, LogContract, keys, lane_of, sent, until

AGENTS = ("join", "push", "witness")


async def created(url: str) -> None:
    address = address_of(url)
    await topics.apply(address, topics.wanted(address, TOPICS, AGENTS, PARTITIONS, 1))


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


@pytest.fixture
def fatal(log: KafkaLog) -> list[EngineError]:
    """What would have ended the process."""
    errors: list[EngineError] = []
    log.on_fatal = errors.append
    return errors


class TestKafkaLog(LogContract):
    """The contract, over a cluster."""

    timed = False


# Rows on this machine


def copy_of(folder: Path) -> Path:
    """The file of the lane join/0."""
    [copy] = folder.glob("*join-0.rows")
    return copy


def forget(folder: Path) -> None:
    for file in folder.glob("*.rows*"):
        file.unlink()


async def filled(log: KafkaLog, rows: int = 20, partition: int = 0) -> None:
    lane = await lane_of(log, partition=partition)
    for number in range(rows):
        async with lane.turn() as unit:
            unit.put(b"k%d" % number, b"%d" % number)
    await log.release(lane.id)


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each claim took over from the changelog."""
    counts: list[int] = []
    apply = LocalRows.apply

    def noted(self: LocalRows, rows: Mapping[bytes, bytes | None], at: int, meta: Meta) -> None:
        counts.append(len(rows))
        apply(self, rows, at, meta)

    monkeypatch.setattr(LocalRows, "apply", noted)
    return counts


async def test_a_restart_reads_the_tail_alone(log: KafkaLog, applied: list[int]) -> None:
    await filled(log)
    applied.clear()
    lane = await lane_of(log)
    assert sum(applied) == 0
    assert lane.claim.get(b"k7") == b"7"


async def test_without_its_copy_a_lane_is_made_anew_from_the_changelog(
    log: KafkaLog, applied: list[int], tmp_path: Path
) -> None:
    await filled(log)
    await (await lane_of(log)).log.release(LaneId("join", 0))
    forget(tmp_path)
    applied.clear()
    lane = await lane_of(log)
    assert sum(applied) == 20
    assert list(lane.claim.scan(b"k1")) == [(b"k%d" % n, b"%d" % n) for n in (1, *range(10, 20))]


async def test_a_copy_that_is_behind_catches_up(log: KafkaLog, tmp_path: Path) -> None:
    await filled(log, 5)
    copy = copy_of(tmp_path)
    before = copy.read_bytes()
    await filled(log, 20)
    forget(tmp_path)
    copy.write_bytes(before)
    lane = await lane_of(log)
    assert len(list(lane.claim.scan(b"k"))) == 20


async def age(copy: Path) -> None:
    """Have a copy be of long ago."""
    rows = LocalRows(copy)
    assert rows.meta is not None
    rows.apply({}, rows.at, replace(rows.meta, moment=1))
    await rows.keep()
    rows.close()


async def test_a_copy_from_before_the_brokers_forgot_deletions_is_made_anew(
    log: KafkaLog, applied: list[int], tmp_path: Path
) -> None:
    await filled(log)
    copy = copy_of(tmp_path)
    await age(copy)
    before = copy.read_bytes()
    applied.clear()
    await log.release((await lane_of(log)).id)
    assert sum(applied) == 0  # nothing has happened since
    await filled(log, 1)
    forget(tmp_path)
    copy.write_bytes(before)
    LocalRows(copy).close()  # a start that fails makes it no younger
    applied.clear()
    await lane_of(log)
    assert sum(applied) == 21  # all, and nothing on top of what is too old


async def test_an_old_copy_is_known_for_one_until_it_is_made_anew(
    log: KafkaLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(log)
    copy = copy_of(tmp_path)
    await age(copy)
    before = copy.read_bytes()
    async with (await lane_of(log)).turn() as unit:
        unit.put(b"k7", None)
    await log.release(LaneId("join", 0))
    forget(tmp_path)
    copy.write_bytes(before)

    async def cut(*_: object) -> AsyncIterator[list[Plain]]:
        raise OSError("the broker is away")
        yield []

    with monkeypatch.context() as patch:
        patch.setattr(claim, "batches", cut)
        with pytest.raises(Unreachable):
            await lane_of(log)
    rows = LocalRows(copy)
    assert (rows.at, rows.meta, rows.get(b"k7")) == (-1, None, None)
    rows.close()


async def test_a_damaged_copy_is_thrown_away(log: KafkaLog, tmp_path: Path) -> None:
    await filled(log)
    copy = copy_of(tmp_path)
    copy.write_bytes(b"garbage" * 1000)
    assert (await lane_of(log)).claim.get(b"k7") == b"7"


async def test_a_copy_takes_nothing_from_a_former_owner(tmp_path: Path) -> None:
    meta = Meta(b"born", {})
    former, now = LocalRows(tmp_path / "x.rows"), LocalRows(tmp_path / "x.rows")
    now.apply({b"k": b"new"}, 7, meta)
    await now.keep()
    former.apply({b"k": b"old"}, 3, meta)
    with pytest.raises(Fenced, match="another process has claimed the lane"):
        await former.keep()
    anew = LocalRows(tmp_path / "x.rows")
    assert (anew.get(b"k"), anew.at) == (b"new", 7)


async def test_a_former_owner_wipes_nothing(tmp_path: Path) -> None:
    former, now = LocalRows(tmp_path / "x.rows"), LocalRows(tmp_path / "x.rows")
    now.apply({b"k": b"new"}, 7, Meta(b"born", {}))
    await now.keep()
    with pytest.raises(Fenced, match="another process has claimed the lane"):
        former.clear()
    anew = LocalRows(tmp_path / "x.rows")
    assert (anew.get(b"k"), anew.at) == (b"new", 7)


async def test_rows_are_the_same_wherever_they_are_kept(tmp_path: Path) -> None:
    """In the file, on their way there, fresh; and each hides what is older."""
    meta = Meta(b"born", {})
    rows = LocalRows(tmp_path / "x.rows")
    rows.apply({b"k%d" % number: b"file" for number in range(600)}, 1, meta)
    await rows.keep()
    rows.apply({b"k1": None, b"k2": b"going", b"k7": b"going", b"l": b"going"}, 2, meta)
    going = asyncio.ensure_future(rows.keep())
    await asyncio.sleep(0)
    rows.apply({b"k2": None, b"k3": b"fresh", b"j": b"fresh"}, 3, meta)
    told: dict[bytes, bytes | None] = {b"k1": None, b"k2": None, b"k3": b"fresh", b"k4": b"file", b"k7": b"going"}
    for _ in range(2):
        assert {key: rows.get(key) for key in told} == told
        assert rows.several(list(told)) == {key: row for key, row in told.items() if row is not None}
        assert [key for key, _ in rows.scan(b"k", b"k3")][:2] == [b"k30", b"k300"]
        assert len(list(rows.scan(b"k"))) == 598
        assert [key for key, _ in rows.scan(b"")][:2] == [b"j", b"k0"]
        await going
    await rows.keep()
    anew = LocalRows(tmp_path / "x.rows")
    assert (len(list(anew.scan(b""))), anew.at, anew.several(list(told))) == (600, 3, rows.several(list(told)))


async def test_one_partition_is_published_to_without_a_transaction(log: KafkaLog) -> None:
    await log.publish(sent("a", "b"))
    await log.publish(sent("c"))
    lane = await lane_of(log)
    assert [record.offset for record in lane.take(10)] == [0, 1, 2]  # markers have offsets, too


async def test_a_topic_in_which_nothing_happens_holds_back_no_other(
    log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "POLL", 30.0)
    for _ in range(6):
        await log.publish(sent("k", value=os.urandom(300_000)))
    lane = await lane_of(log, topics=("in", "more"))
    async with asyncio.timeout(10):
        for _ in range(6):
            await until(lane.waits)
            assert len(lane._read(1)) == 1


async def test_an_answer_that_nobody_understands_ends_the_process_and_not_the_reading(
    log: KafkaLog, fatal: list[EngineError], monkeypatch: pytest.MonkeyPatch
) -> None:
    await lane_of(log)

    def broken(_: object) -> object:
        raise KeyError("partitions")

    monkeypatch.setattr(fetch, "answered", broken)
    await until(lambda: fatal)
    assert "reading: KeyError: 'partitions'" in str(fatal[0])


async def test_a_client_that_looks_no_more_where_partitions_are_ends_the_process(
    log: KafkaLog, fatal: list[EngineError], monkeypatch: pytest.MonkeyPatch
) -> None:
    await lane_of(log)
    client = log._fetches["join"]._client
    assert client is not None

    async def broken(*_: object) -> None:
        raise AssertionError("a proof that is none")

    monkeypatch.setattr(client, "_metadata_update", broken)
    client.force_metadata_update()
    await until(lambda: fatal)
    assert "reading: AssertionError: a proof that is none" in str(fatal[0])


async def test_what_was_told_to_have_failed_is_not_published_later(
    log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.publish(sent("a"))
    assert log._publisher is not None
    with monkeypatch.context() as patch:
        patch.setattr(log._publisher._producer.client.cluster, "leader_for_partition", lambda _: -1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await log.publish(sent("late"))
    for key in "bc":
        await log.publish(sent(key))
    assert await keys(log, "in") == ["a", "b", "c"]


async def test_leaving_does_not_wait_for_brokers_that_are_away(log: KafkaLog, monkeypatch: pytest.MonkeyPatch) -> None:
    async def given(_: object) -> None:
        await lane_of(log)

    async def taken() -> None:
        await log.release(LaneId("join", 0))

    async def never(*_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    asked = asyncio.Event()
    await log.share(["in"], given, taken)
    monkeypatch.setattr(AIOKafkaConsumer, "commit", never)
    async with asyncio.timeout(10):
        await log.close()
    assert asked.is_set()


# Partitions are given out anew


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> list[LaneId]:
    """Lanes whose rows were brought to the end of their changelog."""
    lanes: list[LaneId] = []
    restore = KafkaClaim._restore

    async def noted(self: KafkaClaim, *arguments: Any) -> Any:
        lanes.append(self.lane)
        return await restore(self, *arguments)

    monkeypatch.setattr(KafkaClaim, "_restore", noted)
    return lanes


async def rested(log: KafkaLog, partitions: Iterable[int] = (0,)) -> None:
    """Let go of lanes, as when a worker comes or goes."""

    async def taken() -> None:
        for partition in partitions:
            await log.release(LaneId("join", partition))

    await log._hand_over(taken)


@asynccontextmanager
async def another(url: str) -> AsyncIterator[KafkaLog]:
    """The log as another worker has it."""
    other = KafkaLog(f"{url}/other")
    await other.open()
    await other.declare(TOPICS, PARTITIONS, AGENTS)
    try:
        yield other
    finally:
        await other.close()


async def test_a_lane_that_comes_back_goes_on_with_what_it_has(log: KafkaLog, restored: list[LaneId]) -> None:
    await log.publish(sent("a", "b", "c"))
    lane = await lane_of(log)
    unit = lane.take(1)
    unit.put(b"k", b"1")
    await lane.finish(unit)
    await lane.settled()
    await rested(log)
    restored.clear()
    lane = await lane_of(log)
    assert restored == []
    assert lane.claim.get(b"k") == b"1"
    assert [record.key for record in lane.take(5)] == [b"b", b"c"]


async def test_a_lane_that_somebody_else_had_meanwhile_begins_anew(
    log: KafkaLog, url: str, restored: list[LaneId]
) -> None:
    await log.publish(sent("a", "b", "c"))
    lane = await lane_of(log)
    await rested(log)
    async with another(url) as other:
        theirs = await lane_of(other)
        unit = theirs.take(2)
        unit.put(b"k", b"theirs")
        await theirs.finish(unit)
        await theirs.settled()
    restored.clear()
    lane = await lane_of(log)
    assert restored == [LaneId("join", 0)]
    assert lane.claim.get(b"k") == b"theirs"
    assert [record.key for record in lane.take(5)] == [b"c"]


async def test_who_is_new_copies_rows_while_another_goes_on_and_claims_with_the_tail_alone(
    log: KafkaLog, url: str, applied: list[int]
) -> None:
    async def nothing(*_: object) -> None:
        """Lanes are claimed beside."""

    await log.share(["in"], nothing, nothing)
    await filled(log, partition=0)
    await filled(log, partition=3)
    ours = await lane_of(log, partition=3)
    async with another(url) as other:
        applied.clear()
        await other.prepare()
        assert sum(applied) == 20  # of two workers, the second one gets the second half
        await changed(ours, b"late")  # nobody has taken anything
        applied.clear()
        theirs = await lane_of(other, partition=3)
        assert sum(applied) == 1
        assert len(list(theirs.claim.scan(b"k"))) == 21


async def test_a_copy_that_is_there_is_left_to_whoever_it_belongs_to(log: KafkaLog, url: str) -> None:
    ours = await lane_of(log)
    await other_claim(log, ours).prepare(log.consumer)
    async with ours.turn() as unit:
        unit.put(b"k", b"1")
    await ours.claim.rows.keep()


async def test_a_copy_that_cannot_be_made_beforehand_leaves_no_other_one_behind(
    log: KafkaLog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        """Lanes are claimed beside."""

    await log.share(["in"], nothing, nothing)
    copied: list[LaneId] = []
    reach_end = KafkaClaim._reach_end

    async def noted(self: KafkaClaim, *arguments: Any) -> None:
        if self.lane == LaneId("join", 3):
            raise OSError("the broker is away")
        await reach_end(self, *arguments)
        copied.append(self.lane)

    monkeypatch.setattr(KafkaClaim, "_reach_end", noted)
    async with another(url) as other:
        await other.prepare()
        assert len(copied) == 5  # of three agents, in two partitions


def other_claim(log: KafkaLog, lane: Lane) -> KafkaClaim:
    return KafkaClaim(log.address, lane.id, PARTITIONS, log._life, log._rounds)


# Who may write


async def changed(lane: Lane, row: bytes) -> None:
    """Take what waits, copy it, put a row, commit."""
    unit = lane.take(10)
    for record in unit:
        unit.emit("out", record.key, record.value, partition=0)
    unit.put(b"k", row)
    await lane.finish(unit)
    await lane.settled()


def forgotten(producer: Producer) -> None:
    """As when its id was not used for a week: the brokers know it by another number."""
    assert producer._producer is not None
    manager = producer._producer._txn_manager
    manager._pid_and_epoch = manager._pid_and_epoch._replace(pid=manager.producer_id + 1_000_000)


async def test_a_lane_whose_id_the_brokers_have_forgotten_begins_anew(log: KafkaLog, restored: list[LaneId]) -> None:
    await changed(await lane_of(log), b"1")
    await rested(log)
    forgotten(log._resting[LaneId("join", 0)]._producer)
    restored.clear()
    lane = await lane_of(log)
    assert restored == [LaneId("join", 0)]
    assert lane.claim.get(b"k") == b"1"
    await changed(lane, b"2")


async def test_a_worker_whose_ids_the_brokers_have_forgotten_is_told_so_and_the_next_goes_on(
    log: KafkaLog, url: str
) -> None:
    lane = await lane_of(log)
    for producer in log._rounds._free:
        forgotten(producer)
    with pytest.raises(EngineError, match=r"the brokers have forgotten its transactional id, .* after a week"):
        await changed(lane, b"1")
    async with another(url) as other:
        lane = await lane_of(other)
        assert lane.claim.get(b"k") is None
        await changed(lane, b"2")


async def test_lanes_that_commit_at_the_same_time_share_transactions(
    log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = [await lane_of(log, partition=partition) for partition in range(PARTITIONS)]
    transactions: list[int] = []
    transact = Producer.transact

    async def noted(self: Producer, parts: Any, what: str) -> Any:
        transactions.append(len(parts))
        return await transact(self, parts, what)

    monkeypatch.setattr(Producer, "transact", noted)
    await asyncio.gather(*(changed(lane, b"%d" % lane.id.partition) for lane in lanes))
    assert transactions == [4]
    assert [lane.claim.get(b"k") for lane in lanes] == [b"0", b"1", b"2", b"3"]


async def test_a_former_owner_in_another_process_is_refused_by_the_brokers(log: KafkaLog, url: str) -> None:
    await log.publish(sent("a"))
    former = await lane_of(log)
    beside = [await lane_of(log, partition=partition) for partition in (1, 2)]
    async with another(url) as other:
        now = await lane_of(other)
        for lane in (former, *beside):  # who lost a lane against the rules writes nothing at all
            with pytest.raises(Fenced, match="another worker has taken"):
                await changed(lane, b"former")
        await changed(now, b"now")
        assert now.claim.get(b"k") == b"now"
        assert await keys(other, "out") == ["a"]


async def test_who_is_refused_between_two_parts_of_a_transaction_is_told_why(
    log: KafkaLog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client says of the second part that no transaction is open."""
    await log.publish(sent("a"))
    former = await lane_of(log)
    send, refused = Producer._send, asyncio.Event()

    async def slow(producer: AIOKafkaProducer, *rest: Any) -> Any:
        ours = producer._txn_manager.transactional_id.startswith(log._rounds.writer)
        if ours and not producer._sender.sender_task.done() and producer._txn_manager.partitions_to_add():
            await asyncio.wait([producer._sender.sender_task])
            refused.set()
        return await send(producer, *rest)

    monkeypatch.setattr(Producer, "_send", staticmethod(slow))
    async with another(url) as other:
        await lane_of(other)
        with pytest.raises(Fenced, match="another worker has taken"):
            await changed(former, b"former")
    assert refused.is_set()


async def test_what_a_former_owner_had_begun_is_undone(
    log: KafkaLog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.publish(sent("a"))
    former = await lane_of(log)
    sent_all, goes_on = asyncio.Event(), asyncio.Event()
    commit = AIOKafkaProducer.commit_transaction

    async def held(self: AIOKafkaProducer) -> None:
        if self._txn_manager.transactional_id.startswith(log._rounds.writer):
            sent_all.set()
            await goes_on.wait()
        await commit(self)

    monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", held)
    late = asyncio.ensure_future(changed(former, b"former"))
    await sent_all.wait()
    async with another(url) as other:
        now = await lane_of(other)
        assert now.claim.get(b"k") is None
        goes_on.set()
        with pytest.raises(Fenced):
            await late
        await changed(now, b"now")
        assert await keys(other, "out") == ["a"]


async def test_what_a_former_owner_commits_in_the_last_moment_is_seen(
    log: KafkaLog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the new owner reads, the former one goes on until it is told that it may not."""
    await log.publish(sent("a"))
    former = await lane_of(log)
    async with another(url) as other:
        end, ended = other._rounds.end, list[str]()

        async def late(writer: str) -> None:
            if writer and writer not in ended:
                ended.append(writer)
                await changed(former, b"last")
            await end(writer)

        monkeypatch.setattr(other._rounds, "end", late)
        now = await lane_of(other)
        assert now.claim.get(b"k") == b"last"
        assert not now.waits()


async def test_who_hands_a_lane_over_goes_on_with_the_others(log: KafkaLog, url: str) -> None:
    for partition in (0, 1):
        await lane_of(log, partition=partition)
    await rested(log, (0, 1))
    kept = await lane_of(log, partition=1)
    async with another(url) as other:
        theirs = await lane_of(other)
        await changed(kept, b"ours")
        await changed(theirs, b"theirs")
        assert (kept.claim.get(b"k"), theirs.claim.get(b"k")) == (b"ours", b"theirs")
