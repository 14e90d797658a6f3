"""Real processes: killed, stopped, refused, ended; counts stay exact."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from stream.engine.ask import Unanswered, ask, publishing
from stream.engine.backends import open_reader
from stream.engine.embedded.lease import address_of, holder_of
from stream.engine.log import EngineError, Outgoing
from stream.engine.reader import Reader

pytestmark = [pytest.mark.process, pytest.mark.timeout(90)]

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("three_agents.py")


class Bench:
    """A folder with a log, and workers over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder}/log.db"
        self.errors = folder / "errors"
        self.runtime = folder
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, crash: str = "", url: str = "") -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(self.runtime), "CRASH": crash}
        with self.errors.open("ab") as errors:
            worker = subprocess.Popen(
                [sys.executable, str(SCRIPT), url or self.url, str(self.folder), *arguments],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.workers.append(worker)
        return worker

    def end(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
            assert worker.stdout is not None
            worker.stdout.close()

    def said(self) -> str:
        return self.errors.read_text()

    def cursor(self) -> int:
        with open_reader(self.url) as reader:
            return int(reader.row("poll", b"cursor", 0) or b"0")

    def counted(self, agent: str, prefix: bytes) -> int:
        with open_reader(self.url) as reader:
            return sum(int(row) for _, row in reader.rows(agent, prefix))

    def lag(self) -> int:
        with open_reader(self.url) as reader:
            return sum(lag.lag for lag in reader.lags())

    def records(self, topic: str) -> list[bytes]:
        with open_reader(self.url) as reader:
            return [
                record.value or b""
                for partition in range(4)
                for record in reader.records(topic, partition, limit=1 << 30)
            ]

    def ledger(self) -> list[bytes]:
        return [line for path in self.folder.glob("ledger.*") for line in path.read_bytes().split()]

    def stop_polling(self) -> None:
        (self.folder / "stop").touch()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    bench = Bench(tmp_path)
    yield bench
    bench.end()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not _holds(condition):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except EngineError:  # the file is not there yet, or is being created
        return False


def finish(bench: Bench, worker: subprocess.Popen[bytes]) -> int:
    """Let everything that was begun arrive, then end the worker. Returns how many edits there were."""
    bench.stop_polling()
    until(lambda: _ask(bench, "pid", {})["pid"] == worker.pid)
    until((bench.folder / f"stopped.{worker.pid}").exists)
    until(lambda: bench.counted("join", b"receipts|") >= bench.cursor() and bench.lag() == 0)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(5) == 0
    return bench.cursor()


def check(bench: Bench, edits: int) -> None:
    """Every edit went through every hop, once."""
    wanted = Counter(b"%d" % number for number in range(edits))
    for hop, found in {
        "changes": bench.records("changes"),
        "upserts": bench.records("upserts"),
        "the ledger": bench.ledger(),
        "receipts": bench.records("receipts"),
    }.items():
        lost, doubled = wanted - Counter(found), Counter(found) - wanted
        assert (dict(lost), dict(doubled)) == ({}, {}), hop
    for agent, prefix in (("join", b"changes|"), ("join", b"receipts|"), ("push", b"pushed|")):
        assert bench.counted(agent, prefix) == edits, prefix
    with open_reader(bench.url) as reader:
        assert list(reader.rows("push", b"note|")) == []
        assert reader.check() == []


def test_killed_at_random_moments_nothing_is_lost_or_doubled(bench: Bench) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    roll = random.Random(seed)
    for _ in range(12):
        before = bench.counted("push", b"pushed|") if (bench.folder / "log.db").exists() else 0
        worker = bench.start()
        until(lambda before=before: bench.counted("push", b"pushed|") > before)
        time.sleep(roll.uniform(0.0, 0.25))  # the moment is what is varied
        worker.kill()
        assert worker.wait() == -signal.SIGKILL
    edits = finish(bench, bench.start())
    assert edits > 500
    check(bench, edits)


def test_killed_inside_and_right_after_transactions_nothing_is_lost_or_doubled(bench: Bench) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    for number in range(8):
        assert bench.start(crash=f"{seed} {number}").wait(30) == -signal.SIGKILL
    check(bench, finish(bench, bench.start()))


def test_a_signal_drains_and_ends_in_time(bench: Bench) -> None:
    worker = bench.start()
    until(lambda: bench.counted("push", b"pushed|") > 100)
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert time.monotonic() - began < 5.0
    assert worker.stdout is not None
    assert worker.stdout.read() == b""
    assert "Traceback" not in bench.said()
    check(bench, finish(bench, bench.start()))


def test_a_unit_that_does_not_end_is_left_and_comes_again(bench: Bench) -> None:
    (bench.folder / "hang").touch()
    worker = bench.start()
    until(lambda: bench.counted("join", b"changes|") > 100)
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert time.monotonic() - began < 5.0
    (bench.folder / "hang").unlink()
    check(bench, finish(bench, bench.start()))


def test_a_second_signal_ends_at_once(bench: Bench) -> None:
    (bench.folder / "hang").touch()
    worker = bench.start()
    until(lambda: bench.counted("join", b"changes|") > 100)
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.3)  # two signals at the same instant are one to the kernel
    assert worker.poll() is None
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 128 + signal.SIGTERM
    assert time.monotonic() - began < 1.0


def test_a_signal_while_it_starts_is_no_failure(bench: Bench) -> None:
    for number in range(8):
        worker = bench.start()
        until(
            lambda worker=worker: (
                (holder := holder_of(bench.folder / "log.db")) is not None and holder.pid == worker.pid
            )
        )
        time.sleep(0.01 * number)  # before its handlers are there, as the lanes are claimed, after it
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) in {0, -signal.SIGTERM}
    assert "Traceback" not in bench.said()
    assert "not open" not in bench.said()


