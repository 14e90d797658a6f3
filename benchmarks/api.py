"""What the systems are asked: requests per idle round and per edit, and how long a first load takes.

python benchmarks/api.py [--edits 3] [--entities 20000] [--systems asana,custompms] [--limited 120]

idle    all systems are read again and again and nothing changes: requests a round, beside those that the vendor's
        own feed of changes takes (FEED says why).
edits   one edit at a time, in every statement, there and back: requests about the record that follows, beside those
        that are needed (EDIT says why).
load    so many records in one system and none in the other, no limits: entities a second until all are linked, and the
        worker's memory. Then with the documented limit on, which the sandbox enforces: the time beside the one that
        the limit alone dictates for the writes that are needed.

Sandboxes count what they are asked, by the token that asks. They run in this process, which needs a fifth of the time
that the worker needs, and looks into the table of links only when all records have been made. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median_low
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402

from connectors.sandbox.run import Sandbox  # noqa: E402
from connectors.sandbox.server import PERSON, RateLimit  # noqa: E402
from stream.qa.stand import POLL, Stand, sandboxed  # noqa: E402
from stream.qa.trial import Side, Trial  # noqa: E402

TOPICS = ROOT / "topics.yaml"
ROUND = float(POLL.removesuffix("ms")) / 1000
OVERLAP = 125.0
"""Seconds for which connectors read again what changed."""
LATEST = 1_800.0
"""Seconds after which a load is given up."""

FEED: dict[str, tuple[Callable[[Sandbox], int], str]] = {
    "asana": (
        lambda box: 3 + _many(box, "project"),
        "lists of workspaces, teams and projects, which have no filter by change; and one of each project's tasks",
    ),
    "trello": (
        lambda _box: 3,
        "a list of workspaces and of a workspace's members; and one of its boards, which says where nothing happened",
    ),
    "powerofficego": (lambda _box: 3, "a list by time of change of each of three types"),
    "custompms": (lambda _box: 3, "a list by time of change of each of three types"),
    "customerp": (
        lambda box: 4 + _many(box, "customer"),
        "customers, projects and employees by time of change; contacts are listed below each customer only",
    ),
    "crmoffice": (
        lambda box: sum(-(-_many(box, type) // 100) for type in ("company", "contact", "activity")),
        "whole lists of three types, in pages of a hundred: there is no filter by change",
    ),
}
"""What an idle round must ask of each system, all types at one interval; and why it cannot be less."""

EDIT: dict[str, tuple[int, str]] = {
    **dict.fromkeys(("asana", "trello", "custompms", "crmoffice"), (2, "nothing compares and sets: read, write")),
    "powerofficego": (
        3,
        "a patch compares what it replaces; but a customer's, it is answered with nothing and read back",
    ),
    "powerofficego.customers": (2, "a patch compares what it replaces, and is answered with the record"),
    "customerp": (3, "nothing compares and sets, and a write is answered with nothing: read, write, read back"),
}
"""Requests that an edit must cost the system that follows, or one type of it, and why."""

LIMIT: dict[str, tuple[int, float]] = {
    "asana": (1_500, 60.0),
    "trello": (100, 10.0),
    "powerofficego": (10, 1.0),
    "custompms": (3_000, 60.0),
    "customerp": (600, 60.0),
    "crmoffice": (100, 10.0),
}
"""Requests in seconds: what the vendors document for a token; for the others what their declarations say."""

LOADS: dict[str, tuple[str, str, list[tuple[str, str]]]] = {
    "custompms": ("asana.tasks", "custompms.task", [("name", "title"), ("notes", "description")]),
    "asana": ("custompms.task", "asana.teams", [("title", "name"), ("description", "description")]),
    "trello": ("custompms.task", "trello.cards", [("title", "name"), ("description", "desc")]),
    "powerofficego": ("custompms.task", "powerofficego.departments", [("title", "Name")]),
    "customerp": ("custompms.task", "customerp.customer", [("title", "name"), ("description", "comment")]),
    "crmoffice": ("custompms.task", "crmoffice.activities", [("title", "subject"), ("description", "note")]),
}
"""The flow by which each system is filled: from, to, fields."""

CREATE = {"customerp": 2}
"""Requests that a new record needs, where it is not one: a write is answered with nothing, and read back."""


def _many(box: Sandbox, type: str) -> int:
    return len(box.system.tables[type])  # type: ignore[attr-defined]


def asked(box: Sandbox) -> list[tuple[str, str]]:
    """What linkstream asked since the last ``forget``: method and path, and of a batch all that is in it. No tokens."""
    ours = [one for one in box.world.exchanges or () if PERSON not in str(one.headers)]
    calls = [
        (one.method, path)
        for one in ours
        for path in (one.query["urls"].split(",") if one.path.endswith("/batch") else (one.path,))
    ]
    return [(method, path) for method, path in calls if "token" not in path.lower()]


def forget(stand: Stand) -> None:
    for box in stand.sandboxes.values():
        assert box.world.exchanges is not None
        box.world.exchanges.clear()


async def quiet(stand: Stand) -> None:
    """Wait until nothing is written any more."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 2.0:
        now = sum(len(box.truth) for box in stand.sandboxes.values())
        if now != last:
            last, since = now, time.monotonic()
        await asyncio.sleep(0.1)


