"""A write that had to wait is compared once more when its turn comes, where the system compares nothing itself.

Between our reading and our write a person may be faster. How long we wait for a place must not make that more likely.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from connectors.endpoint import Entity
from connectors.errors import Stale
from connectors.fields import pick
from connectors.http import FRESH
from tests.connectors.benches import AsanaBench, CrmOfficeBench, CustomErpBench, CustomPmsBench, TrelloBench

COMPARING_NOTHING = [AsanaBench, CrmOfficeBench, CustomErpBench, CustomPmsBench, TrelloBench]


async def overtaken(bench: Any, write: Callable[[Entity], Awaitable[object]]) -> str:
    """Have a write wait while a person types, longer than a reading stays fresh; the record's id."""
    id = str(await bench.add("en"))
    base = await bench.endpoint.read(bench.type, id)
    client = bench.endpoint._client
    client.budget.shut(0.3)
    writing = asyncio.ensure_future(write(base))
    await asyncio.sleep(0.05)
    await bench.edit(id, bench.title, "en person")
    clock = client._clock
    client._clock = lambda: clock() + 2 * FRESH
    with pytest.raises(Stale):
        await writing
    return id


@pytest.mark.parametrize("kind", COMPARING_NOTHING)
async def test_an_update_that_waited_writes_over_nobody(kind: Any) -> None:
    bench = await kind.open()
    id = await overtaken(bench, lambda base: bench.endpoint.update(bench.type, base, {bench.title: "vi"}))
    assert pick((await bench.endpoint.read(bench.type, id)).record, bench.title) == "en person"
    await bench.close()


@pytest.mark.parametrize("kind", COMPARING_NOTHING)
async def test_a_removal_that_waited_removes_nothing_new(kind: Any) -> None:
    bench = await kind.open()
    id = await overtaken(bench, lambda base: bench.endpoint.remove(bench.type, base, "delete"))
    assert await bench.endpoint.read(bench.type, id)
    await bench.close()


@pytest.mark.parametrize("kind", COMPARING_NOTHING)
async def test_a_write_that_did_not_wait_costs_no_second_reading(kind: Any) -> None:
    bench = await kind.open(record=True)
    base = await bench.endpoint.read(bench.type, str(await bench.add("en")))
    before = bench.requests()
    await bench.endpoint.update(bench.type, base, {bench.title: "to"})
    assert bench.requests() - before == bench.update
    await bench.close()
