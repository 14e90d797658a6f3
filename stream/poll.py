"""Poll: read what a system has, publish what changed.

One reader per entity type. A page is fetched first, outside any unit; then, in one turn of the lane that owns the
type, its changes are emitted and the cursor is put: both or neither. What was published already is known by its
digest, a row of its own, and is not published again: the overlap of a changed-since cursor, a full reading now and
then, or the whole list where a system has no such thing. Absence from a list is never taken for a delete: it is a
reason to ask for the record itself (see stream.absence).

At the end of the first complete reading a mark goes down every partition of the change topic (see core.census).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b

import orjson
from msgspec import Struct, msgpack
from msgspec.structs import replace

from connectors.endpoint import Cursor, Endpoint, Entity, Page, Rejected
from connectors.errors import BadAnswer, Refused
from stream.absence import APART, EVERY, Absence, Found, Turn
from stream.codec import encode, encode_mark
from stream.envelope import Envelope, headers_of
from stream.errors import TooLarge
from stream.model import Change, Counted, Order, Reread, Time
from stream.parking import parked
from stream.ports import Record, Unit
from stream.topics import PARKED, changes

DIGEST = b"digest:"
GONE = b"deleted: "
"""How the row begins that stands for the digest of a record which its system lists as deleted: longer than any."""


class State(Struct, frozen=True, omit_defaults=True):
    """How far one entity type has been read: the row of its reader."""

    cursor: Cursor = None
    plan: int = 0
    """The flows under which it was read completely; others mean that it must be read again."""
    complete: bool = False
    recent: tuple[bytes, ...] = ()
    """Digests of what was set aside in the latest round."""
    round: tuple[bytes, ...] = ()
    """The same, of the round that is under way."""
    within: bool = False
    """Whether the round goes on with the next page."""
    compared_at: Time = 0
    """When it was last seen to what a whole list did not show."""
    polled_at: Time = 0
    published: int = 0
    rejected: bytes = b""
    """Digest of the bad page that was set aside last, so that it is set aside once."""
    anew: Time = 0
    """Since when all of it is to be published again: a person wants it, or state was lost."""
    refused: bool = False
    """Whether a cursor was given up in this reading already."""


_encode_state = msgpack.Encoder().encode
decode_state = msgpack.Decoder(State).decode


class Reader:
    """Reads one entity type of one system."""

    def __init__(self, name: str, connector: str, endpoint: Endpoint, plan: int, clock: Callable[[], Time]) -> None:
        self.name = name
        self._system, _, self._type = name.partition(".")
        self.envelope = Envelope(name, connector, endpoint.traits()[self._type])
        self._endpoint = endpoint
        self._plan = plan
        self._clock = clock
        self._absence = Absence(name, endpoint, clock)
        self.counted: int | None = None
        """The records that were published when this reader came to the end for the first time."""
        self.again = False
        """That was not the first time: a person wanted it, or state was lost."""

    def obey(self, unit: Unit, order: Order | Reread) -> None:
        """Publish a record once more at the next reading, or all of them, whether they look new or not."""
        match order:
            case Order(ref=ref):
                unit.put(DIGEST + ref.encode(), None)
            case Reread(at=at):
                state = self._state(unit)
                if at > state.anew:
                    self._put(unit, State(plan=self._plan, anew=at))

    async def read(self, turn: Turn) -> bool:
        """Fetch one page and publish it; whether there is more to fetch at once. Raises ConnectorError."""
        async with turn() as unit:
            state = self._state(unit)
        read_at = self._clock()
        try:
            page = await self._endpoint.page(self._type, state.cursor)
        except BadAnswer as error:
            async with turn() as unit:
                self._reject(unit, self._state(unit), error)
            raise
        except Refused:
            if state.cursor is None:
                raise
            async with turn() as unit:
                if self._state(unit).anew == state.anew:
                    self._put(unit, _from_the_beginning(state))
            if state.refused:  # it is the page, not the cursor: read at once, it would be read without end, and unheard
                raise
            return True
        due = state.compared_at + EVERY <= read_at
        async with turn() as unit:
            if self._state(unit).anew != state.anew:
                return True  # meanwhile it was asked to begin anew
            self._publish(unit, self._state(unit), page, read_at)
        self._absence.saw(page, after=state.cursor, begins=due and not state.within)
        if not page.more:
            await self._look(turn)
        return page.more

    async def _look(self, turn: Turn) -> None:
        """After a round: see to what it did not show. Raises ConnectorError."""
        async with turn() as unit:
            known = DIGEST + f"{self.name}:".encode()
            there = (key for key, row in unit.scan(known) if not row.startswith(GONE))
            if self._absence.compare(key[len(known) :].decode() for key in there):
                self._put(unit, replace(self._state(unit), compared_at=self._clock()))
        found = await self._absence.look(turn)
        if found == Found():
            return
        async with turn() as unit:
            self._absence.note(unit, found)
            for id in (*found.there, *(id for id, _ in found.gone)):
                unit.put(self._digest_key(id), None)
            for id, at in found.gone:
                self._emit(unit, id, self.envelope.gone(id, at))

    def _state(self, unit: Unit) -> State:
        data = unit.get(self.name.encode())
        state = decode_state(data) if data is not None else State()
        anew = max(state.anew, unit.loss.at)
        if (state.plan, state.anew) == (self._plan, anew):
            return state
        return State(plan=self._plan, published=state.published * (anew == state.anew), anew=anew)

    def _put(self, unit: Unit, state: State) -> None:
        unit.put(self.name.encode(), _encode_state(state))

    def _publish(self, unit: Unit, state: State, page: Page, read_at: Time) -> None:
        """Emit what is new in a page, and move the cursor past it."""
        new = list(self._new(unit, page, state.anew))
        ahead = round((self._endpoint.clock_ahead() or 0.0) * 1e6)
        for entity in new:
            change = self.envelope.seen(entity, read_at, ahead=ahead, first=not state.complete)
            try:
                self._emit(unit, entity.id, change)
            except TooLarge as error:
                self._set_aside(unit, Rejected(reason=str(error), body=encode(change), id=entity.id))
        for id in page.gone:
            if self._is_news(unit, self._digest_key(id), state.anew, read_at):
                self._emit(unit, id, self.envelope.gone(id, read_at))
        aside = {_digest(each.body): each for each in page.rejected}
        for digest in aside.keys() - {*state.recent, *state.round}:
            self._set_aside(unit, aside[digest])
        round_ = tuple(sorted({*state.round, *aside}))
        complete = state.complete or not page.more
        if complete and not state.complete:
            self._count(unit)
            self.counted, self.again = state.published + len(new), bool(state.anew)
        after = replace(
            state,
            cursor=page.cursor,
            complete=complete,
            recent=state.recent if page.more else round_,
            round=round_ if page.more else (),
            within=page.more,
            refused=state.refused and page.more,
            published=state.published + len(new),
            rejected=b"",
        )
        quiet = not new and replace(after, polled_at=state.polled_at) == state
        self._put(unit, state if quiet and read_at - state.polled_at < QUIET else replace(after, polled_at=read_at))

    def _new(self, unit: Unit, page: Page, anew: Time) -> Iterable[Entity]:
        """The entities of a page that were not published as they are, under these flows."""
        for entity in page.entities:
            key, digest = self._digest_key(entity.id), digest_of(entity, self._plan, anew)
            if unit.get(key) != digest:
                unit.put(key, digest)
                yield entity

    def _is_news(self, unit: Unit, key: bytes, anew: Time, read_at: Time) -> bool:
        """Whether a deletion is to be told; brought back as it was, the record is news.

        Many systems list a deleted record for ever, or as long as nothing else changes. It is told twice, apart in
        time: told once, while a write was answered, it would be taken for what was true before that.
        """
        known, told = unit.get(key) or b"", GONE + anew.to_bytes(8, "big")
        if not known.startswith(told):
            unit.put(key, told + read_at.to_bytes(8, "big"))
        elif known == told or read_at - int.from_bytes(known[len(told) :], "big") < APART:
            return False
        else:
            unit.put(key, told)
        return True

    def _digest_key(self, id: str) -> bytes:
        return DIGEST + f"{self.name}:{id}".encode()

    def _emit(self, unit: Unit, id: str, change: Change) -> None:
        unit.emit(changes(self.name), f"{self.name}:{id}".encode(), encode(change), headers_of(change))

    def _count(self, unit: Unit) -> None:
        """Mark the end of the first complete reading in every partition."""
        for partition in range(unit.partitions):
            mark = Counted(entity=self.name, plan=self._plan, source=partition, of=unit.partitions, life=unit.loss.at)
            unit.emit(changes(self.name), encode_mark(mark), None, (), partition)

    def _reject(self, unit: Unit, state: State, error: BadAnswer) -> None:
        """Set a page aside that could not be understood; the cursor stays before it.

        Once, until a page is read: no two of a system's error pages may be alike, with the time in each of them.
        """
        if not state.rejected:
            self._set_aside(unit, Rejected(reason=str(error), body=error.body))
            self._put(unit, replace(state, rejected=_digest(str(error).encode() + error.body)))

    def _set_aside(self, unit: Unit, rejected: Rejected) -> None:
        key = f"{self.name}:{rejected.id or ''}".encode()
        record = Record(changes(self.name), unit.partition, -1, key, rejected.body, self._clock() // 1000)
        parts = parked(record, stage="TASK_POLL", error=rejected.reason, reason="bad answer", system=self._system)
        try:
            unit.emit(PARKED, *parts)
        except TooLarge:
            unit.emit(PARKED, key, rejected.body[:SHOWN], parts[2])


SHOWN = 500
"""Bytes that are kept of an answer which the log cannot take whole."""


def _from_the_beginning(state: State) -> State:
    return State(plan=state.plan, recent=state.recent, published=state.published, anew=state.anew, refused=True)


QUIET = 10_000_000
"""Microseconds between two notes that a type was polled and nothing was new."""


def digest_of(entity: Entity, plan: int, anew: Time = 0) -> bytes:
    """Eight bytes that are the same for the same state of a record, read under the same flows.

    With its time of change, where it has one: a value put back after somebody else read it is news, although the
    record looks as it did in the round before.
    """
    record = orjson.dumps(entity.record, option=orjson.OPT_SORT_KEYS)
    about = f"{entity.marker}|{entity.updated_at}|{entity.revision}|{plan}|{anew}"
    return _digest(record + about.encode())


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=8).digest()
