"""References: an id in a field means another record, so the other side must hear that record's twin.

The row asks the referenced row who its counterpart is. What is unknown waits: an optional field stays owed, a
required one holds the create. Whoever was asked answers once it knows, remembers who asked, and tells them when its
counterpart changes or is lost. Without that, a new task of a project whose twin was deleted, and is linked to another
one by now, was created below the deleted one. The answer with the higher number wins, whenever it arrives. References
that stand already are not rewritten: nobody edited them.
"""

from __future__ import annotations

from stream.core.flows import End, Reference
from stream.core.row import Twin
from stream.core.turn import Turn
from stream.model import Answer, Ask, Time, Value, id_of

ASKERS = 64
"""Rows that a row remembers, per edge; further ones are told to ask again later, and hear of no change."""

SOON = 60_000_000
"""Microseconds until a row asks again that was told to."""

LATE = 3600_000_000
"""Microseconds until a row asks again that will be answered as soon as there is an answer."""


def translate(turn: Turn, reference: Reference, value: Value, *, ended: bool = False) -> tuple[Value] | None:
    """The twin's id for an id; ``None`` while it is not known, and the question is on its way (D1).

    A reference that ``ended`` is said of a twin that was lost, too: the other side may still name it. Raises ValueError
    for a value that is no id.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"found {value!r:.80}; the id of one record would be right")  # noqa: TRY004 - one error for callers
    asked = f"{reference.type}:{value}"
    name = f"{reference.edge}|{asked}"
    twin = turn.row.twins.get(name)
    if twin is None:
        turn.row.twins = {**turn.row.twins, name: Twin()}
        turn.mail(asked, Ask(edge=reference.edge, sender=turn.key))
        return None
    if not twin.ref or (twin.lost and not ended):
        return None
    own = id_of(twin.ref)
    return (int(own) if reference.integer and own.isdecimal() else own,)


MOST = 16
"""Ids of one field that are asked for."""


def unconnected(turn: Turn, end: End) -> str:
    """Why a create has to wait for a link of another record; empty if there is one, or none is needed (D1)."""
    if not end.needs:
        return ""
    asked: dict[str, None] = {}
    for field, reference in end.needs:
        value = turn.row.remote.get(field)
        for each in (value if isinstance(value, list) else [value])[:MOST]:
            if isinstance(each, str | int) and each != "":
                asked[field] = None
                if translate(turn, reference, each) is not None:
                    return ""
    if asked:
        return f"{', '.join(asked)}: what it is connected to is not linked yet"
    return f"{', '.join(field for field, _ in end.needs)}: it is connected to nothing"


def ask(turn: Turn, question: Ask) -> None:
    """Answer at once, or as soon as there is a counterpart."""
    askers = turn.row.askers.get(question.edge, ())
    known = question.sender in askers
    if not known and len(askers) < ASKERS:
        turn.row.askers = {**turn.row.askers, question.edge: (*askers, question.sender)}
        known = True
    edge = turn.row.edges.get(question.edge)
    if edge is not None and edge.state == "linked":
        _answer(turn, question.sender, question.edge, edge.peer)
    elif not known:
        _answer(turn, question.sender, question.edge, None, later=True)


def tell(turn: Turn, edge: str, peer: str | None) -> None:
    """Tell everybody who asked that the counterpart on this edge is another one now, or none."""
    for row in turn.row.askers.get(edge, ()):
        _answer(turn, row, edge, peer)


def _answer(turn: Turn, row: str, edge: str, peer: str | None, *, later: bool = False) -> None:
    turn.mail(row, Answer(edge=edge, sender=turn.key, number=turn.number(), twin=peer, later=later))


def answer(turn: Turn, told: Answer) -> None:
    """Keep who a twin is; a late answer does not undo a newer one (D1).

    Of a twin that was lost nobody asks again, known or not: who told of the loss will tell of the next one. Asked
    again, a deleted record was asked every minute, for ever.
    """
    name = f"{told.edge}|{told.sender}"
    known = turn.row.twins.get(name)
    if known is None or told.number <= known.number:
        return
    turn.row.twins = {
        **turn.row.twins,
        name: Twin(told.twin or known.ref, told.number, not told.twin and not told.later),
    }


def due(turn: Turn) -> Time:
    """When to ask again; zero for never."""
    numbers = [twin.number for twin in turn.row.twins.values() if not (twin.ref or twin.lost)]
    if not numbers:
        return 0
    again = turn.now + (SOON if any(numbers) else LATE)
    return turn.row.alarm if turn.now < turn.row.alarm < again else again


def wake(turn: Turn) -> None:
    """Ask again whatever has no answer yet."""
    for name, twin in turn.row.twins.items():
        if not (twin.ref or twin.lost):
            edge, _, asked = name.partition("|")
            turn.mail(asked, Ask(edge=edge, sender=turn.key))
