"""Birth: the first version of every field, at a record's first link (B2).

Records that both existed bring their own times of change. In a record that we created, what was asked for has the
version that it had at the origin, whatever form the system gave it: compared by time alone, a shortened "e5" went back
over "e5.50". What cannot be told apart from an edit is taken for one.
"""

from __future__ import annotations

from stream.core.reading import alike, changed_at, entire, fresh, stamp
from stream.core.row import Cell
from stream.core.turn import Turn
from stream.core.versions import DEFAULT, NULL, born, mint
from stream.core.writing import IGNORED
from stream.model import Attach, Stated, Time, Value, Version


def by_match(turn: Turn) -> None:
    """Give every field its first version: by the record's own time of change; empty ones the lowest (B2).

    Without the mark for "empty", an empty field of a younger record would erase text.
    """
    for field, value in turn.row.remote.items():
        if field not in turn.cells:
            turn.cells[field] = Cell(born(value, _time(turn), turn.fact.rank))


def by_create(turn: Turn, message: Attach) -> None:
    """The first versions of a record that we created (B2, C8).

    Compared with the create's own echo, a field is what was asked for, in the system's own form; or was ignored (A11);
    or a default that nobody typed; or it was edited since. Of a record that was found later there is no echo: what is
    equal up to white space and case is ours, what is empty or was never touched is an old value of ours, the rest was
    edited, and nobody knows over what. Where the origin knows of no create, or of another one than that which made the
    record, both have lost their versions, and the later time decides: taken for an edit, what we had written there
    before the loss went back over what was typed since. A field that shows something of the system's own, whatever it
    was given, is none of that: taken for an edit, the date of a comment went back over the date of the activity it was
    made for.
    """
    row = turn.row
    seen = None if message.seen is None else entire(turn, message.seen)
    if seen is not None and (not row.remote or (seen.read_at > row.read_at and fresh(row, seen, 0))):
        row.remote.update(seen.fields)
        stamp(row, seen)
    first, pristine = None, row.pristine
    if seen is not None and message.echo:
        first = seen.fields
        row.written_at = max(row.written_at, seen.read_at)
    for field in (*row.remote, *(field for field in message.want if field not in row.remote)):
        value = row.remote.setdefault(field, None)
        want = message.want.get(field)
        if want is None:
            untouched = pristine or (first is not None and first.get(field) == value)
            _not_asked_for(turn, field, value, untouched=untouched)
        elif field in turn.fact.fixed and not alike(value, want.value):
            _first(turn, field, value, want, NULL, ignored=f"not applied: {turn.fact.fixed[field]}")
        elif first is not None and first.get(field) == value and value is None is not want.value:
            _first(turn, field, value, want, NULL, ignored=IGNORED)
        elif alike(value, want.value) if first is None else first.get(field) == value:
            _first(turn, field, value, want, None)
        elif first is None and (value is None or pristine):
            _first(turn, field, value, want, DEFAULT)
        elif message.claimed:
            turn.cells[field] = Cell(born(value, _time(turn), turn.fact.rank))
        else:
            held = first is not None and (first.get(field) is not None or want.value is None)
            version = mint(value, _time(turn), want.version, turn.fact.rank)
            turn.cells[field] = Cell(version, base=want.version if held else None)
            turn.touched[field] = ""


def _not_asked_for(turn: Turn, field: str, value: Value, *, untouched: bool) -> None:
    version = born(value, _time(turn), turn.fact.rank)
    turn.cells[field] = Cell(DEFAULT if untouched and value is not None else version)


def _first(turn: Turn, field: str, value: Value, want: Stated, carried: Version | None, *, ignored: str = "") -> None:
    newer = () if want.value == value else (want.value,)
    author = "" if want.author == turn.key else want.author
    rejected = want.version if ignored else None
    turn.cells[field] = Cell(want.version, author, newer, carried if newer else None, rejected)
    if ignored:
        turn.report(ignored, field)


def _time(turn: Turn) -> Time:
    return changed_at(turn.row)
