"""The generic connector: a declared REST system, read and written as its declaration says.

Nothing here is about one system, and nothing is decided by guessing: whatever differs between systems stands in the
declaration. A record goes through untouched but for the marker, which is ours and not theirs. Only fields that the
caller wants changed are in a request, unless the system insists on whole records.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote

import orjson
from yarl import URL

from connectors.declaration import Declaration, Operation, Type
from connectors.endpoint import Cursor, Entity, Page, Traits
from connectors.errors import BadAnswer, ConnectorError, Missing, Refused, Stale, Unsure
from connectors.fields import ABSENT, pick, place, read_time, write_time
from connectors.http import Answer, Client, Request
from connectors.paging import Paging, Seen, advance, ask
from connectors.records import body, entity, is_deleted, kind, sorted_out, traits, writable, writes
from connectors.rounds import Round, newest, next_since, resume

_SECOND = 1_000_000
_SHOWN = 500


class RestEndpoint:
    """A declared system, open for reading and writing."""

    def __init__(self, declaration: Declaration, client: Client, *, now: Callable[[], float] = time.time) -> None:
        self._declaration = declaration
        self._client = client
        self._now = now

    def traits(self) -> Mapping[str, Traits]:
        """Tell what each entity type can do."""
        return traits(self._declaration)

    async def page(self, type: str, cursor: Cursor) -> Page:
        """Read what comes after the cursor."""
        said, at = self._type(type), resume(cursor)
        paging = said.paging or self._declaration.paging
        answer, items, following = await self._list(said, paging, at.page, _since(said, at))
        entities, gone, rejected = sorted_out(type, said, items)
        begun = at.begun or answer.date or round(self._now() * _SECOND)
        seen = newest(at.newest, *(entity.updated_at for entity in entities))
        if following is not None:
            ahead = Round(since=at.since, page=following, newest=seen, begun=begun)
        else:
            overlap = said.since.overlap if said.since else 0.0
            ahead = Round(since=next_since(at.since, seen, begun, overlap) if said.since else None)
        return Page(
            entities=tuple(entities),
            gone=tuple(gone),
            rejected=tuple(rejected),
            cursor=_cursor(ahead),
            more=following is not None,
            since=ahead.since,
        )

    async def read(self, type: str, id: str) -> Entity:
        """Read one record."""
        said = self._type(type)
        answer = await self._client.call(_request(said.read, "GET", id=id))
        entity = self._entity(type, said, pick(answer.body, said.read.record))
        if is_deleted(said, entity.record):
            raise Missing(f"{type}:{id}: found a deleted record")
        return entity

    async def find(self, type: str, marker: str, since: int) -> tuple[Entity, ...]:
        """Find the records with this marker, oldest first; without a filter for it, by reading what is new."""
        said = self._type(type)
        if said.marker is None:
            raise Refused(f"{type}: found no field for a marker; a declared one would be right")
        if said.marker.filter is not None:
            extra: tuple[tuple[str, str], ...] = ((said.marker.filter, marker),)
        else:
            overlap = round((said.since.overlap if said.since else 0.0) * _SECOND)
            extra = _since(said, Round(since=since - overlap))
        found: dict[str, Entity] = {}
        state = None
        while True:
            _, items, state = await self._list(said, said.paging or self._declaration.paging, state, extra)
            entities, _, _ = sorted_out(type, said, items)
            found |= {entity.id: entity for entity in entities if entity.marker == marker}
            if state is None:
                return tuple(sorted(found.values(), key=_age(said)))

    async def create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        """Create a record, marked."""
        said = self._type(type)
        if said.create is None:
            raise Refused(f"{type}: found a record to create; {self._declaration.connector} creates none of this type")
        missing = {path: "is required" for path in said.required if wanted.get(path) in (None, "")}
        if missing:
            raise Refused(f"{type}: found no {', '.join(missing)}; values would be right", fields=missing)
        laid = body(type, said, {path: value for path, value in wanted.items() if writes(said, value)})
        if said.marker is not None and marker:
            place(laid, said.marker.field, marker)
        try:
            answer = await self._client.call(_request(said.create, "POST", body=laid))
        except (Stale, Missing) as error:  # a create is based on no record
            raise Refused(str(error)) from None
        return await self._held(type, said, said.create, answer, marker)

    async def update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Change these paths of a record."""
        said = self._type(type)
        if said.update is None:
            raise Refused(f"{type}: found a record to change; {self._declaration.connector} changes none of this type")
        empty = {path: "cannot be emptied" for path, value in wanted.items() if not writes(said, value)}
        if empty:
            raise Refused(f"{type}: found no value for {', '.join(empty)}; values would be right", fields=empty)
        fresh = await self._unchanged(type, base, wanted) if said.compare or said.update.whole else base
        laid = body(type, said, {**writable(said, fresh.record), **wanted} if said.update.whole else wanted)
        answer = await self._client.call(_request(said.update, "PATCH", id=base.id, body=laid))
        return await self._held(type, said, said.update, answer, base.marker, id=base.id)

    async def remove(self, type: str, base: Entity, how: Literal["archive", "delete"]) -> None:
        """Archive or delete a record."""
        said = self._type(type)
        if how == "archive" and said.archive:
            await self.update(type, base, said.archive)
        elif how == "delete" and said.delete is not None:
            if said.compare:
                await self._unchanged(type, base, {})
            await self._client.call(_request(said.delete, "DELETE", id=base.id))
        else:
            raise Refused(f"{type}: found {how}; {self._declaration.connector} cannot do that with this type")

    async def close(self) -> None:
        """Give connections back."""
        await self._client.close()

    def _type(self, name: str) -> Type:
        said = self._declaration.types.get(name)
        if said is None:
            raise Refused(f"{name}: found no such type; one of {', '.join(self._declaration.types)} would be right")
        return said

    async def _list(
        self, said: Type, paging: Paging, state: dict[str, Any] | None, extra: tuple[tuple[str, str], ...]
    ) -> tuple[Answer, list[Any], dict[str, Any] | None]:
        """Ask for one page; answer it, its items, and the state for the next one."""
        address, pairs = ask(paging, state)
        if address is None:
            request = _request(said.list, "GET", query=(*extra, *pairs), one=False)
        else:
            request = Request(method="GET", path=address)
        try:
            answer = await self._client.call(request)
        except Missing as error:
            raise BadAnswer(f"{said.list.path}: found no list ({error}); check url and path") from None
        items = pick(answer.body, said.list.record) if answer.body is not None else []
        if not isinstance(items, list):
            raise BadAnswer(
                f"{said.list.path}: found {kind(items)} at {said.list.record!r}; a list would be right",
                body=orjson.dumps(answer.body)[:_SHOWN],
            )
        ids = [str(pick(item, said.id.field)) for item in items]
        digest = hashlib.blake2b(orjson.dumps(answer.body), digest_size=9).hexdigest()
        following = advance(paging, state, Seen(ids=ids, body=answer.body, headers=answer.headers, digest=digest))
        if following is not None and paging.kind == "link":
            following["next"] = self._client.link(answer, str(following["next"]))
        return answer, items, following

    def _entity(self, type: str, said: Type, record: Any) -> Entity:
        try:
            return entity(said, record)
        except ValueError as error:
            raise BadAnswer(
                f"{type}: {error}", body=orjson.dumps(None if record is ABSENT else record)[:_SHOWN]
            ) from None

    async def _unchanged(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Read the record again. Raises Stale if it is no longer what the write is based on."""
        fresh = await self.read(type, base.id)
        same = (
            fresh.updated_at == base.updated_at
            if fresh.updated_at is not None and base.updated_at is not None
            else all(pick(fresh.record, path) == pick(base.record, path) for path in wanted)
        )
        if not same:
            raise Stale(f"{type}:{base.id}: found a newer record; reading it again and merging would be right")
        return fresh

    async def _held(
        self, type: str, said: Type, operation: Operation, answer: Answer, marker: str | None, *, id: str | None = None
    ) -> Entity:
        """Answer what the system holds after a write, from its answer or by reading back."""
        record = pick(answer.body, operation.record) if answer.body is not None else None
        if isinstance(record, dict):
            try:
                return entity(said, record)
            except ValueError as error:
                raise Unsure(f"{type}: {error}; the write was answered with success") from None
        try:
            return await self._read_back(type, said, id or _location(answer), marker)
        except ConnectorError as error:
            raise Unsure(f"{type}: the write was answered with success, and then: {error}") from None

    async def _read_back(self, type: str, said: Type, id: str | None, marker: str | None) -> Entity:
        if id is not None:
            return await self.read(type, id)
        found = await self.find(type, marker, round(self._now() * _SECOND)) if marker and said.marker else ()
        if len(found) != 1:
            raise Unsure(f"found {len(found)} such records; one would be right")
        return found[0]


def _since(said: Type, at: Round) -> tuple[tuple[str, str], ...]:
    if said.since is None or at.since is None:
        return ()
    early = at.since if said.since.bound == "inclusive" else at.since - _SECOND
    return ((said.since.parameter, write_time(early, said.since.format)),)


def _request(
    operation: Operation,
    method: str,
    *,
    id: str | None = None,
    query: tuple[tuple[str, str], ...] = (),
    body: dict[str, Any] | None = None,
    one: bool = True,
) -> Request:
    return Request(
        method=operation.method or method,
        path=operation.path if id is None else operation.path.replace("{id}", quote(id, safe="")),
        query=(*operation.query.items(), *query),
        body={operation.wrap: body} if operation.wrap and body is not None else body,
        one=one,
        success=frozenset(operation.success),
    )


def _age(said: Type) -> Callable[[Entity], tuple[int, int, str]]:
    def age(found: Entity) -> tuple[int, int, str]:
        try:
            born = read_time(pick(found.record, said.created.field), said.created.format) if said.created else None
        except ValueError:
            born = None
        return born or 0, int(found.id) if found.id.isdecimal() else 0, found.id

    return age


def _cursor(at: Round) -> Cursor:
    told = {"since": at.since, "page": at.page, "newest": at.newest, "begun": at.begun}
    return {name: value for name, value in told.items() if value is not None} or None


def _location(answer: Answer) -> str | None:
    place = answer.headers.get("location", "").rstrip("/")
    return URL(place).name if place else None
