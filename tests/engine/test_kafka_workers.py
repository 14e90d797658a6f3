"""Several worker processes over a real Kafka: killed, frozen, joined and left, brokers restarted; counts stay exact.

What is counted is what a reader of committed records sees. ``LINKSTREAM_KILLS`` makes the long test longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream.engine.backends import open_reader, socket_at
from stream.engine.kafka import cluster as topics
from stream.engine.kafka.address import address_of
from stream.engine.log import ALWAYS
from stream.engine.reader import Reader
from tests.engine.test_worker import Bench, until
from tests.engine.three_agents import TOPICS
from tests.kafka.broker import Cluster

pytestmark = [pytest.mark.process, pytest.mark.timeout(170)]

KILLS = int(os.environ.get("LINKSTREAM_KILLS", "4"))
AGENTS = ("poll", "join", "push")


class Team(Bench):
    """Workers over one cluster; each may have a state folder of its own."""

    def __init__(self, folder: Path, servers: str, name: str) -> None:
        super().__init__(folder)
        self.url = f"kafka://{servers}?prefix={name}.&state={folder}/state&session=6&transaction=10"
        address = address_of(self.url)
        declared = {**TOPICS, **ALWAYS}
        self.urls: dict[int, str] = {}
        self.ended: list[int] = []
        asyncio.run(topics.apply(address, topics.wanted(address, declared, AGENTS, 4, 1)))

    def hire(self, instance: str = "", state: str = "state") -> subprocess.Popen[bytes]:
        """One more worker; under a fixed name it takes the place of a former one at once."""
        url = self.url.replace("/state&", f"/{state}&")
        url = f"{url}&instance={instance}" if instance else url
        worker = self.start(url=url)
        self.urls[worker.pid] = url
        return worker

    def keep(self, *frozen: subprocess.Popen[bytes]) -> bool:
        """Do what a supervisor does: start those again that have ended. Always false."""
        for worker in [each for each in self.workers if each not in frozen and each.poll() is not None]:
            self.ended.append(worker.returncode)
            assert worker.returncode in {70, 75}, self.said()[-2000:]
            assert worker.stdout is not None
            worker.stdout.close()
            self.workers.remove(worker)
            url = self.urls[worker.pid]
            self.urls[self.start(url=url).pid] = url
        return False

    def pushed(self) -> int:
        return len(self.ledger())

    def alive(self) -> list[int]:
        return [worker.pid for worker in self.workers if worker.poll() is None]


@pytest.fixture
def team(tmp_path: Path, kafka: str, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    with hired(tmp_path, kafka, name, monkeypatch) as team:
        yield team


@contextmanager
def hired(folder: Path, servers: str, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """A team over a cluster, nobody in it yet."""
    with tempfile.TemporaryDirectory(prefix="ls-") as runtime:  # the path of a socket may have 107 bytes
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        team = Team(folder, servers, name)
        team.runtime = Path(runtime)
        yield team
        team.end()


def finish(team: Team) -> int:
    """Let everything that was begun arrive, then end the workers. Returns how many edits there were."""
    team.stop_polling()
    with open_reader(team.url) as reader:
        until(lambda: received(reader) >= cursor(reader) > 0, 60)
        until(lambda: sum(lag.lag for lag in reader.lags()) == 0, 30)
        edits = cursor(reader)
    for worker in team.workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(8) == 0
    return edits


def cursor(reader: Reader) -> int:
    return int(reader.row("poll", b"cursor", 0) or b"0")


def received(reader: Reader) -> int:
    return sum(int(row) for _, row in reader.rows("join", b"receipts|"))


def check(team: Team, edits: int) -> str:
    """Every edit went through every hop, once. Says the figures."""
    wanted = Counter(b"%d" % number for number in range(edits))
    told = []
    with open_reader(team.url) as reader:
        for topic in ("changes", "upserts", "receipts"):
            found = Counter(
                record.value or b"" for part in range(4) for record in reader.records(topic, part, limit=1 << 30)
            )
            told.append((topic, (wanted - found).total(), (found - wanted).total()))
        for agent, prefix in (("join", b"changes|"), ("join", b"receipts|"), ("push", b"pushed|")):
            counted = sum(int(row) for _, row in reader.rows(agent, prefix))
            told.append((f"rows of {agent}", max(0, edits - counted), max(0, counted - edits)))
        assert list(reader.rows("push", b"note|")) == []
    ledger = Counter(team.ledger())
    told.append(("the ledger", (wanted - ledger).total(), (ledger - wanted).total()))
    figures = f"{edits} edits; lost, doubled: " + "; ".join(f"{hop} {lost}, {doubled}" for hop, lost, doubled in told)
    print(figures)
    assert all((lost, doubled) == (0, 0) for _, lost, doubled in told), figures
    return figures


def test_three_workers_killed_at_random_moments_lose_and_double_nothing(team: Team) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, {KILLS} kills")
    roll = random.Random(seed)
    working = {name: team.hire(name) for name in ("w1", "w2", "w3")}
    until(lambda: team.pushed() > 0, 30)
    for _ in range(KILLS):
        name = roll.choice(sorted(working))
        time.sleep(roll.uniform(0.0, 0.5))  # the moment is what is varied
        working[name].kill()
        assert working[name].wait() == -signal.SIGKILL
        before = team.pushed()
        working[name] = team.hire(name)
        until(lambda before=before: team.pushed() > before + 25, 40)
    check(team, finish(team))


def test_workers_that_come_and_go_hand_over_what_they_have(team: Team) -> None:
    for state in ("first", "second", "third"):
        worker = team.hire(state=state)
        until(lambda worker=worker: socket_at(team.url, worker.pid).exists(), 40)  # it has its share
        before = team.pushed()
        until(lambda before=before: team.pushed() > before + 100, 40)
        if state == "second":
            leaving = team.workers[0]
            leaving.send_signal(signal.SIGTERM)
            assert leaving.wait(8) == 0
            before = team.pushed()
            until(lambda before=before: team.pushed() > before + 100, 40)
    assert "Traceback" not in team.said()
    check(team, finish(team))


def test_a_worker_that_was_frozen_and_goes_on_writes_nothing_old(team: Team) -> None:
    first, second = team.hire(), team.hire(state="other")
    until(lambda: team.pushed() > 50, 40)
    for frozen in (first, second)[: max(1, KILLS // 4)]:
        frozen.send_signal(signal.SIGSTOP)
        team.keep(frozen)
        until(lambda: len(team.alive()) == 2, 5)
        before = team.pushed()
        until(lambda before=before: team.pushed() > before + 200, 60)  # its partitions are worked on by the other one
        frozen.send_signal(signal.SIGCONT)
        before = team.pushed()
        until(lambda before=before: team.keep() or team.pushed() > before + 200, 40)
    print(f"exit codes {team.ended}")
    check(team, finish(team))


def test_brokers_that_end_lose_and_double_nothing(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = cluster()
    with hired(tmp_path, broken.bootstrap, name, monkeypatch) as team:
        team.hire("w1"), team.hire("w2")
        until(lambda: team.pushed() > 50, 40)
        for end in (broken.kill, broken.stop):
            end()
            broken.start()
            before = team.pushed()
            until(lambda before=before: team.keep() or team.pushed() > before + 50, 60)
        print(f"exit codes {team.ended}")
        check(team, finish(team))
