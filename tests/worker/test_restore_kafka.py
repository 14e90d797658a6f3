"""A cluster is set back to a backup, or its topics are made anew: workers notice by themselves, and make it good."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stream.engine.kafka import cluster as topics
from stream.operate.process import WorkerProcess
from stream.wanted import on_cluster
from tests.kafka.broker import Cluster
from tests.worker.office import Office
from tests.worker.rig import linked, rename, rig, settled, until
from tests.worker.rig import pairs as linked_pairs
from tests.worker.test_restore import go_on, judge

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


class Pair:
    """An office with two workers, as a supervisor keeps them."""

    def __init__(self, office: Office) -> None:
        self.office = office
        environment = {**office.environment, "LINKSTREAM_BROKER": office.topology.broker.replace("/one", "/two")}
        self.other = WorkerProcess(office.folder, office.config, environment["LINKSTREAM_BROKER"], environment)

    def said(self) -> list[str]:
        """What both said since they were started last."""
        return (self.office.folder / "worker.log").read_text("utf-8")[self._mark :].splitlines()

    async def start(self) -> None:
        log = self.office.folder / "worker.log"
        self._mark = len(log.read_text("utf-8")) if log.exists() else 0
        await self.office.start()
        await self.other.start()

    async def kill(self) -> None:
        await self.other.kill()
        await self.office.kill()
        self.office.let_go()


@asynccontextmanager
async def offices(folder: Path, servers: str, name: str) -> AsyncIterator[Pair]:
    broker = f"kafka://{servers}?prefix={name}.&state={folder}/one&session=6"
    async with rig(folder, tasks=8, twins=3, broker=broker) as office:
        await topics.apply(*await on_cluster(office.topology))
        pair = Pair(office)
        try:
            yield pair
        finally:
            await pair.other.stop()


async def made_good(pair: Pair, typed: dict[str, str], words: str) -> None:
    """The loss is noticed, told to both, made good; nothing is double, and nothing is lost."""
    office = pair.office
    await until(lambda: any("state was lost" in line for line in pair.said()), "it is said", seconds=60)
    assert any(words in line for line in pair.said())
    await judge(office, typed)
    assert pair.other.alive


async def test_a_restored_backup_of_a_cluster_is_noticed_and_made_good(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str
) -> None:
    broker = await asyncio.to_thread(cluster)
    data, kept = broker.nodes[1].folder / "data", tmp_path / "backup"
    async with offices(tmp_path, broker.bootstrap, name) as pair:
        office = pair.office
        await pair.start()
        await linked(office)
        await pair.kill()
        await asyncio.to_thread(broker.stop)
        shutil.copytree(data, kept)
        await asyncio.to_thread(broker.start)
        await pair.start()
        await settled(office)
        typed = await go_on(office)
        await pair.kill()
        for number, (left, right) in enumerate(linked_pairs(office)[6:8]):
            await rename(office, right, f"While it was down {number}")
            typed[left] = typed[right] = f"While it was down {number}"
        office.let_go()
        await asyncio.to_thread(broker.stop)
        shutil.rmtree(data)
        kept.rename(data)
        await asyncio.to_thread(broker.start)
        await pair.start()
        await made_good(pair, typed, "was a backup restored, or were topics made anew?")
        await pair.kill()
        await pair.start()
        await until(lambda: sum("started: " in line for line in pair.said()) == 2, "they run again")
        await settled(office)
        assert not any("lost" in line for line in pair.said()), "once is enough"
        assert office.doubled() == 0


async def test_topics_of_a_cluster_that_were_made_anew_are_noticed_and_made_good(
    tmp_path: Path, kafka: str, name: str
) -> None:
    async with offices(tmp_path, kafka, name) as pair:
        office = pair.office
        await pair.start()
        await linked(office)
        typed = await go_on(office)
        await pair.kill()
        address, wanted = await on_cluster(office.topology)
        await topics.remove(address, wanted)
        async with asyncio.timeout(20):
            while await topics.existing(address, [topic.name for topic in wanted]):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.1)
        await topics.apply(address, wanted)
        await pair.start()
        await made_good(pair, typed, "was committed, and the next one is 0")
