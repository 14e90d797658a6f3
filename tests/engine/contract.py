"""What every log does: one class of tests for the double and for the real ones."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest

from stream.engine.feed import Feed
from stream.engine.lanes import Lane
from stream.engine.log import Fenced, LaneId, Log, Mismatch, Outgoing, TopicSettings, partition_of
from stream.engine.memory import drain, lanes_of
from stream.errors import TooLarge
from stream.ports import Record

TOPICS = {name: TopicSettings() for name in ("in", "more", "out", "parked")}
PARTITIONS = 4


def sent(*keys: str, topic: str = "in", value: bytes | None = b"v", partition: int | None = 0) -> list[Outgoing]:
    return [Outgoing(topic, key.encode(), value, partition=partition) for key in keys]


async def read(log: Log, topic: str, *, agent: str = "witness") -> list[Record]:
    """Everything committed to a topic, by a reader that begins at the beginning."""
    lanes = [LaneId(agent, partition) for partition in range(log.partitions)]
    claims = await asyncio.gather(*(log.claim(lane, [topic], lambda: None) for lane in lanes))
    found: list[Record] = []
    for claim in claims:
        await claim.catch_up()
        start = 0
        while records := claim.read(topic, start, 100):
            found += records
            start = records[-1].offset + 1
            await claim.catch_up()
    return found


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Return as soon as the condition holds; fail at the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a thread or a process
            await asyncio.sleep(0.005)


async def keys(log: Log, topic: str) -> list[str]:
    return [record.key.decode() for record in await read(log, topic)]


async def lane_of(log: Log, agent: str = "join", topics: Sequence[str] = ("in",), partition: int = 0) -> Lane:
    """A lane that has at hand what was committed so far."""
    (lane,) = await lanes_of(log, agent, topics, [partition])
    await lane.claim.catch_up()
    return lane


async def echo(stream: Feed) -> None:
    async for unit in stream.units(3):
        for record in unit:
            unit.emit("out", record.key, record.value, partition=record.partition)


class LogContract:
    """A subclass gives the fixture ``log``: open, with ``TOPICS`` in ``PARTITIONS`` partitions."""

    timed: ClassVar[bool] = True
    """Whether a record keeps a time that it is given: brokers go by their own clock."""

    # Records

    async def test_records_come_in_order_and_once(self, log: Log) -> None:
        await log.publish(sent(*(f"k{n}" for n in range(10))))
        lane = await lane_of(log)
        await drain(lane, echo)
        await drain(lane, echo)
        assert await keys(log, "out") == [f"k{n}" for n in range(10)]

    async def test_every_part_of_a_record_survives(self, log: Log) -> None:
        headers = (("cause", b"\x00\xff"), ("cause", b""))
        await log.publish([Outgoing("in", b"\x00k", b"\xffv", headers, 1, 1_700_000_000_123)])
        [found] = await read(log, "in")
        assert found == Record("in", 1, 0, b"\x00k", b"\xffv", found.timestamp, headers)
        assert (found.timestamp == 1_700_000_000_123) is self.timed

    async def test_a_tombstone_is_not_an_empty_value(self, log: Log) -> None:
        await log.publish([*sent("gone", value=None), *sent("empty", value=b"")])
        assert [record.value for record in await read(log, "in")] == [None, b""]

    async def test_the_key_chooses_the_partition_alike_everywhere(self, log: Log) -> None:
        await log.publish(sent(*(f"k{n}" for n in range(40)), partition=None))
        assert partition_of(b"123456789", 1 << 32) == 0xCBF43926  # the check value of CRC-32
        for record in await read(log, "in"):
            assert record.partition == partition_of(record.key, PARTITIONS)

    async def test_a_unit_chooses_a_partition(self, log: Log) -> None:
        lane = await lane_of(log)
        async with lane.turn() as unit:
            for partition in range(unit.partitions):
                unit.emit("out", b"mark", b"", partition=partition)
        assert [record.partition for record in await read(log, "out")] == [0, 1, 2, 3]

    async def test_publishing_to_an_unknown_topic_publishes_nothing(self, log: Log) -> None:
        with pytest.raises(LookupError, match="nowhere"):
            await log.publish([*sent("a"), *sent("b", topic="nowhere")])
        with pytest.raises(LookupError, match="publish: in has no partition 4; 0 to 3 exist"):
            await log.publish([*sent("a"), *sent("b", partition=4)])
        assert await keys(log, "in") == []

    async def test_emitting_to_an_unknown_topic_or_partition_is_refused_at_once(self, log: Log) -> None:
        lane = await lane_of(log)
        async with lane.turn() as unit:
            with pytest.raises(LookupError, match="nowhere"):
                unit.emit("nowhere", b"k", b"v")
            with pytest.raises(LookupError, match="no partition 4"):
                unit.emit("out", b"k", b"v", partition=4)

    async def test_looking_at_what_waits_takes_nothing_away(self, log: Log) -> None:
        await log.publish([*sent("a", "b", "c"), *sent("d", "e", topic="more")])
        lane = await lane_of(log, topics=("in", "more"))
        for _ in range(3):
            assert lane.oldest()
        unit = lane.take(10)
        assert sorted(record.key for record in unit) == [b"a", b"b", b"c", b"d", b"e"]
        assert lane.oldest() == min(record.timestamp for record in unit)
        await lane.finish(unit)
        await lane.settled()
        assert lane.oldest() is None

    async def test_what_is_larger_than_it_takes_is_refused_at_once(self, log: Log) -> None:
        log.largest = 1000
        lane = await lane_of(log)
        async with lane.turn() as unit:
            with pytest.raises(TooLarge, match=r"record for out of 1001 bytes \(key b'big'\); at most 1000 would be"):
                unit.emit("out", b"big", bytes(998), partition=0)
            with pytest.raises(TooLarge, match=r"a row of 1001 bytes \(key b'big'\)"):
                unit.put(b"big", bytes(998))
            unit.emit("out", b"big", bytes(997), partition=0)
            unit.put(b"big", bytes(997))
        assert await keys(log, "out") == ["big"]

    async def test_topics_of_a_lane_take_turns(self, log: Log) -> None:
        await log.publish([*sent(*"abcdefgh"), *sent(*"stuvwxyz", topic="more")])
        lane = await lane_of(log, topics=("in", "more"))
        unit = lane.take(6)
        assert Counter(record.topic for record in unit) == {"in": 3, "more": 3}
        await lane.finish(unit)
        await drain(lane, echo)
        found = await keys(log, "out")
        assert [key for key in found if key < "i"] == list("defgh")
        assert [key for key in found if key > "r"] == list("vwxyz")

    async def test_another_number_of_partitions_is_refused_with_a_remedy(self, log: Log) -> None:
        with pytest.raises(Mismatch, match=r"4 partitions.*(back to 4|use as many)"):
            await log.declare(TOPICS, 8)

    # Atomicity

    async def test_a_unit_that_failed_left_nothing(self, log: Log) -> None:
        await log.publish(sent("a", "b"))
        lane = await lane_of(log)
        unit = lane.take(10)
        unit.put(b"row", b"1")
        unit.emit("out", b"a", b"")
        lane.give_back(unit)
        assert await keys(log, "out") == []
        again = await lane_of(log)
        assert again.take(10).get(b"row") is None
        assert [record.key for record in lane.take(10)] == [b"a", b"b"]

    async def test_rows_records_and_offsets_commit_together(self, log: Log) -> None:
        await log.publish(sent("a", "b"))
        lane = await lane_of(log)
        unit = lane.take(1)
        unit.put(b"row", b"1")
        unit.emit("out", b"a", b"")
        await lane.finish(unit)
        await lane.settled()
        again = await lane_of(log)
        unit = again.take(10)
        assert ([record.key for record in unit], unit.get(b"row")) == ([b"b"], b"1")
        assert await keys(log, "out") == ["a"]

    async def test_nothing_of_a_unit_is_visible_before_its_commit(self, log: Log) -> None:
        await log.publish(sent("a"))
        lane = await lane_of(log)
        unit = lane.take(1)
        unit.emit("out", b"a", b"")
        unit.put(b"row", b"1")
        assert await keys(log, "out") == []
        assert lane.claim.get(b"row") is None
        await lane.finish(unit)
        await lane.settled()
        assert lane.claim.get(b"row") == b"1"

    async def test_rows_are_brought_together_or_one_by_one_and_are_the_same(self, log: Log) -> None:
        names = [f"k{number}" for number in range(1200)]
        lane = await lane_of(log)
        async with lane.turn() as unit:
            for name in names[:1100]:
                unit.put(name.encode(), name.encode())
        fresh = await lane_of(log)
        several = fresh.claim.several([name.encode() for name in names])
        assert several == {name.encode(): name.encode() for name in names[:1100]}
        await log.publish(sent(*names[1000:]))
        await fresh.claim.catch_up()
        unit = fresh.take(200)
        assert [unit.get(record.key) for record in unit] == [name.encode() for name in names[1000:1100]] + [None] * 100
        unit.put(b"k1000", b"new")
        await fresh.finish(unit)
        await log.publish(sent(*names[1000:1010]))
        await fresh.claim.catch_up()
        unit = fresh.take(10)
        assert unit.get(b"k1000") == b"new"
        fresh.give_back(unit)
        await fresh.settled()
        assert fresh.row(b"k1000") == b"new"

    async def test_a_lane_starts_where_the_last_commit_ended_in_every_topic(self, log: Log) -> None:
        await log.publish([*sent("a", "b"), *sent("x", topic="more")])
        lane = await lane_of(log, topics=("in", "more"))
        await drain(lane, echo)
        again = await lane_of(log, topics=("in", "more"))
        assert dict(again.claim.offsets) == {"in": 2, "more": 1}
        assert not again.waits()

    async def test_a_topic_that_is_read_again_goes_on_where_it_was_left(self, log: Log) -> None:
        await log.publish([*sent("a"), *sent("m", topic="more")])
        for topics, waiting in ((("in", "more"), 2), (("in",), 0), (("in", "more"), 1)):
            lane = await lane_of(log, topics=topics)
            unit = lane.take(10)
            unit.put(b"topics", b"%d" % len(topics))
            assert len(unit) == waiting
            await lane.finish(unit)
            await lane.settled()
            await log.release(lane.id)
            if len(topics) == 1:
                await log.publish(sent("n", topic="more"))

    # Rows

    async def test_own_puts_are_visible(self, log: Log) -> None:
        lane = await lane_of(log)
        async with lane.turn() as unit:
            unit.put(b"a", b"1")
            assert unit.get(b"a") == b"1"
            unit.put(b"a", None)
            assert unit.get(b"a") is None

    async def test_rows_of_the_commit_in_flight_are_visible(self, log: Log) -> None:
        await log.publish(sent("a", "b"))
        lane = await lane_of(log)
        first = lane.take(1)
        first.put(b"row", b"1")
        await lane.finish(first)
        second = lane.take(1)
        assert lane.flying
        assert lane.claim.get(b"row") is None
        assert second.get(b"row") == b"1"
        assert list(second.scan(b"")) == [(b"row", b"1")]

    async def test_a_deleted_row_is_gone_for_good(self, log: Log) -> None:
        lane = await lane_of(log)
        for row in (b"1", None):
            async with lane.turn() as unit:
                unit.put(b"row", row)
        assert (await lane_of(log)).claim.get(b"row") is None

    async def test_an_unchanged_row_is_not_written(self, log: Log) -> None:
        lane = await lane_of(log)
        async with lane.turn() as unit:
            unit.put(b"row", b"1")
        async with lane.turn() as unit:
            unit.put(b"row", b"1")
            unit.put(b"other", None)
            assert unit.staged().rows == {b"other": None}

    async def test_rows_belong_to_one_agent_and_partition(self, log: Log) -> None:
        async with (await lane_of(log)).turn() as unit:
            unit.put(b"row", b"1")
        for other in (await lane_of(log, agent="push"), await lane_of(log, partition=1)):
            async with other.turn() as unit:
                assert unit.get(b"row") is None

    async def test_a_scan_sees_puts_over_commits_in_key_order(self, log: Log) -> None:
        lane = await lane_of(log)
        async with lane.turn() as unit:
            for key in (b"a", b"k1", b"k3", b"k5", b"z"):
                unit.put(key, b"old")
        async with lane.turn() as unit:
            unit.put(b"k2", b"new")
            unit.put(b"k3", None)
            unit.put(b"k5", b"new")
            unit.put(b"k9", b"new")
            assert list(unit.scan(b"k")) == [(b"k1", b"old"), (b"k2", b"new"), (b"k5", b"new"), (b"k9", b"new")]

    async def test_a_scan_passes_its_page(self, log: Log) -> None:
        lane = await lane_of(log)
        async with lane.turn() as unit:
            for number in range(1234):
                unit.put(b"k%05d" % number, b"")
            unit.put(b"j", b"")
            unit.put(b"l", b"")
        async with lane.turn() as unit:
            assert [key for key, _ in unit.scan(b"k")] == [b"k%05d" % number for number in range(1234)]

    async def test_a_scan_goes_on_beyond_a_key(self, log: Log) -> None:
        lane = await lane_of(log)
        async with lane.turn() as unit:
            for key in (b"a", b"k1", b"k2", b"k3", b"z"):
                unit.put(key, b"old")
        async with lane.turn() as unit:
            unit.put(b"k1", b"new")
            unit.put(b"k4", b"new")
            found = {after: [key for key, _ in unit.scan(b"k", after)] for after in (b"", b"a", b"k1", b"k15", b"k4")}
        assert found == {
            b"": [b"k1", b"k2", b"k3", b"k4"],
            b"a": [b"k1", b"k2", b"k3", b"k4"],
            b"k1": [b"k2", b"k3", b"k4"],
            b"k15": [b"k2", b"k3", b"k4"],
            b"k4": [],
        }

    async def test_save_makes_rows_durable_and_nothing_else(self, log: Log) -> None:
        await log.publish(sent("a"))
        lane = await lane_of(log)
        unit = lane.take(1)
        unit.put(b"note", b"begun")
        unit.emit("out", b"a", b"")
        await unit.save()
        unit.put(b"note", b"done")
        lane.give_back(unit)
        assert await keys(log, "out") == []
        again = await lane_of(log)
        unit = again.take(1)
        assert ([record.key for record in unit], unit.get(b"note")) == ([b"a"], b"begun")

    async def test_saves_side_by_side_all_return_durable(self, log: Log) -> None:
        await log.publish(sent("a"))
        lane = await lane_of(log)
        unit = lane.take(1)

        async def one(number: int) -> None:
            unit.put(b"%d" % number, b"begun")
            await unit.save()
            assert lane.claim.get(b"%d" % number) == b"begun"

        await asyncio.gather(*(one(number) for number in range(10)))

    # Ownership

    async def test_a_former_owner_is_fenced_and_leaves_nothing(self, log: Log) -> None:
        await log.publish(sent("a"))
        former = await lane_of(log)
        unit = former.take(1)
        unit.emit("out", b"a", b"")
        unit.put(b"row", b"1")
        now = await lane_of(log)
        await former.finish(unit)
        with pytest.raises(Fenced, match="join/0"):
            await former.settled()
        assert await keys(log, "out") == []
        assert [record.key for record in now.take(1)] == [b"a"]
        assert now.claim.get(b"row") is None

    async def test_a_fenced_lane_saves_nothing(self, log: Log) -> None:
        former = await lane_of(log)
        await lane_of(log)
        unit = former.take(1)
        unit.put(b"row", b"1")
        with pytest.raises(Fenced):
            await unit.save()

    # Turns

    async def test_a_turn_commits_at_its_end(self, log: Log) -> None:
        lane = await lane_of(log)
        async with lane.turn() as unit:
            unit.put(b"cursor", b"7")
            unit.emit("out", b"a", b"")
        assert lane.claim.get(b"cursor") == b"7"
        assert await keys(log, "out") == ["a"]

    async def test_a_turn_that_raises_leaves_nothing(self, log: Log) -> None:
        lane = await lane_of(log)

        async def fail() -> None:
            async with lane.turn() as unit:
                unit.put(b"cursor", b"7")
                unit.emit("out", b"a", b"")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert lane.claim.get(b"cursor") is None
        assert await keys(log, "out") == []
        async with lane.turn() as unit:
            assert unit.get(b"cursor") is None

    async def test_turns_and_units_exclude_each_other(self, log: Log) -> None:
        await log.publish(sent(*"abc"))
        lane = await lane_of(log)
        seen: list[str] = []

        async def turns() -> None:
            for number in range(3):
                async with lane.turn() as unit:
                    seen.append(f"turn {number}")
                    assert unit.get(b"count") == str(len(seen) - 1).encode()
                    await asyncio.sleep(0)
                    unit.put(b"count", str(len(seen)).encode())

        async def body(stream: Feed) -> None:
            async for unit in stream.units(1):
                seen.append("unit")
                assert (unit.get(b"count") or b"0") == str(len(seen) - 1).encode()
                await asyncio.sleep(0)
                unit.put(b"count", str(len(seen)).encode())

        async with lane.turn() as unit:
            unit.put(b"count", b"0")
        await asyncio.gather(turns(), drain(lane, body))
        await drain(lane, body)
        assert lane.claim.get(b"count") == b"6"

    async def test_a_turn_waits_for_the_unit_that_is_out(self, log: Log) -> None:
        await log.publish(sent("a", "b"))
        lane = await lane_of(log)
        unit = lane.take(1)
        entered: list[str] = []

        async def turn(name: str) -> None:
            async with lane.turn():
                entered.append(name)
                assert not lane.ready()

        turns = [asyncio.ensure_future(turn(name)) for name in ("first", "second")]
        for _ in range(5):
            await asyncio.sleep(0)
        assert entered == []
        await lane.finish(unit)
        assert not lane.ready()  # the turns go first
        await asyncio.wait_for(asyncio.gather(*turns), 5)
        assert entered == ["first", "second"]
        assert lane.ready()

    async def test_a_second_commit_waits_for_the_first(self, log: Log) -> None:
        await log.publish(sent("a", "b", "c"))
        lane = await lane_of(log)
        await lane.finish(lane.take(1))
        first = lane._flight
        assert first is not None
        await lane.finish(lane.take(1))
        assert first.done()
        assert lane.flying

    async def test_while_a_commit_flies_only_a_full_unit_is_taken(self, log: Log) -> None:
        """What comes until it has landed goes along in the next one."""
        await log.publish(sent("a", "b", "c"))
        lane = await lane_of(log)
        await lane.finish(lane.take(1))
        assert lane.flying
        assert [lane.ready(limit) for limit in (1, 2, 3)] == [True, True, False]
        await lane.settled()
        assert lane.ready(3)

    async def test_a_cancelled_wait_for_a_turn_harms_nobody(self, log: Log) -> None:
        lane = await lane_of(log)

        async def wait() -> None:
            async with lane.turn():
                pass

        async with lane.turn():
            waiting = asyncio.ensure_future(wait())
            await asyncio.sleep(0)
            waiting.cancel()
        async with asyncio.timeout(5), lane.turn():
            pass

    # Bodies

    async def test_a_body_is_woken_by_what_is_published(self, log: Log) -> None:
        lane = await lane_of(log)
        feed = Feed([lane], stage="join")
        units = feed.units()
        waiting = asyncio.ensure_future(anext(units))
        await asyncio.sleep(0)
        await log.publish(sent("a"))
        unit = await asyncio.wait_for(waiting, 5)
        assert [record.key for record in unit] == [b"a"]
        await units.aclose()

    async def test_a_poison_record_is_parked_and_the_others_go_on(self, log: Log) -> None:
        await log.publish(
            [*sent(*(f"k{n}" for n in range(41))), Outgoing("in", b"bad", b"\xff\x00", (("h", b"1"),), 0)]
        )
        await log.publish(sent(*(f"l{n}" for n in range(41))))
        lane = await lane_of(log)
        runs = 0

        async def body(stream: Feed) -> None:
            async for unit in stream.units(100):
                nonlocal runs
                runs += 1
                for record in unit:
                    unit.put(b"count", str(int(unit.get(b"count") or b"0") + 1).encode())
                    unit.emit("out", record.key, b"", partition=0)
                    if record.value == b"\xff\x00":
                        raise ValueError("cannot read it")

        await drain(lane, body, retries=2)
        assert await keys(log, "out") == [f"{letter}{n}" for letter in "kl" for n in range(41)]
        assert lane.claim.get(b"count") == b"82"
        (parked,) = await read(log, "parked")
        about = {name.removeprefix("__connect.errors."): value for name, value in parked.headers}
        assert (parked.key, parked.value, about["h"]) == (b"bad", b"\xff\x00", b"1")
        assert about["topic"] == b"in"
        assert (about["partition"], about["offset"], about["stage"]) == (b"0", b"41", b"TRANSFORMATION")
        assert about["exception.class.name"] == b"builtins.ValueError"
        assert about["exception.message"] == b"cannot read it"
        assert b"cannot read it" in about["exception.stacktrace"]
        assert len(about) == 11
        assert runs <= 20

    async def test_a_lane_that_parks_too_much_stops_and_says_so(self, log: Log) -> None:
        await log.publish(sent(*(f"k{n}" for n in range(20))))
        lane = await lane_of(log)

        async def body(stream: Feed) -> None:
            async for _ in stream.units(1):
                raise ValueError("a bug of ours")

        working = asyncio.ensure_future(drain(lane, body))
        await until(lambda: log.health()["state"] == "red")
        assert "join/0" in log.health()["reason"]
        assert len(await read(log, "parked")) == 11
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    async def test_what_waits_in_the_log_does_not_fill_memory(self, log: Log) -> None:
        value = bytes(10_000)
        for _ in range(20):
            await log.publish([Outgoing("in", b"k", value, partition=0) for _ in range(100)])
        lane = await lane_of(log)
        held: defaultdict[str, int] = defaultdict(int)

        async def body(stream: Feed) -> None:
            async for unit in stream.units(20):
                held["records"] = max(held["records"], len(lane._backlog) + len(unit))
                for record in unit:
                    unit.emit("out", record.key, b"", partition=0)

        tracemalloc.start()
        try:
            await drain(lane, body)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held["records"] <= 20
        assert peak < 4_000_000  # of 20 MB that waited
        assert len(await read(log, "out")) == 2000

    async def test_status_tells_the_lag(self, log: Log) -> None:
        await log.publish(sent("a", "b"))
        lane = await lane_of(log)
        assert _lag(log.status(), "join", 0) == 2
        unit = lane.take(1)
        await lane.finish(unit)
        await lane.settled()
        assert _lag(log.status(), "join", 0) == 1
        assert log.health() == {"state": "green", "reason": ""}


def _lag(status: dict[str, Any], agent: str, partition: int) -> int:
    return sum(lane["lag"] for lane in status["lanes"] if (lane["agent"], lane["partition"]) == (agent, partition))
