"""The one public door of the core: what a message does to a row.

``decide`` is pure and total. It is given a row, a message, what is configured and the time; it answers the new row
and what goes out, in order. Whoever calls it commits both together with the message's offset, or nothing.

    asks first     is it a reading that tells nothing? (almost always)
    then           the rule for the message: ``_rule`` is the table of contents
    then settles   links, deletions, offers, the next write, the alarm

Where the answers are:

    what a reading means; what is no edit but our own echo         reading, elements (lists)
    who wins; how a value travels; what becomes of the loser       versions, offers (``accept``), reading (``edit``)
    what is written, and what a receipt says                       writing, damping
    who is whose counterpart                                       seeking, matching, index, proposing, parting
    how a counterpart is created, once; its first versions         creating, rosters, census, birth
    which records and fields a flow speaks of                      conditions
    ids of other records; deletions; what is said again            references; deleting, brake; waking
    what a person decides                                          orders

Nothing goes back and forth (no ping-pong), by three rules of which each is enough for the usual case. A value keeps the
version that it was born with, and a peer takes only what is newer (``offers.take``). What a system makes of the value
when it stores it is the answer to our write and has our version (``writing._echo``), so it is no edit. A field is
written only while the record carries an older version than the register (``writing.plan``). Systems that rewrite values
on their own, later, are slowed down (damping).

That is why a system with a form of its own does not play tennis with its neighbour. We write "e5.50" and it keeps
"e5": its receipt shows "e5", which gets the version that "e5.50" was born with. The register goes on holding "e5.50" as
the right value, nothing is newer than that version, so nothing is offered and nothing is written, and the next reading
shows "e5" as it was known.

Nothing is created twice. Only one record has the right to create for a match value at a time, and keeps it until the
new record is registered there itself (``index``, ``matching.release``). The intent stands in its row before the command
goes out, and what is repeated has the old number, by which the sink looks before it sends. The new record carries the
origin's mark, or waits for the roster, and is attached before it may look for anybody (``seeking.hesitates``).

The loser of a conflict: every record compares the same two versions, so the same value wins everywhere. It stands in
every register, and is written over the loser wherever a record shows that (``offers.accept``). If the winner was typed
by somebody who had seen the loser (its ``base``), that is all: it was edited. If not, two people typed at the same
time, and the loser goes into the topic ``conflicts`` with both versions (``versions.lost_unseen``), told by the record
at which it was typed, or where it was read too late (``reading.edit``). Nothing but a person puts it back.
"""

from __future__ import annotations

from msgspec.structs import replace

from stream.core import (
    brake,
    creating,
    deleting,
    elements,
    index,
    matching,
    offers,
    orders,
    parting,
    proposing,
    reading,
    references,
    rosters,
    seeking,
    waking,
    writing,
)
from stream.core.flows import ROSTER, View
from stream.core.row import Kept, Row
from stream.core.shared import Brake, Creates, Index
from stream.core.turn import Output, Tally, Turn
from stream.model import (
    Accept,
    Answer,
    Ask,
    Attach,
    Claim,
    ClaimKey,
    Correct,
    Decide,
    Detach,
    Found,
    Free,
    Gone,
    Leaving,
    Message,
    Nudge,
    Offer,
    Pair,
    Part,
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
                row = replace(row)
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
        # values: a record was read, a peer has something newer, our write was answered
        case Seen():
            _seen(turn, message)
        case Offer():
            parting.offered(turn, message)
        case Receipt():
            _receipt(turn, message)
        # a counterpart is looked for: the index has one, or none; may we be one that is being created?
        case Found():
            proposing.found(turn, message)
        case Free():
            seeking.free(turn, message)
        case Roster():
            seeking.answered(turn, message)
        # two records that exist become one thing, or not
        case Propose():
            proposing.proposed(turn, message)
        case Accept():
            proposing.accepted(turn, message)
        case Refuse():
            parting.declined(turn, message)
        case Nudge():
            proposing.nudged(turn, message)
        # a record that was created finds its origin
        case Attach():
            creating.attached(turn, message)
        case Claim():
            creating.claimed(turn, message)
        case Decide():
            creating.decided(turn, message)
        # references
        case Ask():
            references.ask(turn, message)
        case Answer():
            references.answer(turn, message)
        # deletions
        case Gone():
            deleting.gone(turn, message)
        case Detach(parted=True):
            orders.detached(turn, message)
        case Detach():
            deleting.detached(turn, message)
        case Verdict():
            deleting.judged(turn, message)
        # a person
        case Correct():
            orders.correct(turn, message)
        case Part():
            orders.part(turn, message)
        case Pair():
            orders.pair(turn, message)
        # time
        case Wake():
            waking.wake(turn, message)
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
        seeking.marked(turn, seen)
    reading.read(turn, seen)
    if was_gone:
        turn.row.written_at = max(turn.row.written_at, seen.read_at)
        parting.reunite(turn)


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


def _settle(turn: Turn) -> None:
    """After every rule, the same: links go as far as they can, peers are told, what is dirty is written."""
    seeking.settle(turn)
    deleting.settle(turn)
    offers.send(turn)
    writing.plan(turn)
    waking.alarm(turn)
