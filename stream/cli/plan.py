"""``linkstream plan``: what a worker would do, told before it does anything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli import exits
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from stream.operate.plan import Planned
    from stream.topology import Topology


@click.command("plan")
@config_option
@format_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0), help="Show at most so many records.")
@click.option("--fresh", is_flag=True, help="As if there were no log yet, and nothing linked.")
@click.pass_obj
def command(shell: Shell, config: Path, format: Format, limit: int, fresh: bool) -> int:
    """Say what a worker would link, create and write now: counted per flow, with every field that would change.

    Reads all systems with the worker's own credentials, and the log if there is one; writes to none of them. Right
    before the first `linkstream run`, and after a change of flows. A worker may run meanwhile.

    \b
    What would the first run do?
      linkstream plan
    What would another configuration do to what is linked already?
      linkstream plan -c new/topics.yaml --limit 100

    In the table: links that stand, records that would be linked, links that would end, records that would be created,
    records and fields that would be written, records that would be removed, and who would have no counterpart.

    Exit codes: 0 nothing would be done, 1 a system did not answer, 10 there is something to do.
    """
    from stream.operate.outlook import outlook, plain, told

    topology = shell.topology(config)
    planned = asyncio.run(_made(topology, fresh=fresh))
    ahead = outlook(planned.rehearsal)
    found = {**plain(ahead, limit), "read": planned.read, "errors": planned.errors}
    if format != "table":
        say(found, format)
    else:
        click.echo("\n".join(told(found)))
        for name, error in planned.errors.items():
            click.echo(f"{name}: not read to its end, so nothing is linked or created by it here: {error}", err=True)
        if not ahead and not planned.errors:
            click.echo("nothing would be done")
    return exits.FAILED if planned.errors else exits.CHANGES if ahead else exits.OK


async def _made(topology: Topology, *, fresh: bool) -> Planned:
    from contextlib import ExitStack

    from stream.cli.progress import progress
    from stream.engine.backends import log_at, open_reader
    from stream.operate.plan import Planned
    from stream.worker import clock, opened

    endpoints = opened(topology)
    with ExitStack() as stack:
        log: Any = None
        if not fresh and log_at(topology.broker).exists():
            log = stack.enter_context(open_reader(topology.broker))
        planned = Planned(topology, clock, log)
        bar = stack.enter_context(progress("reading", None))
        planned.on_page = lambda _name, _count: bar(sum(planned.read.values()))
        try:
            await planned.make(endpoints)
        finally:
            for endpoint in endpoints.values():
                await endpoint.close()
    return planned
