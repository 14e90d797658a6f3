"""The app: a Faust app whose log is ours, and the process that runs it.

``create_app`` declares every topic at the start; there are none at run time. ``run`` takes the log's lease before
anything else, runs Faust's worker without its web server, banner and logging, and ends with an exit code that a
supervisor can read: 0 after a signal, 70 fenced or unknown, 75 in use or no room, 78 damaged or misconfigured.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn, TypeAlias, TypeVar, cast

import faust
from faust.tables.manager import TableManager as FaustTableManager
from faust.worker import Worker as FaustWorker

from stream.engine.agents import Agent, Stream
from stream.engine.ask import Desk, Handler, built_in
from stream.engine.backends import log_at, shown, socket_at
from stream.engine.feed import Feed
from stream.engine.lanes import Lane
from stream.engine.log import ALWAYS, EngineError, LaneId, Log, Staged, TopicSettings
from stream.engine.transport import Transport

DRAIN = 3.0  # seconds that bodies have to finish their units before they are cancelled
LATEST = 4.5  # seconds between a signal and the end, whatever still runs
ROWS, SIZE = 100_000, 32 << 20  # rows, and bytes of them, that the lanes of one agent keep at hand

Body: TypeAlias = Callable[[Stream], Awaitable[None]]
Task = TypeVar("Task", bound=Callable[[], Awaitable[None]])

logger = logging.getLogger(__name__)


class TableManager(FaustTableManager):
    """There are no tables to wait for."""

    async def sleep(self, n: Any, *, loop: Any = None) -> None:
        """Faust waits here a second for tables to be declared."""


class App(faust.App):
    """A Faust app over a log."""

    broker: Log  # Faust calls its logger ``log``
    partitions: int
    declared: Mapping[str, TopicSettings]

    def bind(self, url: str, topics: Mapping[str, TopicSettings], partitions: int) -> None:
        """Say which log it is, and what is in it."""
        self.broker = log = log_at(url)
        self.url = url
        self.partitions = partitions
        self.declared = topics
        self.lanes: list[Lane] = []
        self.feeds: list[tuple[Callable[[LaneId], bool], Feed]] = []
        """Which lanes are for which body."""
        self.handlers: dict[str, Handler] = built_in(log)
        self.on_landed: Callable[[Staged], object] = lambda _: None
        """Called with every unit that is durable now."""
        self.shared = 0
        """How often lanes were handed out: once at the start, and again whenever workers come or go."""
        self.claimed = False
        """Whether the first lanes are ours."""
        self.at_open: list[Callable[[], Awaitable[object]]] = []
        """Called before anything is opened."""
        self.at_start: list[Callable[[], object]] = []
        """Called when the first lanes are ours and before any unit is out."""
        self.at_end: list[Callable[[], Awaitable[object]]] = []
        """Called when all units are done and before the log is closed."""
        self._desk: Desk | None = None
        self._drained = False

    def agent(  # type: ignore[override]  # its bodies take our stream
        self, channel: Any = None, *, name: str | None = None, concurrency: int = 1, retries: int = 2, **kwargs: Any
    ) -> Callable[[Body], Agent]:
        """Faust's decorator; a failing unit is run ``retries`` times more before it is halved."""
        made = super().agent(channel, name=name, concurrency=concurrency, retries=retries, **kwargs)
        return cast("Callable[[Body], Agent]", made)

    def timer(  # type: ignore[override]
        self, interval: float, *args: Any, **kwargs: Any
    ) -> Callable[[Task], Task]:
        """Faust's decorator, typed: every ``interval`` seconds."""
        return cast("Callable[[Task], Task]", super().timer(interval, *args, **kwargs))

    def answers(self, name: str) -> Callable[[Handler], Handler]:
        """Register a command of a second process: ``@app.answers("explain")`` over ``async def (payload) -> dict``."""

        def register(handler: Handler) -> Handler:
            self.handlers[name] = handler
            return handler

        return register

    async def open_log(self) -> None:
        """Open the log, declare the topics, claim the lanes that are ours, answer commands."""
        for opening in self.at_open:
            await opening()
        await self.broker.open()
        agents = self.agents.values()
        await self.broker.declare(self.declared, self.partitions, [agent.name for agent in agents])
        topics = sorted({topic for agent in agents for topic in agent.get_topic_names()})
        await self.broker.share(topics, self._given, self._taken)
        self._desk = Desk(socket_at(self.url, os.getpid()), self.handlers)
        await self._desk.open()
        self.claimed = True
        for beginning in self.at_start:
            beginning()

    async def _given(self, partitions: frozenset[int]) -> None:
        """Claim the lanes of these partitions, and have the bodies called over them."""
        ours = [
            self._claim(LaneId(agent.name, partition), agent.get_topic_names())
            for agent in self.agents.values()
            for partition in sorted(partitions)
        ]
        self.lanes += await asyncio.gather(*ours)
        self.shared += 1
        for lane in self.lanes:
            lane.draining = self._drained
        for theirs, feed in self.feeds:
            feed.begin([lane for lane in self.lanes if theirs(lane.id)])

    async def _taken(self) -> None:
        """Let every body finish what it has in hand, and let go of all lanes."""
        feeds = [feed for _, feed in self.feeds]
        for feed in feeds:
            feed.end()
        lanes, self.lanes = self.lanes, []
        still = [
            asyncio.ensure_future(wait)
            for wait in (*(feed.idle.wait() for feed in feeds), *(lane.still.wait() for lane in lanes))
        ]
        if still:
            _, late = await asyncio.wait(still, timeout=DRAIN)
            if late:
                logger.warning("partitions go to another worker; what did not end in %.0f s comes again there", DRAIN)
                for feed in feeds:
                    feed.interrupt()
                await asyncio.wait(still, timeout=DRAIN)
            for wait in still:
                wait.cancel()
        await asyncio.gather(*(self.broker.release(lane.id) for lane in lanes))

    async def _claim(self, lane: LaneId, topics: tuple[str, ...]) -> Lane:
        claimed: list[Lane] = []

        def wake() -> None:
            for one in claimed:
                one.on_ready()

        claimed.append(
            Lane(
                self.broker,
                await self.broker.claim(lane, topics, wake),
                rows=ROWS // self.partitions,
                size=SIZE // self.partitions,
            )
        )
        claimed[0].on_landed = self.on_landed
        return claimed[0]

    @property
    def draining(self) -> bool:
        """Whether it was told to stop."""
        return self._drained

    async def drain(self) -> None:
        """Give out no more units; wait for those that are out and for their commits, once."""
        if self._drained:
            return
        self._drained = True
        for _, feed in self.feeds:
            feed.end(closed=True)
        for lane in self.lanes:
            lane.draining = True
            lane.on_ready()
        if self.lanes:
            await asyncio.wait([asyncio.ensure_future(lane.still.wait()) for lane in self.lanes], timeout=DRAIN)

    async def close_log(self) -> None:
        """Drain, then let go of everything."""
        await self.drain()
        for ending in self.at_end:
            try:
                await ending()
            except Exception:  # the edge: the log is closed all the same
                logger.exception("something did not end well", extra={"what": "not_closed"})
        if self._desk is not None:
            await self._desk.close()
        await self.broker.close()

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return Transport(self.conf.broker_producer, self)

    def _create_directories(self) -> None:
        """Nothing is kept outside the log."""


