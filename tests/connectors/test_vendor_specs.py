"""Connectors and sandboxes keep to the OpenAPI files of Trello and PowerOffice Go, as a validator of others reads them.

The files are the vendors' and are not part of this repository; ``LINKSTREAM_SPECS`` names the folder where they lie.
Their patched copies are used: as published, Trello's knows no JSON bodies and PowerOffice's refuses every legal patch.
Besides what the validator looks at, every parameter of a query must be declared, or be named below with its reason.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from connectors.sandbox.server import Exchange
from tests.connectors.benches import PowerOfficeBench, TrelloBench
from tests.connectors.contract import Bench, EndpointContract, read_all
from tests.connectors.reduced import reduced

SPECS = os.environ.get("LINKSTREAM_SPECS")
pytestmark = pytest.mark.skipif(
    not SPECS, reason="the vendors' files are not here; LINKSTREAM_SPECS names their folder"
)

TRELLO = "trello.jsonbody.patched.openapi.json"
POWEROFFICE = "poweroffice-go-v2.subset.patched.openapi.json"
USED: dict[str, dict[str, tuple[str, ...]]] = {
    TRELLO: {
        "/members/{id}/organizations": ("get",),
        "/members/{id}/boards": ("get",),
        "/organizations": ("post",),
        "/organizations/{id}": ("get", "put", "delete"),
        "/organizations/{id}/members": ("get", "put"),
        "/organizations/{id}/members/{idMember}": ("delete",),
        "/organizations/{id}/boards": ("get",),
        "/boards/{id}/lists": ("get",),
        "/boards/{id}/cards/{filter}": ("get",),
        "/boards/{boardId}/actions": ("get",),
        "/cards": ("post",),
        "/cards/{id}": ("get", "put", "delete"),
        "/cards/{id}/actions/comments": ("post",),
        "/actions/{id}": ("get", "put", "delete"),
        "/batch": ("get",),
    },
    POWEROFFICE: {
        "/ClientIntegrationInformation": ("get",),
        **{f"/{name}": ("get", "post") for name in ("Departments", "Customers", "Projects")},
        **{f"/{name}/{{id}}": ("get", "patch", "delete") for name in ("Departments", "Customers", "Projects")},
    },
}
BASE = {TRELLO: "https://api.trello.com/1", POWEROFFICE: "https://goapi.poweroffice.net/v2"}
UNDECLARED = {
    ("/boards/{id}/cards/{filter}", "limit"),  # left out of the file, used by everybody
    ("/boards/{id}/cards/{filter}", "before"),
    ("/boards/{id}/cards/{filter}", "since"),
    ("/organizations/{id}/members", "fields"),
}
MENDED: dict[str, tuple[tuple[str, str], ...]] = {
    TRELLO: (("Board", "dateLastActivity"), ("Card", "due")),
    POWEROFFICE: (),
}
"""Fields that the file calls dates and that are times, or null where nothing ever happened."""

OTHERS_OWN = {"/OAuth/Token"}
"""Calls of another file."""


class Book:
    """One vendor's file, and what is not by it."""

    def __init__(self, name: str) -> None:
        self.spec = reduced(json.loads((Path(SPECS or "") / name).read_bytes()), USED[name], secured=True)
        for schema, field in MENDED[name]:
            said = self.spec["components"]["schemas"][schema]["properties"][field]
            assert said.pop("format") == "date"
            said["nullable"] = True
        for item in self.spec["paths"].values():
            for each in (one for verb in item.values() if isinstance(verb, dict) for one in verb.get("parameters", ())):
                if "oneOf" in each["schema"]:  # an id is text too, so both ways are right, which is one too many
                    each["schema"]["anyOf"] = each["schema"].pop("oneOf")
        patches = {"application/json-patch+json": json.loads}
        self.vendor = OpenAPI.from_dict(self.spec, config=Config(extra_media_type_deserializers=patches))
        self.base = BASE[name]
        self.seen: set[tuple[str, str]] = set()

    def request(self, one: Exchange, prefix: str) -> MockRequest:
        kind = one.headers.get("Content-Type", "application/json")
        host, _, path = self.base.partition("//")[2].partition("/")
        return MockRequest(
            f"https://{host}",
            one.method.lower(),
            f"/{path}{one.path.removeprefix(prefix)}",
            args=one.query,
            headers=dict(one.headers),
            data=one.body or None,
            content_type=kind,
        )

    def check(self, one: Exchange, prefix: str) -> None:
        """Raise OpenAPIError, or fail, unless an exchange is by the book; of a refused request only the answer is."""
        if one.path in OTHERS_OWN:
            return
        request = self.request(one, prefix)
        if one.status < 400:
            self.vendor.validate_request(request)
            self._declared(one, prefix)
            self.vendor.validate_response(request, MockResponse(one.answer, one.status, content_type=_kind(one)))

    def _declared(self, one: Exchange, prefix: str) -> None:
        template = self._template(one.path.removeprefix(prefix))
        self.seen.add((one.method.lower(), template))
        item = self.spec["paths"][template]
        known = [*item.get("parameters", ()), *item[one.method.lower()].get("parameters", ())]
        names = {each["name"] for each in known}
        if "resourceParameter" in names:
            names |= self.spec["components"]["schemas"]["ResourceParameters"]["properties"].keys()
        undeclared = {name for name in one.query if name not in names and (template, name) not in UNDECLARED}
        assert not undeclared, f"{one.method} {template}: {undeclared}"

    def _template(self, path: str) -> str:
        parts = path.split("/")
        for template in sorted(self.spec["paths"], key=lambda one: one.count("{")):
            names = template.split("/")
            if len(names) == len(parts) and all(
                name == part or name.startswith("{") for name, part in zip(names, parts, strict=True)
            ):
                return str(template)
        pytest.fail(f"{path}: found no such operation in the vendor's file")


