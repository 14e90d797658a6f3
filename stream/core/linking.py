"""Linking: from "no counterpart" to "linked", one end of a flow at a time.

Side a proposes, side b decides at once: one-to-one is decided in one row (C2, C4). A record that carries our marker
does nothing before it has heard from its origin (C6). What waits is tried again when the record changes, when it is
woken, and when what it waits for arrives.
"""

from __future__ import annotations

from stream.core import creating, references
from stream.core.flows import End, parse_marker
from stream.core.matching import enlist, keys_of, register, release
from stream.core.row import Edge
from stream.core.turn import Turn
from stream.core.writing import SECOND
from stream.model import Accept, Claim, ClaimKey, Found, Free, Nudge, Propose, Refuse, Seen

AGAIN = 30 * SECOND
"""First repetition of what was said and not answered; each further one waits twice as long, up to an hour."""

REFUSALS = {
    "taken": "its only counterpart is linked to another record",
    "copy": "a copy of a record that we created; copies are not linked",
}


def again(turn: Turn, end: End) -> None:
    """Say it again later, should no answer come."""
    edge = turn.row.edges[end.edge]
    turn.change(end, due=turn.now + min(3600 * SECOND, AGAIN << min(edge.tries, 7)), tries=edge.tries + 1)


def marked(turn: Turn, seen: Seen) -> None:
    """A record that carries our marker claims its origin, once per life (C6)."""
    known = parse_marker(seen.marker or "")
    if known is None or turn.row.cells:
        return
    flow, origin = known
    for side in ("b", "a"):
        end = turn.ends.get(f"{flow}/{side}")
        edge = turn.row.edges.get(end.edge) if end is not None else None
        if end is not None and end.created and origin.startswith(f"{end.peer_type}:"):
            if edge is None or (edge.state == "waiting" and not edge.peer):
                turn.move(end, "claiming", peer=origin)
                _claim_origin(turn, end)
            return


def _claim_origin(turn: Turn, end: End) -> None:
    edge = turn.row.edges[end.edge]
    turn.mail(edge.peer, Claim(edge=end.peer_edge, sender=turn.key))
    again(turn, end)


def settle(turn: Turn) -> None:
    """Bring every end as far as it can go now."""
    row = turn.row
    if not row.remote or any(edge.state == "claiming" for edge in row.edges.values()):
        return
    register(turn)
    for end in turn.bonded:
        enlist(turn, end, keys_of(end, row.remote))
        references.linked(turn, end.edge, row.edges[end.edge].peer)
    if row.gone_at:
        return
    changed = row.remote != turn.before
    for end in turn.ends.values():
        edge = row.edges.get(end.edge)
        if edge is None or (changed and edge.state == "refused" and not edge.number):
            _start(turn, end)
        elif edge.state == "waiting" and (changed or edge.reason):
            _go_on(turn, end)
        elif edge.state == "matching" and changed and edge.key not in keys_of(end, row.remote):
            _start(turn, end)


def _start(turn: Turn, end: End) -> None:
    """Look for a counterpart from the first match value on."""
    release(turn, end)
    if keys_of(end, turn.row.remote):
        turn.move(end, "matching")
        claim(turn, end, 0)
    elif end.creates:
        turn.move(end, "waiting", reason=_GATE)
        again(turn, end)
        _go_on(turn, end)


_GATE = "both types are being read for the first time"


def _go_on(turn: Turn, end: End) -> None:
    """Try again what waited for something."""
    edge = turn.row.edges[end.edge]
    if edge.reason == "" or not end.creates:
        if keys_of(end, turn.row.remote):
            _start(turn, end)
    elif turn.view.open(turn.type, end.peer_type):
        creating.create(turn, end)


def claim(turn: Turn, end: End, position: int) -> None:
    """Claim one match value at its index (C3)."""
    key = keys_of(end, turn.row.remote)[position]
    number = turn.number()
    tries = turn.row.edges[end.edge].tries
    turn.change(end, state="matching", key=key, position=position, number=number, tries=tries)
    turn.mail(key, ClaimKey(edge=end.edge, sender=turn.key, number=number, create=end.creates))
    again(turn, end)


def found(turn: Turn, message: Found) -> None:
    """Somebody carries the value: propose, if there is no doubt who (C4)."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or edge is None or edge.state != "matching" or edge.number != message.number:
        return
    if len(message.candidates) != 1:
        many = f"{len(message.candidates)} records match it, and nothing says which: " + ", ".join(
            message.candidates[:5]
        )
        refused(turn, end, REFUSALS["taken"] if message.taken else many)
    elif end.side == "a":
        _propose(turn, end, message.candidates[0])
    else:
        turn.mail(message.candidates[0], Nudge(edge=end.peer_edge, sender=turn.key))


def free(turn: Turn, message: Free) -> None:
    """Nobody carries the value: try the next one; after the last, create (C3, C5)."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or edge is None or edge.state != "matching" or edge.number != message.number:
        return
    if end.creates:
        turn.change(end, locks=(*edge.locks, message.key))
    keys = keys_of(end, turn.row.remote)
    if edge.position + 1 < len(keys):
        claim(turn, end, edge.position + 1)
    elif end.creates:
        creating.create(turn, end)
    else:
        turn.move(end, "waiting")


def _propose(turn: Turn, end: End, peer: str) -> None:
    keys = keys_of(end, turn.row.remote)
    edge = turn.row.edges.get(end.edge)
    key = edge.key if edge is not None and edge.key in keys else keys[0] if keys else ""
    turn.move(end, "proposed", peer=peer, number=turn.number())
    turn.change(end, key=key)
    _say_proposal(turn, end)


