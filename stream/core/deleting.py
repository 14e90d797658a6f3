"""Deleting: what follows when a record is gone (D2).

Absence is no evidence. A record is gone when its system says so, when our own command removed it, or when a write
found it missing twice. Its links are over then, and each counterpart is told when the record was last known to be
there, by its last reading or write, and which versions it showed: whoever deleted it saw those. A version that it was
offered is no sign of life. In doubt that time is too early, and data is kept.

What the counterpart does is its flow's policy. ``keep``: it stays and is left alone. ``archive`` and ``delete``: it
follows, unless one of its values is newer than that time. The command is guarded like any write, and what it finds
is judged again. Without "newer wins", P is deleted, T is edited, and M's deletion takes T's edit along. A deletion
that was passed on keeps its *original* time, whoever sees the record vanish: P is deleted, T is edited, M follows P;
with the time of M's own deletion T's newer edit would be deleted with it.

A record that is gone asks the brake of its type before its links end (``core.brake``). Meanwhile it is linked, takes
what it is offered and writes nothing; if it comes back, nothing happened.

What was never read in this life of the log has no such time, and nothing follows it. A record that made others is among
them if it was deleted or archived while the log was lost: it is gone once all of its type was read without it, and when
it is read after all it comes back like any other.

A record that comes back asks its counterparts of then to link again, and nobody else does: a copy that was kept is
not a stranger's to find, and the deleted record is not created anew from it.
"""

from __future__ import annotations

from msgspec.structs import replace

from stream.core import references
from stream.core.brake import BRAKE
from stream.core.flows import End
from stream.core.matching import release, unlist
from stream.core.reading import SECOND, known, order, read
from stream.core.row import Deletion, Edge, Leave, Write
from stream.core.turn import LONGEST, Turn
from stream.core.writing import again, send
from stream.model import Detach, Gone, Leaving, Receipt, Seen, Time, Verdict, Version

LEFT = "this record was deleted"
ARCHIVED = "this record was archived, as its counterpart was deleted"
PARTED = "a person parted them"
OVER = "its link is over, as its counterpart says; this copy is kept"

NEVER = 1
"""In place of a time, of a record that nobody has read: whatever reading comes is newer."""

COARSE = 1000
"""Microseconds into a second up to which a time may be a whole second, and the ticks that were added to it."""

UNLINKED = frozenset({"alone", "waiting", "matching", "proposed", "claiming", "asking"})
"""States that a deleted record is not in any more; a create in flight is waited for."""


def gone(turn: Turn, message: Gone) -> None:
    """The system says that the record is deleted; what was read or written since knows better."""
    row = turn.row
    judged = row.gone_at and row.writing is None
    if not judged and message.read_at >= known(row):
        row.gone_at = max(row.gone_at, message.read_at)


def removing(turn: Turn) -> bool:
    """Whether the record is being removed right now."""
    write = turn.row.writing
    return write is not None and not write.want


def settle(turn: Turn) -> None:
    """Leave every link of a record that is gone, and remove one that is to follow; both wait for a write in flight.

    While a flow is paused that it is linked by, both wait for that, too (F7). Of what nobody has read nothing follows,
    and nobody is asked.
    """
    row = turn.row
    if row.gone_at and not row.remote:
        _leave(turn, LEFT)
        return
    if row.leave is not None and not row.gone_at:
        row.leave = None
    if row.writing is not None or ((row.gone_at or row.deletion is not None) and _rests(turn)):
        return
    if row.gone_at:
        if not _held(turn):
            _withdraw(turn)
            _leave(turn, LEFT)
            row.leave = None
    elif row.deletion is not None:
        _remove(turn, row.deletion)


def _rests(turn: Turn) -> bool:
    """Whether a link of it is over whose flow is paused: nobody is told of the deletion before that ends (F7)."""
    rests = False
    for name, edge in turn.row.edges.items():
        if edge.state == "linked" and name in turn.ends:
            rests |= turn.rests(turn.ends[name])
    return rests


