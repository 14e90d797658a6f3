"""A small world in virtual time: model systems, a log, and the product's own stages between them.

Nothing here sleeps or asks for the time: a history is a walk of random steps, and its seed is all it depends on. The
systems keep the truth: who wrote what, when, over what. The log commits a unit as a whole or not at all; a crash may
come before, between and after any two calls.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any
from zlib import crc32

import msgspec

from connectors.endpoint import Cursor, Entity, Page, Traits
from connectors.errors import Missing, Refused, Retry, Stale, Unsure
from stream.codec import bytes_of, decode_change, decode_message, decode_order, row_of
from stream.core.flows import Flow, Flows, TypeFacts
from stream.core.paths import observer
from stream.core.row import Row
from stream.join import Join
from stream.model import Conflict, Receipt, Ref, Time
from stream.poll import Reader
from stream.ports import Headers, Record
from stream.push import Push
from stream.topics import CONFLICTS, MAIL, PARKED, POLLS, WAKE

SECOND = 1_000_000
PARTITIONS = 2


class Crash(BaseException):
    """The process dies here."""


class Edit(msgspec.Struct, frozen=True):
    """One write in a system's truth log."""

    at: Time
    ref: Ref
    field: str
    value: Any
    over: Any
    person: bool
    real: Time
    """When it happened, by no system's clock."""


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """How a model system behaves."""

    trims: bool = False
    seconds: bool = False
    skew: Time = 0
    compares: bool = True
    names_modifier: bool = False
    listed: bool = False
    revisions: bool = False
    pristine: bool = True
    lag: Time = 0
    """Pages may show records as they were so long ago."""
    refuses: frozenset[str] = frozenset()
    ignores: frozenset[str] = frozenset()
    spells: bool = False
    """Its own values look different: ``R:e5`` for ``e5``."""


class Faults(msgspec.Struct, kw_only=True):
    """How often things go wrong, as shares of one."""

    crash: float = 0.0
    lost: float = 0.0
    refuse: float = 0.0


