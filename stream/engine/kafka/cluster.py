"""What the cluster has and what it should have: topics with their partitions and settings, and what we may do there.

A topic is created by ``apply`` and by nothing else, with everything said: partitions, replication, how long it is kept.
How many partitions there are is decided once. Keys and rows live by that number, so a topic that has another one is
never changed here; the remedy is told instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.conn import create_conn
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, for_code
from msgspec import Struct
from msgspec.structs import replace

from stream.engine.kafka.address import Address
from stream.engine.kafka.errors import REFUSED, Unreachable, explained, quieten, refused
from stream.engine.log import EngineError, Mismatch, TopicSettings

FOR_EVER: Final = -1
DELETIONS: Final = 48 * 3600 * 1000
"""Milliseconds for which a compacted topic says what was deleted; a copy that is behind by less catches up."""
ACKNOWLEDGED: Final = "min.insync.replicas"
OVERHEAD: Final = 20_000
"""Bytes around the largest record in a batch of one."""
ANSWER = 10.0
"""Seconds for which a broker is waited for that takes calls and says nothing."""
OTHERS: Final = 0.5
"""Seconds for which others are waited for when one has answered."""


class Topic(Struct, frozen=True):
    """A topic as it is on the cluster."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


class Wanted(Struct, frozen=True):
    """A topic as it should be."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


class Drift(Struct, frozen=True):
    """One way in which a topic is not what it should be. ``found`` is empty when there is none."""

    topic: str
    what: str
    found: str
    wanted: str
    applicable: bool = True

    def __str__(self) -> str:
        return f"{self.topic}: {self.what}: found {self.found or 'none'}; {self.wanted} would be right"


def wanted(
    address: Address, topics: Mapping[str, TopicSettings], agents: Iterable[str], partitions: int, copies: int = 0
) -> list[Wanted]:
    """Everything that a product needs: its topics, and what is kept for ever. No ``copies``: any number."""
    named = {address.topic(name): settings for name, settings in sorted(topics.items())}
    kept = [*(address.changelog(agent) for agent in sorted(agents)), address.life]
    named |= {name: TopicSettings(compact=True) for name in kept}
    return [Wanted(name, partitions, copies, _settings(address, settings)) for name, settings in named.items()]


async def copies(address: Address) -> int:
    """Of each topic: what the address says, else three, or as many as there are brokers."""
    if address.replication > 0:
        return address.replication
    async with administering(address) as admin:
        return min(3, len((await admin.describe_cluster())["brokers"]))


def _settings(address: Address, settings: TopicSettings) -> dict[str, str]:
    """How a topic is kept: by the brokers' clock, whatever that of a worker says."""
    kept = FOR_EVER if settings.retention is None else round(settings.retention * 1000)
    told = (
        {"cleanup.policy": "compact", "delete.retention.ms": str(DELETIONS)}
        if settings.compact
        else {"cleanup.policy": "delete", "retention.ms": str(kept)}
    )
    return {**told, "max.message.bytes": str(address.largest + OVERHEAD), "message.timestamp.type": "LogAppendTime"}


async def reach(address: Address) -> Address:
    """See that a broker answers within ``ANSWER`` and lets us in. Raises ``Unreachable``, ``Mismatch``.

    Returns the address without those that do not answer: a client takes any of them, and waits long for each.
    """
    tries = {asyncio.ensure_future(_tried(server, address)): server for server in address.servers}
    pending, answered = set(tries), list[str]()
    try:
        while pending and not answered:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            answered = [server for each, server in tries.items() if each.done() and not each.result()]
        if answered and pending:
            await asyncio.wait(pending, timeout=OTHERS)
            answered = [server for each, server in tries.items() if each.done() and not each.result()]
    finally:
        for each in tries:
            each.cancel()
        await asyncio.gather(*tries, return_exceptions=True)
    if answered:
        return replace(address, servers=tuple(answered))
    told = "; ".join(f"{server}: {each.result()}" for each, server in tries.items())
    raise Unreachable(f"{address}: no broker answers ({told}); one that runs would be right")


