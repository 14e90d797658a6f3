"""What was asked of a system for one piece of work: method, path, status, and the system's own name for each request.

Whoever wants to know opens a trail and does the work in it; the HTTP client leaves a line for every answer. A system's
support finds a request by its id, and a system that tells how much may still be asked tells it in headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from msgspec import Struct

IDS: Final = (
    "x-request-id",
    "request-id",
    "x-correlation-id",
    "x-ms-request-id",
    "apim-request-id",
    "x-amzn-requestid",
    "x-trace-id",
)
"""Headers in which systems name a request, the first that is there counts."""

LONGEST: Final = 80
READS: Final = frozenset({"GET", "HEAD"})


class Asked(Struct, frozen=True):
    """One request that was answered; ``rate`` holds the headers about what may still be asked."""

    method: str
    path: str
    status: int
    id: str
    rate: dict[str, str]

    @property
    def writes(self) -> bool:
        """Whether it was to change something."""
        return self.method not in READS

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}" + (f" request {self.id}" if self.id else "")


_trail: ContextVar[list[Asked] | None] = ContextVar("trail", default=None)


@contextmanager
def trail() -> Iterator[list[Asked]]:
    """Collect the requests that are made inside."""
    asked: list[Asked] = []
    before = _trail.get()
    _trail.set(asked)
    try:
        yield asked
    finally:
        _trail.set(before)  # a token could not be used where a task that was left is closed: in another context


def note(method: str, path: str, status: int, headers: Mapping[str, str]) -> None:
    """Leave a line about an answer, if anybody wants to know; no query, which may hold a credential."""
    asked = _trail.get()
    if asked is None:
        return
    id = next((headers[name] for name in IDS if name in headers), "")
    rate = {name: _plain(value) for name, value in headers.items() if "ratelimit" in name.replace("-", "")}
    asked.append(Asked(method, path.partition("?")[0], status, _plain(id), rate))


def _plain(text: str) -> str:
    return "".join(each for each in text[:LONGEST] if each.isprintable())
