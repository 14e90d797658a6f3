"""``linkstream monitor``: what the page's overview shows, in a terminal, going on."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import rich_click as click

from stream.cli.overview import drawn, gathered
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from stream.topology import Topology


@click.command("monitor")
@config_option
@format_option
@click.option("--every", default=2.0, show_default=True, type=click.FloatRange(0.2, 3600), help="Seconds to wait.")
@click.pass_obj
def command(shell: Shell, config: Path, format: Format, every: float) -> None:
    """Watch systems, types, flows, what is read and written, what waits, parked and conflicts, on one screen.

    It is `linkstream status` that goes on, with what came in and went out in the last minute, as far as it was watched.
    On something that is no terminal, and with `--format json`, it prints one after the other. Ctrl-C ends it.

    \b
      linkstream monitor
      linkstream monitor --every 10 --format json >> status.jsonl

    Exit codes: 130 interrupted, 78 there is no log yet, or a damaged one.
    """
    watched(shell.chart(config), format, every)


def watched(topology: Topology, format: Format, every: float, *, scan: bool = False) -> NoReturn:
    """Show everything, again and again. A log that is out of reach for a while ends nothing, once it was seen."""
    from rich.console import Console
    from rich.live import Live

    from stream.engine.log import EngineError
    from stream.operate.pace import Pace

    pace, console = Pace(), Console(highlight=False)
    live = Live(console=console, screen=True, auto_refresh=False) if format == "table" and sys.stdout.isatty() else None
    found = asyncio.run(gathered(topology, scan=scan))
    with live or nullcontext():
        while True:
            pace.take(time.monotonic(), found["moved"])
            _show(found, pace, format, console, live.update if live else None)
            time.sleep(every)
            try:
                found = {**asyncio.run(gathered(topology, scan=scan)), "trouble": ""}
            except EngineError as error:
                found = {**found, "trouble": str(error)}


def _show(found: dict[str, Any], pace: Any, format: Format, console: Any, update: Callable[..., None] | None) -> None:
    from rich.console import Group
    from rich.markup import escape

    if format != "table":
        say(found, format)
        return
    trouble = found.get("trouble")
    about = f"[red]{escape(trouble)}; what follows is old[/red]" if trouble else "Ctrl-C ends"
    parts = [f"[bold]linkstream[/bold]  {datetime.now(UTC):%H:%M:%S} UTC  {about}\n", *drawn(found, pace)]
    if update is not None:
        update(Group(*parts), refresh=True)
        return
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))
