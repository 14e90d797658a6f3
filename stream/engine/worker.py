"""The worker: three agents, one table, the topics between them.

    poll   one reader per entity type; its rows are cursors                 -> changes.<system>.<type>
    join   changes and mail meet their rows; its rows are the table `links` -> links.mail, upserts.<system>.<type>
    push   one agent per system; its rows are the ledger of writes          -> links.mail

Every agent's body is one call of its stage; rows, records and offsets of a unit commit together. Nothing is decided
here: this is the wiring, and the only place that knows all three.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from heapq import nsmallest
from operator import itemgetter
from typing import Any

from connectors.breaker import Down, Guarded, Ok, Shut
from connectors.budget import Budget
from connectors.endpoint import Endpoint
from connectors.errors import ConnectorError
from connectors.registry import guarded, open_endpoint
from stream.codec import decode_order
from stream.core.fields import Observer
from stream.engine.agents import Stream
from stream.engine.app import App, create_app
from stream.engine.backends import shown
from stream.engine.lanes import Lane
from stream.engine.log import EngineError, Outgoing, Staged, partition_of
from stream.engine.wanted import push_agent, topics_of
from stream.engine.watchdog import Watchdog
from stream.errors import BadRecord
from stream.join import Join
from stream.meters import Meters
from stream.model import Reread, Time
from stream.parking import park
from stream.pauses import PAUSED, Pauses
from stream.poll import Reader
from stream.push import Push
from stream.standing import added_up
from stream.topics import CONFLICTS, MAIL, PARKED, POLLS, changes, upserts
from stream.topology import Polled, Topology

JOIN, PUSH = 200, 50
"""Records in a unit: what a body may do before the loop turns, and how many writes stand on one note."""

_BLINK = 0.05
"""Seconds that the event loop is asked to wait, to see how late it is."""

logger = logging.getLogger(__name__)


def clock() -> Time:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


class Worker:
    """What one process runs, and what it knows of itself."""

    def __init__(self, topology: Topology, endpoints: Mapping[str, Endpoint] | None = None) -> None:
        self.topology = topology
        self.app: App = create_app(
            "linkstream", topology.broker, topics=topics_of(topology), partitions=topology.partitions
        )
        systems = opened(topology) if endpoints is None else endpoints
        self.endpoints = {name: guarded(systems[name], system.settings) for name, system in topology.systems.items()}
        self.meters = Meters()
        self.join = Join(topology.flows, clock, self.meters)
        self.began = clock()
        self.late = 0.0
        """Seconds by which the event loop was late when it looked last."""
        self.watchdog = Watchdog(frozenset({"join"}))
        self.web = ""
        """Where its page is, while there is one."""
        self.app.on_landed = self._landed
        self.readers = {name: self._reader(polled) for name, polled in topology.types.items()}
        self.pauses = Pauses({name: polled.system for name, polled in topology.types.items()})
        self.wishes = {name: asyncio.Event() for name in topology.types}
        """Set to have a type read now."""
        self.errors: dict[str, str] = {}
        """Per entity type, why its last reading failed."""
        self.read_at: dict[str, Time] = {}
        """Per entity type, when a page was read last."""
        self.tried: Counter[str] = Counter()
        """Per entity type, how often a reading ended, well or not."""
        self.whole_at: dict[str, Time] = {}
        """Per entity type, when the reading began that came to the end last: what was changed before is known."""
        self.written: dict[str, int] = dict.fromkeys(topology.systems, 0)
        self.lost = False
        """Whether it was said that state was lost."""
        self.reading: list[str] = []
        """The types that this process reads; others are read by other workers."""
        self.holding: set[str] = set()
        """Types whose deletions are held, as far as it was said."""
        self.away: dict[str, Time] = {}
        """Systems that are not there, and since when."""

    def _reader(self, polled: Polled) -> Reader:
        system = self.topology.systems[polled.system]
        plan = self.topology.flows.plan(polled.name)
        return Reader(polled.name, system.connector, self.endpoints[polled.system], plan, clock)

    def _landed(self, staged: Staged) -> None:
        """Count what was written; to people's topics by the type that it is about."""
        emitted = self.meters.emitted
        for record in staged.records:
            family, _, type = record.topic.partition(".")
            if family in (CONFLICTS, PARKED):
                type = record.key.partition(b":")[0].decode(errors="replace")
                emitted[family, type if type in self.topology.types else ""] += 1
            elif family == "changes" and record.value is not None:  # a mark has none
                emitted[family, type] += 1

    async def close(self) -> None:
        """Give connections back."""
        for name, endpoint in self.endpoints.items():
            try:
                await endpoint.close()
            except Exception:  # the edge: the others are closed all the same
                logger.exception("%s: its connections did not close", name)
        logger.info("stopped")

    async def read_now(self, names: Iterable[str], *, patience: float = 45.0) -> dict[str, str]:
        """Read types at once: for each an empty text, or why it was not read."""
        found = {name: self.pauses.reason(name) or ("" if name in self.readers else "no such type") for name in names}
        before = {name: self.tried[name] for name, why in found.items() if not why}
        for name in before:
            self.wishes[name].set()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while any(self.tried[name] == count for name, count in before.items()):  # noqa: ASYNC110 - told by counts
                    await asyncio.sleep(0.02)
        for name, count in before.items():
            found[name] = self.errors.get(name, "") if self.tried[name] > count else "not read in time"
        return found

    def go_on(self, types: Iterable[str]) -> None:
        """Read types that were paused at once."""
        for name in types:
            logger.info("%s: goes on", name)
            self.wishes[name].set()

    def watch(self) -> None:
        """Say once that a system went away, and once that it came back."""
        for name, endpoint in self.endpoints.items():
            match endpoint.state():
                case Down(reason=reason) | Shut(reason=reason) as state if name not in self.away:
                    self.away[name] = clock()
                    logger.warning("%s is %s: %s", name, type(state).__struct_config__.tag, reason)
                case Ok() if name in self.away:
                    logger.info("%s is back after %.0f s", name, (clock() - self.away.pop(name)) / 1e6)
                case _:
                    pass

    def hold(self) -> None:
        """Say once that the deletions of a type are held, and once that a person has decided."""
        held = set(self.join.held)
        for name in sorted(held - self.holding):
            logger.error(
                "%s: too many deletions at once; all are held, nothing follows them: linkstream deletes list", name
            )
        for name in sorted(self.holding - held):
            logger.info("%s: deletions are not held any more", name)
        self.holding = held

    def recovering(self) -> bool:
        """Whether a loss of state has not been made good yet."""
        loss = self.app.broker.loss
        return bool(loss.at) and not loss.healed

    async def recover(self) -> None:
        """Say once that state was lost, and once that everything was read and told anew."""
        if not self.recovering():
            return
        if not self.lost:
            self.lost = True
            logger.error("state was lost: %s; nothing is created before everything was read anew", self._loss())
        loaded = {lane.id.partition for lane in self.app.lanes if lane.id.agent == "join"} == self.join.alarms.keys()
        if loaded and not self.join.recovering:
            await self.app.broker.heal()
            logger.info("recovered: everything was read and told anew")

    def _loss(self) -> str:
        return self.app.broker.loss.reason

    def lag(self) -> dict[str, int]:
        """Records that wait, per agent."""
        waiting: dict[str, int] = {}
        for lane in self.app.lanes:
            waiting[lane.id.agent] = waiting.get(lane.id.agent, 0) + lane.behind()
        return waiting

    def state(self) -> dict[str, Any]:
        """What an operator sees of a running worker."""
        now = clock()
        return {
            "systems": {
                name: {"state": type(state).__struct_config__.tag, "reason": getattr(state, "reason", "")}
                for name, endpoint in self.endpoints.items()
                for state in (endpoint.state(),)
            },
            "types": {
                name: {
                    "read_seconds_ago": round((now - at) / 1e6, 1) if (at := self.read_at.get(name)) else None,
                    "behind_seconds": round((now - at) / 1e6, 1) if (at := self.whole_at.get(name)) else None,
                    "error": self.errors.get(name, ""),
                }
                for name in self.topology.types
            },
            "written": self.written,
            "paused": {what: {"at": pause.at, "why": pause.why} for what, pause in self.pauses.all().items()},
            "web": self.web,
            "standing": added_up(lane.counts for lane in self.join.standing.values()),
            "out": {key.decode(): at for key, at in self.out()},
            "recovering": self._loss() if self.recovering() else "",
        }

    def out(self, most: int = 20) -> list[tuple[bytes, Time]]:
        """The rows that are out of step for the longest time, oldest first, and since when."""
        found = [each for lane in self.join.standing.values() for each in lane.since.items()]
        return nsmallest(most, found, key=itemgetter(1))


