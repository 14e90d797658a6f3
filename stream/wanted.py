"""What a worker over a topology needs of its log: topics, how long each is kept, and the agents that have rows.

A file needs nothing more: it gets its topics when it is opened. On a cluster they are created by ``apply`` alone, with
a changelog for every agent; until then no worker starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.engine.log import ALWAYS, DAY, TopicSettings
from stream.topics import CONFLICTS, MAIL, POLLS, changes, upserts
from stream.topology import Topology

if TYPE_CHECKING:
    from stream.engine.kafka.address import Address
    from stream.engine.kafka.cluster import Wanted


def topics_of(topology: Topology) -> dict[str, TopicSettings]:
    """Every topic, and how long it is kept."""
    topics = {MAIL: TopicSettings(7 * DAY), CONFLICTS: TopicSettings(90 * DAY), POLLS: TopicSettings(DAY)}
    for name in topology.types:
        topics[changes(name)] = TopicSettings(14 * DAY)
        topics[upserts(name)] = TopicSettings(7 * DAY)
    return topics


def agents_of(topology: Topology) -> list[str]:
    """Every agent: one that reads, one that decides, and one that writes for each system of which something is read."""
    return ["poll", "join", *sorted({push_agent(polled.system) for polled in topology.types.values()})]


def push_agent(system: str) -> str:
    """The agent that writes to a system."""
    return f"push.{system}"


async def on_cluster(topology: Topology) -> tuple[Address, list[Wanted]]:
    """Everything that workers need, on the cluster that the topology names. Raises ``Unreachable``, ``Mismatch``."""
    from stream.engine.kafka.address import address_of  # noqa: PLC0415 - a log in a file needs no Kafka client
    from stream.engine.kafka.cluster import copies, reach, wanted  # noqa: PLC0415

    address = await reach(address_of(topology.broker))
    topics = {**ALWAYS, **topics_of(topology)}
    return address, wanted(address, topics, agents_of(topology), topology.partitions, await copies(address))
