"""The numbers of the overview: all that changes while somebody looks, as texts by name.

The page is drawn from these texts, and the live stream sends those that have changed since, so that a number has one
form whether it was there at first or came later. Each text has a tone, by which it is coloured and never by that alone.
They are taken from what the worker knows of itself; no log is read for them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from connectors.breaker import Ok
from stream.operate.pace import Pace
from stream.operate.survey import FlowCount, Survey, counted
from stream.operate.web.graph import pairs
from stream.pauses import FLOW
from stream.standing import added_up
from stream.worker import Worker

Tone: TypeAlias = Literal["", "good", "warn", "bad"]
Numbers: TypeAlias = Mapping[str, tuple[str, Tone]]

EVERY, POINTS = 10.0, 2160
"""Seconds between two points of the charts, and how many are kept."""
LATE = 300.0
"""Seconds for which nobody should be behind."""

_TONES: Mapping[str, Tone] = {"ok": "good", "paused": "warn", "down": "bad", "locked": "bad"}


class Point(Struct, frozen=True, array_like=True):
    """One moment of the charts."""

    at: int
    in_step: float | None
    read: int
    written: int
    waiting: int


class Overview:
    """Looks at one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._pace = Pace()
        self._kept = -EVERY
        self.points: deque[Point] = deque(maxlen=POINTS)
        """How it was, a point for each ten seconds of the last six hours."""

    def sample(self) -> None:
        """Once a second: note how much was done."""
        meters = self._worker.meters
        counts: dict[str, int] = {}
        for (type, _, outcome), count in meters.writes.items():
            if outcome in ("done", "found"):
                counts[f"w {type}"] = counts.get(f"w {type}", 0) + count
        for (family, type), count in meters.emitted.items():
            if family == "changes":
                counts[f"c {type}"] = count
        now = time.monotonic()
        self._pace.take(now, counts)
        if now - self._kept >= EVERY:
            self._kept = now
            self.points.append(self.point())

    def point(self) -> Point:
        """How it is now, for the charts."""
        survey, pace = self.survey(), self._pace
        step = round(100 * survey.in_step / survey.linked, 2) if survey.linked else None
        read, written = (
            sum(pace.per_minute(f"{kind} {name}") for name in self._worker.topology.types) for kind in "cw"
        )
        return Point(round(time.time()), step, read, written, sum(self._worker.lag().values()))

    def survey(self) -> Survey:
        """The links of this worker's partitions, counted."""
        lanes = self._worker.join.standing.values()
        return counted(added_up(lane.counts for lane in lanes), self._worker.topology.flows)

    def numbers(self) -> Numbers:
        """Everything that the overview shows and that changes."""
        survey = self.survey()
        found: dict[str, tuple[str, Tone]] = {}
        for part in (self._totals(survey), self._systems(), self._types(survey), self._flows(survey)):
            found.update(part)
        return found

    def _totals(self, survey: Survey) -> Iterator[tuple[str, tuple[str, Tone]]]:
        yield "links", (whole(survey.linked), "")
        refused = sum(flow.others.get("not applied", 0) for flow in survey.flows.values())
        text, tone = share(survey.in_step, survey.linked)
        waits = survey.linked - survey.in_step - refused > 0
        yield "in_step", (text, tone if waits or tone == "good" else "warn")
        yield "refused", (f"in {whole(refused)} a value is refused" if refused else "", "warn")
        out = self._worker.out(1)
        seconds = time.time() - out[0][1] / 1e6 if out else 0.0
        yield "oldest", (age(seconds) if out else "none", "warn" if seconds > LATE else "good")
        yield "writing", (whole(survey.writing), "")
        yield "waiting", (whole(sum(self._worker.lag().values())), "")
        lag = [lane.oldest() for lane in self._worker.app.lanes]
        first = min((at for at in lag if at is not None), default=None)
        late = time.time() - first / 1000 if first is not None else 0.0
        yield "waiting_since", (f"oldest {age(late)}" if late >= 1 else "", "warn" if late > LATE else "")

    def _systems(self) -> Iterator[tuple[str, tuple[str, Tone]]]:
        lag = self._worker.lag()
        for name, endpoint in self._worker.endpoints.items():
            state = endpoint.state()
            tag = type(state).__struct_config__.tag
            pause = self._worker.pauses.all().get(name)
            tag = "paused" if pause else tag
            yield f"system {name} state", (str(tag), _TONES[str(tag)])
            yield f"system {name} reason", (getattr(state, "reason", ""), "")
            why = f": {pause.why}" if pause and pause.why else ""
            yield f"system {name} paused", (f"paused by a person{why}" if pause else "", "warn")
            usage = endpoint.usage()
            rooms = [room.left / room.count for room in usage.rooms if room.count]
            left = min(rooms, default=1.0)
            text = f"{100 * left:.0f} % left" if rooms else "no limit"
            yield f"system {name} budget", (text, "warn" if left < 0.1 else "")  # noqa: PLR2004
            failed = sum(n for (_, code), n in usage.answers.items() if code == "none" or code >= "400")
            yield f"system {name} requests", (whole(sum(usage.answers.values())), "")
            yield f"system {name} errors", (whole(failed), "warn" if failed else "")
            yield f"system {name} waiting", (whole(lag.get(f"push.{name}", 0)), "")

    def _types(self, survey: Survey) -> Iterator[tuple[str, tuple[str, Tone]]]:
        worker, now = self._worker, time.time()
        for name, polled in worker.topology.types.items():
            read, whole_at = worker.read_at.get(name), worker.whole_at.get(name)
            since, behind = now - (read or 0) / 1e6, now - (whole_at or 0) / 1e6
            late: Tone = "warn" if read and since > 3 * polled.poll + LATE else ""
            yield f"type {name} read", (f"{age(since)} ago" if read else "not yet", late)
            late = "warn" if whole_at and behind > 3 * polled.poll + LATE else ""
            yield f"type {name} behind", (age(behind) if whole_at else "", late)
            yield f"type {name} records", (whole(survey.entities.get(name, 0)), "")
            paused = "" if polled.system in worker.pauses.all() else worker.pauses.reason(name)
            there = isinstance(worker.endpoints[polled.system].state(), Ok)
            error = worker.errors.get(name, "") if there else ""  # the system itself says it for all its types
            yield f"type {name} note", (paused or error, "warn" if paused else "bad")
            yield f"type {name} in", (whole(self._pace.per_minute(f"c {name}")), "")
            yield f"type {name} out", (whole(self._pace.per_minute(f"w {name}")), "")
            for topic in ("conflicts", "parked"):
                count = worker.meters.emitted[topic, name]
                yield f"type {name} {topic}", (whole(count), "warn" if count else "")

    def _flows(self, survey: Survey) -> Iterator[tuple[str, tuple[str, Tone]]]:
        for name, flow in self._worker.topology.flows.flows.items():
            count = survey.flows[name]
            yield f"flow {name} links", (whole(count.linked), "")
            yield f"flow {name} in_step", share(count.in_step, count.linked)
            pause = self._worker.pauses.all().get(FLOW + name)
            why = f": {pause.why}" if pause and pause.why else ""
            yield f"flow {name} paused", (f"paused by a person{why}" if pause else "", "warn")
            yield f"flow {name} others", (_others(count), "warn" if _troubled(count) else "")
            yield f"flow {name} right", (whole(self._pace.per_minute(f"w {flow.right}")), "")
            yield f"flow {name} left", (whole(self._pace.per_minute(f"w {flow.left}")), "")
        for pair, names in pairs(self._worker.topology).items():
            linked = sum(survey.flows[name].linked for name in names)
            text, tone = share(sum(survey.flows[name].in_step for name in names), linked)
            yield f"pair {pair}", (f"{whole(linked)} links, {text}" if linked else "no links", tone)


def share(part: int, of: int) -> tuple[str, Tone]:
    """A share in percent; never 100 while something is missing."""
    if not of:
        return "-", ""
    percent = 100 * part / of
    if part == of:
        return "100 %", "good"
    return f"{min(percent, 99.99):.2f} %", "warn" if percent >= 90 else "bad"  # noqa: PLR2004


def whole(number: int) -> str:
    """A count, with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def age(seconds: float) -> str:
    """A time in the unit that fits: 3 s, 5 min, 2 h, 4 d."""
    seconds = max(0.0, seconds)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _others(count: FlowCount) -> str:
    return ", ".join(f"{whole(n)} {state}" for state, n in sorted(count.others.items()) if n)


def _troubled(count: FlowCount) -> bool:
    return any(count.others.get(state) for state in ("unknown", "refused", "not applied"))
