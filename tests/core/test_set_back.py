"""One of two rows was set back: what its counterpart's row knows of their link, it hears (D4)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from stream.core.deleting import LEFT, OVER, PARTED
from stream.core.matching import key_of
from stream.model import Attach, Command, Detach, Gone, Nudge, Offer, Part, Propose, Ref, Refuse, Register, Wake
from tests.core.build import SECOND, START, A, B, Table, created, every, flow, linked, only, reports, seen, view

FULL = {"name": "n", "x": "x0", "y": None}
KEY = key_of("f", "name=name", ["n"])
ENDS = {A: "f/a", B: "f/b"}


def gone(at: float) -> Gone:
    return Gone(read_at=START + round(at * SECOND))


def states(table: Table) -> list[str]:
    return [table.edge(ref, end).state for ref, end in ENDS.items()]


class TestTheLinkIsOver:
    def test_who_claims_does_not_wait_for_ever(self) -> None:
        """Its counterpart said nothing to its claim, ever, and while it claimed it did nothing in any flow."""
        table, command = created()
        table.done(A, command, 30, y=None)
        table.bring(A, gone(200))
        del table.rows[B]
        out = table.bring(B, seen(10, 300, marker="f|a.t:1", **FULL))
        assert reports(out) == [f"f: a.t:1: {OVER}"]
        assert (table.edge(B, "f/b").state, table.row(B).alarm) == ("severed", 0)
        table.bring(A, seen(10, 400, **FULL))
        assert states(table) == ["linked", "linked"]

    def test_words_of_before_do_not_bring_it_back(self) -> None:
        table, command = created()
        attach = only(Attach, table.done(A, command, 30, y=None))
        table.bring(A, gone(200))
        del table.rows[B]
        table.bring(B, seen(10, 300, marker="f|a.t:1", **FULL))
        assert table.tell(B, attach) == []

    def test_who_did_not_hear_it_hears_it_when_it_offers(self) -> None:
        """It was linked for ever to one that was not linked to it."""
        table = linked()
        before = table.row(B)
        table.bring(A, gone(200))
        table.rows[B] = before
        table.bring(B, Wake(resync=True))
        assert states(table) == ["severed", "severed"]
        table.bring(A, seen(10, 300, **FULL))
        assert states(table) == ["linked", "linked"]
        late = Refuse(edge="f/b", sender=A, number=table.edge(B, "f/b").number - 1, why="over")
        assert table.tell(B, late) == []

    def test_what_a_person_parted_stays_apart(self) -> None:
        table = linked()
        before = table.row(B)
        table.bring(A, Part(edge="f/a", peer=B))
        table.rows[B] = before
        table.bring(B, Wake(resync=True))
        assert [table.edge(ref, end).reason for ref, end in ENDS.items()] == [PARTED, OVER]
        table.bring(A, Offer(edge="f/a", sender=B, fields={}))
        assert states(table) == ["severed", "severed"]

    def test_nor_does_who_heard_it_bring_it_back(self) -> None:
        table = linked()
        before = table.row(A)
        table.bring(A, Part(edge="f/a", peer=B))
        table.rows[B] = replace(table.row(B), edges={"f/b": replace(table.edge(B, "f/b"), reason=OVER)})
        table.rows[A] = before
        table.bring(A, Wake(resync=True))
        assert states(table) == ["severed", "severed"]

    def test_a_deleted_record_that_forgot_it_asks_for_it_when_it_comes_back(self) -> None:
        """Its counterpart was linked to it for ever, or waited for it when it had come back."""
        table = linked()
        table.rows[B] = replace(table.row(B), edges={})
        table.tell(B, gone(200))
        table.bring(A, Wake(resync=True))
        assert states(table) == ["severed", "severed"]
        assert (table.edge(A, "f/a").reason, table.edge(B, "f/b").reason) == (OVER, LEFT)
        table.bring(B, seen(10, 300, **FULL))
        assert states(table) == ["linked", "linked"]

    def test_one_that_is_nobodys_and_is_deleted_says_nothing(self) -> None:
        table = Table()
        table.tell(B, seen(10, marker="f|a.t:1", **FULL))
        table.tell(B, Refuse(edge="f/b", sender=A, number=0, why="copy"))
        table.tell(B, gone(200))
        assert table.tell(B, Offer(edge="f/b", sender=A, fields={})) == []


class TestItsOwnDeletion:
    @pytest.mark.parametrize("ref", [A, B])
    def test_who_forgot_that_it_was_deleted_and_came_back_is_linked(self, ref: Ref) -> None:
        """It was kept apart for ever: its row knew of no deletion, and its counterpart of no return."""
        table = linked()
        before = table.row(ref)
        table.bring(ref, gone(200))
        table.rows[ref] = before
        assert reports(table.bring(ref, Wake(resync=True))) == []
        assert states(table) == ["linked", "linked"]
        assert len({table.edge(each, end).number for each, end in ENDS.items()}) == 1

    def test_so_is_who_claims_its_origin(self) -> None:
        table, command = created()
        table.done(A, command, 30, y=None)
        table.bring(B, gone(200))
        del table.rows[B]
        table.bring(B, seen(10, 300, marker="f|a.t:1", **FULL))
        assert states(table) == ["linked", "linked"]

    def test_an_origin_that_came_back_is_linked_to_who_claims_it(self) -> None:
        """It asked its counterpart to link again, whose row was set back: one waited for the other."""
        table = Table(view(flow(match=(), create="both")))
        command = only(Command, table.bring(B, seen(10, **FULL)))
        table.bring(B, table.receipt(command, "done", target=A, after=seen(30, marker="f|b.t:1", **FULL)))
        table.bring(B, gone(200))
        table.tell(B, seen(10, 300, **FULL))
        table.mail.clear()
        del table.rows[A]
        table.bring(A, seen(30, 310, marker="f|b.t:1", **FULL))
        assert states(table) == ["linked", "linked"]

    def test_what_is_being_removed_is_linked_to_nobody(self) -> None:
        """Its origin had come back; linked to it by its claim of before, it was removed after it."""
        given = view(flow(match=(), delete="delete"))
        table, command = created()
        table.view = given
        table.done(A, command, 30, y=None)
        removal = only(Command, table.bring(A, gone(200)))
        attach = Attach(edge="f/b", sender=A, number=table.now, want={})
        assert only(Refuse, table.tell(B, attach)).why == "gone"
        table.mail.clear()
        assert every(Detach, table.bring(B, table.receipt(removal, "done", target=B))) == []


class TestARowThatIsGone:
    def test_one_that_is_not_there_is_found_by_its_value_no_more(self) -> None:
        """It was deleted after its row was lost: whoever had its match value proposed to it for ever."""
        table = Table(view(flow(create="never")))
        table.bring(B, seen(10, **FULL))
        del table.rows[B]
        table.bring(A, seen(20, **FULL))
        assert table.edge(A, "f/a").state != "proposed"
        assert KEY in table.rows
        assert list(table.rows[KEY].members) == [A]  # type: ignore[union-attr]

    def test_before_all_of_its_type_was_read_nobody_can_tell(self) -> None:
        table = Table(view(counted=()))
        assert table.tell(B, Propose(edge="f/b", sender=A, number=1, key=KEY)) == []

    def test_of_one_that_a_person_names_no_value_is_taken_back(self) -> None:
        table = Table()
        assert every(Register, table.tell(B, Propose(edge="f/b", sender=A, number=1, key="person"))) == []
        assert table.tell(B, Nudge(edge="f/b", sender=A)) == []
