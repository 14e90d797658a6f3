"""What it costs to be watched: metrics, an open page and traces, on the rate at which changes are worked in.

python benchmarks/overhead.py [--rounds 7] [--changes 30000]

The join of ``benchmarks/product.py``, every change an edit, in five ways: not watched; metrics that are asked for each
second; the page open besides, with its stream of numbers; traces of one change in a hundred; traces of every change.
Spans go to a server on this machine. The runs of a round follow each other, and each is compared with the first of its
round: what the machine does otherwise touches both. Processor time says more than the rate where the machine is shared.

Prints a table and one line of JSON: medians of the ratios, in percent lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from msgspec.structs import replace  # noqa: E402

from benchmarks import product  # noqa: E402
from stream.configuration.web import Web  # noqa: E402
from stream.configuration.written import WrittenTraces  # noqa: E402
from stream.engine.backends import open_reader  # noqa: E402
from stream.engine.log import Outgoing  # noqa: E402
from stream.operate.web.server import attach  # noqa: E402
from stream.traces import opened  # noqa: E402

WAYS = {"not watched": 0.0, "metrics": 0.0, "metrics and page": 0.0, "traces of 1 %": 0.01, "traces of all": 1.0}
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def fill(path: Path, changes: int, share: float) -> None:
    """A log with changes that wait, a share of them traced already, as the reader leaves them."""
    plain, every = product.waiting, round(1 / share) if share else 0

    def waiting(pairs: int, number: int, notes: str | None) -> Outgoing:
        record = plain(pairs, number, notes)
        traced = every and number % every == 0
        return replace(record, headers=(("traceparent", PARENT),)) if traced else record

    product.waiting = waiting
    try:
        asyncio.run(product.fill(f"sqlite:///{path}?synchronous=normal", product.PAIRS, changes, 1.0))
    finally:
        product.waiting = plain


# Children


def child(way: str, url: str, changes: int, collector: str) -> None:
    """Work in what waits, in one of the ways."""
    plain_topology, plain_build = product.topology, product.build

    def topology(url: str, *, poll: float) -> Any:
        web = Web(host="127.0.0.1", port=0, token=None, write_token=None, hosts=frozenset())
        return replace(plain_topology(url, poll=poll), web=web)

    def build(chart: Any, endpoints: Any) -> Any:
        worker = plain_build(chart, endpoints)
        if way.startswith("metrics"):
            attach(worker)
            asked = threading.Thread(target=watch, args=(worker, "page" in way), daemon=True)
            worker.app.at_start.append(asked.start)
        elif way.startswith("traces"):
            worker.traces = opened(WrittenTraces(to=collector))
        return worker

    product.topology, product.build = topology, build
    product.child_join(url, changes)


def watch(worker: Any, page: bool) -> None:
    """What Prometheus and a browser do, from a process of its own."""
    command = [sys.executable, __file__, "--watch", worker.web, *(["--page"] if page else [])]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def watching(address: str, page: bool) -> None:
    """Ask for the metrics each second, and read the page's stream, until nobody answers."""
    if page:
        with urlopen(f"{address}/") as first:
            first.read()
        threading.Thread(target=lambda: list(urlopen(f"{address}/live")), daemon=True).start()
    pause = threading.Event()
    while True:
        with urlopen(f"{address}/metrics") as answer:
            answer.read()
        pause.wait(1.0)


# Parents


@contextmanager
def collector() -> Iterator[str]:
    """A server that takes spans and forgets them."""

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces"
    server.shutdown()
    thread.join()
    server.server_close()


def measured(rounds: int, changes: int) -> dict[str, list[dict[str, float]]]:
    """The figures of every run, by way, in the order of the rounds."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="bench-") as name, collector() as to:
        folder = Path(name)
        logs = {share: folder / f"{share}.db" for share in WAYS.values()}
        for share, path in logs.items():
            fill(path, changes, share)
        for number in range(rounds):
            for way, share in WAYS.items():
                path = folder / "run.db"
                for old in folder.glob("run.db*"):
                    old.unlink()
                shutil.copy(logs[share], path)
                command = [sys.executable, __file__, "--child", way, f"sqlite:///{path}", str(changes), to]
                done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
                figures = json.loads(done.stdout.splitlines()[-1])
                with open_reader(f"sqlite:///{path}") as reader:
                    assert not sum(lag.lag for lag in reader.lags() if lag.agent == "join")
                print(f"round {number + 1} {way}: {figures}", file=sys.stderr)
                runs[way].append(figures)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--changes", type=int, default=30_000)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    parser.add_argument("--page", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child[0], asked.child[1], int(asked.child[2]), asked.child[3])
    elif asked.watch:
        watching(asked.watch, asked.page)
    else:
        report(measured(asked.rounds, asked.changes))


def report(runs: dict[str, list[dict[str, float]]]) -> None:
    base = runs["not watched"]
    lost = {
        way: {
            "changes a second": lost_percent(base, several, "per_second"),
            "processor time": -lost_percent(base, several, "cpu_us"),
        }
        for way, several in runs.items()
        if way != "not watched"
    }
    for way, figures in lost.items():
        print(f"{way:18} " + "  ".join(f"{name} {figure:+.1f} %" for name, figure in figures.items()))
    print(json.dumps({"per_second": statistics.median(each["per_second"] for each in base), "lost": lost}))


def lost_percent(base: list[dict[str, float]], other: list[dict[str, float]], name: str) -> float:
    ratios = [each[name] / first[name] for first, each in zip(base, other, strict=True)]
    return round((1 - statistics.median(ratios)) * 100, 1)


if __name__ == "__main__":
    main()
