"""A round through Trello's boards: what is new on each, page by page.

Cards are read by their boards' feeds, and listed whole once a day (see ``connectors.trello_lists``). Actions are a log;
but a comment can be edited and keeps its date, so recent ones are read again every hour.

A feed tells that something happened to a card, and the card itself costs a request. Every round reads two minutes of
the feed again, so it is noted up to which event a card is *known*: as it was fetched for a page that was kept (whoever
asks for the next one shows the cursor that came with it), or as our own write was answered. A write is believed to be
the one event since the record that it stands on; with more than that in the feed, the card is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from connectors.endpoint import Cursor, Entity, Page, Rejected, Time
from connectors.errors import Missing, Refused
from connectors.fields import pick, read_time
from connectors.rounds import is_due, newest
from connectors.trello_lists import Lists, oldest
from connectors.trello_records import is_id, sorted_out
from connectors.walk import Round, ahead, begin, cursor_of, resume

_SECOND = 1_000_000
_QUIET = 20
"""Boards without anything new that one page passes over."""
_FETCHED = 100
"""Cards that one page fetches; what happened before waits for the next."""
_KNOWN = 20_000
"""Cards that are known at a time."""
_SPREAD = _SECOND
"""How much later than its card an event may be dated that is our own write's; another one beside it is counted."""
_UNDATED = 1 << 62


