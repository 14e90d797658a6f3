"""What ``pause`` and ``resume`` share: the order, in every partition of ``polls``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import rich_click as click

from stream.cli.asking import done, publish
from stream.cli.exits import Failed
from stream.cli.shell import Format

if TYPE_CHECKING:
    from stream.topology import Topology


def order(topology: Topology, what: str, format: Format, *, on: bool, why: str = "") -> None:
    """Pause something, or have it go on. Raises UsageError for what is not there, Failed for what is not paused."""
    from stream.engine.backends import open_reader
    from stream.operate.orders import holding, pausable
    from stream.operate.table import paused_of
    from stream.pauses import FLOW

    if not pausable(topology, what) and what in topology.flows.flows:
        what = FLOW + what
    if not pausable(topology, what):
        known = ", ".join([*topology.systems, *topology.types, *topology.flows.flows])
        raise click.UsageError(f"found {what!r}; one of {known} would be right")
    with open_reader(topology.broker) as reader:
        standing = paused_of(reader, topology.partitions)
        waiting = any(lag.lag for lag in reader.lags() if lag.agent == "poll")
    if not on and what not in standing and not waiting:
        named = ", ".join(standing) or "nothing is"
        raise Failed(f"{what}: found it not paused; {named} paused")
    publish(topology, holding(topology, what, time.time_ns() // 1000, on=on, why=why))
    done(f"{what}: {'is paused' if on else 'goes on'}", format, what=what, paused=on)
