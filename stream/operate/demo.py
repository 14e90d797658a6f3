"""The demo: two sandboxes, a real worker, people who edit on both sides, a kill in the middle, and an account.

Everything is real but the systems: HTTP on loopback, the log in a file, the worker a process of its own. The edits are
made through the sandboxes' own APIs with a person's token. The account at the end is drawn from the sandboxes' own
record of what happened, not from what the worker says of itself.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, cast

from msgspec import Struct

from connectors.sandbox.run import Sandbox, serve
from connectors.sandbox.table import Table
from stream.core.flows import Flow
from stream.core.paths import getter
from stream.engine.embedded.reader import Reader
from stream.engine.embedded.schema import place_of
from stream.engine.log import EngineError
from stream.operate.process import WorkerProcess
from stream.operate.survey import Link, links
from stream.operate.table import rows_of
from stream.topology import Topology, read_topology

PATIENCE = 15.0
"""Seconds after which an edit that has not arrived is missed."""
QUIET = 3.0
"""Seconds at the end in which nobody edits and nothing may be written."""
PMS = {"customer": "customers", "project": "projects", "task": "tasks"}
ASANA = {"tasks": "task", "projects": "project", "teams": "team", "workspaces": "workspace"}


class Edit(Struct, frozen=True):
    """What a person does, and where it must arrive."""

    said: str
    ref: str
    field: str
    value: Any
    target: str
    shows: str
    expected: Any


class Arrival(Struct, frozen=True):
    """An edit that was made; ``seconds`` until it stood on the other side, or nothing if it never did."""

    edit: Edit
    seconds: float | None
    dead: bool = False
    """The worker was dead when it was made."""


class Account(Struct, frozen=True, kw_only=True):
    """What came of it."""

    links: int
    expected: int
    agreeing: int
    compared: int
    carried: dict[str, int]
    missed: int
    median: float
    doubled: int
    quiet_writes: int
    killed: int

    @property
    def good(self) -> bool:
        """Whether all of it is as it was promised."""
        return (
            self.links == self.expected > 0
            and self.agreeing == self.compared
            and not self.missed
            and not self.doubled
            and not self.quiet_writes
        )


class Demo:
    """One run of it, in a folder of its own."""

    def __init__(self, folder: Path, topics: Path, asana: Sandbox, pms: Sandbox) -> None:
        self.folder = folder
        self.asana, self.pms = asana, pms
        self.environment = {
            **os.environ,
            "LINKSTREAM_BROKER": f"sqlite:///{folder / 'linkstream.db'}",
            "ASANA_URL": asana.url,
            "ASANA_TOKEN": asana.token,
            "ASANA_WORKSPACE": "1200000000000001",
            "PMS_URL": pms.url,
            "PMS_TOKEN": pms.token,
        }
        self.config = folder / "topics.yaml"
        self.config.write_text(re.sub(r"\{poll: \w+\}", "{poll: 300ms}", topics.read_text("utf-8")), "utf-8")
        self.topology: Topology = read_topology(self.config, self.environment)
        self.worker = WorkerProcess(folder, self.config, place_of(self.topology.broker).path, self.environment)

    @property
    def killed(self) -> int:
        """How often the worker was killed."""
        return self.worker.killed

    async def start(self) -> None:
        """Start the worker as a process of its own."""
        await self.worker.start()

    async def kill(self) -> None:
        """End the worker as no worker would like to end."""
        await self.worker.kill()

    async def stop(self) -> int | None:
        """Stop the worker as an operator does; its exit code."""
        return await self.worker.stop()

    def alive(self) -> bool:
        """Whether the worker still runs."""
        return self.worker.alive

    # What is there

    def links(self) -> list[Link]:
        """The links that stand, once each."""
        try:
            with Reader(self.topology.broker) as reader:
                return [link for link in links(rows_of(reader)) if link.state == "linked" and link.side == "a"]
        except EngineError:
            return []  # the log is not there yet

    def expected(self) -> int:
        """How many links there must be: one for every record on the left of every flow."""
        return sum(len(self.ids(flow.left)) for flow in self.topology.flows.flows.values())

    def ids(self, kind: str) -> list[str]:
        """The records of an entity type that are there."""
        return list(self._table(kind).ids())

    def record(self, ref: str) -> dict[str, Any]:
        """A record as its system holds it."""
        kind, _, id = ref.partition(":")
        row = self._table(kind).get(id)
        return {} if row is None else row.record

    def _table(self, kind: str) -> Table:
        system, _, name = kind.partition(".")
        sandbox, table = (self.asana, ASANA[name]) if system == "asana" else (self.pms, name)
        tables: dict[str, Table] = cast("Any", sandbox.system).tables
        return tables[table]

    # What people do

    async def do(self, edit: Edit) -> None:
        """Make an edit through the system's own API, as a person."""
        kind, _, id = edit.ref.partition(":")
        system, _, name = kind.partition(".")
        if system == "asana":
            await self.asana.act("PUT", f"/{name}/{id}", {"data": {edit.field: edit.value}})
        else:
            await self.pms.act("PATCH", f"/{PMS[name]}/{id}", {edit.field: edit.value})

    async def arrival(self, edit: Edit, since: float, *, dead: bool = False) -> Arrival:
        """Wait until an edit stands on the other side."""
        while time.monotonic() - since < PATIENCE:
            if self.record(edit.target).get(edit.shows) == edit.expected:
                return Arrival(edit, time.monotonic() - since, dead)
            await asyncio.sleep(0.005)
        return Arrival(edit, None, dead)

    # The account

    def doubled(self) -> int:
        """Records that were created twice for one origin."""
        made: Counter[tuple[str, str]] = Counter()
        for sandbox in (self.asana, self.pms):
            for truth in sandbox.truth:
                if truth.op == "create" and truth.author == "linkstream" and truth.after:
                    made[truth.type, str(truth.after.get("external_ref") or truth.after.get("notes"))] += 1
        return sum(count - 1 for count in made.values() if count > 1)

    def writes(self) -> int:
        """How often the worker wrote, by the sandboxes' own account."""
        return sum(truth.author == "linkstream" for box in (self.asana, self.pms) for truth in box.truth)

    def compare(self) -> tuple[int, int]:
        """Compare both sides of every link, field by field, as the systems hold them: how many agree, of how many."""
        agreeing = compared = 0
        for link in self.links():
            flow = self.topology.flows.flows[link.flow]
            compared += 1
            agreeing += _agree(flow, self.record(link.ref), self.record(link.peer))
        return agreeing, compared


