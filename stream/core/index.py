"""The index: who carries one match value of a flow, and who is about to create a counterpart for it (C3).

One actor for each value. It tells a claimant the one record on the other side, that there are several (nothing says
which: a person decides), that all are linked already, or that nobody has the value and the claimant may create. It
is silent until both types were read completely (C1).

Ten thousand records may carry one value ("Unnamed"), so what it keeps is bounded (C12). A record that finds no room
is told so and comes again; as long as there are such, the value counts as one that many have.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from stream.core.flows import View
from stream.core.shared import Index, Member
from stream.core.turn import LONGEST, Alarm, Mail, Output
from stream.model import ClaimKey, Found, Free, Message, Nudge, Ref, Register, Release, Time, Wake

PATIENCE = 600_000_000
"""Microseconds between two looks at a gate that is shut, whose opening wakes the index at once; and between two words
to who may create, while others wait for that. One that knows nothing of it gives it back: the row of one was set back,
its record was deleted, and whoever had its value waited for ever (C3)."""

MOST = 16
"""Records that are kept on each side, as many that are linked, and claims that wait."""

CROWDED = 2 * LONGEST
"""Microseconds for which a record that found no room counts as being there: it comes again within half of that."""

_NOBODY = Member("")


def decide_index(
    key: str, row: Index | None, message: Message, view: View, now: Time
) -> tuple[Index | None, list[Output]]:
    """One message at one match value."""
    index = Index() if row is None else replace(row)
    index.crowded = {place: until for place, until in index.crowded.items() if until > now}
    out: list[Output] = []
    match message:
        case Register():
            before, places = free(index), index.places
            _enter(index, message, now)
            out += _resolved(key, index, message, view, before)
            out += _untaken(key, index, message, places)
        case ClaimKey(sender=sender):
            queue = tuple(claim for claim in index.queue if claim.sender != sender)
            index.queue = (*queue, message)[: MOST + 1]
        case Release(sender=sender, number=number):
            index.queue = tuple(claim for claim in index.queue if claim.sender != sender or claim.number > number)
            if index.lock is not None and index.lock[0] == sender and index.lock[1] <= number:
                index.lock = None
        case Wake() if index.lock is not None:
            holder, number, edge = index.lock
            out.append(Mail(holder, Free(edge=edge, key=key, number=number)))
        case _:
            pass
    out += _serve(key, index, view)
    index.queue = index.queue[:MOST]  # whoever is not among them claims again by itself
    alarm = 0
    if index.queue:
        alarm = index.alarm if index.alarm > now else now + PATIENCE
    if alarm != index.alarm:
        index.alarm = alarm
        out.append(Alarm(alarm))
    empty = not index.members and index.lock is None and not index.queue and not index.crowded
    return (None if empty else index), out


def _enter(index: Index, message: Register, now: Time) -> None:
    """Keep who carries the value, as free or as linked, as far as there is room (C12), and who may create.

    An older word that is said again, late, is passed over: one that was linked counted as free once more, and two that
    match were left in doubt beside it (C4). The right to create was given by this very index, before its row was lost:
    given once more, of two origins of one name both created (C3).
    """
    known = index.members.get(message.sender, _NOBODY)
    if message.number < known.number:
        return
    if message.holds and index.lock is None:
        index.lock = (message.sender, message.number, message.edge)
    side = message.edge[-1:]
    members = {ref: member for ref, member in index.members.items() if ref != message.sender}
    others = known.places.replace(side, "").replace(side.upper(), "")
    place = side.upper() if message.linked else side
    if not message.present:
        place = ""
    elif sum(place in member.places for member in members.values()) >= MOST:
        index.crowded = {**index.crowded, place: now + CROWDED}
        place = ""
    if others or place:
        members[message.sender] = Member(others + place, message.number)
    index.members = members


def free(index: Index) -> tuple[Ref, ...]:
    """The records without a counterpart."""
    return tuple(ref for ref, at in index.places.items() if at != at.upper())


def _resolved(key: str, index: Index, message: Register, view: View, before: tuple[Ref, ...]) -> list[Output]:
    """Bring the last two together, when of more records all others were linked or went (C4).

    They were told that nothing says which; without this nobody tells them that now something does.
    """
    flow = view.flows.flows.get(message.edge[:-2])
    now = free(index)
    if len(now) != 2 or len(before) <= len(now) or flow is None or not view.open(flow.left, flow.right):  # noqa: PLR2004
        return []
    if not index.crowded.keys().isdisjoint("ab"):
        return []
    places = index.places
    one, other = sorted(now, key=lambda ref: places[ref])
    if "a" not in places[one] or "b" not in places[other]:
        return []
    return [Mail(one, Nudge(edge=f"{flow.name}/a", sender=other, key=key))]


def _untaken(key: str, index: Index, message: Register, before: dict[Ref, str]) -> list[Output]:
    """Let all ask anew that were told that their only match is linked, now that it is free or has another value (C4).

    One that stays as it is would otherwise wait for ever for a counterpart that nobody creates any more.
    """
    name, _, side = message.edge.rpartition("/")
    was = side.upper() in before.get(message.sender, "")
    places = index.places
    if not was or not _taken(before, side) or _taken(places, side):
        return []
    other = "b" if side == "a" else "a"
    told = [ref for ref, at in places.items() if other in at]
    return [Mail(ref, Nudge(edge=f"{name}/{other}", sender=key, key=key)) for ref in told]


def _taken(places: Mapping[Ref, str], side: str) -> bool:
    """Whether all that carry the value on a side are linked."""
    sides = "".join(places.values())
    return side.upper() in sides and side not in sides


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
    places = index.places
    own = places.pop(claim.sender, side)
    there = [ref for ref, at in places.items() if other in at]
    many = other in index.crowded or (bool(there) and side in index.crowded)
    if there or many:
        rivals = [ref for ref in free(index) if ref != claim.sender and ref not in there]
        candidates = tuple(sorted(there)) if len(there) > 1 or not there else tuple(sorted((*there, *rivals)))
        return Found(edge=claim.edge, key=key, number=claim.number, candidates=candidates, many=many)
    taken = any(other.upper() in at for at in places.values())
    if taken or other.upper() in index.crowded:
        return Found(edge=claim.edge, key=key, number=claim.number, candidates=(), taken=True, many=side not in own)
    if claim.create:
        if index.lock is not None and index.lock[0] != claim.sender:
            return None
        index.lock = (claim.sender, claim.number, claim.edge)
    return Free(edge=claim.edge, key=key, number=claim.number)
