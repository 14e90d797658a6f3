"""The tasks beside the stream: none of them ends before it is told to, whatever happens in it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from connectors.endpoint import Cursor, Page
from connectors.memory import MemoryEndpoint
from stream import wiring
from stream.engine.app import create_app
from stream.engine.embedded.lease import Lease
from stream.engine.lanes import Lane
from stream.engine.memory import MemoryLog, lanes_of
from stream.topics import MAIL, POLLS, RESYNC
from stream.topology import read_topology
from stream.wanted import topics_of
from stream.worker import Worker
from tests.engine.contract import until

ROOT = Path(__file__).parents[2]


class Astray(MemoryEndpoint):
    """An endpoint whose first page waits for something that is cancelled: a connection that many wait for, say."""

    asked = 0

    async def page(self, type: str, cursor: Cursor | None) -> Page:
        self.asked += 1
        if self.asked == 1:
            stray: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
            stray.cancel()
            return await stray
        return await super().page(type, cursor)


async def made(folder: Path, agent: str, topic: str) -> tuple[Worker, Lane]:
    environment = {"ASANA_TOKEN": "x", "PMS_URL": "http://127.0.0.1:1", "PMS_TOKEN": "x"}
    read = read_topology(
        ROOT / "tests" / "five.yaml", {**environment, "LINKSTREAM_BROKER": f"sqlite:///{folder}/log.db"}
    )
    traits = {
        system: {name.partition(".")[2]: each for name, each in read.traits.items() if name.startswith(f"{system}.")}
        for system in read.systems
    }
    worker = wiring.build(read, {system: Astray(each) for system, each in traits.items()})
    worker.app.broker = log = MemoryLog()
    await log.declare(topics_of(read), read.partitions)
    return worker, (await lanes_of(log, agent, (topic,), (0,)))[0]


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


async def test_a_sweep_that_fails_is_tried_again_and_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wiring, "_REST", 0.01)
    worker, lane = await made(tmp_path, "join", MAIL)
    async with lane.turn() as unit:
        unit.put(RESYNC, b"of another version")
    sweeping = asyncio.ensure_future(wiring._sweep_on(worker, lane))
    await until(lambda: "the sweep failed" in caplog.text)
    async with lane.turn() as unit:
        unit.put(RESYNC, None)
    await until(lambda: lane.row(RESYNC))
    await ended(sweeping)


async def test_a_reading_that_is_cancelled_from_inside_is_tried_again(tmp_path: Path) -> None:
    worker, lane = await made(tmp_path, "poll", POLLS)
    name = "asana.tasks"
    reading = asyncio.ensure_future(wiring._read_on(worker, lane, name))
    await until(lambda: worker.tried[name])
    assert worker.errors[name].startswith("CancelledError")
    worker.wishes[name].set()
    await until(lambda: name in worker.read_at)
    assert name not in worker.errors
    await ended(reading)


async def test_the_log_is_closed_whatever_did_not_end_well_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def bad() -> None:
        raise OSError("the collector is away")

    app = create_app("linkstream", f"sqlite:///{tmp_path}/log.db", topics={})
    await app.broker.open()
    app.at_end.append(bad)
    await app.close_log()
    assert "the collector is away" in caplog.text
    lease = Lease(tmp_path / "log.db", wait=0.0)
    lease.acquire()
    lease.release()
