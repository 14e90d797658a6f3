"""Everything at a glance: what the log knows and the running worker says, as plain values, and drawn for a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.table import Table

    from stream.core.row import Kept
    from stream.operate.pace import Pace
    from stream.operate.survey import Survey
    from stream.topology import Topology


async def gathered(topology: Topology, *, scan: bool = False) -> dict[str, Any]:
    """All that status knows, as plain values."""
    from stream.engine.backends import open_reader
    from stream.operate.survey import counted as added
    from stream.operate.survey import survey
    from stream.operate.table import counts_of, held_of, out_of, paused_of, resync_of, rows_of, shown

    with open_reader(topology.broker) as reader:
        counts = {} if scan else counts_of(reader)
        counted: Survey = added(counts, topology.flows) if counts else survey(_watched(rows_of(reader)), topology.flows)
        waiting = _waiting(reader, out_of(reader))
        types = {name: _read(reader, name) for name in topology.types}
        lag: dict[str, int] = {}
        moved: dict[str, int] = {}
        for each in reader.lags():
            lag[each.agent] = lag.get(each.agent, 0) + each.lag
            if each.topic.startswith(("changes.", "upserts.")):  # all that was read, and the writes that are done
                came = each.head if each.topic.startswith("changes.") else each.next
                moved[each.topic] = moved.get(each.topic, 0) + came
        kept = {name: _open(reader, name) for name in ("parked", "conflicts")}
        size = reader.size()
        held = held_of(reader)
        standing = paused_of(reader, topology.partitions)
        loss = reader.loss()
        resync = resync_of(reader)
    worker = await _worker(topology.broker)
    if worker is not None:
        types = {name: {**each, **worker["types"].get(name, {})} for name, each in types.items()}
    return {
        "worker": worker,
        "links": counted.linked,
        "in_step": counted.in_step,
        "in_step_percent": round(100 * counted.in_step / counted.linked, 2) if counted.linked else None,
        "writing": counted.writing,
        "flows": {
            name: {"linked": count.linked, "in_step": count.in_step, **count.others}
            for name, count in counted.flows.items()
        },
        "entities": counted.entities,
        "oldest": waiting[0] if waiting else None,
        "waiting": waiting,
        "types": types,
        "lag": lag,
        "moved": moved,
        "deletions_held": held,
        "paused": standing,
        "resync": resync,
        "loss": {"at": shown(loss.at), "reason": loss.reason, "recovered": shown(loss.healed)} if loss.at else None,
        "parked": kept.get("parked", 0),
        "conflicts": kept.get("conflicts", 0),
        "size": size,
    }


MOST: Final = 20_000
"""Records of a topic that are looked at one by one."""


def _open(reader: Any, topic: str) -> int:
    """How many records of ``parked`` or ``conflicts`` nobody has dealt with; of very many, how many there are."""
    from stream.operate.aside import asides

    count: int = reader.count(topic)
    return count if count > MOST else sum(not each.settled for each in asides(reader, topic))


def _watched(rows: Iterator[tuple[str, Kept]]) -> Iterator[tuple[str, Kept]]:
    """The same rows; on a terminal one sees how many there were."""
    if not sys.stderr.isatty():
        yield from rows
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("counting rows: {task.completed:,.0f}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("rows", total=None)
        for row in rows:
            progress.advance(task)
            yield row


def _waiting(reader: Any, out: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """The records that are out of step for longest, with the reason of each."""
    from stream.codec import row_of
    from stream.core.row import Row
    from stream.operate.survey import reason
    from stream.operate.table import JOIN
    from stream.operate.words import moment

    found = []
    for ref, since in out:
        row = row_of(reader.row(JOIN, ref.encode()))
        what, why = reason(row if isinstance(row, Row) else None)
        age = round(max(0.0, time.time() - since / 1e6), 1)
        found.append({"ref": ref, "what": what, "reason": why, "since": moment(since), "seconds": age})
    return found


def _read(reader: Any, name: str) -> dict[str, Any]:
    """How far an entity type has been read, by its reader's own row."""
    from stream.poll import decode_state

    data = reader.row("poll", name.encode())
    if data is None:
        return {"read_seconds_ago": None, "behind_seconds": None, "error": "", "complete": False}
    state = decode_state(data)
    ago = round(max(0.0, time.time() - state.polled_at / 1e6), 1) if state.polled_at else None
    return {"read_seconds_ago": ago, "behind_seconds": None, "error": "", "complete": state.complete}


