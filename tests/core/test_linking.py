from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from stream.core.matching import key_of
from stream.core.seeking import TAKEN
from stream.core.shared import Index
from stream.model import (
    Accept,
    Attach,
    Claim,
    ClaimKey,
    Found,
    Free,
    Gone,
    Nudge,
    Offer,
    Propose,
    Refuse,
    Register,
    Release,
    Wake,
)
from tests.core.build import SECOND, A, B, Table, commands, created, every, flow, linked, only, reports, seen, view

FULL = {"name": "n", "x": "x0", "y": None}
KEY = key_of("f", "name=name", ["n"])


def index(table: Table) -> Index:
    row = table.rows[KEY]
    assert isinstance(row, Index)
    return row


class TestC2OnlySideAProposes:
    def test_the_right_side_asks_to_be_proposed_to(self) -> None:
        table = Table(view(flow(create="never")))
        table.bring(A, seen(10, **FULL))
        out = table.bring(B, seen(10, **FULL))
        said = [type(message) for message in every((Nudge, Propose, Accept), out)]  # type: ignore[arg-type]
        assert said == [Nudge, Propose, Accept]

    def test_a_proposal_is_repeated_later_and_later(self) -> None:
        table = linked_with_silent_b()
        waits = []
        for _ in range(12):
            waits.append(table.row(A).alarm - table.now)
            table.now = table.row(A).alarm
            assert only(Propose, table.tell(A, Wake())).sender == A
        assert waits == sorted(waits)
        assert waits[-1] == 3600 * SECOND

    def test_an_accept_that_nobody_waits_for_is_taken_back(self) -> None:
        table = linked()
        out = table.tell(A, Accept(edge="f/a", sender="b.t:9", number=5))
        assert only(Refuse, out).why == "given up"

    def test_a_refusal_undoes_just_the_link_with_its_number(self) -> None:
        table = linked()
        number = table.edge(B, "f/b").number
        table.tell(B, Refuse(edge="f/b", sender=A, number=number - 1, why="given up"))
        assert table.edge(B, "f/b").state == "linked"
        out = table.tell(B, Refuse(edge="f/b", sender=A, number=number, why="given up"))
        assert table.edge(B, "f/b").state == "matching"
        assert not every(Register, out)[-1].linked

    def test_a_nudge_for_a_link_that_stands_proposes_it_again(self) -> None:
        table = linked()
        out = table.bring(A, Nudge(edge="f/a", sender=B))
        assert only(Propose, out).number == table.edge(B, "f/b").number
        assert only(Accept, out).sender == B

    def test_the_right_side_proposes_to_nobody(self) -> None:
        assert linked().tell(B, Nudge(edge="f/b", sender=A)) == []

    def test_a_proposal_to_a_record_that_waits_itself_is_not_answered(self) -> None:
        table = Table(view(flow(), flow("c.t", "b.t", name="g", match=())))
        table.tell(B, seen(10, marker="g|c.t:1", **FULL))
        assert table.tell(B, Propose(edge="f/b", sender=A, number=1, key="")) == []


def linked_with_silent_b() -> Table:
    table = Table()
    table.tell(B, seen(10, **FULL))
    table.tell(A, seen(10, **FULL))
    while table.edge(A, "f/a").state != "proposed":
        table.tell(*table.mail.popleft())
    return table


class TestC4OneCounterpart:
    def test_a_linked_record_refuses_a_second_claimant(self) -> None:
        table = linked()
        out = table.tell(B, Propose(edge="f/b", sender="a.t:2", number=1, key=KEY))
        assert only(Refuse, out).why == "taken"

    def test_who_finds_only_taken_ones_is_refused_and_told_once(self) -> None:
        table = linked()
        assert len(reports(table.bring("a.t:2", seen(10, **FULL)))) == 1
        assert table.edge("a.t:2", "f/a").state == "refused"
        assert reports(table.read("a.t:2", 20, x="x1")) == []

    def test_it_is_judged_again_when_the_record_changes(self) -> None:
        table = linked()
        table.bring("a.t:2", seen(10, **FULL))
        out = table.read("a.t:2", 20, name="other")
        assert only_command(out).kind == "create"

    def test_it_is_judged_again_at_a_resync(self) -> None:
        table = linked()
        table.bring("a.t:2", seen(10, **FULL))
        assert every(ClaimKey, table.bring("a.t:2", Wake(resync=True))) != []

    def test_two_candidates_are_nobodys(self) -> None:
        table = Table()
        for ref in (B, "b.t:2"):
            table.bring(ref, seen(10, **FULL))
        [told] = reports(table.bring(A, seen(10, **FULL)))
        assert "2 records match it" in told

    @pytest.mark.parametrize("why", ["taken", "copy", "gone", "mismatch"])
    def test_a_proposal_that_was_refused(self, why: Any) -> None:
        table = linked_with_silent_b()
        number = table.edge(A, "f/a").number
        table.tell(A, Refuse(edge="f/a", sender=B, number=number, why=why))
        assert table.edge(A, "f/a").state == "matching"

    def test_what_changed_or_went_meanwhile_is_no_counterpart(self) -> None:
        table = linked_with_silent_b()
        proposal = table.mail.pop()[1]
        table.tell(B, seen(20, **{**FULL, "name": "other"}))
        assert only(Refuse, table.tell(B, proposal)).why == "mismatch"
        table.tell(B, Gone(read_at=seen(30).read_at))
        assert only(Refuse, table.tell(B, proposal)).why == "gone"


