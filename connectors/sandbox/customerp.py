"""A company's own ERP, as older ones are: page numbers, wrapped bodies, local times, empty answers, soft deletes.

Every answer is wrapped under the type's name, lists are ``data`` with a ``meta.total``. ``modifiedSince`` leaves out
what changed at that very moment. A new record is answered with nothing but its ``Location``, a changed one with
nothing. What is deleted stays, marked, and shows in lists of changes. Texts are cut at 60 letters and lose double
spaces. Times are Norwegian and say so nowhere. Contacts are listed below their customer. The key goes into a header.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from connectors.fields import read_time, write_time
from connectors.sandbox.company import company
from connectors.sandbox.faults import json
from connectors.sandbox.people import people
from connectors.sandbox.register import Register, Rule, Wrong
from connectors.sandbox.server import SENT, Door, Problem, World
from connectors.sandbox.table import Row

ZONE = "Europe/Oslo"
_LARGEST = 100
_LONGEST = 60
_DAY, _MINUTE = 86_400_000_000, 60_000_000
_WORDS = {401: "Unknown key", 403: "This key may not write", 404: "No such record", 429: "Slow down"}


def _name(text: str) -> str:
    return " ".join(text.split())[:_LONGEST].rstrip()


_RULES: dict[str, dict[str, Rule]] = {
    "customer": {
        "name": Rule(required=True, normal=_name),
        "orgNo": Rule(normal=lambda text: text.replace(" ", "")),
        "email": Rule(normal=lambda text: text.strip().lower()),
        "comment": Rule(),
        "reference": Rule(),
    },
    "contact": {
        "customerNo": Rule(kind="reference", refers="customer", required=True),
        "name": Rule(required=True, normal=_name),
        "email": Rule(normal=lambda text: text.strip().lower()),
        "phone": Rule(),
        "reference": Rule(),
    },
    "project": {
        "name": Rule(required=True, normal=_name),
        "customerNo": Rule(kind="reference", refers="customer"),
        "leaderNo": Rule(kind="reference", refers="employee"),
        "status": Rule(of=("planned", "active", "closed"), default="planned"),
        "starts": Rule(kind="day"),
        "ends": Rule(kind="day"),
        "comment": Rule(),
        "reference": Rule(),
    },
    "employee": {
        "name": Rule(required=True, normal=_name),
        "email": Rule(normal=lambda text: text.strip().lower()),
        "title": Rule(),
        "active": Rule(kind="flag", default=True),
        "reference": Rule(),
    },
}


class _Key(Door):
    """A key in a header."""

    def headers(self, token: str) -> dict[str, str]:
        """Answer the headers with which a person's program calls."""
        return {"X-Api-Key": token}

    def token(self, request: web.Request) -> str:
        """Answer whose token a request carries."""
        return request.headers.get("X-Api-Key", "")


