"""Creating: a counterpart comes to be, once.

The intent stands in the origin's row before the command is sent, and the new record carries our marker, which names
the origin. Whatever happens in between, the record is found by it. A second one never comes of it:

- nobody else creates for the same match values: their locks are given back when the new record is registered (C3);
- a create goes out again only under its old number, and the sink looks before it sends one that may have been begun
  (``stream/push.py``, A7);
- the new record does nothing of its own before it has heard from its origin (C6) or from the roster (C7);
- what nobody can tell, a person decides (C11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from stream.core import birth, rosters
from stream.core.conditions import LEFT_ALONE, holds
from stream.core.deleting import NEVER, OVER, PARTED, removing
from stream.core.fields import SET
from stream.core.flows import End, Lead, marker
from stream.core.matching import give_up, release
from stream.core.offers import said, stated, take
from stream.core.references import unconnected
from stream.core.row import Edge
from stream.core.turn import Turn
from stream.core.writing import backoff
from stream.model import Accept, Attach, Claim, Command, Decide, Receipt, Refuse, Seen, Stated

TOLD = 10
"""Attempts at a create after which a person is told, once; with growing pauses that is a quarter of an hour."""


FLOW_PAUSED = "the flow is paused"


def create(turn: Turn, end: End) -> None:
    """Ask for a counterpart, or wait for what it cannot be created without (C5, F7).

    A deleted record wants none, nor does one that left its flow while a create of it was refused (E1).
    """
    if turn.row.gone_at or (end.when is not None and not holds(turn, end.when, end.edge)):
        release(turn, end)
        del turn.row.edges[end.edge]
        return
    birth.by_match(turn)
    edge = turn.row.edges.get(end.edge)
    left_out = edge.left_out if edge is not None else ()
    want, owed = _wanted(turn, end, left_out)
    missing = [lead.field for field in owed for lead in end.leads_of(field) if lead.required and not _any(lead, want)]
    reason = f"{', '.join(missing)}: its counterpart is not known yet" if missing else unconnected(turn, end)
    paused = end.flow in turn.view.paused
    if reason or paused:
        if edge is None or edge.state != "waiting":
            turn.move(end, "waiting")
        if (missing or paused) and not turn.row.edges[end.edge].due:
            turn.again(end)
        due = turn.row.edges[end.edge].due if missing or paused else 0
        turn.change(end, reason=reason or FLOW_PAUSED, key="", due=due, left_out=left_out)
        rosters.leave(turn, end)
        return
    if not rosters.held(turn, end):
        rosters.enter(turn, end)
        return
    want = {field: each for field, each in want.items() if each.value is not None and field not in left_out}
    turn.move(end, "creating", number=turn.number())
    send(turn, end, turn.change(end, want=want, owed=owed, left_out=left_out))


def _wanted(turn: Turn, end: End, left_out: tuple[str, ...]) -> tuple[dict[str, Stated], tuple[str, ...]]:
    """What a create would ask for now, and what waits for a reference."""
    want, owed = stated(turn, end, turn.leading(end))
    return {field: each for field, each in want.items() if each.value is not None and field not in left_out}, owed


def send(turn: Turn, end: End, edge: Edge) -> None:
    """Give the create to the sink, for the first time or again under its old number."""
    turn.out.append(
        Command(
            number=edge.number,
            kind="create",
            type=end.peer_type,
            want={field: each.value for field, each in edge.want.items()},
            marker=marker(end.flow, turn.key),
            edge=end.edge,
            issued_at=edge.number,
            attempt=edge.attempt,
            sure=edge.sure,
        )
    )


def receive(turn: Turn, end: End, edge: Edge, receipt: Receipt) -> None:
    """What became of a create (C8, C9, C11).

    What is found of a create that is forgotten was made with other values than this one asks for. Its counterpart was
    read before its origin, so that its claim came too early (C6): taken for an edit over what is asked for now, its
    old value went back over one that was typed when the log was lost.
    """
    match receipt.outcome:
        case "done" | "found" if receipt.target is not None:
            echo, claimed = receipt.outcome == "done", receipt.forgotten
            attach(turn, end, edge, receipt.target, receipt.after, echo=echo, claimed=claimed)
        case "refused":
            refused = [field for field in receipt.fields if field in edge.want]
            if refused and len(refused) < len(edge.want):
                for field in refused:
                    turn.report(f"left out of the new {end.peer_type}: {receipt.fields[field]}", field)
                turn.change(end, left_out=(*edge.left_out, *refused))
                create(turn, end)
                return
            if _wanted(turn, end, edge.left_out)[0] != edge.want:  # it changed while the create was on its way
                create(turn, end)
                return
            reason = receipt.reason or "; ".join(f"{field}: {why}" for field, why in receipt.fields.items())
            give_up(turn, end, f"not created in {end.peer_type}: {reason}")
        case "superseded":
            create(turn, end)
        case "unknown":
            doubt(turn, end, receipt.reason)
        case _:
            attempt = edge.attempt + 1
            turn.change(end, attempt=attempt, due=turn.now + backoff(attempt, receipt.wait), reason=receipt.reason)
            if attempt == TOLD:
                turn.report(f"{end.flow}: not created in {end.peer_type} after {attempt} attempts: {receipt.reason}")


def doubt(turn: Turn, end: End, reason: str) -> None:
    """Nobody can tell whether the record was created: a person decides (C11).

    Created again, it would be there twice; a record that only resembles it is somebody else's. Meanwhile the name stays
    in the roster, so that what was perhaps created waits for the decision, too, and is not created back.
    """
    turn.change(end, state="unknown", peer="", reason=reason, due=0)
    turn.report(f"{end.edge}: unknown whether a {end.peer_type} was created: {reason}")


def decided(turn: Turn, message: Decide) -> None:
    """A person says what became of a create in doubt (C11): link to that record, or create anew."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or edge is None or edge.state != "unknown":
        turn.report(f"{message.edge}: nothing is in doubt there")
    elif message.peer:
        attach(turn, end, edge, message.peer, None, echo=False)
    else:
        turn.change(end, sure=edge.number)
        create(turn, end)


