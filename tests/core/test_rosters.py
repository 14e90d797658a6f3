from __future__ import annotations

from stream.core import rosters
from stream.core.flows import Pair
from stream.core.shared import Creates
from stream.model import (
    Attach,
    ClaimKey,
    Command,
    Decide,
    Gone,
    Nudge,
    Offer,
    Propose,
    Refuse,
    Register,
    Release,
    Roster,
    Wake,
)
from tests.core.build import (
    FIELDS,
    SECOND,
    START,
    A,
    B,
    Table,
    commands,
    every,
    flow,
    linked,
    only,
    reports,
    seen,
    view,
)

FULL = {"name": "n", "x": "x0", "y": None}
ROSTER = "roster:f/b"
BACK = "roster:f/a"


def unmarked(**parts: object) -> Table:
    return Table(view(flow(match=(), **parts), unmarked=("a.t", "b.t")))  # type: ignore[arg-type]


def creating(**parts: object) -> tuple[Table, Command]:
    table = unmarked(**parts)
    return table, only(Command, table.bring(A, seen(10, **FULL)))


def roster(table: Table, key: str = ROSTER) -> dict[str, tuple[int, int]]:
    row = table.rows.get(key)
    assert row is None or isinstance(row, Creates)
    return {} if row is None else row.open


class TestC7Origins:
    def test_the_name_is_in_the_roster_before_the_command_is_sent(self) -> None:
        table = unmarked()
        out = table.tell(A, seen(10, **FULL))
        assert (only(ClaimKey, out).create, commands(out)) == (True, [])
        assert table.edge(A, "f/a").reason == rosters.OPENING
        table.deliver()
        assert [command.kind for command in commands(table.out)] == ["create"]
        assert list(roster(table)) == [A]

    def test_and_out_of_it_once_the_new_record_has_accepted(self) -> None:
        table, command = creating()
        table.tell(A, table.receipt(command, "done", target=B, after=seen(30, **FULL)))
        assert list(roster(table)) == [A]
        table.deliver()
        assert roster(table) == {}

    def test_a_refused_create_leaves_it_too(self) -> None:
        table, command = creating()
        table.bring(A, table.receipt(command, "refused", reason="no"))
        assert roster(table) == {}

    def test_a_full_roster_says_nothing_and_is_asked_again_later(self) -> None:
        table = unmarked()
        table.rows[ROSTER] = Creates({f"a.t:x{n}": (n, n) for n in range(1, rosters.ROOM + 1)})
        assert commands(table.bring(A, seen(10, **FULL))) == []
        table.read(A, 20, x="x1")
        assert len(every(ClaimKey, table.out)) == 1
        table.tell(ROSTER, Release(sender="a.t:x1", number=1))
        table.now = table.row(A).alarm
        assert only(Command, table.bring(A, Wake())).want == {"name": "n", "x": "x1"}

    def test_a_place_that_comes_too_late_is_given_back(self) -> None:
        table = unmarked()
        table.tell(A, seen(10, **FULL))
        table.tell(A, Gone(read_at=START + 90 * SECOND))
        table.deliver()
        assert (roster(table), commands(table.out)) == ({}, [])

    def test_a_claim_said_twice_holds_nobody_up(self) -> None:
        table, command = creating()
        claim = only(ClaimKey, table.out)
        table.done(A, command, 30, y=None)
        table.bring(ROSTER, claim)
        assert roster(table) == {}

    def test_an_old_release_takes_no_name_out(self) -> None:
        table, _ = creating()
        table.tell(ROSTER, Release(sender=A, number=1))
        table.tell(ROSTER, Release(sender="a.t:9", number=1))
        assert list(roster(table)) == [A]

    def test_a_resync_puts_the_roster_right(self) -> None:
        table, _ = creating()
        left = roster(table)
        del table.rows[ROSTER]
        table.bring(A, Wake(resync=True))
        assert list(roster(table)) == [A]
        table = unmarked()
        table.rows[ROSTER] = Creates(left)
        table.view = view(flow(match=()), counted=(), unmarked=("b.t",))
        table.bring(A, seen(10, **FULL))
        table.bring(A, Wake(resync=True))
        assert roster(table) == {}

    def test_an_accept_that_was_lost_is_asked_for_again(self) -> None:
        """The new record, forgotten, asked the roster in which its origin waited for it to accept."""
        table, command = creating()
        table.tell(A, table.receipt(command, "done", target=B, after=seen(30, **FULL)))
        table.mail.clear()
        table.bring(B, seen(40, **FULL))
        assert table.edge(B, "f/b").state == "asking"
        table.bring(A, Wake(resync=True))
        assert (table.edge(B, "f/b").state, roster(table)) == ("linked", {})

    def test_types_with_a_marker_have_none(self) -> None:
        table = Table()
        table.bring(A, seen(10, **FULL))
        assert ROSTER not in table.rows
        assert len(commands(table.out)) == 1


