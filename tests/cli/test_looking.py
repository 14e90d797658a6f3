"""``linkstream tail``, ``config show``, ``map eval`` and ``poll --once --dry-run``: looking without changing."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import Refused
from connectors.sandbox.run import serve
from stream.cli.main import execute
from tests.cli.kept import kept
from tests.cli.test_doctor import pointed_at


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.delenv("LINKSTREAM_CONFIG", raising=False)
    monkeypatch.setenv("LINKSTREAM_BROKER", f"sqlite:///{tmp_path}/log.db")
    for name in ("A_TOKEN", "B_TOKEN"):
        monkeypatch.setenv(name, "canary-52")


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert execute(words) == code
    found = capsys.readouterr()
    assert "canary" not in found.out + found.err
    return found.out


async def test_tail_tells_records_in_words_and_those_that_are_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "before"})
        table.a.add("t", {"name": "two", "x": "before"})
        await table.settle()
        left = min(table.a.all("t"))
        table.b.fail("update", Refused("400", fields={"x": "too long"}))
        table.a.edit("t", left, {"x": "after"})
        await table.settle()
    lines = said(capsys, "tail", "changes.a.t", "--key", f"a.t:{left}")
    assert '    x: "before" -> "after"' in lines
    told = said(
        capsys, "tail", "links.mail", "-n", "100", "--filter", "record.value.outcome == 'refused'", "--format", "json"
    )
    [refused] = [json.loads(line) for line in told.splitlines()]
    assert refused["kind"] == "receipt"
    assert refused["lines"][0] == "x refused: too long"
    assert said(capsys, "tail", "links.mail", "-n", "0") == ""
    assert len(said(capsys, "tail", "upserts.b.t", "-n", "1", "--format", "json").splitlines()) == 1


async def test_tail_refuses_what_it_cannot_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path):
        pass
    assert execute(["tail", "nonsense"]) == 2
    assert "changes.a.t" in capsys.readouterr().err
    for wrong in ("record.", "1 + 1", "has(record.x)"):
        assert execute(["tail", "parked", "--filter", wrong]) == 2
        assert "would be right" in capsys.readouterr().err


async def test_every_value_has_its_origin_and_secrets_are_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept(tmp_path):
        pass
    monkeypatch.setenv("A_URL", "http://127.0.0.1:7")
    found = {each["setting"]: each for each in json.loads(said(capsys, "config", "show", "--format", "json"))}
    assert found["systems.a.token"] == {
        "setting": "systems.a.token",
        "value": "(secret)",
        "from": "${A_TOKEN}, topics.yaml:4",
    }
    assert (found["systems.a.url"]["value"], found["systems.a.url"]["from"]) == (
        "http://127.0.0.1:7",
        "${A_URL}, topics.yaml:4",
    )
    assert found["systems.b.url"]["from"] == "${B_URL} (its default), topics.yaml:5"
    assert found["topics.a.t.poll"] == {"setting": "topics.a.t.poll", "value": "3600s", "from": "topics.yaml:7"}
    assert said(capsys, "config", "show")


def mapped(found: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    return {each["field"]: (each["becomes"], each["problem"]) for each in found["fields"]}


def test_a_mapping_is_tried_on_a_file_both_ways(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.setenv("LINKSTREAM_CONFIG", str(root / "tests" / "five.yaml"))
    file = tmp_path / "task.json"
    file.write_text(json.dumps({"gid": "1", "name": "n", "completed": True, "due_on": "2026-01-02", "notes": "x"}))
    flow = "asana.tasks~custompms.task"
    found = json.loads(said(capsys, "map", "eval", flow, str(file), "--format", "json"))
    assert mapped(found)["completed"] == ("done", "")
    assert (found["from"], found["to"]) == ("asana.tasks", "custompms.task")
    file.write_text(json.dumps({"id": 7, "title": "n", "status": "open"}))
    back = json.loads(said(capsys, "map", "eval", flow, str(file), "--side", "right", "--format", "json"))
    assert mapped(back)["status"] == (False, "")
    file.write_text(json.dumps({"id": 7, "title": "n", "status": "nonsense"}))
    wrong = json.loads(said(capsys, "map", "eval", flow, str(file), "--side", "right", "--format", "json", code=1))
    assert mapped(wrong)["status"][1]
    assert "nonsense" in said(capsys, "map", "eval", flow, str(file), "--side", "right", code=1)
    for text in ("no json", "[]"):
        file.write_text(text)
        assert execute(["map", "eval", flow, str(file)]) == 2
    assert execute(["map", "eval", "nonsense", str(file)]) == 2
    assert execute(["map", "eval", flow, "nothing.json"]) == 2
    assert execute(["map", "eval", flow, "asana.projects:1"]) == 2


async def test_a_mapping_is_tried_on_what_the_log_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "One", "x": "before"})
        await table.settle()
    found = json.loads(said(capsys, "map", "eval", "f", table.only("a"), "--format", "json"))
    assert mapped(found) == {"name": ("One", ""), "x": ("before", "")}
    assert found["match"] == [{"by": "name=name", "values": ["one"]}]
    assert execute(["map", "eval", "f", "a.t:nobody"]) == 1


async def test_what_a_reading_would_bring_is_told_and_not_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept(tmp_path):
        pass
    box = await serve("custompms", count=5, seed=1)
    try:
        pointed_at(tmp_path, box.url, box.secrets()["token"], monkeypatch)
        code = await asyncio.to_thread(execute, ["poll", "--once", "--dry-run", "pms.task", "--format", "json"])
        assert code == 10
        assert json.loads(capsys.readouterr().out) == {"pms.task": {"new": 5, "gone": 0, "error": ""}}
    finally:
        await box.close()
    assert await asyncio.to_thread(execute, ["poll", "--once", "--dry-run"]) == 1
    assert "Cannot connect" in capsys.readouterr().out
    assert await asyncio.to_thread(execute, ["poll"]) == 2
    assert await asyncio.to_thread(execute, ["poll", "--once", "nonsense"]) == 2
    assert await asyncio.to_thread(execute, ["poll", "--once"]) == 69


@pytest.mark.process
@pytest.mark.parametrize("line", [["status", "--watch"], ["monitor"], ["tail", "changes.a.t", "-f"]])
async def test_what_goes_on_ends_when_it_is_interrupted(line: list[str], tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one"})
        await table.settle()
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream.cli.main", *line),
        env={**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    first = await process.stdout.readline()
    assert first.strip()
    assert b"\x1b" not in first
    process.send_signal(signal.SIGINT)
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, said.decode().splitlines()[-1]) == (130, "linkstream: interrupted")


@pytest.mark.process
async def test_on_a_terminal_it_is_one_screen_that_goes_on_and_is_given_back(tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one"})
        await table.settle()
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    command = [sys.executable, "-m", "stream.cli.main", "monitor", "--every", "0.2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm"}
    environment.pop("COLUMNS")
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:  # noqa: ASYNC220
        os.close(theirs)
        said = ""
        while said.count("in/min") < 3:  # it goes on
            said += os.read(ours, 65_536).decode(errors="replace")
        for text in ("1 links, in step 100 %", "a.t", "parked 0, conflicts 0", "no worker runs here"):
            assert text in said, text
        (tmp_path / "log.db").rename(tmp_path / "elsewhere.db")
        while "what follows is old" not in said:  # and does not end for a log that is out of reach for a while
            said += os.read(ours, 65_536).decode(errors="replace")
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # a terminal's end
            while some := os.read(ours, 65_536).decode(errors="replace"):
                said += some
        assert process.wait() == 130
    assert said.index("\x1b[?1049h") < said.rindex("\x1b[?1049l")
    assert "interrupted" in said.rpartition("\x1b[?1049l")[2]
