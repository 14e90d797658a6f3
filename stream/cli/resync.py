"""``linkstream resync``: have records tell everything anew, when something may have been missed."""

from __future__ import annotations

import time
from pathlib import Path

import rich_click as click

from stream.cli.asking import done, publish
from stream.cli.shell import Format, Shell, config_option, format_option


@click.command("resync")
@config_option
@format_option
@click.argument("types", nargs=-1, metavar="[TYPE]...")
@click.option("--full", is_flag=True, help="Also read these types from the beginning.")
@click.pass_obj
def command(shell: Shell, config: Path, format: Format, types: tuple[str, ...], full: bool) -> None:
    """Have the records of TYPE, or all of them, tell their counterparts everything anew.

    It happens by itself once a day, slowly, and after a loss of state; asked for, it is quicker. Nothing is written
    that is right already. Without a running worker it is done at the next start.

    \b
    Everything:
      linkstream resync
    One type, and read all of it from the beginning:
      linkstream resync asana.tasks --full
    """
    from stream.codec import encode
    from stream.engine.log import Outgoing
    from stream.model import Reread, Resync
    from stream.topics import MAIL, POLLS

    topology = shell.chart(config)
    for name in types:
        if name not in topology.types:
            raise click.UsageError(f"found no entity type {name!r}; {', '.join(topology.types)} would be right")
    wanted = types or tuple(topology.types)
    order, anew = encode(Resync(types=wanted)), encode(Reread(at=time.time_ns() // 1000))
    orders = [Outgoing(MAIL, b"resync", order, (), partition) for partition in range(topology.partitions)]
    orders += [Outgoing(POLLS, name.encode(), anew) for name in wanted if full]
    publish(topology, orders)
    text = f"asked for: {', '.join(wanted)}{', read from the beginning' if full else ''}"
    done(text, format, types=list(wanted), full=full)
