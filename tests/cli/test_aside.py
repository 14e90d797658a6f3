"""``linkstream parked`` and ``linkstream conflicts``: what was set aside and what lost, looked at and put right."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import Refused
from stream.cli.main import execute
from stream.codec import encode
from stream.engine.log import Outgoing
from stream.model import Order, Wake
from stream.operate.aside import Aside, retrying
from stream.parking import parked
from stream.ports import Record
from stream.topics import MAIL, PARKED
from tests.cli.kept import Kept, kept


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LINKSTREAM_CONFIG", "LINKSTREAM_BROKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LINKSTREAM_BROKER", f"sqlite:///{tmp_path}/log.db")


class Typist:
    """Types commands, as a second process would, and reads what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *words: str, code: int = 0) -> str:
        assert await asyncio.to_thread(execute, words) == code, self._capsys.readouterr().err
        return self._capsys.readouterr().out

    async def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(await self(*words, "--format", "json", code=code))


@pytest.fixture
def types(capsys: pytest.CaptureFixture[str]) -> Typist:
    return Typist(capsys)


async def refused(table: Kept) -> None:
    """A link of which b refuses x."""
    table.a.add("t", {"name": "one", "x": "before"})
    await table.settle()
    table.b.fail("update", Refused("400", fields={"x": "too long"}))
    table.a.edit("t", table.only("a").partition(":")[2], {"x": "after"})
    await table.settle()


async def conflicting(table: Kept) -> None:
    """A link on both sides of which x was edited; b's edit is the later one."""
    table.a.add("t", {"name": "one", "x": "before"})
    await table.settle()
    table.now += 1_000_000
    table.a.edit("t", table.only("a").partition(":")[2], {"x": "of a"})
    table.now += 1_000_000
    table.b.edit("t", table.only("b").partition(":")[2], {"x": "of b"})
    await table.settle()


def x_of(table: Kept, system: str) -> Any:
    [entity] = table.systems[system].all("t").values()
    return entity.record["x"]


async def test_a_refused_field_is_listed_retried_and_applied_once_the_cause_is_gone(
    tmp_path: Path, types: Typist
) -> None:
    async with kept(tmp_path) as table:
        await refused(table)
        ref = table.only("b")
    [parked] = await types.json("parked", "list")
    assert (parked["key"], parked["message"], parked["settled"]) == (ref, "x: not applied: too long", "")
    assert await types.json("parked", "list", "--count") == [
        {"class": "not applied", "reason": "x: not applied: too long", "count": 1}
    ]
    told = await types.json("parked", "show", parked["id"])
    assert told["says"][0].endswith("refused: 400")
    assert (await types.json("parked", "retry", parked["id"], "--dry-run", code=10))["ids"] == [parked["id"]]
    await types("parked", "retry", "--reason", "too long")
    assert await types.json("parked", "list") == []
    assert [each["settled"] for each in await types.json("parked", "list", "--all")] == ["retried"]
    async with kept(tmp_path, systems=table.systems, now=table.now) as later:
        await later.settle()
        assert x_of(later, "b") == "after"
    assert "nothing is set aside" in await types("parked", "list")


async def test_what_could_not_be_worked_in_goes_to_its_topic_with_its_own_bytes(tmp_path: Path, types: Typist) -> None:
    async with kept(tmp_path) as table:
        await table.log.publish([Outgoing(MAIL, b"a.t:1", b"{", (("trace", b"7"),))])
        await table.run_join()
    [parked] = await types.json("parked", "list")
    await types("parked", "retry", parked["id"])
    async with kept(tmp_path, systems=table.systems, now=table.now) as later:
        mail = later.kept(MAIL)
        assert [(each.key, each.value, each.headers) for each in mail] == [(b"a.t:1", b"{", (("trace", b"7"),))] * 2
        await later.run_join()  # the cause is not gone: it is set aside once more
        assert sum(each.value == b"{" for each in later.kept(PARKED)) == 2
    assert len(await types.json("parked", "list")) == 1


