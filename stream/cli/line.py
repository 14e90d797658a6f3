"""The live line under a running worker on a terminal."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress

from stream.worker import Worker

MARKS = {"ok": "ok", "paused": "paused", "down": "DOWN", "locked": "LOCKED"}


def show(worker: Worker) -> None:
    """Keep one line about the worker on the terminal."""

    @worker.app.task  # type: ignore[untyped-decorator]  # Faust's own
    async def line() -> None:
        await keep(worker)


async def keep(worker: Worker) -> None:
    """Write the line again every second, as long as there is a terminal; the work goes on without one."""
    began = time.monotonic()
    with suppress(OSError):
        while True:
            sys.stderr.write(f"\r\x1b[2K{said(worker, time.monotonic() - began)}")
            sys.stderr.flush()
            await asyncio.sleep(1.0)


def said(worker: Worker, seconds: float) -> str:
    """One line: how long it runs, how each system is, what was written, what waits."""
    state = worker.state()
    systems = " ".join(f"{name} {MARKS[system['state']]}" for name, system in state["systems"].items())
    read = [kind for kind in state["types"].values() if kind["read_seconds_ago"] is not None]
    waiting = sum(waits for waits in worker.lag().values())
    hours, rest = divmod(int(seconds), 3600)
    return (
        f"{hours:d}:{rest // 60:02d}:{rest % 60:02d}  {systems}  read {len(read)}/{len(state['types'])} types"
        f"  written {sum(state['written'].values())}  waiting {waiting}"
    )
