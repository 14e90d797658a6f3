"""The one public door of the core: what a message does to a row.

``decide`` is pure and total. It is given a row, a message, what is configured and the time; it answers the new row
and what goes out, in order. Whoever calls it commits both together with the message's offset, or nothing.

    asks first     is it a reading that tells nothing? (almost always)
    then           the rule for the message
    then settles   links, offers, the next write, the alarm
"""

from __future__ import annotations

from copy import copy

from stream.core import (
    brake,
    creating,
    damping,
    deleting,
    elements,
    index,
    linking,
    matching,
    offers,
    reading,
    references,
    rosters,
    writing,
)
from stream.core.flows import ROSTER, View
from stream.core.row import Brake, Creates, Index, Kept, Row
from stream.core.turn import Alarm, Output, Tally, Turn
from stream.model import (
    Accept,
    Answer,
    Ask,
    Attach,
    Claim,
    ClaimKey,
    Decide,
    Detach,
    Found,
    Free,
    Gone,
    Leaving,
    Message,
    Nudge,
    Offer,
    Propose,
    Receipt,
    Refuse,
    Register,
    Release,
    Roster,
    Seen,
    Settle,
    Time,
    Verdict,
    Wake,
)


def decide(key: str, row: Kept | None, message: Message, view: View, now: Time) -> tuple[Kept | None, list[Output]]:
    """What a message does to the row under ``key``: the new row, and what goes out, in order."""
    if key.startswith(SHARED):
        return _shared(key, row, message, view, now)
    type_, colon, _ = key.partition(":")
    if not (colon and view.flows.ends(type_)):
        return row, []
    if type(row) is not Row:
        row = Row()
    elif type(message) is Seen:
        if view.flows.sets[type_]:
            message = elements.complete(row.remote, message, view.flows.sets[type_])
        if reading.unchanged(row, message, view.flows.plan(type_)):
            if reading.newer(row, message):
                row = copy(row)
                reading.stamp(row, message)
            return row, []
    turn = Turn(key, row, view, now)
    _rule(turn, message)
    _settle(turn)
    if turn.tied:
        turn.out.append(Tally(turn.type, turn.tied))
    return turn.close(), turn.out


SHARED = (matching.INDEX, ROSTER, brake.BRAKE)
"""Before the keys of rows that are no entity's, and that entities ask."""


def _shared(key: str, row: Kept | None, message: Message, view: View, now: Time) -> tuple[Kept | None, list[Output]]:
    if key.startswith(matching.INDEX):
        return index.decide_index(key, row if isinstance(row, Index) else None, message, view, now)
    if key.startswith(ROSTER):
        return rosters.decide_roster(key, row if isinstance(row, Creates) else None, message, now)
    return brake.decide_brake(key, row if isinstance(row, Brake) else None, message, view, now)


def _rule(turn: Turn, message: Message) -> None:  # noqa: C901, PLR0912  # one arm for each message
    match message:
        case Seen():
            _seen(turn, message)
        case Offer():
            linking.offered(turn, message)
        case Receipt():
            _receipt(turn, message)
        case Attach():
            end = turn.ends.get(message.edge)
            if end is not None:
                creating.attached(turn, end, message)
        case Claim():
            end = turn.ends.get(message.edge)
            if end is not None:
                creating.claimed(turn, end, turn.edge(end), message.sender)
        case Propose():
            linking.proposed(turn, message)
        case Nudge():
            linking.nudged(turn, message)
        case Accept():
            linking.accepted(turn, message)
        case Refuse():
            linking.declined(turn, message)
        case Found():
            linking.found(turn, message)
        case Free():
            linking.free(turn, message)
        case Ask():
            references.ask(turn, message)
        case Answer():
            references.answer(turn, message)
        case Wake():
            _wake(turn, message)
        case Gone():
            deleting.gone(turn, message)
        case Detach():
            deleting.detached(turn, message)
        case Roster():
            linking.answered(turn, message)
        case Decide():
            creating.decided(turn, message)
        case Verdict():
            deleting.judged(turn, message)
        case (
            Register() | ClaimKey() | Release() | Leaving() | Settle()
        ):  # pragma: no branch  # the last of a closed union
            pass  # for indexes and lanes; a row that gets one has nothing to do with it


def _seen(turn: Turn, seen: Seen) -> None:
    """A reading waits while a write is in flight; otherwise it is worked in (A3)."""
    if turn.row.writing is not None:
        reading.hold(turn.row, seen)
        return
    was_gone = turn.row.gone_at
    if was_gone and not deleting.returned(turn, seen):
        return
    unmapped = [field for field in turn.row.remote if field not in seen.fields]
    if unmapped:
        turn.forget(unmapped)
    if seen.marker is not None:
        linking.marked(turn, seen)
    reading.read(turn, seen)
    if was_gone:
        turn.row.written_at = max(turn.row.written_at, seen.read_at)
        linking.reunite(turn)


def _receipt(turn: Turn, receipt: Receipt) -> None:
    """A receipt belongs to the write in flight or to a create; any other is late and says nothing new."""
    write = turn.row.writing
    if write is not None and write.number == receipt.number:
        if write.want:
            writing.receive(turn, receipt, write)
        else:
            deleting.receive(turn, receipt, write)
        shown = receipt.after or receipt.before
        if shown is not None and shown.read_at > turn.row.gone_at:
            turn.row.gone_at = 0
        return
    for name, edge in turn.row.edges.items():
        if edge.state == "creating" and edge.number == receipt.number and name in turn.ends:
            creating.receive(turn, turn.ends[name], edge, receipt)
            return


def _wake(turn: Turn, message: Wake) -> None:
    if message.resync:
        linking.resync(turn)
    references.wake(turn)
    deleting.wake(turn)
    linking.wake(turn)
    writing.wake(turn, resync=message.resync)


def _settle(turn: Turn) -> None:
    """After every rule, the same: links go as far as they can, peers are told, what is dirty is written."""
    linking.settle(turn)
    deleting.settle(turn)
    offers.send(turn)
    writing.plan(turn)
    _alarm(turn)


def _alarm(turn: Turn) -> None:
    """Nothing waits without a wake-up."""
    row = turn.row
    due = linking.due(turn)
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