class _Read(Struct, frozen=True):
    """A page of a board: the server's clock, where the next one ends, and what is in it."""

    date: Time | None
    following: str | None
    entities: tuple[Entity, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    gone: tuple[str, ...] = ()
    whole: str | None = None


class Upto(Struct, frozen=True):
    """A card is known with all that happened until then, if that was no more than so many events after ``base``."""

    base: Time
    until: Time
    many: int

    def covers(self, events: Sequence[Time]) -> bool:
        """Tell whether there is nothing to learn from a card to which this happened."""
        return max(events) <= self.until and sum(at > self.base for at in events) <= self.many


class Known:
    """The cards that need not be fetched."""

    def __init__(self) -> None:
        self._cards: dict[str, Upto] = {}
        self._fetched: tuple[Cursor, Mapping[str, Upto]] = (None, {})

    def wrote(self, card: Entity, base: Time | None) -> None:
        """Note a card as a write was answered, and the time of the record that the write stands on."""
        if card.updated_at is not None:
            self._note({card.id: Upto(base or 0, card.updated_at + _SPREAD, 1)})

    def fetched(self, cursor: Cursor, cards: Mapping[str, Upto]) -> None:
        """Note what a page has fetched; it counts when that page was kept."""
        self._fetched = (cursor, cards)

    def kept(self, cursor: Cursor) -> None:
        """Learn with which cursor somebody asks for the next page."""
        before, cards = self._fetched
        if cursor is not None and cursor == before:
            self._note(cards)
        self._fetched = (None, {})

    def covers(self, id: str, events: Sequence[Time]) -> bool:
        """Tell whether a card is known with these events."""
        known = self._cards.get(id)
        return known is not None and known.covers(events)

    def _note(self, cards: Mapping[str, Upto]) -> None:
        for id, upto in cards.items():
            self._cards.pop(id, None)
            self._cards[id] = upto
        while len(self._cards) > _KNOWN:
            del self._cards[next(iter(self._cards))]


class Rounds:
    """Reads cards and actions of one Trello, round by round."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self.known = Known()
        self._told: dict[str, list[Time]] = {}
        """What the feeds have told of each card in the round under way: its pages are counted together."""

    async def page(self, type: str, cursor: Cursor) -> Page:
        """Read what comes after the cursor; boards in which nothing changed are passed over in one go."""
        at, fetched = resume(cursor), dict[str, Upto]()
        if type == "cards":
            self.known.kept(cursor)
            self._told = self._told if at.lists else {}
        page = await self._next_page(type, at, fetched)
        for _ in range(_QUIET):
            if page.entities or page.rejected or page.gone or not page.more:
                break
            page = await self._next_page(type, resume(page.cursor), fetched)
        if type == "cards":
            self.known.fetched(page.cursor, fetched)
        return page

    async def _next_page(self, type: str, at: Round, fetched: dict[str, Upto]) -> Page:
        if at.lists is None:
            at = await self._begin(type, at)
        if not at.lists:
            return self._page(at, None)
        board = at.lists[0].lstrip("+~")
        try:
            read = await self._read(type, at, board, fetched)
        except (Missing, Refused):
            if self._lists.scope.boards or board in (await self._lists.boards()).active:
                raise
            return self._page(at, None)  # the board went away while the round ran
        if at.begun is None:
            at = msgspec.structs.replace(at, begun=read.date)
        return self._page(at, read)

    async def _begin(self, type: str, at: Round) -> Round:
        """Begin a round: which boards, and which of them may be passed over because nothing happened there."""
        boards = await self._lists.boards_for(type)
        now = round(self._lists.now() * _SECOND)
        again = is_due(at.whole, now, self._lists.scope.whole if type == "cards" else self._lists.scope.reread)
        known = set(at.known)
        silent = (id for id, active in boards.active.items() if id in known and active is not None)
        quiet = frozenset(id for id in silent if at.since is not None and (boards.active[id] or 0) < at.since)
        at = begin(at, tuple(boards.active), quiet=quiet, again=now if again else None)
        return msgspec.structs.replace(at, begun=boards.date)

    async def _read(self, type: str, at: Round, board: str, fetched: dict[str, Upto]) -> _Read:
        """Read a page of a board: all of it, what is recent, or what changed."""
        mark = (at.lists or [""])[0][:1]
        since: Time | None = None
        if type == "actions":
            since = None if mark == "+" else at.since
            if mark == "~" and since is not None:
                since -= round(self._lists.scope.recent * _SECOND)
            answer, found = await self._lists.actions(board, at.offset, since)
        elif mark in ("+", "~"):
            answer, found = await self._lists.cards(board, at.offset)
        else:
            return await self._feed(at, board, fetched)
        entities, rejected = sorted_out(type, found)
        return _Read(answer.date, oldest(type, found), entities, rejected, whole=since_then(since) if mark else None)

    async def _feed(self, at: Round, board: str, fetched: dict[str, Upto]) -> _Read:
        """Read what happened on a board, and the cards to which it happened."""
        answer, found = await self._lists.actions(board, at.offset, at.since, of_cards=True)
        found, events = self._unknown(found)
        deleted = (pick(one, "data.card.id") for one in found if pick(one, "type") == "deleteCard")
        gone = tuple(dict.fromkeys(id for id in deleted if is_id(id)))
        records, bad = await self._lists.touched([id for id in events if id not in gone])
        entities, rejected = sorted_out("cards", records)
        for one in entities:
            latest = max(events[one.id])
            fetched[one.id] = Upto(latest - 1, latest, events[one.id].count(latest))
        return _Read(answer.date, oldest("cards", found), entities, (*bad, *rejected), gone)

    def _unknown(self, found: list[Any]) -> tuple[list[Any], dict[str, list[Time]]]:
        """Answer the newest part of a feed that touches no more cards than may be fetched; and those, with times."""
        times = self._told
        for one in found:
            if is_id(id := pick(one, "data.card.id")):
                times.setdefault(id, []).append(_date(one))
        wanted: dict[str, list[Time]] = {}
        for number, one in enumerate(found):
            id = pick(one, "data.card.id")
            if is_id(id) and not self.known.covers(id, times[id]):
                if len(wanted) == _FETCHED and id not in wanted:
                    return found[:number], wanted
                wanted[id] = times[id]
        return found, wanted

    def _page(self, at: Round, read: _Read | None) -> Page:
        """Make a page, and say where to go on."""
        read = read or _Read(None, None)
        seen = newest(*(one.updated_at for one in read.entities))
        onward = ahead(at, read.following, seen, overlap=self._lists.scope.overlap, steady=True)
        more = bool(onward.lists)
        begun = None if at.begun is None else at.begun - round(self._lists.scope.overlap * _SECOND)
        return Page(
            entities=read.entities,
            gone=read.gone,
            rejected=read.rejected,
            cursor=cursor_of(onward),
            more=more,
            whole=read.whole,
            since=begun if more else onward.since,
        )


def since_then(time: Time | None) -> str:
    """Answer the least id of what was created after a time: an id begins with it, in seconds."""
    return "" if time is None else f"{max(0, time // _SECOND + 1):08x}"


def _date(action: Any) -> Time:
    """Answer when something happened; what does not say is never known already."""
    try:
        return read_time(pick(action, "date")) or _UNDATED
    except (ValueError, OverflowError):
        return _UNDATED
