"""``linkstream links``: who is linked to whom, and how a record stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import rich_click as click

from stream.cli import exits
from stream.cli.asking import done, publish
from stream.cli.exits import Failed
from stream.cli.linking import COMMANDS
from stream.cli.shell import Format, Shell, config_option, format_option, say
from stream.core.row import State

if TYPE_CHECKING:
    from stream.core.row import Cell, Row
    from stream.operate.audit import Finding
    from stream.operate.survey import Link
    from stream.topology import Topology


@click.group("links")
def command() -> None:
    """List links, show how one record stands, link and part records; works while the worker runs.

    \b
    All links of a flow that are not in step:
      linkstream links list --flow asana.tasks~custompms.task --not-in-step
    One record, field by field:
      linkstream links show asana.tasks:1200000000000022
    What stands twice, or waits for a person:
      linkstream links check --live
    These two are one thing; these two are not:
      linkstream links set asana.tasks:22 custompms.task:7
      linkstream links never asana.tasks:22 custompms.task:8
    """


@command.command("list")
@config_option
@format_option
@click.option("--flow", help="Only this flow.")
@click.option("--type", "kind", help="Only records of this entity type, such as asana.tasks.")
@click.option("--state", type=click.Choice(get_args(State)), help="Only this state.")
@click.option("--not-in-step", is_flag=True, help="Only what is not linked and in step.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.pass_obj
def list_(  # noqa: PLR0913, PLR0917  # one for each option
    shell: Shell,
    config: Path,
    format: Format,
    flow: str | None,
    kind: str | None,
    state: str | None,
    not_in_step: bool,
    limit: int,
) -> None:
    """List links, one line each; a record that has none yet stands alone with its reason."""
    topology = shell.chart(config)
    _known(flow, topology.flows.flows, "flow")
    _known(kind, topology.types, "entity type")
    found: list[Link] = []
    more = False
    for link in _links(topology, f"{kind}:" if kind else ""):
        if (flow is None or link.flow == flow) and (state is None or link.state == state):
            if (not_in_step and link.in_step) or (link.side == "b" and link.state == "linked" and kind is None):
                continue
            if len(found) == limit:
                more = True
                break
            found.append(link)
    if format != "table":
        names = ("flow", "side", "ref", "peer", "state", "in_step", "reason")
        say([{name: getattr(link, name) for name in names} for link in found], format)
        return
    if not found:
        click.echo("no such links" if flow or kind or state or not_in_step else "no links yet")
        return
    _print_list(found)
    if more:
        click.echo(f"... more than {limit}; --limit shows more")


def _known(name: str | None, known: Any, what: str) -> None:
    if name is not None and name not in known:
        raise click.UsageError(f"found no {what} {name!r}; {', '.join(known)} would be right")


def _links(topology: Topology, prefix: str) -> Iterator[Link]:
    from stream.engine.backends import open_reader
    from stream.operate.survey import links
    from stream.operate.table import rows_of

    with open_reader(topology.broker) as reader:
        yield from links(rows_of(reader, prefix))


def _print_list(found: list[Link]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("record", "", "counterpart", "flow", "state", box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"  # a ref that is cut cannot be looked up
    for link in found:
        colour = "green" if link.in_step else "yellow"
        state = f"[{colour}]{'in step' if link.in_step else link.state}[/{colour}]"
        reason = f" [dim]{escape(link.reason)}[/dim]" if link.reason else ""
        arrow = "=" if link.state == "linked" else "-"
        table.add_row(escape(link.ref), arrow, escape(link.peer), escape(link.flow), state + reason)
    Console(highlight=False).print(table)


@command.command("show")
@config_option
@format_option
@click.argument("ref")
@click.pass_obj
def show(shell: Shell, config: Path, format: Format, ref: str) -> None:
    """Show one record: its counterparts, and per field the value, since when it holds, and where it was typed.

    REF is system.type:id, as `links list` prints it.
    """
    topology = shell.chart(config)
    row = _row(topology, ref)
    found = {
        "ref": ref,
        "links": [
            {"edge": name, "state": edge.state, "peer": edge.peer, "reason": edge.reason}
            for name, edge in row.edges.items()
        ],
        "fields": [_field(ref, row, name) for name in sorted(row.remote)],
        "writing": row.writing is not None,
        "gone": bool(row.gone_at),
    }
    if format != "table":
        say(found, format)
    else:
        _print_row(found)


def _row(topology: Topology, ref: str) -> Row:
    from stream.codec import row_of
    from stream.core.row import Row as Entity
    from stream.engine.backends import open_reader
    from stream.operate.table import JOIN

    with open_reader(topology.broker) as reader:
        row = row_of(reader.row(JOIN, ref.encode()))
    if not isinstance(row, Entity):
        raise Failed(f"{ref}: nothing is known of it; `linkstream links list` shows what is")
    return row


def _field(ref: str, row: Row, name: str) -> dict[str, Any]:
    cell: Cell | None = row.cells.get(name)
    remote = row.remote.get(name)
    if cell is None:
        return {"field": name, "value": remote, "shown": remote, "since": None, "author": None, "note": ""}
    return {
        "field": name,
        "value": cell.newer[0] if cell.newer else remote,
        "shown": remote,
        "since": _time(cell.version.time),
        "author": (cell.author or ref) if cell.version.time >= 0 else None,
        "note": row.notes.get(name, "") or ("to be written" if cell.carried is not None else ""),
    }


def _time(time: int) -> str | None:
    return datetime.fromtimestamp(time / 1e6, UTC).isoformat(timespec="milliseconds") if time >= 0 else None


def _print_row(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"[bold]{escape(found['ref'])}[/bold]" + (" [red]gone[/red]" if found["gone"] else ""))
    for link in found["links"]:
        console.print(f"  {escape(link['edge'])}  {link['state']}  {escape(link['peer'])}  {escape(link['reason'])}")
    table = Table("field", "value", "since", "typed at", "note", box=None, pad_edge=False, header_style="bold")
    for field in found["fields"]:
        value = json.dumps(field["value"], ensure_ascii=False)
        if field["shown"] != field["value"]:
            value += f" [dim](shown: {escape(json.dumps(field['shown'], ensure_ascii=False))})[/dim]"
        else:
            value = escape(value)
        table.add_row(
            escape(field["field"]), value, field["since"] or "", escape(field["author"] or ""), escape(field["note"])
        )
    console.print(table)


@command.command("check")
@config_option
@format_option
@click.option("--live", is_flag=True, help="Also read every record of the systems, and compare their markers.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.pass_obj
def check(shell: Shell, config: Path, format: Format, live: bool, limit: int) -> int:
    """Look for what stands twice, what is linked to nothing that knows of it, and what waits for a person.

    Without --live the table alone is read: creates in doubt, copies, refusals, links that only one record knows of,
    records with one match value of which one is linked, and places of creates that nobody makes. With --live the
    systems are read, too: two records with one marker, and markers whose origin has no link to them. Writes nothing.

    Exit codes: 0 nothing was found, 1 something was found.
    """
    topology = shell.topology(config) if live else shell.chart(config)
    found: list[Finding] = []
    more = False
    for finding in _findings(topology, live=live):
        if len(found) == limit:
            more = True
            break
        found.append(finding)
    if format != "table":
        names = ("kind", "refs", "edge", "what", "do")
        say([{name: getattr(one, name) for name in names} for one in found], format)
    else:
        for one in found:
            click.echo(f"{one.kind}: {', '.join(one.refs)}{f' on {one.edge}' if one.edge else ''}: {one.what}")
            click.echo(f"    {one.do}")
        click.echo(f"... more than {limit}; --limit shows more" if more else f"{len(found) or 'nothing'} found")
    return exits.FAILED if found else exits.OK


def _findings(topology: Topology, *, live: bool) -> Iterator[Finding]:
    from stream.codec import row_of
    from stream.core.row import Row as Entity
    from stream.engine.backends import open_reader
    from stream.operate.audit import audit
    from stream.operate.table import JOIN, rows_of

    with open_reader(topology.broker) as reader:

        def get(ref: str) -> Row | None:
            row = row_of(reader.row(JOIN, ref.encode()))
            return row if isinstance(row, Entity) else None

        yield from audit(rows_of(reader), get, topology.flows)
        if live:
            yield from _live(topology, get)


def _live(topology: Topology, get: Any) -> Iterator[Finding]:
    """Read every type that can carry markers to its end, page by page."""
    import asyncio

    from stream.operate import audit
    from stream.worker import opened

    async def close() -> None:
        for endpoint in endpoints.values():
            await endpoint.close()

    with asyncio.Runner() as runner:
        endpoints = opened(topology)
        try:
            for name, polled in topology.types.items():
                endpoint, kind, cursor = endpoints[polled.system], name.partition(".")[2], None
                while endpoint.traits()[kind].marked:
                    page = runner.run(endpoint.page(kind, cursor))
                    yield from audit.live(name, page.entities, get)
                    cursor = page.cursor
                    if not page.more:
                        break
        finally:
            runner.run(close())


@command.command("decide")
@config_option
@format_option
@click.argument("ref")
@click.argument("edge")
@click.option("--is", "peer", metavar="REF", help="This record was created for it.")
@click.option("--none", is_flag=True, help="None was created: create one.")
@click.pass_obj
def decide(  # noqa: PLR0913, PLR0917  # one for each option
    shell: Shell, config: Path, format: Format, ref: str, edge: str, peer: str | None, none: bool
) -> None:
    """Say what became of a create in doubt, after looking into the system.

    REF is the record that wants a counterpart, EDGE the end of the flow, both as `links check` prints them.

    \b
      linkstream links decide asana.tasks:22 asana.tasks~crm.task/a --is crm.task:7
      linkstream links decide asana.tasks:22 asana.tasks~crm.task/a --none
    """
    topology = shell.chart(config)
    if (peer is None) == (not none):
        raise click.UsageError("found neither --is nor --none, or both; one of them would be right")
    known = _row(topology, ref).edges.get(edge)
    if known is None or known.state != "unknown":
        raise Failed(f"{ref}: found nothing in doubt on {edge!r}; `linkstream links check` shows what is")
    end = topology.flows.ends(ref.partition(":")[0])[edge]
    if peer is not None and not peer.startswith(f"{end.peer_type}:"):
        raise click.UsageError(f"--is: found {peer!r}; {end.peer_type}:<id> would be right")
    from stream.codec import encode
    from stream.engine.log import Outgoing
    from stream.model import Decide
    from stream.topics import MAIL

    publish(topology, [Outgoing(MAIL, ref.encode(), encode(Decide(edge=edge, peer=peer or "")))])
    done(f"{ref}: told; it links to {peer}" if peer else f"{ref}: told; it is created", format, ref=ref, peer=peer)


for each in COMMANDS:
    command.add_command(each)
