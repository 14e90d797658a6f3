"""The log in memory: the one double of the port, held to the same contract as the real ones.

``drain`` drives a body over lanes without Faust, with the same retries, halves and parking, until nothing waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from stream.engine.feed import Feed, attend
from stream.engine.lanes import Lane
from stream.engine.log import (
    LARGEST,
    EngineError,
    Fenced,
    Given,
    Health,
    LaneId,
    Mismatch,
    Outgoing,
    Staged,
    Taken,
    TopicSettings,
    must_exist,
    partition_of,
)
from stream.ports import Loss, Record


class MemoryClaim:
    """A lane of a ``MemoryLog``."""

    def __init__(self, log: MemoryLog, lane: LaneId, epoch: int, offsets: Mapping[str, int]) -> None:
        self.lane = lane
        self.epoch = epoch
        self.offsets = offsets
        self._log = log

    def head(self, topic: str) -> int:
        """The next offset of the topic."""
        return len(self._log.records[topic, self.lane.partition])

    def read(self, topic: str, start: int, limit: int) -> Sequence[Record]:
        """Records from ``start`` on."""
        return self._log.records[topic, self.lane.partition][start : start + limit]

    def end(self, topic: str) -> int:
        """The next offset of the topic."""
        return self.head(topic)

    async def catch_up(self) -> None:
        """All is at hand."""

    def get(self, key: bytes) -> bytes | None:
        """A committed row."""
        return self._log.rows[self.lane].get(key)

    def several(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Committed rows of these keys."""
        rows = self._log.rows[self.lane]
        return {key: rows[key] for key in keys if key in rows}

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Committed rows by prefix."""
        rows = self._log.rows[self.lane]
        return iter([(key, rows[key]) for key in sorted(rows) if key.startswith(prefix) and key > after])


class MemoryLog:
    """A ``Log`` that lives as long as the process. ``clock`` gives seconds since the epoch."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.partitions = 0
        self.largest = LARGEST
        self.topics: dict[str, TopicSettings] = {}
        self.loss = Loss()
        self.records: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        self.rows: defaultdict[LaneId, dict[bytes, bytes]] = defaultdict(dict)
        self.offsets: defaultdict[LaneId, dict[str, int]] = defaultdict(dict)
        self._epochs: defaultdict[LaneId, int] = defaultdict(int)
        self._wakes: dict[LaneId, tuple[frozenset[str], Callable[[], None]]] = {}
        self.on_fatal: Callable[[EngineError], object] = lambda _: None
        self._alarm = ""
        self._clock = clock

    def exists(self) -> bool:
        """It does."""
        return True

    def hold(self) -> None:
        """Nothing that another process could want."""

    async def open(self) -> None:
        """Nothing to take hold of."""

    async def declare(
        self,
        topics: Mapping[str, TopicSettings],
        partitions: int,
        agents: Sequence[str] = (),  # noqa: ARG002 - rows need no topics
    ) -> None:
        """Remember the topics."""
        if self.partitions not in (0, partitions):
            raise Mismatch(f"memory: topics have {self.partitions} partitions, not {partitions}; use as many")
        self.partitions = partitions
        self.topics.update(topics)

    async def share(self, topics: Sequence[str], given: Given, taken: Taken) -> None:  # noqa: ARG002 - nobody else
        """All partitions are ours."""
        await given(frozenset(range(self.partitions)))

    async def claim(self, lane: LaneId, topics: Sequence[str], wake: Callable[[], None]) -> MemoryClaim:
        """Fence the former owner of the lane."""
        self._epochs[lane] += 1
        self._wakes[lane] = (frozenset(topics), wake)
        known = self.offsets[lane]
        return MemoryClaim(self, lane, self._epochs[lane], {topic: known.get(topic, 0) for topic in topics})

    async def commit(self, unit: Staged) -> None:
        """Apply all of it between two turns of the loop."""
        await asyncio.sleep(0)
        if self._epochs[unit.lane] != unit.epoch:
            raise Fenced(f"lane {unit.lane}: epoch {unit.epoch}, now {self._epochs[unit.lane]}")
        self._apply(unit)
        self._wake({record.topic for record in unit.records})

    def _apply(self, unit: Staged) -> None:
        rows = self.rows[unit.lane]
        for key, row in unit.rows.items():
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
        self.offsets[unit.lane].update(unit.offsets)
        for record in unit.records:
            self._append(record)

    def _append(self, record: Outgoing) -> None:
        partition = partition_of(record.key, self.partitions) if record.partition is None else record.partition
        log = self.records[record.topic, partition]
        moment = int(self._clock() * 1000) if record.timestamp is None else record.timestamp
        log.append(Record(record.topic, partition, len(log), record.key, record.value, moment, record.headers))

    def _wake(self, grown: set[str]) -> None:
        for topics, wake in list(self._wakes.values()):
            if topics & grown:
                wake()

    async def release(self, lane: LaneId) -> None:
        """Stop waking the lane."""
        self._wakes.pop(lane, None)

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append records outside any unit."""
        for record in records:
            must_exist(self, "publish", record.topic, record.partition)
        for record in records:
            self._append(record)
        self._wake({record.topic for record in records})

    async def close(self) -> None:
        """Forget who wants to be woken."""
        self._wakes.clear()

    async def heal(self) -> None:
        """Note that the loss has been made good."""
        self.loss = replace(self.loss, healed=int(self._clock() * 1e6))

    def sure(self) -> None:
        """Nobody else is there."""

    def health(self) -> Health:
        """Red after an alarm."""
        return {"state": "red" if self._alarm else "green", "reason": self._alarm}

    def alarm(self, reason: str) -> None:
        """Turn health red."""
        self._alarm = reason

    def status(self) -> dict[str, Any]:
        """Lanes with their lag, and health."""
        lanes = [
            {
                "agent": lane.agent,
                "partition": lane.partition,
                "topic": topic,
                "next": done,
                "head": head,
                "lag": head - done,
            }
            for lane, (topics, _) in sorted(self._wakes.items())
            for topic in sorted(topics)
            for done in [self.offsets[lane].get(topic, 0)]
            for head in [len(self.records[topic, lane.partition])]
        ]
        return {"lanes": lanes, "health": self.health()}


async def lanes_of(log: Any, agent: str, topics: Sequence[str], partitions: Sequence[int] | None = None) -> list[Lane]:
    """Claim lanes of an agent over a log, without Faust."""
    lanes = []
    for partition in range(log.partitions) if partitions is None else partitions:
        lane = LaneId(agent, partition)
        woken: list[Lane] = []
        claim = await log.claim(lane, topics, lambda woken=woken: [one.on_ready() for one in woken])
        woken.append(Lane(log, claim))
        lanes += woken
    return lanes


async def drain(
    lanes: Lane | Sequence[Lane],
    body: Callable[[Feed], Awaitable[None]],
    *,
    retries: int = 0,
) -> None:
    """Call the body with a stream over the lanes until nothing waits in them; everything is committed then."""
    several = (lanes,) if isinstance(lanes, Lane) else tuple(lanes)
    feed = Feed(several, stage=several[0].id.agent, retries=retries, until_idle=True)
    await attend(feed, lambda: body(feed))
