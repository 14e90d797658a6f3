"""Explain: how a record came to look as it does, why it is linked, what it waits for. From the log, offline.

The row says how things stand; the topics say how they came to. Every record of a topic names its cause, the record
whose turn it came of, so a story is the records under one key, those that they were caused by, and what they caused
at the counterparts: poll, change, offer, write, receipt. What is older than the topics keep is not told any more; what
the rows hold is always told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from msgspec import Struct

from stream.codec import decode_change, decode_message, row_of
from stream.core.creating import FLOW_PAUSED
from stream.core.deleting import NEVER
from stream.core.fields import SET
from stream.core.flows import End, Flows, parse_marker
from stream.core.matching import keys_of, normal
from stream.core.row import Cell, Edge, Row
from stream.errors import BadRecord
from stream.model import Accept, Attach, Change, Claim, Decide, Message, Propose, Receipt, Ref, type_of
from stream.operate.table import JOIN
from stream.operate.words import Teller, moment, since
from stream.ports import Record
from stream.topics import CONFLICTS, MAIL, PARKED, changes, upserts

STATES = {
    "alone": "no record matches it, and none is created for it",
    "waiting": "a counterpart will be created",
    "matching": "its match values are being asked for",
    "proposed": "a link is proposed, the other has not answered yet",
    "creating": "its counterpart is being created",
    "unknown": "nobody can tell whether its counterpart was created: a person decides (linkstream links decide)",
    "asking": "it may be a record that is being created for another one",
    "refused": "no link, before the record changes",
    "copy": "a person's copy of a record that we created: linked to nothing",
    "claiming": "it was created by us and waits to hear from its origin",
    "severed": "one of the two was deleted, or a person unlinked them",
}
"""What it means that an end is in a state, for people."""


class Log(Protocol):
    """What is asked of a log that is looked into."""

    def row(self, agent: str, key: bytes, partition: int | None = None) -> bytes | None:
        """A row."""
        ...

    def keyed(self, topic: str, key: bytes, *, limit: int = ...) -> list[Record]:
        """The newest records of a key, newest first; nothing for a topic that is not there."""
        ...

    def records(
        self, topic: str, partition: int, *, start: int | None = None, limit: int = ..., newest_first: bool = False
    ) -> list[Record]:
        """Records of a partition from an offset on."""
        ...


class Event(Struct, frozen=True):
    """One record of a topic in a story; ``at`` is milliseconds, ``ref`` the record whose turn it was for."""

    at: int
    place: str
    cause: str
    ref: Ref
    kind: str
    what: str
    lines: tuple[str, ...]


class Explainer:
    """Tells stories of one log."""

    def __init__(self, log: Log, flows: Flows, *, limit: int = 50) -> None:
        self._log = log
        self._flows = flows
        self._limit = limit

    def __call__(self, ref: Ref) -> dict[str, Any] | None:
        """All that is known of a record, as plain values; nothing if it is not known at all."""
        row = self._row(ref)
        gathered = self._gathered(ref, row)
        if row is None and not gathered:
            return None
        events, readings = self._events(gathered), _messages(gathered)
        row = row or Row()
        return {
            "ref": ref,
            "gone": moment(row.last if row.gone_at == NEVER else row.gone_at) if row.gone_at else None,
            "changed_there": moment(row.updated_at) if row.updated_at else None,
            "links": [self._link(ref, row, name, edge, readings, gathered) for name, edge in row.edges.items()],
            "fields": [self._field(ref, row, field, cell) for field, cell in _cells(row)],
            "waits": list(self._waits(ref, row, readings)),
            "events": [
                {
                    "at": moment(event.at * 1000),
                    **{name: getattr(event, name) for name in ("place", "cause", "ref", "kind", "what")},
                    "lines": list(event.lines),
                }
                for event in events
            ],
        }

    def _row(self, ref: Ref) -> Row | None:
        row = row_of(self._log.row(JOIN, ref.encode()))
        return row if isinstance(row, Row) else None

    # What happened

    def _gathered(self, ref: Ref, row: Row | None) -> dict[str, tuple[Ref, Record]]:
        """The records of the story by their places, each with the record that it is about."""
        type, key = type_of(ref), ref.encode()
        ends = self._flows.ends(type)
        own = [changes(type), MAIL, upserts(type), CONFLICTS, PARKED]
        own += {upserts(end.peer_type): None for end in ends.values() if end.creates}
        found = {
            place_of(record): (ref, record)
            for topic in dict.fromkeys(own)
            for record in self._log.keyed(topic, key, limit=self._limit)
        }
        for _, record in list(found.values()):
            self._trace(record, found)
        if row is not None:
            for name, edge in row.edges.items():
                if edge.peer and name in ends:
                    self._follow(edge.peer, found)
        return found

    def _trace(self, record: Record, found: dict[str, tuple[Ref, Record]]) -> None:
        """Add what caused a record, back to the poll."""
        place = cause_of(record)
        while place and place not in found:
            topic, partition, offset = place.rsplit("/", 2)
            got = [each for each in self._at(topic, int(partition), int(offset)) if str(each.offset) == offset]
            if not got or topic.startswith("polls"):
                return
            found[place] = (got[0].key.decode(errors="replace"), got[0])
            place = cause_of(got[0])

    def _at(self, topic: str, partition: int, offset: int) -> list[Record]:
        return self._log.records(topic, partition, start=offset, limit=1)

    def _follow(self, peer: Ref, found: dict[str, tuple[Ref, Record]]) -> None:
        """Add what the story caused at a counterpart: offers to it, its writes, their receipts."""
        topics = (MAIL, upserts(type_of(peer)), CONFLICTS)
        there = [each for topic in topics for each in self._log.keyed(topic, peer.encode(), limit=self._limit)]
        for record in sorted(there, key=lambda each: (each.timestamp, _rank(each), each.offset)):
            if cause_of(record) in found:
                found.setdefault(place_of(record), (peer, record))

    def _events(self, gathered: dict[str, tuple[Ref, Record]]) -> list[Event]:
        """The story in order: by time, and at one moment causes first."""
        depth: dict[str, int] = {}

        def deep(place: str) -> int:
            if place not in depth:
                depth[place] = 0  # a circle ends here
                cause = cause_of(gathered[place][1])
                depth[place] = deep(cause) + 1 if cause in gathered else 0
            return depth[place]

        tell = Teller(self._flows.paths)
        caused = {cause_of(record) for _, record in gathered.values()}
        ordered = sorted(gathered, key=lambda place: (gathered[place][1].timestamp, deep(place), place))
        told = []
        for place in ordered:
            ref, record = gathered[place]
            said = tell(record)
            if said.kind not in ("wake", "reference", "index") or place in caused:
                told.append(Event(record.timestamp, place, cause_of(record), ref, said.kind, said.what, said.lines))
        return told[-self._limit :]

    # How it stands

    def _link(  # what is known of a link, from all sides
        self,
        ref: Ref,
        row: Row,
        name: str,
        edge: Edge,
        messages: list[tuple[Ref, Record, Message]],
        gathered: dict[str, tuple[Ref, Record]],
    ) -> dict[str, Any]:
        end = self._flows.ends(type_of(ref)).get(name)
        why = edge.reason or STATES.get(edge.state, "")
        if edge.state == "linked":
            told = [each for each in messages if each[0] in (ref, edge.peer)]
            why = edge.reason or self._why(ref, row, edge, end, told) or _marked(gathered, ref, edge.peer)
            why = why or "it is older than what the topics keep"
        return {"edge": name, "state": edge.state, "peer": edge.peer, "why": why}

    def _why(self, ref: Ref, row: Row, edge: Edge, end: End | None, messages: list[tuple[Ref, Record, Message]]) -> str:
        """Why two records are linked, as far as the topics still tell; otherwise what speaks for it now."""
        pair, told = {ref, edge.peer}, dict[int, str]()
        for at, record, message in messages:
            when = moment(record.timestamp * 1000)
            match message:
                case Decide(peer=peer) if peer in pair:
                    told[0] = f"a person said so, {when}"
                case Attach(sender=sender) if {at, sender} == pair:
                    told[1] = f"{at} was created for {sender}, {when}"
                case Claim(sender=sender) if {at, sender} == pair:
                    told[2] = f"{sender} carries the mark of {at}: it was created for it; found again {when}"
                case Propose(sender=sender, key=key) if {at, sender} == pair and key:
                    told[3] = f"{self._criterion(end, row, key)}, {when}"
                case Accept(sender=sender) if {at, sender} == pair:
                    told[4] = f"{self._criterion(end, row, '')}, {when}"
                case _:
                    pass
        if not told and end is not None:
            twin, other = self._row(edge.peer) or Row(), self._flows.ends(type_of(edge.peer)).get(end.peer_edge)
            shared = set(keys_of(end, row.remote)) & set(keys_of(other, twin.remote) if other else ())
            return self._criterion(end, row, shared.pop()) if shared else ""
        return told[min(told)] if told else ""

    @staticmethod
    def _criterion(end: End | None, row: Row, key: str) -> str:
        if end is not None:
            for name, fields in zip(end.criterion_names, end.criteria, strict=True):
                values = ", ".join(normal(row.remote.get(field)) for field in fields)
                if not key or key in keys_of(end, {field: row.remote.get(field) for field in fields}):
                    return f"they match: {name} ({values})"
        return "they matched when they were linked"

    def _field(self, ref: Ref, row: Row, field: str, cell: Cell | None) -> dict[str, Any]:
        remote = row.remote.get(field)
        value = cell.newer[0] if cell is not None and cell.newer else remote
        return {
            "field": field,
            "value": value,
            "shown": remote,
            "since": since(cell.version.time) if cell is not None else None,
            "typed_at": (cell.author or ref) if cell is not None and cell.version.time >= 0 else None,
            "state": _state(row, field, cell),
            "note": row.notes.get(field, ""),
            "copies": [] if cell is None else list(self._copies(ref, row, field, cell)),
        }

    def _copies(self, ref: Ref, row: Row, field: str, cell: Cell) -> Iterator[dict[str, Any]]:
        """The field at every counterpart that it leads to."""
        ends = self._flows.ends(type_of(ref))
        for name, edge in row.edges.items():
            if edge.state != "linked" or name not in ends or SET in field:
                continue
            peer = self._row(edge.peer) or Row()
            for lead in ends[name].leads_of(field):
                there = peer.cells.get(lead.peer)
                state = _state(peer, lead.peer, there)
                if field in edge.owed:
                    state = "not told yet" + (": its reference is not known" if lead.reference else "")
                elif edge.idle:
                    state = "left alone: the record does not meet the condition of the flow"
                elif there is not None and there.version != cell.version and state == "in step":
                    state = "newer there" if there.version > cell.version else "older there"
                yield {
                    "ref": edge.peer,
                    "field": lead.peer,
                    "shown": peer.remote.get(lead.peer),
                    "state": state,
                    "note": peer.notes.get(lead.peer, ""),
                }

    # What it waits for

    def _waits(self, ref: Ref, row: Row, messages: list[tuple[Ref, Record, Message]]) -> Iterator[dict[str, Any]]:
        if row.writing is not None:
            write = row.writing
            reasons = [
                message.reason
                for at, _, message in messages
                if at == ref and isinstance(message, Receipt) and message.number == write.number
            ]
            why = reasons[-1] if reasons and reasons[-1] else "the answer of the system"
            fields = ", ".join(write.want) or "its removal"
            yield _wait(f"write {write.number} ({fields}), attempt {write.attempt + 1}", why, write.due)
        for name, edge in row.edges.items():
            if edge.state not in ("linked", "severed", "copy"):
                yield _wait(f"{name}: {edge.state}", edge.reason or STATES[edge.state], edge.due)
            elif edge.state == "linked" and (edge.owed or edge.due):
                why = FLOW_PAUSED if edge.due else "a reference, or its turn"
                yield _wait(f"{edge.peer}: to be told of {', '.join(edge.owed) or 'its deletion'}", why, edge.due)
        yield from _others(row)


def _others(row: Row) -> Iterator[dict[str, Any]]:
    """What a record waits for beside its links and writes."""
    for name, twin in row.twins.items():
        if not twin.ref:
            yield _wait(f"the counterpart of {name.partition('|')[2]}", f"asked for on {name.partition('|')[0]}", 0)
    for field, damp in row.damping.items():
        yield _wait(field, f"both systems rewrite it, {damp.count} times in a row", damp.not_before)
    if row.leave is not None:
        yield _wait("its links", "the record is gone; the brake is asked whether they may end", row.leave.due)
    if row.missing_at:
        why = "a write found no such record; it is looked for once more"
        yield _wait(f"missing since {moment(row.missing_at)}", why, 0)
    for field, note in row.notes.items():
        yield _wait(field, note, 0)


def place_of(record: Record) -> str:
    """A record's place: topic/partition/offset."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def cause_of(record: Record) -> str:
    """The place of the record whose turn it came of; empty for what came from outside."""
    return next((value.decode() for name, value in record.headers if name == "cause"), "")


