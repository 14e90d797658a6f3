from __future__ import annotations

import pytest
from msgspec.structs import replace

from stream.core.reading import AHEAD, alike, changed_at, fresh, known, newer, order, stamp
from stream.core.row import Row
from stream.model import Offer, Seen
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
    seen,
    view,
)


def at_a(table: Table, reading: Seen) -> str:
    table.bring(A, reading)
    return str(table.right(A, "x"))


FULL = {"name": "n", "y": None}


class TestA1Freshness:
    @pytest.mark.parametrize(
        ("reading", "applied"),
        [
            (seen(11, x="x1", **FULL), True),
            (seen(10, 20, x="x1", **FULL), True),
            (seen(9, 20, x="x1", **FULL), False),
        ],
        ids=["newer", "as old, read later", "older"],
    )
    def test_a_reading_without_revisions_is_applied_if_newer(self, reading: Seen, applied: bool) -> None:
        assert at_a(linked(), reading) == ("x1" if applied else "x0")

    def test_a_stale_replica_after_our_write_is_no_edit(self) -> None:
        table = linked(view(lag=5_000_000))
        command = only_command(table, B, A)
        table.done(A, command, 30)
        assert at_a(table, seen(30, 33, x="x0", **FULL)) == "x1"
        assert at_a(table, seen(30, 36, x="x2", **FULL)) == "x2"

    def test_with_revisions_only_they_count(self) -> None:
        table = Table()
        for key in (B, A):
            table.bring(key, seen(10, x="x0", revision=5, **FULL))
        assert at_a(table, seen(99, x="x1", revision=5, **FULL)) == "x0"
        assert at_a(table, seen(9, x="x1", revision=6, **FULL)) == "x1"

    def test_without_any_time_the_later_reading_counts(self) -> None:
        table = Table()
        for key in (B, A):
            table.bring(key, Seen(fields={"x": "x0", **FULL}, read_at=1000))
        assert at_a(table, Seen(fields={"x": "x1", **FULL}, read_at=1000)) == "x0"
        assert at_a(table, Seen(fields={"x": "x1", **FULL}, read_at=1001)) == "x1"


def only_command(table: Table, source: str, target: str, value: str = "x1", at: float = 20) -> object:
    command = only_of(table.read(source, at, x=value))
    assert command.target == target
    return command


def only_of(out: list) -> object:
    [command] = commands(out)
    return command


def test_a_reading_that_tells_nothing_gives_the_same_row_back() -> None:
    table = linked()
    before = table.row(A)
    assert table.tell(A, seen(10, 50, x="x0", **FULL)) == []
    assert table.row(A) is before


def test_a_change_of_fields_that_nobody_mapped_moves_the_time_alone() -> None:
    table = linked()
    assert table.tell(A, seen(50, x="x0", **FULL)) == []
    assert at_a(table, seen(40, x="old", **FULL)) == "x0"


class TestA3OneWriteInFlight:
    def test_an_edit_read_meanwhile_is_kept_for_the_receipt(self) -> None:
        table = linked()
        command = only_command(table, B, A)
        table.read(A, 40, y="typed")
        assert table.right(A, "y") is None
        out = table.done(A, command, 30)
        assert only(Offer, out).fields["y"].value == "typed"

    def test_of_many_readings_the_first_and_the_latest_are_kept(self) -> None:
        table = linked()
        only_command(table, B, A)
        for at in range(40, 70):
            table.read(A, at, y=f"y{at}")
        held = [reading.fields["y"] for reading in table.row(A).held]
        assert len(held) == 16
        assert (held[0], held[-1]) == ("y40", "y69")

    def test_a_held_reading_of_our_write_is_no_edit(self) -> None:
        table = linked()
        command = only_of(table.read(B, 20, x="x1"))
        table.tell(A, seen(30, x="x1", **FULL))
        before, after = seen(10, 29, x="x0", **FULL), seen(32, x="x1", name="n", y="typed")
        out = table.bring(A, table.receipt(command, "done", target=A, before=before, after=after))
        assert set(only(Offer, out).fields) == {"y"}

    def test_the_echo_of_our_write_is_no_edit(self) -> None:
        table = linked()
        command = only_command(table, B, A)
        table.read(A, 30, x="x1")
        assert every(Offer, table.done(A, command, 31)) == []


def test_a_revision_says_which_of_two_readings_is_newer() -> None:
    table = linked()
    table.read(A, 20, x="x1", revision=5)
    for revision in (6, 4):
        table.tell(A, replace(seen(20, name="n", x="x1", y=None, revision=revision), updated_at=START))
    assert table.row(A).revision == 6
    assert order(seen(20, revision=5)) < order(seen(10, revision=6))