async def _tried(server: str, address: Address) -> str:
    """Why a broker does not answer; empty for one that does."""
    told = {name: value for name, value in address.client().items() if name != "bootstrap_servers"}
    host, _, port = server.rpartition(":")
    seconds = min(ANSWER, address.timeout)
    try:
        async with asyncio.timeout(seconds):
            connection = await create_conn(host.strip("[]"), int(port), **told)
    except (KafkaError, OSError, TimeoutError) as error:
        if isinstance(error, REFUSED):
            raise refused(address) from None
        return f"nothing for {seconds:g} s" if isinstance(error, TimeoutError) else _why(error, address)
    connection.close()
    return ""


def _why(error: BaseException, address: Address) -> str:
    text = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or type(error).__name__
    if address.mechanism and isinstance(error, KafkaError):
        text += ", perhaps a listener without logging in"
    return str(text)


@asynccontextmanager
async def administering(address: Address) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client, started."""
    quieten()
    admin = AIOKafkaAdminClient(**address.client(), client_id=f"{address.group}-admin")
    try:
        with explained(address, "reading what there is"):
            await admin.start()
            yield admin
    finally:
        await admin.close()


async def partitions_of(address: Address) -> dict[str, int]:
    """Every topic that begins with our prefix, without it, and how many partitions it has."""
    async with administering(address) as admin:
        found = await admin.describe_topics()
    return {
        topic["topic"].removeprefix(address.prefix): len(topic["partitions"])
        for topic in found
        if topic["topic"].startswith(address.prefix) and not topic["is_internal"] and not topic["error_code"]
    }


class Worker(NamedTuple):
    """One of those who share the group, as the broker says."""

    host: str
    partitions: frozenset[int]
    """None, while they are given out."""


async def members(address: Address) -> dict[str, Worker]:
    """The workers that share the group."""
    async with administering(address) as admin:
        [answer] = await admin.describe_consumer_groups([address.group])
    return {
        id: Worker(host.lstrip("/"), _partitions(assigned) if assigned else frozenset())
        for group in answer.groups
        for id, _, host, _, assigned in group[5]
    }


def _partitions(assigned: bytes) -> frozenset[int]:
    told = ConsumerProtocolMemberAssignment.decode(assigned)
    return frozenset(partition for _, partitions in told.assignment for partition in partitions)


async def existing(address: Address, names: Iterable[str]) -> dict[str, Topic]:
    """Those of these topics that there are."""
    wanted_names = set(names)
    async with administering(address) as admin:
        found = [topic for topic in await admin.describe_topics() if topic["topic"] in wanted_names]
        if not found:
            return {}
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, t["topic"]) for t in found])
    settings = {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }
    return {
        topic["topic"]: Topic(
            topic["topic"],
            len(topic["partitions"]),
            min(len(partition["replicas"]) for partition in topic["partitions"]),
            settings.get(topic["topic"], {}),
        )
        for topic in found
    }


async def verify(
    address: Address, topics: Mapping[str, TopicSettings], agents: Iterable[str], partitions: int
) -> list[Drift]:
    """Raises ``Mismatch`` when a worker could lose or mistake something; returns what else is not as it should be."""
    agents = [*agents]
    plan = wanted(address, topics, agents, partitions)
    found = drift(plan, await existing(address, [topic.name for topic in plan]))
    if missing := [each.topic for each in found if each.what == "topic"]:
        kept = {*missing} - {address.life}
        lost = bool(kept) and kept <= {address.changelog(agent) for agent in agents}
        raise Mismatch(
            f"{address}: found no topic {', '.join(missing)}, or none that {address.principal} may see; "
            "linkstream topics apply creates what is missing, linkstream topics plan prints the ACLs"
            + ("; rows were lost with it: linkstream replay --rebuild then, before any worker" if lost else "")
        )
    for each in found:
        if each.what in {"partitions", "cleanup.policy"} and each.found:
            raise Mismatch(f"{address}: {each}{remedy(each)}")
    return found


def drift(wanted: Iterable[Wanted], there: Mapping[str, Topic]) -> list[Drift]:
    """What is not as it should be."""
    found = []
    for topic in wanted:
        has = there.get(topic.name)
        if has is None:
            found.append(Drift(topic.name, "topic", "", f"one of {topic.partitions} partitions"))
            continue
        for what, is_, should in (
            ("partitions", has.partitions, topic.partitions),
            ("replication", has.replication, topic.replication or has.replication),
        ):
            if is_ != should:
                found.append(Drift(topic.name, what, f"{is_} {what}", str(should), applicable=False))
        found += [
            Drift(topic.name, name, has.settings.get(name, ""), value)
            for name, value in topic.settings.items()
            if has.settings.get(name) != value
        ]
    return found


async def apply(address: Address, topics: Iterable[Wanted]) -> list[Drift]:
    """Create what is missing, set what is set otherwise; returns what was done. Raises ``Mismatch`` before anything."""
    plan = list(topics)
    found = drift(plan, await existing(address, [topic.name for topic in plan]))
    if stuck := [each for each in found if not each.applicable]:
        raise Mismatch("\n".join(f"{address}: {each}{remedy(each)}" for each in stuck))
    missing = {each.topic for each in found if each.what == "topic"}
    changed = {each.topic for each in found} - missing
    async with administering(address) as admin:
        if missing:
            new = [
                NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=dict(topic.settings))
                for topic in plan
                if topic.name in missing
            ]
            _check(address, (await admin.create_topics(new)).topic_errors)
        if changed:
            resources = [
                ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=dict(topic.settings))
                for topic in plan
                if topic.name in changed
            ]
            for answer in await admin.alter_configs(resources):
                _check(address, [(name, code, text) for code, text, _, name in answer.resources])
    await _visible(address, missing)
    return found


async def remove(address: Address, topics: Iterable[Wanted]) -> None:
    """Delete topics, with all that is in them; those that are there."""
    names = await existing(address, [topic.name for topic in topics])
    async with administering(address) as admin:
        if names:
            _check(address, [(*each, "") for each in (await admin.delete_topics(list(names))).topic_error_codes])


async def _visible(address: Address, names: set[str]) -> None:
    """Brokers hear of new topics one after the other."""
    async with asyncio.timeout(address.timeout):
        while names - (await existing(address, names)).keys():  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.05)


def _check(address: Address, answers: Iterable[Any]) -> None:
    wrong = [(name, for_code(code), *rest) for name, code, *rest in answers if code and for_code(code)().errno != 36]  # noqa: PLR2004 - exists
    if wrong:
        told = "; ".join(
            f"{name}: {kind.__name__} {rest[0] if rest and rest[0] else ''}".strip() for name, kind, *rest in wrong
        )
        raise EngineError(f"{address}: the cluster refuses: {told}")


def remedy(drift: Drift) -> str:
    """What a person can do where ``apply`` must not."""
    if drift.what == "partitions":
        return (
            f": keys and rows live by that number; set it back to {drift.found.split()[0]} (partitions: in "
            "topics.yaml), or use another prefix= to begin anew beside it"
        )
    if drift.what == "cleanup.policy":
        return ": rows would be lost otherwise; linkstream topics apply sets it"
    if drift.what == "replication":
        return ": kafka-reassign-partitions changes that while everything runs"
    return ""


def acls(address: Address, topics: Iterable[Wanted], principal: str) -> list[str]:
    """What the brokers must allow a worker, one line each."""
    names = sorted({topic.name for topic in topics})
    prefixed = f"--resource-pattern-type prefixed --topic {address.prefix}" if address.prefix else ""
    resources = [prefixed] if prefixed else [f"--topic {name}" for name in names]
    asked = [
        f"--operation Read --operation Write --operation Describe --operation DescribeConfigs {each}"
        for each in resources
    ]
    asked += [
        f"--operation Read --operation Describe --resource-pattern-type prefixed --group {address.group}",
        f"--operation Write --operation Describe --resource-pattern-type prefixed --transactional-id {address.group}-",
    ]
    return [f"kafka-acls --add --allow-principal {principal} {each}" for each in asked]
