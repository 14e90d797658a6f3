"""Damping: two systems that both rewrite what they are given do not do it at full speed for ever (A12).

One system upper-cases what is written to it a moment later, the other lower-cases it: each takes the other's answer
for an edit, and 32 writes went out in five minutes. An edit soon after our own write of the same field counts. From
the third in a row the next write of the field waits, four times longer each time and a day at most; at the sixth a
person is told. Nothing is dropped or frozen: a person who types quickly only waits, and an hour of quiet forgets it.

Only a field that was rewritten has anything in the row.
"""

from __future__ import annotations

from stream.core.row import Cell, Damp, Row
from stream.core.turn import Turn
from stream.model import Seen, Time

SECOND = 1_000_000
SOON = 6 * SECOND
"""Microseconds after our own write within which an edit counts, by the system's own clock."""

SOON_READ = 60 * SECOND
"""The same, between the write and the reading, where the system has no times of change."""

FREE = 2
"""Edits in a row that are not waited for."""

TOLD = 6
"""Edits in a row at which a person is told."""

FIRST, LONGEST = 30 * SECOND, 24 * 3600 * SECOND
QUIET = 3600 * SECOND
"""Microseconds after the wait without a further edit that end the row of them."""

FLAPPING = "flapping: both systems rewrite it again and again; a conversion that makes their forms one would be right"


def soon(row: Row, seen: Seen) -> bool:
    """Whether a reading that is about to be worked in shows a change made soon after our last write."""
    if not row.written_at:
        return False
    if seen.updated_at is None:
        return seen.read_at - row.written_at < SOON_READ
    return seen.updated_at - row.updated_at < SOON


def count(turn: Turn, field: str, cell: Cell) -> None:
    """One more edit over a value that came from elsewhere and was written here just now."""
    if not cell.author or cell.carried is not None:
        return
    known = _known(turn).get(field)
    many = 1 if known is None else known.count + 1
    wait = min(LONGEST, FIRST << 2 * min(many - FREE - 1, 8)) if many > FREE else 0
    turn.row.damping = {**_known(turn), field: Damp(many, turn.now + wait)}
    if many == TOLD:
        turn.report(FLAPPING, field)


def waits(turn: Turn, field: str) -> bool:
    """Whether the next write of a field has to wait."""
    known = turn.row.damping.get(field)
    return known is not None and known.not_before > turn.now


def due(turn: Turn) -> Time:
    """When the first write that waits may go out; zero for never."""
    return min(
        (
            damp.not_before
            for field, damp in turn.row.damping.items()
            if damp.not_before > turn.now and field in turn.cells and turn.cells[field].carried is not None
        ),
        default=0,
    )


def _known(turn: Turn) -> dict[str, Damp]:
    return {field: damp for field, damp in turn.row.damping.items() if turn.now <= damp.not_before + QUIET}
