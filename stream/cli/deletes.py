"""``linkstream deletes``: deletions that are held because there are too many at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import rich_click as click

from stream.cli.asking import done, publish
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from stream.topology import Topology


@click.group("deletes")
def command() -> None:
    """Decide about deletions that are held.

    When more than ten records of a type, and more than 2 % of its links, vanish within ten minutes, nothing follows
    them: their copies stay as they are until somebody has looked.

    \b
    What is held, and which copies would go:
      linkstream deletes list
    They were deleted on purpose, go on:
      linkstream deletes release asana.tasks
    It was a mistake, or permissions were lost: keep the copies, unlinked:
      linkstream deletes cancel asana.tasks
    """


@command.command("list")
@config_option
@format_option
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most so many records.")
@click.pass_obj
def list_(shell: Shell, config: Path, format: Format, limit: int) -> None:
    """List what is held and what waits a moment, with the copies that would follow."""
    found = _waiting(shell.chart(config))
    if format != "table":
        say(found, format)
        return
    for name, at in found["held"].items():
        many = sum(each["type"] == name for each in found["waiting"])
        click.echo(f"{name}: {many} deletions held since {at}; release or cancel them")
    if not found["waiting"]:
        click.echo("no deletions wait")
    for each in found["waiting"][:limit]:
        click.echo(f"  {each['ref']}  {', '.join(each['copies'])}")
    if len(found["waiting"]) > limit:
        click.echo(f"... {len(found['waiting'])} in all; --limit shows more")


@command.command("release")
@config_option
@format_option
@click.argument("type")
@click.pass_obj
def release(shell: Shell, config: Path, format: Format, type: str) -> None:
    """Let the deletions of TYPE go: each flow does with the copies what it says."""
    _order(shell.chart(config), type, "go")
    done(f"{type}: its deletions go on", format, type=type)


@command.command("cancel")
@config_option
@format_option
@click.argument("type")
@click.pass_obj
def cancel(shell: Shell, config: Path, format: Format, type: str) -> None:
    """Keep the copies of all records of TYPE that wait; each is linked again if its record comes back."""
    _order(shell.chart(config), type, "keep")
    done(f"{type}: the copies are kept", format, type=type)


def _waiting(topology: Topology) -> dict[str, Any]:
    from stream.core.row import Row
    from stream.engine.backends import open_reader
    from stream.model import type_of
    from stream.operate.table import held_of, rows_of

    waiting = []
    with open_reader(topology.broker) as reader:
        for ref, row in rows_of(reader):
            if isinstance(row, Row) and row.leave is not None:
                copies = [edge.peer for edge in row.edges.values() if edge.state == "linked"]
                waiting.append({"type": type_of(ref), "ref": ref, "copies": copies})
        return {"held": held_of(reader), "waiting": waiting}


def _order(topology: Topology, name: str, verdict: Literal["go", "keep"]) -> None:
    from stream.codec import encode
    from stream.core.brake import BRAKE
    from stream.engine.log import Outgoing
    from stream.model import Settle
    from stream.topics import MAIL

    if name not in topology.types:
        raise click.UsageError(f"found no entity type {name!r}; {', '.join(topology.types)} would be right")
    order = Settle(verdict=verdict, at=time.time_ns() // 1000)
    publish(topology, [Outgoing(MAIL, f"{BRAKE}{name}".encode(), encode(order))])
