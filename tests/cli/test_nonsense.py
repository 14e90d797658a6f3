"""Every command given nonsense says what was found and what would be right, changes nothing, and ends with its code."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stream.cli.main import execute
from stream.engine.kafka import cluster
from tests.cli.kept import configured, kept
from tests.cli.test_reference import ALL, NO_CONFIGURATION

REF = "a.t:1"
ARGUMENTS: dict[str, list[str]] = {
    "explain": [REF],
    "links show": [REF],
    "links decide": [REF, "f/a", "--none"],
    "links find": ["x"],
    "links set": [REF, "b.t:1"],
    "links unlink": [REF],
    "links never": [REF, "b.t:1"],
    "links import": ["links.csv"],
    "deletes release": ["a.t"],
    "deletes cancel": ["a.t"],
    "pause": ["a"],
    "resume": ["a"],
    "parked show": ["0/0"],
    "parked retry": ["0/0"],
    "parked drop": ["0/0"],
    "conflicts show": ["0/0"],
    "conflicts resolve": ["0/0", "--keep", "won"],
    "document": ["a", "b"],
    "resync": ["a.t"],
    "replay": ["a.t"],
    "tail": ["parked"],
    "map eval": ["f", REF],
    "poll": ["--once"],
    "topics describe": ["parked"],
}
STARTS = {"run", "qa"}
"""Commands that start something; what they make of a log is tested where they are."""
WRITES_ITS_OWN = {"import", "init"}
"""Commands that make a configuration."""
ON_KAFKA = {"topics plan", "topics apply"}
NO_LOG = (
    ON_KAFKA
    | {"validate", "document", "asyncapi", "doctor", "config show", "map eval", "poll"}
    | STARTS
    | WRITES_ITS_OWN
)
CONFIGURED = [name for name in ALL if not set(name.split()[:1]) & NO_CONFIGURATION and name not in WRITES_ITS_OWN]
LOOKING = [name for name in CONFIGURED if name not in NO_LOG]


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.delenv("LINKSTREAM_CONFIG", raising=False)
    monkeypatch.setenv("LINKSTREAM_BROKER", f"sqlite:///{tmp_path}/log.db")
    for name in ("A_TOKEN", "B_TOKEN"):
        monkeypatch.setenv(name, "canary-31")
    (tmp_path / "links.csv").write_text("flow,left,right\nf,a.t:1,b.t:1\n")
    configured(tmp_path)


def typed(capsys: pytest.CaptureFixture[str], words: list[str]) -> tuple[int, str]:
    """Type a command: its code, and what it said on standard error, in one line."""
    code = execute(words)
    said = capsys.readouterr()
    assert "canary" not in said.out + said.err
    assert "mistake in linkstream" not in said.err, said.err
    assert "Traceback" not in said.err
    return code, " ".join(re.sub(r"[│╭╮╰╯─]", "", said.err).split())


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder; SQLite's own working files are none of ours."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def words(name: str) -> list[str]:
    return [*name.split(), *ARGUMENTS.get(name, [])]


@pytest.mark.parametrize("name", CONFIGURED)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "found no readable file"),
        ("systems:\n  a: {connector: pla", "would be right"),
        ("- 1\n", "would be right"),
        ("systems: {a: {connector: nonsense}}\ntopics: {}\n", "would be right"),
        ("broker: nonsense://x\nsystems: {}\ntopics: {}\n", "would be right"),
        ("\x00\xff", "would be right"),
    ],
    ids=["missing", "half", "list", "wrong", "broker", "bytes"],
)
def test_a_configuration_that_cannot_be_read(
    name: str, text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "topics.yaml"
    file.unlink()
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    before = contents(tmp_path)
    code, told = typed(capsys, words(name))
    assert (code, said in told) == (2, True), told
    assert contents(tmp_path) == before


BEFORE_THERE_IS_ONE = {("plan", "none")}
"""What is told of a log that a worker has not made yet."""
LOGS = {
    "none": "no such file; a worker creates it",
    "folder": "found a folder; a file would be right",
    "text": "not a database or damaged",
    "empty": "still empty; a worker fills it",
    "foreign": "a database of another program",
}


@pytest.mark.parametrize(
    ("name", "log"), [(name, log) for name in LOOKING for log in LOGS if (name, log) not in BEFORE_THERE_IS_ONE]
)
def test_a_log_that_is_none(name: str, log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log.db"
    match log:
        case "folder":
            file.mkdir()
        case "text":
            file.write_text("no database\n")
        case "empty":
            file.touch()
        case "foreign":
            with sqlite3.connect(file) as connection:
                connection.execute("create table x (a)")
            connection.close()
    before = contents(tmp_path)
    code, told = typed(capsys, words(name))
    assert (code, LOGS[log] in told or "start the worker first" in told) == (78, True), told
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", [*LOOKING, *sorted(ON_KAFKA)])
def test_a_broker_that_is_stopped(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LINKSTREAM_BROKER", "kafka://127.0.0.1:1")
    before = contents(tmp_path)
    code, told = typed(capsys, words(name))
    assert (code, "no broker answers" in told, "one that runs would be right" in told) == (75, True, True), told
    assert contents(tmp_path) == before


@pytest.fixture(scope="module")
def silent() -> Iterator[int]:
    """A port at which every call is taken, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as door:
        yield door.getsockname()[1]


