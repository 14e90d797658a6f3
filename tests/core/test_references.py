from __future__ import annotations

from typing import Any

import pytest

from stream.core.flows import Flows, Pair, TypeFacts, View
from stream.core.references import ASKERS, LATE, SOON
from stream.model import Answer, Ask, Gone, Nudge, Offer, Refuse, Wake
from tests.core.build import FIELDS, SECOND, A, B, Table, commands, every, flow, linked, only, reports, seen

FULL = {"name": "n", "x": "x0", "y": None}


def referring(*, required: bool = False, integer: bool = False) -> View:
    parent = Pair(left="parent", right="parent", reference="p", required="b" if required else "")
    flows = [flow("a.p", "b.p", name="p"), flow(pairs=(*FIELDS, parent), match=())]
    facts = {name: TypeFacts(integer_ids=integer) for name in ("a.t", "b.t", "a.p", "b.p")}
    return View(Flows(flows, facts), frozenset(facts))


def asked(*, required: bool = False, parent: Any = "7", integer: bool = False) -> Table:
    """A record that names a project nobody has read yet."""
    table = Table(referring(required=required, integer=integer))
    table.bring(A, seen(10, parent=parent, **FULL))
    return table


def twin(table: Table, id: str = "70") -> list[Any]:
    """The project and its twin are read, late."""
    start = len(table.out)
    table.tell(f"b.p:{id}", seen(5, **FULL))
    table.tell("a.p:7", seen(5, **FULL))
    table.deliver()
    return table.out[start:]


def offered(out: list[Any]) -> Any:
    [value] = [offer.fields["parent"].value for offer in every(Offer, out) if "parent" in offer.fields]
    return value


class TestD1References:
    def test_an_unknown_twin_holds_back_the_field_and_not_the_record(self) -> None:
        table = asked()
        [command] = commands(table.out)
        assert "parent" not in command.want
        assert only(Ask, table.out).sender == A

    def test_the_field_follows_when_the_twin_is_known(self) -> None:
        table = asked()
        table.done(A, commands(table.out)[0], 30, y=None, parent=None)
        assert offered(twin(table)) == "70"

    def test_a_required_reference_holds_back_the_create(self) -> None:
        table = asked(required=True)
        assert commands(table.out) == []
        assert table.edge(A, "f/a").reason == "parent: its counterpart is not known yet"
        [command] = [each for each in commands(twin(table)) if each.type == "b.t"]
        assert command.want["parent"] == "70"

    def test_a_create_waits_for_gate_and_reference_both(self) -> None:
        table = asked(required=True)
        whole = table.view
        table.view = View(whole.flows, frozenset())
        table.tell(A, Answer(edge="p/a", sender="a.p:7", number=5, twin="b.p:70"))
        assert commands(table.out) == []
        table.view = whole
        assert table.row(A).alarm
        table.now = table.row(A).alarm
        assert len(commands(table.bring(A, Wake()))) == 1

    def test_a_create_that_lost_its_reference_waits_for_it(self) -> None:
        table = asked(required=True)
        [command] = [each for each in commands(twin(table)) if each.type == "b.t"]
        table.tell(A, Wake(resync=True))
        assert commands(table.tell(A, table.receipt(command, "superseded"))) == []
        assert table.row(A).alarm
        table.deliver()
        assert commands(table.out)[-1].number > command.number

    def test_a_late_answer_does_not_undo_a_newer_one(self) -> None:
        table = asked()
        for number, ref in ((9, "b.p:9"), (8, "b.p:8"), (9, "b.p:7")):
            table.tell(A, Answer(edge="p/a", sender="a.p:7", number=number, twin=ref))
        assert table.row(A).twins["p/a|a.p:7"].ref == "b.p:9"

    def test_an_answer_that_nobody_asked_for_is_passed_over(self) -> None:
        table = linked()
        assert table.tell(A, Answer(edge="p/a", sender="a.p:7", number=1, twin="b.p:1")) == []
        assert table.row(A).twins == {}

    def test_who_asks_is_answered_at_once_when_the_twin_is_known(self) -> None:
        table = asked()
        twin(table)
        out = table.tell("a.p:7", Ask(edge="p/a", sender="a.t:2"))
        assert only(Answer, out).twin == "b.p:70"

    def test_too_many_askers_are_told_to_ask_again(self) -> None:
        table = asked()
        for number in range(ASKERS - 1):
            assert table.tell("a.p:7", Ask(edge="p/a", sender=f"a.t:{number + 100}")) == []
        out = table.tell("a.p:7", Ask(edge="p/a", sender="a.t:99"))
        assert only(Answer, out).twin is None
        assert table.tell("a.p:7", Ask(edge="p/a", sender=A)) == []

    def test_who_asked_is_told_when_the_counterpart_is_lost_and_when_it_is_another_one(self) -> None:
        """A task was created below a project that had been deleted."""
        table = asked()
        twin(table)
        name = "p/a|a.p:7"
        assert table.row(A).twins[name].ref == "b.p:70"
        number = table.edge("a.p:7", "p/a").number
        table.bring("a.p:7", Refuse(edge="p/a", sender="b.p:70", number=number, why="given up"))
        assert table.row(A).twins[name].lost
        assert every(Ask, table.tell(A, Wake())) == []
        assert table.row(A).alarm == 0
        table.bring("a.p:7", Nudge(edge="p/a", sender="b.p:70"))
        assert table.row(A).twins[name].ref == "b.p:70"
        assert not table.row(A).twins[name].lost

    def test_a_deleted_counterpart_is_a_lost_one(self) -> None:
        table = asked()
        twin(table)
        table.bring("b.p:70", Gone(read_at=table.now))
        assert table.row(A).twins["p/a|a.p:7"].lost

    def test_beyond_those_remembered_an_answer_is_still_given(self) -> None:
        table = asked()
        twin(table)
        for number in range(ASKERS + 2):
            assert only(Answer, table.tell("a.p:7", Ask(edge="p/a", sender=f"a.t:{number + 100}"))).twin == "b.p:70"
        assert len(table.row("a.p:7").askers["p/a"]) == ASKERS

    def test_it_asks_again_later(self) -> None:
        table = asked()
        assert table.row(A).alarm == table.row(A).last + LATE
        assert only(Ask, table.tell(A, Wake())).sender == A
        table.tell(A, Answer(edge="p/a", sender="a.p:7", number=5, later=True))
        assert table.row(A).alarm == table.now + SOON
        assert only(Ask, table.tell(A, Wake())).sender == A

    def test_a_record_that_has_no_twin_any_more_is_not_asked_again(self) -> None:
        """A deleted one was asked every minute, for ever."""
        table = asked()
        table.tell(A, Answer(edge="p/a", sender="a.p:7", number=5))
        assert table.row(A).alarm == 0
        assert every(Ask, table.tell(A, Wake())) == []

    def test_ids_that_are_numbers_stay_numbers(self) -> None:
        table = asked(integer=True, parent=7)
        table.done(A, commands(table.out)[0], 30, y=None, parent=None)
        assert offered(twin(table)) == 70

    @pytest.mark.parametrize("parent", [["7"], {"id": "7"}, True, 1.5])
    def test_what_is_no_id_is_told(self, parent: Any) -> None:
        [told] = reports(asked(parent=parent).out)
        assert "the id of one record would be right" in told

    @pytest.mark.parametrize("parent", [None, ""])
    def test_no_reference_is_an_empty_field(self, parent: Any) -> None:
        assert every(Ask, asked(parent=parent).out) == []


