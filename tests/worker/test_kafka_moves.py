"""Workers come and go while people edit: readers, timers, deciders and writers of the whole product move under them.

With LINKSTREAM_FAULTS set there are 1, 4, 2 and 8 of them, and each is replaced in turn: ``make faults``.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections.abc import Sequence
from itertools import chain, cycle, product
from pathlib import Path

import pytest

from stream.engine.kafka import cluster as topics
from stream.engine.log import LaneId
from stream.operate.process import WorkerProcess
from stream.wanted import agents_of, on_cluster
from tests.engine.team import lanes_of
from tests.worker.office import Office
from tests.worker.rig import linked, pairs, redundant, rename, rig, settled, until

FULL = bool(os.environ.get("LINKSTREAM_FAULTS"))
STEPS = (4, 2, 8, 3, 4, 3, 4, 3, 4, 3) if FULL else (3, 1)
TYPISTS = 3
TASKS = 60 if FULL else 9
"""So many that nobody types on one record so often that it is taken for two programs at odds, and slowed down."""

pytestmark = [pytest.mark.process, pytest.mark.timeout(900 if FULL else 170)]


class Crew:
    """As many workers as one likes over one log, each with a folder of its own; who came first goes first."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._hired = 0
        self.workers: list[WorkerProcess] = []

    async def become(self, many: int) -> None:
        """Be so many; returns when every lane is one worker's, and of all workers that can have some."""
        while len(self.workers) < many:
            self._hired += 1
            broker = self._office.topology.broker.replace("/state&", f"/state{self._hired}&")
            environment = {**self._office.environment, "LINKSTREAM_BROKER": broker}
            worker = WorkerProcess(self._office.folder, self._office.config, broker, environment)
            await worker.start()
            self.workers.append(worker)
        while len(self.workers) > many:
            assert await self.workers.pop(0).stop() == 0
        async with asyncio.timeout(60):
            while not await self._shared_out():
                assert all(worker.alive for worker in self.workers), self.workers[0].last_words()
                await asyncio.sleep(0.1)

    async def _shared_out(self) -> bool:
        topology = self._office.topology
        pids = [worker.process.pid for worker in self.workers if worker.process is not None and worker.ready()]
        shares = [share for pid in pids if (share := await lanes_of(topology.broker, pid))]
        every = sorted(LaneId(*each) for each in product(agents_of(topology), range(topology.partitions)))
        return len(shares) == min(len(self.workers), topology.partitions) and sorted(chain(*shares)) == every

    async def end(self) -> None:
        for worker in self.workers:
            await worker.stop()


async def type_on(office: Office, mine: Sequence[tuple[str, str]], took: list[float], over: asyncio.Event) -> None:
    """Edit on either side of one's pairs, one after the other, and see each edit arrive on the other side."""
    roll = random.Random(7)
    for number, pair in enumerate(cycle(mine)):
        if over.is_set():
            return
        both = list(pair)
        roll.shuffle(both)
        text, began = f"Edit {number} of {both[0]}", time.monotonic()
        await rename(office, both[0], text)
        await until(lambda both=both, text=text: text in office.record(both[1]).values(), text, seconds=60, every=0.02)
        took.append(time.monotonic() - began)


async def test_workers_come_and_go_while_people_edit(tmp_path: Path, kafka: str, name: str) -> None:
    broker = f"kafka://{kafka}?prefix={name}.&state={tmp_path}/state&session=6"
    async with rig(tmp_path, tasks=TASKS, twins=3, broker=broker) as office:
        await topics.apply(*await on_cluster(office.topology))
        crew, over, took = Crew(office), asyncio.Event(), list[float]()
        try:
            await crew.become(1)
            await linked(office)
            everybody = pairs(office)
            async with asyncio.TaskGroup() as group:
                for typist in range(TYPISTS):
                    group.create_task(type_on(office, everybody[typist::TYPISTS], took, over))
                for many in STEPS:
                    await crew.become(many)
                    seen = len(took)
                    while len(took) < seen + 3 * TYPISTS:  # noqa: ASYNC110 - typists
                        await asyncio.sleep(0.05)
                over.set()
            await settled(office)
        finally:
            await crew.end()
        print(
            f"{len(STEPS)} rebalances, {len(took)} edits, each seen on the other side after p50 "
            f"{statistics.median(took):.2f} s, max {max(took):.1f} s; {office.doubled()} records doubled, "
            f"{len(redundant(office))} writes of nothing new"
        )
        assert office.doubled() == 0
        assert not redundant(office)
