"""``linkstream pause`` and ``resume``: nothing is read or written meanwhile, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stream.cli.explain import explained
from stream.cli.main import execute
from stream.codec import row_of
from stream.core.row import Row
from stream.engine.backends import open_reader
from stream.pauses import PAUSED, Pauses, paused
from stream.topics import POLLS
from stream.wiring import build
from tests.cli.kept import Kept, kept
from tests.worker.rig import TASKS, linked, pairs, rename, rig, settled, status, until


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LINKSTREAM_CONFIG", raising=False)
    monkeypatch.setenv("LINKSTREAM_BROKER", f"sqlite:///{tmp_path}/log.db")


async def typed(*words: str, code: int = 0) -> None:
    assert await asyncio.to_thread(execute, words) == code


async def obeyed(table: Kept) -> Pauses:
    """Bring the orders to the lanes, as the worker's agent does; what is paused then."""
    pauses = Pauses({"a.t": "a", "b.t": "b"}, {"f": ("a.t", "b.t")})
    lanes = {}
    for lane in table.lanes["poll"]:
        async with lane.turn() as unit:
            lanes[unit.partition] = paused(unit.get(PAUSED))
    pauses.learn(lanes)
    for lane in table.lanes["poll"]:
        while lane.ready():
            taken = lane.take(10)
            for record in taken:
                if record.key == PAUSED:
                    pauses.obey(taken, record)
            await lane.finish(taken)
            await lane.settled()
    return pauses


@pytest.mark.usefixtures("place")
async def test_a_pause_outlives_restarts_and_a_write_waits_until_it_ends(tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "before"})
        await table.settle()
    await typed("pause", "b", "--why", "maintenance")
    async with kept(tmp_path, systems=table.systems, now=table.now) as later:
        later.paused = (await obeyed(later)).reason
        later.a.edit("t", later.only("a").partition(":")[2], {"x": "after"})
        calls = len(later.b.calls)
        await later.settle_without("b.t")
        assert [entity.record["x"] for entity in later.b.all("t").values()] == ["before"]
        assert len(later.b.calls) == calls
    async with kept(tmp_path, systems=table.systems, now=later.now) as again:
        assert (await obeyed(again)).reason("b.t") == "b is paused: maintenance"  # it is in the log
    await typed("resume", "b")
    async with kept(tmp_path, systems=table.systems, now=again.now) as after:
        pauses = await obeyed(after)
        assert pauses.reason("b.t") == ""
        await after.settle()  # long before the quarter of an hour that the write was to wait
        assert [entity.record["x"] for entity in after.b.all("t").values()] == ["after"]


@pytest.mark.usefixtures("place")
async def test_a_flow_that_is_paused_keeps_what_is_new_in_its_rows(tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "before"})
        await table.settle()
    await typed("pause", "f")
    async with kept(tmp_path, systems=table.systems, now=table.now) as later:
        later.join._paused = (await obeyed(later)).flows
        assert later.join._paused() == {"f"}
        later.a.edit("t", later.only("a").partition(":")[2], {"x": "after"})
        later.a.add("t", {"name": "two", "x": "new"})
        await later.settle()
        assert [entity.record["x"] for entity in later.b.all("t").values()] == ["before"]
    await typed("resume", "f")
    async with kept(tmp_path, systems=table.systems, now=later.now) as after:
        pauses = await obeyed(after)
        assert pauses.flows() == frozenset()
        await after.settle()  # long before any of it would have looked again
        assert {entity.record["x"] for entity in after.b.all("t").values()} == {"after", "new"}
    await typed("resume", "f", code=1)
    await typed("resume", "flow:f", code=1)
    await typed("pause", "flow:g", code=2)


@pytest.mark.usefixtures("place")
async def test_what_is_not_there_or_not_paused_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path) as table:
        pass
    await typed("pause", "c", code=2)
    assert "one of a, b, a.t, b.t, f would be right" in " ".join(
        re.sub("[│╭╮╰╯─]", "", capsys.readouterr().err).split()
    )
    await typed("resume", "b", code=1)
    assert "found it not paused" in capsys.readouterr().err
    with open_reader(table.topology.broker) as reader:
        assert reader.count(POLLS) == 0


@pytest.mark.usefixtures("place")
async def test_a_lane_that_is_somebody_elses_now_has_no_say(tmp_path: Path) -> None:
    async with kept(tmp_path):
        pass
    await typed("pause", "b")
    async with kept(tmp_path) as table:
        pauses = Pauses({"b.t": "b"}, {})
        first, second = table.lanes["poll"]
        async with first.turn() as unit:
            # It has not heard of the pause, and goes to another worker.
            pauses.learn({unit.partition: paused(unit.get(PAUSED))})
        taken = second.take(10)
        pauses.learn({taken.partition: paused(taken.get(PAUSED))})
        for record in taken:
            pauses.obey(taken, record)
        await second.finish(taken)
        assert pauses.reason("b.t") == "b is paused"


async def test_a_running_worker_stops_and_goes_on(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        await settled(office)
        order = ["-c", str(office.config)]

        async def command(*words: str) -> None:
            process = await asyncio.create_subprocess_exec(
                *office_python(), *words, *order, env=office.environment, stdout=asyncio.subprocess.DEVNULL
            )
            assert await process.wait() == 0

        await command("poll", "--once")
        await command("pause", "custompms")
        found: dict[str, Any] = {}
        for _ in range(100):
            found = await status(office)
            if "custompms" in found["worker"]["paused"]:
                break
            await asyncio.sleep(0.05)
        assert set(found["paused"]) == {"custompms"}
        writes = office.writes()
        left, right = pairs(office)[0]
        await rename(office, left, "typed while it is paused")
        await until(lambda: waits(office, right), "the write waits")
        assert office.writes() == writes
        await command("resume", "custompms")
        await until(lambda: office.record(right)["title"] == "typed while it is paused", "the write went", seconds=20)
        await settled(office)
        await command("pause", TASKS)
        await rename(office, left, "typed while the flow is paused")
        project = next(link.peer for link in office.links() if link.ref == left and link.flow != TASKS)
        await until(lambda: office.record(project)["name"] == "typed while the flow is paused", "another flow goes on")
        assert office.record(right)["title"] == "typed while it is paused"
        told = explained(office.topology, left, 20)
        assert "the flow is paused" in [each["why"] for each in told["waits"]]
        await command("resume", TASKS)
        await until(lambda: office.record(right)["title"] == "typed while the flow is paused", "it went", seconds=20)


def waits(office: Any, ref: str) -> bool:
    with open_reader(office.topology.broker) as reader:
        row = row_of(reader.row("join", ref.encode()))
    return isinstance(row, Row) and row.writing is not None and row.writing.attempt > 0


def office_python() -> tuple[str, ...]:
    return (sys.executable, "-m", "stream.cli.main")


class Given:
    """What an agent's body gets, and whether it has asked for units."""

    lanes = ()
    asked = False

    async def units(self, _limit: int = 0) -> AsyncIterator[Any]:
        self.asked = True
        return
        yield


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", ["join", "push.b"])
async def test_nothing_is_told_or_written_before_a_worker_knows_what_is_paused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had waited in the log was, in the moment in which the lanes that keep the pauses were still asked."""
    monkeypatch.setenv("A_TOKEN", "a")
    monkeypatch.setenv("B_TOKEN", "b")
    async with kept(tmp_path) as table:
        worker, given = build(table.topology, table.systems), Given()
        body = asyncio.ensure_future(worker.app.agents[name].fun(given))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not given.asked
        worker.pauses.learn({})
        await body
        assert given.asked
