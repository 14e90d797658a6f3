"""One transaction's worth of units and records, as statements.

``sqlite3`` gives the GIL away once per statement step, so rows travel in statements of up to 256 VALUES: beside a busy
loop this writes nearly twice as much as one step per row. Of several values of one row the last is stored.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from stream.engine.embedded.schema import OFFSET_BITS, pack_headers, seal, tp_of
from stream.engine.log import Outgoing, Staged, partition_of

CHUNKS = (256, 64, 16, 4, 1)


def _statements(insert: str, columns: int, tail: str = "") -> dict[int, str]:
    one = f"({','.join('?' * columns)})"
    return {size: f"{insert} values {','.join([one] * size)} {tail}" for size in CHUNKS}


_RECORDS = _statements("insert into records(id, ts, key, value, headers)", 5)
_ROWS = _statements("insert into rows(lane, key, value)", 3, "on conflict do update set value = excluded.value")
_OFFSETS = _statements("insert into offsets(lane, tp, next)", 3, "on conflict do update set next = excluded.next")
_HEADS = _statements("insert into heads(tp, next)", 2, "on conflict do update set next = excluded.next")


class Batch:
    """Collects, then stores. ``heads`` becomes the next offsets as they are after it."""

    def __init__(self, topics: Mapping[str, tuple[int, int]], heads: Mapping[int, int], now: int) -> None:
        self.heads = dict(heads)
        self.grown: set[int] = set()
        self._topics = topics
        self._now = now
        self._records: list[Any] = []
        self._rows: defaultdict[int, dict[bytes, bytes | None]] = defaultdict(dict)
        self._offsets: dict[tuple[int, int], int] = {}

    def unit(self, lane: int, unit: Staged) -> None:
        """Add a unit of the lane with this id."""
        self._rows[lane].update(unit.rows)
        for topic, following in unit.offsets.items():
            self._offsets[lane, tp_of(self._topics[topic][0], unit.lane.partition)] = following
        self.append(unit.records)

    def append(self, records: Sequence[Outgoing]) -> None:
        """Add records."""
        heads, add = self.heads, self._records.extend
        for record in records:
            topic, partitions = self._topics[record.topic]
            partition = record.partition
            tp = tp_of(topic, partition_of(record.key, partitions) if partition is None else partition)
            offset = heads.get(tp, 0)
            heads[tp] = offset + 1
            self.grown.add(tp)
            moment = self._now if record.timestamp is None else record.timestamp
            add((tp << OFFSET_BITS | offset, moment, record.key, record.value, pack_headers(record.headers)))

    def store(self, connection: sqlite3.Connection) -> None:
        """Write all of it; the caller commits."""
        _insert(connection, _RECORDS, 5, self._records)
        for lane, rows in self._rows.items():
            kept: list[Any] = []
            gone: list[tuple[int, bytes]] = []
            for key, row in rows.items():
                if row is None:
                    gone.append((lane, key))
                else:
                    kept += (lane, key, seal(key, row))
            _insert(connection, _ROWS, 3, kept)
            if gone:
                connection.executemany("delete from rows where lane = ? and key = ?", gone)
        _insert(
            connection, _OFFSETS, 3, [part for key, following in self._offsets.items() for part in (*key, following)]
        )
        _insert(connection, _HEADS, 2, [part for tp in self.grown for part in (tp, self.heads[tp])])


def _insert(connection: sqlite3.Connection, statements: Mapping[int, str], columns: int, flat: list[Any]) -> None:
    start, end = 0, len(flat)
    for size, statement in statements.items():
        step = size * columns
        while end - start >= step:
            connection.execute(statement, flat[start : start + step])
            start += step
