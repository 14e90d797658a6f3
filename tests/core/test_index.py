"""Doubt, several criteria, and ten thousand records of one name."""

from __future__ import annotations

from typing import TypeGuard

from stream.codec import bytes_of, encode
from stream.core.flows import View
from stream.core.index import CROWDED, MOST
from stream.core.matching import key_of
from stream.core.seeking import TAKEN
from stream.core.shared import Index
from stream.core.turn import LONGEST, Mail, Output
from stream.model import ClaimKey, Command, Found, Gone, Nudge, Propose, Refuse, Register, Release, Wake
from tests.core.build import FIELDS, SECOND, START, A, B, Table, commands, every, flow, only, reports, seen, view

BY_TWO = ((("x", "x"),), (("name", "name"),))
NEVER = view(flow(create="never"))
KEY = key_of("f", "name=name", ["n"])


def filled(given: View, **records: dict[str, str | None]) -> Table:
    """All of these are read while the gate is shut; then it opens."""
    flows = tuple(given.flows.flows.values())
    table = Table(view(*flows, counted=()))
    for ref, fields in records.items():
        table.bring(f"{ref[0]}.t:{ref[1:]}", seen(10, **{"name": None, "x": None, "y": None, **fields}))
    table.view = given
    for key in [key for key in table.rows if key.startswith("index:")]:
        table.bring(key, Wake())
    return table


def is_create(each: Output) -> TypeGuard[Command]:
    return isinstance(each, Command) and each.kind == "create"


def state(table: Table, ref: str) -> str:
    return table.edge(ref, f"f/{ref[0]}").state


class TestC4Doubt:
    def test_of_two_for_one_neither_is_taken_until_one_goes(self) -> None:
        table = filled(NEVER, a1={"name": "n"}, b1={"name": "n"}, b2={"name": "n"})
        assert [state(table, ref) for ref in (A, B, "b.t:2")] == ["refused", "refused", "refused"]
        assert reports(table.out)[0].startswith("f: 2 records match it, and nothing says which: ")
        table.read("b.t:2", 20, name="m")
        assert table.edge(A, "f/a").peer == B

    def test_of_two_with_one_counterpart_it_is_the_same(self) -> None:
        table = filled(NEVER, a1={"name": "n"}, a2={"name": "n"}, b1={"name": "n"})
        assert [state(table, ref) for ref in (A, "a.t:2", B)] == ["refused", "refused", "refused"]
        table.read(A, 20, name="m")
        assert table.edge("a.t:2", "f/a").peer == B

    def test_nobody_is_brought_together_while_the_gate_is_shut(self) -> None:
        table = filled(NEVER, a1={"name": "n"}, b1={"name": "n"}, b2={"name": "n"})
        table.view = view(*NEVER.flows.flows.values(), counted=())
        table.read("b.t:2", 20, name="m")
        assert state(table, A) == "refused"

    def test_two_of_one_side_are_no_pair(self) -> None:
        table = filled(NEVER, a1={"name": "n"}, b1={"name": "n"}, b2={"name": "n"})
        table.read(A, 20, name="m")
        assert [state(table, ref) for ref in (B, "b.t:2")] == ["refused", "refused"]

    def test_who_is_left_over_while_it_proposes_elsewhere_is_not_forgotten(self) -> None:
        """It was refused there, and waited for ever; so did the one that was left over with it."""
        table = Table(view(flow(create="never", match=BY_TWO)))
        table.bring("b.t:9", seen(10, name="n", x="q", y=None))
        table.tell(A, seen(10, name="n", x="p", y=None))
        while state(table, A) != "proposed":
            table.tell(*table.mail.popleft())
        table.mail.clear()
        for ref in ("b.t:5", "b.t:6"):
            table.bring(ref, seen(10, name=ref, x="p", y=None))
        table.now = table.row("b.t:5").alarm
        table.bring("b.t:5", Wake())
        assert state(table, "b.t:5") == "refused"
        table.read("b.t:6", 20, x="r")
        number = table.edge(A, "f/a").number
        table.tell(A, Refuse(edge="f/a", sender="b.t:9", number=number, why="taken"))
        table.now = table.row(A).alarm
        table.bring(A, Wake())
        assert table.edge(A, "f/a").peer == "b.t:5"

    def test_a_request_of_before_the_doubt_links_nobody_by_guess(self) -> None:
        """Said again when a second pair of one name had come, it linked two of the four."""
        table = filled(NEVER, a1={"name": "n"}, b1={"name": "n"}, b2={"name": "n"})
        table.bring("a.t:2", seen(10, name="n", x=None, y=None))
        for ref in (A, "a.t:2"):
            out = table.bring(ref, Nudge(edge="f/a", sender=B, key=key_of("f", "name=name", ["n"])))
            assert (len(every(ClaimKey, out)), every(Propose, out), reports(out)) == (1, [], [])
            assert [state(table, each) for each in (ref, B)] == ["refused", "refused"]

    def test_of_a_value_that_it_has_no_more_a_record_in_doubt_asks_nobody(self) -> None:
        table = filled(NEVER, a1={"name": "n"}, b1={"name": "n"}, b2={"name": "n"})
        assert table.tell(A, Nudge(edge="f/a", sender=B, key=key_of("f", "name=name", ["m"]))) == []


