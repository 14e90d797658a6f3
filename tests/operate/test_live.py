"""What lookers are told once a second, and what they are not made to hold."""

from __future__ import annotations

import asyncio
import io
import os
import threading
import tracemalloc
from pathlib import Path

import pytest

from stream.cli.line import keep
from stream.engine.embedded.log import EmbeddedLog
from stream.engine.log import Outgoing, TopicSettings
from stream.operate.web import live
from stream.operate.web.live import Live
from stream.operate.web.looking import MOST, Look
from stream.operate.web.numbers import Overview
from stream.topics import PARKED
from tests.engine.contract import until
from tests.operate.test_metrics import topology, worker


class Failing(Overview):
    """Numbers of which the first cannot be made."""

    asked = 0

    def sample(self) -> None:
        self.asked += 1
        if self.asked == 1:
            raise ZeroDivisionError
        super().sample()


async def test_numbers_that_cannot_be_made_once_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "EVERY", 0.01)
    overview = Failing(worker(tmp_path))
    stream = Live(overview)
    stream.start()
    await until(lambda: overview.points)
    assert "ZeroDivisionError" in caplog.text
    await stream.close()


async def test_of_many_records_set_aside_only_the_newest_are_held(tmp_path: Path) -> None:
    log, size = EmbeddedLog(f"sqlite:///{tmp_path}/log.db?synchronous=normal"), 10_000
    await log.open()
    await log.declare({PARKED: TopicSettings()}, 1)
    for at in range(0, 3000, 500):
        some = range(at, at + 500)
        await log.publish([Outgoing(PARKED, b"a:1", bytes(size), timestamp=number) for number in some])
    await log.close()
    look = Look(topology(tmp_path))
    tracemalloc.start()
    try:
        found = await look.told(look.parked)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [each["id"] for each in found.lines] == [f"0/{2999 - number}" for number in range(MOST)]
    assert found.more == f"these are the newest {MOST} of 3000"
    assert peak < 1500 * size  # two pages of the log, and the lines
    await look.close()


async def test_many_who_look_at_long_pages_keep_no_name_from_being_looked_up(tmp_path: Path) -> None:
    look, over = Look(topology(tmp_path)), threading.Event()
    looking = [asyncio.ensure_future(look.told(over.wait)) for _ in range(50)]
    try:
        async with asyncio.timeout(5):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    finally:
        over.set()
    assert all(await asyncio.gather(*looking))
    await look.close()


async def test_a_terminal_that_went_away_ends_its_line_and_not_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, its = os.openpty()
    os.close(ours)
    with io.TextIOWrapper(io.FileIO(its, "w"), write_through=True) as gone:
        monkeypatch.setattr("sys.stderr", gone)
        async with asyncio.timeout(5):
            await keep(worker(tmp_path))
