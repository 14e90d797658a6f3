"""What `links check` finds: in the table alone, and with the records of a system beside it."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.endpoint import Entity
from stream.core.flows import Flow, Flows, TypeFacts
from stream.core.row import Edge, Kept, Row
from stream.core.shared import Creates, Index, Member
from stream.operate.audit import Finding, audit, live

FLOWS = Flows([Flow(name="f", left="a.t", right="b.t", create="forward")], {"b.t": TypeFacts(marked=False)})


def row(side: str, state: str, peer: str = "", **parts: object) -> Row:
    return Row(remote={"name": "x"}, edges={f"f/{side}": Edge(state, peer, **parts)})  # type: ignore[arg-type]


def found(**rows: Kept) -> list[Finding]:
    table = {name.replace("_t", ".t:"): each for name, each in rows.items()}
    return list(audit(table.items(), lambda ref: one if isinstance(one := table.get(ref), Row) else None, FLOWS))


PAIR = {"a_t1": row("a", "linked", "b.t:1"), "b_t1": row("b", "linked", "a.t:1")}


def test_nothing_is_said_of_links_that_both_records_know_of() -> None:
    assert found(**PAIR) == []
    assert found(a_t1=row("a", "linked", "b.t:1"), b_t1=row("b", "severed", "a.t:1")) == []


def test_a_link_that_one_record_alone_knows_of() -> None:
    for there, words in (
        ({}, "of which nothing is known"),
        ({"b_t1": Row(remote={"name": "x"})}, "which says nothing of it"),
        ({"b_t1": row("b", "alone")}, "which says alone"),
        ({"b_t1": row("b", "linked", "a.t:2"), "a_t2": row("a", "linked", "b.t:1")}, "which is linked to a.t:2"),
    ):
        [one] = found(a_t1=row("a", "linked", "b.t:1"), **there)
        assert (one.kind, one.refs, one.what) == ("not mutual", ("a.t:1", "b.t:1"), f"linked to b.t:1, {words}")


def test_one_that_was_in_the_making_is_looked_at_twice() -> None:
    table = {"a.t:1": row("a", "linked", "b.t:1")}

    def rows() -> Iterator[tuple[str, Kept]]:
        yield "a.t:1", table["a.t:1"]
        table["b.t:1"] = row("b", "linked", "a.t:1")

    assert list(audit(rows(), table.get, FLOWS)) == []


def test_what_waits_for_a_person() -> None:
    states = {"a_t1": "unknown", "a_t2": "copy", "a_t3": "refused", "a_t4": "waiting"}
    told = found(**{name: row("a", state, reason="so") for name, state in states.items()})
    assert [(one.kind, one.what) for one in told] == [("in doubt", "so"), ("copy", "so"), ("refused", "so")]
    assert "links decide a.t:1 f/a" in told[0].do


def test_one_match_value_of_which_one_record_is_linked() -> None:
    linked = {"b.t:1": Member("B"), "a.t:1": Member("A")}
    [one] = found(index=Index({**linked, "b.t:2": Member("b")}))
    assert (one.kind, one.refs) == ("same value", ("b.t:1", "b.t:2"))
    free = {"b.t:3": Member("b"), "b.t:4": Member("b")}
    assert found(index=Index(linked), other=Index(free)) == []


def test_a_place_in_a_roster_that_nobody_holds() -> None:
    rows = {"a_t1": row("a", "creating", locks=("roster:f/b",)), "a_t2": row("a", "alone")}
    told = found(**rows, **{"roster:f/b": Creates({"a.t:1": (1, 1), "a.t:2": (2, 2), "a.t:3": (3, 3)})})
    assert [(one.kind, one.refs) for one in told] == [("nobody's place", ("a.t:2",)), ("nobody's place", ("a.t:3",))]


class TestLive:
    @staticmethod
    def told(*entities: Entity, **rows: Row) -> list[Finding]:
        table = {name.replace("_t", ".t:"): each for name, each in rows.items()}
        return list(live("b.t", entities, table.get))

    def test_a_marker_whose_origin_is_linked_to_the_record(self) -> None:
        assert self.told(Entity(id="1", record={}, marker="f|a.t:1"), **PAIR) == []
        assert self.told(Entity(id="1", record={}), Entity(id="2", record={}, marker="mine"), **PAIR) == []

    def test_two_records_with_one_marker(self) -> None:
        [one] = self.told(Entity(id="2", record={}, marker="f|a.t:1"), **PAIR)
        assert (one.kind, one.refs) == ("same marker", ("b.t:2", "b.t:1"))
        assert one.do.endswith("delete b.t:2")

    def test_a_marker_of_which_its_origin_knows_nothing(self) -> None:
        for rows in ({}, {"a_t1": row("a", "alone")}):
            [one] = self.told(Entity(id="2", record={}, marker="f|a.t:1"), **rows)
            assert (one.kind, one.refs) == ("no link", ("b.t:2", "a.t:1"))

    def test_one_that_claims_its_origin_right_now_is_left_alone(self) -> None:
        claiming = row("b", "claiming", "a.t:1")
        assert self.told(Entity(id="2", record={}, marker="f|a.t:1"), a_t1=row("a", "creating"), b_t2=claiming) == []
