"""Push: commands become writes, each of them once.

A unit of commands goes through three steps. *Look*: guard reads for updates, look-ups for every create that may have
been begun before. *Note*: what is about to be done is saved, durable, in one transaction. *Write*: the calls, side by
side; then results, receipts and offsets commit together. A call whose beginning is not on record is never made, and
one that is on record is looked for before it is repeated.

Waiting for a system that is down is the endpoint's business (it pauses); this stage neither drops nor parks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from connectors.endpoint import Endpoint, Entity, Traits
from connectors.errors import BadAnswer, ConnectorError, Locked, Missing, Refused, Retry, Stale, Unsure
from connectors.trail import trail
from stream.codec import decode_command, encode
from stream.core.fields import Observer
from stream.errors import BadRecord
from stream.look_ups import (
    Doubt,
    Found,
    LookUps,
    Note,
    Repeat,
    Wait,
    begun,
    decode_note,
    encode_note,
    forgotten,
    later,
    ledger_key,
)
from stream.meters import Meters
from stream.model import Command, Order, Receipt, Seen, Time, Value, id_of
from stream.parking import park
from stream.pauses import WAIT
from stream.ports import Loss, Record, Unit
from stream.topics import MAIL, POLLS

ENDED = ("stale", "refused")
"""Outcomes after which an update or a removal is over, although nothing was written."""


class Job:
    """One command on its way through a unit."""

    __slots__ = (
        "again",
        "base",
        "before",
        "command",
        "kept",
        "ledger",
        "note",
        "receipt",
        "record",
        "since",
        "undone",
        "want",
    )

    def __init__(self, record: Record, command: Command, note: Note | None, loss: Loss) -> None:
        self.record = record
        self.command = command
        self.ledger = ledger_key(record.key, command)
        self.before = note
        """What the ledger held before this attempt."""
        self.note = note if note is not None else forgotten(command, loss)
        self.receipt: Receipt | None = None
        self.base: Entity | None = None
        self.want = command.want
        self.since: Time | None = None
        """The guard read of an earlier attempt that may have written."""
        self.kept: Note | None = None
        """What the ledger is to hold although this attempt was not made."""
        self.again = False
        """A create that was begun before: its answer may tell what the record was then, or what it is now."""
        self.undone = False
        """Surely nothing was written by this attempt: what the ledger held before stands again."""


class Push:
    """The last stage for one system."""

    def __init__(
        self,
        system: str,
        endpoint: Endpoint,
        observe: Mapping[str, Observer],
        clock: Callable[[], Time],
        *,
        paused: Callable[[str], str] = lambda _: "",
        meters: Meters | None = None,
    ) -> None:
        self._system = system
        self._paused = paused
        self._meters = meters or Meters()
        self._endpoint = endpoint
        self._observe = observe
        self._clock = clock
        self._look_ups = LookUps(endpoint, observe, clock)
        self._traits: Mapping[str, Traits] = endpoint.traits()

    async def __call__(self, unit: Unit) -> None:
        """Work a unit of commands off; of several for one record the newest.

        A row asks for a second write only when it has heard of the first: the older ones come again. Done one after the
        other, the note of the second would be kept before the receipt of the first, and a crash would lose that.
        """
        jobs: dict[bytes, Job] = {}
        for record in unit:
            try:
                command = decode_command(record.value)
            except BadRecord as error:
                park(unit, record, "VALUE_CONVERTER", error, "undecodable")
                continue
            key = ledger_key(record.key, command)
            if key not in jobs or jobs[key].command.number <= command.number:
                note = unit.get(key)
                jobs[key] = Job(record, command, decode_note(note) if note else None, unit.loss)
        if jobs:
            await self._work(unit, list(jobs.values()))

    async def _work(self, unit: Unit, jobs: list[Job]) -> None:
        await _together(self._look(job) for job in jobs)
        begun = [job for job in jobs if job.receipt is None and not self._halted(job)]
        if begun:
            for job in begun:
                assert job.note is not None
                unit.put(job.ledger, encode_note(job.note))
            await unit.save()
            await _together(self._traced(unit, job) for job in begun)
        for job in jobs:
            self._answer(unit, job)

    def _answer(self, unit: Unit, job: Job) -> None:
        receipt, record = job.receipt, job.record
        assert receipt is not None
        self._meters.writes[job.command.type, job.command.kind, receipt.outcome] += 1
        if receipt.outcome in ("done", "found"):
            target = id_of(receipt.target) if job.command.kind == "create" and receipt.target else ""
            number = max(job.command.number, 0 if job.before is None else job.before.number)  # never back
            unit.put(job.ledger, encode_note(Note(number, "done", target=target)))
        elif _ended(job.command, receipt):
            # Read again later, it would find its base by chance, and write over whatever came in between.
            unit.put(job.ledger, encode_note(Note(job.command.number, "done")))
        elif job.kept is not None:
            unit.put(job.ledger, encode_note(job.kept))
        elif job.undone:
            unit.put(job.ledger, None if job.before is None else encode_note(job.before))
        cause = f"{record.topic}/{record.partition}/{record.offset}".encode()
        unit.emit(MAIL, record.key, encode(receipt), (("cause", cause),))
        shown = receipt.after or receipt.before
        if shown is not None and shown.updated_at is None and receipt.target is not None:
            unit.emit(POLLS, job.command.type.encode(), encode(Order(ref=receipt.target)))

    # Look

    async def _look(self, job: Job) -> None:
        """Find out whether there is anything to do; leaves a receipt, or a note of what is about to be done."""
        command, note = job.command, job.note
        if note is not None and not note.target and later(note, command):
            job.receipt = Receipt(number=command.number, outcome="superseded")
            return
        if self._halted(job):
            return
        try:
            if command.kind == "create":
                await self._look_up(job)
            else:
                await self._guard(job)
        except ConnectorError as error:
            job.receipt = self._failed(job, error)

    def _halted(self, job: Job) -> bool:
        """Whether a person has paused what it would write to: also while the look waited for a system that was down."""
        why = self._paused(job.command.type)
        if why:
            job.receipt = Receipt(number=job.command.number, outcome="retry", reason=why, wait=WAIT)
        return bool(why)

    async def _guard(self, job: Job) -> None:
        """Compare the record with what the command is based on (A5, A7); a removal wants all of it as it was (D2)."""
        command, note = job.command, job.note
        assert command.target is not None
        guard_at = self._clock()
        entity = await self._endpoint.read(_short(command.type), id_of(command.target))
        seen = self._seen(command.type, entity, guard_at)
        begun = note is not None and note.number == command.number and note.state == "begun"
        before = note.before if begun and note is not None else None
        job.since = note.guard_at if begun and note is not None else None
        removal = command.kind != "update"
        open_ = {field: value for field, value in command.want.items() if seen.fields.get(field) != value}
        compared = {**seen.fields, **command.base} if removal else open_
        if any(seen.fields.get(field) != command.base.get(field) for field in compared):
            job.receipt = Receipt(
                number=command.number, outcome="stale", target=command.target, before=seen, guard_at=job.since
            )
        elif removal and before is not None and _state(before) != _state(seen):
            # It was removed and brought back, or changed meanwhile: whoever did that wants it.
            reason = "it was changed while it was being removed"
            job.receipt = Receipt(number=command.number, outcome="refused", target=command.target, reason=reason)
        elif not open_ and not removal:
            job.receipt = Receipt(
                number=command.number, outcome="done", target=command.target, before=before or seen, after=seen
            )
        else:
            job.base, job.want = entity, self._gathered(command, open_, entity)
            job.note = Note(command.number, "begun", job.since or guard_at, before or seen)

    def _gathered(self, command: Command, fields: Mapping[str, Value], entity: Entity | None) -> dict[str, Value]:
        """Fields as the system takes them: whole lists, and the parts of groups. Raises Refused."""
        try:
            return self._observe[command.type].gather(fields, {} if entity is None else entity.record)
        except ValueError as error:
            raise Refused(f"{command.type}: {error}") from None

    async def _look_up(self, job: Job) -> None:
        """Look for what an earlier attempt may have created, under whatever number (A7, C5, C11)."""
        command, traits = job.command, self._traits[_short(job.command.type)]
        if traits.create is None:
            raise Refused(f"{command.type}: records of this type cannot be created")
        now, number = self._clock(), command.number
        if job.note is None or job.note.number <= command.sure:
            job.note = begun(command, traits, now)
            return
        sought = await self._look_ups.look(command, job.note, traits)
        match sought:
            case Found(id=id, entity=entity):
                after = None if entity is None else self._seen(command.type, entity, now)
                target = f"{command.type}:{id}"
                forgotten = job.note.forgotten
                job.receipt = Receipt(number=number, outcome="found", target=target, after=after, forgotten=forgotten)
            case Wait(note=note, seconds=seconds, reason=reason):
                job.kept = note
                job.receipt = Receipt(number=number, outcome="retry", reason=reason, wait=seconds)
            case Doubt(reason=reason):
                job.receipt = Receipt(number=number, outcome="unknown", reason=reason)
            case Repeat(note=note, want=want, again=again):
                job.note, job.want, job.again = note, want, again

    # Write

    async def _traced(self, unit: Unit, job: Job) -> None:
        """Write, and have the receipt say by which requests: a system's support asks for them."""
        unit.sure()
        with trail() as asked:
            await self._write(job)
        if job.receipt is not None and (writes := tuple(str(each) for each in asked if each.writes)):
            job.receipt = replace(job.receipt, requests=writes)

    async def _write(self, job: Job) -> None:
        command = job.command
        try:
            if command.kind == "create":
                entity = await self._endpoint.create(
                    _short(command.type), self._gathered(command, job.want, None), command.marker
                )
            elif command.kind != "update":
                assert job.base is not None
                await self._endpoint.remove(_short(command.type), job.base, command.kind)
                done_at = self._clock()
                job.receipt = Receipt(number=command.number, outcome="done", target=command.target, at=done_at)
                return
            else:
                assert job.base is not None
                entity = await self._endpoint.update(_short(command.type), job.base, job.want)
        except Stale:
            await self._stale(job)
            return
        except ConnectorError as error:
            job.receipt = self._failed(job, error)
            job.undone = isinstance(error, Retry | Refused | Locked | Missing)
            if command.kind == "create" and job.note is not None and not job.undone:
                job.kept = replace(job.note, ended_at=self._clock())
            return
        job.receipt = Receipt(
            number=command.number,
            outcome="found" if job.again else "done",
            target=f"{command.type}:{entity.id}",
            before=job.note.before if job.note is not None else None,
            after=self._seen(command.type, entity, self._clock()),
            forgotten=job.again and job.note is not None and job.note.forgotten,
        )

    async def _stale(self, job: Job) -> None:
        """The record moved between guard and write: say what it holds now."""
        command, job.undone = job.command, True
        if command.target is None:
            job.receipt = Receipt(number=command.number, outcome="retry", reason="the system is of two minds")
            return
        at = self._clock()
        try:
            entity = await self._endpoint.read(_short(command.type), id_of(command.target))
        except ConnectorError as error:
            job.receipt = self._failed(job, error)
            return
        before = self._seen(command.type, entity, at)
        job.receipt = Receipt(
            number=command.number, outcome="stale", target=command.target, before=before, guard_at=job.since
        )

    def _failed(self, job: Job, error: ConnectorError) -> Receipt:
        """What the row is told of an error."""
        number, target, reason = job.command.number, job.command.target, str(error)
        match error:
            case Missing():
                return Receipt(number=number, outcome="missing", target=target, reason=reason, at=self._clock())
            case Refused(fields=fields):
                said = Observer.refused(fields, job.command.want, apart=job.command.kind == "update")
                return Receipt(number=number, outcome="refused", target=target, fields=said, reason=reason)
            case Retry(after=after):
                return Receipt(number=number, outcome="retry", target=target, reason=reason, wait=after or None)
            case Unsure() | Locked() | BadAnswer() | Stale() | _:
                return Receipt(number=number, outcome="retry", target=target, reason=reason)

    def _seen(self, type: str, entity: Entity, read_at: Time) -> Seen:
        return Seen(
            fields=self._observe[type](entity.record),
            read_at=read_at,
            updated_at=entity.updated_at,
            revision=entity.revision,
            marker=entity.marker,
            pristine=entity.pristine,
            by_us=entity.by_us,
            ahead=round((self._endpoint.clock_ahead() or 0.0) * 1e6),
        )


async def _together(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all of them, also when one fails.

    Left to themselves, the others would still be writing while the unit is worked off once more, and a create under
    way is not found yet.
    """
    for failed in await asyncio.gather(*calls, return_exceptions=True):
        if failed is not None:
            raise failed


def _ended(command: Command, receipt: Receipt) -> bool:
    """Whether a command is over although it wrote nothing: of a removal, also when there was nothing to remove."""
    ended = (*ENDED, "missing") if command.kind in ("archive", "delete") else ENDED
    return command.kind != "create" and receipt.outcome in ended


def _state(seen: Seen) -> tuple[Time | None, int | None]:
    """What a system changes with every change of a record."""
    return seen.updated_at, seen.revision


def _short(type: str) -> str:
    """The name an endpoint knows a type by."""
    return type.partition(".")[2]