def _kind(one: Exchange) -> str:
    return "application/json" if one.answer[:1] in (b"{", b"[") else "text/plain"


@pytest.fixture(scope="module")
def trello() -> Book:
    return Book(TRELLO)


@pytest.fixture(scope="module")
def poweroffice() -> Book:
    return Book(POWEROFFICE)


async def checked(bench: Any, book: Book) -> int:
    exchanges = list(bench.sandbox.world.exchanges or ())
    for one in exchanges:
        book.check(one, bench.sandbox.system.prefix)
    return len(exchanges)


class TestTrelloByTheBook(EndpointContract):
    """The contract once more, with every request and every answer validated."""

    @pytest.fixture
    async def bench(self, trello: Book) -> AsyncIterator[Bench]:
        bench = await TrelloBench.open(record=True)
        yield bench
        await bench.close()
        await checked(bench, trello)


class TestPowerOfficeGoByTheBook(EndpointContract):
    """The contract once more, with every request and every answer validated."""

    @pytest.fixture
    async def bench(self, poweroffice: Book) -> AsyncIterator[Bench]:
        bench = await PowerOfficeBench.open(record=True)
        yield bench
        await bench.close()
        await checked(bench, poweroffice)


async def test_all_of_trello_is_by_the_book(trello: Book) -> None:
    bench = await TrelloBench.open(record=True)
    bench.resize(invite=True, remove_members=True, delete_organizations=True)
    endpoint = bench.endpoint
    for name in endpoint.traits():
        for one in (await read_all(endpoint, name))[0]:
            await endpoint.read(name, one.id)
    member = await endpoint.create("members", {"email": "ola@n.example", "fullName": "Ola Nordmann"}, "f|a.b:1")
    await endpoint.remove("members", member, "delete")
    wanted = {"displayName": "Bodø Fisk AS", "name": "Bodø Fisk", "desc": "x", "website": "https://fisk.example"}
    organization = await endpoint.create("organizations", wanted, "f|a.b:1")
    await endpoint.find("organizations", "f|a.b:2", 0)
    organization = await endpoint.update("organizations", organization, {"desc": "y", "name": "Annet navn"})
    await endpoint.remove("organizations", organization, "delete")
    kari = bench.system.people["Kari Nordmann"]
    fields = {"name": "Nytt tak", "desc": "å", "due": "2026-11-03T10:15:00.000Z", "start": "2026-11-01"}
    card = await endpoint.create("cards", {**fields, "idMembers": [kari], "closed": True, **bench.needed}, "f|a.b:1")
    board = bench.system.add_board("Annen", bench.sandbox.world.now())
    _, cursor = await read_all(endpoint, "cards")
    card = await endpoint.update("cards", card, {"idBoard": board, "due": None, "closed": False, "dueComplete": True})
    comment = {"data.text": "Ferdig", "data.card.id": card.id, "memberCreator.id": kari, "date": "2026-11-03"}
    action = await endpoint.create("actions", comment, "f|a.b:1")
    await endpoint.find("actions", "f|a.b:1", 1)
    action = await endpoint.update("actions", action, {"data.text": "Nesten"})
    await endpoint.remove("actions", action, "delete")
    await read_all(endpoint, "cards", cursor)
    await endpoint.remove("cards", card, "archive")
    await endpoint.remove("cards", await endpoint.read("cards", card.id), "delete")
    await bench.close()
    assert await checked(bench, trello) > 50
    assert {verb for verb, _ in trello.seen} == {"get", "post", "put", "delete"}
    assert {path for _, path in trello.seen} == set(USED[TRELLO])


