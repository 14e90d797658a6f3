"""What every shape and mode did under one seed, as a number each: ``python -m tests.simulation.traces [backwards]``.

Two processes with different hash seeds, one of which walks backwards, must say the same: a history is its seed, and
nothing that another one left behind.
"""

from __future__ import annotations

import json
import sys
from hashlib import blake2b

from tests.simulation.histories import combinations, plan, walk

SEED = 1


def trace(shape: str, mode: str) -> str:
    """Everything that was put into the log, that happened and that was told."""
    world = walk(plan(shape, mode, SEED))
    told = repr((world.told, sorted(world.happened.items()), world.watch.problems, world.now)).encode()
    world.close()
    return blake2b(world.trace.digest() + told, digest_size=8).hexdigest()


def traces(*, backwards: bool = False) -> dict[str, str]:
    """One for each combination of a shape and a mode."""
    pairs = combinations()
    return {f"{shape}, {mode}": trace(shape, mode) for shape, mode in (reversed(pairs) if backwards else pairs)}


if __name__ == "__main__":
    print(json.dumps(traces(backwards="backwards" in sys.argv), sort_keys=True))
