"""A company's own project management system, as many of them are: offsets, PATCH, trimmed text, 422 with reasons.

Lists are ordered by id. ``updated_since`` is inclusive. Text is trimmed when it is written, so what comes back may
differ from what was sent. Every write counts as a change, even one that changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from aiohttp import web

from connectors.fields import read_time, write_time
from connectors.sandbox.company import company
from connectors.sandbox.faults import json
from connectors.sandbox.server import SENT, Problem, World
from connectors.sandbox.table import Row, Table

_LARGEST = 200
_MESSAGES = {
    400: "Malformed request",
    401: "Invalid token",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    429: "Too many requests",
}

Check = Callable[[Any], str | None]


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, str) else "must be a string"


def _full_text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "can't be blank"


def _status(value: Any) -> str | None:
    return None if value in {"open", "done"} else "must be open or done"


def _day(value: Any) -> str | None:
    try:
        return None if value is None or (isinstance(value, str) and date.fromisoformat(value)) else "must be a date"
    except ValueError:
        return "must be a date"


_FIELDS: dict[str, dict[str, Check]] = {
    "customer": {"name": _full_text, "orgNo": _text, "email": _text, "notes": _text, "external_ref": _text},
    "project": {
        "name": _full_text,
        "customerId": lambda _value: None,
        "description": _text,
        "status": _status,
        "startDate": _day,
        "endDate": _day,
        "external_ref": _text,
    },
    "task": {
        "title": _full_text,
        "description": _text,
        "projectId": lambda _value: None,
        "status": _status,
        "dueDate": _day,
        "external_ref": _text,
    },
}
_DEFAULTS = {"status": "open"}
_REFERENCES = {"customerId": "customer", "projectId": "project"}

_DAY, _MINUTE = 86_400_000_000, 60_000_000


class CustomPms:
    """The system: three tables and their calls."""

    prefix = "/api/v1"

    def __init__(self, world: World) -> None:
        self._world = world
        self.tables = {name: Table() for name in _FIELDS}
        self._next = dict.fromkeys(_FIELDS, 1001)
        self._marked: dict[tuple[str, str], list[str]] = {}

    def routes(self) -> list[web.RouteDef]:
        """List the calls."""
        return [route for name in _FIELDS for route in self._routes(name)]

    def problem(self, status: int) -> Any:
        """Answer the body for a refusal."""
        return {"errors": [{"field": None, "message": _MESSAGES.get(status, "Error")}]}

    def seed(self, count: int, seed: int) -> None:
        """Fill the tables; the records look a day old and older, a minute apart."""
        made = company(count, seed)
        ages = range(len(made.customers) + len(made.projects) + count, 0, -1)
        times = (self._world.now() - _DAY - age * _MINUTE for age in ages)
        customers = [
            self._add("customer", {"name": c.name, "orgNo": c.number, "email": c.email, "notes": c.notes}, next(times))
            for c in made.customers
        ]
        projects = []
        for p in made.projects:
            fields: dict[str, Any] = {"name": p.name, "description": p.notes, "customerId": customers[p.customer]["id"]}
            fields |= {"startDate": p.start.isoformat(), "endDate": p.end.isoformat()}
            projects.append(self._add("project", fields, next(times)))
        for t in made.tasks:
            fields = {"title": t.name, "description": t.notes, "projectId": projects[t.project]["id"]}
            fields |= {"status": "done" if t.done else "open", "dueDate": t.due and t.due.isoformat()}
            self._add("task", fields, next(times))

    def _routes(self, type: str) -> list[web.RouteDef]:
        async def index(request: web.Request) -> web.Response:
            return self._index(type, request)

        async def show(request: web.Request) -> web.Response:
            return json(self._row(type, request).record)

        async def create(request: web.Request) -> web.Response:
            fields = self._checked(type, request.get(SENT), whole=True)
            record = self._add(type, fields, self._world.now())
            self._world.note(request, "create", type, str(record["id"]), None, record)
            return json(record, 201)

        async def update(request: web.Request) -> web.Response:
            row = self._row(type, request)
            before = row.record
            fields = self._checked(type, request.get(SENT), whole=False)
            record = self._put(type, {**before, **fields}, self._world.now())
            self._world.note(request, "update", type, str(record["id"]), before, record)
            return json(record)

        async def delete(request: web.Request) -> web.Response:
            row = self._row(type, request)
            self._mark(type, row.record, {})
            self.tables[type].drop(str(row.record["id"]))
            self._world.note(request, "delete", type, str(row.record["id"]), row.record, None)
            return web.Response(status=204)

        path = f"{self.prefix}/{type}s"
        return [
            web.get(path, index),
            web.post(path, create),
            web.get(f"{path}/{{id}}", show),
            web.patch(f"{path}/{{id}}", update),
            web.delete(f"{path}/{{id}}", delete),
        ]

    def _index(self, type: str, request: web.Request) -> web.Response:
        query = request.query
        try:
            offset, limit = int(query.get("offset", "0")), int(query.get("limit", "50"))
            since = read_time(query.get("updated_since"))
        except ValueError:
            raise Problem(400, self.problem(400)) from None
        if offset < 0 or not 1 <= limit <= _LARGEST:
            raise Problem(400, self.problem(400))
        if "external_ref" in query:
            marked = [self.tables[type].get(name) for name in self._marked.get((type, query["external_ref"]), [])]
            rows = [row for row in marked if row is not None and (since is None or row.updated >= since)]
        else:
            rows = self.tables[type].rows(since)
        return json({"items": [row.record for row in rows[offset : offset + limit]], "total": len(rows)})

    def _row(self, type: str, request: web.Request) -> Row:
        row = self.tables[type].get(request.match_info["id"])
        if row is None:
            raise Problem(404, self.problem(404))
        return row

    def _checked(self, type: str, sent: Any, *, whole: bool) -> dict[str, Any]:
        """Check and trim what was sent. Raises Problem with every mistake."""
        if not isinstance(sent, dict):
            raise Problem(400, self.problem(400))
        checks = _FIELDS[type]
        errors = {name: "is not a field that can be written" for name in sent if name not in checks}
        for name, check in checks.items():
            wanted = name in sent or (whole and check is _full_text)
            complaint = (check(sent.get(name)) or self._dangling(name, sent.get(name))) if wanted else None
            if complaint:
                errors[name] = complaint
        if errors:
            raise Problem(422, {"errors": [{"field": name, "message": said} for name, said in errors.items()]})
        return {name: value.strip() if isinstance(value, str) else value for name, value in sent.items()}

    def _dangling(self, name: str, value: Any) -> str | None:
        target = _REFERENCES.get(name)
        if target is None or value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            return "must be an integer"
        return None if str(value) in self.tables[target] else "does not exist"

    def _add(self, type: str, fields: dict[str, Any], now: int) -> dict[str, Any]:
        number = self._next[type]
        self._next[type] += 1
        empty = {name: _DEFAULTS.get(name) for name in _FIELDS[type]}
        return self._put(type, {"id": number, **empty, **fields}, now)

    def _put(self, type: str, record: dict[str, Any], now: int) -> dict[str, Any]:
        name = str(record["id"])
        former = self.tables[type].get(name)
        self._mark(type, former.record if former else {}, record)
        row = self.tables[type].put(name, record, now)
        row.record = {**record, "updated_at": write_time(row.updated)}
        return row.record

    def _mark(self, type: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        was, is_now = before.get("external_ref"), after.get("external_ref")
        if was == is_now and before and after:
            return
        if was:
            self._marked[type, was].remove(str(before["id"]))
        if is_now:
            self._marked.setdefault((type, is_now), []).append(str(after["id"]))
