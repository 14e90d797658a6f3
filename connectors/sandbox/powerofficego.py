"""PowerOffice Go as its API v2 behaves, as far as linkstream uses it: tokens, 204, JSON Patch, and what is not told.

Quirks kept on purpose: every call needs a token and the subscription's key; an empty list is 204 without a body; the
changed filter is exclusive; an edited address does not move its customer's time of change; nothing tells of deletions;
a new department is not active unless that is said; a patch may test a value, and anything but a patch is refused;
references are unique, codes are not; what is in use is not deleted; field names of refusals begin small.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from connectors.fields import read_time
from connectors.sandbox.company import company
from connectors.sandbox.faults import json
from connectors.sandbox.powerofficego_rules import ADDRESS, RULES, Rules, check, patched
from connectors.sandbox.server import SENT, TOKENS, Door, Problem, World
from connectors.sandbox.table import Row, Table

APPLICATION, SUBSCRIPTION = "sandbox-application-key", "sandbox-subscription-key"
PATCH = "application/json-patch+json"
_HEADER = "Ocp-Apim-Subscription-Key"
_TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Object(s) not found",
    405: "Method not allowed",
}
_DAY, _MINUTE = 86_400_000_000, 60_000_000
_USUAL, _LARGEST = 5_000, 20_000
_CREATED = {"customers": "customerCreatedDateTimeOffsetGreaterThan"}
_FILTERS = {
    "departments": {"codes": "Code", "name": "Name"},
    "customers": {"externalImportReference": "ExternalImportReference", "externalNos": "ExternalNumber"},
    "projects": {"projectCodes": "Code", "name": "Name"},
}


class PowerOfficeDoor(Door):
    """Access tokens that expire, for a customer's key; and the key of the subscription, with every call."""

    def __init__(self, world: World, token_path: str) -> None:
        self._world = world
        self._path = token_path
        self._issued: dict[str, tuple[str, int]] = {}
        self._numbers = itertools.count(1)
        self.life = 1_200.0

    def secrets(self, token: str) -> dict[str, str]:
        """Answer the secret settings of a connector that calls with this token."""
        return {"application_key": APPLICATION, "client_key": token, "subscription_key": SUBSCRIPTION}

    def headers(self, token: str) -> dict[str, str]:
        """Answer the headers with which a person's program calls."""
        return {"Authorization": f"Bearer {token}", _HEADER: SUBSCRIPTION}

    def is_open(self, request: web.Request) -> bool:
        """Tell whether this call needs no token: the one that asks for one."""
        return request.path == self._path

    def token(self, request: web.Request) -> str:
        """Answer whose token a request carries."""
        if request.headers.get(_HEADER) != SUBSCRIPTION:
            said = "Access denied due to missing subscription key."
            raise Problem(401, {"statusCode": 401, "message": said})
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if bearer not in self._issued:
            return bearer  # a person's own
        client, until = self._issued[bearer]
        return client if self._world.clock() < until else ""

    def slow_down(self, wait: int) -> dict[str, str]:  # noqa: ARG002 - the body tells it
        """Answer no header: the words say how long to wait."""
        return {}

    async def issue(self, request: web.Request) -> web.Response:
        """Answer an access token for an application's key and a customer's."""
        form = await request.post()
        named = request.headers.get("Authorization", "").removeprefix("Basic ")
        try:
            application, _, client = base64.b64decode(named).decode().partition(":")
        except ValueError:
            application, client = "", ""
        if request.headers.get(_HEADER) != SUBSCRIPTION or application != APPLICATION or client not in TOKENS:
            said = "Client integration not found. Please ensure the provided keys are matching the desired environment."
            return json({"error": "invalid_client", "error_description": said}, 400)
        if form.get("grant_type") != "client_credentials":
            return json({"error": "unsupported_grant_type", "error_description": "client_credentials"}, 400)
        token = f"sandbox-access-{next(self._numbers)}"
        self._issued[token] = (client, self._world.clock() + round(self.life * 1_000_000))
        return json({"access_token": token, "token_type": "bearer", "expires_in": round(self.life)})


