"""Matching: which records of the two sides are one and the same thing.

Every record tells an index actor, one per match value of a flow, that it carries the value. A record without a
counterpart claims its values there, one after the other in configured order, so that no two wait for each other: the
index (``core.index``) answers who else carries it, or that nobody does and the claimant may create.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from stream.core.flows import End
from stream.core.turn import Turn
from stream.model import Register, Release, Value

INDEX = "index:"


def normal(value: Value) -> str:
    """A value as it is compared: without outer and double white space, without case; empty for nothing."""
    if value is None or isinstance(value, dict | list):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(str(value).split()).casefold()


def key_of(flow: str, criterion: str, values: list[str]) -> str:
    """The index actor of a match value; a criterion goes by its fields, so that it may get another place."""
    name = "\x1f".join((flow, criterion, *values))
    return INDEX + blake2b(name.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def keys_of(end: End, remote: dict[str, Value]) -> tuple[str, ...]:
    """The match values of a record on one end, in configured order; a criterion with an empty field has none."""
    keys = []
    for name, fields in zip(end.criterion_names, end.criteria, strict=True):
        values = [normal(remote.get(field)) for field in fields]
        if all(values):
            keys.append(key_of(end.flow, name, values))
    return tuple(dict.fromkeys(keys))


def register(turn: Turn) -> bool:
    """Tell the indexes which values this record carries now, and no longer.

    A linked record stays registered, as taken: otherwise a second record with its value would find nobody and
    create a double. Returns whether all was told anew, as after a change of the configuration.
    """
    row = turn.row
    plan = turn.view.flows.plan(turn.type)
    anew = row.plan != plan
    row.plan = plan
    for end in turn.ends.values():
        edge = row.edges.get(end.edge)
        if edge is not None and edge.idle and edge.state != "linked":
            continue
        if anew or moved(turn, end):
            old, new = keys_of(end, turn.before), keys_of(end, row.remote)
            withdraw(turn, end, [key for key in old if key not in new])
            enlist(turn, end, [key for key in new if anew or key not in old])
    return anew


def moved(turn: Turn, end: End) -> bool:
    """Whether a field that a match value is made of changed in this turn."""
    before, now = turn.before, turn.row.remote
    if before == now:
        return False
    for field in end.watched:  # noqa: SIM110  # any() takes twice as long, in every turn
        if before.get(field) != now.get(field):
            return True
    return False


def enlist(turn: Turn, end: End, keys: Iterable[str]) -> None:
    """Register under these values, as free or as taken; a copy is nobody's to find (C10).

    Who holds the right to create says so: an index whose rows alone were lost gave it to somebody else as well (C3).
    """
    edge = turn.row.edges.get(end.edge)
    if edge is not None and edge.state == "copy":
        return
    linked = edge is not None and edge.state in ("linked", "severed", "claiming")
    for key in keys:
        holds = edge is not None and key in edge.locks
        turn.mail(key, Register(sender=turn.key, edge=end.edge, linked=linked, holds=holds, number=turn.number()))


def withdraw(turn: Turn, end: End, keys: Iterable[str]) -> None:
    """Register under these values no longer."""
    for key in keys:
        turn.mail(key, Register(sender=turn.key, edge=end.edge, present=False, number=turn.number()))


def unlist(turn: Turn, end: End) -> None:
    """Register no longer under any value, also none that went in this very turn.

    A record was found deleted while a new name of it was being written: under the old one it stood as taken for ever,
    and whoever had that was refused.
    """
    withdraw(turn, end, dict.fromkeys((*keys_of(end, turn.before), *keys_of(end, turn.row.remote))))


def release(turn: Turn, end: End) -> None:
    """Give the locks of an end back; only once the counterpart itself is registered (C3).

    Given back at the receipt, a second origin would be told "free" before the new record has registered.
    """
    edge = turn.row.edges.get(end.edge)
    if edge is None or not edge.locks:
        return
    for key in edge.locks:
        turn.mail(key, Release(sender=turn.key, number=turn.row.last))
    turn.change(end, locks=())


def give_up(turn: Turn, end: End, reason: str) -> None:
    """No link for now: said once, and judged again when the record changes (C4)."""
    release(turn, end)
    edge = turn.move(end, "refused", reason=reason)
    if edge.told != reason:
        turn.change(end, told=reason)
        turn.report(f"{end.flow}: {reason}")
