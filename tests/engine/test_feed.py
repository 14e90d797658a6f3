"""Lanes that are taken from a body and given to it: it ends, is called again over the others, or is ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from stream.engine.feed import ALARM, Feed, attend
from stream.engine.lanes import Lane
from stream.engine.log import EngineError
from stream.engine.memory import MemoryLog, lanes_of
from stream.topics import PARKED
from tests.engine.contract import PARTITIONS, TOPICS, sent, until


class Bench:
    """A body over one log that notes over which partitions it is called, and what it gets."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.called: list[list[int]] = []
        self.got: list[bytes] = []
        self.ended = 0
        self.hang = asyncio.Event()
        self.hang.set()

    async def lanes(self, *partitions: int) -> list[Lane]:
        await self.log.declare(TOPICS, PARTITIONS)
        return await lanes_of(self.log, "join", ("in",), partitions)

    def body(self, feed: Feed) -> Callable[[], asyncio.Future[None]]:
        async def run() -> None:
            self.called.append([lane.id.partition for lane in feed.lanes])
            try:
                async for unit in feed.units():
                    await self.hang.wait()
                    self.got += [record.key for record in unit]
            finally:
                self.ended += 1

        return lambda: asyncio.ensure_future(run())


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_body_is_called_again_over_other_lanes(bench: Bench) -> None:
    feed = Feed(await bench.lanes(0, 1), stage="join")
    working = asyncio.ensure_future(attend(feed, bench.body(feed)))
    await bench.log.publish(sent("a"))
    await until(lambda: bench.got == [b"a"])
    feed.end()
    await feed.idle.wait()
    assert bench.ended == 1
    await bench.log.publish(sent("b", partition=2))
    feed.begin(await bench.lanes(2))
    await until(lambda: bench.got == [b"a", b"b"])
    assert bench.called == [[0, 1], [2]]
    feed.end(closed=True)
    await asyncio.wait_for(working, 5)


async def test_a_body_without_lanes_waits_for_some(bench: Bench) -> None:
    feed = Feed([], stage="join")
    working = asyncio.ensure_future(attend(feed, bench.body(feed)))
    await until(lambda: bench.called)
    feed.end()
    await feed.idle.wait()
    feed.begin(await bench.lanes(3))
    await bench.log.publish(sent("a", partition=3))
    await until(lambda: bench.got == [b"a"])
    feed.end(closed=True)
    await asyncio.wait_for(working, 5)


async def test_a_body_that_does_not_end_is_ended_and_its_records_come_again(bench: Bench) -> None:
    feed = Feed(await bench.lanes(0), stage="join")
    working = asyncio.ensure_future(attend(feed, bench.body(feed)))
    bench.hang.clear()
    await bench.log.publish(sent("a"))
    await until(lambda: feed._out)
    feed.end()
    feed.interrupt()
    await asyncio.wait_for(feed.idle.wait(), 5)
    assert (bench.got, bench.ended) == ([], 1)
    bench.hang.set()
    feed.begin(await bench.lanes(0))
    await until(lambda: bench.got == [b"a"])
    feed.end(closed=True)
    await asyncio.wait_for(working, 5)


async def test_ending_for_good_ends_a_body_that_waits_for_lanes(bench: Bench) -> None:
    feed = Feed(await bench.lanes(0), stage="join")
    working = asyncio.ensure_future(attend(feed, bench.body(feed)))
    await until(lambda: bench.called)
    feed.end()
    await feed.idle.wait()
    feed.end(closed=True)
    await asyncio.wait_for(working, 5)
    assert len(bench.called) == 1


async def test_whoever_cancels_the_agent_cancels_the_body(bench: Bench) -> None:
    feed = Feed(await bench.lanes(0), stage="join")
    working = asyncio.ensure_future(attend(feed, bench.body(feed)))
    await until(lambda: bench.called)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert bench.ended == 1


async def test_a_commit_that_fails_is_heard_although_nothing_more_comes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(_: object) -> None:
        raise EngineError("the disk is full")

    monkeypatch.setattr(bench.log, "commit", commit)
    feed = Feed(await bench.lanes(0, 1), stage="join")
    working = asyncio.ensure_future(attend(feed, bench.body(feed)))
    await bench.log.publish(sent("a"))
    with pytest.raises(EngineError, match="the disk is full"):
        async with asyncio.timeout(5):
            await working


async def test_any_number_of_records_of_which_something_too_large_would_come_is_parked(bench: Bench) -> None:
    bench.log.largest = 1000
    feed = Feed(await bench.lanes(0), stage="join")
    large = [f"l{number}" for number in range(ALARM[0] + 2)]

    async def run() -> None:
        async for unit in feed.units():
            for record in unit:
                unit.put(record.key, bytes(2000 if record.key.startswith(b"l") else 20))
                bench.got.append(record.key)

    await bench.log.publish(sent("a", *large, "b"))
    working = asyncio.ensure_future(attend(feed, lambda: asyncio.ensure_future(run())))
    await until(lambda: b"b" in bench.got and feed.lanes[0].oldest() is None)
    assert bench.log.rows[feed.lanes[0].id].keys() == {b"a", b"b"}
    parked = [record.key.decode() for part in range(PARTITIONS) for record in bench.log.records[PARKED, part]]
    assert sorted(parked) == sorted(large)
    assert bench.log.health()["state"] == "green"
    feed.end(closed=True)
    await working


async def test_a_body_that_is_cancelled_from_inside_is_called_again(bench: Bench) -> None:
    feed = Feed(await bench.lanes(0), stage="push")
    stray: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    stray.cancel()  # of a connection that many wait for, say

    async def run() -> None:
        async for unit in feed.units():
            if not bench.called:
                bench.called.append([0])
                await stray
            bench.got += [record.key for record in unit]

    await bench.log.publish(sent("a"))
    working = asyncio.ensure_future(attend(feed, lambda: asyncio.ensure_future(run())))
    await until(lambda: bench.got == [b"a"] or working.done())
    assert bench.got == [b"a"]
    feed.end(closed=True)
    await asyncio.wait_for(working, 5)


async def test_a_record_is_parked_whatever_its_error_quotes(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # pytest cannot hand the text on either
    feed = Feed(await bench.lanes(0), stage="join", retries=0)

    async def run() -> None:
        async for unit in feed.units():
            for record in unit:
                if record.key == b"a":
                    raise ValueError("found '\ud800'; text would be right")
                bench.got.append(record.key)

    await bench.log.publish(sent("a", "b"))
    working = asyncio.ensure_future(attend(feed, lambda: asyncio.ensure_future(run())))
    await until(lambda: bench.got == [b"b"])
    feed.end(closed=True)
    await asyncio.wait_for(working, 5)
    (parked,) = [record for part in range(PARTITIONS) for record in bench.log.records[PARKED, part]]
    assert dict(parked.headers)["__connect.errors.exception.message"] == b"found '\\ud800'; text would be right"
