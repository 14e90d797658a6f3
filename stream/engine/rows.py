"""Rows a lane has at hand, in two generations: what is used stays, what is not goes.

A row that was looked up and is not there is remembered too (``None``). Bounded by count and by bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, final


@final
class Missing:
    """Nothing is known about a row, which is not the same as knowing that there is none."""


MISSING: Final = Missing()


class Rows:
    """A cache of rows: at most ``limit`` rows and about ``size`` bytes."""

    def __init__(self, limit: int = 20_000, size: int = 16 << 20) -> None:
        self._limit = max(1, limit // 2)
        self._size = size // 2
        self._bytes = 0
        self._young: dict[bytes, bytes | None] = {}
        self._old: dict[bytes, bytes | None] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: bytes) -> bytes | Missing | None:
        """The row if it is at hand."""
        row = self._young.get(key, MISSING)
        if row is not MISSING:
            return row
        row = self._old.get(key, MISSING)
        if row is MISSING:
            return row
        assert not isinstance(row, Missing)
        self.put(key, row)
        return row

    def put(self, key: bytes, row: bytes | None) -> None:
        """Remember a row."""
        self._young[key] = row
        self._grow(len(key) + (len(row) if row is not None else 0))

    def _grow(self, size: int) -> None:
        self._bytes += size
        if len(self._young) >= self._limit or self._bytes >= self._size:
            self._old, self._young, self._bytes = self._young, {}, 0

    def update(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Remember many."""
        self._young.update(rows)
        self._grow(sum(map(len, rows)) + sum(len(row) for row in rows.values() if row is not None))


def overlaid(
    below: Iterable[tuple[bytes, bytes]],
    above: Iterable[Mapping[bytes, bytes | None]],
    prefix: bytes,
    after: bytes = b"",
) -> Iterator[tuple[bytes, bytes]]:
    """Rows under newer ones, the newest last, in key order, by prefix and from beyond ``after``."""
    staged = (item for rows in above for item in rows.items())
    over = {key: row for key, row in staged if key.startswith(prefix) and key > after}
    waiting = deque(sorted(over))
    for key, row in below:
        while waiting and waiting[0] < key:
            first = waiting.popleft()
            if (newer := over[first]) is not None:
                yield first, newer
        if key not in over:
            yield key, row
    for key in waiting:
        if (newer := over[key]) is not None:
            yield key, newer
