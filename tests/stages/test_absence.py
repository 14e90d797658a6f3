"""What a whole list does not show is asked for by itself, and gone when it was missing twice."""

from __future__ import annotations

from contextlib import suppress

import pytest
from msgspec.structs import replace

from connectors.endpoint import Entity, Page, Traits
from connectors.errors import Refused, Retry
from stream.absence import APART, EVERY, MOST
from stream.poll import Reader
from tests.stages.build import Bench, bench
from tests.stages.test_poll import LISTED, published


async def listed(count: int, traits: Traits = LISTED, **more: int) -> Bench:
    """A system whose records were all read once, long ago."""
    table = await bench(traits, **more)
    for number in range(count):
        table.systems["a"].add("t", {"name": f"n{number}"})
    while await table.poll():
        pass
    table.now += EVERY
    return table


def gone(table: Bench) -> list[str]:
    return [each.source.id for each in published(table) if each.op == "d"]


def reads(table: Bench) -> int:
    return sum(call == "read" for call, _ in table.systems["a"].calls)


async def rounds(table: Bench, count: int = 1, reader: Reader | None = None) -> None:
    reader = reader or table.reader()
    for _ in range(count):
        table.now += APART
        while await reader.read(table.lanes["poll"][0].turn):
            pass


async def test_a_record_that_is_missing_twice_is_gone_and_told_once() -> None:
    table = await listed(3)
    table.systems["a"].drop("t", "2")
    await rounds(table)
    assert gone(table) == []
    await rounds(table)
    assert gone(table) == ["2"]
    table.now += EVERY
    await rounds(table, 3)
    assert gone(table) == ["2"]
    assert reads(table) == 2


async def test_the_second_look_is_apart_from_the_first() -> None:
    table = await listed(1)
    table.systems["a"].drop("t", "1")
    await rounds(table)
    await table.poll()
    assert gone(table) == []
    await rounds(table)
    assert gone(table) == ["1"]


async def test_what_came_back_between_two_looks_is_not_gone() -> None:
    table = await listed(1)
    system, held = table.systems["a"], table.systems["a"].all("t")["1"]
    system.drop("t", "1")
    await rounds(table)

    async def read(_type: str, _id: str) -> Entity:
        return held

    system.read = read  # type: ignore[method-assign]
    await rounds(table, 3)
    assert gone(table) == []


async def test_what_is_there_and_not_listed_is_not_gone_and_is_news_when_it_is_listed_again() -> None:
    table = await listed(3)
    whole, short = table.systems["a"].page, True

    async def page(type: str, cursor: object) -> Page:
        found = await whole(type, cursor)
        return replace(found, entities=found.entities[1:]) if short else found

    table.systems["a"].page = page  # type: ignore[method-assign]
    await rounds(table, 3)
    assert gone(table) == []
    assert reads(table) == 1
    short = False
    await rounds(table)
    assert [each.source.id for each in published(table)] == ["1", "2", "3", "1"]


async def test_between_two_comparisons_nothing_is_asked() -> None:
    table = await listed(2)
    await rounds(table)
    table.systems["a"].drop("t", "1")
    await rounds(table, 5)
    assert reads(table) == 0


async def test_what_changed_since_is_no_whole_list() -> None:
    table = await listed(2, Traits(changes="since", create=3))
    table.systems["a"].drop("t", "1")
    await rounds(table, 3)
    assert reads(table) == 0


async def test_a_round_of_several_pages_is_compared_at_its_end() -> None:
    table = await listed(5, size=2)
    table.systems["a"].drop("t", "4")
    await rounds(table, 2, table.reader())
    assert gone(table) == ["4"]
    assert reads(table) == 2


async def test_a_worker_that_starts_in_the_middle_of_a_round_waits_for_the_next() -> None:
    table = await listed(5, size=2)
    table.systems["a"].drop("t", "2")
    assert await table.poll()
    reader = table.reader()
    while await reader.read(table.lanes["poll"][0].turn):
        pass
    assert reads(table) == 0
    await rounds(table, 2, reader)
    assert gone(table) == ["2"]


async def test_only_so_many_are_asked_for_after_one_round_and_the_others_after_the_next() -> None:
    table = await listed(MOST + 10, size=1000)
    for number in range(MOST + 10):
        table.systems["a"].drop("t", str(number + 1))
    reader = table.reader()
    await rounds(table, 1, reader)
    assert reads(table) == MOST
    await rounds(table, 3, reader)
    assert len(gone(table)) == MOST + 10


async def test_only_ids_from_the_least_on_are_missed() -> None:
    table = await listed(3)
    whole = table.systems["a"].page

    async def page(type: str, cursor: object) -> Page:
        return replace(await whole(type, cursor), whole="2")

    table.systems["a"].drop("t", "1")
    table.systems["a"].drop("t", "3")
    table.systems["a"].page = page  # type: ignore[method-assign]
    await rounds(table, 2)
    assert gone(table) == ["3"]


async def test_a_record_that_cannot_be_read_is_neither_there_nor_missing() -> None:
    table = await listed(2)
    table.systems["a"].drop("t", "1")
    table.systems["a"].fail("read", Refused("401"))
    await rounds(table, 3)
    assert gone(table) == []
    table.now += EVERY
    await rounds(table, 2)
    assert gone(table) == ["1"]


async def test_a_system_that_does_not_answer_is_asked_again_and_the_page_is_kept() -> None:
    table = await listed(2)
    table.systems["a"].drop("t", "1")
    table.systems["a"].edit("t", "2", {"name": "m"})
    table.systems["a"].fail("read", Retry("503"))
    reader = table.reader()
    with pytest.raises(Retry):
        await rounds(table, 1, reader)
    assert [each.source.id for each in published(table)] == ["1", "2", "2"]
    await rounds(table, 2, reader)
    assert gone(table) == ["1"]


async def test_a_round_that_another_worker_has_read_a_part_of_is_not_compared() -> None:
    """Each record on that part was asked for by itself, and then published again."""
    table = await listed(6, size=2)
    here, there, turn = table.reader(), table.reader(), table.lanes["poll"][0].turn
    assert await here.read(turn)
    assert await there.read(turn)
    await rounds(table, reader=here)
    assert reads(table) == 0
    await rounds(table, reader=here)  # the next one is
    table.systems["a"].drop("t", "4")
    table.now += EVERY
    await rounds(table, 2, reader=here)
    assert gone(table) == ["4"]


async def test_of_many_looks_one_that_fails_costs_no_other() -> None:
    table = await listed(3)
    for id in ("1", "2", "3"):
        table.systems["a"].drop("t", id)
    reader, read, asked = table.reader(), table.systems["a"].read, 0

    async def every_second(type: str, id: str) -> Entity:
        nonlocal asked
        asked += 1
        if asked % 2 == 0:
            raise Retry("503")
        return await read(type, id)

    table.systems["a"].read = every_second  # type: ignore[method-assign]
    for _ in range(12):
        with suppress(Retry):
            await rounds(table, reader=reader)
    assert sorted(gone(table)) == ["1", "2", "3"]