def attach(  # noqa: PLR0913  # all that an Attach tells
    turn: Turn, end: End, edge: Edge, peer: str, seen: Seen | None, *, echo: bool, claimed: bool = False
) -> None:
    """Link to the record that was created for this one, and tell it what it was created with."""
    want = edge.want
    turn.move(end, "linked", peer=peer, number=edge.number, reason=LEFT_ALONE if edge.idle else "")
    turn.change(end, owed=unasked(turn, end, want), idle=edge.idle, want=want)
    attach = Attach(edge=end.peer_edge, sender=turn.key, number=edge.number, want=want, seen=seen, echo=echo)
    turn.mail(peer, replace(attach, claimed=claimed))
    turn.bonded.append(end)


def _any(lead: Lead, want: Mapping[str, Stated]) -> bool:
    """Whether a create has an element of the set that a field leads to: the others may come later (A13)."""
    return SET in lead.peer and any(field.startswith(lead.peer) for field in want)


def unasked(turn: Turn, end: End, want: Mapping[str, Stated]) -> tuple[str, ...]:
    """The fields that say something else now than a create asked for."""
    fields = turn.leading(end)
    return tuple(field for field in fields if not all(_asked(turn, field, lead, want) for lead in end.leads_of(field)))


def _asked(turn: Turn, field: str, lead: Lead, want: Mapping[str, Stated]) -> bool:
    """Whether a create asked for what a field says now."""
    asked = want.get(lead.peer)
    if SET in field:
        known = said(turn, field, lead)
        asked = want.get(known[0][0]) if known else None
    return asked is not None and asked.version >= turn.cells[field].version


