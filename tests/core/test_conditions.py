"""Which records and which fields a flow speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from stream.core.conditions import LEFT_ALONE, UNMET
from stream.core.flows import Condition, Pair
from stream.core.matching import keys_of
from stream.core.turn import Report
from stream.model import (
    Answer,
    Ask,
    Attach,
    Claim,
    Command,
    Detach,
    Gone,
    Nudge,
    Offer,
    Propose,
    Register,
    Stated,
    Version,
    Wake,
)
from tests.core.build import FIELDS, START, A, B, Table, commands, every, flow, only, reports, seen, view

SECOND = 1_000_000


def _open(fields: Mapping[str, Any]) -> bool:
    if fields.get("state") == 7:
        raise ValueError("no text")
    return fields.get("state") == "open"


OPEN = Condition("record.state == 'open'", ("state",), _open)
WHEN = view(flow(when=OPEN))
KEPT = view(flow(when=OPEN, delete="delete"))
PAIRS = (FIELDS[0], FIELDS[1], Pair(left="y", right="y", when=OPEN))
GUARDED = view(flow(pairs=PAIRS))


def started(given: Any = WHEN, state: Any = "open", **fields: Any) -> Table:
    """A pair of one name, linked if the left record meets the condition."""
    table = Table(given)
    table.bring(B, seen(10, name="n", x="x0", y=None))
    table.bring(A, seen(10, **{"name": "n", "x": "x0", "y": None, "state": state, **fields}))
    table.now = START + 100 * SECOND
    return table


class TestE1WhoTakesPart:
    def test_who_meets_it_is_linked_and_kept_in_step(self) -> None:
        table = started()
        assert table.edge(A, "f/a").state == "linked"
        assert only(Offer, table.read(A, 20, x="x1")).fields["x"].value == "x1"

    def test_what_does_not_meet_it_is_neither_created_nor_found(self) -> None:
        table = started(state="won")
        edge = table.edge(A, "f/a")
        assert (edge.state, edge.idle, edge.reason) == ("alone", True, UNMET)
        assert table.edge(B, "f/b").state == "alone"
        assert not commands(table.out)
        assert not [each for each in every(Register, table.out) if each.sender == A]
        table.read(A, 20, name="m")
        table.bring(A, Wake(resync=True))
        assert not [each for each in every(Register, table.out) if each.sender == A]
        assert table.edge(A, "f/a").state == "alone"

    def test_who_leaves_while_a_create_is_refused_is_not_created_without_what_was_refused(self) -> None:
        table = Table(WHEN)
        command = only(Command, table.bring(A, seen(10, name="n", x="x0", y="y0", state="open")))
        table.read(A, 20, x="x1", state="won")
        out = table.bring(A, table.receipt(command, "refused", fields={"y": "no"}))
        assert not commands(out)
        edge = table.edge(A, "f/a")
        assert (edge.state, edge.idle, edge.reason, edge.locks) == ("alone", True, UNMET, ())
        assert only(Command, table.read(A, 30, state="open")).want["x"] == "x1"

    def test_who_comes_to_meet_it_is_found(self) -> None:
        table = started(state="won")
        table.read(A, 20, state="open")
        assert table.edge(A, "f/a").peer == B
        assert not table.edge(A, "f/a").idle

    def test_who_comes_to_meet_it_is_created(self) -> None:
        table = Table(WHEN)
        table.bring(A, seen(10, name="n", x="x0", y=None, state="won"))
        assert only(Command, table.read(A, 20, state="open")).want == {"name": "n", "x": "x0"}

    def test_nobody_finds_a_record_that_left_under_its_old_name_or_its_new_one(self) -> None:
        table = Table(view(flow(when=OPEN, create="never")))
        table.bring(A, seen(10, name="n", x="x0", y=None, state="open"))
        out = table.read(A, 20, name="m", state="won")
        end = table.view.flows.ends("a.t")["f/a"]
        gone = {each.message.present: each.to for each in out if hasattr(each, "to")}
        assert gone[False] in {*keys_of(end, {"name": "n"}), *keys_of(end, {"name": "m"})}
        for name in ("n", "m"):
            table.bring(f"b.t:{name}", seen(30, name=name, x=None, y=None))
            assert table.edge(f"b.t:{name}", "f/b").state == "alone"
        table.read(A, 40, state="open")
        assert table.edge(A, "f/a").peer == "b.t:m"

    def test_a_linked_record_that_stops_meeting_it_is_left_alone_and_told_once(self) -> None:
        table = started()
        assert reports(table.read(A, 20, state="won", x="x1")) == [f"f: {LEFT_ALONE}"]
        edge = table.edge(A, "f/a")
        assert (edge.state, edge.peer, edge.reason) == ("linked", B, LEFT_ALONE)
        out = [*table.read(A, 30, x="x2"), *table.read(B, 31, x="b1")]
        assert not commands(out)
        assert not reports(out)
        assert (table.right(A, "x"), table.right(B, "x")) == ("x2", "b1")

    @pytest.mark.parametrize(("left", "right", "final"), [(30, 31, "b1"), (31, 30, "x1")])
    def test_what_happened_meanwhile_is_caught_up_with(self, left: float, right: float, final: str) -> None:
        table = started()
        table.read(A, 20, state="won")
        table.read(A, left, x="x1")
        table.read(B, right, x="b1", y="b1")
        number = table.edge(A, "f/a").number
        table.read(A, 40, state="open")
        assert table.edge(A, "f/a").number == number
        assert table.edge(A, "f/a").reason == ""
        assert (table.right(A, "x"), table.right(B, "x")) == (final, final)
        assert table.right(A, "y") == "b1"

    def test_a_create_on_its_way_is_linked_and_then_left_alone(self) -> None:
        table = Table(view(flow(when=OPEN, match=())))
        command = only(Command, table.bring(A, seen(10, name="n", x="x0", y=None, state="open")))
        table.read(A, 20, state="won", x="x1")
        assert table.edge(A, "f/a").state == "creating"
        table.done(A, command, 30)
        edge = table.edge(A, "f/a")
        assert (edge.state, edge.idle) == ("linked", True)
        assert table.right(B, "x") == "x0"

    def test_a_claim_of_its_counterpart_is_answered_without_values(self) -> None:
        table = started()
        table.read(A, 20, state="won", x="x1")
        out = table.bring(A, Claim(edge="f/a", sender=B))
        assert only(Attach, out).want == {}
        assert not reports(out)
        edge = table.edge(A, "f/a")
        assert (edge.state, edge.idle, edge.reason) == ("linked", True, LEFT_ALONE)
        assert table.right(B, "x") == "x0"

    def test_whoever_asks_for_a_proposal_gets_none(self) -> None:
        table = started(state="won")
        stranger = Offer(edge="f/a", sender="b.t:9", fields={"x": Stated("z", Version(1))})
        for message in (Nudge(edge="f/a", sender=B), stranger):
            assert not every(Propose, table.bring(A, message))

    def test_a_peer_that_lost_the_link_gets_it_back(self) -> None:
        table = started()
        table.read(A, 20, state="won")
        table.bring(A, Nudge(edge="f/a", sender=B))
        assert table.edge(A, "f/a").idle
        assert table.edge(B, "f/b").peer == A

    @pytest.mark.parametrize("deleted", [A, B])
    def test_deletions_do_not_pass_a_link_that_is_left_alone(self, deleted: str) -> None:
        table = started(KEPT)
        table.read(A, 20, state="won")
        out = table.bring(deleted, Gone(read_at=table.now))
        assert only(Detach, out).keep == (deleted == A)
        assert not commands(out)
        assert table.edge(B if deleted == A else A, "f/a" if deleted == B else "f/b").state == "severed"

    def test_what_cannot_be_told_is_noted_once_and_not_met(self) -> None:
        table = started(state=7)
        told = "the condition \"record.state == 'open'\" cannot be told, so it is not met: no text"
        assert table.row(A).notes == {"f/a": told}
        assert [each for each in table.out if isinstance(each, Report)] == [Report(told, "f/a")]
        assert not reports(table.read(A, 20, x="x1"))
        table.read(A, 30, state="open")
        assert table.row(A).notes == {}
        assert table.edge(A, "f/a").state == "linked"

    def test_a_field_that_is_only_read_is_never_written(self) -> None:
        mapped = (*FIELDS, Pair(left="state", right="state"))
        table = Table(view(flow(pairs=mapped)))
        table.bring(B, seen(10, name="n", x="x0", y=None, state="won"))
        table.bring(A, seen(9, name="n", x="x0", y=None, state="open"))
        assert table.row(A).writing is not None
        command = commands(table.out)[0]
        assert command.want == {"state": "won"}
        table.view = WHEN
        assert not commands(table.bring(A, table.receipt(command, "superseded")))


class TestE2WhichFields:
    def test_a_pair_holds_only_while_the_left_record_meets_its_condition(self) -> None:
        table = started(GUARDED, state="won")
        assert table.edge(A, "f/a").state == "linked"
        assert not every(Offer, table.read(A, 20, y="y1"))
        table.read(B, 21, y="b1")
        assert (table.right(A, "y"), table.right(B, "y")) == ("y1", "b1")
        table.read(B, 22, x="b1")
        assert table.right(A, "x") == "b1"

    @pytest.mark.parametrize(("left", "right", "final"), [(30, 31, "b1"), (31, 30, "y1")])
    def test_when_it_comes_to_hold_the_newer_value_is_heard(self, left: float, right: float, final: str) -> None:
        table = started(GUARDED, state="won")
        table.read(A, left, y="y1")
        table.read(B, right, y="b1")
        table.read(A, 40, state="open")
        assert (table.right(A, "y"), table.right(B, "y")) == (final, final)

    def test_one_that_leads_backward_is_only_heard(self) -> None:
        pairs = (*FIELDS[:2], Pair(left="y", right="y", when=OPEN, direction="backward"))
        table = started(view(flow(pairs=pairs)), state="won")
        table.read(B, 20, y="b1")
        assert table.right(A, "y") is None
        out = table.read(A, 30, state="open")
        assert only(Propose, out).anew
        assert table.right(A, "y") == "b1"

    def test_one_that_leads_forward_is_only_said(self) -> None:
        pairs = (*FIELDS[:2], Pair(left="y", right="y", when=OPEN, direction="forward"))
        table = started(view(flow(pairs=pairs)), state="won")
        table.read(A, 20, y="y1")
        out = table.read(A, 30, state="open")
        assert not every(Propose, out)
        assert table.right(B, "y") == "y1"

    def test_a_create_does_not_hold_it(self) -> None:
        table = Table(GUARDED)
        out = table.bring(A, seen(10, name="n", x="x0", y="y0", state="won"))
        assert only(Command, out).want == {"name": "n", "x": "x0"}


PARENTS = flow("a.p", "b.p", name="p", match=())
CONNECTED = view(PARENTS, flow(match=(), linked=(("p", "p"), ("q", "p"))))


class TestE3Connected:
    def test_a_create_waits_for_one_of_its_connections(self) -> None:
        table = Table(CONNECTED)
        table.bring(A, seen(10, name="n", x="x0", y=None, p="1", q=["2", "3", ""]))
        edge = table.edge(A, "f/a")
        assert (edge.state, edge.reason) == ("waiting", "p, q: what it is connected to is not linked yet")
        assert table.row(A).alarm
        assert {each.to for each in table.out if hasattr(each, "to") and isinstance(each.message, Ask)} == {
            "a.p:1",
            "a.p:2",
            "a.p:3",
        }
        command = only(Command, table.bring("a.p:3", seen(11, name="p", x=None, y=None)))
        out = parent(table, command)
        assert only(Command, out).type == "b.t"

    def test_a_record_that_is_connected_to_nothing_waits_for_a_connection(self) -> None:
        table = Table(CONNECTED)
        out = table.bring(A, seen(10, name="n", x="x0", y=None, p=None, q=None))
        assert table.edge(A, "f/a").reason == "p, q: it is connected to nothing"
        assert not commands(out)
        parent(table, only(Command, table.bring("a.p:3", seen(11, name="p", x=None, y=None))))
        assert not table.row(A).alarm
        table.view = view(*table.view.flows.flows.values(), counted=())
        assert not commands(table.read(A, 25, p="3"))
        table.bring(A, Answer(edge="p/a", sender="a.p:3", number=table.now, twin="b.p:3"))
        table.view = view(*table.view.flows.flows.values())
        table.now = table.row(A).alarm
        assert only(Command, table.bring(A, Wake())).type == "b.t"


def parent(table: Table, command: Any) -> Any:
    after = seen(20, marker=command.marker, pristine=True, name="p", x=None, y=None)
    return table.bring("a.p:3", table.receipt(command, "done", target="b.p:3", after=after))
