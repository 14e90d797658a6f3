"""Linking: from "no counterpart" to "linked", one end of a flow at a time.

Side a proposes, side b decides at once: one-to-one is decided in one row (C2, C4). A record that carries our marker
does nothing before it has heard from its origin (C6). What waits is tried again when the record changes, when it is
woken, and when what it waits for arrives.

    look ── has a match value ──> matching ── somebody ──> proposed ── accepted ──> linked
     │                               └─ nobody, for all values ─┐
     └─ has none ───────────────────────────────────────────────┴─> may create:  waiting ──> creating ──> linked
                                                                    may not:     alone, until somebody finds it
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec.structs import replace

from stream.core import conditions, creating, references, rosters
from stream.core.deleting import LEFT, removing
from stream.core.flows import End, parse_marker
from stream.core.matching import enlist, give_up, keys_of, moved, register, release, withdraw
from stream.core.offers import take
from stream.core.row import SEEKING, Edge
from stream.core.turn import Turn
from stream.model import (
    Accept,
    Claim,
    ClaimKey,
    Found,
    Free,
    Nudge,
    Offer,
    Propose,
    Refuse,
    Release,
    Roster,
    Seen,
    Time,
)

TAKEN = "its only counterpart is linked to another record"
COPY = "a copy of a record that we created; copies are not linked"
MANY = "so many records carry its match value that they are not counted"
GATE = "both types are being read for the first time"
EARLY = "it offered values before it accepted"
CLAIMING = "it was created by us and waits to hear from its origin"

LOOKING = frozenset({"alone", "waiting", "matching", "refused"})
"""States in which a record may still be linked to whoever comes."""

Why: TypeAlias = Literal["taken", "gone", "mismatch", "given up", "copy"]


def marked(turn: Turn, seen: Seen) -> None:
    """A record that carries our marker claims its origin (C6), as long as it has no counterpart under that flow.

    Also when it had one: an origin whose row was rolled back took the link for a mistake, and what it had created was
    created back.
    """
    known = parse_marker(seen.marker or "")
    if known is None:
        return
    flow, origin = known
    for side in ("b", "a"):
        end = turn.ends.get(f"{flow}/{side}")
        if end is not None and end.created and origin.startswith(f"{end.peer_type}:"):
            edge = turn.row.edges.get(end.edge)
            if edge is None or edge.state in SEEKING:
                release(turn, end)
                turn.move(end, "claiming", peer=origin, reason=CLAIMING)
                _claim_origin(turn, end)
            return


def _claim_origin(turn: Turn, end: End) -> None:
    edge = turn.row.edges[end.edge]
    turn.mail(edge.peer, Claim(edge=end.peer_edge, sender=turn.key))
    turn.again(end)


def _hesitates(turn: Turn) -> str:
    """What a record that may be one of ours waits for before it does anything: its origin (C6), or a roster (C7)."""
    for edge in turn.row.edges.values():
        if edge.state in ("claiming", "asking"):
            return edge.state
    return ""


def settle(turn: Turn) -> None:
    """Bring every end as far as it can go now.

    A record that asks a roster registers all the same: unregistered, it would not be found by a twin that is told in
    the meantime that both types were read (C1).
    """
    row = turn.row
    if not row.remote or row.gone_at or _hesitates(turn) == "claiming":
        return
    rosters.begin(turn)
    conditions.settle(turn)
    changed, anew = row.plan, register(turn)
    if _hesitates(turn):
        return
    for end in turn.bonded:
        enlist(turn, end, keys_of(end, row.remote))
        references.tell(turn, end.edge, row.edges[end.edge].peer)
    for end in turn.ends.values():
        edge = row.edges.get(end.edge)
        if edge is None:
            _look(turn, end)
        elif edge.state == "linked":
            if anew and changed:  # what was only read so far may be mapped now
                turn.change(end, owed=tuple(turn.leading(end)))
        elif not edge.idle:
            _go_on(turn, end, edge, anew=anew)


def _go_on(turn: Turn, end: End, edge: Edge, *, anew: bool) -> None:
    """Begin anew when the record changed, or what it is matched by; try again what may be possible now."""
    match edge.state:
        case "alone" | "waiting" | "matching" if anew or moved(turn, end):
            _look(turn, end)
        case "waiting":
            _create(turn, end)
        case "refused" if anew or turn.row.remote != turn.before:
            _look(turn, end)
        case _:
            pass


def _look(turn: Turn, end: End) -> None:
    """Look for a counterpart, from the first match value on."""
    release(turn, end)
    if keys_of(end, turn.row.remote):
        turn.move(end, "matching")
        _claim(turn, end, 0)
    else:
        _nobody(turn, end)


def _nobody(turn: Turn, end: End) -> None:
    """Nobody else has the record's match values: create, or wait to be found."""
    if end.creates:
        turn.move(end, "waiting", reason=GATE)
        turn.again(end)
        _create(turn, end)
    else:
        turn.move(end, "alone")