def opened(topology: Topology) -> Mapping[str, Endpoint]:
    """The endpoints that the topology names; those with one credential share its rate budget."""
    budgets: dict[str, Budget] = {}
    return {
        name: open_endpoint(name, system.connector, system.settings, topology.base_dir, budgets=budgets)
        for name, system in topology.systems.items()
    }


def build(topology: Topology, endpoints: Mapping[str, Endpoint] | None = None) -> Worker:
    """The app of one worker, with its agents; over endpoints that are open already, or those that it names."""
    worker = Worker(topology, endpoints)
    _polling(worker)
    _joining(worker)
    for system, endpoint in worker.endpoints.items():
        _pushing(worker, system, endpoint)
    _serving(worker)
    return worker


def _polling(worker: Worker) -> None:
    """The agent that reads: a task per entity type, in the lane that owns it; orders come by topic."""
    app = worker.app

    @app.agent(app.topic(POLLS), name="poll")
    async def poll(stream: Any) -> None:
        worker.pauses.forget()
        for lane in stream.lanes:
            async with lane.turn() as unit:
                worker.pauses.load(unit)
        owned = _owned(worker, stream)
        worker.reading = [name for _, name in owned]
        reading = [asyncio.ensure_future(_read_on(worker, lane, name)) for lane, name in owned]
        try:
            async for unit in stream.units():
                for record in unit:
                    try:
                        if record.key == PAUSED:
                            worker.go_on(worker.pauses.obey(unit, record))
                            continue
                        order = decode_order(record.value)
                        reader = worker.readers[record.key.decode()]
                    except (BadRecord, KeyError, UnicodeDecodeError) as error:
                        park(unit, record, "VALUE_CONVERTER", error, "undecodable")
                        continue
                    reader.obey(unit, order)
                    if isinstance(order, Reread):
                        worker.wishes[reader.name].set()
        finally:
            worker.reading = []
            await _ended(reading)