def test_what_waits_does_not_wait_longer_for_each_message() -> None:
    table = asked()
    alarm = table.row(A).alarm
    table.now += 10 * SECOND
    table.read(A, 20, x="x1")
    assert table.row(A).alarm == alarm
    assert B not in table.rows


def test_two_references_are_asked_and_answered_apart() -> None:
    pairs = tuple(Pair(left=each, right=each, reference="p") for each in ("parent", "owner"))
    flows = [flow("a.p", "b.p", name="p"), flow(pairs=(*FIELDS, *pairs), match=())]
    table = Table(View(Flows(flows, {}), frozenset(("a.t", "b.t", "a.p", "b.p"))))
    table.tell(A, seen(10, parent="7", owner="8", **FULL))
    assert set(table.row(A).twins) == {"p/a|a.p:7", "p/a|a.p:8"}
    table.tell(A, Answer(edge="p/a", sender="a.p:7", number=5, later=True))
    assert set(table.row(A).twins) == {"p/a|a.p:7", "p/a|a.p:8"}
    assert not table.row(A).twins["p/a|a.p:7"].lost
    assert table.row(A).alarm == table.now + SOON
    table.tell(A, Answer(edge="p/a", sender="a.p:7", number=6, twin="b.p:70"))
    assert [each.edge for each in every(Ask, table.tell(A, Wake()))] == ["p/a"]
    table.tell(A, Answer(edge="p/a", sender="a.p:7", number=7))
    assert (table.row(A).twins["p/a|a.p:7"].ref, table.row(A).twins["p/a|a.p:7"].lost) == ("b.p:70", True)


def test_an_id_that_is_no_number_is_passed_on_as_it_is() -> None:
    table = asked(integer=True)
    table.done(A, commands(table.out)[0], 30, y=None, parent=None)
    assert offered(twin(table, "x70")) == "x70"
