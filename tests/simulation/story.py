"""A failing history as a short story: ``python -m tests.simulation.story SHAPE MODE SEED [SECONDS]``.

Runs the history again, leaves out steps and faults as long as the same kind of problem remains, and tells in words
what is left: who typed what, what was written, what crashed, what was wrong.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tests.simulation.histories import Plan, judged, plan
from tests.simulation.systems import SECOND, Quirks
from tests.simulation.world import Faults

HOW = "python -m tests.simulation.story"
BEGINNING = 1_700_000_000 * SECOND


def kind_of(drawn: Plan) -> str:
    """The kind of the first problem of a history; empty if everything is right."""
    world, _, problems = judged(drawn)
    world.close()
    return problems[0].partition(":")[0] if problems else ""


def shrunk(drawn: Plan, seconds: float = 60.0) -> Plan:
    """A shorter history with a problem of the same kind, the shortest that is found in time."""
    until, kind = time.monotonic() + seconds, kind_of(drawn)

    def holds(tried: Plan) -> bool:
        return time.monotonic() < until and kind_of(tried) == kind

    for field in Faults.__struct_fields__:
        tried = replace(drawn, faults=replace(drawn.faults, **{field: getattr(Faults(), field)}))
        drawn = tried if tried.faults != drawn.faults and holds(tried) else drawn
    drawn = _first(drawn, holds, stalled=(-1, 0, 0), partitions=1)
    length = 0
    while length != len(drawn.steps) and time.monotonic() < until:
        length = len(drawn.steps)
        drawn = _without_steps(drawn, holds)
    for place, step in enumerate(drawn.steps):
        if not step.calm:
            steps = (*drawn.steps[:place], replace(step, calm=True), *drawn.steps[place + 1 :])
            drawn = _first(drawn, holds, steps=steps)
    return drawn


def _first(drawn: Plan, holds: Callable[[Plan], bool], **fields: Any) -> Plan:
    for name, value in fields.items():
        tried = replace(drawn, **{name: value})
        drawn = tried if holds(tried) else drawn
    return drawn


def _without_steps(drawn: Plan, holds: Callable[[Plan], bool]) -> Plan:
    size = max(1, len(drawn.steps) // 2)
    while size:
        start = 0
        while start < len(drawn.steps):
            tried = replace(drawn, steps=drawn.steps[:start] + drawn.steps[start + size :])
            if holds(tried):
                drawn = tried
            else:
                start += size
        size //= 2
    return drawn


def manners(quirks: Quirks) -> str:
    """What is not usual about a system."""
    usual = Quirks()
    told = ((name, getattr(quirks, name)) for name in Quirks.__struct_fields__)
    return ", ".join(f"{name}={value!r}" for name, value in told if value != getattr(usual, name)) or "as usual"


def story(drawn: Plan) -> str:
    """A history in words."""
    world, _, problems = judged(drawn)
    lines = [f"{drawn.shape}, {drawn.mode}, seed {drawn.seed}: {len(drawn.steps)} steps, {drawn.partitions} partitions"]
    lines += [f"  {name}: {manners(quirks)}" for name, quirks in drawn.quirks.items() if name in world.systems]
    for at, text, about in world.told:
        lines.append(f"{(at - BEGINNING) / SECOND:10.3f}  {text.format(*about)}")
    lines += [*(f"WRONG  {problem}" for problem in problems or ["nothing"])]
    lines += [f"{ref}: {world.record(ref)['fields']}" for ref in sorted(world.rows())]
    world.close()
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    shape, mode, seed = arguments[:3]
    drawn = plan(shape, mode, int(seed))
    if not kind_of(drawn):
        print(f"{shape}, {mode}, seed {seed}: everything is right")
        return 0
    print(story(shrunk(drawn, float(arguments[3]) if len(arguments) > 3 else 60.0)))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
