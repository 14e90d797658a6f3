from __future__ import annotations

from typing import Any, ClassVar

import pytest

from stream.core.flows import Condition, Conversion, Flows, Pair, Reference, TypeFacts, marker, parse_marker
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


def test_a_value_is_compared_in_the_words_of_the_other_side() -> None:
    words = Conversion("loud", str.upper, str.lower)  # type: ignore[arg-type]
    flows = view(flow(pairs=(Pair(left="x", right="z", conversion=words),))).flows
    ours, theirs = flows.ends("a.t")["f/a"], flows.ends("b.t")["f/b"]
    assert (ours.leads["x"][0].convert, ours.takes["x"]) == (words.to, words.to)
    assert (theirs.leads["z"][0].convert, theirs.takes["z"]) == (words.back, words.back)


def test_a_reference_is_asked_of_the_record_of_its_own_side() -> None:
    pairs = (Pair(left="parent", right="above", reference="p"),)
    given = [flow("a.p", "b.p", name="p"), flow(pairs=pairs, linked=(("parent", "p"),))]
    flows = Flows(given, {"b.p": TypeFacts(integer_ids=True)})
    ours, theirs = flows.ends("a.t")["f/a"], flows.ends("b.t")["f/b"]
    to_right = Reference("p/a", "a.p", "b.p", integer=True)
    assert ours.leads["parent"][0].reference == to_right
    assert theirs.leads["above"][0].reference == Reference("p/b", "b.p", "a.p", integer=False)
    assert (ours.needs, theirs.needs) == ((("parent", to_right),), ())


@pytest.mark.parametrize(("required", "wanted"), [("", (False, False)), ("a", (False, True)), ("b", (True, False))])
def test_a_field_is_required_of_the_side_that_leads_there(required: Any, wanted: tuple[bool, bool]) -> None:
    flows = view(flow(pairs=(Pair(left="x", right="x", required=required),))).flows
    leads = (flows.ends("a.t")["f/a"].leads["x"][0], flows.ends("b.t")["f/b"].leads["x"][0])
    assert tuple(lead.required for lead in leads) == wanted


def test_one_field_leads_to_several() -> None:
    pairs = tuple(Pair(left="name", right=right, direction="forward") for right in ("title", "label"))
    assert [lead.peer for lead in view(flow(pairs=pairs)).flows.ends("a.t")["f/a"].leads["name"]] == ["title", "label"]


def test_all_that_is_read_of_a_record_is_observed() -> None:
    given = flow(
        match=((("email", "mail"), ("name", "title")), (("code", "number"), ("email", "mail"))),
        pairs=(
            Pair(left="there", right="there", direction="forward"),
            Pair(left="back", right="back", direction="backward", when=condition("guard", "kind")),
        ),
        when=condition("taking part", "state"),
        linked=(("parent", "p"),),
    )
    flows = view(flow("a.p", "b.p", name="p"), given).flows
    assert flows.paths["a.t"] == ("back", "code", "email", "kind", "name", "parent", "state", "there")
    assert flows.paths["b.t"] == ("back", "mail", "number", "there", "title")
    ours, theirs = flows.ends("a.t")["f/a"], flows.ends("b.t")["f/b"]
    assert ours.watched == ("email", "name", "code")
    assert theirs.criteria == (("mail", "title"), ("number", "mail"))
    assert ours.criterion_names == theirs.criterion_names == ("email=mail,name=title", "code=number,email=mail")


@pytest.mark.parametrize(
    ("direction", "ways"), [("both", (True, True)), ("forward", (True, False)), ("backward", (False, True))]
)
def test_a_condition_of_a_pair_is_asked_of_the_left_field_both_ways(direction: Any, ways: tuple[bool, bool]) -> None:
    pairs = (FIELDS[0], Pair(left="x", right="z", direction=direction, when=condition("open")))
    flows = view(flow(pairs=pairs)).flows
    [guard] = flows.ends("a.t")["f/a"].guards
    assert (guard.name, guard.field, guard.leads, guard.takes) == ("x -> z", "x", *ways)
    assert flows.ends("b.t")["f/b"].guards == ()


def test_the_plan_of_a_type_changes_with_its_conditions_and_connections() -> None:
    def plan(**change: Any) -> int:
        return view(flow("a.p", "b.p", name="p"), flow(**change)).flows.plan("a.t")

    def guarded(text: str) -> tuple[Pair, ...]:
        return (*FIELDS[:2], Pair(left="y", right="y", when=condition(text)))

    changes: list[dict[str, Any]] = [
        {},
        *({"when": condition(text)} for text in ("one", "two")),
        *({"pairs": guarded(text)} for text in ("one", "two")),
        *({"linked": ((field, "p"),)} for field in ("parent", "owner")),
    ]
    assert len({plan(**change) for change in changes}) == len(changes)


def test_the_plan_of_a_type_is_the_same_in_whatever_order_things_are_written() -> None:
    assert view(flow(pairs=FIELDS[::-1])).flows.plan("a.t") == view().flows.plan("a.t")
    one, two = flow(), flow("a.t", "c.t", name="g")
    assert view(one, two).flows.plan("a.t") == view(two, one).flows.plan("a.t")


def condition(text: str, *reads: str) -> Condition:
    return Condition(text, reads, bool)


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
