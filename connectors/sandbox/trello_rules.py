"""What Trello accepts in a request, and what it makes of it; the sandbox's rules, without HTTP."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from connectors.fields import read_time, write_time
from connectors.sandbox.server import Problem
from connectors.sandbox.table import Row

_LONGEST = 16_384
_ID = re.compile(r"[0-9a-f]{24}")

ORGANIZATION = {"displayName": "text", "desc": "text", "name": "text", "website": "url"}
INVITATION = {"email": "text", "fullName": "text", "type": "text"}
TEXT = {"text": "text"}
_CARD = {
    "name": "text",
    "desc": "text",
    "idList": "id",
    "idMembers": "ids",
    "idLabels": "ids",
    "due": "time?",
    "start": "time?",
    "dueComplete": "flag",
    "pos": "place",
    "address": "text?",
    "locationName": "text?",
    "coordinates": "text?",
}
CARD_CREATE = {**_CARD, **dict.fromkeys(("idCardSource", "keepFromSource", "urlSource"), "nothing?")}
CARD_UPDATE = {**_CARD, "idBoard": "id", "closed": "flag"}
_TRIMMED = frozenset({"name", "displayName"})


def check(rules: dict[str, str], sent: dict[str, Any], needed: tuple[str, ...]) -> str | None:
    """Say what is wrong with a request, in Trello's words; nothing if all is well."""
    for name in needed:
        if sent.get(name) in (None, ""):
            return f"{name} is required"
    for name, value in sent.items():
        kind = rules.get(name, "")
        if not (value is None and kind.endswith("?")) and not _is(kind.rstrip("?"), value):
            return f"invalid value for {name}"
    if "displayName" in sent and sent["displayName"] != sent["displayName"].strip():
        return "invalid value for displayName"
    return None


def moment(name: str, value: Any) -> Any:
    """Answer a value as it is stored: times to the millisecond, names without blanks around."""
    if name in {"idMembers", "idLabels"}:
        return ids(value)
    if name in {"due", "start"} and value is not None:
        return write_time(read_time(value) or 0)
    return value.strip() if name in _TRIMMED else value


def ids(value: Any) -> list[Any]:
    """Answer ids that came as a list, or as one text with commas."""
    return [one for one in value.split(",") if one] if isinstance(value, str) else list(value or ())


def slug(name: str) -> str:
    """Make a slug of a name: what may not stand in one is taken out."""
    return re.sub(r"[^a-z0-9_]", "", name)


def window(rows: list[Row], request: web.Request, size: int, *, largest: int) -> list[Row]:
    """Answer the newest rows between ``since`` and ``before``, which are ids or times of creation."""
    if not 0 <= size <= largest and "limit" in request.query:
        raise Problem(400, "invalid value for limit")
    since, before = request.query.get("since"), request.query.get("before")
    rows = [row for row in rows if since is None or _after(row, since)]
    rows = [row for row in rows if before is None or not (_after(row, before) or row.record["id"] == before)]
    return sorted(rows, key=lambda row: str(row.record["id"]))[-size:] if size else []


def _after(row: Row, point: str) -> bool:
    if _ID.fullmatch(point):
        return bool(row.record["id"] > point)
    try:
        return row.created >= (read_time(point) or 0)
    except ValueError:
        raise Problem(400, "invalid date") from None


def _is(kind: str, value: Any) -> bool:  # noqa: PLR0911 - one line for each kind
    match kind:
        case "text":
            return isinstance(value, str) and len(value) <= _LONGEST
        case "url":
            return value in (None, "") or (isinstance(value, str) and value.startswith(("http://", "https://")))
        case "flag":
            return isinstance(value, bool)
        case "id":
            return isinstance(value, str) and _ID.fullmatch(value) is not None
        case "ids":
            return isinstance(value, list | str) and all(_is("id", item) for item in ids(value))
        case "place":
            return value in ("top", "bottom") or (isinstance(value, int | float) and not isinstance(value, bool))
        case "time":
            return _is_time(value)
        case _:
            return False


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and read_time(value) is not None
    except ValueError:
        return False
