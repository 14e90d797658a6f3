"""The plan: every record that a worker would read now, worked in by a rehearsal. Systems are read and never written.

Rows come from the log, as far as there is one; it is not written either. Where a worker has read a type completely
under the same flows, reading goes on from where it is; everything else is read from the beginning. A type that could
not be read to its end opens no gate: what would be linked or created by it is not told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from connectors.endpoint import Cursor, Endpoint, Page
from connectors.errors import ConnectorError, Retry
from stream.core.row import Kept
from stream.envelope import Envelope
from stream.join import Join
from stream.model import Change, Gone, Seen, Time
from stream.operate.table import rows_of
from stream.poll import decode_state
from stream.rehearsal import Rehearsal, granted
from stream.topology import Topology

TRIES = 5
"""How often a page is asked for of a system that says: later."""
PATIENCE = 60.0
"""Seconds that it may ask us to wait each time."""


class Log(Protocol):
    """Whatever has the rows."""

    def rows(self, agent: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows of an agent."""
        ...

    def row(self, agent: str, key: bytes, partition: int | None = None) -> bytes | None:
        """A row."""
        ...


class Planned:
    """A plan in the making. ``log`` is left out to plan as if nothing were there yet."""

    def __init__(self, topology: Topology, clock: Callable[[], Time], log: Log | None) -> None:
        self.topology = topology
        self.errors: dict[str, str] = {}
        """Per entity type, why it was not read."""
        self.read: dict[str, int] = dict.fromkeys(topology.types, 0)
        """Per entity type, the records that were read."""
        self.on_page: Callable[[str, int], object] = lambda _name, _count: None
        self._clock = clock
        self._log = log
        self._reading = Join(topology.flows, clock).reading
        self.rehearsal = Rehearsal(topology.flows, clock(), granted, kept(log) if log is not None else {})

    async def make(self, endpoints: Mapping[str, Endpoint]) -> Rehearsal:
        """Read all types, each to its end, and see what would follow."""
        self.rehearsal.again()
        await asyncio.gather(*(self._type(name, endpoints[each.system]) for name, each in self.topology.types.items()))
        self.rehearsal.open(self.topology.types.keys() - self.errors.keys())
        self.rehearsal.settle()
        return self.rehearsal

    async def _type(self, name: str, endpoint: Endpoint) -> None:
        short = name.partition(".")[2]
        connector = self.topology.systems[self.topology.types[name].system].connector
        envelope = Envelope(name, connector, endpoint.traits()[short])
        cursor = self._cursor(name)
        try:
            while True:
                read_at = self._clock()
                page = await _page(endpoint, short, cursor)
                ahead = round((endpoint.clock_ahead() or 0.0) * 1e6)
                for entity in page.entities:
                    self._work(name, entity.id, envelope.seen(entity, read_at, ahead=ahead))
                for id in page.gone:
                    self._work(name, id, envelope.gone(id, read_at))
                self.read[name] += len(page.entities)
                self.on_page(name, self.read[name])
                if not page.more:
                    return
                cursor = page.cursor
        except ConnectorError as error:
            self.errors[name] = str(error)

    def _cursor(self, name: str) -> Cursor:
        data = None if self._log is None else self._log.row("poll", name.encode())
        state = None if data is None else decode_state(data)
        whole = state is not None and state.complete and state.plan == self.topology.flows.plan(name)
        return state.cursor if whole and state is not None else None

    def _work(self, name: str, id: str, change: Change) -> None:
        told: Seen | Gone = self._reading(name, change)
        self.rehearsal.tell(f"{name}:{id}", told)


async def _page(endpoint: Endpoint, type: str, cursor: Cursor) -> Page:
    for left in range(TRIES - 1, -1, -1):
        try:
            return await endpoint.page(type, cursor)
        except Retry as error:
            if not left or (error.after or 0.0) > PATIENCE:
                raise
            await asyncio.sleep(error.after or 1.0)
    raise AssertionError  # pragma: no cover


def kept(log: Log) -> dict[str, Kept]:
    """The rows of the table as a log holds them. Raises BadRecord."""
    return dict(rows_of(log))
