"""How lists come in pages: what to ask for next, and when to stop. Pure; the state is small JSON.

Every kind is the same three answers: what to add to a request, what state follows a page, and when the last page
has been reached. The stop rules are data, because systems differ in how they end a list, and two of them hold for
every kind: an answer that repeats the former one, and a link that leads to where it came from, end the list with
an error instead of never.

Offsets shift when records vanish or move while a list is read. So each page but the first is asked to begin one
record early, at the *anchor*, the last record of the page before. A page without its anchor says that something
shifted: it is asked for again from further back. Records then come twice, which is harmless; none is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from connectors.errors import BadAnswer
from connectors.fields import ABSENT, pick

Kind: TypeAlias = Literal["none", "offset", "page", "cursor", "link"]
Stop: TypeAlias = Literal["empty", "short", "missing next"]
State: TypeAlias = dict[str, Any]
Pairs: TypeAlias = tuple[tuple[str, str], ...]

_STEPS_BACK = 20
_NEXT = re.compile(r'<([^>]*)>\s*(?:;[^,]*?)?;\s*rel="?next"?', re.IGNORECASE)


class Paging(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one list is paged. ``next`` is a path into the answer; for links, absent means the ``Link`` header.

    ``short`` ends lists that are counted (offset, page), ``missing next`` those that are followed (cursor, link).
    """

    kind: Kind = "none"
    position: str = "offset"
    """The parameter for the offset, the page number or the cursor."""
    limit: str | None = "limit"
    """The parameter for the page size."""
    size: int = 100
    first: int = 1
    """The number of the first page."""
    next: str | None = None
    stop: tuple[Stop, ...] = ("empty", "short", "missing next")


class Seen(Struct, frozen=True, kw_only=True):
    """What a page brought: the records' ids in order, the whole answer, and its digest."""

    ids: Sequence[str]
    body: Any
    headers: Mapping[str, str]
    digest: str


def ask(paging: Paging, state: State | None) -> tuple[str | None, Pairs]:
    """Answer where to ask for the page: an address that the system gave, if any, and parameters to add."""
    size = ((paging.limit, str(paging.size)),) if paging.limit else ()
    match paging.kind:
        case "none":
            return None, ()
        case "offset":
            at = state["at"] if state else 0
            return None, (*size, (paging.position, str(at)))
        case "page":
            return None, (*size, (paging.position, str(state["at"] if state else paging.first)))
        case "cursor":
            return None, (*size, (paging.position, str(state["next"]))) if state else size
        case "link":
            return (state["next"], ()) if state else (None, size)


def advance(paging: Paging, state: State | None, seen: Seen) -> State | None:
    """Answer the state for the page after this one; ``None`` after the last. Raises BadAnswer if it has no end."""
    match paging.kind:
        case "none":
            return None
        case "offset":
            return _by_offset(paging, state or {"at": 0}, seen)
        case "page":
            if _ended(paging, seen):
                return None
            _refuse_repetition(state, seen)
            return {"at": (state["at"] if state else paging.first) + 1, "digest": seen.digest}
        case "cursor" | "link":
            return _by_next(paging, state, seen)


def _by_offset(paging: Paging, state: State, seen: Seen) -> State | None:
    at, anchor, back = state["at"], state.get("anchor"), state.get("back", 0)
    if anchor is not None and anchor not in seen.ids and at > 0 and back < _STEPS_BACK:
        earlier = max(0, at - max(1, paging.size - 1))
        return {"at": earlier, "anchor": anchor, "back": back + 1, "digest": seen.digest}
    if _ended(paging, seen):
        return None
    if at == 0 or anchor is None or anchor in seen.ids:
        _refuse_repetition(state, seen)
    if len(seen.ids) == 1:
        return {"at": at + 1, "digest": seen.digest}
    return {"at": at + len(seen.ids) - 1, "anchor": seen.ids[-1], "back": back, "digest": seen.digest}


def _by_next(paging: Paging, state: State | None, seen: Seen) -> State | None:
    if "empty" in paging.stop and not seen.ids:
        return None
    following = _following(paging, seen)
    if following in (None, ABSENT, "", False):
        return None
    if state is not None and following == state["next"]:
        raise BadAnswer("list: found a next page that is this page; another one, or none, would be right")
    _refuse_repetition(state, seen)
    return {"next": following, "digest": seen.digest}


def _following(paging: Paging, seen: Seen) -> Any:
    if paging.next is not None:
        return pick(seen.body, paging.next)
    found = _NEXT.search(seen.headers.get("link", ""))
    return found[1] if found else None


def _ended(paging: Paging, seen: Seen) -> bool:
    if not seen.ids:
        return True
    return "short" in paging.stop and len(seen.ids) < paging.size


def _refuse_repetition(state: State | None, seen: Seen) -> None:
    if state is not None and state.get("digest") == seen.digest:
        raise BadAnswer("list: found the same page twice; the next one would be right")
