"""Seeking: how a record without a counterpart comes to one, one end of a flow at a time.

It claims its match values at their indexes, in configured order (C3). Somebody carries one: there is somebody to
propose to (``proposing``). Nobody carries any: it may create (``creating``), or it stays alone until it is found. A
record that may be one of ours does nothing before it has heard from its origin (C6) or its roster (C7). What waits is
tried again when the record changes, when it is woken (``waking``), and when what it waits for arrives.

    look ── has a match value ──> matching ── somebody ──> proposed ── accepted ──> linked
     │                               └─ nobody, for all values ─┐
     └─ has none ───────────────────────────────────────────────┴─> may create:  waiting ──> creating ──> linked
                                                                    may not:     alone, until somebody finds it
"""

from __future__ import annotations

from msgspec.structs import replace

from stream.core import conditions, creating, references, rosters
from stream.core.flows import End, parse_marker
from stream.core.matching import enlist, give_up, keys_of, moved, register, release
from stream.core.row import SEEKING, Edge
from stream.core.turn import Turn
from stream.model import Claim, ClaimKey, Found, Free, Ref, Release, Roster, Seen

TAKEN = "its only counterpart is linked to another record"
GATE = "both types are being read for the first time"
CLAIMING = "it was created by us and waits to hear from its origin"


def marked(turn: Turn, seen: Seen) -> None:
    """A record that carries our marker claims its origin (C6), as long as it has no counterpart under that flow.

    Not if a person said that the two are never to be linked (F5), nor if the origin said that it is gone: it would be
    waited for, and old words of it be heard, for ever. Also when it had one: an origin whose row was rolled
    back took the link for a mistake, and what it had created was created back. From then on it is registered as taken.
    """
    known = parse_marker(seen.marker or "")
    if known is None:
        return
    flow, origin = known
    for side in ("b", "a"):
        end = turn.ends.get(f"{flow}/{side}")
        if end is not None and end.created and origin.startswith(f"{end.peer_type}:"):
            edge = turn.row.edges.get(end.edge)
            barred = f"{end.edge}|{origin}" in turn.row.never
            if (edge is None or (edge.state in SEEKING and not edge.orphan)) and not barred:
                claims(turn, end, origin)
                enlist(turn, end, keys_of(end, turn.row.remote))
            return


def claims(turn: Turn, end: End, origin: Ref) -> None:
    """Begin to claim an origin: whatever else it looked for, it looks for no more."""
    release(turn, end)
    turn.move(end, "claiming", peer=origin, reason=CLAIMING)
    claim_origin(turn, end)


def claim_origin(turn: Turn, end: End) -> None:
    """Tell the origin that it created this record, until it answers (C6)."""
    edge = turn.row.edges[end.edge]
    turn.mail(edge.peer, Claim(edge=end.peer_edge, sender=turn.key))
    turn.again(end)


def hesitates(turn: Turn) -> str:
    """What a record that may be one of ours waits for before it does anything: its origin (C6), or a roster (C7)."""
    for edge in turn.row.edges.values():
        if edge.state in ("claiming", "asking"):
            return edge.state
    return ""


def settle(turn: Turn) -> None:
    """Bring every end as far as it can go now.

    A record that may be one of ours registers all the same. Who asks a roster would not be found by a twin that is told
    in the meantime that both types were read (C1). Who claims its origin would leave its values to the next origin that
    has them: after the log was lost that one found nobody, and created a second record of one name (C6).
    """
    row = turn.row
    if not row.remote or row.gone_at:
        return
    rosters.begin(turn)
    conditions.settle(turn)
    changed, anew = row.plan, register(turn)
    if hesitates(turn):
        return
    for end in turn.bonded:
        enlist(turn, end, keys_of(end, row.remote))
        references.tell(turn, end.edge, row.edges[end.edge].peer)
    for end in turn.ends.values():
        edge = row.edges.get(end.edge)
        if edge is None:
            look(turn, end)
        elif edge.state == "linked":
            if anew and changed:  # what was only read so far may be mapped now
                turn.change(end, owed=tuple(turn.leading(end)))
        elif not edge.idle:
            _go_on(turn, end, edge, anew=anew)


def _go_on(turn: Turn, end: End, edge: Edge, *, anew: bool) -> None:
    """Begin anew when the record changed, or what it is matched by; try again what may be possible now."""
    match edge.state:
        case "alone" | "waiting" | "matching" if anew or moved(turn, end):
            look(turn, end)
        case "waiting":
            _create(turn, end)
        case "refused" if anew or turn.row.remote != turn.before:
            look(turn, end)
        case _:
            pass


def look(turn: Turn, end: End) -> None:
    """Look for a counterpart, from the first match value on."""
    release(turn, end)
    if keys_of(end, turn.row.remote):
        turn.move(end, "matching")
        claim(turn, end, 0)
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


def claim(turn: Turn, end: End, position: int) -> None:
    """Claim one match value at its index (C3)."""
    key = keys_of(end, turn.row.remote)[position]
    number = turn.number()
    turn.change(end, key=key, position=position, number=number)
    turn.mail(key, ClaimKey(edge=end.edge, sender=turn.key, number=number, create=end.creates))
    turn.again(end)


def free(turn: Turn, message: Free) -> None:
    """Nobody carries the value: try the next one; after the last, create (C3, C5).

    A lock that comes too late is given back at once, or all others with the value would wait for ever.
    """
    awaited = expecting(turn, message)
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
        claim(turn, end, edge.position + 1)
    elif edge.reason == TAKEN:
        give_up(turn, end, TAKEN)
    else:
        _nobody(turn, end)


def expecting(turn: Turn, message: Found | Free) -> tuple[End, Edge] | None:
    """The end that waits for this very answer of an index."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or edge is None or edge.state != "matching" or edge.number != message.number:
        return None
    return end, edge


def answered(turn: Turn, message: Roster) -> None:
    """What a roster says to a record that may be ours: come back with this ticket, or you are a stranger (C7)."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or edge is None or edge.state != "asking":
        return
    if message.kind == "wait":
        turn.change(end, number=edge.number or message.number)
    elif message.kind == "clear":
        turn.move(end, "alone")
        if not hesitates(turn):
            conditions.settle(turn)
            for each in turn.ends.values():
                known = turn.row.edges.get(each.edge)
                if known is not None and known.state == "alone" and not known.idle:
                    look(turn, each)
