"""``linkstream connector``: what a declaration of a system says, and whether the system is as it says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli import exits
from stream.cli.shell import Format, Shell, format_option, say

if TYPE_CHECKING:
    from connectors.declaration import Declaration
    from connectors.trying import Found


@click.group("connector")
def command() -> None:
    """Declare a system of your own: check the file, try it against the system, let an editor help.

    A declaration is one YAML file. It says where the lists and records of a system are, how lists are paged, which
    field is the id, which one says when a record changed, and which one can carry our mark. docs/connectors.md begins
    with an empty file and ends with a system that can be kept in step, in ten minutes.

    \b
    What does a file say, in plain words?
      linkstream connector check my-pms.yaml
    Is the system as the file says? One page of each type is read, nothing is written:
      linkstream connector check my-pms.yaml --live -s url=https://pms.example.com/api -s 'token=${PMS_TOKEN}'
    Let an editor complete and check it while you type:
      linkstream connector schema > schema/connector.schema.json
    """


@command.command("check")
@click.argument("declaration", metavar="FILE")
@click.option("--live", is_flag=True, help="Also read one page of each entity type from the system. Writes nothing.")
@click.option(
    "-s",
    "--setting",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    help="A setting for --live, as in topics.yaml: 'token=${PMS_TOKEN}' or 'token=${file:/run/secrets/pms}'.",
)
@format_option
@click.pass_obj
def check(shell: Shell, declaration: str, live: bool, settings: tuple[str, ...], format: Format) -> int:
    """Say in plain words what a declaration says: every mistake at once, or how each entity type is read and written.

    FILE is a declaration, or the name of one that comes with linkstream, such as crmoffice. A mistake reads
    `file:line:col: what was found; what would be right`.

    \b
    For each entity type it tells
      lists, pages, changes   what is asked for, when a list ends, and how a later round asks for changes only
      mark                    where our mark goes; the class says how surely a create is made once (3 best, 5 worst)
      create, update, delete  the requests, and what an update is compared with
      unverified              what the file assumes and nobody has confirmed

    With --live, records that would be set aside are named with their field and the reason, and so is what looks odd.

    Exit codes: 0 right, 1 --live found something wrong, 2 mistakes in the file or the settings.
    """
    said = _declared(declaration)
    found = asyncio.run(_tried(shell, declaration, settings)) if live else None
    if settings and not live:
        raise click.UsageError("found -s without --live; --live would be right")
    if format != "table":
        say(_as_json(said, found), format)
    else:
        _print(declaration, said, found)
    return exits.FAILED if found and any(each.wrong for each in found) else exits.OK


@command.command("schema")
def schema() -> None:
    """Print the language of declarations as JSON Schema.

    An editor that finds this line at the top of the file completes and checks it while you type:

    \b
      # yaml-language-server: $schema=./schema/connector.schema.json

    \b
    Write it where that line looks for it:
      linkstream connector schema > schema/connector.schema.json
    """
    from connectors.explaining import schema_text

    click.echo(schema_text(), nl=False)


def _declared(declaration: str) -> Declaration:
    """Read a declaration. Raises BadDocument, UsageError."""
    from connectors.registry import declared
    from connectors.vendors import VENDORS

    if declaration in VENDORS:
        raise click.UsageError(f"FILE: found {declaration}, which is code; a declaration would be right")
    try:
        return declared(declaration, Path())
    except LookupError as error:
        raise click.UsageError(str(error).replace("connector:", "FILE:", 1)) from None


async def _tried(shell: Shell, declaration: str, settings: tuple[str, ...]) -> list[Found]:
    """Read a page of each type. Raises BadSettings."""
    from connectors.opening import open_endpoint
    from connectors.rest import RestEndpoint
    from connectors.trying import tried

    name = Path(declaration).stem
    endpoint = open_endpoint(name, declaration, _settings(shell, settings), Path())
    assert isinstance(endpoint, RestEndpoint)
    try:
        return [await tried(endpoint, type_) for type_ in endpoint.declaration.types]
    finally:
        await endpoint.close()


def _settings(shell: Shell, given: tuple[str, ...]) -> dict[str, str]:
    """Fill in the variables of the settings. Raises UsageError, which never shows a value."""
    from connectors.document import load
    from stream.configuration.variables import fill

    settings: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise click.UsageError("-s: found no NAME=VALUE; one would be right")
        filled = fill(load(json.dumps(value).encode()), shell.environment, Path())
        if filled.problems:
            raise click.UsageError(f"-s {name}: {filled.problems[0].text}")
        settings[name] = filled.value
    return settings


def _as_json(said: Declaration, found: list[Found] | None) -> dict[str, Any]:
    import msgspec

    from connectors.explaining import system_words, table, type_words

    types = [{**line, "words": type_words(said, line["type"])} for line in table(said)]
    live = {} if found is None else {"live": msgspec.to_builtins(found)}
    return {"ok": True, "connector": said.connector, "words": system_words(said), "types": types, **live}


def _print(file: str, said: Declaration, found: list[Found] | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from connectors.explaining import system_words, table, type_words

    console = Console(highlight=False)

    def words(title: str, told: list[tuple[str, str]]) -> None:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column()
        for label, text in told:
            grid.add_row(f"  {label}", escape(text))
        console.print(f"[bold]{escape(title)}[/bold]")
        console.print(grid)
        console.print()

    words(said.connector, system_words(said))
    for name in said.types:
        words(name, type_words(said, name))
    lines = table(said)
    shown = Table(*lines[0], box=None, pad_edge=False, header_style="bold")
    for line in lines:
        shown.add_row(*map(escape, line.values()))
    console.print(shown)
    if found is not None:
        _print_found(found)
    console.print(f"\n{escape(file)} is right: {len(said.types)} entity types", soft_wrap=True)


def _print_found(found: list[Found]) -> None:
    click.echo("\none page of each, nothing was written:")
    for each in found:
        example = f", the first is {each.example}" if each.example else ""
        gone = f", {each.deleted} deleted" if each.deleted else ""
        click.echo(f"  {each.type}: {each.records} records{gone}{example}")
        for text in each.wrong:
            click.echo(f"    wrong: {text}")
        for text in each.doubts:
            click.echo(f"    look:  {text}")
