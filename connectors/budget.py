"""How often and how much at once one credential may call: strict windows, slots, and the system's own "wait".

One budget belongs to one credential: systems count by token, so endpoints that share a token must share the
budget. Windows are what the vendor documents; the *gate* is what the vendor says now (429, 503). Short waits
happen here, long ones are given back to the caller as ``Retry`` so that nobody sleeps a quarter of an hour
inside a call. A budget may lie *within* another one, which others share: so many calls of a token, and so many of
the key that all tokens belong to.

A request arrives at some time between leaving us and being answered. So it counts from when it leaves until a window
after its answer: then no window of the system's holds more than it may, however long each request was on its way, and
nothing has to be kept in reserve for that.

Lists are read again and again, records are written once. While records use up most of a window, lists get a small
part of it: what people wait for is not held up by looking for more.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from math import inf

from msgspec import Struct

from connectors.endpoint import Room
from connectors.errors import Retry

PATIENCE = 2.0
"""Seconds that a call waits at a closed gate before it gives the wait back to its caller."""
PART = 32
"""Of so many requests one is for lists, while records use up most of a window."""
_LOOK = 0.5
"""Seconds after which a list that waits for records looks again."""


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one credential may do. A window is (requests, seconds)."""

    windows: tuple[tuple[int, float], ...] = ()
    below: dict[str, tuple[tuple[int, float], ...]] = {}
    """Windows besides, for requests whose path begins so."""
    reads: int = 16
    """Reads in flight."""
    writes: int = 8
    """Writes in flight."""


class Window:
    """So many requests in so many seconds. Times are handed in."""

    def __init__(self, count: int, seconds: float) -> None:
        self.count = count
        self.seconds = seconds
        self._used = 0
        self._records = 0
        self._over: deque[tuple[float, int, bool]] = deque()
        """When requests that were answered stop counting."""

    def wait(self, cost: int, now: float) -> float:
        """Answer the seconds until so much may leave; without end if that depends on a request under way."""
        self._forget(now)
        lacking = self._used + min(cost, self.count) - self.count
        if lacking <= 0:
            return 0.0
        for until, freed, _ in self._over:
            lacking -= freed
            if lacking <= 0:
                return until - now
        return inf

    def crowded(self, now: float) -> bool:
        """Tell whether records use up most of it."""
        self._forget(now)
        return 2 * self._records > self.count

    def left(self, cost: int, *, listed: bool) -> None:
        """Count a request that leaves."""
        self._used += cost
        self._records += 0 if listed else cost

    def free(self, now: float) -> int:
        """Tell how much may leave at once."""
        self._forget(now)
        return self.count - self._used

    def stayed(self, cost: int) -> None:
        """Count a record's request no more: it did not leave after all."""
        self._used -= cost
        self._records -= cost

    def answered(self, cost: int, now: float, *, listed: bool) -> None:
        """Begin to wait until a request does not count any more."""
        self._over.append((now + self.seconds, cost, listed))

    def _forget(self, now: float) -> None:
        while self._over and self._over[0][0] <= now:
            _, cost, listed = self._over.popleft()
            self._used -= cost
            self._records -= 0 if listed else cost


