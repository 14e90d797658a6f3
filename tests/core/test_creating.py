from __future__ import annotations

import pytest
from msgspec.structs import replace

from stream.core.row import Edge
from stream.core.versions import born
from stream.model import Accept, Attach, Claim, Command, Gone, Offer, Outcome, Refuse, Stated, Version, Wake
from tests.core.build import (
    SECOND,
    START,
    A,
    B,
    Table,
    commands,
    created,
    every,
    flow,
    linked,
    only,
    reports,
    seen,
    view,
)

FULL = {"name": "n", "x": "x0", "y": None}


def test_c5_intent_command_receipt_attach_accept() -> None:
    table, command = created()
    assert (command.kind, command.want, command.marker) == ("create", {"name": "n", "x": "x0"}, "f|a.t:1")
    out = table.done(A, command, 30, y=None)
    assert only(Attach, out).echo
    assert only(Accept, out).sender == B
    assert (table.edge(A, "f/a").peer, table.edge(B, "f/b").peer) == (B, A)
    assert commands(out) == []


def test_c5_an_edit_meanwhile_is_offered_after_the_link() -> None:
    table, command = created()
    table.read(A, 20, x="x1")
    out = table.tell(A, table.receipt(command, "done", target=B, after=seen(30, **FULL)))
    assert [type(each) for each in every(Attach, out) + every(Offer, out)] == [Attach, Offer]
    table.deliver()
    assert commands(table.out)[-1].want == {"x": "x1"}


def test_c5_a_create_that_has_to_wait_is_repeated_under_its_number() -> None:
    table, command = created()
    table.bring(A, table.receipt(command, "retry"))
    table.now = table.row(A).alarm
    again = only(Command, table.bring(A, Wake()))
    assert (again.number, again.want, again.attempt) == (command.number, command.want, 1)


def test_c5_a_create_that_does_not_succeed_is_told_once() -> None:
    table, command = created()
    told = [reports(table.bring(A, table.receipt(command, "retry", reason="403"))) for _ in range(12)]
    assert [one for each in told for one in each] == ["f: not created in b.t after 10 attempts: 403"]
    assert table.edge(A, "f/a").reason == "403"


def test_c5_a_superseded_create_is_asked_for_under_a_new_number() -> None:
    table, command = created()
    assert only(Command, table.bring(A, table.receipt(command, "superseded"))).number > command.number


class TestB2Birth:
    def test_the_empty_field_of_a_younger_record_erases_nothing(self) -> None:
        table = Table()
        table.tell(B, seen(90, name="n", x=None, y="y0"))
        table.tell(A, seen(10, **FULL))
        table.deliver()
        assert {command.type: command.want for command in commands(table.out)} == {
            "a.t": {"y": "y0"},
            "b.t": {"x": "x0"},
        }

    def test_a_shortened_value_is_the_normal_form_of_ours(self) -> None:
        table, command = created()
        out = table.done(A, command, 30, x="x", y=None)
        assert (commands(out), every(Offer, out)) == ([], [])
        assert table.right(B, "x") == "x0"

    def test_a_default_wins_over_nothing_but_emptiness(self) -> None:
        table, command = created()
        out = table.done(A, command, 30, y="default")
        assert only(Offer, out).fields["y"].value == "default"
        assert only(Command, out).want == {"y": "default"}
        table, command = created()
        table.read(A, 20, y="typed")
        assert only(Command, table.done(A, command, 30, y="default")).want == {"y": "typed"}

    def test_an_edit_read_before_the_attach_is_newer_than_what_was_asked_for(self) -> None:
        table, command = created()
        table.tell(B, seen(31, 40, marker="f|a.t:1", **{**FULL, "x": "typed"}))
        table.mail.clear()
        out = table.done(A, command, 30, y=None)
        assert only(Offer, out).fields["x"].value == "typed"

    def test_the_answer_to_a_create_is_never_newer_than_a_reading(self) -> None:
        table, command = created()
        table.tell(B, seen(30, 40, marker="f|a.t:1", **{**FULL, "x": "typed"}))
        table.mail.clear()
        table.done(A, command, 30, y=None)
        assert table.right(A, "x") == "typed"

    def test_a_field_that_the_create_ignored_is_told_and_not_taken_for_its_value(self) -> None:
        table, command = created()
        out = table.done(A, command, 30, x=None, y=None)
        assert reports(out) == ["not applied: the system ignored it"]
        assert commands(out) == []
        assert table.right(B, "x") == "x0"

    @pytest.mark.parametrize("outcome", ["done", "found"])
    def test_a_field_that_shows_something_of_its_own_is_no_edit(self, outcome: Outcome) -> None:
        table = Table(view(flow(match=()), fixed={"x": "read-only: it is stamped"}))
        command = only(Command, table.bring(A, seen(10, name="n", x="2026", y="y0")))
        stamped = seen(30, name="n", x="2027", y="y0", marker=command.marker)
        out = table.bring(A, table.receipt(command, outcome, target=B, after=stamped))
        out += table.bring(B, seen(31, name="n", x="2027", y="y0", marker=command.marker))
        assert reports(out) == ["not applied: read-only: it is stamped"]
        assert commands(out) == []
        assert table.right(A, "x") == table.right(B, "x") == "2026"

    def test_a_record_without_any_reading_is_born_all_the_same(self) -> None:
        table, command = created()
        table.bring(A, table.receipt(command, "found", target=B))
        assert set(table.row(B).cells) == {"name", "x"}