class CustomErp:
    """The system: its tables and their calls."""

    prefix = "/erp/v1"

    def __init__(self, world: World) -> None:
        self.door = _Key()
        self._world = world
        self._register = Register(
            world,
            _RULES,
            name=lambda _type, number, _values: number,
            stamp=lambda made, changed: {"created": _local(made), "modified": _local(changed), "deleted": False},
            marker="reference",
        )
        self.tables = self._register.tables

    def routes(self) -> list[web.RouteDef]:
        """List the calls."""
        return [route for type in _RULES for route in self._routes(type)]

    def problem(self, status: int, wrong: dict[str, str] | None = None) -> Any:
        """Answer a list of complaints about fields, or a word."""
        if wrong:
            return [{"field": name, "text": f"{name} {said}"} for name, said in wrong.items()]
        return _WORDS.get(status, "Something is wrong")

    def seed(self, count: int, seed: int) -> None:
        """Fill the tables; the records look a day old and older, a minute apart."""
        made = company(count, seed)
        staff, others = people(5, seed), people(2 * len(made.customers), seed + 1)
        ages = range(5 + 3 * len(made.customers) + len(made.projects), 0, -1)
        times = (self._world.now() - _DAY - age * _MINUTE for age in ages)
        leaders = [
            self._seeded("employee", next(times), name=f"{p.given} {p.family}", email=p.email, title="Rådgiver")
            for p in staff
        ]
        customers = [
            self._seeded("customer", next(times), name=c.name, orgNo=c.number, email=c.email, comment=c.notes)
            for c in made.customers
        ]
        for number, p in enumerate(others):
            named = {"name": f"{p.given} {p.family}", "email": p.email, "phone": p.phone}
            self._seeded("contact", next(times), customerNo=customers[number // 2], **named)
        for number, project in enumerate(made.projects):
            given: dict[str, Any] = {
                "customerNo": customers[project.customer],
                "leaderNo": leaders[number % len(leaders)],
            }
            given |= {"starts": project.start.isoformat(), "ends": project.end.isoformat(), "comment": project.notes}
            self._seeded("project", next(times), name=project.name, **given)

    def _seeded(self, type: str, now: int, **sent: Any) -> int:
        values = self._register.checked(type, sent, whole=True)
        return int(self._register.add(type, values, now).record["id"])

    def _routes(self, type: str) -> list[web.RouteDef]:
        async def index(request: web.Request) -> web.Response:
            return self._index(type, request)

        async def show(request: web.Request) -> web.Response:
            return json({type: self._row(type, request).record})

        async def create(request: web.Request) -> web.Response:
            row = self._register.add(type, self._sent(type, request, whole=True), self._world.now())
            self._world.note(request, "create", type, str(row.record["id"]), None, row.record)
            return web.Response(status=201, headers={"Location": f"{self.prefix}/{type}s/{row.record['id']}"})

        async def update(request: web.Request) -> web.Response:
            row = self._row(type, request, alive=True)
            before = row.record
            values = self._sent(type, request, whole=False)
            after = self._register.change(type, row, values, self._world.now()).record
            self._world.note(request, "update", type, str(after["id"]), before, after)
            return web.Response(status=204)

        async def delete(request: web.Request) -> web.Response:
            row = self._row(type, request, alive=True)
            before = row.record
            after = self._register.change(type, row, {}, self._world.now())
            after.record["deleted"] = True
            self._world.note(request, "delete", type, str(before["id"]), before, None)
            return json({"ok": True})

        path = f"{self.prefix}/{type}s"
        lists = f"{self.prefix}/customers/{{customerNo}}/contacts" if type == "contact" else path
        one = f"{path}/{{id}}"
        return [
            web.get(lists, index),
            web.post(lists, create),
            web.get(one, show),
            web.patch(one, update),
            web.delete(one, delete),
        ]

    def _index(self, type: str, request: web.Request) -> web.Response:
        query = request.query
        try:
            page, size = int(query.get("page", "1")), int(query.get("perPage", "25"))
            since = read_time(query.get("modifiedSince"), "iso", ZONE)
        except ValueError:
            raise Problem(400, self.problem(400)) from None
        if page < 1 or not 1 <= size <= _LARGEST:
            raise Problem(400, self.problem(400, {"perPage": f"must be between 1 and {_LARGEST}"}))
        rows = self._register.find(type, query["reference"]) if "reference" in query else self.tables[type].rows()
        above = self._above(request)
        shown = [
            row.record
            for row in rows
            if (row.updated > since if since is not None else not row.record["deleted"])
            and (above is None or row.record["customerNo"] == above)
        ]
        start = (page - 1) * size
        return json({"data": shown[start : start + size], "meta": {"total": len(shown), "page": page}})

    def _above(self, request: web.Request) -> int | None:
        named = request.match_info.get("customerNo")
        if named is None:
            return None
        row = self.tables["customer"].get(named)
        if row is None or row.record["deleted"]:
            raise Problem(404, self.problem(404))
        return int(named)

    def _row(self, type: str, request: web.Request, *, alive: bool = False) -> Row:
        row = self.tables[type].get(request.match_info["id"])
        if row is None or (alive and row.record["deleted"]):
            raise Problem(404, self.problem(404))
        return row

    def _sent(self, type: str, request: web.Request, *, whole: bool) -> dict[str, Any]:
        body = request.get(SENT)
        sent = body.get(type) if isinstance(body, dict) else None
        if not isinstance(sent, dict):
            raise Problem(400, f"The body must be wrapped in {type}")
        above = self._above(request)
        try:
            return self._register.checked(type, sent if above is None else {**sent, "customerNo": above}, whole=whole)
        except Wrong as wrong:
            raise Problem(422, self.problem(422, wrong.fields)) from None


def _local(time: int) -> str:
    """Spell a time as a clock on the wall shows it."""
    return write_time(time, "iso", ZONE)
