"""Parting: how a record hears that it is not linked, or not any more, and what it does then.

A refusal undoes just the proposal or the link that it speaks of, known by its number (C2). Who lost a link, for its row
was set back, hears so by the next offer of the other side (D4), and so does who did not hear that it is over. What was
deleted and came back asks for the links that it had (D2).
"""

from __future__ import annotations

from stream.core import creating, references, seeking
from stream.core.deleting import LEFT, OVER
from stream.core.flows import End
from stream.core.matching import enlist, give_up, keys_of, release, withdraw
from stream.core.offers import take
from stream.core.proposing import EARLY, LOOKING, PERSON, Why, propose
from stream.core.row import Edge
from stream.core.seeking import TAKEN
from stream.core.turn import Turn
from stream.model import Nudge, Offer, Refuse

COPY = "a copy of a record that we created; copies are not linked"


def declined(turn: Turn, message: Refuse) -> None:
    """The other side is not ours, or not any more; of a link, just the one with this number is undone (C2)."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or edge is None or edge.peer != message.sender:
        return
    if message.why in ("over", "left"):
        if edge.state == "claiming" or (edge.state == "linked" and edge.number <= message.number):
            _over(turn, end, edge, message.why)
    elif edge.state == "claiming":
        _not_claimed(turn, end, message.why)
    elif edge.number == message.number and edge.state in ("linked", "proposed"):
        _undone(turn, end, edge, message.why)
        if edge.state == "linked":
            enlist(turn, end, keys_of(end, turn.row.remote))
            references.tell(turn, end.edge, None)
    elif edge.number == message.number and edge.state == "severed" and edge.due and message.why == "gone":
        # It came back, and its counterpart of then is gone: from now on it is free for others.
        turn.change(end, orphan=True)
        seeking.look(turn, end)
        enlist(turn, end, keys_of(end, turn.row.remote))


def _over(turn: Turn, end: End, edge: Edge, why: Why) -> None:
    """Take the counterpart's word that the link is over: this row was set back, and did not hear, or forgot it (D4).

    If it was this record's deletion that ended it, then it is there again by now, and asks for the link anew (D2).
    """
    release(turn, end)
    severed = turn.move(end, "severed", peer=edge.peer, number=turn.number(), reason=LEFT if why == "left" else OVER)
    if edge.state == "linked":
        references.tell(turn, end.edge, None)
    if why == "left":
        ask_back(turn, end, severed)
    else:
        turn.report(f"{end.flow}: {edge.peer}: {OVER}")


def _not_claimed(turn: Turn, end: End, why: Why) -> None:
    """The claim of a copy is refused; any other refusal is of a link of former times, and late (C10)."""
    if why == "copy":
        withdraw(turn, end, keys_of(end, turn.row.remote))
        turn.move(end, "copy", reason=COPY)
        turn.report(f"{end.flow}: {COPY}")


def _undone(turn: Turn, end: End, edge: Edge, why: Why) -> None:
    """Look for another counterpart, or for none; who was forgotten, and has no match value, claims it back (C6).

    The row of an origin was set back. What it had created heard that nobody waited for it, had no match value to be
    found by, and was created back before its next reading showed our mark.
    """
    held = why in ("taken", "copy")
    if held and edge.state == "linked" and end.roster in edge.locks:
        creating.doubt(turn, end, f"{edge.peer} holds all that was asked for, and is linked to another record")
    elif held and edge.key == PERSON:
        give_up(turn, end, f"{edge.peer} was not linked: it is linked to another record")
    elif held and not edge.key:
        give_up(turn, end, TAKEN)
    elif why == "forgotten" and not keys_of(end, turn.row.remote):
        seeking.claims(turn, end, edge.peer)
    else:
        _try_again(turn, end, edge)


def _try_again(turn: Turn, end: End, edge: Edge) -> None:
    """Ask the indexes once more, but not at once: they may not know yet what the other side knows.

    All of them: the locks of those that had said "nobody" are given back, and somebody may be there by then. What they
    said meanwhile went unheard: of two that were left over of a crowd one was proposing to a third, was refused, and
    both waited for ever (C4).
    """
    release(turn, end)
    turn.move(end, "matching")
    turn.change(end, key=(*keys_of(end, turn.row.remote), "")[0], tries=edge.tries)
    turn.again(end)


def offered(turn: Turn, message: Offer) -> None:
    """Take an offer of the counterpart. Somebody else's means that we lost our link: attach again (D4).

    A deleted record lost none: proposing, it would be accepted, take that back and hear the next offer, for ever. While
    it is linked it takes what it is offered, for a tombstone may be judged wrong: what was dropped is not said again.
    One that was not read yet, or asks a roster, could not answer the proposal that it asks for, and would hear the next
    offer as well; it is told again at a resync. Who did not hear that the link is over hears it now.
    So does the counterpart of a deleted record whose row had forgotten the link: its tombstone made nobody leave it.
    """
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or not turn.row.remote:
        return
    if edge is not None and edge.state == "linked":
        if edge.peer == message.sender:
            take(turn, end, message.fields)
    elif edge is not None and edge.state == "severed" and edge.peer == message.sender:
        creating.over(turn, end, edge)
    elif turn.row.gone_at:
        if edge is None:
            edge = turn.move(end, "severed", peer=message.sender, number=turn.number(), reason=LEFT)
            creating.over(turn, end, edge)
    elif edge is None or (edge.state in LOOKING and not edge.idle):
        if end.side == "b":
            turn.mail(message.sender, Nudge(edge=end.peer_edge, sender=turn.key))
        else:
            propose(turn, end, message.sender)
    elif edge.state == "proposed" and edge.peer == message.sender:
        turn.change(end, reason=EARLY)


def reunite(turn: Turn) -> None:
    """A deleted record came back: ask for the links that it had (D2)."""
    for end in turn.ends.values():
        edge = turn.row.edges.get(end.edge)
        if edge is not None and edge.state == "severed" and edge.reason == LEFT:
            ask_back(turn, end, edge)


def ask_back(turn: Turn, end: End, edge: Edge) -> None:
    """Ask the counterpart of then to link again, until it answers."""
    if end.side == "a":
        propose(turn, end, edge.peer)
    else:
        turn.mail(edge.peer, Nudge(edge=end.peer_edge, sender=turn.key, number=turn.number()))
        turn.again(end)
