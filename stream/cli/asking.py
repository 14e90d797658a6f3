"""How commands change something: they ask the worker, which alone writes; with none, they write themselves.

Every order is a record of a topic, so it is kept, works while the worker runs and when it does not, and is seen by
``explain``. Records that belong together are published at once; many megabytes of them in pieces, in their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli.exits import Failed, Unsafe
from stream.cli.shell import Format, say

if TYPE_CHECKING:
    from stream.engine.log import Outgoing
    from stream.topology import Topology


def publish(topology: Topology, records: Sequence[Outgoing]) -> None:
    """Bring records to the log. Raises EngineError, also for a log that is none: nothing is made of it."""
    from stream.engine.ask import bring
    from stream.engine.backends import open_reader

    with open_reader(topology.broker) as reader:
        missing = {record.topic for record in records} - {info.name for info in reader.topics()}
    if missing:
        raise Failed(f"{', '.join(sorted(missing))}: found no such topic in the log; linkstream run creates it")
    if records:
        asyncio.run(bring(topology.broker, records))


def done(text: str, format: Format, **facts: Any) -> None:
    """Say what was done."""
    if format == "table":
        click.echo(text)
    else:
        say({"done": text, **facts}, format)


def several(count: int, most: int, what: str, *, sure: bool) -> None:
    """Refuse to do much at once without being told twice. Raises Unsafe."""
    if count > most and not sure:
        raise Unsafe(f"found {count} {what}; at most {most} at once would be right, or --yes for all of them")
