"""``linkstream qa``: every statement tried out, and the checklist that a tester hands on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from msgspec import Struct
from msgspec.structs import replace

from stream.cli import exits
from stream.cli.exits import BadEnvironment, Failed
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from rich.console import Console

    from stream.qa.checklist import Checklist

MARKS = {"passed": "[green]✓[/green]", "failed": "[red]✗[/red]", "not applied": "[dim]-[/dim]"}


@click.command("qa")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@config_option
@format_option
@click.option("--live", is_flag=True, help="Try it in the configured systems themselves: use test accounts.")
@click.option("--only", metavar="TEXT", help="Only statements whose name has this in it.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a report to mail to a customer.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML for a build server.")
@click.option("--verbose", "-v", is_flag=True, help="Show every line, also those that passed.")
@click.pass_obj
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - each is an option
    context: click.Context,
    shell: Shell,
    files: tuple[Path, ...],
    config: Path,
    format: Format,
    live: bool,
    only: str | None,
    html: Path | None,
    junit: Path | None,
    verbose: bool,
) -> None:
    """Try out every statement, and tick off the checklist.

    Starts a sandbox of every system, a real worker between them, and does what a tester would: makes records that
    match and records that do not, edits every field on both sides, two fields at once, one field on both sides, kills
    the worker in the middle, waits for quiet, deletes. The exit code is 0 only if every statement passed. What a vendor
    does not allow is not a failure: it is listed as not applied, with the vendor's reason.

    With FILES, the statements of those customers' documents, as `linkstream import` would read them; topics.yaml itself
    stays as it is.

    \b
    All statements of topics.yaml, against sandboxes:
      linkstream qa
    The statements of a document:
      linkstream qa asana-to-custom-pms.rst
    One statement, every line of it:
      linkstream qa --only trello.cards -v
    With the report for the customer, and the one for the build server:
      linkstream qa --html qa.html --junit qa.xml
    Against the test accounts that the configuration names; what is made is removed again:
      linkstream qa --live
    """
    environment = shell.environment if live else None
    wanted = _Wanted(config, only or "")
    if files:
        wanted = _imported(files, config, only or "")
    else:
        (shell.topology if live else shell.chart)(config)  # what is wrong with it is told before anything starts
    checklist, left = asyncio.run(_run(wanted, format, environment))
    for file, text in ((html, _html), (junit, _junit)):
        if file is not None:
            try:
                file.write_text(text(checklist), "utf-8")
            except OSError as error:
                raise BadEnvironment(f"{file}: {error.strerror}; a file that can be written would be right") from None
    _print(checklist, format, verbose=verbose)
    for line in left:
        click.echo(f"left behind: {line}", err=True)
    context.exit(exits.OK if checklist.good else exits.FAILED)


class _Wanted(Struct, frozen=True):
    """What is to be tried: flows of a file whose names have ``only`` in them; of documents, their statements alone."""

    config: Path
    only: str
    text: str | None = None
    pairs: frozenset[tuple[str, str]] = frozenset()
    resting: tuple[tuple[str, str, str], ...] = ()
    """Left type, right type, and what a person must decide first."""


def _imported(files: tuple[Path, ...], config: Path, only: str) -> _Wanted:
    from stream.dataflow.importing import account

    found = account(files, config.read_bytes() if config.exists() else b"", config)
    if found.refused or not found.flows:
        raise Failed("\n".join([*map(str, found.unread), "found no statements; a dataflow document would be right"]))
    pairs = frozenset((each.left, each.right) for each in found.flows)
    rest = tuple((each.left, each.right, "; ".join(each.open) or each.condition) for each in found.flows)
    return _Wanted(config, only, found.merged.text, pairs, rest)


async def _run(wanted: _Wanted, format: Format, environment: Mapping[str, str] | None) -> tuple[Checklist, list[str]]:
    """Try it: live with an environment, in sandboxes without. The checklist, and what was left behind."""
    from rich.console import Console

    from stream.qa import stand as stands
    from stream.qa.run import tried

    console = Console(highlight=False, stderr=True, quiet=format != "table")
    with tempfile.TemporaryDirectory(prefix="linkstream-qa-") as name:
        folder = Path(name)
        try:
            opened = stands.sandboxed(wanted.config, folder, text=wanted.text)
            if environment is not None:
                opened = stands.live(wanted.config, folder, environment, text=wanted.text)
            async with opened as stand:
                flows = [
                    flow
                    for flow in stand.topology.flows.flows.values()
                    if wanted.only in flow.name and (not wanted.pairs or (flow.left, flow.right) in wanted.pairs)
                ]
                if not flows and not wanted.resting:
                    found = f"{wanted.config}: found no statement with {wanted.only!r}"
                    raise Failed(f"{found}; a part of a flow's name would be right")
                with console.status("starting") as status:
                    checklist = await tried(stand, flows, lambda what: status.update(f"{what} ..."))
                return _with_resting(checklist, wanted), await stand.tidy()
        except stands.CannotTry as error:
            raise Failed(str(error)) from None


def _with_resting(checklist: Checklist, wanted: _Wanted) -> Checklist:
    """The statements that rest until a person decides something are on the list, and not ticked."""
    from stream.qa.checklist import CREATION, Result, Statement

    tried = {(each.left, each.right) for each in checklist.statements}
    rest = []
    for left, right, why in wanted.resting:
        if (left, right) not in tried and wanted.only in f"{left}~{right}":
            name = f"{left}~{right}"
            line = Result(statement=name, check=CREATION, verdict="not applied", reason=f"it rests: {why}")
            rest.append(Statement(name=name, left=left, right=right, ours=False, results=(line,)))
    return replace(checklist, statements=(*checklist.statements, *rest))


def _html(checklist: Checklist) -> str:
    from stream.qa.report import as_html

    return as_html(checklist, datetime.now().astimezone())


def _junit(checklist: Checklist) -> str:
    from stream.qa.report import as_junit

    return as_junit(checklist)


def _print(checklist: Checklist, format: Format, *, verbose: bool) -> None:
    if format != "table":
        from stream.qa.report import as_json

        say(as_json(checklist), format)
        return
    from rich.console import Console

    show(Console(highlight=False), checklist, verbose=verbose)


def show(console: Console, checklist: Checklist, *, verbose: bool = False, brief: bool = False) -> None:
    """Print the checklist: a line for each statement, and below it whatever did not pass; brief: what failed."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for each in checklist.statements:
        passed = sum(result.verdict == "passed" for result in each.results)
        table.add_row(MARKS[each.verdict], f"[bold]{each.left} - {each.right}[/bold]", f"{passed} passed")
        for result in each.results:
            if verbose or result.verdict == "failed" or (result.verdict != "passed" and not brief):
                what = f"  {result.check}" + (f" ({result.field})" if result.field else "")
                table.add_row(f"  {MARKS[result.verdict]}", escape(what), f"[dim]{escape(result.reason)}[/dim]")
    console.print(table)
    colour = "green" if checklist.good else "red"
    where = "in test accounts" if checklist.live else "in sandboxes"
    console.print(
        f"\n[{colour}]{checklist.passed}/{checklist.of}[/{colour}] statements, {where}, {checklist.seconds:.0f} s"
    )
