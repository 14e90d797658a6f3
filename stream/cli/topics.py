"""``linkstream topics``: what is on the cluster, what should be, and how to get there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli import exits
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from stream.topology import Topology


@click.group("topics")
def command() -> None:
    """Look after the topics of the log.

    On a Kafka cluster nothing is created by the way: a worker starts when every topic is there, with its number of
    partitions. A log in a file makes its topics by itself.

    \b
    What has to be done, and which ACLs a worker needs:
      linkstream topics plan
    Do it:
      linkstream topics apply
    """


@command.command("list")
@config_option
@format_option
@click.pass_obj
def list_(shell: Shell, config: Path, format: Format) -> None:
    """List all topics: partitions, and how many offsets they hold."""
    from stream.engine.backends import open_reader

    with open_reader(shell.chart(config).broker) as reader:
        found = [
            {"topic": info.name, "partitions": info.partitions, "offsets": sum(info.heads) - sum(info.first)}
            for info in reader.topics()
        ]
    if format != "table":
        say(found, format)
        return
    for each in found:
        click.echo(f"{each['topic']}  partitions {each['partitions']}  offsets {each['offsets']}")


@command.command("plan")
@config_option
@format_option
@click.option("--principal", default="", help="Whom the ACLs are for; by default the user of the broker's address.")
@click.pass_obj
def plan(shell: Shell, config: Path, format: Format, principal: str) -> int:
    """Say what is not as it should be, and the ACLs that a worker needs. Changes nothing.

    Exit codes: 0 all is right, 10 there is something to do, 78 something is wrong that apply does not touch.
    """
    topology: Topology = shell.chart(config)
    if not _on_cluster(topology):
        return exits.OK
    from stream.engine.kafka.cluster import acls, drift, existing, remedy
    from stream.wanted import on_cluster

    address, wanted = asyncio.run(on_cluster(topology))
    found = drift(wanted, asyncio.run(existing(address, [topic.name for topic in wanted])))
    allowed = acls(address, wanted, principal or address.principal)
    if format != "table":
        drifts = [{"topic": d.topic, "what": d.what, "found": d.found, "wanted": d.wanted} for d in found]
        say({"drift": drifts, "acls": allowed}, format)
    else:
        for each in found:
            click.echo(f"{_sign(each.found)} {each}{remedy(each)}")
        click.echo(f"{len(wanted)} topics, {len(found)} differences\n\nACLs, where the cluster asks for them:")
        for line in allowed:
            click.echo(f"  {line}")
    if any(not each.applicable for each in found):
        return exits.MISFIT
    return exits.CHANGES if found else exits.OK


@command.command("apply")
@config_option
@format_option
@click.pass_obj
def apply(shell: Shell, config: Path, format: Format) -> None:
    """Create topics that are missing, and set what is set otherwise. Partitions and replication are never changed."""
    topology: Topology = shell.chart(config)
    if not _on_cluster(topology):
        return
    from stream.engine.kafka import cluster
    from stream.wanted import on_cluster

    address, wanted = asyncio.run(on_cluster(topology))
    done = asyncio.run(cluster.apply(address, wanted))
    if format != "table":
        say([{"topic": each.topic, "what": each.what, "was": each.found, "is": each.wanted} for each in done], format)
        return
    for each in done:
        click.echo(f"{each.topic}: {each.what}: was {each.found or 'none'}, is {each.wanted}")
    click.echo(f"{len(wanted)} topics, all as they should be")


@command.command("describe")
@config_option
@format_option
@click.argument("topic")
@click.pass_obj
def describe(shell: Shell, config: Path, format: Format, topic: str) -> None:
    """Show the settings of TOPIC, and the offsets of each partition."""
    from stream.engine.backends import is_kafka, open_reader

    topology: Topology = shell.chart(config)
    with open_reader(topology.broker) as reader:
        infos = {info.name: info for info in reader.topics()}
    if topic not in infos:
        raise click.UsageError(f"found no topic {topic!r}; {', '.join(infos)} would be right")
    info = infos[topic]
    found: dict[str, Any] = {"topic": topic, "partitions": info.partitions}
    if is_kafka(topology.broker):
        from stream.engine.kafka.address import address_of
        from stream.engine.kafka.cluster import existing

        address = address_of(topology.broker)
        [there] = asyncio.run(existing(address, [address.topic(topic)])).values()
        found |= {
            "name": there.name,
            "replication": there.replication,
            "settings": dict(sorted(there.settings.items())),
        }
    found["offsets"] = [{"first": low, "next": high} for low, high in zip(info.first, info.heads, strict=True)]
    if format != "table":
        say(found, format)
        return
    settings = found.pop("settings", {})
    offsets = found.pop("offsets")
    for name, value in {**found, **settings}.items():
        click.echo(f"{name}: {value}")
    for number, each in enumerate(offsets):
        click.echo(f"partition {number}: offsets {each['first']} to {each['next']}")


def _on_cluster(topology: Topology) -> bool:
    from stream.engine.backends import is_kafka

    if is_kafka(topology.broker):
        return True
    click.echo("the log is a file, which makes its topics by itself: nothing to do")
    return False


def _sign(found: str) -> str:
    return "~" if found else "+"