class TestB1Minting:
    def test_an_answer_is_newer_than_its_question_whatever_the_clocks_say(self) -> None:
        table = linked()
        command = only_command(table, A, B, at=600)
        table.done(B, command, 20)
        table.read(B, 21, x="answer")
        assert table.right(A, "x") == "answer"

    def test_a_clock_far_ahead_is_cut_off(self) -> None:
        table = linked()
        table.tell(A, seen(9999, 20, x="x1", **FULL))
        assert table.row(A).cells["x"].version.time == seen(25).updated_at


class TestB4LosingEdits:
    def test_an_edit_older_than_the_register_is_told_and_overwritten(self) -> None:
        table = linked()
        command = only_command(table, B, A, at=50)
        held = table.tell(A, seen(40, 60, name="n", x="typed", y=None))
        assert held == []
        out = table.bring(A, table.receipt(command, "stale", target=A, before=seen(40, 61, x="typed", **FULL)))
        assert only_of(out).want == {"x": "x1"}
        [conflict] = conflicts(out)
        assert (conflict.lost.value, conflict.won.value) == ("typed", "x1")

    def test_an_edit_that_loses_to_one_of_the_same_record_is_no_conflict(self) -> None:
        table = linked()
        command = only_of(table.read(B, 20, x="x1"))
        before = seen(25, 30, x="mine", revision=2, **FULL)
        after = seen(21, 31, x="x1", revision=3, **FULL)
        out = table.bring(A, table.receipt(command, "done", target=A, before=before, after=after))
        [again] = [each for each in commands(out) if each.target == A]
        assert again.want == {"x": "mine"}
        older = seen(22, 40, x="older", revision=4, **FULL)
        out = table.bring(A, table.receipt(again, "stale", target=A, before=older))
        assert (only_of(out).want, conflicts(out)) == ({"x": "mine"}, [])

    def test_the_same_value_typed_on_both_sides_is_no_conflict(self) -> None:
        table = linked()
        command = only_command(table, B, A, at=50)
        out = table.bring(A, table.receipt(command, "stale", target=A, before=seen(40, 61, x="x1", **FULL)))
        assert (commands(out), conflicts(out)) == ([], [])


def test_a_field_that_somebody_mapped_since_is_new_in_any_reading() -> None:
    table = linked()
    old = table.view
    table.view = view(flow(pairs=FIELDS[:2]))
    table.read(A, 20, x="x1")
    table.tell(A, seen(20, 15, name="n", x="x1"))
    assert "y" not in table.row(A).remote
    table.view = old
    table.tell(A, seen(15, 12, name="n", x="x0", y="y0"))
    assert (table.row(A).remote["y"], table.right(A, "x")) == ("y0", "x1")


def test_a_time_of_change_that_is_finer_than_a_second_says_enough() -> None:
    table = linked()
    table.tell(A, seen(20.5, 21, x="x0", **FULL))
    assert table.row(A).read_at == 0
    table.tell(A, seen(21, 22, x="x0", **FULL))
    assert table.row(A).read_at == seen(22).read_at


def test_when_a_record_was_read_is_dropped_where_its_own_time_says_enough() -> None:
    table = Table()
    for key in (B, A):
        table.bring(key, seen(10.5, name="n", x=None, y=None))
    assert table.row(A).read_at == table.row(B).read_at == 0


class TestB8Clocks:
    """A's clock is ten minutes behind, and that is known."""

    SLOW = -600 * SECOND

    def test_an_edit_is_dated_by_our_clock(self) -> None:
        table = linked()
        table.tell(B, seen(700, name="n", x="earlier", y=None))
        table.tell(A, replace(seen(150, 760, name="n", x="later", y=None), ahead=self.SLOW))
        table.deliver()
        assert table.right(A, "x") == table.right(B, "x") == "later"
        assert table.row(A).cells["x"].version.time == START + 750 * SECOND

    def test_so_is_a_value_at_first_contact(self) -> None:
        table = Table()
        table.tell(B, seen(700, name="n", x="earlier", y=None))
        table.bring(A, replace(seen(150, 760, name="n", x="later", y=None), ahead=self.SLOW))
        assert table.right(A, "x") == table.right(B, "x") == "later"

    def test_so_is_the_last_time_that_a_record_was_there(self) -> None:
        row = Row(updated_at=START + 600 * SECOND, ahead=500 * SECOND)
        assert known(row) == START + 100 * SECOND

    def test_what_is_compared_with_the_same_record_stays_as_it_is(self) -> None:
        table = linked()
        table.bring(A, replace(seen(150, 750, name="n", x="x1", y=None), ahead=self.SLOW))
        table.bring(A, replace(seen(140, 760, name="n", x="x2", y=None), ahead=self.SLOW * 2))
        assert table.row(A).remote["x"] == "x1"
        assert table.row(A).updated_at == START + 150 * SECOND

    def test_it_never_leads_into_the_future(self) -> None:
        table = linked()
        table.bring(A, replace(seen(150, 160, name="n", x="x1", y=None), ahead=self.SLOW))
        assert table.row(A).cells["x"].version.time == START + 160 * SECOND + AHEAD
        assert changed_at(Row(updated_at=START, read_at=START, ahead=self.SLOW)) == START + AHEAD
        assert changed_at(Row(read_at=START)) == START


