from __future__ import annotations

from typing import Any, Literal

import pytest
from msgspec.structs import replace

from stream.core.deleting import ARCHIVED, LEFT
from stream.core.flows import Flows, TypeFacts, View
from stream.core.matching import key_of
from stream.core.row import Deletion
from stream.core.shared import Index
from stream.core.writing import TWICE
from stream.model import (
    Accept,
    Attach,
    Claim,
    Command,
    Detach,
    Gone,
    Nudge,
    Offer,
    Propose,
    Refuse,
    Register,
    Stated,
    Version,
    Wake,
)
from tests.core.build import (
    ALL,
    BY_NAME,
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

C = "c.t:1"
FULL = {"name": "n", "x": "x0", "y": None}
KEY = key_of("f", "name=name", ["n"])
How = Literal["keep", "archive", "delete"]


def gone(at: float) -> Gone:
    return Gone(read_at=START + round(at * SECOND))


def pair(delete: How = "delete", **fields: Any) -> Table:
    return linked(view(flow(delete=delete)), **fields)


def chain(first: How = "delete", second: How = "delete") -> Table:
    """A, B and C in a row, all last changed at second 10; the link of A and B has the first policy."""
    both = flow("b.t", "c.t", name="g", delete=second)
    table = Table(view(flow(delete=first), both))
    for ref in (C, B, A):
        table.bring(ref, seen(10, **FULL))
    assert table.edge(B, "g/a").peer == C
    table.now = START + 100 * SECOND
    return table


def both(delete: How) -> Table:
    """A pair of a flow that creates both ways."""
    given = view(flow(create="both", delete=delete))
    table = Table(View(given.flows))
    for ref in (A, B):
        table.bring(ref, seen(10, **FULL))
    table.view = given
    table.bring(KEY, Wake())
    table.now = START + 100 * SECOND
    assert table.edge(A, "f/a").peer == B
    return table


def removing(table: Table, ref: str = A, at: float = 200) -> Command:
    """A record is deleted, and its counterpart was asked to follow."""
    return only(Command, table.bring(ref, gone(at)))


class TestD2Evidence:
    def test_a_tombstone_ends_the_links_and_is_told_once(self) -> None:
        table = pair("keep")
        assert len(every(Detach, table.bring(A, gone(200)))) == 1
        assert table.bring(A, gone(201)) == []

    def test_a_deletion_read_before_our_last_write_says_nothing(self) -> None:
        table = pair("keep")
        table.done(A, only(Command, table.read(B, 20, x="x1")), 30)
        assert table.bring(A, gone(25)) == []

    def test_a_deletion_of_a_record_that_nobody_read_waits_for_its_attach(self) -> None:
        table, command = created()
        table.bring(B, gone(20))
        out = table.done(A, command, 15, y=None)
        assert only(Detach, out).sender == B
        assert table.edge(A, "f/a").state == "severed"

    def test_one_miss_is_no_deletion(self) -> None:
        """A system that lost sight of a record for a moment had its copies deleted."""
        table = pair()
        command = only(Command, table.read(B, 20, x="x1"))
        assert every(Detach, table.bring(A, table.receipt(command, "missing"))) == []
        table.now = table.row(A).alarm
        assert only(Command, table.bring(A, Wake())).number == command.number
        table.done(A, command, 400)
        command = only(Command, table.read(B, 410, x="x2"))
        assert every(Detach, table.bring(A, table.receipt(command, "missing"))) == []

    def test_two_misses_apart_in_time_are_one(self) -> None:
        table = pair("keep")
        command = only(Command, table.read(B, 20, x="x1"))
        table.bring(A, table.receipt(command, "missing"))
        assert every(Detach, table.bring(A, table.receipt(command, "missing"))) == []
        table.now += TWICE
        assert only(Detach, table.bring(A, table.receipt(command, "missing"))).sender == A
        assert table.row(A).writing is None

    def test_a_tombstone_while_a_write_is_in_flight_waits_for_its_receipt(self) -> None:
        table = pair()
        command = only(Command, table.read(B, 20, x="x1"))
        assert table.bring(A, gone(200)) == []
        assert only(Detach, table.bring(A, table.receipt(command, "missing"))).alive_at < gone(200).read_at

    def test_a_write_that_was_done_after_the_tombstone_was_read_knows_better(self) -> None:
        table = pair()
        command = only(Command, table.read(B, 20, x="x1"))
        table.bring(A, gone(29))
        assert every(Detach, table.done(A, command, 30)) == []
        assert table.row(A).gone_at == 0

    def test_a_reading_that_was_held_knows_better(self) -> None:
        table = pair()
        command = only(Command, table.read(B, 20, x="x1"))
        table.bring(A, gone(29))
        table.tell(A, seen(28, 40, **FULL))
        out = table.bring(A, table.receipt(command, "superseded"))
        assert every(Detach, out) == []
        assert table.row(A).gone_at == 0

    def test_of_two_tombstones_around_a_held_reading_the_later_counts(self) -> None:
        table = pair()
        command = only(Command, table.read(B, 20, x="x1"))
        for message in (gone(29), seen(28, 40, **FULL), gone(50)):
            table.bring(A, message)
        assert len(every(Detach, table.bring(A, table.receipt(command, "missing")))) == 1

    def test_a_deleted_record_is_found_by_nobody_and_written_no_more(self) -> None:
        table = pair("keep")
        table.bring(A, gone(200))
        index = table.rows[KEY]
        assert isinstance(index, Index)
        assert index.places == {B: "B"}
        assert commands(table.read(B, 210, x="x1")) == []


class TestD2Time:
    def test_it_is_that_of_the_last_reading(self) -> None:
        table = pair()
        table.tell(A, seen(50, 52, other="not mapped", **FULL))
        assert only(Detach, table.tell(A, gone(200))).alive_at == START + 50 * SECOND

    def test_a_clock_that_is_ahead_does_not_make_it_later(self) -> None:
        table = pair()
        table.tell(A, seen(500, 52, **FULL))
        assert only(Detach, table.tell(A, gone(200))).alive_at == START + 52 * SECOND

    def test_an_equal_value_that_it_was_offered_is_no_sign_of_life(self) -> None:
        """A was deleted at 40 and silent; B, linked at 60, was edited at 50. With the time of B's values B went too."""
        table = Table(view(flow(delete="delete")))
        table.tell(B, seen(50, **{**FULL, "y": "edited"}))
        table.tell(A, seen(10, **FULL))
        table.deliver()
        command = only(Command, table.out)
        for _ in range(2):
            table.now += TWICE
            out = table.bring(A, table.receipt(command, "missing"))
        assert commands(out) == []
        assert "y is newer" in reports(out)[0]

    def test_what_it_was_only_offered_was_not_seen(self) -> None:
        table = pair()
        command = only(Command, table.read(B, 220, x="x1"))
        assert table.bring(A, gone(230)) == []
        out = table.bring(A, table.receipt(command, "missing"))
        assert commands(out) == []
        assert "x is newer" in reports(out)[0]

    def test_a_value_of_the_same_whole_second_is_kept(self) -> None:
        table = pair()
        table.tell(A, seen(50.5, 52, other="not mapped", **FULL))
        table.tell(B, seen(50, **{**FULL, "x": "x1"}))
        table.mail.clear()
        out = table.bring(A, gone(200))
        assert "x is newer" in reports(out)[0]

    def test_what_the_record_showed_is_not_newer(self) -> None:
        """Two records are linked that hold the same; the younger one's values were on the screen of who deleted."""
        table = Table(view(flow(delete="delete")))
        table.tell(B, seen(60, **FULL))
        table.tell(A, seen(10, **FULL))
        table.deliver()
        assert removing(table).target == B


class TestD2Policies:
    def test_keep_severs_the_link_and_says_so(self) -> None:
        table = pair("keep")
        out = table.bring(A, gone(200))
        assert reports(out) == ["f: a.t:1 was deleted; this copy is kept"]
        assert commands(out) == []
        assert table.edge(B, "f/b").state == "severed"

    def test_a_kept_copy_is_left_alone(self) -> None:
        """Its deleted counterpart was created anew from it."""
        table = both("keep")
        table.bring(A, gone(200))
        for message in (seen(210, **{**FULL, "x": "x1"}), Wake(), Wake(resync=True)):
            assert commands(table.bring(B, message)) == []

    @pytest.mark.parametrize("how", ["archive", "delete"])
    def test_a_copy_follows(self, how: How) -> None:
        table = pair(how)
        command = removing(table)
        assert (command.kind, command.target, command.want) == (how, B, {})
        assert command.base == FULL

    def test_a_deleted_copy_is_gone(self) -> None:
        table = pair()
        table.bring(B, table.receipt(removing(table), "done", target=B))
        assert table.row(B).gone_at
        assert KEY not in table.rows

    def test_an_archived_copy_is_there_and_linked_to_nobody(self) -> None:
        table = chain("archive", "keep")
        table.bring(B, table.receipt(removing(table), "done", target=B))
        assert not table.row(B).gone_at
        assert table.edge(B, "g/a").reason == ARCHIVED
        assert table.edge(C, "g/b").state == "severed"
        assert commands(table.read(B, 300, x="x1")) == []

    @pytest.mark.parametrize("how", ["archive", "delete"])
    def test_a_copy_that_is_missing_was_removed(self, how: How) -> None:
        table = pair(how)
        table.bring(B, table.receipt(removing(table), "missing"))
        assert table.row(B).gone_at

    def test_a_copy_that_cannot_be_removed_is_kept_and_told_of(self) -> None:
        table = pair()
        out = table.bring(B, table.receipt(removing(table), "refused", reason="no such right"))
        assert reports(out) == ["f: a.t:1 was deleted; this copy is kept: no such right"]
        assert commands(table.bring(B, Wake())) == []

    def test_a_removal_that_has_to_wait_is_repeated_under_its_number(self) -> None:
        table = pair()
        command = removing(table)
        table.bring(B, table.receipt(command, "retry"))
        table.now = table.row(B).alarm
        again = only(Command, table.bring(B, Wake()))
        assert (again.number, again.kind) == (command.number, "delete")

    def test_a_superseded_removal_is_issued_again_under_a_new_number(self) -> None:
        table = pair()
        command = removing(table)
        again = only(Command, table.bring(B, table.receipt(command, "superseded")))
        assert again.number > command.number

    def test_each_flow_has_its_own(self) -> None:
        table = chain("keep", "delete")
        table.bring(A, gone(200))
        assert table.edge(B, "f/b").state == "severed"
        assert table.edge(B, "g/a").state == "linked"
        assert only(Command, table.bring(B, gone(300))).target == C

    def test_a_removal_waits_for_the_write_in_flight(self) -> None:
        table = pair()
        command = only(Command, table.read(A, 20, x="x1"))
        assert commands(table.bring(A, gone(200))) == []
        assert only(Command, table.done(B, command, 30)).kind == "delete"


class TestD2NewerWins:
    def test_a_newer_value_keeps_the_copy(self) -> None:
        table = pair()
        table.tell(B, seen(150, **{**FULL, "x": "x1"}))
        table.mail.clear()
        out = table.bring(A, gone(200))
        assert commands(out) == []
        assert reports(out) == ["f: a.t:1 was deleted; this copy is kept: x is newer than its deletion"]

    def test_one_that_the_guard_finds_keeps_it_too(self) -> None:
        table = pair()
        receipt = table.receipt(removing(table), "stale", target=B, before=seen(150, 210, **{**FULL, "x": "x1"}))
        out = table.bring(B, receipt)
        assert commands(out) == []
        assert len(reports(out)) == 1
        assert table.right(B, "x") == "x1"

    def test_one_that_was_read_meanwhile_keeps_it_too(self) -> None:
        table = pair()
        command = removing(table)
        assert table.tell(B, seen(150, 205, **{**FULL, "x": "x1"})) == []
        assert commands(table.bring(B, table.receipt(command, "superseded"))) == []

    def test_what_the_guard_finds_and_is_older_does_not(self) -> None:
        table = pair()
        table.tell(A, seen(50, **FULL))
        before = seen(40, 210, **{**FULL, "x": "x1"})
        again = only(Command, table.bring(B, table.receipt(removing(table), "stale", target=B, before=before)))
        assert (again.kind, again.base["x"]) == ("delete", "x1")

    def test_a_system_of_two_minds_is_asked_again_later(self) -> None:
        table = pair()
        before = seen(5, 210, **{**FULL, "x": "older"})
        out = table.bring(B, table.receipt(removing(table), "stale", target=B, before=before))
        assert commands(out) == []
        assert table.row(B).alarm > table.now
        command = replace(table.row(B).writing, due=0)
        assert commands(table.bring(B, table.receipt(command, "stale"))) != []

    def test_a_deletion_on_request_passes_on_the_original_time(self) -> None:
        """P is deleted, M follows, T was edited in between: with M's own time T's newer edit was deleted."""
        table = chain()
        table.tell(B, seen(160, **FULL))
        command = removing(table)
        table.tell(C, seen(150, **{**FULL, "x": "edited"}))
        table.mail.clear()
        out = table.bring(B, table.receipt(command, "done", target=B))
        assert only(Detach, out).alive_at == START + 10 * SECOND
        assert commands(out) == []
        assert table.edge(C, "g/b").state == "severed"

    def test_also_when_the_poller_sees_it_before_the_receipt(self) -> None:
        table = chain()
        command = removing(table)
        table.tell(B, seen(20, 180, **FULL))
        assert table.bring(B, gone(260)) == []
        out = table.bring(B, table.receipt(command, "missing"))
        assert only(Detach, out).alive_at == START + 10 * SECOND
        assert only(Command, out).target == C

    def test_an_edit_elsewhere_that_arrives_before_the_removal_keeps_the_copy(self) -> None:
        table = chain()
        to_b, to_c = commands(table.read(A, 20, x="x1"))
        table.done(C, to_c, 25)
        table.bring(A, gone(200))
        table.read(C, 150, x="x2")
        out = table.done(B, to_b, 160)
        assert [(each.kind, each.want) for each in commands(out)] == [("update", {"x": "x2"})]


class TestD2Creating:
    def test_a_deleted_origin_with_a_create_in_flight_attaches_then_detaches(self) -> None:
        table = Table(view(flow(match=(), delete="delete")))
        command = only(Command, table.bring(A, seen(10, **FULL)))
        assert every(Detach, table.bring(A, gone(20))) == []
        out = table.done(A, command, 30, y=None)
        assert [type(each) for each in every((Attach, Detach), out)] == [Attach, Detach]  # type: ignore[arg-type]
        assert only(Command, out).kind == "delete"

    @pytest.mark.parametrize("outcome", ["superseded", "refused"])
    def test_a_deleted_origin_whose_create_came_to_nothing_asks_no_more(self, outcome: Any) -> None:
        table, command = created()
        table.bring(A, gone(20))
        assert commands(table.bring(A, table.receipt(command, outcome, fields={"x": "no"}))) == []
        assert table.row(A).edges == {}

    def test_what_is_not_linked_yet_is_let_go_of(self) -> None:
        table = Table(view(counted=()))
        table.bring(A, seen(10, **FULL))
        assert table.edge(A, "f/a").state == "matching"
        table.bring(A, gone(20))
        assert table.row(A).edges == {}

    def test_a_deleted_record_whose_proposal_is_accepted_late_takes_it_back_once(self) -> None:
        """It answered the offers of the other side with another proposal, and so on without an end."""
        table = Table()
        table.tell(B, seen(10, **FULL))
        table.tell(A, seen(10, **FULL))
        while table.edge(A, "f/a").state != "proposed":
            table.tell(*table.mail.popleft())
        table.tell(A, gone(20))
        table.deliver()
        assert table.edge(B, "f/b").state == "matching"


class TestD2Return:
    @pytest.mark.parametrize(("left", "kept"), [(A, B), (B, A)])
    def test_a_record_that_comes_back_is_linked_again(self, left: str, kept: str) -> None:
        table = pair("keep")
        table.bring(left, gone(200))
        table.read(kept, 210, x="x1")
        out = table.bring(left, seen(10, 300, **FULL))
        assert (table.edge(A, "f/a").peer, table.edge(B, "f/b").peer) == (B, A)
        assert only(Command, out).want == {"x": "x1"}
        assert table.edge(A, "f/a").number == table.edge(B, "f/b").number

    def test_a_replica_that_trails_behind_brings_nothing_back(self) -> None:
        table = linked(view(flow(), lag=5 * SECOND))
        table.bring(A, gone(200))
        assert table.bring(A, seen(10, 204, **FULL)) == []
        assert table.row(A).gone_at

    def test_an_old_tombstone_does_not_take_it_away_again(self) -> None:
        table = pair("keep")
        table.bring(A, gone(200))
        table.bring(A, seen(10, 300, **FULL))
        assert table.bring(A, gone(200)) == []

    def test_nor_does_one_of_a_link_that_never_was(self) -> None:
        table = pair()
        detach = Detach(edge="f/b", sender=A, number=table.edge(B, "f/b").number - 1, alive_at=table.now)
        assert table.bring(B, detach) == []

    def test_an_old_attach_does_not_make_the_link_older(self) -> None:
        """Said again, Attach and Detach removed the copy of a record that had come back."""
        table = pair()
        number = table.edge(B, "f/b").number
        assert table.bring(B, Attach(edge="f/b", sender=A, number=number - 1, want={})) == []
        assert table.edge(B, "f/b").number == number

    def test_a_link_that_is_over_does_not_end_again(self) -> None:
        """All topics were read once more: the copy was linked to the deleted record again, and removed with it."""
        table = pair("keep")
        number = table.edge(B, "f/b").number
        table.bring(B, gone(200))
        detach = Detach(edge="f/b", sender=A, number=number, alive_at=table.now)
        table.bring(A, gone(210))
        table.bring(B, seen(250, **FULL))
        assert table.edge(B, "f/b").state == "alone"
        table.view = view(flow(delete="delete"))
        table.tell(B, Propose(edge="f/b", sender=A, number=number, key="", anew=True))
        assert table.edge(B, "f/b").state == "linked"
        assert commands(table.tell(B, detach)) == []

    def test_nor_is_it_brought_back_by_an_old_proposal(self) -> None:
        """All topics were read once more: the last values of a deleted record were written into one that returned."""
        table = pair("keep")
        number = table.edge(B, "f/b").number
        table.bring(B, gone(200))
        table.bring(A, gone(210))
        table.bring(B, seen(250, **FULL))
        out = table.tell(B, Propose(edge="f/b", sender=A, number=number, key=KEY))
        assert (only(Refuse, out).why, table.edge(B, "f/b").state) == ("mismatch", "alone")

    def test_but_by_who_still_stands_to_it(self) -> None:
        table = pair("keep")
        number = table.edge(A, "f/a").number
        table.bring(B, Refuse(edge="f/b", sender=A, number=number, why="given up"))
        table.bring(A, Nudge(edge="f/a", sender=B))
        assert [table.edge(ref, name).number for ref, name in ((A, "f/a"), (B, "f/b"))] == [number, number]
        assert table.edge(B, "f/b").peer == A

    def test_nor_is_it_brought_back_by_an_old_attach(self) -> None:
        """All topics were read once more: what had been wanted of the record before it returned was written again."""
        table = pair("keep")
        number = table.edge(B, "f/b").number
        table.bring(B, gone(200))
        table.bring(A, gone(210))
        table.bring(B, seen(250, **FULL))
        want = {"x": Stated("older", Version(START + 240 * SECOND), None, A)}
        assert table.tell(B, Attach(edge="f/b", sender=A, number=number, want=want)) == []
        assert table.edge(B, "f/b").state == "alone"

    def test_it_is_found_by_no_name_that_it_had(self) -> None:
        """It was deleted while a new name was written; whoever had the old one was refused for ever."""
        table = pair("keep")
        command = only(Command, table.read(A, 20, name="m"))
        table.bring(B, gone(40))
        table.done(B, command, 30)
        assert table.row(B).gone_at
        assert KEY not in table.rows

    def test_whose_counterpart_is_gone_is_free_for_others(self) -> None:
        """It came back and stood as taken: its next match was refused for ever."""
        table = pair("keep")
        table.bring(B, gone(200))
        table.bring(A, gone(210))
        table.bring(B, seen(250, **FULL))
        assert table.rows[KEY].places == {B: "b"}

    def test_whose_origin_is_gone_claims_it_no_more(self) -> None:
        """It came back when its origin had followed it, was edited, and waited for the origin for ever."""
        table, command = created()
        table.done(A, command, 30, y=None)
        table.bring(B, gone(200))
        table.bring(A, gone(210))
        table.bring(B, seen(250, marker="f|a.t:1", **FULL))
        assert every(Claim, table.bring(B, seen(260, marker="f|a.t:1", **{**FULL, "y": "y1"}))) == []
        assert table.edge(B, "f/b").state == "alone"
        table.tell(B, Propose(edge="f/b", sender="a.t:2", number=table.now, key=""))
        assert (table.edge(B, "f/b").state, table.edge(B, "f/b").orphan) == ("linked", False)

    def test_what_is_offered_before_a_tombstone_is_judged_is_taken(self) -> None:
        """The write in flight went well, the record was there, and the offer was never said again."""
        table = pair()
        command = only(Command, table.read(B, 20, x="x1"))
        table.bring(A, gone(29))
        table.read(B, 22, y="y1")
        assert only(Command, table.done(A, command, 30)).want == {"y": "y1"}

    def test_a_link_is_not_given_up_before_a_tombstone_is_judged(self) -> None:
        table = pair()
        only(Command, table.read(B, 20, x="x1"))
        table.bring(A, gone(29))
        assert table.tell(A, Nudge(edge="f/a", sender=B, number=table.now)) == []

    def test_a_removed_record_that_was_brought_back_before_we_heard_is_there(self) -> None:
        """With the time at which the receipt was heard, it was taken for deleted while it was there."""
        table = pair()
        command = removing(table)
        table.tell(B, seen(250, 250, **FULL))
        at, table.now = START + 240 * SECOND, START + 300 * SECOND
        table.bring(B, table.receipt(command, "done", target=B, at=at))
        assert table.row(B).gone_at == 0

    def test_an_old_detach_does_not_undo_the_new_link(self) -> None:
        table = pair("keep")
        detach = only(Detach, table.bring(A, gone(200)))
        table.bring(A, seen(10, 300, **FULL))
        assert table.bring(B, detach) == []
        assert table.edge(B, "f/b").state == "linked"

    def test_one_that_comes_back_before_its_copy_was_removed_keeps_it(self) -> None:
        table = pair()
        write = only(Command, table.read(A, 20, x="x1"))
        table.bring(A, gone(200))
        table.bring(A, seen(20, 300, **{**FULL, "x": "x1"}))
        assert commands(table.done(B, write, 310)) == []
        assert table.edge(B, "f/b").state == "linked"

    @pytest.mark.parametrize(("left", "followed"), [(A, B), (B, A)])
    def test_one_whose_copy_is_being_removed_hears_when_that_is_over(self, left: str, followed: str) -> None:
        table = both("delete")
        command = removing(table, left)
        table.bring(left, seen(10, 300, **FULL))
        assert table.row(followed).writing is not None
        table.bring(followed, table.receipt(command, "done", target=followed))
        for _ in range(3):
            table.now = max(table.now, table.row(left).alarm)
            table.bring(left, Wake())
        assert commands(table.out)[-1].kind == "create"

    def test_it_is_not_a_strangers_to_find(self) -> None:
        table = pair("keep")
        table.bring(A, gone(200))
        number = table.edge(B, "f/b").number
        propose = Propose(edge="f/b", sender="a.t:2", number=table.now, key=KEY)
        assert only(Refuse, table.tell(B, propose)).why == "taken"
        assert only(Refuse, table.tell(B, replace(propose, sender=A, number=number - 1))).why == "taken"
        attach = Attach(edge="f/b", sender="a.t:2", number=table.now, want={})
        assert only(Refuse, table.tell(B, attach)).why == "taken"
        assert table.tell(B, Offer(edge="f/b", sender="a.t:2", fields={})) == []
        table.bring("a.t:2", seen(250, **FULL))
        assert table.edge("a.t:2", "f/a").state == "refused"

    def test_an_old_attach_or_nudge_links_nobody(self) -> None:
        table, command = created()
        attach = only(Attach, table.done(A, command, 30, y=None))
        table.bring(A, gone(200))
        assert table.bring(B, attach) == []
        table = pair("keep")
        table.bring(B, gone(200))
        assert table.bring(A, Nudge(edge="f/a", sender=B)) == []

    def test_a_copy_that_a_person_made_of_it_is_none_of_ours(self) -> None:
        table, command = created()
        table.done(A, command, 30, y=None)
        table.bring(B, gone(200))
        assert only(Refuse, table.tell(A, Claim(edge="f/a", sender="b.t:2"))).why == "copy"

    def test_a_deleted_record_is_asked_by_nobody_for_long(self) -> None:
        table = pair("keep")
        table.bring(A, gone(200))
        assert only(Refuse, table.tell(A, Nudge(edge="f/a", sender=B, number=table.now))).why == "gone"
        assert only(Register, table.tell(A, Nudge(edge="f/a", sender="b.t:2"))).present is False
        assert table.tell(A, Wake(resync=True)) == []
        assert table.row(A).edges["f/a"].reason == LEFT

    def test_one_that_came_back_and_went_again_before_it_was_accepted_is_followed(self) -> None:
        """Its counterpart heard just that nobody waited for it: it was free for others, and stayed."""
        table = pair("keep")
        table.bring(A, gone(200))
        table.tell(A, seen(10, 300, **FULL))
        table.view = view(flow(delete="delete"))
        table.tell(A, gone(400))
        start = len(table.out)
        table.deliver()
        assert only(Command, table.out[start:]).kind == "delete"
        assert [(edge.state, edge.peer) for edge in (table.edge(A, "f/a"), table.edge(B, "f/b"))] == [
            ("severed", B),
            ("severed", A),
        ]

    def test_who_accepts_what_is_over_hears_that_nobody_waits(self) -> None:
        table = pair("keep")
        number = table.edge(A, "f/a").number
        table.bring(B, gone(200))
        for late in (number - 1, number):
            assert only(Refuse, table.tell(A, Accept(edge="f/a", sender=B, number=late))).why == "forgotten"

    def test_who_has_match_values_is_found_by_them_when_it_was_forgotten(self) -> None:
        """A proposal that was said twice is accepted after it was given up: it was for another name, perhaps."""
        table = linked()
        number = table.edge(B, "f/b").number
        out = table.tell(B, Refuse(edge="f/b", sender=A, number=number, why="forgotten"))
        assert (table.edge(B, "f/b").state, every(Claim, out)) == ("matching", [])

    def test_one_that_came_back_and_went_again_asks_no_more(self) -> None:
        table = pair("keep")
        table.bring(B, gone(200))
        table.tell(B, seen(10, 300, **FULL))
        assert table.row(B).alarm
        table.mail.clear()
        table.tell(B, gone(400))
        assert table.row(B).alarm == 0


def test_messages_about_links_that_are_no_more_say_nothing() -> None:
    table = pair()
    number = table.edge(B, "f/b").number
    for message in (
        Detach(edge="z/b", sender=A, number=number, alive_at=0),
        Detach(edge="f/b", sender="a.t:2", number=number, alive_at=0),
        Detach(edge="f/b", sender=A, number=number - 1, alive_at=0),
    ):
        assert table.tell(B, message) == []


def test_two_counterparts_that_are_deleted_are_one_deletion() -> None:
    facts = {name: TypeFacts(rank=rank) for rank, name in enumerate(ALL)}
    flows = [flow(delete="delete"), flow("c.t", "b.t", name="g", delete="archive", match=BY_NAME)]
    table = Table(View(Flows(flows, facts), frozenset(ALL)))
    table.bring(B, seen(10, **FULL))
    for ref in (A, C):
        table.bring(ref, seen(10, **FULL))
    assert table.edge(B, "g/b").peer == C
    for command in commands(table.read(A, 20, x="x1")):
        if command.target == C:
            table.done(C, command, 25)
    table.bring(A, gone(200))
    table.bring(C, gone(210))
    deletion = table.row(B).deletion
    assert deletion is not None
    assert replace(deletion, shown={}) == Deletion(START + 20 * SECOND, "delete", "f/b")
