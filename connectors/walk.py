"""A round through several lists of a system, as one cursor. Pure.

What a type holds may lie in many lists: the tasks of each project, the cards of each board. A round notes which lists
are still to be read and reads the first of them, page by page; one that was never read to its end is read whole, the
others by what changed. A list that appears between rounds so needs no care of its own. The lists stand in the cursor
once, so it stays small. What a system's changes do not tell is made good by reading everything again now and then:
those lists are marked with ``~``, and what that means is the system's own matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from connectors.endpoint import Cursor, Time
from connectors.errors import Refused
from connectors.rounds import newest, next_since

_RESTARTS = 3


class Round(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How far a round has come. ``lists`` are still to be read, the first one now; those with ``+`` are read whole."""

    since: Time | None = None
    known: list[str] = []
    """Lists that were read to their end, in this round while one is under way."""
    lists: list[str] | None = None
    offset: str | None = None
    newest: Time | None = None
    begun: Time | None = None
    restarts: int = 0
    whole: Time | None = None
    """When the latest round began that read everything, by our clock."""


def resume(cursor: Cursor) -> Round:
    """Read a cursor. Raises Refused if it is none of ours."""
    try:
        return Round() if cursor is None else msgspec.convert(cursor, Round)
    except msgspec.ValidationError as error:
        raise Refused(f"cursor: found {error}; a cursor of this connector would be right") from None


def cursor_of(at: Round) -> Cursor:
    """Write a cursor."""
    return msgspec.to_builtins(at) or None


def begin(at: Round, lists: Sequence[str], *, quiet: frozenset[str] = frozenset(), again: Time | None = None) -> Round:
    """Begin a round through these lists; in those that are ``quiet`` nothing can have changed.

    ``again`` is now, for a round that reads once more what was read before: its lists are marked with ``~``.
    """
    passed = [name for name in lists if name in quiet and name in at.known and again is None]
    mark = "" if again is None else "~"
    marked = [f"{mark}{name}" if name in at.known else f"+{name}" for name in lists if name not in passed]
    whole = at.whole if again is None else again
    return msgspec.structs.replace(at, lists=marked, known=passed, whole=whole)


def restart(at: Round) -> Round | None:
    """Begin the present list again, because its offset expired; ``None`` when that was done too often."""
    if at.offset is None or at.restarts >= _RESTARTS:
        return None
    return msgspec.structs.replace(at, offset=None, restarts=at.restarts + 1)


def ahead(at: Round, following: str | None, seen: Time | None, *, overlap: float | None, steady: bool = False) -> Round:
    """Answer where to go on after a page; ``overlap`` is ``None`` for types that are listed whole every round.

    ``steady``: the next round begins where this one began, less the overlap, whether anything was seen or not. It is
    for systems whose own clock said when that was.
    """
    latest = newest(at.newest, seen)
    if following is not None:
        return msgspec.structs.replace(at, offset=following, newest=latest)
    done, *rest = at.lists or [""]
    known = [*at.known, done.lstrip("+~")] if done else at.known
    if rest:
        return msgspec.structs.replace(at, lists=rest, known=known, offset=None, newest=latest, restarts=0)
    if overlap is None:
        return Round(whole=at.whole)
    reached = at.begun if steady and at.begun is not None else latest
    since = next_since(at.since, reached, at.begun or 0, overlap)
    return Round(since=since, known=known if since is not None else [], whole=at.whole)
