"""What it costs to be watched: metrics, an open page and traces, beside the work itself.

python benchmarks/overhead.py [--rounds 5] [--changes 20000] [--write]

The join of ``benchmarks/product.py``, every change an edit.

metrics, page   what the worker's thread takes to answer for its metrics each second, and to make the numbers of an open
                page besides: so much of a second is not there for changes. Whole runs beside others
                that are not watched tell less: on a shared machine they differ by more than that.
traces          in one run, every second unit is wrapped and the others are not, so that whatever the machine does
                otherwise touches both; once with no change drawn, once with all of them. Spans go to a server on this
                machine; what sending them takes in its own thread is added to what a span costs.

Processor time says more than the rate where the machine is shared. Prints a table and one line of JSON; ``--write``
writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
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
from stream.engine.log import Outgoing  # noqa: E402
from stream.operate.metrics import Metrics  # noqa: E402
from stream.operate.spans import BatchSpanProcessor, OTLPSpanExporter, Spans  # noqa: E402
from stream.operate.web.numbers import Overview  # noqa: E402
from stream.operate.web.server import attach  # noqa: E402
from stream.traces import Traces  # noqa: E402

WAYS = ("not watched", "metrics", "metrics and page")
TRACED = {"traces of none": 0.0, "traces of all": 1.0}
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def fill(path: Path, changes: int, share: float) -> None:
    """A log with changes that wait, a share of them traced, as the reader leaves them."""
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

    class Timed(product.Timed):
        def __call__(self, unit: Any) -> None:
            seen = self.seen + sum(record.topic != product.MAIL for record in getattr(unit, "_unit", unit))
            super().__call__(unit)  # which counts as well: a traced unit is to be walked through once
            self.seen = seen

    def topology(url: str, *, poll: float) -> Any:
        web = Web(host="127.0.0.1", port=0, token=None, write_token=None, hosts=frozenset())
        return replace(plain_topology(url, poll=poll), web=web)

    def build(chart: Any, endpoints: Any) -> Any:
        worker = plain_build(chart, endpoints)
        if way.startswith("metrics"):
            attach(worker)
            asked = threading.Thread(target=watch, args=(worker, "page" in way), daemon=True)
            worker.app.at_start.append(asked.start)
            answering = Answering((Metrics, "render"), (Overview, "sample"), (Overview, "numbers"))
            told = product.tell
            product.tell = lambda figures: told({**figures, "share": answering.share()})
        elif way.startswith("traces"):
            worker.traces = by_turns = ByTurns(collector)
            told = product.tell
            product.tell = lambda figures: told({**figures, **by_turns.figures()})
        return worker

    product.topology, product.build = topology, build
    product.child_join(url, changes)


class Answering:
    """What calls that come once a second take of this thread."""

    def __init__(self, *calls: tuple[type, str]) -> None:
        self._took: dict[str, list[float]] = {}
        for kind, name in calls:
            setattr(kind, name, self._timed(name, getattr(kind, name)))

    def _timed(self, name: str, inner: Any) -> Any:
        def call(*arguments: Any) -> Any:
            began = time.thread_time()
            try:
                return inner(*arguments)
            finally:
                self._took.setdefault(name, []).append(time.thread_time() - began)

        return call

    def share(self) -> float:
        """Seconds of a second."""
        return sum(statistics.fmean(each) for each in self._took.values())


class ByTurns(Traces):
    """Every second unit wrapped, and what both kinds took of this thread."""

    def __init__(self, collector: str) -> None:
        self._exporter = Sending(endpoint=collector)
        self._sender = BatchSpanProcessor(self._exporter)
        self._spans = Spans(self._sender, 1.0)
        self._turn = 0
        self._used, self._records = [0.0, 0.0], [0, 0]
        self._traced = 0

    @contextmanager
    def unit(self, stage: str, unit: Any) -> Iterator[Any]:
        self._turn ^= 1
        began = time.thread_time()
        with (self._spans if self._turn else Traces()).unit(stage, unit) as given:
            yield given
        self._used[self._turn] += time.thread_time() - began
        self._records[self._turn] += len(unit)
        if self._turn:
            self._traced += sum(name == "traceparent" for record in unit for name, _ in record.headers)

    def figures(self) -> dict[str, float]:
        """Microseconds of a record without and with, spans, and what sending one took."""
        plain, wrapped = (used / max(1, count) * 1e6 for used, count in zip(self._used, self._records, strict=True))
        self._sender.force_flush()
        sent = self._exporter.used / self._exporter.sent * 1e6 if self._exporter.sent else 0.0
        return {"plain_us": plain, "wrapped_us": wrapped, "share": self._traced / self._records[1], "sent_us": sent}


class Sending(OTLPSpanExporter):
    """The exporter, and what it takes of its thread."""

    used = 0.0
    sent = 0

    def export(self, spans: Any) -> Any:
        began = time.thread_time()
        done = super().export(spans)
        self.used += time.thread_time() - began
        self.sent += len(spans)
        return done


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
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in (*WAYS, *TRACED)}
    with tempfile.TemporaryDirectory(prefix="bench-") as name, collector() as to:
        folder = Path(name)
        logs = {share: folder / f"{share}.db" for share in TRACED.values()}
        for share, path in logs.items():
            fill(path, changes, share)
        for number in range(rounds):
            for way, several in runs.items():
                path = folder / "run.db"
                for old in folder.glob("run.db*"):
                    old.unlink()
                shutil.copy(logs[TRACED.get(way, 0.0)], path)
                command = [sys.executable, __file__, "--child", way, f"sqlite:///{path}", str(changes), to]
                done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
                figures = json.loads(done.stdout.splitlines()[-1])
                print(f"round {number + 1} {way}: {figures}", file=sys.stderr)
                several.append(figures)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changes", type=int, default=20_000)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    parser.add_argument("--page", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child[0], asked.child[1], int(asked.child[2]), asked.child[3])
    elif asked.watch:
        watching(asked.watch, asked.page)
    else:
        figures = report(measured(asked.rounds, asked.changes))
        if asked.write:
            write(figures)


def report(runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    def median(way: str, name: str) -> float:
        return statistics.median(each[name] for each in runs[way])

    lost = {way: round(median(way, "share") * 100, 2) for way in WAYS[1:]}
    wrapping = statistics.median(each["wrapped_us"] - each["plain_us"] for each in runs["traces of none"])
    making = statistics.median(
        (each["wrapped_us"] - each["plain_us"] - wrapping) / each["share"] for each in runs["traces of all"]
    )
    sending = median("traces of all", "sent_us")
    whole = median(WAYS[0], "cpu_us")
    traced = {
        share: round((2 * wrapping + 2 * share * (making + sending)) / whole * 100, 1) for share in (0.01, 0.1, 1.0)
    }  # an edit is two records to the join: the change, and the offer to its counterpart
    for way, figure in lost.items():
        print(f"{way:18} {figure:.2f} % of the thread's time")
    print(f"a record that is not traced {wrapping:.2f} us; a span {making:.0f} us, and {sending:.0f} us to send it")
    for share, figure in traced.items():
        print(f"traces of {share:<4.0%}     {figure:+.1f} %")
    figures = {"cpu_us": whole, "lost": lost, "wrapping_us": wrapping, "span_us": making, "sending_us": sending}
    print(json.dumps({**figures, "traces": traced}))
    return {**figures, "traces": traced}


TEXT = """\
## Being watched

