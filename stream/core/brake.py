"""The brake: when too many records of one type vanish at once, nothing follows them before a person has looked (D2).

A system that is emptied by mistake, or whose permissions were taken away, looks as if everything in it was deleted; its
copies everywhere else would follow within seconds. So a record that is gone asks the brake of its type first, and asks
again after a pause: as many as have asked by then are judged together. Too many are held, all of them and those that
come later, until a person lets them go or keeps the copies. Who asks is not remembered here, only how many: a held
record asks again from time to time, and when it is roused.

One row per type, under its own key; the links of the type are counted where it lies and taken for its share.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from stream.core.flows import View
from stream.core.shared import Brake
from stream.core.turn import Mail, Output, Report
from stream.model import Leaving, Message, Rouse, Settle, Time, Verdict

BRAKE = "brake:"
"""Before an entity type: the key of its brake."""

WINDOW = 600_000_000
"""Microseconds in which deletions are counted together."""

SHARE = 50
"""Of so many links one may end at once: 2 %."""

MINUTE = 60_000_000


def decide_brake(
    key: str, row: Brake | None, message: Message, view: View, now: Time
) -> tuple[Brake | None, list[Output]]:
    """One message at one brake."""
    type = key.removeprefix(BRAKE)
    brake = Brake() if row is None else row
    match message:
        case Leaving(first=True):
            return _counted(type, brake, message, view, now)
        case Leaving():
            said = Verdict(since=message.since, verdict=_judge(type, brake, message, view, now))
            return row, [Mail(message.sender, said)]
        case Settle(verdict=verdict, at=at) if at > max(brake.released_at, brake.cancelled_at):
            settled = replace(brake, held_at=0 if at >= brake.held_at else brake.held_at, begun=())
            settled = replace(settled, **{"released_at" if verdict == "go" else "cancelled_at": at})
            return settled, [Rouse(entity=type)]
        case _:
            return row, []


def _counted(type: str, brake: Brake, message: Leaving, view: View, now: Time) -> tuple[Brake, list[Output]]:
    """One more record is gone; with it, it may be too many."""
    minute = now - now % MINUTE
    known = {at: count for at, count in brake.begun if at > now - WINDOW}
    known[minute] = known.get(minute, 0) + message.links
    brake = replace(brake, begun=tuple(known.items()))
    ending, links = sum(known.values()), view.links.get(type, 0) * view.partitions
    if brake.held_at or ending <= max(view.flows.fact(type).fewest, links // SHARE):
        return brake, []
    reason = (
        f"{type}: {ending} links end at once, of about {max(links, ending)}; held until a person lets them go "
        f"(linkstream deletes release {type}) or keeps the copies (linkstream deletes cancel {type})"
    )
    return replace(brake, held_at=now), [Report(reason)]


def _judge(type: str, brake: Brake, message: Leaving, view: View, now: Time) -> Literal["go", "keep", "stay"]:
    """What becomes of the links of a record that asked first at that time; the latest word of a person counts."""
    settled = max(brake.released_at, brake.cancelled_at)
    if message.since <= settled:
        return "go" if settled == brake.released_at else "keep"
    return "stay" if brake.held_at or now < message.since + view.flows.fact(type).patience else "go"
