"""Where a rule begins and ends: the last number, the same moment, the one place that is left."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from stream.core.brake import decide_brake
from stream.core.index import decide_index
from stream.core.matching import keys_of
from stream.core.rosters import ROOM, decide_roster
from stream.core.seeking import CLAIMING, GATE
from stream.core.shared import Brake, Creates, Index
from stream.core.turn import Mail
from stream.model import (
    Accept,
    Claim,
    ClaimKey,
    Free,
    Gone,
    Leaving,
    Nudge,
    Propose,
    Refuse,
    Register,
    Release,
    Roster,
    Settle,
)
from tests.core.build import SECOND, START, A, B, Table, every, flow, linked, only, seen, view

FULL = {"name": "n", "x": "x0", "y": None}
BY_TWO = ((("x", "x"),), (("name", "name"),))
ROSTER = "roster:f/b"


class TestC6Claims:
    def test_a_flow_that_creates_nothing_has_no_origins(self) -> None:
        table = Table(view(flow(create="never")))
        assert every(Claim, table.tell(B, seen(10, marker="f|a.t:1", **FULL))) == []

    def test_who_claims_gives_its_locks_back(self) -> None:
        table = Table(view(flow(create="both", match=BY_TWO)))
        table.tell(B, seen(10, **FULL))
        while not table.edge(B, "f/b").locks:
            table.tell(*table.mail.popleft())
        [lock] = table.edge(B, "f/b").locks
        out = table.tell(B, seen(20, marker="f|a.t:1", **FULL))
        assert [each.to for each in out if isinstance(each, Mail) and isinstance(each.message, Release)] == [lock]
        assert table.edge(B, "f/b").locks == ()

    def test_who_waits_says_for_what(self) -> None:
        table = Table(view(flow(match=()), counted=()))
        table.tell(A, seen(10, **FULL))
        table.tell(B, seen(10, marker="f|a.t:1", **FULL))
        assert (table.edge(A, "f/a").reason, table.edge(B, "f/b").reason) == (GATE, CLAIMING)


class TestC2Numbers:
    def test_an_old_proposal_does_not_make_the_link_older(self) -> None:
        table = linked()
        number = table.edge(B, "f/b").number
        table.tell(B, Propose(edge="f/b", sender=A, number=number - 1, key="", anew=True))
        assert table.edge(B, "f/b").number == number

    def test_a_proposal_said_twice_is_accepted_twice_and_nothing_is_told_again(self) -> None:
        table = linked()
        out = table.tell(B, Propose(edge="f/b", sender=A, number=table.edge(B, "f/b").number, key=""))
        assert [type(each) for each in every(object, out)] == [Accept]

    def test_nobody_else_refuses_it(self) -> None:
        table = linked()
        number = table.edge(B, "f/b").number
        assert table.tell(B, Refuse(edge="f/b", sender="a.t:9", number=number, why="given up")) == []
        assert table.edge(B, "f/b").state == "linked"


def test_d2_a_deletion_read_at_the_moment_of_the_last_reading_counts() -> None:
    table = linked()
    table.bring(A, Gone(read_at=START + 10 * SECOND))
    assert table.row(A).gone_at == START + 10 * SECOND


class Sheet:
    """A roster, and what it answers."""

    def __init__(self, **open_: tuple[int, int]) -> None:
        self.row: Creates | None = Creates(open_) if open_ else None

    def tell(self, message: Any, now: int = START) -> list[Any]:
        self.row, out = decide_roster(ROSTER, self.row, message, now)
        return [each.message for each in out if isinstance(each, Mail)]

    def claim(self, sender: str, number: int = 1, now: int = START) -> bool:
        said = self.tell(ClaimKey(edge="f/a", sender=sender, number=number, create=True), now)
        assert all(isinstance(each, Free) for each in said)
        return bool(said)

    def ask(self, ticket: int) -> tuple[str, int]:
        [answer] = self.tell(Roster(kind="ask", edge="f/b", sender=B, number=ticket))
        return answer.kind, answer.number

    @property
    def open(self) -> dict[str, tuple[int, int]]:
        return {} if self.row is None else self.row.open


class TestC7Roster:
    def test_the_last_place_is_given_and_no_further_one(self) -> None:
        sheet = Sheet(**{f"a.t:x{number}": (1, number) for number in range(1, ROOM)})
        assert [sheet.claim("a.t:1"), sheet.claim("a.t:2"), sheet.claim("a.t:1", 2)] == [True, False, True]

    def test_places_grow_whatever_the_clock_says(self) -> None:
        sheet = Sheet()
        for sender, now in (("a.t:1", START), ("a.t:2", START), ("a.t:3", START - 5), ("a.t:4", START + 9)):
            sheet.claim(sender, now=now)
        assert [place for _, place in sheet.open.values()] == [START, START + 1, START + 2, START + 9]

    @pytest.mark.parametrize("numbers", [(3, 5), (5, 3)])
    def test_a_release_older_than_the_largest_claim_takes_no_name_out(self, numbers: tuple[int, int]) -> None:
        sheet = Sheet()
        for number in numbers:
            sheet.claim(A, number)
        sheet.tell(Release(sender=A, number=4))
        assert list(sheet.open) == [A]
        sheet.tell(Release(sender=A, number=5))
        assert sheet.open == {}

    def test_a_ticket_is_the_youngest_place_and_over_when_the_oldest_is_younger(self) -> None:
        sheet = Sheet(one=(1, 5), other=(1, 8))
        assert [sheet.ask(ticket) for ticket in (0, 4, 5, 6)] == [("wait", 8), ("clear", 4), ("wait", 5), ("wait", 6)]


class TestD2LastWord:
    @pytest.mark.parametrize(("last", "former"), [("go", "keep"), ("keep", "go")])
    def test_an_earlier_word_that_comes_later_is_none(
        self, last: Literal["go", "keep"], former: Literal["go", "keep"]
    ) -> None:
        brake: Brake | None = Brake(held_at=START)
        for verdict, at in ((last, START + 2), (former, START + 1)):
            brake, _ = decide_brake("brake:a.t", brake, Settle(verdict=verdict, at=at), view(), START)
        _, [mail] = decide_brake("brake:a.t", brake, Leaving(sender=A, since=START + 2), view(), START)
        assert mail.message.verdict == last  # type: ignore[union-attr]

    def test_those_that_were_let_go_do_not_count_again(self) -> None:
        brake: Brake | None = None
        for links, order in ((11, True), (10, False)):
            asked = Leaving(sender=A, since=START, links=links, first=True)
            brake, _ = decide_brake("brake:a.t", brake, asked, view(), START)
            assert bool(brake and brake.held_at) is order
            if order:
                brake, _ = decide_brake("brake:a.t", brake, Settle(verdict="go", at=START), view(), START)


class TestC3Releases:
    def test_only_who_holds_a_lock_opens_it_and_who_gives_up_waits_no_more(self) -> None:
        index: Index | None = None
        claims = [ClaimKey(edge="f/a", sender=f"a.t:{number}", number=number, create=True) for number in (1, 2)]
        for message in (*claims, Release(sender="a.t:3", number=9), Release(sender="a.t:2", number=1)):
            index, _ = decide_index("index:1", index, message, view(), START)
        assert index is not None
        assert (index.lock, index.queue) == ((A, 1, "f/a"), (claims[1],))
        index, _ = decide_index("index:1", index, Release(sender="a.t:2", number=2), view(), START)
        assert index is not None
        assert index.queue == ()


@pytest.mark.parametrize(("left", "right"), [("a.t", "b.t"), ("b.t", "a.t")])
def test_c4_of_the_last_two_the_left_one_proposes(left: str, right: str) -> None:
    given = view(flow(left, right))
    index: Index | None = None
    for sender, edge in ((f"{right}:1", "f/b"), (f"{left}:1", "f/a"), (f"{right}:2", "f/b")):
        index, _ = decide_index("index:1", index, Register(sender=sender, edge=edge), given, START)
    leaves = Register(sender=f"{right}:2", edge="f/b", present=False)
    _, out = decide_index("index:1", index, leaves, given, START)
    assert only(Nudge, out).sender == f"{right}:1"
    assert [each.to for each in out if isinstance(each, Mail)] == [f"{left}:1"]


def test_a_record_of_a_flow_within_its_type_is_on_both_sides() -> None:
    index: Index | None = None
    for edge in ("f/a", "f/b"):
        index, _ = decide_index("index:1", index, Register(sender=A, edge=edge), view(), START)
    assert index is not None
    assert index.places == {A: "ab"}


def test_one_value_of_two_criteria_is_two_match_values() -> None:
    end = view(flow(match=BY_TWO)).flows.ends("a.t")["f/a"]
    assert len(keys_of(end, {"x": "v", "name": "v"})) == 2


def test_d2_what_a_replica_shows_until_the_end_of_its_lag_brings_nothing_back() -> None:
    table = linked(view(flow(), lag=5 * SECOND))
    table.bring(A, Gone(read_at=START + 200 * SECOND))
    assert table.bring(A, seen(10, 205, **FULL)) == []
    assert table.row(A).gone_at
