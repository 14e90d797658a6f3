"""All six systems send what no system should: what cannot be read is set aside by name, and all else is published.

A list is answered with two records as the system has them and a bad one between them. What was set aside names system,
entity type, id, field and reason; the rest of the page goes on, and once the system is well again nothing is missing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from msgspec import Struct

from connectors.errors import BadAnswer
from stream.codec import decode_change
from stream.engine.lanes import Lane
from stream.engine.log import TopicSettings
from stream.engine.memory import MemoryLog, lanes_of
from stream.parking import PREFIX
from stream.poll import Reader
from stream.topics import PARKED, POLLS, changes
from tests.connectors.benches import (
    AsanaBench,
    CrmOfficeBench,
    CustomErpBench,
    CustomPmsBench,
    PowerOfficeBench,
    SandboxBench,
    TrelloBench,
)

Record = dict[str, Any]


class System(Struct, frozen=True):
    """One system as it is walked: where its list is, how records lie in it, and what its fields are called."""

    name: str
    bench: Any
    path: str
    wrap: Callable[[list[Any]], Any]
    id: str
    changed: str
    number: bool = False
    """Whether ids are numbers."""
    state: str = ""
    """A field of few values, where the connector knows them."""

    @property
    def type(self) -> str:
        return str(self.bench.type)


SYSTEMS = {
    each.name: each
    for each in (
        System("asana", AsanaBench, "*/tasks", lambda some: {"data": some, "next_page": None}, "gid", "modified_at"),
        System("trello", TrelloBench, "*/cards/all", lambda some: some, "id", "dateLastActivity"),
        System(
            "powerofficego", PowerOfficeBench, "*/Customers", lambda some: some, "Id", "LastChangedDateTimeOffset", True
        ),
        System(
            "custompms",
            CustomPmsBench,
            "*/tasks",
            lambda some: {"items": some, "total": len(some)},
            "id",
            "updated_at",
            True,
            "status",
        ),
        System(
            "customerp",
            CustomErpBench,
            "*/projects",
            lambda some: {"data": some, "meta": {"total": len(some)}},
            "id",
            "modified",
            True,
            "status",
        ),
        System("crmoffice", CrmOfficeBench, "*/activities", lambda some: {"items": some}, "id", "updatedAt"),
    )
}


class Walk:
    """A reader over one system, and what came of it."""

    def __init__(self, system: System, bench: SandboxBench, log: MemoryLog, lane: Lane) -> None:
        self.system, self.bench, self.log, self.lane = system, bench, log, lane
        name = f"{system.name}.{system.type}"
        self.reader = Reader(name, system.name, bench.endpoint, 1, lambda: 1_700_000_000_000_000)
        self.good: list[Record] = []

    async def add(self, title: str) -> Record:
        """Add a record; it as the system shows it."""
        bench: Any = self.bench
        read = await bench.endpoint.read(self.system.type, await bench.add(title))
        self.good.append(read.reading.record)
        return dict(read.reading.record)

    def answer(self, records: list[Any], count: int | None = 1) -> None:
        """Have the next list be these records."""
        text = orjson.dumps(self.system.wrap(records)).decode()
        self.bench.sandbox.fault("body", method="GET", path=self.system.path, text=text, count=count)

    async def read(self) -> None:
        for _ in range(30):
            if not await self.reader.read(self.lane.turn):
                return
        raise AssertionError("a reading without an end")

    def published(self) -> list[Record]:
        """What was published, as it was last."""
        topic = changes(f"{self.system.name}.{self.system.type}")
        found = [decode_change(each.value) for each in self.log.records[topic, 0] if each.value is not None]
        return list({each.source.id: each.after or {} for each in found}.values())

    def ids(self) -> list[str]:
        return [str(each[self.system.id]) for each in self.published()]

    def aside(self) -> list[tuple[str, str, str]]:
        """System, key and reason of what was set aside."""
        found = []
        for each in self.log.records[PARKED, 0]:
            said = {name.removeprefix(PREFIX): value.decode() for name, value in each.headers}
            found.append((said["connector.name"], (each.key or b"").decode(), said["exception.message"]))
        return found


@asynccontextmanager
async def walking(name: str) -> AsyncIterator[Walk]:
    system, log = SYSTEMS[name], MemoryLog()
    bench = await system.bench.open()
    topics = (PARKED, POLLS, changes(f"{name}.{system.type}"))
    await log.declare({topic: TopicSettings() for topic in topics}, 1)
    (lane,) = await lanes_of(log, "poll", [POLLS])
    walk = Walk(system, bench, log, lane)
    try:
        await walk.add("en")
        await walk.add("to")
        yield walk
    finally:
        await bench.close()


every = pytest.mark.parametrize("name", sorted(SYSTEMS))


def strange(system: System) -> list[tuple[str, Callable[[Record], Any], bool]]:
    """Bad records made of good ones, what is said of each, and whether its id can be told."""
    huge, id = "x" * (1 << 20), system.id
    wrong = "17" if system.number else 17
    cases: list[tuple[str, Callable[[Record], Any], bool]] = [
        ("found 'text'", lambda _: "text", False),
        ("found a list", lambda _: [1], False),
        ("found null", lambda _: None, False),
        (f"{id}: found nothing", lambda good: {key: value for key, value in good.items() if key != id}, False),
        (f"{id}: found null", lambda good: {**good, id: None}, False),
        (f"{id}: found an object", lambda good: {**good, id: {}}, False),
        (f"{id}: found {wrong!r}", lambda good: {**good, id: wrong}, False),
        (f"{system.changed}: ", lambda good: {**good, system.changed: "yesterday"}, True),
        (f"{system.changed}: ", lambda good: {**good, system.changed: "0000-00-00T00:00:00Z"}, True),
        (f"{system.changed}: ", lambda good: {**good, system.changed: "1066-10-14T00:00:00Z"}, True),
        (f"{system.changed}: ", lambda good: {**good, system.changed: {"at": 5}}, True),
        (f"{system.bench.title}: found ", lambda good: {**good, system.bench.title: huge}, True),
    ]
    if system.state:
        cases.append((f"{system.state}: found 'lost'", lambda good: {**good, system.state: "lost"}, True))
    return cases


@every
async def test_a_bad_record_is_set_aside_by_name_and_the_others_of_its_page_are_published(name: str) -> None:
    system = SYSTEMS[name]
    for said, spoil, told in strange(system):
        async with walking(name) as walk:
            bad = await walk.add("tre")
            one, two = walk.good[:2]
            walk.answer([one, spoil(bad), two])
            await walk.read()
            assert {str(one[system.id]), str(two[system.id])} <= set(walk.ids()), said
            (found,) = walk.aside()
            key = f"{name}.{system.type}:{bad[system.id] if told else ''}"
            assert (found[0], found[1] if told else found[1].partition(":")[0]) == (name, key if told else key[:-1])
            assert found[2].startswith(f"{system.type}:{bad[system.id] if told else ''}"), found
            assert said in found[2], found
            walk.bench.sandbox.heal()
            await walk.read()
            await walk.bench.edit(str(bad[system.id]), system.bench.title, "nå går det")  # type: ignore[attr-defined]
            await walk.read()
            assert str(bad[system.id]) in walk.ids(), "mended, it is read"
            assert len(walk.aside()) == 1, "it is set aside once"


@every
async def test_empty_fields_are_data(name: str) -> None:
    async with walking(name) as walk:
        one, two = walk.good
        kept = {walk.system.id, walk.system.changed}
        walk.answer([{key: value if key in kept else None for key, value in one.items()}, two])
        await walk.read()
        assert walk.aside() == []
        assert str(one[walk.system.id]) in walk.ids()


@every
async def test_half_a_surrogate_pair_becomes_a_character_that_can_be_written(name: str) -> None:
    async with walking(name) as walk:
        one, two = walk.good
        text = orjson.dumps(walk.system.wrap([{**one, walk.system.bench.title: "@@"}, two])).decode()
        text = text.replace("@@", "a\\ud83d b")
        walk.bench.sandbox.fault("body", method="GET", path=walk.system.path, text=text, count=1)
        await walk.read()
        assert "a\ufffd b" in [each.get(walk.system.bench.title) for each in walk.published()]
        assert walk.aside() == []


@every
async def test_a_record_that_comes_twice_counts_once_and_with_two_values_not_at_all(name: str) -> None:
    async with walking(name) as walk:
        one, two = walk.good
        walk.answer([one, two, one])
        await walk.read()
        assert walk.aside() == []
        assert sorted(walk.ids())[:2] == sorted({*walk.ids()})[:2]
    async with walking(name) as walk:
        one, two = walk.good
        walk.answer([one, {**one, walk.system.bench.title: "en annen"}, two])
        await walk.read()
        ((_, key, reason),) = walk.aside()
        assert key == f"{name}.{walk.system.type}:{one[walk.system.id]}"
        assert f"{walk.system.id}: found the record twice" in reason
        assert str(two[walk.system.id]) in walk.ids()


@every
async def test_a_list_that_repeats_has_an_end_and_nothing_is_missing_afterwards(name: str) -> None:
    """Trello's lists are asked for by what is older than an id; one that ignores it has shown all that it shows."""
    async with walking(name) as walk:
        await walk.add("tre")
        page: Any = walk.system.wrap(walk.good[: walk.system.bench.page])
        if name == "asana":
            page["next_page"] = {"offset": "again", "uri": "http://127.0.0.1:9/elsewhere", "path": "//127.0.0.1:9/"}
        if isinstance(page, dict):
            page |= {"total": 100} if "total" in page else {"meta": {"total": 100}} if "meta" in page else {}
        walk.bench.sandbox.fault(
            "body", method="GET", path=walk.system.path, text=orjson.dumps(page).decode(), count=None
        )
        if name == "trello":
            await walk.read()
        else:
            with pytest.raises(BadAnswer):
                await walk.read()
            assert len(walk.aside()) == 1
        walk.bench.sandbox.heal()
        await walk.read()
        assert {str(each[walk.system.id]) for each in walk.good} <= set(walk.ids())


@every
async def test_nobody_is_sent_to_another_host(name: str) -> None:
    async with walking(name) as walk:
        walk.bench.sandbox.fault(
            "redirect", method="GET", path=walk.system.path, location="http://127.0.0.1:9/elsewhere"
        )
        for _ in range(2):
            with pytest.raises(BadAnswer, match=r"127\.0\.0\.1"):
                await walk.read()
        assert len(walk.aside()) == 1
        assert walk.published() == []
        walk.bench.sandbox.heal()
        await walk.read()
        assert {str(each[walk.system.id]) for each in walk.good} <= set(walk.ids())
