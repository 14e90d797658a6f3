"""Conditions: which records, and which of their fields, a flow speaks of.

The record of a flow's left side is asked, for both directions, as its system last showed it. One that does not meet
the flow's condition is neither matched nor created. If it was linked before, it is left alone: the link stays, nothing
goes through it either way, a person is told once. Whatever happened meanwhile is caught up with when it meets the
condition again; versions decide. A pair with a condition of its own does the same for one field.

What cannot be told (a number where the expression wants a text) is noted and taken for "not met".
"""

from __future__ import annotations

from stream.core.fields import whole
from stream.core.flows import Condition, End
from stream.core.matching import enlist, keys_of, release, unlist
from stream.core.row import Edge
from stream.core.turn import Turn
from stream.model import Propose

UNMET = "it does not meet the condition of the flow"
LEFT_ALONE = "it does not meet the condition of the flow any more: it is left alone until it does"

FREE = frozenset({"alone", "waiting", "matching", "proposed", "refused"})
"""States of an end that has no counterpart, and none on its way."""


def holds(turn: Turn, condition: Condition, note: str) -> bool:
    """Whether this record meets a condition; what cannot be told is noted under a name, and not met."""
    try:
        met = condition.holds(turn.row.remote)
    except ValueError as error:
        turn.report(f"the condition {condition.text!r:.80} cannot be told, so it is not met: {error}", note)
        return False
    turn.clear(note)
    return met


def settle(turn: Turn) -> None:
    """Take every end up, or leave it alone, as its condition says now (E1).

    A record that was taken for a new one each time it came to meet the condition would get one counterpart after the
    other; one that goes on being written after it left its flow is overwritten by people who speak of other records.
    """
    for end in turn.ends.values():
        if end.when is not None:
            edge = turn.row.edges.get(end.edge)
            if not holds(turn, end.when, end.edge):
                _leave(turn, end, edge)
            elif edge is not None and edge.idle:
                _return(turn, end, edge)
        if end.guards:
            edge = turn.row.edges.get(end.edge)
            if edge is not None and edge.state == "linked":
                _guard(turn, end, edge)


def _leave(turn: Turn, end: End, edge: Edge | None) -> None:
    if edge is None or edge.state in FREE:
        if turn.row.plan and not (edge is not None and edge.idle):
            unlist(turn, end)
        release(turn, end)
        turn.move(end, "alone", reason=UNMET)
        turn.change(end, idle=True)
    elif edge.state == "linked" and not edge.idle:
        turn.change(end, idle=True, reason=LEFT_ALONE)
        turn.report(f"{end.flow}: {LEFT_ALONE}")


def _return(turn: Turn, end: End, edge: Edge) -> None:
    if edge.state == "linked":
        turn.change(end, idle=False, reason="", owed=tuple(turn.leading(end)))
        _ask_anew(turn, end, edge)
    else:
        enlist(turn, end, keys_of(end, turn.row.remote))
        del turn.row.edges[end.edge]


def _ask_anew(turn: Turn, end: End, edge: Edge) -> None:
    """Have the peer tell everything again: what it offered meanwhile was not taken.

    Under the number that the link has: with a new one, a deletion on its way would speak of another link.
    """
    turn.mail(edge.peer, Propose(edge=end.peer_edge, sender=turn.key, number=edge.number, key="", anew=True))


def _guard(turn: Turn, end: End, edge: Edge) -> None:
    """Offer a field whose condition has come to hold, and hear the peer's value of it (E2)."""
    off = tuple(guard.name for guard in end.guards if not holds(turn, guard.when, guard.name))
    if off == edge.off:
        return
    on = [guard for guard in end.guards if guard.name in edge.off and guard.name not in off]
    leads = {guard.field for guard in on if guard.leads}
    owed = dict.fromkeys((*edge.owed, *(field for field in turn.leading(end) if whole(field) in leads)))
    turn.change(end, off=off, owed=tuple(owed))
    if any(guard.takes for guard in on):
        _ask_anew(turn, end, edge)


def shut(turn: Turn, end: End) -> frozenset[str]:
    """Own fields that the peer may not set now."""
    return frozenset(guard.field for guard in end.guards if guard.takes and not holds(turn, guard.when, guard.name))
