"""The search of the command line and of the page: whatever stands in a record is found, however it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.engine.backends import open_reader
from stream.operate.search import search
from tests.cli.kept import kept


async def test_a_record_is_found_by_a_text_of_any_kind(tmp_path: Path) -> None:
    texts = {"ByggeLeder AS": "byggeleder", "ÆRLIG": "ærlig", "row 42": "42", 'a "b"': '"B"', "plain": "ain"}
    async with kept(tmp_path) as table:
        ids = {name: table.a.add("t", {"name": name, "x": [1, True]}).id for name in texts}
        table.a.add("t", {"name": "another", "x": False})
        await table.settle()
    with open_reader(table.topology.broker) as reader:
        for name, text in texts.items():
            found = [hit for hit in search(reader, text, ["a.t"]) if hit.field == "name"]
            assert [hit.value for hit in found] == [name]
            assert found[0].ref == f"a.t:{ids[name]}"
            assert [peer.partition(":")[0] for peer in found[0].peers] == ["b.t"]
        assert len(list(search(reader, "TRUE", ["a.t", "b.t"]))) == 2 * len(texts)
        by_id = [hit for hit in search(reader, f"a.t:{ids['plain']}".upper(), ["a.t"]) if not hit.field]
        assert [hit.ref for hit in by_id] == [f"a.t:{ids['plain']}"]
        assert list(search(reader, "nowhere", ["a.t", "b.t"])) == []
        assert [hit.value for hit in search(reader, "False", ["a.t"])] == [False]
        assert list(search(reader, "fals", ["a.t"])) == []


@pytest.mark.parametrize("most", [1, 3])
async def test_a_search_ends_when_it_is_told_to(tmp_path: Path, most: int) -> None:
    async with kept(tmp_path) as table:
        for number in range(4):
            table.a.add("t", {"name": f"one {number}"})
        await table.settle()
    with open_reader(table.topology.broker) as reader:
        assert len(list(search(reader, "one", ["a.t"], lambda looked: looked <= most))) == most
