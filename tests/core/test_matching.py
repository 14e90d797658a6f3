from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.decide import decide
from stream.core.index import PATIENCE
from stream.core.matching import key_of, keys_of, normal
from stream.core.row import Row
from stream.core.shared import Index
from stream.core.turn import Alarm, Mail
from stream.model import ClaimKey, Command, Found, Free, Message, Register, Release, Wake
from tests.core.build import START, A, B, Table, every, flow, only, seen, view

KEY = key_of("f", "name=name", ["n"])


class Desk:
    """One index, and who hears what of it."""

    def __init__(self, *, open_: bool = True) -> None:
        self.view = view() if open_ else view(counted=())
        self.index: Index | None = None

    def tell(self, message: Message) -> list[tuple[str, Message]]:
        row, out = decide(KEY, self.index, message, self.view, 1_000)
        assert not isinstance(row, Row)
        self.index = row
        self.alarms = [each.at for each in out if isinstance(each, Alarm)]
        return [(each.to, each.message) for each in out if isinstance(each, Mail)]


def claim(sender: str = A, number: int = 1, edge: str = "f/a", *, create: bool = True) -> ClaimKey:
    return ClaimKey(edge=edge, sender=sender, number=number, create=create)


class TestC3KeyLock:
    def test_nobody_has_it_and_the_lock_is_given_once(self) -> None:
        desk = Desk()
        assert only(Free, [Mail(*each) for each in desk.tell(claim())]).number == 1
        assert desk.tell(claim("a.t:2", 2)) == []
        [(to, answer)] = desk.tell(Release(sender=A, number=1))
        assert (to, type(answer)) == ("a.t:2", Free)

    def test_who_forgot_that_it_may_create_gives_the_right_back(self) -> None:
        """Its row was set back and its record deleted; whoever had its match value waited for ever."""
        table = Table()
        for ref in (A, "a.t:2"):
            table.bring(ref, seen(10, name="n", x=None, y=None))
        waiting = table.rows[KEY]
        assert isinstance(waiting, Index)
        assert START < waiting.alarm - PATIENCE <= table.now
        assert every(Command, table.bring(KEY, Wake())) == []
        assert table.edge(A, "f/a").locks == (KEY,)
        del table.rows[A]
        assert only(Command, table.bring(KEY, Wake())).marker == "f|a.t:2"
        assert Alarm(0) in table.out

    def test_an_old_release_opens_nothing(self) -> None:
        desk = Desk()
        desk.tell(claim(number=5))
        assert desk.tell(claim("a.t:2", 6)) == []
        assert desk.tell(Release(sender=A, number=4)) == []

    def test_whoever_waits_behind_a_lock_finds_what_was_created(self) -> None:
        desk = Desk()
        desk.tell(claim())
        desk.tell(claim("a.t:2", 2))
        [(to, found)] = desk.tell(Register(sender=B, edge="f/b", linked=True))
        assert (to, found) == ("a.t:2", Found(edge="f/a", key=KEY, number=2, candidates=(), taken=True))

    def test_who_may_not_create_gets_no_lock(self) -> None:
        desk = Desk()
        desk.tell(claim("b.t:1", 1, "f/b", create=False))
        assert desk.index is None

    def test_a_repeated_claim_takes_the_place_of_the_former(self) -> None:
        desk = Desk(open_=False)
        desk.tell(claim(number=1))
        desk.tell(claim(number=2))
        assert desk.index is not None
        assert [each.number for each in desk.index.queue] == [2]


def test_c1_an_index_is_silent_while_the_gate_is_shut_and_looks_again() -> None:
    desk = Desk(open_=False)
    assert desk.tell(claim()) == []
    assert desk.alarms == [1_000 + PATIENCE]
    desk.view = view()
    [(_, answer)] = desk.tell(Wake())
    assert isinstance(answer, Free)
    assert desk.alarms == [0]


def test_a_record_is_no_candidate_for_itself_or_its_own_side() -> None:
    desk = Desk()
    for ref, side in ((A, "a"), ("a.t:2", "a")):
        desk.tell(Register(sender=ref, edge=f"f/{side}"))
    [(_, answer)] = desk.tell(claim())
    assert isinstance(answer, Free)


def test_who_leaves_is_found_no_more() -> None:
    desk = Desk()
    desk.tell(Register(sender=B, edge="f/b"))
    desk.tell(Register(sender=B, edge="f/b", present=False))
    assert desk.index is None


def test_a_claim_of_a_flow_that_is_no_more_is_answered() -> None:
    desk = Desk()
    [(_, answer)] = desk.tell(claim(edge="old/a"))
    assert isinstance(answer, Free)


@pytest.mark.parametrize(
    ("one", "other"), [(" A  b ", "a B"), ("STRASSE", "straße"), (1, "1"), (True, "true"), (None, ""), ([1], "")]
)
def test_values_are_compared_without_case_and_outer_space(one: Any, other: Any) -> None:
    assert normal(one) == normal(other)


@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_different_values_have_different_indexes(one: list[str], other: list[str]) -> None:
    if [*one] != [*other] and not any("\x1f" in text for text in one + other):
        assert key_of("f", "name=name", one) != key_of("f", "name=name", other)


class TestSeveralCriteria:
    MATCH = ((("x", "x"),), (("name", "name"), ("y", "y")))

    def test_a_criterion_with_an_empty_field_has_no_key(self) -> None:
        end = view(flow(match=self.MATCH)).flows.ends("a.t")["f/a"]
        assert len(keys_of(end, {"name": "n", "x": "x0", "y": None})) == 1
        assert len(keys_of(end, {"name": "n", "x": "x0", "y": "y0"})) == 2

    def test_they_are_claimed_in_order_and_released_together(self) -> None:
        table = Table(view(flow(match=self.MATCH)))
        out = table.bring(A, seen(10, name="n", x="x0", y="y0"))
        assert len(every(ClaimKey, out)) == 2
        assert len(table.edge(A, "f/a").locks) == 2
        [command] = [each for each in out if getattr(each, "kind", "") == "create"]
        released = every(Release, table.done(A, command, 30))  # type: ignore[arg-type]
        assert len(released) == 2

    def test_the_second_finds_what_the_first_did_not(self) -> None:
        table = Table(view(flow(match=self.MATCH)))
        table.bring(B, seen(10, name="n", x="other", y="y0"))
        table.bring(A, seen(10, name="n", x="x0", y="y0"))
        assert table.edge(A, "f/a").peer == B
