"""A plan says what a worker then does, record by record and field by field, and does nothing itself."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from connectors.errors import Refused, Retry
from stream.core.flows import Flows, TypeFacts
from stream.engine.backends import open_reader
from stream.model import Command, Gone, Seen
from stream.operate.outlook import Outlook, outlook, plain, told
from stream.operate.plan import Planned
from stream.rehearsal import Rehearsal, granted
from tests.cli.kept import Kept, kept
from tests.stages.build import FLOW, TYPES

Deed = tuple[str, str, str, Any]
"""What is done, to which record (for which, if it is created), which field, what it then holds."""


async def planned(table: Kept, *, fresh: bool = False) -> Planned:
    if fresh:
        made = Planned(table.topology, table.clock, None)
        await made.make(table.systems)
        return made
    with open_reader(table.topology.broker) as log:
        made = Planned(table.topology, table.clock, log)
        await made.make(table.systems)
        return made


def deeds(table: Kept, since: dict[str, int]) -> set[Deed]:
    """What was really done."""
    found: set[Deed] = set()
    for name, system in table.systems.items():
        for each in system.truth[since[name] :]:
            ref = f"{name}.t:{each.id}"
            if each.op == "create":
                origin = system.all("t")[each.id].marker or ""
                found |= {("create", origin.partition("|")[2], field, value) for field, value in each.wanted.items()}
            else:
                found |= {(each.op, ref, field, value) for field, value in each.wanted.items()}
    return found


def foretold(ahead: Outlook) -> set[Deed]:
    """What the plan says would be done."""
    return {
        (each.kind, each.origin or each.ref, field, each.after[field])
        for each in ahead.written
        for field in (each.after if each.kind == "create" else each.fields)
    }


def counts(table: Kept) -> dict[str, int]:
    return {name: len(system.truth) for name, system in table.systems.items()}


async def test_a_first_run_is_planned(tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        for name, x in (("one", "1"), ("two", "2"), ("three", "3")):
            table.a.add("t", {"name": name, "x": x})
        table.b.add("t", {"name": "one", "x": "old"})
        table.b.add("t", {"name": "nobody's", "x": ""})
        before = counts(table)
        ahead = outlook((await planned(table, fresh=True)).rehearsal)
        assert counts(table) == before, "a plan writes nothing"
        flow = ahead.flows["f"]
        assert (flow.linked, flow.link, flow.create, flow.write, flow.apart) == (0, 1, 2, 1, {"alone": 1})
        await table.settle()
        assert deeds(table, before) == foretold(ahead)


async def test_what_is_in_step_plans_nothing_and_an_edit_plans_one_write(tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "1"})
        await table.settle()
        ahead = outlook((await planned(table)).rehearsal)
        assert not ahead
        assert ahead.flows["f"].linked == 1
        table.now += 1_000_000
        table.b.edit("t", table.only("b").partition(":")[2], {"x": "typed at b"})
        before, ahead = counts(table), outlook((await planned(table)).rehearsal)
        assert plain(ahead, 10)["diff"] == [
            {
                "ref": table.only("a"),
                "what": "update",
                "flow": "f",
                "for": "",
                "fields": {"x": {"from": "1", "to": "typed at b"}},
            }
        ]
        assert '    x: "1" -> "typed at b"' in list(told(plain(ahead, 10)))
        assert list(told(plain(ahead, 0)))[-1] == "... and 1 more; --limit shows them"
        await table.settle()
        assert deeds(table, before) == foretold(ahead)


async def test_a_write_that_is_under_way_is_planned_as_well(tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "1"})
        await table.settle()
        table.now += 1_000_000
        table.a.edit("t", table.only("a").partition(":")[2], {"x": "2"})
        while await table.poll("a.t"):
            pass
        await table.run_join()
        table.a.add("t", {"name": "two", "x": "2"})
        while await table.poll("a.t"):
            pass
        await table.run_join()  # both commands wait in their topic
        before, ahead = counts(table), outlook((await planned(table)).rehearsal)
        assert len(ahead.written) == 2
        await table.settle()
        assert deeds(table, before) == foretold(ahead)


@pytest.mark.parametrize("seed", range(12))
async def test_what_is_planned_is_what_is_done(tmp_path: Path, seed: int) -> None:
    """Random records on both sides, some matching, then random edits, also of one field on both sides."""
    chance = random.Random(seed)
    async with kept(tmp_path) as table:
        for side in ("a", "b"):
            for name in chance.sample("pqrstuvw", chance.randint(1, 6)):
                table.now += 1_000_000
                table.systems[side].add("t", {"name": name, "x": chance.choice(["", "1", "2"])})
        for fresh in (True, False, False):
            before, ahead = counts(table), outlook((await planned(table, fresh=fresh)).rehearsal)
            await table.settle()
            assert deeds(table, before) == foretold(ahead)
            for side in ("a", "b"):
                for id in chance.sample(sorted(table.systems[side].all("t")), 1):
                    table.now += 1_000_000
                    table.systems[side].edit("t", id, {"x": f"{side}{chance.random()}"})


async def test_a_system_that_does_not_answer_is_told_and_nothing_is_created_by_it(tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "1"})
        table.b.fail("page", Refused("b: found a wall"))
        made = await planned(table, fresh=True)
        assert made.errors == {"b.t": "b: found a wall"}
        assert not outlook(made.rehearsal)
        table.b.fail("page", Retry("later", after=0.001), count=3)
        made = await planned(table, fresh=True)
        assert not made.errors
        assert outlook(made.rehearsal).flows["f"].create == 1


async def test_a_deletion_waits_its_minute_in_a_rehearsal(tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "1"})
        await table.settle()
        rehearsal = (await planned(table)).rehearsal
        rehearsal.tell(table.only("a"), Gone(read_at=table.clock()))
        assert outlook(rehearsal).flows["f"].part == 0
        rehearsal.settle()
        assert outlook(rehearsal).flows["f"].part == 1


@pytest.mark.parametrize("policy", ["archive", "delete"])
def test_a_record_that_follows_a_deletion_is_foretold(policy: Literal["archive", "delete"]) -> None:
    flows = Flows((replace(FLOW, delete=policy),), {name: TypeFacts(rank=rank) for rank, name in enumerate(TYPES)})
    rehearsal = Rehearsal(flows, 1_700_000_000_000_000, granted)
    fields = {"name": "one", "x": "1"}
    for ref in ("a.t:1", "b.t:2"):
        rehearsal.tell(ref, Seen(fields=fields, read_at=rehearsal.now, updated_at=rehearsal.now - 1_000_001))
    rehearsal.open(TYPES)
    assert outlook(rehearsal).flows["f"].link == 1, "whoever waits for that hears of it at once"
    rehearsal.tell("a.t:1", Gone(read_at=rehearsal.now + 1))
    rehearsal.settle()
    ahead = outlook(rehearsal)
    assert [(each.ref, each.kind) for each in ahead.written] == [("b.t:2", policy)]
    assert (ahead.flows["f"].remove, ahead.flows["f"].link) == (1, 0)
    assert f"- b.t:2  ({policy}, f)" in list(told(plain(ahead, 10)))


def test_a_new_record_has_a_number_where_ids_are_numbers() -> None:
    flows = Flows((FLOW,), {"b.t": TypeFacts(integer_ids=True)})
    rehearsal = Rehearsal(flows, 1, granted)
    command = Command(number=1, kind="create", type="b.t", want={"name": "n"}, marker="f|a.t:1", edge="f/a")
    assert granted(rehearsal, "a.t:1", command).target == "b.t:-1"
    assert granted(rehearsal, "a.t:1", command).target == "b.t:-1", "told twice, it is one"
