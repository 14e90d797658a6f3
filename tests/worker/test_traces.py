"""Traces: one edit is one trace, from the page that showed it to the receipt of its write, across topics and agents."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.product import PARTITIONS, topology
from stream.engine.backends import open_reader
from stream.engine.kafka import cluster as topics
from stream.wanted import on_cluster
from tests.configuration.test_topology import file, problems, read
from tests.worker.traced import NOTES

pytestmark = [pytest.mark.process]

ROOT = Path(__file__).parents[2]


def edited(
    folder: Path, sample: float, to: str = "memory", log: str = ""
) -> tuple[list[dict[str, Any]], list[str], str]:
    """The spans of one edit, what was loaded of OpenTelemetry, and everything else that was said."""
    log = log or f"sqlite:///{folder}/log.db"
    command = [sys.executable, "-m", "tests.worker.traced", log, str(sample), to]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    spans, loaded = (json.loads(line) for line in done.stdout.splitlines()[-2:])
    return spans, loaded, done.stderr


def test_one_edit_is_one_trace_across_the_agents(tmp_path: Path) -> None:
    one_trace(edited(tmp_path, 1.0)[0])


async def test_it_is_one_trace_over_a_cluster_too(tmp_path: Path, kafka: str, name: str) -> None:
    """The context goes along in headers, which people's own tools see; and a lane's rows are claimed, not traced."""
    log = f"kafka://{kafka}?prefix={name}.&state={tmp_path}/state&session=6"
    await topics.apply(*await on_cluster(topology(log, poll=0.1)))
    spans, _, _ = await asyncio.to_thread(edited, tmp_path, 1.0, log=log)
    way = one_trace(spans)
    with open_reader(log) as reader:
        found = [
            record for partition in range(PARTITIONS) for record in reader.records("changes.left.tasks", partition)
        ]
    contexts = [dict(record.headers).get("traceparent", b"").decode() for record in found]
    assert f"00-{way[0]['trace']:032x}-{way[0]['id']:016x}-01" in contexts


def one_trace(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """See that one edit is one trace; its spans, in order."""
    [first] = [span for span in spans if span["name"] == "poll left.tasks"]
    trace = {span["id"]: span for span in spans if span["trace"] == first["trace"]}
    way = [next(span for span in trace.values() if span["name"] == "join receipt")]
    while way[-1]["parent"] is not None:
        way.append(trace[way[-1]["parent"]])
    assert [span["name"] for span in reversed(way)] == [
        "poll left.tasks",
        "join left.tasks",
        "join offer",
        "push right.items",
        "join receipt",
    ]
    assert [span["kind"] for span in reversed(way)] == ["PRODUCER", *["CONSUMER"] * 4]
    ends = [span["to"] for span in reversed(way)]
    assert ends == sorted(ends)
    assert all(span["from"] <= span["to"] for span in way)
    push = way[1]["about"]
    assert push["messaging.destination.name"] == "upserts.right.items"
    assert push["messaging.kafka.message.key"].startswith("right.items:")
    assert NOTES not in json.dumps(spans)
    return way[::-1]


def test_what_was_not_drawn_is_not_traced(tmp_path: Path) -> None:
    spans, _, _ = edited(tmp_path, 0.0)
    assert spans == []


def test_without_the_setting_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    _, loaded, _ = edited(tmp_path, 1.0, "off")
    assert loaded == []


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """A server that takes what it is sent."""
    taken: list[tuple[str, str, bytes]] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.append((self.path, self.headers["content-type"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", taken
    server.shutdown()
    thread.join()
    server.server_close()


def test_they_go_to_a_collector_before_the_worker_ends(tmp_path: Path, collector: tuple[str, list[Any]]) -> None:
    to, taken = collector
    edited(tmp_path, 1.0, to)
    assert {(path, kind) for path, kind, _ in taken} == {("/v1/traces", "application/x-protobuf")}
    said = b"".join(body for _, _, body in taken)
    assert all(name in said for name in (b"linkstream", b"poll left.tasks", b"join receipt"))
    assert NOTES.encode() not in said


def test_a_collector_that_is_away_holds_nothing_up(tmp_path: Path) -> None:
    began = time.monotonic()
    edited(tmp_path, 1.0, "http://127.0.0.1:9/v1/traces")
    assert time.monotonic() - began < 20


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry.py").write_text("raise ImportError", "utf-8")  # in the place of what is not installed
    (tmp_path / "topics.yaml").write_text("traces: {}\n" + (ROOT / "tests/five.yaml").read_text("utf-8"), "utf-8")
    named = dict.fromkeys(("ASANA_TOKEN", "PMS_TOKEN"), "a-secret-of-a-test")
    environment = {**os.environ, **named, "PMS_URL": "http://127.0.0.1:9", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "stream.cli.main", "run"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "pip install 'linkstream[otel]'" in done.stderr
    assert not (tmp_path / "var").exists()


def test_the_setting() -> None:
    assert read(file()).traces is None
    found = read("traces: {}\n" + file()).traces
    assert found is not None
    assert (found.to, found.sample) == ("http://127.0.0.1:4318/v1/traces", 0.01)
    for wrong, right in (
        ("{sample: 2}", "at most 1"),
        ("{to: 'collector:4318'}", "an address as http://127.0.0.1:4318/v1/traces"),
        ("{to: 'http://me:secret-canary@collector/'}", "an address as"),
        ("{smple: 1}", "'sample' would be right"),
    ):
        told = problems(f"traces: {wrong}\n" + file())
        assert any(right in line for line in told), told
