"""A budget never lets more through than the system may count in any window, and lets no list hold up a record."""

import asyncio
import selectors
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from connectors.budget import PART, PATIENCE, Budget, Limits, Window
from connectors.errors import Retry


class Patient(asyncio.SelectorEventLoop):
    """A loop whose time passes when all wait, and no faster or slower than that on a machine that has much to do."""

    def __init__(self) -> None:
        self._now = 0.0
        waiting = selectors.DefaultSelector()
        select = waiting.select

        def passing(timeout: float | None = None) -> Any:
            self._now += timeout or 0.0
            return select(0)

        waiting.select = passing  # type: ignore[method-assign]
        super().__init__(waiting)

    def time(self) -> float:
        return self._now


def patiently(story: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=Patient) as runner:
        runner.run(story)


def test_a_window_counts_a_request_until_a_window_after_its_answer() -> None:
    window = Window(2, 10.0)
    window.left(1, listed=False)
    window.left(1, listed=False)
    assert window.wait(1, 50.0) == float("inf")  # one of them has to be answered first
    window.answered(1, 50.0, listed=False)
    assert window.wait(1, 53.0) == 7.0
    assert window.wait(2, 53.0) == float("inf")
    window.answered(1, 52.0, listed=False)
    assert window.wait(2, 53.0) == 9.0
    assert window.wait(1, 60.0) == 0.0
    assert window.wait(9, 62.0) == 0.0  # what never fits is let through alone


@pytest.mark.parametrize("seed", range(5))
async def test_however_long_requests_are_on_their_way_no_window_of_the_system_holds_too_many(seed: int) -> None:
    roll, arrivals, loop = Random(seed), list[float](), asyncio.get_running_loop()
    budget = Budget(Limits(windows=((6, 0.05), (9, 0.1)), writes=20))

    async def one() -> None:
        async with budget.slot(write=True):
            await asyncio.sleep(roll.random() * 0.02)
            arrivals.append(loop.time())
            await asyncio.sleep(roll.random() * 0.01)

    await asyncio.gather(*(one() for _ in range(24)))
    arrivals.sort()
    for count, seconds in ((6, 0.05), (9, 0.1)):
        gaps = [later - earlier for earlier, later in zip(arrivals, arrivals[count:], strict=False)]
        assert min(gaps) >= seconds - 1e-6


async def test_what_leaves_at_once_loses_no_time() -> None:
    budget = Budget(Limits(windows=((10, 0.2),), writes=10))
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def one() -> None:
        async with budget.slot(write=True):
            pass

    await asyncio.gather(*(one() for _ in range(41)))
    assert 0.8 <= loop.time() - begun < 0.9


async def test_a_budget_around_others_wakes_whoever_waits_for_the_call_of_another() -> None:
    around = Budget(Limits(windows=((1, 0.01),)))
    one, other = (Budget(Limits(), within=around) for _ in range(2))
    order: list[str] = []

    async def waits() -> None:
        async with other.slot(write=False):
            order.append("other")

    async with one.slot(write=False):
        waiting = asyncio.ensure_future(waits())
        await asyncio.sleep(0.03)
        order.append("one")
    await asyncio.wait_for(waiting, 1.0)
    assert order == ["one", "other"]


async def test_who_is_cancelled_in_line_takes_nothing() -> None:
    budget = Budget(Limits(windows=((1, 0.05),), writes=5))

    async def one() -> None:
        async with budget.slot(write=True):
            pass

    await one()
    cancelled = asyncio.ensure_future(one())
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    await asyncio.wait_for(one(), 0.09)


async def test_who_is_cancelled_in_the_moment_of_its_turn_gives_it_back() -> None:
    budget = Budget(Limits(windows=((1, 0.0),)))

    async def one() -> None:
        async with budget.slot(write=False):
            pass

    async with budget.slot(write=False):
        waiting = asyncio.ensure_future(one())
        await asyncio.sleep(0.01)
    waiting.cancel()  # it was let go just now and has not run since
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.wait_for(one(), 1.0)


async def test_whoever_is_in_line_when_the_system_asks_for_a_long_pause_is_told() -> None:
    budget = Budget(Limits(windows=((1, 0.05),), writes=5))

    async def one() -> None:
        async with budget.slot(write=True):
            pass

    await one()
    waiting = asyncio.ensure_future(one())
    await asyncio.sleep(0)
    budget.shut(PATIENCE + 60.0)
    with pytest.raises(Retry, match="asked for a pause"):
        await waiting


async def test_a_place_is_paid_when_its_turn_comes_and_what_is_not_used_is_given_back() -> None:
    budget = Budget(Limits(windows=((3, 60.0),), writes=5))
    costs = iter((1, 2))
    async with budget.place(lambda: next(costs)) as one:
        one.left -= 1
    async with budget.place(lambda: next(costs)) as two:
        assert two.left == 2
        two.left -= 1
    async with budget.slot(write=True):
        pass
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), budget.slot(write=True):
            pass


async def test_what_is_taken_beyond_a_place_counts() -> None:
    budget = Budget(Limits(windows=((3, 60.0),), writes=5))
    async with budget.place(lambda: 1) as place:
        place.left -= 3
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), budget.slot(write=True):
            pass


def test_lists_get_a_small_part_while_records_use_up_most_of_a_window() -> None:
    """Side by side they would get as much as one of the writers does: a fifth."""
    counts = {True: 0, False: 0}

    async def story() -> None:
        loop = asyncio.get_running_loop()
        budget = Budget(Limits(windows=((100, 0.5),), writes=4), clock=loop.time)

        async def on(*, listed: bool) -> None:
            while loop.time() < 30.0:
                async with budget.slot(write=not listed, listed=listed):
                    counts[listed] += 1
                    await asyncio.sleep(0.001)

        await asyncio.gather(*(on(listed=False) for _ in range(4)), on(listed=True))

    patiently(story())
    assert counts[True] <= 50 / 5 + counts[False] / PART * 1.2  # before half of the first window is used they are equal
    assert counts[True] > 5


def test_lists_alone_go_as_fast_as_they_may() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        budget = Budget(Limits(windows=((100, 20.0),)), clock=loop.time)
        for _ in range(201):
            async with budget.slot(write=False, listed=True):
                pass
        assert 40.0 <= loop.time() < 41.0

    patiently(story())


async def test_a_place_that_was_not_used_is_given_back_once_where_there_is_but_one() -> None:
    """Given back twice, each let one request too many through."""
    budget = Budget(Limits(windows=((1, 0.01),)))
    for _ in range(3):
        async with budget.place(lambda: 2) as place:
            place.left -= 1
        await asyncio.sleep(0.02)
    assert [room.left for room in budget.rooms()] == [1]


async def test_lists_that_let_records_pass_stand_in_no_ones_way() -> None:
    budget = Budget(Limits(windows=((4, 60.0),), reads=1))
    for _ in range(3):
        async with budget.slot(write=True):
            pass
    async with budget.slot(write=False, listed=True):
        pass

    async def list_() -> None:
        async with budget.slot(write=False, listed=True):
            pass

    waiting = asyncio.create_task(list_())
    await asyncio.sleep(0)
    assert not budget._slots[False].locked()
    waiting.cancel()