class Place:
    """A place that was given out, and how many requests may leave with it."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


class Budget:
    """The right to send the next request, given out in time. ``clock`` is monotonic seconds."""

    def __init__(
        self, limits: Limits, *, within: Budget | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._windows = [Window(*window) for window in limits.windows]
        self._below = {path: [Window(*window) for window in windows] for path, windows in limits.below.items()}
        self._within = within
        self._inner: list[Budget] = []
        if within is not None:
            within._inner.append(self)  # noqa: SLF001 - one of its own kind
        self._slots = {False: asyncio.Semaphore(limits.reads), True: asyncio.Semaphore(limits.writes)}
        self._clock = clock
        self._closed_until = 0.0
        self._lists_from = 0.0
        """When the next list may be read, as long as records use up most of a window."""
        self._line: deque[tuple[asyncio.Future[int], Callable[[], int], bool]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def shut(self, seconds: float) -> None:
        """Let nothing through for so long, because the system asked for it."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)

    def wait(self) -> float:
        """Tell for how many seconds the gate is still closed, here or around it."""
        around = self._within.wait() if self._within is not None else 0.0
        return max(around, self._closed_until - self._clock())

    def rooms(self) -> tuple[Room, ...]:
        """Tell how much may leave at once, by window, here and around."""
        now = self._clock()
        return tuple(
            Room(count=window.count, seconds=window.seconds, left=max(0, window.free(now))) for window in self._all()
        )

    @asynccontextmanager
    async def slot(self, *, write: bool, path: str = "", cost: int = 1, listed: bool = False) -> AsyncIterator[None]:
        """Hold one of the slots while a request is under way. Raises Retry when the wait would be long.

        ``cost`` is as how many requests the system counts it; ``listed``: it reads a list, and lets records go first.
        """
        if listed:  # before it has a slot: lists that wait in all of them would hold records up
            await self._let_pass(cost)
        async with self._slots[write]:
            narrow = await self._below_that(path, cost)
            try:
                await self._turn(lambda: cost, listed=listed)
                try:
                    yield
                finally:
                    self._answered(cost, listed=listed)
            finally:
                for window in narrow:
                    window.answered(cost, self._clock(), listed=listed)

    @asynccontextmanager
    async def place(self, cost: Callable[[], int]) -> AsyncIterator[Place]:
        """Hold a slot for a write and what goes right before it; ``cost`` says how many requests, when the turn comes.

        Whoever takes more than that takes it ahead of the others: to stand in line again with a place in hand could
        wait for ever.
        """
        async with self._slots[True]:
            given = await self._turn(cost, listed=False)
            place = Place(given)
            try:
                yield place
            finally:
                for window in self._all():
                    if place.left > 0:
                        window.stayed(place.left)
                    elif place.left < 0:
                        window.left(-place.left, listed=False)
                self._answered(given - place.left, listed=False)

    async def _let_pass(self, cost: int) -> None:
        while (wait := self._lists_from - self._clock()) > 0.0 and self._crowded():  # noqa: ASYNC110 - time alone ends it
            await asyncio.sleep(min(wait, _LOOK))
        paces = [window.seconds / window.count for window in self._all()]
        self._lists_from = self._clock() + cost * PART * max(paces, default=0.0)

    async def _below_that(self, path: str, cost: int) -> list[Window]:
        """Count a request in the windows of its path. Raises Retry if they stay full for long."""
        found = [(head, window) for head, windows in self._below.items() if path.startswith(head) for window in windows]
        while (wait := max((window.wait(cost, self._clock()) for _, window in found), default=0.0)) > 0.0:
            if wait > PATIENCE:
                head, window = max(found, key=lambda one: one[1].seconds)
                raise Retry(
                    f"rate limit: {head}: {window.count} requests in {window.seconds:.0f} s are used up",
                    after=window.seconds / 10,
                )
            await asyncio.sleep(wait)
        for _, window in found:
            window.left(cost, listed=False)
        return [window for _, window in found]

    async def _turn(self, cost: Callable[[], int], *, listed: bool) -> int:
        """Stand in line until the gate is open and every window has room. Raises Retry at a gate closed for long."""
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._line.append((turn, cost, listed))
        self._advance()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._answered(turn.result(), listed=listed)  # it had its turn in the very moment of the cancellation
            raise

    def _advance(self) -> None:
        """Let go whoever may, in order; look again when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._line:
            turn, cost_of, listed = self._line[0]
            if not turn.done():
                gate, now, cost = self.wait(), self._clock(), cost_of()
                wait = max(gate, *(window.wait(cost, now) for window in self._all()), 0.0)
                if gate > PATIENCE:
                    why = f"rate limit: the system asked for a pause, {gate:.0f} s of it are left"
                    turn.set_exception(Retry(why, after=gate))
                elif wait > 0.0:
                    if wait < inf:
                        self._timer = asyncio.get_running_loop().call_later(wait, self._advance)
                    return
                else:
                    for window in self._all():
                        window.left(cost, listed=listed)
                    turn.set_result(cost)
            self._line.popleft()

    def _answered(self, cost: int, *, listed: bool) -> None:
        for window in self._all():
            window.answered(cost, self._clock(), listed=listed)
        self._advance()
        for one in self._within._inner if self._within is not None else ():  # noqa: SLF001
            one._advance()  # noqa: SLF001

    def _crowded(self) -> bool:
        return any(window.crowded(self._clock()) for window in self._all())

    def _all(self) -> Iterable[Window]:
        """The windows here and around."""
        return self._windows if self._within is None else [*self._windows, *self._within._all()]  # noqa: SLF001
