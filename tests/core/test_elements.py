"""Sets: a list is one field per element, so that what two people add or remove at the same time is merged (A13)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stream.core.conversions import conversion
from stream.core.elements import KEPT, MONTH
from stream.core.fields import Observer
from stream.core.flows import Conversion, Pair
from stream.model import Accept, Ask, Attach, Command, Conflict, Gone, Offer, Receipt, Seen, Stated, Version, Wake
from tests.core.build import SECOND, START, A, B, Table, every, flow, linked, only, reports, seen, view

NAME = Pair(left="name", right="name")
LABELS = Pair(left="labels~", right="tags~")
WORDS = conversion({"enum": {"red": "rood", "blue": "blauw"}})


def labels(*names: Any, field: str = "labels~") -> dict[str, Any]:
    """The fields of a list as the stages make them."""
    return Observer([field])({field.removesuffix("~"): list(names)})


def tags(*names: Any) -> dict[str, Any]:
    return labels(*names, field="tags~")


def reading(at: float, **fields: Any) -> Seen:
    """A reading as the stages make it: only what the record shows."""
    return seen(at, name="n", **fields)


def pair(left: dict[str, Any], right: dict[str, Any], given: Pair = LABELS) -> Table:
    """Two records that were matched by name, at rest."""
    table = Table(view(flow(pairs=(NAME, given))))
    table.tell(B, reading(10, **right))
    table.tell(A, reading(10, **left))
    table.deliver()
    table.now = START + 100 * SECOND
    return table


def shown(table: Table, key: str) -> set[str]:
    return {field for field, value in table.row(key).remote.items() if value and "~" in field}


def keys(fields: dict[str, Any]) -> set[str]:
    return {field for field, value in fields.items() if value}


def answer(table: Table, at: float) -> None:
    """Do every write that is in flight."""
    for key, row in list(table.rows.items()):
        write = getattr(row, "writing", None)
        if write is not None:
            [command] = [each for each in table.out if isinstance(each, Command) and each.number == write.number]
            held = {**row.remote, **command.want}  # type: ignore[union-attr]
            after = seen(at, **{field: value for field, value in held.items() if value is not None})
            table.bring(key, Receipt(number=command.number, outcome="done", target=key, after=after))


class TestA13Sets:
    def test_first_contact_is_the_union(self) -> None:
        table = pair(labels("red"), tags("blue"))
        answer(table, 20)
        assert shown(table, A) == keys(labels("red", "blue"))
        assert shown(table, B) == keys(tags("red", "blue"))

    def test_what_is_missing_in_a_reading_was_removed(self) -> None:
        table = pair(labels("red", "blue"), tags("red", "blue"))
        out = table.bring(A, reading(20, **labels("red")))
        command = only(Command, out)
        assert command.target == B
        assert command.want == {'tags~"blue"': None}
        assert command.base == {'tags~"blue"': True}

    def test_what_two_people_do_at_once_is_merged(self) -> None:
        table = pair(labels("red", "blue"), tags("red", "blue"))
        table.tell(A, reading(20, **labels("red", "green")))
        table.tell(B, reading(21, **tags("red", "blue", "white")))
        table.deliver()
        answer(table, 30)
        assert shown(table, A) == keys(labels("red", "green", "white"))
        assert shown(table, B) == keys(tags("red", "green", "white"))
        assert every(Conflict, table.out) == []

    def test_what_was_removed_stays_removed(self) -> None:
        table = pair(labels("red", "blue"), tags("red", "blue"))
        table.bring(A, reading(20, **labels("red")))
        answer(table, 21)
        table.bring(A, Wake(resync=True))
        table.bring(B, Wake(resync=True))
        assert shown(table, A) == keys(labels("red"))
        assert shown(table, B) == keys(tags("red"))
        assert table.row(B).writing is None

    def test_what_was_offered_before_the_accept_came_is_said_again(self) -> None:
        """The Accept had been set aside; a label that only the other side had never came."""
        table = Table(view(flow(pairs=(NAME, LABELS))))
        table.tell(B, reading(10, **tags("blue")))
        table.tell(A, reading(10, **labels("red")))
        late = []
        while table.mail:
            to, message = table.mail.popleft()
            if isinstance(message, Accept) and not late:
                late.append(message)
            else:
                table.tell(to, message)
        table.bring(A, late[0])
        answer(table, 20)
        assert shown(table, A) == keys(labels("red", "blue"))
        assert shown(table, B) == keys(tags("red", "blue"))

    def test_put_back_it_is_there_again(self) -> None:
        table = pair(labels("red"), tags("red"))
        table.bring(A, reading(20, **labels()))
        answer(table, 21)
        assert only(Command, table.bring(B, reading(40, **tags("red")))).want == {'labels~"red"': True}

    def test_a_reading_that_says_the_same_is_known_at_once(self) -> None:
        table = pair(labels("red", "blue"), tags("red", "blue"))
        table.bring(A, reading(20, **labels("red")))
        row = table.row(A)
        assert table.bring(A, reading(20, **labels("red"))) == []
        assert table.row(A) is row

    def test_a_removal_in_a_held_reading_is_seen(self) -> None:
        table = pair(labels("red"), tags("red"))
        command = only(Command, table.bring(A, reading(20, **labels("red", "blue"))))
        table.tell(B, reading(19, **tags()))
        after = reading(21, **tags("blue"))
        table.bring(B, Receipt(number=command.number, outcome="done", target=B, after=after))
        assert table.right(B, 'tags~"red"') is None

    def test_removed_before_the_record_heard_of_its_origin(self) -> None:
        """Attach names it, and the record shows it no more: it was removed there."""
        table = Table(view(flow(match=(), pairs=(NAME, LABELS))))
        command = only(Command, table.bring(A, reading(10, **labels("red", "blue"))))
        assert command.want == {"name": "n", **dict.fromkeys(keys(tags("red", "blue")), True)}
        marker = command.marker
        table.tell(B, seen(15, name="n", marker=marker, **tags("red")))
        after = seen(12, name="n", marker=marker, **tags("red", "blue"))
        out = table.bring(A, Receipt(number=command.number, outcome="done", target=B, after=after))
        assert only(Command, out).want == {'labels~"blue"': None}

    def test_what_a_new_record_has_of_its_own_is_offered(self) -> None:
        table = Table(view(flow(match=(), pairs=(NAME, LABELS))))
        command = only(Command, table.bring(A, reading(10, **labels("red"))))
        after = seen(12, name="n", marker=command.marker, **tags("red", "default"))
        out = table.bring(A, Receipt(number=command.number, outcome="done", target=B, after=after))
        assert only(Command, out).want == {'labels~"default"': True}

    def test_an_edit_during_the_create_is_offered(self) -> None:
        table = Table(view(flow(match=(), pairs=(NAME, LABELS))))
        command = only(Command, table.bring(A, reading(10, **labels("red", "blue"))))
        table.bring(A, reading(11, **labels("blue", "green")))
        after = seen(12, name="n", marker=command.marker, **tags("red", "blue"))
        out = table.bring(A, Receipt(number=command.number, outcome="done", target=B, after=after))
        assert only(Command, out).want == {'tags~"red"': None, 'tags~"green"': True}

    def test_each_element_is_put_into_the_other_sides_words(self) -> None:
        table = pair(labels("red"), tags("rood"), Pair(left="labels~", right="tags~", conversion=WORDS))
        assert table.row(B).writing is None
        out = table.bring(A, reading(20, **labels("blue", "odd")))
        assert only(Command, out).want == {'tags~"rood"': None, 'tags~"blauw"': True}
        assert reports(out) == ["not offered as tags~: found 'odd'; one of red, blue would be right"]

    def test_a_word_that_is_no_element_is_not_offered(self) -> None:
        lost = Conversion("odd", lambda _: 0.5, lambda _: 0.5)
        table = pair(labels("red"), tags(), Pair(left="labels~", right="tags~", conversion=lost))
        assert reports(table.out) == [
            "not offered as tags~: found the element 0.5; a text or an integer would be right"
        ]

    def test_a_name_that_is_no_element_is_not_offered(self) -> None:
        table = pair(labels("red"), tags())
        field = {"tags~{}": Stated(True, Version(START))}
        table.bring(B, Offer(edge="f/b", sender=A, fields=field))
        assert any("an element of a set would be right" in each for each in reports(table.bring(B, Wake(resync=True))))

    def test_of_a_list_that_is_none_a_person_is_told_and_nothing_is_taken_for_removed(self) -> None:
        table = pair(labels("red"), tags("red"))
        wrong = Observer(["labels~"])({"labels": "red"})
        out = table.bring(A, reading(20, **wrong))
        assert reports(out) == ["not read: found 'red'; a list would be right"]
        assert table.bring(A, reading(21, **wrong)) == []
        assert shown(table, A) == keys(labels("red"))
        assert only(Command, table.bring(A, reading(22, **labels()))).want == {'tags~"red"': None}
        assert table.row(A).notes == {}

    def test_a_set_that_nobody_maps_any_more_is_let_go(self) -> None:
        table = pair(labels("red"), tags("red"))
        table.view = view(flow(pairs=(NAME,)))
        table.bring(A, seen(30, name="n"))
        assert table.row(A).remote == {"name": "n"}
        table.bring(B, Wake())
        assert table.row(B).writing is None

    def test_also_where_another_one_is_mapped(self) -> None:
        table = pair(labels("red"), tags("red"))
        table.view = view(flow(pairs=(NAME, Pair(left="others~", right="tags~"))))
        table.bring(A, reading(30, **labels("blue", field="others~")))
        assert table.row(A).remote == {"name": "n", "others~": None, 'others~"blue"': True}

    def test_a_removal_of_the_record_wants_all_elements_as_they_were(self) -> None:
        table = Table(view(flow(pairs=(NAME, LABELS), delete="delete")))
        table.tell(B, reading(10, **tags("red")))
        table.bring(A, reading(10, **labels("red")))
        command = only(Command, table.bring(A, Gone(read_at=table.now + 50 * SECOND)))
        assert (command.kind, command.base) == ("delete", {"name": "n", "tags~": None, 'tags~"red"': True})


class TestForgetting:
    def removed(self, at: float = 20) -> Table:
        table = pair(labels("red", "blue"), tags("red", "blue"))
        table.bring(A, reading(at, **labels("red")))
        return table

    def test_a_removal_is_remembered_until_it_is_a_month_old(self) -> None:
        table = self.removed()
        answer(table, 21)
        for key, field in ((A, 'labels~"blue"'), (B, 'tags~"blue"')):
            table.tell(key, Wake())
            assert field in table.row(key).cells
        table.now += MONTH
        for key, field in ((A, 'labels~"blue"'), (B, 'tags~"blue"')):
            table.tell(key, Wake())
            assert field not in table.row(key).remote
            assert field not in table.row(key).cells

    def test_not_before_the_record_shows_it(self) -> None:
        table = self.removed()
        table.now += MONTH
        table.tell(B, Wake())
        assert table.row(B).cells['tags~"blue"'].carried is not None

    def test_an_element_that_was_refused_is_remembered(self) -> None:
        table = pair(labels("red"), tags("red"))
        command = only(Command, table.bring(A, reading(20, **labels("red", "blue"))))
        table.bring(B, table.receipt(command, "refused", fields={'tags~"blue"': "no such tag"}))
        table.now += MONTH
        assert table.bring(B, Wake()) == []
        assert table.right(B, 'tags~"blue"') is True

    def test_not_while_it_is_being_written(self) -> None:
        table = pair(labels("red"), tags("red"))
        command = only(Command, table.bring(A, reading(20, **labels("red", "blue"))))
        table.bring(A, reading(21, **labels("red")))
        table.now += MONTH
        table.tell(B, Wake())
        after = reading(22, **tags("red", "blue"))
        out = table.bring(B, table.receipt(command, "done", target=B, after=after))
        assert only(Command, out).want == {'tags~"blue"': None}

    def test_what_comes_of_an_old_removal_is_forgotten_again(self) -> None:
        table = self.removed()
        answer(table, 21)
        table.now += MONTH
        table.tell(A, Wake())
        table.bring(B, Wake(resync=True))
        assert 'labels~"blue"' not in table.row(A).remote
        assert table.mail == type(table.mail)()

    def test_a_row_remembers_so_many(self) -> None:
        many = [f"l{number}" for number in range(KEPT + 50)]
        table = pair(labels(*many), tags(*many))
        table.bring(A, reading(20, **labels("l0")))
        absent = [field for field, value in table.row(A).remote.items() if value is None and field != "labels~"]
        assert len(absent) == KEPT

    def test_before_the_first_link_nothing_is_remembered(self) -> None:
        table = Table(view(flow(pairs=(NAME, LABELS)), counted=()))
        table.tell(A, reading(10, **labels("red")))
        table.tell(A, reading(20, **labels("blue")))
        assert table.row(A).remote == {"name": "n", **labels("blue")}

    def test_what_was_removed_and_forgotten_does_not_come_back_with_an_old_reading(self) -> None:
        table = Table(view(flow(pairs=(NAME, LABELS)), counted=()))
        old = reading(10, **labels("red"))
        table.tell(A, old)
        table.tell(A, reading(20, **labels("blue")))
        table.tell(A, old)
        assert table.row(A).remote == {"name": "n", **labels("blue")}

    def test_a_set_that_is_mapped_later_is_read_whenever(self) -> None:
        table = linked()
        table.view = view(flow(pairs=(NAME, LABELS)))
        table.bring(A, replace(reading(5, **labels("blue")), revision=0))
        assert 'labels~"blue"' in table.row(A).cells


class TestListsOfReferences:
    MEMBERS = Pair(left="members~", right="ids~", reference="p")

    def table(self, *members: str, required: Any = "") -> Table:
        given = Pair(left="members~", right="ids~", reference="p", required=required)
        people = flow("a.p", "b.p", name="p")
        table = Table(view(flow(match=(), pairs=(NAME, given)), people))
        table.tell(A, reading(10, **labels(*members, field="members~")))
        return table

    @staticmethod
    def person(table: Table, number: int) -> None:
        table.bring(f"b.p:{number}0", seen(5, name=f"p{number}", x=None, y=None))
        table.bring(f"a.p:{number}", seen(5, name=f"p{number}", x=None, y=None))

    @staticmethod
    def created(table: Table) -> list[Any]:
        command = next(each for each in table.out if isinstance(each, Command))
        after = seen(12, marker=command.marker, **command.want)
        return table.bring(A, Receipt(number=command.number, outcome="done", target=B, after=after))

    def test_an_element_without_a_twin_waits_and_the_others_go_on(self) -> None:
        table = Table(view(flow(match=(), pairs=(NAME, self.MEMBERS)), flow("a.p", "b.p", name="p")))
        self.person(table, 1)
        table.bring(A, reading(10, **labels("1", "2", field="members~")))
        assert {each.edge for each in every(Ask, table.out)} == {"p/a"}
        self.created(table)
        answer(table, 13)
        assert shown(table, B) == {'ids~"10"'}
        assert table.edge(A, "f/a").owed == ('members~"2"',)
        self.person(table, 2)
        answer(table, 20)
        assert shown(table, B) == {'ids~"10"', 'ids~"20"'}
        assert table.edge(A, "f/a").owed == ()

    def test_a_removed_reference_is_removed_also_when_its_twin_was_lost(self) -> None:
        table = self.linked()
        table.bring("b.p:10", Gone(read_at=table.now))
        out = table.bring(A, reading(30, **labels("2", field="members~")))
        assert only(Command, out).want == {'ids~"10"': None}

    def test_an_element_added_whose_twin_was_lost_waits(self) -> None:
        table = self.linked()
        table.bring("b.p:10", Gone(read_at=table.now))
        table.bring(A, reading(30, **labels("2", field="members~")))
        answer(table, 31)
        assert every(Command, table.bring(A, reading(40, **labels("1", "2", field="members~")))) == []
        assert table.edge(A, "f/a").owed == ('members~"1"',)

    def test_an_element_of_the_other_side_alone_stays(self) -> None:
        table = self.linked()
        table.bring(B, reading(30, **labels("10", "20", "99", field="ids~")))
        assert table.edge(B, "f/b").owed == ('ids~"99"',)
        assert 'ids~"99"' in shown(table, B)
        assert shown(table, A) == keys(labels("1", "2", field="members~"))

    def test_a_required_list_wants_one_element(self) -> None:
        table = self.table("1", "2", required="b")
        table.deliver()
        assert table.edge(A, "f/a").state == "waiting"
        self.person(table, 1)
        table.bring(A, Wake())
        assert table.edge(A, "f/a").state == "creating"
        command = next(each for each in table.out if isinstance(each, Command))
        assert command.want == {"name": "n", 'ids~"10"': True}

    def linked(self) -> Table:
        table = Table(view(flow(match=(), pairs=(NAME, self.MEMBERS)), flow("a.p", "b.p", name="p")))
        for number in (1, 2):
            self.person(table, number)
        table.bring(A, reading(10, **labels("1", "2", field="members~")))
        self.created(table)
        answer(table, 13)
        table.now = START + 100 * SECOND
        assert shown(table, B) == {'ids~"10"', 'ids~"20"'}
        return table


def test_types_without_sets_pay_nothing() -> None:
    table = linked()
    row, known = table.row(A), seen(10, **table.row(A).remote)
    assert table.bring(A, known) == []
    assert table.row(A) is row
    assert table.view.flows.sets["a.t"] == ()
    assert every(Attach, table.out) == []