class TestC7Newcomers:
    def test_the_record_that_is_being_created_is_not_created_back(self) -> None:
        table, command = creating(create="both")
        out = table.bring(B, seen(30, name="Nn", x="x0", y=None))
        assert commands(out) == []
        assert table.edge(B, "f/b").reason == rosters.ASKING
        out = table.done(A, command, 30, name="Nn", y=None)
        assert only(Attach, out).sender == A
        assert table.edge(B, "f/b").state == "linked"
        table.now = table.row(B).alarm or table.now
        assert commands(table.bring(B, Wake())) == []

    def test_a_stranger_waits_until_what_was_under_way_when_it_asked_is_over(self) -> None:
        table, command = creating(create="both")
        table.bring("b.t:9", seen(30, **FULL))
        ticket = table.edge("b.t:9", "f/b").number
        table.bring("a.t:2", seen(31, **FULL))
        table.bring("b.t:9", Roster(kind="wait", edge="f/b", sender=ROSTER, number=ticket + 1))
        table.done(A, command, 40, y=None)
        assert list(roster(table)) == ["a.t:2"]
        table.now = table.row("b.t:9").alarm
        [made] = [each for each in commands(table.bring("b.t:9", Wake())) if each.edge == "f/b"]
        assert made.kind == "create"
        assert list(roster(table, BACK)) == ["b.t:9"]

    def test_it_asks_later_and_later_while_the_create_is_in_doubt(self) -> None:
        table, command = creating(create="both")
        table.bring(A, table.receipt(command, "unknown", reason="no answer"))
        table.bring("b.t:9", seen(30, **FULL))
        for _ in range(3):
            table.now = table.row("b.t:9").alarm
            assert commands(table.bring("b.t:9", Wake())) == []

    def test_it_registers_before_it_is_let_in_and_answers_no_proposal(self) -> None:
        """Unregistered, a twin that is told that both types were read would create its double."""
        table = Table(view(flow(), unmarked=("b.t",)))
        table.rows[ROSTER] = Creates({"a.t:9": (1, 1)})
        out = table.bring(B, seen(10, **FULL))
        assert (only(Register, out).sender, every(Nudge, out)) == (B, [])
        assert table.tell(B, Propose(edge="f/b", sender=A, number=5, key="")) == []

    def test_it_proposes_to_nobody_who_asks_it_to(self) -> None:
        """Linked by its name, what it had been created with went back over what was typed at its origin since."""
        table = Table(view(flow(), flow("b.t", "c.t", name="g", create="never"), unmarked=("b.t",)))
        table.rows[ROSTER] = Creates({"a.t:9": (1, 1)})
        table.bring(B, seen(10, **FULL))
        nudge = Nudge(edge="g/a", sender="c.t:1")
        assert table.tell(B, nudge) == []
        table.bring(B, Roster(kind="clear", edge="f/b", sender=ROSTER, number=1))
        assert only(Propose, table.tell(B, nudge)).sender == B

    def test_one_that_asks_every_roster_waits_for_all_of_them(self) -> None:
        flows = flow(match=()), flow("a.p", "b.t", name="g", match=()), flow("b.t", "c.t", name="h", match=())
        table = Table(view(*flows, unmarked=("b.t",)))
        table.rows["roster:g/b"] = Creates({"a.p:9": (1, 1)})
        table.bring(B, seen(10, **FULL))
        assert {name: edge.state for name, edge in table.row(B).edges.items()} == {"f/b": "alone", "g/b": "asking"}
        table.tell("roster:g/b", Release(sender="a.p:9", number=1))
        table.now = table.row(B).alarm
        assert only(Command, table.bring(B, Wake())).edge == "h/a"

    def test_once_linked_it_asks_no_more(self) -> None:
        flows = flow(match=()), flow("a.p", "b.t", name="g")
        table = Table(view(*flows, unmarked=("b.t",)))
        table.rows["roster:g/b"] = Creates({"a.p:9": (1, 1)})
        table.bring(B, seen(10, **FULL))
        table.tell(B, Attach(edge="f/b", sender=A, number=5, want={}))
        assert {name: edge.state for name, edge in table.row(B).edges.items()} == {"f/b": "linked", "g/b": "matching"}

    def test_an_offer_is_answered_only_when_it_is_let_in(self) -> None:
        """It asked for a proposal that it could not answer, which brought the next offer, for ever."""
        table = linked(view(flow(), unmarked=("b.t",)))
        del table.rows[B]
        table.rows[ROSTER] = Creates({"a.t:9": (1, 1)})
        table.bring(B, seen(20, **FULL))
        table.bring(A, Wake(resync=True))
        assert table.edge(B, "f/b").state == "asking"
        table.tell(ROSTER, Release(sender="a.t:9", number=1))
        table.now = table.row(B).alarm
        table.bring(B, Wake())
        table.bring(A, Wake(resync=True))
        assert table.edge(B, "f/b").state == "linked"

    def test_a_record_that_was_not_read_yet_asks_for_no_proposal(self) -> None:
        table = linked()
        del table.rows[B]
        table.tell(A, Wake(resync=True))
        [offer] = every(Offer, table.out)[-1:]
        assert table.tell(B, offer) == []

    def test_answers_that_nobody_waits_for_say_nothing(self) -> None:
        table = linked()
        for kind in ("ask", "wait", "clear"):
            for edge in ("f/b", "g/b"):
                assert table.tell(B, Roster(kind=kind, edge=edge, sender=ROSTER, number=1)) == []
        table = Table(view(flow(), unmarked=("b.t",)))
        table.rows[ROSTER] = Creates({"a.t:9": (1, 1)})
        table.bring(B, seen(10, **FULL))
        assert table.tell(B, Roster(kind="ask", edge="f/b", sender=A, number=1)) == []

    def test_a_roster_hears_of_nothing_else(self) -> None:
        assert Table().tell(ROSTER, Wake()) == []
        table, _ = creating()
        table.tell(ROSTER, Wake())
        assert list(roster(table)) == [A]


