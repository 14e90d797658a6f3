"""Trello: organizations (workspaces), members, actions and cards, over its REST API 1.

Why each type is read as it is. Organizations and members carry no time of change and are few: everything, every
round. Cards are read by their boards' feeds, and listed whole once a day (see ``connectors.trello_lists``). Actions are
a log; but a comment can be edited and keeps its date, so recent ones are read again every hour.

What Trello does not let anybody write is refused by field, with the reason: the date and the author of a comment, the
name and the address of a person. A new comment says them in its first line. People are invited only where that is
switched on, because it sends mail and may cost money; who is there already, with the same address, is not invited.

A create that takes two requests is ``Unsure`` when the second one fails: the record is there, marked, and will be
found. A write is compared with the record as it is, read just before; Trello itself compares nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Literal
from urllib.parse import quote

import msgspec
import orjson
from msgspec import Struct

from connectors.endpoint import Cursor, Entity, Page, Reading, Record, Rejected, Time, Traits
from connectors.errors import BadAnswer, ConnectorError, Missing, Refused, Stale, Unsure
from connectors.fields import pick
from connectors.http import Answer, Client, Request
from connectors.marks import join, short
from connectors.rounds import newest
from connectors.trello_lists import Lists, Scope, oldest
from connectors.trello_records import KINDS, Kind, entity, is_id, opened, opening, same, signed, sorted_out
from connectors.trello_writes import changeable, checked, long_enough, slug_for
from connectors.walk import Round, ahead, begin, cursor_of, is_due, resume

_SECOND = 1_000_000
_SKEW = 300 * _SECOND
"""How far Trello's clock may trail ours when a record is looked for by when we made it."""
_QUIET = 20
"""Boards without anything new that one page passes over."""
_SLUG = 90
"""Letters of a slug that is our marker."""
_SWITCHES = {"members": "remove_members", "organizations": "delete_organizations"}


