"""Rosters: creates that are under way, of a type whose records cannot carry our marker (C7).

A new record that carries a marker says who wants it. One without is a stranger: it is read before its origin has heard
of it, the target wrote 'Ne4' where we had asked for 'e4', no match value leads back, and it is created once more on
the side it came from. So each flow has a roster for each side that it creates without a marker. The origin enters its
name before the command is sent, and takes it out when the new record has accepted it. A record that is read for the
first time asks the rosters of its type before it does anything but register its match values. It is answered
"clear" once every create is over that was under way *when it asked*; by then it was attached, or it is a stranger.

No clock is asked: the time between a create and its reading is not bounded. Instead of keeping who asked, a roster
gives a ticket, the place of its youngest create, and the record comes back with it. Places grow and creates end in
any order, so "the oldest place is younger than the ticket" is all there is to know.

A message costs what the row costs, so at most ``ROOM`` names stand in a roster; who finds it full asks again later.
Creates of which nobody knows whether they were done (C11) keep their places until a person decides.
"""

from __future__ import annotations

from stream.core.flows import End
from stream.core.shared import Creates
from stream.core.turn import Mail, Output, Turn
from stream.model import ClaimKey, Free, Message, Release, Roster, Time

ROOM = 500
"""Creates of one flow that may be under way at once where no marker tells them apart."""

OPENING = "it waits for its turn: its counterpart will carry no mark, and others are being created"
ASKING = "it may be a record that is being created for another one right now"


def held(turn: Turn, end: End) -> bool:
    """Whether this end may create: its name is in the roster, or there is none to be in."""
    edge = turn.row.edges.get(end.edge)
    return not end.roster or (edge is not None and end.roster in edge.locks)


def enter(turn: Turn, end: End) -> None:
    """Ask for a place, once; a wake-up asks again."""
    edge = turn.row.edges[end.edge]
    if edge.state == "waiting" and edge.key == end.roster:
        return
    if edge.state != "waiting":
        edge = turn.move(end, "waiting")
    if not edge.due:
        turn.again(end)
    turn.change(end, key=end.roster, number=turn.number(), reason=OPENING)
    _claim(turn, end)


def _claim(turn: Turn, end: End) -> None:
    claim = ClaimKey(edge=end.edge, sender=turn.key, number=turn.row.last, create=True)
    turn.mail(end.roster, claim)


def leave(turn: Turn, end: End) -> None:
    """Take the name out while the create waits for something else, which may wait for the roster itself."""
    edge = turn.row.edges[end.edge]
    if end.roster and end.roster in edge.locks:
        turn.mail(end.roster, Release(sender=turn.key, number=turn.row.last))
        turn.change(end, locks=tuple(lock for lock in edge.locks if lock != end.roster))


def repair(turn: Turn, end: End) -> None:
    """Say again whether the name belongs there: one that a loss of state left behind would hold everybody up."""
    if not end.roster:
        return
    turn.number()
    if held(turn, end):
        _claim(turn, end)
    else:
        turn.mail(end.roster, Release(sender=turn.key, number=turn.row.last))


def ask(turn: Turn, end: End) -> None:
    """Ask whether a create that was under way when this record was first read may have made it."""
    edge = turn.row.edges[end.edge]
    turn.mail(end.asks, Roster(kind="ask", edge=end.edge, sender=turn.key, number=edge.number))
    turn.again(end)


def begin(turn: Turn) -> None:
    """A record that was never seen before asks every roster of its type first; one that was linked asks no more."""
    fresh = not turn.row.edges and not turn.cells
    for end in turn.ends.values():
        if end.asks and fresh:
            turn.move(end, "asking", reason=ASKING)
            ask(turn, end)
        elif turn.bonded and (edge := turn.row.edges.get(end.edge)) is not None and edge.state == "asking":
            del turn.row.edges[end.edge]


# The roster


def decide_roster(key: str, row: Creates | None, message: Message, now: Time) -> tuple[Creates | None, list[Output]]:
    """One message at one roster."""
    open_ = {} if row is None else row.open
    out: list[Output] = []
    match message:
        case ClaimKey(edge=edge, sender=sender, number=number) if sender in open_ or len(open_) < ROOM:
            latest = next(reversed(open_.values()))[1] if open_ else 0
            said, place = open_.get(sender, (0, max(latest + 1, now)))
            open_ = {**open_, sender: (max(said, number), place)}
            out.append(Mail(sender, Free(edge=edge, key=key, number=number)))
        case Release(sender=sender, number=number) if sender in open_ and open_[sender][0] <= number:
            open_ = {ref: place for ref, place in open_.items() if ref != sender}
        case Roster(kind="ask", edge=edge, sender=sender, number=ticket):
            oldest = next(iter(open_.values()))[1] if open_ else 0
            latest = next(reversed(open_.values()))[1] if open_ else 0
            clear = not open_ or oldest > ticket > 0
            answer = Roster(kind="clear" if clear else "wait", edge=edge, sender=key, number=ticket or latest)
            out.append(Mail(sender, answer))
        case _:
            pass
    if row is not None and open_ is row.open:
        return row, out
    return (Creates(open_) if open_ else None), out
