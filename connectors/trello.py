"""Trello: organizations (workspaces), members, actions and cards, over its REST API 1.

Organizations and members carry no time of change and are few: everything, every round. Cards and actions are read by
their boards, round by round (see ``connectors.trello_rounds``); how records come to be is in
``connectors.trello_creates``.

What Trello does not let anybody write is refused by field, with the reason: the date and the author of a comment, the
name and the address of a person. A write is compared with the record as it is, read just before; Trello itself compares
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Literal
from urllib.parse import quote

import msgspec
import orjson

from connectors.endpoint import Cursor, Entity, Page, Reading, Record, Time, Traits, Usage
from connectors.errors import BadAnswer, Missing, Refused, Stale
from connectors.http import Client
from connectors.marks import join, short
from connectors.trello_creates import SLUG, Creates, at, held, send
from connectors.trello_lists import Lists, Scope
from connectors.trello_records import KINDS, Kind, entity, is_id, opened, same, signed, sorted_out
from connectors.trello_rounds import Rounds
from connectors.trello_writes import changeable, checked, long_enough, slug_for
from connectors.wire import Request

_SECOND = 1_000_000
_SKEW = 300 * _SECOND
"""How far Trello's clock may trail ours when a record is looked for by when we made it."""
_SWITCHES = {"members": "remove_members", "organizations": "delete_organizations"}