def _create(turn: Turn, end: End) -> None:
    """Create, or come back when the gate is open: its opening wakes no row."""
    if turn.view.open(turn.type, end.peer_type):
        creating.create(turn, end)
    elif not turn.row.edges[end.edge].due:
        turn.again(end)


def _claim(turn: Turn, end: End, position: int) -> None:
    """Claim one match value at its index (C3)."""
    key = keys_of(end, turn.row.remote)[position]
    number = turn.number()
    turn.change(end, key=key, position=position, number=number)
    turn.mail(key, ClaimKey(edge=end.edge, sender=turn.key, number=number, create=end.creates))
    turn.again(end)


def answered(turn: Turn, message: Roster) -> None:
    """What a roster says to a record that may be ours: come back with this ticket, or you are a stranger (C7)."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or edge is None or edge.state != "asking":
        return
    if message.kind == "wait":
        turn.change(end, number=edge.number or message.number)
    elif message.kind == "clear":
        turn.move(end, "alone")
        if not _hesitates(turn):
            conditions.settle(turn)
            for each in turn.ends.values():
                known = turn.row.edges.get(each.edge)
                if known is not None and known.state == "alone" and not known.idle:
                    _look(turn, each)


def _awaited(turn: Turn, message: Found | Free) -> tuple[End, Edge] | None:
    """The end that waits for this very answer of an index."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or edge is None or edge.state != "matching" or edge.number != message.number:
        return None
    return end, edge


def found(turn: Turn, message: Found) -> None:
    """Somebody carries the value: propose, if there is no doubt who (C4).

    Whoever is linked already is no counterpart: the next value may find one that is free. But nothing is created.
    """
    awaited = _awaited(turn, message)
    if awaited is None:
        return
    end, edge = awaited
    if message.taken and edge.position + 1 < len(keys_of(end, turn.row.remote)) and not message.many:
        turn.change(end, reason=TAKEN)
        _claim(turn, end, edge.position + 1)
    elif message.taken:
        give_up(turn, end, TAKEN)
    elif message.many:
        give_up(turn, end, MANY)
    elif len(message.candidates) != 1:
        some = ", ".join(message.candidates[:5])
        give_up(turn, end, f"{len(message.candidates)} records match it, and nothing says which: {some}")
    elif end.side == "a":
        _propose(turn, end, message.candidates[0])
    else:
        turn.mail(message.candidates[0], Nudge(edge=end.peer_edge, sender=turn.key))
    if message.many:
        turn.change(end, tries=edge.tries)
        turn.again(end)


def free(turn: Turn, message: Free) -> None:
    """Nobody carries the value: try the next one; after the last, create (C3, C5).

    A lock that comes too late is given back at once, or all others with the value would wait for ever.
    """
    awaited = _awaited(turn, message)
    if awaited is None:
        edge = turn.row.edges.get(message.edge)
        if edge is not None and (edge.state, edge.key, edge.number) == ("waiting", message.key, message.number):
            turn.row.edges[message.edge] = replace(edge, locks=(*edge.locks, message.key))
        elif edge is None or message.key not in edge.locks:
            turn.mail(message.key, Release(sender=turn.key, number=message.number))
        return
    end, edge = awaited
    if end.creates:
        turn.change(end, locks=(*edge.locks, message.key))
    keys = keys_of(end, turn.row.remote)
    if edge.position + 1 < len(keys):
        _claim(turn, end, edge.position + 1)
    elif edge.reason == TAKEN:
        give_up(turn, end, TAKEN)
    else:
        _nobody(turn, end)


def _propose(turn: Turn, end: End, peer: str) -> None:
    keys = keys_of(end, turn.row.remote)
    edge = turn.row.edges.get(end.edge)
    key = edge.key if edge is not None and edge.key in keys else (*keys, "")[0]
    turn.move(end, "proposed", peer=peer, number=turn.number())
    turn.change(end, key=key)
    _say_proposal(turn, end)


def _say_proposal(turn: Turn, end: End) -> None:
    edge = turn.row.edges[end.edge]
    turn.mail(edge.peer, Propose(edge=end.peer_edge, sender=turn.key, number=edge.number, key=edge.key))
    turn.again(end)


