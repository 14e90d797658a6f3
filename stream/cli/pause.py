"""``linkstream pause``: stop reading and writing a system, an entity type or a flow for a while."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from stream.cli.pausing import order
from stream.cli.shell import Format, Shell, config_option, format_option


@click.command("pause")
@click.argument("what", metavar="SYSTEM|TYPE|FLOW")
@config_option
@format_option
@click.option("--why", default="", help="What to tell others who look.")
@click.pass_obj
def command(shell: Shell, what: str, config: Path, format: Format, why: str) -> None:
    """Stop reading a system, or one entity type, and writing to it, until `linkstream resume`; or stop one flow.

    Over a flow that is paused nothing is told, created or deleted; its records are read, and go on in all other flows.
    Where a system or a type has the name of a flow, say flow:NAME.

    Nothing is lost: what people edit meanwhile is caught up with, what waits to be written waits, and versions decide
    as ever. It is recorded in the log and outlives restarts; `status` and `explain` say so.

    \b
      linkstream pause trello --why "their maintenance, until six"
      linkstream pause asana.tasks
      linkstream pause asana.tasks~custompms.task
    """
    order(shell.chart(config), what, format, on=True, why=why)
