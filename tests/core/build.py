"""Builders with defaults: flows, readings, and a table of rows whose mail is delivered when a test says so."""

from __future__ import annotations

from collections import deque
from typing import Any, Literal, TypeVar

from msgspec.structs import replace

from stream.codec import bytes_of
from stream.core.decide import decide
from stream.core.flows import Flow, Flows, Pair, TypeFacts, View
from stream.core.row import Edge, Kept, Row
from stream.core.turn import Mail, Output, Report
from stream.model import Command, Conflict, Message, Outcome, Receipt, Ref, Seen

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
A, B = "a.t:1", "b.t:1"
FIELDS = tuple(Pair(left=field, right=field) for field in ("name", "x", "y"))
BY_NAME = ((("name", "name"),),)
ALL = ("a.t", "b.t", "c.t", "a.p", "b.p")
T = TypeVar("T")


def flow(  # every part of a flow has a default
    left: str = "a.t",
    right: str = "b.t",
    *,
    name: str = "f",
    create: Literal["forward", "both", "never"] = "forward",
    match: tuple[tuple[tuple[str, str], ...], ...] = BY_NAME,
    pairs: tuple[Pair, ...] = FIELDS,
    delete: Literal["keep", "archive", "delete"] = "keep",
    **more: Any,
) -> Flow:
    return Flow(name=name, left=left, right=right, create=create, match=match, pairs=pairs, delete=delete, **more)


def view(*flows: Flow, counted: tuple[str, ...] = ALL, unmarked: tuple[str, ...] = (), **more: Any) -> View:
    facts = {name: TypeFacts(rank=rank, marked=name not in unmarked, **more) for rank, name in enumerate(ALL)}
    return View(Flows(flows or (flow(),), facts), frozenset(counted))


def seen(at: float = 0, read: float | None = None, **fields: Any) -> Seen:
    """A reading; ``at`` is the record's own time of change, ``read`` when it was read, in seconds of the test."""
    about = {name: fields.pop(name) for name in ("revision", "marker", "pristine", "by_us") if name in fields}
    read_at = START + round((at if read is None else read) * SECOND)
    return Seen(fields=fields, read_at=read_at, updated_at=START + round(at * SECOND), **about)


class Table:
    """Rows under one view. What they send waits in ``mail``; ``deliver`` brings it, until nothing is left."""

    def __init__(self, given: View | None = None) -> None:
        self.view = given or view()
        self.rows: dict[Ref, Kept] = {}
        self.mail: deque[tuple[Ref, Message]] = deque()
        self.now = START
        self.out: list[Output] = []

    def tell(self, key: Ref, message: Message) -> list[Output]:
        """Bring one message to its row; the row that was there must stay as it was."""
        self.now += SECOND
        old = self.rows.get(key)
        before = None if old is None else bytes_of(old)
        row, out = decide(key, old, message, self.view, self.now)
        assert before == (None if old is None else bytes_of(old)), "decide changed the row it was given"
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row
        self.mail += [(each.to, each.message) for each in out if isinstance(each, Mail)]
        self.out += out
        return out

    def deliver(self) -> None:
        while self.mail:
            self.tell(*self.mail.popleft())

    def bring(self, key: Ref, message: Message) -> list[Output]:
        """Tell, and deliver all that follows; what went out since."""
        start = len(self.out)
        self.tell(key, message)
        self.deliver()
        return self.out[start:]

    def row(self, key: Ref) -> Row:
        row = self.rows[key]
        assert isinstance(row, Row)
        return row

    def edge(self, key: Ref, name: str) -> Edge:
        return self.row(key).edges[name]

    def right(self, key: Ref, field: str) -> Any:
        """The value that a row believes to be right."""
        cell = self.row(key).cells[field]
        return cell.newer[0] if cell.newer else self.row(key).remote[field]

    def read(self, key: Ref, at: float, **fields: Any) -> list[Output]:
        """The record is read with these fields changed."""
        return self.bring(key, seen(at, **{**self.row(key).remote, **fields}))

    def done(self, key: Ref, command: Command, at: float, **stored: Any) -> list[Output]:
        """The sink did what it was told; ``stored`` is what the system made of it, where that differs."""
        row = self.row(key)
        before = seen(0, at, **row.remote) if command.kind == "update" else None
        if before is not None:
            before = replace(before, updated_at=row.updated_at)
        fields = {**(row.remote if command.kind == "update" else {}), **command.want, **stored}
        target = command.target or B
        marker = command.marker or None
        after = seen(at, marker=marker, pristine=command.kind == "create", **fields)
        return self.bring(key, self.receipt(command, "done", target=target, before=before, after=after))

    @staticmethod
    def receipt(command: Command, outcome: Outcome, **fields: Any) -> Receipt:
        return Receipt(number=command.number, outcome=outcome, **fields)


def only(kind: type[T], out: list[Output]) -> T:
    """The one output, or message, of a kind."""
    [found] = every(kind, out)
    return found


def every(kind: type[T], out: list[Output]) -> list[T]:
    said = [each.message if isinstance(each, Mail) else each for each in out]
    return [each for each in said if isinstance(each, kind)]


def commands(out: list[Output]) -> list[Command]:
    return every(Command, out)


def conflicts(out: list[Output]) -> list[Conflict]:
    return every(Conflict, out)


def reports(out: list[Output]) -> list[str]:
    return [report.reason for report in every(Report, out)]


def linked(given: View | None = None, **fields: Any) -> Table:
    """A table with one pair that was matched by name, at rest; both records were last changed at second 10."""
    table = Table(given)
    values = {"name": "n", "x": "x0", "y": None, **fields}
    table.tell(B, seen(10, **values))
    table.tell(A, seen(10, **values))
    table.deliver()
    for key, ends in ((A, "f/a"), (B, "f/b")):
        assert table.edge(key, ends).state == "linked"
    table.now = START + 100 * SECOND
    return table


def created(**stored: Any) -> tuple[Table, Command]:
    """A table with a record that was just asked to be created."""
    table = Table(view(flow(match=())))
    command = only(Command, table.bring(A, seen(10, name="n", x="x0", y=None)))
    table.now = START + 100 * SECOND
    return table, command