def test_a_second_worker_is_refused(bench: Bench) -> None:
    first = bench.start()
    until(lambda: bench.cursor() > 0)
    second = bench.start()
    assert second.wait(10) == 75
    assert f"log.db: in use by pid {first.pid} on " in bench.said()
    check(bench, finish(bench, first))


def test_a_worker_that_hangs_is_replaced(bench: Bench) -> None:
    first = bench.start()
    until(lambda: bench.cursor() > 0)
    first.send_signal(signal.SIGSTOP)
    second = bench.start("1.0")
    before = bench.cursor()
    until(lambda: bench.cursor() > before)
    assert first.wait(5) == -signal.SIGKILL
    check(bench, finish(bench, second))


def test_a_damaged_log_ends_the_worker_for_good(bench: Bench) -> None:
    worker = bench.start()
    until(lambda: bench.cursor() > 0)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    path = bench.folder / "log.db"
    damaged = b"garbage!" + path.read_bytes()[8:]
    path.write_bytes(damaged)
    assert bench.start().wait(10) == 78
    assert path.read_bytes() == damaged
    assert str(path) in bench.said()
    assert "backup" in bench.said()
    assert "Traceback" not in bench.said()


def test_a_damaged_row_ends_the_worker_for_good(bench: Bench) -> None:
    worker = bench.start()
    until(lambda: bench.counted("join", b"changes|") > 0)
    finish(bench, worker)
    path = bench.folder / "log.db"
    with open_reader(bench.url) as reader:
        key, row = next(iter(reader.rows("join", b"changes|")))
    path.write_bytes(path.read_bytes().replace(key + row, key + b"9" * len(row)))
    with open_reader(bench.url) as reader:
        partition = next(p for p in range(4) if _holds_row(reader, key, p))
    worker = bench.start()
    until(address_of(bench.folder / "log.db").exists)
    name = key.removeprefix(b"changes|")
    with suppress(Unanswered):  # it may end before it has answered
        _ask(bench, "publish", publishing([Outgoing("changes", name, b"x", partition=partition)]))
    assert worker.wait(10) == 78
    assert "checksum" in bench.said()


def test_poison_is_parked_and_the_worker_goes_on(bench: Bench) -> None:
    worker = bench.start()
    until(lambda: bench.cursor() > 0)
    record = Outgoing("changes", b"bad", b"poison", (("h", b"1"),))
    assert _ask(bench, "publish", publishing([record])) == {"published": 1}
    assert _ask(bench, "pid", {"x": 1}) == {"pid": worker.pid, "x": 1}
    until(lambda: bench.records("parked"))
    edits = finish(bench, worker)
    assert bench.records("parked") == [b"poison"]
    assert Counter(bench.records("changes")) == Counter([b"poison", *(b"%d" % number for number in range(edits))])
    assert bench.counted("join", b"receipts|") == edits


def test_an_idle_worker_is_quiet(bench: Bench) -> None:
    bench.stop_polling()
    worker = bench.start()
    until(address_of(bench.folder / "log.db").exists)
    process = psutil.Process(worker.pid)
    time.sleep(1.0)  # Faust's own start
    before = process.cpu_times()
    time.sleep(3.0)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    assert used / 3.0 <= 0.01
    assert process.memory_info().rss < 80e6


def _ask(bench: Bench, name: str, payload: dict[str, object]) -> dict[str, object]:
    return asyncio.run(ask(bench.url, name, payload))


def _holds_row(reader: Reader, key: bytes, partition: int) -> bool:
    try:
        return reader.row("join", key, partition) is not None
    except EngineError:
        return True