async def idle(stand: Stand, seconds: float) -> dict[str, dict[str, Any]]:
    """Requests a round while nothing happens; rounds are counted, because each takes its interval and its requests."""
    forget(stand)
    await asyncio.sleep(seconds)
    found = {}
    for name, box in stand.sandboxes.items():
        calls = Counter(path for _, path in asked(box))
        rounds = max(1, median_low(calls.values() or [1]))  # whatever is asked at the edge of the overlap is asked once
        need, why = FEED[name][0](box), FEED[name][1]
        found[name] = {"a round": round(calls.total() / rounds, 2), "minimum": need, "why": why}
    return found


async def edits(stand: Stand, count: int) -> dict[str, dict[str, Any]]:
    """Requests about a record that follows an edit, by the system that is written to."""
    found: dict[str, list[tuple[int, int]]] = {}
    for flow in stand.topology.flows.flows.values():
        trial = Trial(flow, stand)
        await trial.prepare()
        await trial.link()
        if trial.pair is None:
            continue
        await quiet(stand)
        for left in (True, False) * count:
            side = next((Side(pair, left) for pair in flow.pairs if pair.direction == "both"), None)
            if side is None:
                break
            type = flow.right if left else flow.left
            there = type.partition(".")[0]
            forget(stand)
            try:
                expected = await trial.typed(side)
            except Exception as error:  # noqa: BLE001 - a person may not be able to edit it; others are tried
                print(f"{flow.name}: {error}", file=sys.stderr)
                break
            if expected is None or await trial.shown(expected) is None:
                continue
            await asyncio.sleep(2 * ROUND)
            id = expected.target.partition(":")[2].rpartition("/")[2]
            about = [call for call in asked(stand.sandboxes[there]) if call[1].endswith(f"/{id}")]
            if any(method != "GET" for method, _ in about):
                found.setdefault(there, []).append((len(about), EDIT.get(type, EDIT[there])[0]))
                print(f"{flow.name}: {there}: {about}", file=sys.stderr, flush=True)
    return {
        name: {
            "edits": len(each),
            "requests": round(sum(made for made, _ in each) / len(each), 2),
            "minimum": round(sum(least for _, least in each) / len(each), 2),
            "why": EDIT[name][1],
        }
        for name, each in found.items()
    }


@asynccontextmanager
async def everything() -> AsyncIterator[Stand]:
    """All systems with all statements between them, linked."""
    with tempfile.TemporaryDirectory(prefix="linkstream-bench-") as name:
        async with sandboxed(TOPICS, Path(name), count=20, record=True, patience=8.0) as stand:
            await stand.worker.start()
            await asyncio.sleep(5)
            await quiet(stand)
            yield stand


async def edited(count: int) -> dict[str, Any]:
    """Edits over all statements."""
    async with everything() as stand:
        return {"edits": await edits(stand, count)}


async def rested() -> dict[str, Any]:
    """Idle rounds, when the last write is behind the overlap that is read again."""
    async with everything() as stand:
        await asyncio.sleep(OVERLAP)
        return {"idle": await idle(stand, 15.0)}


