"""Orders: what a person says to a row, where rows cannot know better (F).

A word of a person has the time at which it was given. It is taken only if it still speaks of what the person saw: the
link that stood then, the value that had won then. What cannot be done is told, and changes nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from stream.core import references, seeking
from stream.core.deleting import PARTED, ending
from stream.core.fields import SET
from stream.core.flows import End
from stream.core.matching import enlist, keys_of, release
from stream.core.offers import accept
from stream.core.proposing import PERSON, say_proposal
from stream.core.row import Edge
from stream.core.turn import Turn
from stream.core.versions import mint
from stream.model import Correct, Detach, Pair, Part, Ref, Stated

FREE = frozenset({"alone", "waiting", "matching", "proposed", "refused", "severed", "copy"})
"""States of an end that a person may link: it has no counterpart, and none is being created."""


def correct(turn: Turn, order: Correct) -> None:
    """A person says that a value which lost is the right one (F1): an edit of now, over the one that had won.

    Over any other it would be an edit that has not seen what it overwrites.
    """
    cell = turn.cells.get(order.field)
    if cell is None or order.field.endswith(SET):
        turn.report(f"a person's value of {order.field!r:.80} was not taken: the record has no such field")
    elif cell.version != order.over:
        turn.report(f"a person's value of {order.field!r:.80} was not taken: it was edited since")
    else:
        version = mint(order.value, turn.now, cell.version, turn.fact.rank)
        accept(turn, order.field, Stated(order.value, version, cell.version, turn.key), "")


def retry(turn: Turn) -> None:
    """What was refused is tried again, once, because a person removed the cause (F2)."""
    for field, cell in turn.cells.items():
        if cell.rejected is not None:
            turn.cells[field] = replace(cell, rejected=None)
            turn.clear(field)
    for name, edge in list(turn.row.edges.items()):
        if edge.state == "refused" and name in turn.ends and not edge.idle:
            seeking.look(turn, turn.ends[name])


def part(turn: Turn, order: Part) -> None:
    """A person ends a link; both records stay as they are (F3). With ``never`` each may find another one (F5)."""
    end, edge = turn.ends.get(order.edge), turn.row.edges.get(order.edge)
    if end is None or edge is None or (edge.state, edge.peer) != ("linked", order.peer):
        if end is None or not order.never:
            turn.report(f"{order.edge}: found no link to {order.peer} to end")
        else:
            forbid(turn, end, order.peer)
        return
    said = Detach(
        edge=end.peer_edge, sender=turn.key, number=edge.number, alive_at=turn.now, parted=True, never=order.never
    )
    turn.mail(edge.peer, said)
    _parted(turn, end, edge, never=order.never)


def detached(turn: Turn, message: Detach) -> None:
    """A person ended the link at the other record (F3)."""
    found = ending(turn, message)
    if found is not None:
        _parted(turn, *found, never=message.never)


def _parted(turn: Turn, end: End, edge: Edge, *, never: bool) -> None:
    release(turn, end)
    turn.move(end, "severed", peer=edge.peer, number=edge.number, reason=PARTED)
    references.tell(turn, end.edge, None)
    if never:
        forbid(turn, end, edge.peer)
        turn.move(end, "alone")
        enlist(turn, end, keys_of(end, turn.row.remote))
        seeking.look(turn, end)


def forbid(turn: Turn, end: End, peer: Ref) -> None:
    """These two are never linked, whatever they match by, unless a person says so (F5)."""
    turn.row.never = tuple(dict.fromkeys((*turn.row.never, f"{end.edge}|{peer}")))


def pair(turn: Turn, order: Pair) -> None:
    """A person says that two records are one and the same thing (F4); what they match by is not asked.

    A record that is linked, or for which one is being created, is not taken from its counterpart by the way.
    """
    end, edge = turn.ends.get(order.edge), turn.row.edges.get(order.edge)
    if end is None or end.side != "a" or not turn.row.remote or turn.row.gone_at:
        turn.report(f"{order.edge}: {order.peer} was not linked: the record is not there")
    elif edge is not None and (edge.idle or edge.state not in FREE):
        what = f"{edge.state} {edge.peer}".strip() if not edge.idle else "the record does not meet the flow's condition"
        turn.report(f"{order.edge}: {order.peer} was not linked: {what}")
    else:
        release(turn, end)
        turn.row.never = tuple(each for each in turn.row.never if each != f"{end.edge}|{order.peer}")
        turn.move(end, "proposed", peer=order.peer, number=turn.number())
        turn.change(end, key=PERSON)
        say_proposal(turn, end)
