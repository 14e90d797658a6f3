"""``linkstream replay --rebuild``: rows and links come again from the change topics and the marks alone."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stream.cli.main import execute
from stream.engine.backends import open_reader
from stream.engine.embedded.log import EmbeddedLog
from stream.engine.log import Closed, Staged
from stream.operate.plan import kept as rows_in
from stream.operate.rebuild import Rebuilt, links_of
from stream.pauses import PAUSED
from stream.wanted import topics_of
from stream.worker import clock
from tests.cli.kept import PARTITIONS, Kept, kept
from tests.cli.test_replay import again, history, typed, woken
from tests.cli.test_replay import place as place  # noqa: PLC0414 - a fixture


def lost(table: Kept, *agents: str) -> None:
    """Forget rows, as a changelog that was deleted does."""
    with sqlite3.connect(table.folder / "log.db") as connection:
        for agent in agents:
            lanes = "lane in (select id from lanes where agent = ?)"
            connection.execute(f"delete from rows where {lanes}", (agent,))
            connection.execute(f"delete from offsets where {lanes}", (agent,))


def links(table: Kept) -> set[Any]:
    with open_reader(table.topology.broker) as reader:
        return links_of(rows_in(reader))


async def test_a_table_that_is_lost_is_made_anew_and_nothing_is_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        await history(table)
    stood = links(table)
    lost(table, "join", "poll")
    found = await typed(capsys, "replay", "--rebuild", "--yes")
    assert found["records"] == {"old": 0, "new": 8, "carried": 0}
    assert found["writes"] == 0
    assert links(table) == stood
    with open_reader(table.topology.broker) as reader:
        assert {lag.lag for lag in reader.lags() if lag.agent == "join"} == {0}, "what is in the rows comes not again"
    made = len([each for system in table.systems.values() for each in system.truth if each.op == "create"])
    assert await again(table) == 0
    assert links(table) == stood
    assert made == len([each for system in table.systems.values() for each in system.truth if each.op == "create"])
    table.now += 1_000_000
    table.a.edit("t", "1", {"x": "typed afterwards"})
    assert await again(table) == 1


async def test_the_old_table_is_compared_and_one_that_is_right_is_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        await history(table)
    before = rows_of(table)
    found = await typed(capsys, "replay", "--rebuild", "--dry-run")
    assert (found["missing"], found["values"], found["writes"]) == ([], [], 0)
    assert found["flows"] == {"f": {"old": 4, "new": 4, "missing": 0, "other": 0}}
    assert rows_of(table) == before, "a dry run exchanges nothing"
    assert "--yes would be right" in await typed(capsys, "replay", "--rebuild", code=4)
    assert rows_of(table) == before
    assert "none would be right" in await typed(capsys, "replay", "a.t", "--rebuild", code=2)
    await typed(capsys, "replay", "--rebuild", "--yes")
    assert await again(table) == 0


def rows_of(table: Kept) -> Mapping[bytes, bytes]:
    with open_reader(table.topology.broker) as reader:
        return dict(reader.rows("join"))


async def test_links_that_only_the_old_rows_show_are_kept_or_nothing_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two records match, and a person has said which."""
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "1"})
        table.b.add("t", {"name": "one", "x": "1"})
        table.b.add("t", {"name": "one", "x": "1"})
        await table.settle()
    await typed(capsys, "links", "set", "a.t:1", "b.t:1")
    assert await again(table) == 0
    assert links(table) == {("f", "a.t:1", "b.t:1")}
    said = await typed(capsys, "replay", "--rebuild", "--yes", code=4)
    assert "1 links that stand in the old rows alone (a.t:1 - b.t:1)" in said
    found = await typed(capsys, "replay", "--rebuild", "--dry-run", code=10)
    assert found["missing"] == [{"flow": "f", "left": "a.t:1", "right": "b.t:1"}]
    found = await typed(capsys, "replay", "--rebuild", "--yes", "--old-links", "keep")
    assert found["flows"]["f"]["new"] == 1
    assert links(table) == {("f", "a.t:1", "b.t:1")}
    assert await again(table) == 0
    await typed(capsys, "replay", "--rebuild", "--yes", "--old-links", "drop")
    assert links(table) == set()
    await typed(capsys, "links", "set", "a.t:1", "b.t:1")
    assert await again(table) == 0, "in doubt nothing is created"
    assert links(table) == {("f", "a.t:1", "b.t:1")}, "what a person says afterwards is worked in"


def created(table: Kept) -> int:
    return sum(each.op == "create" for system in table.systems.values() for each in system.truth)