class TestC8Adoption:
    @pytest.mark.parametrize(
        ("held", "pristine", "value", "writes"),
        [
            (" X0 ", False, "x0", False),
            (None, False, "x0", True),
            ("earlier", True, "x0", True),
            ("typed", False, "typed", True),
        ],
        ids=["ours up to space and case", "empty", "of an earlier life", "an edit"],
    )
    def test_what_is_found_later(self, held: str | None, pristine: bool, value: str, writes: bool) -> None:
        table, command = created()
        after = seen(30, name="n", x=held, y=None, pristine=pristine)
        out = table.bring(A, table.receipt(command, "found", target=B, after=after))
        assert table.right(A, "x") == table.right(B, "x") == value
        assert bool(commands(out)) is writes

    def test_a_claim_brings_the_record_that_was_read(self) -> None:
        table = Table(view(flow(match=()), counted=()))
        table.bring(A, seen(10, **FULL))
        out = table.bring(B, seen(5, marker="f|a.t:1", pristine=True, name="n", x="earlier", y=None))
        assert only(Command, out).want == {"x": "x0"}

    @pytest.mark.parametrize(("at", "value"), [(5, "x0"), (15, "held")])
    def test_of_a_claim_to_an_origin_that_forgot_the_later_time_decides(self, at: int, value: str) -> None:
        """Taken for an edit, what was written there before the log was lost went back over what was typed since."""
        table = Table(view(flow(match=()), counted=()))
        table.bring(A, seen(10, **FULL))
        table.bring(B, seen(at, 20, marker="f|a.t:1", name="n", x="held", y=None))
        assert table.right(A, "x") == table.right(B, "x") == value

    @pytest.mark.parametrize(("at", "value"), [(5, "x0"), (15, "held")])
    def test_of_a_create_that_was_forgotten_the_later_time_decides(self, at: int, value: str) -> None:
        """Its claim came before its origin was read; found, it passed for an edit over what was typed there last."""
        table, command = created()
        table.tell(B, seen(at, 20, marker="f|a.t:1", name="n", x="held", y=None))
        table.mail.clear()
        after = seen(at, 30, marker="f|a.t:1", name="n", x="held", y=None)
        table.bring(A, table.receipt(command, "found", target=B, after=after, forgotten=True))
        assert table.right(A, "x") == table.right(B, "x") == value


