"""What can be told and done again from what was read: plans and replays over real workers and sandboxes.

Counted in the sandboxes' own record of what happened.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from stream.engine.backends import open_reader
from tests.worker.office import Office
from tests.worker.rig import linked, pairs, rename, rig, settled, until

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
