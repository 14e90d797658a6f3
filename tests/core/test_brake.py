"""The brake: many deletions at once wait for a person, few wait a moment."""

from __future__ import annotations

from typing import Any, Literal

from msgspec.structs import replace

from stream.core.brake import BRAKE, WINDOW, decide_brake
from stream.core.flows import View
from stream.core.shared import Brake
from stream.core.turn import LONGEST, Mail, Output, Report, Tally
from stream.model import Accept, Detach, Gone, Leaving, Nudge, Rouse, Settle, Verdict, Wake
from tests.core.build import SECOND, START, A, B, Table, commands, every, flow, linked, only, reports, seen, view

PAUSE = 60 * SECOND
TYPE = "a.t"
FULL = {"name": "n", "x": "x0", "y": None}


def waiting(delete: Literal["keep", "archive", "delete"] = "delete") -> Table:
    """A linked pair of a flow that deletes; A is gone and has asked."""
    table = linked(view(flow(delete=delete), patience=PAUSE))
    assert only(Leaving, table.bring(A, Gone(read_at=START + 200 * SECOND))).first
    return table


def woken(table: Table, after: int = PAUSE) -> list[Output]:
    table.now += after
    return table.bring(A, Wake())


class Asked:
    """A brake that was asked by so many."""

    def __init__(self, many: int, *, links: int = 40, partitions: int = 1, apart: int = 0) -> None:
        given = view(patience=PAUSE)
        self.view = View(given.flows, given.counted, {TYPE: links}, partitions)
        self.brake: Brake | None = None
        self.now = START
        self.out: list[Any] = []
        for number in range(many):
            self.tell(Leaving(sender=f"a.t:{number}", since=START, first=True))
            self.now += apart

    def tell(self, message: Any) -> list[Output]:
        self.brake, out = decide_brake(BRAKE + TYPE, self.brake, message, self.view, self.now)
        self.out += out
        return out

    def verdict(self, since: int = START, after: int = PAUSE) -> str:
        self.now += after
        [mail] = self.tell(Leaving(sender=A, since=since))
        assert isinstance(mail, Mail)
        assert isinstance(mail.message, Verdict)
        assert (mail.to, mail.message.since) == (A, since)
        return mail.message.verdict