def nudged(turn: Turn, message: Nudge) -> None:
    """The other side asks for a proposal, or lost our link (C2, D4)."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or end.side != "a" or not turn.row.remote or removing(turn):
        return
    if turn.row.gone_at:
        _gone_too(turn, end, edge, message.sender)
    elif edge is None or (edge.state in LOOKING and not edge.idle):
        _propose(turn, end, message.sender)
    elif edge.state == "linked" and edge.peer == message.sender:
        key = (*keys_of(end, turn.row.remote), "")[0]
        turn.change(end, owed=tuple(turn.leading(end)))
        turn.mail(message.sender, Propose(edge=end.peer_edge, sender=turn.key, number=edge.number, key=key))
    elif edge.state == "severed" and edge.peer == message.sender and message.number > edge.number:
        _propose(turn, end, message.sender)


def _gone_too(turn: Turn, end: End, edge: Edge | None, sender: str) -> None:
    """A deleted record is asked for a link: whoever found it by its values heard an old message of it."""
    if turn.row.writing is not None or turn.row.leave is not None:
        return  # not judged yet; who asks will ask again
    withdraw(turn, end, keys_of(end, turn.row.remote))
    if edge is not None and edge.peer == sender:
        turn.mail(edge.peer, Refuse(edge=end.peer_edge, sender=turn.key, number=edge.number, why="gone"))


def offered(turn: Turn, message: Offer) -> None:
    """Take an offer of the counterpart. Somebody else's means that we lost our link: attach again (D4).

    A deleted record lost none: proposing, it would be accepted, take that back and hear the next offer, for ever. While
    it is linked it takes what it is offered, for a tombstone may be judged wrong: what was dropped is not said again.
    One that was not read yet, or asks a roster, could not answer the proposal that it asks for, and would hear the next
    offer as well; it is told again at a resync.
    """
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or not turn.row.remote:
        return
    if edge is not None and edge.state == "linked":
        if edge.peer == message.sender:
            take(turn, end, message.fields)
    elif turn.row.gone_at:
        return
    elif edge is None or (edge.state in LOOKING and not edge.idle):
        if end.side == "b":
            turn.mail(message.sender, Nudge(edge=end.peer_edge, sender=turn.key))
        else:
            _propose(turn, end, message.sender)
    elif edge.state == "proposed" and edge.peer == message.sender:
        turn.change(end, reason=EARLY)


def proposed(turn: Turn, message: Propose) -> None:
    """Accept or refuse at once; a record that waits for something itself lets the other ask again (C2, C4)."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or not turn.row.remote or _hesitates(turn) or removing(turn):
        return
    state = edge.state if edge is not None else "alone"
    if state in ("creating", "unknown"):
        return
    ours = edge is not None and state == "linked" and edge.peer == message.sender
    why = None if ours else _objection(turn, end, message, edge)
    if why is not None:
        if why == "gone":
            withdraw(turn, end, keys_of(end, turn.row.remote))
        _refuse(turn, end, message, why)
        return
    if edge is not None and ours:
        if message.anew or message.number > edge.number:  # it may have dropped what we had offered
            turn.change(end, number=max(message.number, edge.number), owed=tuple(turn.leading(end)))
    else:
        bond(turn, end, message.sender, message.number)
    turn.mail(message.sender, Accept(edge=end.peer_edge, sender=turn.key, number=message.number))


def _objection(turn: Turn, end: End, message: Propose, edge: Edge | None) -> Why | None:
    if turn.row.gone_at:
        return "gone"
    if edge is not None and edge.state == "severed" and edge.peer == message.sender and message.number > edge.number:
        return None
    if edge is not None and edge.state in ("linked", "severed"):
        return "taken"
    if edge is not None and edge.state == "copy":
        return "copy"
    if message.key and message.key not in keys_of(end, turn.row.remote):
        return "mismatch"
    return None


def _refuse(turn: Turn, end: End, message: Propose | Accept, why: Why) -> None:
    turn.mail(message.sender, Refuse(edge=end.peer_edge, sender=turn.key, number=message.number, why=why))


def bond(turn: Turn, end: End, peer: str, number: int) -> None:
    """Link two records that both existed: their values meet, the newer ones win (B2)."""
    creating.birth(turn)
    release(turn, end)
    if turn.row.deletion is not None and turn.row.deletion.edge == end.edge:
        turn.row.deletion = None
    turn.move(end, "linked", peer=peer, number=number)
    turn.change(end, owed=tuple(turn.leading(end)))
    turn.bonded.append(end)


