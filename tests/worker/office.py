"""The office: two sandboxes and a real worker between them, and what a test asks about all three.

Everything is real but the systems: HTTP on loopback, the log in a file, the worker a process of its own. What is
asked is answered from the sandboxes' own record of what happened, not from what the worker says of itself.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from connectors.sandbox.run import Sandbox
from connectors.sandbox.table import Table
from stream.core.flows import Flow
from stream.core.paths import getter
from stream.engine.backends import open_reader
from stream.engine.log import EngineError
from stream.engine.reader import Reader
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


class Office:
    """One run of it, in a folder of its own."""

    def __init__(self, folder: Path, topics: Path, asana: Sandbox, pms: Sandbox, broker: str = "") -> None:
        self.folder = folder
        self.asana, self.pms = asana, pms
        self.environment = {
            **os.environ,
            "LINKSTREAM_BROKER": broker or f"sqlite:///{folder / 'linkstream.db'}",
            "ASANA_URL": asana.url,
            "ASANA_TOKEN": asana.token,
            "ASANA_WORKSPACE": "1200000000000001",
            "PMS_URL": pms.url,
            "PMS_TOKEN": pms.token,
        }
        self.config = folder / "topics.yaml"
        self.config.write_text(re.sub(r"\{poll: \w+\}", "{poll: 300ms}", topics.read_text("utf-8")), "utf-8")
        self.topology: Topology = read_topology(self.config, self.environment)
        self._reader: Reader | None = None
        self.worker = WorkerProcess(folder, self.config, self.topology.broker, self.environment)

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
        self.let_go()
        return await self.worker.stop()

    def let_go(self) -> None:
        """Let go of the log, before its file is replaced."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def alive(self) -> bool:
        """Whether the worker still runs."""
        return self.worker.alive

    # What is there

    def links(self) -> list[Link]:
        """The links that stand, once each."""
        try:
            if self._reader is None:
                self._reader = open_reader(self.topology.broker)
            return [link for link in links(rows_of(self._reader)) if link.state == "linked" and link.side == "a"]
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