class TestKeysBeforeTheLink:
    def test_a_key_that_changes_while_matching_starts_over(self) -> None:
        table = Table(view(counted=()))
        table.bring(A, seen(10, **FULL))
        out = table.read(A, 20, name="other")
        assert [each.present for each in every(Register, out)] == [False, True]
        assert table.edge(A, "f/a").key == key_of("f", "name=name", ["other"])

    def test_a_key_that_comes_while_a_create_waits_is_matched_first(self) -> None:
        table = Table(view(counted=()))
        table.bring(A, seen(10, **{**FULL, "name": None}))
        assert table.edge(A, "f/a").state == "waiting"
        table.read(A, 20, name="n")
        assert table.edge(A, "f/a").state == "matching"

    def test_a_lock_that_comes_too_late_is_given_back(self) -> None:
        table = linked()
        out = table.tell(A, Free(edge="f/a", key=KEY, number=7))
        assert only(Release, out).number == 7

    def test_a_lock_that_is_told_of_twice_is_kept(self) -> None:
        table = Table()
        out = table.bring(A, seen(10, **FULL))
        assert table.edge(A, "f/a").locks == (KEY,)
        assert table.tell(A, only(Free, out)) == []

    def test_an_answer_to_a_former_claim_is_passed_over(self) -> None:
        table = linked()
        assert table.tell(A, Found(edge="f/a", key=KEY, number=7, candidates=(B,))) == []

    def test_after_linking_a_key_is_an_ordinary_field(self) -> None:
        table = linked()
        assert only_command(table.read(A, 20, name="other")).want == {"name": "other"}

    def test_a_repeated_claim_whose_key_is_gone_starts_over(self) -> None:
        table = linked_with_silent_b()
        table.tell(A, seen(20, **{**FULL, "name": "other"}))
        table.tell(A, Refuse(edge="f/a", sender=B, number=table.edge(A, "f/a").number, why="gone"))
        table.tell(A, Wake(resync=True))
        table.now = table.row(A).alarm
        assert table.tell(A, Wake()) != []
        assert table.edge(A, "f/a").key == key_of("f", "name=name", ["other"])

    def test_a_proposal_to_a_record_that_is_creating_is_not_answered(self) -> None:
        table = Table(view(flow(create="both", match=())))
        table.tell(B, seen(10, **FULL))
        assert table.edge(B, "f/b").state == "creating"
        assert table.tell(B, Propose(edge="f/b", sender=A, number=1, key="")) == []
        assert table.tell(B, Offer(edge="f/b", sender=A, fields={})) == []


def only_command(out: list[Any]) -> Any:
    [command] = commands(out)
    return command