@pytest.mark.parametrize("name", [*LOOKING, *sorted(ON_KAFKA), "map eval", "poll --once --dry-run"])
def test_a_broker_that_takes_calls_and_never_answers(
    name: str, silent: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LINKSTREAM_BROKER", f"kafka://127.0.0.1:{silent}")
    monkeypatch.setattr(cluster, "ANSWER", 0.05)
    before = contents(tmp_path)
    code, told = typed(capsys, words(name))
    assert code == 75
    assert f"no broker answers (127.0.0.1:{silent}: nothing for 0.05 s); one that runs would be right" in told
    assert contents(tmp_path) == before


def test_the_doctor_names_a_broker_that_never_answers(
    silent: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LINKSTREAM_BROKER", f"kafka://127.0.0.1:{silent}")
    monkeypatch.setattr(cluster, "ANSWER", 0.05)
    assert execute(["doctor"]) == 1
    assert f"127.0.0.1:{silent}: nothing for 0.05 s" in capsys.readouterr().out


@contextmanager
def somebody_else(*, of: Path) -> Iterator[None]:
    """Be a user who may go through all folders above a file, and not read it."""
    of.chmod(0o600 if os.geteuid() == 0 else 0)
    folders = {parent: parent.stat().st_mode for parent in of.parents if parent.is_relative_to("/tmp")}
    for folder in folders if os.geteuid() == 0 else ():
        folder.chmod(folders[folder] | 0o055)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(me)
        for folder, mode in folders.items():
            folder.chmod(mode)


@pytest.mark.parametrize("name", LOOKING)
def test_a_log_that_may_not_be_read(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, words(name))  # whatever it imports, it may read
    file = tmp_path / "log.db"
    file.write_bytes(b"")
    before = contents(tmp_path)
    with somebody_else(of=file):
        code, told = typed(capsys, words(name))
    assert (code, "log.db" in told, "would be right" in told) == (3, True, True), told
    assert contents(tmp_path) == before


def test_a_configuration_that_may_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, ["status"])
    with somebody_else(of=tmp_path / "topics.yaml"):
        code, told = typed(capsys, ["status"])
    assert (code, "found no readable file" in told) == (2, True), told


UNKNOWN: list[tuple[list[str], int, str]] = [
    (["explain", "a.t:nobody"], 1, "nothing is known of it"),
    (["explain", "nonsense"], 2, "a.t, b.t would be right"),
    (["explain", "a.t:1", "--field", "nonsense"], 2, "would be right"),
    (["links", "show", "a.t:nobody"], 1, "nothing is known of it"),
    (["links", "list", "--flow", "nonsense"], 2, "found no flow 'nonsense'; f would be right"),
    (["links", "list", "--type", "nonsense"], 2, "found no entity type"),
    (["links", "list", "--limit", "0"], 2, "0 is not in the range"),
    (["links", "decide", "a.t:1", "f/a", "--none"], 1, "found nothing in doubt"),
    (["links", "decide", "a.t:1", "f/a"], 2, "would be right"),
    (["links", "find", "x", "--type", "nonsense"], 2, "would be right"),
    (["links", "set", "a.t:1", "a.t:2"], 2, "--flow, would be right"),
    (["links", "set", "a.t:1", "b.t:nobody"], 1, "nothing is known of it"),
    (["links", "unlink", "a.t:1", "--from", "b.t:nobody"], 1, "found 0 such links"),
    (["links", "never", "a.t:nobody", "b.t:1"], 1, "nothing is known of it"),
    (["links", "import", "nothing.csv"], 2, "does not exist"),
    (["links", "import", "topics.yaml"], 1, "flow,left,right would be right"),
    (["links", "export", "--flow", "nonsense"], 2, "f would be right"),
    (["deletes", "release", "nonsense"], 2, "a.t, b.t would be right"),
    (["deletes", "cancel", "nonsense"], 2, "a.t, b.t would be right"),
    (["pause", "nonsense"], 2, "one of a, b, a.t, b.t, f would be right"),
    (["resume", "nonsense"], 2, "one of a, b, a.t, b.t, f would be right"),
    (["resume", "a"], 1, "found it not paused"),
    (["resume", "f"], 1, "found it not paused"),
    (["pause", "flow:nonsense"], 2, "one of a, b, a.t, b.t, f would be right"),
    (["monitor", "--every", "0"], 2, "0.0 is not in the range"),
    (["parked", "show", "9/9"], 1, "nothing is set aside under this"),
    (["parked", "retry"], 2, "one of them would be right"),
    (["parked", "retry", "9/9"], 1, "nothing open is set aside under this"),
    (["parked", "drop", "nonsense"], 1, "nothing open is set aside under this"),
    (["parked", "drop"], 2, "one of them would be right"),
    (["conflicts", "show", "9/9"], 1, "found no such conflict"),
    (["conflicts", "resolve", "9/9", "--keep", "won"], 1, "found no such conflict"),
    (["conflicts", "resolve", "9/9"], 2, "--keep"),
    (["conflicts", "resolve", "9/9", "--keep", "both"], 2, "'lost', 'won'"),
    (["resync", "nonsense"], 2, "would be right"),
    (["status", "--format", "xml"], 2, "'table', 'json', 'yaml'"),
    (["status", "--nonsense"], 2, "No such option"),
    (["completion", "tcsh"], 2, "'bash', 'zsh', 'fish'"),
    (["nonsense"], 2, "No such command"),
]


@pytest.mark.parametrize(
    ("line", "code", "said"), UNKNOWN, ids=lambda value: " ".join(value) if isinstance(value, list) else None
)
async def test_what_is_not_there(
    line: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one"})
        await table.settle()
    before = contents(tmp_path)
    assert typed(capsys, line)[0] == code
    found = typed(capsys, line)
    assert found[0] == code
    assert said in found[1], found[1]
    assert contents(tmp_path) == before


HOLDS = """
import sys, time
from pathlib import Path
from stream.engine.embedded.lease import Lease
Lease(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Any]:
    """Another process that holds the log and answers nobody."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "log.db")], stdout=subprocess.PIPE, cwd=root
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@pytest.mark.parametrize(
    "line",
    [
        ["pause", "a"],
        ["pause", "f"],
        ["deletes", "release", "a.t"],
        ["links", "never", "a.t:1", "b.t:1"],
        ["resync"],
        ["resync", "a.t", "--full"],
    ],
)
def test_a_log_that_another_process_holds(
    line: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    async def made() -> None:
        async with kept(tmp_path) as table:
            table.a.add("t", {"name": "one"})
            await table.settle()

    asyncio.run(made())
    request.getfixturevalue("holder")
    code, told = typed(capsys, line)
    assert code == 75, told
    assert "in use by pid" in told
    assert "stop it first, or name another file" in told


def test_a_log_that_another_program_has_locked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def made() -> None:
        async with kept(tmp_path) as table:
            table.a.add("t", {"name": "one"})
            await table.settle()

    asyncio.run(made())
    program = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    program.execute("begin immediate")
    assert typed(capsys, ["status"])[0] == 0  # who only looks is not held up
    code, told = typed(capsys, ["pause", "a"])
    assert (code, "locked by another process" in told, "nothing was done" in told) == (75, True, True), told
    program.close()
    assert typed(capsys, ["resume", "a"])[0] == 1
