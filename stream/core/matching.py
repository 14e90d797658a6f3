"""Matching: which records of the two sides are one and the same thing.

Every record tells an index actor, one per match value of a flow, that it carries the value. A record without a
counterpart claims its values there, one after the other: the index answers who else carries it, or that nobody does
and the claimant may create. An index stays silent until both types were read completely (C1).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from msgspec.structs import replace

from stream.core.flows import End, View
from stream.core.row import Index
from stream.core.turn import Alarm, Mail, Output, Turn
from stream.model import ClaimKey, Found, Free, Message, Register, Release, Time, Value

INDEX = "index:"
PATIENCE = 600_000_000
"""Microseconds between two looks at a gate that is shut; its opening wakes the index at once."""


def normal(value: Value) -> str:
    """A value as it is compared: without outer and double white space, without case; empty for nothing."""
    if value is None or isinstance(value, dict | list):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(str(value).split()).casefold()


def key_of(flow: str, criterion: int, values: list[str]) -> str:
    """The index actor of a match value."""
    name = "\x1f".join((flow, str(criterion), *values))
    return INDEX + blake2b(name.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def keys_of(end: End, remote: dict[str, Value]) -> tuple[str, ...]:
    """The match values of a record on one end, in configured order; a criterion with an empty field has none."""
    keys = []
    for number, fields in enumerate(end.criteria):
        values = [normal(remote.get(field)) for field in fields]
        if all(values):
            keys.append(key_of(end.flow, number, values))
    return tuple(dict.fromkeys(keys))


def register(turn: Turn) -> None:
    """Tell the indexes which values this record carries now, and no longer.

    A linked record stays registered, as taken: otherwise a second record with its value would find nobody and
    create a double.
    """
    row = turn.row
    plan = turn.view.flows.plan(turn.type)
    anew = row.plan != plan
    row.plan = plan
    for end in turn.ends.values():
        edge = row.edges.get(end.edge)
        if edge is not None and edge.idle and edge.state != "linked":
            continue
        if anew:
            enlist(turn, end, keys_of(end, row.remote))
        elif moved(turn, end):
            old, new = keys_of(end, turn.before), keys_of(end, row.remote)
            withdraw(turn, end, [key for key in old if key not in new])
            enlist(turn, end, [key for key in new if key not in old])


def moved(turn: Turn, end: End) -> bool:
    """Whether a field that a match value is made of changed in this turn."""
    before, now = turn.before, turn.row.remote
    return any(before.get(field) != now.get(field) for field in end.watched)


def enlist(turn: Turn, end: End, keys: Iterable[str]) -> None:
    """Register under these values, as free or as linked; a copy is nobody's to find (C10)."""
    edge = turn.row.edges.get(end.edge)
    if edge is not None and edge.state == "copy":
        return
    linked = edge is not None and edge.state in ("linked", "severed")
    for key in keys:
        turn.mail(key, Register(sender=turn.key, side=end.side, linked=linked))


def withdraw(turn: Turn, end: End, keys: Iterable[str]) -> None:
    """Register under these values no longer."""
    for key in keys:
        turn.mail(key, Register(sender=turn.key, side=end.side, present=False))


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


# The index actor


def decide_index(
    key: str, row: Index | None, message: Message, view: View, now: Time
) -> tuple[Index | None, list[Output]]:
    """One message at one match value."""
    index = Index() if row is None else replace(row)
    members = index.members
    match message:
        case Register(sender=sender, side=side, present=present, linked=linked):
            members = {ref: at for ref, at in members.items() if ref != sender}
            if present:
                members[sender] = side.upper() if linked else side
        case ClaimKey(sender=sender):
            index.queue = (*(claim for claim in index.queue if claim.sender != sender), message)
        case Release(sender=sender, number=number):
            index.queue = tuple(claim for claim in index.queue if claim.sender != sender or claim.number > number)
            if index.lock is not None and index.lock[0] == sender and index.lock[1] <= number:
                index.lock = None
        case _:
            pass
    index.members = members
    out = _serve(key, index, view)
    alarm = 0
    if index.queue and index.lock is None:
        alarm = index.alarm if index.alarm > now else now + PATIENCE
    if alarm != index.alarm:
        index.alarm = alarm
        out.append(Alarm(alarm))
    empty = not index.members and index.lock is None and not index.queue
    return (None if empty else index), out


def _serve(key: str, index: Index, view: View) -> list[Output]:
    """Answer the claims that can be answered, in the order they came."""
    out: list[Output] = []
    waiting = []
    for claim in index.queue:
        answer = _answer(key, index, claim, view)
        if answer is None:
            waiting.append(claim)
        else:
            out.append(Mail(claim.sender, answer))
    index.queue = tuple(waiting)
    return out


def _answer(key: str, index: Index, claim: ClaimKey, view: View) -> Found | Free | None:
    name, _, side = claim.edge.rpartition("/")
    flow = view.flows.flows.get(name)
    if flow is None:
        return Free(edge=claim.edge, key=key, number=claim.number)
    if not view.open(flow.left, flow.right):
        return None
    other = "b" if side == "a" else "a"
    there = {ref: at for ref, at in index.members.items() if at.lower() == other and ref != claim.sender}
    free = tuple(sorted(ref for ref, at in there.items() if at == other))
    if there:
        return Found(edge=claim.edge, key=key, number=claim.number, candidates=free, taken=not free)
    if claim.create:
        if index.lock is not None and index.lock[0] != claim.sender:
            return None
        index.lock = (claim.sender, claim.number)
    return Free(edge=claim.edge, key=key, number=claim.number)
