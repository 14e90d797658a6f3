from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.endpoint import Entity, Traits
from connectors.errors import Locked, Refused, Retry, Stale, Unsure
from connectors.memory import TRAITS, MemoryEndpoint
from connectors.trail import note
from stream.codec import decode_message, decode_order
from stream.engine.log import LaneId
from stream.look_ups import resembles
from stream.model import Command, Receipt
from stream.ports import Loss
from stream.topics import MAIL, POLLS, upserts
from tests.stages.build import SECOND, Bench, bench

TOPIC = upserts("b.t")
ORIGIN = "a.t:1"


LOST_AFTER = ("create", Unsure("no answer"), {"when": "after"})
LOST_BEFORE = ("create", Unsure("no answer"))


def create(number: int = 10) -> Command:
    return Command(number=number, kind="create", type="b.t", want={"name": "n"}, marker="f|a.t:1", edge="f/a")


def update(number: int = 10, base: str = "x0", want: str = "x1") -> Command:
    return Command(number=number, kind="update", type="b.t", target="b.t:1", want={"x": want}, base={"x": base})


def answers(table: Bench) -> list[Receipt]:
    found = [decode_message(each.value) for each in table.read(MAIL)]
    return [each for each in found if isinstance(each, Receipt)]


def system(table: Bench) -> MemoryEndpoint:
    return table.systems["b"]


def writes(table: Bench) -> list[str]:
    return [call for call, _ in system(table).calls if call in ("create", "update")]


def notes(table: Bench) -> dict[bytes, bytes]:
    return {
        key: row
        for lane, rows in table.log.rows.items()
        if isinstance(lane, LaneId) and lane.agent == "push.b"
        for key, row in rows.items()
    }


async def pushed(*commands: Command, traits: Traits = TRAITS, record: bool = False, fail: Any = None) -> Bench:
    table = await bench(traits)
    if record:
        system(table).add("t", {"name": "n", "x": "x0"})
    if fail is not None:
        system(table).fail(*fail[:2], **(fail[2] if fail[2:] else {}))
    await again(table, *commands)
    return table


async def again(table: Bench, *commands: Command) -> None:
    for command in commands:
        await table.publish(TOPIC, command.target or ORIGIN, command)
    await table.run_push("b")


