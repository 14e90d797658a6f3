"""Elements: what a reading says of the elements that it does not show, and how long a row remembers a removal (A13).

A record shows the elements that it has, and is silent about all others. Silence means absence: else a removal was
never seen, and the union of both sides came back. What was never known is not there, so at first contact both sides
keep all they have; and a removal has a version like any edit, so what was removed stays removed.

A removal is forgotten when the record shows it, nobody has still to be told, and it is a month old: no message lives
as long. Of one row no more than ``KEPT`` are remembered, the latest. An element that the record refused is no removal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from stream.core.fields import SET, whole
from stream.core.row import Cell, Row
from stream.model import Seen, Time, Value

MONTH = 30 * 86_400_000_000
"""Microseconds for which a removed element is remembered; messages live for a week, changes for two."""

KEPT = 200
"""Removed elements that one row remembers."""


def complete(remote: Mapping[str, Value], seen: Seen, sets: Iterable[str]) -> Seen:
    """A reading that also says what is absent; of a set that could not be read, that nothing is known to have changed.

    Without it, a removed element looks like one that nobody spoke of.
    """
    silent = [field for field in remote if SET in field and field not in seen.fields]
    if not silent:
        return seen
    fields = {**seen.fields}
    for field in silent:
        name = whole(field)
        if name in sets:
            fields[field] = remote[field] if seen.fields.get(name) is not None else None
    return replace(seen, fields=fields)


def forget(row: Row, cells: dict[str, Cell], now: Time) -> None:
    """Let go of removed elements that are of no use any more."""
    absent = [field for field, value in row.remote.items() if value is None and SET in field[:-1]]
    if not absent:
        return
    owed = {field for edge in row.edges.values() for field in edge.owed}
    written = row.writing.want if row.writing is not None else {}
    still: list[tuple[Time, str]] = []
    for field in absent:
        cell = cells.get(field)
        if cell is None:
            del row.remote[field]
        elif not cell.newer and field not in owed and field not in written:
            still.append((cell.version.time, field))
    still.sort(reverse=True)
    for place, (time, field) in enumerate(still):
        if place >= KEPT or time < now - MONTH:
            del row.remote[field], cells[field]
            row.damping = {name: damp for name, damp in row.damping.items() if name != field}
            row.notes = {name: note for name, note in row.notes.items() if name != field}
