"""The histories that noticed that a rule was turned off still do, and are right with it on."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, clean, recorded, wrong

RECORDED = recorded()
NEAR = 120
"""Seeds after a recorded one that are tried when something else has changed its history."""


@pytest.mark.parametrize("rule", RECORDED)
def test_a_history_notices(rule: str) -> None:
    known = RECORDED[rule]
    shape, mode = known.shape, known.mode
    near = range(known.seed, known.seed + NEAR)
    seed = next((seed for seed in near if wrong(MUTANTS[rule], shape, mode, seed)), None)
    assert seed is not None, f"{rule}: nothing is wrong without it in {shape}, {mode} any more; make mutants looks anew"
    assert clean(shape, mode, seed)


def test_every_mutant_is_caught_by_a_history_or_by_a_test() -> None:
    assert [rule for rule, each in MUTANTS.items() if rule not in RECORDED and not each.killers] == []


def test_nothing_is_recorded_of_a_mutant_that_is_gone() -> None:
    assert set(RECORDED) <= set(MUTANTS)