def accepted(turn: Turn, message: Accept) -> None:
    """The other side is ours; an Accept that nobody waits for is taken back, just that one (C2).

    One that was set aside comes after the first offers, which were dropped. They are asked for again: a label that only
    the other side had never came.
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
    else:
        _refuse(turn, end, message, "given up")


def declined(turn: Turn, message: Refuse) -> None:
    """The other side is not ours, or not any more; of a link, just the one with this number is undone (C2).

    A claim is answered with "copy" and nothing else: any other refusal is of a link of former times, and late.
    """
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or edge is None or edge.peer != message.sender:
        return
    if edge.state == "claiming" and message.why == "copy":
        turn.move(end, "copy", reason=COPY)
        turn.report(f"{end.flow}: {COPY}")
    elif edge.number == message.number and edge.state in ("linked", "proposed"):
        if message.why in ("taken", "copy") and edge.state == "linked" and end.roster in edge.locks:
            creating.doubt(turn, end, f"{edge.peer} holds all that was asked for, and is linked to another record")
        elif message.why in ("taken", "copy"):
            give_up(turn, end, TAKEN)
        else:
            _try_again(turn, end, edge)
        if edge.state == "linked":
            enlist(turn, end, keys_of(end, turn.row.remote))
            references.tell(turn, end.edge, None)
    elif edge.number == message.number and edge.state == "severed" and edge.due and message.why == "gone":
        _look(turn, end)  # it came back, and its counterpart of then is gone


def reunite(turn: Turn) -> None:
    """A deleted record came back: ask for the links that it had (D2)."""
    for end in turn.ends.values():
        edge = turn.row.edges.get(end.edge)
        if edge is not None and edge.state == "severed" and edge.reason == LEFT:
            _ask_back(turn, end, edge)


def _ask_back(turn: Turn, end: End, edge: Edge) -> None:
    """Ask the counterpart of then to link again, until it answers."""
    if end.side == "a":
        _propose(turn, end, edge.peer)
    else:
        turn.mail(edge.peer, Nudge(edge=end.peer_edge, sender=turn.key, number=turn.number()))
        turn.again(end)


def _try_again(turn: Turn, end: End, edge: Edge) -> None:
    """Ask the indexes once more, but not at once: they may not know yet what the other side knows.

    All of them: the locks of those that had said "nobody" are given back, and somebody may be there by then.
    """
    release(turn, end)
    turn.move(end, "matching")
    turn.change(end, key=(*keys_of(end, turn.row.remote), "")[0], tries=edge.tries)
    turn.again(end)


def wake(turn: Turn) -> None:
    """Say again what was not answered, and try again what waited."""
    for name, edge in list(turn.row.edges.items()):
        end = turn.ends.get(name)
        if end is None or not edge.due or edge.due > turn.now:
            continue
        match edge.state:
            case "claiming":
                _claim_origin(turn, end)
            case "asking":
                rosters.ask(turn, end)
            case "matching":
                _repeat(turn, end, edge)
            case "proposed":
                _say_proposal(turn, end)
            case "creating":
                creating.send(turn, end, turn.change(end, due=0))
            case "severed":
                _ask_back(turn, end, edge)
            case "refused":
                enlist(turn, end, keys_of(end, turn.row.remote))
                _look(turn, end)
                turn.change(end, tries=edge.tries)
            case _:
                turn.again(end)
                turn.change(end, key="")


def _repeat(turn: Turn, end: End, edge: Edge) -> None:
    keys = keys_of(end, turn.row.remote)
    if edge.key in keys:
        _claim(turn, end, keys.index(edge.key))
    else:
        _look(turn, end)


def resync(turn: Turn) -> None:
    """Forget what others know: offer all, register anew, judge refusals again (B6)."""
    gone = bool(turn.row.gone_at)
    if not gone:
        turn.row.plan = 0
        turn.row.twins = {}
    for name, edge in list(turn.row.edges.items()):
        end = turn.ends.get(name)
        if end is None:
            continue
        rosters.repair(turn, end)
        if edge.state == "linked" and edge.locks:  # the Accept that would have given them back is lost
            creating.claimed(turn, end, edge, edge.peer)
        if edge.state == "linked":
            turn.change(end, owed=tuple(turn.leading(end)))
        elif edge.state == "creating":
            creating.send(turn, end, edge)


def due(turn: Turn) -> Time:
    """When the first end wants to be woken; zero for never."""
    first = 0
    for name, edge in turn.row.edges.items():
        if edge.due and (not first or edge.due < first) and name in turn.ends:
            first = edge.due
    return first
