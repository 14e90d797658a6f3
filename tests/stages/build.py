"""The three stages over the log and the endpoint in memory, with a clock that moves when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.endpoint import Traits
from connectors.memory import TRAITS, MemoryEndpoint
from stream.codec import decode_order, encode
from stream.core.fields import Observer
from stream.core.flows import Flow, Flows, Pair, TypeFacts
from stream.engine.lanes import Lane
from stream.engine.log import Outgoing, TopicSettings
from stream.engine.memory import MemoryLog, drain, lanes_of
from stream.join import Join
from stream.model import Time
from stream.poll import Reader
from stream.ports import Record
from stream.push import Push
from stream.topics import CONFLICTS, MAIL, PARKED, POLLS, changes, upserts

TYPES = ("a.t", "b.t")
SECOND = 1_000_000
FLOW = Flow(
    name="f",
    left="a.t",
    right="b.t",
    create="forward",
    match=((("name", "name"),),),
    pairs=(Pair(left="name", right="name"), Pair(left="x", right="x")),
)
PARTITIONS = 2


class Bench:
    """Two systems, one flow, and everything between them."""

    def __init__(self, log: MemoryLog, traits: Traits, **endpoint: Any) -> None:
        self.log = log
        self.now: Time = 1_700_000_000 * SECOND
        self.flows = Flows((FLOW,), {name: TypeFacts(rank=rank) for rank, name in enumerate(TYPES)})
        self.systems = {name: MemoryEndpoint({"t": traits}, clock=lambda: self.now, **endpoint) for name in ("a", "b")}
        self.join = Join(self.flows, self.clock)
        self.lanes: dict[str, list[Lane]] = {}
        self.paused: Callable[[str], str] = lambda _: ""

    def clock(self) -> Time:
        self.now += 1
        return self.now

    async def start(self) -> None:
        topics = {"join": [changes(name) for name in TYPES] + [MAIL], "poll": [POLLS]}
        topics |= {f"push.{name}": [upserts(f"{name}.t")] for name in self.systems}
        for agent, names in topics.items():
            self.lanes[agent] = await lanes_of(self.log, agent, names)

    def reader(self, name: str = "a.t", plan: int | None = None) -> Reader:
        system = self.systems[name.partition(".")[0]]
        return Reader(name, "memory", system, self.flows.plan(name) if plan is None else plan, self.clock)

    def push(self, system: str) -> Push:
        observe = {name: Observer(paths) for name, paths in self.flows.paths.items()}
        return Push(system, self.systems[system], observe, self.clock, paused=self.paused)

    async def poll(self, name: str = "a.t", **reader: Any) -> bool:
        self.now += SECOND
        return await self.reader(name, **reader).read(self.lanes["poll"][0].turn)

    async def run_join(self) -> None:
        async def body(feed: Any) -> None:
            async for unit in feed.units(100):
                self.join(unit)

        while any(lane.waits() for lane in self.lanes["join"]):  # it writes into its own topic
            await drain(self.lanes["join"], body)

    async def run_push(self, system: str) -> None:
        push = self.push(system)

        async def body(feed: Any) -> None:
            async for unit in feed.units(100):
                await push(unit)

        await drain(self.lanes[f"push.{system}"], body)

    async def forget(self, name: str = "a.t") -> None:
        """Bring the orders to the reader, as the agent does."""
        for order in self.read(POLLS):
            async with self.lanes["poll"][0].turn() as unit:
                self.reader(name).obey(unit, decode_order(order.value))

    async def settle(self) -> None:
        for _ in range(6):
            for name in TYPES:
                while await self.poll(name):
                    pass
            for _ in range(4):
                await self.run_join()
                for system in self.systems:
                    await self.run_push(system)

    async def publish(self, topic: str, key: str, value: Any) -> None:
        data = value if isinstance(value, bytes) or value is None else encode(value)
        await self.log.publish([Outgoing(topic, key.encode(), data)])

    def read(self, topic: str) -> list[Record]:
        return [record for partition in range(PARTITIONS) for record in self.log.records[topic, partition]]

    def parked(self) -> list[tuple[bytes | None, str]]:
        """Original bytes and reasons."""
        return [(each.value, dict(each.headers)["__connect.errors.class.name"].decode()) for each in self.read(PARKED)]


async def bench(traits: Traits = TRAITS, **endpoint: Any) -> Bench:
    log = MemoryLog()
    topics = [MAIL, PARKED, CONFLICTS, POLLS, *(topic(name) for name in TYPES for topic in (changes, upserts))]
    await log.declare({name: TopicSettings() for name in topics}, PARTITIONS)
    made = Bench(log, traits, **endpoint)
    await made.start()
    return made
