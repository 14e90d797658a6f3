"""Every mutant is noticed by each of the tests that it names."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.core.mutants import MUTANTS, Mutant

RULES = {
    *(f"A{number}" for number in range(1, 15)),
    *(f"B{number}" for number in range(1, 9)),
    *(f"C{number}" for number in range(1, 13)),
    *(f"D{number}" for number in range(1, 5)),
    *(f"E{number}" for number in range(1, 4)),
    *(f"F{number}" for number in range(1, 8)),
}


def calls(name: str, package: str) -> Iterator[Callable[[], Any]]:
    """The calls that pytest would make of a test: one, or one for each of its parameters."""
    module, *way = name.split(".")
    found: Any = importlib.import_module(f"{package}.{module}")
    for step in way:
        found = getattr(found() if isinstance(found, type) else found, step)
    [mark] = getattr(found, "pytestmark", [None])
    if mark is None:
        yield found
        return
    names, cases = mark.args
    for case in cases:
        values = case if isinstance(names, tuple) else (case,)
        yield lambda values=values: found(*values)


def notices(name: str, package: str = "tests.core") -> bool:
    try:
        for call in calls(name, package):
            under_way = call()
            if inspect.iscoroutine(under_way):
                asyncio.run(under_way)
    except Exception:  # noqa: BLE001  # a test may fail in any way
        return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_a_rule_that_is_turned_off_is_noticed(mutant: Mutant) -> None:
    for name in mutant.killers:
        assert not notices(name), f"{name} fails by itself"
    with mutant.at_large():
        slept = [name for name in mutant.killers if not notices(name)]
    assert not slept


def test_every_rule_has_a_mutant() -> None:
    assert {mutant.rule.partition(" ")[0] for mutant in MUTANTS} == RULES


def test_a_mutant_whose_words_are_gone_is_an_error() -> None:
    [lost] = [Mutant("X", notices, "no such words", "", ())]
    with pytest.raises(LookupError, match="X: notices"), lost.at_large():
        pass
