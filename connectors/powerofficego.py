"""PowerOffice Go: departments, customers and projects, over its REST API v2.

Lists are asked for by time of change, in that order, and the next page begins at the last one's newest change: a
page's number would skip a record whenever one before it is deleted. Where an answer is not in order, or a page holds
one time only, numbers are used after all. The filter is exclusive, so a little less is asked for.

An edited address does not move its customer's time of change, so everything is read again every hour (``full``).
Deletions are not told at all; such a reading says that it shows everything. An answer that holds nothing is 204
without a body. What is asked for counts for all customers of the subscription together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
import orjson
from msgspec import Struct

from connectors.endpoint import Cursor, Entity, Page, Reading, Record, Time, Traits, Usage
from connectors.errors import BadAnswer, ConnectorError, Locked, Missing, Refused, Stale, Unsure
from connectors.fields import pick, write_time
from connectors.http import Client
from connectors.marks import short
from connectors.powerofficego_records import (
    CHANGED,
    KINDS,
    SHORT,
    Kind,
    body,
    changed,
    entity,
    in_use,
    named,
    patch,
    same,
    sorted_out,
)
from connectors.rounds import is_due, newest
from connectors.walk import ahead, begin, cursor_of, resume
from connectors.wire import Answer, Request

_SECOND = 1_000_000
_EMPTY = 204
_LARGEST_ID = 19


class Scope(Struct, frozen=True, kw_only=True):
    """How much is asked for, and how often."""

    overlap: float = 120.0
    """Seconds that every round reads again."""
    full: float = 3_600.0
    """Seconds between two readings of everything."""
    size: int = 5_000


class _Place(Struct, frozen=True, array_like=True):
    """Where the next page begins: after a time, and at which page from there; ``first`` was the last one's first id."""

    after: Time | None = None
    page: int = 1
    first: int | None = None


