"""How far a system's clock is ahead of ours, as the ``Date`` of its answers tells.

An edit is dated by the clock of its system; known to be ten minutes slow, it can still be put in order with others.
``Date`` knows whole seconds, and an answer is some time on its way: only the middle of many is believed, and what is
less than two seconds is called none. An answer out of a cache has an old date, and is not asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Final

_SAMPLES: Final = 31
_ENOUGH: Final = 3
_SLOW: Final = 5.0
"""Seconds after which an answer says nothing about the time any more."""
_NONE: Final = 2.0
"""Seconds that are no difference."""


def date_of(headers: Mapping[str, str]) -> float | None:
    """The time in an answer's headers, in seconds; ``None`` where there is none."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):  # whoever writes a year of twenty digits
        return None


class Ahead:
    """What the answers of one system told of its clock."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=_SAMPLES)

    def hear(self, headers: Mapping[str, str], sent: float, got: float) -> None:
        """Take an answer to a request that was sent and answered at these times of ours, in seconds."""
        date = date_of(headers)
        if date is not None and headers.get("age", "0") == "0" and 0.0 <= got - sent <= _SLOW:
            self._samples.append(date + 0.5 - (sent + got) / 2)

    def seconds(self) -> float | None:
        """The difference; ``None`` while too little is known."""
        if len(self._samples) < _ENOUGH:
            return None
        ahead = median(self._samples)
        return ahead if abs(ahead) >= _NONE else 0.0
