"""What is in Trello, list by list: workspaces, members, boards, and the cards and actions of a board.

A board's cards are read from its *feed* of actions: what happened since a time, newest first, which also says what
was deleted. The cards it names are fetched ten at a time, if more is to be learnt than is known. Once a day, and for a
board that was never read, all cards are listed instead, because feeds do not tell everything. Pages of cards come
unordered and pages of both are asked for by ``before``, an id; a list ends where nothing older comes.

Cards and actions are both read board by board. A list of boards that a round of the one has asked for serves a round of
the other that begins in the same moments; it is as if that round had begun when the list was asked for.

Requests to ``/members`` have a small budget of their own, so the workspaces are asked for now and then only, and a
member is looked up among the members of its workspaces.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

import orjson
from msgspec import Struct

from connectors.endpoint import Rejected, Time
from connectors.errors import BadAnswer, Missing, Refused
from connectors.fields import pick, read_time, write_time
from connectors.http import Client
from connectors.trello_records import COMMENT, KINDS, is_id
from connectors.wire import Answer, Request

Pairs: TypeAlias = tuple[tuple[str, str], ...]

_MINUTE = 60_000_000
_KEPT = 10 * _MINUTE
"""For how long it is known which workspaces there are."""
_MOMENTS = 2.0
"""Seconds for which a list of boards serves the other type as well: so much later does it hear of something at most."""
_SMALL = 100
_BATCH = 10
_CARD_EVENTS = (
    "createCard,updateCard,deleteCard,copyCard,emailCard,convertToCardFromCheckItem,moveCardToBoard,"
    "moveCardFromBoard,addMemberToCard,removeMemberFromCard,addLabelToCard,removeLabelFromCard"
)


class Scope(Struct, frozen=True, kw_only=True):
    """What of Trello is kept in step. Without organizations and boards, all that the token opens."""

    organizations: tuple[str, ...] = ()
    """Ids or slugs of workspaces."""
    boards: tuple[str, ...] = ()
    list: str | None = None
    """Where new cards go that do not say."""
    card: str | None = None
    """Where new comments go that name no card."""
    actions: tuple[str, ...] = (COMMENT,)
    """The types of actions that are read."""
    invite: bool = False
    remove_members: bool = False
    delete_organizations: bool = False
    overlap: float = 120.0
    """Seconds that every round reads again."""
    size: int = 1000
    whole: float = 86_400.0
    """Seconds between two readings of all cards."""
    reread: float = 3_600.0
    """Seconds between two readings of recent comments, which may have been edited."""
    recent: float = 7 * 86_400.0
    """How old recent comments are, in seconds."""


class Boards(Struct, frozen=True):
    """The boards in scope with the time of their latest activity, if known, and the server's clock."""

    active: Mapping[str, Time | None]
    date: Time | None


