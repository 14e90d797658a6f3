from __future__ import annotations

from typing import Any

import pytest

from stream.model import Command, Offer, Wake
from tests.core.build import SECOND, A, B, Table, commands, every, linked, only, reports, seen, view

FULL = {"name": "n", "y": None}


def writing(**fields: object) -> tuple[Table, Command]:
    """A pair in which B has typed, and A is being written."""
    table = linked()
    return table, only(Command, table.read(B, 20, **(fields or {"x": "x1"})))


def test_a2_only_what_is_dirty_is_written() -> None:
    _, command = writing()
    assert (command.want, command.base) == ({"x": "x1"}, {"x": "x0"})


def test_a2_what_the_record_holds_already_is_not_written() -> None:
    table, command = writing()
    table.done(A, command, 30)
    assert commands(table.read(B, 40, x="x2")) != []
    table = linked()
    table.tell(A, seen(20, x="same", **FULL))
    table.tell(B, seen(21, x="same", **FULL))
    table.deliver()
    assert commands(table.out) == []


def test_a4_an_edit_in_the_pre_image_keeps_its_own_time() -> None:
    table, command = writing()
    before = seen(21, 30, name="n", x="x0", y="typed")
    after = seen(31, name="n", x="x1", y="typed")
    out = table.bring(A, table.receipt(command, "done", target=A, before=before, after=after))
    assert only(Offer, out).fields["y"].version.time == before.updated_at


def test_a4_an_edit_in_a_held_reading_keeps_its_own_time() -> None:
    table, command = writing()
    held = seen(22, 23, name="n", x="x0", y="typed")
    table.tell(A, held)
    before = seen(25, 30, name="other", x="x0", y="typed")
    after = seen(31, name="other", x="x1", y="typed")
    table.bring(A, table.receipt(command, "done", target=A, before=before, after=after))
    assert table.row(A).cells["y"].version.time == held.updated_at


def test_a4_held_readings_come_between_by_their_time() -> None:
    table, command = writing()
    table.tell(A, seen(22, 23, name="n", x="x0", y="first"))
    before = seen(25, 30, name="n", x="x0", y="second")
    after = seen(31, name="n", x="x1", y="second")
    table.bring(A, table.receipt(command, "done", target=A, before=before, after=after))
    assert table.row(A).cells["y"].version.time == before.updated_at


def test_a4_what_was_equal_by_chance_had_not_been_seen() -> None:
    """Typed over an own value that was the right one by then, the next one counted as an answer to that, and won."""
    table, command = writing()
    table.tell(A, seen(22, 23, name="n", x="x0", y="same"))
    table.read(B, 26, y="same")
    before = seen(24, 30, name="n", x="x0", y="typed")
    after = seen(31, name="n", x="x1", y="typed")
    table.bring(A, table.receipt(command, "done", target=A, before=before, after=after))
    assert table.right(A, "y") == "same"


def test_a6_after_done_the_record_carries_the_version_that_was_written_and_no_newer_one() -> None:
    table, command = writing()
    table.read(B, 25, x="x2")
    out = table.done(A, command, 30)
    assert only(Command, out).want == {"x": "x2"}


def test_a6_a_picture_that_came_with_a_receipt_came_past_any_replica() -> None:
    """Taken for a page, what it shows would be old for as long as the system's replicas lag."""
    table = linked(view(lag=100 * SECOND))
    first = only(Command, table.read(B, 20, x="x1"))
    table.done(A, first, 30)
    again = only(Command, table.read(B, 31, x="x2"))
    shown = seen(30, 32, name="n", x="x1", y="typed")
    table.bring(A, table.receipt(again, "stale", target=A, before=shown))
    assert table.right(B, "y") == "typed"


def test_a6_other_fields_of_the_answer_are_read() -> None:
    table, command = writing()
    out = table.done(A, command, 30, y="typed")
    assert only(Offer, out).fields["y"].value == "typed"


def test_a6_an_answer_older_than_what_was_read_says_nothing_of_other_fields() -> None:
    table, command = writing()
    before, after = seen(25, 30, x="x0", name="n", y="typed"), seen(22, 31, x="x1", **FULL)
    table.bring(A, table.receipt(command, "done", target=A, before=before, after=after))
    assert (table.right(A, "y"), table.row(A).remote["x"]) == ("typed", "x1")


