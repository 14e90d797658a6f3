"""What Trello takes, and how it refuses: bodies of requests, slugs, and the meaning of its plain-text answers. Pure.

A workspace's ``name`` is a slug: Trello removes what it does not like and puts another one in place of one that is
taken, silently. So only slugs are sent that it has no reason to rewrite, and two names are the same when their slugs
are. Refusals are often plain text, and the status alone misleads: 401 may mean one card, 429 a request that is too
large for ever.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from connectors.endpoint import Record
from connectors.errors import Refused
from connectors.fields import pick
from connectors.trello_records import COMMENT, LONGEST, Kind
from connectors.verdicts import Verdict
from connectors.wire import Complaint, Request

SHORTEST = 3
"""Letters of a slug."""

WINDOW = 10.0
"""Seconds in which requests are counted."""

_LETTERS = str.maketrans({"æ": "ae", "ø": "o", "å": "a", "ß": "ss", "ð": "d", "þ": "th", "đ": "d", "ł": "l"})
_FIELD = re.compile(r"(?i)\binvalid value for ([\w/]+)|\b(\w+) is required")
_FLAGS = frozenset({"closed", "dueComplete"})
_LISTS = frozenset({"idMembers", "idLabels"})
_TEXTS = frozenset({"name", "desc", "displayName", "website", "text"})
_NEEDED = frozenset({"name", "displayName"})


def slug(text: str) -> str:
    """Spell a name as Trello would have it: small letters without accents, digits and underscores."""
    plain = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS))
    return re.sub(r"[^a-z0-9_]", "", plain)


def is_slug_of(held: Any, wanted: Any) -> bool:
    """Tell whether a slug is what Trello makes of a name, with a number where the plain one was taken."""
    made = slug(str(wanted))
    return isinstance(held, str) and (held == made or re.fullmatch(re.escape(made) + r"\d{1,6}", held) is not None)


def checked(type: str, kind: Kind, wanted: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
    """Answer the wanted values in Trello's own types. Raises Refused with every field that it does not take."""
    known = kind.traits.writable or frozenset()
    refused: dict[str, str] = {}
    values: dict[str, Any] = {}
    for path, value in wanted.items():
        if path not in known:
            refused[path] = "is not writable"
        elif not creating and path in kind.unwritable:
            refused[path] = kind.unwritable[path]
        elif why := _wrong(path, value):
            refused[path] = why
        else:
            values[path] = _typed(path, value)
    if creating:
        refused |= {path: "is required" for path in kind.traits.required if wanted.get(path) in (None, "")}
    if refused:
        said = ", ".join(f"{path} ({why})" for path, why in refused.items())
        raise Refused(f"{type}: found {said}; values that Trello takes would be right", fields=refused)
    return values


def _wrong(path: str, value: Any) -> str | None:
    name = path.rpartition(".")[2]
    if name in _FLAGS and not isinstance(value, bool):
        return "must be true or false"
    if name in _NEEDED and (not isinstance(value, str) or not value.strip()):
        return "may not be empty"
    if name == "website" and value and not str(value).startswith(("http://", "https://")):
        return "must begin with http:// or https://"
    if name in _TEXTS and value is not None and not isinstance(value, str):
        return "must be text"
    if isinstance(value, str) and len(value) > LONGEST:
        return f"has {len(value)} letters, more than {LONGEST}"
    return None


def _typed(path: str, value: Any) -> Any:
    if path in _LISTS:
        return [str(each) for each in value] if isinstance(value, list) else [str(value)] if value else []
    if path == "displayName":
        return value.strip()
    return "" if value is None and path in _TEXTS else value


def long_enough(path: str, text: str) -> str:
    """Answer a text with its marker. Raises Refused if it is longer than Trello takes."""
    if len(text) > LONGEST:
        why = f"has {len(text)} letters with our mark, more than {LONGEST}"
        raise Refused(f"{path}: {why}", fields={path: why})
    return text


def slug_for(wanted: Mapping[str, Any], held: Record | None = None) -> dict[str, Any]:
    """Answer the wanted values of a workspace with a slug for its name, and without one that stands already."""
    values = dict(wanted)
    if "name" in values:
        made = slug(str(values["name"]))
        if len(made) < SHORTEST:
            why = f"needs {SHORTEST} letters of a-z, 0-9 and _"
            raise Refused(f"organizations: found the name {values['name']!r:.80}, which {why}", fields={"name": why})
        values["name"] = made
        if held is not None and is_slug_of(held.get("name"), made):
            del values["name"]
    return values


def changeable(base: Record) -> None:
    """Raise Refused unless this action is a comment."""
    if pick(base, "type") != COMMENT:
        raise Refused(
            f"actions: found {pick(base, 'type')!r}; only comments can be changed", fields={"data.text": "read-only"}
        )


def complaint(body: Any) -> Complaint:
    """Read a refusal: plain text, or an object with ``message`` and ``error``."""
    said = _words(body)
    found = _FIELD.search(said)
    return said, {found[1] or found[2]: said} if found else {}


def judge(request: Request, status: int, body: Any) -> Verdict | None:
    """Say what a refusal means where its words know better than its status."""
    said, reads = _words(body).lower(), request.method == "GET"
    if "api_too_many_cards_requested" in said:
        return Verdict.REFUSED
    match status:
        case 400 if reads and request.one and said.startswith("invalid id"):
            return Verdict.MISSING
        case 401 if request.one and said.startswith("unauthorized"):
            return Verdict.REFUSED  # this record, not these credentials
        case 449 if not reads:
            return Verdict.UNSURE  # a part of it failed
        case _:
            return None


def pause(status: int, headers: Mapping[str, str], *, roll: float) -> float | None:
    """Answer for how many seconds nothing may be asked: to the end of the window. ``roll`` is 0 to 1."""
    if status == 429:  # noqa: PLR2004 - too many requests
        return WINDOW * (1.0 + roll / 4.0)
    for one in ("token", "key"):
        if headers.get(f"x-rate-limit-api-{one}-remaining") == "0":
            interval = headers.get(f"x-rate-limit-api-{one}-interval-ms", "")
            return min(int(interval) / 1000.0, WINDOW) if interval.isdecimal() else WINDOW
    return None


def _words(body: Any) -> str:
    if isinstance(body, dict):
        texts = [body.get(name) for name in ("error", "message")]
        return ": ".join(text for text in texts if isinstance(text, str))
    return body if isinstance(body, str) else ""
