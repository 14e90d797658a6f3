"""What stands still is ended; what waits for a system, or for a person, is not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from stream.engine.lanes import Lane
from stream.engine.log import Outgoing, Staged, TopicSettings
from stream.engine.memory import MemoryLog, lanes_of
from stream.engine.watchdog import Watchdog

ROOT = Path(__file__).parents[2]


class Slow(MemoryLog):
    """Commits wait for the test's leave."""

    def __init__(self) -> None:
        super().__init__()
        self.leave = asyncio.Event()
        self.leave.set()

    async def commit(self, unit: Staged) -> None:
        await self.leave.wait()
        await super().commit(unit)


async def lane_of(agent: str) -> tuple[Slow, Lane]:
    log = Slow()
    await log.declare({"t": TopicSettings()}, 1)
    (lane,) = await lanes_of(log, agent, ["t"])
    return log, lane


async def put(log: MemoryLog, *times: int) -> None:
    await log.publish([Outgoing("t", b"k", b"v", (), 0, at) for at in times])


def dog(said: list[str]) -> Watchdog:
    return Watchdog(frozenset({"join"}), patience=3, end=said.append)


def beats(watchdog: Watchdog, lanes: Sequence[Lane], count: int, between: Callable[[], object] = lambda: None) -> None:
    for _ in range(count):
        watchdog.beat(lanes)
        watchdog.look()
        between()


async def test_records_that_nobody_works_on_end_the_process() -> None:
    said: list[str] = []
    log, lane = await lane_of("join")
    watchdog = dog(said)
    beats(watchdog, [lane], 10)
    assert said == []
    await put(log, 1)
    beats(watchdog, [lane], 3)
    assert said == []
    beats(watchdog, [lane], 1)
    assert said == ["nothing was committed for 3 s, and records wait: join/0"]


async def test_a_unit_that_is_out_for_ever_ends_it_too() -> None:
    said: list[str] = []
    log, lane = await lane_of("join")
    await put(log, 1)
    lane.take(10)
    beats(dog(said), [lane], 4)
    assert said


async def test_a_lane_that_commits_now_and_then_goes_on() -> None:
    said: list[str] = []
    log, lane = await lane_of("join")
    await put(log, *range(100))
    watchdog = dog(said)
    for _ in range(10):
        beats(watchdog, [lane], 3)
        await lane.finish(lane.take(1))
        await lane.settled()
    assert said == []


@pytest.mark.parametrize("reason", ["held", "draining"])
async def test_a_lane_that_waits_for_a_person_or_leaves_goes_on(reason: str) -> None:
    said: list[str] = []
    log, lane = await lane_of("join")
    await put(log, 1)
    setattr(lane, reason, True)
    beats(dog(said), [lane], 20)
    assert said == []


async def test_a_lane_that_calls_a_system_may_wait_as_long_as_it_likes() -> None:
    said: list[str] = []
    log, lane = await lane_of("push.a")
    await put(log, 1)
    lane.take(10)
    beats(dog(said), [lane], 20)
    assert said == []


async def test_a_commit_that_does_not_land_ends_the_process_whoever_waits_for_it() -> None:
    said: list[str] = []
    log, lane = await lane_of("push.a")
    await put(log, 1)
    log.leave.clear()
    await lane.finish(lane.take(10))
    await asyncio.sleep(0)
    beats(dog(said), [lane], 4)
    assert said
    log.leave.set()
    await lane.settled()


def test_a_loop_that_does_not_turn_ends_the_process() -> None:
    said: list[str] = []
    watchdog = dog(said)
    watchdog.beat([])
    assert [watchdog.look() for _ in range(4)] == [True, True, True, False]
    assert said == ["the event loop has not turned for 3 s"]


async def test_the_oldest_record_is_the_one_that_is_not_committed() -> None:
    log, lane = await lane_of("join")
    assert lane.oldest() is None
    await put(log, 1000, 2000, 3000)
    assert lane.oldest() == 1000
    unit = lane.take(2)
    assert lane.oldest() == 1000
    log.leave.clear()
    await lane.finish(unit)
    await asyncio.sleep(0)
    assert lane.oldest() == 1000
    log.leave.set()
    await lane.settled()
    assert lane.oldest() == 3000


def test_a_real_process_that_stands_still_ends_with_70(tmp_path: Path) -> None:
    code = """
import asyncio, time
from stream.engine.watchdog import Watchdog
async def main():
    Watchdog(frozenset(), patience=3, every=0.05).start()
    time.sleep(60)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 70, done.stderr
    assert "the event loop has not turned for 0.15 s" in done.stderr
