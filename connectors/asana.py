"""Asana: workspaces, teams, projects and tasks, over its REST API 1.0.

Why each type is read as it is. Workspaces and teams carry no time of change and are few: everything, every round.
Projects carry one, but their list has no filter, so a round costs the same whether it is thinned out or not; they
are listed whole too, which lets the caller see what is missing. Tasks can be asked for by ``modified_since``, per
project only: a round walks the projects, those in scope or all of the workspace, and reads a project seen for the
first time from its beginning; once a day all of them, because no list by change tells of deletions. A list of projects
is finished before its tasks are read, because offsets expire.

A task in no project is listed by nobody but its assignee. Such tasks are read for those named in ``assignees``; the
others are out of scope, and no task is created without a project, since it could never be found again.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

import msgspec
import orjson
from msgspec import Struct

from connectors.asana_records import KINDS, Kind, dated, entity, flat, gids, same, text
from connectors.endpoint import Cursor, Entity, Page, Reading, Rejected, Time, Traits, Usage
from connectors.errors import BadAnswer, ConnectorError, Locked, Missing, Refused, Stale, Unsure
from connectors.fields import write_time
from connectors.http import Client
from connectors.parting import parted
from connectors.rounds import DAY, is_due, newest
from connectors.walk import Round, ahead, begin, cursor_of, restart, resume
from connectors.wire import Answer, Request

Pairs: TypeAlias = tuple[tuple[str, str], ...]

_SECOND = 1_000_000
_SKEW = 300 * _SECOND
"""How far Asana's clock may trail ours when a record is looked for by when we made it."""
_QUIET = 20
"""Lists without anything new that one page passes over."""


class Scope(Struct, frozen=True, kw_only=True):
    """What of Asana is kept in step. Without a workspace, the only one there is."""

    workspace: str | None = None
    projects: tuple[str, ...] = ()
    """Only the tasks of these; none means all projects of the workspace."""
    assignees: tuple[str, ...] = ()
    """Also the tasks of these people, in whatever project or in none."""
    rename_workspaces: bool = False
    overlap: float = 120.0
    """Seconds that every round of tasks reads again."""
    size: int = 100


class Listing:
    """All projects, as a round that read them left them for the next round of tasks, which needs them as well.

    A list serves one round, and only if its reading began after the round before: so a new project is missed by no
    more than one round, as if every round had asked for itself.
    """

    def __init__(self) -> None:
        self._whole: tuple[str, ...] | None = None
        self._part: list[str] | None = None
        self._expected: str | None = None

    def add(self, records: list[Any], offset: str | None, following: str | None) -> None:
        """Learn of a page, and of where the next one begins; a list that was not followed from its start is none."""
        if offset is None:
            self._part = []
        elif offset != self._expected:
            self._part = None
        self._expected = following
        if self._part is None:
            return
        self._part += [record["gid"] for record in records if isinstance(record, dict) and "gid" in record]
        if following is None:
            self._whole, self._part = tuple(self._part), None

    def take(self) -> tuple[str, ...] | None:
        """Answer the list, once; a reading that is under way began too early for the next round."""
        whole, self._whole, self._part = self._whole, None, None
        return whole


