"""Fields: a record's sets and groups, spread into fields and gathered again; groups as one value (A14)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.conversions import conversion, together
from stream.core.fields import MOST, Observer, element, element_field, elements, group, parts, paths_of, whole
from stream.core.flows import Conversion, Pair
from stream.core.reading import alike
from stream.model import Command, Conflict
from tests.core.build import A, B, Table, every, flow, only, reports, seen, view

OBSERVE = Observer(["name", "labels~", "members.id~", "street, city"])
RECORD: dict[str, Any] = {
    "name": "n",
    "labels": ["red", " blue ", 7, "", None],
    "members": [{"id": 1}, {"id": 2, "role": "x"}, {}],
    "street": "High Street",
}


class TestObserver:
    def test_a_record_is_spread(self) -> None:
        assert OBSERVE(RECORD) == {
            "name": "n",
            'labels~"red"': True,
            'labels~"blue"': True,
            "labels~7": True,
            "members.id~1": True,
            "members.id~2": True,
            "labels~": None,
            "members.id~": None,
            "street, city": ["High Street", None],
        }

    def test_what_is_not_there_is_empty(self) -> None:
        assert OBSERVE({}) == {"name": None, "street, city": None, "labels~": None, "members.id~": None}

    @pytest.mark.parametrize(
        ("labels", "wrong"),
        [
            ("red", "found 'red'; a list would be right"),
            ({"red": 1}, "found {'red': 1}; a list would be right"),
            ([["red"]], "found the element ['red']; a text or an integer would be right"),
            ([True], "found the element True; a text or an integer would be right"),
            ([0.5], "found the element 0.5; a text or an integer would be right"),
            ([1 << 70], f"found the element {1 << 70}; a text or an integer would be right"),
            (["\ud800"], "found the element '\\ud800'; a text or an integer would be right"),
            ([*range(MOST + 1)], f"found {MOST + 1} elements; {MOST} at most would be right"),
        ],
    )
    def test_a_set_that_is_none_stands_under_its_own_name(self, labels: Any, wrong: str) -> None:
        assert OBSERVE({"labels": labels})["labels~"] == wrong

    def test_fields_are_gathered(self) -> None:
        fields = {"name": "m", 'labels~"red"': None, 'labels~"green"': True, "members.id~3": True}
        assert OBSERVE.gather(fields, RECORD) == {
            "name": "m",
            "labels": [" blue ", 7, "green"],
            "members.id": [1, 2, 3],
        }

    def test_a_group_is_gathered_whole(self) -> None:
        assert OBSERVE.gather({"street, city": [None, "Oslo"]}, RECORD) == {"street": None, "city": "Oslo"}
        assert OBSERVE.gather({"street, city": None}, RECORD) == {"street": None, "city": None}

    def test_what_is_there_already_or_is_not_there_changes_nothing(self) -> None:
        fields = {'labels~"red"': True, 'labels~"white"': None}
        assert OBSERVE.gather(fields, RECORD) == {"labels": ["red", " blue ", 7]}

    def test_a_list_that_is_none_is_not_written(self) -> None:
        with pytest.raises(ValueError, match="a list would be right"):
            OBSERVE.gather({'labels~"red"': True}, {"labels": "red"})

    def test_a_refusal_is_said_of_the_field(self) -> None:
        fields = ["name", 'labels~"red"', "street, city"]
        said = OBSERVE.refused({"labels": "no", "city": "not there", "other": "?"}, fields, apart=True)
        assert said == {'labels~"red"': "no", "street, city": "not there", "other": "?"}

    def test_of_several_elements_none_is_to_blame_yet(self) -> None:
        fields = ['labels~"red"', 'labels~"blue"']
        assert OBSERVE.refused({"labels": "no"}, fields, apart=True) == {}
        assert OBSERVE.refused({"labels": "no"}, fields, apart=False) == dict.fromkeys(fields, "no")

    @pytest.mark.parametrize("field", ["a", "a~", "a~{}", "a~true"])
    def test_what_is_no_element_is_told(self, field: str) -> None:
        with pytest.raises(ValueError, match="an element of a set would be right"):
            element(field)

    def test_a_name_of_an_element_may_hold_the_mark_of_a_set(self) -> None:
        field = element_field("labels~", "a~b")
        assert (whole(field), paths_of(field), element(field)) == ("labels~", ["labels"], "a~b")

    def test_as_many_elements_as_may_be_are_a_set(self) -> None:
        assert len(elements("labels~", [*range(MOST)])) == MOST
        with pytest.raises(ValueError, match="a list would be right"):
            elements("labels~", "")

    def test_what_a_system_said_stays_as_it_is(self) -> None:
        said = {"labels": "no"}
        OBSERVE.refused(said, ['labels~"red"'], apart=True)
        assert said == {"labels": "no"}

    def test_fields_that_come_one_at_a_time_are_all_observed(self) -> None:
        assert Observer(iter(["name", "labels~", "street, city"]))({}).keys() == {"name", "labels~", "street, city"}

    def test_a_group_is_empty_only_if_all_its_parts_are(self) -> None:
        assert group([None, 0]) == [None, 0]
        assert group(["", None]) == ["", None]
        assert group([None, None]) is None
        assert parts("a, b, c", None) == [None, None, None]


@given(st.lists(st.text(max_size=5) | st.integers(-(2**63), 2**63), max_size=8))
def test_what_is_spread_can_be_gathered(labels: list[Any]) -> None:
    known = OBSERVE({"labels": labels})
    if known["labels~"] is None:
        fields = {field: value for field, value in known.items() if value and "~" in field}
        again = OBSERVE.gather(fields, {}).get("labels", [])
        assert elements("labels~", again).keys() == fields.keys()


@given(st.text(min_size=1, max_size=5) | st.integers(-(2**63), 2**63))
def test_the_field_of_an_element_says_which(value: Any) -> None:
    try:
        field = element_field("a.b~", value)
    except ValueError:
        return
    assert whole(field) == "a.b~"
    assert paths_of(field) == ["a.b"]
    assert element(field) == (value.strip() if isinstance(value, str) else value)


PLAIN = Conversion()
ADDRESS = Pair(left="street, city", right="road, town", conversion=together([PLAIN, PLAIN]))
NAME = Pair(left="name", right="name")


def pair(given: Pair = ADDRESS, *, left: list[Any] | None = None, right: list[Any] | None = None) -> Table:
    some = ["High Street 1", "Oslo"]
    fields = {given.left: left or some, given.right: right or left or some}
    table = Table(view(flow(pairs=(NAME, given))))
    for key, field in ((B, given.right), (A, given.left)):
        table.tell(key, reading(10, field, fields[field]))
    table.deliver()
    return table


def reading(at: float, field: str, value: Any) -> Any:
    return seen(at, **{"name": "n", field: value})


class TestA14Groups:
    def test_its_parts_go_together(self) -> None:
        out = pair().bring(A, reading(20, "street, city", ["High Street 1", "Bergen"]))
        command = only(Command, out)
        assert command.want == {"road, town": ["High Street 1", "Bergen"]}
        assert command.base == {"road, town": ["High Street 1", "Oslo"]}

    def test_two_edits_of_different_parts_are_a_conflict_of_the_whole(self) -> None:
        table = pair()
        table.tell(B, reading(20, "road, town", ["Low Street 2", "Oslo"]))
        table.tell(A, reading(21, "street, city", ["High Street 1", "Bergen"]))
        table.deliver()
        [conflict] = every(Conflict, table.out)
        assert conflict.lost.value == ["Low Street 2", "Oslo"]
        assert conflict.won.value == ["High Street 1", "Bergen"]
        assert table.right(B, "road, town") == table.right(A, "street, city") == ["High Street 1", "Bergen"]

    def test_a_part_in_the_systems_own_form_means_what_it_meant(self) -> None:
        """The system had shortened the street; with an edit of the city the short one went back."""
        table = pair()
        command = only(Command, table.bring(A, reading(20, "street, city", ["A very long street", "Oslo"])))
        table.done(B, command, 21, **{"road, town": ["A very lon", "Oslo"]})
        out = table.bring(B, reading(40, "road, town", ["A very lon", "Bergen"]))
        assert only(Command, out).want == {"street, city": ["A very long street", "Bergen"]}

    def test_a_part_that_was_typed_over_is_taken(self) -> None:
        table = pair()
        command = only(Command, table.bring(A, reading(20, "street, city", ["A very long street", "Oslo"])))
        table.done(B, command, 21, **{"road, town": ["A very lon", "Oslo"]})
        out = table.bring(B, reading(40, "road, town", ["Short", "Oslo"]))
        assert only(Command, out).want == {"street, city": ["Short", "Oslo"]}

    def test_emptied_it_is_nothing(self) -> None:
        out = pair().bring(A, reading(20, "street, city", None))
        assert only(Command, out).want == {"road, town": None}

    def test_a_part_without_a_word_holds_back_all_of_it(self) -> None:
        given = Pair(left="start, end", right="from, to", conversion=together([conversion("date"), conversion("date")]))
        table = pair(given, left=["2026-01-01", "2026-02-01"])
        out = table.bring(A, reading(20, "start, end", ["2026-03-01", "soon"]))
        assert every(Command, out) == []
        assert reports(out) == ["not offered as from, to: found 'soon'; a date as 2026-05-01 would be right"]

    @pytest.mark.parametrize("value", ["no list", ["one"]])
    def test_what_has_other_parts_is_told(self, value: Any) -> None:
        with pytest.raises(ValueError, match="2 values would be right"):
            together([PLAIN, PLAIN]).to(value)  # type: ignore[misc]

    def test_an_empty_group_stays_empty(self) -> None:
        both = together([PLAIN, conversion("date")])
        assert both.to is not None
        assert both.to(None) is None
        assert both.to([None, "2026-05-01"]) == [None, "2026-05-01"]


DAY = Pair(left="moment", right="day", conversion=conversion({"date": {"time": "left", "zone": "UTC"}}))
NOON, MIDNIGHT = "2026-05-01T12:00:00+00:00", "2026-05-01T00:00:00+00:00"


def first_contact(given: Pair, left: Any, right: Any) -> Table:
    """The right record is the newer one."""
    table = Table(view(flow(pairs=(NAME, given))))
    table.tell(B, reading(20, given.right, right))
    table.bring(A, reading(10, given.left, left))
    return table


class TestB7LessSaysNothingNew:
    """What both sides say alike, once converted, is not written over the fuller value."""

    def test_at_first_contact_the_fuller_value_stays(self) -> None:
        """Midnight was written over noon."""
        table = first_contact(DAY, NOON, "2026-05-01")
        assert every(Command, table.out) == []
        assert table.right(A, "moment") == NOON
        assert table.row(A).cells["moment"].version == table.row(B).cells["day"].version
        assert every(Conflict, table.out) == []

    def test_another_day_is_written(self) -> None:
        table = first_contact(DAY, NOON, "2026-05-02")
        assert only(Command, table.out).want == {"moment": "2026-05-02T00:00:00+00:00"}

    def test_also_where_only_the_other_side_leads(self) -> None:
        given = Pair(left="moment", right="day", conversion=DAY.conversion, direction="backward")
        assert every(Command, first_contact(given, NOON, "2026-05-01").out) == []

    def test_many_words_for_one(self) -> None:
        words = Conversion("many", {"open": "open", "begun": "open", "done": "done"}.__getitem__, lambda word: word)
        table = first_contact(Pair(left="state", right="status", conversion=words), "begun", "open")
        assert every(Command, table.out) == []
        assert table.right(A, "state") == "begun"

    def test_a_value_without_a_word_gives_way(self) -> None:
        table = first_contact(DAY, "soon", "2026-05-01")
        assert only(Command, table.out).want == {"moment": MIDNIGHT}

    def test_what_we_are_about_to_write_stays_too(self) -> None:
        table = first_contact(DAY, NOON, "2026-05-01")
        table.bring(B, reading(30, "day", "2026-05-02"))
        assert table.row(A).writing is not None
        table.bring(B, reading(40, "day", "2026-05-01"))
        assert table.right(A, "moment") == MIDNIGHT

    def test_of_a_group_each_part_that_is_alike(self) -> None:
        both = together([DAY.conversion, DAY.conversion])
        given = Pair(left="start, end", right="from, to", conversion=both)
        table = first_contact(given, [NOON, NOON], ["2026-05-01", "2026-05-02"])
        assert only(Command, table.out).want == {"start, end": [NOON, "2026-05-02T00:00:00+00:00"]}


def test_an_empty_text_of_a_younger_record_erases_nothing() -> None:
    table = first_contact(Pair(left="notes", right="text", conversion=conversion("text")), "long", "")
    assert only(Command, table.out).want == {"text": "long"}
    assert only(Command, table.out).target == B


def test_a_row_of_many_fields_keeps_who_typed_them() -> None:
    pairs = tuple(Pair(left=f"f{number}", right=f"f{number}") for number in range(100))
    table = Table(view(flow(pairs=(NAME, *pairs))))
    table.tell(B, seen(10, name="n", **{pair.right: None for pair in pairs}))
    table.bring(A, seen(10, name="n", **{pair.left: "x" for pair in pairs}))
    assert {cell.author for field, cell in table.row(B).cells.items() if field != "name"} == {A}


def test_a_group_is_alike_part_by_part() -> None:
    assert alike(["High  street", 1], ["high street", 1])
    assert not alike(["a"], ["a", None])