def test_a6_the_normal_form_of_a_system_goes_nowhere() -> None:
    table, command = writing(x=" x1 ")
    assert every(Offer, table.done(A, command, 30, x="x1")) == []
    assert (table.row(A).remote["x"], table.right(A, "x")) == ("x1", " x1 ")


class TestA8WasItUs:
    def test_a_near_form_of_what_we_wanted_is_ours_after_a_lost_answer(self) -> None:
        table, command = writing(x=" x1")
        before = seen(30, x="X1", **FULL)
        receipt = table.receipt(command, "stale", target=A, before=before, guard_at=seen(29).read_at)
        out = table.bring(A, receipt)
        assert (commands(out), every(Offer, out)) == ([], [])

    def test_what_the_system_says_we_wrote_is_ours(self) -> None:
        table, command = writing()
        before = seen(30, x="made of it", by_us=True, **FULL)
        receipt = table.receipt(command, "stale", target=A, before=before, guard_at=seen(29).read_at)
        assert every(Offer, table.bring(A, receipt)) == []

    def test_what_was_read_before_the_guard_is_not_that_write(self) -> None:
        """After a rollback an earlier write of ours made us last modifier, and its old value passed for the new one."""
        table, command = writing()
        before = seen(28, x="earlier", by_us=True, **FULL)
        out = table.bring(A, table.receipt(command, "stale", target=A, before=before, guard_at=seen(29).read_at))
        assert only(Offer, out).fields["x"].value == "earlier"

    def test_without_a_lost_answer_a_near_form_is_an_edit(self) -> None:
        table, command = writing(x=" x1")
        out = table.bring(A, table.receipt(command, "stale", target=A, before=seen(30, x="X1", **FULL)))
        assert only(Offer, out).fields["x"].value == "X1"


def test_a9_what_was_typed_over_our_write_is_newer_than_it() -> None:
    table, command = writing()
    before = seen(11, 31, x="typed", **FULL)
    out = table.bring(A, table.receipt(command, "stale", target=A, before=before, guard_at=seen(30).read_at))
    assert only(Offer, out).fields["x"].value == "typed"


def test_a10_a_superseded_write_is_issued_again_under_a_new_number() -> None:
    table, command = writing()
    again = only(Command, table.bring(A, table.receipt(command, "superseded")))
    assert again.number > command.number
    assert again.want == command.want


class TestA11RejectedFields:
    def test_a_refused_field_is_set_aside_and_the_others_are_written(self) -> None:
        table, command = writing(x="x1", y="y1")
        out = table.bring(A, table.receipt(command, "refused", fields={"x": "too long"}))
        assert only(Command, out).want == {"y": "y1"}
        assert reports(out) == ["not applied: too long"]

    def test_it_is_told_once_and_tried_again_with_the_next_value(self) -> None:
        table, command = writing()
        table.bring(A, table.receipt(command, "refused", fields={"x": "too long"}))
        assert table.bring(A, Wake()) == []
        out = table.read(B, 40, x="x2")
        assert only(Command, out).want == {"x": "x2"}

    def test_a_refusal_without_names_is_searched_field_by_field(self) -> None:
        table, command = writing(x="x1", y="y1")
        first = only(Command, table.bring(A, table.receipt(command, "refused", reason="no")))
        assert first.want == {"x": "x1"}
        second = only(Command, table.bring(A, table.receipt(first, "refused", reason="no")))
        assert second.want == {"y": "y1"}
        table.done(A, second, 40)
        assert not table.row(A).singly

    def test_a_silently_ignored_field_is_told(self) -> None:
        table, command = writing()
        assert reports(table.done(A, command, 30, x="x0")) == ["not applied: the system ignored it"]
        assert table.row(A).notes == {"x": "not applied: the system ignored it"}