@asynccontextmanager
async def pair(target: str, entities: int, limits: dict[str, Any]) -> AsyncIterator[tuple[Stand, str]]:
    """A stand with one flow into an empty system; the other one holds the records."""
    source, into, fields = LOADS[target]
    written = {name: {"connector": name} for name in (source.partition(".")[0], target)}
    with tempfile.TemporaryDirectory(prefix="linkstream-bench-") as name:
        config = Path(name) / "load.yaml"
        said = [{"from": left, "to": right} for left, right in fields]
        flow = {"from": source, "to": into, "create": "forward", "match": [dict(fields[:1])], "fields": said}
        topics = {source: {"poll": "30s"}, into: {"poll": "15s"}}
        config.write_text(json.dumps({"broker": "sqlite:///x", "systems": written, "topics": topics, "flows": [flow]}))
        async with sandboxed(config, Path(name), count=0, settings=limits, poll=None) as stand:
            made = stand.sandboxes[source.partition(".")[0]]
            made.system.seed(entities, 1)
            yield stand, f"{source}~{into}"


async def load(target: str, entities: int, *, limited: bool = False) -> dict[str, Any]:
    """A first load into one system: until every record has its twin and the link is written down."""
    free = {"windows": [[1_000_000, 1.0]], "below": {}, "reads": 32, "writes": 32}
    async with pair(target, entities, {} if limited else {"limits": free}) as (stand, name):
        flow, box = stand.topology.flows.flows[name], stand.sandboxes[target]
        if limited:
            box.world.limit = RateLimit(*LIMIT[target])
        before, began = len(box.truth), time.monotonic()
        await stand.worker.start()
        assert stand.worker.process is not None
        while limited and len(box.truth) == before:  # until its first write it waits for the other system to be read
            await asyncio.sleep(0.01)
            began = time.monotonic()
        watched, most = psutil.Process(stand.worker.process.pid), 0
        while (done := len(box.truth) - before < entities) or len(stand.pairs(flow)) < entities:
            most = max(most, watched.memory_info().rss)
            if time.monotonic() - began > LATEST:
                raise TimeoutError(f"{name}: found {len(stand.pairs(flow))} links; {entities} would be right")
            await asyncio.sleep(0.1 if done else 1.0)
        took, cpu = time.monotonic() - began, watched.cpu_times()
        calls = sum(count for call, count in box.world.requests.items() if "oken" not in call)
    figures = {
        "entities": entities,
        "seconds": round(took, 1),
        "entities/s": round(entities / took, 1),
        "worker's CPU s": round(cpu.user + cpu.system, 1),
        "peak MiB": round(most / 2**20, 1),
        "requests": calls,
        "machine's load": round(os.getloadavg()[0], 1),
    }
    if limited and box.world.limit is not None:
        most_calls, window = LIMIT[target]
        needed = entities * CREATE.get(target, 1)
        figures["dictated s"] = (needed - 1) // most_calls * window  # as many as may in each window, at once
        figures["too many"] = box.world.limit.refused
    return figures


def entities_for(target: str, seconds: float) -> int:
    """Answer so many records that the limit dictates about so many seconds; the last window is hardly begun."""
    calls, window = LIMIT[target]
    return (max(1, round(seconds / window)) * calls + calls // 20) // CREATE.get(target, 1) + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--edits", type=int, default=3)
    parser.add_argument("--entities", type=int, default=20_000)
    parser.add_argument("--limited", type=float, default=120, help="seconds that limits are to dictate; 0 for none")
    parser.add_argument("--systems", default=",".join(LOADS), help="those that are filled")
    given = parser.parse_args()
    figures: dict[str, Any] = {**asyncio.run(edited(given.edits)), **asyncio.run(rested())} if given.edits else {}
    for name in filter(None, given.systems.split(",")):
        if given.entities:
            figures.setdefault("load", {})[name] = asyncio.run(load(name, given.entities))
            print(name, figures["load"][name], file=sys.stderr, flush=True)
        if given.limited > 0:
            many = entities_for(name, given.limited)
            figures.setdefault("limited", {})[name] = asyncio.run(load(name, many, limited=True))
            print(name, figures["limited"][name], file=sys.stderr, flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
