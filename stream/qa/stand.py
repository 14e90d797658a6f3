"""The stand: the systems, a tester's hands in each of them, and a worker between.

Nothing on it looks into the worker. What a tester sees are the systems themselves, through endpoints with a person's
credentials, and the table of links, as ``linkstream links show`` reads it. The systems are sandboxes started for the
occasion, or, live, those that the configuration names: then everything made is removed again at the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from connectors.document import Document, load
from connectors.document import Path as Place
from connectors.endpoint import Endpoint, Entity, Traits
from connectors.errors import ConnectorError, Missing, Refused, Stale
from connectors.opening import open_endpoint
from connectors.sandbox.run import SYSTEMS, Sandbox, serve
from stream.codec import row_of
from stream.core.flows import Flow
from stream.core.paths import getter
from stream.core.row import Row
from stream.engine.backends import open_reader
from stream.engine.log import EngineError
from stream.engine.reader import Reader
from stream.model import Ref, id_of, type_of
from stream.operate.process import WorkerProcess
from stream.operate.table import JOIN, rows_of
from stream.topics import upserts
from stream.topology import Topology, read_topology

POLL = "300ms"
"""How often sandboxes are read."""


Door: TypeAlias = Callable[[str, str, Sandbox], Awaitable[str]]


ENOUGH = 30
"""Records that show how those of a type look."""

AGAIN = 5
"""How often a person who was overtaken looks again before an edit."""

FRESH = 0.1
"""Seconds for which a row of a cluster is not looked at again: many look, and the systems wait meanwhile."""

FREE = {"windows": [[100_000, 1.0]], "below": {}, "reads": 32, "writes": 16}
"""Sandboxes without limits are asked without limits."""


class CannotTry(Exception):
    """The stand cannot be put up; the message says what was found and what would be right."""


class Stand:
    """Everything in place; ``patience`` is how many seconds an edit may take before it is missed."""

    def __init__(
        self,
        topology: Topology,
        workers: Sequence[WorkerProcess],
        testers: Mapping[str, Endpoint],
        sandboxes: Mapping[str, Sandbox],
        patience: float,
    ) -> None:
        self.topology = topology
        self.workers = workers
        self.sandboxes = sandboxes
        self.patience = patience
        self.live = not sandboxes
        self.made: list[Ref] = []
        """What the tester made, oldest first."""
        self.given: set[Ref] = set()
        """What was there already and is tried on."""
        self._samples: dict[str, tuple[Entity, ...]] = {}
        self._testers = testers
        self._reader: Reader | None = None
        self._commands: Counter[tuple[str, bytes]] = Counter()
        self._counted: dict[tuple[str, int], int] = {}

    @property
    def worker(self) -> WorkerProcess:
        """The first of its workers, or the only one."""
        return self.workers[0]

    @property
    def reader(self) -> Reader:
        """The log, opened for reading. Raises EngineError while it is not there."""
        if self._reader is None:
            self._reader = open_reader(self.topology.broker)
            self._reader.fresh = FRESH
        return self._reader

    # A tester's hands

    def traits(self, type: str) -> Traits:
        """What can be done with an entity type."""
        return self.topology.traits[type]

    async def make(self, type: str, wanted: Mapping[str, Any]) -> Ref:
        """Make a record as a person. Raises ConnectorError."""
        system, _, short = type.partition(".")
        entity = await self._testers[system].create(short, wanted, "")
        ref = f"{type}:{entity.id}"
        self.made.append(ref)
        return ref

    async def samples(self, type: str) -> tuple[Entity, ...]:
        """Some records that were there at the beginning: they show how its fields look. Raises ConnectorError."""
        if type not in self._samples:
            found: list[Entity] = []
            async for entity in self.all(type):
                found.append(entity)
                if len(found) == ENOUGH:
                    break
            self._samples[type] = tuple(found)
        return self._samples[type]

    async def all(self, type: str) -> AsyncIterator[Entity]:
        """Every record of a type. Raises ConnectorError."""
        system, _, short = type.partition(".")
        cursor = None
        while True:
            page = await self._testers[system].page(short, cursor)
            for entity in page.entities:
                yield entity
            if not page.more:
                return
            cursor = page.cursor

    async def known(self, type: str, field: str) -> list[Any]:
        """Values that a field has in records that were there. Raises ConnectorError."""
        found = [getter(field)(entity.record) for entity in await self.samples(type)]
        return [value for value in found if value not in (None, "", [])]

    async def some(self, type: str) -> Entity | None:
        """A record that was there, and that nobody else was given. Raises ConnectorError."""
        for entity in await self.samples(type):
            if f"{type}:{entity.id}" not in self.given:
                self.given.add(f"{type}:{entity.id}")
                return entity
        return None

    async def read(self, ref: Ref) -> Entity:
        """Read a record. Raises ConnectorError."""
        system, short, id = _parts(ref)
        return await self._testers[system].read(short, id)

    async def edit(self, ref: Ref, wanted: Mapping[str, Any]) -> Entity:
        """Change a record as a person; what it then held. Raises ConnectorError."""
        system, short, id = _parts(ref)
        endpoint = self._testers[system]
        for _ in range(AGAIN):
            try:
                return await endpoint.update(short, await endpoint.read(short, id), wanted)
            except Stale:
                continue  # the worker wrote between the two, and who sees that looks again
        return await endpoint.update(short, await endpoint.read(short, id), wanted)

    async def remove(self, ref: Ref) -> None:
        """Delete a record as a person; archive it where nothing can be deleted. Raises ConnectorError."""
        system, short, id = _parts(ref)
        ways = self.traits(type_of(ref)).remove
        if not ways:
            raise Refused(f"{type_of(ref)}: records of this type cannot be removed")
        endpoint = self._testers[system]
        await endpoint.remove(short, await endpoint.read(short, id), "delete" if "delete" in ways else "archive")

    async def there(self, ref: Ref) -> bool:
        """Whether a record is still there."""
        try:
            await self.read(ref)
        except Missing:
            return False
        return True

    # The table

    def row(self, ref: Ref) -> Row | None:
        """What the worker knows of a record."""
        try:
            row = row_of(self.reader.row(JOIN, ref.encode()))
        except EngineError:
            return None  # the log is not there yet
        return row if isinstance(row, Row) else None

    def twin(self, flow: Flow, ref: Ref, side: str = "a") -> Ref:
        """The counterpart of a record; empty while there is none."""
        row = self.row(ref)
        edge = None if row is None else row.edges.get(f"{flow.name}/{side}")
        return edge.peer if edge is not None and edge.state == "linked" else ""

    def pairs(self, flow: Flow) -> list[tuple[Ref, Ref]]:
        """All links of a flow."""
        try:
            rows = [(ref, row) for ref, row in rows_of(self.reader, f"{flow.left}:") if isinstance(row, Row)]
        except EngineError:
            return []
        edges = [(ref, row.edges.get(f"{flow.name}/a")) for ref, row in rows]
        return [(ref, edge.peer) for ref, edge in edges if edge is not None and edge.state == "linked"]

    def commands(self, *refs: Ref) -> int:
        """How many writes the worker has ordered so far for these records."""
        wanted = {(type_of(ref), ref.encode()) for ref in refs}
        try:
            for type in {type_of(ref) for ref in refs}:
                for partition in range(self.topology.partitions):
                    while records := self.reader.records(
                        upserts(type), partition, start=self._counted.get((type, partition), 0)
                    ):
                        self._commands.update((type, record.key) for record in records)
                        self._counted[type, partition] = records[-1].offset + 1
        except EngineError:
            pass  # the log is not there yet
        return sum(self._commands[each] for each in wanted)

    async def until(self, true: Callable[[], Any], patience: float | None = None) -> float | None:
        """Wait for something to come true; the seconds that it took, or nothing."""
        began = time.monotonic()
        while time.monotonic() - began < (self.patience if patience is None else patience):
            if true():
                return time.monotonic() - began
            await asyncio.sleep(0.05)
        return None

    async def tidy(self) -> list[str]:
        """Remove what the tester made in live systems; what could not be removed."""
        left = []
        for ref in reversed(self.made if self.live else []):
            try:
                await self.remove(ref)
            except Missing:
                continue
            except ConnectorError as error:
                left.append(f"{ref}: {error}")
        return left

    async def rest(self) -> list[int | None]:
        """Stop the workers; their exit codes."""
        return [await worker.stop() for worker in self.workers]

    async def close(self) -> None:
        """Take the stand down."""
        await self.rest()
        if self._reader is not None:
            self._reader.close()
        for endpoint in self._testers.values():
            await endpoint.close()


def _parts(ref: Ref) -> tuple[str, str, str]:
    system, _, short = type_of(ref).partition(".")
    return system, short, id_of(ref)


@asynccontextmanager
async def sandboxed(  # noqa: PLR0913 - each has a default but the first two
    config: Path,
    folder: Path,
    *,
    patience: float = 15.0,
    count: int = 20,
    door: Door | None = None,
    settings: Mapping[str, Any] | None = None,
    poll: str | None = POLL,
    text: str | None = None,
    page: str = "",
    broker: str = "",
    **more: Any,
) -> AsyncIterator[Stand]:
    """A stand on sandboxes of all systems that a configuration names. Raises CannotTry, BadTopology.

    ``door`` may put something between a sandbox and whoever calls it: told of the system's name, its kind and its
    sandbox, it answers the address to call. ``settings`` go to every system, and are that there is no limit if they are
    not given; ``poll`` to every entity type, unless it is ``None``; ``more`` to every sandbox. ``text`` stands for what
    is in the file. ``broker`` is a cluster, which two workers share; otherwise the log is a file in the folder.
    """
    value = _written(config, text)
    systems = value.get("systems", {})
    environment = dict(os.environ)
    async with AsyncExitStack() as stack:
        boxes: dict[str, Sandbox] = {}
        plain: dict[str, dict[str, Any]] = {}
        for number, (name, written) in enumerate(systems.items()):
            kind = Path(str(written["connector"])).stem
            if kind not in SYSTEMS:
                raise CannotTry(
                    f"{config}: systems.{name}: found no sandbox of {kind!r}; one of {', '.join(SYSTEMS)}, or --live "
                    "against a test account, would be right"
                )
            box = await serve(kind, count=count, seed=number + 1, **more)
            stack.push_async_callback(box.close)
            boxes[name] = box
            plain[name] = _open(box.settings()) | ({} if door is None else {"url": await door(name, kind, box)})
            plain[name] |= {"limits": FREE} if settings is None else settings
            systems[name] = {"connector": _connector(written["connector"], config.parent), **plain[name]}
            for key, secret in box.secrets().items():
                variable = f"QA_{name}_{key}".upper()
                environment[variable] = secret
                systems[name][key] = f"${{{variable}}}"
        value["broker"] = "${LINKSTREAM_BROKER}" if broker else f"sqlite:///{folder / 'linkstream.db'}"
        environment |= {"LINKSTREAM_BROKER": broker} if broker else {}  # it may hold a password
        often = {} if poll is None else {"poll": poll}
        value["topics"] = {name: {**(topic or {}), **often} for name, topic in value["topics"].items()}
        made, second = folder / "topics.yaml", folder / "second.yaml"
        text = json.dumps({**value, **({"web": {"listen": page}} if page else {})}, ensure_ascii=False, indent=1)
        made.write_text(text, "utf-8")  # JSON is YAML as well
        topology = read_topology(made, environment)
        configs = [made]
        if broker:
            second.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")  # one serves the page
            configs.append(second)
        testers = {}
        for name, system in topology.systems.items():
            mine = {**plain[name], **boxes[name].secrets(person=True)}
            testers[name] = open_endpoint(f"tester at {name}", system.connector, mine, topology.base_dir)
        workers = [WorkerProcess(folder, each, topology.broker, environment) for each in configs]
        stand = Stand(topology, workers, testers, boxes, patience)
        try:
            yield stand
        finally:
            await stand.close()


@asynccontextmanager
async def live(
    config: Path, folder: Path, environment: Mapping[str, str], *, text: str | None = None
) -> AsyncIterator[Stand]:
    """A stand on the systems that a configuration names; the log is one of its own. Raises BadTopology."""
    broker = f"sqlite:///{folder / 'linkstream.db'}"
    value = _written(config, text)
    value["broker"] = broker
    written = config.parent / f".{config.name}.qa"
    written.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    try:
        topology = read_topology(written, environment)
        testers = {
            name: open_endpoint(f"tester at {name}", system.connector, system.settings, topology.base_dir)
            for name, system in topology.systems.items()
        }
        slowest = max((polled.poll for polled in topology.types.values()), default=60.0)
        worker = WorkerProcess(folder, written, broker, environment)
        stand = Stand(topology, [worker], testers, {}, 60.0 + 3 * slowest)
        try:
            yield stand
        finally:
            await stand.close()
    finally:
        written.unlink(missing_ok=True)


def _written(config: Path, text: str | None) -> Any:
    """What stands in a configuration, as JSON can hold it; but a page, whose port another worker may have."""
    value = as_json(load(config.read_bytes() if text is None else text.encode()))
    if isinstance(value, dict):
        value.pop("web", None)
    return value


def as_json(document: Document) -> Any:
    """A file's value as JSON can hold it: a mapping whose keys are no texts becomes a list of pairs."""

    def of(value: Any, place: Place) -> Any:
        if isinstance(value, list):
            return [of(item, (*place, number)) for number, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        items = {key: of(item, (*place, key)) for key, item in value.items()}
        typed = document.typed
        if any((*place, key) in typed for key in items):
            return [[typed.get((*place, key), key), item] for key, item in items.items()]
        return items

    return of(document.value, ())


def _open(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: msgspec.to_builtins(value) for name, value in settings.items()}


def _connector(connector: str, base: Path) -> str:
    return str((base / connector).resolve()) if connector.endswith((".yaml", ".yml")) else connector
