"""Proposing: how two records that both exist become linked.

Side a proposes, side b decides at once: one-to-one is decided in one row (C2, C4). A record that waits for something
itself does not answer; the other asks again. Whatever comes late is known by its number: an Accept that nobody waits
for is taken back. What a refusal does is in ``parting``.

    a: found ──> Propose ──> b: Accept ──> a: linked          b: found ──> Nudge ──> a: Propose ...
                               └ Refuse ──> a: tries again, or gives up until the record changes
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from stream.core import birth, creating, seeking
from stream.core.deleting import removing
from stream.core.flows import End
from stream.core.matching import give_up, keys_of, release, withdraw
from stream.core.row import Edge
from stream.core.seeking import TAKEN, hesitates
from stream.core.turn import Turn
from stream.model import Accept, Found, Nudge, Propose, Refuse

MANY = "so many records carry its match value that they are not counted"
BARRED = "its only match is one that a person said it is never to be linked to"
PERSON = "person"
"""In place of a match value: a person links the two, whatever they match by (F4)."""
EARLY = "it offered values before it accepted"

LOOKING = frozenset({"alone", "waiting", "matching", "refused"})
"""States in which a record may still be linked to whoever comes."""

SETTLED = frozenset({"alone", "refused"})
"""Those of them that asked, and ask no more."""

Why: TypeAlias = Literal["taken", "gone", "mismatch", "given up", "forgotten", "copy", "over", "left"]


def found(turn: Turn, message: Found) -> None:
    """Somebody carries the value: propose, if there is no doubt who (C4).

    Whoever is linked already is no counterpart: the next value may find one that is free. But nothing is created.
    """
    awaited = seeking.expecting(turn, message)
    if awaited is None:
        return
    end, edge = awaited
    candidates = tuple(each for each in message.candidates if f"{end.edge}|{each}" not in turn.row.never)
    if message.taken and edge.position + 1 < len(keys_of(end, turn.row.remote)) and not message.many:
        turn.change(end, reason=TAKEN)
        seeking.claim(turn, end, edge.position + 1)
    elif message.taken:
        give_up(turn, end, TAKEN)
    elif message.many:
        give_up(turn, end, MANY)
    elif not candidates:
        give_up(turn, end, BARRED)
    elif len(candidates) != 1:
        some = ", ".join(candidates[:5])
        give_up(turn, end, f"{len(candidates)} records match it, and nothing says which: {some}")
    elif end.side == "a":
        propose(turn, end, candidates[0])
    else:
        turn.mail(candidates[0], Nudge(edge=end.peer_edge, sender=turn.key, key=message.key))
    if message.many:
        turn.change(end, tries=edge.tries)
        turn.again(end)


def propose(turn: Turn, end: End, peer: str) -> None:
    """Ask a record to be the counterpart, under a new number."""
    keys = keys_of(end, turn.row.remote)
    edge = turn.row.edges.get(end.edge)
    key = edge.key if edge is not None and edge.key in keys else (*keys, "")[0]
    turn.move(end, "proposed", peer=peer, number=turn.number())
    turn.change(end, key=key)
    say_proposal(turn, end)


def say_proposal(turn: Turn, end: End) -> None:
    """Say a proposal, for the first time or again."""
    edge = turn.row.edges[end.edge]
    turn.mail(edge.peer, Propose(edge=end.peer_edge, sender=turn.key, number=edge.number, key=edge.key))
    turn.again(end)


def nudged(turn: Turn, message: Nudge) -> None:
    """The other side asks for a proposal, or lost our link (C2, D4); or an index answers otherwise than before (C4).

    Who looks for nobody any more asks the index anew, for this may be said again, and late: two of a crowd were linked
    by guess when their first words came once more (C4). Who may be ours proposes to nobody before it knows: linked by
    its name, it got versions of its own, and what it was created with went back over what was typed since (C6, C7).
    """
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or not turn.row.remote or removing(turn):
        return
    if message.sender == message.key:
        _corrected(turn, end, edge, message.key)
    elif end.side != "a":
        return
    elif turn.row.gone_at:
        _gone_too(turn, end, edge, message.sender)
    elif message.key and edge is not None and edge.state in SETTLED:
        _ask_anew(turn, end, edge, message.key)
    elif edge is None or (edge.state in LOOKING and not edge.idle):
        if not hesitates(turn):
            propose(turn, end, message.sender)
    elif edge.state == "linked" and edge.peer == message.sender:
        key = (*keys_of(end, turn.row.remote), "")[0]
        turn.change(end, owed=tuple(turn.leading(end)))
        anew = Propose(edge=end.peer_edge, sender=turn.key, number=edge.number, key=key, anew=True)
        turn.mail(message.sender, anew)
    elif edge.state == "severed" and edge.peer == message.sender and message.number > edge.number:
        propose(turn, end, message.sender)


def _corrected(turn: Turn, end: End, edge: Edge | None, key: str) -> None:
    """The only match is taken no more; who heard that asks anew, also while it asks for its next value (C4)."""
    if edge is not None and (edge.state in SETTLED or edge.reason == TAKEN):
        _ask_anew(turn, end, edge, key)


def _ask_anew(turn: Turn, end: End, edge: Edge, key: str) -> None:
    """Look for a counterpart once more: what the index of a value said may be true no more."""
    if not (edge.idle or turn.row.gone_at or hesitates(turn)) and key in keys_of(end, turn.row.remote):
        seeking.look(turn, end)


def _gone_too(turn: Turn, end: End, edge: Edge | None, sender: str) -> None:
    """A deleted record is asked for a link: whoever found it by its values heard an old message of it."""
    if turn.row.writing is not None or turn.row.leave is not None:
        return  # not judged yet; who asks will ask again
    withdraw(turn, end, keys_of(end, turn.row.remote))
    if edge is not None and edge.peer == sender:
        turn.mail(edge.peer, Refuse(edge=end.peer_edge, sender=turn.key, number=edge.number, why="gone"))


def proposed(turn: Turn, message: Propose) -> None:
    """Accept or refuse at once; a record that waits for something itself lets the other ask again (C2, C4).

    Who is found by a match value was read once. If the row knows nothing of it, though all of its type was read, it was
    deleted after its row was lost: it was proposed to for ever.
    """
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is not None and edge is None and not turn.row.remote and message.key != PERSON and turn.view.open(turn.type):
        withdraw(turn, end, _not_ours(turn, end, message.key))
        _refuse(turn, end, message, "gone")
    if end is None or not turn.row.remote or hesitates(turn) or removing(turn):
        return
    state = edge.state if edge is not None else "alone"
    if state in ("creating", "unknown"):
        return
    ours = edge is not None and state == "linked" and edge.peer == message.sender
    why = None if ours else _objection(turn, end, message, edge)
    if why is not None:
        if why == "gone":
            withdraw(turn, end, keys_of(end, turn.row.remote))
        elif why == "mismatch":
            withdraw(turn, end, _not_ours(turn, end, message.key))
        _refuse(turn, end, message, why)
        return
    if edge is not None and ours:
        if message.anew or message.number > edge.number:  # it may have dropped what we had offered
            turn.change(end, number=max(message.number, edge.number), owed=tuple(turn.leading(end)))
    else:
        bond(turn, end, message.sender, message.number)
    turn.mail(message.sender, Accept(edge=end.peer_edge, sender=turn.key, number=message.number))


def _objection(turn: Turn, end: End, message: Propose, edge: Edge | None) -> Why | None:
    """What speaks against a proposal; of a linked record, too, that it has the match value no more.

    A link that is over is not brought back by the words that once made it: read once more, they linked a record to one
    that was deleted long ago, whose last values were written into it. Whose end of it still stands says that.
    """
    state = edge.state if edge is not None else "alone"
    if turn.row.gone_at:
        return "gone"
    if edge is not None and state == "severed" and edge.peer == message.sender and message.number > edge.number:
        return None
    if message.key == PERSON:
        return "taken" if state == "linked" else None
    other = _not_ours(turn, end, message.key)
    if state in ("linked", "severed"):
        return "mismatch" if other else "taken"
    if state == "copy":
        return "copy"
    barred = f"{end.edge}|{message.sender}" in turn.row.never
    over = edge is not None and message.number <= edge.ended and not message.anew
    return "mismatch" if barred or other or over else None


def _not_ours(turn: Turn, end: End, key: str) -> list[str]:
    """The match value of a proposal, if this record has it no more.

    An index of yesterday that believes otherwise is told, or whoever asks it would be sent here for ever (C4).
    """
    return [] if not key or key in keys_of(end, turn.row.remote) else [key]


def _refuse(turn: Turn, end: End, message: Propose | Accept, why: Why) -> None:
    turn.mail(message.sender, Refuse(edge=end.peer_edge, sender=turn.key, number=message.number, why=why))


def bond(turn: Turn, end: End, peer: str, number: int) -> None:
    """Link two records that both existed: their values meet, the newer ones win (B2)."""
    birth.by_match(turn)
    release(turn, end)
    if turn.row.deletion is not None and turn.row.deletion.edge == end.edge:
        turn.row.deletion = None
    turn.move(end, "linked", peer=peer, number=number)
    turn.change(end, owed=tuple(turn.leading(end)))
    turn.bonded.append(end)


def accepted(turn: Turn, message: Accept) -> None:
    """The other side is ours; an Accept that nobody waits for is taken back, just that one (C2).

    One that was set aside comes after the first offers, which were dropped. They are asked for again: a label that only
    the other side had never came. The same of an Attach: an edit that was typed while the record was being created is
    offered once more when that says that it knows its origin. Of a create that this row of yesterday believes to be on
    its way it is the end: taken back, the new record was free, and was created back before the create was looked up.
    Who is free for the sender says that it knows of no such link: its row may be one of yesterday.
    """
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None:
        return
    if edge is not None and edge.peer == message.sender and edge.state == "proposed" and edge.number == message.number:
        bond(turn, end, message.sender, message.number)
        if edge.reason == EARLY:
            edge = turn.change(end, number=turn.number())
            turn.mail(edge.peer, Propose(edge=end.peer_edge, sender=turn.key, number=edge.number, key=""))
    elif edge is not None and edge.peer == message.sender and edge.state == "linked":
        release(turn, end)
        if edge.want:
            later = creating.unasked(turn, end, edge.want)
            turn.change(end, want={}, owed=tuple(dict.fromkeys((*edge.owed, *later))))
    elif edge is not None and edge.state == "creating" and edge.number == message.number:
        creating.attach(turn, end, edge, message.sender, None, echo=False)
    else:
        another = edge is not None and edge.peer not in ("", message.sender)
        barred = f"{end.edge}|{message.sender}" in turn.row.never
        _refuse(turn, end, message, "given up" if another or barred else "forgotten")
