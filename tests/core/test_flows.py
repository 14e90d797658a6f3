from __future__ import annotations

from typing import Any, ClassVar

import pytest

from stream.core.flows import Pair, marker, parse_marker
from stream.model import Offer, Register
from tests.core.build import FIELDS, A, B, commands, every, flow, linked, seen, view


def test_a_row_sees_its_ends_and_the_way_of_each_field() -> None:
    flows = view(flow(pairs=(Pair(left="name", right="title"), Pair(left="x", right="x", direction="backward")))).flows
    ours, theirs = flows.ends("a.t")["f/a"], flows.ends("b.t")["f/b"]
    assert [lead.peer for lead in ours.leads["name"]] == ["title"]
    assert "x" not in ours.leads
    assert set(ours.takes) == {"name", "x"}
    assert set(theirs.leads) == {"title", "x"}
    assert set(theirs.takes) == {"title"}
    assert (ours.creates, theirs.creates, ours.created, theirs.created) == (True, False, False, True)
    assert flows.paths["a.t"] == ("name", "x")
    assert flows.ends("c.t") == {}


def test_the_plan_of_a_type_changes_with_what_is_configured_for_it() -> None:
    plans = {
        view(flow(**change)).flows.plan("a.t")
        for change in ({}, {"pairs": FIELDS[:2]}, {"match": ()}, {"create": "never"}, {"name": "g"})
    }
    assert len(plans) == 5
    assert view(flow("c.t", "d.t"), flow()).flows.plan("a.t") == view().flows.plan("a.t")
    assert view().flows.plan("z.z") == 0


@pytest.mark.parametrize("text", ["", "f", "f|", "f|x", "f|a.t", "f|:1"])
def test_what_is_no_marker(text: str) -> None:
    assert parse_marker(text) is None


def test_a_marker_names_flow_and_origin() -> None:
    assert parse_marker(marker("f", A)) == ("f", A)


class TestPlanChanges:
    NARROW = view(flow(pairs=FIELDS[:2]))
    FULL: ClassVar = {"name": "n", "x": "x0"}

    def test_a_field_that_was_only_read_is_offered_once_it_is_mapped(self) -> None:
        by_x = ((("name", "name"),), (("x", "x"),))
        table = linked(view(flow(pairs=FIELDS[:1], match=by_x)), x="x0")
        table.read(A, 20, x="x1")
        table.view = view(flow(match=by_x))
        assert every(Offer, table.read(A, 30))[0].fields["x"].value == "x1"
        assert table.right(B, "x") == "x1"

    def test_a_field_mapped_later_is_offered_from_its_first_reading(self) -> None:
        table = linked(self.NARROW)
        for key in (A, B):
            table.row(key).remote.pop("y", None)
        table.view = view()
        out = table.bring(A, seen(50, y="y0", **self.FULL))
        assert [each.fields["y"].value for each in every(Offer, out) if each.sender == A] == ["y0"]
        assert [command.want for command in commands(out)] == [{"y": "y0"}]
        assert every(Register, out) != []

    def test_even_a_reading_that_is_not_fresh_has_new_fields(self) -> None:
        table = linked(self.NARROW)
        for key in (A, B):
            table.row(key).remote.pop("y", None)
        table.view = view()
        out = table.bring(A, seen(5, y="y0", name="n", x="old"))
        assert every(Offer, out) != []
        assert table.right(B, "y") == "y0"
        assert table.right(B, "x") == "x0"

    def test_a_field_that_nobody_maps_any_more_is_forgotten_and_never_written(self) -> None:
        table = linked()
        command = only_command(table.read(B, 20, y="y1"))
        table.bring(A, table.receipt(command, "retry"))
        table.view = self.NARROW
        assert commands(table.bring(A, table.receipt(command, "superseded"))) == []
        table.bring(A, seen(60, **self.FULL))
        assert set(table.row(A).cells) == set(table.row(A).remote) == {"name", "x"}


def only_command(out: list[Any]) -> Any:
    [command] = commands(out)
    return command
