"""How fast the product is: real rows, real decisions, a real file; and how little it costs when nothing happens.

python benchmarks/product.py [--rounds 3] [--changes 150000] [--rows 1000000]

join    changes of linked records are waiting in the log; every one is an edit that ends as a command for its twin, or
        nine of ten only repeat what is known. Counted in changes per second, checked by the commands that came out.
chain   200 edits a second at an endpoint that answers at once; from the reading of the page to the commit of the
        receipt of the write (milliseconds). Once with a hint to the reader at every edit, as a
        webhook would give it, so that a page holds one edit; once polled ten times a second.
start   from exec to the first record handled, over an empty log and over one with a million rows; then the share of a
        core and the memory of the worker with nothing to do.

Prints a table and one line of JSON with medians. Each run is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402

from connectors.endpoint import Traits  # noqa: E402
from connectors.memory import MemoryEndpoint  # noqa: E402
from stream.codec import bytes_of, decode_change, decode_message, encode  # noqa: E402
from stream.configuration.systems import Polled, System  # noqa: E402
from stream.core.conversions import conversion  # noqa: E402
from stream.core.flows import Flow, Flows, Pair, TypeFacts  # noqa: E402
from stream.core.row import Cell, Edge, Row  # noqa: E402
from stream.core.versions import born  # noqa: E402
from stream.engine.app import run  # noqa: E402
from stream.engine.backends import is_kafka, log_at, open_reader  # noqa: E402
from stream.engine.kafka import cluster  # noqa: E402
from stream.engine.lanes import Lane  # noqa: E402
from stream.engine.log import LaneId, Outgoing, Staged, partition_of  # noqa: E402
from stream.model import Change, Receipt, Source  # noqa: E402
from stream.topics import MAIL  # noqa: E402
from stream.topology import Topology  # noqa: E402
from stream.wanted import on_cluster, topics_of  # noqa: E402
from stream.wiring import build  # noqa: E402

PARTITIONS, PAIRS, RATE, EDITS = 4, 10_000, 200, 2_000
LEFT, RIGHT = "left.tasks", "right.items"
BEGAN = 1_760_000_000_000_000
TRAITS = Traits(changes="since", create=3)
FLOW = Flow(
    name=f"{LEFT}~{RIGHT}",
    left=LEFT,
    right=RIGHT,
    create="forward",
    match=((("name", "title"),),),
    pairs=(
        Pair(left="name", right="title"),
        Pair(left="notes", right="description"),
        Pair(left="due_on", right="dueDate", conversion=conversion("date")),
        Pair(left="completed", right="status", conversion=conversion({"enum": {True: "done", False: "open"}})),
    ),
)


def topology(url: str, *, poll: float) -> Topology:
    """Two systems that answer at once, and one flow between them."""
    facts = {LEFT: TypeFacts(rank=0), RIGHT: TypeFacts(rank=1)}
    return Topology(
        broker=url,
        partitions=PARTITIONS,
        systems={
            name: System(name=name, connector="memory", settings={}, rank=rank)
            for rank, name in enumerate(("left", "right"))
        },
        types={
            name: Polled(name=name, system=name.partition(".")[0], type=name.partition(".")[2], poll=poll)
            for name in (LEFT, RIGHT)
        },
        flows=Flows([FLOW], facts),
        traits={LEFT: TRAITS, RIGHT: TRAITS},
        base_dir=ROOT,
        resync=86_400.0,
        resting={},
    )


def endpoints() -> dict[str, MemoryEndpoint]:
    now = lambda: time.time_ns() // 1000  # noqa: E731
    return {
        "left": MemoryEndpoint({"tasks": TRAITS}, clock=now, size=1000),
        "right": MemoryEndpoint({"items": TRAITS}, clock=now, size=1000),
    }


def records(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    name, notes = f"Task number {number}", "Ring kunden om målene på døråpningen."
    left = {"name": name, "notes": notes, "due_on": "2026-12-01", "completed": False}
    right = {"title": name, "description": notes, "dueDate": "2026-12-01", "status": "open"}
    return left, right


def rows(flows: Flows, number: int) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    """Both rows of a linked pair in step."""
    made = []
    left, right = records(number)
    refs = (f"{LEFT}:{number}", f"{RIGHT}:{number}")
    for side, (ref, peer, remote) in enumerate(((refs[0], refs[1], left), (refs[1], refs[0], right))):
        versions = {pair.left if side == 0 else pair.right: born(left[pair.left], BEGAN, 0) for pair in FLOW.pairs}
        row = Row(
            remote=dict(sorted(remote.items())),
            edges={f"{FLOW.name}/{'ab'[side]}": Edge("linked", peer=peer, number=BEGAN)},
            plan=flows.plan(ref.partition(":")[0]),
            updated_at=BEGAN,
            last=BEGAN,
        )
        row.keep({name: Cell(version, "" if side == 0 else refs[0]) for name, version in sorted(versions.items())})
        made.append((ref, bytes_of(row)))
    return made[0], made[1]


async def fill(url: str, pairs: int, changes: int, share: float) -> int:
    """A log with linked rows, and changes that wait: a share of them edits. How many pairs were edited."""
    chart = topology(url, poll=3600)
    await created(chart)
    log = log_at(url)
    await log.open()
    await log.declare(topics_of(chart), PARTITIONS)
    lanes = [Lane(log, await log.claim(LaneId("join", number), (), lambda: None)) for number in range(PARTITIONS)]
    batches: list[dict[bytes, bytes]] = [{} for _ in lanes]
    for number in range(pairs):
        for ref, row in rows(chart.flows, number):
            batches[partition_of(ref.encode(), PARTITIONS)][ref.encode()] = row
        if number % 5_000 == 4_999 or number == pairs - 1:
            for lane, batch in zip(lanes, batches, strict=True):
                async with lane.turn() as unit:
                    for key, row in batch.items():
                        unit.put(key, row)
                batch.clear()
    roll, notes = random.Random(1), {}
    for first in range(0, changes, 5_000):
        batch = []
        for number in range(first, min(changes, first + 5_000)):
            if roll.random() < share:
                notes[number % pairs] = f"Edited {number}"
            batch.append(waiting(pairs, number, notes.get(number % pairs)))
        await log.publish(batch)
    await log.close()
    return len(notes)


async def created(chart: Topology) -> None:
    """Make the topics where a log does not do so by itself."""
    if is_kafka(chart.broker):
        address, wanted = await on_cluster(chart)
        await cluster.apply(address, wanted)


def waiting(pairs: int, number: int, notes: str | None) -> Outgoing:
    which = number % pairs
    after, _ = records(which)
    if notes is not None:
        after["notes"] = notes
    at = BEGAN + 1_000_000 * (number + 1)
    source = Source(connector="memory", name="left", entity="tasks", id=str(which), ts_ms=at // 1000, ts_us=at)
    change = Change(op="r", before=None, after=after, ts_ms=at // 1000, ts_us=at, source=source)
    return Outgoing(f"changes.{LEFT}", f"{LEFT}:{which}".encode(), encode(change))


# Children


class Timed:
    """The joining stage, and when it met its first unit."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.began, self.used, self.seen = 0.0, 0.0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, unit: Any) -> None:
        if not self.began:
            self.began, self.used = time.perf_counter(), time.process_time()
        self.seen += sum(record.topic != MAIL for record in unit)
        self._inner(unit)


