"""JSON written by strangers: bytes in, values out, or ``BadAnswer`` with the reason.

A system may answer anything: an error page with status 200, ten thousand levels, ``NaN``, a key twice, an integer
of a million digits, half a surrogate pair. Each of them breaks something far from here (a stack, a comparison, an
encoder), so all are refused or repaired at this one door. What passes can be encoded again by any JSON encoder.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

from connectors.errors import BadAnswer

DEPTH = 64
LONGEST = 250_000
"""Letters of one text in a record; a message of Kafka holds a million bytes."""
LOWEST, HIGHEST = -(2**63), 2**64 - 1
"""The integers that JSON encoders take."""

_SHOWN = 500
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)  # possessive: a string without an end costs no more
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_HALF = re.compile("[\ud800-\udfff]")


def decode(body: bytes, where: str = "answer") -> Any:
    """Decode a foreign JSON text; an empty one is ``None``. Raises BadAnswer."""
    text = body.strip()
    if not text:
        return None
    if text.startswith(b"<"):
        raise BadAnswer(f"{where}: found markup; JSON would be right", body=body[:_SHOWN])
    if _deeper_than(text, DEPTH):
        raise BadAnswer(f"{where}: found more than {DEPTH} levels; fewer would be right", body=body[:_SHOWN])
    try:
        value = json.loads(
            text.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"{where}: found {_reason(error)}; JSON would be right", body=body[:_SHOWN]) from None
    return _whole(value) if rb"\u" in text else value


def _deeper_than(text: bytes, depth: int) -> bool:
    """Tell whether brackets nest deeper, by peeling innermost pairs: as many passes as there are levels."""
    brackets = _STRING.sub(b"", text).translate(None, delete=_NOT_BRACKETS)
    for _ in range(depth):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets) and len(brackets) > 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:80]!r} twice")
    return value


def _integer(digits: str) -> int:
    if len(digits) > len(str(LOWEST)) or not LOWEST <= (value := int(digits)) <= HIGHEST:
        raise ValueError(f"an integer of {len(digits)} digits")
    return value


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number too large")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(name)


def _reason(error: Exception) -> str:
    match error:
        case json.JSONDecodeError():
            return f"{error.msg.lower()} at byte {error.pos}"
        case UnicodeDecodeError():
            return f"bytes that are not UTF-8 at {error.start}"
        case RecursionError():
            return "too many levels"
        case _:
            return str(error)


def _whole(value: Any) -> Any:
    """Put the replacement character where half a surrogate pair stands alone."""
    match value:
        case str():
            return _HALF.sub("\ufffd", value)
        case list():
            return [_whole(item) for item in value]
        case dict():
            return {_whole(name): _whole(item) for name, item in value.items()}
        case _:
            return value


def outsized(value: Any, path: str = "") -> None:
    """Find a text that no message could carry. Raises ValueError with its path."""
    match value:
        case str() if len(value) > LONGEST:
            raise ValueError(f"{path}: found {len(value)} letters; at most {LONGEST} would be right")
        case list():
            for item in value:
                outsized(item, path)
        case dict():
            for name, item in value.items():
                outsized(item, f"{path}.{name[:80]}" if path else name[:80])
        case _:
            pass
