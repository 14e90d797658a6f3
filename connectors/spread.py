"""How long things took: a count per bound, and a sum; as many numbers after a million of them as after one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

QUICK = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds of requests that are told apart."""


class Spread:
    """How long things took."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """How many took at most each bound, and more than the last; not added up."""
        self.sum = 0.0

    def add(self, all: Iterable[float]) -> None:
        """Count these seconds."""
        for seconds in all:
            self.counts[bisect_left(self.bounds, seconds)] += 1
            self.sum += seconds
