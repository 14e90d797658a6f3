"""An outage is waited out once for all; a bad record is not an outage."""

from __future__ import annotations

import asyncio

import pytest

from connectors.breaker import Breaker, Down, Guarded, Ok, Paused, Settings, Shut, delay
from connectors.errors import BadAnswer, ConnectorError, Locked, Missing, Refused, Retry, Stale, Unsure
from connectors.memory import MemoryEndpoint

SETTINGS = Settings(failures=3, first=1.0, longest=60.0)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def guard(endpoint: MemoryEndpoint, clock: Clock) -> Guarded:
    return Guarded(endpoint, Breaker(SETTINGS, clock=clock, roll=lambda: 1.0), sleep=clock.sleep)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def system() -> MemoryEndpoint:
    system = MemoryEndpoint()
    system.add("things", {"a": 1})
    return system


async def fail(guarded: Guarded, error: ConnectorError, count: int, system: MemoryEndpoint) -> None:
    for _ in range(count):
        system.fail("read", error)
        with pytest.raises(type(error)):
            await guarded.read("things", "1")


@pytest.mark.parametrize("error", [Retry("no connection"), Unsure("no answer"), Locked("no access")])
async def test_failures_in_a_row_open_it_and_a_success_closes_it(
    system: MemoryEndpoint, clock: Clock, error: ConnectorError
) -> None:
    guarded = guard(system, clock)
    await fail(guarded, error, 2, system)
    assert guarded.state() == Ok()
    await fail(guarded, error, 1, system)
    assert isinstance(guarded.state(), Shut if isinstance(error, Locked) else Down)
    assert (await guarded.read("things", "1")).id == "1"
    assert clock.slept == [1.0]
    assert guarded.state() == Ok()


@pytest.mark.parametrize("error", [Refused("bad"), Missing("gone"), Stale("newer"), BadAnswer("nonsense")])
async def test_a_bad_record_never_opens_it(system: MemoryEndpoint, clock: Clock, error: ConnectorError) -> None:
    guarded = guard(system, clock)
    await fail(guarded, error, 20, system)
    assert guarded.state() == Ok()
    assert clock.slept == []


async def test_failures_apart_are_no_outage(system: MemoryEndpoint, clock: Clock) -> None:
    guarded = guard(system, clock)
    for _ in range(10):
        await fail(guarded, Retry("no connection"), 2, system)
        await guarded.read("things", "1")
    assert clock.slept == []


async def test_a_wished_pause_is_kept_and_is_no_outage(system: MemoryEndpoint, clock: Clock) -> None:
    guarded = guard(system, clock)
    await fail(guarded, Retry("too many requests", after=7.0), 1, system)
    assert guarded.state() == Paused(107.0, "too many requests")
    await guarded.read("things", "1")
    assert clock.slept == [7.0]
    assert guarded.state() == Ok()


async def test_a_pause_of_no_length_is_none(system: MemoryEndpoint, clock: Clock) -> None:
    """A system that answers "503, at once" was asked at once, for as long as it did."""
    guarded = guard(system, clock)
    await fail(guarded, Retry("503", after=0.0), 3, system)
    assert isinstance(guarded.state(), Down)


async def test_tries_come_later_and_later(system: MemoryEndpoint, clock: Clock) -> None:
    guarded = guard(system, clock)
    await fail(guarded, Retry("no connection"), 10, system)
    assert clock.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    state = guarded.state()
    assert isinstance(state, Down)
    assert state.since == 100.0
    assert state.reason == "no connection"


async def test_while_it_is_open_one_call_tries_and_all_others_wait(system: MemoryEndpoint, clock: Clock) -> None:
    guarded = guard(system, clock)
    await fail(guarded, Retry("no connection"), 3, system)
    before = len(system.calls)
    system.fail("read", Retry("still no connection"))
    answers = await asyncio.gather(*(guarded.read("things", "1") for _ in range(50)), return_exceptions=True)
    assert [type(one).__name__ for one in answers].count("Retry") == 1
    assert len(system.calls) - before == 50
    assert clock.slept == [1.0, 2.0]
    assert guarded.state() == Ok()


async def test_what_is_refused_here_is_no_sign_of_life(system: MemoryEndpoint, clock: Clock) -> None:
    guarded = guard(system, clock)
    await fail(guarded, Retry("no connection"), 3, system)
    with pytest.raises(Refused):
        await guarded.read("no_such_type", "1")
    assert isinstance(guarded.state(), Down)


async def test_a_cancelled_try_lets_the_next_one_try(system: MemoryEndpoint, clock: Clock) -> None:
    guarded = guard(system, clock)
    await fail(guarded, Retry("no connection"), 3, system)
    first = asyncio.create_task(guarded.read("things", "1"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await guarded.read("things", "1")).id == "1"
    with pytest.raises(asyncio.CancelledError):
        await first


def test_the_delay_is_spread_and_bounded() -> None:
    assert delay(0, SETTINGS, roll=0.0) == 0.5
    assert delay(3, SETTINGS, roll=1.0) == 8.0
    assert delay(1000, SETTINGS, roll=1.0) == 60.0
