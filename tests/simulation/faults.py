"""What goes wrong on purpose, one step at a time.

Each fault is something that the product is built for; those that it is not built for stand in modes of their own,
which name what is then not checked (``modes``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal

from connectors.errors import Missing, Stale
from stream.codec import encode
from stream.core.matching import INDEX
from stream.errors import BadRecord
from stream.join import Join
from stream.model import Ref, Resync, Settle, Time
from stream.parking import PREFIX, park
from stream.ports import Loss, Record
from stream.topics import MAIL, PARKED, changes
from tests.simulation.log import Crash, Fenced, SimUnit
from tests.simulation.systems import SECOND
from tests.simulation.world import Faults, Lanes, Paused

if TYPE_CHECKING:
    from tests.simulation.world import World


def again(world: World) -> None:
    """Late duplicates: a batch of records of any topic that is read comes once more."""
    agents = ["join", *(f"push.{system}" for system in sorted(world.systems))]
    topics = {topic for agent in agents for topic in world.feeds(agent)}
    known = sorted((topic, partition) for topic, partition in world.log if topic in topics)
    if not known:
        return
    topic, partition = world.random.choice(known)
    records = world.log[topic, partition]
    start = world.random.randrange(len(records))
    batch = records[start : start + world.random.choice([1, 3, 10])]
    world.happened["late duplicates"] += len(batch)
    world.tell("{} records of {}/{} come again, from {} on", len(batch), topic, partition, start)
    for record in batch:
        world.append(topic, record.key, record.value, record.headers, partition, news=False)


def zombie(world: World) -> None:
    """An owner of a lane stands still between its note and its calls; another one takes the lane over."""
    system = world.random.choice(sorted(world.systems))
    partition = world.random.randrange(world.partitions)
    agent = f"push.{system}"
    lane, records = world.lane(agent, partition), world.waiting(agent, partition, world.feeds(agent), 4)
    if not records:
        return
    unit = SimUnit(world, lane, partition, records)
    paused = _start(world, agent, world.push[system](unit), unit.commit)
    if paused is not None:
        lane.epoch += 1
        world.happened["zombies"] += 1
        world.tell(
            "a pusher of {} stands still in the middle of {} commands; another one takes over", system, len(records)
        )


def slow_page(world: World) -> None:
    """A page is long on its way: others act before it is published."""
    name = world.random.choice(sorted(world.readers))
    if not any(each.about == name for each in world.paused):
        paused = _start(world, name, world.readers[name].read(world.turns()), lambda: None)
        if paused is not None:
            world.happened["slow pages"] += 1
            world.tell("a page of {} is long on its way", name)


def _start(world: World, about: str, work: Coroutine[Any, Any, Any], finish: Callable[[], None]) -> Paused | None:
    gate = world.pausing = world.loop.create_future()
    task = world.loop.create_task(work)
    for _ in range(40):
        world.loop.run_until_complete(asyncio.sleep(0))
        if task.done():
            break
    world.pausing = None
    if not task.done():
        paused = Paused(task, gate, about, finish)
        world.paused.append(paused)
        return paused
    try:
        task.result()
        finish()
    except Crash:
        world.boot()
    except (Fenced, Exception):  # noqa: BLE001  # rate stops and the like: the step came to nothing
        return None
    return None


def revive(world: World) -> None:
    """Who stood still goes on, as if nothing had happened in between."""
    if not world.paused:
        return
    each = world.paused.pop(world.random.randrange(len(world.paused)))
    if each.fenced and not each.about.startswith("push."):
        each.end(world)  # its process died
        return
    world.tell("who stood still ({}) goes on", each.about)
    each.go_on(world)


def lands(world: World) -> None:
    """A request that nobody waits for any more is done now, or found to be out of date."""
    if not world.under_way:
        return
    system, done = world.under_way.pop(world.random.randrange(len(world.under_way)))
    try:
        done()
    except (Missing, Stale):
        world.tell("a late request reaches {}: it is out of date", system)
    else:
        world.tell("a late request reaches {}: it is done", system)


def glance(world: World) -> None:
    """A second reader looks at one record, as a webhook makes one do; what it saw may be long on its way."""
    name = world.random.choice(sorted(world.readers))
    system_name, _, kind = name.partition(".")
    system, reader = world.systems[system_name], world.readers[name]
    if not system.records[kind]:
        return
    id = world.random.choice(sorted(system.records[kind], key=int))
    ahead = round((system.clock_ahead() or 0.0) * 1e6)
    change = encode(reader.envelope.seen(system.entity(kind, id), world.clock(), ahead=ahead))
    world.count("glances")
    world.tell("a second reader looks at {}:{}", name, id)
    world.glances.append(Record(changes(name), -1, -1, f"{name}:{id}".encode(), change, 0))
    if world.roll() < 0.6:
        told(world, len(world.glances) - 1)


def told(world: World, place: int | None = None) -> None:
    """What a second reader saw some time ago is told now."""
    if world.glances:
        seen = world.glances.pop(world.random.randrange(len(world.glances)) if place is None else place)
        world.tell("what was seen of {} is told", seen.key.decode())
        world.append(seen.topic, seen.key, seen.value, (), None)


def two_owners(world: World) -> None:
    """Two processes believe that they own a lane of the join; what the former one did is not kept."""
    partition = world.random.randrange(world.partitions)
    lane, records = world.lane("join", partition), world.waiting("join", partition, world.feeds("join"), 5)
    if not records:
        return
    former = Join(world.flows, world.clock)
    unit = SimUnit(world, lane, partition, records)
    former(unit)
    lane.epoch += 1
    world.tell("partition {} of the join has two owners for a moment", partition)
    world.step_join(partition, world.random.choice([1, 5]))
    length, rows = world.length, dict(lane.rows)
    try:
        unit.commit()
    except Fenced:
        world.count("commits of former owners refused")
    if (world.length, lane.rows) != (length, rows):
        world.watch.problem("fenced", f"the former owner of join {partition} wrote {len(unit.emits)} records")


def jump(world: World) -> None:
    """Somebody sets the workers' clock, by minutes."""
    world.drift = world.random.choice([-600, -90, 0, 90, 600]) * SECOND
    world.jumped = max(world.jumped, abs(world.drift))
    world.count("clocks set")
    world.tell("the workers' clock is wrong by {} s from now on", world.drift // SECOND)


def set_aside(world: World) -> None:
    """A record cannot be understood at the moment: it is set aside with its bytes, and the next ones follow.

    Not the first reading of a record, nor what an index is told: what nobody knows of is created once more.
    """
    partition = world.random.randrange(world.partitions)
    records = world.waiting("join", partition, world.feeds("join"), 1)[:1]
    if records and records[0].key.startswith(INDEX.encode()):
        return
    if records and (records[0].topic == MAIL or world.is_born(records[0].key.decode())):
        unit = SimUnit(world, world.lane("join", partition), partition, records)
        park(unit, records[0], "VALUE_CONVERTER", BadRecord("set aside on purpose"), ASIDE)
        unit.commit()
        world.count("records set aside")
        world.tell("a record of {} for {} is set aside", records[0].topic, records[0].key.decode())


def put_back(world: World) -> None:
    """What was set aside is put back into its topic, in order (I9)."""
    for partition in range(world.partitions):
        positions = world.lane("operator", partition).positions
        for record in world.log.get((PARKED, partition), [])[positions.get(PARKED, 0) :]:
            positions[PARKED] = record.offset + 1
            headers = dict(record.headers)
            if headers[f"{PREFIX}class.name"] == ASIDE.encode():
                world.count("records put back")
                topic, source = headers[f"{PREFIX}topic"].decode(), int(headers[f"{PREFIX}partition"])
                world.tell("what was set aside for {} is put back into {}", record.key.decode(), topic)
                world.append(topic, record.key, record.value, (), source, news=False)


ASIDE = "put back later"


def snapshot(world: World, partition: int) -> None:
    """Remember a partition of the join as it is now."""
    lane = world.lane("join", partition)
    world.kept = (partition, dict(lane.rows), dict(lane.positions), world.clock())


def rollback(world: World, *, detected: bool, positions: bool) -> None:
    """One partition of the join finds itself in an earlier state, with or without its positions."""
    if world.kept is None:
        return
    partition, rows, before, since = world.kept
    world.kept = None
    lane = world.lane("join", partition)
    if lane.rows == rows:
        return
    lane.rows = dict(rows)
    world.answered.clear()
    if positions:
        lane.positions = dict(before)
    lane.epoch += 1
    world.happened["rollbacks"] += 1
    world.tell("partition {} of the join loses its latest rows", partition)
    world.boot()
    if detected:
        recover(world, since)


def recover(world: World, since: Time) -> None:
    """A loss of state is noticed: a new life of the log begins (C1, B6)."""
    world.loss = Loss(max(world.clock(), world.loss.at + 1), since)
    world.boot()


def back_up(world: World) -> None:
    """Copy the whole log, as it is now."""
    lanes = {where: (dict(lane.rows), dict(lane.positions)) for where, lane in world.lanes.items()}
    world.backup = (world.clock(), lanes, {where: list(records) for where, records in world.log.items()})
    world.tell("the log is backed up")


def restore(world: World, *, at_rest: bool, unread: bool = False) -> None:
    """The process is killed, the log set back to its backup; the next process finds that out by itself."""
    if world.backup is None:
        return
    _rest(world, at_rest)
    if unread:
        _type_unread(world)
    since, lanes, log = world.backup
    world.tell("the log is set back to its backup")
    world.happened["logs set back"] += 1
    _set_back(world, since, lanes, log)
    _recover(world, at_rest, unread)


def erase(world: World, *, at_rest: bool, unread: bool = False) -> None:
    """The log is gone; its witness is there."""
    _rest(world, at_rest)
    if unread:
        _type_unread(world)
    world.tell("the log is gone")
    world.happened["logs set back"] += 1
    world.backup = None
    _set_back(world, 0, {}, {})
    _recover(world, at_rest, unread)


def _type_unread(world: World) -> None:
    """Somebody types into one record of each thing, and the log is lost before anybody reads that."""
    rows, known = world.rows(), set[Ref]()
    for ref in world.random.sample(sorted(rows), len(rows)):
        if ref in known or not world.is_there(ref):
            continue
        one = [ref]
        for each in one:
            one += [edge.peer for edge in rows[each].edges.values() if edge.peer in rows and edge.peer not in one]
        known.update(one)
        system, _, kind = ref.partition(":")[0].partition(".")
        world.now += SECOND
        world.count("edits that were unread")
        world.people.edits(world.systems[system], kind, ref.partition(":")[2])
    world.now += SECOND


def _recover(world: World, at_rest: bool, unread: bool) -> None:
    """Nobody edits until it is made good; with something unread, it is read in any order."""
    for _ in range(MEANWHILE if unread else 0):
        world.now += 50_000
        world.random_step()
    _rest(world, at_rest)


MEANWHILE = 120
"""Steps of the stages, in any order, after which even a log that is gone is almost made good."""


def _rest(world: World, wanted: bool) -> None:
    """Nobody edits and nothing goes wrong until everything is in step."""
    if wanted:
        world.faults = Faults()
        while world.paused:
            revive(world)
        world.settle()


def _set_back(world: World, since: Time, lanes: Lanes, log: dict[tuple[str, int], list[Record]]) -> None:
    world.forgotten += [(topic, record) for (topic, _), records in world.log.items() for record in records]
    world.log = {where: list(records) for where, records in log.items()}
    for where, lane in world.lanes.items():
        rows, positions = lanes.get(where, ({}, {}))
        lane.rows, lane.positions, lane.epoch = dict(rows), dict(positions), lane.epoch + 1
    world.answered.clear()
    world.born = {ref for ref in world.born if (row := world.row(ref)) is not None and row.cells}
    recover(world, since)


def pause_flow(world: World) -> None:
    """A person pauses a flow, or has one go on that was paused."""
    flow = world.random.choice(sorted(world.flows.flows))
    world.stop_flow(flow)
    what = "is paused" if flow in world.resting else "goes on"
    world.happened[f"flow {what}"] += 1
    world.tell("{} {}", flow, what)


def resync(world: World) -> None:
    """All rows are told to forget what others know (B6)."""
    for partition in range(world.partitions):
        world.append(MAIL, b"resync", encode(Resync(types=tuple(world.types))), (), partition)


def rewriting(world: World) -> None:
    """Systems that rewrite do so, some time after a write."""
    for system in world.systems.values():
        system.rewrite()


def orders(world: World) -> None:
    """A person lets the deletions of every type go that are held, or keeps the copies, as the clock has it."""
    verdict: Literal["go", "keep"] = "go" if world.now % 2 else "keep"
    for entity in sorted(world.join.held):
        world.happened[f"deletions {'released' if verdict == 'go' else 'cancelled'}"] += 1
        world.tell("a person says {!r} to the deletions of {}", verdict, entity)
        world.append(MAIL, f"brake:{entity}".encode(), encode(Settle(verdict=verdict, at=world.now)), (), None)
