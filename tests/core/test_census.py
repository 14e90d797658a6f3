from __future__ import annotations

from itertools import permutations

import pytest

from stream.core.census import PLANS, ROWS, Census, Mark, decode_census, encode_census
from stream.model import Counted
from tests.core.build import view

FLOWS = view().flows
PLAN = FLOWS.plan("a.t")


def mark(source: int, of: int = 2, plan: int = PLAN) -> Counted:
    return Counted(entity="a.t", plan=plan, source=source, of=of)


def heard(*marks: Counted) -> frozenset[str]:
    census = Census()
    for each in marks:
        census = decode_census(encode_census(census.hear(each)))
    return census.complete(FLOWS)


def test_c1_a_type_is_complete_when_every_partition_was_heard() -> None:
    assert heard(mark(0)) == frozenset()
    assert heard(mark(0), mark(0)) == frozenset()
    assert heard(mark(0), mark(1)) == {"a.t"}


@pytest.mark.parametrize("marks", list(permutations([mark(0), mark(1), mark(0, plan=5), mark(1, plan=5)])))
def test_marks_of_a_former_plan_are_no_obstacle_in_any_order(marks: tuple[Counted, ...]) -> None:
    assert heard(*marks) == {"a.t"}


def test_a_former_plan_opens_nothing() -> None:
    assert heard(mark(0, plan=5), mark(1, plan=5)) == frozenset()


def test_other_partitions_begin_anew() -> None:
    assert heard(mark(0, of=2), mark(1, of=3)) == frozenset()


def test_plans_are_forgotten_at_last() -> None:
    census = Census()
    for plan in range(10):
        census = census.hear(mark(0, plan=plan))
    assert len(census.marks["a.t"]) == PLANS
    assert census.marks["a.t"][-1] == Mark(9, 2, (0,))


class TestC1LaterLives:
    """After a loss of state."""

    def heard(self, *marks: Counted, life: int = 7) -> frozenset[str]:
        census = Census(life=life)
        for each in marks:
            census = decode_census(encode_census(census.hear(each)))
        return census.complete(FLOWS)

    def mark(self, entity: str = "a.t", life: int = 7) -> Counted:
        return Counted(entity=entity, plan=FLOWS.plan(entity), source=0, of=1, life=life)

    def test_marks_of_a_former_life_open_nothing(self) -> None:
        assert self.heard(self.mark(life=6), self.mark(ROWS)) == frozenset()
        assert self.heard(self.mark(), self.mark(ROWS)) == {"a.t"}

    def test_nothing_is_complete_before_all_rows_were_told(self) -> None:
        assert self.heard(self.mark()) == frozenset()
        assert self.heard(self.mark(ROWS)) == frozenset()

    def test_in_the_first_life_rows_have_nothing_to_tell(self) -> None:
        assert self.heard(self.mark(life=0), life=0) == {"a.t"}
