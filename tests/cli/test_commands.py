"""Commands as they are typed: what they print, how they end, and what they never import."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from connectors.sandbox.run import SYSTEMS
from stream.cli import sandbox
from stream.cli.main import COMMANDS, execute
from stream.configuration.written import schema_text

ROOT = Path(__file__).parents[2]
CANARY = "canary-4711"
ENVIRONMENT = {"ASANA_TOKEN": CANARY, "PMS_URL": "http://127.0.0.1:1", "PMS_TOKEN": CANARY}

WRONG = """\
systems:
  a: {connector: asana, token: "${NOBODY_SETS_THIS}"}
topics:
  a.taks: {}
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ASANA_TOKEN", "ASANA_WORKSPACE", "PMS_URL", "PMS_TOKEN", "LINKSTREAM_CONFIG", "LINKSTREAM_BROKER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "100"}
    command = [sys.executable, "-c", "from stream.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


@pytest.mark.usefixtures("tokens")
def test_validate_says_what_would_be_kept_in_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["validate", "-c", str(ROOT / "tests" / "five.yaml")]) == 0
    said = capsys.readouterr()
    assert "2 systems, 7 types, 5 flows" in said.out
    assert "completed <-> status (enum)" in said.out
    assert "projects.gid -> projectId (first)" in said.out
    assert CANARY not in said.out + said.err


@pytest.mark.usefixtures("tokens")
def test_validate_says_it_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["validate", "-c", str(ROOT / "tests" / "five.yaml"), "--format", "json"]) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["ok"] is True
    assert [system["name"] for system in answer["systems"]] == ["asana", "custompms"]
    [title] = [pair for pair in answer["flows"][4]["fields"] if pair["to"] == "title"]
    assert title.items() >= {"from": "name", "to": "title", "as": "same", "direction": "both"}.items()
    assert CANARY not in said.out + said.err


def test_validate_tells_every_problem_and_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "topics.yaml").write_text(WRONG)
    assert execute(["validate"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    unset = "found ${NOBODY_SETS_THIS}, which is not set; a value, or ${NOBODY_SETS_THIS:-default}, would be right"
    assert said.err.splitlines() == [
        f"topics.yaml:2:32: {unset}",
        "topics.yaml:4:3: found the type 'taks' of a; 'tasks' would be right",
        "linkstream: 2 problems in the configuration",
    ]


def test_validate_tells_programs_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "topics.yaml").write_text(WRONG)
    assert execute(["validate", "--format", "json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["problems"][1] == {
        "file": "topics.yaml",
        "line": 4,
        "column": 3,
        "text": "found the type 'taks' of a; 'tasks' would be right",
    }


def test_variables_may_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.env").write_text(
        f"# tokens\n\nexport ASANA_TOKEN='{CANARY}'\nPMS_URL=http://127.0.0.1:1\nPMS_TOKEN=x\n"
    )
    (tmp_path / "two.env").write_text('PMS_TOKEN = "y"\n')
    files = ["--env-file", "one.env", "--env-file", "two.env"]
    assert execute([*files, "validate", "-c", str(ROOT / "tests" / "five.yaml")]) == 0
    monkeypatch.setenv("PMS_TOKEN", "")
    assert execute([*files, "validate", "-c", str(ROOT / "tests" / "five.yaml")]) == 2


def test_a_file_of_variables_is_told_what_would_be_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.env").write_text(f"A=1\n{CANARY}\n")
    assert execute(["--env-file", "bad.env", "validate"]) == 2
    assert execute(["--env-file", "none.env", "validate"]) == 2
    said = capsys.readouterr().err
    assert "bad.env:2:1: found no NAME=value; one would be right" in said
    assert "none.env:1:1: found no readable file" in said
    assert CANARY not in said


def test_the_file_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINKSTREAM_CONFIG", str(tmp_path / "elsewhere.yaml"))
    (tmp_path / "elsewhere.yaml").write_text("systems: {}\ntopics: {}\n")
    assert execute(["validate"]) == 0


FOREIGN = "create table x (a)"


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize(
    "command", [["status"], ["links", "list"], ["links", "show", "asana.tasks:1"], ["links", "check"]]
)
def test_a_log_that_is_none_is_told_as_what_it_is(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no database\n")
    (tmp_path / "empty").touch()
    with sqlite3.connect(tmp_path / "foreign") as connection:
        connection.execute(FOREIGN)
    connection.close()
    for name, words in (
        ("folder", "found a folder; a file would be right"),
        ("text", "not a database or damaged"),
        ("empty", "still empty; a worker fills it"),
        ("foreign", "a database of another program; name a file of its own for the log"),
        ("nothing", "no such file; a worker creates it"),
    ):
        monkeypatch.setenv("LINKSTREAM_BROKER", f"sqlite:///{tmp_path / name}")
        assert execute([*command, "-c", str(ROOT / "tests" / "five.yaml")]) == 78
        assert capsys.readouterr().err.startswith(f"linkstream: {tmp_path / name}: {words}")


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize("command", ["run", "validate", "status"])
@pytest.mark.parametrize("broker", ["redis://x:9092", "x.db", "sqlite://", "sqlite:///x.db?nonsense=1"])
def test_a_broker_of_no_kind_that_is_known_is_a_wrong_configuration(
    command: str, broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "topics.yaml").write_text(f"broker: {broker}\nsystems: {{}}\ntopics: {{}}\n")
    assert execute([command]) == 2
    said = capsys.readouterr().err.splitlines()
    assert (
        said[0] == f"topics.yaml:1:9: found '{broker}'; sqlite:///path/to/file.db or kafka://host:9092 would be right"
    )


def test_the_variable_of_the_broker_matters_to_those_who_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "topics.yaml").write_text("broker: ${NOBODY_SETS_THIS}\nsystems: {}\ntopics: {}\n")
    assert execute(["status"]) == 2
    assert "found ${NOBODY_SETS_THIS}, which is not set" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_no_room_for_what_is_printed_is_said_in_one_line() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from stream.cli.main import main; main()", "version"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, env=environment, timeout=60)
    assert done.returncode == 3
    said = "linkstream: standard output: No space left on device; a place with room would be right"
    assert done.stderr.decode().splitlines()[0] == said


def test_schema_prints_the_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["schema"]) == 0
    assert capsys.readouterr().out == schema_text()