class PowerOfficeGo:
    """The system: departments, customers and projects of one company."""

    prefix = "/v2"
    rights = ("Department_Full", "Customer_Full", "Project_Full")
    wanting = ("Employee_Full",)
    ordered = True
    """Lists come in the order that is asked for; otherwise in that of creation."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.door = PowerOfficeDoor(world, "/OAuth/Token")
        self.tables = {name: Table() for name in RULES}
        self.balances: set[str] = set()
        """Customers with open balances: they cannot be archived."""
        self.ids = itertools.count(9_007_199_254_740_993)
        """What is numbered next; beyond what a float can hold."""
        self._numbers = itertools.count(10_000)

    def routes(self) -> list[web.RouteDef]:
        """List the calls."""
        made = [
            web.post("/OAuth/Token", self.door.issue),
            web.get(f"{self.prefix}/ClientIntegrationInformation", self._rights),
        ]
        for type, rules in RULES.items():
            at = f"{self.prefix}/{rules.name}s"
            made += [
                web.get(at, self._list(type)),
                web.post(at, self._create(type)),
                web.get(f"{at}/{{id}}", self._one(type)),
                web.patch(f"{at}/{{id}}", self._update(type)),
                web.delete(f"{at}/{{id}}", self._delete(type)),
            ]
        return made

    def problem(self, status: int) -> Any:
        """Answer the body for a refusal: problem details, or the gateway's own."""
        if status == 429:  # noqa: PLR2004 - too many requests
            return {"statusCode": "429", "message": "Rate limit is exceeded. Try again in 1 seconds."}
        return {"title": _TITLES.get(status, "Error"), "status": status}

    def seed(self, count: int, seed: int) -> None:
        """Fill the company; the records look a day old and older, a minute apart."""
        made = company(count, seed)
        many = len(made.customers) + len(made.projects) + 2
        times = (self._world.now() - _DAY - age * _MINUTE for age in range(many, 0, -1))
        for code, name in (("10", "Salg"), ("20", "Økonomi og lønn")):
            self._add("departments", {"Code": code, "Name": name, "IsActive": True}, next(times))
        home = {"AddressLine1": "Havnegata 4", "ZipCode": "9008", "City": "Tromsø"}
        customers = []
        for customer in made.customers:
            named = {"Name": customer.name, "OrganizationNumber": customer.number, "EmailAddress": customer.email}
            customers.append(self._add("customers", {**named, ADDRESS: home}, next(times))["Id"])
        for number, project in enumerate(made.projects, 1):
            dates = {"StartDate": project.start.isoformat(), "EndDate": project.end.isoformat()}
            fields: dict[str, Any] = {"Name": project.name, "Code": f"P{number}", "IsActive": True}
            self._add("projects", {**fields, **dates, "CustomerId": customers[project.customer]}, next(times))

    # reading

    async def _rights(self, _request: web.Request) -> web.Response:
        said = {"ClientId": "1", "ClientName": "Fjordbygg AS", "ActiveClientSubscriptions": ["Go"]}
        return json({**said, "ValidPrivileges": list(self.rights), "InvalidPrivileges": list(self.wanting)})

    def _one(self, type: str) -> Callable[[web.Request], Any]:
        async def show(request: web.Request) -> web.Response:
            return json(self._row(type, request).record)

        return show

    def _list(self, type: str) -> Callable[[web.Request], Any]:
        async def index(request: web.Request) -> web.Response:
            query = request.query
            if any(name.startswith("$") for name in query):
                raise self._refused("Query parameters that start with $ are not supported.")
            rows = self._filtered(type, request)
            order = query.get("OrderBy")
            records = [row.record for row in rows]
            if order and self.ordered:
                records.sort(key=lambda record: str(record.get(order) or ""))
            page, size = self._number(request, "PageNumber", 1), self._number(request, "PageSize", _USUAL)
            if size > _LARGEST:
                raise self._refused(f"PageSize: must be at most {_LARGEST}")
            shown = records[(page - 1) * size : page * size]
            names = query["Fields"].split(",") if "Fields" in query else None
            if names:
                shown = [{name: record.get(name) for name in names} for record in shown]
            return json(shown) if shown else web.Response(status=204)

        return index

    def _filtered(self, type: str, request: web.Request) -> list[Row]:
        rows = self.tables[type].rows()
        for name, value in request.query.items():
            field = _FILTERS[type].get(name)
            if field is not None:
                wanted = {part.casefold() for part in value.split(",")}
                rows = [row for row in rows if str(row.record.get(field) or "").casefold() in wanted]
        after = self._time(request, "lastChangedDateTimeOffsetGreaterThan")
        born = self._time(request, _CREATED.get(type, "createdDateTimeOffsetGreaterThan"))
        return [row for row in rows if (after is None or row.updated > after) and (born is None or row.created > born)]

    def _time(self, request: web.Request, name: str) -> int | None:
        try:
            return read_time(request.query.get(name))
        except ValueError:
            raise self._refused(f"{name}: is not a date and time") from None

    def _number(self, request: web.Request, name: str, usual: int) -> int:
        value = request.query.get(name, str(usual))
        if not value.isdecimal() or int(value) < 1:
            raise self._refused(f"{name}: must be a positive number")
        return int(value)

    # writing

    def _create(self, type: str) -> Callable[[web.Request], Any]:
        async def create(request: web.Request) -> web.Response:
            sent = request.get(SENT)
            rules = RULES[type]
            if not isinstance(sent, dict):
                raise self._refused("The request body is no object.", rules)
            self._accept(type, rules, sent, creating=True)
            record = self._add(type, sent, self._world.now())
            self._world.note(request, "create", type, str(record["Id"]), None, record)
            return json(record, 201)

        return create

    def _update(self, type: str) -> Callable[[web.Request], Any]:
        async def update(request: web.Request) -> web.Response:
            row, rules, operations = self._row(type, request), RULES[type], request.get(SENT)
            if request.content_type != PATCH or not isinstance(operations, list):
                raise self._refused("A JSON Patch document is expected.", rules)
            try:
                after = patched(rules, row.record, operations)
            except ValueError as error:
                raise self._refused(str(error), rules) from None
            before = row.record
            fields = {name: value for name, value in after.items() if before.get(name) != value}
            self._accept(type, rules, fields, creating=False, id=before["Id"])
            if fields:
                self._put(type, before, fields)
                self._world.note(request, "update", type, str(before["Id"]), before, row.record)
            return json(row.record) if type == "customers" else web.Response(status=200)

        return update

    def _put(self, type: str, before: dict[str, Any], fields: dict[str, Any]) -> None:
        """Keep a change; one of the address alone is none of the customer's."""
        now = self._world.now()
        if fields.get(ADDRESS):
            own = {"Id": next(self.ids), "CountryCode": "NO"}
            fields = {**fields, ADDRESS: {**own, **fields[ADDRESS], "LastChangedDateTimeOffset": _spelt(now)}}
        if set(fields) == {ADDRESS}:
            self.tables[type].replace(str(before["Id"]), {**before, **fields})
            return
        row = self.tables[type].put(str(before["Id"]), {**before, **fields}, now)
        row.record = {**row.record, "LastChangedDateTimeOffset": _spelt(row.updated)}

    def _delete(self, type: str) -> Callable[[web.Request], Any]:
        async def delete(request: web.Request) -> web.Response:
            row = self._row(type, request)
            id, name = row.record["Id"], RULES[type].name
            used = {"customers": "CustomerId", "departments": "DepartmentId"}.get(type)
            others = (one for other in ("projects", "customers") for one in self.tables[other].rows())
            if used and any(one.record.get(used) == id for one in others):
                detail = f"{name} with id = {id} is in use and cannot be deleted."
                raise Problem(409, {"title": f"{name} conflict", "detail": detail})
            self.tables[type].drop(str(id))
            self._world.note(request, "delete", type, str(id), row.record, None)
            return web.Response(status=200)

        return delete

    def _accept(self, type: str, rules: Rules, fields: dict[str, Any], *, creating: bool, id: int = 0) -> None:
        """Refuse what Go refuses. Raises Problem."""
        said = check(rules, fields, creating=creating)
        reference = fields.get("ExternalImportReference")
        rows = self.tables[type].rows() if reference else []
        taken = [row.record["Id"] for row in rows if row.record["ExternalImportReference"] == reference]
        if taken and taken != [id]:
            said = f"ExternalImportReference is already in use. '{reference}' is used on (contact) Id = {taken[0]}."
        for name, linked in (("CustomerId", "customers"), ("DepartmentId", "departments")):
            if fields.get(name) is not None and str(fields[name]) not in self.tables[linked]:
                said = f"{name} was not found."
        if fields.get("IsArchived") and str(id) in self.balances:
            said = "IsArchived cannot be set, the contact has ledger balances."
        if said:
            raise self._refused(said, rules)

    def _refused(self, detail: str, rules: Rules | None = None) -> Problem:
        title = f"{rules.name} validation error(s)" if rules else "Validation error(s)"
        return Problem(400, {"title": title, "detail": detail, "status": 400})

    def _add(self, type: str, fields: dict[str, Any], now: int) -> dict[str, Any]:
        id = next(self.ids)
        record = {**RULES[type].defaults, **fields, "Id": id}
        record["Name"] = record["Name"].strip() if isinstance(record.get("Name"), str) else record.get("Name")
        created = "CustomerCreatedDateTimeOffset" if type == "customers" else "CreatedDateTimeOffset"
        if type == "customers":
            record |= {"Number": next(self._numbers), "IsActive": True, "SubledgerAccountId": id + 1}
        if record.get(ADDRESS):
            own = {"Id": next(self.ids), "CountryCode": "NO", "LastChangedDateTimeOffset": _spelt(now)}
            record[ADDRESS] = {**own, **record[ADDRESS]}
        row = self.tables[type].put(str(id), record, now)
        row.record = {**record, created: _spelt(row.created), "LastChangedDateTimeOffset": _spelt(row.updated)}
        return row.record

    def _row(self, type: str, request: web.Request) -> Row:
        row = self.tables[type].get(request.match_info["id"])
        if row is None:
            detail = f"{RULES[type].name} with id = {request.match_info['id']} not found."
            raise Problem(404, {"title": _TITLES[404], "detail": detail})
        return row


def _spelt(time: int) -> str:
    """Spell a time as Go does, with seven digits and an offset."""
    return f"{datetime.fromtimestamp(time / 1_000_000, UTC):%Y-%m-%dT%H:%M:%S.%f}0+00:00"