class TestCreateOnce:
    async def test_done_names_the_record_and_what_it_holds(self) -> None:
        table = await pushed(create())
        [receipt] = answers(table)
        assert (receipt.outcome, receipt.target) == ("done", "b.t:1")
        assert receipt.after is not None
        assert receipt.after.marker == "f|a.t:1"

    async def test_a_create_whose_answer_was_lost_is_found_and_not_repeated(self) -> None:
        table = await pushed(create(), fail=("create", Unsure("no answer"), {"when": "after"}))
        await again(table, create())
        assert [each.outcome for each in answers(table)] == ["retry", "found"]
        assert writes(table) == ["create"]

    async def test_it_is_found_although_its_system_has_a_slow_clock(self) -> None:
        """Dated ten minutes before it was asked for, it was not among what is new, and was made a second time."""
        table = await bench(TRAITS)
        there, late = system(table), 600 * SECOND
        there.clock_ahead = lambda: -600.0  # type: ignore[method-assign]
        there._clock = lambda: table.now - late
        find = there.find

        async def find_new(type: str, marker: str, since: int) -> tuple[Entity, ...]:
            return tuple(each for each in await find(type, marker, since) if (each.updated_at or 0) >= since)

        there.find = find_new  # type: ignore[method-assign]
        there.fail("create", Unsure("no answer"), when="after")
        await again(table, create())
        await again(table, create())
        assert [each.outcome for each in answers(table)] == ["retry", "found"]
        assert writes(table) == ["create"]

    async def test_one_call_that_fails_beyond_measure_leaves_no_other_behind(self) -> None:
        """The others went on by themselves: done once more while they were under way, their records came twice."""
        table = await bench(TRAITS)
        there, under_way = system(table), 0
        made = there.create

        async def slow(type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
            nonlocal under_way
            if marker == "f|1":
                raise RuntimeError("a bug")
            under_way += 1
            for _ in range(20):
                await asyncio.sleep(0)
            under_way -= 1
            return await made(type, wanted, marker)

        there.create = slow  # type: ignore[method-assign]
        for flow in ("1", "2"):
            await table.publish(TOPIC, ORIGIN, replace(create(), marker=f"f|{flow}", edge=flow))
        lane = next(lane for lane in table.lanes["push.b"] if lane.waits())
        with pytest.raises(RuntimeError):
            await table.push("b")(lane.take(10))
        assert under_way == 0
        assert len(there.all("t")) == 1

    async def test_a_crash_after_the_note_looks_before_it_creates(self) -> None:
        table = await bench()
        system(table).fail("create", _Crash("killed"), when="after")  # type: ignore[arg-type]
        await table.publish(TOPIC, ORIGIN, create())
        with pytest.raises(BaseException, match="killed"):
            await table.run_push("b")
        assert len(notes(table)) == 1
        await table.start()
        await table.run_push("b")
        assert [each.outcome for each in answers(table)] == ["found"]
        assert len(system(table).all("t")) == 1

    async def test_under_whatever_number_the_earlier_record_is_found(self) -> None:
        table = await pushed(create(10))
        await again(table, create(10))
        await again(table, create(20))
        assert [each.outcome for each in answers(table)] == ["done", "found", "found"]
        assert writes(table) == ["create"]

    async def test_read_again_a_create_whose_record_was_deleted_since_is_not_repeated(self) -> None:
        """Replayed, it came back; and nobody had asked for it."""
        table = await pushed(create(10))
        system(table).drop("t", "1")
        await again(table, create(10))
        assert [(each.outcome, each.target) for each in answers(table)] == [("done", "b.t:1"), ("found", "b.t:1")]
        assert writes(table) == ["create"]

    async def test_one_that_was_deleted_since_is_made_again(self) -> None:
        table = await pushed(create(10))
        system(table).drop("t", "1")
        await again(table, create(20))
        assert [each.target for each in answers(table)] == ["b.t:1", "b.t:2"]

    async def test_what_is_not_found_is_believed_only_when_nothing_can_arrive_any_more(self) -> None:
        """A request that was given up arrived after the look-up; then the record was there twice."""
        table = await pushed(create(), traits=Traits(create=4, settle=20.0, late=30.0), fail=LOST_BEFORE)
        table.now += 10 * SECOND
        await again(table, create())
        await again(table, create())
        assert [each.outcome for each in answers(table)] == ["retry", "retry", "retry"]
        assert 39 < (answers(table)[1].wait or 0) < 41
        system(table).add("t", {"name": "n"}, marker="f|a.t:1")  # it arrives
        await again(table, create())
        assert answers(table)[-1].outcome == "found"

    async def test_then_it_is_created(self) -> None:
        table = await pushed(create(), traits=Traits(create=3, late=30.0), fail=LOST_BEFORE)
        table.now += 31 * SECOND
        await again(table, create())
        assert [each.outcome for each in answers(table)] == ["retry", "done"]

    async def test_of_a_process_that_died_the_wait_counts_from_the_first_look(self) -> None:
        table = await bench(Traits(create=3, late=30.0))
        system(table).fail("create", _Crash("killed"))  # type: ignore[arg-type]
        await table.publish(TOPIC, ORIGIN, create())
        with pytest.raises(BaseException, match="killed"):
            await table.run_push("b")
        table.now += 600 * SECOND
        await table.start()
        for wait in (0, 10, 21):
            table.now += wait * SECOND
            await again(table, *[create()] * bool(wait))
        assert [each.outcome for each in answers(table)] == ["retry", "retry", "done"]

    async def test_without_any_look_up_doubt_is_told_to_a_person(self) -> None:
        traits = Traits(changes="since", create=5, look_up="none")
        table = await pushed(create(), traits=traits, fail=LOST_AFTER)
        await again(table, create())
        assert [each.outcome for each in answers(table)] == ["retry", "unknown"]

    async def test_what_a_person_is_sure_of_is_not_looked_up(self) -> None:
        table = await pushed(create(10), traits=Traits(create=5, look_up="none"), fail=LOST_BEFORE)
        sure = replace(create(20), sure=10)
        await again(table, create(10))
        await again(table, sure)
        assert [each.outcome for each in answers(table)] == ["retry", "unknown", "done"]
        await again(table, create(10))
        await again(table, sure)
        assert [each.outcome for each in answers(table)[3:]] == ["found", "found"]
        assert len(system(table).all("t")) == 1

    @pytest.mark.parametrize("error", [Retry("503"), Refused("no", fields={"x": "no"}), Locked("403")])
    async def test_without_a_marker_what_surely_was_not_created_is_no_doubt(self, error: Exception) -> None:
        table = await pushed(
            create(10), traits=Traits(changes="since", create=5, look_up="none"), fail=("create", error)
        )
        assert notes(table) == {}
        await again(table, create(20))
        assert answers(table)[1].outcome == "done"

    async def test_a_type_that_cannot_be_created_refuses(self) -> None:
        table = await pushed(create(), traits=Traits(create=None))
        assert answers(table)[0].outcome == "refused"


class TestC11RecordsWithoutAMarker:
    @staticmethod
    async def sought(*others: dict[str, Any], made: bool = True, **parts: Any) -> tuple[Receipt, Bench]:
        """What is said of a create whose answer was lost, when these records were added meanwhile, too."""
        traits = Traits(create=5, look_up="recent", late=30.0)
        table = await bench(traits, **parts)
        system(table).add("t", {"name": "n"})
        table.now += 600 * SECOND
        system(table).fail(*(LOST_AFTER if made else LOST_BEFORE)[:2], when="after" if made else "before")
        await again(table, create())
        for fields in others:
            system(table).add("t", fields)
        await again(table, create())
        table.now += 31 * SECOND
        await again(table, create())
        first, second, third = answers(table)
        assert (first.outcome, second.outcome) == ("retry", "retry")
        return third, table

    async def test_the_only_one_with_all_that_was_asked_for_is_ours(self) -> None:
        receipt, _ = await self.sought({"name": "other"}, normal=lambda _, value: f" {value.upper()} ")
        assert (receipt.outcome, receipt.target) == ("found", "b.t:2")

    async def test_none_at_all_means_that_none_was_made(self) -> None:
        receipt, table = await self.sought(made=False)
        assert receipt.outcome == "done"
        assert len(system(table).all("t")) == 2

    async def test_two_are_in_doubt(self) -> None:
        receipt, table = await self.sought({"name": "N "})
        assert (receipt.outcome, writes(table)) == ("unknown", ["create"])
        assert receipt.reason.endswith("b.t:2, b.t:3 were created since; all of them hold what was asked for")

    async def test_so_is_one_that_may_have_been_rewritten(self) -> None:
        receipt, _ = await self.sought(normal=lambda _, value: f"No. {value}")
        assert receipt.outcome == "unknown"
        assert receipt.reason.endswith("b.t:2 was created since; none holds just what was asked for")

    @pytest.mark.parametrize(
        ("held", "want", "same"),
        [
            ({"n": 7}, {"n": "7"}, True),
            ({"n": ["A", 1]}, {"n": ["a", "1"]}, True),
            ({"n": ["A"]}, {"n": ["a", "b"]}, False),
            ({"n": "a"}, {"n": ["a"]}, False),
            ({"n": {"a": 1}}, {"n": {"a": 1}}, True),
            ({}, {"n": "a"}, False),
            ({"n": "a", "m": 1}, {"n": "a"}, True),
        ],
    )
    def test_what_resembles(self, held: dict[str, Any], want: dict[str, Any], same: bool) -> None:
        assert resembles(held, want) is same


class TestSystemsThatSeeToItThemselves:
    async def test_an_upsert_is_looked_up_first_so_that_nothing_typed_since_is_overwritten(self) -> None:
        table = await pushed(create(), traits=Traits(create=1, late=30.0), fail=LOST_AFTER)
        system(table).edit("t", "1", {"name": "typed"})
        await again(table, create())
        assert [each.outcome for each in answers(table)] == ["retry", "found"]
        assert system(table).all("t")["1"].record["name"] == "typed"

    @pytest.mark.parametrize("look_up", ["marker", "none"])
    async def test_and_is_not_waited_for(self, look_up: Any) -> None:
        traits = Traits(create=1, look_up=look_up, late=30.0)
        table = await pushed(create(), traits=traits, fail=LOST_BEFORE)
        await again(table, create())
        assert [each.outcome for each in answers(table)] == ["retry", "done"]

    async def test_under_a_key_the_same_is_asked_for_again(self) -> None:
        traits = Traits(create=2, look_up="none", idempotent_for=86_400.0)
        table = await pushed(create(), traits=traits, fail=LOST_AFTER)
        await again(table, replace(create(20), want={"name": "changed"}))
        assert [each.outcome for each in answers(table)] == ["retry", "found"]
        assert answers(table)[1].number == 20
        assert len(system(table).all("t")) == 1
        assert system(table).all("t")["1"].record["name"] == "n"

    @pytest.mark.parametrize(("look_up", "outcome"), [("marker", "found"), ("recent", "found"), ("none", "unknown")])
    async def test_a_key_that_ends_soon_is_not_relied_on(self, look_up: Any, outcome: str) -> None:
        traits = Traits(create=2, look_up=look_up, idempotent_for=3600.0)
        table = await pushed(create(), traits=traits, fail=LOST_AFTER)
        table.now += 3500 * SECOND
        await again(table, create())
        assert [each.outcome for each in answers(table)] == ["retry", outcome]
        assert len(system(table).all("t")) == 1

    async def test_each_attempt_under_a_key_counts_from_the_first(self) -> None:
        traits = Traits(create=2, look_up="none", idempotent_for=3600.0)
        table = await pushed(create(), traits=traits, fail=LOST_AFTER)
        table.now += 3000 * SECOND
        system(table).fail("create", Unsure("no answer"))
        await again(table, create())
        table.now += 3000 * SECOND
        await again(table, create())
        assert [each.outcome for each in answers(table)] == ["retry", "retry", "unknown"]


class TestUpdates:
    async def test_only_what_is_not_there_yet_is_written(self) -> None:
        table = await pushed(update(), record=True)
        [receipt] = answers(table)
        assert receipt.outcome == "done"
        assert receipt.before is not None
        assert receipt.after is not None
        assert (receipt.before.fields["x"], receipt.after.fields["x"]) == ("x0", "x1")
        assert dict(system(table).truth[-1].wanted) == {"x": "x1"}

    async def test_what_is_there_already_is_not_written(self) -> None:
        table = await pushed(update(want="x0", base="old"), record=True)
        assert (answers(table)[0].outcome, writes(table)) == ("done", [])

    async def test_another_value_than_the_base_is_stale(self) -> None:
        table = await pushed(update(base="old"), record=True)
        [receipt] = answers(table)
        assert (receipt.outcome, receipt.guard_at, writes(table)) == ("stale", None, [])

    async def test_one_that_ended_without_a_write_is_over(self) -> None:
        """Read again, it would find its base by chance, and write over what came in between."""
        table = await pushed(update(base="another"), record=True)
        system(table).edit("t", "1", {"x": "another"})
        await again(table, update(base="another"))
        assert [answer.outcome for answer in answers(table)] == ["stale", "superseded"]
        assert writes(table) == []

    async def test_a_record_that_moves_between_guard_and_write_is_stale(self) -> None:
        table = await pushed(update(), record=True, fail=("update", Stale("412")))
        assert answers(table)[0].outcome == "stale"
        assert [b"done" in row for row in notes(table).values()] == [True]

    async def test_after_a_lost_answer_the_first_pre_image_comes_back(self) -> None:
        fail = ("update", Unsure("no answer"), {"when": "after"})
        table = await pushed(update(), record=True, fail=fail)
        await again(table, update())
        retry, done = answers(table)
        assert (retry.outcome, done.outcome, len(writes(table))) == ("retry", "done", 1)
        assert done.before is not None
        assert done.before.fields["x"] == "x0"

    async def test_after_a_lost_answer_a_stale_receipt_names_the_guard(self) -> None:
        fail = ("update", Unsure("no answer"), {"when": "after"})
        table = await pushed(update(), record=True, fail=fail)
        system(table).edit("t", "1", {"x": "typed"})
        await again(table, update())
        assert answers(table)[1].guard_at is not None

    @pytest.mark.parametrize("error", [Retry("503", after=7.0), Refused("no", fields={"x": "no"}), Locked("403")])
    async def test_what_surely_was_not_written_leaves_no_beginning(self, error: Exception) -> None:
        table = await pushed(update(), record=True, fail=("update", error))
        assert [b"done" in row for row in notes(table).values()] == [True] * isinstance(error, Refused)
        [receipt] = answers(table)
        match error:
            case Retry():
                assert (receipt.outcome, receipt.wait) == ("retry", 7.0)
            case Refused():
                assert (receipt.outcome, receipt.fields) == ("refused", {"x": "no"})
            case _:
                assert receipt.outcome == "retry"

    async def test_a_record_that_is_not_there(self) -> None:
        assert answers(await pushed(update()))[0].outcome == "missing"

    async def test_an_older_number_than_the_ledger_has_is_superseded(self) -> None:
        table = await pushed(update(20), record=True)
        await again(table, update(10, base="x1", want="x0"))
        await again(table, update(20))
        assert [each.outcome for each in answers(table)] == ["done", "superseded", "superseded"]
        assert len(writes(table)) == 1

    async def test_of_two_for_one_record_in_a_unit_the_newer_is_done(self) -> None:
        """One after the other, the note of the second made the end of the first durable without its receipt."""
        table = await pushed(update(20), update(10, want="x2"), update(20), record=True)
        assert [(each.number, each.outcome) for each in answers(table)] == [(20, "done")]
        assert system(table).all("t")["1"].record["x"] == "x1"


def delete(number: int = 10, base: str = "x0") -> Command:
    return Command(number=number, kind="delete", type="b.t", target="b.t:1", want={}, base={"name": "n", "x": base})


class TestRemovals:
    async def test_a_record_that_is_as_it_was_is_removed(self) -> None:
        table = await pushed(delete(), record=True)
        assert [(each.outcome, each.target) for each in answers(table)] == [("done", "b.t:1")]
        assert system(table).all("t") == {}

    async def test_one_that_was_edited_is_stale_and_stays(self) -> None:
        table = await pushed(delete(base="older"), record=True)
        [receipt] = answers(table)
        assert receipt.outcome == "stale"
        assert receipt.before is not None
        assert receipt.before.fields["x"] == "x0"
        system(table).edit("t", "1", {"x": "older"})
        await again(table, delete(base="older"))
        assert answers(table)[1].outcome == "superseded"
        assert len(system(table).all("t")) == 1

    async def test_one_that_moves_between_guard_and_removal_is_stale(self) -> None:
        table = await pushed(delete(), record=True, fail=("remove", Stale("412")))
        assert answers(table)[0].outcome == "stale"

    async def test_one_that_is_not_there_is_missing(self) -> None:
        assert answers(await pushed(delete()))[0].outcome == "missing"

    async def test_one_that_was_missing_is_not_removed_when_it_comes_back(self) -> None:
        """All topics were read once more: a record that a person had brought back was removed after all."""
        table = await pushed(delete())
        system(table).add("t", {"name": "n", "x": "x0"})
        await again(table, delete())
        assert [each.outcome for each in answers(table)] == ["missing", "superseded"]
        assert len(system(table).all("t")) == 1

    async def test_after_a_lost_answer_it_is_missing(self) -> None:
        table = await pushed(delete(), record=True, fail=("remove", Unsure("no answer"), {"when": "after"}))
        await again(table, delete())
        assert [each.outcome for each in answers(table)] == ["retry", "missing"]

    async def test_one_that_was_brought_back_is_not_removed_again(self) -> None:
        """The answer was lost, somebody brought the record back, and the next attempt removed it again."""
        table = await pushed(delete(), record=True, fail=("remove", Unsure("no answer"), {}))
        system(table).edit("t", "1", {"note": "wanted"})
        await again(table, delete())
        assert answers(table)[-1].outcome == "refused"
        assert "1" in system(table).all("t")

    async def test_a_removal_said_twice_is_made_once(self) -> None:
        table = await pushed(delete(), record=True)
        await again(table, delete())
        assert [each.outcome for each in answers(table)] == ["done", "superseded"]

    async def test_what_a_type_cannot_do_is_refused(self) -> None:
        table = await pushed(delete(), record=True, traits=Traits(changes="since", create=3))
        assert answers(table)[0].outcome == "refused"
        assert len(system(table).all("t")) == 1


async def test_what_is_no_command_is_parked() -> None:
    table = await bench()
    await table.publish(TOPIC, ORIGIN, b"{}")
    await table.run_push("b")
    assert table.parked() == [(b"{}", "undecodable")]


async def test_a_record_without_times_is_published_again_after_it_was_written() -> None:
    table = await bench(Traits(changes="list", create=3))
    system(table).add("t", {"name": "n", "x": "x0"})
    untimed = system(table)._entity

    def entity(type: str, id: str) -> Any:
        return replace(untimed(type, id), updated_at=None)

    system(table)._entity = entity  # type: ignore[method-assign]
    await again(table, update())
    assert [decode_order(each.value).ref for each in table.read(POLLS)] == ["b.t:1"]


class _Crash(BaseException):
    """The process dies between the call and its receipt."""


async def test_the_whole_way_and_back() -> None:
    table = await bench()
    table.systems["a"].add("t", {"name": "n", "x": "x0"})
    await table.settle()
    assert system(table).all("t")["1"].record["x"] == "x0"
    system(table).edit("t", "1", {"x": "x1"})
    await table.settle()
    assert table.systems["a"].all("t")["1"].record["x"] == "x1"
    assert table.parked() == []


class TestListsAndGroups:
    """The flows of a table know no lists; these do."""

    @staticmethod
    async def table(**record: Any) -> Bench:
        table = await bench()
        table.flows.paths["b.t"] = ("labels~", "name", "street, city")
        system(table).add("t", {"name": "n", **record})
        return table

    @staticmethod
    def command(want: dict[str, Any], base: dict[str, Any] | None = None) -> Command:
        return Command(number=10, kind="update", type="b.t", target="b.t:1", want=want, base=base or {})

    async def test_a_list_is_written_as_a_whole_with_what_others_added(self) -> None:
        table = await self.table(labels=["red", "white"])
        await again(table, self.command({'labels~"red"': None, 'labels~"blue"': True}, {'labels~"red"': True}))
        assert answers(table)[0].outcome == "done"
        assert system(table).truth[-1].wanted == {"labels": ["white", "blue"]}

    async def test_what_is_there_already_is_not_written(self) -> None:
        table = await self.table(labels=["red"])
        await again(table, self.command({'labels~"red"': True, 'labels~"blue"': None}, {'labels~"blue"': True}))
        assert (answers(table)[0].outcome, writes(table)) == ("done", [])

    async def test_a_group_is_written_whole_or_is_stale(self) -> None:
        table = await self.table(street="s", city="c")
        await again(table, self.command({"street, city": ["t", "c"]}, {"street, city": ["s", "c"]}))
        assert system(table).truth[-1].wanted == {"street": "t", "city": "c"}
        await again(table, replace(self.command({"street, city": ["u", "d"]}, {"street, city": ["s", "c"]}), number=11))
        assert [each.outcome for each in answers(table)] == ["done", "stale"]

    async def test_a_refused_part_is_said_of_the_group(self) -> None:
        table = await self.table(street="s", city="c")
        system(table).fail("update", Refused("no", fields={"city": "no such city"}))
        await again(table, self.command({"street, city": ["t", "x"]}, {"street, city": ["s", "c"]}))
        assert answers(table)[0].fields == {"street, city": "no such city"}

    async def test_what_is_no_list_is_not_written(self) -> None:
        table = await self.table(labels="red")
        await again(table, self.command({'labels~"blue"': True}))
        assert answers(table)[0].outcome == "refused"
        assert "a list would be right" in answers(table)[0].reason
        assert writes(table) == []

    async def test_a_removal_is_stale_when_an_element_was_added(self) -> None:
        table = await self.table(labels=["red", "blue"])
        base = {"name": "n", "labels~": None, 'labels~"red"': True, "street, city": None}
        command = Command(number=10, kind="delete", type="b.t", target="b.t:1", want={}, base=base)
        await again(table, command)
        assert answers(table)[0].outcome == "stale"


async def test_a_receipt_names_the_requests_that_wrote() -> None:
    class Telling(MemoryEndpoint):
        async def update(self, *given: Any) -> Any:
            note("PUT", "/t/1", 200, {"x-request-id": "abc"})
            return await super().update(*given)

        async def read(self, *given: Any) -> Any:
            note("GET", "/t/1", 200, {"x-request-id": "before"})
            return await super().read(*given)

    table = await bench()
    table.systems["b"] = Telling({"t": TRAITS}, clock=lambda: table.now)
    table.systems["b"].add("t", {"x": "x0"})
    await table.publish(upserts("b.t"), "b.t:1", update())
    await table.run_push("b")
    [receipt] = answers(table)
    assert receipt.requests == ("PUT /t/1 200 request abc",)


class TestALogThatWasSetBack:
    """The ledger forgot what was created since the backup."""

    LOSS = Loss(at=1000 * SECOND, since=500 * SECOND, reason="set back")

    async def lost(self, command: Command, loss: Loss = LOSS, traits: Traits = TRAITS) -> Bench:
        """The record of an earlier life is there; nothing else is known of it."""
        table = await bench(traits)
        system(table).add("t", {"name": "n"}, marker=command.marker if traits.marked else None)
        table.log.loss = loss
        await table.publish(TOPIC, ORIGIN, command)
        await table.run_push("b")
        return table

    @pytest.mark.parametrize("number", [400, 700, 1001, 1000 + 86_400])
    async def test_a_create_looks_for_its_record_first(self, number: int) -> None:
        table = await self.lost(create(number * SECOND))
        assert [(each.outcome, each.target) for each in answers(table)] == [("found", "b.t:1")]
        assert writes(table) == []

    @pytest.mark.parametrize(("number", "forgotten"), [(400, False), (700, True), (1001, True)])
    async def test_what_that_asked_for_is_known_of_a_command_that_is_older_alone(
        self, number: int, forgotten: bool
    ) -> None:
        table = await self.lost(create(number * SECOND))
        assert [each.forgotten for each in answers(table)] == [forgotten]

    async def test_the_same_where_the_system_answers_a_key_that_it_has_seen(self) -> None:
        """Without a marker nobody claims anything: the record of then is found by the key alone."""
        table = await bench(Traits(create=2, look_up="none", idempotent_for=3600.0))
        mine = create(10 * SECOND)
        await system(table).create("t", mine.want, mine.marker)
        table.log.loss = Loss(at=table.clock(), since=table.now - 60 * SECOND, reason="set back")
        await table.publish(TOPIC, ORIGIN, create(table.clock()))
        await table.run_push("b")
        assert [(each.outcome, each.target, each.forgotten) for each in answers(table)] == [("found", "b.t:1", True)]

    async def test_not_for_ever(self) -> None:
        table = await self.lost(create((1001 + 86_400) * SECOND))
        assert [each.target for each in answers(table)] == ["b.t:2"]

    async def test_nor_what_a_person_decided_since(self) -> None:
        """Whoever said that none was made was asked the same at every attempt, for a day."""
        traits = Traits(create=5, look_up="recent")
        decided = replace(create(2000 * SECOND), sure=1500 * SECOND)
        assert [each.target for each in answers(await self.lost(decided, traits=traits))] == ["b.t:2"]
        earlier = replace(decided, sure=900 * SECOND)
        assert [each.target for each in answers(await self.lost(earlier, traits=traits))] == ["b.t:1"]

    async def test_not_where_nothing_was_lost(self) -> None:
        table = await self.lost(create(700 * SECOND), Loss())
        assert [each.target for each in answers(table)] == ["b.t:2"]

    async def test_an_update_needs_no_look_up(self) -> None:
        table = await bench()
        system(table).add("t", {"name": "n", "x": "x0"})
        table.log.loss = self.LOSS
        await table.publish(TOPIC, "b.t:1", update())
        await table.run_push("b")
        assert [each.outcome for each in answers(table)] == ["done"]


async def test_a_wait_of_no_length_is_left_to_the_row() -> None:
    """Asked for again "at once", it was asked for without end."""
    table = await pushed(update(), record=True, fail=("update", Retry("429", after=0.0)))
    assert [(each.outcome, each.wait) for each in answers(table)] == [("retry", None)]


async def test_nothing_is_written_to_a_system_that_was_paused_while_it_was_down() -> None:
    """The look waits until it is there again, for hours perhaps; what came behind it was written all the same."""
    table = await bench(TRAITS)
    there = system(table)
    there.add("t", {"name": "n", "x": "x0"})
    read, paused = there.read, list[str]()
    table.paused = lambda _: "".join(paused)

    async def late(type: str, id: str) -> Entity:
        found = await read(type, id)
        paused.append("b is paused")
        return found

    there.read = late  # type: ignore[method-assign]
    await again(table, update())
    assert [(each.outcome, each.reason) for each in answers(table)] == [("retry", "b is paused")]
    assert writes(table) == []
    assert notes(table) == {}
    paused.clear()
    there.read = read  # type: ignore[method-assign]
    await again(table, update())
    assert answers(table)[-1].outcome == "done"
