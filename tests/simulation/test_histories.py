"""Random histories of small components: after the faults stop, everything is right."""

from __future__ import annotations

import os

import pytest

from tests.simulation.oracle import Oracle
from tests.simulation.shapes import MODES, SHAPES, history

HISTORIES = int(os.environ.get("LINKSTREAM_HISTORIES", "10"))
FIRST = int(os.environ.get("LINKSTREAM_SEED", "1"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_after_the_faults_everything_is_right(shape: str, mode: str) -> None:
    created = 0
    for seed in range(FIRST, FIRST + HISTORIES):
        world = history(shape, mode, seed)
        oracle = Oracle(world)
        problems = oracle.problems()
        writes = world.writes
        world.settle(3)
        if world.writes != writes:
            problems.append(f"{world.writes - writes} writes while nobody edits")
        world.close()
        assert not problems, f"{shape}, {mode}, seed {seed}:\n" + "\n".join(problems)
        created += oracle.counts["created"]
    assert created > 0


def test_the_same_seed_gives_the_same_history() -> None:
    one, two = (history("chain", "trims", 7) for _ in range(2))
    assert one.trace.hexdigest() == two.trace.hexdigest()
    assert one.crashes + one.lost > 0
    one.close()
    two.close()