def claimed(turn: Turn, message: Claim) -> None:
    """A record says that we created it."""
    end = turn.ends.get(message.edge)
    if end is not None and f"{end.edge}|{message.sender}" in turn.row.never:  # a person said so (F5)
        turn.mail(message.sender, Refuse(edge=end.peer_edge, sender=turn.key, number=0, why="copy"))
    elif end is not None:
        recognise(turn, end, message.sender)


def recognise(turn: Turn, end: End, sender: str) -> None:
    """Tell a record that we created what it was created with (C6, C10).

    While the create is in flight nothing is answered: the receipt has the echo. What was asked for is kept until the
    new record has accepted: told by then what had been typed since, it took what it was created with for an edit of its
    own. A record that claims us while we are linked elsewhere is a copy that a person made, marker and all. An origin
    that left its flow says who they are, and no values (E1). So does one that was not there when all of its type was
    read: the record would wait for it for ever. It hears next that it is kept.

    If their link is over, the record hears that: its row was set back, and while it claims it does nothing in other
    flows either, nor does it answer one that came back and asks it to link anew (D2).
    """
    edge = turn.edge(end)
    if edge is not None and edge.state == "creating":
        return
    if edge is not None and edge.state in ("linked", "severed") and edge.peer != sender:
        turn.mail(sender, Refuse(edge=end.peer_edge, sender=turn.key, number=edge.number, why="copy"))
        return
    if edge is not None and edge.state == "severed":
        over(turn, end, edge)
        return
    if not turn.row.remote:
        if not turn.view.open(turn.type):
            return
        turn.row.gone_at = turn.row.gone_at or NEVER
    claimed = edge is None or not (edge.state == "unknown" or edge.want)
    if edge is None or claimed:
        birth.by_match(turn)
        idle = edge is not None and edge.idle
        want, _ = stated(turn, end, [] if idle else turn.leading(end))
        number = edge.number if edge is not None and edge.state == "linked" else turn.number()
        turn.move(end, "creating", number=number)
        edge = turn.change(end, want=want, idle=idle)
    attach(turn, end, edge, sender, None, echo=False, claimed=claimed)


def over(turn: Turn, end: End, edge: Edge) -> None:
    """Say to the counterpart of then that the link of the two is over (D4).

    If a deletion is the reason, and this record is there, so is the other: it is told to ask for the link anew (D2).
    """
    why: Literal["over", "left"] = "over" if turn.row.gone_at or edge.reason in (PARTED, OVER) else "left"
    turn.mail(edge.peer, Refuse(edge=end.peer_edge, sender=turn.key, number=edge.number, why=why))


def attached(turn: Turn, message: Attach) -> None:
    """We were created for the sender: link, with the versions of what it asked for.

    An Attach of before, said again, does not make the link older: the Detach that once followed would end it. Nor does
    one of a link that is over bring it back: the record returned, and what was wanted of it once was written again.
    """
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or (edge is not None and message.number <= edge.ended and edge.state != "claiming"):
        return
    if edge is not None and edge.state in ("linked", "severed") and edge.peer != message.sender:
        turn.mail(message.sender, Refuse(edge=end.peer_edge, sender=turn.key, number=message.number, why="taken"))
        return
    if edge is not None and edge.state == "severed" and message.number <= edge.number:
        return
    if edge is not None and edge.state == "linked" and message.number < edge.number:
        return
    if removing(turn) and (edge is None or edge.state != "linked"):
        turn.mail(message.sender, Refuse(edge=end.peer_edge, sender=turn.key, number=message.number, why="gone"))
        return
    stood = bool(turn.cells)
    if not stood:
        birth.by_create(turn, message)
    owed = edge.owed if edge is not None and edge.state == "linked" else turn.leading(end)
    turn.move(end, "linked", peer=message.sender, number=message.number)
    turn.change(end, owed=tuple(field for field in owed if field not in message.want))
    if stood or message.claimed:
        take(turn, end, message.want)
    turn.mail(message.sender, Accept(edge=end.peer_edge, sender=turn.key, number=message.number))
    turn.bonded.append(end)
