"""``linkstream poll``: have entity types read now, or see what a reading would bring."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli import exits
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from stream.topology import Topology


@click.command("poll")
@click.argument("types", nargs=-1, metavar="[TYPE]...")
@config_option
@format_option
@click.option("--once", is_flag=True, help="Read once and end; `linkstream run` reads for ever. Has to be said.")
@click.option("--dry-run", is_flag=True, help="Only ask the systems what is new; exit code 10 if any.")
@click.pass_obj
def command(  # one for each option
    shell: Shell, types: tuple[str, ...], config: Path, format: Format, once: bool, dry_run: bool
) -> int:
    """Have the running worker read TYPE, or all types, now instead of at their interval.

    With --dry-run this process asks the systems itself, page by page from where the worker has got to, and says how
    many records are new; it needs no worker, and changes nothing.

    \b
      linkstream poll --once asana.tasks
      linkstream poll --once --dry-run

    Exit codes: 0 read, 1 a system did not answer, 2 no such type, 10 --dry-run found news, 69 no worker runs.
    """
    if not once:
        raise click.UsageError("found no --once; it would be right, or linkstream run for reading all the time")
    topology = shell.topology(config) if dry_run else shell.chart(config)
    unknown = [name for name in types if name not in topology.types]
    if unknown:
        raise click.UsageError(f"found no entity type {unknown[0]!r}; {', '.join(topology.types)} would be right")
    names = types or tuple(topology.types)
    found = asyncio.run(_tried(topology, names) if dry_run else _asked(topology, names))
    if format != "table":
        say(found, format)
    else:
        for name, each in found.items():
            new = "" if each["new"] is None else f"{each['new']} new, {each['gone']} gone"
            click.echo(f"{name}: {each['error'] or new or 'read'}")
    if any(each["error"] for each in found.values()):
        return exits.FAILED
    return exits.CHANGES if dry_run and any(each["new"] or each["gone"] for each in found.values()) else exits.OK


async def _asked(topology: Topology, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    from stream.engine.ask import ask

    answer = await ask(topology.broker, "read", {"types": list(names)})
    return {name: {"new": None, "gone": None, "error": error} for name, error in answer["types"].items()}


async def _tried(topology: Topology, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Read from where the worker has got to; compare with what was published."""
    from connectors.errors import ConnectorError
    from stream.engine.backends import open_reader
    from stream.operate.news import news
    from stream.worker import opened

    endpoints = opened(topology)
    found = {}
    try:
        with open_reader(topology.broker) as reader:
            for name in names:
                endpoint, plan = endpoints[topology.types[name].system], topology.flows.plan(name)
                try:
                    new, gone = await news(reader, endpoint, name, plan, topology.partitions)
                    found[name] = {"new": new, "gone": gone, "error": ""}
                except ConnectorError as error:
                    found[name] = {"new": None, "gone": None, "error": str(error)}
    finally:
        for endpoint in endpoints.values():
            await endpoint.close()
    return found
