"""Offers: how a value travels from record to record, with the version it was born with.

After every turn, each linked peer is offered what has moved and did not come from it. What cannot be offered yet
(a reference without a twin, a flow that is paused) stays owed. Versions decide on arrival; values are never compared.
"""

from __future__ import annotations

from msgspec.structs import replace

from stream.core.conditions import holds, shut
from stream.core.fields import PART, SET, element, element_field, group, parts, whole
from stream.core.flows import End, Lead
from stream.core.references import translate
from stream.core.row import Cell, Edge
from stream.core.turn import Turn
from stream.core.versions import NULL, lost_unseen
from stream.model import Conflict, Offer, Stated, Value


def send(turn: Turn) -> None:
    """Offer what is new to each linked peer (B3)."""
    for name, edge in turn.row.edges.items():
        if edge.state == "linked" and (turn.touched or edge.owed) and not edge.idle:
            end = turn.ends.get(name)
            if end is not None:
                _send(turn, end, edge)
    if turn.touched:
        _forget_bases(turn)


def _send(turn: Turn, end: End, edge: Edge) -> None:
    moved = [field for field, source in turn.touched.items() if source != end.edge]
    wanted = [field for field in dict.fromkeys((*edge.owed, *moved)) if end.leads_of(field)]
    if wanted and turn.rests(end):
        turn.change(end, owed=tuple(wanted))
        return
    ready, owed = stated(turn, end, wanted)
    if ready:
        turn.mail(edge.peer, Offer(edge=end.peer_edge, sender=turn.key, fields=ready))
    if owed != edge.owed:
        turn.change(end, owed=owed)


def stated(turn: Turn, end: End, fields: list[str]) -> tuple[dict[str, Stated], tuple[str, ...]]:
    """Own fields in the peer's words, by the peer's fields; and those that wait for a reference."""
    ready: dict[str, Stated] = {}
    owed = []
    for field in fields:
        cell = turn.cells.get(field)
        if cell is None or cell.version == NULL:
            continue
        for lead in end.leads_of(field):
            if lead.when is not None and not holds(turn, lead.when, f"{lead.field} -> {lead.peer}"):
                continue
            known = said(turn, field, lead)
            if known is None:
                owed.append(field)
            elif known:
                [(peer, value)] = known
                ready[peer] = Stated(value, cell.version, cell.base, cell.author or turn.key)
    return ready, tuple(owed)


def said(turn: Turn, field: str, lead: Lead) -> tuple[tuple[str, Value], ...] | None:
    """One field as the peer would say it: which of its fields, and the value.

    Nothing if it has no words for it, ``None`` if it must wait. Of an element it is the element that is put into the
    peer's words (A13): one without a twin waits, and the others go on.
    """
    value = turn.value(field)
    one = SET in field
    try:
        about = element(field) if one else value
        if lead.convert is not None:
            about = lead.convert(about)
        if lead.reference is not None and about not in (None, ""):
            found = translate(turn, lead.reference, about, ended=one and value is None)
            if found is None:
                return None
            about = found[0]
        return ((element_field(lead.peer, about), value) if one else (lead.peer, about),)
    except ValueError as error:
        turn.report(f"not offered as {lead.peer}: {error}", field)
        return ()


def _forget_bases(turn: Turn) -> None:
    """Drop what a version was typed over once everybody was told."""
    owed = {field for edge in turn.row.edges.values() for field in edge.owed}
    for field in turn.touched:
        cell = turn.cells[field]
        if cell.base is not None and field not in owed:
            turn.cells[field] = replace(cell, base=None)


def take(turn: Turn, end: End, fields: dict[str, Stated]) -> None:
    """Keep what is newer; answer what is older with what we have (read repair).

    What a condition shuts out is not kept: the peer will say it again when it is asked (E1, E2).
    """
    if turn.row.edges[end.edge].idle:
        return
    older, closed = [], shut(turn, end) if end.guards else frozenset()
    for field, stated_ in fields.items():
        if not end.may_set(field) or whole(field) in closed:
            continue
        cell = turn.cells.get(field)
        if cell is None or stated_.version > cell.version:
            accept(turn, field, stated_ if cell is None else _fuller(turn, end, field, stated_), end.edge)
        elif stated_.version < cell.version and end.leads_of(field):
            older.append(field)
    if older:
        edge = turn.row.edges[end.edge]
        turn.change(end, owed=tuple(dict.fromkeys((*edge.owed, *older))))


def _fuller(turn: Turn, end: End, field: str, new: Stated) -> Stated:
    """A value that says what ours says, only less, is news of its version and not of the value (B7).

    One side holds a date and the other a date-time: linked for the first time, and the date read later, midnight was
    written over half past two. What both say alike in the peer's words stays as it is here; of a group, each part.
    """
    convert, own = end.takes.get(field), turn.value(field)
    if convert is None or own == new.value:
        return new
    try:
        ours, theirs = convert(own), convert(new.value)
    except ValueError:
        return new
    if ours == theirs:
        return replace(new, value=own)
    if PART not in field:
        return new
    each = zip(*(parts(field, value) for value in (own, new.value, ours, theirs)), strict=True)
    return replace(new, value=group([mine if one == other else new_ for mine, new_, one, other in each]))


def accept(turn: Turn, field: str, new: Stated, source: str) -> None:
    """A newer value becomes the right one; an own edit that it displaces unseen is a conflict (B5)."""
    cell = turn.cells.get(field)
    remote = turn.row.remote.setdefault(field, None)
    author = "" if new.author == turn.key else new.author
    if cell is None:
        carried = NULL
    else:
        carried = cell.carried or cell.version
        if not cell.author:
            lost = Stated(turn.value(field), cell.version, cell.base, turn.key)
            if lost_unseen(lost, new):
                turn.out.append(Conflict(ref=turn.key, field=field, lost=lost, won=new, at=turn.now))
    newer = () if new.value == remote else (new.value,)
    rejected = cell.rejected if cell else None
    turn.cells[field] = Cell(new.version, author, newer, carried, rejected, new.base)
    turn.clear(field)
    turn.touched[field] = source
