"""Deletions of which a system tells nothing are noticed: over the connectors, from the sandboxes' own lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from connectors.endpoint import Endpoint
from stream.absence import APART
from stream.codec import decode_change
from stream.engine.log import TopicSettings
from stream.engine.memory import MemoryLog, lanes_of
from stream.poll import Reader
from stream.topics import PARKED, POLLS, changes
from tests.connectors.benches import AsanaBench, CrmOfficeBench, CustomPmsBench, PowerOfficeBench, TrelloBench
from tests.connectors.test_powerofficego import at as at_powerofficego
from tests.connectors.test_trello import at as at_trello

Gone = Callable[[], list[str]]


async def watched(
    name: str, endpoint: Endpoint, ahead: Callable[[float], None]
) -> tuple[Callable[[float], Awaitable[None]], Gone]:
    """A reader of a type: what reads a round so many seconds later, and what tells which records are gone."""
    log, clock = MemoryLog(), [1_700_000_000_000_000]
    await log.declare({topic: TopicSettings() for topic in (PARKED, POLLS, changes(name))}, 1)
    (lane,) = await lanes_of(log, "poll", [POLLS])
    reader = Reader(name, "sandbox", endpoint, 1, lambda: clock[0])

    async def later(seconds: float) -> None:
        ahead(seconds)
        clock[0] += round(seconds * 1_000_000)
        while await reader.read(lane.turn):
            pass

    def gone() -> list[str]:
        said = [each.value for each in log.records[changes(name), 0] if each.value is not None]
        told = [decode_change(value) for value in said if b'"source"' in value]
        return [each.source.id for each in told if each.op == "d"]

    return later, gone


async def seen_to_go(
    later: Callable[[float], Awaitable[None]], gone: Gone, drop: Callable[[], Awaitable[Any]], within: float = 3_600
) -> None:
    await later(0)
    await later(600)
    await drop()
    await later(600)
    assert gone() == []
    await later(within)
    assert gone() == [], "missing once"
    await later(APART / 1_000_000)


async def test_a_customer_of_poweroffice_go() -> None:
    bench = await PowerOfficeBench.open()
    one, _ = await bench.add("en"), await bench.add("to")
    later, gone = await watched("powerofficego.customers", bench.endpoint, lambda s: at_powerofficego(bench, s))
    await seen_to_go(later, gone, lambda: bench.drop(one))
    assert gone() == [one]
    await bench.close()


async def test_a_comment_at_trello_that_is_not_too_old() -> None:
    bench = await TrelloBench.open()
    card = await bench.add("kort")
    old = await bench.comment(card, "gammel")
    at_trello(bench, 8 * 86_400)
    one, _ = await bench.comment(card, "en"), await bench.comment(card, "to")
    later, gone = await watched("trello.actions", bench.endpoint, lambda s: at_trello(bench, s))

    async def drop() -> None:
        for id in (one, old):
            await bench.sandbox.act("DELETE", f"/actions/{id}")

    await seen_to_go(later, gone, drop)
    assert gone() == [one]
    await bench.close()


async def test_a_workspace_of_trello() -> None:
    bench = await TrelloBench.open()
    made = await bench.sandbox.act("POST", "/organizations", {"displayName": "Ny"})
    later, gone = await watched("trello.organizations", bench.endpoint, lambda s: at_trello(bench, s))
    await seen_to_go(later, gone, lambda: bench.sandbox.act("DELETE", f"/organizations/{made['id']}"))
    assert gone() == [made["id"]]
    await bench.close()


async def test_an_activity_of_crmoffice() -> None:
    bench = await CrmOfficeBench.open()
    one, _ = await bench.add("en"), await bench.add("to")
    later, gone = await watched("crmoffice.activities", bench.endpoint, lambda _: None)
    await seen_to_go(later, gone, lambda: bench.drop(one))
    assert gone() == [one]
    await bench.close()


@pytest.mark.parametrize("opened", [CustomPmsBench, AsanaBench])
async def test_a_task_that_is_read_by_change(opened: type[CustomPmsBench | AsanaBench]) -> None:
    bench = await opened.open()
    one, _ = await bench.add("en"), await bench.add("to")
    endpoint: Any = bench.endpoint

    def ahead(seconds: float) -> None:
        now = endpoint._now
        endpoint._now = lambda: now() + seconds

    later, gone = await watched(f"system.{bench.type}", bench.endpoint, ahead)
    await seen_to_go(later, gone, lambda: bench.drop(one), 86_400)
    assert gone() == [one]
    await bench.close()
