"""The log is set back, or gone: the worker notices by itself, and makes it good."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stream.engine.embedded.schema import place_of
from tests.worker.office import Office
from tests.worker.rig import linked, pairs, rename, rig, settled, status, until

WORKSPACE = "1200000000000001"


def file_of(office: Office) -> Path:
    return place_of(office.topology.broker).path


def back_up(office: Office) -> Path:
    """Back the log up while its worker runs, as SQLite does."""
    kept = office.folder / "backup.db"
    with closing(sqlite3.connect(file_of(office))) as source, closing(sqlite3.connect(kept)) as target:
        source.backup(target)
    return kept


def remove(office: Office) -> None:
    """Remove the log; what is beside it goes too, but for its witness."""
    office.let_go()
    for tail in ("", "-wal", "-shm"):
        file_of(office).with_name(file_of(office).name + tail).unlink(missing_ok=True)


def restore(office: Office, kept: Path) -> None:
    remove(office)
    kept.rename(file_of(office))


def said(office: Office) -> list[str]:
    """What the worker said since it was started last, with or without us."""
    lines = [json.loads(line)["event"] for line in (office.folder / "worker.log").read_text("utf-8").splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith("started: ")]
    return lines[starts[-1] :]


async def add(office: Office, name: str) -> None:
    fields = {"name": name, "workspace": WORKSPACE, "projects": [office.ids("asana.projects")[0]]}
    await office.asana.act("POST", "/tasks", {"data": fields})


async def go_on(office: Office) -> dict[str, str]:
    """People work on: they rename on both sides, and add; what each record was called last."""
    typed = {}
    for again in range(3):  # what both sides type within one read before a write nobody promises (guarantees.md)
        for number, (left, right) in enumerate(pairs(office)[:8]):
            if again <= number % 3:
                await rename(office, (left, right)[(number + again) % 2], f"After {number}.{again}")
                typed[left] = typed[right] = f"After {number}.{again}"
        await settled(office)
    for number in range(4):
        await add(office, f"Added {number}")
    await linked(office)
    await settled(office)
    unread = [*pairs(office)[4:6], *pairs(office)[-2:]]  # which nobody has read when the worker is killed
    for number, (left, right) in enumerate(unread):
        await rename(office, (left, right)[number % 2], f"Just before {number}")
        typed[left] = typed[right] = f"Just before {number}"
    return typed


async def judge(office: Office, typed: dict[str, str]) -> None:
    """Wait until it says that it recovered; then everything is in step, nothing is double and nothing lost."""
    await until(lambda: any("state was lost" in line for line in said(office)), "it says that state was lost")
    await until(lambda: any("recovered" in line for line in said(office)), "it says that it recovered", seconds=60)
    await linked(office)
    await settled(office)
    assert office.doubled() == 0
    for ref, name in typed.items():
        field = "title" if ref.startswith("custompms") else "name"
        twins = {one.partition(":")[2] for pair in pairs(office) for one in pair if ref in pair}
        told = [truth for box in (office.asana, office.pms) for truth in box.truth if truth.id in twins]
        assert office.record(ref)[field] == name, "\n".join(map(str, told))
    found = await status(office)
    assert found["worker"]["recovering"] == ""
    assert found["loss"]["recovered"] is not None
    await add(office, "Added after all")
    await linked(office)
    await settled(office)


@pytest.mark.timeout(240)
async def test_a_restored_backup_is_noticed_and_made_good(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        await settled(office)
        kept = back_up(office)
        typed = await go_on(office)
        await office.kill()
        for number, (left, right) in enumerate(pairs(office)[6:8]):
            await rename(office, right, f"While it was down {number}")
            typed[left] = typed[right] = f"While it was down {number}"
        restore(office, kept)
        await office.start()
        await until(lambda: any("state was lost" in line for line in said(office)), "it says that state was lost")
        assert any("transactions are missing" in line for line in said(office))
        await judge(office, typed)
        assert await office.stop() == 0
        await office.start()
        await until(lambda: said(office)[-1] != "stopped", "it runs again")
        await asyncio.sleep(2.0)
        await settled(office)
        assert not any("lost" in line for line in said(office)), "once is enough"


@pytest.mark.timeout(240)
async def test_a_log_that_is_gone_is_noticed_and_made_good(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        await settled(office)
        typed = await go_on(office)
        await office.kill()
        remove(office)
        await office.start()
        await until(lambda: any("the log is gone" in line for line in said(office)), "it says that state was lost")
        await judge(office, typed)


@pytest.mark.timeout(240)
async def test_creates_under_way_at_the_backup_are_made_once(tmp_path: Path) -> None:
    """The backup holds commands whose answers came after it was taken: a log at rest would have lost nothing."""
    async with rig(tmp_path) as office:
        office.pms.fault("delay-after-apply", seconds=2.0, method="POST")
        await office.start()
        await until(lambda: office.writes() > 3, "it is at work")
        kept = back_up(office)
        office.pms.heal()
        await linked(office)
        await office.kill()
        restore(office, kept)
        await office.start()
        await judge(office, {})


async def resync(office: Office, *arguments: str) -> tuple[int | None, str]:
    """Run ``linkstream resync`` as a process of its own."""
    command = (sys.executable, "-m", "stream.cli.main", "resync", *arguments, "-c", str(office.config))
    process = await asyncio.create_subprocess_exec(
        *command, env=office.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


@pytest.mark.timeout(120)
async def test_a_resync_is_asked_of_the_worker_or_waits_for_the_next_one(tmp_path: Path) -> None:
    async def begun() -> Any:
        return (await status(office))["resync"]

    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        await settled(office)
        writes, before = office.writes(), (await begun())["begun"]
        await asyncio.sleep(1.1)
        assert await resync(office) == (0, f"asked for: {', '.join(office.topology.types)}\n")
        for _ in range(100):
            now = await begun()
            if now["begun"] > before and not now["left"]:
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError(f"no resync was made: {now}")
        await settled(office)
        assert await office.stop() == 0
        code, out = await resync(office, "asana.tasks", "--full")
        assert (code, out) == (0, "asked for: asana.tasks, read from the beginning\n")
        assert (await resync(office, "asana.nothing"))[0] == 2
        await office.start()
        await until(lambda: any("asana.tasks: all read anew" in line for line in said(office)), "it is read anew")
        await settled(office)
        assert office.writes() == writes
