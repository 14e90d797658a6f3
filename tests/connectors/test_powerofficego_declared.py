"""A system in all its peculiarity is told by a declaration: 204 for nothing, exclusive bounds, JSON Patch, two keys."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connectors.errors import Refused, Stale
from connectors.fields import read_time, write_time
from connectors.registry import open_endpoint
from tests.connectors.contract import Bench, EndpointContract, read_all
from tests.connectors.test_http import server

HERE = Path(__file__).parent
KEYS = {"application_key": "app", "client_key": "canary-client", "subscription_key": "canary-subscription"}
MARKS = {"Departments": ("Code", "codes"), "Customers": ("ExternalImportReference", "externalImportReferences")}
KNOWN = {"Name", "IsActive", "IsArchived", "EmailAddress", "MailAddress", "Code", "ExternalImportReference"}


class Go:
    """As much of the system as a list, a record and a JSON Patch need."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in MARKS}
        self.writes: list[Any] = []
        self.calls: list[tuple[str, int]] = []
        self.lose = False
        self._time = 1_760_000_000_000_000
        self._number = 1000

    def put(self, table: str, id: int, **fields: Any) -> dict[str, Any]:
        self._time += 5_000_000
        former = self.rows[table].get(id, {"Id": id, "Name": None, "IsActive": False, "EmailAddress": None})
        self.rows[table][id] = {**former, **fields, "LastChangedDateTimeOffset": write_time(self._time)}
        return self.rows[table][id]

    def add(self, table: str, **fields: Any) -> dict[str, Any]:
        self._number += 1
        return self.put(table, self._number, **fields)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        answer = await self._answer(request)
        self.calls.append((request.method, answer.status))
        if self.lose and request.method == "POST" and "Token" not in request.path:
            self.lose = False
            request.transport.abort()  # type: ignore[union-attr]
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Ocp-Apim-Subscription-Key") != "canary-subscription":
            return web.json_response({"statusCode": 401, "message": "Access denied"}, status=401)
        if request.path == "/Demo/OAuth/Token":
            named = base64.b64encode(b"app:canary-client").decode()
            good = request.headers["Authorization"] == f"Basic {named}"
            return web.json_response({"access_token": "canary-token", "expires_in": 1200}, status=200 if good else 400)
        if request.headers.get("Authorization") != "Bearer canary-token":
            return self._problem(401, "Unauthorized")
        _, _, _, table, *rest = request.path.split("/")
        if rest:
            return await self._one(table, int(rest[0]) if rest[0].isdecimal() else 0, request)
        return self._listed(table, request) if request.method == "GET" else await self._made(table, request)

    async def _one(self, table: str, id: int, request: web.Request) -> web.Response:
        rows = self.rows[table]
        if id not in rows:
            return self._problem(404, f"{table} not found")
        if request.method == "GET":
            return web.json_response(rows[id])
        if request.method == "PATCH":
            return await self._patched(table, id, request)
        self.writes.append({})
        del rows[id]
        return web.Response(status=204)

    def _listed(self, table: str, request: web.Request) -> web.Response:
        query = request.query
        field, filter = MARKS[table]
        since = read_time(query.get("lastChangedDateTimeOffsetGreaterThan")) or 0
        found = [
            row
            for row in self.rows[table].values()
            if (filter not in query or row.get(field) == query[filter])
            and (read_time(row["LastChangedDateTimeOffset"]) or 0) > since
        ]
        page, size = int(query["PageNumber"]), int(query["PageSize"])
        shown = found[(page - 1) * size : page * size]
        return web.json_response(shown) if shown else web.Response(status=204)

    async def _made(self, table: str, request: web.Request) -> web.Response:
        sent = await request.json()
        self.writes.append(sent)
        if not (sent.get("Name") or "").strip():
            return self._problem(400, "Name is required")
        return web.json_response(self.add(table, **sent), status=201)

    async def _patched(self, table: str, id: int, request: web.Request) -> web.Response:
        assert request.content_type == "application/json-patch+json"
        operations = await request.json()
        row = self.rows[table][id]
        for each in operations:
            name = each["path"].split("/")[1]
            if name not in KNOWN:
                return self._problem(400, f"{name} cannot be changed")
            if each["op"] == "test" and row.get(name) != each["value"]:
                return self._problem(409, f"The test of {each['path']} failed")
        self.writes.append({each["path"][1:]: each["value"] for each in operations if each["op"] != "test"})
        changed = {each["path"][1:]: each["value"] for each in operations if each["op"] != "test"}
        return web.json_response(self.put(table, id, **changed))

    def _problem(self, status: int, detail: str) -> web.Response:
        return web.json_response({"title": "Error", "detail": detail, "status": status}, status=status)


