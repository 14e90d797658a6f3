"""``linkstream status``: how everything is, at a glance."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import rich_click as click

from stream.cli.monitor import watched
from stream.cli.overview import drawn, gathered
from stream.cli.shell import Format, Shell, config_option, format_option, say

EVERY: Final = 2.0
"""Seconds between two looks of --watch."""


@click.command("status")
@config_option
@format_option
@click.option("--watch", is_flag=True, help="Go on showing it, as linkstream monitor does.")
@click.option("--scan", is_flag=True, help="Count every row instead of believing the counts; a second for 50,000 rows.")
@click.pass_obj
def command(shell: Shell, config: Path, format: Format, watch: bool, scan: bool) -> None:
    """Show systems, links, how many are in step, and what waits; works while the worker runs and when it does not.

    In step are links whose two sides agree; below stand those that have not for the longest time, and why. `behind` is
    how old the oldest change may be that was not read yet. The counts are kept with the rows, so this is quick whatever
    their number.

    \b
    At a glance, and as it goes on:
      linkstream status
      linkstream status --watch
    For a program:
      linkstream status --format json

    Exit codes: 0 shown, 78 there is no log yet, or a damaged one.
    """
    topology = shell.chart(config)
    if watch:
        watched(topology, format, EVERY, scan=scan)
    found = asyncio.run(gathered(topology, scan=scan))
    if format != "table":
        say(found, format)
        return
    from rich.console import Console

    console = Console(highlight=False)
    for part in drawn(found):
        console.print(part, soft_wrap=isinstance(part, str))
