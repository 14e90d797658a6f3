"""Waking: nothing waits without a wake-up, and a loss of state is made good (I13, B6).

What was said and not answered is said again, each time after twice as long. At a resync a row forgets what others know,
for theirs may be rows of yesterday: it offers all, registers anew and asks again.
"""

from __future__ import annotations

from stream.core import creating, damping, deleting, orders, parting, proposing, references, rosters, seeking, writing
from stream.core.flows import End
from stream.core.matching import enlist, keys_of
from stream.core.row import Edge
from stream.core.turn import Alarm, Turn
from stream.model import Time, Wake


def wake(turn: Turn, message: Wake) -> None:
    """Say again whatever was not answered, of every kind."""
    if message.resync:
        _resync(turn)
    if message.retry:
        orders.retry(turn)
    references.wake(turn)
    deleting.wake(turn)
    _ends(turn, early=message.early)
    writing.wake(turn, resync=message.resync or message.early)


def _ends(turn: Turn, *, early: bool) -> None:  # noqa: C901  # one arm for each state
    """Say again what was not answered, and try again what waited; before its time if a pause has ended (F6)."""
    for name, edge in list(turn.row.edges.items()):
        end = turn.ends.get(name)
        if end is None or not edge.due or (edge.due > turn.now and not early):
            continue
        match edge.state:
            case "claiming":
                seeking.claim_origin(turn, end)
            case "asking":
                rosters.ask(turn, end)
            case "matching":
                _repeat(turn, end, edge)
            case "proposed":
                proposing.say_proposal(turn, end)
            case "creating":
                creating.send(turn, end, turn.change(end, due=0))
            case "linked":
                turn.change(end, due=0)
            case "severed":
                parting.ask_back(turn, end, edge)
            case "refused":
                enlist(turn, end, keys_of(end, turn.row.remote))
                seeking.look(turn, end)
                turn.change(end, tries=edge.tries)
            case _:
                turn.again(end)
                turn.change(end, key="")


def _repeat(turn: Turn, end: End, edge: Edge) -> None:
    keys = keys_of(end, turn.row.remote)
    if edge.key in keys:
        seeking.claim(turn, end, keys.index(edge.key))
    else:
        seeking.look(turn, end)


def _resync(turn: Turn) -> None:
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
            creating.recognise(turn, end, edge.peer)
        if edge.state == "linked":
            turn.change(end, owed=tuple(turn.leading(end)))
        elif edge.state == "creating":
            creating.send(turn, end, edge)


def alarm(turn: Turn) -> None:
    """Set the alarm to the first of all things that wait."""
    row = turn.row
    due = _due(turn)
    if row.writing is not None and row.writing.due:
        due = min(due or row.writing.due, row.writing.due)
    if row.leave is not None:
        due = min(due or row.leave.due, row.leave.due)
    if row.damping and (later := damping.due(turn)):
        due = min(due or later, later)
    if row.twins and not row.gone_at and (asking := references.due(turn)):
        due = min(due or asking, asking)
    if due != row.alarm:
        row.alarm = due
        turn.out.append(Alarm(due))


def _due(turn: Turn) -> Time:
    """When the first end wants to be woken; zero for never."""
    first = 0
    for name, edge in turn.row.edges.items():
        if edge.due and (not first or edge.due < first) and name in turn.ends:
            first = edge.due
    return first