class GoBench:
    type, title, text, page = "customer", "Name", "EmailAddress", 3
    secret = "canary-client"
    needed: Mapping[str, Any] = {}

    def __init__(self, system: Go, endpoint: Any) -> None:
        self.system, self.endpoint = system, endpoint

    async def add(self, title: str) -> str:
        return str(self.system.add("Customers", Name=title)["Id"])

    async def edit(self, id: str, path: str, value: Any) -> None:
        self.system.put("Customers", int(id), **{path: value})

    async def drop(self, id: str) -> None:
        del self.system.rows["Customers"][int(id)]

    def lose_answer(self) -> None:
        self.system.lose = True

    def forget_us(self) -> None:
        self.system.writes.clear()

    def sent(self) -> list[dict[str, Any]]:
        return list(self.system.writes)


@pytest.fixture
async def go(tmp_path: Path) -> AsyncIterator[GoBench]:
    text = (HERE / "declared/powerofficego.yaml").read_text()
    (tmp_path / "go.yaml").write_text(text.replace("size: 5000", "size: 3").replace("[[10, 1]]", "[]"))
    system = Go()
    async with server(system) as url:
        endpoint = open_endpoint("go", "go.yaml", {"url": f"{url}/Demo/v2", **KEYS}, tmp_path)
        yield GoBench(system, endpoint)
        await endpoint.close()


class TestPowerOfficeGo(EndpointContract):
    @pytest.fixture
    def bench(self, go: GoBench) -> Bench:
        return go


async def test_nothing_there_is_204(go: GoBench) -> None:
    assert await read_all(go.endpoint, "department") == ([], None)
    assert go.system.calls[-1] == ("GET", 204)


async def test_a_department_is_active_unless_somebody_says_otherwise(go: GoBench) -> None:
    made = await go.endpoint.create("department", {"Name": "Lager Tromsø"}, "mark-1")
    assert made.record["IsActive"] is True
    assert (await go.endpoint.find("department", "mark-1", 0))[0].id == made.id
    await go.endpoint.remove("department", made, "archive")
    assert go.system.rows["Departments"][int(made.id)]["IsActive"] is False


async def test_what_changed_behind_the_comparison_is_noticed_by_the_patch(go: GoBench) -> None:
    made = await go.endpoint.create("department", {"Name": "Lager"}, "mark-1")
    read, system = go.endpoint.read, go.system

    async def late(type: str, id: str) -> Any:
        fresh = await read(type, id)
        system.put("Departments", int(id), Name="Somebody was faster")
        return fresh

    go.endpoint.read = late
    with pytest.raises(Stale, match="The test of /Name failed"):
        await go.endpoint.update("department", made, {"Name": "Butikk"})
    assert system.rows["Departments"][int(made.id)]["Name"] == "Somebody was faster"


async def test_a_refusal_names_the_field(go: GoBench) -> None:
    with pytest.raises(Refused, match="Name is required") as refused:
        await go.endpoint.create("department", {"Name": " "}, "m")
    assert refused.value.fields.keys() == {"Name"}