async def test_all_of_poweroffice_is_by_the_book(poweroffice: Book) -> None:
    bench = await PowerOfficeBench.open(record=True)
    endpoint = bench.endpoint
    for name in endpoint.traits():
        for one in (await read_all(endpoint, name))[0]:
            await endpoint.read(name, one.id)
    department = await endpoint.create("departments", {"Name": "Nord", "Code": "30"}, "f|a.b:1")
    department = await endpoint.update("departments", department, {"Name": "Sør"})
    address = {"MailAddress.City": "Bodø", "MailAddress.ZipCode": "8006", "MailAddress.AddressLine1": "Storgata 1"}
    wanted = {"Name": "Ny AS", "DepartmentId": department.id, "OrganizationNumber": "910000000", **address}
    customer = await endpoint.create("customers", wanted, "f|a.b:2")
    customer = await endpoint.update(
        "customers", customer, {"MailAddress.City": "Tromsø", "PhoneNumber": "+4777000000"}
    )
    person = {"IsPerson": True, "FirstName": "Kari", "LastName": "Nordmann", "DateOfBirth": "1980-05-17"}
    await endpoint.create("customers", person, "f|a.b:3")
    dates = {"StartDate": "2026-08-01", "EndDate": "2026-09-01", "ProjectStatus": "Active", "IsActive": True}
    project = await endpoint.create("projects", {"Name": "Tak", "CustomerId": customer.id, **dates}, "f|a.b:4")
    project = await endpoint.update("projects", project, {"Code": "P9", "EndDate": None, "Progress": 50})
    await endpoint.remove("projects", project, "archive")
    await endpoint.remove("projects", await endpoint.read("projects", project.id), "delete")
    await endpoint.remove("customers", customer, "archive")
    await endpoint.remove("customers", await endpoint.read("customers", customer.id), "delete")
    await endpoint.remove("departments", department, "delete")
    await bench.close()
    assert await checked(bench, poweroffice) > 25
    unused = {"/ClientIntegrationInformation"}
    assert {path for _, path in poweroffice.seen} >= set(USED[POWEROFFICE]) - unused


def sent(book: Book, method: str, path: str, body: Any, **headers: str) -> MockRequest:
    host, _, base = book.base.partition("//")[2].partition("/")
    kind = headers.pop("kind", "application/json")
    given = {"Authorization": "Bearer x", "Ocp-Apim-Subscription-Key": "x", **headers}
    data = None if body is None else json.dumps(body).encode()
    return MockRequest(f"https://{host}", method, f"/{base}{path}", headers=given, data=data, content_type=kind)


