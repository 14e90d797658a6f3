"""``linkstream links check`` and ``decide`` over a log of their own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from stream.cli.main import execute
from stream.codec import bytes_of, decode_message
from stream.core.row import Edge, Row
from stream.engine.backends import open_reader
from stream.engine.embedded.log import EmbeddedLog
from stream.engine.log import TopicSettings
from stream.engine.memory import lanes_of
from stream.model import Decide, Ref
from stream.topics import MAIL
from tests.connectors.benches import CustomPmsBench

ROOT = Path(__file__).parents[2]
FLOW = "asana.tasks~custompms.task"
TASK, TWIN = "asana.tasks:1", "custompms.task:7"


def keep(url: str, rows: dict[Ref, Row]) -> None:
    """Write a log whose table has these rows."""

    async def write() -> None:
        log = EmbeddedLog(url)
        await log.open()
        await log.declare({MAIL: TopicSettings()}, 1)
        [lane] = await lanes_of(log, "join", [MAIL])
        async with lane.turn() as unit:
            for ref, row in rows.items():
                unit.put(ref.encode(), bytes_of(row))
        await log.close()

    asyncio.run(write())


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    found = f"sqlite:///{tmp_path}/log.db"
    monkeypatch.setenv("LINKSTREAM_BROKER", found)
    monkeypatch.setenv("LINKSTREAM_CONFIG", str(ROOT / "topics.yaml"))
    return found


def doubtful() -> Row:
    return Row(remote={"name": "x"}, edges={f"{FLOW}/a": Edge("unknown", number=5, reason="two may be it")})


def test_nothing_is_found_where_nothing_is_wrong(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    left = Row(remote={"name": "x"}, edges={f"{FLOW}/a": Edge(peer=TWIN)})
    keep(url, {TASK: left, TWIN: Row(remote={"title": "x"}, edges={f"{FLOW}/b": Edge(peer=TASK)})})
    assert execute(["links", "check"]) == 0
    assert capsys.readouterr().out == "nothing found\n"


def test_what_is_found_is_told_with_what_to_do(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    keep(url, {TASK: doubtful(), "asana.tasks:2": doubtful()})
    assert execute(["links", "check", "--limit", "1"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"in doubt: {TASK} on {FLOW}/a: two may be it"
    assert said[1].startswith("    look into the system; then linkstream links decide")
    assert said[2] == "... more than 1; --limit shows more"
    assert execute(["links", "check", "--format", "json"]) == 1
    assert [one["kind"] for one in json.loads(capsys.readouterr().out)] == ["in doubt"] * 2


@pytest.mark.parametrize(("said", "peer"), [(["--is", TWIN], TWIN), (["--none"], "")])
def test_a_decision_goes_to_the_record(url: str, said: list[str], peer: str) -> None:
    keep(url, {TASK: doubtful()})
    assert execute(["links", "decide", TASK, f"{FLOW}/a", *said]) == 0
    with open_reader(url) as reader:
        [record] = reader.records(MAIL, 0)
    assert (record.key, decode_message(record.value)) == (TASK.encode(), Decide(edge=f"{FLOW}/a", peer=peer))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([f"{FLOW}/a"], 2, "one of them would be right"),
        ([f"{FLOW}/a", "--none", "--is", TWIN], 2, "one of them would be right"),
        ([f"{FLOW}/a", "--is", "asana.tasks:2"], 2, "custompms.task:<id> would be right"),
        ([f"{FLOW}/b", "--none"], 1, "found nothing in doubt"),
    ],
)
def test_what_cannot_be_decided(
    url: str, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(url, {TASK: doubtful()})
    assert execute(["links", "decide", TASK, *arguments]) == code
    assert words in " ".join(capsys.readouterr().err.replace("│", "").split())


async def test_live_finds_what_stands_twice_in_a_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = await CustomPmsBench.open()
    made = [
        await bench.endpoint.create(bench.type, {bench.title: "x", **bench.needed}, f"{FLOW}|{TASK}") for _ in range(2)
    ]
    secrets = bench.sandbox.secrets()
    for name, secret in secrets.items():
        monkeypatch.setenv(f"PMS_{name.upper()}", secret)
    given = {**bench.sandbox.settings(), **{name: f"${{PMS_{name.upper()}}}" for name in secrets}}
    type_ = f"custompms.{bench.type}"
    config = {
        "broker": f"sqlite:///{tmp_path}/log.db",
        "systems": {"custompms": {"connector": "custompms", **given}},
        "topics": {type_: {}},
    }
    file = tmp_path / "topics.yaml"
    file.write_text(json.dumps(config))
    rows = {TASK: Row(remote={"name": "x"}, edges={f"{FLOW}/a": Edge(peer=f"{type_}:{made[0].id}")})}
    rows[f"{type_}:{made[0].id}"] = Row(remote={"title": "x"}, edges={f"{FLOW}/b": Edge(peer=TASK)})
    await asyncio.to_thread(keep, config["broker"], rows)
    code = await asyncio.to_thread(execute, ["links", "check", "--live", "-c", str(file), "--format", "json"])
    said = capsys.readouterr()
    assert code == 1, said.err
    [found] = json.loads(said.out)
    assert found["kind"] == "same marker"
    assert found["refs"] == [f"{type_}:{made[1].id}", f"{type_}:{made[0].id}"]
    await bench.close()