def _joining(worker: Worker) -> None:
    """The agent that decides; its rows are the table ``links``."""
    app = worker.app
    changed = app.topic(MAIL, *(changes(name) for name in worker.topology.types))

    @app.agent(changed, name="join", retries=0)
    async def join(stream: Any) -> None:
        worker.join.forget()
        for lane in stream.lanes:
            async with lane.turn() as unit:
                worker.join.load(unit)
        sweeping = [asyncio.ensure_future(_sweep_on(worker, lane)) for lane in stream.lanes]
        try:
            async for unit in stream.units(JOIN):
                worker.join(unit)
        finally:
            await _ended(sweeping)

    @app.timer(interval=0.2)
    async def wake() -> None:
        due: dict[int, list[Outgoing]] = {}
        for topic, key, value, partition in worker.join.due():
            due.setdefault(partition, []).append(Outgoing(topic, key, value, (), partition))
        await asyncio.gather(*(app.broker.publish(some) for some in due.values()))  # each stands for itself


def _serving(worker: Worker) -> None:
    """What a worker does beside the stream: say how it goes, answer questions, and tidy up at the end."""
    app, topology = worker.app, worker.topology
    app.at_start.append(lambda: logger.info("started: %s; log %s", ", ".join(topology.systems), shown(topology.broker)))
    app.at_end.append(worker.close)

    app.at_start.append(worker.watchdog.start)
    app.at_end.append(worker.watchdog.stop)

    @app.timer(interval=1.0)
    async def watch() -> None:
        worker.watchdog.beat(app.lanes)
        asked = time.monotonic()
        await asyncio.sleep(_BLINK)
        worker.late = max(0.0, time.monotonic() - asked - _BLINK)
        worker.watch()
        worker.hold()
        await worker.recover()

    @app.answers("read")
    async def read(payload: dict[str, Any]) -> dict[str, Any]:
        return {"types": await worker.read_now([str(name) for name in payload.get("types") or ()])}

    @app.answers("worker")
    async def state(_: dict[str, Any]) -> dict[str, Any]:
        return worker.state()


