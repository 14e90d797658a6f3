"""``linkstream resume``: go on with what was paused."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from stream.cli.pausing import order
from stream.cli.shell import Format, Shell, config_option, format_option


@click.command("resume")
@click.argument("what", metavar="SYSTEM|TYPE|FLOW")
@config_option
@format_option
@click.pass_obj
def command(shell: Shell, what: str, config: Path, format: Format) -> None:
    """Read a system, or one entity type, and write to it again, or go on with a flow; what waited goes at once.

    \b
      linkstream resume trello

    Exit codes: 0 it goes on, 1 it was not paused.
    """
    order(shell.chart(config), what, format, on=False)
