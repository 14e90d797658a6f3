"""The generic connector: a declared REST system, read and written as its declaration says.

Nothing here is about one system, and nothing is decided by guessing: whatever differs between systems stands in the
declaration. What a write made of a record is what the system says that it holds, in its answer or read back.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson
from msgspec.structs import replace
from yarl import URL

from connectors import bodies
from connectors.declaration import Declaration, Operation, Type
from connectors.endpoint import Cursor, Entity, Page, Reading, Traits, Usage
from connectors.errors import BadAnswer, ConnectorError, Missing, Refused, Stale, Unsure
from connectors.fields import ABSENT, pick, read_time, write_time
from connectors.http import Client
from connectors.listing import Lists, Pairs, filled, request
from connectors.records import entity, fields_in, is_deleted, kind, nested, sorted_out, traits
from connectors.rounds import DAY, Round, is_due, newest, next_since, resume
from connectors.wire import Answer, Request

_SECOND = 1_000_000
_SHOWN = 500


class RestEndpoint:
    """A declared system, open for reading and writing. ``values`` are its own settings, by name."""

    def __init__(
        self,
        declaration: Declaration,
        client: Client,
        values: Mapping[str, str] | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.declaration = declaration
        self._client = client
        self._values = values or {}
        self._unmarked: set[str] = set()
        self.lists = Lists(declaration, client, self._values)
        self._now = now

    def traits(self) -> Mapping[str, Traits]:
        """Tell what each entity type can do."""
        return traits(self.declaration)

    def clock_ahead(self) -> float | None:
        """Tell by how many seconds the system's clock is ahead of ours."""
        return self._client.ahead.seconds()

    def usage(self) -> Usage:
        """Tell what was asked of the system, and how much may still be asked."""
        return self._client.usage()

    async def page(self, type: str, cursor: Cursor) -> Page:
        """Read what comes after the cursor."""
        said, at = self._type(type), self._begun(resume(cursor))
        listed = await self.lists.page(type, at.page, self._since(said, at.since))
        entities, gone, rejected = sorted_out(type, said, listed.items, listed.parent, self.declaration.zone)
        begun = at.begun or listed.answer.date or round(self._now() * _SECOND)
        seen = newest(at.newest, *(entity.updated_at for entity in entities))
        if listed.following is not None:
            ahead = Round(since=at.since, page=listed.following, newest=seen, begun=begun, whole=at.whole)
        elif said.since is None:
            ahead = Round()
        else:
            ahead = Round(since=next_since(at.since, seen, begun, said.since.overlap), whole=at.whole)
        return Page(
            entities=tuple(entities),
            gone=tuple(gone),
            rejected=tuple(rejected),
            cursor=_cursor(ahead),
            more=listed.following is not None,
            whole="" if at.since is None else None,
            since=ahead.since,
        )

    def _begun(self, at: Round) -> Round:
        """Begin a round: once a day it reads everything, because lists by change do not tell of deletions."""
        now = round(self._now() * _SECOND)
        return Round(whole=now) if at.page is None and is_due(at.whole, now, DAY) else at

    async def read(self, type: str, id: str) -> Entity:
        """Read one record."""
        said = self._type(type)
        values = self._of_one(said, id)
        answer = await self._client.call(request(said.read, "GET", values))
        if answer.body is None and answer.status in said.read.empty:
            raise Missing(f"{type}:{id}: found nothing; there is no such record")
        record = _single(pick(answer.body, said.read.record) if answer.body is not None else ABSENT)
        if record is None:
            raise Missing(f"{type}:{id}: found an empty list; there is no such record")
        found = self._entity(type, said, record, self._parent(said, values))
        if found.id != id:
            raise BadAnswer(
                f"{type}:{id}: found the record {found.id[:80]!r}; the one that was asked for would be right"
            )
        if is_deleted(said, found.record):
            raise Missing(f"{type}:{id}: found a deleted record")
        return replace(found, reading=Reading(record, answer.asked_at))

    async def find(self, type: str, marker: str, since: int) -> tuple[Entity, ...]:
        """Find the records with this marker, oldest first; without a filter for it, by reading what is new."""
        said = self._type(type)
        if said.marker is None:
            raise Refused(f"{type}: found no field for a marker; a declared one would be right")
        if said.marker.filter is not None:
            extra: Pairs = ((said.marker.filter, bodies.spelt(said.marker, marker)),)
        else:
            overlap = round((said.since.overlap if said.since else 0.0) * _SECOND)
            extra = self._since(said, since - overlap)
        known = {marker, bodies.spelt(said.marker, marker)}  # a code too long for it holds but a digest
        return tuple([replace(one, marker=marker) for one in await self._all(type, said, extra) if one.marker in known])

    async def recent(self, type: str, since: int) -> tuple[Entity, ...]:
        """List the records created since, oldest first: among those that changed since, or among all."""
        said = self._type(type)
        made = said.created
        if made is None:
            raise Refused(f"{type}: found no time of creation; a declared 'created' would be right")
        found = []
        for one in await self._all(type, said, self._since(said, since)):
            try:
                born = read_time(pick(one.record, made.field), made.format, self.declaration.zone)
            except ValueError as error:
                raise BadAnswer(f"{type}:{one.id}: {made.field}: {error}") from None
            if born is not None and born >= since:
                found.append(one)
        return tuple(found)

    async def _all(self, type: str, said: Type, extra: Pairs) -> list[Entity]:
        """Read a list to its end, oldest first."""
        found: dict[str, Entity] = {}
        state = None
        while True:
            listed = await self.lists.page(type, state, extra)
            entities, _, _ = sorted_out(type, said, listed.items, listed.parent, self.declaration.zone)
            found |= {entity.id: entity for entity in entities}
            state = listed.following
            if state is None:
                return sorted(found.values(), key=_age(said, self.declaration.zone))

    async def create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        """Create a record, marked."""
        said = self._type(type)
        if said.create is None:
            raise Refused(f"{type}: found a record to create; {self.declaration.connector} creates none of this type")
        if type in self._unmarked and said.marker is not None and marker:
            what = f"found that the system forgets our mark in {said.marker.field}"
            raise Refused(f"{type}: {what}; a field that it keeps would be right, or no marker")
        fields = bodies.new(type, said, said.create, wanted, marker)
        values = self._above(type, said, said.create, wanted)
        if "{marker}" in said.create.path:
            values["marker"] = marker
        body = bodies.laid_out(said.create, said, fields)
        key = ((said.key.header, marker),) if said.key else ()
        try:
            answer = await self._write(said, wanted, request(said.create, "POST", values, body=body, headers=key))
        except (Stale, Missing) as error:  # a create is based on no record
            raise Refused(str(error)) from None
        held = await self._held(type, said, said.create, answer, marker=marker, parent=self._parent(said, values))
        if said.marker is None or not marker:
            return held
        if held.marker in {marker, bodies.spelt(said.marker, marker)}:
            return replace(held, marker=marker)
        self._unmarked.add(type)  # this one is known; another one, unanswered, could never be found again
        return held

    async def update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Change these paths of a record."""
        said = self._type(type)
        operation = said.update
        if operation is None:
            raise Refused(f"{type}: found a record to change; {self.declaration.connector} changes none of this type")
        fields = bodies.changed(type, said, wanted, base.marker)
        values = self._of_one(said, base.id)
        async with self._client.place(None if operation.whole else base):
            if (
                operation.whole
            ):  # it writes also what nobody means to change: that is worth a look, however young the base
                fresh = await self._compared(type, base, wanted)
                fields = bodies.whole(said, fresh, fields)
            else:
                fresh = base if said.compare == "never" else await self._unchanged(type, base, wanted)
            body = bodies.laid_out(operation, said, fields, fresh.record)
            try:
                answer = await self._write(said, wanted, request(operation, "PATCH", values, body=body))
            except Refused:
                if said.compare == "test":  # systems refuse a test that fails with the status of any mistake
                    await self._compared(type, base, wanted)
                raise
        return await self._held(type, said, operation, answer, id=base.id, parent=self._parent(said, values))

    async def remove(self, type: str, base: Entity, how: Literal["archive", "delete"]) -> None:
        """Archive or delete a record."""
        said = self._type(type)
        if how == "archive" and said.archive:
            await self.update(type, base, said.archive)
        elif how == "delete" and said.delete is not None:
            async with self._client.place(base):
                if said.compare != "never":
                    await self._unchanged(type, base, {})
                await self._client.call(request(said.delete, "DELETE", self._of_one(said, base.id)))
        else:
            raise Refused(f"{type}: found {how}; {self.declaration.connector} cannot do that with this type")

    async def close(self) -> None:
        """Give connections back."""
        await self._client.close()

    def _type(self, name: str) -> Type:
        said = self.declaration.types.get(name)
        if said is None:
            raise Refused(f"{name}: found no such type; one of {', '.join(self.declaration.types)} would be right")
        return said

    def _since(self, said: Type, since: int | None) -> Pairs:
        """Answer the parameter that asks for what changed at this time or later."""
        asked = said.since
        if asked is None or since is None:
            return ()
        early = since if asked.bound == "inclusive" else since - _SECOND
        zone = self.declaration.zone if asked.local else None
        return ((asked.parameter, asked.value.replace("{since}", write_time(early, asked.format, zone))),)

    def _of_one(self, said: Type, id: str) -> dict[str, str]:
        """Answer the values for the places in a path to one record."""
        parent, bar, own = id.partition("/") if nested(said) else ("", "", id)
        above = {said.parent.field: parent} if said.parent and bar else {}
        return {**self._values, **above, "id": own}

    def _above(self, type: str, said: Type, operation: Operation, wanted: Mapping[str, Any]) -> dict[str, str]:
        """Answer the values for the places in the path of a new record."""
        if said.parent is None or f"{{{said.parent.field}}}" not in operation.path:
            return {**self._values}
        parent = wanted.get(said.parent.field)
        if not isinstance(parent, str | int) or isinstance(parent, bool) or parent == "":
            why = {said.parent.field: "is required"}
            raise Refused(f"{type}: found no {said.parent.field}; the record above would be right", fields=why)
        return {**self._values, said.parent.field: str(parent)}

    def _parent(self, said: Type, values: Mapping[str, str]) -> str | None:
        return values.get(said.parent.field) if said.parent else None

    def _entity(self, type: str, said: Type, record: Any, parent: str | None) -> Entity:
        try:
            return entity(said, record, parent, self.declaration.zone)
        except ValueError as error:
            body = orjson.dumps(None if record is ABSENT else record)[:_SHOWN]
            raise BadAnswer(f"{type}: {error}", body=body) from None

    async def _write(self, said: Type, wanted: Mapping[str, Any], request: Request) -> Answer:
        """Send a write; a refusal names fields as the declaration does."""
        try:
            return await self._client.call(request)
        except Refused as error:
            error.fields = fields_in(said, error.fields, str(error), wanted)
            raise

    async def _unchanged(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Answer the record, read just now. Raises Stale if it is no longer what the write is based on."""
        if self._client.fresh(base) is not None:
            return base
        return await self._compared(type, base, wanted)

    async def _compared(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Read the record again. Raises Stale if it is another by now."""
        fresh = await self.read(type, base.id)
        same = (
            fresh.updated_at == base.updated_at
            if fresh.updated_at is not None and base.updated_at is not None
            else all(pick(fresh.record, path) == pick(base.record, path) for path in wanted)
        )
        if not same:
            raise Stale(f"{type}:{base.id}: found a newer record; reading it again and merging would be right")
        return fresh

    async def _held(  # noqa: PLR0913 - what is known of the record that was written
        self,
        type: str,
        said: Type,
        operation: Operation,
        answer: Answer,
        *,
        parent: str | None,
        id: str | None = None,
        marker: str | None = None,
    ) -> Entity:
        """Answer what the system holds after a write, from its answer or by reading back."""
        try:
            told = _single(pick(answer.body, operation.record)) if answer.body is not None else None
            if operation.returns == "record" and isinstance(told, dict):
                held = self._entity(type, said, told, parent)
                if id is not None and held.id != id:
                    raise BadAnswer(f"found the record {held.id[:80]!r}; {id!r} would be right")
                return held
            if id is None and operation.returns == "id":
                id = self._told_id(said, told, parent)
            return await self._read_back(type, said, id or self._location(said, answer, parent), marker)
        except ConnectorError as error:
            raise Unsure(f"{type}: the write was answered with success, and then: {error}") from None

    async def _read_back(self, type: str, said: Type, id: str | None, marker: str | None) -> Entity:
        if id is not None:
            return await self.read(type, id)
        found = await self.find(type, marker, round(self._now() * _SECOND)) if marker and said.marker else ()
        if len(found) != 1:
            raise Unsure(f"found {len(found)} such records; one would be right")
        return found[0]

    def _told_id(self, said: Type, told: Any, parent: str | None) -> str:
        name = pick(told, said.id.field) if isinstance(told, dict) else told
        if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
            raise BadAnswer(f"{said.id.field}: found {kind(name)}; the id of the record would be right")
        return f"{parent}/{name}" if nested(said) else str(name)

    def _location(self, said: Type, answer: Answer, parent: str | None) -> str | None:
        """Read the new record's id from ``Location``, if that leads to a record of this system."""
        if not answer.headers.get("location"):
            return None
        way = URL(self._client.link(answer, answer.headers["location"])).raw_path.rstrip("/")
        base = URL(self._client.address).raw_path.rstrip("/")
        values = {**self._values, **({said.parent.field: parent} if said.parent and parent else {})}
        known = re.escape(f"{base}{filled(said.read.path, values)}").replace(re.escape("{id}"), "([^/]+)")
        found = re.fullmatch(known, way)
        if found is None:
            return None
        own = URL(f"/{found[1]}", encoded=True).name
        return f"{parent}/{own}" if nested(said) else own


def _single(found: Any) -> Any:
    """Answer the record of a list of one; ``None`` for an empty list."""
    if isinstance(found, list) and len(found) < 2:  # noqa: PLR2004 - one or none
        return found[0] if found else None
    return found


def _age(said: Type, zone: str) -> Callable[[Entity], tuple[int, int, str]]:
    def age(found: Entity) -> tuple[int, int, str]:
        try:
            made = said.created
            born = read_time(pick(found.record, made.field), made.format, zone) if made else None
        except ValueError:
            born = None
        return born or 0, int(found.id) if found.id.isdecimal() else 0, found.id

    return age


def _cursor(at: Round) -> Cursor:
    told = {"since": at.since, "page": at.page, "newest": at.newest, "begun": at.begun, "whole": at.whole}
    return {name: value for name, value in told.items() if value is not None} or None