class TestC4LateWords:
    def test_what_was_said_before_a_link_does_not_undo_it_when_it_is_said_again(self) -> None:
        """A linked one counted as free once more, and two that matched were left in doubt beside it."""
        table = Table(NEVER)
        table.tell(A, seen(10, name="n", x=None, y=None))
        [first] = [message for _, message in table.mail if isinstance(message, Register)]
        table.deliver()
        table.bring(B, seen(10, name="n", x=None, y=None))
        table.bring(KEY, first)
        for ref in ("a.t:2", "b.t:2"):
            table.bring(ref, seen(20, name="n", x=None, y=None))
        assert table.edge("a.t:2", "f/a").peer == "b.t:2"


class TestC4TakenNoMore:
    """A record whose only match was linked asked again only when it changed itself, and stayed alone for ever."""

    def refused(self) -> Table:
        table = filled(view(), a1={"name": "n"}, b1={"name": "n"})
        table.bring("a.t:2", seen(20, name="n", x=None, y=None))
        assert (state(table, A), state(table, "a.t:2")) == ("linked", "refused")
        return table

    def test_when_the_match_gets_another_value_a_counterpart_is_created(self) -> None:
        table = self.refused()
        assert only(Command, [each for each in table.read(B, 30, name="m") if is_create(each)]).marker == "f|a.t:2"

    def test_when_the_match_is_deleted_too(self) -> None:
        table = self.refused()
        assert only(Command, table.bring(B, Gone(read_at=START + 100 * SECOND))).marker == "f|a.t:2"

    def test_when_the_match_is_free_they_find_each_other(self) -> None:
        table = self.refused()
        number = table.edge(B, "f/b").number
        out = table.bring(B, Refuse(edge="f/b", sender=A, number=number, why="given up"))
        assert [each.sender for each in every(ClaimKey, out)] == ["a.t:2"]
        assert table.edge(B, "f/b").peer == "a.t:2"

    def test_while_another_one_is_taken_nobody_asks(self) -> None:
        table = self.refused()
        table.bring(KEY, Register(sender="b.t:2", edge="f/b", linked=True))
        assert every(Nudge, table.read(B, 30, name="m")) == []

    def test_who_was_free_and_leaves_concerns_nobody(self) -> None:
        table = self.refused()
        table.bring(KEY, Register(sender="b.t:2", edge="f/b"))
        assert every(Nudge, table.bring(KEY, Register(sender="b.t:2", edge="f/b", present=False))) == []

    def test_who_hears_it_while_it_asks_for_the_next_value_begins_anew(self) -> None:
        """The next value was free, and nothing was created beside the one that had been taken."""
        table = filled(view(flow(match=BY_TWO)), a1={"x": "e", "name": "n"}, b1={"x": "e", "name": "o"})
        table.tell("a.t:2", seen(20, name="p", x="e", y=None))
        while table.edge("a.t:2", "f/a").reason != TAKEN:
            table.tell(*table.mail.popleft())
        key = key_of("f", "x=x", ["e"])
        table.tell(key, Register(sender=B, edge="f/b", present=False, number=table.now))
        table.tell("a.t:2", Nudge(edge="f/a", sender=key, key=key))
        table.deliver()
        assert [each.marker for each in table.out if is_create(each)] == ["f|a.t:2"]

    def test_who_hears_it_before_its_proposal_is_refused_asks_anew(self) -> None:
        """The word that its match is taken no more came before the match had refused it, and was never said again."""
        table = filled(view(), a1={"name": "n"}, b1={"name": "n"})
        table.tell("a.t:2", seen(20, name="n", x=None, y=None))
        number = table.edge("a.t:2", "f/a").number
        table.tell("a.t:2", Found(edge="f/a", key=KEY, number=number, candidates=(B,)))
        proposal = table.mail.pop()[1]
        assert only(Nudge, table.read(B, 30, name="m")).key == KEY
        assert state(table, "a.t:2") == "proposed"
        table.tell(B, proposal)
        table.deliver()
        table.now += LONGEST
        assert only(Command, table.bring("a.t:2", Wake())).marker == "f|a.t:2"

    def test_an_index_of_yesterday_hears_it_of_a_linked_record_too(self) -> None:
        """Whoever had the value was sent to it again and again, for ever."""
        table = filled(view(), a1={"name": "n"}, b1={"name": "n"})
        table.read(B, 30, name="m")
        out = table.tell(B, Propose(edge="f/b", sender="a.t:2", number=table.now, key=KEY))
        assert (only(Refuse, out).why, only(Register, out).present) == ("mismatch", False)

    def test_a_value_that_changes_together_with_the_flows_is_withdrawn(self) -> None:
        """Its old value stood in the index for ever, and who had that was sent to it again and again."""
        table = filled(view(), a1={"name": "n"}, b1={"name": "n"})
        table.view = view(flow(pairs=FIELDS[:2]))
        table.bring(B, seen(30, name="m", x=None))
        row = table.rows[KEY]
        assert isinstance(row, Index)
        assert list(row.members) == [A]

    def test_an_index_of_yesterday_hears_that_a_record_has_its_value_no_more(self) -> None:
        table = filled(view(), a1={"name": "m"}, b1={"name": "m"})
        table.bring(KEY, Register(sender=B, edge="f/b"))
        table.bring("a.t:2", seen(20, name="n", x=None, y=None))
        assert state(table, "a.t:2") == "matching"
        table.now += LONGEST
        assert only(Command, table.bring("a.t:2", Wake())).marker == "f|a.t:2"

    def test_only_who_still_wants_one_by_this_value_asks(self) -> None:
        table = self.refused()
        other = key_of("f", "name=name", ["m"])
        for ref, key in ((A, KEY), ("a.t:2", other)):
            assert table.tell(ref, Nudge(edge="f/a", sender=key, key=key)) == []
        assert table.tell("a.t:3", Nudge(edge="f/a", sender=KEY, key=KEY)) == []
        table.bring("a.t:2", Gone(read_at=START + 100 * SECOND))
        assert table.tell("a.t:2", Nudge(edge="f/a", sender=KEY, key=KEY)) == []


