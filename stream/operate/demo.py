"""The demo: every system as a sandbox, all statements at once, people who edit, and a worker that is killed.

Over a file there is one worker, and a new one takes its place. Over a cluster there are two, and the other one goes on.

An edit is made in one system and awaited in every record that must follow it, over as many links as it takes: an Asana
task, its PMS task, the Trello card of that, and a comment on the card. Whatever is claimed at the end is drawn from
the systems themselves; the checklist is that of ``linkstream qa``.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from msgspec import Struct

from stream.core.flows import End
from stream.core.paths import getter
from stream.core.row import Row
from stream.engine.backends import is_kafka
from stream.engine.log import EngineError
from stream.model import Ref, Value, type_of
from stream.operate.survey import Survey, survey
from stream.operate.table import rows_of
from stream.qa.stand import Stand
from stream.qa.values import converted, same
from stream.wanted import on_cluster

PATIENCE = 30.0
"""Seconds after which an edit that has not arrived is missed."""


class Edit(Struct, frozen=True):
    """What a person does to a field of a type."""

    said: str
    type: str
    field: str
    value: Value


class Copy(Struct, frozen=True):
    """A field of a record that must follow, and what it must show."""

    ref: Ref
    field: str
    value: Value


class Arrival(Struct, frozen=True):
    """An edit that was made: who had to follow, and the seconds until all did; nothing if one never did."""

    edit: Edit
    ref: Ref
    copies: tuple[Copy, ...]
    seconds: float | None


class Account(Struct, frozen=True, kw_only=True):
    """What came of it, beside the checklist."""

    links: int
    in_step: int
    refused: int
    edits: int
    copies: int
    missed: int
    median: float
    doubled: int
    killed: int


EDITS = (
    Edit("renames a task", "asana.tasks", "name", "Ring byggeleder før åtte"),
    Edit("renames a card", "trello.cards", "name", "Bestill måling på nytt"),
    Edit("ticks a task off", "custompms.task", "status", "done"),
    Edit("renames a customer", "customerp.customer", "name", "Fjord & Fjell AS"),
    Edit("renames a company", "crmoffice.companies", "name", "Ålesund Båtbyggeri"),
    Edit("describes a workspace", "trello.organizations", "desc", "Alt på vestlandet"),
    Edit("renames a project", "asana.projects", "name", "Ombygging, nye Sjøgata"),
    Edit("renames a customer", "powerofficego.customers", "Name", "Røros Snekkeri"),
)
"""What people do while all is well."""

LATER = (
    Edit("renames a task", "asana.tasks", "name", "Send tilbudet i dag"),
    Edit("renames a card", "trello.cards", "name", "Hent nøkler på Ås"),
    Edit("writes a note", "custompms.project", "description", "Målene er tatt på nytt."),
)
"""What people do while the worker is dead."""


class Demo:
    """One run on a stand of sandboxes."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.arrivals: list[Arrival] = []
        self._edited: set[Ref] = set()

    # What is linked

    def surveyed(self) -> Survey | None:
        """The table of links, counted; nothing while there is none."""
        try:
            return survey(rows_of(self.stand.reader), self.stand.topology.flows, most=0)
        except EngineError:
            return None

    def _chosen(self, edit: Edit) -> Ref | None:
        """A record of the type that is linked, has followers and was not edited yet."""
        rows = [(ref, row) for ref, row in rows_of(self.stand.reader, f"{edit.type}:") if isinstance(row, Row)]
        for ref, row in rows:
            if ref in self._edited or row.remote.get(edit.field) == edit.value:
                continue
            if self.copies(ref, edit.field, edit.value):
                return ref
        return None

    def _next(self, ref: Ref, row: Row) -> Iterator[tuple[End, Ref]]:
        ends = self.stand.topology.flows.ends(type_of(ref))
        for name, edge in row.edges.items():
            if edge.state == "linked" and name in ends:
                yield ends[name], edge.peer

    def copies(self, ref: Ref, field: str, value: Value) -> tuple[Copy, ...]:
        """Every field of every record that must follow an edit, over all links."""
        found = [Copy(ref, field, value)]
        for copy in found:
            row = self.stand.row(copy.ref)
            if row is None:
                continue
            for end, peer in self._next(copy.ref, row):
                for lead in end.leads.get(copy.field, ()):
                    known = any((each.ref, each.field) == (peer, lead.field) for each in found)
                    if known or lead.reference is not None or not self._takes(peer, lead.peer):
                        continue
                    if all((each.ref, each.field) != (peer, lead.peer) for each in found):
                        found.append(Copy(peer, lead.peer, converted(copy.value, lead.convert)))
        return tuple(found[1:])

    def _takes(self, ref: Ref, field: str) -> bool:
        row, writable = self.stand.row(ref), self.stand.traits(type_of(ref)).writable
        return (writable is None or field in writable) and (row is None or field not in row.notes)

    # What people do

    def forget(self) -> None:
        """Let people edit again what they have edited."""
        self._edited.clear()

    async def make(self, edit: Edit) -> tuple[Edit, Ref, tuple[Copy, ...], float] | None:
        """Make an edit as a person; nothing if there is no record for it."""
        ref = self._chosen(edit)
        if ref is None:
            return None
        self._edited |= {ref, *(copy.ref for copy in self.copies(ref, edit.field, edit.value))}
        await self.stand.edit(ref, {edit.field: edit.value})
        return edit, ref, self.copies(ref, edit.field, edit.value), time.monotonic()

    async def arrival(self, edit: Edit, ref: Ref, copies: tuple[Copy, ...], since: float) -> Arrival:
        """Wait until every copy shows it, in its own system."""
        waiting = list(copies)
        while waiting and time.monotonic() - since < PATIENCE:
            waiting = [copy for copy in waiting if not await self._shows(copy)]
            await asyncio.sleep(0.02)
        arrival = Arrival(edit, ref, copies, None if waiting else time.monotonic() - since)
        self.arrivals.append(arrival)
        return arrival

    async def _shows(self, copy: Copy) -> bool:
        return same(getter(copy.field)((await self.stand.read(copy.ref)).record), copy.value)

    # The account

    async def doubled(self) -> int:
        """Records beyond the first that carry one mark, as the systems hold them."""
        marks: Counter[tuple[str, str]] = Counter()
        for type in self.stand.topology.types:
            async for entity in self.stand.all(type):
                if entity.marker:
                    marks[type, entity.marker] += 1
        return sum(count - 1 for count in marks.values())

    async def account(self) -> Account:
        """Draw up what happened."""
        found = self.surveyed()
        times = sorted(arrival.seconds for arrival in self.arrivals if arrival.seconds is not None)
        return Account(
            links=found.linked if found else 0,
            in_step=found.in_step if found else 0,
            refused=sum(count.others.get("not applied", 0) for count in found.flows.values()) if found else 0,
            edits=len(self.arrivals),
            copies=sum(len(arrival.copies) for arrival in self.arrivals),
            missed=sum(arrival.seconds is None for arrival in self.arrivals),
            median=times[len(times) // 2] if times else 0.0,
            doubled=await self.doubled(),
            killed=sum(worker.killed for worker in self.stand.workers),
        )


@asynccontextmanager
async def lent(stand: Stand, *, keep: bool) -> AsyncIterator[None]:
    """The stand's topics on its cluster; gone when it is over, unless they are kept. Nothing to do for a file."""
    if not is_kafka(stand.topology.broker):
        yield
        return
    from stream.engine.kafka import cluster  # noqa: PLC0415 - a demo over a file loads no Kafka client for it

    address, topics = await on_cluster(stand.topology)
    await cluster.apply(address, topics)
    try:
        yield
    finally:
        await stand.rest()
        if not keep:
            await cluster.remove(address, topics)


async def linked(demo: Demo, patience: float = 60.0) -> Survey | None:
    """Wait until all that can be linked is: nothing new for two seconds."""
    began = changed = time.monotonic()
    last: tuple[int, int] | None = None
    while time.monotonic() - began < patience and demo.stand.worker.alive:
        found = demo.surveyed()
        now = (found.linked, found.in_step) if found else None
        if now != last:
            last, changed = now, time.monotonic()
        elif now is not None and now[0] and time.monotonic() - changed > 2.0:  # noqa: PLR2004 - as said
            return found
        await asyncio.sleep(0.1)
    return None