class TestC6Claims:
    def test_while_the_create_is_in_flight_a_claim_is_not_answered(self) -> None:
        table, _ = created()
        assert table.tell(A, Claim(edge="f/a", sender=B)) == []

    def test_a_claim_after_an_unknown_create_ends_the_doubt(self) -> None:
        table, command = created()
        told = reports(table.bring(A, table.receipt(command, "unknown", reason="no answer")))
        assert len(told) == 1
        assert table.row(A).alarm == 0
        table.bring(B, seen(30, marker="f|a.t:1", **FULL))
        assert table.edge(A, "f/a").state == "linked"

    def test_the_claim_of_a_known_counterpart_attaches_it_again(self) -> None:
        table = linked()
        number = table.edge(A, "f/a").number
        out = table.tell(A, Claim(edge="f/a", sender=B))
        assert only(Attach, out).number == number

    def test_a_claim_before_the_accept_is_told_what_was_asked_for_and_not_what_was_typed_since(self) -> None:
        """What it had been created with looked like an edit of its own, and won over what was typed at its origin."""
        table, command = created()
        table.tell(A, table.receipt(command, "done", target=B, after=seen(30, **FULL)))
        table.mail.clear()  # the Attach is set aside
        table.read(A, 40, x="x1")
        table.mail.clear()
        table.bring(B, seen(50, marker="f|a.t:1", **FULL))  # something that nobody mapped was edited there
        assert commands(table.out)[-1].want == {"x": "x1"}
        assert table.edge(A, "f/a").want == {}

    def test_what_was_offered_before_the_attach_came_is_offered_again_at_the_accept(self) -> None:
        """The Attach had been set aside; the edit that was offered after it was dropped, and stayed at its origin."""
        table, command = created()
        table.read(A, 20, x="x1")
        table.bring(B, seen(30, marker="f|a.t:1", **FULL))
        table.tell(A, table.receipt(command, "found", target=B, after=seen(30, marker="f|a.t:1", **FULL)))
        aside = table.mail.popleft()
        assert isinstance(aside[1], Attach)
        table.deliver()
        assert only(Command, table.bring(*aside)).want == {"x": "x1"}
        assert table.edge(A, "f/a").owed == ()

    def test_an_accept_of_the_create_that_is_in_flight_links(self) -> None:
        """The origin's row is one of yesterday. It took the link back, and what it had created was created back."""
        table, command = created()
        before = table.rows[A]
        table.tell(A, table.receipt(command, "done", target=B, after=seen(30, **FULL)))
        table.rows[A] = before
        table.deliver()
        assert (table.edge(A, "f/a").peer, table.edge(B, "f/b").peer) == (B, A)

    def test_who_has_no_match_value_claims_an_origin_that_forgot_it(self) -> None:
        """Its origin's row was set back and took the link back: it found nobody, and was created back."""
        table = Table(view(flow(match=(), create="both")))
        command = only(Command, table.bring(A, seen(10, **FULL)))
        table.tell(A, table.receipt(command, "done", target=B, after=seen(30, **FULL)))
        del table.rows[A]
        given, table.view = table.view, view(flow(match=(), create="both"), counted=())
        table.bring(*table.mail.popleft())
        assert (table.edge(B, "f/b").state, table.edge(B, "f/b").peer) == ("claiming", A)
        table.view = given
        again = only(Command, table.bring(A, seen(10, 40, **FULL)))
        table.bring(A, table.receipt(again, "found", target=B, after=seen(30, marker="f|a.t:1", **FULL)))
        assert (table.edge(A, "f/a").peer, table.edge(B, "f/b").peer) == (B, A)
        assert {command.edge for command in commands(table.out)} == {"f/a"}

    def test_an_origin_that_forgot_it_and_creates_nothing_is_linked_by_its_claim(self) -> None:
        table, command = created()
        before = replace(table.row(A), edges={})
        table.tell(A, table.receipt(command, "done", target=B, after=seen(30, **FULL)))
        table.rows[A] = before
        table.view = view(flow(match=()), counted=())
        assert only(Refuse, table.bring(*table.mail.popleft())).why == "forgotten"
        assert (table.edge(A, "f/a").peer, table.edge(B, "f/b").peer) == (B, A)

    def test_who_is_given_up_for_another_one_claims_nobody(self) -> None:
        """A person linked the origin to another record; its own claim would have been taken for that of a copy."""
        table, command = created()
        table.tell(A, table.receipt(command, "done", target=B, after=seen(30, **FULL)))
        table.rows[A] = replace(table.row(A), edges={"f/a": Edge(peer="b.t:2", number=9)})
        out = table.bring(*table.mail.popleft())
        assert (only(Refuse, out).why, every(Claim, out)) == ("given up", [])
        table.rows[A] = replace(table.row(A), edges={}, never=(f"f/a|{B}",))
        assert only(Refuse, table.tell(A, Accept(edge="f/a", sender=B, number=9))).why == "given up"

    def test_an_origin_that_nobody_read_yet_says_nothing(self) -> None:
        assert Table(view(counted=("b.t",))).tell(A, Claim(edge="f/a", sender=B)) == []

    def test_an_origin_that_is_not_there_lets_it_go(self) -> None:
        """All was lost, and it was archived before it was read again: what it had created waited for it for ever."""
        table = Table(view(flow(create="both"), counted=("a.t",)))
        out = table.bring(B, seen(10, marker="f|a.t:1", **FULL))
        assert reports(out) == ["f: a.t:1 is not found any more; this copy is kept"]
        assert (table.edge(B, "f/b").state, table.edge(B, "f/b").due) == ("severed", 0)
        table.bring(A, seen(10, 30, **{**FULL, "name": "another by now"}))
        assert (table.edge(A, "f/a").peer, table.edge(B, "f/b").peer) == (B, A)

    def test_what_it_created_is_kept_whatever_the_flow_does_about_deletions(self) -> None:
        """Absence is no evidence, and nobody knows when it was last there."""
        table = Table(view(flow(delete="delete"), counted=("a.t",), patience=SECOND))
        out = table.bring(B, seen(10, marker="f|a.t:1", pristine=True, **FULL))
        assert commands(out) == []
        assert table.edge(B, "f/b").state == "severed"

    def test_one_that_is_gone_does_not_come_back_by_what_was_read_before(self) -> None:
        """All was lost, and it was deleted before it was read again."""
        table = Table(view(counted=("a.t",)))
        table.bring(A, Gone(read_at=START + 20 * SECOND))
        table.bring(B, seen(10, marker="f|a.t:1", **FULL))
        table.bring(A, seen(10, **FULL))
        assert table.row(A).gone_at == START + 20 * SECOND
        assert table.edge(B, "f/b").state == "severed"


