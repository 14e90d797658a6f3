"""Agents and streams as Faust knows them, fed by lanes.

``stream.units(max)`` is all that a body needs; ``stream.lanes`` are for turns. The rest of a Faust stream (events,
``take``, ``group_by``, ``through``) is not fed and stays silent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from typing import TYPE_CHECKING, Any, cast

import faust
from faust.agents.agent import Agent as FaustAgent
from faust.streams import Stream as FaustStream

from stream.engine.feed import Feed, attend
from stream.engine.lanes import Lane, LaneUnit
from stream.engine.log import EngineError, LaneId

if TYPE_CHECKING:
    from stream.engine.app import App


class Stream(FaustStream[Any]):
    """A stream of units."""

    feed: Feed

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes of this actor; take a turn with ``async with lane.turn() as unit``."""
        return self.feed.lanes

    def units(self, limit: int = 500) -> AsyncGenerator[LaneUnit, None]:
        """Units of at most ``limit`` records; asking for the next one commits the last, an exception never does."""
        return self.feed.units(limit)


class Agent(FaustAgent):
    """An agent whose body is called again after a failure (``stream.engine.feed``). Pure bodies want no ``retries``."""

    def __init__(self, *args: Any, retries: int = 2, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.retries = retries

    def info(self) -> dict[str, Any]:
        """Arguments of a clone."""
        return {**super().info(), "retries": self.retries}

    def stream(self, *args: Any, concurrency_index: int | None = None, **kwargs: Any) -> Stream:
        """The stream of one actor: the lanes whose partition is its index, modulo the concurrency."""
        made = cast("Stream", super().stream(*args, concurrency_index=concurrency_index, **kwargs))
        app = cast("App", self.app)

        def mine(lane: LaneId) -> bool:
            return lane.agent == self.name and lane.partition % self.concurrency == (concurrency_index or 0)

        made.feed = Feed([lane for lane in app.lanes if mine(lane.id)], stage=self.name, retries=self.retries)
        app.feeds.append((mine, made.feed))
        return made

    async def _execute_actor(self, coro: Awaitable[None], aref: Any) -> None:
        if not isinstance(aref, Awaitable):
            raise faust.exceptions.ImproperlyConfigured(
                f"agent {self.name}: a body emits through its units and yields nothing"
            )
        stream = cast("Stream", cast("Any", aref).stream)
        try:
            await attend(stream.feed, lambda: cast("Awaitable[None]", self.fun(stream)), first=coro)
        except EngineError as error:
            cast("App", self.app).broker.on_fatal(error)
            await self.app.crash(error)
