"""A system loses most of its records: nothing follows them before a person has decided."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stream.codec import encode
from stream.engine.ask import ask, publishing
from stream.engine.log import Outgoing
from stream.model import Change, Source, id_of
from stream.operate.demo import Demo
from tests.worker.rig import TASKS, linked, pairs, parked, reason, rig, settled, until

TYPE = "asana.tasks"


async def deletes(demo: Demo, *arguments: str) -> str:
    """What ``linkstream deletes`` says, as a process of its own."""
    command = (sys.executable, "-m", "stream.cli.main", "deletes", *arguments, "-c", str(demo.config))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=demo.environment, stdout=pipe, stderr=pipe)
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


async def listed(demo: Demo) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await deletes(demo, "list", "--format", "json"))
    return found


async def lose(demo: Demo, refs: list[str]) -> None:
    """The tasks vanish from Asana, and its poller is told so."""
    for ref in refs:
        await demo.asana.act("DELETE", f"/tasks/{id_of(ref)}")
    now = time.time_ns() // 1000
    changes = [
        Change(
            op="d",
            before=None,
            after=None,
            ts_ms=now // 1000,
            ts_us=now,
            source=Source(connector="asana", name="asana", entity="tasks", id=id_of(ref)),
        )
        for ref in refs
    ]
    records = [
        Outgoing(f"changes.{TYPE}", ref.encode(), encode(change)) for ref, change in zip(refs, changes, strict=True)
    ]
    await ask(demo.topology.broker, "publish", publishing(records))


def removed(demo: Demo) -> int:
    return sum(truth.op == "delete" for truth in demo.pms.truth)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("verdict", ["release", "cancel"])
async def test_a_system_that_loses_most_of_its_records_takes_none_with_it(tmp_path: Path, verdict: str) -> None:
    async with rig(tmp_path, tasks=20, twins=0) as demo:
        text = demo.config.read_text("utf-8")
        place = text.index("    to: custompms.task\n")
        demo.config.write_text(text[:place] + "    delete: delete\n" + text[place:], "utf-8")
        await demo.start()
        await linked(demo)
        await settled(demo)
        lost = dict(pairs(demo)[:12])
        assert len(lost) == 12
        await lose(demo, sorted(lost))
        log = demo.folder / "worker.log"
        await until(lambda: "too many deletions at once" in log.read_text("utf-8"), "it says that they are held")
        found = await listed(demo)
        assert set(found["held"]) == {TYPE}
        assert {each["ref"] for each in found["waiting"]} == set(lost)
        assert all(lost[each["ref"]] in each["copies"] for each in found["waiting"])
        assert removed(demo) == 0
        assert "12 deletions held" in await deletes(demo, "list")
        await deletes(demo, verdict, TYPE)
        kept = "this copy is kept"
        if verdict == "release":
            await until(lambda: removed(demo) == 12, "the copies follow")
        else:
            copies = set(lost.values())

            def told() -> set[str]:
                return {str(each.key, "utf-8") for each in parked(demo) if kept in reason(each)}

            await until(lambda: copies <= told(), "each copy that is kept is told of")
            assert removed(demo) == 0
        await until(lambda: not {link.ref for link in demo.links() if link.flow == TASKS} & set(lost), "the links end")
        assert (await listed(demo)) == {"held": {}, "waiting": []}
        assert log.read_text("utf-8").count("too many deletions at once") == 1
        assert sum("links end at once" in reason(each) for each in parked(demo)) == 1
