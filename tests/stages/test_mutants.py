"""Every mutant of the stages is noticed by each of the tests that it names."""

from __future__ import annotations

import pytest

from tests.core.mutants import Mutant
from tests.core.test_mutants import notices
from tests.stages.mutants import MUTANTS

STAGES = "tests.stages"


@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each.killers], ids=lambda each: each.rule)
def test_a_rule_that_is_turned_off_is_noticed(mutant: Mutant) -> None:
    for name in mutant.killers:
        assert not notices(name, STAGES), f"{name} fails by itself"
    with mutant.at_large():
        slept = [name for name in mutant.killers if not notices(name, STAGES)]
    assert not slept
