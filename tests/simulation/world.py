"""A small world in virtual time: model systems, a log, and the product's own stages between them.

Nothing here sleeps or asks for the time: a history is a walk of steps, and its seed is all it depends on. The systems
keep the truth: who wrote what, when, over what. The log commits a unit as a whole or not at all; a crash may come
before, between and after any two calls. What goes wrong on purpose lives in ``faults``, what people do in ``people``.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any, TypeAlias
from zlib import crc32

import msgspec
from msgspec.structs import replace

from connectors.endpoint import Entity, Traits
from connectors.errors import BadAnswer, ConnectorError, Locked
from stream.codec import bytes_of, decode_change, decode_message, decode_order, encode, row_of
from stream.core.fields import PART, SET, Observer
from stream.core.flows import Flow, Flows, TypeFacts
from stream.core.row import Row
from stream.join import Join
from stream.model import Conflict, Receipt, Ref, Rouse, Time
from stream.poll import Reader
from stream.ports import Headers, Loss, Record
from stream.push import Push
from stream.resync import sweep_of
from stream.topics import CONFLICTS, MAIL, PARKED, POLLS, WAKE
from tests.simulation.log import Crash, Fenced, Lane, SimUnit
from tests.simulation.people import People
from tests.simulation.systems import SECOND, ModelSystem, Quirks, nested
from tests.simulation.watch import Watch

Lanes: TypeAlias = dict[tuple[str, int], tuple[dict[bytes, bytes], dict[str, int]]]
"""Rows and positions of all lanes."""


class Faults(msgspec.Struct, kw_only=True):
    """How often things go wrong, as shares of one."""

    crash: float = 0.0
    lost: float = 0.0
    stop: float = 0.0
    """Calls that are told to come back later."""
    racing: float = 0.0
    """Writes before which a person types."""
    shuffled: bool = False
    """The topics of a partition are read in any order."""
    stalled: int = -1
    """A partition that stands still."""
    late: float = 0.0
    """Writes that nobody answers in time, and that are done all the same, some time after."""
    odd: float = 0.0
    """Calls that are answered with 401 or 403, or with nonsense."""
    expire: float = 0.0
    """Page tokens that are of no use any more."""


class Loop(asyncio.BaseEventLoop):
    """A loop for tasks that wait only for each other: it looks at no socket and no clock."""

    class _Nothing:
        def select(self, timeout: float | None) -> list[Any]:
            return []

    def __init__(self) -> None:
        super().__init__()
        self._selector = self._Nothing()

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def __del__(self) -> None:
        """There is nothing to close, should a history end in the middle."""


class World:
    """Systems, flows, the log and the three stages; every step is chosen by one random generator."""

    def __init__(  # noqa: PLR0915  # everything that a world has
        self,
        seed: int,
        flows: list[Flow],
        quirks: Mapping[str, Quirks] | None = None,
        *,
        partitions: int = 2,
        facts: Mapping[str, TypeFacts] | None = None,
        traits: Mapping[str, Traits] | None = None,
        patience: Time = 0,
    ) -> None:
        quirks = quirks or {}
        self.seed = seed
        self.partitions = partitions
        self.random = random.Random(seed)
        self.now: Time = 1_700_000_000 * SECOND
        self.faults = Faults()
        self.crashes = self.lost = self.writes = self.steps = self.counter = 0
        self.happened: Counter[str] = Counter()
        self.told: list[tuple[int, str, tuple[Any, ...]]] = []
        self.trace = blake2b(digest_size=8)
        kinds: dict[str, list[str]] = {}
        for flow in flows:
            for name in (flow.left, flow.right):
                system, _, kind = name.partition(".")
                if kind not in kinds.setdefault(system, []):
                    kinds[system].append(kind)
        self.systems = {
            name: ModelSystem(name, types, self, quirks.get(name, Quirks()), _short(traits or {}, name))
            for name, types in kinds.items()
        }
        facts = _patient(facts or _facts(kinds, quirks), patience)
        self.facts = {
            name: replace(each, marked=self.systems[name.partition(".")[0]].traits()[name.partition(".")[2]].marked)
            for name, each in facts.items()
        }
        self.all_flows = flows
        self.flows = Flows(flows, self.facts)
        several = {
            name: [path for path in paths if SET in path or PART in path] for name, paths in self.flows.paths.items()
        }
        self.several = {name: Observer(paths) for name, paths in several.items()}
        self.groups = {name: [path for path in paths if PART in path] for name, paths in several.items()}
        self.types = sorted(f"{system}.{kind}" for system, types in kinds.items() for kind in types)
        self.renaming = 0.0
        self.loss = Loss()
        """What is known of a loss of state."""
        self.namesakes = False
        """Some records may have a name that another one had when that was linked."""
        self.unordered: frozenset[str] = frozenset()
        """Fields that were mapped when they had values already: their first versions are the records' own times."""
        self.log: dict[tuple[str, int], list[Record]] = {}
        self.length = self.rounds = 0
        self.lanes: dict[tuple[str, int], Lane] = {}
        self.loop = Loop()
        self.pausing: asyncio.Future[None] | None = None
        self.paused: list[Paused] = []
        self.resting: set[str] = set()
        """Flows that a person has paused."""
        self.first_shown: dict[tuple[Ref, str, Any], Time] = {}
        self.met: dict[Ref, Time] = {}
        """The newest time of change that a record showed before it had versions."""
        self.answered: set[tuple[str, int]] = set()
        self.born: set[Ref] = set()
        self.kept: tuple[int, dict[bytes, bytes], dict[str, int], Time] | None = None
        self.backup: tuple[Time, Lanes, dict[tuple[str, int], list[Record]]] | None = None
        self.forgotten: list[tuple[str, Record]] = []
        """What stood in the log before it was set back, for people who had looked into it."""
        self.under_way: list[tuple[str, Callable[[], Entity]]] = []
        """Requests that nobody waits for any more, and that will still be done."""
        self.glances: list[Record] = []
        """Readings by somebody else than the poller that are on their way to the log."""
        self.drift = self.jumped = 0
        """By how much the workers' clock is wrong, and ever was."""
        self.watch = Watch(self)
        self.people = People(self, flows)
        self.boot()

    def close(self) -> None:
        for each in self.paused:
            each.end(self)
        self.loop.close()

    def stop_flow(self, flow: str) -> None:
        """A person pauses a flow; what waits for a flow that goes on is woken."""
        if flow not in self.resting:
            self.resting.add(flow)
            return
        self.resting.discard(flow)
        for type in (self.flows.flows[flow].left, self.flows.flows[flow].right):
            for partition in range(self.partitions):
                self.append(MAIL, type.encode(), encode(Rouse(entity=type, early=True)), (), partition)

    def replan(self, flows: list[Flow]) -> None:
        """Somebody changes the configuration: all processes start anew with it."""
        self.flows = Flows(flows, self.facts)
        self.boot()

    def boot(self) -> None:
        """Start the processes: everything that is not in the log is made anew."""
        for each in self.paused:
            each.fenced = True
        self.join = Join(self.flows, self.clock, paused=lambda: frozenset(self.resting))
        self.join.pace = PACE
        observe = {name: Observer(paths) for name, paths in self.flows.paths.items()}
        self.push = {name: Push(name, system, observe, self.clock) for name, system in self.systems.items()}
        self.readers = {
            name: Reader(name, "model", self.systems[name.partition(".")[0]], self.flows.plan(name), self.clock)
            for name in self.types
            if name in self.flows.paths
        }
        for partition in range(self.partitions):
            unit = SimUnit(self, self.lane("join", partition), partition, [])
            self.join.load(unit)
            unit.commit()

    # Time, chance and what is told of them

    def special(self, ref: Ref) -> Observer:
        """The sets and groups of a type."""
        return self.several[ref.partition(":")[0]]

    def regrouped(self, type: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Values by path, with the parts of each group that is there together again."""
        rest = dict(values)
        for name in self.groups[type]:
            if name.split(PART)[0] in rest:
                rest[name] = [rest.pop(path) for path in name.split(PART)]
        return rest

    def clock(self) -> Time:
        """What the workers take for the time."""
        self.now += 1
        return self.now + self.drift

    def count(self, what: str) -> None:
        self.happened[what] += 1

    def roll(self) -> float:
        return self.random.random()

    def tell(self, text: str, *about: Any) -> None:
        """Keep what happened, for the story."""
        self.told.append((self.now, text, about))

    def maybe_crash(self, where: str) -> None:
        if self.faults.crash and self.roll() < self.faults.crash:
            self.crashes += 1
            self.tell("the process dies {}", where)
            raise Crash

    def answer_lost(self) -> bool:
        if self.faults.lost and self.roll() < self.faults.lost:
            self.lost += 1
            self.tell("... and the answer is lost")
            return True
        return False

    def late(self, system: ModelSystem, done: Callable[[], Entity]) -> bool:
        if self.faults.late and self.roll() < self.faults.late:
            self.count("requests done late")
            self.tell("a request to {} is not answered in time, and is still under way", system.name)
            self.under_way.append((system.name, done))
            return True
        return False

    def expired(self) -> bool:
        if self.faults.expire and self.roll() < self.faults.expire:
            self.count("page tokens expired")
            self.tell("a page token has expired")
            return True
        return False

    def refused_connection(self) -> bool:
        return bool(self.faults.lost) and self.roll() < self.faults.lost / 2

    def rate_stop(self) -> float | None:
        if self.faults.stop and self.roll() < self.faults.stop:
            self.happened["rate stops"] += 1
            return float(self.random.choice([1, 10, 120]))
        return None

    def trouble(self) -> ConnectorError | None:
        """Credentials that open nothing for a while, and answers that are none."""
        if not self.faults.odd or self.roll() >= self.faults.odd:
            return None
        self.count("odd answers")
        return Locked("403") if self.roll() < 0.5 else BadAnswer("found a page of words")

    def trails(self) -> bool:
        return self.roll() >= 0.5

    def comes_late(self) -> bool:
        return self.roll() < self.faults.late

    def arrivals(self) -> None:
        """Requests that were given up arrive, when their time has come."""
        for system in self.systems.values():
            system.arrive()

    async def pause(self) -> None:
        """Stand still here, if somebody is to be overtaken."""
        if self.pausing is not None and self.roll() < 0.8:
            await self.pausing

    def interrupt(self, system: ModelSystem, kind: str, id: str) -> None:
        """A person types between our guard read and our write."""
        if self.faults.racing and self.roll() < self.faults.racing:
            self.happened["races"] += 1
            self.people.edits(system, kind, id)

    def writing(self, system: ModelSystem, kind: str, base: Entity, wanted: Mapping[str, Any]) -> None:
        self.writes += 1
        self.watch.writing(system, kind, base, wanted)

    def removing(self, system: ModelSystem, kind: str, id: str, how: str) -> None:
        self.writes += 1
        self.watch.removing(system, kind, id, how)

    def creating(self, system: ModelSystem, kind: str, wanted: Mapping[str, Any], marker: str) -> None:
        self.watch.creating(system, kind, wanted, marker)

    def name_of(self, system: ModelSystem, kind: str) -> str:
        """The field that records of a type are matched by."""
        return self.people.names[f"{system.name}.{kind}"]

    def fields_of(self, system: ModelSystem, kind: str) -> frozenset[str]:
        """The fields that flows keep in step."""
        return frozenset(self.people.kinds[f"{system.name}.{kind}"])

    # The log

    def lane(self, agent: str, partition: int) -> Lane:
        found = self.lanes.get((agent, partition))
        if found is None:
            found = self.lanes[agent, partition] = Lane()
        return found

    def append(
        self, topic: str, key: bytes, value: bytes | None, headers: Headers, partition: int | None, *, news: bool = True
    ) -> None:
        """Put a record into the log. One that was there before is no news: what it tells was known from then on."""
        where = crc32(key) % self.partitions if partition is None else partition
        records = self.log.setdefault((topic, where), [])
        records.append(Record(topic, where, len(records), key, value, self.now // 1000, headers))
        self.length += 1
        self.trace.update(topic.encode() + key + (value or b""))
        if news:
            self._show(topic, key.decode(), value)

    def _show(self, topic: str, key: str, value: bytes | None) -> None:
        """Note when which value was first told of, by a change or a receipt."""
        if topic.startswith("changes.") and not key.startswith("counted:"):
            change = decode_change(value)
            self._showed(key, self.observed(key, change.after or {}), change.source.ts_us or change.ts_us)
        elif topic == MAIL and value is not None and b'"receipt"' in value:
            receipt = decode_message(value)
            assert isinstance(receipt, Receipt)
            if (key, receipt.number) in self.answered:
                return  # the row hears only one end of a command
            if receipt.outcome != "retry":
                self.answered.add((key, receipt.number))
            for seen in (receipt.before, receipt.after):
                if seen is not None:
                    self._showed(receipt.target or key, seen.fields, seen.updated_at or seen.read_at)

    def observed(self, ref: Ref, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a change tells: the mapped fields, and those that may be mapped before it is read."""
        observe = self.join._observe.get(ref.partition(":")[0])
        rest = {field: value for field, value in record.items() if not isinstance(value, dict | list)}
        return {**rest, **observe(record)} if observe is not None else rest

    def _showed(self, ref: Ref, fields: Mapping[str, Any], updated: Time) -> None:
        shown, born, row = self.first_shown, self.is_born(ref), self.row(ref)
        remote, newest = ({}, 0) if row is None else (row.remote, row.updated_at)
        if not born:
            self.met[ref] = max(updated, self.met.get(ref, 0))
        absent = dict.fromkeys(field for field in remote if SET in field)
        for field, value in {**absent, **fields}.items():
            known = ref, field, plain(value)
            if not born:  # a value that stands at first contact gets the record's own time, an empty one none
                shown[known] = max(updated, shown.get(known, 0)) if value is not None else 0
            elif known in shown and remote.get(field) != value and updated > self.met.get(ref, 0) and updated >= newest:
                # one reading may overtake another on its way; a late one tells nothing of a value that stood before
                shown[known] = max(updated, shown[known])
            else:
                shown.setdefault(known, updated)

    def waiting(self, agent: str, partition: int, topics: Iterable[str], most: int) -> list[Record]:
        positions, found = self.lane(agent, partition).positions, []
        for topic in topics:
            records = self.log.get((topic, partition))
            if records:
                start = positions.get(topic, 0)
                if start < len(records):
                    found += records[start : start + most]
        return found

    def feeds(self, agent: str) -> list[str]:
        """The topics that an agent reads."""
        if agent == "join":
            return [*(f"changes.{name}" for name in self.types), MAIL]
        system = agent.partition(".")[2]
        return [f"upserts.{name}" for name in self.types if name.startswith(f"{system}.")]

    # Steps

    def step_poll(self, name: str) -> bool:
        """Read one page of a type; whether there is another one."""
        if name in self.readers and not any(each.about == name and not each.fenced for each in self.paused):
            self._orders()
            return bool(self.run(self.readers[name].read(self.turns())))
        return False

    def _orders(self) -> None:
        lane = self.lane("poll", 0)
        for partition in range(self.partitions):
            orders = self.waiting("poll", partition, [POLLS], 100)
            unit = SimUnit(self, lane, 0, [])
            for record in orders:
                if record.key.decode() in self.readers:
                    self.readers[record.key.decode()].obey(unit, decode_order(record.value))
            unit.commit()
            positions = self.lane("poll", partition).positions
            positions[POLLS] = positions.get(POLLS, 0) + len(orders)

    def turns(self) -> Callable[[], Any]:
        lane = self.lane("poll", 0)
        epoch = lane.epoch

        @asynccontextmanager
        async def turn() -> AsyncIterator[SimUnit]:
            unit = SimUnit(self, lane, 0, [])
            unit._epoch = epoch
            yield unit
            self.maybe_crash("before it keeps what it read")
            unit.commit()
            self.maybe_crash("right after it kept what it read")

        return turn

    def step_join(self, partition: int, most: int) -> None:
        topics = self.feeds("join")
        if self.faults.shuffled:
            self.random.shuffle(topics)
        records = self.waiting("join", partition, topics, most)
        if records:
            unit = SimUnit(self, self.lane("join", partition), partition, records)
            unit.watch = self.watch.keeping
            self.commit(unit, lambda: self.join(unit))

    def step_push(self, system: str, partition: int, most: int) -> None:
        agent = f"push.{system}"
        records = self.waiting(agent, partition, self.feeds(agent), most)
        if records:
            unit = SimUnit(self, self.lane(agent, partition), partition, records)
            self.commit(unit, lambda: self.loop.run_until_complete(self.push[system](unit)))

    def step_wake(self) -> None:
        for topic, key, value, partition in list(self.join.due()):
            self.append(topic, key, value, (), partition)
        for unit in self.sweeping():
            self.commit(unit, lambda unit=unit: self.join.sweep(unit, NEVER))  # type: ignore[misc]

    def sweeping(self) -> list[SimUnit]:
        """Units of the partitions whose rows are about to tell everything anew."""
        units = [SimUnit(self, self.lane("join", partition), partition, []) for partition in range(self.partitions)]
        return [unit for unit in units if sweep_of(unit).left]

    def commit(self, unit: SimUnit, body: Callable[[], Any]) -> None:
        try:
            body()
            self.maybe_crash("before its commit")
            unit.commit()
            self.maybe_crash("right after its commit")
        except Crash:
            self.boot()

    def run(self, awaitable: Coroutine[Any, Any, Any]) -> Any:
        """Go through a coroutine that waits for nothing but itself; it needs no loop."""
        try:
            awaitable.send(None)
        except StopIteration as end:
            return end.value
        except ConnectorError:
            return None
        except Crash:
            self.boot()
            return None
        raise AssertionError("found a reader that waits; nothing here lets it wait")

    def random_step(self) -> None:
        """One step of a stage."""
        self.arrivals()
        dice = self.random.random()
        partition = self.random.randrange(self.partitions)
        if dice < 0.24:
            self.step_poll(self.random.choice(self.types))
        elif dice < 0.94:
            if partition == self.faults.stalled:
                return
            if dice < 0.65:
                self.step_join(partition, self.random.choice([1, 3, 20]))
            else:
                self.step_push(self.random.choice(sorted(self.systems)), partition, self.random.choice([1, 4]))
        else:
            self.step_wake()

    def drain(self, rounds: int = 60) -> None:
        """Work off what is in the log."""
        for _ in range(rounds):
            length = self.length
            for partition in range(self.partitions):
                self.step_join(partition, 100)
                for system in sorted(self.systems):
                    self.step_push(system, partition, 20)
            if self.length == length and self._drained():
                break

    def settle(self, rounds: int = 60) -> int:
        """Let everything come to rest; how many rounds wrote something."""
        busy = 0
        self.read_to_the_end()  # of a round that is under way; what changed behind it is seen in the next one
        for _ in range(rounds):
            before = self.writes, self.length
            self.now += 40 * SECOND
            self.arrivals()
            self.read_to_the_end()
            self.step_wake()
            self.drain()
            rewriting = any(system.to_rewrite for system in self.systems.values())
            if rewriting:
                self.now += 2 * SECOND
                for system in self.systems.values():
                    system.rewrite()
            under_way = any(system.on_the_way for system in self.systems.values()) or any(self.sweeping())
            if (self.writes, self.length) != before or under_way or rewriting:
                busy += 1
                continue
            alarm = min((at for rows in self.join.alarms.values() for at in rows.values()), default=None)
            if alarm is None:
                return busy
            self.now = max(self.now, alarm - self.drift)
        return busy

    def read_to_the_end(self) -> None:
        for name in self.types:
            for _ in range(PAGES):
                if not self.step_poll(name):
                    break

    def _drained(self) -> bool:
        agents = ["join", *(f"push.{system}" for system in self.systems)]
        return not any(
            self.waiting(agent, partition, self.feeds(agent), 1)
            for agent in agents
            for partition in range(self.partitions)
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
        data = self.lane("join", crc32(ref.encode()) % self.partitions).rows.get(ref.encode())
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
        return [_conflicts.decode(record.value) for record in self._all(CONFLICTS) if record.value]

    def parked(self) -> list[Record]:
        return self._all(PARKED)

    def _all(self, topic: str) -> list[Record]:
        before = [record for name, record in self.forgotten if name == topic]
        return before + [record for p in range(self.partitions) for record in self.log.get((topic, p), [])]

    def value(self, ref: Ref, field: str) -> Any:
        """What a record holds now, by the truth."""
        fields = self.record(ref)["fields"]
        return self.special(ref)(nested(fields)).get(field) if SET in field or PART in field else fields.get(field)

    def record(self, ref: Ref) -> dict[str, Any]:
        system, _, rest = ref.partition(".")
        kind, _, id = rest.partition(":")
        known: dict[str, Any] = self.systems[system].records[kind].get(id) or self.systems[system].dead[kind][id]
        return known

    def is_there(self, ref: Ref) -> bool:
        """Whether a record was not deleted, by the truth."""
        system, _, rest = ref.partition(".")
        kind, _, id = rest.partition(":")
        return id in self.systems[system].records[kind]


class Paused:
    """Somebody who stands still in the middle of a call, and goes on when others have been there."""

    def __init__(
        self, task: asyncio.Task[Any], gate: asyncio.Future[None], about: str, finish: Callable[[], None]
    ) -> None:
        self.task, self.gate, self.about, self.finish = task, gate, about, finish
        self.fenced = False

    def go_on(self, world: World) -> None:
        self.gate.set_result(None)
        try:
            world.loop.run_until_complete(self.task)
            self.finish()
        except (Crash, Fenced, ConnectorError):
            pass

    def end(self, world: World) -> None:
        self.task.cancel()
        world.loop.run_until_complete(asyncio.gather(self.task, return_exceptions=True))


def _patient(facts: Mapping[str, TypeFacts], patience: Time) -> dict[str, TypeFacts]:
    """Types of which no two records may vanish at once."""
    held = {"patience": patience, "fewest": 1} if patience else {}
    return {name: msgspec.structs.replace(fact, **held) for name, fact in facts.items()}


def _facts(kinds: Mapping[str, list[str]], quirks: Mapping[str, Quirks]) -> dict[str, TypeFacts]:
    return {
        f"{system}.{kind}": TypeFacts(rank=rank, lag=quirks.get(system, Quirks()).lag)
        for rank, (system, types) in enumerate(kinds.items())
        for kind in types
    }


def plain(value: Any) -> Any:
    """A value that can be looked up."""
    return tuple(value) if isinstance(value, list) else value


def _short(traits: Mapping[str, Traits], system: str) -> dict[str, Traits]:
    return {name.partition(".")[2]: each for name, each in traits.items() if name.startswith(f"{system}.")}


NEVER = 1 << 62
PACE = (1, 5)
"""Rows of a partition that a resync tells at a time."""

PAGES = 20
"""More than any list of a history has."""

_conflicts = msgspec.json.Decoder(Conflict)