class TestC9RefusedCreates:
    def test_refused_fields_are_left_out(self) -> None:
        table, command = created()
        out = table.bring(A, table.receipt(command, "refused", fields={"x": "too long"}))
        assert only(Command, out).want == {"name": "n"}
        assert reports(out) == ["left out of the new b.t: too long"]

    def test_what_changed_on_the_way_is_asked_for_before_it_is_given_up(self) -> None:
        table, command = created()
        table.read(A, 20, x="shorter")
        out = table.bring(A, table.receipt(command, "refused", reason="too long"))
        assert only(Command, out).want == {"name": "n", "x": "shorter"}
        assert reports(out) == []

    def test_what_is_refused_altogether_is_tried_again_when_the_record_changes(self) -> None:
        table, command = created()
        out = table.bring(A, table.receipt(command, "refused", fields={"name": "no", "x": "no"}))
        assert reports(out) == ["f: not created in b.t: name: no; x: no"]
        assert only(Command, table.read(A, 40, x="x1")).want == {"name": "n", "x": "x1"}


def test_an_attach_to_a_record_that_is_linked_already_is_refused_and_undone() -> None:
    table = linked()
    attach = Attach(edge="f/b", sender="a.t:9", number=5, want={})
    assert only(Refuse, table.tell(B, attach)).why == "taken"
    table, command = created()
    table.done(A, command, 30, y=None)
    table.bring(A, Refuse(edge="f/a", sender=B, number=command.number, why="taken"))
    assert table.edge(A, "f/a").state == "refused"