def _held(turn: Turn) -> bool:
    """Whether the links of a record that is gone still wait for the brake. What went at our command was judged before.

    Without the pause the first ten of a thousand would have been followed before anybody could count.
    """
    row, patience = turn.row, turn.fact.patience
    links = sum(map(_bound, row.edges.values()))
    if not patience or not links or row.deletion is not None:
        return False
    if row.leave is None:
        row.leave = Leave(turn.now, turn.now + patience)
        turn.mail(BRAKE + turn.type, Leaving(sender=turn.key, since=turn.now, links=links, first=True))
    return row.leave.verdict not in ("go", "keep")


def wake(turn: Turn) -> None:
    """Ask the brake again."""
    leave = turn.row.leave
    if leave is not None:
        due = leave.due if turn.now < leave.due else turn.now + LONGEST
        turn.row.leave = replace(leave, due=due)
        turn.mail(BRAKE + turn.type, Leaving(sender=turn.key, since=leave.since))


def judged(turn: Turn, message: Verdict) -> None:
    """What the brake, or a person, says to it."""
    leave = turn.row.leave
    if leave is not None and leave.since == message.since:
        turn.row.leave = replace(leave, verdict=message.verdict)


def _withdraw(turn: Turn) -> None:
    """Nobody finds a deleted record by its values, and nobody waits for what it wanted."""
    row = turn.row
    for end in turn.ends.values():
        if row.plan:
            unlist(turn, end)
        edge = row.edges.get(end.edge)
        if edge is not None and edge.state in UNLINKED and not _bound(edge):
            release(turn, end)
            del row.edges[end.edge]
        elif edge is not None and edge.state == "severed" and edge.due:
            turn.change(end, due=0)
    row.plan = 0


def _leave(turn: Turn, reason: str) -> None:
    """Tell every counterpart that the record is deleted, and since when at the latest."""
    row = turn.row
    at = row.deletion.alive_at if row.deletion is not None else known(row)
    for end in turn.ends.values():
        edge = row.edges.get(end.edge)
        if edge is not None and _bound(edge):
            turn.mail(
                edge.peer,
                Detach(
                    edge=end.peer_edge,
                    sender=turn.key,
                    number=edge.number,
                    alive_at=at,
                    keep=edge.idle or not at or (row.leave is not None and row.leave.verdict == "keep"),
                    shown=_shown(turn, end),
                ),
            )
            _sever(turn, end, edge, reason)


def _bound(edge: Edge) -> bool:
    """Whether a counterpart has to hear of a deletion: there is a link, or one that was over is asked for anew.

    Accepted by then and told just that nobody waited for it, the counterpart would be free for others, and what was to
    follow would stay.
    """
    return edge.state == "linked" or (edge.state == "proposed" and edge.ended > 0)


def _shown(turn: Turn, end: End) -> dict[str, Version]:
    """The versions that were on the screen of who deleted the record, or the first of those that it followed."""
    if turn.row.deletion is not None:
        shown = turn.row.deletion.shown
    else:
        shown = {field: cell.carried or cell.version for field, cell in turn.cells.items()}
    return {
        lead.peer + field.removeprefix(lead.field): version
        for field, version in shown.items()
        for lead in end.leads_of(field)
    }


def _sever(turn: Turn, end: End, edge: Edge, reason: str) -> None:
    release(turn, end)
    turn.move(end, "severed", peer=edge.peer, number=edge.number, reason=reason)
    references.tell(turn, end.edge, None)


def detached(turn: Turn, message: Detach) -> None:
    """The counterpart was deleted: keep this record, or let it follow, as the flow says.

    Only the link with this number is over: an old message said twice does not undo the link of a record that came
    back, nor one that another old message has just brought back, for the record would be removed with it.
    """
    found = ending(turn, message)
    if found is None:
        return
    row, (end, edge) = turn.row, found
    kept = f"{edge.peer} {'was deleted' if message.alive_at else 'is not found any more'}; this copy is kept"
    _sever(turn, end, edge, kept)
    if end.removal == "keep" or edge.idle or message.keep:
        turn.report(f"{end.flow}: {kept}")
    elif row.deletion is None:
        row.deletion = Deletion(message.alive_at, end.removal, end.edge, message.shown)