class AsanaEndpoint:
    """Asana, open for reading and writing."""

    def __init__(self, client: Client, scope: Scope, *, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._scope = scope
        self._now = now
        self._workspace = scope.workspace
        self._projects = Listing()

    def traits(self) -> Mapping[str, Traits]:
        """Tell what each entity type can do."""
        return {name: kind.traits for name, kind in KINDS.items()}

    def clock_ahead(self) -> float | None:
        """Tell by how many seconds the system's clock is ahead of ours."""
        return self._client.ahead.seconds()

    def usage(self) -> Usage:
        """Tell what was asked of the system, and how much may still be asked."""
        return self._client.usage()

    async def page(self, type: str, cursor: Cursor) -> Page:
        """Read what comes after the cursor; lists in which nothing changed are passed over in one go."""
        page = await self._next_page(type, cursor)
        for _ in range(_QUIET):
            if page.entities or page.rejected or not page.more:
                break
            page = await self._next_page(type, page.cursor)
        return page

    async def _next_page(self, type: str, cursor: Cursor) -> Page:
        kind, at = _kind(type), resume(cursor)
        if at.lists is None:
            listed = self._projects.take() if type == "tasks" and not self._scope.projects else None
            now = round(self._now() * _SECOND)
            again = now if type == "tasks" and is_due(at.whole, now, DAY) else None
            at = begin(at, await self._lists(type, listed), again=again)
        if not at.lists:
            return Page(since=at.since, cursor=cursor_of(Round(since=at.since)))
        try:
            answer = await self._list(kind, self._query(at.lists[0], at.since), at.offset)
        except (Missing, Locked) as error:
            if not await self._has_left(type, at.lists[0].lstrip("+~")):
                raise Refused(str(error)) if isinstance(error, Missing) else error from None
            return self._page(type, at, [], None)
        except Refused:
            anew = restart(at)  # offsets expire
            if anew is None:
                raise
            return Page(cursor=cursor_of(anew), more=True, since=at.since)
        if at.begun is None:
            at = msgspec.structs.replace(at, begun=answer.date or round(self._now() * _SECOND))
        following = _next(answer)
        if type == "projects":
            self._projects.add(_data(answer), at.offset, following)
        if following is not None and following == at.offset:
            raise BadAnswer(f"{type}: found a next page that is this page; another one, or none, would be right")
        return self._page(type, at, _data(answer), following)

    async def read(self, type: str, id: str) -> Entity:
        """Read one record."""
        kind = _kind(type)
        answer = await self._client.call(Request(method="GET", path=_at(kind, id), query=_fields(kind), one=True))
        try:
            found = entity(kind, answer.body.get("data") if isinstance(answer.body, dict) else None)
            return msgspec.structs.replace(found, reading=Reading(answer.body["data"], answer.asked_at))
        except ValueError as error:
            raise BadAnswer(f"{type}:{id}: {error}", body=orjson.dumps(answer.body)[:500]) from None

    async def find(self, type: str, marker: str, since: Time) -> tuple[Entity, ...]:
        """Find the records with this marker, by listing; search lags, lists do not."""
        kind = _kind(type)
        found: dict[str, Entity] = {}
        for scope in await self._lists(type):
            records = [record async for record in self._walk(kind, self._query(scope, since - _SKEW))]
            found |= {one.id: one for one in _sorted_out(type, records)[0] if one.marker == marker}
        return tuple(sorted(found.values(), key=lambda one: (len(one.id), one.id)))

    async def recent(self, type: str, since: Time) -> tuple[Entity, ...]:  # noqa: ARG002 - all types are marked
        """Refuse: every type that can be created carries a marker."""
        raise Refused(f"{type}: found no need to list what is new; looking for the marker would be right")

    async def create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        """Create a record, marked."""
        kind = _kind(type)
        if type == "workspaces":
            raise Refused("workspaces: found one to create; Asana lets nobody create workspaces, link an existing one")
        missing = {path: "is required" for path in kind.traits.required if wanted.get(path) in (None, "")}
        if missing:
            raise Refused(f"{type}: found no {', '.join(missing)}; values would be right", fields=missing)
        values = dated(type, flat(type, kind, {p: v for p, v in wanted.items() if v is not None}), {})
        body = text(kind, {**values, **await self._home(type, values)}, marker, always=True)
        try:
            answer = await self._client.call(_write("POST", kind.path, body, _fields(kind)))
        except (Stale, Missing) as error:  # a create is based on no record
            raise Refused(str(error)) from None
        return _held(type, kind, answer)

    async def update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Change these paths of a record."""
        kind = _kind(type)
        if type == "workspaces" and not self._scope.rename_workspaces:
            raise Refused(
                "workspaces: found a new name; renaming renames it for everybody, allow it by rename_workspaces: true",
                fields=dict.fromkeys(wanted, "rename_workspaces is off"),
            )
        values = flat(type, kind, wanted)
        moves = values.pop("projects", None)
        async with self._client.place(base):
            fresh = held = await self._unchanged(type, base, wanted)
            if values:
                body = text(kind, dated(type, values, fresh.record), fresh.marker)
                sent = _write("PUT", _at(kind, base.id), body, _fields(kind))
                held = _held(type, kind, await self._client.call(sent))
        if type == "tasks" and moves is not None and set(moves) != set(gids(fresh.record, "projects")):
            held = await self._move(base.id, gids(fresh.record, "projects"), moves or [], begun=bool(values))
        return held

    async def remove(self, type: str, base: Entity, how: Literal["archive", "delete"]) -> None:
        """Archive or delete a record."""
        kind = _kind(type)
        if how not in kind.traits.remove:
            raise Refused(f"{type}: found {how}; Asana cannot do that with {type}")
        if how == "archive":
            await self.update(type, base, {"archived": True})
        else:
            async with self._client.place(base):
                await self._unchanged(type, base, {})
                await self._client.call(Request(method="DELETE", path=_at(kind, base.id), one=True))

    async def close(self) -> None:
        """Give connections back."""
        await self._client.close()

    # lists

    async def _lists(self, type: str, listed: Sequence[str] | None = None) -> tuple[str, ...]:
        """Answer the lists that together hold the type: ``project:<gid>``, ``assignee:<gid>``, ``all``.

        ``listed`` are all projects, if they are known.
        """
        if type != "tasks":
            return ("all",) if type == "workspaces" else (f"workspace:{await self._home_gid()}",)
        projects: Sequence[str] = self._scope.projects or listed or ()
        if not projects:
            kind = KINDS["projects"]
            asked: Pairs = (("workspace", await self._home_gid()), ("opt_fields", "name"))
            projects = [record["gid"] async for record in self._walk(kind, (kind.path, asked)) if "gid" in record]
        people = self._scope.assignees
        if people:
            await self._home_gid()
        return (*(f"project:{gid}" for gid in projects), *(f"assignee:{gid}" for gid in people))

    async def _has_left(self, type: str, scope: str) -> bool:
        """Tell whether a list is no longer ours to read: a project that went away while the round ran."""
        return not self._scope.projects and scope not in await self._lists(type)

    def _query(self, scope: str, since: Time | None) -> tuple[str, Pairs]:
        """Answer the path and the parameters of a list; one never read before is read whole."""
        name, _, gid = scope.lstrip("+~").partition(":")
        changed: Pairs = (("modified_since", write_time(since)),) if since and not scope.startswith(("+", "~")) else ()
        match name:
            case "project":
                return "/tasks", (("project", gid), *changed)
            case "assignee":
                return "/tasks", (("assignee", gid), ("workspace", self._workspace or ""), *changed)
            case _:
                return "", (("workspace", gid),) if gid else ()

    async def _list(self, kind: Kind, where: tuple[str, Pairs], offset: str | None) -> Answer:
        path, asked = where
        if kind is KINDS["teams"]:
            path, asked = f"/workspaces/{quote(dict(asked)['workspace'], safe='')}/teams", ()
        fields: Pairs = () if dict(asked).get("opt_fields") else _fields(kind)
        at: Pairs = (("offset", offset),) if offset else ()
        size = ("limit", str(self._scope.size))
        pairs = (*asked, *fields, size, *at)
        return await self._client.call(Request(method="GET", path=path or kind.path, query=pairs))

    async def _walk(self, kind: Kind, where: tuple[str, Pairs]) -> AsyncIterator[Any]:
        """Read a list to its end."""
        offset = None
        while True:
            answer = await self._list(kind, where, offset)
            for record in _data(answer):
                yield record
            following = _next(answer)
            if following is None:
                return
            if following == offset:
                raise BadAnswer(f"{kind.path}: found a next page that is this page; another one would be right")
            offset = following

    def _page(self, type: str, at: Round, records: list[Any], following: str | None) -> Page:
        """Make a page of an answer, and say where to go on."""
        entities, rejected = _sorted_out(type, records)
        seen = newest(*(one.updated_at for one in entities))
        onward = ahead(at, following, seen, overlap=self._scope.overlap if type == "tasks" else None)
        more = bool(onward.lists)
        return Page(
            entities=entities,
            rejected=rejected,
            cursor=cursor_of(onward),
            more=more,
            whole="" if _kind(type).traits.changes == "list" or (at.lists or [""])[0][:1] in ("+", "~") else None,
            since=onward.since,
        )

    # writes

    async def _home_gid(self) -> str:
        """Answer the workspace; asks Asana once if the settings do not say."""
        if self._workspace is None:
            kind = KINDS["workspaces"]
            found = [one async for one in self._walk(kind, (kind.path, (("opt_fields", "name"),)))]
            if len(found) != 1:
                names = ", ".join(f"{one.get('name')} ({one.get('gid')})" for one in found)
                raise Refused(
                    f"workspace: found {len(found)} ({names}); the setting workspace with one gid would be right"
                )
            self._workspace = str(found[0]["gid"])
        return self._workspace

    async def _home(self, type: str, values: dict[str, Any]) -> dict[str, Any]:
        """Answer what a new record needs to have a place. Raises Refused if it would be out of scope."""
        workspace = await self._home_gid()
        if type == "teams":
            return {"organization": workspace}
        if type == "projects":
            return {"workspace": workspace}
        scope = self._scope.projects
        projects = values.get("projects") or (list(scope) if len(scope) == 1 else [])
        outside = [gid for gid in projects if scope and gid not in scope]
        if not projects or outside:
            why = (
                f"{', '.join(outside)} is out of scope"
                if outside
                else "is required: a task in no project is never found"
            )
            raise Refused(f"tasks: projects {why}; a project in scope would be right", fields={"projects": why})
        return {"projects": projects}

    async def _unchanged(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Answer the record, read just now. Raises Stale if it is no longer what the write is based on."""
        if self._client.fresh(base) is not None:
            return base
        fresh = await self.read(type, base.id)
        known = fresh.updated_at is not None and base.updated_at is not None
        if fresh.updated_at != base.updated_at if known else not same(base.record, fresh.record, wanted):
            raise Stale(f"{type}:{base.id}: found a newer record; reading it again and merging would be right")
        return fresh

    async def _move(self, gid: str, had: list[str], wanted: list[str], *, begun: bool) -> Entity:
        """Put a task into its new projects, then out of its old ones, so that it is never in none."""
        path = f"{KINDS['tasks'].path}/{quote(gid, safe='')}"
        steps = [("addProject", project) for project in wanted if project not in had]
        steps += [("removeProject", project) for project in had if project not in wanted]
        for done, (verb, project) in enumerate(steps, start=int(begun)):
            try:
                await self._client.call(_write("POST", f"{path}/{verb}", {"project": project}))
            except ConnectorError as error:
                if done == 0:
                    raise
                raise Unsure(f"tasks:{gid}: written in part, and then: {error}") from None
        try:
            return await self.read("tasks", gid)
        except ConnectorError as error:
            raise Unsure(f"tasks:{gid}: moved, and then: {error}") from None


def _kind(type: str) -> Kind:
    kind = KINDS.get(type)
    if kind is None:
        raise Refused(f"{type}: found no such type; one of {', '.join(KINDS)} would be right")
    return kind


def _at(kind: Kind, gid: str) -> str:
    return f"{kind.path}/{quote(gid, safe='')}"


def _fields(kind: Kind) -> Pairs:
    return (("opt_fields", ",".join(kind.fields)),)


def _write(method: str, path: str, data: dict[str, Any], query: Pairs = ()) -> Request:
    return Request(method=method, path=path, query=query, body={"data": data}, one=True)


def _data(answer: Answer) -> list[Any]:
    data = answer.body.get("data") if isinstance(answer.body, dict) else None
    if not isinstance(data, list):
        raise BadAnswer("list: found no data; a list would be right", body=orjson.dumps(answer.body)[:500])
    return data


def _next(answer: Answer) -> str | None:
    page = answer.body.get("next_page") if isinstance(answer.body, dict) else None
    offset = page.get("offset") if isinstance(page, dict) else None
    return offset if isinstance(offset, str) and offset else None


def _held(type: str, kind: Kind, answer: Answer) -> Entity:
    try:
        return entity(kind, answer.body.get("data") if isinstance(answer.body, dict) else None)
    except ValueError as error:
        raise Unsure(f"{type}: {error}; the write was answered with success") from None


def _sorted_out(type: str, records: list[Any]) -> tuple[tuple[Entity, ...], tuple[Rejected, ...]]:
    def named(record: Any) -> str | None:
        gid = record.get("gid") if isinstance(record, dict) else None
        return gid if isinstance(gid, str) and gid else None

    return parted(type, records, lambda record: entity(KINDS[type], record), named=named, key="gid")