def test_an_attach_said_twice_keeps_what_is_owed() -> None:
    table, command = created()
    attach = only(Attach, table.done(A, command, 30, y=None))
    again = table.bring(B, attach)
    assert every(Offer, again) == []
    assert only(Accept, again).number == attach.number


def test_an_attach_to_a_record_with_versions_of_its_own_is_an_offer() -> None:
    table = Table(view(flow(match=()), flow("c.t", "b.t", name="g", match=())))
    table.tell(B, seen(10, **FULL))
    want = {"x": Stated("x1", _version(20), None, A)}
    table.tell(B, Attach(edge="f/b", sender=A, number=1, want={"x": Stated("x0", _version(10), None, A)}))
    table.tell(B, Attach(edge="g/b", sender="c.t:1", number=2, want=want))
    assert table.right(B, "x") == "x1"


def _version(at: int) -> Version:
    return born("x", seen(at).read_at, 0)


def test_the_gate_is_shut_until_both_types_were_read() -> None:
    table = Table(view(flow(match=()), counted=("a.t",)))
    assert commands(table.bring(A, seen(10, **FULL))) == []
    assert table.row(A).alarm > table.now
    table.now += 30 * SECOND
    table.bring(A, Wake())
    assert table.row(A).alarm > table.now
    table.view = view(flow(match=()))
    assert only(Command, table.bring(A, Wake())).kind == "create"


class TestWhatASecondAttachDoes:
    def test_somebody_elses_is_refused_by_its_number(self) -> None:
        table = linked()
        want = {"x": Stated("other", Version(5))}
        out = table.tell(B, Attach(edge="f/b", sender="a.t:9", number=77, want=want))
        refused = only(Refuse, out)
        assert (refused.edge, refused.sender, refused.number, refused.why) == ("f/a", B, 77, "taken")
        assert table.edge(B, "f/b").peer == A

    def test_of_a_link_that_stands_only_what_was_owed_stays_owed(self) -> None:
        table, command = created()
        table.done(A, command, 10)
        attach = Attach(edge="f/b", sender=A, number=table.edge(B, "f/b").number, want={})
        assert every(Offer, table.tell(B, attach)) == []

    def test_an_empty_picture_teaches_nothing(self) -> None:
        table = Table()
        table.tell(B, Attach(edge="f/b", sender=A, number=5, want={"x": Stated("x0", Version(5), None, A)}))
        assert table.row(B).remote == {"x": None}
        assert table.right(B, "x") == "x0"


def test_c6_a_claim_is_answered_with_all_that_there_is_to_say() -> None:
    """The create was forgotten with the row: what the record was created with is said anew."""
    table = Table(view(flow(match=()), counted=()))
    table.tell(A, seen(10, name="n", x="x0", y=None))
    attach = only(Attach, table.tell(A, Claim(edge="f/a", sender=B)))
    assert {field: each.value for field, each in attach.want.items()} == {"name": "n", "x": "x0"}
    assert (attach.echo, attach.number) == (False, table.edge(A, "f/a").number)
    assert table.edge(A, "f/a").state == "linked"
    again = only(Attach, table.tell(A, Claim(edge="f/a", sender=B)))
    assert again.number == attach.number


@pytest.mark.parametrize(("at", "kept"), [(10.5, False), (10, True)])
def test_from_its_birth_on_a_row_keeps_when_it_was_read_only_where_whole_seconds_are_not_enough(
    at: float, kept: bool
) -> None:
    table = Table(view(flow(match=())))
    table.bring(A, seen(at, 20, name="n", x="x0", y=None))
    assert table.row(A).versions
    assert bool(table.row(A).read_at) is kept
