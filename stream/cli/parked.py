"""``linkstream parked``: records that were set aside, with their reasons, and what to do with them."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli.asking import done, publish, several
from stream.cli.exits import Failed
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from stream.operate.aside import Aside
    from stream.topology import Topology


@click.group("parked")
def command() -> None:
    """Look at records that were set aside, and try them again once the cause is gone.

    \b
    What is there, by reason:
      linkstream parked list --count
    One of them, with its bytes and where they came from:
      linkstream parked show 2/41
    The cause is gone, try all with that reason again:
      linkstream parked retry --reason "read-only" --dry-run
      linkstream parked retry --reason "read-only"
    """


def filters(function: Any) -> Any:
    """Add the options that choose among parked records."""
    for option in (
        click.option("--reason", help="Only those whose reason has this in it."),
        click.option("--ref", help="Only those of this record, or of this entity type."),
    ):
        function = option(function)
    return function


def treatment(verb: str) -> Callable[[Any], Any]:
    """Add what a command takes that treats many records; ``verb`` is what becomes of them."""

    def add(function: Any) -> Any:
        for option in (
            click.pass_obj,
            click.option("--yes", is_flag=True, help="Also more than a hundred at once."),
            click.option("--dry-run", is_flag=True, help=f"Only say what would be {verb}; exit code 10 if any."),
            click.argument("ids", nargs=-1),
            filters,
            format_option,
            config_option,
        ):
            function = option(function)
        return function

    return add


@command.command("list")
@config_option
@format_option
@filters
@click.option("--all", "settled", is_flag=True, help="Also those that were retried or dropped.")
@click.option("--count", is_flag=True, help="Count them by reason instead.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.pass_obj
def list_(  # noqa: PLR0913, PLR0917  # one for each option
    shell: Shell,
    config: Path,
    format: Format,
    reason: str | None,
    ref: str | None,
    settled: bool,
    count: bool,
    limit: int,
) -> None:
    """List what was set aside, newest first: its id, when, which record, and why."""
    topology = shell.chart(config)
    chosen = list(_open(topology, reason, ref, settled=settled))
    chosen.sort(key=lambda each: each.record.timestamp, reverse=True)
    if count:
        _count(chosen, format)
    elif format != "table":
        say([_plain(each) for each in chosen[:limit]], format)
    else:
        for each in chosen[:limit]:
            told = _plain(each)
            note = f" [{told['settled']}]" if told["settled"] else ""
            click.echo(f"{told['id']:>8}  {told['at']}  {told['key']}  {told['message']}{note}")
        if len(chosen) > limit:
            click.echo(f"... {len(chosen)} in all; --limit shows more")
        elif not chosen:
            click.echo("nothing is set aside" if not (reason or ref) else "nothing of that is set aside")


def _count(chosen: list[Aside], format: Format) -> None:
    counted = Counter((each.about.get("class.name", ""), _plain(each)["message"]) for each in chosen)
    if format != "table":
        say([{"class": kind, "reason": text, "count": n} for (kind, text), n in counted.most_common()], format)
        return
    for (kind, text), n in counted.most_common():
        click.echo(f"{n:>8}  {kind}: {text}")
    click.echo(f"{sum(counted.values()):>8}  in all")


@command.command("show")
@config_option
@format_option
@click.argument("id")
@click.pass_obj
def show(shell: Shell, config: Path, format: Format, id: str) -> None:
    """Show one: where it came from, why it was set aside, what it says, and its bytes."""
    from stream.operate.words import Teller

    topology = shell.chart(config)
    each = _found(topology, id)
    about = each.about
    told = {**_plain(each), "headers": about, "value": _value(each)}
    origin = _origin(each)
    if origin is not None:
        said = Teller(topology.flows.paths)(origin)
        told["says"] = [said.what, *said.lines]
    if format != "table":
        say(told, format)
        return
    click.echo(f"{told['key']}  set aside {told['at']}  {told['settled']}".rstrip())
    for name, value in about.items():
        if value and name != "exception.stacktrace":
            click.echo(f"  {name:<22} {value}")
    for line in told.get("says", ()):
        click.echo(f"  says: {line}")
    click.echo(f"  value: {told['value']}")
    if about.get("exception.stacktrace"):
        click.echo(about["exception.stacktrace"])


@command.command("retry")
@treatment("tried again")
def retry(  # noqa: PLR0913, PLR0917  # one for each option
    shell: Shell,
    config: Path,
    format: Format,
    ids: tuple[str, ...],
    reason: str | None,
    ref: str | None,
    dry_run: bool,
    yes: bool,
) -> int:
    """Try records again whose cause is gone: those with IDS, or all with a reason or of a record.

    A record that could not be worked in goes to its topic once more, with its own bytes. A value that a system refused
    is written again. A record that a system sent in a wrong form is read again at the next reading.

    Exit codes: 0 they are on their way, 1 there is no such record, 4 too many at once, 10 --dry-run found some.
    """
    from stream.operate.aside import MOST, retried

    topology = shell.chart(config)
    chosen = _chosen(topology, ids, reason, ref)
    if not dry_run:
        several(len(chosen), MOST, "parked records", sure=yes)
        publish(topology, retried(chosen))
    return _told(chosen, "tried again", format, dry_run=dry_run)


@command.command("drop")
@treatment("dropped")
def drop(  # noqa: PLR0913, PLR0917  # one for each option
    shell: Shell,
    config: Path,
    format: Format,
    ids: tuple[str, ...],
    reason: str | None,
    ref: str | None,
    dry_run: bool,
    yes: bool,
) -> int:
    """Say that records need no more attention: those with IDS, or all with a reason or of a record.

    They stay in the topic as long as it keeps records; `list --all` and `export --all` still show them.

    Exit codes: 0 dropped, 1 there is no such record, 4 too many at once, 10 --dry-run found some.
    """
    from stream.operate.aside import MOST, settling

    topology = shell.chart(config)
    chosen = _chosen(topology, ids, reason, ref)
    if not dry_run:
        several(len(chosen), MOST, "parked records", sure=yes)
        publish(topology, [settling(each, "dropped") for each in chosen])
    return _told(chosen, "dropped", format, dry_run=dry_run)


@command.command("export")
@config_option
@filters
@click.option("--all", "settled", is_flag=True, help="Also those that were retried or dropped.")
@click.pass_obj
def export(shell: Shell, config: Path, reason: str | None, ref: str | None, settled: bool) -> None:
    """Print parked records as JSON, one a line: key, headers, and the original bytes in base64.

    \b
      linkstream parked export > parked.jsonl
    """
    import orjson

    for each in _open(shell.chart(config), reason, ref, settled=settled):
        value = each.record.value
        line = {
            **_plain(each),
            "headers": each.about,
            "value": None if value is None else base64.b64encode(value).decode(),
        }
        click.echo(orjson.dumps(line).decode())


def _open(topology: Topology, reason: str | None, ref: str | None, *, settled: bool = False) -> Iterator[Aside]:
    from stream.engine.backends import open_reader
    from stream.operate.aside import asides
    from stream.topics import PARKED

    with open_reader(topology.broker) as reader:
        for each in asides(reader, PARKED):
            key, message = each.record.key.decode(errors="replace"), each.about.get("exception.message", "")
            mine = ref is None or key == ref or key.startswith(f"{ref}:")
            if (settled or not each.settled) and mine and (reason is None or reason in message):
                yield each


def _chosen(topology: Topology, ids: tuple[str, ...], reason: str | None, ref: str | None) -> list[Aside]:
    """The open records that are meant. Raises UsageError for none at all, Failed for one that is not there."""
    if not (ids or reason or ref):
        raise click.UsageError("found no ID, --reason or --ref; one of them would be right")
    chosen = [each for each in _open(topology, reason, ref) if not ids or each.id in ids]
    missing = set(ids) - {each.id for each in chosen}
    if missing:
        names = ", ".join(sorted(missing))
        raise Failed(f"{names}: nothing open is set aside under this; `linkstream parked list` shows what is")
    return chosen


def _found(topology: Topology, id: str) -> Aside:
    from stream.engine.backends import open_reader
    from stream.operate.aside import found
    from stream.topics import PARKED

    with open_reader(topology.broker) as reader:
        each = found(reader, PARKED, id)
    if each is None:
        raise Failed(f"{id}: nothing is set aside under this; `linkstream parked list` shows what is")
    return each


def _plain(each: Aside) -> dict[str, Any]:
    from stream.operate.words import moment

    about = each.about
    return {
        "id": each.id,
        "at": moment(each.record.timestamp * 1000),
        "key": each.record.key.decode(errors="replace"),
        "class": about.get("class.name", ""),
        "stage": about.get("stage", ""),
        "message": about.get("exception.message", ""),
        "settled": each.settled,
    }


def _value(each: Aside) -> Any:
    import orjson

    if each.record.value is None:
        return None
    try:
        return orjson.loads(each.record.value)
    except orjson.JSONDecodeError:
        return each.record.value.decode(errors="backslashreplace")


def _origin(each: Aside) -> Any:
    """The record as it was in its own topic; nothing for what a system sent in a wrong form."""
    from msgspec.structs import replace

    about = each.about
    if about.get("stage") == "TASK_POLL" or not about.get("topic"):
        return None
    return replace(each.record, topic=about["topic"], headers=())


def _told(chosen: list[Aside], verb: str, format: Format, *, dry_run: bool) -> int:
    """Say what became of records, or would; the exit code."""
    from stream.cli import exits

    text = f"{len(chosen)} {'would be' if dry_run else 'are'} {verb}"
    done(text, format, ids=[each.id for each in chosen], dry_run=dry_run)
    return exits.CHANGES if dry_run and chosen else exits.OK