Measured {stand}. The join, every change an edit, {whole:.0f} us of processor time each. Metrics that are asked for each
second, and the page open besides: their share of the worker's thread while it is busy, which is what changes lose.
Traces are compared unit by unit within a run: a record that is not traced takes {wrapping_us:.2f} us more, a span
{span_us:.0f} us, and sending it {sending_us:.0f} us in another thread; an edit has two spans here. Medians of five
runs. `python benchmarks/overhead.py --write`

| | aim | added |
| --- | --- | --- |
| metrics | at most 3 % | {metrics:+.2f} % |
| metrics and the page | at most 3 % | {page:+.2f} % |
| traces of 1 % (what `sample` is without it) | at most 10 % | {one:+.1f} % |
| traces of 10 % | at most 10 % | {ten:+.1f} %{over} |
| traces of all | at most 10 % | {all:+.1f} %{missed} |
"""


def write(figures: dict[str, Any]) -> None:
    """Put the section into the page, in place of the last one."""
    target = ROOT / "docs/benchmarks.md"
    one, ten, every = figures["traces"].values()
    text = TEXT.format(
        stand=time.strftime("%Y-%m-%d"),
        whole=figures["cpu_us"],
        wrapping_us=figures["wrapping_us"],
        span_us=figures["span_us"],
        sending_us=figures["sending_us"],
        metrics=figures["lost"]["metrics"],
        page=figures["lost"]["metrics and page"],
        one=one,
        ten=ten,
        all=every,
        over=" **missed**" if ten > 10 else "",
        missed=" **missed**" if every > 10 else "",
    )
    parts = re.split(r"^(?=## )", target.read_text("utf-8"), flags=re.MULTILINE)
    others = [part.rstrip() + "\n" for part in parts if not part.startswith("## Being watched\n")]
    target.write_text("\n".join((*others, text)), "utf-8")


if __name__ == "__main__":
    main()