async def _worker(url: str) -> dict[str, Any] | None:
    """What the running worker says of itself; nothing when none runs."""
    from stream.engine.ask import ask
    from stream.engine.log import EngineError

    try:
        return await ask(url, "worker", seconds=5.0)
    except EngineError:
        return None


def drawn(found: dict[str, Any], pace: Pace | None = None) -> Iterator[Table | str]:
    """All of it for a terminal, from the top: tables, and lines of rich's markup. ``pace`` adds what came lately."""
    yield from _systems(found, pace)
    flows = _table("flow", "links", "in step", "", "others")
    for name, count in found["flows"].items():
        others = ", ".join(f"{state} {n}" for state, n in count.items() if state not in ("linked", "in_step"))
        share = f"{100 * count['in_step'] / count['linked']:.4g} %" if count["linked"] else ""
        flows.add_row(_safe(name), str(count["linked"]), str(count["in_step"]), share, _safe(others))
    yield flows
    percent = "none yet" if found["in_step_percent"] is None else f"{found['in_step_percent']:g} %"
    yield (
        f"\n{found['links']} links, in step {percent}; {found['writing']} writes in flight, "
        f"{sum(found['lag'].values())} records waiting; parked {found['parked']}, conflicts {found['conflicts']}"
    )
    yield from _state(found)
    for what, pause in found["paused"].items():
        why = f" ({_safe(pause['why'])})" if pause["why"] else ""
        yield f"[yellow]{_safe(what)} is paused[/yellow] since {pause['since']}{why}"
    for name, at in found["deletions_held"].items():
        yield f"[red]{_safe(name)}: too many deletions at once[/red]; held since {at}: linkstream deletes list"
    if found["waiting"]:
        yield "\nout of step for longest (linkstream explain REF says more):"
    for each in found["waiting"]:
        what = f"{_safe(each['ref'])} [dim]{_safe(each['what'])}[/dim]"
        yield f"  {_age(each['seconds']):>6}  {what} {_safe(each['reason'])}"


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _table(*columns: str) -> Table:
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False, header_style="bold")


def _systems(found: dict[str, Any], pace: Pace | None) -> Iterator[Table | str]:
    worker = found["worker"]
    if worker is None:
        yield "[yellow]no worker runs here[/yellow]; what follows is what the log says"
    else:
        systems = _table("system", "state", "why")
        for name, system in worker["systems"].items():
            colour = "green" if system["state"] == "ok" else "red"
            systems.add_row(_safe(name), f"[{colour}]{system['state']}[/{colour}]", _safe(system["reason"]))
        yield systems
        yield ""
    types = _table("type", "records", "read", "behind", *(("in/min", "out/min") if pace else ()), "")
    for name, kind in found["types"].items():
        note = f"[red]{_safe(kind['error'])}[/red]" if kind["error"] else ""
        note = note or ("" if kind["complete"] else "[dim]not read completely yet[/dim]")
        read = f"{_age(kind['read_seconds_ago'])} ago" if kind["read_seconds_ago"] is not None else "never"
        lately = [str(pace.per_minute(f"{way}.{name}")) for way in ("changes", "upserts")] if pace else []
        records = str(found["entities"].get(name, 0))
        types.add_row(_safe(name), records, read, _age(kind["behind_seconds"]), *lately, note)
    yield types
    yield ""


def _age(seconds: float | None) -> str:
    """Seconds as people say them; nothing for what is not known."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _state(found: dict[str, Any]) -> Iterator[str]:
    """What was lost, whether it has been made good, and whether rows are telling everything anew."""
    loss, resync = found["loss"], found["resync"]
    if loss and loss["recovered"]:
        yield f"state was lost at {loss['at']}; recovered at {loss['recovered']}"
    elif loss:
        yield (
            f"[red]recovering[/red] from a loss of state at {loss['at']}: {loss['reason']}; "
            "nothing is created before everything was read anew"
        )
    if resync["left"]:
        yield f"resync: {', '.join(resync['left'])} to go"
