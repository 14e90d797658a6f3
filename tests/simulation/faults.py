"""What goes wrong on purpose, one step at a time.

Each fault is something that the product is built for; those that it is not built for stand in modes of their own,
which name what is then not checked (``modes``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from stream.codec import encode
from stream.model import Wake
from stream.topics import CENSUS, MAIL
from tests.simulation.log import Crash, Fenced, SimUnit
from tests.simulation.world import Faults, Paused

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
        world.append(topic, record.key, record.value, record.headers, partition)


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


def snapshot(world: World, partition: int) -> None:
    """Remember a partition of the join as it is now."""
    lane = world.lane("join", partition)
    world.kept = (partition, dict(lane.rows), dict(lane.positions))


def rollback(world: World, *, detected: bool, positions: bool) -> None:
    """One partition of the join finds itself in an earlier state, with or without its positions."""
    if world.kept is None:
        return
    partition, rows, before = world.kept
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
        recover(world)


def recover(world: World) -> None:
    """What is done about a loss of state: nothing may be created before all was told and read anew (C1, B6)."""
    faults, world.faults, world.recovering = world.faults, Faults(), True
    for partition in range(world.partitions):
        world.lane("join", partition).rows.pop(CENSUS, None)
    resync(world)
    lane = world.lane("poll", 0)
    lane.rows, lane.epoch = {}, lane.epoch + 1
    world.boot()
    world.drain()
    world.faults, world.recovering = faults, False


def resync(world: World) -> None:
    """All rows are told to forget what others know (B6)."""
    for partition in range(world.partitions):
        for key in sorted(world.lane("join", partition).rows):
            if b"." in key.partition(b":")[0]:
                world.append(MAIL, key, encode(Wake(resync=True)), (), partition)


def rewriting(world: World) -> None:
    """Systems that rewrite do so, some time after a write."""
    for system in world.systems.values():
        system.rewrite()
