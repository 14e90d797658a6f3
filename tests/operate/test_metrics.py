"""What a worker tells Prometheus is what happened, under the names that the documentation lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as families

from connectors.endpoint import Room, Usage
from connectors.memory import MemoryEndpoint
from connectors.spread import QUICK, Spread
from stream.meters import BOUNDS
from stream.operate.metrics import Metrics
from stream.topology import Topology, read_topology
from stream.wiring import build
from stream.worker import Worker

ROOT = Path(__file__).parents[2]


class Counted(MemoryEndpoint):
    """An endpoint of which something was asked."""

    def usage(self) -> Usage:
        took = Spread(QUICK)
        took.add((0.02, 0.3, 31.0))
        return Usage(
            answers={("GET", "200"): 7, ("POST", "none"): 1},
            rooms=(Room(count=150, seconds=60, left=3),),
            took={"GET": took},
            token_left=40.0,
        )


def topology(folder: Path) -> Topology:
    environment = {"ASANA_TOKEN": "x", "PMS_URL": "http://127.0.0.1:1", "PMS_TOKEN": "x"}
    return read_topology(
        ROOT / "tests" / "five.yaml", {**environment, "LINKSTREAM_BROKER": f"sqlite:///{folder}/log.db"}
    )


def worker(folder: Path) -> Worker:
    read = topology(folder)
    return build(read, {name: Counted(traits_of(read, name)) for name in read.systems})


def traits_of(read: Topology, system: str) -> dict[str, object]:
    return {name.partition(".")[2]: each for name, each in read.traits.items() if name.startswith(f"{system}.")}


def samples(worker: Worker) -> dict[tuple[str, ...], float]:
    body, _ = Metrics(worker).render("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families(body.decode())
        for sample in family.samples
    }


def names(worker: Worker) -> Iterator[str]:
    body, _ = Metrics(worker).render("text/plain")
    for family in families(body.decode()):
        if family.name.startswith("linkstream_"):
            yield f"{family.name}_total" if family.type == "counter" else family.name


def test_the_documentation_lists_every_metric_and_no_other(tmp_path: Path) -> None:
    listed = re.findall(r"^\| `(linkstream_\w+)` \|", (ROOT / "docs/monitoring.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted({name.replace("_info_total", "_info") for name in names(worker(tmp_path))})


def test_what_was_counted_is_told(tmp_path: Path) -> None:
    made = worker(tmp_path)
    made.meters.writes["asana.tasks", "update", "done"] += 3
    made.meters.emitted["conflicts", "asana.tasks"] += 2
    made.meters.arrive("asana.tasks", [0.2, 0.3, 4000.0])
    told = samples(made)
    assert told["linkstream_writes_total", "update", "done", "asana.tasks"] == 3
    assert told["linkstream_conflicts_total", "asana.tasks"] == 2
    assert told["linkstream_end_to_end_seconds_bucket", "0.25", "asana.tasks"] == 1
    assert told["linkstream_end_to_end_seconds_bucket", "3600.0", "asana.tasks"] == 2
    assert told["linkstream_end_to_end_seconds_count", "asana.tasks"] == 3
    assert told["linkstream_requests_total", "none", "POST", "asana"] == 1
    assert told["linkstream_budget_left_requests", "asana", "150/60s"] == 3
    assert told["linkstream_system_state", "ok", "asana"] == 1
    assert told["linkstream_request_seconds_bucket", "0.025", "GET", "asana"] == 1
    assert told["linkstream_request_seconds_bucket", "30.0", "GET", "asana"] == 2
    assert told["linkstream_request_seconds_count", "GET", "asana"] == 3
    assert told["linkstream_token_left_seconds", "asana"] == 40
    assert told["linkstream_recovering",] == 0


def test_only_types_that_this_worker_reads_have_an_age(tmp_path: Path) -> None:
    made = worker(tmp_path)
    made.reading = ["asana.tasks"]
    ages = [key[1] for key in samples(made) if key[0] == "linkstream_poll_age_seconds"]
    assert ages == ["asana.tasks"]


def test_open_metrics_are_there_for_those_who_ask(tmp_path: Path) -> None:
    body, kind = Metrics(worker(tmp_path)).render("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert {family.name for family in open_metrics(body.decode())} >= {"linkstream_links", "linkstream_writes"}


def test_a_spread_counts_each_bound_in_its_own_place() -> None:
    spread = Spread(BOUNDS)
    spread.add([0.1, 0.1001, BOUNDS[-1] + 1])
    assert (spread.counts[0], spread.counts[1], spread.counts[-1], sum(spread.counts)) == (1, 1, 1, 3)
