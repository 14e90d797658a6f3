"""Absence: a record that a whole list does not show is asked for by itself.

Most systems do not tell of deletions. That a list leaves a record out proves nothing: it may lag, shift between two
pages, or be cut by rights. It is a reason to look. About once an hour the records that were published are compared
with a round that listed everything; whatever it did not show is read by its id. Missing then, and missing again a
minute later, it is gone. Whatever is still there has left our sight and is forgotten: it is news when it is listed
again.

The list is compared in memory alone: a worker that is started anew begins with the next round. What was missing once is
a row of the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

from msgspec import Struct

from connectors.endpoint import Cursor, Endpoint, Page
from connectors.errors import BadAnswer, Locked, Missing, Refused, Retry
from stream.model import Time
from stream.ports import Unit

EVERY: Time = 3_000_000_000
"""Microseconds between two comparisons at least: less than an hour, after which some systems are read whole."""
APART: Time = 60_000_000
"""Microseconds between two looks that prove a deletion."""
MOST = 50
"""Records that are read by themselves after one round."""
ABSENT = b"absent:"

Turn = Callable[[], AbstractAsyncContextManager[Unit]]


class Found(Struct, frozen=True):
    """What became of the records that were read by themselves."""

    there: tuple[str, ...] = ()
    once: tuple[tuple[str, Time], ...] = ()
    """Missing for the first time, and when they were asked for."""
    gone: tuple[tuple[str, Time], ...] = ()
    """Missing for the second time."""


class Absence:
    """What the rounds of one entity type do not show."""

    def __init__(self, name: str, endpoint: Endpoint, clock: Callable[[], Time]) -> None:
        self._rows = ABSENT + f"{name}:".encode()
        self._type = name.partition(".")[2]
        self._endpoint = endpoint
        self._clock = clock
        self._from = ""
        self._reached: Cursor = None
        """Where the page ended that was seen last."""
        self._seen: set[str] | None = None
        """What the round under way has shown; nothing if it is not to be compared."""
        self._left: list[str] = []
        """What is still to be read by itself."""

    def saw(self, page: Page, *, after: Cursor, begins: bool) -> None:
        """Note what a page shows that comes ``after`` a place; ``begins``: with it a round begins, to be compared.

        Pages in between were read by another worker, and what they showed is not known here.
        """
        if begins:
            self._seen, self._from = set(), ""
        elif after != self._reached:
            self._seen = None
        self._reached = page.cursor
        if self._seen is None:
            return
        if page.whole is None:
            self._seen = None
            return
        self._from = max(self._from, page.whole)
        self._seen |= {one.id for one in page.entities}
        self._seen |= {one.id for one in page.rejected if one.id is not None}

    def compare(self, known: Iterator[str]) -> bool:
        """Compare a round that is over with what is known; whether it was one that could be compared."""
        seen, self._seen = self._seen, None
        if seen is None:
            return False
        self._left = [id for id in known if id >= self._from and id not in seen]
        return True

    async def look(self, turn: Turn) -> Found:
        """Read by themselves those that are due. Raises Retry and Locked; who was not read then is due again."""
        async with turn() as unit:
            once = {key[len(self._rows) :].decode(): int.from_bytes(at, "big") for key, at in unit.scan(self._rows)}
        due = [id for id, at in once.items() if at + APART <= self._clock()]
        due = (due + [id for id in self._left if id not in once])[:MOST]
        there, missing, read = [], [], set[str]()
        for id in due:
            asked_at = self._clock()
            try:
                await self._endpoint.read(self._type, id)
            except Missing:
                missing.append((id, asked_at))
            except (Refused, BadAnswer):
                pass  # neither there nor missing: the next comparison asks again
            except (Retry, Locked):
                if not read:
                    raise
                break  # of fifty, one always fails: what the others told would never be heard
            else:
                there.append(id)
            read.add(id)
        self._left = [id for id in self._left if id not in read]
        first = tuple(one for one in missing if one[0] not in once)
        return Found(tuple(there), first, tuple(one for one in missing if one[0] in once))

    def note(self, unit: Unit, found: Found) -> None:
        """Keep what was missing once; what was decided is kept no more."""
        for id, at in found.once:
            unit.put(self._rows + id.encode(), at.to_bytes(8, "big"))
        for id in (*found.there, *(id for id, _ in found.gone)):
            unit.put(self._rows + id.encode(), None)
