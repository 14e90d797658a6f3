"""The lanes of one actor, as its body sees them, and what happens when the body fails.

A body asks for units; asking for the next one says that the last one is done. An exception never commits anything. The
same unit is tried again a few times with short holds (of its lane alone: the others go on), then in halves, which
commit on the way, until one record is left; that one goes to the topic ``parked`` with its bytes and its error, and
its offset moves in the same commit. A lane that parks more than ten records in a minute is stopped: that is our bug,
not a record.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from msgspec import Struct

from stream.engine.lanes import Lane, LaneUnit
from stream.engine.log import EngineError
from stream.errors import TooLarge
from stream.parking import park

ALARM = (10, 60.0)  # more than so many parked records in so many seconds stop a lane
LONGEST = 30.0  # seconds between two starts of a body that fails without a unit

logger = logging.getLogger(__name__)


def told_to_end() -> bool:
    """Whether somebody has cancelled this task; a cancellation may also come from what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Trouble(Struct):
    """A lane whose body failed: so many records from its backlog's head are suspects, tried ``limit`` at a time."""

    suspects: int
    limit: int
    tries: int = 0
    error: Exception | None = None  # of the one record that is to be parked


class Feed:
    """What a body gets as its stream: ``units`` and ``lanes``.

    Lanes can be taken away: ``end`` lets the body finish, ``begin`` has it called again over others.
    """

    def __init__(self, lanes: Sequence[Lane], *, stage: str, retries: int = 2, until_idle: bool = False) -> None:
        self.lanes = tuple(lanes)
        self.stage = stage
        self._retries = retries
        self._until_idle = until_idle
        self._wake = asyncio.Event()
        self._finishing: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._out: tuple[Lane, LaneUnit] | None = None
        self._falls = 0
        self._first = 0
        self._closed = False
        self._given = asyncio.Event()
        self.idle = asyncio.Event()  # no body runs
        self.idle.set()
        self._running: asyncio.Future[None] | None = None
        self.begin(lanes)

    # Ownership

    def begin(self, lanes: Sequence[Lane]) -> None:
        """These are the lanes from now on."""
        self.lanes = tuple(lanes)
        self._troubles: dict[Lane, Trouble] = {}
        self._parked: dict[Lane, deque[float]] = {lane: deque(maxlen=ALARM[0] + 1) for lane in self.lanes}
        self._ending = self._interrupted = False
        for lane in self.lanes:
            lane.on_ready = self._wake.set
        self._given.set()

    def end(self, *, closed: bool = False) -> None:
        """Give out no more units; the body ends when it asks for the next. ``closed``: and for good."""
        self._given.clear()
        self._ending = True
        self._closed = self._closed or closed
        if self._closed:
            self._given.set()
        for lane in self.lanes:
            lane.draining = True
        self._wake.set()

    def interrupt(self) -> None:
        """End a body that does not end by itself; what it has in hand comes again, to whoever has the lane then."""
        if self._running is not None and not self._running.done():
            self._interrupted = True
            self._running.cancel()

    async def given(self) -> bool:
        """Wait for lanes after the body has ended; no, when none will come."""
        if self._until_idle or not self._ending:
            return False
        await self._given.wait()
        return not self._closed

    async def run(self, body: Awaitable[None]) -> None:
        """Await a body that ``interrupt`` may end."""
        self._running = asyncio.ensure_future(body)
        self.idle.clear()
        try:
            await self._running
        except asyncio.CancelledError as error:
            if self._interrupted and self._running.done():
                return
            if told_to_end():
                raise
            raise RuntimeError("the body was cancelled from inside, by something that it waited for") from error
        finally:
            self._running.cancel()
            self._running = None
            self.idle.set()

    async def units(self, limit: int = 500) -> AsyncGenerator[LaneUnit, None]:
        """Units of at most ``limit`` records of one lane; the next commits the last. Ends when the process drains."""
        self._take_back()
        while (lane := await self._ready(limit)) is not None:
            trouble = self._troubles.get(lane)
            if trouble is not None and trouble.error is not None:
                await self._park(lane, trouble.error)
                continue
            unit = lane.take(limit if trouble is None else min(limit, trouble.limit))
            self._out = lane, unit
            yield unit
            if self._out is None or self._out[1] is not unit:
                return  # the body was called again; an old loop of it commits nothing
            self._out, self._falls = None, 0
            self._finish(lane, unit)
            self._went_well(lane, len(unit))
            await asyncio.sleep(0)  # timers and networks go on between two units

    def _finish(self, lane: Lane, unit: LaneUnit) -> None:
        """Commit in the background: while an earlier commit of this lane flies, the others have the body."""
        task = asyncio.ensure_future(lane.finish(unit))
        self._finishing.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._finishing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
            self._wake.set()

    async def _ready(self, limit: int) -> Lane | None:
        """The next lane in turns that has something to do; one whose commit has landed if there is one."""
        while True:
            self._wake.clear()
            if failure := self._failure or next((lane.failure for lane in self.lanes if lane.failure), None):
                raise failure
            ready = [lane for lane in self._in_turns() if lane.ready(limit)]
            if ready:
                lane = next((lane for lane in ready if not lane.flying), ready[0])
                self._first = self.lanes.index(lane) + 1
                return lane
            if self._over():
                await asyncio.gather(*self._finishing)
                for lane in self.lanes:
                    await lane.settled()
                    if self._until_idle:
                        await lane.claim.catch_up()
                if self._over():  # what was committed just now may wait in these very lanes
                    return None
                continue
            await self._wake.wait()

    def _in_turns(self) -> tuple[Lane, ...]:
        first = self._first % max(1, len(self.lanes))
        return self.lanes[first:] + self.lanes[:first]

    def _over(self) -> bool:
        if self._ending or any(lane.draining for lane in self.lanes):
            return True
        return self._until_idle and all(lane.idle and not lane.held and not lane.waiting() for lane in self.lanes)

    def _take_back(self) -> None:
        if self._out is not None:
            lane, unit = self._out
            self._out = None
            lane.give_back(unit)

    # Failures

    def failed(self, error: Exception) -> float:
        """The body raised: decide what comes next. Returns seconds to wait before it is called again."""
        if self._out is None:
            self._falls += 1
            return min(LONGEST, 0.1 * 2.0**self._falls)
        lane, unit = self._out
        self._take_back()
        trouble = self._troubles.setdefault(lane, Trouble(len(unit), len(unit)))
        if trouble.tries < self._retries:
            trouble.tries += 1
            self._hold(lane, 0.1 * trouble.tries)
        elif len(unit) > 1:
            trouble.suspects, trouble.limit = len(unit), len(unit) // 2
        else:
            trouble.error = error
        return 0.0

    def _went_well(self, lane: Lane, count: int) -> None:
        trouble = self._troubles.get(lane)
        if trouble is None:
            return
        trouble.suspects -= count
        trouble.limit = max(1, trouble.suspects // 2)
        if trouble.suspects <= 0:
            del self._troubles[lane]

    def _hold(self, lane: Lane, seconds: float) -> None:
        lane.held = True

        def go_on() -> None:
            lane.held = False
            lane.on_ready()

        asyncio.get_running_loop().call_later(seconds, go_on)

    async def _park(self, lane: Lane, error: Exception) -> None:
        unit = lane.take(1)
        record = next(iter(unit))
        park(unit, record, self.stage, error, "the stage failed on this record alone")
        await lane.finish(unit)
        del self._troubles[lane]
        more = {"what": "parked", "ref": record.key.decode(errors="replace")}
        place = f"{record.topic}/{record.partition}@{record.offset}"
        logger.error("parked %s: %s", place, type(error).__name__, extra=more)
        most, seconds = ALARM
        if isinstance(error, TooLarge):
            return  # that is nobody's bug
        times = self._parked[lane]
        times.append(asyncio.get_running_loop().time())
        if len(times) > most and times[-1] - times[0] < seconds:
            lane.held = True
            lane.log.alarm(
                f"lane {lane.id} stopped: parked {len(times)} records within {seconds:.0f} s, last {record.topic}"
            )


async def attend(
    feed: Feed,
    call: Callable[[], Awaitable[None]],
    *,
    first: Awaitable[None] | None = None,
) -> None:
    """Run a body over its feed, again after every failure and over new lanes. Raises ``EngineError`` only."""
    running = first if first is not None else call()
    while True:
        try:
            await feed.run(running)
        except EngineError:
            raise
        except Exception as error:  # the edge of every stage
            seconds = feed.failed(error)
            more = {"what": "stage_failed", "stage": feed.stage}
            logger.warning("%s failed: %s: %s", feed.stage, type(error).__name__, error, exc_info=error, extra=more)
            await asyncio.sleep(seconds)
            running = call()
        else:
            if not await feed.given():
                return
            running = call()
