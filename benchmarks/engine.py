"""How fast the engine joins: decode, row get, last write wins over four fields, row put, one upsert.

The neutral join: 300,000 changes of 140-200 bytes over 20,000 entities in 8 partitions, units of 1000, in a real
worker over a real file. Every run is checked: as many upserts as changes, and row counters that add up to the same
number.

python benchmarks/engine.py [--rounds 3] [--changes 300000] [--peers]

``--peers`` runs stock Faust (``stock_faust.py``) over the same file format in between, round by round, so that both
see the same machine. Prints a table and one line of JSON with medians, and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import faust

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from stream.engine.backends import open_reader  # noqa: E402
from stream.engine.embedded.log import EmbeddedLog  # noqa: E402
from stream.engine.log import Outgoing, TopicSettings  # noqa: E402

CHANGES, UPSERTS, TABLE = "changes", "upserts", "neutral-links-changelog"
PARTITIONS, ENTITIES = 8, 20_000
TOPICS = {CHANGES: TopicSettings(), UPSERTS: TopicSettings(), TABLE: TopicSettings(compact=True)}


async def fill(path: Path, count: int, seed: int) -> None:
    """Put the changes into a new log."""
    roll = random.Random(seed)
    log = EmbeddedLog(f"sqlite:///{path}?synchronous=normal")
    await log.open()
    await log.declare(TOPICS, PARTITIONS)
    for first in range(0, count, 10_000):
        await log.publish([change(roll, number) for number in range(first, min(count, first + 10_000))])
    await log.close()


def change(roll: random.Random, number: int) -> Outgoing:
    key = b"crm.customers:%d" % roll.randrange(ENTITIES)
    names = roll.sample(("name", "email", "phone", "city"), 2)
    fields = {name: "x" * roll.randrange(5, 35) for name in names}
    value = {
        "ref": key.decode(),
        "seen": 1_700_000_000_000 + number,
        "origin": "crm",
        "fields": fields,
        "pad": "-" * 20,
    }
    return Outgoing(CHANGES, key, json.dumps(value, separators=(",", ":")).encode())


def check(path: Path, count: int) -> None:
    """What came out is exact, whoever did it."""
    file = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    sizes = [length for (length,) in file.execute("select length(value) from records where id >> 48 = 1 limit 10000")]
    file.close()
    assert 130 < statistics.mean(sizes) < 200, statistics.mean(sizes)
    with open_reader(f"sqlite:///{path}") as reader:
        info = {topic.name: topic for topic in reader.topics()}
        assert sum(info[UPSERTS].heads) == count, ("upserts", sum(info[UPSERTS].heads), count)
        rows = [row for _, row in reader.rows("join")]
        if not rows:  # stock Faust keeps its table in the changelog
            last: dict[bytes, bytes] = {}
            for partition in range(PARTITIONS):
                records = reader.records(TABLE, partition, limit=1 << 30)
                last.update({record.key: record.value for record in records if record.value is not None})
            rows = list(last.values())
        counted = sum(json.loads(row)["count"] for row in rows)
        assert counted == count, ("row counters", counted, count)


def measure(script: str, synchronous: str, filled: Path, count: int) -> dict[str, float]:
    """One run in a process of its own, on a copy of the filled log."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "log.db"
        path.write_bytes(filled.read_bytes())
        command = [
            sys.executable,
            str(ROOT / "benchmarks" / script),
            f"sqlite:///{path}?synchronous={synchronous}",
            str(count),
        ]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=1200, cwd=ROOT, env=environment()
        )
        result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        check(path, count)
        return result


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--changes", type=int, default=300_000)
    parser.add_argument("--peer-changes", type=int, default=20_000, help="stock Faust gets fewer: it is slower")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--synchronous", choices=("full", "normal", "both"), default="both")
    asked = parser.parse_args()
    modes = ("full", "normal") if asked.synchronous == "both" else (asked.synchronous,)
    runs: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ours, theirs = Path(folder) / "ours.db", Path(folder) / "theirs.db"
        asyncio.run(fill(ours, asked.changes, 1))
        if asked.peers:
            asyncio.run(fill(theirs, asked.peer_changes, 1))
        for number in range(asked.rounds):
            for mode in modes:
                run = measure("neutral_join.py", mode, ours, asked.changes)
                runs.setdefault(f"linkstream {mode}", []).append(run)
                print(f"round {number + 1} linkstream {mode}: {run}", file=sys.stderr)
                if asked.peers:
                    run = measure("stock_faust.py", mode, theirs, asked.peer_changes)
                    runs.setdefault(f"stock faust {mode}", []).append(run)
                    print(f"round {number + 1} stock faust {mode}: {run}", file=sys.stderr)
    report(runs, modes, asked.peers)


def report(runs: dict[str, list[dict[str, float]]], modes: tuple[str, ...], peers: bool) -> None:
    medians = {
        name: {unit: round(statistics.median(run[unit] for run in several), 1) for unit in several[0]}
        for name, several in runs.items()
    }
    print(f"{'':24}{'rec/s':>10}{'CPU us/rec':>12}{'RSS MiB':>9}  all rounds, rec/s")
    for name, middle in medians.items():
        rounds = ", ".join(f"{run['per_second']:,.0f}" for run in runs[name])
        print(f"{name:24}{middle['per_second']:>10,.0f}{middle['cpu_us']:>12}{middle['rss_mib']:>9}  {rounds}")
    ratios: dict[str, float] = {}
    for mode in modes if peers else ():
        pairs = zip(runs[f"linkstream {mode}"], runs[f"stock faust {mode}"], strict=True)
        ratios[mode] = round(statistics.median(a["per_second"] / b["per_second"] for a, b in pairs), 1)
        print(f"{mode}: {ratios[mode]} times stock Faust (median of the rounds' ratios)")
    about = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "faust": faust.__version__,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps({"medians": medians, "ratios": ratios, "about": about}))


if __name__ == "__main__":
    main()
