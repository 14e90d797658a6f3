"""A real worker between two sandboxes, and people who edit: what the tests of the whole product stand on."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from connectors.sandbox.run import serve
from stream.cli.overview import gathered
from stream.engine.backends import open_reader
from stream.ports import Record
from tests.worker.office import Office

TOPICS = Path(__file__).parents[1] / "five.yaml"
TASKS = "asana.tasks~custompms.task"


@asynccontextmanager
async def rig(folder: Path, *, tasks: int = 12, twins: int = 4, broker: str = "") -> AsyncIterator[Office]:
    """Two sandboxes and a worker that is not started yet."""
    asana = await serve("asana", count=tasks, seed=3)
    pms = await serve("custompms", count=twins, seed=3)
    office = Office(folder, TOPICS, asana, pms, broker)
    try:
        yield office
    finally:
        asana.heal()
        pms.heal()
        await office.stop()
        await asana.close()
        await pms.close()


async def until(true: Callable[[], Any], what: str, *, seconds: float = 30.0, every: float = 0.05) -> None:
    """Wait for something to come true; a test that waits in vain says for what."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(every)


async def linked(office: Office) -> None:
    """Wait until every record has its counterparts; one whose create was not answered is looked for half a minute."""
    await until(lambda: len(office.links()) == office.expected(), "all links stand", seconds=75.0)


async def settled(office: Office) -> None:
    """Wait until both sides of every link agree and nothing is written any more."""
    quiet = 0

    def still() -> bool:
        nonlocal quiet, last
        now = (office.writes(), len(office.asana.truth), len(office.pms.truth))
        agreeing, compared = office.compare()
        quiet = quiet + 1 if now == last and agreeing == compared == office.expected() else 0
        last = now
        return quiet >= 30

    last = (0, 0, 0)
    await until(still, "both sides of every link agree", seconds=60)


def pairs(office: Office) -> list[tuple[str, str]]:
    """Asana tasks with their tasks in the PMS."""
    return sorted((link.ref, link.peer) for link in office.links() if link.flow == TASKS)


async def rename(office: Office, ref: str, name: str) -> None:
    """Rename a record through its system's own API, as a person."""
    kind, _, id = ref.partition(":")
    if kind.startswith("asana."):
        await office.asana.act("PUT", f"/{kind[6:]}/{id}", {"data": {"name": name}})
    else:
        await office.pms.act("PATCH", f"/{kind[10:]}s/{id}", {"title" if kind.endswith("task") else "name": name})


def parked(office: Office) -> list[Record]:
    """What was set aside, oldest first."""
    with open_reader(office.topology.broker) as reader:
        return [record for partition in range(4) for record in reader.records("parked", partition, limit=1000)]


def reason(record: Record) -> str:
    """Why a record was set aside."""
    return dict(record.headers)["__connect.errors.exception.message"].decode()


async def status(office: Office) -> dict[str, Any]:
    """What ``linkstream status`` says."""
    return await gathered(office.topology)


async def shown(office: Office, system: str, state: str) -> None:
    """Wait until ``status`` shows a system so."""
    for _ in range(300):
        if (await status(office))["worker"]["systems"][system]["state"] == state:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{system} was never shown as {state}")


def redundant(office: Office) -> list[str]:
    """Writes of the worker that changed nothing, by the sandboxes' own account."""
    ignored = {"updated_at", "modified_at", "completed_at"}

    def plain(record: dict[str, Any] | None) -> dict[str, Any]:
        return {name: value for name, value in (record or {}).items() if name not in ignored}

    return [
        f"{truth.type} {truth.id}: {truth.request}"
        for box in (office.asana, office.pms)
        for truth in box.truth
        if truth.op == "update" and truth.author == "linkstream" and plain(truth.before) == plain(truth.after)
    ]


def repeated(office: Office, field: str) -> list[str]:
    """Values that the worker wrote into one record more than once."""
    written = Counter(
        (truth.type, truth.id, str((truth.after or {}).get(field)))
        for box in (office.asana, office.pms)
        for truth in box.truth
        if truth.op == "update"
        and truth.author == "linkstream"
        and (truth.before or {}).get(field) != (truth.after or {}).get(field)
    )
    return [f"{key}: {count} times" for key, count in written.items() if count > 1]
