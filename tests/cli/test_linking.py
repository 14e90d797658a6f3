"""``linkstream links find|set|unlink|never|import|export``: a person links and parts records."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from stream.cli.main import execute
from tests.cli.kept import Kept, kept


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LINKSTREAM_CONFIG", raising=False)
    monkeypatch.setenv("LINKSTREAM_BROKER", f"sqlite:///{tmp_path}/log.db")


async def typed(*words: str, code: int = 0) -> None:
    assert await asyncio.to_thread(execute, words) == code


async def apart(table: Kept) -> tuple[str, str]:
    """Two records that are two things, each linked to a counterpart of its own, and one that is linked to nothing."""
    left = table.a.add("t", {"name": "one", "x": "of a"})
    await table.settle()
    alone = table.b.add("t", {"name": "another", "x": "of b"})
    await table.settle()
    return f"a.t:{left.id}", f"b.t:{alone.id}"


def values(table: Kept, system: str) -> set[tuple[str, str]]:
    return {(entity.record["name"], entity.record["x"]) for entity in table.systems[system].all("t").values()}


async def later(tmp_path: Path, table: Kept) -> list[dict[str, Any]]:
    """What the worker makes of the orders, as the table shows it."""
    async with kept(tmp_path, systems=table.systems, now=table.now) as again:
        await again.settle()
        table.now = again.now


async def test_unlinked_and_linked_to_another_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path) as table:
        left, right = await apart(table)
    await typed("links", "set", left, right, code=1)
    assert "links unlink would come first" in capsys.readouterr().err
    await typed("links", "unlink", left)
    await later(tmp_path, table)
    await typed("links", "set", right, left)  # in either order
    await later(tmp_path, table)
    capsys.readouterr()
    await typed("links", "export")
    assert capsys.readouterr().out.splitlines() == ["flow,left,right", f"f,{left},{right}"]
    assert values(table, "a") == {("another", "of b")}
    await typed("links", "set", left, right)
    assert "are linked" in capsys.readouterr().out


async def test_never_lasts_although_they_match(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "x"})
        await table.settle()
        left, right = table.only("a"), table.only("b")
    await typed("links", "never", left, right)
    await later(tmp_path, table)
    table.a.edit("t", left.partition(":")[2], {"x": "changed"})
    await later(tmp_path, table)
    assert values(table, "b") == {("one", "x")}
    capsys.readouterr()
    await typed("links", "export")
    assert capsys.readouterr().out == "flow,left,right\n"
    await typed("links", "set", left, right)
    await later(tmp_path, table)
    assert values(table, "b") == {("one", "changed")}


async def test_a_file_of_links_is_all_or_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path) as table:
        left, right = await apart(table)
    await typed("links", "unlink", left)
    await later(tmp_path, table)
    file = tmp_path / "links.csv"
    file.write_text(f"flow,left,right\nf,{left},{right}\nf,a.t:nobody,{right}\n")
    capsys.readouterr()
    await typed("links", "import", str(file), code=1)
    said = capsys.readouterr().err
    assert f"{file}:3: a.t:nobody: nothing is known of it" in said
    assert "nothing was done" in said
    file.write_text(f"flow,left,right\nf,{left},{right}\n")
    await typed("links", "import", str(file), "--dry-run", code=10)
    await later(tmp_path, table)
    assert values(table, "a") == {("one", "of a")}
    await typed("links", "import", str(file))
    await later(tmp_path, table)
    assert values(table, "a") == {("another", "of b")}
    for wrong in ("", "left,right\n", "flow,left,right\nf,x\n"):
        file.write_text(wrong)
        await typed("links", "import", str(file), code=1)
        assert "would be right" in capsys.readouterr().err


async def test_records_are_found_by_what_stands_in_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path) as table:
        left, _ = await apart(table)
    await typed("links", "find", "OF A", "--type", "a.t", "--format", "json")
    [found] = json.loads(capsys.readouterr().out)
    assert (found["ref"], found["field"], found["value"]) == (left, "x", "of a")
    assert len(found["peers"]) == 1
    await typed("links", "find", "nowhere", code=1)
    await typed("links", "find", "one", "--type", "nonsense", code=2)


async def test_what_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path) as table:
        left, right = await apart(table)
    await typed("links", "unlink", right, code=1)
    assert "found 0 such links (it is linked to: none)" in capsys.readouterr().err
    await typed("links", "unlink", "a.t:nobody", code=1)
    await typed("links", "set", left, "a.t:2", code=2)
    await typed("links", "never", left, "b.t:nobody", code=1)
