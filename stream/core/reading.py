"""Reading: what an observation of the record means.

An observation either repeats what is known, or shows an edit. Edits get a version; whether the edit wins is for
versions to say, never for values. What our own write caused is no edit: that is told apart here and nowhere else.
"""

from __future__ import annotations

from msgspec.structs import replace

from stream.core import damping, elements
from stream.core.fields import PART, SET, group, parts, whole
from stream.core.row import SEEKING, Cell, Row, Write
from stream.core.turn import Turn
from stream.core.versions import TICK, born, lost_unseen, mint
from stream.model import Conflict, Seen, Stated, Time, Value, Version

HELD = 16
"""Readings kept while a write is in flight; of more, the first and the latest."""

SECOND = 1_000_000

AHEAD = 5_000_000
"""Microseconds by which a system's clock may run ahead of the reading; what is more is cut off."""


def unchanged(row: Row, seen: Seen, plan: int) -> bool:
    """Whether a reading tells nothing but its time: the way of almost every one, so it is asked first."""
    return (
        seen.fields == row.remote
        and row.plan == plan
        and row.writing is None
        and not row.gone_at
        and (seen.marker is None or _settled(row))
    )


def _settled(row: Row) -> bool:
    """Whether a record that carries our marker has nothing to claim by it (C6)."""
    if not row.versions:
        return False
    for edge in row.edges.values():  # noqa: SIM110  # any() takes twice as long, at every reading
        if edge.state in SEEKING:
            return False
    return True


def newer(row: Row, seen: Seen) -> bool:
    """Whether a reading that tells nothing else shows a later state of the record."""
    if seen.revision is not None:
        return row.revision is None or seen.revision > row.revision
    return seen.updated_at is not None and seen.updated_at > row.updated_at


def hold(row: Row, seen: Seen) -> None:
    """Keep a reading until the receipt of the write in flight comes (A3).

    Dropped, an edit that only this reading showed would be lost to an older value.
    """
    held = (*row.held, seen)
    row.held = held if len(held) <= HELD else (held[0], *held[2:])


def entire(turn: Turn, seen: Seen) -> Seen:
    """A reading with what it says by its silence (A13); of a set that could not be read a person is told."""
    sets = turn.view.flows.sets[turn.type]
    if not sets:
        return seen
    seen = elements.complete(turn.row.remote, seen, sets)
    for name in sets:
        wrong = seen.fields.get(name)
        if wrong is None:
            turn.clear(name)
        else:
            turn.report(f"not read: {wrong}", name)
            seen = replace(seen, fields={**seen.fields, name: None})
    return seen


def order(seen: Seen) -> tuple[int, Time]:
    """Where a reading stands among others of its record (A4)."""
    if seen.revision is not None:
        return (seen.revision, seen.read_at)
    return (seen.read_at if seen.updated_at is None else seen.updated_at, seen.read_at)


def fresh(row: Row, seen: Seen, lag: Time) -> bool:
    """Whether a reading is newer than what is known (A1).

    A stale replica still shows the old value under the same second after our write; taken for an edit, it would
    be written back.
    """
    if seen.revision is not None and row.revision is not None:
        return seen.revision > row.revision
    settled = seen.read_at > row.written_at + lag
    if seen.updated_at is None:
        return settled and seen.read_at > row.read_at
    if seen.updated_at != row.updated_at:
        return seen.updated_at > row.updated_at
    return settled and seen.read_at > row.read_at


def edited_at(seen: Seen) -> Time:
    """When what a reading shows was edited at the latest, by our clock (B8); never far in the future.

    By its own, a system ten minutes slow loses every edit of the last ten minutes to older ones. What is compared
    with other readings of the same record stays as the system wrote it.
    """
    stamp = seen.read_at if seen.updated_at is None else seen.updated_at - seen.ahead
    return min(stamp, seen.read_at + AHEAD)


def changed_at(row: Row) -> Time:
    """When the record was last changed, by our clock, as far as its newest reading says."""
    if not row.updated_at:
        return row.read_at
    at = row.updated_at - row.ahead
    return min(at, row.read_at + AHEAD) if row.read_at else at


def read(turn: Turn, seen: Seen, ours: Write | None = None, since: Time | None = None, *, direct: bool = False) -> None:
    """Work a reading in, if it is fresh.

    ``ours`` is a write that may be what the reading shows; ``since`` is the guard read of an attempt of it whose end
    is not known. A ``direct`` reading came past any replica. Fields that were never read before are new to us even
    in a reading that is not fresh: somebody mapped them since. Of a set that was read before, an element that only an
    old reading shows is none of them: it was removed and forgotten, and came back when old readings came again.
    """
    seen = entire(turn, seen)
    if fresh(turn.row, seen, 0 if direct else turn.fact.lag):
        hasty = damping.soon(turn.row, seen)
        stamp(turn.row, seen)
        apply(turn, seen, ours, since, hasty=hasty)
        return
    known = turn.row.remote.keys()
    new = [field for field in seen.fields if field not in known and (SET not in field or whole(field) not in known)]
    for field in new:
        meet(turn, field, seen.fields[field], seen)