def _agree(flow: Flow, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    for pair in flow.pairs:
        if pair.direction == "both" and pair.reference is None:
            value = getter(pair.left)(left)
            value = pair.conversion.to(value) if pair.conversion.to else value
            if _plain(value) != _plain(getter(pair.right)(right)):
                return False
    return True


def _plain(value: Any) -> Any:
    """A value without what a system may take off: outer blanks, the difference between empty and nothing."""
    return value.strip() or None if isinstance(value, str) else value


def first_edits(demo: Demo, found: list[Link]) -> list[Edit]:
    """What people do while all is well: both sides, every flow."""
    tasks = _open_tasks(demo, found)
    team = next(each for each in found if each.flow == "asana.teams~custompms.customer")
    project = next(each for each in found if each.flow == "asana.projects~custompms.project")
    own = next(each for each in found if each.flow == "asana.tasks~custompms.project")
    (a, a_), (b, b_), (c, c_), (d, d_) = tasks[1:5]
    return [
        Edit("renames a task", a, "name", "Ring byggeleder før åtte", a_, "title", "Ring byggeleder før åtte"),
        Edit("renames a task", b_, "title", "Bestill måling på nytt", b, "name", "Bestill måling på nytt"),
        Edit("ticks a task off", c, "completed", True, c_, "status", "done"),
        Edit("moves a due date", d_, "dueDate", "2027-03-15", d, "due_on", "2027-03-15"),
        Edit("describes a team", team.ref, "description", "Står for alt på vestlandet", team.peer, "notes",
             "Står for alt på vestlandet"),
        Edit("renames a customer", team.peer, "name", "Fjord & Fjell", team.ref, "name", "Fjord & Fjell"),
        Edit("renames a project", project.ref, "name", "Ombygging, nye Sjøgata", project.peer, "name",
             "Ombygging, nye Sjøgata"),
        Edit("writes a note", project.peer, "description", "Målene er tatt på nytt.", project.ref, "notes",
             "Målene er tatt på nytt."),
        Edit("renames a task's project", own.peer, "name", "Varmepumper på Røros", own.ref, "name",
             "Varmepumper på Røros"),
    ]  # fmt: skip


def _open_tasks(demo: Demo, found: list[Link]) -> list[tuple[str, str]]:
    """Tasks that are not done yet, with their twins."""
    pairs = [(link.ref, link.peer) for link in found if link.flow == "asana.tasks~custompms.task"]
    return [pair for pair in pairs if not demo.record(pair[0])["completed"]]


def later_edits(demo: Demo, found: list[Link]) -> list[Edit]:
    """What people do while the worker is dead."""
    tasks = _open_tasks(demo, found)
    (a, a_), (b, b_), (c, c_), (d, d_) = tasks[6:10]
    return [
        Edit("renames a task", a, "name", "Send tilbudet i dag", a_, "title", "Send tilbudet i dag"),
        Edit("renames a task", b_, "title", "Hent nøkler på Ås", b, "name", "Hent nøkler på Ås"),
        Edit("sets a due date", c, "due_on", "2027-05-17", c_, "dueDate", "2027-05-17"),
        Edit(
            "writes a note",
            d_,
            "description",
            "Ferie til 1. mai.",
            d,
            "notes",
            "Ferie til 1. mai.",
        ),
    ]


@asynccontextmanager
async def opened(folder: Path, topics: Path, *, tasks: int = 39) -> AsyncIterator[Demo]:
    """Both sandboxes, some of their records alike, and nothing linked yet."""
    asana = await serve("asana", count=tasks, seed=1)
    pms = await serve("custompms", count=tasks // 3, seed=1)
    demo = Demo(folder, topics, asana, pms)
    try:
        yield demo
    finally:
        await demo.stop()
        await asana.close()
        await pms.close()


async def linked(demo: Demo, said: Callable[[int, int], object], *, seconds: float = 25.0) -> bool:
    """Wait for the first links to stand; told how many of how many."""
    expected, began = demo.expected(), time.monotonic()
    while time.monotonic() - began < seconds and demo.alive():
        count = len(demo.links())
        said(count, expected)
        if count >= expected:
            return True
        await asyncio.sleep(0.1)
    return False


async def account(demo: Demo, arrivals: list[Arrival]) -> Account:
    """Wait for quiet, listen whether anything is written in it, and draw up what happened."""
    settled = demo.writes()
    for _ in range(10):  # the last receipts and their echoes
        await asyncio.sleep(0.4)
        if demo.writes() == settled and all(demo.compare()):
            break
        settled = demo.writes()
    before = demo.writes()
    await asyncio.sleep(QUIET)
    agreeing, compared = demo.compare()
    carried = Counter(arrival.edit.ref.partition(".")[0] for arrival in arrivals if arrival.seconds is not None)
    live = [arrival.seconds for arrival in arrivals if arrival.seconds is not None and not arrival.dead]
    return Account(
        links=len(demo.links()),
        expected=demo.expected(),
        agreeing=agreeing,
        compared=compared,
        carried=dict(carried),
        missed=sum(arrival.seconds is None for arrival in arrivals),
        median=median(live) if live else 0.0,
        doubled=demo.doubled(),
        quiet_writes=demo.writes() - before,
        killed=demo.killed,
    )
