"""The writer: one thread, one connection, and in each transaction everything that waits.

Units and published records that arrive while a transaction runs share the next one, so that one fsync serves many.
Inside the transaction each unit's epoch is compared with its lane's; a unit of a former owner fails alone. When the
disk is full or the file locked, the transaction is rolled back and tried again until it succeeds: whoever waits keeps
waiting, which is the back-pressure. Anything else ends the process. Upkeep happens here too, piece by piece, when
nothing waits.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

from stream.engine.embedded.batch import Batch
from stream.engine.embedded.schema import Place, explained, known, open_writer
from stream.engine.embedded.upkeep import Upkeep
from stream.engine.embedded.witness import Witness, count, examine, saved_at
from stream.engine.log import Closed, Corrupt, EngineError, Fenced, Full, InUse, LaneId, Outgoing, Staged

T = TypeVar("T")

PAUSE = 0.5  # seconds between two attempts of a transaction that found no room
MOST = 20_000  # rows and records of one transaction, about; many share a page that is then written once

logger = logging.getLogger(__name__)


class Write(Struct, eq=False):
    """Units, or published records, that wait for their transaction."""

    units: Sequence[Staged]
    records: Sequence[Outgoing]
    done: asyncio.Future[Any]
    size: int


class Order(Struct, eq=False):
    """Anything else that needs the connection; in a transaction of its own unless it is ``bare``."""

    run: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]
    bare: bool


class Stop(Struct, eq=False):
    """The last job."""


Job: TypeAlias = Write | Order | Stop


class Writer(threading.Thread):
    """Owns the connection. Its public methods are called in the loop's thread, and so are its callbacks."""

    def __init__(self, place: Place, clock: Callable[[], float], upkeep: Upkeep) -> None:
        super().__init__(name="log-writer", daemon=True)
        self.place = place
        self.trouble = ""  # why nothing can be written at the moment
        self.max_pages: int | None = None  # of the file; more is refused as if the disk were full
        self.on_heads: Callable[[dict[int, int]], None] = lambda _: None
        self.on_fatal: Callable[[EngineError], object] = lambda _: None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transactions = 0
        self._clock = clock
        self._upkeep = upkeep
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._end: EngineError | None = None
        self._stopping = threading.Event()
        self._topics: dict[str, tuple[int, int]] = {}
        self._lanes: dict[LaneId, tuple[int, int]] = {}
        self._heads: dict[int, int] = {}
        self._seen = -1  # SQLite's data_version when these were read
        self._pages: int | None = None
        self._connection = open_writer(place)
        try:
            self._witness = Witness(place.witnessed())
            with explained(place.path):
                self.loss = examine(self._connection, self._witness, int(clock() * 1e6))
                upkeep.begin(saved_at(self._connection), clock())
        except BaseException:
            self._connection.close()
            raise

    def write(self, units: Sequence[Staged], records: Sequence[Outgoing]) -> asyncio.Future[None]:
        """Queue units and records; the future is done when they are durable."""
        size = len(records) + sum(len(unit.rows) + len(unit.records) for unit in units)
        return self._put(Write(units, records, self._loop.create_future(), size))

    def order(self, run: Callable[[sqlite3.Connection], T], *, bare: bool = False) -> asyncio.Future[T]:
        """Queue a piece of work on the connection."""
        return self._put(Order(run, self._loop.create_future(), bare))

    def _put(self, job: Write | Order) -> asyncio.Future[Any]:
        if self._end is None:
            self._jobs.put(job)
        else:
            job.done.set_exception(self._end)
        return job.done

    def stop(self) -> None:
        """Finish what waits, then close; what finds no room is given up."""
        self._stopping.set()
        self._jobs.put(Stop())

    # The thread

    def run(self) -> None:
        """Take jobs until the last one."""
        jobs: list[Job] = []
        end: EngineError = Closed(f"{self.place.path}: the log is closed")
        try:
            while not (jobs and isinstance(jobs[-1], Stop)):
                jobs = self._take()
                self._work(jobs)
        except EngineError as error:
            end = error
        except sqlite3.Error as error:
            end = known(error, self.place.path)
        except Exception as error:
            logger.exception("the writer failed")
            end = EngineError(f"{self.place.path}: {type(error).__name__}: {error}")
        with suppress(sqlite3.Error):
            self._connection.close()
        self._witness.close()
        self._call(self._finished, end, jobs)

    def _take(self) -> list[Job]:
        """What waits, up to an order: that goes last."""
        jobs: list[Job] = []
        with suppress(queue.Empty):
            jobs.append(self._jobs.get(timeout=self._upkeep.patience()))
            size = 0
            while isinstance(job := jobs[-1], Write) and (size := size + job.size) < MOST:
                jobs.append(self._jobs.get_nowait())
        return jobs

    def _work(self, jobs: list[Job]) -> None:
        writes = [job for job in jobs if isinstance(job, Write)]
        if writes:
            self._until_room(lambda: self._write(writes))
        for job in jobs:
            if isinstance(job, Order):
                self._until_room(lambda job=job: self._obey(job))  # type: ignore[misc]
        if self._upkeep.due(waiting=not self._jobs.empty()):
            self._until_room(lambda: self._upkeep.step(self._connection, self._clock()))

    def _until_room(self, attempt: Callable[[], object]) -> None:
        while True:
            try:
                self._limit_pages()
                attempt()
            except sqlite3.OperationalError as error:
                self._roll_back()
                reason = known(error, self.place.path)
                if not isinstance(reason, Full | InUse):
                    raise
                if not self.trouble:
                    logger.error("%s", reason)  # noqa: TRY400 - the disk's state is no bug: no stack
                self.trouble = str(reason)
                if self._stopping.wait(PAUSE):
                    raise Closed(f"{self.place.path}: closed before this was written: {reason}") from error
            else:
                if self.trouble:
                    logger.warning("%s: there is room again, going on", self.place.path)
                self.trouble = ""
                return

    def _limit_pages(self) -> None:
        if self.max_pages != self._pages:
            self._pages = self.max_pages
            self._connection.execute(f"pragma max_page_count={self._pages or 0xFFFFFFFE}")

    def _roll_back(self) -> None:
        self._seen = -1
        if self._connection.in_transaction:
            self._connection.execute("rollback")

    # One transaction

    def _write(self, writes: Sequence[Write]) -> None:
        connection = self._connection
        connection.execute("begin immediate")
        self._reread(connection)
        fenced: list[tuple[Write, Fenced]] = []
        batch = Batch(self._topics, self._heads, int(self._clock() * 1000))
        for job in writes:
            late = next((error for unit in job.units if (error := self._fenced(unit))), None)
            if late is not None:
                fenced.append((job, late))
                continue
            for unit in job.units:
                batch.unit(self._lanes[unit.lane][0], unit)
            batch.append(job.records)
        batch.store(connection)
        number = count(connection, int(self._clock() * 1e6))
        connection.execute("commit")
        self._witness.note(number)
        self._heads = batch.heads
        self.transactions += 1
        self._call(self._landed, writes, fenced, {tp: batch.heads[tp] for tp in batch.grown})

    def _reread(self, connection: sqlite3.Connection) -> None:
        """What was read is old when another process has written, or an order has changed it."""
        (version,) = connection.execute("pragma data_version").fetchone()
        if version != self._seen:
            self._topics = {name: (number, count) for number, name, count in connection.execute("select * from topics")}
            self._heads = dict(connection.execute("select tp, next from heads"))
            lanes = connection.execute("select agent, part, id, epoch from lanes")
            self._lanes = {LaneId(agent, part): (number, epoch) for agent, part, number, epoch in lanes}
            self._seen = version

    def _fenced(self, unit: Staged) -> Fenced | None:
        _, now = self._lanes.get(unit.lane, (0, 0))
        return (
            None
            if now == unit.epoch
            else Fenced(f"lane {unit.lane}: epoch {unit.epoch}, now {now}: another owner has it")
        )

    def _obey(self, order: Order) -> None:
        """Errors of an order answer whoever waits for it; only a lack of room is waited out here too."""
        try:
            with explained(self.place.path, but=sqlite3.OperationalError):
                if not order.bare:
                    self._connection.execute("begin immediate")
                answer = order.run(self._connection)
                if not order.bare:
                    number = count(self._connection, int(self._clock() * 1e6))
                    self._connection.execute("commit")
                    self._witness.note(number)
        except (sqlite3.OperationalError, Corrupt):
            raise
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            self._roll_back()
            self._call(_fail, order.done, error)
        else:
            self._seen = -1
            self._call(_finish, order.done, answer)

    # Back in the loop's thread

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *arguments)

    def _landed(self, writes: Sequence[Write], fenced: Sequence[tuple[Write, Fenced]], heads: dict[int, int]) -> None:
        self.on_heads(heads)
        for job, error in fenced:
            _fail(job.done, error)
        for job in writes:
            _finish(job.done, None)
        if fenced:
            self.on_fatal(fenced[0][1])

    def _finished(self, end: EngineError, jobs: list[Job]) -> None:
        self._end = end
        with suppress(queue.Empty):
            while True:
                jobs.append(self._jobs.get_nowait())
        for job in jobs:
            if not isinstance(job, Stop):
                _fail(job.done, end)
        _finish(self.ended, None)
        if not isinstance(end, Closed):
            self.on_fatal(end)


def _finish(done: asyncio.Future[Any], answer: Any) -> None:
    if not done.done():
        done.set_result(answer)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
