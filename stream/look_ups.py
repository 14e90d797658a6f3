"""Look-ups: was it created already? What a create that was begun before has become, as far as anybody can tell.

The ledger holds one note for each origin and flow. A note that says "begun" means that a call may have been made, and
may have made a record; how that is found out is the entity type's create class (``Traits.create``):

    1  the system keeps one record per marker: look, so that nothing typed since is overwritten; else create again
    2  the system remembers a key: ask for the same again, while it does; after that as 3 or 5, or nobody can tell
    3  look for the marker, and believe that it is not there once no request of then can arrive any more (``late``)
    4  the same, and it would surely be found by now (``settle`` after the latest arrival)
    5  list what was created since: one record with all that was asked for is ours, none at all means that none was
       made. Anything else is in doubt (C11), and a person decides: posting again made a second record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct, msgpack
from msgspec.structs import replace

from connectors.endpoint import KEYED, UPSERTED, Endpoint, Entity, Traits
from connectors.errors import Missing
from stream.core.fields import Observer
from stream.core.matching import normal
from stream.model import Command, Seen, Time, Value
from stream.ports import Loss

CALL = 120_000_000
"""Microseconds for which one call may be on its way; a key that ends sooner is not relied on."""

SLACK = 300_000_000
"""Microseconds by which a system's clock may trail ours besides what is known of it, when we ask for what is new."""

DAY = 86_400_000_000

SHOWN = 5
"""Candidates that are named to a person."""


class Note(Struct, frozen=True, array_like=True, omit_defaults=True):
    """What the ledger holds of the latest command for one record, or of one create."""

    number: int
    state: Literal["begun", "done"]
    guard_at: Time = 0
    """When it was looked at before the first attempt; under a key, when that was first used."""
    before: Seen | None = None
    """The first attempt's pre-image."""
    target: str = ""
    """The id of the record that was created."""
    ended_at: Time = 0
    """When the latest attempt was over at the latest: its call was given up, or its process was found dead."""
    want: dict[str, Value] | None = None
    """What was asked for under a key; asked for anything else under it, the system would refuse."""
    forgotten: bool = False
    """It stands for a create that was lost with the log, perhaps: nobody knows what that one asked for."""


encode_note = msgpack.Encoder().encode
decode_note = msgpack.Decoder(Note).decode


def ledger_key(key: bytes, command: Command) -> bytes:
    """Where the ledger keeps a command: per target record, and per origin and flow for a create."""
    return b"create:" + command.edge.encode() + b"|" + key if command.kind == "create" else key


def begun(command: Command, traits: Traits, now: Time) -> Note:
    """The note of a create that is about to be made for the first time."""
    return Note(command.number, "begun", now, want=dict(command.want) if traits.create == KEYED else None)


def forgotten(command: Command, loss: Loss) -> Note | None:
    """The note of a create that was lost with the log, perhaps: what was created since then is looked for first.

    In the earlier life the same create may have been made, its number and note forgotten with everything else. It is
    known by its marker when all was read anew (C6), but for a request that was on its way, for records that carry none,
    and for one that was read before its origin. After a day all have been read, or nothing will tell any more. What
    that create asked for only a command from before the loss still says (C8). What a person decided after the loss is
    not asked again: whoever said "none" was asked the same at every attempt, for a day.
    """
    if command.kind != "create" or not loss.at or command.sure > loss.at or command.number > loss.at + DAY:
        return None
    since, known = min(command.number, loss.since), command.number <= loss.since
    return Note(command.number, "begun", since, ended_at=loss.at, forgotten=not known)


def later(note: Note, command: Command) -> bool:
    """Whether the ledger is past a command already (A10)."""
    return command.number < note.number or (command.number == note.number and note.state == "done")


class Found(Struct, frozen=True):
    """The record that it made, or had made; without what it holds if it was deleted since."""

    id: str
    entity: Entity | None = None


class Wait(Struct, frozen=True):
    """Nothing is there yet; the ledger is to hold the note meanwhile."""

    note: Note
    seconds: float
    reason: str


class Doubt(Struct, frozen=True):
    """Nobody can tell."""

    reason: str


class Repeat(Struct, frozen=True):
    """Make the call: nothing was made, or the system sees to it that it is made once."""

    note: Note
    want: dict[str, Value]
    again: bool = False


Sought: TypeAlias = Found | Wait | Doubt | Repeat


class LookUps:
    """The look-ups of one system."""

    def __init__(self, endpoint: Endpoint, observe: Mapping[str, Observer], clock: Callable[[], Time]) -> None:
        self._endpoint = endpoint
        self._observe = observe
        self._clock = clock

    async def look(  # noqa: PLR0911 - one for each answer there is
        self, command: Command, note: Note, traits: Traits
    ) -> Sought:
        """Say what became of the create that a note tells of. Raises as the endpoint does."""
        type, now = command.type.partition(".")[2], self._clock()
        again = Repeat(begun(command, traits, now), command.want)
        if note.target:
            try:
                return Found(note.target, await self._endpoint.read(type, note.target))
            except Missing:  # it was deleted since: a new command makes another one, the old one said again does not
                return Found(note.target) if later(note, command) else again
        if traits.create == KEYED and now + CALL < note.guard_at + traits.idempotent_for * 1e6:
            want = command.want if note.want is None else note.want
            return Repeat(replace(note, number=command.number, ended_at=0), want, again=True)
        found = await self._endpoint.find(type, command.marker, self._since(note)) if traits.marked else ()
        if found:
            return Found(found[0].id, found[0])
        if traits.create == UPSERTED:
            return again
        if traits.look_up == "none":
            return _doubt("nothing marks its record, and this system does not list what is new")
        note = note if note.ended_at else replace(note, ended_at=now)
        left = traits.late + traits.settle - (now - note.ended_at) / 1e6
        if left > 0:
            return Wait(note, left, f"{command.type}: an earlier create was not answered; its record may still appear")
        return again if traits.marked else await self._resembling(command, note) or again

    def _since(self, note: Note) -> Time:
        """The earliest time that the system may have dated the record with; its clock may trail ours."""
        behind = max(0.0, -(self._endpoint.clock_ahead() or 0.0))
        return max(0, note.guard_at - SLACK - round(behind * 1e6))

    async def _resembling(self, command: Command, note: Note) -> Sought | None:
        """The one record made since that holds all that was asked for; if it is not clear which, a person decides."""
        made = await self._endpoint.recent(command.type.partition(".")[2], self._since(note))
        ours = [each for each in made if not (each.pristine and each.by_us is False)]
        observe = self._observe[command.type]
        same = [each for each in ours if resembles(observe(each.record), command.want)]
        if len(same) == 1:
            return Found(same[0].id, same[0])
        if not ours:
            return None
        some = ", ".join(f"{command.type}:{each.id}" for each in (same or ours)[:SHOWN])
        which = "all of them hold what was asked for" if same else "none holds just what was asked for"
        return _doubt(f"{some} {'were' if len(ours) > 1 else 'was'} created since; {which}")


def _doubt(why: str) -> Doubt:
    return Doubt(f"an earlier create was not answered; {why}")


def resembles(held: Mapping[str, Value], want: Mapping[str, Value]) -> bool:
    """Whether a record holds all that a create asked for: up to white space, case, and ids written as numbers."""
    return all(_alike(held.get(field), value) for field, value in want.items())


def _alike(one: Value, other: Value) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, list | dict) or isinstance(other, list | dict):
        return bool(one == other)
    return normal(one) == normal(other)
