"""All statements are tried at once, phase by phase, by one worker that is killed in the middle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from stream.core.flows import Flow
from stream.qa.checklist import CHECKS, Checklist
from stream.qa.stand import CannotTry, Stand
from stream.qa.trial import Trial

AT_ONCE = 8
"""Statements that are tried side by side."""


class Tryout:
    """Flows on a stand; ``said`` hears which phase it is."""

    def __init__(self, stand: Stand, flows: Iterable[Flow], said: Callable[[str], object]) -> None:
        self._stand = stand
        self._trials = [Trial(flow, stand) for flow in flows]
        self._said = said
        self._began = time.monotonic()

    async def _each(self, what: str, step: Callable[[Trial], Awaitable[None]]) -> None:
        self._said(what)
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(trial: Trial) -> None:
            async with turns:
                await step(trial)

        await asyncio.gather(*(one(trial) for trial in self._trials))

    async def prepare(self) -> None:
        """Make records that match, before the first worker starts.

        Made before its eyes, the first one would have a counterpart before the second one is there.
        """
        await self._each("people make records on both sides", Trial.prepare)

    async def ticked(self) -> Checklist:
        """Try everything, by a worker that runs; it is killed once. Raises CannotTry if none runs."""
        stand, each = self._stand, self._each
        self._began = time.monotonic()
        await each("records are linked", Trial.link)
        _check(stand)
        await each("every field is edited on both sides", Trial.edits)
        _check(stand)
        await stand.worker.kill()
        await each("the worker is killed, and people go on", Trial.kill)
        await stand.worker.start()
        await each("a new worker catches up", Trial.recovered)
        pause = 3.0 if not stand.live else 2 * max(polled.poll for polled in stand.topology.types.values()) + 5
        await each("nobody edits, and nothing may be written", lambda trial: trial.quiet(pause))
        await each("records are deleted", Trial.removal)
        _check(stand)
        return Checklist(
            statements=tuple(trial.statement for trial in self._trials),
            systems=tuple(stand.topology.systems),
            live=stand.live,
            seconds=round(time.monotonic() - self._began, 1),
        )


async def tried(stand: Stand, flows: Iterable[Flow], said: Callable[[str], object]) -> Checklist:
    """Try flows on a stand on which no worker runs yet. Raises CannotTry if none can be started."""
    tryout = Tryout(stand, flows, said)
    await tryout.prepare()
    await stand.worker.start()
    return await tryout.ticked()


def _check(stand: Stand) -> None:
    if not stand.worker.alive:
        raise CannotTry("\n".join(["the worker ended; its last words:", *stand.worker.last_words()]))


def incomplete(checklist: Checklist) -> list[str]:
    """Statements of which a check is missing: a check that was never tried cannot have passed."""
    return [
        f"{each.name}: {check}"
        for each in checklist.statements
        for check in CHECKS
        if check not in {result.check for result in each.results}
    ]
