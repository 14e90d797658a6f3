"""The table ``links``, read from outside: rows of entities and match values, past what lanes keep for themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from heapq import nsmallest
from operator import itemgetter
from typing import Any, Protocol

from stream.codec import row_of
from stream.core.brake import BRAKE
from stream.core.row import Kept
from stream.core.shared import Brake
from stream.model import Time
from stream.pauses import PAUSED, paused
from stream.resync import decode_sweep
from stream.standing import SINCE, STEPS, added_up, decode_counts
from stream.topics import CENSUS, RESYNC, TALLY, WAKE

JOIN = "join"
"""The agent whose rows are the table."""


class Rows(Protocol):
    """Whatever can list an agent's rows."""

    def rows(self, agent: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows by prefix."""
        ...


def rows_of(reader: Rows, prefix: str = "") -> Iterator[tuple[str, Kept]]:
    """The rows whose keys begin with ``prefix``. Raises BadRecord for one that cannot be read."""
    for key, data in reader.rows(JOIN, prefix.encode()):
        if key not in (CENSUS, RESYNC, TALLY, STEPS) and not key.startswith((WAKE, SINCE)):
            row = row_of(data)
            if row is not None:
                yield key.decode(), row


def counts_of(reader: Rows) -> dict[str, int]:
    """How all rows stand, as the lanes count them; empty where no lane has counted yet."""
    return added_up(decode_counts(data) for key, data in reader.rows(JOIN, STEPS) if key == STEPS)


def out_of(reader: Rows, most: int = 20) -> list[tuple[str, Time]]:
    """The rows that have been out of step for longest, oldest first, and since when."""
    found = ((key[len(SINCE) :].decode(), int.from_bytes(at, "big")) for key, at in reader.rows(JOIN, SINCE))
    return nsmallest(most, found, key=itemgetter(1))


def paused_of(reader: Any, partitions: int) -> dict[str, dict[str, Any]]:
    """What a person has paused, since when and why, as the readers' lanes keep it."""
    lanes = [paused(reader.row("poll", PAUSED, partition)) for partition in range(partitions)]
    both = {what: pause for what, pause in lanes[0].items() if all(what in each for each in lanes)}
    return {
        what: {"since": datetime.fromtimestamp(pause.at / 1e6, UTC).isoformat(timespec="seconds"), "why": pause.why}
        for what, pause in both.items()
    }


def resync_of(reader: Rows) -> dict[str, Any]:
    """Since when the latest resync has been going on in all lanes, and the types that are left in any."""
    sweeps = [decode_sweep(data) for _, data in reader.rows(JOIN, RESYNC)]
    begun = min((sweep.begun for sweep in sweeps), default=0)
    return {"begun": shown(begun), "left": sorted({name for sweep in sweeps for name in sweep.left})}


def shown(time: Time) -> str | None:
    """A moment as people read it; nothing for zero."""
    return datetime.fromtimestamp(time / 1e6, UTC).isoformat(timespec="seconds") if time else None


def held_of(reader: Rows) -> dict[str, str]:
    """The types whose deletions are held, and since when."""
    held = {}
    for key, data in reader.rows(JOIN, BRAKE.encode()):
        brake = row_of(data)
        if isinstance(brake, Brake) and brake.held_at:
            held[key.decode().removeprefix(BRAKE)] = shown(brake.held_at) or ""
    return held
