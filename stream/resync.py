"""Resync: rows tell everything anew, a piece at a time (B6).

A row that lost its latest state is behind, and nobody tells it: the others believe that it knows. So all rows are
told now and then to forget what others know of them: they offer all, register their match values anew and ask again
for references. A lane goes over its own rows, and keeps how far it has come among them, in the commit that sends the
messages; a sweep that was interrupted goes on where it was. The slow one takes a few rows at a time. One that a person
asked for, or a loss of state, is quicker.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from msgspec import Struct, msgpack

from stream.codec import encode
from stream.model import Resync, Time, Wake
from stream.ports import Unit
from stream.topics import MAIL, RESYNC

PACE = (10, 500)
"""Rows of one lane that are told at a time: in the slow sweep, and when somebody waits for it."""


class Sweep(Struct, frozen=True, array_like=True, omit_defaults=True):
    """How far a lane has come: the types that are left, and the row of the first of them that was told last."""

    begun: Time = 0
    """When the latest sweep over everything began."""
    left: tuple[str, ...] = ()
    after: bytes = b""
    hurry: bool = False


def sweep_of(unit: Unit) -> Sweep:
    """Where the sweep of a lane stands."""
    data = unit.get(RESYNC)
    return Sweep() if data is None else decode_sweep(data)


def wanted(unit: Unit, types: Iterable[str], now: Time, *, whole: bool) -> None:
    """Begin a sweep over some types, or the ``whole`` table; what is left of another one is done with it."""
    sweep = sweep_of(unit)
    left = tuple(sorted({*sweep.left, *types}))
    _put(unit, Sweep(now if whole else sweep.begun, left, hurry=True))


def go_on(unit: Unit, types: Iterable[str], now: Time, period: Time, pace: tuple[int, int] = PACE) -> None:
    """Tell some rows more; after ``period``, begin with all types again."""
    sweep = sweep_of(unit)
    if not sweep.left:
        if 0 <= now - sweep.begun < period:  # one that began in the future was begun by a clock that was wrong
            return
        sweep = Sweep(now, tuple(sorted(types)))
    most = pace[sweep.hurry]
    prefix = f"{sweep.left[0]}:".encode() if sweep.left else b""
    told = [key for key, _ in islice(unit.scan(prefix, sweep.after), most)] if prefix else []
    for key in told:
        unit.emit(MAIL, key, encode(Wake(resync=True)), (), unit.partition)
    more = len(told) == most
    left = sweep.left if more else sweep.left[1:]
    if not left:  # behind all that was sent, so that whoever meets it knows that it was read
        unit.emit(MAIL, RESYNC, encode(Resync(types=(), life=unit.loss.at)), (), unit.partition)
    _put(unit, Sweep(sweep.begun, left, told[-1] if more else b"", sweep.hurry and bool(left)))


def _put(unit: Unit, sweep: Sweep) -> None:
    unit.put(RESYNC, _encode(sweep))


_encode = msgpack.Encoder().encode
decode_sweep = msgpack.Decoder(Sweep).decode
