"""``linkstream validate``: whether topics.yaml can be run, and what it would do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from stream.cli import exits
from stream.cli.shell import Format, Shell, config_option, format_option, say
from stream.errors import BadTopology

if TYPE_CHECKING:
    from stream.core.flows import Flow, Pair
    from stream.topology import Topology

_PROBLEM: Final = re.compile(r"(.*?):(\d+):(\d+): (.*)", re.DOTALL)
_SHOWN: Final = 20
"""Resting flows that are listed one by one."""
_ARROWS: Final = {"both": "<->", "forward": "->", "backward": "<-"}


@click.command("validate")
@config_option
@format_option
@click.pass_obj
def command(shell: Shell, config: Path, format: Format) -> int:
    """Check topics.yaml without touching any system: every problem at once, or what it would do.

    A problem reads `file:line:col: what was found; what would be right`. The exit code is 2 if there is one.

    \b
    The file here, with its variables from a file:
      linkstream --env-file .env validate
    Another file, for a program:
      linkstream validate -c deploy/topics.yaml --format json
    """
    try:
        topology = shell.topology(config)
    except BadTopology as error:
        if format == "table":
            raise
        say({"ok": False, "problems": [_problem(line) for line in error.problems]}, format)
        return exits.CONFIGURATION
    if format != "table":
        say({"ok": True, **_summary(topology)}, format)
    else:
        _print(topology, config)
    return exits.OK


def _problem(line: str) -> dict[str, Any]:
    found = _PROBLEM.fullmatch(line)
    if found is None:
        return {"text": line}
    return {"file": found[1], "line": int(found[2]), "column": int(found[3]), "text": found[4]}


def _summary(topology: Topology) -> dict[str, Any]:
    return {
        "systems": [
            {"name": system.name, "connector": system.connector, "types": list(_types(topology, system.name))}
            for system in topology.systems.values()
        ],
        "types": [{"name": polled.name, "poll_seconds": polled.poll} for polled in topology.types.values()],
        "flows": [
            {
                "name": flow.name,
                "from": flow.left,
                "to": flow.right,
                "when": flow.when.text if flow.when else None,
                "create": flow.create,
                "when_linked": [{field: through} for field, through in flow.linked],
                "delete": flow.delete,
                "ours": flow.ours,
                "fields": [
                    {
                        "from": pair.left,
                        "to": pair.right,
                        "as": pair.conversion.name,
                        "direction": pair.direction,
                        "when": pair.when.text if pair.when else None,
                    }
                    for pair in flow.pairs
                ],
            }
            for flow in topology.flows.flows.values()
        ],
        "resting": {name: list(why) for name, why in topology.resting.items()},
    }


def _types(topology: Topology, system: str) -> Iterator[str]:
    return (polled.type for polled in topology.types.values() if polled.system == system)


def _print(topology: Topology, config: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    systems = Table("system", "connector", "types read", box=None, pad_edge=False, header_style="bold")
    for system in topology.systems.values():
        types = " ".join(_types(topology, system.name))
        systems.add_row(escape(system.name), escape(system.connector), escape(types))
    flows = Table("flow", "creates", "fields", box=None, pad_edge=False, header_style="bold")
    for flow in topology.flows.flows.values():
        note = "[dim] (ours)[/dim]" if flow.ours else ""
        flows.add_row(f"{escape(_named(flow))}{note}", flow.create, escape("\n".join(map(_pair, flow.pairs)) or "none"))
    console.print(systems)
    console.print()
    console.print(flows)
    if topology.resting:
        console.print()
        for name, why in islice(topology.resting.items(), _SHOWN):
            console.print(f"{escape(name)} rests: {escape('; '.join(why))}", soft_wrap=True)
        more = len(topology.resting) - _SHOWN
        console.print(f"{more} more rest" if more > 0 else "", end="\n" if more > 0 else "")
    count = f"{len(topology.systems)} systems, {len(topology.types)} types, {len(topology.flows.flows)} flows"
    console.print(f"\n{escape(str(config))} is right: {count}", soft_wrap=True)


def _named(flow: Flow) -> str:
    types = f"{flow.left} - {flow.right}"
    named = types if flow.name == f"{flow.left}~{flow.right}" else f"{flow.name}: {types}"
    return f"{named}\nwhen {flow.when.text}" if flow.when else named


def _pair(pair: Pair) -> str:
    conversion = "" if pair.conversion.name == "same" else f" ({pair.conversion.name})"
    when = f" when {pair.when.text}" if pair.when else ""
    return f"{pair.left} {_ARROWS[pair.direction]} {pair.right}{conversion}{when}"