def child_join(url: str, count: int) -> None:
    """Handle what waits, with the real join agent and nothing else."""
    chart = topology(url, poll=3600)
    worker = build(chart, endpoints())
    app = worker.app
    for name in [name for name in app.agents if name != "join"]:
        del app.agents[name]
    worker.pauses.learn({})  # one of those would have asked
    timed = Timed(worker.join)
    worker.join = timed  # type: ignore[assignment]

    @app.task
    async def finish() -> None:
        while timed.seen < count or sum(worker.lag().values()):  # noqa: ASYNC110 - of commits
            await asyncio.sleep(0.01)
        seconds, cpu = time.perf_counter() - timed.began, time.process_time() - timed.used
        tell({"per_second": count / seconds, "cpu_us": cpu / count * 1e6, "rss_mib": memory(os.getpid())})

    run(app)


def child_chain(url: str, hinted: bool, rate: int) -> None:
    """Edit at a steady rate, until all is written and received; hinted, the reader is told of every edit."""
    opened = endpoints()
    for number in range(500):
        left, _ = records(number)
        opened["left"].add("tasks", left)
    worker = build(topology(url, poll=0.1), opened)
    landed: dict[str, float] = {}
    inner = worker.app.on_landed

    def noted(staged: Staged) -> None:
        """When a receipt was committed: Kafka's own stamps are older than that."""
        inner(staged)
        for record in staged.records:
            message = decode_message(record.value) if staged.lane.agent.startswith("push") else None
            if isinstance(message, Receipt) and message.outcome == "done" and message.after is not None:
                landed.setdefault(message.after.fields["description"], time.time() * 1000)

    worker.app.on_landed = noted

    @worker.app.task
    async def edit() -> None:
        while len(opened["right"].all("items")) < 500 or sum(worker.lag().values()):  # noqa: ASYNC110 - of commits
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        began = time.perf_counter()
        marked, used = time.time_ns() // 1000, time.process_time()
        before = sum(lane.commits for lane in worker.app.lanes)
        ids = sorted(opened["left"].all("tasks"))
        for number in range(EDITS):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            opened["left"].edit("tasks", ids[number % len(ids)], {"notes": f"Edited {number}"})
            if hinted:
                worker.wishes[LEFT].set()
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        await asyncio.sleep(1.0)
        commits = sum(lane.commits for lane in worker.app.lanes) - before
        tell({"since": marked, "cpu_share": cpu / seconds, "commits": commits / seconds, "landed": landed})

    run(worker.app)


