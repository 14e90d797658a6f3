"""Three agents, one table, the topics between them.

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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from connectors.breaker import Guarded
from connectors.endpoint import Endpoint
from connectors.errors import ConnectorError
from stream.codec import decode_order
from stream.core.fields import Observer
from stream.engine.agents import Stream
from stream.engine.backends import shown
from stream.engine.feed import told_to_end
from stream.engine.lanes import Lane
from stream.engine.log import EngineError, Outgoing, partition_of
from stream.errors import BadRecord
from stream.model import Reread, Time
from stream.parking import park
from stream.pauses import PAUSED, paused
from stream.push import Push
from stream.topics import MAIL, POLLS, changes, upserts
from stream.topology import Topology
from stream.wanted import push_agent
from stream.worker import Worker, clock

JOIN, PUSH = 200, 50
"""Records in a unit: what a body may do before the loop turns, and how many writes stand on one note."""

_BLINK = 0.05
"""Seconds that the event loop is asked to wait, to see how late it is."""

_REST = 30.0
"""Seconds after which a sweep that failed is tried again."""

logger = logging.getLogger(__name__)


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
        lanes = {}
        for lane in stream.lanes:
            async with lane.turn() as unit:
                lanes[unit.partition] = paused(unit.get(PAUSED))
        worker.pauses.learn(lanes)
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
        await worker.pauses.known.wait()
        sweeping = [asyncio.ensure_future(_sweep_on(worker, lane)) for lane in stream.lanes]
        try:
            async for unit in stream.units(JOIN):
                with worker.traces.unit("join", unit) as traced:
                    worker.join(traced)
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
    systems, log = ", ".join(topology.systems), shown(topology.broker)
    app.at_start.append(lambda: logger.info("started: %s; log %s", systems, log, extra={"what": "started"}))
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
        await worker.pauses.known.wait()
        async for unit in stream.units(PUSH):
            with worker.traces.unit("push", unit) as traced:
                await push_unit(traced)
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
        logger.info("%s: read again", name, extra={"what": "read_again", "type": name})
    if reader.counted is not None:
        how = "all read anew" if reader.again else "first complete reading"
        more = {"what": "read_whole", "type": name, "records": reader.counted}
        logger.info("%s: %s, records: %d", name, how, reader.counted, extra=more)
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
        rest = 1.0
        try:
            async with lane.turn() as unit:
                worker.join.sweep(unit, period)
        except EngineError as error:
            worker.app.broker.on_fatal(error)
            return
        except (Exception, asyncio.CancelledError):  # the edge: who waits for a sweep would wait for ever
            if told_to_end():
                raise
            logger.exception("%s: the sweep failed, and is tried again", lane.id, extra={"what": "not_swept"})
            rest = _REST
        await asyncio.sleep(rest)


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
            more = await reader.read(worker.traces.turns(name, lane.turn))
            _went_well(worker, name)
            if not more:
                worker.whole_at[name], began = began, 0
        except ConnectorError as error:
            more = False
            if worker.errors.get(name) != str(error):
                logger.warning("%s: %s", name, error, extra={"what": "not_read", "type": name})
            worker.errors[name] = str(error)
            worker.meters.failures[name] += 1
        except EngineError as error:
            worker.app.broker.on_fatal(error)
            return
        except (Exception, asyncio.CancelledError) as error:  # the edge: a bug in a reader must not silence the others
            if told_to_end():
                raise
            more = False
            worker.errors[name] = f"{type(error).__name__}: {error}"
            worker.meters.failures[name] += 1
            logger.exception("%s: reading failed", name, extra={"what": "not_read", "type": name})
        worker.tried[name] += 1
        if not more:
            with suppress(TimeoutError):
                async with asyncio.timeout(polled.poll):
                    await wish.wait()
