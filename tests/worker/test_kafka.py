"""The product over a real Kafka: topics are applied, two workers share the work, one is killed, people edit on."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

from stream.cli.main import execute
from stream.cli.overview import gathered
from stream.engine.backends import open_reader
from stream.operate.process import WorkerProcess
from stream.operate.table import paused_of
from stream.pauses import FLOW
from tests.worker.office import Office
from tests.worker.rig import TASKS, linked, pairs, redundant, rename, rig, settled, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


async def command(office: Office, *arguments: str) -> int:
    """What an operator types."""
    return await asyncio.to_thread(execute, [*arguments, "-c", str(office.config)])


async def test_two_workers_keep_two_systems_in_step_and_one_may_be_killed(  # noqa: PLR0915  # one story
    tmp_path: Path, kafka: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = f"kafka://{kafka}?prefix={name}.&state={tmp_path}/state&session=6"
    async with rig(tmp_path, tasks=6, twins=2, broker=f"{broker}&instance=one") as office:
        for variable, value in office.environment.items():
            monkeypatch.setenv(variable, value)

        await office.start()
        assert office.worker.process is not None
        assert await office.worker.process.wait() == 78
        assert "linkstream topics apply creates what is missing" in "".join(office.worker.last_words())
        assert await command(office, "topics", "plan") == 10
        assert "+ " in capsys.readouterr().out
        assert await command(office, "topics", "apply") == 0
        assert await command(office, "topics", "plan") == 0
        capsys.readouterr()

        second = {**office.environment, "LINKSTREAM_BROKER": f"{broker}&instance=two"}
        other = WorkerProcess(tmp_path, office.config, second["LINKSTREAM_BROKER"], second)
        await office.start()
        await other.start()
        try:
            await linked(office)
            chance = random.Random(7)
            typed: dict[str, str] = {}
            everybody = pairs(office)
            for number, (left, right) in enumerate(everybody):
                ref = chance.choice([left, right])
                typed[ref] = f"Edit {number}"
                await rename(office, ref, typed[ref])
                if number == 2:
                    await other.kill()
                    await other.start()
            await settled(office)
            typed |= await rested(office, everybody[0])
            capsys.readouterr()
            await settled(office)
            for ref, value in typed.items():
                twin = next(b if ref == a else a for a, b in everybody if ref in (a, b))
                assert value in office.record(twin).values(), f"the last edit of {ref} was lost"
            assert office.doubled() == 0
            assert not redundant(office)
            for _ in range(100):  # rows tell anew by and by, so now and then a message waits
                said = await gathered(office.topology)
                if sum(said["lag"].values()) == 0:
                    break
            assert sum(said["lag"].values()) == 0
            assert said["links"] == said["in_step"] == len(office.links()) * (said["worker"] is not None)

            assert await command(office, "topics", "list", "--format", "json") == 0
            listed = {each["topic"]: each["partitions"] for each in json.loads(capsys.readouterr().out)}
            assert listed["links.mail"] == 4
            assert listed["linkstream-join-changelog"] == 4
            assert await command(office, "links", "show", pairs(office)[0][0]) == 0
        finally:
            assert await other.stop() == 0
        assert office.alive()
        left, right = everybody[0]
        await rename(office, left, "Alone")
        await until(lambda: "Alone" in office.record(right).values(), "one worker takes all over", seconds=40)
        assert await office.stop() == 0


async def rested(office: Office, pair: tuple[str, str]) -> dict[str, str]:
    """Pause a flow while a person edits, and have it go on: what was typed, by both records."""
    left, right = pair
    assert await command(office, "pause", TASKS) == 0
    await until(lambda: resting(office), "both workers know")
    title, text = office.record(right)["title"], "Typed while the flow is paused"
    project = next(link.peer for link in office.links() if link.ref == left and link.flow != TASKS)
    await rename(office, left, text)
    await until(lambda: office.record(project)["name"] == text, "the others go on")
    assert office.record(right)["title"] == title
    assert await command(office, "resume", TASKS) == 0
    await until(lambda: office.record(right)["title"] == text, "it goes on")
    return {left: text, right: text}


def resting(office: Office) -> bool:
    """Whether every lane that reads orders has taken the pause."""
    with open_reader(office.topology.broker) as reader:
        return f"{FLOW}{TASKS}" in paused_of(reader, office.topology.partitions)