@pytest.mark.parametrize(
    ("row", "at"),
    [
        (Row(updated_at=5, read_at=7), 5),
        (Row(updated_at=9, read_at=7), 7),
        (Row(updated_at=5), 5),
        (Row(read_at=7), 7),
        (Row(updated_at=5, read_at=7, written_at=8), 8),
        (Row(updated_at=5, written_at=4), 5),
    ],
)
def test_a_record_was_there_when_it_was_changed_read_or_written(row: Row, at: int) -> None:
    assert known(row) == at


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (Seen(fields={}, read_at=1, revision=5), Seen(fields={}, read_at=2, revision=5)),
        (Seen(fields={}, read_at=4, updated_at=3), Seen(fields={}, read_at=5, updated_at=3)),
        (Seen(fields={}, read_at=9, updated_at=3), Seen(fields={}, read_at=5, updated_at=4)),
        (Seen(fields={}, read_at=4), Seen(fields={}, read_at=5)),
        (Seen(fields={}, read_at=4, updated_at=3), Seen(fields={}, read_at=4)),
    ],
)
def test_of_two_readings_one_is_the_later(earlier: Seen, later: Seen) -> None:
    assert order(earlier) < order(later)


@pytest.mark.parametrize("updated_at", [None, 10])
@pytest.mark.parametrize(("read_at", "applied"), [(15, False), (16, False), (25, False), (26, True)])
def test_a1_after_our_write_a_reading_counts_once_the_lag_is_over(
    updated_at: int | None, read_at: int, applied: bool
) -> None:
    row = Row(updated_at=10, read_at=12, written_at=20)
    assert fresh(row, Seen(fields={}, read_at=read_at, updated_at=updated_at), 5) is applied


@pytest.mark.parametrize("updated_at", [None, 10])
def test_a1_the_reading_that_is_known_is_not_fresh(updated_at: int | None) -> None:
    row = Row(updated_at=10, read_at=12)
    assert [fresh(row, Seen(fields={}, read_at=at, updated_at=updated_at), 0) for at in (12, 13)] == [False, True]


def test_a_reading_as_new_as_the_known_one_is_not_newer() -> None:
    row = Row(revision=5, updated_at=10)
    assert [newer(row, Seen(fields={}, read_at=9, revision=each)) for each in (4, 5, 6)] == [False, False, True]
    assert [newer(row, Seen(fields={}, read_at=9, updated_at=each)) for each in (9, 10, 11)] == [False, False, True]
    assert newer(Row(), Seen(fields={}, read_at=9, revision=0))
    assert not newer(row, Seen(fields={}, read_at=99))


def test_a_time_of_change_never_goes_back() -> None:
    row = Row(updated_at=10, revision=5)
    stamp(row, Seen(fields={}, read_at=12, updated_at=8, revision=6))
    assert (row.updated_at, row.revision) == (10, 6)


@pytest.mark.parametrize(("read_at", "there"), [(49, False), (50, False), (51, True)])
def test_only_a_reading_made_later_shows_that_a_missing_record_is_there(read_at: int, there: bool) -> None:
    gone, missing = Row(gone_at=50), Row(missing_at=50)
    for row in (gone, missing):
        stamp(row, Seen(fields={}, read_at=read_at))
    assert (gone.gone_at == 0, missing.missing_at == 0) == (there, there)


def test_alike_is_equal_up_to_white_space_and_case() -> None:
    assert alike(" Große  Straße\n", "GROSSE STRASSE")
    assert not alike("a b", "ab")
    assert not alike("1", 1)
    assert not alike(["a", "b"], ["b", "a"])