class PowerOfficeEndpoint:
    """PowerOffice Go, open for reading and writing."""

    def __init__(self, client: Client, scope: Scope, *, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._scope = scope
        self._now = now

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
        """Read what comes after the cursor."""
        kind, at = _kind(type), resume(cursor)
        place = _place(at.offset)
        if at.lists is None:
            now = round(self._now() * _SECOND)
            at = begin(at, ("all",), again=now if is_due(at.whole, now, self._scope.full) else None)
        changes = (at.lists or [""])[0] == "all"
        since = at.since if changes else None
        since = place.after if place.after is not None else since
        answer = await self._explained(Request(method="GET", path=kind.path, query=self._query(since, place.page)))
        records = _records(type, answer)
        if at.begun is None:
            at = msgspec.structs.replace(at, begun=answer.date)
        entities, rejected = sorted_out(type, records)
        following = self._following(type, records, since, place)
        seen = newest(*(one.updated_at for one in entities))
        onward = ahead(at, following, seen, overlap=self._scope.overlap, steady=True)
        more = bool(onward.lists)
        begun = None if at.begun is None else at.begun - round(self._scope.overlap * _SECOND)
        return Page(
            entities=entities,
            rejected=rejected,
            cursor=cursor_of(onward),
            more=more,
            whole=None if changes else "",
            since=begun if more else onward.since,
        )

    def _query(self, since: Time | None, page: int) -> tuple[tuple[str, str], ...]:
        pages = (("PageNumber", str(page)), ("PageSize", str(self._scope.size)), ("OrderBy", CHANGED))
        if since is None:
            return pages
        # Exclusive, and spelt in milliseconds: one less, so that nothing at the edge is left out.
        return (("lastChangedDateTimeOffsetGreaterThan", write_time(max(0, since - 1_000))), *pages)

    def _following(self, type: str, records: list[Any], since: Time | None, place: _Place) -> str | None:
        """Answer where the next page begins, ``None`` after the last. Raises BadAnswer if the list has no end."""
        if len(records) < self._scope.size:
            return None
        times, first = _times(records), pick(named(records[0]), "Id") if isinstance(records[0], dict) else None
        if times and times == sorted(times) and times[-1] > (since or 0) + 1_000:
            return _written(_Place(times[-1]))
        if first is not None and first == place.first:
            raise BadAnswer(f"{type}: found the same page twice; the next one would be right")
        return _written(_Place(since, place.page + 1, first if isinstance(first, int) else None))

    async def read(self, type: str, id: str) -> Entity:
        """Read one record."""
        kind = _kind(type)
        reading = await self._raw(type, id)
        return msgspec.structs.replace(entity(kind, reading.record), reading=reading)

    async def _raw(self, type: str, id: str) -> Reading:
        kind = _kind(type)
        if not (id.isascii() and id.isdecimal() and len(id) <= _LARGEST_ID):
            raise Missing(f"{type}: found an id that is no number; there is no such record")
        answer = await self._client.call(Request(method="GET", path=f"{kind.path}/{id}", one=True))
        try:
            entity(kind, answer.body)
        except ValueError as error:
            raise BadAnswer(f"{type}:{id}: {error}", body=orjson.dumps(answer.body)[:500]) from None
        return Reading(named(answer.body), answer.asked_at)

    async def find(self, type: str, marker: str, since: Time) -> tuple[Entity, ...]:  # noqa: ARG002 - unique anyway
        """Find the records with this marker, by the filter that Go has for its field."""
        kind = _kind(type)
        asked = Request(method="GET", path=kind.path, query=((kind.filter, short(marker, SHORT)),))
        found = sorted_out(type, _records(type, await self._client.call(asked)))[0]
        return tuple(sorted((one for one in found if one.marker == marker), key=lambda one: int(one.id)))

    async def recent(self, type: str, since: Time) -> tuple[Entity, ...]:  # noqa: ARG002 - all types are marked
        """Refuse: every type that can be created carries a marker."""
        raise Refused(f"{type}: found no need to list what is new; looking for the marker would be right")

    async def create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        """Create a record, marked. Where Go keeps marks unique, a repeated create answers the first one's record."""
        kind = _kind(type)
        laid = body(type, kind, wanted)
        later = {kind.marker: laid[kind.marker]} if marker and kind.marker in laid else {}
        if marker:
            laid[kind.marker] = short(marker, SHORT)
        try:
            answer = await self._client.call(Request(method="POST", path=kind.path, body=laid, one=True))
        except (Stale, Missing) as error:  # a create is based on no record
            raise Refused(str(error)) from None
        except Refused as error:
            known = in_use(error)
            if known is None:
                raise
            return await self._known(type, known, marker, error)
        held = self._held(type, answer)
        if not later:
            return held
        try:
            return await self._patched(type, held.id, patch(type, kind, later, named(answer.body)))
        except ConnectorError as error:
            raise Unsure(f"{type}:{held.id}: created, and then: {error}") from None

    async def _known(self, type: str, id: str, marker: str, error: Refused) -> Entity:
        """Answer the record that has our mark: an earlier create of ours. Raises the refusal if it is another's."""
        try:
            found = await self.read(type, id)
        except Missing:
            raise error from None
        if found.marker != marker:
            raise error
        return found

    async def update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Change these paths of a record; Go compares them with what the change is based on."""
        kind = _kind(type)
        fresh = await self._unchanged(type, base, lambda held: patch(type, kind, wanted, held))
        operations = patch(type, kind, wanted, fresh)
        return await self._patched(type, base.id, operations) if operations else entity(kind, fresh)

    async def remove(self, type: str, base: Entity, how: Literal["archive", "delete"]) -> None:
        """Archive or delete a record; one that is in use cannot be deleted."""
        kind = _kind(type)
        fresh = await self._unchanged(type, base)
        if how == "archive":
            await self._patched(type, base.id, patch(type, kind, kind.archived, fresh))
        else:
            await self._client.call(Request(method="DELETE", path=f"{kind.path}/{base.id}", one=True))

    async def close(self) -> None:
        """Give connections back."""
        await self._client.close()

    async def _unchanged(self, type: str, base: Entity, plan: Callable[[Record], object] = lambda _: None) -> Record:
        """Answer the record, read just now, if what is planned can be written. Raises Stale if it is another by now."""
        plan(base.record)
        held = self._client.fresh(base)
        if held is not None:
            return held
        fresh = (await self._raw(type, base.id)).record
        if not same(KINDS[type], base.record, entity(KINDS[type], fresh).record):
            raise Stale(f"{type}:{base.id}: found a newer record; reading it again and merging would be right")
        return fresh

    async def _patched(self, type: str, id: str, operations: list[dict[str, Any]]) -> Entity:
        path = f"{KINDS[type].path}/{id}"
        asked = Request(method="PATCH", path=path, body=operations, encoding="json patch", one=True)
        answer = await self._client.call(asked)
        if answer.body is not None:
            return self._held(type, answer)
        try:
            return await self.read(type, id)
        except ConnectorError as error:
            raise Unsure(f"{type}:{id}: written, and then: {error}") from None

    def _held(self, type: str, answer: Answer) -> Entity:
        try:
            return entity(KINDS[type], answer.body)
        except ValueError as error:
            raise Unsure(f"{type}: {error}; the write was answered with success") from None

    async def _explained(self, request: Request) -> Answer:
        """Ask for a list; a refusal for want of rights says which ones are wanting."""
        try:
            return await self._client.call(request)
        except Locked as error:
            if "status 403" not in str(error):
                raise
            raise Locked(f"{error}{await self._wanting()}") from None

    async def _wanting(self) -> str:
        try:
            answer = await self._client.call(Request(method="GET", path="/ClientIntegrationInformation"))
        except ConnectorError:
            return ""
        said = {name.lower(): value for name, value in answer.body.items()} if isinstance(answer.body, dict) else {}
        names = said.get("invalidprivileges")
        return f"; missing: {', '.join(map(str, names))[:300]}" if isinstance(names, list) and names else ""


def _kind(type: str) -> Kind:
    kind = KINDS.get(type)
    if kind is None:
        raise Refused(f"{type}: found no such type; one of {', '.join(KINDS)} would be right")
    return kind


def _records(type: str, answer: Answer) -> list[Any]:
    if answer.status == _EMPTY:
        return []
    if not isinstance(answer.body, list):
        raise BadAnswer(f"{type}: found no list; a list would be right", body=orjson.dumps(answer.body)[:500])
    return answer.body


def _times(records: list[Any]) -> list[Time]:
    """Answer the times of change of those records that have one that can be read."""
    times: list[Time] = []
    for record in records:
        try:
            at = changed(named(record)) if isinstance(record, dict) else None
        except ValueError:
            continue
        times += [] if at is None else [at]
    return times


def _place(offset: str | None) -> _Place:
    try:
        return msgspec.json.decode(offset, type=_Place) if offset else _Place()
    except msgspec.DecodeError as error:
        raise Refused(f"cursor: found {error}; a cursor of this connector would be right") from None


def _written(place: _Place) -> str:
    return msgspec.json.encode(place).decode()
