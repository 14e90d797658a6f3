"""How fast things come, from counts that only grow: the page and the terminal say it alike."""

from __future__ import annotations

from collections import deque

MINUTE = 60.0


class Pace:
    """How many of a thing there were in the last minute, from counts that only grow."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, int]]] = deque()

    def take(self, now: float, counts: dict[str, int]) -> None:
        """Note how many there are now."""
        self._samples.append((now, counts))
        while now - self._samples[0][0] > MINUTE and len(self._samples) > 1:
            self._samples.popleft()

    def per_minute(self, name: str) -> int:
        """How many came in the last minute, as far as it was watched."""
        if not self._samples:
            return 0
        return self._samples[-1][1].get(name, 0) - self._samples[0][1].get(name, 0)
