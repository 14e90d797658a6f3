"""How lists come in pages: what to ask for next, and when to stop. Pure; the state is small JSON.

Every kind is the same three answers: what to add to a request, what state follows a page, and when the last page
has been reached. The stop rules are data, because systems differ in how they end a list. That a list has an end is
not believed: an answer that came before, a link to where it came from and a hundred empty pages are errors.

Offsets shift when records vanish or move while a list is read. So each page but the first is asked to begin one
record early, at the *anchor*, the last record of the page before. A page without its anchor says that something
shifted: it is asked for again from further back. Records then come twice, which is harmless; none is skipped.
An anchor that was edited meanwhile is none: in a list that is ordered by change it moved, perhaps onto this very page.
Numbered pages begin at multiples of their size; so the size is varied a little, until a page holds the anchor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from connectors.errors import BadAnswer
from connectors.fields import ABSENT, pick

Kind: TypeAlias = Literal["none", "offset", "page", "cursor", "link", "last id"]
Stop: TypeAlias = Literal["empty", "short", "total", "no more", "missing next"]
State: TypeAlias = dict[str, Any]
Pairs: TypeAlias = tuple[tuple[str, str], ...]

_STEPS_BACK = 20
_SIZES_TRIED = 200
_EMPTY_IN_A_ROW = 100
_NEXT = re.compile(r'<([^<>]*)>\s*(?:;[^,<]*?)?;\s*rel="?next"?', re.IGNORECASE)
_POSITION: Mapping[Kind, str] = {"offset": "offset", "page": "page", "cursor": "cursor", "last id": "after"}
_HEADER = "header:"


class Paging(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one list is paged."""

    kind: Annotated[
        Kind,
        Meta(
            description="none: all at once; offset: so many records in; page: numbered pages; cursor: the answer holds "
            "a word for the next page; link: it holds the next page's address; last id: after the last record's id"
        ),
    ] = "none"
    position: Annotated[
        str | None, Meta(description="The parameter for offset, page number, cursor or last id; else `offset`, ...")
    ] = None
    limit: Annotated[
        str | None, Meta(description="The parameter for the size of a page; null where nobody can ask for a size")
    ] = "limit"
    size: Annotated[int, Meta(ge=1, le=100_000, description="Records on a page")] = 100
    first: Annotated[
        int | None, Meta(description="The number of the first record or page; else 0 for offset, 1 for page")
    ] = None
    next: Annotated[
        str | None,
        Meta(description="Where the next cursor or link is: a path, or header:<name>; else the header `Link`"),
    ] = None
    more: Annotated[
        str | None, Meta(description="Where the answer says whether there is more: a path, or header:<name>")
    ] = None
    total: Annotated[str | None, Meta(description="Where the number of all records is: a path, or header:<name>")] = (
        None
    )
    stop: Annotated[
        tuple[Stop, ...] | None,
        Meta(
            description="What ends the list: empty (a page), short (a page that is not full), total (all were seen), "
            "no more (`more` is false), missing next; without it what fits the kind"
        ),
    ] = None


class Seen(Struct, frozen=True, kw_only=True):
    """What a page brought: the records' ids in order, the whole answer, and a digest that tells pages apart."""

    ids: Sequence[str]
    times: Sequence[Any] = ()
    """When each record was changed, in the system's words; nothing where it does not say."""
    body: Any
    headers: Mapping[str, str]
    digest: str


def stops(paging: Paging) -> tuple[Stop, ...]:
    """Answer what ends the list. A short page says nothing where the system says how much there is."""
    if paging.stop is not None:
        return paging.stop
    said: tuple[Stop, ...] = (
        *(("total",) if paging.total else ()),
        *(("no more",) if paging.more else ()),
    )
    match paging.kind:
        case "none":
            return ()
        case "offset" | "page":
            return ("empty", *(said or ("short",)))
        case "last id":
            return ("empty", *said)
        case "cursor" | "link":
            return ("missing next", *said)


