"""``linkstream map``: try a flow's mapping on a record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli import exits
from stream.cli.exits import Failed
from stream.cli.shell import Format, Shell, config_option, format_option, say

if TYPE_CHECKING:
    from stream.core.flows import End, Lead
    from stream.topology import Topology


@click.group("map")
def command() -> None:
    """Try what a flow makes of a record, without touching any system.

    \b
    A record of the log, by its ref; a file; or standard input:
      linkstream map eval asana.tasks~custompms.task asana.tasks:1200000000000022
      linkstream map eval asana.tasks~custompms.task task.json --side left
    """


@command.command("eval")
@click.argument("flow")
@click.argument("record", metavar="REF|FILE|-")
@config_option
@format_option
@click.option("--side", type=click.Choice(["left", "right"]), help="Which side a file's record is of.")
@click.pass_obj
def eval_(  # one for each option
    shell: Shell, flow: str, record: str, config: Path, format: Format, side: str | None
) -> int:
    """Show what FLOW makes of a record: conditions, match values, and every field in the other side's words and back.

    The record is the last one that the log has of a REF, or JSON as the system writes it, from a file or `-`.

    Exit codes: 0 shown, 1 a value cannot be said on the other side, 2 there is no such flow, or the record is none.
    """
    topology = shell.chart(config)
    if flow not in topology.flows.flows:
        raise click.UsageError(f"found no flow {flow!r}; {', '.join(topology.flows.flows)} would be right")
    known = topology.flows.flows[flow]
    type = record.partition(":")[0] if ":" in record else (known.left if side != "right" else known.right)
    if type not in (known.left, known.right):
        raise click.UsageError(f"found {record!r}; a record of {known.left} or {known.right} would be right")
    letter = "a" if type == known.left and side != "right" else "b"
    end = topology.flows.ends(type)[f"{flow}/{letter}"]
    peer = topology.flows.ends(end.peer_type)[end.peer_edge]
    found = _evaluated(topology, end, peer, _record(topology, record))
    if format != "table":
        say(found, format)
    else:
        _print(found)
    return exits.FAILED if any(each["problem"] for each in found["fields"]) else exits.OK


def _record(topology: Topology, record: str) -> dict[str, Any]:
    """The record itself. Raises UsageError, Failed."""
    import orjson

    if ":" in record:
        return _logged(topology, record)
    try:
        data = sys.stdin.buffer.read() if record == "-" else Path(record).read_bytes()
        found = orjson.loads(data)
    except OSError as error:
        raise click.UsageError(f"{record}: {error.strerror}; a ref, a file of JSON or - would be right") from None
    except orjson.JSONDecodeError:
        raise click.UsageError(f"{record}: found no JSON; a record as its system writes it would be right") from None
    if not isinstance(found, dict):
        raise click.UsageError(f"{record}: found no object; a record as its system writes it would be right")
    return found


def _logged(topology: Topology, ref: str) -> dict[str, Any]:
    from stream.codec import decode_change
    from stream.engine.backends import open_reader
    from stream.topics import changes

    with open_reader(topology.broker) as reader:
        for each in reader.keyed(changes(ref.partition(":")[0]), ref.encode(), limit=5):
            after = decode_change(each.value).after if each.value is not None else None
            if after is not None:
                return dict(after)
    raise Failed(f"{ref}: the log has no change of it; a file with the record would be right")


def _evaluated(topology: Topology, end: End, peer: End, record: dict[str, Any]) -> dict[str, Any]:
    from stream.core.fields import SET, Observer, whole
    from stream.core.matching import normal

    type = peer.peer_type
    fields = Observer(topology.flows.paths[type])(record)
    leads = {field: end.leads_of(field) for field in fields if not (field.endswith(SET) and whole(field) == field)}
    mapped = [_field(peer, field, lead, fields[field]) for field, those in leads.items() for lead in those]
    return {
        "flow": end.flow,
        "from": type,
        "to": end.peer_type,
        "condition": _holds(end.when, fields),
        "match": [
            {"by": name, "values": [normal(fields.get(field)) for field in names]}
            for name, names in zip(end.criterion_names, end.criteria, strict=True)
        ],
        "fields": [
            {**each, "when": next((_holds(g.when, fields) for g in end.guards if g.field == each["field"]), "always")}
            for each in mapped
        ],
    }


def _holds(condition: Any, fields: dict[str, Any]) -> str:
    if condition is None:
        return "always"
    try:
        return f"{'met' if condition.holds(fields) else 'not met'}: {condition.text}"
    except ValueError as error:
        return f"not met, it cannot be told: {error}"


def _field(peer: End, field: str, lead: Lead, value: Any) -> dict[str, Any]:
    """A field there and back again; ``problem`` says why it cannot go."""
    found = {"field": field, "value": value, "peer": lead.peer, "becomes": value, "problem": "", "note": ""}
    if lead.reference is not None:
        found |= {"becomes": None, "note": f"the counterpart of {lead.reference.type}:{value} on {lead.reference.edge}"}
        return found
    try:
        found["becomes"] = value if lead.convert is None or value is None else lead.convert(value)
        ways = [back for back in peer.leads_of(lead.peer) if back.peer == field]
        for back in ways:
            again = found["becomes"]
            again = again if back.convert is None or again is None else back.convert(again)
            found["note"] = "" if again == value else f"comes back as {again!r:.80}"
    except ValueError as error:
        return found | {"becomes": None, "problem": str(error)}
    if not ways:
        found["note"] = "one way: what is typed there does not come back"
    return found


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from stream.operate.words import shown

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{found['from']} -> {found['to']}[/bold]  condition {escape(found['condition'])}")
    for each in found["match"]:
        console.print(f"  matched by {escape(each['by'])}: {escape(', '.join(each['values']) or 'nothing')}")
    table = Table("field", "value", "there", "becomes", "", box=None, pad_edge=False, header_style="bold")
    for each in found["fields"]:
        problem = f"[red]{escape(each['problem'])}[/red]" if each["problem"] else escape(each["note"])
        when = "" if each["when"] == "always" else f" [dim]{escape(each['when'])}[/dim]"
        value, becomes = escape(shown(each["value"])), escape(shown(each["becomes"]))
        table.add_row(escape(each["field"]), value, escape(each["peer"]), becomes, problem + when)
    console.print(table)
