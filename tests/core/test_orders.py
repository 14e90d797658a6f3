from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stream.core.creating import FLOW_PAUSED
from stream.core.deleting import PARTED
from stream.core.proposing import BARRED
from stream.core.row import Edge
from stream.core.turn import PAUSE, Alarm
from stream.model import Claim, Correct, Detach, Gone, Offer, Pair, Part, Propose, Version, Wake
from tests.core.build import SECOND, A, B, Table, commands, created, every, flow, linked, only, reports, seen, view

EDGE = "f/a"
OTHER = "b.t:2"


def conflicting() -> Table:
    """A pair in which A's edit of x has lost against B's."""
    table = linked()
    table.tell(A, seen(20, name="n", x="of a", y=None))
    table.tell(B, seen(21, name="n", x="of b", y=None))
    table.deliver()
    return table


def won(table: Table) -> Version:
    return table.row(A).cells["x"].version


class TestF1TheValueOfAPerson:
    def test_it_is_an_edit_of_now_on_both_sides(self) -> None:
        table = conflicting()
        out = table.bring(A, Correct(field="x", value="of a", over=won(table)))
        assert table.right(A, "x") == table.right(B, "x") == "of a"
        assert only(Offer, out).fields["x"].author == A
        assert {ref: table.row(ref).cells["x"].version.time for ref in (A, B)} == dict.fromkeys(
            (A, B), table.now - 1_000_000
        )

    def test_it_is_not_taken_over_what_was_edited_since(self) -> None:
        table = conflicting()
        over = won(table)
        table.read(B, 30, x="newer")
        out = table.bring(A, Correct(field="x", value="of a", over=over))
        assert "edited since" in reports(out)[0]
        assert table.right(A, "x") == "newer"

    def test_a_field_that_is_not_there_is_told(self) -> None:
        table = conflicting()
        assert "no such field" in reports(table.bring(A, Correct(field="z", value=1, over=won(table))))[0]
        assert "no such field" in reports(table.bring(A, Correct(field="x~", value=1, over=won(table))))[0]


class TestF2TryingAgain:
    def test_a_refused_field_is_written_once_more(self) -> None:
        table = linked()
        command = only_command(table.read(B, 20, x="x1"))
        table.bring(A, table.receipt(command, "refused", fields={"x": "too long"}))
        assert commands(table.bring(A, Wake())) == []
        again = only_command(table.bring(A, Wake(retry=True)))
        assert again.want == {"x": "x1"}
        assert table.row(A).notes == {}

    def test_a_create_that_was_refused_is_made_once_more(self) -> None:
        table, command = created()
        table.bring(A, table.receipt(command, "refused", reason="not today"))
        assert table.edge(A, EDGE).state == "refused"
        assert only_command(table.bring(A, Wake(retry=True))).kind == "create"

    def test_what_was_not_refused_stays_as_it_is(self) -> None:
        table = linked()
        before = table.row(A)
        assert table.bring(A, Wake(retry=True)) == []
        assert table.row(A) == before


def only_command(out: list[Any]) -> Any:
    [command] = commands(out)
    return command


class TestF6APauseThatEnds:
    def test_what_waits_for_its_time_goes_at_once(self) -> None:
        table = linked()
        command = only_command(table.read(B, 20, x="x1"))
        table.bring(A, table.receipt(command, "retry", reason="paused", wait=900.0))
        assert commands(table.bring(A, Wake())) == []
        assert only_command(table.bring(A, Wake(early=True))).number == command.number

    def test_so_does_a_create(self) -> None:
        table, command = created()
        table.bring(A, table.receipt(command, "retry", reason="paused", wait=900.0))
        assert commands(table.bring(A, Wake())) == []
        assert only_command(table.bring(A, Wake(early=True))).number == command.number