class TestC11Doubt:
    def test_a_create_in_doubt_is_told_and_not_repeated(self) -> None:
        table, command = creating()
        out = table.bring(A, table.receipt(command, "unknown", reason="b.t:7 or b.t:8"))
        assert reports(out) == ["f/a: unknown whether a b.t was created: b.t:7 or b.t:8"]
        assert (table.row(A).alarm, list(roster(table))) == (0, [A])
        assert commands(table.read(A, 40, x="x1")) == []

    def test_a_person_names_the_record(self) -> None:
        table, command = creating()
        table.bring(A, table.receipt(command, "unknown", reason="two"))
        table.bring("b.t:7", seen(30, **FULL))
        table.bring(A, Decide(edge="f/a", peer="b.t:7"))
        assert (table.edge(A, "f/a").peer, table.edge("b.t:7", "f/b").peer) == ("b.t:7", A)
        assert roster(table) == {}

    def test_or_says_that_there_is_none(self) -> None:
        table, command = creating()
        table.bring(A, table.receipt(command, "unknown", reason="two"))
        again = only(Command, table.bring(A, Decide(edge="f/a")))
        assert (again.kind, again.sure, again.number > command.number) == ("create", command.number, True)
        table.bring(A, table.receipt(again, "retry"))
        table.now = table.row(A).alarm
        assert only(Command, table.bring(A, Wake())).sure == command.number

    def test_what_is_not_in_doubt_is_not_decided(self) -> None:
        for edge in ("f/a", "g/a"):
            table = linked()
            assert reports(table.tell(A, Decide(edge=edge, peer=B))) == [f"{edge}: nothing is in doubt there"]
        assert reports(Table().tell(A, Decide(edge="f/a"))) == ["f/a: nothing is in doubt there"]

    def test_a_record_that_was_found_and_is_another_ones_leaves_the_doubt(self) -> None:
        table, command = creating()
        table.bring(A, table.receipt(command, "found", target=B, after=seen(30, **FULL)))
        table, command = creating()
        table.tell(A, table.receipt(command, "found", target=B, after=seen(30, **FULL)))
        table.mail.clear()
        out = table.bring(A, Refuse(edge="f/a", sender=B, number=command.number, why="taken"))
        assert reports(out) == [f"f/a: unknown whether a b.t was created: {B} holds {ALL_ASKED}"]
        table.bring("b.t:7", seen(30, **FULL))
        table.bring(A, Decide(edge="f/a", peer="b.t:7"))
        assert table.edge("b.t:7", "f/b").state == "linked"


ALL_ASKED = "all that was asked for, and is linked to another record"


def test_what_waits_for_a_required_reference_is_not_in_the_roster() -> None:
    """The parent's counterpart may be a record that waits for this very roster."""
    parent = Pair(left="parent", right="parent", reference="p", required="b")
    flows = flow("a.p", "b.p", name="p", match=()), flow(match=(), pairs=(*FIELDS, parent))
    table = Table(view(*flows, unmarked=("b.t",)))
    table.bring("a.p:1", seen(5, name="p", x=None, y=None))
    command = only(Command, table.out)
    table.bring("a.p:1", table.receipt(command, "done", target="b.p:1", after=seen(6, name="p", x=None, y=None)))
    command = only(Command, table.bring(A, seen(10, parent="1", **FULL)))
    assert list(roster(table)) == [A]
    table.read(A, 20, parent="2")
    table.bring(A, table.receipt(command, "superseded"))
    assert "counterpart is not known" in table.edge(A, "f/a").reason
    assert roster(table) == {}


def test_a_type_that_lost_its_marker_goes_through_the_roster_from_then_on() -> None:
    table = Table(view(flow(match=())))
    command = only(Command, table.bring(A, seen(10, **FULL)))
    table.view = unmarked().view
    again = only(Command, table.bring(A, table.receipt(command, "superseded")))
    assert again.number > command.number
    assert list(roster(table)) == [A]
