"""``linkstream import``: customers' dataflow documents into topics.yaml."""

from __future__ import annotations

import difflib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from stream.cli import exits
from stream.cli.shell import Format, config_option, format_option, say

if TYPE_CHECKING:
    from stream.dataflow.importing import Account

_SHOWN: Final = 40
"""Open points of one kind that a person is shown one by one; JSON has them all."""
_KINDS: Final = {
    "condition": "conditions in words: the flow rests until a `when` says the same",
    "connected": "created only if connected to something: the flow rests",
    "qualifier": "pairs for some records only: the pair rests until a `when` says the same",
    "system": "systems that nothing reads: fill in the declaration that was begun, name it, import again",
    "entity": "entity types that the system does not have",
    "create": "entity types that cannot be created: linked only",
    "identifier": "merges on identifiers that cannot match: left out",
    "property": "properties that do not exist, or are identifiers: the pair rests",
    "direction": "pairs that can be written one way only, or not at all",
    "type": "data types that are none of the five: taken as they are",
    "flow": "flows that rest until something is decided",
    "differs": "flows written by hand that say something else: left as they are",
}


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@config_option
@click.option("--dry-run", is_flag=True, help="Show what would change, as a diff; write nothing.")
@format_option
def command(files: tuple[Path, ...], config: Path, dry_run: bool, format: Format) -> int:
    """Work customers' dataflow documents into topics.yaml.

    What is there stays as it is, with its comments; a second time changes nothing. Nothing is decided by guess: a
    flow with an open point stands in the file and rests. Every row is accounted for: what could not be read is told
    with its file and line.

    \b
    All documents of a customer, to see what would change:
      linkstream import --dry-run documents/*.rst
    And to do it:
      linkstream import documents/*.rst

    Exit codes: 0 everything was read, 1 something was left unread or a document was refused (the rest was imported),
    2 topics.yaml or the command line is wrong (nothing was written), 3 a file cannot be written.
    """
    from stream.dataflow.importing import account

    data = config.read_bytes() if config.exists() else b""
    done = account(files, data, config)
    if not dry_run:
        _write(config, data, done)
    if format != "table":
        say(_summary(done), format)
    else:
        _print(done, config, dry_run=dry_run)
    if dry_run and format == "table":
        click.echo(_diff(data, done.merged.text, config), nl=False)
    return exits.FAILED if done.unread else exits.OK


def _write(config: Path, data: bytes, done: Account) -> None:
    text = done.merged.text.encode()
    if text != data and done.flows:
        _replace(config, text)
    for system, stub in done.stubs.items():
        file = config.parent / f"{system}.yaml"
        if not file.exists() and file != config:
            _replace(file, stub.encode())


def _replace(file: Path, data: bytes) -> None:
    """Put a file in place whole, or not at all."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
        Path(name).chmod(file.stat().st_mode & 0o777 if file.exists() else 0o644)
        Path(name).replace(file.resolve() if file.is_symlink() else file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _summary(done: Account) -> dict[str, Any]:
    return {
        "documents": done.documents,
        "statements": done.statements,
        "properties": done.properties,
        "merges": done.merges,
        "conditions": done.conditions,
        "unread": [{"file": each.file, "line": each.line, "text": each.text} for each in done.unread],
        "refused": done.refused,
        "flows": {
            "added": done.merged.added,
            "changed": done.merged.changed,
            "same": done.merged.same,
            "resting": done.merged.resting,
        },
        "open": [
            {"kind": point.kind, "file": point.fault.file, "line": point.fault.line, "text": point.fault.text}
            for point in done.points
        ],
        "systems": sorted(done.stubs),
        "variables": list(done.merged.variables),
    }


def _print(done: Account, config: Path, *, dry_run: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("read", "", box=None, pad_edge=False, header_style="bold")
    table.columns[1].justify = "right"
    for name in ("documents", "statements", "properties", "merges", "conditions"):
        table.add_row(name, str(getattr(done, name)))
    table.add_row("unread", str(len(done.unread)))
    table.add_row("documents refused", str(done.refused))
    console.print(table)
    for fault in done.unread:
        console.print(f"  {escape(str(fault))}", soft_wrap=True)
    for kind, meaning in _KINDS.items():
        points = [point for point in done.points if point.kind == kind]
        if points:
            console.print(f"\n{meaning} ([bold]{len(points)}[/bold])", soft_wrap=True)
        for point in points[:_SHOWN]:
            console.print(f"  {escape(str(point.fault))}", soft_wrap=True)
        if len(points) > _SHOWN:
            console.print(f"  and {len(points) - _SHOWN} more; --format json has them all")
    if done.stubs:
        names = ", ".join(f"{system}.yaml" for system in sorted(done.stubs))
        console.print(f"\nDeclarations to fill in, beside {escape(str(config))}: {escape(names)}", soft_wrap=True)
    if done.merged.variables:
        console.print(f"\nVariables to set: {', '.join(done.merged.variables)}", soft_wrap=True)
    made = done.merged
    said = f"{made.added} flows added, {made.changed} changed, {made.same} the same; {made.resting} of all rest"
    console.print(f"\n{escape(str(config))}{' would have' if dry_run else ''}: {said}", soft_wrap=True)


def _diff(before: bytes, after: str, config: Path) -> str:
    old = before.decode("utf-8-sig").splitlines(keepends=True)
    new = after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, str(config), str(config)))
