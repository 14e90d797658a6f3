"""Readers of one log, lent to threads: to open one on a cluster takes longer than to ask it.

Each is one borrower's at a time. One of a cluster that comes back forgets the rows that it read, for they may be all
there are, and is lent again; one whose borrower failed is closed. A file is opened anew every time, for it may be
another one by now.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from stream.engine.backends import is_kafka, open_reader
from stream.engine.reader import Reader

KEPT: Final = 2
"""Readers that nobody has, at most."""


class Readers:
    """Lends readers of the log at ``url``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._idle: list[Reader] = []
        self._closed = not is_kafka(url)

    @contextmanager
    def lent(self) -> Iterator[Reader]:
        """A reader that nobody else has. Raises what ``open_reader`` raises."""
        with self._lock:
            reader = self._idle.pop() if self._idle else None
        if reader is None:
            reader = open_reader(self._url)
        kept = False
        try:
            yield reader
            reader.forget()
            with self._lock:
                if kept := len(self._idle) < KEPT and not self._closed:
                    self._idle.append(reader)
        finally:
            if not kept:
                reader.close()

    def close(self) -> None:
        """Close those that nobody has; the others when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()
