"""How fast engines join on Kafka, side by side on one broker: the neutral join of ``benchmarks/neutral.py``.

Changes of 140-200 bytes over 20,000 entities in 8 partitions wait in a topic; every run has its own, filled alike, and
is a process of its own. It is done when its outputs are acknowledged and its offsets committed. Then it is checked: as
many upserts as changes, each entity's last one what it must be, and row counters in the changelog that add up to the
number of changes. Whoever did less fails.

python benchmarks/kafka/engines.py [--rounds 3] [--changes 300000] [--only linkstream raw ...] [--all]

Ratios are taken round by round: a machine that others use is as slow for one as for the other. ``--all`` runs the
contenders in every round of which a small run takes one. Stock Faust gets fewer changes: it is slower.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # noqa: E402
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # noqa: E402

from benchmarks.engine import change  # noqa: E402
from benchmarks.neutral import Row, decode_change, decode_row, merge  # noqa: E402
from benchmarks.neutral_join import TOPICS  # noqa: E402
from stream.engine.kafka import cluster  # noqa: E402
from stream.engine.kafka.address import address_of  # noqa: E402
from stream.engine.kafka.rows import META  # noqa: E402
from stream.engine.log import ALWAYS, partition_of  # noqa: E402
from tests.kafka.broker import Cluster  # noqa: E402
from tests.kafka.jars import jars, java  # noqa: E402

PARTITIONS = 8
QUIX = "quixstreams==3.28.1"
JVM = ("-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")


@dataclass
class Run:
    """One run: where it reads and writes, and what of."""

    servers: str
    name: str
    changes: int
    folder: Path

    @property
    def source(self) -> str:
        return f"{self.name}.changes"

    @property
    def target(self) -> str:
        return f"{self.name}.upserts"

    @property
    def told(self) -> list[str]:
        return [self.servers, self.source, self.target, str(self.changes)]


@dataclass(frozen=True)
class Contender:
    """How an engine is started, and where its rows end."""

    command: Callable[[Run], list[str]]
    changelog: Callable[[Run], str] | None
    seldom: bool = False
    fewer: bool = False


def python(script: str, *more: str, of: str = sys.executable) -> Callable[[Run], list[str]]:
    return lambda run: [of, str(HERE / script), *run.told, *more]


def ours(run: Run) -> list[str]:
    url = f"kafka://{run.servers}?prefix={run.name}.&state={run.folder}"
    return [sys.executable, str(ROOT / "benchmarks" / "neutral_join.py"), url, str(run.changes)]


def streams(guarantee: str, store: str, threads: int) -> Contender:
    def command(run: Run) -> list[str]:
        path = os.pathsep.join((str(compiled()), f"{jars(HERE / 'streams' / 'pom.xml')}/*"))
        return [java(), *JVM, "-cp", path, "Join", *run.told, guarantee, store, str(threads), "1"]

    seldom = (guarantee, store) != ("exactly_once_v2", "memory")
    return Contender(command, lambda run: f"{run.target}-streams-links-changelog", seldom)


def quix(guarantee: str) -> Contender:
    def command(run: Run) -> list[str]:
        return python("quix.py", guarantee, of=str(quix_venv()))(run)

    return Contender(
        command, lambda run: f"changelog__{run.target}-quix--{run.source}--default", guarantee != "exactly-once"
    )


CONTENDERS: dict[str, Contender] = {
    "linkstream": Contender(ours, lambda run: f"{run.name}.linkstream-join-changelog"),
    "raw aiokafka": Contender(python("raw.py"), None),
    "stock Faust": Contender(python("stock.py"), lambda run: f"{run.target}-faust-links-changelog", fewer=True),
    "Quix exactly-once": quix("exactly-once"),
    "Quix at-least-once": quix("at-least-once"),
    **{
        f"Kafka Streams {guarantee}, {store}, {threads} thread{'s' * (threads > 1)}": streams(guarantee, store, threads)
        for guarantee in ("exactly_once_v2", "at_least_once")
        for store in ("memory", "rocksdb")
        for threads in (1, 2)
    },
}


def quix_venv() -> Path:
    """Quix Streams is no dependency of ours: it has a venv of its own, made here."""
    folder = ROOT / ".venv" / "quix"
    interpreter = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", QUIX, "msgspec"], check=True)
        (folder / "ready").touch()
    return interpreter


def compiled() -> Path:
    """The classes of the contender in Java, made anew when its source is newer."""
    source, folder = HERE / "streams" / "Join.java", ROOT / ".venv" / "streams"
    made = folder / "Join.class"
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        compiler = str(Path(java()).resolve().with_name("javac"))
        libraries = jars(HERE / "streams" / "pom.xml")
        subprocess.run([compiler, "-cp", f"{libraries}/*", "-d", str(folder), str(source)], check=True)
    return folder


# Before and after a run


async def prepare(run: Run, changes: Sequence[tuple[bytes, bytes]]) -> None:
    """Create the topics and fill the first."""
    address = address_of(f"kafka://{run.servers}?prefix={run.name}.")
    await cluster.apply(address, cluster.wanted(address, {**ALWAYS, **TOPICS}, ["join"], PARTITIONS, 1))
    admin = AIOKafkaAdminClient(bootstrap_servers=run.servers)
    await admin.start()
    compact = {"cleanup.policy": "compact"}
    more = [NewTopic(f"{run.target}-warm", PARTITIONS, 1)]
    more += [NewTopic(f"{run.target}-faust-links-changelog", PARTITIONS, 1, topic_configs=compact)]
    await admin.create_topics(more)
    await admin.close()
    async with AIOKafkaProducer(
        bootstrap_servers=run.servers, compression_type="zstd", max_batch_size=128 << 10
    ) as producer:
        batches: dict[int, Any] = {}
        sent = []
        for key, value in changes[: run.changes]:
            number = partition_of(key, PARTITIONS)
            batch = batches.get(number) or batches.setdefault(number, producer.create_batch())
            if batch.append(timestamp=None, key=key, value=value) is None:
                sent.append(await producer.send_batch(batch, run.source, partition=number))
                batch = batches[number] = producer.create_batch()
                batch.append(timestamp=None, key=key, value=value)
        sent += [await producer.send_batch(batch, run.source, partition=number) for number, batch in batches.items()]
        await asyncio.gather(*sent)


async def check(run: Run, changelog: str | None, expected: dict[bytes, Row], stateless: bool) -> None:
    """What came out is exact, whoever did it."""
    count, last = await committed(run.servers, run.target)
    assert count == run.changes, (run.target, count, run.changes)
    if stateless:
        return
    assert {key: json.loads(value or b"null") for key, value in last.items()} == {
        key: row.values for key, row in expected.items()
    }, run.target
    assert changelog is not None
    _, rows = await committed(run.servers, changelog)
    rows.pop(META, None)
    counted = sum(json.loads(row)["count"] for row in rows.values() if row is not None)
    assert counted == run.changes, (changelog, counted, run.changes)


async def committed(servers: str, topic: str) -> tuple[int, dict[bytes, bytes | None]]:
    """How many records are committed in a topic, and the last of every key."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, isolation_level="read_committed", max_partition_fetch_bytes=4 << 20
    )
    await consumer.start()
    tps = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    ends = await consumer.end_offsets(tps)
    consumer.assign(tps)
    await consumer.seek_to_beginning()
    count, last = 0, {}
    while tps := [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
        for records in (await consumer.getmany(*tps, timeout_ms=100)).values():
            count += len(records)
            last.update((record.key, record.value) for record in records)
    await consumer.stop()
    return count, last


def merged(changes: Sequence[tuple[bytes, bytes]]) -> dict[bytes, Row]:
    rows: dict[bytes, Row] = {}
    for key, value in changes:
        merge(rows.setdefault(key, decode_row(b"{}")), decode_change(value))
    return rows


def measure(
    name: str, run: Run, changes: Sequence[tuple[bytes, bytes]], expected: dict[bytes, Row]
) -> dict[str, float]:
    contender = CONTENDERS[name]
    asyncio.run(prepare(run, changes))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = contender.command(run)
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT, env=environment, check=False)
    lines = [line[line.index("{") :] for line in done.stdout.splitlines() if '"per_second"' in line]
    assert lines, f"{name}: exit code {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    asyncio.run(check(run, contender.changelog and contender.changelog(run), expected, name == "raw aiokafka"))
    figures: dict[str, float] = json.loads(lines[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--changes", type=int, default=300_000)
    parser.add_argument("--peer-changes", type=int, default=20_000)
    parser.add_argument("--only", nargs="+", default=(), help="beginnings of names")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--broker", help="host:port of one that runs; otherwise one is started")
    asked = parser.parse_args()
    roll = Random(1)
    changes = [(each.key, each.value or b"") for each in (change(roll, number) for number in range(asked.changes))]
    assert 140 < statistics.mean(len(value) for _, value in changes) < 200
    few = changes[: asked.peer_changes]
    expected, expected_few = merged(changes), merged(few)
    runs: dict[str, list[dict[str, float]]] = {}
    with ExitStack() as stack:
        servers = asked.broker or stack.enter_context(Cluster(heap=768, quick=False)).bootstrap
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        for number in range(asked.rounds):
            for index, (name, contender) in enumerate(CONTENDERS.items()):
                if asked.only and not name.startswith(tuple(asked.only)):
                    continue
                if contender.seldom and number and not asked.all:
                    continue
                some, exact = (few, expected_few) if contender.fewer else (changes, expected)
                own = Path(folder) / f"{number}-{index}"
                figures = measure(
                    name, Run(servers, f"{Path(folder).name}.{number}.{index}", len(some), own), some, exact
                )
                print(f"round {number + 1} {name}: {figures}", file=sys.stderr, flush=True)
                runs.setdefault(name, []).append(figures)
            report(runs)


def ratios(runs: dict[str, list[dict[str, float]]], what: str) -> dict[str, float]:
    """How many times the other's figure ours is, round by round; the median."""
    if "linkstream" not in runs:
        return {}
    return {
        name: round(statistics.median(a[what] / b[what] for a, b in zip(runs["linkstream"], several, strict=False)), 3)
        for name, several in runs.items()
        if name != "linkstream"
    }


def report(runs: dict[str, list[dict[str, float]]]) -> None:
    """After every round; the last line is what came out of all so far."""
    medians = {
        name: {unit: round(statistics.median(run[unit] for run in several), 1) for unit in several[0]}
        for name, several in runs.items()
    }
    times = {what: ratios(runs, what) for what in ("per_second", "cpu_us", "rss_mib")}
    print(f"{'':48}{'rec/s':>10}{'CPU us/rec':>12}{'RSS MiB':>9}{'ours x':>8}  all rounds, rec/s")
    for name, middle in medians.items():
        rounds = ", ".join(f"{run['per_second']:,.0f}" for run in runs[name])
        figures = f"{middle['per_second']:>10,.0f}{middle['cpu_us']:>12}{middle['rss_mib']:>9}"
        print(f"{name:48}{figures}{times['per_second'].get(name, 1.0):>8.2f}  {rounds}")
    about = {"python": platform.python_version(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    print(json.dumps({"medians": medians, "ratios": times, "about": about}), flush=True)


if __name__ == "__main__":
    main()
