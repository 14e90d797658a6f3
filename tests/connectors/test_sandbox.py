"""The sandboxes behave like the vendors where it hurts, and write down the truth."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from connectors.sandbox.company import company
from connectors.sandbox.run import SYSTEMS, Sandbox, serve
from connectors.sandbox.server import LINKSTREAM, PERSON, READER


@pytest.fixture
async def pms() -> AsyncIterator[Sandbox]:
    sandbox = await serve("custompms", count=40)
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def asana() -> AsyncIterator[Sandbox]:
    sandbox = await serve("asana", count=40)
    yield sandbox
    await sandbox.close()


def test_a_company_is_the_same_for_the_same_seed() -> None:
    assert company(100, 7) == company(100, 7)
    assert company(100, 7) != company(100, 8)
    made = company(100, 7)
    assert (len(made.customers), len(made.projects), len(made.tasks)) == (2, 5, 100)
    assert any(letter in repr(made) for letter in "æøå")


async def test_the_truth_names_authors_and_states(pms: Sandbox) -> None:
    made = await pms.act("POST", "/tasks", {"title": "  Ring kunden "}, token=LINKSTREAM)
    await pms.act("PATCH", f"/tasks/{made['id']}", {"status": "done"})
    await pms.act("DELETE", f"/tasks/{made['id']}")
    assert [(one.op, one.author, one.type) for one in pms.truth] == [
        ("create", "linkstream", "task"),
        ("update", "Kari Nordmann", "task"),
        ("delete", "Kari Nordmann", "task"),
    ]
    assert pms.truth[0].after is not None
    assert pms.truth[0].after["title"] == "Ring kunden"
    assert pms.truth[1].request["body"] == {"status": "done"}
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{pms.origin}/_sandbox/truth?since=1") as response:
            assert [one["op"] for one in await response.json()] == ["update", "delete"]
        async with session.get(f"{pms.origin}/_sandbox/requests") as response:
            assert (await response.json())["total"] == 3


async def test_faults_are_ordered_and_cleared_from_outside(pms: Sandbox) -> None:
    async with aiohttp.ClientSession() as session:
        fault = {"kind": "status", "status": 503, "path": "*/tasks", "count": 1}
        async with session.post(f"{pms.origin}/_sandbox/fault", json=fault) as response:
            assert response.status == 201
        with pytest.raises(RuntimeError, match="503"):
            await pms.act("GET", "/tasks")
        await pms.act("GET", "/tasks")
        async with session.post(f"{pms.origin}/_sandbox/fault", json={"kind": "nonsense"}) as response:
            assert response.status == 400
        pms.fault("status", status=500)
        async with session.delete(f"{pms.origin}/_sandbox/fault") as response:
            assert response.status == 200
    await pms.act("GET", "/tasks")


async def test_chance_is_the_same_for_the_same_seed() -> None:
    runs = []
    for _ in range(2):
        sandbox = await serve("custompms")
        sandbox.fault("status", status=500, probability=0.5, seed=3)
        outcomes = []
        for _ in range(20):
            try:
                await sandbox.act("GET", "/tasks")
                outcomes.append(True)
            except RuntimeError:
                outcomes.append(False)
        runs.append(outcomes)
        await sandbox.close()
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 2


LISTS = {
    "asana": "/workspaces",
    "crmoffice": "/users",
    "customerp": "/employees",
    "custompms": "/tasks",
    "powerofficego": "/Departments",
    "trello": "/members/me/boards",
}
SHORT = {
    "asana": "/projects?limit=100",
    "custompms": "/tasks?limit=100&offset=4000",
    "powerofficego": "/Projects?PageSize=100",
}


@pytest.mark.parametrize("system", sorted(SYSTEMS))
async def test_a_limit_is_kept_by_token_and_refused_calls_count(system: str) -> None:
    sandbox = await serve(system, limit=(3, 60))
    path = LISTS[system]
    for _ in range(3):
        await sandbox.act("GET", path)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{sandbox.url}{path}", headers=sandbox.door.headers(PERSON)) as response,
    ):
        assert response.status == 429
        if system in {"trello", "powerofficego"}:
            assert "Retry-After" not in response.headers
        else:
            assert 0 < int(response.headers["Retry-After"]) <= 60
    await sandbox.act("GET", path, token=LINKSTREAM)
    await sandbox.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/tasks", {"title": " "}, "can't be blank"),
        ("POST", "/tasks", {}, "title"),
        ("POST", "/tasks", {"title": "x", "status": "doing"}, "open or done"),
        ("POST", "/tasks", {"title": "x", "dueDate": "2026-02-30"}, "must be a date"),
        ("POST", "/tasks", {"title": "x", "projectId": 99}, "does not exist"),
        ("POST", "/tasks", {"title": "x", "projectId": "1001"}, "must be an integer"),
        ("POST", "/tasks", {"title": "x", "updated_at": "2026-01-01"}, "not a field that can be written"),
        ("POST", "/tasks", [1], "400"),
        ("GET", "/tasks/99", None, "404"),
        ("GET", "/tasks?limit=500", None, "400"),
        ("GET", "/tasks?updated_since=yesterday", None, "400"),
        ("PUT", "/tasks/1001", {}, "405"),
        ("GET", "/nowhere", None, "404"),
    ],
)
async def test_the_pms_refuses(pms: Sandbox, method: str, path: str, body: object, said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        await pms.act(method, path, body)
    assert pms.truth == []


@pytest.mark.parametrize(
    ("method", "path", "data", "said"),
    [
        ("POST", "/tasks", {"name": "x"}, "workspace: Missing input"),
        ("POST", "/tasks", {"name": 5, "projects": []}, "name: Not a valid text"),
        ("PUT", "/tasks/{task}", {"completed_at": "2026-01-01T00:00:00Z"}, "Cannot write this property"),
        ("PUT", "/tasks/{task}", {"start_on": "2026-01-01"}, "must be present in the request"),
        ("PUT", "/tasks/{task}", {"due_on": "2026-01-01", "due_at": "2026-01-01T00:00:00Z"}, "together"),
        ("PUT", "/tasks/{task}", {"projects": []}, "Cannot write this property"),
        ("PUT", "/projects/{project}", {"start_on": "2026-01-01", "due_on": "2026-01-01"}, "Must be before"),
        ("POST", "/projects", {"name": "x", "workspace": "{organization}"}, "team"),
        ("POST", "/teams", {"name": "x", "organization": "{private}"}, "Not an organization"),
        ("GET", "/workspaces/{private}/teams", None, "Not an organization"),
        ("DELETE", "/teams/{team}", None, "405"),
        ("POST", "/workspaces", {"name": "x"}, "405"),
        ("GET", "/workspaces/{organization}/tasks/search", None, "402"),
        ("GET", "/tasks", None, "You should specify one of"),
        ("GET", "/tasks?project=1", None, "404"),
        ("GET", "/projects?limit=101", None, "between 1 and 100"),
        ("GET", "/projects?limit=1&offset=nonsense", None, "expired"),
    ],
)
async def test_asana_refuses(asana: Sandbox, method: str, path: str, data: object, said: str) -> None:
    system = asana.system
    names = {name: getattr(system, name) for name in ("organization", "private", "team")}
    names |= {name: next(iter(system.tables[name].ids())) for name in ("task", "project")}  # type: ignore[attr-defined]
    if isinstance(data, dict):
        data = {name: value.format(**names) if isinstance(value, str) else value for name, value in data.items()}
    with pytest.raises(RuntimeError, match=said):
        await asana.act(method, path.format(**names), None if data is None else {"data": data})
    assert asana.truth == []


async def test_asana_is_compact_without_opt_fields(asana: Sandbox) -> None:
    (first, *_) = (await asana.act("GET", "/projects"))["data"]
    assert set(first) == {"gid", "resource_type", "name"}
    (first, *_) = (await asana.act("GET", "/projects?opt_fields=notes,team.name"))["data"]
    assert set(first) == {"gid", "resource_type", "notes", "team"}
    assert first["team"]["name"] == "Prosjekt"


async def test_asana_offsets_expire_by_the_clock() -> None:
    now = [1_700_000_000_000_000]
    sandbox = await serve("asana", count=60, clock=lambda: now[0])
    page = await sandbox.act("GET", "/projects?limit=1")
    offset = page["next_page"]["offset"]
    now[0] += 59_000_000
    await sandbox.act("GET", f"/projects?limit=1&offset={offset}")
    now[0] += 2_000_000
    with pytest.raises(RuntimeError, match="expired"):
        await sandbox.act("GET", f"/projects?limit=1&offset={offset}")
    await sandbox.close()


async def test_asana_does_not_count_a_move_as_a_change(asana: Sandbox) -> None:
    gid = next(iter(asana.system.tables["task"].ids()))  # type: ignore[attr-defined]
    fields = "?opt_fields=modified_at,projects"
    before = (await asana.act("GET", f"/tasks/{gid}{fields}"))["data"]
    other = next(one for one in asana.system.members if one != before["projects"][0]["gid"])  # type: ignore[attr-defined]
    await asana.act("POST", f"/tasks/{gid}/addProject", {"data": {"project": other}})
    after = (await asana.act("GET", f"/tasks/{gid}{fields}"))["data"]
    assert after["modified_at"] == before["modified_at"]
    assert len(after["projects"]) == 2


async def test_strangers_and_readers_are_kept_out(pms: Sandbox) -> None:
    with pytest.raises(RuntimeError, match="401"):
        await pms.act("GET", "/tasks", token="nobody")
    await pms.act("GET", "/tasks", token=READER)
    with pytest.raises(RuntimeError, match="403"):
        await pms.act("POST", "/tasks", {"title": "x"}, token=READER)


@pytest.mark.parametrize("system", sorted(SYSTEMS))
async def test_a_large_sandbox_answers_at_once(system: str) -> None:
    sandbox = await serve(system, count=5_000)
    path = SHORT.get(system, LISTS[system])
    begun = time.perf_counter()
    for _ in range(100):
        await sandbox.act("GET", path)
    assert (time.perf_counter() - begun) / 100 < 0.02
    await sandbox.close()
