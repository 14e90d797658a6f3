"""A CRM as CRMOffice may be. Its API is not public: the address of lists, their envelope and the login are known.

All else is assumed here as in ``crmoffice.yaml``, where each assumption is listed: ``skip`` and ``take``, PATCH,
problem details, an external reference. Addresses are spelled as the post does, phone numbers with their country, and
what is new shows in lists only after ``delay`` seconds. Access tokens are got with a refresh token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from connectors.fields import write_time
from connectors.sandbox.company import company
from connectors.sandbox.faults import json
from connectors.sandbox.people import people
from connectors.sandbox.register import Register, Rule, Wrong
from connectors.sandbox.server import SENT, TOKENS, Door, Problem, World
from connectors.sandbox.table import Row

_LARGEST = 200
_DAY, _MINUTE = 86_400_000_000, 60_000_000
_TITLES = {400: "Bad request", 401: "Unauthorized", 403: "Forbidden", 404: "Not found", 429: "Too many requests"}
_TYPES = {"company": "companies", "contact": "contacts", "activity": "activities", "user": "users"}


def phone(text: str) -> str:
    """Spell a phone number with its country."""
    digits = "".join(letter for letter in text if letter.isdigit() or letter == "+")
    return digits if not digits or digits.startswith("+") else f"+47{digits}"


def _address(path: str, *, street: bool) -> dict[str, Rule]:
    rules = {
        f"{path}.country": Rule(normal=lambda text: text.strip().upper()),
        f"{path}.postalArea": Rule(normal=_area),
    }
    return {f"{path}.streetAddress": Rule(), f"{path}.postCode": Rule(), **rules} if street else rules


def _area(text: str) -> str:
    return text.strip().upper()


_RULES: dict[str, dict[str, Rule]] = {
    "user": {"userName": Rule(required=True), "displayName": Rule()},
    "company": {
        "name": Rule(required=True),
        "note": Rule(),
        **_address("postAddress", street=True),
        **_address("visitAddress", street=True),
        "externalReference": Rule(),
    },
    "contact": {
        "givenName": Rule(),
        "familyName": Rule(required=True),
        "directPhone": Rule(normal=phone),
        "mobilePhone": Rule(normal=phone),
        "company.id": Rule(kind="reference", refers="company"),
        "note": Rule(),
        "externalReference": Rule(),
    },
    "activity": {
        "subject": Rule(required=True),
        "note": Rule(),
        "startsAt": Rule(kind="moment"),
        "endsAt": Rule(kind="moment"),
        "ownerId": Rule(kind="reference", refers="user"),
        **_address("address", street=False),
        "externalReference": Rule(),
    },
}


def _id(type: str, number: int, values: Mapping[str, Any]) -> str:
    return str(values["userName"]) if type == "user" else f"{type[:3]}-{number:x}"


class _Login(Door):
    """Access tokens are handed out at an address that is open."""

    def secrets(self, token: str) -> dict[str, str]:
        """Answer the secret settings that lead to a token."""
        return {"client_secret": "sandbox-client-secret", "refresh_token": f"refresh-{token}"}

    def is_open(self, request: web.Request) -> bool:
        """Tell whether this call needs no token."""
        return request.path == "/connect/token"


class CrmOffice:
    """The system: its tables and their calls."""

    prefix = ""

    def __init__(self, world: World) -> None:
        self.door = _Login()
        self.settings = {"client_id": "linkstream"}
        self.delay = 0.0
        self.lifetime = 3600
        self.drops: tuple[str, ...] = ()
        """Fields that are taken and forgotten."""
        self._world = world
        self._register = Register(
            world,
            _RULES,
            name=_id,
            stamp=lambda made, changed: {"createdAt": write_time(made), "updatedAt": write_time(changed)},
            marker="externalReference",
        )
        self.tables = self._register.tables

    def routes(self) -> list[web.RouteDef]:
        """List the calls."""
        return [web.post("/connect/token", self._token), *(route for type in _TYPES for route in self._routes(type))]

    def problem(self, status: int, errors: dict[str, str] | None = None) -> Any:
        """Answer problem details (RFC 9457)."""
        body: dict[str, Any] = {"title": _TITLES.get(status, "Error"), "status": status}
        return {**body, "errors": {name: [said] for name, said in errors.items()}} if errors else body

    def seed(self, count: int, seed: int) -> None:
        """Fill the tables; the records look a day old and older, a minute apart."""
        made = company(count, seed)
        staff, others = people(3, seed), people(2 * len(made.customers), seed + 1)
        ages = range(3 + 3 * len(made.customers) + count, 0, -1)
        times = (self._world.now() - _DAY - age * _MINUTE for age in ages)
        users = [
            self._seeded("user", next(times), userName=p.email, displayName=f"{p.given} {p.family}") for p in staff
        ]
        companies: list[str] = []
        for customer in made.customers:
            place = customer.name.split(maxsplit=1)[0]
            post = {"streetAddress": f"Storgata {len(companies) + 1}", "postCode": "9008", "postalArea": place}
            given: dict[str, Any] = {
                "name": customer.name,
                "note": customer.notes,
                "postAddress": {**post, "country": "no"},
            }
            companies.append(self._seeded("company", next(times), **given))
        for number, p in enumerate(others):
            above = {"id": companies[number // 2]}
            given = {"givenName": p.given, "familyName": p.family, "mobilePhone": p.phone, "company": above}
            self._seeded("contact", next(times), **given)
        for number, task in enumerate(made.tasks):
            starts = f"{task.due}T{8 + number % 8:02d}:00:00Z" if task.due else None
            given = {
                "subject": task.name,
                "note": task.notes,
                "startsAt": starts,
                "ownerId": users[number % len(users)],
            }
            self._seeded("activity", next(times), **given)

    def _seeded(self, type: str, now: int, **sent: Any) -> str:
        values = self._register.checked(type, sent, whole=True)
        return str(self._register.add(type, values, now).record["id"])

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        token = str(form.get("refresh_token", "")).removeprefix("refresh-")
        named = request.headers.get("Authorization", "").startswith("Basic ") or form.get("client_secret")
        if form.get("grant_type") != "refresh_token" or not named or token not in TOKENS:
            return json({"error": "invalid_grant"}, 400)
        return json({"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime})

    def _routes(self, type: str) -> list[web.RouteDef]:
        async def index(request: web.Request) -> web.Response:
            return self._index(type, request)

        async def show(request: web.Request) -> web.Response:
            return json(self._row(type, request).record)

        async def create(request: web.Request) -> web.Response:
            row = self._register.add(type, self._sent(type, request, whole=True), self._world.now())
            self._world.note(request, "create", type, str(row.record["id"]), None, row.record)
            return json(row.record, 201)

        async def update(request: web.Request) -> web.Response:
            row = self._row(type, request)
            before = row.record
            values = self._sent(type, request, whole=False)
            after = self._register.change(type, row, values, self._world.now()).record
            self._world.note(request, "update", type, str(after["id"]), before, after)
            return json(after)

        async def delete(request: web.Request) -> web.Response:
            row = self._row(type, request)
            self.tables[type].drop(str(row.record["id"]))
            self._world.note(request, "delete", type, str(row.record["id"]), row.record, None)
            return web.Response(status=204)

        path = f"/{_TYPES[type]}"
        reads = [web.get(path, index), web.get(f"{path}/{{id}}", show)]
        one = f"{path}/{{id}}"
        return (
            reads
            if type == "user"
            else [*reads, web.post(path, create), web.patch(one, update), web.delete(one, delete)]
        )

    def _index(self, type: str, request: web.Request) -> web.Response:
        if type == "user":  # a bare list, whose key is userName
            return json([row.record for row in self.tables[type].rows()])
        try:
            skip, take = int(request.query.get("skip", "0")), int(request.query.get("take", "50"))
        except ValueError:
            raise Problem(400, self.problem(400)) from None
        if skip < 0 or not 1 <= take <= _LARGEST:
            raise Problem(400, self.problem(400, {"take": f"must be between 1 and {_LARGEST}"}))
        mark = request.query.get("externalReference")
        rows = self.tables[type].rows() if mark is None else self._register.find(type, mark)
        settled = self._world.now() - round(self.delay * 1_000_000)
        shown = [row.record for row in rows if row.created <= settled or not self.delay]
        return json({"items": shown[skip : skip + take]})

    def _row(self, type: str, request: web.Request) -> Row:
        row = self.tables[type].get(request.match_info["id"])
        if row is None:
            raise Problem(404, self.problem(404))
        return row

    def _sent(self, type: str, request: web.Request, *, whole: bool) -> dict[str, Any]:
        sent = request.get(SENT)
        if not isinstance(sent, dict):
            raise Problem(400, self.problem(400))
        try:
            values = self._register.checked(type, sent, whole=whole)
        except Wrong as wrong:
            raise Problem(400, self.problem(400, wrong.fields)) from None
        return {path: value for path, value in values.items() if path not in self.drops}