def tell(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGTERM)


def memory(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


# Parents


def child(*arguments: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, str(Path(__file__)), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600, env=environment)
    assert not done.returncode, done.stderr[-4000:]
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def join(share: float, changes: int, folder: Path) -> dict[str, float]:
    path = folder / "join.db"
    path.unlink(missing_ok=True)
    edited = asyncio.run(fill(f"sqlite:///{path}?synchronous=normal", PAIRS, changes, share))
    figures = child("--child-join", f"sqlite:///{path}", str(changes))
    with open_reader(f"sqlite:///{path}") as reader:
        heads = {info.name: sum(info.heads) for info in reader.topics()}
        assert not sum(lag.lag for lag in reader.lags() if lag.agent == "join")
    assert not heads["parked"], heads
    assert heads[MAIL] >= changes * share * 0.9, heads  # one offer for each edit
    assert heads[f"upserts.{RIGHT}"] == edited, heads  # the first command is not answered, so no second one follows
    return figures


def chain(url: str, how: str, rate: int = RATE) -> dict[str, float]:
    asyncio.run(created(topology(url, poll=0.1)))
    figures = child("--child-chain", url, how, str(rate))
    reached: dict[str, float] = figures["landed"]
    with open_reader(url) as reader:
        begun = {}
        for partition in range(PARTITIONS):
            for record in reader.records(f"changes.{LEFT}", partition, limit=1 << 20):
                if not record.key.startswith(b"counted:"):
                    change = decode_change(record.value)
                    if change.ts_us > figures["since"] and change.after and "Edited" in str(change.after["notes"]):
                        begun[change.after["notes"]] = change.ts_us
        waits = sorted(reached[note] - at / 1000 for note, at in begun.items() if note in reached)
        assert len(waits) > EDITS * 0.9, (len(waits), len(begun))
        assert not sum(info.heads[0] for info in reader.topics() if info.name == "parked")
    return {
        "p50_ms": waits[len(waits) // 2],
        "p99_ms": waits[int(len(waits) * 0.99)],
        "edits": len(waits),
        "cpu_percent": figures["cpu_share"] * 100,
        "commits_per_second": figures["commits"],
    }


def start(rows_: int, folder: Path) -> dict[str, float]:
    """Exec to the first record that waits in the log; then the worker with nothing to do."""
    path = folder / f"start{rows_}.db"
    if not path.exists():
        asyncio.run(fill(f"sqlite:///{path}?synchronous=normal", max(1, rows_ // 2), 0, 0.0))
    chart = topology(f"sqlite:///{path}", poll=3600)

    async def put() -> int:
        log = log_at(chart.broker)
        await log.open()
        await log.declare(topics_of(chart), PARTITIONS)
        await log.publish([waiting(1, int(time.time()) - BEGAN // 10**6, f"Edited at {time.time()}")])
        await log.close()
        with open_reader(chart.broker) as reader:
            return sum(lag.next for lag in reader.lags() if lag.agent == "join")

    before = asyncio.run(put())
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    worker = subprocess.Popen([sys.executable, str(Path(__file__)), "--child-idle", chart.broker], env=environment)
    with open_reader(chart.broker) as reader:
        while sum(lag.next for lag in reader.lags() if lag.agent == "join") <= before:
            time.sleep(0.005)
            assert worker.poll() is None
    first = time.perf_counter() - began
    time.sleep(3.0)
    process = psutil.Process(worker.pid)
    used = sum(process.cpu_times()[:2])
    time.sleep(10.0)
    share = (sum(process.cpu_times()[:2]) - used) / 10.0
    figures = {"first_record_s": first, "idle_cpu_percent": share * 100, "idle_rss_mib": memory(worker.pid)}
    worker.terminate()
    worker.wait()
    return figures


def child_idle(url: str) -> None:
    run(build(topology(url, poll=15.0), endpoints()).app)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--changes", type=int, default=150_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--child-join", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--child-chain", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--child-idle", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child_join:
        child_join(asked.child_join[0], int(asked.child_join[1]))
    elif asked.child_chain:
        url, how, rate = asked.child_chain
        child_chain(url, how == "hinted", int(rate))
    elif asked.child_idle:
        child_idle(asked.child_idle)
    else:
        report(measured(asked))


def fresh(folder: Path) -> str:
    path = folder / "chain.db"
    path.unlink(missing_ok=True)
    return f"sqlite:///{path}"


def measured(asked: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    runs: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        for number in range(asked.rounds):
            todo = {
                "join, every change an edit": lambda: join(1.0, asked.changes, folder),
                "join, one change in ten an edit": lambda: join(0.1, asked.changes, folder),
                f"chain, {RATE} edits/s, one a page": lambda: chain(fresh(folder), "hinted"),
                f"chain, {RATE} edits/s, twenty a page": lambda: chain(fresh(folder), "polled"),
                "start, empty log": lambda: start(0, folder),
                f"start, {asked.rows} rows": lambda: start(asked.rows, folder),
            }
            for what, measure in todo.items():
                figures = measure()
                print(f"round {number + 1} {what}: {figures}", file=sys.stderr)
                runs.setdefault(what, []).append(figures)
    return runs


def report(runs: dict[str, list[dict[str, float]]]) -> None:
    medians = {
        what: {name: round(statistics.median(each[name] for each in several), 2) for name in several[0]}
        for what, several in runs.items()
    }
    for what, figures in medians.items():
        print(f"{what:36} " + "  ".join(f"{name} {figure:,}" for name, figure in figures.items()))
    print(json.dumps({"python": platform.python_version(), "medians": medians}))


if __name__ == "__main__":
    main()
