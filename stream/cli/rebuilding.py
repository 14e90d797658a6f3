"""``linkstream replay --rebuild``: rows made anew, compared with the old ones, and exchanged if a person wants it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli import exits
from stream.cli.exits import Unsafe
from stream.cli.shell import Format, say

if TYPE_CHECKING:
    from stream.operate.rebuild import Rebuilt
    from stream.topology import Topology

FEW = 10


def rebuild(topology: Topology, format: Format, limit: int, *, dry_run: bool, old_links: str | None, yes: bool) -> int:
    """Make rows anew, say how they differ, and put them in the place of the old ones. Raises Unsafe."""
    if not dry_run:
        _alone(topology)
    rebuilt = _made(topology, keep_links=old_links == "keep")
    found = _cut(rebuilt.differences(), limit)
    if format == "table":
        _print(found)
    if dry_run:
        if format != "table":
            say(found, format)
        others = found["missing"] or found["values"] or any(each["other"] for each in found["flows"].values())
        return exits.CHANGES if others else exits.OK
    _sure(rebuilt, drop=old_links == "drop", yes=yes)
    rows = asyncio.run(_switched(topology, rebuilt))
    if format != "table":
        say({**found, "switched": rows}, format)
    else:
        click.echo("the table is exchanged; start the worker: it reads all anew, and creates nothing before that")
    return exits.OK


def _alone(topology: Topology) -> None:
    from stream.engine.backends import shown, worker_on

    if who := asyncio.run(worker_on(topology.broker)):
        raise Unsafe(
            f"{shown(topology.broker)}: found a worker at work ({who}); stop all workers, run this again, and start "
            "them then (--dry-run only compares, also while they run)"
        )


def _made(topology: Topology, *, keep_links: bool) -> Rebuilt:
    from stream.cli.progress import progress
    from stream.engine.backends import open_reader
    from stream.errors import BadRecord
    from stream.operate.plan import kept
    from stream.operate.rebuild import Rebuilt
    from stream.worker import clock

    with open_reader(topology.broker) as reader:
        try:
            old = kept(reader)
        except BadRecord as error:
            click.echo(f"the old rows cannot be read, and are not compared: {error}", err=True)
            old = {}
        rebuilt = Rebuilt(topology, clock, old)
        with progress("read", None) as bar:
            try:
                rebuilt.make(reader, bar, keep_links=keep_links)
            except LookupError as error:
                raise exits.Failed(str(error)) from None
    return rebuilt


def _sure(rebuilt: Rebuilt, *, drop: bool, yes: bool) -> None:
    """See that a person wants it. Raises Unsafe."""
    missing = rebuilt.missing()
    if missing and not drop:
        some = ", ".join(f"{left} - {right}" for _, left, right in missing[:FEW])
        raise Unsafe(
            f"found {len(missing)} links that stand in the old rows alone ({some}): no mark and no match shows them, "
            "and counterparts may be created again; --old-links keep would be right, or drop to let them go"
        )
    if not yes and not (sys.stdin.isatty() and click.confirm("Put the new table in the old one's place?", err=True)):
        raise Unsafe("found nobody who said that the table is to be exchanged; --yes would be right")


async def _switched(topology: Topology, rebuilt: Rebuilt) -> int:
    from stream.cli.progress import progress
    from stream.engine.backends import log_at
    from stream.wanted import agents_of, topics_of

    log = log_at(topology.broker)
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done = rows
        bar(rows)

    try:
        log.hold()
        await log.open()
        await log.declare(topics_of(topology), topology.partitions, agents_of(topology))
        with progress("exchanged", None) as bar:
            await rebuilt.switch(log, count)
    finally:
        await log.close()
    return done


def _cut(found: dict[str, Any], limit: int) -> dict[str, Any]:
    """At most so many of what is listed, and how many there are."""
    for name in ("missing", "values"):
        found = {**found, f"{name}_count": len(found[name]), name: found[name][:limit]}
    return found


def _print(found: dict[str, Any]) -> None:
    from stream.operate.words import shown

    records = found["records"]
    click.echo(f"readings in the topics: {found['read']}, damaged: {found['damaged']}")
    click.echo(f"records: {records['old']} old, {records['new']} new, {records['carried']} from the old rows alone")
    width = max((len(name) for name in found["flows"]), default=4)
    click.echo(f"{'links'.ljust(width)}  {'old':>8}  {'new':>8}  {'missing':>8}  {'other':>8}")
    for name, each in found["flows"].items():
        click.echo(f"{name.ljust(width)}  {each['old']:>8}  {each['new']:>8}  {each['missing']:>8}  {each['other']:>8}")
    for each in found["missing"]:
        click.echo(f"missing: {each['left']} - {each['right']}  ({each['flow']})")
    for each in found["values"]:
        told = (f"{field}: {shown(value['old'])} -> {shown(value['new'])}" for field, value in each["fields"].items())
        click.echo(f"differs: {each['ref']}  {', '.join(told)}")
    for name, what in (("missing", "links"), ("values", "records")):
        if (more := found[f"{name}_count"] - len(found[name])) > 0:
            click.echo(f"... and {more} more {what}; --limit shows them")
    click.echo(f"records that would be written then: {found['writes']}")
