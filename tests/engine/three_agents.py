"""A whole worker for tests that kill it: poll -> changes -> join -> upserts -> push -> a ledger outside -> receipts ->
join.

Run as a script: ``three_agents.py URL FOLDER [silent]``. Each hop counts in rows, so that what was lost or doubled
shows. The ledger is the target: a file that gets one line per write and can be looked into, as a system can. Files in
FOLDER steer it: ``stop`` ends the polling (``stopped.PID`` answers), ``hang`` makes push wait for ever.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from stream.engine.agents import Stream
from stream.engine.app import App, create_app, run
from stream.engine.embedded import batch, writer
from stream.engine.embedded.lease import Lease
from stream.engine.embedded.log import EmbeddedLog
from stream.engine.kafka.claim import KafkaClaim
from stream.engine.kafka.group import Member
from stream.engine.kafka.rows import LocalRows
from stream.engine.lanes import Lane
from stream.engine.log import DAY, EngineError, TopicSettings

TOPICS = {name: TopicSettings(DAY) for name in ("ticks", "changes", "upserts", "receipts")}


def count(unit: object, name: bytes) -> None:
    number = int(unit.get(name) or b"0")  # type: ignore[attr-defined]
    unit.put(name, b"%d" % (number + 1))  # type: ignore[attr-defined]


class Ledger:
    def __init__(self, folder: Path, partition: int) -> None:
        self.path = folder / f"ledger.{partition}"
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, name: bytes) -> None:
        os.write(self._file, name + b"\n")

    def has(self, name: bytes) -> bool:
        return name in self.path.read_bytes().split(b"\n")


def build(url: str, folder: Path) -> App:
    app = create_app("three", url, topics=TOPICS, partitions=4)
    ledgers: dict[int, Ledger] = {}

    @app.agent(app.topic("ticks"), name="poll", concurrency=4)
    async def poll(stream: Stream) -> None:
        polling = [asyncio.ensure_future(poll_on(lane)) for lane in stream.lanes if lane.id.partition == 0]
        try:
            async for _ in stream.units():
                pass
        finally:
            for task in polling:
                task.cancel()
            await asyncio.gather(*polling, return_exceptions=True)

    async def poll_on(lane: Lane) -> None:
        while not (folder / "stop").exists():
            try:
                async with lane.turn() as unit:
                    first = int(unit.get(b"cursor") or b"0")
                    for number in range(first, first + 25):
                        unit.emit("changes", b"key%d" % (number % 97), b"%d" % number)
                    unit.put(b"cursor", b"%d" % (first + 25))
            except EngineError as error:
                app.broker.on_fatal(error)
                raise
            await asyncio.sleep(0.005)
        (folder / f"stopped.{os.getpid()}").touch()  # no turn is under way any more

    @app.agent(app.topic("changes", "receipts"), name="join", retries=0)
    async def join(stream: Stream) -> None:
        async for unit in stream.units(50):
            for record in unit:
                if record.value == b"poison":
                    raise ValueError("poison")
                count(unit, record.topic.encode() + b"|" + record.key)
                if record.topic == "changes":
                    unit.emit("upserts", record.key, record.value)

    @app.agent(app.topic("upserts"), name="push", concurrency=4)
    async def push(stream: Stream) -> None:
        async for unit in stream.units(20):
            ledger = ledgers.setdefault(unit.partition, Ledger(folder, unit.partition))
            done = {r.value for r in unit if unit.get(b"note|" + r.value) is not None and ledger.has(r.value)}
            for record in unit:
                unit.put(b"note|" + record.value, b"begun")
            await unit.save()
            while (folder / "hang").exists():  # noqa: ASYNC110 - a test in another process holds it
                await asyncio.sleep(0.05)
            for record in unit:
                if record.value not in done:
                    unit.sure()
                    ledger.write(record.value)
                    await asyncio.sleep(0)
                count(unit, b"pushed|" + record.key)
                unit.put(b"note|" + record.value, None)
                unit.emit("receipts", record.key, record.value)

    @app.answers("pid")
    async def pid(payload: dict[str, object]) -> dict[str, object]:
        return {"pid": os.getpid(), **payload}

    return app


def crash_at_named_points(seed: str) -> None:
    """Die inside a transaction, between its statements, or right after it, before anybody is told."""
    roll = random.Random(seed)
    insert, call = batch._insert, writer.Writer._call

    def maybe() -> None:
        if roll.random() < 0.0015:
            os.kill(os.getpid(), signal.SIGKILL)

    def inside(*arguments: Any) -> None:
        maybe()
        insert(*arguments)
        maybe()

    def after(self: writer.Writer, *arguments: Any) -> None:
        maybe()
        call(self, *arguments)

    batch._insert = inside
    writer.Writer._call = after  # type: ignore[method-assign]


class Point(NamedTuple):
    """A method, whether it is before or after it, and at which passages a worker dies in tests."""

    owner: Any
    method: str
    when: str
    passages: tuple[int, int] = (1, 40)


POINTS = {
    "a lane's former owner is fenced": Point(KafkaClaim, "_restore", "before", (1, 3)),
    "a lane's rows are back": Point(KafkaClaim, "_restore", "after", (1, 3)),
    "a transaction is begun": Point(AIOKafkaProducer, "begin_transaction", "after"),
    "all is sent, nothing committed": Point(AIOKafkaProducer, "commit_transaction", "before"),
    "committed, nobody told": Point(AIOKafkaProducer, "commit_transaction", "after"),
    "rows on their way to the file": Point(LocalRows, "_keep", "before", (1, 3)),
    "rows in the file": Point(LocalRows, "_keep", "after", (1, 3)),
    "partitions are given": Point(Member, "on_partitions_assigned", "after", (1, 1)),
    "partitions are taken": Point(Member, "on_partitions_revoked", "before", (2, 2)),
}
"""Where a worker over Kafka can be told to die."""


def crash_at(point: str, passage: int) -> None:
    """Die at a named point, when it is passed for the so-manyeth time."""
    owner, name, when, _ = POINTS[point]
    method, passages = getattr(owner, name), itertools.count(1)

    def maybe(moment: str) -> None:
        if when == moment and next(passages) == passage:
            os.kill(os.getpid(), signal.SIGKILL)

    if asyncio.iscoroutinefunction(method):

        async def awaited(*arguments: Any) -> Any:
            maybe("before")
            result = await method(*arguments)
            maybe("after")
            return result

        setattr(owner, name, awaited)
    else:

        def called(*arguments: Any) -> Any:
            maybe("before")
            result = method(*arguments)
            maybe("after")
            return result

        setattr(owner, name, called)


def main() -> None:
    logging.basicConfig(level="WARNING", stream=sys.stderr)
    point, _, passage = os.environ.get("CRASH", "").rpartition(" #")
    if point:
        crash_at(point, int(passage))
    elif passage:
        crash_at_named_points(passage)
    app = build(sys.argv[1], Path(sys.argv[2]))
    if len(sys.argv) > 3 and isinstance(app.broker, EmbeddedLog):
        app.broker.lease = Lease(app.broker.place.path, silent=float(sys.argv[3]))
    run(app)


if __name__ == "__main__":
    main()
