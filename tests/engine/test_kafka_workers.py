"""Several worker processes over a real Kafka: killed, frozen, joined and left, brokers restarted; counts stay exact.

What is counted is what a reader of committed records sees, and the ledger outside. Every test says how long the faults
were felt. With LINKSTREAM_FAULTS set they take long and do much: ``make faults``.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Self

import psutil
import pytest

from stream.engine.backends import open_reader, socket_at
from stream.engine.kafka import cluster as topics
from stream.engine.kafka.address import address_of
from stream.engine.log import ALWAYS, LaneId
from stream.engine.reader import Reader
from tests.engine.test_worker import Bench, until
from tests.engine.three_agents import POINTS, TOPICS
from tests.kafka.broker import Cluster
from tests.kafka.proxy import proxied

pytestmark = [pytest.mark.process, pytest.mark.timeout(1200 if os.environ.get("LINKSTREAM_FAULTS") else 170)]

FULL = bool(os.environ.get("LINKSTREAM_FAULTS"))
KILLS, REBALANCES, ZOMBIES, BROKERS = (50, 10, 5, 5) if FULL else (4, 3, 1, 1)
SESSION = 6
STUCK = 60.0
"""Seconds after which a fault counts as not overcome: no time-out of the product is longer."""
AGENTS = ("poll", "join", "push")


class Team(Bench):
    """Workers over one cluster; each may have a state folder of its own."""

    def __init__(self, folder: Path, servers: str, name: str, copies: int = 1) -> None:
        super().__init__(folder)
        self.url = f"kafka://{servers}?prefix={name}.&state={folder}/state&session={SESSION}&transaction=10"
        address = address_of(self.url)
        declared = {**TOPICS, **ALWAYS}
        self.urls: dict[int, str] = {}
        self.ended: list[int] = []
        asyncio.run(topics.apply(address, topics.wanted(address, declared, AGENTS, 4, copies)))

    def hire(self, instance: str = "", state: str = "state", crash: str = "") -> subprocess.Popen[bytes]:
        """One more worker; under a fixed name it takes the place of a former one at once."""
        url = self.url.replace("/state&", f"/{state}&")
        url = f"{url}&instance={instance}" if instance else url
        worker = self.start(url=url, crash=crash)
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

    def gone(self, worker: subprocess.Popen[bytes], number: int | None = None) -> int:
        """Wait for a worker to end, by a signal if one is given; it is not kept. Returns its exit code."""
        if number is not None:
            worker.send_signal(number)
        code = worker.wait(STUCK)
        assert worker.stdout is not None
        worker.stdout.close()
        self.workers.remove(worker)
        return code

    def ledgers(self) -> list[Path]:
        """One per partition."""
        return [self.folder / f"ledger.{partition}" for partition in range(4)]

    def pushed(self) -> int:
        return len(self.ledger())

    def alive(self) -> list[int]:
        return [worker.pid for worker in self.workers if worker.poll() is None]


@pytest.fixture
def team(tmp_path: Path, kafka: str, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    with hired(tmp_path, kafka, name, monkeypatch) as team:
        yield team


@contextmanager
def hired(folder: Path, servers: str, name: str, monkeypatch: pytest.MonkeyPatch, copies: int = 1) -> Iterator[Team]:
    """A team over a cluster, nobody in it yet."""
    with tempfile.TemporaryDirectory(prefix="ls-") as runtime:  # the path of a socket may have 107 bytes
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        team = Team(folder, servers, name, copies)
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


class Faults:
    """How long each partition stood still after each fault."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.took: list[float] = []

    def sizes(self) -> list[int]:
        return [path.stat().st_size if path.exists() else 0 for path in self.team.ledgers()]

    def over(self, *frozen: subprocess.Popen[bytes]) -> None:
        """A fault has just happened: wait until every partition has gone on, while a supervisor does its work."""
        began, before = time.monotonic(), self.sizes()
        until(lambda: self.team.keep(*frozen) or all(map(int.__gt__, self.sizes(), before)), STUCK)
        self.took.append(time.monotonic() - began)

    def figures(self, what: str) -> str:
        """What is said of them."""
        times = sorted(self.took)
        middle = times[len(times) // 2]
        return f"{len(times)} {what}: all partitions went on after p50 {middle:.1f} s, max {times[-1]:.1f} s"


class Standstill(threading.Thread):
    """The longest time in which a partition did not go on, as long as somebody watches."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(daemon=True)
        self.longest = 0.0
        self._faults = faults
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        sizes = self._faults.sizes()
        since = [time.monotonic()] * len(sizes)
        while not self._over.wait(0.02):
            now, found = time.monotonic(), self._faults.sizes()
            since = [now if new > old else at for new, old, at in zip(found, sizes, since, strict=True)]
            self.longest, sizes = max(self.longest, *(now - at for at in since)), found


def owners(team: Team) -> dict[int, list[LaneId]]:
    """Which lanes each worker has, by their own word."""

    async def asked(worker: subprocess.Popen[bytes]) -> list[LaneId]:
        try:
            reader, writer = await asyncio.open_unix_connection(socket_at(team.url, worker.pid))
        except OSError:
            return []  # it is not that far
        writer.write(b'{"name": "status", "payload": {}}\n')
        found = json.loads(await reader.readline() or b'{"answer": {"lanes": []}}')
        writer.close()
        return sorted({LaneId(lane["agent"], lane["partition"]) for lane in found["answer"]["lanes"]})

    return {worker.pid: asyncio.run(asked(worker)) for worker in team.workers if worker.poll() is None}


def shared_out(team: Team, workers: int) -> bool:
    """Whether so many workers have every lane, each of them one worker's; as many as can have some."""
    if len(team.alive()) != workers or not all(socket_at(team.url, pid).exists() for pid in team.alive()):
        return False
    shares = [share for share in owners(team).values() if share]
    lanes = sorted(lane for share in shares for lane in share)
    every = [LaneId(*each) for each in product(sorted(AGENTS), range(4))]
    return len(shares) == min(workers, 4) and lanes == every


def test_three_workers_killed_at_named_points_and_random_moments_lose_and_double_nothing(team: Team) -> None:
    """Every second kill is at a random moment; the worker that comes back dies at a named point."""
    seed = int(os.environ.get("LINKSTREAM_SEED", str(random.randrange(1 << 32))))
    roll = random.Random(seed)
    points = list(POINTS)
    roll.shuffle(points)
    faults, died = Faults(team), Counter[str]()
    working = {name: team.hire(name) for name in ("w1", "w2", "w3")}
    until(lambda: team.pushed() > 0, 40)
    for kill in range(0, KILLS, 2):
        name = roll.choice(sorted(working))
        time.sleep(roll.uniform(0.0, 0.5))  # the moment is what is varied
        assert team.gone(working[name], signal.SIGKILL) == -signal.SIGKILL
        point = points[kill // 2 % len(points)]
        doomed = team.hire(name, crash=f"{point} #{roll.randint(*POINTS[point].passages)}")
        guest = None
        if "taken" in point:
            until(lambda doomed=doomed: socket_at(team.url, doomed.pid).exists(), STUCK)
            guest = team.hire()  # somebody comes, and partitions are taken from the others
        print(f"dies where {point}")
        assert team.gone(doomed) == -signal.SIGKILL, point
        died[point] += 1
        working[name] = team.hire(name)
        if guest is not None:
            team.gone(guest, signal.SIGKILL)
        faults.over()
    print(f"seed {seed}; {dict(died)}")
    print(faults.figures(f"of {KILLS} kills, each twice in a row"))
    check(team, finish(team))


def test_what_a_killed_worker_had_goes_on_elsewhere_when_its_session_is_over(team: Team) -> None:
    team.hire(), team.hire(state="other")
    until(lambda: team.pushed() > 50 and shared_out(team, 2), 40)
    faults = Faults(team)
    for number in range(REBALANCES // 3):
        team.gone(team.workers[0], signal.SIGKILL)
        faults.over()
        team.hire(state=("other", "state")[number % 2])
        until(lambda: shared_out(team, 2), STUCK)
    print(faults.figures(f"workers killed for good, with a session of {SESSION} s"))
    check(team, finish(team))


def test_workers_that_come_and_go_hand_over_what_they_have(team: Team) -> None:
    """1, 4, 2, 8 workers, and each replaced in turn: every lane is one worker's, and none stands still for long."""
    faults, changes = Faults(team), 0
    team.hire(state="0")
    until(lambda: team.pushed() > 50 and shared_out(team, 1), 40)
    with Standstill(faults) as watch:
        for wanted in (4, 2, 8) if FULL else (3, 2):
            while len(team.alive()) < wanted:
                team.hire(state=str(len(team.workers)))
                changes += 1
            while len(team.alive()) > wanted:
                leave(team)
                changes += 1
            until(lambda wanted=wanted: shared_out(team, wanted), STUCK)
            before = team.pushed()
            until(lambda before=before: team.pushed() > before + 100, STUCK)
        moved = watch.longest
    if FULL:
        while len(team.alive()) > 3:
            leave(team)
    until(lambda: shared_out(team, len(team.alive())), STUCK)
    with Standstill(faults) as watch:
        for _ in list(team.alive()):
            newcomer = team.hire(state=f"r{changes}")
            until(lambda newcomer=newcomer: socket_at(team.url, newcomer.pid).exists(), STUCK)
            leave(team)
            changes += 1
        until(lambda: shared_out(team, len(team.alive())), STUCK)
    print(
        f"{changes} workers came or went; no partition stood still for more than {moved:.1f} s, "
        f"and in a rolling restart {watch.longest:.1f} s"
    )
    assert watch.longest < (10.0 if FULL else STUCK)
    assert "Traceback" not in team.said()
    check(team, finish(team))


def leave(team: Team) -> None:
    """The worker that is there for longest is told to end."""
    assert team.gone(team.workers[0], signal.SIGTERM) == 0


def test_a_worker_that_was_frozen_and_goes_on_writes_nothing_old(team: Team) -> None:
    faults = Faults(team)
    team.hire(), team.hire(state="other")
    until(lambda: team.pushed() > 50 and shared_out(team, 2), 40)
    for _ in range(ZOMBIES):
        frozen = team.workers[0]
        frozen.send_signal(signal.SIGSTOP)
        until(lambda frozen=frozen: psutil.Process(frozen.pid).status() == psutil.STATUS_STOPPED)
        faults.over(frozen)  # its partitions are worked on by the other one
        frozen.send_signal(signal.SIGCONT)
        until(lambda frozen=frozen: frozen.poll() is not None, STUCK)
        assert frozen.returncode == 70, team.said()[-2000:]
        team.keep()
        until(lambda: shared_out(team, 2), STUCK)
    print(faults.figures(f"workers frozen beyond their session of {SESSION} s; exit codes {team.ended}"))
    check(team, finish(team))


def test_brokers_that_end_lose_and_double_nothing(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = cluster()
    with hired(tmp_path, broken.bootstrap, name, monkeypatch) as team:
        faults = Faults(team)
        team.hire("w1"), team.hire("w2")
        until(lambda: team.pushed() > 50, 40)
        for number in range(BROKERS):
            (broken.stop if number % 2 else broken.kill)()
            broken.start()
            faults.over()
        print(faults.figures(f"restarts of the only broker, since it served again; exit codes {team.ended}"))
        check(team, finish(team))


def test_of_three_brokers_each_may_be_killed_and_all_restarted_in_turn(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = cluster(brokers=3, heap=320)
    with hired(tmp_path, three.bootstrap, name, monkeypatch, copies=3) as team:
        faults = Faults(team)
        team.hire("w1"), team.hire("w2")
        until(lambda: team.pushed() > 50, 60)
        for number in (
            (1, 2, 3) if FULL else (1,)
        ):  # each leads some partitions; one of them the group and the transactions
            three.kill(number)
            faults.over()
            three.start(number)
            three.settle()
        print(faults.figures(f"brokers of three killed, leaders among them; exit codes {team.ended}"))
        if FULL:
            with Standstill(faults) as watch:
                three.roll()
                faults.over()
            print(f"all three restarted in turn: no partition stood still for more than {watch.longest:.1f} s")
        check(team, finish(team))


def test_a_broker_that_is_slow_or_cut_off_is_waited_for(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 ms each way; then no connection for longer than a session, as if the network were gone."""
    with proxied(cluster) as network, hired(tmp_path, f"127.0.0.1:{network.port}", name, monkeypatch) as team:
        faults = Faults(team)
        team.hire(), team.hire(state="other")
        until(lambda: team.pushed() > 50 and shared_out(team, 2), 60)
        network.delay = 0.2
        faults.over()
        assert team.ended == [], "a slow broker is no reason to end"
        network.delay = 0.0
        print(faults.figures("times 200 ms each way"))
        network.cut()
        until(lambda: team.keep() or len(team.ended) >= 2, STUCK)  # their leases are over, or they cannot start
        network.mend()
        faults.over()
        print(faults.figures(f"faults of the network; exit codes {team.ended}"))
        check(team, finish(team))