@pytest.mark.parametrize("seed", range(8))
async def test_random_histories_come_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int) -> None:
    """Edited on both sides, lost, made anew: the same links, nothing created, what was typed last stands everywhere."""
    chance = random.Random(seed)
    async with kept(tmp_path) as table:
        for side in ("a", "b"):
            for name in chance.sample("pqrstuvw", chance.randint(2, 6)):
                table.systems[side].add("t", {"name": name, "x": chance.choice(["", "1", "2"])})
        await table.settle()
        for _ in range(chance.randint(2, 8)):
            side = chance.choice("ab")
            table.now += 1_000_000
            id = chance.choice(sorted(table.systems[side].all("t")))
            table.systems[side].edit("t", id, {chance.choice(["x", "name"]): f"{side} {chance.random()}"})
            if chance.random() < 0.7:
                await table.settle()
        await table.settle()
        stood, made = links(table), created(table)
        late = chance.choice(sorted(table.a.all("t")))
        table.now += 1_000_000
        table.a.edit("t", late, {"x": "read, and not written yet"})
        while await table.poll("a.t"):
            pass
    lost(table, *chance.choice([("join",), ("join", "poll"), ("poll", "join", "push.a", "push.b")]))
    found = await typed(capsys, "replay", "--rebuild", "--yes")
    assert (links(table), found["writes"]) == (stood, 1)
    assert await again(table) == 1
    assert created(table) == made
    assert links(table) == stood
    for _, left, right in stood:
        one, other = table.a.all("t")[left[4:]].record, table.b.all("t")[right[4:]].record
        assert (one["name"], one.get("x") or "") == (other["name"], other.get("x") or "")
    assert table.a.all("t")[late].record["x"] == "read, and not written yet"


async def test_a_record_that_the_topics_hold_no_more_keeps_its_row_and_its_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        await history(table)
    stood = links(table)
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("delete from records where key = ? or key = ?", (b"a.t:1", b"b.t:3"))
    found = await typed(capsys, "replay", "--rebuild", "--yes")
    assert found["records"]["carried"] == 2
    assert links(table) == stood
    assert await again(table) == 0


@pytest.mark.parametrize("lost_all", [True, False])
async def test_a_twin_that_the_topics_hold_no_more_is_found_when_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, lost_all: bool
) -> None:
    """Nothing is known of it but that it matches; before everything is read, nobody is sure that it is not there."""
    async with kept(tmp_path) as table:
        table.b.add("t", {"name": "one", "x": "1"})
        table.a.add("t", {"name": "one", "x": "1"})
        await table.settle()
    stood = links(table)
    if lost_all:
        lost(table, "join", "poll")
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("delete from records where key = ?", (b"b.t:1",))
        connection.execute("delete from rows where key = ? or key like 'index:%'", (b"b.t:1",))
    assert (await typed(capsys, "replay", "--rebuild", "--yes", "--old-links", "drop"))["flows"]["f"]["new"] == 0
    async with kept(tmp_path, systems=table.systems, now=clock() + 3_600_000_000) as later:
        await woken(later)
        while await later.poll("a.t"):
            pass
        await woken(later)
        await later.run_push("b")
        assert created(table) == 2, "b was not read yet"
    assert await again(table) == 0
    assert (links(table), created(table)) == (stood, 2)


async def test_a_switch_that_was_interrupted_creates_nothing_and_is_finished_by_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept(tmp_path) as table:
        await history(table)
        async with table.lanes["poll"][0].turn() as unit:
            unit.put(PAUSED, b"\x80")
    stood, made = links(table), created(table)
    monkeypatch.setattr("stream.operate.rebuild.SOME", 7)
    whole = await switched(table, 1000)
    assert whole >= 8
    for most in range(whole):
        assert await switched(table, most) == most
        assert await again(table) == 0, f"after {most} commits"
        assert (links(table), created(table)) == (stood, made), f"after {most} commits"
    with open_reader(table.topology.broker) as reader:
        assert reader.row("poll", PAUSED, 0) == b"\x80", "what was paused stays so"


class Breaks(EmbeddedLog):
    """A log that takes so many commits and no more."""

    left = 0
    done = 0

    async def commit(self, unit: Staged) -> None:
        if self.done == self.left:
            raise Closed("broken on purpose")
        self.done += 1
        await super().commit(unit)


async def switched(table: Kept, most: int) -> int:
    """Rebuild and exchange until so many commits were made; how many there were."""
    with open_reader(table.topology.broker) as reader:
        rebuilt = Rebuilt(table.topology, table.clock, rows_in(reader))
        rebuilt.make(reader, lambda _: None)
    log = Breaks(table.topology.broker)
    log.left = most
    try:
        await log.open()
        await log.declare(topics_of(table.topology), PARTITIONS)
        await rebuilt.switch(log, lambda _: None)
    except Closed:
        pass
    finally:
        await log.close()
    return log.done


async def test_a_log_that_a_worker_has_is_compared_and_not_exchanged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        await history(table)
        assert "stop all workers" in await typed(capsys, "replay", "--rebuild", "--yes", code=4)
        await typed(capsys, "replay", "--rebuild", "--dry-run")
    assert await asyncio.to_thread(execute, ["replay", "--rebuild", "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("readings in the topics: ")
    assert said[1] == "records: 8 old, 8 new, 0 from the old rows alone"
    assert said[-1] == "records that would be written then: 0"
