"""The worker: what one process runs, what it knows of itself, and what it says to people."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from heapq import nsmallest
from operator import itemgetter
from typing import Any

from connectors.breaker import Down, Ok, Shut
from connectors.budget import Budget
from connectors.endpoint import Endpoint
from connectors.opening import guarded, open_endpoint
from stream.engine.app import App, create_app
from stream.engine.log import Staged
from stream.engine.watchdog import Watchdog
from stream.join import Join
from stream.meters import Meters
from stream.model import Time
from stream.pauses import Pauses
from stream.poll import Reader
from stream.standing import added_up
from stream.topics import CONFLICTS, PARKED
from stream.topology import Polled, Topology
from stream.traces import Traces
from stream.wanted import topics_of

logger = logging.getLogger(__name__)


def clock() -> Time:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


class Worker:
    """What one process runs, and what it knows of itself."""

    def __init__(self, topology: Topology, endpoints: Mapping[str, Endpoint] | None = None) -> None:
        self.topology = topology
        self.app: App = create_app(
            "linkstream", topology.broker, topics=topics_of(topology), partitions=topology.partitions
        )
        systems = opened(topology) if endpoints is None else endpoints
        self.endpoints = {name: guarded(systems[name], system.settings) for name, system in topology.systems.items()}
        self.meters = Meters()
        self.pauses = Pauses(
            {name: polled.system for name, polled in topology.types.items()},
            {name: (flow.left, flow.right) for name, flow in topology.flows.flows.items()},
        )
        self.join = Join(topology.flows, clock, self.meters, self.pauses.flows)
        self.began = clock()
        self.late = 0.0
        """Seconds by which the event loop was late when it looked last."""
        self.watchdog = Watchdog(frozenset({"join"}))
        self.traces = Traces()
        """Traces, where somebody asked for them."""
        self.web = ""
        """Where its page is, while there is one."""
        self.app.on_landed = self._landed
        self.readers = {name: self._reader(polled) for name, polled in topology.types.items()}
        self.wishes = {name: asyncio.Event() for name in topology.types}
        """Set to have a type read now."""
        self.errors: dict[str, str] = {}
        """Per entity type, why its last reading failed."""
        self.read_at: dict[str, Time] = {}
        """Per entity type, when a page was read last."""
        self.tried: Counter[str] = Counter()
        """Per entity type, how often a reading ended, well or not."""
        self.whole_at: dict[str, Time] = {}
        """Per entity type, when the reading began that came to the end last: what was changed before is known."""
        self.written: dict[str, int] = dict.fromkeys(topology.systems, 0)
        self.lost = False
        """Whether it was said that state was lost."""
        self.reading: list[str] = []
        """The types that this process reads; others are read by other workers."""
        self.holding: set[str] = set()
        """Types whose deletions are held, as far as it was said."""
        self.away: dict[str, Time] = {}
        """Systems that are not there, and since when."""

    def _reader(self, polled: Polled) -> Reader:
        system = self.topology.systems[polled.system]
        plan = self.topology.flows.plan(polled.name)
        return Reader(polled.name, system.connector, self.endpoints[polled.system], plan, clock)

    def _landed(self, staged: Staged) -> None:
        """Count what was written; to people's topics by the type that it is about."""
        emitted = self.meters.emitted
        for record in staged.records:
            family, _, type = record.topic.partition(".")
            if family in (CONFLICTS, PARKED):
                type = record.key.partition(b":")[0].decode(errors="replace")
                emitted[family, type if type in self.topology.types else ""] += 1
            elif family == "changes" and record.value is not None:  # a mark has none
                emitted[family, type] += 1

    async def close(self) -> None:
        """Give connections back."""
        for name, endpoint in self.endpoints.items():
            try:
                await endpoint.close()
            except Exception:  # the edge: the others are closed all the same
                logger.exception("%s: not closed", name, extra={"what": "not_closed", "system": name})
        await self.traces.close()
        logger.info("stopped", extra={"what": "stopped"})

    async def read_now(self, names: Iterable[str], *, patience: float = 45.0) -> dict[str, str]:
        """Read types at once: for each an empty text, or why it was not read."""
        found = {name: self.pauses.reason(name) or ("" if name in self.readers else "no such type") for name in names}
        before = {name: self.tried[name] for name, why in found.items() if not why}
        for name in before:
            self.wishes[name].set()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while any(self.tried[name] == count for name, count in before.items()):  # noqa: ASYNC110 - told by counts
                    await asyncio.sleep(0.02)
        for name, count in before.items():
            found[name] = self.errors.get(name, "") if self.tried[name] > count else "not read in time"
        return found

    def go_on(self, types: Iterable[str]) -> None:
        """Read types that were paused at once."""
        for name in types:
            logger.info("%s: goes on", name, extra={"what": "goes_on", "type": name})
            self.wishes[name].set()

    def watch(self) -> None:
        """Say once that a system went away, and once that it came back."""
        for name, endpoint in self.endpoints.items():
            match endpoint.state():
                case Down(reason=reason) | Shut(reason=reason) as state if name not in self.away:
                    self.away[name] = clock()
                    how = type(state).__struct_config__.tag
                    more = {"what": "system_away", "system": name, "state": how}
                    logger.warning("%s is %s: %s", name, how, reason, extra=more)
                case Ok() if name in self.away:
                    seconds = (clock() - self.away.pop(name)) / 1e6
                    back = {"what": "system_back", "system": name, "seconds": round(seconds)}
                    logger.info("%s is back after %.0f s", name, seconds, extra=back)
                case _:
                    pass

    def hold(self) -> None:
        """Say once that the deletions of a type are held, and once that a person has decided."""
        held = set(self.join.held)
        for name in sorted(held - self.holding):
            logger.error(
                "%s: too many deletions at once; all are held, nothing follows them: linkstream deletes list",
                name,
                extra={"what": "deletions_held", "type": name},
            )
        for name in sorted(self.holding - held):
            more = {"what": "deletions_go_on", "type": name}
            logger.info("%s: deletions are not held any more", name, extra=more)
        self.holding = held

    def recovering(self) -> bool:
        """Whether a loss of state has not been made good yet."""
        loss = self.app.broker.loss
        return bool(loss.at) and not loss.healed

    async def recover(self) -> None:
        """Say once that state was lost, and once that everything was read and told anew."""
        if not self.recovering():
            return
        if not self.lost:
            self.lost = True
            text = "state was lost: %s; nothing is created before everything was read anew"
            logger.error(text, self._loss(), extra={"what": "state_lost"})
        loaded = {lane.id.partition for lane in self.app.lanes if lane.id.agent == "join"} == self.join.alarms.keys()
        if loaded and self.join.alarms and not self.join.recovering:
            await self.app.broker.heal()
            logger.info("recovered: everything was read and told anew", extra={"what": "recovered"})

    def _loss(self) -> str:
        return self.app.broker.loss.reason

    def lag(self) -> dict[str, int]:
        """Records that wait, per agent."""
        waiting: dict[str, int] = {}
        for lane in self.app.lanes:
            waiting[lane.id.agent] = waiting.get(lane.id.agent, 0) + lane.behind()
        return waiting

    def state(self) -> dict[str, Any]:
        """What an operator sees of a running worker."""
        now = clock()
        return {
            "systems": {
                name: {"state": type(state).__struct_config__.tag, "reason": getattr(state, "reason", "")}
                for name, endpoint in self.endpoints.items()
                for state in (endpoint.state(),)
            },
            "types": {
                name: {
                    "read_seconds_ago": round((now - at) / 1e6, 1) if (at := self.read_at.get(name)) else None,
                    "behind_seconds": round((now - at) / 1e6, 1) if (at := self.whole_at.get(name)) else None,
                    "error": self.errors.get(name, ""),
                }
                for name in self.topology.types
            },
            "written": self.written,
            "paused": {what: {"at": pause.at, "why": pause.why} for what, pause in self.pauses.all().items()},
            "web": self.web,
            "standing": added_up(lane.counts for lane in self.join.standing.values()),
            "out": {key.decode(): at for key, at in self.out()},
            "recovering": self._loss() if self.recovering() else "",
        }

    def out(self, most: int = 20) -> list[tuple[bytes, Time]]:
        """The rows that are out of step for the longest time, oldest first, and since when."""
        found = [each for lane in self.join.standing.values() for each in lane.since.items()]
        return nsmallest(most, found, key=itemgetter(1))


def opened(topology: Topology) -> Mapping[str, Endpoint]:
    """The endpoints that the topology names; those with one credential share its rate budget."""
    budgets: dict[str, Budget] = {}
    return {
        name: open_endpoint(name, system.connector, system.settings, topology.base_dir, budgets=budgets)
        for name, system in topology.systems.items()
    }
