"""How fast the product is on Kafka, and how soon a worker is back: real rows, real decisions, one broker.

python benchmarks/kafka/product.py [--rounds 3] [--changes 150000] [--rows 200000 1000000] [--workers 1 2 4]

join     changes of linked records wait, every one an edit that ends as a command, or one in ten, and the others repeat
         what is known; exactly once, one worker
chain    100 edits a second from the reading of the page to the commit of the receipt of the write, 4 partitions
recover  all lanes of the joining agent claimed by a new process: from the changelog alone, and from the files that a
         former worker left; and what ``explain`` takes for a record among these, from opening to its story
workers  the joining of ``join`` shared among several workers, on the cores that there are
moving   500 edits a second, from being sent to a committed command: with one worker, while a second one comes, and when
         the first is killed

Prints a table and one line of JSON with medians. Each run is a process of its own, over topics of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from aiokafka import AIOKafkaConsumer, TopicPartition  # noqa: E402

from benchmarks import product  # noqa: E402
from benchmarks.kafka.moving import RATE, moving  # noqa: E402
from benchmarks.neutral import peak  # noqa: E402
from benchmarks.product import LEFT, PARTITIONS, RIGHT, child, endpoints, fill, topology  # noqa: E402
from stream.engine.backends import log_at, open_reader  # noqa: E402
from stream.engine.kafka.address import address_of  # noqa: E402
from stream.engine.log import LaneId  # noqa: E402
from stream.operate.explain import Explainer  # noqa: E402
from stream.topics import MAIL  # noqa: E402
from stream.wanted import agents_of, topics_of  # noqa: E402
from stream.wiring import build  # noqa: E402
from tests.kafka.broker import Cluster  # noqa: E402


def join(url: str, changes: int, share: float) -> dict[str, float]:
    edited = asyncio.run(fill(url, product.PAIRS, changes, share))
    figures = child("--child-join", url, str(changes))
    checked(url, changes * share, edited)
    return figures


def checked(url: str, changes: float, edited: int) -> None:
    """As many commands as pairs that were edited: the first is not answered, so no second one follows."""
    counts = {topic: asyncio.run(count(url, topic)) for topic in (MAIL, f"upserts.{RIGHT}", "parked")}
    assert not counts["parked"], counts
    assert counts[MAIL] >= changes * 0.9, counts
    assert counts[f"upserts.{RIGHT}"] == edited, (counts, edited)


async def count(url: str, topic: str) -> int:
    """How many records are committed in a topic."""
    address = address_of(url)
    consumer = AIOKafkaConsumer(bootstrap_servers=list(address.servers), isolation_level="read_committed")
    await consumer.start()
    tps = [TopicPartition(address.topic(topic), number) for number in range(PARTITIONS)]
    ends = await consumer.end_offsets(tps)
    consumer.assign(tps)
    await consumer.seek_to_beginning()
    found = 0
    while tps := [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
        found += sum(map(len, (await consumer.getmany(*tps, timeout_ms=100)).values()))
    await consumer.stop()
    return found


# Recovery


def recover(url: str, rows: int) -> dict[str, float]:
    asyncio.run(fill(url, rows // 2, rows // 2, 0.1))
    state = address_of(url).state
    rmtree(state)
    figures: dict[str, float] = {}
    for which in ("changelog", "files"):
        told = own("--child-claim", url)
        assert told["rows"] == rows, told
        figures |= {f"{which}_s": told["seconds"], f"{which}_mib": told["rss_mib"]}
    figures["explain_s"] = own("--child-explain", url, f"{LEFT}:{rows // 5}")["seconds"]
    rmtree(state)
    return figures


def own(*arguments: str) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__)), *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=500)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


async def child_claim(url: str) -> dict[str, float]:
    chart = topology(url, poll=3600)
    log = log_at(url)
    await log.open()
    await log.declare(topics_of(chart), PARTITIONS, agents_of(chart))
    began = time.perf_counter()
    lanes = [log.claim(LaneId("join", number), (MAIL,), lambda: None) for number in range(PARTITIONS)]
    claims = await asyncio.gather(*lanes)
    seconds = time.perf_counter() - began
    rss = peak()
    found = sum(1 for claim in claims for key, _ in claim.scan(b"") if key.startswith((b"left", b"right")))
    await log.close()
    return {"seconds": seconds, "rss_mib": rss, "rows": found}


def child_explain(url: str, ref: str) -> dict[str, float]:
    flows = topology(url, poll=3600).flows
    began = time.perf_counter()
    with open_reader(url) as reader:
        told = Explainer(reader, flows)(ref)
    assert told is not None
    assert told["links"]
    assert told["events"]
    return {"seconds": time.perf_counter() - began}


# Several workers


def workers(url: str, many: int, shared: int) -> dict[str, float]:
    """Changes a second when so many share the partitions, from the first commit to the last."""
    edited = asyncio.run(fill(url, product.PAIRS, shared, 1.0))
    command = [sys.executable, str(Path(__file__)), "--child-work", url]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(many)]
    try:
        begun, ended = asyncio.run(watched(url, shared))
        checked(url, shared, edited)
    finally:
        for each in running:
            each.terminate()
        for each in running:
            each.wait(30)
    return {"per_second": shared / (ended - begun)}


async def watched(url: str, shared: int) -> tuple[float, float]:
    """When the first change was worked in, and when all mail that they cause was."""
    began = 0.0
    with await asyncio.to_thread(open_reader, url) as reader:
        while True:
            lags = [lag for lag in await asyncio.to_thread(reader.lags) if lag.agent == "join"]
            if not began and any(lag.next for lag in lags):
                began = time.perf_counter()
            changes = [lag for lag in lags if lag.topic == f"changes.{LEFT}"]
            mail = sum(lag.lag for lag in lags if lag.topic == MAIL)  # a little is always on its way
            if began and sum(lag.next for lag in changes) >= shared and mail < shared / 100:
                return began, time.perf_counter()
            await asyncio.sleep(0.05)


def child_work(url: str) -> None:
    worker = build(topology(url, poll=3600), endpoints())
    for name in [name for name in worker.app.agents if name != "join"]:
        del worker.app.agents[name]
    worker.pauses.learn({})  # one of those would have asked
    app = worker.app
    app.at_start.append(lambda: print(json.dumps(sorted({lane.id.partition for lane in app.lanes})), flush=True))
    product.run(worker.app)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--changes", type=int, default=150_000)
    parser.add_argument("--rows", type=int, nargs="*", default=(200_000, 1_000_000))
    parser.add_argument("--workers", type=int, nargs="*", default=(1, 2, 4))
    parser.add_argument("--shared", type=int, default=40_000, help="changes that workers share")
    parser.add_argument("--broker", help="host:port of one that runs; otherwise one is started")
    parser.add_argument("--only", nargs="+", default=("join", "chain", "recover", "workers", "moving"))
    parser.add_argument("--child-claim", help=argparse.SUPPRESS)
    parser.add_argument("--child-explain", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--child-work", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child_claim:
        print(json.dumps(asyncio.run(child_claim(asked.child_claim))))
    elif asked.child_explain:
        print(json.dumps(child_explain(*asked.child_explain)))
    elif asked.child_work:
        child_work(asked.child_work)
    else:
        measure(asked)


def measure(asked: argparse.Namespace) -> None:
    runs: dict[str, list[dict[str, float]]] = {}
    with ExitStack() as stack:
        servers = asked.broker or stack.enter_context(Cluster(heap=768, quick=False)).bootstrap
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        todo: dict[str, Any] = {
            "join, every change an edit": lambda url: join(url, asked.changes, 1.0),
            "join, one change in ten an edit": lambda url: join(url, asked.changes, 0.1),
            "chain, 100 edits/s, one a page": lambda url: product.chain(url, "hinted", 100),
            **{f"recover {rows:,} rows": lambda url, rows=rows: recover(url, rows) for rows in asked.rows},
            **{f"workers, {many}": lambda url, many=many: workers(url, many, asked.shared) for many in asked.workers},
            f"moving, {RATE} edits/s": moving,
        }
        for number in range(asked.rounds):
            for index, (what, measured) in enumerate(todo.items()):
                if not what.startswith(tuple(asked.only)):
                    continue
                name = f"{folder.name}.{number}.{index}"
                figures = measured(f"kafka://{servers}?prefix={name}.&state={folder / name}")
                print(f"round {number + 1} {what}: {figures}", file=sys.stderr, flush=True)
                runs.setdefault(what, []).append(figures)
                report(runs)


def report(runs: dict[str, list[dict[str, float]]]) -> None:
    medians: dict[str, dict[str, float]] = {
        what: {name: round(statistics.median(each[name] for each in several), 3) for name in several[0]}
        for what, several in runs.items()
    }
    for what, figures in medians.items():
        print(f"{what:36} " + "  ".join(f"{name} {figure:,}" for name, figure in figures.items()))
    print(json.dumps({"medians": medians, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}), flush=True)


if __name__ == "__main__":
    main()