ID = "5abbe4b7ddc1b351ef961414"
WRONG: list[tuple[str, str, str, Any, Any]] = [
    ("trello", "post", "/organizations", {"displayName": "x"}, {"displayName": 5}),
    ("trello", "post", "/organizations", {"displayName": "x"}, {"name": "x"}),
    ("trello", "put", f"/organizations/{ID}", {"desc": "x"}, {"idBoards": []}),
    ("trello", "put", f"/organizations/{ID}/members", {"email": "a@b.no", "fullName": "x"}, {"email": "a@b.no"}),
    ("trello", "post", "/cards", {"idList": ID}, {"idList": "7"}),
    ("trello", "post", "/cards", {"idList": ID}, {"idList": ID, "closed": True}),
    ("trello", "put", f"/cards/{ID}", {"name": "x"}, {"dateLastActivity": "2026-01-01"}),
    ("trello", "put", f"/cards/{ID}", {"name": "x"}, {"closed": "yes"}),
    ("trello", "post", f"/cards/{ID}/actions/comments", {"text": "x"}, {"text": "x", "date": "2026-01-01"}),
    ("trello", "put", f"/actions/{ID}", {"text": "x"}, {"memberCreator": {}}),
    ("poweroffice", "post", "/Departments", {"Name": "x"}, {"Code": "x"}),
    ("poweroffice", "post", "/Customers", {"Name": "x"}, {"Name": 5}),
    ("poweroffice", "post", "/Customers", {"Name": "x"}, {"Id": 5}),
    ("poweroffice", "post", "/Customers", {"Name": "x"}, {"ExternalImportReference": "x" * 51}),
    ("poweroffice", "post", "/Projects", {"Name": "x"}, {"Name": "x", "StartDate": "soon"}),
    ("poweroffice", "patch", "/Customers/7", [{"op": "test", "path": "/Name", "value": None}], {"Name": "x"}),
    ("poweroffice", "patch", "/Projects/7", [], [{"op": "set", "path": "/Name"}]),
]


@pytest.mark.parametrize(("vendor", "method", "path", "right", "wrong"), WRONG)
def test_the_validator_refuses_what_is_wrong(
    request: pytest.FixtureRequest, vendor: str, method: str, path: str, right: Any, wrong: Any
) -> None:
    """A validator that cannot read a schema may accept everything; so each operation is tried with rubbish."""
    book = request.getfixturevalue(vendor)
    kind = "application/json-patch+json" if method == "patch" else "application/json"
    book.vendor.validate_request(sent(book, method, path, right, kind=kind))
    with pytest.raises(OpenAPIError):
        book.vendor.validate_request(sent(book, method, path, wrong, kind=kind))


def test_the_validator_refuses_wrong_answers_and_wrong_ways_in(trello: Book, poweroffice: Book) -> None:
    card = sent(trello, "get", f"/cards/{ID}", None)
    trello.vendor.validate_response(card, MockResponse(b'{"id": "%s"}' % ID.encode(), 200))
    with pytest.raises(OpenAPIError):
        trello.vendor.validate_response(card, MockResponse(b'{"id": 5}', 200))
    customer = sent(poweroffice, "get", "/Customers/7", None)
    poweroffice.vendor.validate_response(customer, MockResponse(b'{"Id": 7}', 200))
    with pytest.raises(OpenAPIError):
        poweroffice.vendor.validate_response(customer, MockResponse(b'{"Id": "7"}', 200))
    with pytest.raises(OpenAPIError):
        poweroffice.vendor.validate_response(customer, MockResponse(b'{"Identity": 7}', 200))
    with pytest.raises(OpenAPIError):
        poweroffice.vendor.validate_request(MockRequest("https://goapi.poweroffice.net", "get", "/v2/Customers"))
    with pytest.raises(OpenAPIError):
        poweroffice.vendor.validate_request(sent(poweroffice, "patch", "/Customers/7", [], kind="application/json"))
