"""How a record comes to be in Trello: workspaces, invitations, comments and cards, each marked in its own way.

Trello stamps and signs every comment itself, so a new one says its author and time in its first line. People are
invited only where that is switched on, because it sends mail and may cost money; who is there already, with the same
address, is not invited.

A create that takes two requests is ``Unsure`` when the second one fails: the record is there, marked, and will be
found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from connectors.endpoint import Entity
from connectors.errors import ConnectorError, Missing, Refused, Stale, Unsure
from connectors.fields import pick
from connectors.http import Client
from connectors.marks import join, short
from connectors.trello_lists import Lists
from connectors.trello_records import KINDS, Kind, entity, is_id, opening, signed
from connectors.trello_writes import long_enough, slug_for
from connectors.wire import Answer, Request

SLUG = 90
"""Letters of a slug that is our marker."""


class Creates:
    """Creates records in one Trello. ``by_slug`` looks for a workspace."""

    def __init__(self, client: Client, lists: Lists, by_slug: Callable[[str], Awaitable[tuple[Entity, ...]]]) -> None:
        self._client = client
        self._lists = lists
        self._by_slug = by_slug

    async def workspace(self, values: dict[str, Any], marker: str) -> Entity:
        """Found a workspace under a slug that is our marker, then give it the one that is wanted."""
        if not marker:
            return held("organizations", await send(self._client, "POST", "/organizations", slug_for(values)))
        wanted = slug_for({path: values.pop(path) for path in ("name",) if path in values})
        made = short(marker, SLUG)
        founded = held("organizations", await send(self._client, "POST", "/organizations", {**values, "name": made}))
        if founded.marker is None and await self._by_slug(made):
            raise Unsure(
                f"organizations:{founded.id}: found that an earlier create has the slug {made}; that one is meant"
            )
        return await self._second("organizations", founded, wanted)

    async def member(self, values: dict[str, Any]) -> Entity:
        """Link whoever is there with this address; invite, where that is allowed."""
        address = str(values["email"]).strip().casefold()
        for one in await self._lists.members():
            if is_id(pick(one, "id")) and address in _named(one):
                return entity("members", one)
        if not self._lists.scope.invite:
            raise Refused(
                "members: found nobody with this address; a member cannot be created, only invited by mail: "
                "invite: true would allow it"
            )
        workspaces = await self._lists.workspaces()
        if len(workspaces) != 1:
            raise Refused(
                f"members: found {len(workspaces)} workspaces to invite to; one in organizations would be right"
            )
        answer = await send(self._client, "PUT", f"/organizations/{quote(workspaces[0], safe='')}/members", values)
        found = answer.body.get("members") if isinstance(answer.body, dict) else None
        for one in (answer.body, *(found if isinstance(found, list) else await self._lists.members())):
            invited = pick(one, "fullName") == values["fullName"] and pick(one, "confirmed") is False
            if is_id(pick(one, "id")) and (invited or address in _named(one)):
                return entity("members", one)
        raise Unsure("members: found no such member after inviting; whether it was done is unknown")

    async def comment(self, values: dict[str, Any], marker: str) -> Entity:
        """Write a comment on a card."""
        card = values.get("data.card.id") or self._lists.scope.card
        if "data.board.id" in values:
            why = KINDS["actions"].unwritable["data.board.id"]
            raise Refused(f"actions: found data.board.id ({why})", fields={"data.board.id": why})
        if not is_id(card):
            why = "is no id" if card else "is missing; a card for comments that name none can be set: card"
            raise Refused("actions: found no card; the id of one would be right", fields={"data.card.id": why})
        first = opening(values, await self._name_of(values))
        text = long_enough("data.text", signed(first, values["data.text"], marker))
        try:
            answer = await send(self._client, "POST", f"/cards/{card}/actions/comments", {"text": text})
        except Missing as error:
            raise Refused(str(error), fields={"data.card.id": "there is no such card"}) from None
        return held("actions", answer)

    async def _name_of(self, values: dict[str, Any]) -> str | None:
        id = values.get("memberCreator.id")
        if id is None or values.get("memberCreator.fullName"):
            return None
        names = (pick(one, "fullName") for one in await self._lists.members() if pick(one, "id") == id)
        return next((name for name in names if isinstance(name, str)), None)

    async def card(self, values: dict[str, Any], marker: str) -> Entity:
        """Create a card in its list."""
        values["idList"] = await self._home(values)
        values["desc"] = long_enough("desc", join(values.get("desc", ""), marker))
        values.pop("idBoard", None)
        later = {"closed": True} if values.pop("closed", False) else {}
        try:
            answer = await send(self._client, "POST", "/cards", values)
        except Missing as error:
            raise Refused(str(error), fields={"idList": "there is no such list"}) from None
        return await self._second("cards", held("cards", answer), later)

    async def _home(self, values: Mapping[str, Any]) -> str:
        """Answer the list of a new card: as wanted, the one in the settings, or the first of its only board."""
        board = values.get("idBoard")
        chosen = values.get("idList") or (None if board else self._lists.scope.list)
        if chosen:
            return str(chosen)
        only = self._lists.scope.boards[0] if len(self._lists.scope.boards) == 1 else None
        if not (board or only):
            why = "is required: the list decides on which board a card is"
            raise Refused(f"cards: idList {why}; an idList, an idBoard, or the setting list", fields={"idList": why})
        return await self._lists.first_list(str(board or only))

    async def _second(self, type: str, made: Entity, later: Mapping[str, Any]) -> Entity:
        """Write what a create does not take. Whatever happens, the record is there, marked."""
        if not later:
            return made
        try:
            return held(type, await send(self._client, "PUT", at(KINDS[type], made.id), later))
        except ConnectorError as error:
            raise Unsure(f"{type}:{made.id}: created, and then: {error}") from None


async def send(client: Client, method: str, path: str, body: Mapping[str, Any]) -> Answer:
    """Send a write about one record."""
    try:
        return await client.call(Request(method=method, path=path, body=dict(body), one=True))
    except Stale as error:  # Trello compares nothing: a conflict is about a value
        raise Refused(str(error)) from None


def held(type: str, answer: Answer) -> Entity:
    """Read what a write was answered with. Raises Unsure if that is no record."""
    try:
        return entity(type, answer.body)
    except ValueError as error:
        raise Unsure(f"{type}: {error}; the write was answered with success") from None


def at(kind: Kind, id: str) -> str:
    """Answer the path of a record."""
    return f"{kind.path}/{quote(id, safe='')}"


def _named(member: Any) -> tuple[str, ...]:
    """Answer the address of a member, if it can be seen."""
    address = pick(member, "email")
    return (address.strip().casefold(),) if isinstance(address, str) and address.strip() else ()