def create_app(name: str, url: str, *, topics: Mapping[str, TopicSettings], partitions: int = 4) -> App:
    """An app over the log at ``url``. Topics are declared now or never; ``parked`` always is."""
    log_at(url)  # a wrong URL is told before Faust sees it
    app = App(
        name,
        broker=shown(url),
        autodiscover=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        topic_allow_declare=False,
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        web_enabled=False,
        worker_redirect_stdouts=False,
        stream_recovery_delay=0.0,
        broker_commit_interval=3600.0,
        Stream=Stream,
        Agent=Agent,
        TableManager=TableManager,
    )
    app.bind(url, {**ALWAYS, **topics}, partitions)
    return app


class Worker(FaustWorker):
    """Faust's worker without its terminal, its two seconds of farewell, or patience for a second signal."""

    @property
    def signalled(self) -> bool:
        """Whether a signal ends it; what then fails was on its way up."""
        return self._signal_stop_time is not None

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        if self._signal_stop_time:
            _leave(128 + int(signal))
        deadline = threading.Timer(LATEST, _too_late)
        deadline.daemon = True
        deadline.start()
        super()._schedule_shutdown(signal)

    def _setproctitle(self, info: str, *, ident: str = "") -> None:
        """The command line stays as it was typed."""

    def _gather_all(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()

    async def _sentinel_task(self) -> None:
        await asyncio.sleep(0)


def run(app: faust.App) -> NoReturn:
    """Run the app until a signal or a failure ends the process."""
    sys.exit(_run(cast("App", app)))


def _run(app: App) -> int:
    app.broker.on_fatal = _fatal
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app.finalize()
    try:
        app.broker.hold()
        worker = Worker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
        worker.spinner = None
        worker.execute_from_commandline()
    except EngineError as error:
        logger.critical("%s", error)
        return error.exit_code
    except SystemExit as end:
        if end.code in (0, None) or (worker.signalled and worker.crash_reason is None):
            return 0
        reason = worker.crash_reason or end.__context__
        return reason.exit_code if isinstance(reason, EngineError) else EngineError.exit_code


def _fatal(error: EngineError) -> None:
    logger.critical("%s", error)
    _leave(error.exit_code)


def _too_late() -> None:
    logger.warning(
        "something did not end within %.1f s of the signal; leaving it, what was not committed comes again", LATEST
    )
    _leave(0)


def _leave(code: int) -> NoReturn:
    """End at once: whatever was not committed comes again."""
    logging.shutdown()
    os._exit(code)