class ModelSystem:
    """A system as an endpoint, with a truth log and its own manners."""

    def __init__(self, name: str, types: Iterable[str], world: World, quirks: Quirks) -> None:
        self.name = name
        self.world = world
        self.quirks = quirks
        self.records: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in types}
        self.truth: list[Edit] = []
        self.created: list[tuple[Ref, bool, str]] = []
        self.past: dict[tuple[str, str], list[tuple[Time, dict[str, Any]]]] = {}
        self._next = 0

    def stamp(self) -> Time:
        now = self.world.now + self.quirks.skew
        return now - now % SECOND if self.quirks.seconds else now

    def normal(self, value: Any) -> Any:
        return value.strip() if self.quirks.trims and isinstance(value, str) else value

    # People

    def add(self, kind: str, fields: Mapping[str, Any], *, person: bool = True, marker: str = "") -> str:
        self._next += 1
        id = f"{self._next}"
        values = {field: self.normal(value) for field, value in fields.items()}
        self.records[kind][id] = {
            "fields": values,
            "updated": self.stamp(),
            "revision": 1,
            "marker": marker or None,
            "us": not person,
        }
        ref = f"{self.name}.{kind}:{id}"
        self._remember(kind, id)
        self.created.append((ref, person, marker))
        if person:
            for field, value in values.items():
                self.truth.append(Edit(self.stamp(), ref, field, value, None, person=True, real=self.world.now))
        return id

    def edit(self, kind: str, id: str, field: str, value: Any, *, person: bool = True) -> None:
        record = self.records[kind][id]
        stored = self.normal(value)
        self.truth.append(
            Edit(
                self.stamp(),
                f"{self.name}.{kind}:{id}",
                field,
                stored,
                record["fields"].get(field),
                person,
                self.world.now,
            )
        )
        record["fields"][field] = stored
        record["updated"] = max(self.stamp(), record["updated"])
        record["revision"] += 1
        record["us"] = not person
        self._remember(kind, id)

    def _remember(self, kind: str, id: str) -> None:
        record = self.records[kind][id]
        state = {**record, "fields": dict(record["fields"])}
        past = self.past.setdefault((kind, id), [])
        if past and past[-1][1]["updated"] == state["updated"]:
            past.pop()  # one write of several fields is seen as a whole
        past.append((self.world.now, state))

    def shown(self, kind: str, id: str) -> dict[str, Any]:
        """The record as a page shows it: a replica may trail behind."""
        if not self.quirks.lag or self.world.roll() < 0.5:
            return self.records[kind][id]
        limit = self.world.now - self.quirks.lag
        known = self.past[kind, id]
        return max((each for each in known if each[0] <= limit), default=known[-1], key=lambda each: each[0])[1]

    # The endpoint

    def traits(self) -> Mapping[str, Traits]:
        changes = "list" if self.quirks.listed else "since"
        return {kind: Traits(create=3, changes=changes) for kind in self.records}  # type: ignore[arg-type]

    def entity(self, kind: str, id: str, record: dict[str, Any] | None = None) -> Entity:
        record = record or self.records[kind][id]
        return Entity(
            id=id,
            record=dict(record["fields"]),
            updated_at=record["updated"],
            revision=record["revision"] if self.quirks.revisions else None,
            marker=record["marker"],
            pristine=self.quirks.pristine and record["revision"] == 1,
            by_us=record["us"] if self.quirks.names_modifier else None,
        )

    async def page(self, type: str, cursor: Cursor) -> Page:
        since = (cursor or 0) - 2 * SECOND
        ids = [id for id, record in self.records[type].items() if self.quirks.listed or record["updated"] >= since]
        newest = max((self.records[type][id]["updated"] for id in ids), default=cursor or 0)
        entities = tuple(self.entity(type, id, self.shown(type, id)) for id in ids)
        self.world.maybe_crash()
        return Page(entities=entities, cursor=max(newest, cursor or 0), since=newest - 2 * SECOND)

    async def read(self, type: str, id: str) -> Entity:
        self.world.maybe_crash()
        if id not in self.records[type]:
            raise Missing(f"{type} {id}: not there")
        return self.entity(type, id)

    async def find(self, type: str, marker: str, since: Time) -> tuple[Entity, ...]:
        self.world.maybe_crash()
        return tuple(self.entity(type, id) for id, record in self.records[type].items() if record["marker"] == marker)

    async def create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        self._before()
        self._refuse(wanted)
        kept = {field: value for field, value in wanted.items() if field not in self.quirks.ignores}
        id = self.add(type, kept, person=False, marker=marker)
        self._after()
        return self.entity(type, id)

    async def update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        self._before()
        self.world.interrupt(self, type, base.id)
        record = self.records[type][base.id]
        if self.quirks.compares and (record["updated"], record["fields"]) != (base.updated_at, base.record):
            raise Stale(f"{type} {base.id}: changed since it was read")
        self._refuse(wanted)
        self.world.writes += 1
        for field, value in wanted.items():
            if field not in self.quirks.ignores:
                self.edit(type, base.id, field, value, person=False)
        self._after()
        return self.entity(type, base.id)

    async def remove(self, type: str, base: Entity, how: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        return

    def _refuse(self, wanted: Mapping[str, Any]) -> None:
        refused = {field: "cannot be written" for field in wanted if field in self.quirks.refuses}
        if refused:
            raise Refused("found fields that cannot be written", fields=refused)

    def _before(self) -> None:
        self.world.now += 1000
        self.world.maybe_crash()
        if self.world.roll() < self.world.faults.lost / 2:
            raise Retry("refused connection")

    def _after(self) -> None:
        self.world.maybe_crash()
        if self.world.roll() < self.world.faults.lost:
            self.world.lost += 1
            raise Unsure("no answer")


class Lane:
    """Positions and rows of one (agent, partition)."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.positions: dict[str, int] = {}


class SimUnit:
    """A unit over a lane of the world's log."""

    def __init__(self, world: World, lane: Lane, partition: int, records: list[Record]) -> None:
        self.partition = partition
        self.partitions = PARTITIONS
        self._world = world
        self._lane = lane
        self._records = records
        self.puts: dict[bytes, bytes | None] = {}
        self.emits: list[tuple[str, bytes, bytes | None, Headers, int | None]] = []

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def get(self, key: bytes) -> bytes | None:
        return self.puts[key] if key in self.puts else self._lane.rows.get(key)

    def put(self, key: bytes, row: bytes | None) -> None:
        self.puts[key] = row

    def scan(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        merged = {**self._lane.rows, **self.puts}
        return [(key, row) for key, row in sorted(merged.items()) if key.startswith(prefix) and row is not None]

    def emit(
        self, topic: str, key: bytes, value: bytes | None, headers: Headers = (), partition: int | None = None
    ) -> None:
        self.emits.append((topic, key, value, headers, partition))

    async def save(self) -> None:
        self._world.maybe_crash()
        self._keep()
        self._world.maybe_crash()

    def _keep(self) -> None:
        for key, row in self.puts.items():
            if row is None:
                self._lane.rows.pop(key, None)
            else:
                self._lane.rows[key] = row
        self.puts = {}

    def commit(self) -> None:
        self._keep()
        for topic, key, value, headers, partition in self.emits:
            self._world.append(topic, key, value, headers, partition)
        for record in self._records:
            self._lane.positions[record.topic] = record.offset + 1


class World:
    """Systems, flows, the log and the three stages; every step is chosen by one random generator."""

    def __init__(self, seed: int, flows: list[Flow], quirks: Mapping[str, Quirks], faults: Faults) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.now: Time = 1_700_000_000 * SECOND
        self.faults = faults
        self.crashes = self.lost = self.writes = 0
        self.racing = 0.0
        self.steps = 0
        self.trace = blake2b(digest_size=8)
        kinds: dict[str, list[str]] = {}
        for flow in flows:
            for name in (flow.left, flow.right):
                system, _, kind = name.partition(".")
                if kind not in kinds.setdefault(system, []):
                    kinds[system].append(kind)
        self.systems = {
            name: ModelSystem(name, types, self, quirks.get(name, Quirks())) for name, types in kinds.items()
        }
        self.facts = {
            f"{system}.{kind}": TypeFacts(rank=rank, lag=quirks.get(system, Quirks()).lag)
            for rank, (system, types) in enumerate(kinds.items())
            for kind in types
        }
        self.flows = Flows(flows, self.facts)
        self.types = sorted(self.facts)
        self.renaming = 0.0
        self.unordered: frozenset[str] = frozenset()
        """Fields that were mapped when they had values already: their first versions are the records' own times."""
        self.log: dict[tuple[str, int], list[Record]] = {}
        self.lanes: dict[tuple[str, int], Lane] = {}
        self.loop = asyncio.new_event_loop()
        self.counter = 0
        self.first_shown: dict[tuple[Ref, str, Any], Time] = {}
        self.born: set[Ref] = set()
        self._boot()

    def close(self) -> None:
        self.loop.close()

    def replan(self, flows: list[Flow]) -> None:
        """Somebody changes the configuration: all processes start anew with it."""
        self.flows = Flows(flows, self.facts)
        self._boot()

    def _boot(self) -> None:
        """Start the processes: everything that is not in the log is made anew."""
        self.join = Join(self.flows, self.clock)
        observe = {name: observer(paths) for name, paths in self.flows.paths.items()}
        self.push = {name: Push(name, system, observe, self.clock) for name, system in self.systems.items()}
        self.readers = {
            name: Reader(name, "model", self.systems[name.partition(".")[0]], self.flows.plan(name), self.clock)
            for name in self.types
            if name in self.flows.paths
        }
        for partition in range(PARTITIONS):
            self.join.load(SimUnit(self, self.lane("join", partition), partition, []))

    # Time and chance

    def clock(self) -> Time:
        self.now += 1
        return self.now

    def roll(self) -> float:
        return self.random.random()

    def maybe_crash(self) -> None:
        if self.faults.crash and self.roll() < self.faults.crash:
            self.crashes += 1
            raise Crash

    def interrupt(self, system: ModelSystem, kind: str, id: str) -> None:
        """A person types between our guard read and our write."""
        if self.racing and self.roll() < self.racing:
            self.person_edits(system, kind, id)

    # The log

    def lane(self, agent: str, partition: int) -> Lane:
        return self.lanes.setdefault((agent, partition), Lane())

    def append(self, topic: str, key: bytes, value: bytes | None, headers: Headers, partition: int | None) -> None:
        where = crc32(key) % PARTITIONS if partition is None else partition
        records = self.log.setdefault((topic, where), [])
        records.append(Record(topic, where, len(records), key, value, self.now // 1000, headers))
        self.trace.update(topic.encode() + key + (value or b""))
        self._show(topic, key.decode(), value)

    def _show(self, topic: str, key: str, value: bytes | None) -> None:
        """Note when which value was first told of, by a change or a receipt."""
        if topic.startswith("changes.") and not key.startswith("counted:"):
            change = decode_change(value)
            self._showed(key, change.after or {}, change.source.updated_us)
        elif topic == MAIL and value is not None and b'"receipt"' in value:
            receipt = decode_message(value)
            assert isinstance(receipt, Receipt)
            for seen in (receipt.before, receipt.after):
                if seen is not None:
                    self._showed(receipt.target or key, seen.fields, seen.updated_at)

    def _showed(self, ref: Ref, fields: Mapping[str, Any], updated: Time | None) -> None:
        shown, born = self.first_shown, self.is_born(ref)
        for field, value in fields.items():
            if not born:  # a value that stands at first contact gets the record's own time, an empty one none
                shown[ref, field, value] = (updated or 0) if value is not None else 0
            else:
                shown.setdefault((ref, field, value), updated or 0)

    def waiting(self, agent: str, partition: int, topics: Iterable[str], most: int) -> list[Record]:
        lane, found = self.lane(agent, partition), []
        for topic in topics:
            records = self.log.get((topic, partition), [])
            start = lane.positions.get(topic, 0)
            found += records[start : start + most]
        return found

    # Steps

    def step_poll(self, name: str) -> None:
        if name not in self.readers:
            return
        lane = self.lane("poll", 0)
        for partition in range(PARTITIONS):
            orders = self.waiting("poll", partition, [POLLS], 100)
            unit = SimUnit(self, lane, 0, [])
            for record in orders:
                self.readers[record.key.decode()].forget(unit, decode_order(record.value))
            unit.commit()
            self.lane("poll", partition).positions[POLLS] = self.lane("poll", partition).positions.get(POLLS, 0) + len(
                orders
            )

        @asynccontextmanager
        async def turn() -> AsyncIterator[SimUnit]:
            unit = SimUnit(self, lane, 0, [])
            yield unit
            self.maybe_crash()
            unit.commit()
            self.maybe_crash()

        self._run(self.readers[name].read(turn))

    def step_join(self, partition: int, most: int) -> None:
        topics = [f"changes.{name}" for name in self.types] + [MAIL]
        records = self.waiting("join", partition, topics, most)
        if records:
            unit = SimUnit(self, self.lane("join", partition), partition, records)
            self._commit(unit, lambda: self.join(unit))

    def step_push(self, system: str, partition: int, most: int) -> None:
        topics = [f"upserts.{name}" for name in self.types if name.startswith(f"{system}.")]
        records = self.waiting(f"push.{system}", partition, topics, most)
        if records:
            unit = SimUnit(self, self.lane(f"push.{system}", partition), partition, records)
            self._commit(unit, lambda: self.loop.run_until_complete(self.push[system](unit)))

    def step_wake(self) -> None:
        for topic, key, value, partition in list(self.join.due()):
            self.append(topic, key, value, (), partition)

    def _commit(self, unit: SimUnit, body: Any) -> None:
        try:
            body()
            self.maybe_crash()
            unit.commit()
            self.maybe_crash()
        except Crash:
            self._boot()

    def _run(self, awaitable: Any) -> None:
        try:
            self.loop.run_until_complete(awaitable)
        except Crash:
            self._boot()

    # People

    def fresh(self) -> str:
        self.counter += 1
        return f"e{self.counter}"

    def person_edits(self, system: ModelSystem, kind: str, id: str) -> None:
        record = system.records[kind][id]["fields"]
        field = self.random.choice(["x1", "x2"])
        value: str | None = self.fresh()
        if self.renaming and self.roll() < self.renaming:
            field = "name"
        elif "parent" in record and self.roll() < 0.5:
            field, value = "parent", self.random.choice([None, *system.records["p"]])
        elif self.random.random() < 0.3:
            value = f" {value} "
        elif self.random.random() < 0.1:
            value = None
        if system.quirks.spells and field == "x1" and value is not None:
            value = f"R:{value}"
        if system.normal(value) != system.records[kind][id]["fields"].get(field):
            system.edit(kind, id, field, value)

    def anybody_edits(self) -> None:
        system = self.systems[self.random.choice(sorted(self.systems))]
        kind = self.random.choice(sorted(system.records))
        if system.records[kind]:
            self.person_edits(system, kind, self.random.choice(sorted(system.records[kind], key=int)))

    def random_step(self, *, editing: bool) -> None:
        """One step of the world."""
        self.steps += 1
        self.now += self.random.choice([1000, 50_000, 700_000])
        dice = self.random.random()
        if editing and dice < 0.15:
            self.anybody_edits()
        elif dice < 0.35:
            self.step_poll(self.random.choice(self.types))
        elif dice < 0.7:
            self.step_join(self.random.randrange(PARTITIONS), self.random.choice([1, 3, 20]))
        elif dice < 0.95:
            self.step_push(
                self.random.choice(sorted(self.systems)), self.random.randrange(PARTITIONS), self.random.choice([1, 4])
            )
        else:
            self.step_wake()

    def settle(self, rounds: int = 60) -> int:
        """Let everything come to rest; how many rounds wrote something."""
        busy = 0
        for _ in range(rounds):
            before = self.writes, sum(map(len, self.log.values()))
            self.now += 40 * SECOND
            for name in self.types:
                self.step_poll(name)
            self.step_wake()
            for _ in range(60):
                length = sum(map(len, self.log.values()))
                for partition in range(PARTITIONS):
                    self.step_join(partition, 100)
                    for system in sorted(self.systems):
                        self.step_push(system, partition, 20)
                if sum(map(len, self.log.values())) == length and self._drained():
                    break
            if (self.writes, sum(map(len, self.log.values()))) != before:
                busy += 1
                continue
            alarm = min((at for rows in self.join.alarms.values() for at in rows.values()), default=None)
            if alarm is None:
                return busy
            self.now = max(self.now, alarm)
        return busy

    def _drained(self) -> bool:
        topics = [f"changes.{name}" for name in self.types] + [MAIL]
        return not any(self.waiting("join", p, topics, 1) for p in range(PARTITIONS)) and not any(
            self.waiting(f"push.{s}", p, [f"upserts.{n}" for n in self.types if n.startswith(f"{s}.")], 1)
            for s in self.systems
            for p in range(PARTITIONS)
        )

    # What came of it

    def is_born(self, ref: Ref) -> bool:
        if ref not in self.born:
            row = self.row(ref)
            if row is None or not row.cells:
                return False
            self.born.add(ref)
        return True

    def row(self, ref: Ref) -> Row | None:
        data = self.lane("join", crc32(ref.encode()) % PARTITIONS).rows.get(ref.encode())
        row = row_of(data)
        return row if isinstance(row, Row) else None

    def rows(self) -> dict[Ref, Row]:
        found = {}
        for (agent, _), lane in self.lanes.items():
            if agent == "join":
                for key, data in lane.rows.items():
                    if b"." in key.split(b":")[0]:
                        row = row_of(data)
                        assert isinstance(row, Row)
                        assert bytes_of(row) == data
                        found[key.decode()] = row
        return found

    def alarms(self) -> list[bytes]:
        """Alarms of rows that say that they want none."""
        left = []
        for (agent, _), lane in self.lanes.items():
            for key in lane.rows:
                if agent == "join" and key.startswith(WAKE):
                    row = row_of(lane.rows.get(key[len(WAKE) :]))
                    if row is None or not row.alarm:
                        left.append(key)
        return left

    def conflicts(self) -> list[Conflict]:
        decoder = msgspec.json.Decoder(Conflict)
        return [decoder.decode(r.value) for p in range(PARTITIONS) for r in self.log.get((CONFLICTS, p), []) if r.value]

    def parked(self) -> list[Record]:
        return [record for p in range(PARTITIONS) for record in self.log.get((PARKED, p), [])]
