"""Every connector against a system that fails in every way it can: the right error, and the truth unharmed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.errors import BadAnswer, ConnectorError, Locked, Missing, Refused, Retry, Unsure
from connectors.opening import open_endpoint
from connectors.sandbox.server import READER
from tests.connectors.benches import HERE, AsanaBench, CustomPmsBench, PowerOfficeBench, TrelloBench
from tests.connectors.contract import read_all

SYSTEMS: dict[str, Any] = {
    "custompms": CustomPmsBench,
    "asana": AsanaBench,
    "trello": TrelloBench,
    "powerofficego": PowerOfficeBench,
}


@pytest.fixture(params=SYSTEMS)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    bench = await SYSTEMS[request.param].open()
    yield bench
    await bench.close()


READS = [
    ({"kind": "status", "status": 500}, Retry),
    ({"kind": "status", "status": 502}, Retry),
    ({"kind": "status", "status": 503, "retry_after": "1"}, Retry),
    ({"kind": "status", "status": 429, "retry_after": "36000"}, Retry),
    ({"kind": "status", "status": 401}, Locked),
    ({"kind": "reset-before"}, Retry),
    ({"kind": "down"}, Retry),
    ({"kind": "truncate"}, BadAnswer),
    ({"kind": "html"}, BadAnswer),
    ({"kind": "garbage"}, BadAnswer),
    ({"kind": "wrong-shape"}, BadAnswer),
    ({"kind": "deep"}, BadAnswer),
    ({"kind": "nan"}, BadAnswer),
    ({"kind": "bomb"}, BadAnswer),
    ({"kind": "redirect"}, BadAnswer),
]


@pytest.mark.parametrize(("fault", "error"), READS, ids=[f"{one['kind']}-{one.get('status', '')}" for one, _ in READS])
async def test_a_list_that_fails(bench: Any, fault: dict[str, Any], error: type[ConnectorError]) -> None:
    await bench.add("one")
    bench.sandbox.fault(**fault)
    with pytest.raises(error):
        await bench.endpoint.page(bench.type, None)
    bench.heal()


@pytest.mark.parametrize("kind", ["html", "garbage", "wrong-shape", "deep", "nan", "truncate", "huge", "empty"])
async def test_a_record_that_is_none(bench: Any, kind: str) -> None:
    id_ = await bench.add("one")
    bench.sandbox.fault(kind)
    with pytest.raises(BadAnswer):
        await bench.endpoint.read(bench.type, id_)


async def test_a_large_list_that_is_none_is_no_list(bench: Any) -> None:
    bench.sandbox.fault("huge")
    with pytest.raises(BadAnswer):
        await bench.endpoint.page(bench.type, None)


WRITES = [
    ({"kind": "status", "status": 500}, Unsure, 0),
    ({"kind": "status", "status": 429}, Retry, 0),
    ({"kind": "status", "status": 401}, Locked, 0),
    ({"kind": "status", "status": 403}, Refused, 0),
    ({"kind": "status", "status": 404}, Refused, 0),
    ({"kind": "status", "status": 409}, Refused, 0),
    ({"kind": "redirect"}, Refused, 0),
    ({"kind": "reset-before"}, Unsure, 0),
    ({"kind": "status-after-apply", "status": 504}, Unsure, 1),
    ({"kind": "reset-after-apply"}, Unsure, 1),
    ({"kind": "truncate"}, Unsure, 1),
    ({"kind": "html"}, Unsure, 0),
    ({"kind": "wrong-shape"}, Unsure, 0),
]


@pytest.mark.parametrize(
    ("fault", "error", "made"), WRITES, ids=[f"{one['kind']}-{one.get('status', '')}" for one, _, _ in WRITES]
)
async def test_a_create_that_fails(bench: Any, fault: dict[str, Any], error: type[ConnectorError], made: int) -> None:
    bench.sandbox.fault(**fault, method="POST")
    with pytest.raises(error):
        await bench.endpoint.create(bench.type, {bench.title: "new", **bench.needed}, "f|a.b:1")
    bench.heal()
    assert len([one for one in bench.sandbox.truth if one.op == "create" and one.author == "linkstream"]) == made
    assert len(await bench.endpoint.find(bench.type, "f|a.b:1", 0)) == made


async def test_an_update_whose_answer_is_lost_is_unsure_and_done_once(bench: Any) -> None:
    base = await bench.endpoint.read(bench.type, await bench.add("one"))
    bench.forget_us()
    method = "PATCH" if isinstance(bench, CustomPmsBench | PowerOfficeBench) else "PUT"
    bench.sandbox.fault("reset-after-apply", method=method)
    with pytest.raises(Unsure):
        await bench.endpoint.update(bench.type, base, {bench.title: "two"})
    assert len(bench.sent()) == 1


async def test_a_machine_that_is_off_is_retry_for_reads_and_writes(bench: Any) -> None:
    await bench.add("one")
    await bench.endpoint.page(bench.type, None)
    await bench.sandbox.down()
    with pytest.raises(Retry):
        await bench.endpoint.page(bench.type, None)
    with pytest.raises(Retry):
        await bench.endpoint.create(bench.type, {bench.title: "new", **bench.needed}, "f|a.b:1")
    await bench.sandbox.up()
    assert (await bench.endpoint.page(bench.type, None)).entities


async def test_records_that_come_twice_count_once(bench: Any) -> None:
    for n in range(4):
        await bench.add(f"number {n}")
    bench.sandbox.fault("duplicate-ids")
    page = await bench.endpoint.page(bench.type, None)
    assert len({one.id for one in page.entities}) == len(page.entities)


async def test_a_flaky_list_is_read_whole_by_asking_again(bench: Any) -> None:
    ids = {await bench.add(f"number {n}") for n in range(12)}
    bench.sandbox.fault("reset-before", method="GET", probability=0.3, seed=7)
    found: set[str] = set()
    cursor, more = None, True
    while more:
        try:
            page = await bench.endpoint.page(bench.type, cursor)
        except Retry:
            continue
        found |= {one.id for one in page.entities}
        cursor, more = page.cursor, page.more
    assert ids <= found


async def test_a_record_dated_in_the_future_hides_nothing(bench: Any) -> None:
    await bench.add("one")
    real = bench.sandbox.world.clock
    bench.sandbox.world.clock = lambda: real() + 86_400_000_000
    await bench.add("from tomorrow")
    _, cursor = await read_all(bench.endpoint, bench.type)
    bench.sandbox.world.clock = real
    for table in bench.sandbox.system.tables.values():
        table._changes[:] = [(min(at, real()), name) for at, name in table._changes]
    late = await bench.add("late")
    found, _ = await read_all(bench.endpoint, bench.type, cursor)
    assert late in {one.id for one in found}


async def test_a_reader_may_not_write_and_a_stranger_may_not_read(bench: Any) -> None:
    name = next(name for name, kind in SYSTEMS.items() if isinstance(bench, kind))
    url, door = {"url": bench.sandbox.url}, bench.sandbox.door
    reader = open_endpoint("r", name, {**url, **door.secrets(READER)}, HERE)
    base = await reader.read(bench.type, await bench.add("one"))
    with pytest.raises(Refused, match="403"):
        await reader.update(bench.type, base, {bench.title: "two"})
    await reader.close()
    stranger = open_endpoint("s", name, {**url, **door.secrets("nobody-at-all")}, HERE)
    with pytest.raises(Locked) as locked:
        await stranger.read(bench.type, base.id)
    assert "nobody-at-all" not in repr(locked.value)
    await stranger.close()


async def test_an_id_cannot_leave_its_path(bench: Any) -> None:
    for odd in ("../customers/1", "1?x=y", "1#x", "a b", "ø", "%2e%2e"):
        with pytest.raises((Missing, Refused)):
            await bench.endpoint.read(bench.type, odd)
    asked = bench.sandbox.world.requests.keys() - {"POST /OAuth/Token"}
    assert all(path.startswith(f"GET {bench.sandbox.system.prefix}") for path in asked)