def _pushing(worker: Worker, system: str, endpoint: Guarded) -> None:
    """The agent that writes to one system: its lanes wait for the network each on their own."""
    app, topology = worker.app, worker.topology
    types = [name for name, polled in topology.types.items() if polled.system == system]
    if not types:
        return
    observers = {name: Observer(topology.flows.paths.get(name, ())) for name in types}
    push_unit = Push(system, endpoint, observers, clock, paused=worker.pauses.reason, meters=worker.meters)

    @app.agent(
        app.topic(*(upserts(name) for name in types)),
        name=push_agent(system),
        concurrency=topology.partitions,
        retries=2,
    )
    async def push(stream: Any) -> None:
        async for unit in stream.units(PUSH):
            await push_unit(unit)
            worker.written[system] += len(unit)


def _owned(worker: Worker, stream: Stream) -> list[tuple[Lane, str]]:
    """The entity types that this process reads: those whose partition of ``polls`` is its own."""
    lanes = {lane.id.partition: lane for lane in stream.lanes}
    partitions = worker.topology.partitions
    owned = ((partition_of(name.encode(), partitions), name) for name in worker.topology.types)
    return [(lanes[partition], name) for partition, name in owned if partition in lanes]


def _went_well(worker: Worker, name: str) -> None:
    """A page was read: note it, and say what an operator waits for."""
    reader = worker.readers[name]
    if worker.errors.pop(name, None) is not None:
        logger.info("%s: read again", name)
    if reader.counted is not None:
        how = "all read anew" if reader.again else "first complete reading"
        logger.info("%s: %s, records: %d", name, how, reader.counted)
        reader.counted = None
    worker.read_at[name] = clock()
    worker.meters.pages[name] += 1


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _sweep_on(worker: Worker, lane: Lane) -> None:
    """Have the rows of a partition tell everything anew, some each second."""
    period = round(worker.topology.resync * 1e6)
    while True:
        try:
            async with lane.turn() as unit:
                worker.join.sweep(unit, period)
        except EngineError as error:
            worker.app.broker.on_fatal(error)
            return
        await asyncio.sleep(1.0)


async def _read_on(worker: Worker, lane: Lane, name: str) -> None:
    """Read a type for ever: page after page while there are more, then at its interval."""
    reader, polled, wish = worker.readers[name], worker.topology.types[name], worker.wishes[name]
    began: Time = 0
    while True:
        wish.clear()
        if worker.pauses.reason(name):
            await wish.wait()
            continue
        began = began or clock()
        try:
            more = await reader.read(lane.turn)
            _went_well(worker, name)
            if not more:
                worker.whole_at[name], began = began, 0
        except ConnectorError as error:
            more = False
            if worker.errors.get(name) != str(error):
                logger.warning("%s: %s", name, error)
            worker.errors[name] = str(error)
            worker.meters.failures[name] += 1
        except EngineError as error:
            worker.app.broker.on_fatal(error)
            return
        except Exception as error:  # the edge: a bug in a reader must not silence the others
            more = False
            worker.errors[name] = f"{type(error).__name__}: {error}"
            worker.meters.failures[name] += 1
            logger.exception("%s: reading failed", name)
        worker.tried[name] += 1
        if not more:
            with suppress(TimeoutError):
                async with asyncio.timeout(polled.poll):
                    await wish.wait()
