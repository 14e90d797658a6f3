"""``linkstream config``: what a configuration comes to, with its variables filled in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from connectors.document import Document
    from stream.configuration.variables import Filled
    from stream.topology import Topology


@click.group("config")
def command() -> None:
    """Look at the configuration as a worker sees it.

    \b
    Every value, and where it comes from; secrets are not shown:
      linkstream config show
    """


@command.command("show")
@config_option
@format_option
@click.pass_obj
def show(shell: Shell, config: Path, format: Format) -> None:
    """Show every effective value and where it comes from: the file, a variable, its default, or linkstream itself.

    Secrets are not shown, only where they come from. Flows have no variables; `linkstream validate` shows them.

    Exit codes: 0 shown, 2 topics.yaml is wrong.
    """
    topology = shell.topology(config)
    found = list(_values(topology, config, shell))
    if format != "table":
        say(found, format)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("setting", "value", "from", box=None, pad_edge=False, header_style="bold")
    for each in found:
        table.add_row(*(escape(str(each[name])) for name in ("setting", "value", "from")))
    Console(highlight=False, soft_wrap=True).print(table)


def _values(topology: Topology, config: Path, shell: Shell) -> Iterator[dict[str, Any]]:
    from connectors.document import load
    from stream.configuration.variables import fill
    from stream.engine.backends import shown

    document = load(config.read_bytes())
    filled = fill(document, shell.environment, config.parent)

    def told(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
        origin = _origin(path, document, filled, shell, config)
        return {"setting": ".".join(map(str, path)), "value": value, "from": origin}

    yield told(("broker",), shown(topology.broker))
    yield told(("partitions",), topology.partitions)
    for system in topology.systems.values():
        yield told(("systems", system.name, "connector"), system.connector)
        for name, value in system.settings.items():
            yield told(("systems", system.name, name), _masked(value))
    for polled in topology.types.values():
        yield told(("topics", polled.name, "poll"), f"{polled.poll:g}s")


def _masked(value: Any) -> Any:
    """A value that may be shown; of a secret only that there is one."""
    import msgspec

    from connectors.auth import Secret

    return "(secret)" if isinstance(value, Secret) else msgspec.to_builtins(value)


def _origin(path: tuple[str | int, ...], document: Document, filled: Filled, shell: Shell, config: Path) -> str:
    origin = filled.origins.get(path)
    value: Any = document.value
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return "linkstream's default"
        value = value[step]
    place = document.at(path)
    where = f"{config}:{place.line}"
    if origin is None:
        return where
    written = str(value)
    if written.startswith("${file:"):
        return f"{origin.written}, {where}"
    names = [part.partition("}")[0].partition(":-")[0] for part in written.split("${")[1:]]
    missing = [name for name in names if not shell.environment.get(name)]
    return f"{origin.written}{' (its default)' if missing else ''}, {where}"