def test_version_prints_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["version", "--format", "json"]) == 0
    versions = json.loads(capsys.readouterr().out)
    assert versions["aiohttp"] == metadata.version("aiohttp")
    assert set(versions) >= {"linkstream", "Python", "SQLite", "faust-streaming", "aiokafka"}


def test_every_sandbox_can_be_started() -> None:
    assert set(sandbox.SYSTEMS) == set(SYSTEMS)


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sandbox_ends_by_a_signal_and_says_so(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "stream.cli.main", "sandbox", "custompms"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout is not None
        assert sandbox.stdout.readline().startswith("custompms sandbox: http://127.0.0.1:")
        sandbox.send_signal(number)
        assert sandbox.stdout.read().endswith("custompms sandbox: stopped\n")
        assert sandbox.wait() == 0


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["validate", "--nonsense"], ["sandbox"], ["sandbox", "nothing"], ["--log-level", "x"]]
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert execute(arguments) == 2


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], *([name, "--help"] for name in COMMANDS)])
def test_help_ends_with_0_and_teaches(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(arguments) == 0
    said = capsys.readouterr().out
    assert "linkstream" in said


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["validate", "--help"], ["nonsense"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom stream.cli.main import execute\nexecute(sys.argv[1:])\n"
        "heavy = {'aiohttp', 'faust', 'aiokafka', 'mode', 'jsonschema', 'structlog'} & set(sys.modules)\n"
        "heavy |= {'importlib.metadata'} & set(sys.modules) if 'version' not in sys.argv else set()\n"
        "sys.exit(f'imported: {sorted(heavy)}' if heavy else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr[-300:]


@pytest.mark.parametrize("words", [["status"], ["explain", "asana.tasks:1"], ["links", "list"], ["parked", "list"]])
def test_whoever_looks_into_the_log_imports_no_client_of_the_systems(words: list[str]) -> None:
    code = (
        "import sys\nfrom stream.cli.main import execute\ncode = execute(sys.argv[1:])\n"
        "heavy = {'aiohttp', 'faust', 'aiokafka', 'mode', 'jsonschema', 'structlog'} & set(sys.modules)\n"
        "sys.exit(f'imported: {sorted(heavy)}' if heavy or code != 78 else 0)"
    )
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT), "LINKSTREAM_BROKER": "sqlite:///no.db"}
    command = [sys.executable, "-c", code, *words, "-c", str(ROOT / "tests/five.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr[-300:]


def test_the_console_script_ends_with_the_code(tmp_path: Path) -> None:
    (tmp_path / "topics.yaml").write_text(WRONG)
    done = process("validate")
    assert done.returncode == 2
    assert "2 problems" in done.stderr
    assert process("version").returncode == 0


def test_a_reader_that_goes_away_is_no_mistake() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from stream.cli.main import main; main()", "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        said = running.stderr.read()
        running.wait(timeout=60)
    assert b"Traceback" not in said
    assert b"mistake" not in said
