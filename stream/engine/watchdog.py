"""Ends a process that stands still while records wait: whoever supervises it starts another one.

Two ways to stand still are told apart from waiting. The event loop does not turn any more: a body never came back. Or
it turns, and a lane has a commit on its way that does not land, or records that nobody works on, for two minutes. A
lane that waits for a system is neither: its calls wait as long as the system is away, so of lanes that call systems
only the commits are watched. A lane that is held waits for a person.

The loop says how the lanes are, once a second; a thread of its own counts the seconds, because a loop that stands
cannot. It counts its own looks and not the clock: a process that was stopped or a machine that slept has lost no look.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Final

from stream.engine.lanes import Lane
from stream.engine.log import EngineError, LaneId

PATIENCE: Final = 120
"""Looks, a second apart."""

logger = logging.getLogger(__name__)


class Watchdog:
    """Looks after the lanes of one process; ``steady`` are the agents that never wait for a network."""

    def __init__(
        self,
        steady: frozenset[str],
        *,
        patience: int = PATIENCE,
        every: float = 1.0,
        end: Callable[[str], object] | None = None,
    ) -> None:
        self._steady = steady
        self._patience = patience
        self._every = every
        self._end = end or _end
        self._still: dict[LaneId, tuple[int, int]] = {}
        """Per lane that ought to go on: its commits, and for how many beats it has had no other number."""
        self._missed = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._count, name="watchdog", daemon=True)
        self.reason = ""
        """Why it thinks that the process stands still; empty for one that works."""

    def beat(self, lanes: Sequence[Lane]) -> None:
        """The loop turns, and these are its lanes."""
        self._missed = 0
        still = {}
        for lane in lanes:
            ought = lane.flying or (lane.id.agent in self._steady and not lane.held and not _free(lane))
            if ought:
                commits, beats = self._still.get(lane.id, (lane.commits, -1))
                still[lane.id] = (commits, beats + 1) if commits == lane.commits else (lane.commits, 0)
        self._still = still
        stuck = ", ".join(str(lane) for lane, (_, beats) in still.items() if beats >= self._patience)
        self.reason = f"nothing was committed for {self._seconds}, and records wait: {stuck}" if stuck else ""

    @property
    def _seconds(self) -> str:
        return f"{self._patience * self._every:g} s"

    def look(self) -> bool:
        """Once per second, from beside the loop: whether all is well."""
        self._missed += 1
        if self._missed > self._patience:
            self.reason = f"the event loop has not turned for {self._seconds}"
        if self.reason:
            self._end(self.reason)
        return not self.reason

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    async def stop(self) -> None:
        """Look no more: the process ends by itself."""
        self._stopped.set()

    def _count(self) -> None:
        while not self._stopped.wait(self._every) and self.look():
            pass


def _free(lane: Lane) -> bool:
    """Whether there is nothing for it to do, or nothing may be begun any more."""
    return lane.draining or (lane.idle and not lane.waits())


def _end(reason: str) -> None:
    more = {"what": "stands_still"}
    logger.critical("%s; ending, so that a supervisor starts another worker", reason, extra=more)
    logging.shutdown()
    os._exit(EngineError.exit_code)
