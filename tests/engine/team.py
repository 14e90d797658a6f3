"""Workers over a real Kafka as processes of their own, a supervisor of sorts, and the account of what came out.

What is counted is what a reader of committed records sees, and the ledger outside.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Self

import pytest

from stream.engine.backends import open_reader, socket_at
from stream.engine.kafka import cluster as topics
from stream.engine.kafka.address import address_of
from stream.engine.log import ALWAYS, LaneId
from stream.engine.reader import Reader
from tests.engine.test_worker import Bench, until
from tests.engine.three_agents import TOPICS

SESSION = 6
STUCK = 60.0
"""Seconds after which a fault counts as not overcome: no time-out of the product is longer."""
AGENTS = ("poll", "join", "push")


class Team(Bench):
    """Workers over one cluster; each may have a state folder of its own. ``told`` is where they are sent, and how."""

    def __init__(self, folder: Path, servers: str, name: str, copies: int = 1, told: str = "") -> None:
        super().__init__(folder)
        options = f"prefix={name}.&state={folder}/state&session={SESSION}&transaction=10"
        self.url = f"kafka://{told or f'{servers}?'}{options}"
        self.urls: dict[int, str] = {}
        self.ended: list[int] = []
        self.address = address_of(f"kafka://{servers}?{options}")
        self.wanted = topics.wanted(self.address, {**TOPICS, **ALWAYS}, AGENTS, 4, copies)
        asyncio.run(topics.apply(self.address, self.wanted))

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


@contextmanager
def hired(
    folder: Path, servers: str, name: str, monkeypatch: pytest.MonkeyPatch, copies: int = 1, told: str = ""
) -> Iterator[Team]:
    """A team over a cluster, nobody in it yet."""
    with tempfile.TemporaryDirectory(prefix="ls-") as runtime:  # the path of a socket may have 107 bytes
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        team = Team(folder, servers, name, copies, told)
        team.runtime = Path(runtime)
        try:
            yield team
        finally:
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


async def lanes_of(url: str, pid: int) -> list[LaneId]:
    """Which lanes a worker has, by its own word; none while it is not that far."""
    try:
        reader, writer = await asyncio.open_unix_connection(socket_at(url, pid))
        writer.write(b'{"name": "status", "payload": {}}\n')
        found = json.loads(await reader.readline() or b'{"answer": {"lanes": []}}')
        writer.close()
    except OSError:
        return []
    return sorted({LaneId(lane["agent"], lane["partition"]) for lane in found["answer"]["lanes"]})


def owners(team: Team) -> dict[int, list[LaneId]]:
    """Which lanes each worker has."""
    return {pid: asyncio.run(lanes_of(team.url, pid)) for pid in team.alive()}


def shared_out(team: Team, workers: int) -> bool:
    """Whether so many workers have every lane, each of them one worker's; as many as can have some."""
    if len(team.alive()) != workers or not all(socket_at(team.url, pid).exists() for pid in team.alive()):
        return False
    shares = [share for share in owners(team).values() if share]
    lanes = sorted(lane for share in shares for lane in share)
    every = [LaneId(*each) for each in product(sorted(AGENTS), range(4))]
    return len(shares) == min(workers, 4) and lanes == every
