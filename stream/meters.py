"""What one worker counts as it works: plain numbers, added to once per batch, read by whoever asks.

Nothing here knows of any format of metrics, and no number belongs to one record: names are entity types and outcomes,
so there are as many numbers with a million records as with one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from connectors.spread import Spread

BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Seconds that are told apart: a person waits for one, an alert for three hundred."""


class Meters:
    """The numbers of one worker, since it started."""

    def __init__(self) -> None:
        self.pages: Counter[str] = Counter()
        """Pages read, by type."""
        self.failures: Counter[str] = Counter()
        """Readings that failed, by type."""
        self.writes: Counter[tuple[str, str, str]] = Counter()
        """Writes by type, kind of command and outcome."""
        self.emitted: Counter[tuple[str, str]] = Counter()
        """Records by topic family (changes, conflicts, parked) and the type that they are about."""
        self.arrived: dict[str, Spread] = {}
        """By the type that was written: from an edit, made while this worker ran, until the write was acknowledged."""

    def arrive(self, type: str, seconds: Iterable[float]) -> None:
        """Edits have arrived at records of a type, so long after they were made."""
        self.arrived.setdefault(type, Spread(BOUNDS)).add(seconds)
