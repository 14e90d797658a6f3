"""The table ``links``, read from outside: rows of entities and match values, past what lanes keep for themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from stream.codec import row_of
from stream.core.row import Kept
from stream.topics import CENSUS, WAKE

JOIN = "join"
"""The agent whose rows are the table."""


class Rows(Protocol):
    """Whatever can list an agent's rows."""

    def rows(self, agent: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows by prefix."""
        ...


def rows_of(reader: Rows, prefix: str = "") -> Iterator[tuple[str, Kept]]:
    """The rows whose keys begin with ``prefix``. Raises BadRecord for one that cannot be read."""
    for key, data in reader.rows(JOIN, prefix.encode()):
        if key != CENSUS and not key.startswith(WAKE):
            row = row_of(data)
            if row is not None:
                yield key.decode(), row
