"""What a worker tells Prometheus: its own numbers and state, in Prometheus's words, made when somebody asks.

Nothing is counted here. The worker keeps plain numbers (``stream/meters.py``, ``stream/standing.py``), adds to them
once per batch, and this file gives them names. Labels are systems, entity types, flows, agents and outcomes; never an
id. A worker tells of its own partitions, and of the types that it reads itself: what several tell is to be added up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from connectors.spread import Spread
from stream.meters import BOUNDS
from stream.model import type_of
from stream.operate.survey import counted
from stream.standing import added_up
from stream.worker import Worker

Labels: TypeAlias = tuple[str, ...]
STATES = ("ok", "paused", "down", "locked")
PREFIX = "linkstream_"


class Metrics:
    """The metrics of one worker."""

    def __init__(self, worker: Worker, *, now: Callable[[], float] = time.time) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Worker(worker, now))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """All of it, in the format that was asked for, and the name of that format."""
        encode, kind = choose_encoder(accept)
        return encode(self.registry), kind


class _Worker(Collector):
    def __init__(self, worker: Worker, now: Callable[[], float]) -> None:
        self._worker = worker
        self._now = now

    def collect(self) -> Iterator[Metric]:
        for part in (self._about, self._systems, self._budgets, self._types, self._work, self._links, self._lanes):
            yield from part()

    def _about(self) -> Iterator[Metric]:
        yield InfoMetricFamily(f"{PREFIX}build", "The version that runs.", {"version": version("linkstream")})
        log = self._worker.app.broker.health()["state"] == "green"
        yield _gauge("log_healthy", "Whether the log takes records, and no lane is held.", (), {(): log})
        recovering = self._worker.recovering()
        yield _gauge("recovering", "1 while a loss of state has not been made good.", (), {(): recovering})
        shared = {(): self._worker.app.shared}
        yield _counter("rebalances", "Partitions were handed out: at the start, as workers come and go.", (), shared)
        yield _gauge("loop_lag_seconds", "How late the event loop was last.", (), {(): self._worker.late})

    def _systems(self) -> Iterator[Metric]:
        states: dict[Labels, bool] = {}
        answers: dict[Labels, int] = {}
        ahead, wait, token = {}, {}, {}
        took = HistogramMetricFamily(
            f"{PREFIX}request_seconds",
            "From the first byte of a request until its whole answer was read.",
            labels=("system", "method"),
        )
        for name, endpoint in self._worker.endpoints.items():
            tag = type(endpoint.state()).__struct_config__.tag
            states |= {(name, state): state == tag for state in STATES}
            ahead[name,] = endpoint.clock_ahead() or 0.0
            usage = endpoint.usage()
            wait[name,] = usage.wait
            if usage.token_left is not None:
                token[name,] = usage.token_left
            for method, spread in usage.took.items():
                took.add_metric((name, method), _buckets(spread), spread.sum)
            answers |= {(name, *labels): count for labels, count in usage.answers.items()}
        yield _gauge("system_state", "1 for the state that a system is in.", ("system", "state"), states)
        yield _gauge("system_clock_ahead_seconds", "How far its clock is ahead of ours.", ("system",), ahead)
        yield _gauge("system_pause_seconds", "For how long it asked to be left alone.", ("system",), wait)
        yield _counter("requests", "Requests to a system.", ("system", "method", "code"), answers)
        yield took
        yield _gauge("token_left_seconds", "Until its access token is renewed, where it expires.", ("system",), token)

    def _budgets(self) -> Iterator[Metric]:
        size, left = {}, {}
        for name, endpoint in self._worker.endpoints.items():
            for room in endpoint.usage().rooms:
                labels = (name, f"{room.count}/{room.seconds:g}s")
                size[labels], left[labels] = room.count, room.left
        yield _gauge("budget_requests", "Requests that a window of the rate budget holds.", ("system", "window"), size)
        yield _gauge("budget_left_requests", "Requests that may leave at once.", ("system", "window"), left)

    def _types(self) -> Iterator[Metric]:
        worker, now = self._worker, self._now()
        types, meters = worker.topology.types, worker.meters
        began = worker.began / 1e6

        def ages(times: Mapping[str, int]) -> dict[Labels, float]:
            return {(name,): max(0.0, now - max(times.get(name, 0) / 1e6, began)) for name in worker.reading}

        one = ("type",)
        interval = {(name,): types[name].poll for name in worker.reading}
        yield _gauge("poll_interval_seconds", "How often a type is read.", one, interval)
        yield _gauge(
            "poll_age_seconds", "Since a page was read; since the start while none was.", one, ages(worker.read_at)
        )
        text = "How old the oldest change may be that was not read; since the start while nothing was read to its end."
        yield _gauge("source_behind_seconds", text, one, ages(worker.whole_at))
        failing = {(name,): name in worker.errors for name in worker.reading}
        yield _gauge("poll_failing", "1 while the last reading failed.", one, failing)
        yield _counter("poll_pages", "Pages read.", one, {(name,): meters.pages[name] for name in types})
        yield _counter(
            "poll_failures", "Readings that failed.", one, {(name,): meters.failures[name] for name in types}
        )
        for family, text in (
            ("changes", "Changes that were read and committed."),
            ("conflicts", "Values that lost against a newer edit that had not seen them."),
            ("parked", "Records that were set aside."),
        ):
            names = types if family == "changes" else (*types, "")
            yield _counter(family, text, one, {(name,): meters.emitted[family, name] for name in names})
        paused = {(name,): bool(worker.pauses.reason(name)) for name in types}
        yield _gauge("paused", "1 while a person has paused a type.", one, paused)
        resting = worker.pauses.flows()
        flows = {(name,): name in resting for name in worker.topology.flows.flows}
        yield _gauge("flow_paused", "1 while a person has paused a flow.", ("flow",), flows)
        held = {(name,): name in worker.join.held for name in types}
        yield _gauge("deletions_held", "1 while the deletions of a type wait for a person.", one, held)

    def _work(self) -> Iterator[Metric]:
        meters = self._worker.meters
        labels = ("type", "kind", "outcome")
        yield _counter("writes", "Writes by what became of them.", labels, meters.writes)
        took = HistogramMetricFamily(
            f"{PREFIX}end_to_end_seconds",
            "From an edit until its write was acknowledged, by the type that was written.",
            labels=("type",),
        )
        for name in self._worker.topology.types:
            spread = meters.arrived.get(name) or Spread(BOUNDS)
            took.add_metric((name,), _buckets(spread), spread.sum)
        yield took

    def _links(self) -> Iterator[Metric]:
        worker, now = self._worker, self._now()
        lanes = list(worker.join.standing.values())
        survey = counted(added_up(lane.counts for lane in lanes), worker.topology.flows)
        states: dict[Labels, float] = {}
        share: dict[Labels, float] = {}
        for name, flow in survey.flows.items():
            states[name, "linked"], states[name, "in_step"] = flow.linked, flow.in_step
            states |= {(name, state.replace(" ", "_")): count for state, count in flow.others.items()}
            share[name,] = flow.in_step / flow.linked if flow.linked else 1.0
        oldest = dict.fromkeys(worker.topology.types, 0.0)
        for lane in lanes:
            for key, since in lane.since.items():
                type = type_of(key.decode(errors="replace"))
                oldest[type] = max(oldest.get(type, 0.0), now - since / 1e6)
        yield _gauge("links", "Links and would-be links, by state.", ("flow", "state"), states)
        yield _gauge("in_step_ratio", "The share of links whose two sides agree.", ("flow",), share)
        text = "For how long the record is out of step that is so for longest; 0 while none is."
        yield _gauge("oldest_disagreement_seconds", text, ("type",), {(name,): age for name, age in oldest.items()})
        records = {(name,): count for name, count in survey.entities.items()}
        yield _gauge("records", "Records that are known.", ("type",), records)
        yield _gauge("writes_in_flight", "Writes that were asked for and not answered yet.", (), {(): survey.writing})

    def _lanes(self) -> Iterator[Metric]:
        now = self._now()
        lag: dict[Labels, float] = {}
        oldest: dict[Labels, float] = {}
        commits: dict[Labels, float] = {}
        took: dict[Labels, float] = {}
        for lane in self._worker.app.lanes:
            labels = (lane.id.agent, str(lane.id.partition))
            at = lane.oldest()
            lag[labels] = lane.behind()
            oldest[labels] = max(0.0, now - at / 1000) if at is not None else 0.0
            commits[labels] = lane.commits
            took[labels] = lane.committing
        names = ("agent", "partition")
        yield _gauge("lag_records", "Records that wait for a lane.", names, lag)
        yield _gauge("oldest_uncommitted_seconds", "Age of the oldest of them; 0 while none waits.", names, oldest)
        yield _counter("commits", "Units that were committed.", names, commits)
        yield _counter("commit_seconds", "Seconds that their commits took, added up.", names, took)


def _gauge(name: str, about: str, labels: Labels, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}{name}", about, labels=labels)
    for value in values:
        family.add_metric(value, float(values[value]))
    return family


def _counter(name: str, about: str, labels: Labels, values: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}{name}", about, labels=labels)
    for value in values:
        family.add_metric(value, float(values[value]))
    return family


def _buckets(spread: Spread) -> list[tuple[str, float]]:
    total, buckets = 0, []
    for bound, count in zip((*spread.bounds, float("inf")), spread.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
    return buckets