def ask(paging: Paging, state: State | None) -> tuple[str | None, Pairs]:
    """Answer where to ask for the page: an address that the system gave, if any, and parameters to add."""
    position = paging.position or _POSITION.get(paging.kind, "")
    match paging.kind:
        case "none":
            return None, ()
        case "offset" | "page":
            start, size = _window(paging, state["at"] if state else 0)
            first = paging.first if paging.first is not None else (0 if paging.kind == "offset" else 1)
            number = first + (start if paging.kind == "offset" else start // size)
            return None, (*_size(paging, size), (position, str(number)))
        case "cursor" | "last id":
            next_ = ((position, str(state["next"])),) if state else ()
            return None, (*_size(paging, paging.size), *next_)
        case "link":
            return (state["next"], ()) if state else (None, _size(paging, paging.size))


def advance(paging: Paging, state: State | None, seen: Seen) -> State | None:
    """Answer the state for the page after this one; ``None`` after the last. Raises BadAnswer if it has no end."""
    match paging.kind:
        case "none":
            return None
        case "offset" | "page":
            return _counted(paging, state or {"at": 0}, seen)
        case "cursor" | "link" | "last id":
            return _followed(paging, state, seen)


def _size(paging: Paging, size: int) -> Pairs:
    return ((paging.limit, str(size)),) if paging.limit else ()


def _window(paging: Paging, at: int) -> tuple[int, int]:
    """Answer where the page that holds this place begins, and its size: of several, the one that reaches furthest."""
    if paging.kind == "offset":
        return at, paging.size
    lowest = max(2, paging.size // 2, paging.size - _SIZES_TRIED)
    sizes = range(lowest, paging.size + 1) if paging.limit and at else ()
    size = max(sizes, key=lambda size: ((at // size + 1) * size, size), default=paging.size)
    return at // size * size, size


def _counted(paging: Paging, state: State, seen: Seen) -> State | None:
    at, anchor, back = state["at"], state.get("anchor"), state.get("back", 0)
    start, size = _window(paging, at)
    standing = _standing(seen)
    if anchor is not None and anchor not in standing and at > 0 and back < _STEPS_BACK:
        return {"at": max(0, at - max(1, size - 1)), "anchor": anchor, "back": back + 1}
    end = start + len(seen.ids)
    if _ended(paging, seen, end, size):
        return None
    after = {"back": back, **_turned(state, seen)}
    if paging.kind == "page" and len(seen.ids) < size and {"total", "no more"} & set(stops(paging)):
        what = f"found {len(seen.ids)} records on a page of {size} that is not the last"
        raise BadAnswer(f"list: {what}; paging.size: {len(seen.ids)} would be right if the system gives no more")
    if paging.kind == "page" and (len(seen.ids) < size or paging.limit is None):
        return {"at": start + size, **after}
    reach = sum(_window(paging, end - 1))
    anchored = len(seen.ids) > 1 and reach > end
    return {"at": end - 1, "anchor": standing[-1], **after} if anchored else {"at": end, **after}


def _standing(seen: Seen) -> list[str]:
    """Tell the records of a page apart as they stand now."""
    return [f"{id} {time}" for id, time in zip(seen.ids, seen.times, strict=True)] if seen.times else list(seen.ids)


def _ended(paging: Paging, seen: Seen, end: int, size: int) -> bool:
    rules = stops(paging)
    if not seen.ids or ("short" in rules and len(seen.ids) < size):
        return True
    if "total" in rules and end >= _number(paging, seen):
        return True
    return "no more" in rules and not _told(paging.more, seen)


def _number(paging: Paging, seen: Seen) -> int:
    """Read the number of all records."""
    found = _told(paging.total, seen)
    if isinstance(found, str) and found.isdecimal():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int):
        raise BadAnswer(f"list: found {str(found)[:80]} at {paging.total}; the number of all records would be right")
    return found


def _followed(paging: Paging, state: State | None, seen: Seen) -> State | None:
    rules = stops(paging)
    empty = (state or {}).get("empty", 0) + 1 if not seen.ids else 0
    if "empty" in rules and empty:
        return None
    if "short" in rules and len(seen.ids) < paging.size:
        return None
    if "no more" in rules and not _told(paging.more, seen):
        return None
    count = (state or {}).get("seen", 0) + len(seen.ids)
    if "total" in rules and count >= _number(paging, seen):
        return None
    following = _following(paging, seen)
    if following in (None, ABSENT, "", False):
        return None
    if not isinstance(following, str | int | float):
        raise BadAnswer(f"list: found {type(following).__name__} for the next page; text would be right")
    if state is not None and following == state["next"]:
        raise BadAnswer("list: found a next page that is this page; another one, or none, would be right")
    if empty > _EMPTY_IN_A_ROW:
        raise BadAnswer(f"list: found {empty} empty pages in a row; records, or an end, would be right")
    counted = {"seen": count} if "total" in rules else {}
    return {"next": following, **counted, **({"empty": empty} if empty else {}), **_turned(state or {}, seen)}


def _following(paging: Paging, seen: Seen) -> Any:
    if paging.kind == "last id":
        return seen.ids[-1] if seen.ids else None
    if paging.next is not None:
        return _told(paging.next, seen)
    found = _NEXT.search(seen.headers.get("link", ""))
    return found[1] if found else None


def _told(path: str | None, seen: Seen) -> Any:
    """Read what the answer says about itself, in its body or in a header; nothing is ``None``."""
    if path is None:
        return None
    if path.startswith(_HEADER):
        return seen.headers.get(path.removeprefix(_HEADER).lower())
    found = pick(seen.body, path)
    return None if found is ABSENT else found


def _turned(state: State, seen: Seen) -> State:
    """Count the pages, and refuse one that came before: each is compared with the latest at a power of two (Brent)."""
    number = state.get("n", 0) + 1
    if seen.digest == state.get("mark"):
        raise BadAnswer("list: found the same page twice; the next one would be right")
    return {"n": number, "mark": seen.digest if number & (number - 1) == 0 else state.get("mark")}
