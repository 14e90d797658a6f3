"""What can be told and done again from what was read: plans and replays over real workers and sandboxes.

Counted in the sandboxes' own record of what happened.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from stream.engine.backends import open_reader
from stream.engine.kafka.address import address_of
from tests.worker.office import Office
from tests.worker.rig import linked, pairs, rename, rig, settled, until
from tests.worker.test_restore import add, said

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


async def typed(office: Office, *words: str, code: int = 0) -> str:
    """What an operator types, as a process of its own; what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream.cli.main", *words, "-c", str(office.config)),
        env=office.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == code, f"{' '.join(words)}: {process.returncode}\n{out.decode()}{err.decode()}"
    return out.decode() if code in {0, 10} else err.decode()


async def asked(office: Office, *words: str, code: int = 0) -> Any:
    return json.loads(await typed(office, *words, "--format", "json", code=code))


def created(office: Office) -> int:
    return sum(
        each.op == "create" and each.author == "linkstream" for box in (office.asana, office.pms) for each in box.truth
    )


async def test_a_plan_foretells_the_first_run_and_then_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        found = await asked(office, "plan", "--limit", "1000", code=10)
        assert office.writes() == 0
        assert not (tmp_path / "linkstream.db").exists(), "it makes no log"
        await office.start()
        await linked(office)
        await settled(office)
        assert created(office) == sum(flow["create"] for flow in found["flows"].values()) > 0
        assert sum(flow["link"] + flow["create"] for flow in found["flows"].values()) == office.expected()
        assert "nothing would be done" in await typed(office, "plan")
        writes = office.writes()
        assert await office.stop() == 0
        left = pairs(office)[0][0]
        twins = {link.peer for link in office.links() if link.ref == left}
        await rename(office, left, "Typed while nobody looked")
        found = await asked(office, "plan", code=10)
        told = {each["ref"]: [field["to"] for field in each["fields"].values()] for each in found["diff"]}
        assert told == {twin: ["Typed while nobody looked"] for twin in twins}
        assert office.writes() == writes


async def test_everything_told_twice_to_a_running_worker_writes_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        for number, (left, right) in enumerate(pairs(office)[:6]):
            await rename(office, left if number % 2 else right, f"Edit {number}")
        await settled(office)
        truth = [len(box.truth) for box in (office.asana, office.pms)]
        told = [await asked(office, "replay", "--all", "--rate", "0") for _ in range(2)]
        assert told[0]["records"] == told[1]["records"] > office.expected()
        await worked_off(office)
        await settled(office)
        assert [len(box.truth) for box in (office.asana, office.pms)] == truth
        assert office.doubled() == 0


async def worked_off(office: Office) -> None:
    """Wait until nothing waits in the log."""
    with open_reader(office.topology.broker) as reader:
        await until(lambda: not any(lag.lag for lag in reader.lags()), "all is worked off")


def forget_rows(office: Office) -> None:
    """The table is gone, and how far everybody was; the topics are not."""
    office.let_go()
    with sqlite3.connect(office.folder / "linkstream.db") as connection:
        connection.execute("delete from rows")
        connection.execute("update offsets set next = 0")


async def delete_changelogs(broker: str, server: str) -> None:
    """The same on a cluster: somebody has deleted the topics that rows are in."""
    address = address_of(broker)
    admin = AIOKafkaAdminClient(bootstrap_servers=server)
    await admin.start()
    names = [name for name in await admin.list_topics() if name.startswith(address.group) and name.endswith("log")]
    assert f"{address.group}-join-changelog" in names
    await admin.delete_topics(names)
    await admin.close()


async def made_anew(office: Office) -> None:
    """The worker goes on with a table that was rebuilt: nothing is created, everything agrees, and new things work."""
    truth, made = len(office.asana.truth) + len(office.pms.truth), created(office)
    await office.start()
    await until(
        lambda: (
            sum("complete reading" in line or "all read anew" in line for line in said(office))
            == len(office.topology.types)
        ),
        "everything is read anew",
    )
    await settled(office)
    assert created(office) == made
    assert len(office.asana.truth) + len(office.pms.truth) == truth, "nothing is written at all"
    left, right = pairs(office)[3]
    await rename(office, right, "After the disaster")
    await until(lambda: office.record(left).get("name") == "After the disaster", "an edit arrives")
    await add(office, "Added after all")
    await linked(office)
    await settled(office)
    assert created(office) > made
    assert office.doubled() == 0


async def history(office: Office) -> None:
    """Everything is linked, and people have edited on both sides."""
    await linked(office)
    for number, (left, right) in enumerate(pairs(office)[:6]):
        await rename(office, left if number % 2 else right, f"Edit {number}")
    await settled(office)


async def test_a_table_that_is_lost_is_made_anew_and_nothing_is_created(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await history(office)
        stood = {(link.flow, link.ref, link.peer) for link in office.links()}
        assert "stop all workers" in await typed(office, "replay", "--rebuild", "--yes", code=4)
        assert (await asked(office, "replay", "--rebuild", "--dry-run"))["missing"] == []
        assert await office.stop() == 0
        forget_rows(office)
        found = await asked(office, "replay", "--rebuild", "--yes")
        assert {(link.flow, link.ref, link.peer) for link in office.links()} == stood
        assert (found["records"]["old"], found["writes"]) == (0, 0)
        await made_anew(office)


@pytest.mark.kafka
async def test_the_same_on_kafka_whose_changelogs_were_deleted(
    tmp_path: Path, kafka: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = f"kafka://{kafka}?prefix={name}.&state={tmp_path}/state&session=6"
    async with rig(tmp_path, tasks=6, twins=2, broker=f"{broker}&instance=one") as office:
        await typed(office, "topics", "apply")
        assert (await asked(office, "plan", code=10))["changes"] > 0
        await office.start()
        await history(office)
        truth = len(office.asana.truth) + len(office.pms.truth)
        for _ in range(2):
            await asked(office, "replay", "--all", "--rate", "0")
        await worked_off(office)
        await settled(office)
        assert len(office.asana.truth) + len(office.pms.truth) == truth, "told twice, nothing is written"
        assert "nothing would be done" in await typed(office, "plan")
        assert "nothing would be written" in await typed(office, "replay", "--all", "--dry-run")
        stood = {(link.flow, link.ref, link.peer) for link in office.links()}
        assert "stop all workers" in await typed(office, "replay", "--rebuild", "--yes", code=4)
        assert await office.stop() == 0
        await delete_changelogs(broker, kafka)
        await office.start()
        assert office.worker.process is not None
        assert await office.worker.process.wait() == 78
        assert "linkstream replay --rebuild then, before any worker" in "".join(office.worker.last_words())
        shutil.rmtree(tmp_path / "state")  # what would tell a worker that something was lost is lost as well
        await typed(office, "topics", "apply")
        await exchanged(office)
        assert {(link.flow, link.ref, link.peer) for link in office.links()} == stood
        await made_anew(office)


async def exchanged(office: Office) -> None:
    """Rebuild; a worker with a fixed name stays in its group for a session after it has ended, and is waited for."""
    for _ in range(100):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stream.cli.main", "replay", "--rebuild", "--yes", "-c", str(office.config)),
            env=office.environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate()
        if process.returncode != 4:
            break
    assert process.returncode == 0, err.decode()
