"""Random histories of small components: during the faults nothing is harmed, after them everything is right."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.simulation.histories import combinations, judged, plan, walk

COMBINATIONS = combinations()
HISTORIES = max(1, int(os.environ.get("LINKSTREAM_HISTORIES", "1200")) // len(COMBINATIONS))
FIRST = int(os.environ.get("LINKSTREAM_SEED", "1"))


@pytest.fixture(scope="module")
def totals() -> Iterator[Counter[str]]:
    """What all histories compared; a check that compared nothing looked away."""
    counts: Counter[str] = Counter()
    yield counts
    if counts["histories"] == HISTORIES * len(COMBINATIONS):
        for check in COMPARED:
            assert counts[check], f"{check}: nothing was compared in any history"
    print("\n" + told(counts))


COMPARED = (
    "ends linked",
    "names without a link",
    "links",
    "created",
    "names",
    "values agreed",
    "references",
    "edits apart",
    "created if connected",
    "edits by time",
    "edits",
    "writes against edits",
    "rows at rest",
    "silences",
    "replays",
    "fields written",
    "overwritten",
    "creates",
    "versions",
)


def told(counts: Counter[str]) -> str:
    return "\n".join(f"{count:>12,} {name}" for name, count in sorted(counts.items()))


@pytest.mark.timeout(0)
@pytest.mark.parametrize(("shape", "mode"), COMBINATIONS)
def test_whatever_goes_wrong_everything_is_right(shape: str, mode: str, totals: Counter[str]) -> None:
    for seed in range(FIRST, FIRST + HISTORIES):
        world, oracle, problems = judged(plan(shape, mode, seed))
        world.close()
        wrong = "\n  ".join(problems)
        again = f"python -m tests.simulation.story {shape!r} {mode!r} {seed}"
        assert not problems, f"{shape}, {mode}, seed {seed}:\n  {wrong}\nThe story: {again}"
        totals.update(oracle.counts, histories=1, steps=world.steps, crashes=world.crashes, **world.happened)
        totals["answers lost"] += world.lost


def test_the_same_seed_gives_the_same_history() -> None:
    one, two = (walk(plan("chain", "trims", 7)) for _ in range(2))
    assert one.trace.hexdigest() == two.trace.hexdigest()
    one.close()
    two.close()
