"""``linkstream status``: how everything is, at a glance."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from stream.operate.survey import Survey
    from stream.topology import Topology


@click.command("status")
@config_option
@format_option
@click.pass_obj
def command(shell: Shell, config: Path, format: Format) -> None:
    """Show systems, links, how many are in step, and what waits; works while the worker runs and when it does not.

    \b
    At a glance:
      linkstream status
    For a program:
      linkstream status --format json
    """
    topology = shell.chart(config)
    found = asyncio.run(gathered(topology))
    if format != "table":
        say(found, format)
    else:
        _print(found)


async def gathered(topology: Topology) -> dict[str, Any]:
    """All that status knows, as plain values."""
    from stream.engine.embedded.reader import Reader
    from stream.operate.survey import survey
    from stream.operate.table import held_of, rows_of

    with Reader(topology.broker) as reader:
        counted: Survey = survey(rows_of(reader), topology.flows)
        lag: dict[str, int] = {}
        for each in reader.lags():
            lag[each.agent] = lag.get(each.agent, 0) + each.lag
        kept = {info.name: sum(info.heads) - sum(info.first) for info in reader.topics()}
        size = reader.size()
        held = held_of(reader)
    worker = await _worker(topology.broker)
    return {
        "worker": worker,
        "links": counted.linked,
        "in_step": counted.in_step,
        "in_step_percent": round(100 * counted.in_step / counted.linked, 2) if counted.linked else None,
        "writing": counted.writing,
        "flows": {
            name: {"linked": count.linked, "in_step": count.in_step, **count.others}
            for name, count in counted.flows.items()
        },
        "entities": counted.entities,
        "waiting": [{"ref": each.ref, "what": each.what, "reason": each.reason} for each in counted.waiting],
        "lag": lag,
        "deletions_held": held,
        "parked": kept.get("parked", 0),
        "conflicts": kept.get("conflicts", 0),
        "size": size,
    }


async def _worker(url: str) -> dict[str, Any] | None:
    """What the running worker says of itself; nothing when none runs."""
    from stream.engine.embedded.ask import ask
    from stream.engine.log import EngineError

    try:
        return await ask(url, "worker", seconds=5.0)
    except EngineError:
        return None


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    worker = found["worker"]
    if worker is None:
        console.print("[yellow]no worker runs here[/yellow]; what follows is what the log says")
    else:
        systems = Table("system", "state", "why", box=None, pad_edge=False, header_style="bold")
        for name, system in worker["systems"].items():
            colour = "green" if system["state"] == "ok" else "red"
            systems.add_row(escape(name), f"[{colour}]{system['state']}[/{colour}]", escape(system["reason"]))
        console.print(systems)
        for name, kind in worker["types"].items():
            if kind["error"]:
                console.print(f"[red]{escape(name)}[/red]: {escape(kind['error'])}", soft_wrap=True)
        console.print()
    flows = Table("flow", "links", "in step", "others", box=None, pad_edge=False, header_style="bold")
    for name, count in found["flows"].items():
        others = ", ".join(f"{state} {n}" for state, n in count.items() if state not in ("linked", "in_step"))
        flows.add_row(escape(name), str(count["linked"]), str(count["in_step"]), escape(others))
    console.print(flows)
    percent = "none yet" if found["in_step_percent"] is None else f"{found['in_step_percent']:g} %"
    console.print(
        f"\n{found['links']} links, in step {percent}; {found['writing']} writes in flight, "
        f"{sum(found['lag'].values())} records waiting; parked {found['parked']}, conflicts {found['conflicts']}"
    )
    for name, at in found["deletions_held"].items():
        console.print(
            f"[red]{escape(name)}: too many deletions at once[/red]; held since {at}: linkstream deletes list"
        )
    for each in found["waiting"]:
        console.print(
            f"  {escape(each['ref'])} [dim]{escape(each['what'])}[/dim] {escape(each['reason'])}", soft_wrap=True
        )
