"""What the systems are asked: requests per idle round and per edit, and how long a first load takes.

python benchmarks/api.py [--entities 20000] [--edits 10]

idle    every system is read again and again and nothing changes: requests per round and entity type, beside what the
        vendor's own feed of changes takes (MINIMUM says why).
edits   one edit at a time, there and back: requests for the record that follows, beside the two that are needed where
        nothing compares and sets: the read that says what is overwritten, and the write.
load    so many tasks in one system and none in the other, no limits: entities a second until all are linked, and the
        worker's memory. Then with a limit on: the time beside the one that the limit alone dictates.

Sandboxes count what they are asked, by the token that asks. Prints a table and one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402

from connectors.sandbox.run import Sandbox  # noqa: E402
from connectors.sandbox.server import PERSON  # noqa: E402
from stream.core.flows import Flow  # noqa: E402
from stream.qa.stand import Stand, sandboxed  # noqa: E402
from stream.qa.trial import Side, Trial  # noqa: E402

TOPICS = ROOT / "topics.yaml"
_NUMBER = re.compile(r"/[0-9a-f]{3,}\b|/\d+\b")

MINIMUM: dict[str, tuple[float, str]] = {
    "asana.workspaces": (1, "one list; there is no filter by change"),
    "asana.teams": (1, "one list of each organization"),
    "asana.projects": (1, "one list of each workspace"),
    "asana.tasks": (1, "one list of each project: modified_since works in no larger scope"),
    "custompms.customer": (1, "one list since the last change"),
    "custompms.project": (1, "one list since the last change"),
    "custompms.task": (1, "one list since the last change"),
}
"""Requests of an idle round, for each list that there must be, and why it cannot be fewer."""


def asked(box: Sandbox) -> Counter[str]:
    """What linkstream asked so far: method and path, ids left out."""
    return Counter(
        f"{one.method} {_NUMBER.sub('/{id}', one.path)}"
        for one in box.world.exchanges or ()
        if PERSON not in str(one.headers)
    )


def forget(stand: Stand) -> None:
    for box in stand.sandboxes.values():
        assert box.world.exchanges is not None
        box.world.exchanges.clear()


async def quiet(stand: Stand) -> None:
    """Wait until nothing is written any more."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 3.0:
        now = sum(len(box.truth) for box in stand.sandboxes.values())
        if now != last:
            last, since = now, time.monotonic()
        await asyncio.sleep(0.1)


async def idle(stand: Stand, seconds: float) -> dict[str, dict[str, float]]:
    """Requests a round while nothing happens; a round is one poll interval."""
    forget(stand)
    await asyncio.sleep(seconds)
    polls = {polled.system: polled.poll for polled in stand.topology.types.values()}
    return {
        name: {what: round(count * polls[name] / seconds, 2) for what, count in sorted(asked(box).items())}
        for name, box in stand.sandboxes.items()
    }


async def edits(stand: Stand, count: int) -> dict[str, dict[str, float]]:
    """Requests for each record that follows an edit, by the system that is written to."""
    found: dict[str, list[int]] = {}
    for flow in stand.topology.flows.flows.values():
        trial = Trial(flow, stand)
        await trial.prepare()
        await trial.link()
        if trial.pair is None:
            continue
        await quiet(stand)
        for _ in range(count):
            for left in (True, False):
                for pair in trial.two_way()[:1]:
                    there = (flow.right if left else flow.left).partition(".")[0]
                    forget(stand)
                    expected = await trial.typed(Side(pair, left))
                    if expected is None:
                        continue
                    await trial.shown(expected)
                    await asyncio.sleep(0.5)
                    id = expected.target.partition(":")[2]
                    calls = stand.sandboxes[there].world.exchanges or ()
                    about = [one for one in calls if PERSON not in str(one.headers) and f"/{id}" in one.path]
                    found.setdefault(there, []).append(len(about))
    return {
        name: {"edits": len(each), "requests an edit": round(sum(each) / len(each), 2), "minimum": 2}
        for name, each in found.items()
        if each
    }


async def load(entities: int, *, limit: tuple[int, float] | None = None) -> dict[str, float]:
    """A first load of one flow, into an empty system."""
    folder = tempfile.TemporaryDirectory(prefix="linkstream-bench-")
    with folder as name:
        own = {"windows": [list(limit or (1_000_000, 1.0))], "reads": 32, "writes": 32}
        async with sandboxed(TOPICS, Path(name), count=0, limit=limit, record=True, settings={"limits": own}) as stand:
            flow: Flow = stand.topology.flows.flows["asana.tasks~custompms.task"]
            stand.sandboxes["asana"].system.seed(entities, 1)
            began = time.monotonic()
            await stand.worker.start()
            assert stand.worker.process is not None
            watched, most = psutil.Process(stand.worker.process.pid), 0
            expected = len(stand.sandboxes["asana"].system.tables["task"])  # type: ignore[attr-defined]
            made: Callable[[], int] = lambda: len(stand.sandboxes["custompms"].system.tables["task"])  # type: ignore[attr-defined]  # noqa: E731
            while made() < expected:
                most = max(most, watched.memory_info().rss)
                await asyncio.sleep(0.1)
            while len(stand.pairs(flow)) < expected:
                most = max(most, watched.memory_info().rss)
                await asyncio.sleep(0.2)
            took = time.monotonic() - began
            writes = sum(truth.author == "linkstream" for truth in stand.sandboxes["custompms"].truth)
            calls = asked(stand.sandboxes["custompms"])
    figures = {
        "entities": 2 * expected,
        "seconds": round(took, 1),
        "entities/s": round(2 * expected / took, 1),
        "peak MiB": round(most / 2**20, 1),
        "writes": writes,
        "requests": calls.total(),
    }
    if limit is not None:
        figures["dictated seconds"] = round(calls.total() * limit[1] / limit[0], 1)
    print(calls.most_common(5))
    return figures


async def costs(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="linkstream-bench-") as name:
        async with sandboxed(TOPICS, Path(name), count=20, record=True) as stand:
            await stand.worker.start()
            await asyncio.sleep(2)
            await quiet(stand)
            return {"idle": await idle(stand, 12.0), "edits": await edits(stand, count)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entities", type=int, default=20_000)
    parser.add_argument("--edits", type=int, default=10)
    parser.add_argument("--limited", type=int, default=600, help="entities of the load with a limit")
    given = parser.parse_args()
    runs: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
        ("costs", lambda: costs(given.edits)),
        ("load", lambda: load(given.entities)),
        ("load, limited", lambda: load(given.limited, limit=(300, 30.0))),
    ]
    figures = {}
    for what, run in runs:
        figures[what] = asyncio.run(run())  # type: ignore[arg-type]
        print(what)
        print(json.dumps(figures[what], indent=2), flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
