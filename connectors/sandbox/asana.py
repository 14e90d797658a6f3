"""Asana as its API 1.0 behaves, as far as linkstream uses it: envelopes, opt_fields, expiring offsets, date pairs.

Quirks kept on purpose: answers are compact without ``opt_fields``; ``modified_since`` is inclusive, works per project
only and says nothing of deletions; moving a task between projects is no modification; ``completed_at`` cannot be
written; teams exist in organizations only and are never deleted; workspaces are never made.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from typing import Any

from aiohttp import web

from connectors.fields import read_time, write_time
from connectors.sandbox.asana_rules import (
    PROJECT,
    TASK,
    TEAM,
    WORKSPACE,
    Rules,
    check,
    project_dates,
    shaped,
    task_dates,
)
from connectors.sandbox.company import company
from connectors.sandbox.faults import json
from connectors.sandbox.server import SENT, Problem, World
from connectors.sandbox.table import Row, Table

_MESSAGES = {
    400: "Bad request",
    401: "Not Authorized",
    402: "This feature is not available to your plan",
    403: "Forbidden",
    404: "Not Found",
    405: "Method not allowed",
    429: "You have made too many requests recently. Please, be chill.",
}
_LARGEST = 100
_UNPAGED = 1000
_HELP = "For more information on API status codes and how to handle them, read the docs on errors"

_DAY, _MINUTE = 86_400_000_000, 60_000_000


class Asana:
    """The system: workspaces, teams, projects, tasks, and who is in them."""

    prefix = "/api/1.0"
    offset_life = 60.0
    """Seconds after which an offset is worth nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.tables = {name: Table() for name in ("workspace", "team", "project", "task", "user")}
        self.members: dict[str, dict[str, None]] = {}
        """The tasks of each project."""
        self._gids = itertools.count(1_200_000_000_000_001)
        self._offsets: dict[str, tuple[int, int]] = {}
        self.organization = self._plant("workspace", {"name": "Fjordbygg AS", "is_organization": True})
        self.private = self._plant("workspace", {"name": "Personal Projects", "is_organization": False})
        for name, email in (
            ("Linkstream", "linkstream@fjordbygg.example"),
            ("Kari Nordmann", "kari@fjordbygg.example"),
        ):
            self._plant("user", {"name": name, "email": email})
        self.settings = {"workspace": self.organization}
        self.team = self._plant("team", {"name": "Prosjekt", "description": "", "organization": self.organization})
        self._plant(
            "team", {"name": "Økonomi", "description": "Fakturering og lønn", "organization": self.organization}
        )

    def routes(self) -> list[web.RouteDef]:
        """List the calls."""
        at = self.prefix
        return [
            web.get(f"{at}/workspaces", self._all("workspace")),
            web.get(f"{at}/workspaces/{{gid}}", self._one("workspace")),
            web.put(f"{at}/workspaces/{{gid}}", self._change("workspace", WORKSPACE)),
            web.get(f"{at}/workspaces/{{gid}}/teams", self._teams),
            web.get(f"{at}/workspaces/{{gid}}/tasks/search", self._premium),
            web.post(f"{at}/teams", self._make("team", TEAM)),
            web.get(f"{at}/teams/{{gid}}", self._one("team")),
            web.put(f"{at}/teams/{{gid}}", self._change("team", TEAM)),
            web.get(f"{at}/projects", self._projects),
            web.post(f"{at}/projects", self._make("project", PROJECT)),
            web.get(f"{at}/projects/{{gid}}", self._one("project")),
            web.put(f"{at}/projects/{{gid}}", self._change("project", PROJECT)),
            web.delete(f"{at}/projects/{{gid}}", self._remove("project")),
            web.get(f"{at}/tasks", self._tasks),
            web.post(f"{at}/tasks", self._make("task", TASK)),
            web.get(f"{at}/tasks/{{gid}}", self._one("task")),
            web.put(f"{at}/tasks/{{gid}}", self._change("task", TASK)),
            web.delete(f"{at}/tasks/{{gid}}", self._remove("task")),
            web.post(f"{at}/tasks/{{gid}}/addProject", self._membership(joins=True)),
            web.post(f"{at}/tasks/{{gid}}/removeProject", self._membership(joins=False)),
        ]

    def problem(self, status: int) -> Any:
        """Answer the body for a refusal."""
        return {"errors": [{"message": _MESSAGES.get(status, "Error"), "help": _HELP}]}

    def seed(self, count: int, seed: int) -> None:
        """Fill the organization; the records look a day old and older, a minute apart."""
        made = company(count, seed)
        times = (self._world.now() - _DAY - age * _MINUTE for age in range(len(made.projects) + count, 0, -1))
        projects = []
        for p in made.projects:
            fields: dict[str, Any] = {"name": p.name, "notes": p.notes, "team": self.team}
            fields |= {"start_on": p.start.isoformat(), "due_on": p.end.isoformat()}
            projects.append(self._add("project", PROJECT, fields, next(times))["gid"])
        for t in made.tasks:
            fields = {"name": t.name, "notes": t.notes, "completed": t.done, "projects": [projects[t.project]]}
            self._add("task", TASK, {**fields, "due_on": t.due and t.due.isoformat()}, next(times))

    # reading

    def _all(self, type: str) -> Callable[[web.Request], Any]:
        async def index(request: web.Request) -> web.Response:
            return self._page(request, type, self.tables[type].rows())

        return index

    def _one(self, type: str) -> Callable[[web.Request], Any]:
        async def show(request: web.Request) -> web.Response:
            return json({"data": self._shown(type, self._row(type, request), request)})

        return show

    async def _teams(self, request: web.Request) -> web.Response:
        workspace = self._row("workspace", request)
        if not workspace.record["is_organization"]:
            raise self._refused("workspace: Not an organization")
        rows = [row for row in self.tables["team"].rows() if row.record["organization"] == workspace.record["gid"]]
        return self._page(request, "team", rows)

    async def _projects(self, request: web.Request) -> web.Response:
        rows = self.tables["project"].rows()
        for name in ("workspace", "team"):
            if name in request.query:
                rows = [row for row in rows if row.record[name] == request.query[name]]
        if "archived" in request.query:
            rows = [row for row in rows if row.record["archived"] == (request.query["archived"] == "true")]
        return self._page(request, "project", rows)

    async def _tasks(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            since = read_time(query.get("modified_since"))
        except ValueError:
            raise self._refused("modified_since: Not a valid date") from None
        if "project" in query:
            members = self.members.get(query["project"])
            if members is None:
                raise Problem(404, self.problem(404))
            rows = [row for row in self.tables["task"].rows(since) if row.record["gid"] in members]
        elif "assignee" in query and "workspace" in query:
            rows = [row for row in self.tables["task"].rows(since) if row.record["assignee"] == query["assignee"]]
        else:
            raise self._refused(
                "You should specify one of project, tag, section, user_task_list, or assignee + workspace"
            )
        return self._page(request, "task", rows)

    async def _premium(self, _request: web.Request) -> web.Response:
        raise Problem(402, self.problem(402))

    def _page(self, request: web.Request, type: str, rows: list[Row]) -> web.Response:
        query = request.query
        after = self._after(query["offset"]) if "offset" in query else 0
        size = query.get("limit")
        if size is not None and not (size.isdecimal() and 1 <= int(size) <= _LARGEST):
            raise self._refused("limit: Must be between 1 and 100")
        if size is None and len(rows) > _UNPAGED:
            raise self._refused("The result is too large. You should use pagination")
        rest = [row for row in rows if row.number > after] if after else rows
        shown = rest[: int(size)] if size else rest
        answer: dict[str, Any] = {"data": [self._shown(type, row, request) for row in shown]}
        if size:
            answer["next_page"] = self._next(request, shown[-1]) if len(rest) > len(shown) else None
        return json(answer)

    def _next(self, request: web.Request, last: Row) -> dict[str, str]:
        token = base64.urlsafe_b64encode(f"{len(self._offsets)}.{last.number}".encode()).decode().rstrip("=")
        self._offsets[token] = (last.number, self._world.clock() + round(self.offset_life * 1_000_000))
        path = str(request.rel_url.update_query(offset=token)).removeprefix(self.prefix)
        return {"offset": token, "path": path, "uri": f"{request.url.origin()}{self.prefix}{path}"}

    def _after(self, token: str) -> int:
        number, expires = self._offsets.get(token, (0, 0))
        if expires < self._world.clock():
            raise self._refused("offset: Your pagination token has expired.")
        return number

    def _shown(self, type: str, row: Row, request: web.Request) -> dict[str, Any]:
        names = request.query.get("opt_fields")
        return shaped(type, row.record, names.split(",") if names else None, self._named)

    def _named(self, type: str, gid: str) -> dict[str, Any]:
        row = self.tables[type].get(gid)
        return {"gid": gid, "resource_type": type, "name": row.record["name"] if row else ""}

    # writing

    def _make(self, type: str, rules: Rules) -> Callable[[web.Request], Any]:
        async def create(request: web.Request) -> web.Response:
            fields = self._checked(rules, request, creating=True)
            record = self._add(type, rules, fields, self._world.now())
            self._world.note(request, "create", type, record["gid"], None, record)
            row = self.tables[type].get(record["gid"])
            return json({"data": self._shown(type, row, request) if row else {}}, 201)

        return create

    def _change(self, type: str, rules: Rules) -> Callable[[web.Request], Any]:
        async def update(request: web.Request) -> web.Response:
            row = self._row(type, request)
            before = row.record
            fields = self._checked(rules, request, creating=False)
            after = self._derived(type, {**before, **fields}, fields, self._world.now())
            if after != before:
                self._put(type, after, self._world.now())
                self._world.note(request, "update", type, row.record["gid"], before, row.record)
            return json({"data": self._shown(type, row, request)})

        return update

    def _remove(self, type: str) -> Callable[[web.Request], Any]:
        async def delete(request: web.Request) -> web.Response:
            row = self._row(type, request)
            gid = row.record["gid"]
            self.tables[type].drop(gid)
            if type == "project":
                self.members.pop(gid, None)
            else:
                for project in row.record["projects"]:
                    self.members.get(project, {}).pop(gid, None)
            self._world.note(request, "delete", type, gid, row.record, None)
            return json({"data": {}})

        return delete

    def _membership(self, *, joins: bool) -> Callable[[web.Request], Any]:
        async def move(request: web.Request) -> web.Response:
            row = self._row("task", request)
            before = row.record
            project = self._data(request).get("project")
            if project not in self.members:
                raise self._refused("project: Not a recognized ID")
            kept = [gid for gid in before["projects"] if gid != project]
            self.members[project].pop(before["gid"], None)
            if joins:
                kept.append(project)
                self.members[project][before["gid"]] = None
            self.tables["task"].replace(before["gid"], {**before, "projects": kept})
            self._world.note(request, "update", "task", before["gid"], before, row.record)
            return json({"data": {}})

        return move

    def _data(self, request: web.Request) -> dict[str, Any]:
        sent = request.get(SENT)
        data = sent.get("data") if isinstance(sent, dict) else None
        if not isinstance(data, dict):
            raise self._refused("Could not parse request data, missing data")
        return data

    def _checked(self, rules: Rules, request: web.Request, *, creating: bool) -> dict[str, Any]:
        data = self._data(request)
        said = check(rules, data, creating=creating)
        if rules is TASK:
            said += task_dates(data)
        if rules is PROJECT:
            said += project_dates(data)
        if creating:
            said += self._homeless(rules, data)
        said += [
            f"{name}: Not a recognized ID: {gid}"
            for name, linked in rules.references.items()
            for gid in _gids(data.get(name))
            if gid not in self.tables[linked]
        ]
        if said:
            raise Problem(400, {"errors": [{"message": text, "help": _HELP} for text in said]})
        return data

    def _homeless(self, rules: Rules, data: dict[str, Any]) -> list[str]:
        """Say what a new record lacks to have a place."""
        if rules is TASK and not (data.get("workspace") or data.get("projects")):
            return ["workspace: Missing input; one of workspace, projects or parent is needed"]
        home = self.tables["workspace"].get(str(data.get("workspace" if rules is PROJECT else "organization")))
        if rules is TEAM and (home is None or not home.record["is_organization"]):
            return ["organization: Not an organization"]
        if rules is PROJECT and not data.get("team") and (home is None or home.record["is_organization"]):
            return ["team: You should specify a team or a workspace that is no organization"]
        return []

    def _add(self, type: str, rules: Rules, fields: dict[str, Any], now: int) -> dict[str, Any]:
        gid = str(next(self._gids))
        empty = {**rules.defaults, "gid": gid, "created_at": write_time(now)}
        if type == "task" and fields.get("projects"):
            home = self.tables["project"].get(fields["projects"][0])
            fields = {**fields, "workspace": home.record["workspace"] if home else None}
        if type == "project":
            fields = {"owner": next(self.tables["user"].ids()), **fields}
            if fields.get("team") and not fields.get("workspace"):
                fields["workspace"] = self.organization
        record = self._derived(type, {**empty, **fields}, fields, now)
        for project in record.get("projects", ()):
            self.members[project][gid] = None
        if type == "project":
            self.members[gid] = {}
        return self._put(type, record, now)

    def _derived(self, type: str, record: dict[str, Any], fields: dict[str, Any], now: int) -> dict[str, Any]:
        """Do to a record what the server does by itself."""
        if type != "task":
            return record
        if "completed" in fields:
            stamp = record.get("completed_at") or write_time(now)
            record = {**record, "completed_at": stamp if fields["completed"] else None}
        if fields.get("due_at"):
            record = {**record, "due_on": fields["due_at"][:10]}
        elif "due_on" in fields:
            record = {**record, "due_at": None}
        if "due_on" in fields and fields["due_on"] is None:
            record = {**record, "start_on": None, "start_at": None}
        return record

    def _put(self, type: str, record: dict[str, Any], now: int) -> dict[str, Any]:
        row = self.tables[type].put(record["gid"], record, now)
        if type in {"task", "project"}:
            row.record = {**record, "modified_at": write_time(row.updated)}
        return row.record

    def _plant(self, type: str, fields: dict[str, Any]) -> str:
        gid = str(next(self._gids))
        self.tables[type].put(gid, {"gid": gid, "email_domains": [], **fields}, self._world.now())
        return gid

    def _row(self, type: str, request: web.Request) -> Row:
        row = self.tables[type].get(request.match_info["gid"])
        if row is None:
            raise Problem(
                404, {"errors": [{"message": f"{type}: Unknown object: {request.match_info['gid']}", "help": _HELP}]}
            )
        return row

    def _refused(self, message: str) -> Problem:
        return Problem(400, {"errors": [{"message": message, "help": _HELP}]})


def _gids(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(gid) for gid in values if gid is not None]
