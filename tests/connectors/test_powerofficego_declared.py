"""PowerOffice Go in its peculiarity is told by a declaration: 204 for nothing, exclusive bounds, JSON Patch, two keys.

The connector in code knows more of it; this shows that the language is long enough for a system like this one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import Refused, Stale
from connectors.opening import open_endpoint
from connectors.sandbox.run import serve
from tests.connectors.benches import PowerOfficeBench
from tests.connectors.contract import Bench, EndpointContract, read_all

HERE = Path(__file__).parent


@pytest.fixture
async def go(tmp_path: Path) -> AsyncIterator[PowerOfficeBench]:
    text = (HERE / "declared/powerofficego.yaml").read_text()
    (tmp_path / "go.yaml").write_text(re.sub(r"size: 5000", "size: 3", text).replace("[[10, 1]]", "[]"))
    bench = PowerOfficeBench(await serve("powerofficego"), "powerofficego", {})
    await bench.endpoint.close()
    given = {**bench.sandbox.settings(), **bench.sandbox.secrets()}
    endpoint: Any = open_endpoint("go", "go.yaml", given, tmp_path)
    await endpoint._client._auth.bearer()  # faults are for what comes after
    bench.endpoint = endpoint
    yield bench
    await bench.close()


class TestPowerOfficeGo(EndpointContract):
    @pytest.fixture
    def bench(self, go: Bench) -> Bench:
        return go


async def test_nothing_there_is_204(go: PowerOfficeBench) -> None:
    found, _ = await read_all(go.endpoint, "customers")
    assert found == []


async def test_a_department_is_active_unless_somebody_says_otherwise(go: PowerOfficeBench) -> None:
    made = await go.endpoint.create("departments", {"Name": "Lager Tromsø"}, "mark-1")
    assert made.record["IsActive"] is True
    assert [one.id for one in await go.endpoint.find("departments", "mark-1", 0)] == [made.id]
    await go.endpoint.remove("departments", made, "archive")
    assert (await go.endpoint.read("departments", made.id)).record["IsActive"] is False


async def test_what_changed_behind_the_comparison_is_noticed_by_the_patch(go: PowerOfficeBench) -> None:
    made = await go.endpoint.create("departments", {"Name": "Lager"}, "mark-1")
    endpoint: Any = go.endpoint
    read = endpoint.read

    async def late(type: str, id: str) -> Any:
        fresh = await read(type, id)
        await go.edit(id, "Name", "Somebody was faster", "Departments")
        return fresh

    endpoint.read = late
    with pytest.raises(Stale):
        await endpoint.update("departments", made, {"Name": "Butikk"})
    assert (await read("departments", made.id)).record["Name"] == "Somebody was faster"


async def test_a_refusal_names_the_field(go: PowerOfficeBench) -> None:
    with pytest.raises(Refused) as refused:
        await go.endpoint.create("departments", {"Name": " "}, "m")
    assert refused.value.fields.keys() == {"Name"}
