"""A rehearsal: the core over rows in memory, to see what would be written, or what rows would come of what was read.

Rows, messages and the answers of systems meet as they do in a worker, and nothing leaves this process. The clock stands
where it was put; when nothing is left to do, it goes on to the next alarm, so that what waits a minute is seen, too.

Whoever rehearses says what becomes of a command. ``granted``: the system does as it is told, so that what follows is
seen as well: a record that was created has a counterpart of its own, and a row that waited for its id goes on.
``put_off``: it is asked again later, so that rows hold what is left to be done, and a worker that takes them does it.

Whose flow a write is, is told by the offer that brought the value.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Any, TypeAlias

from msgspec import Struct

from stream.core.decide import SHARED, decide
from stream.core.flows import Flows, View
from stream.core.row import Kept, Row
from stream.core.turn import Alarm, Mail, Output, Report, Tally
from stream.model import (
    Attach,
    Command,
    Conflict,
    Message,
    Offer,
    Receipt,
    Ref,
    Rouse,
    Seen,
    Time,
    Value,
    Wake,
    type_of,
)

HORIZON = 150_000_000
"""Microseconds that the clock goes on: longer than a deletion waits for others like it."""

LATER = 300.0
"""Seconds after which what was put off is asked again: no rehearsal goes on for so long."""

Answer: TypeAlias = Callable[["Rehearsal", Ref, Command], Receipt]


class Written(Struct, kw_only=True):
    """What would become of one record: created, updated, archived or deleted."""

    ref: Ref
    kind: str
    origin: Ref = ""
    """For which record it would be created."""
    before: dict[str, Value] = {}
    after: dict[str, Value] = {}
    flows: dict[str, str] = {}
    """Per field, the flow that it would be written by; under the empty name the one of a create or a removal."""

    @property
    def fields(self) -> Iterator[str]:
        """The fields that would be others."""
        return (field for field, value in self.after.items() if value != self.before.get(field))


class Rehearsal:
    """Rows in memory, and what happens to them. Commands wait until ``work``: systems were read before."""

    def __init__(self, flows: Flows, now: Time, answer: Answer, rows: Mapping[str, Kept] | None = None) -> None:
        self.flows = flows
        self.now = now
        self.rows: dict[str, Kept] = dict(rows or {})
        self.was: dict[str, Kept | None] = {}
        """Of rows that changed, what they were at the beginning."""
        self.written: dict[Ref, Written] = {}
        self.conflicts: list[Conflict] = []
        self.reports: list[tuple[Ref, str]] = []
        self.links: dict[str, int] = {}
        self._found: frozenset[str] = frozenset()
        self._free: frozenset[str] = frozenset()
        self._answer = answer
        self._mail: deque[tuple[str, Message]] = deque()
        self._commands: deque[tuple[Ref, Command]] = deque()
        self._brought: dict[tuple[Ref, str], str] = {}
        self._made: dict[tuple[str, str], Ref] = {}
        self.alarms: dict[str, Time] = {}
        """When rows want to be woken."""
        self._due: list[tuple[Time, str]] = []
        for ref, row in self.rows.items():
            self._alarm(ref, getattr(row, "alarm", 0))
            if isinstance(row, Row):
                self._tally(type_of(ref), sum(edge.state == "linked" for edge in row.edges.values()))

    # What a worker is told

    def tell(self, ref: Ref, message: Message) -> None:
        """Bring a message to a row, and see through what rows say to each other about it."""
        self._mail.append((ref, message))
        self._talk()

    def again(self) -> None:
        """Have everything that is on its way decided anew: what is still wanted is ordered again, and so is seen."""
        for ref, row in list(self.rows.items()):
            if isinstance(row, Row):
                numbers = [edge.number for edge in row.edges.values() if edge.state == "creating"]
                numbers += [row.writing.number] if row.writing is not None else []
                for number in numbers:
                    self.tell(ref, Receipt(number=number, outcome="superseded"))

    def open(self, types: Iterable[str], *, create: bool = True) -> None:
        """These types were read completely (C1): indexes may say so, and records may be created if ``create``."""
        self._found = frozenset(types)
        self._free = self._found if create else frozenset()
        self._rouse("")
        self._talk()

    def shut(self) -> None:
        """Nothing is known to be read completely any more."""
        self._found = self._free = frozenset()

    def work(self) -> None:
        """Have commands answered, and see through all that follows."""
        while self._commands:
            ref, command = self._commands.popleft()
            receipt = self._answer(self, ref, command)
            if receipt.outcome != "stale":
                self._note(ref, command)
            self.tell(ref, receipt)

    def settle(self, horizon: Time = HORIZON) -> None:
        """Let time go on, alarm by alarm."""
        until = self.now + horizon
        self.work()
        while self._due and self._due[0][0] <= until:
            at, ref = heappop(self._due)
            if self.alarms.get(ref) == at:
                del self.alarms[ref]
                self.now = max(self.now, at)
                self.tell(ref, Wake())
                self.work()

    # What follows

    def _talk(self) -> None:
        while self._mail:
            self._turn(*self._mail.popleft())

    def _turn(self, ref: str, message: Message) -> None:
        self.now += 1
        old = self.rows.get(ref)
        counted = self._found if ref.startswith(SHARED) else self._free
        row, outputs = decide(ref, old, message, View(self.flows, counted, self.links), self.now)
        if row is not old:
            self.was.setdefault(ref, old)
            if row is None:
                del self.rows[ref]
            else:
                self.rows[ref] = row
        for output in outputs:
            self._take(ref, output)

    def _take(self, ref: str, output: Output) -> None:
        match output:
            case Mail(to=to, message=message):
                if isinstance(message, Offer | Attach):
                    fields = message.fields if isinstance(message, Offer) else message.want
                    self._brought.update(dict.fromkeys(((to, field) for field in fields), _flow(message.edge)))
                self._mail.append((to, message))
            case Command():
                self._commands.append((ref, output))
            case Conflict():
                self.conflicts.append(output)
            case Report(reason=reason, field=field):
                self.reports.append((ref, f"{field}: {reason}" if field else reason))
            case Alarm(at=at):
                self._alarm(ref, at)
            case Tally(entity=entity, links=links):
                self._tally(entity, links)
            case Rouse(entity=entity, early=early):
                self._rouse(f"{entity}:", early=early)

    def _tally(self, entity: str, links: int) -> None:
        self.links[entity] = self.links.get(entity, 0) + links

    def _alarm(self, ref: str, at: Time) -> None:
        if at:
            self.alarms[ref] = at
            heappush(self._due, (at, ref))
        else:
            self.alarms.pop(ref, None)

    def _rouse(self, prefix: str, *, early: bool = False) -> None:
        self._mail.extend((ref, Wake(early=early)) for ref in self.alarms if ref.startswith(prefix))

    # What would be written

    def _note(self, ref: Ref, command: Command) -> None:
        target = command.target or self.new(command)
        known = self.written.setdefault(target, Written(ref=target, kind=command.kind))
        if command.kind == "create":
            known.origin, known.flows[""] = ref, _flow(command.edge)
        elif command.kind != "update":
            row = self.rows[ref]
            deletion = row.deletion if isinstance(row, Row) else None
            known.kind, known.flows[""] = command.kind, _flow(deletion.edge) if deletion is not None else ""
            return
        for field, value in command.want.items():
            known.before.setdefault(field, command.base.get(field))
            known.after[field] = value
            known.flows[field] = _flow(command.edge) or self._flow_of(target, field)

    def _flow_of(self, ref: Ref, field: str) -> str:
        ends = self.flows.ends(type_of(ref)).values()
        brought = self._brought.get((ref, field), "")
        return brought or next((end.flow for end in ends if end.may_set(field)), "")

    def new(self, command: Command) -> Ref:
        """What a record that would be created is called here: one for each marker."""
        ids = f"-{len(self._made) + 1}" if self.flows.fact(command.type).integer_ids else f"new-{len(self._made) + 1}"
        return self._made.setdefault((command.type, command.marker), f"{command.type}:{ids}")


def granted(rehearsal: Rehearsal, ref: Ref, command: Command) -> Receipt:
    """A system that does as it is told, and stores what it is given as it is; unless it holds something newer."""
    rehearsal.now += 1
    now, number = rehearsal.now, command.number
    if command.kind == "create":
        fields: dict[str, Any] = dict.fromkeys(rehearsal.flows.paths[command.type]) | command.want
        marker = command.marker if rehearsal.flows.fact(command.type).marked else None
        made = Seen(fields=fields, read_at=now, updated_at=now, marker=marker)
        return Receipt(number=number, outcome="done", target=rehearsal.new(command), after=made)
    row = rehearsal.rows[ref]
    assert isinstance(row, Row)
    if row.held:
        return Receipt(number=number, outcome="stale", target=command.target, before=row.held[-1])
    if command.kind != "update":
        return Receipt(number=number, outcome="done", target=command.target, at=now)
    before = Seen(fields=dict(row.remote), read_at=now, updated_at=row.updated_at or None, revision=row.revision)
    after = Seen(fields={**row.remote, **command.want}, read_at=now, updated_at=row.updated_at or None)
    return Receipt(number=number, outcome="done", target=command.target, before=before, after=after)


def put_off(_: Rehearsal, __: Ref, command: Command) -> Receipt:
    """A system that is asked again later."""
    return Receipt(number=command.number, outcome="retry", wait=LATER, reason="asked for while rows were made anew")


def _flow(edge: str) -> str:
    return edge.rpartition("/")[0]
