"""What rows and messages say beside the values: reasons, numbers, moments, and who typed what."""

from __future__ import annotations

from msgspec.structs import replace

from stream.core.fields import SET
from stream.core.flows import Pair
from stream.core.matching import key_of
from stream.core.parting import COPY
from stream.core.proposing import MANY
from stream.core.row import Row
from stream.core.seeking import TAKEN
from stream.core.turn import Turn
from stream.model import (
    Accept,
    Answer,
    Ask,
    Attach,
    Claim,
    ClaimKey,
    Command,
    Decide,
    Found,
    Nudge,
    Offer,
    Propose,
    Refuse,
    Seen,
)
from tests.core.build import (
    FIELDS,
    SECOND,
    START,
    A,
    B,
    Table,
    commands,
    conflicts,
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
KEY = key_of("f", "name=name", ["n"])


def born(after: Seen, *, before: Seen | None = None, edit: tuple[float, str] | None = None) -> Table:
    """A record that was created; it was read before its origin heard of it, and then the origin was edited."""
    table, command = created()
    if before is not None:
        table.tell(B, before)
    if edit is not None:
        table.tell(A, seen(edit[0], **{**FULL, "y": edit[1]}))
    table.mail.clear()
    table.out.clear()
    table.bring(A, table.receipt(command, "done", target=B, after=after))
    return table


class TestB2FirstVersions:
    def test_a_value_is_its_authors_wherever_it_stands(self) -> None:
        assert {field: cell.author for field, cell in born(seen(30, **FULL)).row(B).cells.items()} == {
            "name": A,
            "x": A,
            "y": "",
        }

    def test_what_was_typed_over_the_value_of_the_create_is_no_conflict(self) -> None:
        table = born(seen(30, **FULL), before=seen(31, 40, marker="f|a.t:1", **{**FULL, "x": "typed"}))
        assert (table.right(A, "x"), conflicts(table.out)) == ("typed", [])

    def test_what_was_typed_where_the_create_left_nothing_is_one(self) -> None:
        nothing = {**FULL, "x": None}
        table = born(seen(30, **nothing), before=seen(31, 40, marker="f|a.t:1", **{**FULL, "x": "typed"}))
        [lost] = [conflict.lost.value for conflict in conflicts(table.out)]
        assert (table.right(A, "x"), lost) == ("typed", "x0")

    def test_of_what_was_not_asked_for_the_later_edit_stands(self) -> None:
        for at, right in ((25, "theirs"), (35, "mine")):
            theirs = seen(31, 40, marker="f|a.t:1", **{**FULL, "y": "theirs"})
            table = born(seen(30, **FULL), before=theirs, edit=(at, "mine"))
            assert table.right(A, "y") == table.right(B, "y") == right

    def test_what_a_new_record_came_with_gives_way_to_what_was_typed(self) -> None:
        for pristine in (True, False):
            table = born(seen(30, pristine=pristine, **{**FULL, "y": "default"}), edit=(20, "mine"))
            assert table.right(A, "y") == table.right(B, "y") == "mine"

    def test_an_answer_that_is_newer_than_a_reading_tells_more(self) -> None:
        early = seen(20, 25, marker="f|a.t:1", **FULL)
        table = born(seen(30, **{**FULL, "y": "default"}), before=early)
        assert (table.row(B).remote["y"], table.row(B).updated_at) == ("default", START + 30 * SECOND)

    def test_what_was_ignored_is_noted_at_its_field(self) -> None:
        table = born(seen(30, **{**FULL, "x": None}))
        assert table.row(B).notes == {"x": "not applied: the system ignored it"}


class TestB5WhoHadSeenWhat:
    def test_two_links_away_the_winner_is_known_to_have_seen_the_loser(self) -> None:
        given = view(flow(), flow("b.t", "c.t", name="g"))
        table = Table(given)
        for ref, at in (("c.t:1", 11), (B, 10), (A, 10)):
            table.tell(ref, seen(at, name="n", x=f"x{at}", y=None))
        table.deliver()
        for command in commands(table.out):
            table.done(f"{command.type}:1", command, 12)
        assert table.right(A, "x") == "x11"
        table.out.clear()
        table.read(A, 20, x="after")
        assert (table.right("c.t:1", "x"), conflicts(table.out)) == ("after", [])

    def test_a_conflict_says_when_it_was_found(self) -> None:
        table = linked()
        table.tell(A, seen(20, name="n", x="mine", y=None))
        table.tell(B, seen(21, name="n", x="theirs", y=None))
        table.deliver()
        [conflict] = conflicts(table.out)
        assert START + 100 * SECOND < conflict.at <= table.now

    def test_an_edit_that_is_read_too_late_is_told_by_its_own_record(self) -> None:
        table = linked()
        command = only(Command, table.read(A, 30, x="newer"))
        table.bring(B, table.receipt(command, "refused", fields={"x": "not now"}))
        [conflict] = conflicts(table.bring(B, seen(25, name="n", x="late", y=None)))
        assert (conflict.ref, conflict.field, conflict.at) == (B, "x", table.now)
        assert (conflict.lost.value, conflict.lost.author) == ("late", B)
        assert (conflict.won.value, conflict.won.author) == ("newer", A)
        assert conflict.won.version == table.row(A).cells["x"].version


def test_d3_no_number_comes_twice_whatever_the_clock_says() -> None:
    turn = Turn(A, Row(last=START + 5), view(), START)
    assert [turn.number(), turn.number()] == [START + 6, START + 7]


class TestCreates:
    def test_a_command_says_when_it_was_decided(self) -> None:
        table, command = created()
        assert command.issued_at == command.number
        table.done(A, command, 30)
        update = only(Command, table.read(A, 200, x="x1"))
        assert START + 100 * SECOND < update.issued_at <= table.now

    def test_what_has_to_wait_comes_back_when_the_system_says(self) -> None:
        table, command = created()
        table.tell(A, table.receipt(command, "retry", wait=7.5))
        assert table.row(A).alarm == table.now + 7_500_000

    def test_what_nobody_can_tell_says_why_and_wakes_nobody(self) -> None:
        table, command = created()
        table.tell(A, table.receipt(command, "unknown", reason="no answer"))
        edge = table.edge(A, "f/a")
        assert (edge.state, edge.peer, edge.due) == ("unknown", "", 0)
        assert "no answer" in edge.reason

    def test_whom_a_person_names_is_told_what_was_asked_for(self) -> None:
        table, command = created()
        table.tell(A, table.receipt(command, "unknown", reason="no answer"))
        table.read(A, 20, x="x1")
        out = table.tell(A, Decide(edge="f/a", peer=B))
        attach = only(Attach, out)
        assert (attach.want["x"].value, attach.echo, attach.seen) == ("x0", False, None)
        assert only(Offer, out).fields["x"].value == "x1"

    def test_who_claims_in_doubt_is_told_what_was_asked_for(self) -> None:
        table, command = created()
        table.tell(A, table.receipt(command, "unknown", reason="no answer"))
        table.read(A, 20, x="x1")
        out = table.tell(A, Claim(edge="f/a", sender=B))
        assert only(Attach, out).want["x"].value == "x0"
        assert table.edge(A, "f/a").reason == ""

    def test_a_copy_is_refused_by_the_number_of_the_link_that_stands(self) -> None:
        table = linked()
        refuse = only(Refuse, table.tell(A, Claim(edge="f/a", sender="b.t:2")))
        assert (refuse.number, refuse.why) == (table.edge(A, "f/a").number, "copy")

    def test_a_copy_says_that_it_is_one(self) -> None:
        table = linked()
        out = table.bring("b.t:2", seen(20, marker="f|a.t:1", **FULL))
        assert table.edge("b.t:2", "f/b").reason == COPY
        assert reports(out) == [f"f: {COPY}"]

    def test_a_field_that_was_left_out_is_noted(self) -> None:
        table, command = created()
        table.bring(A, table.receipt(command, "refused", fields={"x": "too long"}))
        assert table.row(A).notes == {"x": "left out of the new b.t: too long"}

    def test_an_element_that_was_asked_for_is_not_said_again(self) -> None:
        labels = Pair(left="labels" + SET, right="labels" + SET)
        table = Table(view(flow(match=(), pairs=(*FIELDS, labels))))
        shown = {**FULL, 'labels~"red"': True, "labels~": None}
        command = only(Command, table.bring(A, seen(10, **shown)))
        out = table.bring(A, table.receipt(command, "done", target=B, after=seen(30, **shown)))
        assert [offer for offer in every(Offer, out) if offer.sender == A] == []


class TestC4Reasons:
    def test_of_many_candidates_five_are_told(self) -> None:
        table = Table(view(flow(create="never")))
        claim = only(ClaimKey, table.tell(A, seen(10, **FULL)))
        six = tuple(f"b.t:{number}" for number in range(1, 7))
        out = table.tell(A, Found(edge="f/a", key=KEY, number=claim.number, candidates=six))
        reason = "6 records match it, and nothing says which: b.t:1, b.t:2, b.t:3, b.t:4, b.t:5"
        assert (reports(out), table.edge(A, "f/a").reason) == ([f"f: {reason}"], reason)

    def test_who_finds_a_crowd_or_somebody_who_is_taken_says_so(self) -> None:
        for said, reason in (({"many": True}, MANY), ({"taken": True}, TAKEN)):
            table = Table(view(flow(create="never")))
            claim = only(ClaimKey, table.tell(A, seen(10, **FULL)))
            table.tell(A, Found(edge="f/a", key=KEY, number=claim.number, candidates=(), **said))
            assert table.edge(A, "f/a").reason == reason

    def test_whom_the_other_side_refuses_says_so(self) -> None:
        table = Table(view(flow(create="never", match=())))
        table.tell(A, seen(10, **FULL))
        table.mail.clear()
        table.tell(A, Nudge(edge="f/a", sender=B))
        table.tell(A, Refuse(edge="f/a", sender=B, number=table.edge(A, "f/a").number, why="taken"))
        assert (table.edge(A, "f/a").state, table.edge(A, "f/a").reason) == ("refused", TAKEN)


class TestC2WhatAStandingLinkSays:
    def test_it_is_proposed_again_by_its_value_with_all_that_there_is(self) -> None:
        table = linked()
        out = table.tell(A, Nudge(edge="f/a", sender=B))
        assert only(Propose, out).key == KEY
        assert only(Offer, out).fields.keys() == {"name", "x"}

    def test_a_newer_proposal_gives_it_its_number(self) -> None:
        table = linked()
        number = table.edge(B, "f/b").number + 5
        assert only(Accept, table.tell(B, Propose(edge="f/b", sender=A, number=number, key=KEY))).number == number
        assert table.edge(B, "f/b").number == number


class TestNotes:
    def test_two_reasons_about_a_field_stand_side_by_side_and_are_told_once(self) -> None:
        table = linked()
        command = only(Command, table.read(A, 20, x="x1"))
        told = reports(table.bring(B, table.receipt(command, "refused", fields={"x": "too long"})))
        again = replace(command, number=command.number)
        assert told == ["not applied: too long"]
        assert reports(table.bring(B, table.receipt(again, "refused", fields={"x": "too long"}))) == []
        assert table.row(B).notes == {"x": "not applied: too long"}

    def test_a_refusal_without_a_word_is_told_as_one(self) -> None:
        table = linked()
        command = only(Command, table.read(A, 20, x="x1"))
        assert reports(table.bring(B, table.receipt(command, "refused"))) == ["not applied: refused"]

    def test_of_a_field_that_nobody_maps_any_more_nothing_is_kept(self) -> None:
        table = linked()
        command = only(Command, table.read(A, 20, x="x1"))
        table.bring(B, table.receipt(command, "refused", fields={"x": "too long"}))
        table.view = view(flow(pairs=tuple(pair for pair in FIELDS if pair.left != "x")))
        table.bring(B, seen(30, name="n", y=None))
        row = table.row(B)
        assert ("x" in row.remote, "x" in row.cells, row.notes) == (False, False, {})

    def test_where_one_field_may_not_be_set_the_next_one_is_taken(self) -> None:
        pairs = (FIELDS[0], Pair(left="x", right="x", direction="forward"), FIELDS[2])
        table = linked(view(flow(pairs=pairs)))
        offer = only(Offer, linked().tell(B, seen(20, name="n", x="x1", y="y1")))
        assert list(offer.fields) == ["x", "y"]
        table.bring(A, offer)
        assert (table.right(A, "x"), table.right(A, "y")) == ("x0", "y1")


def test_d1_who_cannot_keep_another_asker_says_to_come_later() -> None:
    table = Table(view(flow("a.p", "b.p", name="p")))
    table.tell("a.p:1", seen(10, **FULL))
    answers = [every(Answer, table.tell("a.p:1", Ask(edge="p/a", sender=f"a.t:{number}"))) for number in range(70)]
    [late] = {(answer.edge, answer.twin, answer.later) for each in answers for answer in each}
    assert late == ("p/a", None, True)
