"""How often and how much at once one credential may call: strict windows, slots, and the system's own "wait".

One budget belongs to one credential: systems count by token, so endpoints that share a token must share the
budget. Windows are what the vendor documents; the *gate* is what the vendor says now (429, 503). Short waits
happen here, long ones are given back to the caller as ``Retry`` so that nobody sleeps a quarter of an hour
inside a call. A budget may lie *within* another one, which others share: so many calls of a token, and so many of
the key that all tokens belong to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct
from pyrate_limiter import Limiter, Rate

from connectors.errors import Retry

_LONGER = 1.03
"""Windows are kept a little longer than they are said to be: what leaves in two may arrive in one, and be refused."""
PATIENCE = 2.0
"""Seconds that a call waits at a closed gate before it gives the wait back to its caller."""


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one credential may do. A window is (requests, seconds)."""

    windows: tuple[tuple[int, float], ...] = ()
    below: dict[str, tuple[tuple[int, float], ...]] = {}
    """Windows besides, for requests whose path begins so."""
    reads: int = 16
    """Reads in flight."""
    writes: int = 8
    """Writes in flight."""


class Budget:
    """The right to send the next request, given out in time. ``clock`` is monotonic seconds."""

    def __init__(
        self, limits: Limits, *, within: Budget | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limiter = _limiter(limits.windows) if limits.windows else None
        self._below = {path: (_limiter(windows), windows) for path, windows in limits.below.items()}
        self._within = within
        self._slots = {False: asyncio.Semaphore(limits.reads), True: asyncio.Semaphore(limits.writes)}
        self._clock = clock
        self._closed_until = 0.0

    def shut(self, seconds: float) -> None:
        """Let nothing through for so long, because the system asked for it."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)

    def wait(self) -> float:
        """Tell for how many seconds the gate is still closed, here or around it."""
        around = self._within.wait() if self._within is not None else 0.0
        return max(around, self._closed_until - self._clock())

    @asynccontextmanager
    async def slot(self, *, write: bool, path: str = "", cost: int = 1) -> AsyncIterator[None]:
        """Hold one of the slots while a request is under way. Raises Retry when the wait would be long.

        ``cost`` is as how many requests the system counts it.
        """
        async with self._slots[write]:
            while (wait := self.wait()) > 0.0:
                if wait > PATIENCE:
                    raise Retry(f"rate limit: the system asked for a pause, {wait:.0f} s of it are left", after=wait)
                await asyncio.sleep(wait)
            await self._take(path, cost)
            yield

    async def _take(self, path: str, cost: int) -> None:
        for head, (limiter, windows) in self._below.items():
            if path.startswith(head) and not await limiter.try_acquire_async("calls", weight=cost, timeout=PATIENCE):
                count, seconds = max(windows, key=lambda window: window[1])
                raise Retry(f"rate limit: {head}: {count} requests in {seconds:.0f} s are used up", after=seconds / 10)
        if self._limiter is not None:
            await self._limiter.try_acquire_async("calls", weight=cost)
        if self._within is not None:
            await self._within._take(path, cost)  # noqa: SLF001 - one of its own kind

    def close(self) -> None:
        """Give the limiters' helpers back; a budget around this one is others' too, and stays."""
        for limiter in (self._limiter, *(each for each, _ in self._below.values())):
            if limiter is not None:
                limiter.close()


def _limiter(windows: Sequence[tuple[int, float]]) -> Limiter:
    """A limiter that waits no longer than it must: by itself it adds a twentieth of a second to every wait."""
    return Limiter(_rates(windows), buffer_ms=5)


def _rates(windows: Sequence[tuple[int, float]]) -> list[Rate]:
    ordered = sorted(windows, key=lambda window: window[1])
    return [Rate(count, round(seconds * 1000 * _LONGER)) for count, seconds in ordered]