class _Read(Struct, frozen=True):
    """A page of a board: the server's clock, where the next one ends, and what is in it."""

    date: Time | None
    following: str | None
    entities: tuple[Entity, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    gone: tuple[str, ...] = ()


class TrelloEndpoint:
    """Trello, open for reading and writing."""

    def __init__(self, client: Client, scope: Scope, *, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._scope = scope
        self._now = now
        self._lists = Lists(client, scope, now=now)

    def traits(self) -> Mapping[str, Traits]:
        """Tell what each entity type can do."""
        return {name: kind.traits for name, kind in KINDS.items()}

    # reading

    def clock_ahead(self) -> float | None:
        """Tell by how many seconds the system's clock is ahead of ours."""
        return self._client.ahead.seconds()

    async def page(self, type: str, cursor: Cursor) -> Page:
        """Read what comes after the cursor; boards in which nothing changed are passed over in one go."""
        kind, at = _kind(type), resume(cursor)
        if kind.traits.changes == "list":
            records = await (self._lists.members() if type == "members" else self._lists.organizations())
            entities, rejected = sorted_out(type, records)
            return Page(entities=entities, rejected=rejected)
        page = await self._next_page(type, at)
        for _ in range(_QUIET):
            if page.entities or page.rejected or page.gone or not page.more:
                break
            page = await self._next_page(type, resume(page.cursor))
        return page

    async def _next_page(self, type: str, at: Round) -> Page:
        if at.lists is None:
            at = await self._begin(type, at)
        if not at.lists:
            return self._page(at, None)
        board = at.lists[0].lstrip("+~")
        try:
            read = await self._read(type, at, board)
        except (Missing, Refused):
            if self._scope.boards or board in (await self._lists.boards()).active:
                raise
            return self._page(at, None)  # the board went away while the round ran
        if at.begun is None:
            at = msgspec.structs.replace(at, begun=read.date)
        return self._page(at, read)

    async def _begin(self, type: str, at: Round) -> Round:
        """Begin a round: which boards, and which of them may be passed over because nothing happened there."""
        boards = await self._lists.boards_for(type)
        now = round(self._now() * _SECOND)
        again = is_due(at, now, self._scope.whole if type == "cards" else self._scope.reread)
        known = set(at.known)
        silent = (id for id, active in boards.active.items() if id in known and active is not None)
        quiet = frozenset(id for id in silent if at.since is not None and (boards.active[id] or 0) < at.since)
        at = begin(at, tuple(boards.active), quiet=quiet, again=now if again else None)
        return msgspec.structs.replace(at, begun=boards.date)

    async def _read(self, type: str, at: Round, board: str) -> _Read:
        """Read a page of a board: all of it, what is recent, or what changed."""
        mark = (at.lists or [""])[0][:1]
        if type == "actions":
            since = None if mark == "+" else at.since
            if mark == "~" and since is not None:
                since -= round(self._scope.recent * _SECOND)
            answer, found = await self._lists.actions(board, at.offset, since)
        elif mark in ("+", "~"):
            answer, found = await self._lists.cards(board, at.offset)
        else:
            return await self._feed(at, board)
        entities, rejected = sorted_out(type, found)
        return _Read(answer.date, oldest(type, found), entities, rejected)

    async def _feed(self, at: Round, board: str) -> _Read:
        """Read what happened on a board, and the cards to which it happened."""
        answer, found = await self._lists.actions(board, at.offset, at.since, of_cards=True)
        events = [(pick(one, "type"), pick(one, "data.card.id")) for one in found]
        gone = tuple(dict.fromkeys(id for what, id in events if what == "deleteCard" and is_id(id)))
        touched = dict.fromkeys(id for _, id in events if is_id(id) and id not in gone)
        records, bad = await self._lists.touched(list(touched))
        entities, rejected = sorted_out("cards", records)
        return _Read(answer.date, oldest("cards", found), entities, (*bad, *rejected), gone)

    def _page(self, at: Round, read: _Read | None) -> Page:
        """Make a page, and say where to go on."""
        read = read or _Read(None, None)
        seen = newest(*(one.updated_at for one in read.entities))
        onward = ahead(at, read.following, seen, overlap=self._scope.overlap, steady=True)
        more = bool(onward.lists)
        begun = None if at.begun is None else at.begun - round(self._scope.overlap * _SECOND)
        return Page(
            entities=read.entities,
            gone=read.gone,
            rejected=read.rejected,
            cursor=cursor_of(onward),
            more=more,
            since=begun if more else onward.since,
        )

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
        answer = await self._client.call(Request(method="GET", path=_at(kind, id), one=True))
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
            try:
                return (entity(type, await self._lists.organization(short(marker, _SLUG))),)
            except (Missing, Refused):  # slugs are everybody's: somebody else's is none of ours
                return ()
        found: dict[str, Entity] = {}
        created = max(0, since - _SKEW)
        for board, active in (await self._lists.boards()).active.items():
            if active is None or active >= created:
                records = [record async for record in self._lists.walk(type, board, created)]
                found |= {one.id: one for one in sorted_out(type, records)[0] if one.marker == marker}
        return tuple(sorted(found.values(), key=lambda one: one.id))

    async def recent(self, type: str, since: Time) -> tuple[Entity, ...]:  # noqa: ARG002 - an invitation has no time
        """Refuse: whatever can be created carries a marker, but for people, who are invited."""
        _kind(type)
        raise Refused(f"{type}: found a look-up by time; {'nothing' if type == 'members' else 'one by mark'} would do")

    # writing

    async def create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        """Create a record, marked."""
        kind = _kind(type)
        given = {path: value for path, value in wanted.items() if value is not None}
        values = checked(type, kind, given, creating=True)
        match type:
            case "organizations":
                return await self._found(values, marker)
            case "members":
                return await self._invite(values)
            case "actions":
                return await self._comment(values, marker)
            case _:
                return await self._card(values, marker)

    async def _found(self, values: dict[str, Any], marker: str) -> Entity:
        """Found a workspace under a slug that is our marker, then give it the one that is wanted."""
        if not marker:
            return self._held("organizations", await self._write("POST", "/organizations", slug_for(values)))
        wanted = slug_for({path: values.pop(path) for path in ("name",) if path in values})
        if not marker:
            return self._held("organizations", await self._write("POST", "/organizations", {**values, **wanted}))
        made = short(marker, _SLUG)
        held = self._held("organizations", await self._write("POST", "/organizations", {**values, "name": made}))
        if held.marker is None and await self.find("organizations", marker, 0):
            raise Unsure(
                f"organizations:{held.id}: found that an earlier create has the slug {made}; that one is meant"
            )
        return await self._second("organizations", held, wanted)

    async def _invite(self, values: dict[str, Any]) -> Entity:
        """Link whoever is there with this address; invite, where that is allowed."""
        address = str(values["email"]).strip().casefold()
        for one in await self._lists.members():
            if is_id(pick(one, "id")) and address in _named(one):
                return entity("members", one)
        if not self._scope.invite:
            raise Refused(
                "members: found nobody with this address; a member cannot be created, only invited by mail: "
                "invite: true would allow it"
            )
        workspaces = await self._lists.workspaces()
        if len(workspaces) != 1:
            raise Refused(
                f"members: found {len(workspaces)} workspaces to invite to; one in organizations would be right"
            )
        answer = await self._write("PUT", f"/organizations/{quote(workspaces[0], safe='')}/members", values)
        found = answer.body.get("members") if isinstance(answer.body, dict) else None
        for one in (answer.body, *(found if isinstance(found, list) else await self._lists.members())):
            invited = pick(one, "fullName") == values["fullName"] and pick(one, "confirmed") is False
            if is_id(pick(one, "id")) and (invited or address in _named(one)):
                return entity("members", one)
        raise Unsure("members: found no such member after inviting; whether it was done is unknown")

    async def _comment(self, values: dict[str, Any], marker: str) -> Entity:
        card = values.get("data.card.id") or self._scope.card
        if "data.board.id" in values:
            why = KINDS["actions"].unwritable["data.board.id"]
            raise Refused(f"actions: found data.board.id ({why})", fields={"data.board.id": why})
        if not is_id(card):
            why = "is no id" if card else "is missing; a card for comments that name none can be set: card"
            raise Refused("actions: found no card; the id of one would be right", fields={"data.card.id": why})
        first = opening(values, await self._name_of(values))
        text = long_enough("data.text", signed(first, values["data.text"], marker))
        try:
            answer = await self._write("POST", f"/cards/{card}/actions/comments", {"text": text})
        except Missing as error:
            raise Refused(str(error), fields={"data.card.id": "there is no such card"}) from None
        return self._held("actions", answer)

    async def _name_of(self, values: dict[str, Any]) -> str | None:
        id = values.get("memberCreator.id")
        if id is None or values.get("memberCreator.fullName"):
            return None
        names = (pick(one, "fullName") for one in await self._lists.members() if pick(one, "id") == id)
        return next((name for name in names if isinstance(name, str)), None)

    async def _card(self, values: dict[str, Any], marker: str) -> Entity:
        values["idList"] = await self._home(values)
        values["desc"] = long_enough("desc", join(values.get("desc", ""), marker))
        values.pop("idBoard", None)
        later = {"closed": True} if values.pop("closed", False) else {}
        try:
            answer = await self._write("POST", "/cards", values)
        except Missing as error:
            raise Refused(str(error), fields={"idList": "there is no such list"}) from None
        return await self._second("cards", self._held("cards", answer), later)

    async def _home(self, values: Mapping[str, Any]) -> str:
        """Answer the list of a new card: as wanted, the one in the settings, or the first of its only board."""
        board = values.get("idBoard")
        chosen = values.get("idList") or (None if board else self._scope.list)
        if chosen:
            return str(chosen)
        only = self._scope.boards[0] if len(self._scope.boards) == 1 else None
        if not (board or only):
            why = "is required: the list decides on which board a card is"
            raise Refused(f"cards: idList {why}; an idList, an idBoard, or the setting list", fields={"idList": why})
        return await self._lists.first_list(str(board or only))

    async def _second(self, type: str, held: Entity, later: Mapping[str, Any]) -> Entity:
        """Write what a create does not take. Whatever happens, the record is there, marked."""
        if not later:
            return held
        try:
            return self._held(type, await self._write("PUT", _at(KINDS[type], held.id), later))
        except ConnectorError as error:
            raise Unsure(f"{type}:{held.id}: created, and then: {error}") from None

    async def update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Change these paths of a record."""
        kind = _kind(type)
        values = checked(type, kind, wanted, creating=False)
        raw = await self._unchanged(type, base)
        if not values:
            return entity(type, raw)
        match type:
            case "organizations":
                body = slug_for(values, raw)
            case "actions":
                changeable(raw)
                first, _, marker = opened(raw["data"].get("text") or "")
                body = {"text": long_enough("data.text", signed(first, values["data.text"], marker))}
            case _:
                body = await self._moved(values, raw)
                if "desc" in body:
                    body["desc"] = long_enough("desc", join(body["desc"], base.marker))
        if not body:
            return entity(type, raw)
        return self._held(type, await self._write("PUT", _at(kind, base.id), body))

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
        if setting is not None and not getattr(self._scope, setting):
            raise Refused(f"{type}: found an order to delete; {setting}: true would allow it")
        raw = await self._unchanged(type, base)
        if type == "actions":
            changeable(raw)
        paths = [_at(kind, base.id)]
        if type == "members":
            paths = [f"/organizations/{quote(id, safe='')}/members/{base.id}" for id in await self._lists.workspaces()]
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

    async def _write(self, method: str, path: str, body: Mapping[str, Any]) -> Answer:
        try:
            return await self._client.call(Request(method=method, path=path, body=dict(body), one=True))
        except Stale as error:  # Trello compares nothing: a conflict is about a value
            raise Refused(str(error)) from None

    def _held(self, type: str, answer: Answer) -> Entity:
        try:
            return entity(type, answer.body)
        except ValueError as error:
            raise Unsure(f"{type}: {error}; the write was answered with success") from None


def _kind(type: str) -> Kind:
    kind = KINDS.get(type)
    if kind is None:
        raise Refused(f"{type}: found no such type; one of {', '.join(KINDS)} would be right")
    return kind


def _at(kind: Kind, id: str) -> str:
    return f"{kind.path}/{quote(id, safe='')}"


def _named(member: Any) -> tuple[str, ...]:
    """Answer the address of a member, if it can be seen."""
    address = pick(member, "email")
    return (address.strip().casefold(),) if isinstance(address, str) and address.strip() else ()
