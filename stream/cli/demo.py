"""``linkstream demo``: watch edits travel both ways, without an account anywhere."""

from __future__ import annotations

import asyncio
import secrets
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import rich_click as click

from stream.cli import exits
from stream.cli.exits import BadEnvironment, Failed
from stream.cli.shell import Format, format_option, say
from stream.engine.backends import shown
from stream.model import type_of

BETWEEN = 2.0
"""Seconds between two edits while somebody looks at the page."""

if TYPE_CHECKING:
    from rich.console import Console

    from stream.operate.demo import Account, Arrival, Demo
    from stream.qa.checklist import Checklist
    from stream.qa.stand import Stand


@click.command("demo")
@format_option
@click.option("--no-checklist", is_flag=True, help="End after the edits.")
@click.option(
    "--page", metavar="ADDRESS:PORT", default="", help="Serve the page there, and let people edit until Ctrl-C."
)
@click.option(
    "--broker",
    metavar="kafka://HOST:PORT",
    default="",
    help="Run it on this Kafka, with two workers; its topics are removed again. Options as in topics.yaml.",
)
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the log and everything else here.")
@click.pass_context
def command(
    context: click.Context, format: Format, page: str, broker: str, keep: Path | None, no_checklist: bool
) -> None:
    """Keep six made-up systems in step before your eyes; takes less than a minute, needs nothing, leaves nothing.

    Starts every system of topics.yaml as a small server on this machine, a worker between them, and edits here and
    there as people would. The worker is killed without warning and started again. Then every statement is tried out,
    and the checklist ticked off. The exit code is 0 only if every edit arrived, nothing was doubled, and every
    statement passed.

    \b
    Watch:
      linkstream demo
    Watch it in a browser, too; people go on editing until Ctrl-C:
      linkstream demo --page 127.0.0.1:8900
    Keep the log, to look at it afterwards:
      linkstream demo --keep var/demo
    On a Kafka that runs already, with two workers, one of which is killed (make demo BROKER=kafka brings one):
      linkstream demo --broker kafka://localhost:9092
    """
    if broker and not broker.startswith("kafka://"):
        raise click.BadParameter(f"found {shown(broker)!r}; kafka://host:9092 would be right", param_hint="--broker")
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise Failed(f"{keep}: found files in it; an empty or a new folder would be right")
        try:
            keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadEnvironment(f"{keep}: {error.strerror}; a folder that can be made would be right") from None
        keep = keep.resolve()
    code = asyncio.run(_until_interrupted(_show(keep, format, page, broker, checklist=not no_checklist)))
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


async def _show(keep: Path | None, format: Format, page: str, broker: str, *, checklist: bool) -> int:
    """Run it in a folder that is kept, or in one that goes away with it."""
    if keep is not None:
        own = _own(broker, keep)
        code = await _run(keep, format, page, own, checklist=checklist, keep=True)
        if broker:
            prefix = dict(parse_qsl(own.partition("?")[2]))["prefix"]
            click.echo(f"the topics on {shown(broker)} are kept; their names begin with {prefix}", err=True)
        return code
    with tempfile.TemporaryDirectory(prefix="linkstream-demo-") as folder:
        return await _run(Path(folder), format, page, _own(broker, Path(folder)), checklist=checklist)


def _own(broker: str, folder: Path) -> str:
    """The address of a cluster, with names and a folder that nobody else has."""
    if not broker:
        return ""
    options = {"prefix": f"demo-{secrets.token_hex(4)}.", "state": str(folder / "state"), "session": "6"}
    url, _, given = broker.partition("?")
    return f"{url}?{urlencode({**options, **dict(parse_qsl(given))})}"


async def _run(folder: Path, format: Format, page: str, broker: str, *, checklist: bool, keep: bool = False) -> int:
    from rich.console import Console

    from stream.cli.qa import show
    from stream.operate.demo import Demo, lent, linked
    from stream.qa.run import Tryout
    from stream.qa.stand import CannotTry, sandboxed

    console = Console(highlight=False, stderr=format != "table")
    began = time.monotonic()
    async with sandboxed(_topics(), folder, page=page, broker=broker) as stand, lent(stand, keep=keep):
        demo = Demo(stand)
        for name, url in {**{name: box.url for name, box in stand.sandboxes.items()}, **_address(page)}.items():
            console.print(f"[bold]{name:>14}[/bold]  {url}", soft_wrap=True)
        said: list[Callable[[str], object]] = []
        tryout = Tryout(stand, stand.topology.flows.flows.values(), lambda what: [say(what) for say in said])
        await tryout.prepare()
        for worker in stand.workers:
            await worker.start()
        several = len(stand.workers) > 1
        with console.status(f"{'two workers start' if several else 'a worker starts'}, and link what is there"):
            found = await linked(demo)
        if found is None:
            return _failed(console, stand, "the records were not linked in time")
        flows = len(stand.topology.flows.flows)
        console.print(f"\n{found.linked} links of {flows} flows after {time.monotonic() - began:.1f} s. People edit:\n")
        await _edit(console, demo)
        ticked: Checklist | None = None
        if checklist:
            console.print("\nNow every statement is tried out, as a tester would; the worker is killed once more.\n")
            try:
                with console.status("") as status:
                    said.append(lambda what: status.update(f"{what} ..."))
                    ticked = await tryout.ticked()
            except CannotTry as error:
                return _failed(console, stand, str(error))
            show(console, ticked, brief=True)
        if page:
            console.print(f"\nThe page is at http://{page}; people edit until Ctrl-C.\n")
            await _edit_on(console, demo)
        drawn = await demo.account()
        if wrong := [code for code in await stand.rest() if code != 0]:
            return _failed(console, stand, f"a worker ended with {wrong[0]}; 0 would be right")
    return _print(console, drawn, ticked, time.monotonic() - began, format)


