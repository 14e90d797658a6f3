from __future__ import annotations

from typing import Any

import pytest

from stream.codec import bytes_of, encode
from stream.core.flows import Conversion, Pair
from stream.core.row import Row
from stream.model import Attach, Command, Nudge, Offer, Propose, Wake
from tests.core.build import (
    FIELDS,
    SECOND,
    START,
    A,
    B,
    Table,
    commands,
    conflicts,
    every,
    flow,
    linked,
    only,
    reports,
    seen,
    view,
)

FULL = {"name": "n", "y": None}


def shout(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"found {value!r}; a text would be right")  # noqa: TRY004 - what conversions raise
    return value.upper()


def test_b3_an_edit_is_offered_once() -> None:
    table = linked()
    assert set(only(Offer, table.tell(A, seen(20, x="x1", **FULL))).fields) == {"x"}
    table.deliver()
    assert every(Offer, table.bring(A, Wake())) == []


def test_b3_what_came_over_a_link_does_not_go_back_over_it() -> None:
    table = linked()
    out = table.read(B, 20, x="x1")
    assert [offer.sender for offer in every(Offer, out)] == [B]


def test_b3_an_older_offer_is_answered_with_the_newer_value() -> None:
    table = linked()
    offer = only(Offer, table.tell(B, seen(20, x="older", **FULL)))
    table.mail.clear()
    table.tell(A, seen(30, x="newer", **FULL))
    table.mail.clear()
    back = only(Offer, table.tell(A, offer))
    assert back.fields["x"].value == "newer"


def test_b3_an_offer_said_twice_changes_nothing() -> None:
    table = linked()
    offer = only(Offer, table.tell(B, seen(20, x="x1", **FULL)))
    table.deliver()
    row = table.row(A)
    assert table.bring(A, offer) == []
    assert table.row(A) == row


@pytest.mark.parametrize(("direction", "way"), [("forward", (1, 0)), ("backward", (0, 1)), ("both", (1, 1))])
def test_b3_the_direction_of_a_pair_is_kept(direction: Any, way: tuple[int, int]) -> None:
    pairs = (FIELDS[0], Pair(left="x", right="x", direction=direction), FIELDS[2])
    given = view(flow(pairs=pairs))
    assert tuple(len(every(Offer, linked(given).read(key, 20, x="x1"))) for key in (A, B)) == way


def test_an_offer_of_a_field_that_may_not_be_set_is_passed_over() -> None:
    pairs = (FIELDS[0], Pair(left="x", right="x", direction="forward"))
    table = linked(view(flow(pairs=pairs)))
    offer = only(Offer, linked().tell(B, seen(20, x="x1", **FULL)))
    assert table.bring(A, offer) == []


def test_b5_a_displaced_edit_is_kept_among_the_conflicts() -> None:
    table = linked()
    table.tell(A, seen(20, x="mine", **FULL))
    table.tell(B, seen(21, x="theirs", **FULL))
    table.deliver()
    [conflict] = conflicts(table.out)
    assert (conflict.ref, conflict.lost.value, conflict.won.value, conflict.won.author) == (A, "mine", "theirs", B)


def test_b5_what_the_winner_had_seen_is_no_conflict() -> None:
    table = linked()
    command = only_command(table.read(A, 20, x="x1"))
    table.done(B, command, 21)
    assert conflicts(table.read(B, 22, x="x2")) == []


def only_command(out: list[Any]) -> Any:
    [command] = commands(out)
    return command


def test_a_value_without_a_word_on_the_other_side_is_told_once_and_not_offered() -> None:
    pairs = (FIELDS[0], Pair(left="x", right="x", conversion=Conversion("shout", shout, None)))
    table = linked(view(flow(pairs=pairs)))
    assert commands(table.read(A, 20, x="loud")) != []
    out = table.read(A, 30, x=5)
    assert every(Offer, out) == []
    assert reports(out) == ["not offered as x: found 5; a text would be right"]
    assert reports(table.bring(A, Wake(resync=True))) == []
    assert table.row(A).notes
    table.read(A, 40, x="again")
    assert not table.row(A).notes


def test_d4_an_offer_over_a_lost_link_makes_it_anew() -> None:
    for loser, keeper, said in ((A, B, Propose), (B, A, Nudge)):
        table = linked()
        offer = only(Offer, table.tell(keeper, seen(20, x="x1", **FULL)))
        table.mail.clear()
        row = table.row(loser)
        table.rows[loser] = Row(remote=row.remote, updated_at=row.updated_at)
        assert only(said, table.tell(loser, offer)).sender == loser
        table.deliver()
        ends = (table.edge(A, "f/a"), table.edge(B, "f/b"))
        assert [(end.state, end.peer) for end in ends] == [("linked", B), ("linked", A)]
        assert table.right(loser, "x") == "x1"


def test_d4_an_offer_of_a_stranger_over_no_end_of_ours_is_passed_over() -> None:
    table = linked()
    assert table.bring(A, Offer(edge="other/a", sender=B, fields={})) == []
    assert table.bring(A, Offer(edge="f/a", sender="b.t:9", fields={})) == []
    assert every(Attach, table.out) == []


def test_b5_a_conflict_says_both_values_and_since_when_and_who() -> None:
    table = linked()
    table.tell(A, seen(20, name="n", x="mine", y=None))
    table.tell(B, seen(21, name="n", x="theirs", y=None))
    before = table.row(A).cells["x"].base
    table.deliver()
    [conflict] = conflicts(table.out)
    assert (conflict.ref, conflict.field) == (A, "x")
    assert (conflict.lost.value, conflict.lost.author, conflict.lost.version.time) == ("mine", A, START + 20 * SECOND)
    assert (conflict.won.value, conflict.won.author, conflict.won.version.time) == ("theirs", B, START + 21 * SECOND)
    assert conflict.won.base is not None
    assert before is None


def test_a_row_of_ten_fields_is_small() -> None:
    """Beyond its values; with an id of Asana and of a PMS, names as they have them, and every field typed elsewhere."""
    names = (
        "name",
        "notes",
        "due_on",
        "start_on",
        "completed",
        "status",
        "owner.email",
        "phase",
        "budget",
        "address.city",
    )
    pairs = tuple(Pair(left=each, right=each) for each in names)
    table = Table(view(flow(pairs=pairs, name="asana.tasks~custompms.task")))
    left, right = "a.t:1207000000000022", "b.t:5f1a9c3e7b2d4f6081a3c5e7"
    table.tell(right, seen(20.5, **{each: f"value of {each}" for each in names}))
    table.bring(left, seen(10.5, **{**dict.fromkeys(names), "name": "value of name"}))
    command = only(Command, table.out)
    table.bring(left, table.receipt(command, "done", target=left, after=seen(30.5, **table.row(right).remote)))
    for key in (left, right):
        row = table.row(key)
        assert len(row.cells) == 10
        assert len(bytes_of(row)) - sum(len(encode(value)) for value in row.remote.values()) <= 600
