"""What a tester types: another value of the kind that a field holds, which the other side has a word for. Pure."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import count

from stream.core.flows import Convert, Pair
from stream.model import Value

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_FIRST = date(2027, 1, 4)


class Words:
    """A tester's words; every text and date is new."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._numbers = count(1)

    def text(self) -> str:
        """A text that any system takes as it is: short, lower case, no blanks at its ends."""
        return f"qa {self._seed} {next(self._numbers)}"

    def day(self, field: str) -> str:
        """A date; what begins is long before what ends, as systems want it."""
        first = _FIRST - timedelta(days=400) if "start" in field.lower() else _FIRST
        return (first + timedelta(days=next(self._numbers))).isoformat()

    def another(self, pair: Pair, *, left: bool, now: Value, like: Value = None) -> Value | None:
        """A value for one side of a pair that differs from what stands there and can be said on the other side.

        ``like`` is a value that another record has there. ``None`` when the tester knows no such value.
        """
        convert = pair.conversion.to if left else pair.conversion.back
        for value in self._candidates(pair, left=left, now=like if now is None else now):
            there = _said(value, convert)
            if value != now and there is not None and there != _said(now, convert):
                return value
        return None

    def _candidates(self, pair: Pair, *, left: bool, now: Value) -> list[Value]:
        field = pair.left if left else pair.right
        known = [words[0 if left else 1] for words in pair.conversion.words]
        if known:
            return known
        day = f"{self.day(field)}T12:00:00Z"
        match now, pair.conversion.name:
            case (bool(), _) | (_, "boolean"):
                return [not now]
            case (int() | float(), _) | (_, "integer" | "decimal"):
                return [(now or 0) + next(self._numbers)]
            case (str(), _) if _DAY.match(now):
                return [day[:10] + now[10:], day]
            case (_, "date" | "datetime"):
                return [day[:10], day]
            case _:
                return [self.text()]


def converted(value: Value, convert: Convert | None) -> Value:
    """A value in the other side's words. Raises ValueError when there is none."""
    return value if convert is None else convert(value)


def same(one: Value, other: Value) -> bool:
    """Equal up to what systems do to texts: outer blanks, empty or nothing, moments written in another way."""
    return bool(_plain(one) == _plain(other))


def _plain(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _DAY.match(text) and len(text) > len("2027-01-04"):
        with suppress(ValueError):
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment
    return text or None


def _said(value: Value, convert: Convert | None) -> Value:
    try:
        return converted(value, convert)
    except ValueError:
        return None