async def test_what_is_dropped_stays_for_those_who_want_to_see_it(tmp_path: Path, types: Typist) -> None:
    async with kept(tmp_path) as table:
        await refused(table)
    [parked] = await types.json("parked", "list")
    await types("parked", "drop", parked["id"], "--dry-run", code=10)
    await types("parked", "drop", parked["id"])
    assert await types("parked", "export") == ""
    line = json.loads(await types("parked", "export", "--all"))
    assert (line["id"], line["settled"]) == (parked["id"], "dropped")


async def test_many_at_once_need_to_be_said_twice(
    tmp_path: Path, types: Typist, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        await table.log.publish([Outgoing(MAIL, f"a.t:{number}".encode(), b"{") for number in range(101)])
        await table.run_join()
    assert await asyncio.to_thread(execute, ["parked", "retry", "--ref", "a.t"]) == 4
    assert "at most 100 at once would be right, or --yes" in capsys.readouterr().err
    assert len(await types.json("parked", "list", "--limit", "500")) == 101
    await types("parked", "drop", "--ref", "a.t", "--yes")
    assert await types.json("parked", "list") == []


async def test_a_value_that_lost_comes_back_on_both_sides(tmp_path: Path, types: Typist) -> None:
    async with kept(tmp_path) as table:
        await conflicting(table)
        assert (x_of(table, "a"), x_of(table, "b")) == ("of b", "of b")
    [conflict] = await types.json("conflicts", "list")
    assert (conflict["lost"]["value"], conflict["won"]["value"]) == ("of a", "of b")
    assert (await types.json("conflicts", "show", conflict["id"]))["now"] == "of b"
    await types("conflicts", "resolve", conflict["id"], "--keep", "lost")
    assert await types.json("conflicts", "list") == []
    async with kept(tmp_path, systems=table.systems, now=table.now) as later:
        await later.settle()
        assert (x_of(later, "a"), x_of(later, "b")) == ("of a", "of a")
    await types("conflicts", "resolve", conflict["id"], "--keep", "lost", code=1)


async def test_what_won_may_stay(tmp_path: Path, types: Typist) -> None:
    async with kept(tmp_path) as table:
        await conflicting(table)
    [conflict] = await types.json("conflicts", "list")
    await types("conflicts", "resolve", conflict["id"], "--keep", "won")
    assert [each["settled"] for each in await types.json("conflicts", "list", "--all")] == ["kept"]
    async with kept(tmp_path, systems=table.systems, now=table.now) as later:
        await later.settle()
        assert (x_of(later, "a"), x_of(later, "b")) == ("of b", "of b")


async def test_an_edit_since_has_the_last_word(
    tmp_path: Path, types: Typist, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        await conflicting(table)
        table.now += 1_000_000
        table.b.edit("t", table.only("b").partition(":")[2], {"x": "newer"})
        await table.settle()
    [conflict] = await types.json("conflicts", "list")
    assert await asyncio.to_thread(execute, ["conflicts", "resolve", conflict["id"], "--keep", "lost"]) == 1
    assert "was edited since" in capsys.readouterr().err
    assert len(await types.json("conflicts", "list")) == 1


@pytest.mark.parametrize(
    ("stage", "reason", "topic", "value"),
    [
        ("join", "the stage failed on this record alone", "links.mail", b"{"),
        ("push.b", "the stage failed on this record alone", "upserts.b.t", b"{"),
        ("VALUE_CONVERTER", "undecodable", "changes.a.t", b"{"),
        ("TRANSFORMATION", "not applied", "links.mail", encode(Wake(retry=True))),
        ("TASK_POLL", "bad answer", "polls", encode(Order(ref="a.t:1"))),
    ],
)
def test_what_is_tried_again_depends_on_what_went_wrong(stage: str, reason: str, topic: str, value: bytes) -> None:
    origin = topic if topic != "polls" else "changes.a.t"
    key, bytes_, headers = parked(Record(origin, 1, 7, b"a.t:1", b"{", 0), stage=stage, error="x", reason=reason)
    [order] = retrying(Aside("1/0", Record(PARKED, 1, 0, key, bytes_, 0, headers), ""))
    assert (order.topic, order.value) == (topic, value)
    assert order.key == (b"a.t" if topic == "polls" else b"a.t:1")
