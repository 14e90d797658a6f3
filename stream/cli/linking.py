"""The commands of ``linkstream links`` that find records, and that link and part them as a person says."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click
from msgspec import Struct, structs

from stream.cli import exits
from stream.cli.asking import done, publish, several
from stream.cli.exits import Failed
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from stream.core.flows import Flow
    from stream.core.row import Row
    from stream.engine.log import Outgoing
    from stream.engine.reader import Reader
    from stream.topology import Topology

COLUMNS = ["flow", "left", "right"]
MOST = 100
"""Links that are made at once without being told twice."""


C = TypeVar("C", bound=Callable[..., Any])


def two_records(command: C) -> C:
    """Add what names two records and the flow between them."""
    for each in (
        click.option("--flow", help="The flow, where several are between the two types."),
        format_option,
        config_option,
        click.argument("peer"),
        click.argument("ref"),
    ):
        command = each(command)
    return command


class Wanted(Struct, frozen=True):
    """Two records and the flow between them, left side first."""

    flow: str
    left: str
    right: str


@click.command("find")
@click.argument("text")
@config_option
@format_option
@click.option("--type", "kind", help="Only records of this entity type.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.pass_obj
def find(  # one for each option
    shell: Shell, text: str, config: Path, format: Format, kind: str | None, limit: int
) -> int:
    """Find records by what stands in a field or in their id, with their counterparts; capitals do not matter.

    \b
      linkstream links find "fjord"

    Exit codes: 0 found, 1 nothing has this.
    """
    from stream.engine.backends import open_reader
    from stream.operate.search import search

    topology = shell.chart(config)
    if kind is not None and kind not in topology.types:
        raise click.UsageError(f"found no entity type {kind!r}; {', '.join(topology.types)} would be right")
    with open_reader(topology.broker) as reader:
        found = list(islice(search(reader, text, [kind] if kind else topology.types), limit))
    if format != "table":
        say([structs.asdict(each) for each in found], format)
        return exits.OK if found else exits.FAILED
    for each in found:
        peers = "".join(f" = {peer}" for peer in each.peers)
        click.echo(f"{each.ref}{peers}" + (f"  {each.field}: {each.value}" if each.field else ""))
    if not found:
        click.echo(f"no record has {text!r} in its id or in a field that a flow names")
    return exits.OK if found else exits.FAILED


@click.command("set")
@two_records
@click.pass_obj
def set_(  # one for each option
    shell: Shell, ref: str, peer: str, config: Path, format: Format, flow: str | None
) -> None:
    """Link two records: they are one and the same thing, whatever they match by.

    From then on they are kept in step; of values that differ the later edit wins. A record that is linked to another
    one has to be unlinked first.

    \b
      linkstream links set asana.tasks:22 custompms.task:7

    Exit codes: 0 told, 1 one of them is not known, or is linked already, 2 no flow is between the two types.
    """
    topology = shell.chart(config)
    wanted = _between(topology, ref, peer, flow)
    order = _pairing(topology, wanted)
    if isinstance(order, str):
        raise Failed(order)
    publish(topology, [order] if order else [])
    done(f"{wanted.left} and {wanted.right}: {'told to link' if order else 'are linked'}", format, **_plain(wanted))


@click.command("unlink")
@click.argument("ref")
@config_option
@format_option
@click.option("--from", "peer", metavar="REF", help="Its counterpart, where it has several.")
@click.pass_obj
def unlink(shell: Shell, ref: str, config: Path, format: Format, peer: str | None) -> None:
    """End a link: both records stay as they are, and nothing goes between them any more.

    They are linked again only by `links set`; to let each find another counterpart, say `links never`.

    \b
      linkstream links unlink asana.tasks:22 --from custompms.task:7

    Exit codes: 0 told, 1 it has no such link, or several.
    """
    from stream.model import Part

    topology = shell.chart(config)
    edges = {name: edge for name, edge in _row(topology, ref).edges.items() if edge.state == "linked"}
    chosen = {name: edge for name, edge in edges.items() if peer in (None, edge.peer)}
    if len(chosen) != 1:
        some = ", ".join(edge.peer for edge in edges.values()) or "none"
        raise Failed(f"{ref}: found {len(chosen)} such links (it is linked to: {some}); --from one of them is right")
    [(name, edge)] = chosen.items()
    publish(topology, [_mail(ref, Part(edge=name, peer=edge.peer))])
    done(f"{ref} and {edge.peer}: told to part", format, ref=ref, peer=edge.peer, edge=name)


@click.command("never")
@two_records
@click.pass_obj
def never(  # one for each option
    shell: Shell, ref: str, peer: str, config: Path, format: Format, flow: str | None
) -> None:
    """Never link two records, although they match; each may find another counterpart. Ends the link if there is one.

    Only `links set` links them again.

    \b
      linkstream links never asana.tasks:22 custompms.task:7

    Exit codes: 0 told, 1 one of them is not known, 2 no flow is between the two types.
    """
    from stream.model import Part

    topology = shell.chart(config)
    wanted = _between(topology, ref, peer, flow)
    for each in (wanted.left, wanted.right):
        _row(topology, each)
    left = Part(edge=f"{wanted.flow}/a", peer=wanted.right, never=True)
    right = Part(edge=f"{wanted.flow}/b", peer=wanted.left, never=True)
    publish(topology, [_mail(wanted.left, left), _mail(wanted.right, right)])
    done(f"{wanted.left} and {wanted.right}: never again", format, **_plain(wanted))


@click.command("export")
@config_option
@click.option("--flow", help="Only this flow.")
@click.pass_obj
def export(shell: Shell, config: Path, flow: str | None) -> None:
    """Print all links as CSV: flow, left, right. `links import` reads it again.

    \b
      linkstream links export > links.csv
    """
    from stream.engine.backends import open_reader
    from stream.operate.survey import links
    from stream.operate.table import rows_of

    topology = shell.chart(config)
    if flow is not None and flow not in topology.flows.flows:
        raise click.UsageError(f"found no flow {flow!r}; {', '.join(topology.flows.flows)} would be right")
    write = csv.writer(sys.stdout, lineterminator="\n").writerow
    write(COLUMNS)
    with open_reader(topology.broker) as reader:
        for link in links(rows_of(reader)):
            if link.side == "a" and link.state == "linked" and flow in (None, link.flow):
                write([link.flow, link.ref, link.peer])


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@config_option
@format_option
@click.option("--dry-run", is_flag=True, help="Say what would be linked; do nothing. Exit code 10 if there is any.")
@click.option("--yes", is_flag=True, help="Also more than a hundred at once.")
@click.pass_obj
def import_(  # one for each option
    shell: Shell, file: Path, config: Path, format: Format, dry_run: bool, yes: bool
) -> int:
    """Link the pairs of a CSV file with the columns flow, left and right, as `links export` prints it.

    All lines are checked first: if one cannot be linked, nothing is.

    \b
      linkstream links import links.csv --dry-run
      linkstream links import links.csv

    Exit codes: 0 told, 1 a line is wrong, 4 too many at once, 10 --dry-run found some.
    """
    topology = shell.chart(config)
    orders, problems = [], []
    for number, wanted in _lines(file):
        try:
            known = _between(topology, wanted.left, wanted.right, wanted.flow)
            order = _pairing(topology, known)
        except (click.UsageError, Failed) as error:
            order = str(error)
        if isinstance(order, str):
            problems.append(f"{file}:{number}: {order}")
        elif order is not None:
            orders.append(order)
    if problems:
        raise Failed("\n".join([*problems, f"{len(problems)} lines cannot be linked; nothing was done"]))
    if not dry_run:
        several(len(orders), MOST, "new links", sure=yes)
        publish(topology, orders)
    done(f"{len(orders)} {'would be' if dry_run else 'are told to be'} linked", format, links=len(orders))
    return exits.CHANGES if dry_run and orders else exits.OK


def _lines(file: Path) -> Iterator[tuple[int, Wanted]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            lines = list(csv.reader(opened))
    except (UnicodeDecodeError, csv.Error):
        raise Failed(f"{file}: found no CSV; a file with the columns flow,left,right would be right") from None
    if not lines or lines[0] != COLUMNS:
        raise Failed(f"{file}:1: found {','.join(lines[0]) if lines else 'nothing'}; flow,left,right would be right")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(COLUMNS):
            raise Failed(f"{file}:{number}: found {len(line)} columns; three would be right")
        yield number, Wanted(*line)


def _between(topology: Topology, ref: str, peer: str, flow: str | None) -> Wanted:
    """The flow between two records, left one first. Raises UsageError."""
    types = (ref.partition(":")[0], peer.partition(":")[0])
    flows = [each for each in topology.flows.flows.values() if {each.left, each.right} == set(types)]
    if flow is not None:
        flows = [each for each in flows if each.name == flow]
    if len(flows) != 1:
        names = ", ".join(each.name for each in flows) or "none"
        raise click.UsageError(
            f"found flows between {types[0]} and {types[1]}: {names}; one, or --flow, would be right"
        )
    found: Flow = flows[0]
    return Wanted(found.name, ref, peer) if found.left == types[0] else Wanted(found.name, peer, ref)


def _pairing(topology: Topology, wanted: Wanted) -> Outgoing | str | None:
    """The order that links two records; nothing if they are linked, or a text why it cannot be."""
    from stream.core.orders import FREE
    from stream.model import Pair

    left, right = (_row(topology, each) for each in (wanted.left, wanted.right))
    mine, theirs = left.edges.get(f"{wanted.flow}/a"), right.edges.get(f"{wanted.flow}/b")
    for ref, edge in ((wanted.left, mine), (wanted.right, theirs)):
        if edge is not None and edge.state not in FREE and edge.peer not in (wanted.left, wanted.right):
            return f"{ref}: is {edge.state} {edge.peer}".rstrip() + "; linkstream links unlink would come first"
    if mine is not None and mine.state == "linked":
        return None
    return _mail(wanted.left, Pair(edge=f"{wanted.flow}/a", peer=wanted.right))


def _row(topology: Topology, ref: str) -> Row:
    from stream.codec import row_of
    from stream.core.row import Row as Entity
    from stream.engine.backends import open_reader
    from stream.operate.table import JOIN

    reader: Reader
    with open_reader(topology.broker) as reader:
        row = row_of(reader.row(JOIN, ref.encode()))
    if not isinstance(row, Entity):
        raise Failed(f"{ref}: nothing is known of it; `linkstream links find` and `links list` show what is")
    return row


def _mail(ref: str, message: Any) -> Outgoing:
    from stream.codec import encode
    from stream.engine.log import Outgoing
    from stream.topics import MAIL

    return Outgoing(MAIL, ref.encode(), encode(message))


def _plain(wanted: Wanted) -> dict[str, str]:
    return {"flow": wanted.flow, "left": wanted.left, "right": wanted.right}


COMMANDS = (find, set_, unlink, never, export, import_)
