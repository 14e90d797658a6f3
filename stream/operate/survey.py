"""What the table of links says, counted: how many links, how many of them in step, and what waits for what.

Pure, over rows as they come; two ends of a link are compared by the versions of their fields, so a link whose news is
still on its way counts as out of step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from stream.core.flows import End, Flows
from stream.core.row import Cell, Edge, Kept, Row
from stream.model import Ref, Version, type_of
from stream.standing import APART, OUT, WRITING, settled, standing


class FlowCount(Struct):
    """One flow: links by state, and how many of the linked ones agree."""

    linked: int = 0
    in_step: int = 0
    others: dict[str, int] = {}


class Waiting(Struct, frozen=True):
    """A record that is not linked, or a field that is not in step, with the reason."""

    ref: Ref
    what: str
    reason: str


class Survey(Struct):
    """The whole table."""

    flows: dict[str, FlowCount]
    entities: dict[str, int]
    writing: int
    waiting: list[Waiting]

    @property
    def linked(self) -> int:
        """All links."""
        return sum(count.linked for count in self.flows.values())

    @property
    def in_step(self) -> int:
        """The links whose two sides agree."""
        return sum(count.in_step for count in self.flows.values())


class Link(Struct, frozen=True):
    """One end of a flow at one record, for listings. ``in_step`` is about this record alone."""

    flow: str
    side: str
    ref: Ref
    peer: Ref
    state: str
    in_step: bool
    reason: str


def links(rows: Iterable[tuple[str, Kept]]) -> Iterator[Link]:
    """Every end of every flow, as its record sees it."""
    for ref, row in rows:
        if isinstance(row, Row):
            for name, edge in row.edges.items():
                flow, _, side = name.rpartition("/")
                whole = edge.state == "linked" and not edge.owed and settled(row)
                yield Link(flow, side, ref, edge.peer, edge.state, whole, edge.reason)


class _Counter:
    """Counts rows one by one; a link is judged when its second end comes by."""

    def __init__(self, flows: Flows, most: int) -> None:
        self.flows = flows
        self.most = most
        self.found = Survey({name: FlowCount() for name in flows.flows}, {}, 0, [])
        self.half: dict[tuple[str, Ref, Ref], int] = {}

    def row(self, ref: Ref, row: Row) -> None:
        """Count one record and its ends."""
        found, ends, cells = self.found, self.flows.ends(type_of(ref)), row.cells
        found.entities[type_of(ref)] = found.entities.get(type_of(ref), 0) + 1
        found.writing += row.writing is not None
        whole, stands = settled(row), standing(ref, row)
        for name, edge in row.edges.items():
            end = ends.get(name)
            if end is not None and edge.state == "linked" and not edge.idle:
                others = found.flows[end.flow].others
                others["not applied"] = others.get("not applied", 0) + (f"{name} {APART}" in stands)
                self._link(ref, end, edge, hash(_versions(cells, end)) if whole and not edge.owed else None)
            elif end is not None:
                others, state = found.flows[end.flow].others, "idle" if edge.idle else edge.state
                others[state] = others.get(state, 0) + (end.side == "a")
            if edge.state != "linked" and edge.reason:
                self._name(Waiting(ref, name, edge.reason))
        for field, note in row.notes.items():
            self._name(Waiting(ref, field, note))

    def _link(self, ref: Ref, end: End, edge: Edge, mine: int | None) -> None:
        count = self.found.flows[end.flow]
        count.linked += end.side == "a"
        link = (end.flow, ref, edge.peer) if end.side == "a" else (end.flow, edge.peer, ref)
        if link in self.half:
            other = self.half.pop(link)
            count.in_step += mine is not None and mine == other
        else:
            self.half[link] = -1 if mine is None else mine

    def _name(self, waiting: Waiting) -> None:
        if len(self.found.waiting) < self.most:
            self.found.waiting.append(waiting)


def survey(rows: Iterable[tuple[str, Kept]], flows: Flows, *, most: int = 20) -> Survey:
    """Count the table; of what waits, at most ``most`` are named."""
    counter = _Counter(flows, most)
    for ref, row in rows:
        if isinstance(row, Row) and row.remote:
            counter.row(ref, row)
    found = counter.found
    found.entities = dict(sorted(found.entities.items()))
    for count in found.flows.values():
        count.others = {state: number for state, number in count.others.items() if number}
    return found


def counted(counts: Mapping[str, int], flows: Flows) -> Survey:
    """The same from the counts that lanes keep. A link that is out of step on both sides counts twice."""
    found: dict[str, FlowCount] = {}
    for name in flows.flows:
        ends = [
            {key.rpartition(" ")[2]: n for key, n in counts.items() if key.startswith(f"{name}/{s} ")} for s in "ab"
        ]
        linked = ends[0].get("linked", 0)
        apart = sum(end.get(state, 0) for end in ends for state in (OUT, APART))
        whole = min(linked, ends[1].get("linked", 0)) - apart
        others = {state: n for state, n in ends[0].items() if n > 0 and state not in ("linked", OUT, APART)}
        if refused := sum(end.get(APART, 0) for end in ends):
            others["not applied"] = refused
        found[name] = FlowCount(linked, max(0, whole), others)
    entities = {name: n for name, n in sorted(counts.items()) if " " not in name and name != WRITING and n > 0}
    return Survey(found, entities, counts.get(WRITING, 0), [])


def reason(row: Row | None) -> tuple[str, str]:
    """What of a record is out of step, and why."""
    if row is None:
        return "", "nothing is known of it any more"
    for field, note in row.notes.items():
        return field, note
    if row.writing is not None:
        tried = f", tried {row.writing.attempt} times" if row.writing.attempt else ""
        return ", ".join(row.writing.want), f"a write is in flight{tried}"
    for edge in row.edges.values():
        if edge.state == "linked" and edge.owed:
            return ", ".join(edge.owed), f"{edge.peer} was not told yet"
    return ", ".join(field for field, rest in row.rests.items() if rest.carried), "to be written"


def _versions(cells: Mapping[str, Cell], end: End) -> tuple[tuple[str, Version], ...]:
    """The versions of the fields that go both ways, under names that both sides share."""
    shared = []
    for field, leads in end.leads.items():
        if field in end.takes and field in cells:
            for lead in leads:
                name = f"{field}={lead.peer}" if end.side == "a" else f"{lead.peer}={field}"
                shared.append((name, cells[field].version))
    return tuple(sorted(shared))
