"""How a cursor moves when a system is asked for what changed since a time. Pure.

A *round* reads every page of a list once. The next round begins where this one saw its newest change, less an
overlap, and never later than this round's own beginning: what changes behind the reader's back is read next time.
Both times are the system's own clock, so neither our clock nor a record dated in the future can skip anything.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from connectors.endpoint import Cursor, Time
from connectors.errors import Refused

DAY = 86_400.0
"""Seconds between two readings of everything, of what is else read by change."""


class Round(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How far a round has come: what it asks for, its pages, its newest change, its beginning."""

    since: Time | None = None
    page: dict[str, Any] | None = None
    newest: Time | None = None
    begun: Time | None = None
    whole: Time | None = None
    """When the latest round began that read everything, by our clock."""


def resume(cursor: Cursor) -> Round:
    """Read a cursor. Raises Refused if it is none of ours."""
    try:
        return Round() if cursor is None else msgspec.convert(cursor, Round)
    except msgspec.ValidationError as error:
        raise Refused(f"cursor: found {error}; a cursor of this connector would be right") from None


def is_due(whole: Time | None, now: Time, period: float) -> bool:
    """Tell whether everything was read ``period`` seconds ago or more."""
    return whole is None or not whole <= now < whole + round(period * 1_000_000)


def newest(*times: Time | None) -> Time | None:
    """Answer the latest of the known times."""
    return max((time for time in times if time is not None), default=None)


def next_since(since: Time | None, seen: Time | None, begun: Time, overlap: float) -> Time | None:
    """Answer what the next round asks for; unchanged when nothing was seen."""
    if seen is None:
        return since
    candidate = min(seen, begun) - round(overlap * 1_000_000)
    return candidate if since is None else max(since, candidate)