class Lists:
    """Reads the lists of one Trello."""

    def __init__(self, client: Client, scope: Scope, *, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self.scope = scope
        self.now = now
        self._left: dict[str, tuple[float, Boards]] = {}
        """For each type the list of boards that a round of the other one asked for."""
        self._known: tuple[float, tuple[list[Any], list[Any]]] | None = None

    # workspaces and members

    async def organizations(self) -> list[Any]:
        """List the workspaces in scope."""
        if not self.scope.organizations:
            return _list(await self._get("/members/me/organizations"))
        return [await self.organization(name) for name in self.scope.organizations]

    async def organization(self, name: str) -> Any:
        """Read one workspace, by id or slug."""
        return (await self._get(f"/organizations/{quote(name, safe='')}", one=True)).body

    async def members(self) -> list[Any]:
        """List the members of all workspaces in scope; one in several comes several times."""
        found: list[Any] = []
        for id in await self.workspaces():
            found += _list(await self._get(f"/organizations/{quote(id, safe='')}/members", (("fields", "all"),)))
        return found

    async def workspaces(self) -> tuple[str, ...]:
        """Name the workspaces in scope."""
        if self.scope.organizations:
            return self.scope.organizations
        organizations, _ = await self._mine()
        return tuple(one["id"] for one in organizations if isinstance(one, dict) and is_id(one.get("id")))

    async def _mine(self) -> tuple[list[Any], list[Any]]:
        """Answer the token's workspaces and boards, as they were some minutes ago at most."""
        now = self.now() * 1_000_000
        if self._known is None or not 0.0 <= now - self._known[0] < _KEPT:
            mine = (await self._get("/members/me/organizations"), await self._get("/members/me/boards"))
            self._known = (now, (_list(mine[0]), _list(mine[1])))
        return self._known[1]

    # boards

    async def boards_for(self, type: str) -> Boards:
        """List the boards in scope for a new round of a type; a list that the other type has just asked for will do."""
        at, left = self._left.pop(type, (0.0, None))
        now = self.now()
        if left is not None and 0.0 <= now - at <= _MOMENTS:
            return left
        found = await self.boards()
        self._left["actions" if type == "cards" else "cards"] = now, found
        return found

    async def boards(self) -> Boards:
        """List the boards in scope."""
        if self.scope.boards:
            return Boards(dict.fromkeys(self.scope.boards), None)
        found: list[Any] = []
        date = None
        for id in await self.workspaces():
            answer = await self._get(f"/organizations/{quote(id, safe='')}/boards", (("filter", "all"),))
            date = date or answer.date
            found += _list(answer)
        if not self.scope.organizations:  # boards of others, to which the token's owner is a guest
            seen = {pick(one, "id") for one in found}
            guest = [one for one in (await self._mine())[1] if pick(one, "id") not in seen]
            found += [{**one, "dateLastActivity": "not told"} for one in guest if isinstance(one, dict)]
        ids = {one["id"]: one for one in found if is_id(pick(one, "id"))}
        return Boards({id: _active(one) for id, one in ids.items()}, date)

    async def first_list(self, board: str) -> str:
        """Answer a board's first open list. Raises Refused if there is none."""
        answer = await self._get(f"/boards/{quote(board, safe='')}/lists", (("filter", "open"),), one=True)
        found = [one for one in _list(answer) if isinstance(one, dict) and is_id(one.get("id"))]
        if not found:
            raise Refused(
                f"cards: found no open list on board {board}", fields={"idList": "the board has no open list"}
            )
        return str(min(found, key=_place)["id"])

    # cards and actions of a board

    async def cards(self, board: str, before: str | None, since: Time | None = None) -> tuple[Answer, list[Any]]:
        """List a page of a board's cards, older than ``before``, created since."""
        path = f"/boards/{quote(board, safe='')}/cards/all"
        try:
            answer = await self._get(path, _window(self.scope.size, before, since), one=True)
        except Refused as error:
            if "API_TOO_MANY_CARDS_REQUESTED" not in str(error) or self.scope.size <= _SMALL:
                raise
            answer = await self._get(path, _window(_SMALL, before, since), one=True)
        return answer, _older(answer, before)

    async def actions(
        self, board: str, before: str | None, since: Time | None, *, of_cards: bool = False
    ) -> tuple[Answer, list[Any]]:
        """List a page of a board's actions, newest first; ``of_cards``: all that say something of a card."""
        kinds = _CARD_EVENTS if of_cards else ",".join(self.scope.actions)
        asked = (("filter", kinds), *_window(self.scope.size, before, since))
        answer = await self._get(f"/boards/{quote(board, safe='')}/actions", asked, one=True)
        return answer, _older(answer, before)

    async def walk(self, what: str, board: str, since: Time) -> AsyncIterator[Any]:
        """Read all cards or actions of a board that were created since."""
        before: str | None = None
        while True:
            read = self.cards if what == "cards" else self.actions
            _, records = await read(board, before, since)
            for record in records:
                yield record
            before = oldest(what, records)
            if before is None:
                return

    async def touched(self, ids: list[str]) -> tuple[list[Any], list[Rejected]]:
        """Read cards by id, ten at a time. Those that are gone say so in the feed, and are passed over here."""
        records: list[Any] = []
        rejected: list[Rejected] = []
        for start in range(0, len(ids), _BATCH):
            some = ids[start : start + _BATCH]
            urls = ",".join(f"/cards/{id}" for id in some)
            answer = await self._client.call(
                Request(method="GET", path="/batch", query=(("urls", urls),), cost=len(some))
            )
            for id, said in zip(some, _batch(answer, len(some)), strict=True):
                try:
                    record = await self._single(id, said)
                except Refused as error:
                    rejected.append(Rejected(reason=f"cards: {error}", body=orjson.dumps(said)[:_SMALL], id=id))
                else:
                    records += [] if record is None else [record]
        return records, rejected

    async def _single(self, id: str, said: Any) -> Any:
        """Answer a card out of a batch, or read by itself if the batch does not say what became of it."""
        if isinstance(said, dict) and isinstance(said.get("200"), dict):
            return said["200"]
        try:
            return (await self._get(f"{KINDS['cards'].path}/{id}", one=True)).body
        except Missing:
            return None

    async def _get(self, path: str, query: Pairs = (), *, one: bool = False) -> Answer:
        return await self._client.call(Request(method="GET", path=path, query=query, one=one))


def oldest(type: str, records: list[Any]) -> str | None:
    """Answer where the next page ends, ``None`` after the last. Raises BadAnswer if the page does not say."""
    ids = [record["id"] for record in records if isinstance(record, dict) and is_id(record.get("id"))]
    if records and not ids:
        raise BadAnswer(
            f"{type}: found a page without a single id; records would be right", body=orjson.dumps(records)[:500]
        )
    return min(ids, default=None)


def _older(answer: Answer, before: str | None) -> list[Any]:
    """Answer the records of a page that are older than the page before it, and whatever is no record."""
    found = _list(answer)
    ids = [one["id"] for one in found if isinstance(one, dict) and is_id(one.get("id"))]
    if before is None or not ids:
        return found
    if min(ids) >= before:  # it did not go on: the list has ended, or begins anew
        return []
    return [one for one in found if not isinstance(one, dict) or not is_id(one.get("id")) or one["id"] < before]


def _window(size: int, before: str | None, since: Time | None) -> Pairs:
    older: Pairs = (("before", before),) if before else ()
    newer: Pairs = (("since", write_time(since)),) if since is not None and since > 0 else ()
    return (("limit", str(size)), *newer, *older)


def _list(answer: Answer) -> list[Any]:
    if not isinstance(answer.body, list):
        raise BadAnswer("list: found no list; a list would be right", body=orjson.dumps(answer.body)[:500])
    return answer.body


def _batch(answer: Answer, count: int) -> list[Any]:
    found = answer.body if isinstance(answer.body, list) else []
    return found if len(found) == count else [None] * count


def _active(board: dict[str, Any]) -> Time | None:
    """Answer when something happened on a board: zero for never, ``None`` for unknown."""
    try:
        return read_time(board.get("dateLastActivity")) or 0
    except (ValueError, OverflowError):
        return None


def _place(one: dict[str, Any]) -> float:
    at = one.get("pos")
    return float(at) if isinstance(at, int | float) else 0.0