class TestC6MarkedRecords:
    def test_a_record_with_our_marker_claims_its_origin_registers_and_does_nothing_else(self) -> None:
        table = Table(view(flow(), flow("b.t", "c.t", name="g")))
        out = table.tell(B, seen(10, marker="f|a.t:1", **FULL))
        assert [type(message) for message in every(object, out)[:1]] == [Claim]
        assert [(each.edge, each.linked) for each in every(Register, out)] == [("f/b", True), ("g/a", False)]
        assert every(ClaimKey, out) == []
        assert table.row(B).cells == {}

    def test_while_it_claims_nobody_else_creates_one_of_its_name(self) -> None:
        """The log was lost; before it was heard by its origin another one of that name found nobody, and created."""
        table = Table(view(counted=()))
        table.tell(B, seen(10, marker="f|a.t:1", **FULL))
        lost = [each for each in table.mail if isinstance(each[1], Claim)]
        table.mail = deque(each for each in table.mail if each not in lost)
        table.bring("a.t:2", seen(10, **FULL))
        table.bring(A, seen(10, **FULL))
        table.view = view()
        table.bring(KEY, Wake())
        assert commands(table.out) == []
        assert [table.edge(ref, "f/a").reason for ref in (A, "a.t:2")] == [TAKEN, TAKEN]
        table.now = table.row(B).alarm
        table.bring(B, Wake())
        assert table.edge(A, "f/a").peer == B
        assert table.edge("a.t:2", "f/a").reason == TAKEN

    def test_what_finds_its_mark_later_is_taken_from_then_on(self) -> None:
        table = Table(view(flow(), counted=()))
        table.bring(B, seen(10, **FULL))
        assert index(table).places == {B: "b"}
        table.bring(B, seen(10, 20, marker="f|a.t:1", **FULL))
        assert index(table).places == {B: "B"}

    def test_it_is_registered_by_the_name_that_it_has_now(self) -> None:
        table = Table(view(flow(), counted=()))
        table.bring(B, seen(10, marker="f|a.t:1", **FULL))
        table.bring(B, seen(20, marker="f|a.t:1", **{**FULL, "name": "m"}))
        assert KEY not in table.rows

    def test_it_claims_again_until_it_hears(self) -> None:
        table = Table()
        table.tell(B, seen(10, marker="f|a.t:1", **FULL))
        assert every(Claim, table.tell(B, Wake())) == []
        table.now = table.row(B).alarm
        assert only(Claim, table.tell(B, Wake())).sender == B

    def test_it_claims_again_when_its_origin_knows_nothing_of_the_link_any_more(self) -> None:
        """It was created back: its origin's row was rolled back, and undid the link."""
        table, command = created()
        table.done(A, command, 10)
        table.deliver()
        number, row = table.edge(B, "f/b").number, table.row(B)
        assert table.tell(B, seen(10, 20, marker="f|a.t:1", **row.remote)) == []
        assert table.row(B) is row
        table.tell(B, Refuse(edge="f/b", sender=A, number=number, why="given up"))
        out = table.tell(B, seen(10, 30, marker="f|a.t:1", **table.row(B).remote))
        assert only(Claim, out).sender == B
        assert table.edge(B, "f/b").state == "claiming"

    @pytest.mark.parametrize("marker", ["f", "f|", "other|a.t:1", "f|b.t:1", "f|x"])
    def test_a_marker_that_is_none_of_ours_means_nothing(self, marker: str) -> None:
        table = Table()
        assert every(Claim, table.tell(B, seen(10, marker=marker, **FULL))) == []

    def test_a_late_refusal_of_a_former_link_makes_no_copy_of_it(self) -> None:
        """Its origin's row was rolled back and knew nothing of the link: the record was nobody's ever after."""
        table = Table()
        table.tell(B, seen(10, marker="f|a.t:1", **FULL))
        assert reports(table.tell(B, Refuse(edge="f/b", sender=A, number=1, why="given up"))) == []
        assert table.edge(B, "f/b").state == "claiming"

    def test_a_copy_is_told_and_never_linked(self) -> None:
        table = linked()
        out = table.bring("b.t:2", seen(10, marker="f|a.t:1", **FULL))
        assert reports(out) == ["f: a copy of a record that we created; copies are not linked"]
        assert table.edge("b.t:2", "f/b").state == "copy"
        assert "b.t:2" not in index(table).members
        out = table.tell("b.t:2", Propose(edge="f/b", sender="a.t:5", number=1, key=""))
        assert only(Refuse, out).why == "copy"
        table.bring("b.t:2", seen(20, marker="f|a.t:1", **FULL))
        table.bring("b.t:2", Wake(resync=True))
        assert table.edge("b.t:2", "f/b").state == "copy"
        assert "b.t:2" not in index(table).members


def test_b6_a_resync_tells_all_of_it_again() -> None:
    table = linked()
    out = table.bring(A, Wake(resync=True))
    assert every(Register, out)[0].linked
    assert [type(each) for each in every((Attach, Propose), out)] == []  # type: ignore[arg-type]


def test_ends_of_flows_that_are_no_more_are_left_alone() -> None:
    table = linked()
    table.view = view(flow(name="g"))
    for message in (
        Wake(resync=True),
        Nudge(edge="f/a", sender=B),
        Propose(edge="f/a", sender=B, number=1, key=""),
        Accept(edge="f/a", sender=B, number=1),
        Refuse(edge="f/a", sender=B, number=1, why="taken"),
    ):
        table.tell(A, message)
    assert table.edge(A, "f/a").state == "linked"
    assert every(Offer, table.tell(A, seen(50, **{**FULL, "x": "x1"}))) == []


def test_an_offer_before_the_first_reading_waits_for_it() -> None:
    assert Table().tell(A, Offer(edge="f/a", sender=B, fields={})) == []


def test_a_gone_record_is_found_by_nobody() -> None:
    table = Table(view(flow(create="never")))
    table.bring(A, seen(10, **FULL))
    table.bring(A, Gone(read_at=seen(20).read_at))
    assert KEY not in table.rows
    assert only(Register, table.tell(A, Nudge(edge="f/a", sender=B))).present is False
    table.bring(A, seen(30, **FULL))
    assert index(table).places == {A: "a"}