class TestSeveralCriteria:
    def test_who_is_linked_by_one_value_leaves_the_next_one_open(self) -> None:
        table = filled(view(flow(match=BY_TWO)), a1={"x": "e", "name": "n"}, b1={"x": "e", "name": "o"})
        assert table.edge(A, "f/a").peer == B
        table.bring("b.t:2", seen(20, name="p", x=None, y=None))
        table.bring("a.t:2", seen(20, name="p", x="e", y=None))
        assert table.edge("a.t:2", "f/a").peer == "b.t:2"

    def test_nothing_is_created_beside_one_that_is_taken(self) -> None:
        table = filled(view(flow(match=BY_TWO)), a1={"x": "e", "name": "n"}, b1={"x": "e", "name": "o"})
        out = table.bring("a.t:2", seen(20, name="p", x="e", y=None))
        assert state(table, "a.t:2") == "refused"
        assert not commands(out)

    def test_two_origins_with_crosswise_values_wait_for_no_other(self) -> None:
        table = filled(
            view(flow(match=BY_TWO)), a1={"x": "e", "name": "n"}, a2={"x": "f", "name": "n"}, a3={"x": "e", "name": "m"}
        )
        made = {each.marker for each in commands(table.out)}
        assert made == {"f|a.t:1"}
        table.done(A, commands(table.out)[0], 30)
        assert [state(table, ref) for ref in ("a.t:2", "a.t:3")] == ["refused", "refused"]

    def test_a_second_attempt_locks_all_values_again(self) -> None:
        table = filled(view(flow(match=BY_TWO)), a1={"x": "e", "name": "n"}, b1={"x": "other", "name": "n"})
        table = Table(view(flow(match=BY_TWO)))
        table.bring(B, seen(10, name="n", x="other", y=None))
        table.tell(A, seen(10, name="n", x="e", y=None))
        table.rows[B].remote["name"] = "renamed"  # the index has not heard of it yet
        table.deliver()
        assert state(table, A) == "matching"
        assert table.edge(A, "f/a").locks == ()
        table.now = table.row(A).alarm
        claims = every(ClaimKey, table.tell(A, Wake()))
        assert [mail.to for mail in table.out if isinstance(mail, Mail) and mail.message in claims] == [
            key_of("f", "x=x", ["e"])
        ]

    def test_a_second_attempt_without_values_looks_anew(self) -> None:
        table = Table(view(flow(match=(), create="never")))
        table.bring(A, seen(10, name="n", x=None, y=None))
        table.tell(A, Nudge(edge="f/a", sender=B))
        number = table.edge(A, "f/a").number
        table.mail.clear()
        table.bring(A, Refuse(edge="f/a", sender=B, number=number, why="gone"))
        assert state(table, A) == "matching"
        table.now = table.row(A).alarm
        table.bring(A, Wake())
        assert state(table, A) == "alone"

    def test_a_match_that_is_configured_later_finds_who_waits(self) -> None:
        table = filled(view(flow(match=(), create="never")), a1={"name": "n"}, b1={"name": "n"})
        assert state(table, A) == "alone"
        table.view = NEVER
        for ref in (A, B):
            table.read(ref, 20)
        assert table.edge(A, "f/a").peer == B


