"""``linkstream tail``: what goes through a topic, in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from stream.cli.shell import Format, Shell, config_option, format_option

if TYPE_CHECKING:
    from stream.engine.reader import Reader
    from stream.ports import Record

EVERY: Final = 0.5
"""Seconds between two looks of --follow."""
PAGE: Final = 500


@click.command("tail")
@click.argument("topic")
@config_option
@format_option
@click.option("--last", "-n", default=10, show_default=True, type=click.IntRange(0), help="Records to begin with.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until interrupted.")
@click.option("--key", help="Only records of this key: a record's ref.")
@click.option("--filter", "expression", metavar="CEL", help="Only what meets it: record.kind == 'write'.")
@click.pass_obj
def command(  # noqa: PLR0913, PLR0917  # one for each option
    shell: Shell,
    topic: str,
    config: Path,
    format: Format,
    last: int,
    follow: bool,
    key: str | None,
    expression: str | None,
) -> None:
    """Show the records of a topic, decoded: what each says, and what it changes.

    A condition is CEL over `record`: its topic, partition, offset, key, kind and what (as they are printed), and value,
    the JSON of the record.

    \b
    The last changes of a type, and what comes:
      linkstream tail changes.asana.tasks -f
    Writes that were refused:
      linkstream tail links.mail -n 1000 --filter "record.value.outcome == 'refused'"
    What one row was told:
      linkstream tail links.mail --key asana.tasks:1200000000000022

    Exit codes: 0 shown, 2 there is no such topic, or the condition is none.
    """
    from stream.engine.backends import open_reader

    topology = shell.chart(config)
    wanted = _wanted(expression)
    with open_reader(topology.broker) as reader:
        known = {info.name: info for info in reader.topics()}
        if topic not in known:
            raise click.UsageError(f"found no topic {topic!r}; {', '.join(known)} would be right")
        partitions = known[topic].partitions
        found: list[Record] = []
        for partition in range(partitions):
            found += _newest(reader, topic, partition, last, key)
        found.sort(key=lambda each: (each.timestamp, each.partition, each.offset))
        show = _Shower(topology, format, wanted)
        for record in found[len(found) - last :] if last else ():
            show(record)
        places = list(known[topic].heads)
        while follow:
            for record in _after(reader, topic, places):
                if key is None or record.key == key.encode():
                    show(record)
            time.sleep(EVERY)


def _newest(reader: Reader, topic: str, partition: int, last: int, key: str | None) -> list[Record]:
    if key is not None:
        return [each for each in reader.keyed(topic, key.encode(), limit=last) if each.partition == partition]
    return reader.records(topic, partition, limit=last, newest_first=True) if last else []


def _after(reader: Reader, topic: str, places: list[int]) -> Iterator[Record]:
    """What came since, in every partition; moves the places on."""
    for partition, place in enumerate(places):
        for record in reader.records(topic, partition, start=place, limit=PAGE):
            places[partition] = record.offset + 1
            yield record


def _wanted(expression: str | None) -> Callable[[dict[str, Any]], bool]:
    """The condition as a function of a record's plain values. Raises UsageError."""
    if expression is None:
        return lambda _: True
    from connectors.fields import ABSENT, pick
    from stream.configuration.conditions import condition

    try:
        compiled = condition(expression)
    except ValueError as error:
        raise click.UsageError(f"--filter: {error}") from None

    def holds(record: dict[str, Any]) -> bool:
        fields = {path: pick(record, path) for path in compiled.reads}
        try:
            return compiled.holds({path: None if value is ABSENT else value for path, value in fields.items()})
        except ValueError:
            return False  # it cannot be told of such a record

    return holds


class _Shower:
    """Prints records one after the other, those that are wanted."""

    def __init__(self, topology: Any, format: Format, wanted: Callable[[dict[str, Any]], bool]) -> None:
        from stream.operate.words import Teller

        self._tell = Teller(topology.flows.paths)
        self._format = format
        self._wanted = wanted

    def __call__(self, record: Record) -> None:
        from stream.operate.words import moment, plain

        said = self._tell(record)
        told = {
            "at": moment(record.timestamp * 1000),
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": record.key.decode(errors="replace"),
            "kind": said.kind,
            "what": said.what,
            "lines": list(said.lines),
            "value": plain(record.value),
        }
        if not self._wanted(told):
            return
        if self._format != "table":
            import json

            click.echo(json.dumps(told, ensure_ascii=False, default=str))
            return
        click.echo(f"{told['at']}  {record.partition}/{record.offset}  {told['key']}  {said.kind}: {said.what}")
        for line in said.lines:
            click.echo(f"    {line}")