def meet(turn: Turn, field: str, value: Value, seen: Seen) -> None:
    """A field is read for the first time; in a record with versions it gets its first one now (B2)."""
    turn.row.remote[field] = value
    if turn.cells:
        turn.cells[field] = Cell(born(value, edited_at(seen), turn.fact.rank))
        turn.touched[field] = ""


def stamp(row: Row, seen: Seen) -> None:
    """Remember how new the newest reading is."""
    if seen.revision is not None:
        row.revision = seen.revision
    row.read_at = seen.read_at
    if seen.updated_at is not None:
        row.updated_at, row.ahead = max(row.updated_at, seen.updated_at), seen.ahead
    if row.versions:
        slim(row)
    row.pristine = seen.pristine and not row.versions
    if row.gone_at or row.missing_at:
        row.gone_at = row.gone_at if seen.read_at <= row.gone_at else 0
        row.missing_at = row.missing_at if seen.read_at <= row.missing_at else 0


def slim(row: Row) -> None:
    """Drop when a record was read, where its own time of change says enough.

    Of two readings in one whole second the later one counts, also when the earlier one comes again.
    """
    if row.updated_at <= row.read_at and row.updated_at % SECOND:
        row.read_at = 0


def known(row: Row) -> Time:
    """When the record was last known to be there. An unchanged record is not published, so this may be early."""
    changed = row.updated_at - row.ahead
    first = min(row.read_at, changed) if row.updated_at else row.read_at
    return max(row.written_at, first if row.read_at else changed)


def apply(
    turn: Turn,
    seen: Seen,
    ours: Write | None = None,
    since: Time | None = None,
    *,
    skip: frozenset[str] = frozenset(),
    hasty: bool = False,
) -> None:
    """Take every field that differs from what was known for an edit, or for our own write.

    ``hasty``: what it shows was changed soon after our last write (A12).
    """
    row = turn.row
    for field, value in seen.fields.items():
        if field in skip or (field in row.remote and row.remote[field] == value):
            continue
        if field not in turn.cells:
            meet(turn, field, value, seen)
        elif ours is not None and field in ours.want and _was_us(turn, seen, field, ours, since):
            show(turn, field, value, ours.versions[field])
        else:
            floor = (
                ours.versions[field].time + TICK if since is not None and ours is not None and field in ours.want else 0
            )
            cell = turn.cells[field]
            edit(turn, field, value, max(edited_at(seen), floor))
            if hasty:
                damping.count(turn, field, cell)


def _was_us(turn: Turn, seen: Seen, field: str, ours: Write, since: Time | None) -> bool:
    """Whether a reading shows our own write of a field and no edit (A3, A8).

    While the write's end is known, only the step from its base to what it wanted is ours. After a lost answer a
    target that normalises shows something near to what was wanted: ours, if it is newer than the guard read and the
    system names us as the last to touch it, or if it is equal up to white space and case.
    """
    value, want = seen.fields[field], ours.want[field]
    if since is None:
        return bool(value == want and turn.row.remote.get(field) == ours.base.get(field))
    return seen.read_at > since and (seen.by_us is True or alike(value, want))


def alike(one: Value, other: Value) -> bool:
    """Equal up to white space and case."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, str) and isinstance(other, str):
        return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
    return bool(one == other)


def show(turn: Turn, field: str, value: Value, version: Version) -> None:
    """The record shows this value, which stands for this version: exactly, not for a newer one (A6).

    A person sets X and back to empty while our X is in flight; with the newer of both versions the row would
    believe for ever that the record is empty while it holds X.
    """
    row = turn.row
    cell, right = turn.cells[field], turn.value(field)
    row.remote[field] = value
    newer = () if right == value else (right,)
    behind = None if cell.version == version else version
    turn.cells[field] = Cell(cell.version, cell.author, newer, behind, cell.rejected, cell.base)
    turn.clear(field)


def _untouched(field: str, right: Value, before: Value, value: Value) -> tuple[Value, ...]:
    """An edited group as the register has it, where the record holds parts in a form of its own (A14).

    A part that nobody touched means what it meant: the system had shortened the street, a person typed a city, and
    with the group's new version the short street was written over the long one.
    """
    each = zip(*(parts(field, known) for known in (right, before, value)), strict=True)
    kept = group([old if was == now else now for old, was, now in each])
    return () if kept == value else (kept,)


def edit(turn: Turn, field: str, value: Value, time: Time) -> None:
    """A person, or the system itself, changed a field (B1, B4).

    Also where it holds by chance what is right, it carries its own version, until nothing else is there to be read: who
    typed over that had not seen the other one (A4).
    """
    row = turn.row
    cell, right = turn.cells[field], turn.value(field)
    over = cell.carried or cell.version
    version = mint(value, time, over, turn.fact.rank)
    before, row.remote[field] = row.remote[field], value
    turn.clear(field)
    if version > cell.version:
        newer = _untouched(field, right, before, value) if PART in field and cell.carried is None else ()
        turn.cells[field] = Cell(version, newer=newer, base=over)
        turn.touched[field] = ""
        return
    turn.cells[field] = replace(cell, newer=(right,), carried=version)
    lost = Stated(value, version, over, turn.key)
    won = Stated(right, cell.version, cell.base, cell.author or turn.key)
    if lost_unseen(lost, won):
        turn.out.append(Conflict(ref=turn.key, field=field, lost=lost, won=won, at=turn.now))