class TestF7AFlowThatIsPaused:
    def paused(self, table: Table) -> Table:
        table.view = replace(table.view, paused=frozenset({"f"}))
        return table

    def resumed(self, table: Table, *refs: str) -> list[Any]:
        table.view = replace(table.view, paused=frozenset())
        return [each for ref in refs for each in table.bring(ref, Wake(early=True))]

    def test_what_is_edited_meanwhile_is_told_when_it_goes_on(self) -> None:
        table = self.paused(linked())
        assert commands(table.read(A, 20, x="x1")) == commands(table.read(B, 21, y="y1")) == []
        assert table.edge(A, EDGE).owed == ("x",)
        out = self.resumed(table, A, B)
        wants = [command.want for command in commands(out)]
        assert ({"x": "x1"} in wants, {"y": "y1"} in wants) == (True, True)
        assert (table.edge(A, EDGE).due, table.edge(A, EDGE).owed) == (0, ())

    def test_of_edits_on_both_sides_the_later_one_wins_then(self) -> None:
        table = self.paused(linked())
        table.read(A, 20, x="earlier")
        table.read(B, 30, x="later")
        out = self.resumed(table, A, B)
        assert [(command.type, command.want) for command in commands(out)] == [("a.t", {"x": "later"})]

    def test_it_looks_again_by_itself_and_waits_on(self) -> None:
        table = self.paused(linked())
        table.read(A, 20, x="x1")
        due = table.edge(A, EDGE).due
        assert due == table.now + PAUSE
        table.now = due
        assert commands(table.bring(A, Wake())) == []
        assert table.edge(A, EDGE).due > due
        assert table.edge(A, EDGE).owed == ("x",)

    def test_an_edit_meanwhile_does_not_put_its_look_off(self) -> None:
        table = self.paused(linked())
        table.read(A, 20, x="x1")
        due = table.edge(A, EDGE).due
        table.read(A, 30, x="x2")
        assert table.edge(A, EDGE).due == due

    def test_nothing_is_created_before_it_goes_on(self) -> None:
        table = self.paused(Table())
        assert commands(table.bring(A, seen(1, name="n", x="x0", y=None))) == []
        edge = table.edge(A, EDGE)
        assert (edge.state, edge.reason) == ("waiting", FLOW_PAUSED)
        assert edge.due
        [command] = commands(self.resumed(table, A))
        assert command.kind == "create"

    def test_a_create_that_was_refused_is_not_tried_in_another_way_meanwhile(self) -> None:
        table, command = created()
        self.paused(table)
        assert commands(table.bring(A, table.receipt(command, "refused", fields={"x": "no"}))) == []
        assert table.edge(A, EDGE).state == "waiting"
        [again] = commands(self.resumed(table, A))
        assert "x" not in again.want

    def test_a_deletion_is_told_when_it_goes_on(self) -> None:
        table = self.paused(linked(view(flow(delete="delete"))))
        assert table.bring(B, Gone(read_at=table.now + SECOND)) == [Alarm(table.edge(B, "f/b").due)]
        assert table.edge(B, "f/b").state == table.edge(A, EDGE).state == "linked"
        [command] = commands(self.resumed(table, B))
        assert (command.type, command.kind) == ("a.t", "delete")

    def test_a_flow_that_is_not_paused_goes_on(self) -> None:
        table = linked()
        table.view = replace(table.view, paused=frozenset({"another"}))
        assert [command.want for command in commands(table.read(A, 20, x="x1"))] == [{"x": "x1"}]


class TestF3Parting:
    def test_both_records_stay_and_nothing_goes_between_them(self) -> None:
        table = linked()
        out = table.bring(A, Part(edge=EDGE, peer=B))
        assert only(Detach, out).parted
        assert [
            (table.edge(ref, name).state, table.edge(ref, name).reason) for ref, name in ((A, EDGE), (B, "f/b"))
        ] == [("severed", PARTED)] * 2
        assert commands(table.read(B, 30, x="x1")) == []
        assert commands(table.bring(A, Wake(resync=True))) == []
        assert table.edge(A, EDGE).state == "severed"

    def test_only_the_link_that_is_meant_is_ended(self) -> None:
        table = linked()
        out = table.bring(A, Part(edge=EDGE, peer=OTHER))
        assert "found no link" in reports(out)[0]
        assert "found no link" in reports(table.bring(A, Part(edge="none/a", peer=B)))[0]
        assert table.edge(A, EDGE).state == "linked"
        number = table.edge(B, "f/b").number
        table.bring(B, Detach(edge="f/b", sender=A, number=number - 1, alive_at=table.now, parted=True))
        table.bring(B, Detach(edge="none/b", sender=A, number=number, alive_at=table.now, parted=True))
        assert table.edge(B, "f/b").state == "linked"


