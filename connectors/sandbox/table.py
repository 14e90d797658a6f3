"""The records of one type in a sandbox: by id, in order of creation, and by time of their last change. No HTTP here."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from msgspec import Struct


class Row(Struct):
    """One record, its place in the order of creation, and when it was made and changed (microseconds)."""

    number: int
    record: dict[str, Any]
    created: int
    updated: int


class Table:
    """Records by id. Lists come in the order of creation, which no edit changes."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._number = 0
        self._changes: list[tuple[int, str]] = []
        self._order: list[Row] | None = []

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, id: str) -> bool:
        return id in self._rows

    def get(self, id: str) -> Row | None:
        """Answer the row with this id."""
        return self._rows.get(id)

    def put(self, id: str, record: dict[str, Any], now: int) -> Row:
        """Add or replace a record; times of changes never go backwards."""
        now = max(now, self._changes[-1][0]) if self._changes else now
        row = self._rows.get(id)
        if row is None:
            self._number += 1
            row = self._rows[id] = Row(self._number, record, now, now)
            if self._order is not None:
                self._order.append(row)
        else:
            row.record = record
            row.updated = now
        self._changes.append((now, id))
        if len(self._changes) > 1_000 + 4 * len(self._rows):
            self._changes = sorted((row.updated, name) for name, row in self._rows.items())
        return row

    def replace(self, id: str, record: dict[str, Any]) -> None:
        """Change a record without its counting as changed."""
        self._rows[id].record = record

    def drop(self, id: str) -> None:
        """Take a record out."""
        del self._rows[id]
        self._order = None

    def rows(self, since: int | None = None) -> list[Row]:
        """List all rows, or those changed at or after a time, in order of creation."""
        if since is None:
            if self._order is None:
                self._order = list(self._rows.values())
            return self._order
        start = bisect_left(self._changes, (since, ""))
        changed = {name for _, name in self._changes[start:]}
        found = [row for name in changed if (row := self._rows.get(name)) is not None and row.updated >= since]
        return sorted(found, key=lambda row: row.number)

    def ids(self) -> Iterator[str]:
        """All ids, in order of creation."""
        return iter(self._rows)
