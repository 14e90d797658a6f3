"""The ten minutes of docs/connectors.md, as they stand there."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from connectors.document import load
from connectors.explaining import schema_text
from connectors.opening import open_endpoint
from stream.cli.main import execute
from tests.connectors.contract import Bench, EndpointContract
from tests.connectors.test_http import server
from tests.connectors.verksted import KEY, Verksted

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/connectors.md").read_text(encoding="utf-8")
FIRST, WHOLE = re.findall(r"```yaml\n(# verksted\.yaml\n.*?)```", TEXT, re.DOTALL)


class VerkstedBench:
    type, title, text, secret, page, update = "job", "title", "note", KEY, 3, 2
    needed: Mapping[str, Any] = {}

    def __init__(self, system: Verksted, endpoint: Any) -> None:
        self.system, self.endpoint = system, endpoint

    async def add(self, title: str) -> str:
        return str(self.system.add({"title": title})["id"])

    async def edit(self, id: str, path: str, value: Any) -> None:
        self.system.put(int(id), {path: value})

    async def drop(self, id: str) -> None:
        del self.system.jobs[int(id)]

    def lose_answer(self) -> None:
        self.system.lose = True

    def forget_us(self) -> None:
        self.system.ours.clear()

    def requests(self) -> int:
        return len(self.system.methods)

    def sent(self) -> list[dict[str, Any]]:
        return list(self.system.ours)


class TestVerksted(EndpointContract):
    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        (tmp_path / "verksted.yaml").write_text(WHOLE.replace("size: 50", "size: 3"))
        system = Verksted()
        async with server(system) as url:
            endpoint = open_endpoint("v", "verksted.yaml", {"url": f"{url}/api", "key": KEY}, tmp_path)
            yield VerkstedBench(system, endpoint)
            await endpoint.close()


async def checked(file: Path, system: Verksted, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the command of the documentation while the system answers."""
    async with server(system) as url:
        line = ["connector", "check", str(file), "--live", "-s", f"url={url}/api", "-s", "key=${VERKSTED_KEY}"]
        code = await asyncio.to_thread(execute, line)
    said = capsys.readouterr()
    assert KEY not in said.out + said.err
    return code, said.out + said.err


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Verksted:
    monkeypatch.setenv("VERKSTED_KEY", KEY)
    made = Verksted()
    for number in range(60):
        made.add({"title": f"Bytt kjede {number}", "note": "på Åses sykkel", "promised": "2026-12-01"})
    return made


async def test_the_first_step_reads_a_page_and_says_what_is_odd(
    tmp_path: Path, system: Verksted, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "verksted.yaml").write_text(FIRST)
    code, said = await checked(tmp_path / "verksted.yaml", system, capsys)
    assert code == 0
    shown = TEXT[TEXT.index("one page of each, nothing was written:\n") :].partition("```")[0]
    assert shown in said
    assert set(system.methods) == {"GET"}


async def test_the_whole_declaration_has_nothing_odd(
    tmp_path: Path, system: Verksted, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "verksted.yaml").write_text(WHOLE)
    code, said = await checked(tmp_path / "verksted.yaml", system, capsys)
    assert (code, set(system.methods)) == (0, {"GET"})
    assert "job: 50 records, the first is 41\n\n" in said
    assert "class 3: a create is made once, our mark is looked up" in " ".join(said.split())


async def test_a_record_that_is_not_as_declared_fails_the_check(
    tmp_path: Path, system: Verksted, capsys: pytest.CaptureFixture[str]
) -> None:
    system.put(43, {"state": "stolen"})
    (tmp_path / "verksted.yaml").write_text(WHOLE.replace("note: string", "notes: string"))
    code, said = await checked(tmp_path / "verksted.yaml", system, capsys)
    assert code == 2
    assert "found 'note'; 'notes' would be right" in said
    (tmp_path / "verksted.yaml").write_text(WHOLE)
    code, said = await checked(tmp_path / "verksted.yaml", system, capsys)
    assert code == 1
    assert "wrong: job:43: state: found 'stolen'; one of waiting, mending, ready would be right" in said


def test_the_schema_for_editors_knows_every_declaration() -> None:
    schema = json.loads(schema_text())
    Draft202012Validator.check_schema(schema)
    assert (ROOT / "schema/connector.schema.json").read_text(encoding="utf-8") == schema_text()
    for text in (WHOLE, *(file.read_text(encoding="utf-8") for file in (ROOT / "connectors").glob("*.yaml"))):
        assert not list(Draft202012Validator(schema).iter_errors(load(text.encode()).value))
