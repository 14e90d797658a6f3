"""What the table of links says, counted: how many links, how many of them in step, and what waits for what.

Pure, over rows as they come; two ends of a link are compared by the versions of their fields, so a link whose news is
still on its way counts as out of step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from stream.core.flows import End, Flows
from stream.core.row import Edge, Index, Row
from stream.model import Ref, type_of


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


def settled(row: Row) -> bool:
    """Whether the record shows what is believed to be right, and everybody was told."""
    return row.writing is None and not any(cell.carried for cell in row.cells.values())


def links(rows: Iterable[tuple[str, Row | Index]]) -> Iterator[Link]:
    """Every end of every flow, as its record sees it."""
    for ref, row in rows:
        if isinstance(row, Row):
            for name, edge in row.edges.items():
                flow, _, side = name.rpartition("/")
                whole = edge.state == "linked" and not edge.owed and settled(row)
                yield Link(flow, side, ref, edge.peer, edge.state, whole, edge.reason)


def survey(rows: Iterable[tuple[str, Row | Index]], flows: Flows, *, most: int = 20) -> Survey:
    """Count the table; of what waits, at most ``most`` are named."""
    found = Survey({name: FlowCount() for name in flows.flows}, {}, 0, [])
    half: dict[tuple[str, Ref, Ref], int] = {}
    entities: Counter[str] = Counter()
    for ref, row in rows:
        if not isinstance(row, Row) or not row.remote:
            continue
        entities[type_of(ref)] += 1
        found.writing += row.writing is not None
        ends = flows.ends(type_of(ref))
        for name, edge in row.edges.items():
            end = ends.get(name)
            if end is not None:
                _count(found, half, ref, row, end, edge)
        for field, note in row.notes.items():
            _name(found, Waiting(ref, field, note), most)
        for name, edge in row.edges.items():
            if edge.state != "linked" and edge.reason:
                _name(found, Waiting(ref, name, edge.reason), most)
    found.entities = dict(sorted(entities.items()))
    return found


def _name(found: Survey, waiting: Waiting, most: int) -> None:
    if len(found.waiting) < most:
        found.waiting.append(waiting)


def _count(found: Survey, half: dict[tuple[str, Ref, Ref], int], ref: Ref, row: Row, end: End, edge: Edge) -> None:
    count = found.flows[end.flow]
    if edge.state != "linked":
        if end.side == "a":
            count.others[edge.state] = count.others.get(edge.state, 0) + 1
        return
    if end.side == "a":
        count.linked += 1
    link = (end.flow, ref, edge.peer) if end.side == "a" else (end.flow, edge.peer, ref)
    mine = hash(_versions(row, end)) if settled(row) and not edge.owed else -1
    other = half.pop(link, None)
    if other is None:
        half[link] = mine
    elif other == mine != -1:
        count.in_step += 1


def _versions(row: Row, end: End) -> tuple[tuple[str, object], ...]:
    """The versions of the fields that go both ways, under names that both sides share."""
    shared = []
    for field, leads in end.leads.items():
        for lead in leads:
            if field in end.takes and field in row.cells:
                name = f"{field}={lead.peer}" if end.side == "a" else f"{lead.peer}={field}"
                shared.append((name, tuple(_parts(row, field))))
    return tuple(sorted(shared))


def _parts(row: Row, field: str) -> Iterator[int]:
    version = row.cells[field].version
    yield from (version.time, version.rank, version.digest)