async def _edit(console: Console, demo: Demo) -> None:
    """People edit, and go on while a worker is killed; if it was not the only one, the other takes its work over."""
    from stream.operate.demo import EDITS, LATER

    for edit in EDITS:
        made = await demo.make(edit)
        if made is not None:
            _say(console, await demo.arrival(*made))
    stand = demo.stand
    several = len(stand.workers) > 1
    await stand.worker.kill()
    console.print(f"  [red]kill -9[/red]: {'one' if several else 'the'} worker is gone; people go on")
    since = time.monotonic()
    later = [made for edit in LATER if (made := await demo.make(edit)) is not None]
    if several:
        console.print("  the other worker takes its partitions over")
    else:
        since = time.monotonic()
        await stand.worker.start()
        console.print("  a new worker starts")
    for edit, ref, copies, _ in later:
        _say(console, await demo.arrival(edit, ref, copies, since))
    if several:
        await stand.worker.start()
        if await stand.until(stand.worker.ready) is not None:
            console.print("  a new worker has joined it")


def _address(page: str) -> dict[str, str]:
    return {"page": f"http://{page}"} if page else {}


async def _edit_on(console: Console, demo: Demo) -> None:
    """Edit as before, each time with other words, for ever."""
    from msgspec.structs import replace

    from stream.operate.demo import EDITS

    number = 1
    while True:
        number += 1
        demo.forget()
        for edit in EDITS:
            value = f"{edit.value} {number}" if isinstance(edit.value, str) and edit.field != "status" else edit.value
            made = await demo.make(replace(edit, value=value))
            if made is not None:
                _say(console, await demo.arrival(*made))
            await asyncio.sleep(BETWEEN)


def _topics() -> Path:
    """The flows that are shown: those of the checkout, or the copy in an installed package."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "topics.yaml"
    return checkout if checkout.exists() else package / "topics.yaml"


def _say(console: Console, arrival: Arrival) -> None:
    from rich.markup import escape

    took = "[red]  never [/red]" if arrival.seconds is None else f"[green]{arrival.seconds:6.2f} s[/green]"
    types = [type_of(copy.ref) for copy in arrival.copies]
    there = ", ".join(f"{count} x {type}" if count > 1 else type for type, count in Counter(types).items())
    value = escape(str(arrival.edit.value))
    console.print(
        f"{took}  somebody {arrival.edit.said} in [bold]{arrival.edit.type.partition('.')[0]}[/bold]: "
        f"[italic]{value}[/italic] [dim]-> {there}[/dim]",
        soft_wrap=True,
    )


def _failed(console: Console, stand: Stand, why: str) -> int:
    console.print(f"[red]{why}[/red]; the worker's last words:", *stand.worker.last_words(), sep="\n", markup=False)
    return exits.FAILED


def _print(console: Console, drawn: Account, ticked: Checklist | None, seconds: float, format: Format) -> int:
    from rich.table import Table

    statements = {} if ticked is None else {"statements passed": f"{ticked.passed}/{ticked.of}"}
    good = not drawn.missed and not drawn.doubled and drawn.edits > 0 and (ticked is None or ticked.good)
    figures: dict[str, Any] = {
        "links": drawn.links,
        "in step %": round(100 * drawn.in_step / drawn.links, 1) if drawn.links else 0.0,
        "links with a field that the system does not take": drawn.refused,
        "edits shown": drawn.edits,
        "records that followed them": drawn.copies,
        "edits that never arrived": drawn.missed,
        "median seconds until all had followed": round(drawn.median, 2),
        "workers killed": drawn.killed,
        "records doubled": drawn.doubled,
        **statements,
    }
    if format != "table":
        say({"good": good, "seconds": round(seconds, 1), **figures}, format)
        return exits.OK if good else exits.FAILED
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, figure in figures.items():
        table.add_row(name, f"[bold]{figure}[/bold]")
    console.print()
    console.print(table)
    verdict = "[green]all as promised[/green]" if good else "[red]not as promised[/red]"
    console.print(f"\n{verdict}, in {seconds:.0f} s")
    return exits.OK if good else exits.FAILED
