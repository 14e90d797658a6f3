"""The outlook: what came of a rehearsal, counted per flow, with the difference for every record.

Pure. A record that would be created is called ``new-1`` after its type, or ``-1`` where ids are numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from stream.core.row import Kept, Row
from stream.operate.words import moment, shown
from stream.rehearsal import Rehearsal, Written
from stream.standing import standing

STATES = ("alone", "waiting", "matching", "proposed", "refused", "unknown", "copy", "asking", "claiming")
"""States of an end whose record has no counterpart."""


class Ahead(Struct, kw_only=True):
    """What would happen by one flow."""

    linked: int = 0
    """Links that stood before."""
    link: int = 0
    """Records that are there and would be linked."""
    part: int = 0
    """Links that would end."""
    create: int = 0
    remove: int = 0
    write: int = 0
    """Records of which fields would be written, created ones not among them."""
    fields: int = 0
    """So many of their fields."""
    apart: dict[str, int] = {}
    """Records that would have no counterpart, by the state of their end."""


class Outlook(Struct, kw_only=True):
    """What would happen."""

    flows: dict[str, Ahead]
    written: list[Written]
    conflicts: list[dict[str, Any]]
    reports: list[dict[str, str]]

    def __bool__(self) -> bool:
        return bool(self.written) or any(flow.link or flow.part for flow in self.flows.values())


def outlook(rehearsal: Rehearsal) -> Outlook:
    """What came of a rehearsal."""
    flows = {name: Ahead() for name in rehearsal.flows.flows}
    written = [each for each in rehearsal.written.values() if each.kind != "update" or any(each.fields)]
    _links(rehearsal, flows)
    for each in written:
        whole = flows.get(each.flows.get("", ""), Ahead())
        if each.kind == "create":
            whole.create += 1
            whole.link -= 1
        elif each.kind != "update":
            whole.remove += 1
        else:
            for flow, count in Counter(each.flows[field] for field in each.fields).items():
                ahead = flows.get(flow, Ahead())
                ahead.write += 1
                ahead.fields += count
    for ahead in flows.values():
        ahead.link = max(0, ahead.link)  # one that is created and not linked yet waits for something
    conflicts = [
        {
            "ref": each.ref,
            "field": each.field,
            "lost": {"value": each.lost.value, "since": moment(each.lost.version.time)},
            "won": {"value": each.won.value, "since": moment(each.won.version.time)},
        }
        for each in rehearsal.conflicts
    ]
    reports = [{"ref": ref, "reason": reason} for ref, reason in rehearsal.reports]
    return Outlook(flows=flows, written=written, conflicts=conflicts, reports=reports)


def _links(rehearsal: Rehearsal, flows: dict[str, Ahead]) -> None:
    for name, count in standings(rehearsal.rows.items()).items():
        edge, _, state = name.rpartition(" ")
        flow = edge.rpartition("/")[0]
        if flow in flows and state in STATES:
            flows[flow].apart[state] = flows[flow].apart.get(state, 0) + count
        elif flow in flows and edge.endswith("/a") and state in {"linked", "idle"}:
            flows[flow].linked += count
    for ref, was in rehearsal.was.items():
        before, after = peers(was), peers(rehearsal.rows.get(ref))
        for name, ahead in flows.items():
            old, new = before.get(name), after.get(name)
            if old != new:
                ahead.link += new is not None
                ahead.part += old is not None
                ahead.linked += (old is not None) - (new is not None)


def peers(row: Kept | None) -> dict[str, str]:
    """Per flow on whose left a record is, who it is linked to."""
    if not isinstance(row, Row):
        return {}
    return {
        edge.rpartition("/")[0]: known.peer
        for edge, known in row.edges.items()
        if edge.endswith("/a") and known.state == "linked"
    }


def standings(rows: Iterable[tuple[str, Kept]]) -> Counter[str]:
    """How rows stand, counted by name."""
    return Counter(name for ref, row in rows for name in standing(ref, row))


def plain(outlook: Outlook, limit: int) -> dict[str, Any]:
    """The same in plain values; of the differences, at most so many."""
    return {
        "flows": {
            name: {field: getattr(ahead, field) for field in ahead.__struct_fields__}
            for name, ahead in outlook.flows.items()
        },
        "changes": len(outlook.written),
        "diff": [_plain(each) for each in outlook.written[:limit]],
        "conflicts": len(outlook.conflicts),
        "lost": outlook.conflicts[:limit],
        "set_aside": len(outlook.reports),
        "reasons": outlook.reports[:limit],
    }


def _plain(each: Written) -> dict[str, Any]:
    by = each.flows.get("") or ", ".join(sorted({each.flows[field] for field in each.fields}))
    fields = {field: {"from": each.before.get(field), "to": each.after[field]} for field in each.fields}
    return {"ref": each.ref, "what": each.kind, "flow": by, "for": each.origin, "fields": fields}


def told(found: dict[str, Any]) -> Iterator[str]:
    """The same for a person, line by line."""
    names = ("flow", "linked", "link", "part", "create", "write", "fields", "remove", "apart")
    lines = [names]
    for name, ahead in found["flows"].items():
        apart = ", ".join(f"{count} {state}" for state, count in sorted(ahead["apart"].items()))
        lines.append((name, *(str(ahead[each] or "-") for each in names[1:-1]), apart or "-"))
    width = [max(len(line[column]) for line in lines) for column in range(len(names))]
    for line in lines:
        cells = [line[0].ljust(width[0]), *(cell.rjust(width[n]) for n, cell in enumerate(line[1:-1], 1)), line[-1]]
        yield "  ".join(cells).rstrip()
    for each in found["diff"]:
        sign = {"create": "+", "update": "~"}.get(each["what"], "-")
        origin = f" for {each['for']}" if each["for"] else ""
        yield ""
        yield f"{sign} {each['ref']}{origin}  ({each['what']}, {each['flow']})"
        for field, value in each["fields"].items():
            yield f"    {field}: {shown(value['from'])} -> {shown(value['to'])}"
    if (more := found["changes"] - len(found["diff"])) > 0:
        yield f"... and {more} more; --limit shows them"
    for lost in found["lost"]:
        yield f"conflict: {lost['ref']} {lost['field']}: {shown(lost['lost']['value'])} loses to " + shown(
            lost["won"]["value"]
        )
    for reason in found["reasons"]:
        yield f"set aside: {reason['ref']}: {reason['reason']}"
