"""``linkstream replay``: what was read is told again. Nothing is written twice, and in memory nothing at all."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import Refused
from stream.cli.main import execute
from stream.engine.backends import open_reader
from stream.engine.log import Outgoing
from stream.operate.outlook import outlook, plain
from stream.operate.plan import Planned
from stream.operate.replay import REPLAYED, Place, Range, Selection, file_of, is_copy, load, save
from stream.ports import Record
from stream.topology import read_topology
from stream.worker import clock
from tests.cli.kept import TOPICS, Kept, kept
from tests.worker.rig import until


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LINKSTREAM_CONFIG", raising=False)
    monkeypatch.setenv("LINKSTREAM_BROKER", f"sqlite:///{tmp_path}/log.db")


async def typed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    found = await asyncio.to_thread(execute, [*words, "--format", "json"])
    out, err = capsys.readouterr()
    assert found == code, err
    return json.loads(out) if code in {0, 10} else err


async def history(table: Kept) -> None:
    """Records on both sides, edited on both."""
    for number in range(4):
        table.a.add("t", {"name": f"n{number}", "x": "first", "y": "y"})
    table.b.add("t", {"name": "n0", "x": "older"})
    await table.settle()
    for number, (side, field) in enumerate((("a", "x"), ("b", "x"), ("a", "name"), ("b", "x"))):
        table.now += 1_000_000
        ids = sorted(table.systems[side].all("t"), key=int)
        table.systems[side].edit("t", ids[number % len(ids)], {field: f"typed {number}"})
        await table.settle()


def written(table: Kept) -> int:
    return sum(len(system.truth) for system in table.systems.values())


def copies(table: Kept, topic: str) -> list[Record]:
    return [record for record in table.kept(topic) if is_copy(record)]


def kept_in(folder: Path) -> list[Path]:
    """The replays that are not at their end."""
    return list(folder.glob("replay-*"))


async def again(table: Kept) -> int:
    """Let the stages work off what waits in the log, an hour from now; how much was written by it."""
    before = written(table)
    table.now = max(table.now, clock()) + 3_600_000_000
    async with kept(table.folder, systems=table.systems, now=table.now) as later:
        await later.settle()
        await woken(later)
        await later.settle()
        table.now = later.now
    return written(table) - before


async def woken(table: Kept) -> None:
    """Wake the rows whose time has come, as a worker does."""
    for lane in table.lanes["join"]:
        async with lane.turn() as unit:
            table.join.load(unit)
    await table.log.publish([Outgoing(topic, key, value, (), at) for topic, key, value, at in table.join.due()])
    await table.run_join()


async def test_told_twice_nothing_is_written_and_copies_are_not_told_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        await history(table)
    changes = [record for name in ("changes.a.t", "changes.b.t") for record in table.kept(name) if record.value]
    for _ in range(2):
        assert await typed(capsys, "replay", "--all", "--rate", "0") == {
            "done": f"records told again: {len(changes)}",
            "records": len(changes),
            "resumed": False,
        }
        assert await again(table) == 0
    for topic in ("changes.a.t", "changes.b.t"):
        first = {(record.partition, record.offset): record for record in table.kept(topic) if record.value}
        for copy in copies(table, topic):
            partition, _, offset = dict(copy.headers)[REPLAYED].decode().partition("/")
            origin = first[int(partition), int(offset)]
            assert (copy.key, copy.value, copy.partition) == (origin.key, origin.value, origin.partition)
    assert len(copies(table, "changes.a.t")) + len(copies(table, "changes.b.t")) == 2 * len(changes)
    assert not kept_in(tmp_path), "what is done is not kept"


async def test_records_are_chosen_by_type_key_offset_and_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def told(*words: str) -> int:
        return int((await typed(capsys, "replay", *words, "--rate", "0", "--anew"))["records"])

    async with kept(tmp_path) as table:
        await history(table)
    mine = [record for record in table.kept("changes.a.t") if record.value]
    ref = mine[0].key.decode()
    assert await told("a.t") == len(mine)
    assert await told(ref) == sum(record.key == mine[0].key for record in mine)
    assert await told("a.t", ref) == len(mine), "a type has its records, too"
    part = mine[0].partition
    assert await told("a.t", "--offsets", f"{part}/1-2") == sum(
        record.partition == part and 1 <= record.offset <= 2 for record in mine
    )
    assert await told("a.t", "--offsets", f"{part}/3-") == sum(
        record.partition == part and record.offset >= 3 for record in mine
    )
    assert await told("a.t", "--since", "2h") == len(mine)
    assert await told("a.t", "--until", "2h ago") == 0
    assert await told("a.t", "--since", "2001-01-01T00:00", "--until", "2101-01-01T00:00:00+00:00") == len(mine)
    for words in ((), ("a.t", "--all"), ("c.t",), ("a.t", "--offsets", "2"), ("a.t", "--since", "soon")):
        assert "would be right" in await typed(capsys, "replay", *words, code=2)
    assert "--parked" in await typed(capsys, "replay", "a.t", "--reason", "x", code=2)


async def test_another_configuration_is_tried_in_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path) as table:
        await history(table)
    (tmp_path / "other.yaml").write_text(TOPICS + "      - {from: y, to: y}\n")
    heads = [(info.name, info.heads) for info in open_reader(table.topology.broker).topics()]
    assert (await typed(capsys, "replay", "--all", "--dry-run"))["changes"] == 0, "as it is, all is in step"
    found = await typed(capsys, "replay", "--all", "--dry-run", "-c", "other.yaml", code=10)
    ids = {entity.marker: f"b.t:{id}" for id, entity in table.b.all("t").items()}
    twins = {ids.get(f"f|a.t:{id}", "b.t:1") for id in table.a.all("t")}
    assert {each["ref"]: each["fields"] for each in found["diff"]} == {
        ref: {"y": {"from": None, "to": "y"}} for ref in twins
    }
    assert found["flows"]["f"] == {
        "linked": 4,
        "link": 0,
        "part": 0,
        "create": 0,
        "remove": 0,
        "write": 4,
        "fields": 4,
        "apart": {},
    }
    with open_reader(table.topology.broker) as reader:
        assert [(info.name, info.heads) for info in reader.topics()] == heads, "nothing is written"
    one = await typed(capsys, "replay", "a.t:1", "--dry-run", "-c", "other.yaml", code=10)
    assert one["changes"] == 1, "only what is told is known of a field that is new"
    other = read_topology(tmp_path / "other.yaml", {"A_TOKEN": "x", "B_TOKEN": "x", **os.environ})
    with open_reader(table.topology.broker) as reader:
        planned = Planned(other, clock, reader)
        await planned.make(table.systems)
    assert plain(outlook(planned.rehearsal), 20)["flows"] == found["flows"], (
        "a plan, which asks the systems, says the same"
    )


async def test_parked_records_are_tried_again_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "before"})
        await table.settle()
        table.b.fail("update", Refused("400", fields={"x": "too long"}))
        table.a.edit("t", table.only("a").partition(":")[2], {"x": "after"})
        await table.settle()
    assert (await typed(capsys, "replay", "a.t", "--parked"))["records"] == 0, "it was set aside for the other one"
    assert (await typed(capsys, "replay", "--all", "--parked", "--reason", "nothing of it"))["records"] == 0
    found = await typed(capsys, "replay", "--all", "--parked", "--dry-run", code=10)
    assert [each["fields"] for each in found["diff"]] == [{"x": {"from": "before", "to": "after"}}]
    assert (await typed(capsys, "replay", "--all", "--parked"))["records"] == 1
    assert (await typed(capsys, "replay", "--all", "--parked"))["records"] == 0
    assert await again(table) == 1
    assert [entity.record["x"] for entity in table.b.all("t").values()] == ["after"]


@pytest.mark.process
async def test_killed_it_goes_on_where_it_was_and_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        await history(table)
    changes = [record for name in ("changes.a.t", "changes.b.t") for record in table.kept(name) if record.value]

    def told() -> list[tuple[str, bytes]]:
        return [(t, dict(each.headers)[REPLAYED]) for t in ("changes.a.t", "changes.b.t") for each in copies(table, t)]

    for signal_, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        before = len(told())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stream.cli.main", "replay", "--all", "--rate", "4"),
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stderr=asyncio.subprocess.PIPE,
        )
        more = before + 2
        await until(lambda more=more: len(told()) >= more and kept_in(tmp_path), "some were told again")
        process.send_signal(signal_)
        _, err = await process.communicate()
        assert process.returncode == code
        assert (b"goes on from there" in err) == (code == 130)
    done = len(told())
    assert 4 <= done < len(changes)
    assert (await typed(capsys, "replay", "--all", "--rate", "0"))["resumed"]
    assert set(told()) == {(each.topic, f"{each.partition}/{each.offset}".encode()) for each in changes}
    assert len(told()) <= len(changes) + 2, "a batch may be told twice, when its end was not noted"
    assert await again(table) == 0


async def test_a_bar_is_shown_on_a_terminal_alone(tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        await history(table)

    async def shown(to: int) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stream.cli.main", "replay", "--all", "--rate", "40", "--anew"),
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm"},
            stderr=to,
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await process.wait() == 0

    terminal, inside = os.openpty()
    await shown(inside)
    assert b"looked at" in os.read(terminal, 1 << 16)
    out, into = os.pipe()
    await shown(into)
    os.close(into)
    assert os.read(out, 1 << 16) == b""
    for file in (terminal, inside, out):
        os.close(file)


def test_a_place_is_kept_whole_and_a_broken_one_is_none(tmp_path: Path) -> None:
    file = file_of(tmp_path / "new", {"names": ("a.t",)})
    assert file != file_of(tmp_path / "new", {"names": ("b.t",)})
    assert load(file) is None
    made = Place(selection=Selection(types=("a.t",), ranges=(Range(1, 2),)), next={"changes.a.t/0": 3}, end={})
    save(file, made)
    assert load(file) == made
    file.write_bytes(b"{")
    assert load(file) is None