class TestD2Brake:
    def test_few_go_after_a_pause(self) -> None:
        brake = Asked(10)
        assert brake.verdict(after=PAUSE - 1) == "stay"
        assert brake.verdict(after=1) == "go"
        assert brake.out[:-2] == []

    def test_many_are_held_all_of_them_and_told_of_once(self) -> None:
        """A sandbox was emptied by mistake: its first ten copies were gone before anybody could count."""
        brake = Asked(30)
        [report] = every(Report, brake.out)
        assert "a.t: 11 links end at once, of about 40" in report.reason
        assert brake.verdict() == "stay"
        assert brake.verdict(since=brake.now, after=PAUSE) == "stay"

    def test_of_a_large_type_two_in_a_hundred_may_go(self) -> None:
        assert Asked(20, links=1000).verdict() == "go"
        assert Asked(21, links=1000).verdict() == "stay"
        assert Asked(20, links=250, partitions=4).verdict() == "go"

    def test_those_of_long_ago_do_not_count(self) -> None:
        assert Asked(30, apart=WINDOW // 5).verdict() == "go"

    def test_a_record_counts_with_all_its_links(self) -> None:
        brake = Asked(0)
        brake.tell(Leaving(sender=A, since=START, links=11, first=True))
        assert brake.verdict() == "stay"

    def test_a_person_lets_them_go(self) -> None:
        brake = Asked(30)
        brake.now += SECOND
        assert brake.tell(Settle(verdict="go", at=brake.now)) == [Rouse(entity=TYPE)]
        assert brake.verdict(after=0) == "go"
        later = brake.now + 1
        assert brake.verdict(since=later, after=1) == "stay"
        assert brake.verdict(since=later) == "go"

    def test_a_person_keeps_the_copies(self) -> None:
        brake = Asked(30)
        brake.tell(Settle(verdict="keep", at=brake.now))
        assert brake.verdict(after=0) == "keep"

    def test_an_order_said_twice_does_not_let_the_next_ones_go(self) -> None:
        brake = Asked(30)
        order = Settle(verdict="go", at=brake.now)
        brake.tell(order)
        brake.now += SECOND
        for number in range(11):
            brake.tell(Leaving(sender=f"a.t:{number}", since=brake.now, first=True))
        assert brake.tell(order) == []
        assert brake.verdict(since=brake.now) == "stay"

    def test_an_order_of_before_lets_only_those_go_that_had_asked(self) -> None:
        brake = Asked(30)
        brake.tell(Settle(verdict="go", at=START - 1))
        assert brake.verdict() == "stay"

    def test_the_latest_word_counts(self) -> None:
        brake = Asked(30)
        brake.tell(Settle(verdict="keep", at=START + 1))
        brake.tell(Settle(verdict="go", at=START + 2))
        assert brake.verdict() == "go"

    def test_what_is_none_of_its_business(self) -> None:
        brake = Asked(1)
        before = brake.brake
        assert brake.tell(Wake()) == []
        assert brake.brake is before


class TestD2Leave:
    def test_a_record_that_is_gone_asks_and_stays_linked(self) -> None:
        table = waiting()
        assert table.edge(A, "f/a").state == "linked"
        assert commands(table.out[-3:]) == []
        assert table.row(A).alarm == table.row(A).leave.since + PAUSE  # type: ignore[union-attr]

    def test_after_the_pause_its_copy_follows(self) -> None:
        table = waiting()
        assert only(Detach, out := woken(table)).keep is False
        assert [command.kind for command in commands(out)] == ["delete"]
        assert table.row(A).leave is None
        assert table.row(A).alarm == 0

    def test_a_wake_up_before_that_changes_nothing(self) -> None:
        table = waiting()
        alarm = table.row(A).alarm
        assert commands(woken(table, SECOND)) == []
        assert table.row(A).alarm == alarm

    def test_while_it_is_held_it_asks_from_time_to_time(self) -> None:
        table = waiting()
        held = table.rows[BRAKE + TYPE]
        assert isinstance(held, Brake)
        table.rows[BRAKE + TYPE] = replace(held, held_at=START)
        assert commands(woken(table)) == []
        assert table.row(A).alarm > table.now + LONGEST - 10 * SECOND

    def test_a_person_keeps_its_copy(self) -> None:
        table = waiting()
        table.bring(BRAKE + TYPE, Settle(verdict="keep", at=table.now + 1))
        out = table.bring(A, Wake())
        assert only(Detach, out).keep
        assert commands(out) == []
        assert "this copy is kept" in reports(out)[0]

    def test_if_it_comes_back_nothing_happened(self) -> None:
        table = waiting()
        table.read(B, 210, x="x1")
        [command] = commands(table.bring(A, seen(300, **FULL)))
        assert command.want == {"x": "x1"}
        assert table.row(A).leave is None
        assert table.row(A).gone_at == 0
        assert commands(table.bring(A, Verdict(since=START, verdict="go"))) == []

    def test_a_verdict_of_before_is_none(self) -> None:
        table = waiting()
        assert table.bring(A, Verdict(since=1, verdict="go")) == []

    def test_its_link_is_not_given_up_meanwhile(self) -> None:
        table = waiting()
        assert table.tell(A, Nudge(edge="f/a", sender=B, number=table.now)) == []

    def test_without_a_link_it_asks_nobody(self) -> None:
        table = Table(view(flow(create="never"), patience=PAUSE))
        table.bring(A, seen(10, **FULL))
        assert every(Leaving, table.bring(A, Gone(read_at=START + 200 * SECOND))) == []
        assert table.row(A).gone_at

    def test_what_went_at_our_command_was_judged_before(self) -> None:
        table = waiting()
        [command] = commands(woken(table))
        out = table.bring(B, table.receipt(command, "done", target=B))
        assert every(Leaving, out) == []
        assert table.row(B).gone_at


def test_links_are_counted() -> None:
    table = linked(view(flow(delete="keep")))
    assert [(each.entity, each.links) for each in every(Tally, table.out)] == [("b.t", 1), ("a.t", 1)]
    number = table.edge(A, "f/a").number
    assert every(Tally, table.tell(A, Accept(edge="f/a", sender=B, number=number))) == []
    table.out.clear()
    table.bring(A, Gone(read_at=START + 200 * SECOND))
    assert [(each.entity, each.links) for each in every(Tally, table.out)] == [("a.t", -1), ("b.t", -1)]