class TestF4Pairing:
    def apart(self) -> Table:
        """Two records that nothing says to be one."""
        table = Table(view(flow(create="never")))
        table.tell(A, seen(1, name="n", x="x0", y=None))
        table.tell(B, seen(2, name="other", x="x1", y=None))
        table.deliver()
        return table

    def test_they_are_linked_whatever_they_match_by(self) -> None:
        table = self.apart()
        table.bring(A, Pair(edge=EDGE, peer=B))
        assert (table.edge(A, EDGE).state, table.edge(A, EDGE).peer) == ("linked", B)
        assert (table.edge(B, "f/b").state, table.edge(B, "f/b").peer) == ("linked", A)
        assert table.right(A, "name") == table.right(B, "name") == "other"

    def test_what_was_parted_is_linked_again(self) -> None:
        table = linked()
        table.bring(A, Part(edge=EDGE, peer=B))
        table.bring(A, Pair(edge=EDGE, peer=B))
        assert table.edge(A, EDGE).state == table.edge(B, "f/b").state == "linked"

    def test_what_was_never_to_be_linked_may_be_by_a_person(self) -> None:
        table = self.apart()
        table.bring(A, Part(edge=EDGE, peer=B, never=True))
        assert table.row(A).never == (f"{EDGE}|{B}",)
        table.bring(A, Pair(edge=EDGE, peer=B))
        assert table.edge(A, EDGE).state == "linked"
        assert table.row(A).never == ()

    def test_nobody_is_taken_from_his_counterpart_by_the_way(self) -> None:
        table = linked()
        assert "was not linked: linked" in reports(table.bring(A, Pair(edge=EDGE, peer=OTHER)))[0]
        table.tell(OTHER, seen(30, name="other", x=None, y=None))
        table.tell("a.t:2", seen(30, name="another", x=None, y=None))
        table.deliver()
        table.bring("a.t:2", Pair(edge=EDGE, peer=B))
        assert table.edge(B, "f/b").peer == A
        assert table.edge("a.t:2", EDGE).state != "linked"

    def test_who_is_refused_to_a_person_looks_for_nobody_else(self) -> None:
        """A person said who it is; nothing is created in its place."""
        table = linked()
        table.tell("a.t:2", seen(30, name="another", x=None, y=None))
        table.mail.clear()
        table.bring("a.t:2", Pair(edge=EDGE, peer=B))
        assert table.edge("a.t:2", EDGE).state == "refused"
        assert table.edge("a.t:2", EDGE).reason == "b.t:1 was not linked: it is linked to another record"

    def test_what_cannot_be_linked_is_told(self) -> None:
        table = self.apart()
        assert "is not there" in reports(table.bring(B, Pair(edge="f/b", peer=A)))[0]
        assert "is not there" in reports(table.bring(A, Pair(edge="none/a", peer=B)))[0]
        assert "is not there" in reports(table.bring("a.t:9", Pair(edge=EDGE, peer=B)))[0]

    def test_a_record_that_its_flow_leaves_alone_is_not_linked(self) -> None:
        table = self.apart()
        row = table.row(A)
        table.rows[A] = replace(row, edges={EDGE: replace(row.edges[EDGE], idle=True)})
        assert "does not meet the flow's condition" in reports(table.bring(A, Pair(edge=EDGE, peer=B)))[0]


class TestF5Never:
    def test_they_part_and_are_not_linked_again_though_they_match(self) -> None:
        table = linked()
        table.bring(A, Part(edge=EDGE, peer=B, never=True))
        assert table.row(A).never == (f"{EDGE}|{B}",)
        assert table.row(B).never == (f"f/b|{A}",)
        table.read(A, 50, y="changed")
        assert (table.edge(A, EDGE).state, table.edge(A, EDGE).reason) == ("refused", BARRED)
        assert table.edge(B, "f/b").state != "linked"
        assert commands(table.bring(A, Wake(resync=True))) == []

    def test_a_mark_does_not_link_them_again(self) -> None:
        table, command = created()
        table.done(A, command, 10)
        table.bring(A, Part(edge=EDGE, peer=B, never=True))
        table.bring(B, seen(50, marker=f"f|{A}", name="n", x="x1", y=None))
        assert (table.edge(A, EDGE).state, table.edge(B, "f/b").state) != ("linked", "linked")
        assert every(Claim, table.out) == []

    def test_nor_does_a_claim_of_one_that_was_not_told(self) -> None:
        table, command = created()
        table.done(A, command, 10)
        table.bring(A, Part(edge=EDGE, peer=B, never=True))
        table.rows[B] = replace(table.row(B), never=(), edges={"f/b": Edge("claiming", peer=A)})
        table.bring(A, Claim(edge=EDGE, sender=B))
        assert table.edge(B, "f/b").state == "copy"
        assert table.edge(A, EDGE).state != "linked"

    def test_another_one_that_matches_is_found(self) -> None:
        table = linked()
        table.bring(A, Part(edge=EDGE, peer=B, never=True))
        table.tell(OTHER, seen(40, name="n", x="x0", y=None))
        table.deliver()
        table.read(A, 50, y="changed")
        assert table.edge(A, EDGE).peer == OTHER

    def test_a_proposal_of_a_barred_record_is_refused(self) -> None:
        table = Table(view(flow(create="never")))
        table.tell(A, seen(1, name="n", x="x0", y=None))
        table.tell(B, seen(2, name="other", x="x1", y=None))
        table.deliver()
        table.bring(B, Part(edge="f/b", peer=A, never=True))
        table.bring(B, Propose(edge="f/b", sender=A, number=9, key=""))
        assert table.row(B).edges["f/b"].state != "linked"
        assert len(every(Propose, table.out)) == 0
