"""``linkstream explain``: why a record looks as it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli.exits import Failed
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from rich.console import Console


@click.command("explain")
@click.argument("ref")
@config_option
@format_option
@click.option("--field", help="Only this field, and what was said of it.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many events.")
@click.pass_obj
def command(shell: Shell, ref: str, config: Path, format: Format, field: str | None, limit: int) -> None:
    """Say how a record came to look as it does, why it is linked, and what it waits for.

    Told from the log alone, without asking any system: the page that was read, the change, the offer to each
    counterpart, the write with what the record held before and after, conflicts with both times. Works while the worker
    runs and when it does not. REF is system.type:id, as `links list` prints it.

    \b
    Everything about one task:
      linkstream explain asana.tasks:1200000000000022
    Why its due date was not taken:
      linkstream explain asana.tasks:1200000000000022 --field due_on

    Exit codes: 0 told, 1 nothing is known of it, 2 no such entity type.
    """
    found = explained(shell.chart(config), ref, limit)
    if field is not None:
        _only(found, field)
    if format != "table":
        say(found, format)
        return
    from rich.console import Console

    _print(Console(highlight=False, soft_wrap=True), found)


def explained(topology: Any, ref: str, limit: int) -> dict[str, Any]:
    """The story of a record. Raises UsageError for a type that is not there, Failed for a record that is not known."""
    from stream.engine.backends import open_reader
    from stream.operate.explain import Explainer

    type, colon, id = ref.partition(":")
    if not (colon and id) or type not in topology.types:
        raise click.UsageError(f"found {ref!r}; <type>:<id> with one of {', '.join(topology.types)} would be right")
    with open_reader(topology.broker) as reader:
        found = Explainer(reader, topology.flows, limit=limit)(ref)
    if found is None:
        raise Failed(f"{ref}: nothing is known of it; `linkstream links list --type {type}` shows what is")
    return found


def _only(found: dict[str, Any], field: str) -> None:
    """Leave what speaks of one field."""
    known = [each["field"] for each in found["fields"]]
    if field not in known:
        raise click.UsageError(f"--field: found {field!r}; one of {', '.join(known) or 'none'} would be right")
    found["fields"] = [each for each in found["fields"] if each["field"] == field]
    names = {field, *(copy["field"] for each in found["fields"] for copy in each["copies"])}
    found["waits"] = [each for each in found["waits"] if any(name in each["what"] for name in names)]
    heads = tuple(f"{name}{after}" for name in names for after in (":", " "))
    events = []
    for event in found["events"]:
        lines = [line for line in event["lines"] if line.startswith(heads)]
        if lines or event["what"].startswith(heads) or any(name in event["what"] for name in names):
            events.append({**event, "lines": lines or event["lines"]})
    found["events"] = events


def _print(console: Console, found: dict[str, Any]) -> None:
    from rich.markup import escape

    from stream.operate.words import shown

    gone = f" [red]gone since {found['gone']}[/red]" if found["gone"] else ""
    changed = f" [dim]changed there at {found['changed_there']}[/dim]" if found["changed_there"] else ""
    console.print(f"[bold]{escape(found['ref'])}[/bold]{gone}{changed}")
    for link in found["links"]:
        colour = "green" if link["state"] == "linked" else "yellow"
        peer = f" {escape(link['peer'])}" if link["peer"] else ""
        console.print(f"  [{colour}]{link['state']}[/{colour}]{peer} [dim]{escape(link['edge'])}[/dim]")
        console.print(f"    because {escape(link['why'])}")
    if found["fields"]:
        console.print("\n[bold]fields[/bold]")
    for field in found["fields"]:
        where = f", typed at {field['typed_at']}" if field["typed_at"] not in (None, found["ref"]) else ""
        when = f" [dim]{escape(field['since'] + where)}[/dim]" if field["since"] else ""
        console.print(f"  {escape(field['field'])} = {escape(shown(field['value']))}{when}{_said(field)}")
        if field["shown"] != field["value"]:
            console.print(f"      it shows {escape(shown(field['shown']))}")
        for copy in field["copies"]:
            value = f"{copy['ref']} {copy['field']} = {shown(copy['shown'])}"
            console.print(f"      {escape(value)}{_said(copy)}")
    if found["waits"]:
        console.print("\n[bold]waits[/bold]")
    for wait in found["waits"]:
        due = f" [dim]next at {wait['next']}[/dim]" if wait["next"] else ""
        console.print(f"  {escape(wait['what'])}: [yellow]{escape(wait['why'])}[/yellow]{due}")
    _print_events(console, found)


def _print_events(console: Console, found: dict[str, Any]) -> None:
    from rich.markup import escape

    console.print("\n[bold]what happened[/bold]" if found["events"] else "\nthe topics tell nothing of it any more")
    day = ""
    for event in found["events"]:
        date, _, time = event["at"][:-1].partition("T")
        if date != day:
            console.print(f"  [dim]{date} (UTC)[/dim]")
        day = date
        who = "" if event["ref"] == found["ref"] else f"[cyan]{escape(event['ref'])}[/cyan]: "
        place = f"[dim]{escape(event['place'])}[/dim]"
        console.print(f"  [dim]{time}[/dim] [bold]{event['kind']:<9}[/bold] {who}{escape(event['what'])}")
        for line in event["lines"]:
            console.print(f"      {escape(line)}")
        console.print(f"      {place}" + (f" [dim]<- {escape(event['cause'])}[/dim]" if event["cause"] else ""))


def _said(field: dict[str, Any]) -> str:
    from rich.markup import escape

    state = "" if field["state"] in ("in step", "read only") else f" [yellow]{escape(field['state'])}[/yellow]"
    return state + (f" [yellow]({escape(field['note'])})[/yellow]" if field["note"] else "")