class TrelloEndpoint:
    """Trello, open for reading and writing."""

    def __init__(self, client: Client, scope: Scope, *, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._lists = Lists(client, scope, now=now)
        self._rounds = Rounds(self._lists)
        self._new = Creates(client, self._lists, self._by_slug)

    def traits(self) -> Mapping[str, Traits]:
        """Tell what each entity type can do."""
        return {name: kind.traits for name, kind in KINDS.items()}

    # reading

    def clock_ahead(self) -> float | None:
        """Tell by how many seconds the system's clock is ahead of ours."""
        return self._client.ahead.seconds()

    def usage(self) -> Usage:
        """Tell what was asked of the system, and how much may still be asked."""
        return self._client.usage()

    async def page(self, type: str, cursor: Cursor) -> Page:
        """Read what comes after the cursor; a card whose only news is our own write is not in it."""
        if _kind(type).traits.changes == "list":
            records = await (self._lists.members() if type == "members" else self._lists.organizations())
            entities, rejected = sorted_out(type, records)
            return Page(entities=entities, rejected=rejected, whole="")
        return await self._rounds.page(type, cursor)

    async def read(self, type: str, id: str) -> Entity:
        """Read one record."""
        reading = await self._raw(type, id)
        return msgspec.structs.replace(self._believed(type, id, reading.record), reading=reading)

    async def _raw(self, type: str, id: str) -> Reading:
        kind = _kind(type)
        if not is_id(id):
            raise Missing(f"{type}: found an id that is none of Trello's; 24 hexadecimal digits would be right")
        if type == "members":
            found = [one for one in await self._lists.members() if isinstance(one, dict) and one.get("id") == id]
            if not found:
                raise Missing(f"members:{id}: found nobody in the workspaces in scope; there is no such record")
            return Reading(found[-1], -inf)  # they are removed only, and compared again before that
        answer = await self._client.call(Request(method="GET", path=at(kind, id), one=True))
        self._believed(type, id, answer.body)
        return Reading(dict(answer.body), answer.asked_at)

    def _believed(self, type: str, id: str, record: Any) -> Entity:
        try:
            return entity(type, record)
        except ValueError as error:
            raise BadAnswer(f"{type}:{id}: {error}", body=orjson.dumps(record)[:500]) from None

    async def find(self, type: str, marker: str, since: Time) -> tuple[Entity, ...]:
        """Find the records with this marker, by listing; search lags, lists do not."""
        _kind(type)
        if type == "members":
            raise Refused("members: found a look-up by mark; people carry none")
        if type == "organizations":
            return await self._by_slug(short(marker, SLUG))
        found: dict[str, Entity] = {}
        created = max(0, since - _SKEW)
        for board, active in (await self._lists.boards()).active.items():
            if active is None or active >= created:
                records = [record async for record in self._lists.walk(type, board, created)]
                found |= {one.id: one for one in sorted_out(type, records)[0] if one.marker == marker}
        return tuple(sorted(found.values(), key=lambda one: one.id))

    async def _by_slug(self, slug: str) -> tuple[Entity, ...]:
        try:
            return (entity("organizations", await self._lists.organization(slug)),)
        except (Missing, Refused):  # slugs are everybody's: somebody else's is none of ours
            return ()

    async def recent(self, type: str, since: Time) -> tuple[Entity, ...]:  # noqa: ARG002 - an invitation has no time
        """Refuse: whatever can be created carries a marker, but for people, who are invited."""
        _kind(type)
        raise Refused(f"{type}: found a look-up by time; {'nothing' if type == 'members' else 'one by mark'} would do")

    # writing

    async def create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        """Create a record, marked."""
        given = {path: value for path, value in wanted.items() if value is not None}
        values = checked(type, _kind(type), given, creating=True)
        match type:
            case "organizations":
                return await self._new.workspace(values, marker)
            case "members":
                return await self._new.member(values)
            case "actions":
                return await self._new.comment(values, marker)
            case _:
                made = await self._new.card(values, marker)
                self._rounds.known.wrote(made, None)
                return made

    async def update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Change these paths of a record."""
        kind = _kind(type)
        values = checked(type, kind, wanted, creating=False)
        async with self._client.place(base):
            raw = await self._unchanged(type, base)
            body = await self._body(type, values, raw, base)
            if not body:
                return entity(type, raw)
            written = held(type, await send(self._client, "PUT", at(kind, base.id), body))
        if type == "cards":
            self._rounds.known.wrote(written, base.updated_at)
        return written

    async def _body(self, type: str, values: dict[str, Any], raw: Record, base: Entity) -> dict[str, Any]:
        """Answer what is to be sent so that a record gets these values; nothing if it has them."""
        if not values:
            return {}
        match type:
            case "organizations":
                return slug_for(values, raw)
            case "actions":
                changeable(raw)
                first, _, marker = opened(raw["data"].get("text") or "")
                return {"text": long_enough("data.text", signed(first, values["data.text"], marker))}
            case _:
                body = await self._moved(values, raw)
                return body | ({"desc": long_enough("desc", join(body["desc"], base.marker))} if "desc" in body else {})

    async def _moved(self, values: dict[str, Any], raw: Record) -> dict[str, Any]:
        """Name a list of the new board when a card moves there, or Trello picks one."""
        body = dict(values)
        if body.get("idBoard") == raw.get("idBoard"):
            body.pop("idBoard", None)
        if body.get("idBoard") and not body.get("idList"):
            body["idList"] = await self._lists.first_list(str(body["idBoard"]))
        return body

    async def remove(self, type: str, base: Entity, how: Literal["archive", "delete"]) -> None:
        """Archive or delete a record; for a member: end the membership."""
        kind = _kind(type)
        if how not in kind.traits.remove:
            raise Refused(f"{type}: found {how}; Trello cannot do that with {type}")
        if how == "archive":
            await self.update(type, base, {"closed": True})
            return
        setting = _SWITCHES.get(type)
        if setting is not None and not getattr(self._lists.scope, setting):
            raise Refused(f"{type}: found an order to delete; {setting}: true would allow it")
        paths = [at(kind, base.id)]
        if type == "members":
            paths = [f"/organizations/{quote(id, safe='')}/members/{base.id}" for id in await self._lists.workspaces()]
        async with self._client.place(base):
            raw = await self._unchanged(type, base)
            if type == "actions":
                changeable(raw)
            for path in paths:
                await self._client.call(Request(method="DELETE", path=path, one=True))

    async def close(self) -> None:
        """Give connections back."""
        await self._client.close()

    async def _unchanged(self, type: str, base: Entity) -> Record:
        """Answer the record, read just now. Raises Stale if it is no longer what the write is based on."""
        held = self._client.fresh(base)
        if held is not None:
            return held
        raw = (await self._raw(type, base.id)).record
        if not same(KINDS[type], base.record, entity(type, raw).record):
            raise Stale(f"{type}:{base.id}: found a newer record; reading it again and merging would be right")
        return raw


def _kind(type: str) -> Kind:
    kind = KINDS.get(type)
    if kind is None:
        raise Refused(f"{type}: found no such type; one of {', '.join(KINDS)} would be right")
    return kind
