"""``linkstream demo``: watch edits travel both ways, without an account anywhere."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli import exits
from stream.cli.exits import BadEnvironment, Failed
from stream.cli.shell import Format, format_option

if TYPE_CHECKING:
    from rich.console import Console

    from stream.operate.demo import Account, Arrival, Demo, Edit

SIDES = {"asana": ("Asana", "custom PMS"), "custompms": ("custom PMS", "Asana")}


@click.command("demo")
@format_option
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the log and everything else here.")
@click.pass_context
def command(context: click.Context, format: Format, keep: Path | None) -> None:
    """Keep two made-up systems in step before your eyes; takes half a minute, needs nothing, leaves nothing.

    Starts an Asana and a custom PMS as small servers on this machine, a worker between them, and edits on both sides
    as people would. In the middle the worker is killed without warning and started again. The exit code is 0 only if
    every edit arrived, nothing was doubled, and nothing was written when nobody edited.

    \b
    Watch:
      linkstream demo
    Keep the log, to look at it afterwards:
      linkstream demo --keep var/demo
    """
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise Failed(f"{keep}: found files in it; an empty or a new folder would be right")
        try:
            keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadEnvironment(f"{keep}: {error.strerror}; a folder that can be made would be right") from None
        keep = keep.resolve()
    code = asyncio.run(_until_interrupted(_show(keep, format)))
    if code is None:
        raise click.Abort
    context.exit(code)


async def _until_interrupted(work: Coroutine[Any, Any, int]) -> int | None:
    """What the work answers, or nothing if a signal ended it; signals do not disturb it while it tidies up."""
    loop, task, heard = asyncio.get_running_loop(), asyncio.ensure_future(work), asyncio.Event()

    def end() -> None:
        if not heard.is_set():
            heard.set()
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    try:
        return await task
    except asyncio.CancelledError:
        return None


async def _show(keep: Path | None, format: Format) -> int:
    """Run it in a folder that is kept, or in one that goes away with it."""
    if keep is not None:
        return await _run(keep, format)
    with tempfile.TemporaryDirectory(prefix="linkstream-demo-") as folder:
        return await _run(Path(folder), format)


async def _run(folder: Path, format: Format) -> int:
    from rich.console import Console

    from stream.operate.demo import account, first_edits, later_edits, linked, opened

    console = Console(highlight=False, stderr=format == "json")
    began = time.monotonic()
    async with opened(folder, _topics()) as demo:
        where = f"[bold]Asana[/bold] at {demo.asana.url}, [bold]custom PMS[/bold] at {demo.pms.url}"
        console.print(where, soft_wrap=True)
        await demo.start()
        with console.status("a worker starts") as status:
            went = await linked(demo, lambda count, of: status.update(f"linking: {count} of {of}"))
        if not went:
            return _failed(console, demo, "the records were not linked in time")
        found = demo.links()
        console.print(f"{len(found)} links after {time.monotonic() - began:.1f} s. Now people edit:\n")
        arrivals = [await _watch(console, demo, edit) for edit in first_edits(demo, found)]
        await demo.kill()
        console.print("  [red]kill -9[/red]: the worker is gone; people go on")
        later = later_edits(demo, found)
        for edit in later:
            await demo.do(edit)
        since = time.monotonic()
        await demo.start()
        console.print("  a new worker starts")
        for edit in later:
            arrival = await demo.arrival(edit, since, dead=True)
            _say(console, arrival)
            arrivals.append(arrival)
        with console.status("waiting for quiet, and listening to it"):
            drawn = await account(demo, arrivals)
        code = await demo.stop()
        if code != 0:
            return _failed(console, demo, f"the worker ended with {code}; 0 would be right")
    _print(console, drawn, arrivals, time.monotonic() - began, format)
    return exits.OK if drawn.good else exits.FAILED


def _topics() -> Path:
    """The flows that are shown: those of the checkout, or the copy in an installed package."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "topics.yaml"
    return checkout if checkout.exists() else package / "topics.yaml"


async def _watch(console: Console, demo: Demo, edit: Edit) -> Arrival:
    """Make one edit and see it arrive."""
    since = time.monotonic()
    await demo.do(edit)
    arrival = await demo.arrival(edit, since)
    _say(console, arrival)
    return arrival


def _say(console: Console, arrival: Arrival) -> None:
    from rich.markup import escape

    edit = arrival.edit
    here, there = SIDES[edit.ref.partition(".")[0]]
    took = "[red]never[/red]" if arrival.seconds is None else f"[green]{arrival.seconds:5.2f} s[/green]"
    value = escape(str(edit.value))
    console.print(f"  {here:>10} -> {there:10}  {took}  somebody {edit.said}: [italic]{value}[/italic]", soft_wrap=True)


def _failed(console: Console, demo: Demo, why: str) -> int:
    log = demo.folder / "worker.log"
    lines = log.read_text("utf-8", errors="replace").splitlines()[-12:] if log.exists() else []
    console.print(f"[red]{why}[/red]; the worker's last words:", *lines, sep="\n", markup=False)
    return exits.FAILED


def _print(console: Console, drawn: Account, arrivals: list[Arrival], seconds: float, format: Format) -> None:
    from rich.table import Table

    figures: dict[str, Any] = {
        "links": drawn.links,
        "in step %": round(100 * drawn.agreeing / drawn.compared, 1) if drawn.compared else 0.0,
        "edits carried Asana -> custom PMS": drawn.carried.get("asana", 0),
        "edits carried custom PMS -> Asana": drawn.carried.get("custompms", 0),
        "edits that never arrived": drawn.missed,
        "median seconds from edit to arrival": round(drawn.median, 2),
        "workers killed": drawn.killed,
        "records doubled": drawn.doubled,
        "writes in the quiet end": drawn.quiet_writes,
    }
    if format == "json":
        click.echo(json.dumps({"good": drawn.good, "seconds": round(seconds, 1), **figures}, indent=2))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, figure in figures.items():
        table.add_row(name, f"[bold]{figure:g}[/bold]")
    console.print()
    console.print(table)
    verdict = "[green]all as promised[/green]" if drawn.good else "[red]not as promised[/red]"
    console.print(f"\n{verdict}, {len(arrivals)} edits in {seconds:.0f} s")
