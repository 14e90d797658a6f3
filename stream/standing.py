"""How rows stand, counted as they change: how many links are in step, and since when the oldest one is not.

With a million rows nobody can count them each time somebody asks. So every row that changes takes what it was out of
its lane's counts and puts in what it is, in the same commit: the counts are always those of the table. They are plain
numbers by name, so that lanes are added up:

    asana.tasks                            records that are known
    <flow>/a linked, <flow>/a refused ...  ends by state; "idle" for one that its flow's condition leaves alone
    <flow>/a out                           linked ends whose record, or whose peer, does not have yet what is right
    <flow>/a apart                         linked ends whose record refused a value: it stays so until somebody edits
    writing                                writes in flight

What is out of step for long is also kept by key, with the time when it was first seen so. Most rows are for a moment
only, while a write is on its way, so those are not written down before some seconds have passed: a lane that is taken
over knows the old ones, and learns of young ones when they move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter

from msgspec import msgpack

from stream.core.row import Kept, Row
from stream.model import Time, type_of
from stream.ports import Unit

STEPS = b"steps"
"""The row in which a lane counts how its rows stand."""

SINCE = b"since:"
"""Before a row's key: the row that says since when it is out of step."""

LONG = 5_000_000
"""Microseconds after which it is written down that a row is out of step."""

MOST = 10_000
"""Rows out of step that one lane knows by name; the oldest are kept, all are counted."""

OUT, APART, WRITING = "out", "apart", "writing"

encode_counts = msgpack.Encoder().encode
decode_counts = msgpack.Decoder(dict[str, int]).decode


def settled(row: Row) -> bool:
    """Whether the record shows what is believed to be right."""
    return row.writing is None and not any(rest.carried for rest in row.rests.values())


def standing(key: str, row: Kept | None) -> tuple[str, ...]:
    """The names under which a row counts; none for what is no entity, or was not read yet."""
    if not isinstance(row, Row) or not row.remote:
        return ()
    names = [type_of(key)]
    if row.writing is not None:
        names.append(WRITING)
    left = _left(row)
    for edge, known in row.edges.items():
        if known.state != "linked":
            names.append(f"{edge} {known.state}")
        elif known.idle:
            names.append(f"{edge} idle")
        else:
            names.append(f"{edge} linked")
            if known.owed or left:
                names.append(f"{edge} {OUT if known.owed else left}")
    return tuple(names)


def alike(old: Kept | None, new: Kept | None) -> bool:
    """Whether two rows surely count the same; asked first, because most do."""
    return (
        type(old) is Row
        and type(new) is Row
        and old.writing is new.writing
        and not old.rests
        and not new.rests
        and bool(old.remote) == bool(new.remote)
        and old.edges == new.edges
    )


def _left(row: Row) -> str:
    """How a record differs from what is believed to be right: for now, for good, or not at all."""
    if row.writing is not None:
        return OUT
    if not row.rests:
        return ""
    behind = [field for field, rest in row.rests.items() if rest.carried]
    if not behind:
        return ""
    cells = row.cells
    refused = all((rejected := cells[field].rejected) and rejected >= cells[field].version for field in behind)
    return APART if refused else OUT


def is_out(names: Iterable[str]) -> bool:
    """Whether a row that counts under these names is out of step."""
    return any(name.endswith(f" {OUT}") for name in names)


class Standing:
    """The counts of one lane while it works; what is staged in a unit is durable with it, or comes again."""

    def __init__(self, unit: Unit) -> None:
        self.counts = decode_counts(unit.get(STEPS) or b"\x80")
        self.since = {key[len(SINCE) :]: int.from_bytes(at, "big") for key, at in unit.scan(SINCE)}
        self._kept = set(self.since)
        self._swept: Time = 0

    def begin(self, unit: Unit) -> None:
        """Take the counts as they are committed: a unit that failed has counted in vain."""
        self.counts = decode_counts(unit.get(STEPS) or b"\x80")

    def moved(self, unit: Unit, key: bytes, old: tuple[str, ...], new: tuple[str, ...], now: Time) -> None:
        """A row counts as ``new`` says, and did so far as ``old`` says."""
        if old == new:
            return
        counts = self.counts
        for name in old:
            counts[name] = counts.get(name, 0) - 1
        for name in new:
            counts[name] = counts.get(name, 0) + 1
        if is_out(new):
            if key not in self.since and len(self.since) < MOST:
                self.since[key] = now
        elif self.since.pop(key, None) is not None and key in self._kept:
            self._kept.discard(key)
            unit.put(SINCE + key, None)

    def end(self, unit: Unit, now: Time) -> None:
        """Stage the counts, and what has been out of step for long by now."""
        unit.put(STEPS, encode_counts({name: count for name, count in self.counts.items() if count}))
        if now - self._swept < LONG:
            return
        self._swept = now
        for key, at in self.since.items():
            if now - at >= LONG and key not in self._kept:
                self._kept.add(key)
                unit.put(SINCE + key, at.to_bytes(8, "big"))

    def oldest(self) -> tuple[bytes, Time] | None:
        """The row that is out of step for the longest time, and since when."""
        return min(self.since.items(), key=itemgetter(1), default=None)


def added_up(lanes: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The counts of all lanes together."""
    total: dict[str, int] = {}
    for counts in lanes:
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return total