class TestC12Crowds:
    MANY = 600

    def crowd(self, create: str = "forward") -> Table:
        table = Table(view(flow(create=create), counted=()))  # type: ignore[arg-type]
        table.sizes, table.answers = [], []  # type: ignore[attr-defined]
        for number in range(self.MANY):
            table.tell(f"a.t:{number}", seen(10, name="n", x=None, y=None))
            table.deliver()
            table.sizes.append(len(bytes_of(table.rows[KEY])))  # type: ignore[attr-defined]
        table.view = view(*table.view.flows.flows.values())
        return table

    def test_work_and_bytes_are_bounded(self) -> None:
        table = self.crowd()
        assert max(table.sizes) < 4000  # type: ignore[attr-defined]
        start = len(table.out)
        table.bring(KEY, Wake())
        [command] = commands(table.out[start:])
        table.done(command.marker.partition("|")[2], command, 30)
        for _ in range(3):
            for number in range(self.MANY):
                ref = f"a.t:{number}"
                table.now = max(table.now, table.row(ref).alarm)
                table.bring(ref, Wake())
        said = [each for each in table.out[start:] if isinstance(each, Mail)]
        assert max(len(encode(each.message)) for each in said) < 2000
        assert len(said) < 20 * self.MANY
        assert len(bytes_of(table.rows[KEY])) < 4000
        states = [state(table, f"a.t:{number}") for number in range(self.MANY)]
        assert states.count("linked") == 1
        assert states.count("refused") == self.MANY - 1
        assert len(commands(table.out[start:])) == 1

    def test_those_who_wait_are_bounded(self) -> None:
        table = self.crowd()
        index = table.rows[KEY]
        assert isinstance(index, Index)
        assert len(index.queue) == MOST
        assert all(table.row(f"a.t:{number}").alarm for number in range(self.MANY))

    def test_when_it_empties_the_last_two_find_each_other(self) -> None:
        table = self.crowd("never")
        table.bring(KEY, Wake())
        table.bring(B, seen(20, name="n", x=None, y=None))
        for number in range(self.MANY - 1):
            table.bring(f"a.t:{number}", seen(20, name=f"n{number}", x=None, y=None))
        last = f"a.t:{self.MANY - 1}"
        assert state(table, B) == "refused"
        for _ in range(12):
            table.now = max(table.now, table.row(last).alarm, table.row(B).alarm)
            for ref in (last, B):
                table.bring(ref, Wake())
        assert table.now < START + 5 * CROWDED
        assert table.edge(last, "f/a").peer == B

    def test_a_crowd_of_linked_ones_still_counts(self) -> None:
        table = Table(NEVER)
        for number in range(MOST + 2):
            table.tell(KEY, Register(sender=f"b.t:{number}", edge="f/b", linked=True))
        for number in range(MOST):
            table.tell(KEY, Register(sender=f"b.t:{number}", edge="f/b", present=False))
        table.tell(KEY, Release(sender=A, number=1))
        out = table.tell(KEY, ClaimKey(edge="f/a", sender=A, number=1))
        assert only(Found, out).taken
        table.now += CROWDED
        table.tell(KEY, Release(sender=A, number=1))
        assert KEY not in table.rows


def test_c3_who_may_create_says_so_to_an_index_whose_row_was_lost() -> None:
    given = view(flow(create="forward"))
    table = filled(given, a1={"name": "n"}, a2={"name": "n"})
    assert [state(table, ref) for ref in (A, "a.t:2")] == ["creating", "matching"]
    del table.rows[KEY]
    table.view = view(*given.flows.flows.values(), counted=())
    for ref in ("a.t:2", A):
        table.bring(ref, Wake(resync=True))
    table.view = given
    table.bring(KEY, Wake())
    assert [state(table, ref) for ref in (A, "a.t:2")] == ["creating", "matching"]
    lock = table.rows[KEY].lock  # type: ignore[union-attr]
    assert lock is not None
    assert lock[0] == A
