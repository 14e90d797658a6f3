"""What a person orders, as the records that say so: made alike for the command line and for the page.

Orders that belong together are published at once, all or none. What was set aside is treated in ``aside``.
"""

from __future__ import annotations

from typing import Literal

from stream.codec import decode_conflict, encode, row_of
from stream.core.row import Row
from stream.engine.log import Outgoing
from stream.engine.reader import Reader
from stream.model import Conflict, Correct, Hold, Time
from stream.operate.aside import Aside, settling
from stream.operate.table import JOIN
from stream.pauses import FLOW, PAUSED
from stream.topics import MAIL, POLLS
from stream.topology import Topology


class Overtaken(Exception):
    """What was to be decided has been decided, or was edited since; the message says by what."""


def pausable(topology: Topology, what: str) -> bool:
    """Whether there is something of this name to pause; a flow's stands behind ``flow:``."""
    flow = what.removeprefix(FLOW) if what.startswith(FLOW) else None
    return what in topology.systems or what in topology.types or flow in topology.flows.flows


def holding(topology: Topology, what: str, now: Time, *, on: bool, why: str = "") -> list[Outgoing]:
    """Pause something, or have it go on: told to every reader's lane."""
    hold = encode(Hold(what=what, on=on, at=now, why=why))
    return [Outgoing(POLLS, PAUSED, hold, (), partition) for partition in range(topology.partitions)]


def resolving(reader: Reader, each: Aside, keep: Literal["lost", "won"]) -> list[Outgoing]:
    """Have the value that lost become an edit of now, or let be what won. Raises Overtaken, BadRecord."""
    conflict: Conflict = decode_conflict(each.record.value)
    if each.settled:
        raise Overtaken(f"{each.id}: found it {each.settled} already; an open one would be right")
    if keep == "won":
        return [settling(each, "kept")]
    cell = row_at(reader, conflict.ref).cells.get(conflict.field)
    if cell is None or cell.version != conflict.won.version:
        what = f"{conflict.ref} {conflict.field}"
        raise Overtaken(f"{what}: was edited since; what it holds now stays (linkstream explain)")
    order = encode(Correct(field=conflict.field, value=conflict.lost.value, over=conflict.won.version))
    return [Outgoing(MAIL, conflict.ref.encode(), order), settling(each, "reversed")]


def row_at(reader: Reader, ref: str) -> Row:
    """A record's row; an empty one where there is none."""
    row = row_of(reader.row(JOIN, ref.encode()))
    return row if isinstance(row, Row) else Row()
