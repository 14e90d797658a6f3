"""Random histories of small components: during the faults nothing is harmed, after them everything is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.histories import combinations, judged, plan
from tests.simulation.invariants import ABOUT, INVARIANTS, USUAL, Invariant
from tests.simulation.modes import MODES
from tests.simulation.story import HOW

ROOT = Path(__file__).parents[2]
COMBINATIONS = combinations()
HISTORIES = -(-int(os.environ.get("LINKSTREAM_HISTORIES", "1200")) // len(COMBINATIONS))
FIRST = int(os.environ.get("LINKSTREAM_SEED", "1"))


def walk(shape: str, mode: str, seed: int) -> Counter[str]:
    """What a history compared; fails with its story's command if something is wrong."""
    world, oracle, problems = judged(plan(shape, mode, seed))
    world.close()
    wrong = "\n  ".join(problems)
    assert not problems, f"{shape}, {mode}, seed {seed}:\n  {wrong}\nThe story: {HOW} {shape!r} {mode!r} {seed}"
    return oracle.counts + world.happened + Counter({"answers lost": world.lost})


@pytest.mark.timeout(0)
@pytest.mark.parametrize("mode", MODES)
def test_whatever_goes_wrong_everything_is_right(mode: str) -> None:
    counts: Counter[str] = Counter()
    for shape in [shape for shape, each in COMBINATIONS if each == mode]:
        for seed in range(FIRST, FIRST + HISTORIES):
            counts += walk(shape, mode, seed)
    print("\n".join(f"{count:>12,} {name}" for name, count in sorted(counts.items())))
    usual = [name for name in USUAL if name != "links" or "mutual" not in MODES[mode].excused]
    looked_away = [name for name in (*usual, *ABOUT.get(mode, ())) if not counts[name]]
    assert not looked_away, f"{mode}: compared nothing of {', '.join(looked_away)}"


FOUND = [
    ("diamond", "class 2, forgets", 278984000),
    ("diamond", "class 2, forgets", 278984003),
    ("diamond", "class 5, renames", 278984004),
    ("one way", "erased, at rest", 278984002),
    ("condition", "rewriters of one mind", 278984002),
    ("fan", "deletes, returns", 278984004),
    ("conflict", "cuts", 278984004),
    ("sets", "trims, names modifier", 278984004),
    ("two criteria crosswise", "skew that is known", 278984005),
    ("two criteria crosswise", "field later", 5002),
    ("both", "set aside", 282000012),
    ("both without match", "rollback, unseen", 282000007),
    ("both without match", "deletes, restored", 283000000),
    ("pair", "deletes, restored", 284000000),
    ("two criteria", "locked, odd, unmarked", 290000000),
    ("three criteria", "field later", 291000003),
    ("three criteria", "set aside", 293000003),
    ("condition", "refuses", 298000001),
    ("conflict", "erased", 284000001),
    ("conflict", "erased", 295000002),
    ("both without match", "deletes, restored", 300000000),
    ("two criteria crosswise", "class 5, rollback", 403000000),
    ("chain", "deletes, swarm", 403000000),
    ("two criteria crosswise", "deletes, kept", 405000003),
    ("conflict", "rollback", 406000000),
    ("both without match", "rollback", 430000001),
    ("both", "deletes, rollback", 28),
    ("fan", "deletes, rollback", 521100019),
    ("fan in", "deletes, rollback", 521100032),
]
"""Fresh seeds that once found something."""


@pytest.mark.parametrize(("shape", "mode", "seed"), FOUND)
def test_what_a_seed_once_found_stays_mended(shape: str, mode: str, seed: int) -> None:
    walk(shape, mode, seed)


def test_nothing_is_said_of_a_mode_that_is_gone() -> None:
    assert set(ABOUT) <= set(MODES)


@pytest.fixture(scope="module")
def compared() -> Counter[str]:
    """What a few histories of everything compare."""
    some = ["pair", "references", "conflict", "condition", "connected", "sets", "twenty"]
    modes = ["plain", "swarm", "set aside", "two owners", "zombies", "deletes"]
    return sum((walk(shape, mode, seed) for shape in some for mode in modes for seed in (1, 2, 3)), Counter())


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda each: each.name)
def test_every_invariant_is_compared_or_judged_by_a_test_that_exists(
    invariant: Invariant, compared: Counter[str]
) -> None:
    assert invariant.counts or invariant.tests
    looked_away = [name for name in invariant.counts if not compared[name]]
    assert not looked_away, f"{invariant.name}: compared nothing of {', '.join(looked_away)}"
    for test in invariant.tests:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(), (
            f"{invariant.name}: {test} is gone; one that exists is right"
        )


@pytest.mark.timeout(0)
def test_the_same_seed_gives_the_same_history_in_any_process() -> None:
    command = [sys.executable, "-m", "tests.simulation.traces"]
    processes = [
        subprocess.Popen([*command, way], stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed})
        for seed, way in (("1", ""), ("2", "backwards"))
    ]
    one, two = (json.loads(process.communicate()[0]) for process in processes)
    assert len(one) == len(COMBINATIONS)
    assert {pair for pair in one if one[pair] != two[pair]} == set()
