"""A round through several of Asana's lists, as one cursor. Pure.

Tasks are in as many lists as there are projects. A round notes which lists are still to be read and reads the first
of them, page by page; one that was never read to its end is read whole, the others by what changed. A project that
appears between rounds so needs no care of its own. The lists stand in the cursor once, so it stays small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from msgspec import Struct

from connectors.endpoint import Cursor, Time
from connectors.errors import Refused
from connectors.fields import write_time
from connectors.rounds import newest, next_since

Pairs: TypeAlias = tuple[tuple[str, str], ...]

_RESTARTS = 3


class Round(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How far a round has come. ``lists`` are still to be read, the first one now; those with ``+`` never were."""

    since: Time | None = None
    known: list[str] = []
    """Lists that were read to their end, in this round while one is under way."""
    lists: list[str] | None = None
    offset: str | None = None
    newest: Time | None = None
    begun: Time | None = None
    restarts: int = 0


def resume(cursor: Cursor) -> Round:
    """Read a cursor. Raises Refused if it is none of ours."""
    try:
        return Round() if cursor is None else msgspec.convert(cursor, Round)
    except msgspec.ValidationError as error:
        raise Refused(f"cursor: found {error}; a cursor of this connector would be right") from None


def cursor_of(at: Round) -> Cursor:
    """Write a cursor."""
    return msgspec.to_builtins(at) or None


def begin(at: Round, lists: Sequence[str]) -> Round:
    """Begin a round through these lists."""
    marked = [name if name in at.known else f"+{name}" for name in lists]
    return msgspec.structs.replace(at, lists=marked, known=[])


def restart(at: Round) -> Round | None:
    """Begin the present list again, because its offset expired; ``None`` when that was done too often."""
    if at.offset is None or at.restarts >= _RESTARTS:
        return None
    return msgspec.structs.replace(at, offset=None, restarts=at.restarts + 1)


def ahead(at: Round, following: str | None, seen: Time | None, *, overlap: float | None) -> Round:
    """Answer where to go on after a page; ``overlap`` is ``None`` for types that are listed whole every round."""
    latest = newest(at.newest, seen)
    if following is not None:
        return msgspec.structs.replace(at, offset=following, newest=latest)
    done, *rest = at.lists or [""]
    known = [*at.known, done.lstrip("+")]
    if rest:
        return msgspec.structs.replace(at, lists=rest, known=known, offset=None, newest=latest, restarts=0)
    since = None if overlap is None else next_since(at.since, latest, at.begun or 0, overlap)
    return Round(since=since, known=known if since is not None else [])


def query(scope: str, since: Time | None, workspace: str) -> tuple[str, Pairs]:
    """Answer the path and the parameters of a list; one never read before is read whole."""
    name, _, gid = scope.lstrip("+").partition(":")
    changed: Pairs = (("modified_since", write_time(since)),) if since and not scope.startswith("+") else ()
    match name:
        case "project":
            return "/tasks", (("project", gid), *changed)
        case "assignee":
            return "/tasks", (("assignee", gid), ("workspace", workspace), *changed)
        case _:
            return "", (("workspace", gid),) if gid else ()
