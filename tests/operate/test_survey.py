"""What status says is counted from rows: links, and whether their two sides agree."""

from __future__ import annotations

from stream.core.flows import Flow, Flows, Pair
from stream.core.row import Cell, Edge, Row
from stream.model import Version
from stream.operate.survey import links, survey

FLOW = Flow(
    name="f",
    left="a.t",
    right="b.t",
    create="forward",
    pairs=(Pair(left="name", right="title"), Pair(left="done", right="done", direction="forward")),
)
FLOWS = Flows([FLOW], {})
OLD, NEW = Version(10, 0, 1), Version(20, 0, 2)


def row(side: str, peer: str, version: Version = OLD, **more: object) -> Row:
    field = "name" if side == "a" else "title"
    made = Row(remote={field: "x", "done": True}, edges={f"f/{side}": Edge("linked", peer=peer)}, **more)  # type: ignore[arg-type]
    made.keep({field: Cell(version), "done": Cell(OLD)})
    return made


def test_a_link_is_in_step_when_both_sides_carry_the_same_versions() -> None:
    counted = survey([("a.t:1", row("a", "b.t:1")), ("b.t:1", row("b", "a.t:1"))], FLOWS)
    assert (counted.linked, counted.in_step) == (1, 1)
    assert counted.entities == {"a.t": 1, "b.t": 1}


def test_news_on_its_way_is_out_of_step() -> None:
    counted = survey([("a.t:1", row("a", "b.t:1", NEW)), ("b.t:1", row("b", "a.t:1"))], FLOWS)
    assert (counted.linked, counted.in_step) == (1, 0)


def test_a_field_that_is_still_to_be_written_is_out_of_step() -> None:
    dirty = row("b", "a.t:1", NEW)
    dirty.keep({"title": Cell(NEW, newer=("y",), carried=OLD), "done": Cell(OLD)})
    counted = survey([("a.t:1", row("a", "b.t:1", NEW)), ("b.t:1", dirty)], FLOWS)
    assert (counted.linked, counted.in_step) == (1, 0)
    assert [link.in_step for link in links([("b.t:1", dirty)])] == [False]


def test_half_a_link_is_not_in_step() -> None:
    counted = survey([("a.t:1", row("a", "b.t:1"))], FLOWS)
    assert (counted.linked, counted.in_step) == (1, 0)


def test_one_way_fields_do_not_count() -> None:
    edited = row("b", "a.t:1")
    edited.keep({"title": Cell(OLD), "done": Cell(NEW)})
    assert survey([("a.t:1", row("a", "b.t:1")), ("b.t:1", edited)], FLOWS).in_step == 1


def test_what_waits_is_named_with_its_reason() -> None:
    waiting = Row(
        remote={"name": "x"}, edges={"f/a": Edge("waiting", reason="for a reason")}, notes={"name": "read-only"}
    )
    counted = survey([("a.t:1", waiting)], FLOWS)
    assert counted.flows["f"].others == {"waiting": 1}
    assert [(each.what, each.reason) for each in counted.waiting] == [("f/a", "for a reason"), ("name", "read-only")]