def _rank(record: Record) -> int:
    """At one moment: what a row is told, then what it orders."""
    return 1 if record.topic.startswith("upserts.") else 0


def _messages(gathered: dict[str, tuple[Ref, Record]]) -> list[tuple[Ref, Record, Message]]:
    """The mail of a story, oldest first; what cannot be read is left out."""
    found = []
    for ref, record in sorted(gathered.values(), key=lambda each: (each[1].timestamp, each[1].offset)):
        if record.topic == MAIL and record.value is not None:
            try:
                found.append((ref, record, decode_message(record.value)))
            except BadRecord:
                continue
    return found  # type: ignore[return-value]  # marks of counts and rouses are under no record's key


def _marked(gathered: dict[str, tuple[Ref, Record]], ref: Ref, peer: Ref) -> str:
    """Whether a reading of either showed the mark that names the other."""
    for at, record in gathered.values():
        if record.topic.startswith("changes.") and record.value is not None:
            try:
                change: Change = decode_change(record.value)
            except BadRecord:
                continue
            known = parse_marker(change.source.marker or "")
            if known is not None and {at, known[1]} == {ref, peer}:
                return f"{at} carries the mark of {known[1]}: it was created for it"
    return ""


def _cells(row: Row) -> Iterable[tuple[str, Cell | None]]:
    cells = row.cells
    return [(field, cells.get(field)) for field in sorted(row.remote)]


def _state(row: Row, field: str, cell: Cell | None) -> str:
    if cell is None:
        return "read only"
    if cell.rejected is not None and cell.rejected >= cell.version:
        return "not applied"
    if row.writing is not None and field in row.writing.want:
        return "being written"
    return "in step" if cell.carried is None else "to be written"


def _wait(what: str, why: str, due: int) -> dict[str, Any]:
    return {"what": what, "why": why, "next": moment(due) if due else None}
