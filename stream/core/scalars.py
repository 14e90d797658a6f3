"""Scalars: one value as a text, a number, yes or no, a day or an instant.

Systems hold the same thing in several types. Each function here takes whatever a system may hold and answers the one
form that we compare, or raises ValueError, which says what was found and what would be right: nothing is guessed, and
nothing is too long or too far away to be refused. Which of them a mapping goes through is said in ``conversions``.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo

from stream.model import Value

_DIGITS: Final = 400
"""Characters of a number that are looked at; what is longer is none."""


def text_of(value: Value) -> str:
    """A text; no value is the empty one."""
    # An API that has a text takes "" to empty it, and may well refuse null; hence "" and not None, on both sides.
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            raise wrong(value, "a text")


def integer_of(value: Value) -> int:
    """An integer, also one that is written as a text or with an empty fraction."""
    match value:
        case bool():
            raise wrong(value, "an integer")
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if value.strip().lstrip("+-").isdecimal() and len(value) <= _DIGITS:
            try:
                return int(value)
            except ValueError:
                raise wrong(value, "an integer") from None
        case _:
            raise wrong(value, "an integer")


def number_of(value: Value) -> Decimal:
    """A finite number, exactly as it is written."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | str)
        or (isinstance(value, str) and len(value) > _DIGITS)
    ):
        raise wrong(value, "a number")
    try:
        number = Decimal(str(value).strip())
    except (InvalidOperation, ValueError):
        raise wrong(value, "a number") from None
    if not number.is_finite() or math.isinf(float(number)):
        raise wrong(value, "a finite number")
    return number


def boolean_of(value: Value) -> bool:
    """Yes or no, by any of the usual words."""
    word = value.strip().lower() if isinstance(value, str) else value
    if word is True or word is False:
        return word
    if word in ("true", "1", 1):
        return True
    if word in ("false", "0", 0):
        return False
    raise wrong(value, "true or false")


def day_of(value: Value, zone: ZoneInfo | None) -> str:
    """The date of a date or a date-time: as it is written, or as it is seen in the zone."""
    if not isinstance(value, str) or not value:
        raise wrong(value, "a date as 2026-05-01")
    try:
        if len(value) == len("2026-05-01"):
            return date.fromisoformat(value).isoformat()
        moment = datetime.fromisoformat(value)
        moment = moment.astimezone(zone) if zone and moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise wrong(value, "a date as 2026-05-01") from None
    return moment.date().isoformat()


def moment_of(value: Value, zone: ZoneInfo) -> str:
    """An instant as UTC; without an offset it is one of the zone."""
    if not isinstance(value, str) or not value:
        raise wrong(value, "a date-time as 2026-05-01T12:00:00Z")
    try:
        moment = datetime.fromisoformat(value)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong(value, "a date-time as 2026-05-01T12:00:00Z") from None
    return moment.isoformat().removesuffix("+00:00") + "Z"


def wrong(value: Value, right: str) -> ValueError:
    """What was found, and what would be right."""
    return ValueError(f"found {value!r:.80}; {right} would be right")
