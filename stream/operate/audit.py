"""The audit: what the table of links says that should not be, and with the systems at hand, what stands twice there.

Pure over rows as they come, and over records as they are read. Nothing is kept per row: the other end of a link is
looked up when it is needed, so a table of a million rows costs no more memory than one of ten. What looks wrong while
the worker is in the middle of something is judged once more at the end; only what is still wrong is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeAlias

from msgspec import Struct

from connectors.endpoint import Entity
from stream.core.flows import ROSTER, Flows, parse_marker
from stream.core.row import Edge, Kept, Row
from stream.core.shared import Creates, Index
from stream.model import Ref, type_of

Kind: TypeAlias = Literal[
    "in doubt", "copy", "refused", "not mutual", "same value", "nobody's place", "same marker", "no link"
]

MOST = 10_000
"""Links that are looked at twice; so many ends of links that do not agree are told of without a second look."""

Get: TypeAlias = Callable[[Ref], Row | None]
"""The row of a record."""


class Finding(Struct, frozen=True):
    """One thing that should not be, the records that it is about, and what to do about it."""

    kind: Kind
    refs: tuple[Ref, ...]
    edge: str
    what: str
    do: str


def audit(rows: Iterable[tuple[str, Kept]], get: Get, flows: Flows) -> Iterator[Finding]:
    """What is wrong in the table."""
    doubtful: list[tuple[Ref, str]] = []
    for key, row in rows:
        match row:
            case Row():
                for name, edge in row.edges.items():
                    if edge.state == "linked" and _alone(key, name, edge, get) and len(doubtful) < MOST:
                        doubtful.append((key, name))
                    yield from _stuck(key, name, edge)
            case Index():
                yield from _twins(row)
            case Creates():
                yield from _places(key, row, get, flows)
    for ref, name in doubtful:
        again = get(ref)
        now = None if again is None else again.edges.get(name)
        if now is not None and now.state == "linked" and (why := _alone(ref, name, now, get)):
            do = "edit either record; both then tell each other anew"
            yield Finding("not mutual", (ref, now.peer), name, why, do)


def live(type: str, entities: Iterable[Entity], get: Get) -> Iterator[Finding]:
    """What a system's records say that the table does not: markers whose origin knows nothing of the record."""
    for entity in entities:
        known = parse_marker(entity.marker or "")
        if known is None:
            continue
        flow, origin = known
        ref = f"{type}:{entity.id}"
        row = get(origin)
        for side in ("a", "b"):
            edge = None if row is None else row.edges.get(f"{flow}/{side}")
            if edge is not None and edge.peer == ref:
                break
            if edge is not None and edge.state == "linked" and type_of(edge.peer) == type:
                yield Finding(
                    "same marker",
                    (ref, edge.peer),
                    f"{flow}/{side}",
                    f"both carry the marker of {origin}, which is linked to {edge.peer}",
                    f"{ref} is a copy that a person made, or was created twice: compare the two and delete {ref}",
                )
                break
        else:
            mine = get(ref)
            if mine is None or not any(edge.state == "claiming" for edge in mine.edges.values()):
                what = f"carries the marker of {origin}, which has no link to it"
                yield Finding(
                    "no link", (ref, origin), flow, what, "edit either record; if that links nothing, delete one"
                )


def _stuck(ref: Ref, name: str, edge: Edge) -> Iterator[Finding]:
    match edge.state:
        case "unknown":
            do = f"look into the system; then linkstream links decide {ref} {name} --is REF, or --none"
            yield Finding("in doubt", (ref,), name, edge.reason, do)
        case "copy":
            yield Finding("copy", (ref,), name, edge.reason, "delete it, or leave it: it is linked to nothing")
        case "refused":
            yield Finding("refused", (ref,), name, edge.reason, "change the record; it is judged again then")
        case _:
            pass


def _alone(ref: Ref, name: str, edge: Edge, get: Get) -> str:
    """Why a link has one end only; empty for one that both records know of."""
    back = get(edge.peer)
    if back is None:
        return f"linked to {edge.peer}, of which nothing is known"
    there = back.edges.get(other(name))
    if there is None or there.state not in ("linked", "severed"):
        return f"linked to {edge.peer}, which says {'nothing of it' if there is None else there.state}"
    return "" if there.peer == ref else f"linked to {edge.peer}, which is linked to {there.peer}"


def _twins(index: Index) -> Iterator[Finding]:
    """Records of one side with one match value, one of them linked: the others may be its doubles."""
    for side in ("a", "b"):
        free = sorted(ref for ref, at in index.places.items() if side in at)
        linked = sorted(ref for ref, at in index.places.items() if side.upper() in at)
        if free and linked:
            refs = (*linked, *free)[:10]
            what = f"{len(linked)} linked and {len(free)} not linked have one match value"
            yield Finding("same value", refs, "", what, "compare them: delete what stands twice, or tell them apart")


def _places(key: str, roster: Creates, get: Get, flows: Flows) -> Iterator[Finding]:
    """Creates that a roster waits for and nobody makes."""
    edge = other(key.removeprefix(ROSTER))
    for ref in roster.open:
        row = get(ref)
        known = None if row is None else row.edges.get(edge)
        if edge in flows.ends(type_of(ref)) and (known is None or key not in known.locks):
            yield Finding("nobody's place", (ref,), edge, f"{key} waits for its create", "edit the record")


def other(edge: str) -> str:
    """The other end of a flow."""
    return edge[:-1] + ("b" if edge.endswith("a") else "a")
