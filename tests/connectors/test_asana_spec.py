"""Connector and sandbox keep to Asana's own OpenAPI file, as a validator that we did not write reads it.

The file is the vendor's and is not part of this repository; ``LINKSTREAM_SPECS`` names the folder where it lies.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from connectors.sandbox.server import Exchange
from tests.connectors.benches import AsanaBench
from tests.connectors.contract import Bench, EndpointContract, read_all
from tests.connectors.reduced import reduced

SPECS = os.environ.get("LINKSTREAM_SPECS")
pytestmark = pytest.mark.skipif(
    not SPECS, reason="the vendors' files are not here; LINKSTREAM_SPECS names their folder"
)

HOST = "https://app.asana.com"


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return reduced(json.loads((Path(SPECS or "") / "asana.patched.openapi.json").read_bytes()))


@pytest.fixture(scope="module")
def vendor(spec: dict[str, Any]) -> OpenAPI:
    return OpenAPI.from_dict(spec)


def request_of(one: Exchange) -> MockRequest:
    return MockRequest(
        HOST,
        one.method.lower(),
        one.path,
        args=one.query,
        headers={"Authorization": one.headers.get("Authorization", "")},
        data=one.body or None,
    )


def check(vendor: OpenAPI, one: Exchange) -> None:
    if one.status < 400:
        vendor.validate_request(request_of(one))
    if one.status < 400 or one.status in {400, 401, 403, 404}:
        vendor.validate_response(request_of(one), MockResponse(one.answer, one.status))


class TestAsanaByTheBook(EndpointContract):
    """The contract once more, with every request and every answer validated."""

    @pytest.fixture
    async def bench(self, vendor: OpenAPI) -> AsyncIterator[Bench]:
        bench = await AsanaBench.open(record=True)
        yield bench
        await bench.close()
        exchanges = bench.sandbox.world.exchanges or ()
        for one in exchanges:
            check(vendor, one)


async def test_all_types_and_writes_are_by_the_book(vendor: OpenAPI) -> None:
    bench = await AsanaBench.open(record=True, rename_workspaces=True)
    endpoint = bench.endpoint
    for name in endpoint.traits():
        for one in (await read_all(endpoint, name))[0]:
            await endpoint.read(name, one.id)
    team = await endpoint.create("teams", {"name": "Salg", "description": "Nord"}, "f|a.b:t")
    await endpoint.update("teams", team, {"description": "Sør"})
    wanted = {"name": "Nytt tak", "team": team.id, "notes": "x", "due_on": "2026-09-01", "start_on": "2026-08-01"}
    project = await endpoint.create("projects", wanted, "f|a.b:p")
    project = await endpoint.update("projects", project, {"color": None, "start_on": "2026-08-02", "notes": "y"})
    owner = next(iter(bench.system.tables["user"].ids()))
    project = await endpoint.update("projects", project, {"owner.gid": owner, "archived": True})
    task = await endpoint.create(
        "tasks", {"name": "one", "projects.gid": project.id, "due_on": "2026-09-01"}, "f|a.b:x"
    )
    task = await endpoint.update("tasks", task, {"start_on": "2026-08-01", "completed": True, "assignee": owner})
    task = await endpoint.update("tasks", task, {"due_at": "2026-09-01T10:00:00.000Z", "notes": None})
    task = await endpoint.update("tasks", task, {"projects": [bench.project], "assignee": None})
    await endpoint.remove("tasks", task, "delete")
    workspace = await endpoint.read("workspaces", bench.system.organization)
    await endpoint.update("workspaces", workspace, {"name": "Annet AS"})
    await bench.close()
    exchanges = list(bench.sandbox.world.exchanges or ())
    assert {one.method for one in exchanges} == {"GET", "POST", "PUT", "DELETE"}
    for one in exchanges:
        check(vendor, one)


WRITES = [
    ("post", "/tasks"),
    ("put", "/tasks/1"),
    ("post", "/projects"),
    ("put", "/projects/1"),
    ("post", "/teams"),
    ("put", "/teams/1"),
    ("put", "/workspaces/1"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("data", [{"name": 5}, {"permalink_url": "x"}, {"no_such_field": 1}])
def test_the_validator_refuses_what_is_wrong(vendor: OpenAPI, method: str, path: str, data: dict[str, Any]) -> None:
    """A validator that cannot read a schema may accept everything; so each operation is tried with rubbish."""

    def sent(fields: dict[str, Any]) -> MockRequest:
        body = json.dumps({"data": fields}).encode()
        return MockRequest(HOST, method, f"/api/1.0{path}", headers={"Authorization": "Bearer x"}, data=body)

    vendor.validate_request(sent({"name": "right"}))
    with pytest.raises(OpenAPIError):
        vendor.validate_request(sent(data))


def test_the_validator_refuses_wrong_answers_and_parameters(vendor: OpenAPI) -> None:
    def asked(**query: str) -> MockRequest:
        return MockRequest(HOST, "get", "/api/1.0/tasks", args=query, headers={"Authorization": "Bearer x"})

    vendor.validate_request(asked(limit="100", opt_fields="name,notes"))
    for query in ({"limit": "500"}, {"opt_fields": "name,nonsense"}, {"modified_since": "yesterday"}):
        with pytest.raises(OpenAPIError):
            vendor.validate_request(asked(**query))
    with pytest.raises(OpenAPIError):
        vendor.validate_response(asked(), MockResponse(b'{"data": [{"gid": 5}]}', 200))
