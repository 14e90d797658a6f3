from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.core.versions import DEFAULT, NULL, born, digest, lost_unseen, mint
from stream.model import Stated, Version
from tests.core.build import START

TIMES = st.integers(0, 2**50)
VALUES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3)


@given(VALUES, TIMES, TIMES)
def test_b1_an_edit_is_newer_than_what_it_was_typed_over(value: object, time: int, over: int) -> None:
    base = Version(over, 9, 2**32 - 1)
    assert mint(value, time, base, 0) > base


def test_an_edit_names_its_system_and_its_value() -> None:
    assert mint("x", 5, NULL, 3) == Version(5, 3, digest("x"))
    assert mint("x", 5, Version(5, 9, 9), 3) == Version(6, 3, digest("x"))


def test_b2_the_marks_lie_below_every_time() -> None:
    assert NULL < DEFAULT < Version(0)
    assert born(None, START, 3) == NULL
    assert born("", START, 3) == born([None, ""], START, 3) == NULL
    assert born(False, START, 3) > DEFAULT
    assert born(0, START, 3) > DEFAULT


def test_two_edits_of_one_instant_are_decided_the_same_everywhere() -> None:
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    assert born("x", START, 1) != born("y", START, 1)
    assert born("x", START, 1) < born("x", START, 2)


def stated(value: object, time: int, author: str, base: Version | None = None) -> Stated:
    return Stated(value, Version(time, 0, digest(value)), base, author)


def test_b5_what_its_winner_had_not_seen_is_told() -> None:
    lost = stated("x", 5, "a.t:1")
    assert lost_unseen(lost, stated("y", 6, "b.t:1"))
    assert not lost_unseen(lost, stated("y", 6, "a.t:1"))
    assert not lost_unseen(lost, stated("x", 6, "b.t:1"))
    assert not lost_unseen(lost, stated("y", 6, "b.t:1", lost.version))
    assert lost_unseen(stated("x", 0, "a.t:1"), stated("y", 6, "b.t:1"))
    assert not lost_unseen(Stated("x", DEFAULT, None, "a.t:1"), stated("y", 6, "b.t:1"))
