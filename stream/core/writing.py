"""Writing: what the record is to be told, and what became of it.

A field is dirty while the record carries an older version than the register. One write is in flight at a time; it
holds only dirty fields. A receipt brings what the record held before and after, and both are worked in as readings,
in the order in which they were made.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec.structs import replace

from stream.core import damping
from stream.core.fields import whole
from stream.core.reading import apply, entire, fresh, order, read, show, stamp
from stream.core.row import Write
from stream.core.turn import Turn
from stream.model import Command, Receipt, Seen, Time, Value

IGNORED = "not applied: the system ignored it"

Held: TypeAlias = tuple[Seen, ...]

SECOND = 1_000_000
LONGEST = 900 * SECOND
"""The longest wait between two attempts."""

TWICE = 60 * SECOND
"""Microseconds between two looks at a record that is missing."""


def backoff(attempt: int, wait: float | None = None) -> Time:
    """Microseconds until the next attempt: the system's own wish, or twice as long each time."""
    return int(wait * SECOND) if wait is not None else min(LONGEST, SECOND << min(attempt, 20))


def plan(turn: Turn) -> None:
    """Write what is dirty, if no write is in flight (A2).

    A request with all fields would send our form of a value back over the one that a person typed and the system
    had normalised.
    """
    row = turn.row
    if row.writing is not None or row.gone_at:
        return
    dirty: dict[str, Value] = {}
    for field, cell in turn.cells.items():
        if cell.carried is None:
            continue
        value = turn.value(field)
        if value == row.remote.get(field):
            turn.cells[field] = replace(cell, newer=(), carried=None)
        elif whole(field) not in turn.view.flows.written[turn.type]:
            continue
        elif (cell.rejected is None or cell.rejected < cell.version) and not damping.waits(turn, field):
            dirty[field] = value
    if not dirty:
        row.singly = False
        return
    if row.singly:
        first = min(dirty)
        dirty = {first: dirty[first]}
    base = {field: row.remote.get(field) for field in dirty}
    versions = {field: turn.cells[field].version for field in dirty}
    row.writing = Write(turn.number(), dirty, base, versions, turn.now)
    send(turn, row.writing)


def send(turn: Turn, write: Write) -> None:
    """Give the write in flight to the sink, for the first time or again under its old number."""
    turn.out.append(
        Command(
            number=write.number,
            kind=turn.row.deletion.how if turn.row.deletion is not None and not write.want else "update",
            type=turn.type,
            target=turn.key,
            want=write.want,
            base=write.base,
            issued_at=write.issued_at,
            attempt=write.attempt,
        )
    )


def wake(turn: Turn, *, resync: bool = False) -> None:
    """Send a write again whose time has come; after a loss of state, whose receipt may have been lost with it."""
    write = turn.row.writing
    if write is not None and (resync or (write.due and write.due <= turn.now)):
        turn.row.writing = replace(write, due=0)
        send(turn, turn.row.writing)


def again(turn: Turn, write: Write, wait: float | None = None) -> Write:
    """Let a write wait for another attempt."""
    attempt = write.attempt + 1
    return replace(write, attempt=attempt, due=turn.now + backoff(attempt, wait))


def receive(turn: Turn, receipt: Receipt, write: Write) -> None:
    """End the write in flight, or keep it for another attempt."""
    row = turn.row
    if receipt.outcome == "retry":
        row.writing = again(turn, write, receipt.wait)
        return
    held, row.held, row.writing = row.held, (), None
    match receipt.outcome:
        case "done" | "found":
            held = _done(turn, receipt, write, held)
        case "stale":
            held = _stale(turn, receipt, write, held)
        case "refused":
            _refused(turn, receipt, write)
        case "missing":
            _missing(turn, write, receipt.at or turn.now)
        case "superseded" | "unknown":  # pragma: no branch  # the last of a closed union
            pass
    for seen in held:
        read(turn, seen)


def _missing(turn: Turn, write: Write, at: Time) -> None:
    """Only what is missing twice, apart in time, is gone: some systems lose sight of a record for a moment (D2)."""
    row = turn.row
    if row.gone_at:
        return
    if row.missing_at and turn.now >= row.missing_at + TWICE:
        row.gone_at = at
        return
    row.missing_at = row.missing_at or turn.now
    row.writing = replace(write, attempt=write.attempt + 1, due=turn.now + TWICE)


def _done(turn: Turn, receipt: Receipt, write: Write, held: Held) -> Held:
    """Work in what the target held before and after (A4, A6).

    Held readings older than the pre-image, the pre-image, held ones older than the answer, the answer, the rest.
    Without the pre-image an edit made before our write, and seen only in the answer, would get our write's time.
    """
    before, after = receipt.before, receipt.after
    if before is not None:
        held = _until(turn, held, before, None)
        read(turn, before, direct=True)
    if after is None:
        return held
    held = _until(turn, held, after, write)
    _echo(turn, after, write)
    return held


def _until(turn: Turn, held: Held, limit: Seen, ours: Write | None, since: Time | None = None) -> Held:
    """Work in the held readings that are older than a limit; the others come back."""
    rest = []
    for seen in held:
        if order(seen) < order(limit):
            read(turn, seen, ours, since)
        else:
            rest.append(seen)
    return tuple(rest)


def _echo(turn: Turn, after: Seen, write: Write) -> None:
    """The answer: the fields that we wrote stand for our versions, the others are read (A6, A11)."""
    row, after = turn.row, entire(turn, after)
    newest = fresh(row, after, 0)
    for field, want in write.want.items():
        got = after.fields.get(field)
        if got == write.base.get(field) and got != want:
            reject(turn, field, write, IGNORED)
        else:
            show(turn, field, got, write.versions[field])
    if newest:
        apply(turn, after, skip=frozenset(write.want))
        stamp(row, after)
    row.written_at = after.read_at


def _stale(turn: Turn, receipt: Receipt, write: Write, held: Held) -> Held:
    """The record is not what the write was based on: read it, and write again if there is still need (A8, A9).

    If an earlier attempt may have written, what is read may be ours. What is not was typed after our guard read: it
    is newer than what we wrote, however late the system's clock is. A system that contradicts itself (what it holds
    is older than what it said before) is asked again later, not at once.
    """
    if receipt.before is None:
        return held
    ours = write if receipt.guard_at is not None else None
    held = _until(turn, held, receipt.before, ours, receipt.guard_at)
    read(turn, receipt.before, ours, receipt.guard_at, direct=True)
    if any(turn.row.remote.get(field) != receipt.before.fields.get(field) for field in write.want):
        turn.row.writing = again(turn, write)
    return held


def _refused(turn: Turn, receipt: Receipt, write: Write) -> None:
    """Set the refused fields aside and let the others go on (A11).

    If one bad field rejected them all, the rest would diverge.
    """
    named = [field for field in receipt.fields if field in write.want]
    if not named and len(write.want) > 1:
        turn.row.singly = True
        return
    for field in named or write.want:
        reject(turn, field, write, receipt.fields.get(field) or receipt.reason or "refused")


def reject(turn: Turn, field: str, write: Write, reason: str) -> None:
    """Do not write this version of a field again; what the record carries stays what it was."""
    turn.cells[field] = replace(turn.cells[field], rejected=write.versions[field])
    turn.report(reason if reason == IGNORED else f"not applied: {reason}", field)
