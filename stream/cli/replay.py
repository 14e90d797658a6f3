"""``linkstream replay``: what was read is told again, onto the running system or in memory alone."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from stream.cli import exits
from stream.cli.asking import done
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from stream.operate.aside import Aside
    from stream.operate.replay import Place, Range, Selection
    from stream.topology import Topology

BATCH: Final = 500
"""Records that are published at once, at most."""
_RANGE: Final = re.compile(r"(\d+)/(\d*)-(\d*)")


def chosen_by(function: Any) -> Any:
    """Add what says which records are told again."""
    for option in (
        click.option("--until", metavar="TIME", help="Only what came to the log before then."),
        click.option("--since", metavar="TIME", help="Only what came to the log since: 2026-11-20T08:00, or 2h ago."),
        click.option("--offsets", multiple=True, metavar="P/FIRST-LAST", help="Only these of a partition: 2/100-250."),
        click.option("--reason", help="With --parked: only those whose reason has this in it."),
        click.option("--parked", is_flag=True, help="Records that were set aside, instead of changes."),
        click.option("--all", "everything", is_flag=True, help="Of all entity types."),
    ):
        function = option(function)
    return function


@click.command("replay")
@click.argument("names", nargs=-1, metavar="[TYPE|REF]...")
@config_option
@format_option
@chosen_by
@click.option("--dry-run", is_flag=True, help="Only say what would be written; exit code 10 if anything.")
@click.option("--rebuild", is_flag=True, help="Make all rows and links anew from the topics; workers must be stopped.")
@click.option("--old-links", type=click.Choice(["keep", "drop"]), help="--rebuild: links that only old rows show.")
@click.option("--yes", is_flag=True, help="--rebuild: do not ask before the table is exchanged.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0), help="Show at most so many records.")
@click.option("--rate", default=1000, show_default=True, type=click.IntRange(0), help="So many a second; 0: no limit.")
@click.option("--anew", is_flag=True, help="From the beginning, also if the same was interrupted before.")
@click.pass_obj
def command(  # noqa: PLR0913, PLR0917  # one for each option
    shell: Shell,
    names: tuple[str, ...],
    config: Path,
    format: Format,
    everything: bool,
    parked: bool,
    reason: str | None,
    offsets: tuple[str, ...],
    since: str | None,
    until: str | None,
    dry_run: bool,
    rebuild: bool,
    old_links: str | None,
    yes: bool,
    limit: int,
    rate: int,
    anew: bool,
) -> int:
    """Tell changes of TYPE or REF again, as they were read: rows get what they missed, and nothing is written twice.

    A worker may run or not; without one, records wait in the log. Interrupted, the same command goes on where it was.

    \b
    All tasks that were read since this morning:
      linkstream replay asana.tasks --since 2026-11-20T08:00
    What would be written if a record were told again under another configuration:
      linkstream replay asana.tasks:1200000000000022 --dry-run -c new/topics.yaml
    What was set aside because a system was read-only:
      linkstream replay --all --parked --reason read-only
    Make the table of links anew, from the change topics and the marks in records:
      linkstream replay --rebuild --dry-run
      linkstream replay --rebuild

    With --dry-run everything is worked in by this process, in memory, on the rows of the log; nothing is written
    anywhere. `linkstream plan` does the same with what the systems hold now.

    Exit codes: 0 told again, or nothing would be written, 1 there is no such topic, 2 no such type, or no such time,
    4 --rebuild while a worker runs, or links would be lost, 10 --dry-run found something, 130 interrupted.
    """
    topology = shell.chart(config)
    if rebuild:
        from stream.cli.rebuilding import rebuild as made_anew

        if names or parked or reason or offsets or since or until:
            raise click.UsageError("found a choice of records with --rebuild; none would be right")
        return made_anew(topology, format, limit, dry_run=dry_run, old_links=old_links, yes=yes)
    selection = _selection(topology, names, offsets, since, until, everything=everything)
    if reason is not None and not parked:
        raise click.UsageError("found --reason without --parked; both would be right")
    asides = _asides(topology, selection, reason) if parked else None
    if dry_run:
        return _rehearsed(topology, selection, format, limit, asides=asides)
    if asides is not None:
        return _retried(topology, asides, format, rate)
    words = {"names": names, "all": everything, "offsets": offsets, "since": since, "until": until}
    return _published(topology, selection, words, format, rate=rate, anew=anew)


# Which


def _selection(
    topology: Topology,
    names: tuple[str, ...],
    offsets: tuple[str, ...],
    since: str | None,
    until: str | None,
    *,
    everything: bool,
) -> Selection:
    """What was typed. Raises UsageError."""
    from stream.operate.replay import Selection

    if bool(names) == everything:
        raise click.UsageError("found neither TYPE or REF nor --all, or both; one of them would be right")
    for name in names:
        if name.partition(":")[0] not in topology.types:
            raise click.UsageError(f"found no entity type {name!r}; {', '.join(topology.types)} would be right")
    return Selection(
        types=tuple(topology.types) if everything else tuple(name for name in names if ":" not in name),
        refs=tuple(name for name in names if ":" in name),
        ranges=tuple(map(_range, offsets)),
        since=None if since is None else _time("--since", since),
        until=None if until is None else _time("--until", until),
    )


def _range(text: str) -> Range:
    from stream.operate.replay import Range

    found = _RANGE.fullmatch(text)
    if found is None:
        raise click.UsageError(
            f"--offsets: found {text!r}; PARTITION/FIRST-LAST, as 2/100-250 or 2/100-, would be right"
        )
    partition, first, last = found.groups()
    return Range(int(partition), int(first or 0), int(last) if last else None)


def _time(option: str, text: str) -> int:
    """A time in milliseconds: by the clock, in UTC if nothing else is said, or so long ago."""
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])(?: ago)?", text.strip())
    if ago is not None:
        seconds = float(ago[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[ago[2]]
        return round((time.time() - seconds) * 1000)
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise click.UsageError(
            f"{option}: found {text!r}; a time such as 2026-11-20T08:00, or 2h for two hours ago, would be right"
        ) from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _asides(topology: Topology, selection: Selection, reason: str | None) -> list[Aside]:
    """The parked records that are meant, oldest first."""
    from stream.engine.backends import open_reader
    from stream.operate.aside import asides
    from stream.topics import PARKED

    def mine(each: Aside) -> bool:
        key = each.record.key.decode(errors="replace")
        named = key in selection.refs or key.partition(":")[0] in selection.types
        wanted = reason is None or reason in each.about.get("exception.message", "")
        return named and wanted and not each.settled and selection.within(each.record)

    with open_reader(topology.broker) as reader:
        return sorted(filter(mine, asides(reader, PARKED)), key=lambda each: each.record.timestamp)


# In memory


def _rehearsed(
    topology: Topology, selection: Selection, format: Format, limit: int, *, asides: list[Aside] | None
) -> int:
    from stream.cli.progress import progress
    from stream.engine.backends import open_reader
    from stream.operate.outlook import outlook, plain, told
    from stream.operate.retold import Retold
    from stream.worker import clock

    with open_reader(topology.broker) as reader:
        retold = Retold(topology, clock, reader)
        with progress("told", None) as bar:
            ahead = outlook(retold.make(_records(reader, selection, asides), bar))
    found = {"told": retold.told, "skipped": retold.skipped, **plain(ahead, limit)}
    if format != "table":
        say(found, format)
    else:
        others = f", {retold.skipped} that no row is told" if retold.skipped else ""
        click.echo(f"records told again: {retold.told}{others}")
        click.echo("\n".join(told(found)) if ahead else "nothing would be written")
    return exits.CHANGES if ahead else exits.OK


def _records(
    reader: Any, selection: Selection, asides: list[Aside] | None
) -> Iterator[tuple[str, bytes, bytes | None]]:
    from stream.operate.aside import retrying
    from stream.operate.replay import chosen

    if asides is not None:
        for each in asides:
            yield from ((order.topic, order.key, order.value) for order in retrying(each))
        return
    for record in chosen(reader, _begun(reader, selection)):
        yield record.topic, record.key, record.value


# Onto the running system


def _published(
    topology: Topology, selection: Selection, words: dict[str, Any], format: Format, *, rate: int, anew: bool
) -> int:
    from stream.cli.progress import progress
    from stream.engine.backends import folder_at, open_reader
    from stream.operate.replay import batches, chosen, file_of, finish, load, pass_on, save, told_again

    file = file_of(folder_at(topology.broker), words)
    with open_reader(topology.broker) as reader:
        place = None if anew else load(file)
        resumed = place is not None
        if place is None:
            place = _begun(reader, selection)
        elif format == "table":
            click.echo(f"goes on after {place.done} records; --anew begins from the first", err=True)
        throttle = Throttle(rate)
        total = place.left
        try:
            with progress("looked at", total) as bar:
                for batch in batches(chosen(reader, place), throttle.batch):
                    _ask(topology, [told_again(record) for record in batch])
                    pass_on(place, batch)
                    save(file, place)
                    bar(total - place.left)
                    throttle.wait(len(batch))
        except KeyboardInterrupt:
            click.echo(f"{place.done} records were told again; the same command goes on from there", err=True)
            raise
        finish(place)
        file.unlink(missing_ok=True)
    done(f"records told again: {place.done}", format, records=place.done, resumed=resumed)
    return exits.OK


def _retried(topology: Topology, chosen: list[Aside], format: Format, rate: int) -> int:
    """Try parked records again, through the door of `parked retry`: what was tried is settled, and not tried twice."""
    from stream.cli.progress import progress
    from stream.operate.aside import retried

    throttle = Throttle(rate)
    with progress("tried again", len(chosen)) as bar:
        for first in range(0, len(chosen), throttle.batch):
            batch = chosen[first : first + throttle.batch]
            _ask(topology, retried(batch))
            bar(first + len(batch))
            throttle.wait(len(batch))
    done(f"parked records tried again: {len(chosen)}", format, records=len(chosen), ids=[each.id for each in chosen])
    return exits.OK


def _begun(reader: Any, selection: Selection) -> Place:
    from stream.operate.replay import begin

    try:
        return begin(reader, selection)
    except LookupError as error:
        raise exits.Failed(str(error)) from None


def _ask(topology: Topology, records: list[Any]) -> None:
    from stream.engine.ask import bring

    asyncio.run(bring(topology.broker, records))


class Throttle:
    """So many a second, in batches that are a part of that."""

    def __init__(self, rate: int) -> None:
        self.batch = min(BATCH, max(1, rate // 4)) if rate else BATCH
        self._rate = rate
        self._began = time.monotonic()
        self._done = 0

    def wait(self, count: int) -> None:
        """Wait until so many more were due."""
        self._done += count
        if self._rate:
            time.sleep(max(0.0, self._began + self._done / self._rate - time.monotonic()))