class TestAttempts:
    def test_retry_waits_and_repeats_under_the_same_number(self) -> None:
        table, command = writing()
        assert commands(table.bring(A, table.receipt(command, "retry", wait=3.0))) == []
        assert commands(table.bring(A, Wake())) == []
        table.now += 3 * SECOND
        again = only(Command, table.bring(A, Wake()))
        assert (again.number, again.attempt) == (command.number, 1)

    def test_the_wait_is_what_the_system_wished_or_twice_as_long_each_time(self) -> None:
        table, command = writing()
        waits = []
        for wait in (None, None, None, 90.0):
            table.bring(A, table.receipt(command, "retry", wait=wait))
            write = table.row(A).writing
            assert write is not None
            waits.append(write.due - table.now)
        assert waits == [2 * SECOND, 4 * SECOND, 8 * SECOND, 90 * SECOND]

    def test_it_is_sent_at_the_very_moment_and_once(self) -> None:
        table, command = writing()
        table.bring(A, table.receipt(command, "retry", wait=30.0))
        write = table.row(A).writing
        assert write is not None
        table.now = write.due - SECOND
        sent = only(Command, table.tell(A, Wake()))
        assert (sent.kind, sent.issued_at) == ("update", command.issued_at)
        assert commands(table.tell(A, Wake())) == []

    def test_a_write_that_waits_for_nothing_is_not_sent_by_a_wake_up(self) -> None:
        table, _ = writing()
        assert commands(table.tell(A, Wake())) == []

    @pytest.mark.parametrize("outcome", ["superseded", "unknown", "found"])
    def test_every_other_outcome_ends_it(self, outcome: Any) -> None:
        table, command = writing()
        table.tell(A, table.receipt(command, outcome))
        write = table.row(A).writing
        assert write is None or write.number > command.number

    def test_a_record_that_is_missing_is_looked_at_again_a_minute_later(self) -> None:
        table, command = writing()
        table.bring(A, table.receipt(command, "missing"))
        write = table.row(A).writing
        assert write is not None
        assert (write.attempt, write.due) == (1, table.now + 60 * SECOND)
        table.now = table.row(A).missing_at + 59 * SECOND
        table.bring(A, table.receipt(command, "missing"))
        assert table.row(A).gone_at == table.row(A).missing_at + 60 * SECOND

    def test_a_system_that_contradicts_itself_is_not_asked_at_once(self) -> None:
        table, command = writing()
        out = table.bring(A, table.receipt(command, "stale", target=A, before=seen(5, 30, x="older", **FULL)))
        assert commands(out) == []
        assert table.row(A).alarm > table.now

    def test_a_receipt_without_pictures_ends_the_write(self) -> None:
        table, command = writing()
        table.bring(A, table.receipt(command, "stale", target=A))
        table, command = writing()
        table.bring(A, table.receipt(command, "done", target=A))
        table.bring(A, table.receipt(command, "done", target=A))


def test_d3_numbers_never_come_twice_even_when_the_clock_stands() -> None:
    table, command = writing()
    assert command.number == table.row(A).last
    later = only(Command, table.bring(A, table.receipt(command, "superseded")))
    assert later.number > command.number


def test_d3_a_row_that_was_rolled_back_uses_none_of_its_numbers_again() -> None:
    """Command 1 of the second life was taken for command 1 of the first, and its old result for the new one."""
    table = linked()
    before = table.rows[A]
    first = only(Command, table.read(B, 20, x="x1"))
    table.rows[A] = before
    second = only(Command, table.read(B, 30, x="x2"))
    assert second.number > first.number


def test_a8_while_no_answer_was_lost_a_near_form_is_an_edit() -> None:
    table, command = writing()
    out = table.bring(A, table.receipt(command, "stale", target=A, before=seen(25, 30, x=" X1 ", **FULL)))
    assert only(Offer, out).fields["x"].value == " X1 "


def test_a8_a_held_reading_is_judged_like_the_picture() -> None:
    table, command = writing()
    table.tell(A, seen(26, 40, x=" x1 ", **FULL))
    guard = table.now - SECOND
    before = seen(27, 41, x=" x1 ", **FULL)
    out = table.bring(A, table.receipt(command, "stale", target=A, before=before, guard_at=guard - 90 * SECOND))
    assert every(Offer, out) == []
    assert table.right(B, "x") == "x1"


class TestA11AnotherValue:
    """What was refused or ignored is tried again with another value, and with no other occasion."""

    @pytest.mark.parametrize("outcome", ["refused", "ignored"])
    def test_it_is_written_when_the_value_changes(self, outcome: str) -> None:
        table = linked()
        command = only(Command, table.read(A, 20, x="bad"))
        if outcome == "refused":
            table.bring(B, table.receipt(command, "refused", fields={"x": "too long"}))
        else:
            table.done(B, command, 21, x="x0")
        assert table.row(B).notes["x"].startswith("not applied")
        assert commands(table.bring(B, Wake())) == []
        assert [each.want for each in commands(table.read(A, 40, x="good")) if each.target == B] == [{"x": "good"}]
        assert "x" not in table.row(B).notes
