"""Waiting out an outage, once for everybody who calls a system.

``Guarded`` stands before an endpoint and counts failures that mean "the system is not there": no connection, no
answer in time, 5xx, no access. After some in a row it closes the way: calls wait instead of failing, one at a time
goes through to try, later and later, and the first success lets all the others go on. So nothing is set aside
because of an outage, and a system that struggles is not stormed. A record that the system will not take says
nothing about the system, and a request to slow down (429) is obeyed without being an outage.

Decisions are in ``Breaker``, which is pure; time and chance are handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeAlias, TypeVar

from msgspec import Struct

from connectors.endpoint import Cursor, Endpoint, Entity, Page, Time, Traits, Usage
from connectors.errors import ConnectorError, Locked, Refused, Retry, Unsure

T = TypeVar("T")


class Ok(Struct, frozen=True, tag="ok"):
    """Calls go through."""


class Paused(Struct, frozen=True, tag="paused"):
    """The system asked for a pause; ``until`` is on the breaker's clock, in seconds."""

    until: float
    reason: str


class Down(Struct, frozen=True, tag="down"):
    """The system does not answer; it is tried again ``until`` then."""

    since: float
    until: float
    reason: str


class Shut(Struct, frozen=True, tag="locked"):
    """The credentials do not open the system; it is tried again ``until`` then."""

    since: float
    until: float
    reason: str


State: TypeAlias = Ok | Paused | Down | Shut


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``failures`` in a row are an outage; then tries come after ``first`` seconds, doubling up to ``longest``."""

    failures: int = 3
    first: float = 1.0
    longest: float = 60.0


def delay(attempt: int, settings: Settings, *, roll: float) -> float:
    """Answer the seconds until the next try; ``roll`` is 0 to 1 and spreads tries over the second half."""
    whole = min(settings.longest, settings.first * 2.0 ** min(attempt, 32))
    return whole * (0.5 + roll / 2.0)


class Breaker:
    """What is known about one system's health, and whether a call may go through."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float], roll: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._roll = roll
        self._failures = 0
        self._attempt = 0
        self._state: State = Ok()

    def state(self) -> State:
        """Tell how the system is, for people."""
        match self._state:
            case Paused(until) if until <= self._clock():
                return Ok()
            case state:
                return state

    def wait(self) -> float:
        """Answer the seconds until the next call may go through; zero if now."""
        match self._state:
            case Ok():
                return 0.0
            case Paused(until) | Down(_, until) | Shut(_, until):
                return max(0.0, until - self._clock())

    def single(self) -> bool:
        """Tell whether only one call at a time may go through, to try."""
        return isinstance(self._state, Down | Shut)

    def succeeded(self) -> None:
        """Learn that the system answered: whatever it was before, it is well now."""
        self._failures = 0
        self._attempt = 0
        if not isinstance(self._state, Paused) or self._state.until <= self._clock():
            self._state = Ok()

    def failed(self, error: ConnectorError) -> None:
        """Learn from an error; those about a record mean that the system answered."""
        now = self._clock()
        match error:
            case Retry(after=after) if after:  # "at once" is no pause: said again and again, it is an outage
                self._state = Paused(now + after, str(error))
            case Retry() | Unsure() | Locked():
                self._failures += 1
                if self._failures >= self._settings.failures or self.single():
                    self._open(error, now)
            case Refused() if self.single():
                pass  # may have been refused here, without asking the system
            case _:
                self.succeeded()

    def _open(self, error: ConnectorError, now: float) -> None:
        since = self._state.since if isinstance(self._state, Down | Shut) else now
        until = now + delay(self._attempt, self._settings, roll=self._roll())
        self._attempt += 1
        self._state = (Shut if isinstance(error, Locked) else Down)(since, until, str(error))


class Guarded:
    """An endpoint whose calls wait while its system is away."""

    def __init__(
        self,
        endpoint: Endpoint,
        breaker: Breaker,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._breaker = breaker
        self._sleep = sleep
        self._trying = asyncio.Lock()

    def state(self) -> State:
        """Tell how the system is, for people."""
        return self._breaker.state()

    def traits(self) -> Mapping[str, Traits]:
        """Tell what each entity type can do."""
        return self._endpoint.traits()

    def clock_ahead(self) -> float | None:
        """Tell by how many seconds the system's clock is ahead of ours."""
        return self._endpoint.clock_ahead()

    def usage(self) -> Usage:
        """Tell what was asked of the system, and how much may still be asked."""
        return self._endpoint.usage()

    async def page(self, type: str, cursor: Cursor) -> Page:
        """Read what comes after the cursor."""
        return await self._through(lambda: self._endpoint.page(type, cursor))

    async def read(self, type: str, id: str) -> Entity:
        """Read one record."""
        return await self._through(lambda: self._endpoint.read(type, id))

    async def find(self, type: str, marker: str, since: Time) -> tuple[Entity, ...]:
        """Find the records with this marker."""
        return await self._through(lambda: self._endpoint.find(type, marker, since))

    async def recent(self, type: str, since: Time) -> tuple[Entity, ...]:
        """List the records created since."""
        return await self._through(lambda: self._endpoint.recent(type, since))

    async def create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        """Create a record, marked."""
        return await self._through(lambda: self._endpoint.create(type, wanted, marker))

    async def update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Change these paths of a record."""
        return await self._through(lambda: self._endpoint.update(type, base, wanted))

    async def remove(self, type: str, base: Entity, how: Literal["archive", "delete"]) -> None:
        """Archive or delete a record."""
        return await self._through(lambda: self._endpoint.remove(type, base, how))

    async def close(self) -> None:
        """Give connections back."""
        await self._endpoint.close()

    async def _through(self, call: Callable[[], Awaitable[T]]) -> T:
        """Let the call through when the way is open, or as the one that tries. A call that fails, fails."""
        while self._breaker.wait() > 0.0 or self._breaker.single():
            async with self._trying:
                while (wait := self._breaker.wait()) > 0.0:
                    await self._sleep(wait)
                if self._breaker.single():
                    return await self._watched(call)
        return await self._watched(call)

    async def _watched(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await call()
        except ConnectorError as error:
            self._breaker.failed(error)
            raise
        self._breaker.succeeded()
        return answer
