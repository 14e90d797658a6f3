"""A turn: one message at one row. The draft of the new row, and what goes out.

The draft starts as a copy of the row that was given, so that the old one stays as it is. Rules change the draft and
say what to send; nothing is sent before the turn is over, and then all of it, in this order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from stream.core import elements
from stream.core.fields import SET
from stream.core.flows import End, TypeFacts, View
from stream.core.row import Cell, Edge, Row, State
from stream.model import Command, Conflict, Message, Ref, Rouse, Time, Value, type_of


class Mail(Struct, frozen=True, array_like=True):
    """A message for another row."""

    to: str
    message: Message


class Alarm(Struct, frozen=True, array_like=True):
    """Wake this row at this time; zero: no more."""

    at: Time


class Report(Struct, frozen=True, array_like=True):
    """Something a person should know; the message at hand is set aside with this reason."""

    reason: str
    field: str = ""


class Tally(Struct, frozen=True, array_like=True):
    """So many ends of this type were linked in this turn; fewer than none, if links ended."""

    entity: str
    links: int


SECOND = 1_000_000

AGAIN = 30_000_000
"""Microseconds to the first repetition of what was said and not answered."""

PAUSE = 6 * 3600_000_000
"""Microseconds after which what waits for a paused flow looks again, should nobody wake it; a resync lets all wait."""

LONGEST = 3600_000_000
"""Microseconds between repetitions, at most."""

_NO_EDGE = Edge(state="alone")
_BONDS = ("linked", "severed")

Output: TypeAlias = Mail | Command | Conflict | Alarm | Report | Tally | Rouse


class Turn:
    """The draft of one row while one message is worked in."""

    __slots__ = (
        "_kept",
        "before",
        "bonded",
        "cells",
        "ends",
        "fact",
        "key",
        "now",
        "out",
        "row",
        "tied",
        "touched",
        "type",
        "view",
    )

    def __init__(self, key: Ref, row: Row, view: View, now: Time) -> None:
        self.key = key
        self.type = type_of(key)
        self.view = view
        self.now = now
        self.ends = view.flows.ends(self.type)
        self.fact: TypeFacts = view.flows.fact(self.type)
        self.before: dict[str, Value] = row.remote
        """The values last known before this turn."""
        self.row = replace(row)
        self.row.remote = row.remote.copy()
        self.row.edges = row.edges.copy()
        self.cells: dict[str, Cell] = row.cells
        """The registers; put back into the row when the turn is over."""
        self._kept = self.cells.copy()
        self.out: list[Output] = []
        self.tied = 0
        """Ends that were linked in this turn, less those whose link ended."""
        self.bonded: list[End] = []
        """Ends that were linked in this turn."""
        self.touched: dict[str, str] = {}
        """Fields whose register moved in this turn, and the edge that it came by; empty for the record itself."""

    def mail(self, to: str, message: Message) -> None:
        """Send a message to another row."""
        self.out.append(Mail(to, message))

    def report(self, reason: str, field: str = "") -> None:
        """Tell a person; a reason about a field stays in the row's notes, and is told once."""
        if field:
            known = self.row.notes.get(field, "")
            if reason in known:
                return
            self.row.notes = {**self.row.notes, field: f"{known}; {reason}" if known else reason}
        self.out.append(Report(reason, field))

    def clear(self, field: str) -> None:
        """What was noted about a field holds no longer."""
        if field in self.row.notes:
            self.row.notes = {name: note for name, note in self.row.notes.items() if name != field}

    def forget(self, fields: Iterable[str]) -> None:
        """Let go of fields that nobody maps any more."""
        for field in fields:
            del self.row.remote[field]
            self.cells.pop(field, None)
            self.clear(field)
        self.row.keep(self.cells)

    def leading(self, end: End) -> list[str]:
        """The fields with versions that lead along an end."""
        if self.view.flows.sets[self.type]:
            return [field for field in self.cells if end.leads_of(field) and not field.endswith(SET)]
        return [field for field in end.leads if field in self.cells]

    def close(self) -> Row:
        """The new row."""
        if self.view.flows.sets[self.type]:
            elements.forget(self.row, self.cells, self.now)
        if self.cells != self._kept or len(self.row.remote) != len(self.before):
            self.row.keep(self.cells)
            if self.cells:
                self.row.pristine = False
                if self.row.updated_at <= self.row.read_at and self.row.updated_at % SECOND:
                    self.row.read_at = 0
        return self.row

    def number(self) -> int:
        """A number never used before, in this life of the row or in one that was rolled back (D3).

        A mere counter would repeat itself after a loss of state, and an old receipt would confirm a new write.
        """
        self.row.last = max(self.row.last + 1, self.now)
        return self.row.last

    def value(self, field: str) -> Value:
        """The value that is believed to be right."""
        cell = self.cells[field]
        return cell.newer[0] if cell.newer else self.row.remote.get(field)

    def edge(self, end: End) -> Edge | None:
        """Where this row stands on an end."""
        return self.row.edges.get(end.edge)

    def move(self, end: End, state: State, *, peer: Ref = "", number: int = 0, reason: str = "") -> Edge:
        """Put an end into a state.

        What it keeps are its locks, the number of the link that is over, and while it has no link what was said of it.
        """
        old = self.row.edges.get(end.edge, _NO_EDGE)
        told, sure = ("", 0) if state == "linked" else (old.told, old.sure)
        ended = max(old.ended, old.number) if old.state in _BONDS and number != old.number else old.ended
        lone = old.orphan and state != "linked"
        edge = Edge(state, peer, number, reason=reason, locks=old.locks, told=told, sure=sure, ended=ended, orphan=lone)
        self.row.edges[end.edge] = edge
        self.tied += (state == "linked") - (old.state == "linked")
        return edge

    def again(self, end: End) -> None:
        """Come back to an end later, should nothing happen until then; each time after twice as long."""
        edge = self.row.edges[end.edge]
        self.change(end, due=self.now + min(LONGEST, AGAIN << min(edge.tries, 7)), tries=edge.tries + 1)

    def rests(self, end: End) -> bool:
        """Whether a link waits for the end of its flow's pause; it looks again by itself (F7)."""
        if end.flow not in self.view.paused:
            return False
        if not self.row.edges[end.edge].due:
            self.change(end, due=self.now + PAUSE)
        return True

    def change(self, end: End, **fields: object) -> Edge:
        """Change some of what is known of an end."""
        edge = replace(self.row.edges[end.edge], **fields)
        self.row.edges[end.edge] = edge
        return edge
