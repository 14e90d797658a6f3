"""``linkstream doctor`` finds what keeps a worker from its work, says what to do, and changes nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.run import serve
from stream.cli.main import execute
from stream.engine.backends import open_reader
from tests.cli.kept import kept


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LINKSTREAM_CONFIG", raising=False)
    monkeypatch.setenv("LINKSTREAM_BROKER", f"sqlite:///{tmp_path}/log.db")
    for name in ("A_TOKEN", "B_TOKEN"):
        monkeypatch.setenv(name, "canary-8f3")


async def findings(capsys: pytest.CaptureFixture[str], *words: str, code: int) -> dict[str, list[dict[str, Any]]]:
    answered = await asyncio.to_thread(execute, ["doctor", *words, "--format", "json"])
    said = capsys.readouterr()
    assert answered == code, said.out + said.err
    assert "canary" not in said.out + said.err
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(said.out):
        assert each["remedy"] or each["level"] == "good", each
        found.setdefault(each["check"], []).append(each)
    return found


async def test_a_log_in_order_is_good_and_assumptions_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path):
        pass
    found = await findings(capsys, "--offline", code=0)
    assert [found[check][0]["level"] for check in ("python", "configuration", "log", "topics", "lock")] == ["good"] * 5
    [unverified] = found["unverified"]
    assert unverified["found"] == "a new record is found by its mark at once"
    assert unverified["about"] == ["a.t", "b.t"]
    assert await asyncio.to_thread(execute, ["doctor", "--offline", "-v"]) == 0
    assert "0 wrong, 1 to know" in capsys.readouterr().out


async def test_what_does_not_fit_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept(tmp_path):
        pass
    file = tmp_path / "topics.yaml"
    file.write_text(file.read_text().replace("partitions: 2", "partitions: 3"))
    [topics] = (await findings(capsys, "--offline", code=1))["topics"]
    assert topics["found"].endswith("has 2 partitions, topics.yaml says 3")
    assert topics["remedy"].startswith("say partitions: 2")
    monkeypatch.delenv("A_TOKEN")
    [wrong, *_] = (await findings(capsys, "--offline", code=1))["configuration"]
    assert "found ${A_TOKEN}, which is not set" in wrong["found"]


async def test_a_log_that_is_not_there_or_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path):
        pass
    (tmp_path / "log.db").unlink()
    assert (await findings(capsys, "--offline", code=0))["log"][0]["remedy"] == "linkstream run creates it"
    (tmp_path / "log.db").write_text("no database")
    assert "not a database" in (await findings(capsys, "--offline", code=1))["log"][0]["found"]
    assert (tmp_path / "log.db").read_text() == "no database"


def pointed_at(folder: Path, url: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration with one system, which is there."""
    (folder / "topics.yaml").write_text(
        "broker: ${LINKSTREAM_BROKER}\n"
        'systems: {pms: {connector: custompms, url: "${A_URL}", token: "${A_TOKEN}"}}\n'
        "topics: {pms.task: {}, pms.project: {}}\n"
    )
    monkeypatch.setenv("A_URL", url)
    monkeypatch.setenv("A_TOKEN", token)


async def test_systems_are_asked_with_the_workers_own_credentials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await serve("custompms", count=5, seed=1)
    try:
        pointed_at(tmp_path, box.url, box.secrets()["token"], monkeypatch)
        found = await findings(capsys, code=0)
        assert [each["found"] for each in found["clock"]] == ["pms: its clock is as ours"]
        assert len(found["systems"]) == 2
        assert not [truth for truth in box.truth if truth.author == "linkstream"]
        pointed_at(tmp_path, box.url, "canary-wrong", monkeypatch)
        locked = (await findings(capsys, code=1))["credentials"]
        assert {name for each in locked for name in each["about"]} == {"pms.task", "pms.project"}
    finally:
        await box.close()


async def test_nothing_is_written_to_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one"})
        await table.settle()
    with open_reader(table.topology.broker) as reader:
        before = {info.name: info.heads for info in reader.topics()}
    await findings(capsys, "--offline", code=0)
    with open_reader(table.topology.broker) as reader:
        assert {info.name: info.heads for info in reader.topics()} == before