def _say_proposal(turn: Turn, end: End) -> None:
    edge = turn.row.edges[end.edge]
    turn.mail(edge.peer, Propose(edge=end.peer_edge, sender=turn.key, number=edge.number, key=edge.key))
    again(turn, end)


def refused(turn: Turn, end: End, reason: str) -> None:
    """No link for now; judged again when the record changes (C4)."""
    release(turn, end)
    turn.move(end, "refused", reason=reason)
    turn.report(f"{end.flow}: {reason}")


def nudged(turn: Turn, message: Nudge) -> None:
    """The other side asks for a proposal, or lost our link (C2, D4)."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or end.side != "a" or not turn.row.remote:
        return
    if edge is not None and edge.state == "linked":
        if edge.peer == message.sender:
            key = (*keys_of(end, turn.row.remote), "")[0]
            turn.change(end, owed=tuple(end.leads))
            turn.mail(message.sender, Propose(edge=end.peer_edge, sender=turn.key, number=edge.number, key=key))
    elif edge is None or edge.state in ("waiting", "matching", "refused"):
        _propose(turn, end, message.sender)


def proposed(turn: Turn, message: Propose) -> None:
    """Accept or refuse at once; a record that waits for something itself lets the other ask again (C2, C4)."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or not turn.row.remote or any(each.state == "claiming" for each in turn.row.edges.values()):
        return
    linked = edge is not None and edge.state == "linked"
    if edge is not None and edge.state == "creating":
        return
    if linked and edge is not None and edge.peer != message.sender:
        _refuse(turn, end, message, "taken")
    elif turn.row.gone_at:
        _refuse(turn, end, message, "gone")
    elif not linked and message.key and message.key not in keys_of(end, turn.row.remote):
        _refuse(turn, end, message, "mismatch")
    else:
        if not linked:
            bond(turn, end, message.sender, message.number)
        else:
            turn.change(end, number=message.number)
        turn.mail(message.sender, Accept(edge=end.peer_edge, sender=turn.key, number=message.number))


def _refuse(turn: Turn, end: End, message: Propose | Accept, why: str) -> None:
    turn.mail(message.sender, Refuse(edge=end.peer_edge, sender=turn.key, number=message.number, why=why))  # type: ignore[arg-type]  # one of the five words


def bond(turn: Turn, end: End, peer: str, number: int) -> None:
    """Link two records that both existed: their values meet, the newer ones win (B2)."""
    creating.birth(turn)
    release(turn, end)
    turn.move(end, "linked", peer=peer, number=number)
    turn.change(end, owed=tuple(field for field in end.leads if field in turn.row.cells))
    turn.bonded.append(end)


def accepted(turn: Turn, message: Accept) -> None:
    """The other side is ours; an Accept that nobody waits for is taken back, just that one (C2)."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None:
        return
    if edge is not None and edge.peer == message.sender and edge.state == "proposed" and edge.number == message.number:
        bond(turn, end, message.sender, message.number)
    elif edge is not None and edge.peer == message.sender and edge.state == "linked":
        release(turn, end)
    else:
        _refuse(turn, end, message, "given up")


def declined(turn: Turn, message: Refuse) -> None:
    """The other side is not ours, or not any more."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or edge is None or edge.peer != message.sender:
        return
    if edge.state == "claiming" or (edge.state == "linked" and message.why == "copy"):
        turn.move(end, "refused", number=1, reason=REFUSALS["copy"])
        turn.report(f"{end.flow}: {REFUSALS['copy']}")
    elif edge.state == "linked" and message.why == "given up" and edge.number == message.number:
        del turn.row.edges[end.edge]
        enlist(turn, end, keys_of(end, turn.row.remote))
    elif edge.state == "proposed" and edge.number == message.number:
        if message.why == "taken":
            refused(turn, end, REFUSALS["taken"])
        else:
            release(turn, end)
            turn.move(end, "waiting", reason="")
            again(turn, end)


def wake(turn: Turn) -> None:
    """Say again what was not answered, and try again what waited."""
    for name, edge in list(turn.row.edges.items()):
        end = turn.ends.get(name)
        if end is None:
            continue
        match edge.state:
            case "claiming" if edge.due <= turn.now:
                _claim_origin(turn, end)
            case "matching" if edge.due <= turn.now:
                keys = keys_of(end, turn.row.remote)
                if edge.key in keys:
                    claim(turn, end, keys.index(edge.key))
            case "proposed" if edge.due <= turn.now:
                _say_proposal(turn, end)
            case "creating" if edge.due and edge.due <= turn.now:
                creating.send(turn, end, turn.change(end, due=0))
            case "waiting":
                _go_on(turn, end)
                if turn.row.edges[name].state == "waiting" and 0 < turn.row.edges[name].due <= turn.now:
                    again(turn, end)
            case _:
                pass


def resync(turn: Turn) -> None:
    """Forget what others know: offer all, register anew, judge refusals again (B6)."""
    turn.row.plan = 0
    turn.row.twins = {}
    for name, edge in list(turn.row.edges.items()):
        end = turn.ends.get(name)
        if end is None:
            continue
        if edge.state == "linked":
            turn.change(end, owed=tuple(field for field in end.leads if field in turn.row.cells))
        elif edge.state == "refused" and not edge.number:
            del turn.row.edges[name]


def next_due(edge: Edge) -> int:
    """When an end wants to be woken; zero for never."""
    return edge.due if edge.state in ("claiming", "matching", "proposed", "creating", "waiting") else 0
