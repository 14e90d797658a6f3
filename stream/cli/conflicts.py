"""``linkstream conflicts``: values that lost against an edit that had not seen them, and how to bring them back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli.asking import done, publish
from stream.cli.exits import Failed
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from stream.model import Conflict
    from stream.operate.aside import Aside
    from stream.topology import Topology


@click.group("conflicts")
def command() -> None:
    """Look at values that lost, and bring one back.

    When a field is edited on both sides before either has seen the other, the later edit wins everywhere. The earlier
    one is kept here, with both times and both authors, for 90 days.

    \b
    What has lost lately, and one of them:
      linkstream conflicts list
      linkstream conflicts show 1/7
    The one that lost was right; or it was not:
      linkstream conflicts resolve 1/7 --keep lost
      linkstream conflicts resolve 1/7 --keep won
    """


@command.command("list")
@config_option
@format_option
@click.option("--ref", help="Only those of this record, or of this entity type.")
@click.option("--field", help="Only those of this field.")
@click.option("--all", "settled", is_flag=True, help="Also those that were resolved.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.pass_obj
def list_(  # noqa: PLR0913, PLR0917  # one for each option
    shell: Shell, config: Path, format: Format, ref: str | None, field: str | None, settled: bool, limit: int
) -> None:
    """List values that lost, newest first: id, when, which field of which record, what lost against what."""
    from stream.operate.words import shown

    found = [
        _plain(each, conflict)
        for each, conflict in _conflicts(shell.chart(config))
        if (settled or not each.settled)
        and (ref is None or conflict.ref == ref or conflict.ref.startswith(f"{ref}:"))
        and (field is None or conflict.field == field)
    ]
    found.sort(key=lambda each: each["at"], reverse=True)
    if format != "table":
        say(found[:limit], format)
        return
    for each in found[:limit]:
        note = f" [{each['settled']}]" if each["settled"] else ""
        lost, won = shown(each["lost"]["value"]), shown(each["won"]["value"])
        click.echo(f"{each['id']:>8}  {each['at']}  {each['ref']} {each['field']}: {lost} lost against {won}{note}")
    if len(found) > limit:
        click.echo(f"... {len(found)} in all; --limit shows more")
    elif not found:
        click.echo("no conflicts" if not (ref or field) else "no such conflicts")


@command.command("show")
@config_option
@format_option
@click.argument("id")
@click.pass_obj
def show(shell: Shell, config: Path, format: Format, id: str) -> None:
    """Show one conflict: both values, when and where each was typed, and what the record holds now."""
    from stream.operate.words import shown

    topology = shell.chart(config)
    each, conflict = _conflict(topology, id)
    told = {**_plain(each, conflict), "now": _now(topology, conflict)}
    if format != "table":
        say(told, format)
        return
    click.echo(f"{told['ref']} {told['field']}  decided {told['at']}{f', {each.settled}' if each.settled else ''}")
    for name in ("lost", "won"):
        side = told[name]
        click.echo(f"  {name:<5} {shown(side['value'])}  typed at {side['author']}, {side['since']}")
    click.echo(f"  now   {shown(told['now'])}")


@command.command("resolve")
@config_option
@format_option
@click.argument("id")
@click.option("--keep", type=click.Choice(["lost", "won"]), required=True, help="Which of the two values is right.")
@click.pass_obj
def resolve(shell: Shell, config: Path, format: Format, id: str, keep: str) -> None:
    """Say which of two values is right. The one that lost becomes an edit of now, and goes to all copies.

    Nothing is changed if somebody has edited the field since: that edit has the last word.

    Exit codes: 0 done, 1 there is no such conflict, or it was edited since.
    """
    from stream.engine.backends import open_reader
    from stream.operate.orders import Overtaken, resolving

    topology = shell.chart(config)
    each, _ = _conflict(topology, id)
    try:
        with open_reader(topology.broker) as reader:
            orders = resolving(reader, each, "won" if keep == "won" else "lost")
    except Overtaken as error:
        raise Failed(str(error)) from None
    publish(topology, orders)
    what = "what won stays" if keep == "won" else "what lost goes to all copies"
    done(f"{id}: {what}", format, id=id, keep=keep)


def _conflicts(topology: Topology) -> Iterator[tuple[Aside, Conflict]]:
    from stream.codec import decode_conflict
    from stream.engine.backends import open_reader
    from stream.errors import BadRecord
    from stream.operate.aside import asides
    from stream.topics import CONFLICTS

    with open_reader(topology.broker) as reader:
        for each in asides(reader, CONFLICTS):
            try:
                yield each, decode_conflict(each.record.value)
            except BadRecord:
                continue  # somebody else's; the topic is open to all


def _conflict(topology: Topology, id: str) -> tuple[Aside, Conflict]:
    for each, conflict in _conflicts(topology):
        if each.id == id:
            return each, conflict
    raise Failed(f"{id}: found no such conflict; `linkstream conflicts list --all` shows what there is")


def _now(topology: Topology, conflict: Conflict) -> Any:
    from stream.engine.backends import open_reader
    from stream.operate.orders import row_at

    with open_reader(topology.broker) as reader:
        row = row_at(reader, conflict.ref)
    cell = row.cells.get(conflict.field)
    return cell.newer[0] if cell is not None and cell.newer else row.remote.get(conflict.field)


def _plain(each: Aside, conflict: Conflict) -> dict[str, Any]:
    from stream.operate.words import moment, since

    sides = {
        name: {
            "value": side.value,
            "since": since(side.version.time),
            "author": side.author or conflict.ref,
        }
        for name, side in (("lost", conflict.lost), ("won", conflict.won))
    }
    about = {"id": each.id, "at": moment(conflict.at), "ref": conflict.ref, "field": conflict.field}
    return {**about, **sides, "settled": each.settled}