def ending(turn: Turn, message: Detach) -> tuple[End, Edge] | None:
    """The link that a message says is over, if it stands and is the one that is meant."""
    end, edge = turn.ends.get(message.edge), turn.row.edges.get(message.edge)
    if end is None or edge is None or edge.state != "linked":
        return None
    if (edge.peer, edge.number) != (message.sender, message.number) or message.number <= edge.ended:
        return None
    return end, edge


def _remove(turn: Turn, deletion: Deletion) -> None:
    """Ask for the removal, unless something here is newer than the deletion."""
    row = turn.row
    newer = [field for field, cell in turn.cells.items() if _newer(field, cell.version, deletion)]
    if newer:
        _keep(turn, deletion, f"{', '.join(sorted(newer))} is newer than its deletion")
        return
    flows = turn.view.flows
    base = {
        **dict.fromkeys(flows.paths[turn.type]),
        **{field: value for field, value in row.remote.items() if flows.mapped(turn.type, field)},
    }
    row.writing = Write(turn.number(), {}, base, {}, turn.now)
    send(turn, row.writing)


def _newer(field: str, version: Version, deletion: Deletion) -> bool:
    """Whether a value is newer than the deletion; one of the same whole second may be, and is kept.

    A system that stamps whole seconds says 10:05:07 of an edit at 10:05:07.9, and the record was deleted at 10:05:07.5.
    """
    shown = deletion.shown.get(field)
    if shown is not None and version <= shown:
        return False
    part = version.time % SECOND
    latest = version.time - part + SECOND - 1 if part < COARSE else version.time
    return latest > deletion.alive_at


def _keep(turn: Turn, deletion: Deletion, reason: str) -> None:
    turn.row.deletion = None
    peer = turn.row.edges[deletion.edge].peer
    flow = deletion.edge.rpartition("/")[0]
    turn.report(f"{flow}: {peer} was deleted; this copy is kept: {reason}")


def receive(turn: Turn, receipt: Receipt, write: Write) -> None:
    """What became of the removal; a record that was missing already is removed as well."""
    row = turn.row
    deletion = row.deletion
    if receipt.outcome == "retry":
        row.writing = again(turn, write, receipt.wait)
        return
    held, row.held, row.writing = row.held, (), None
    before = receipt.before
    match receipt.outcome:
        case "done" | "found" | "missing":
            _removed(turn, receipt.at or turn.now, archived=receipt.outcome != "missing")
        case "stale" if before is not None:
            held = tuple(sorted((*held, before), key=order))
        case "refused" if deletion is not None:
            _keep(turn, deletion, receipt.reason or "it cannot be removed")
        case _:
            pass
    for seen in held:
        read(turn, seen, direct=seen is before)
    if receipt.outcome == "stale" and before is not None and not _agrees(turn, before):
        row.writing = again(turn, write)


def _agrees(turn: Turn, seen: Seen) -> bool:
    """Whether what the system says is what it said before; one of two minds is asked again later, not at once."""
    return all(turn.row.remote.get(field) == value for field, value in seen.fields.items())


def _removed(turn: Turn, at: Time, *, archived: bool) -> None:
    """The record went at our command; an archived one is still there, and linked to nobody.

    ``at`` is when it went, not when that is heard of: who brings it back in between has the last word.
    """
    row = turn.row
    if archived and row.deletion is not None and row.deletion.how == "archive":
        _leave(turn, ARCHIVED)
        row.deletion = None
    else:
        row.gone_at = row.gone_at or at


def returned(turn: Turn, seen: Seen) -> bool:
    """Whether a reading shows that a deleted record is there again; a replica may trail behind and show it still."""
    row = turn.row
    if seen.read_at <= row.gone_at + turn.fact.lag:
        return False
    row.gone_at, row.deletion = 0, None
    return True
