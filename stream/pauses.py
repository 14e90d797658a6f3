"""Pauses: what a person has stopped for a while: a system, one of its entity types, or a flow.

An order stands in every partition of ``polls``, so that each lane keeps it with its rows and a worker that starts knows
it at once. What is paused is not read, and not written to: commands are given back as not done yet, and rows hold on
to what they want. Over a flow that is paused nothing is told, created or deleted; its records are read, and go on in
whatever else they are linked by. What people edit meanwhile is caught up with, and versions decide as ever. Nothing is
lost by a pause; all that waited is woken when it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from msgspec import Struct, msgpack

from stream.codec import decode_hold, encode
from stream.model import Rouse, Time
from stream.ports import Record, Unit
from stream.topics import MAIL

PAUSED = b"paused"
"""The key of these orders, and of the row in which a reader's lane keeps them."""

FLOW = "flow:"
"""Before the name of a flow, so that it is not taken for a system of the same name."""

WAIT = 900.0
"""Seconds after which a command that met a pause comes again, should nobody end it before."""


class Pause(Struct, frozen=True, array_like=True):
    """Since when something is paused, and what the person said."""

    at: Time
    why: str = ""


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(dict[str, Pause]).decode


def paused(data: bytes | None) -> dict[str, Pause]:
    """What a lane's row says is paused."""
    return {} if data is None else _decode(data)


class Pauses:
    """What is paused, as all lanes of a worker agree; ``types`` names each type's system, ``flows`` a flow's types."""

    def __init__(self, types: Mapping[str, str], flows: Mapping[str, tuple[str, str]]) -> None:
        self._types = types
        self._flows = {FLOW + name: ends for name, ends in flows.items()}
        self._lanes: dict[int, dict[str, Pause]] = {}
        self.known = asyncio.Event()
        """Set once the lanes were asked: before that nobody knows what may be told or written to."""

    def learn(self, lanes: Mapping[int, dict[str, Pause]]) -> None:
        """These lanes were taken over, and say this; what former ones said is somebody else's now, and may be old."""
        self._lanes = dict(lanes)
        self.known.set()

    def obey(self, unit: Unit, record: Record) -> tuple[str, ...]:
        """Take an order; the types that go on because of it. Raises BadRecord for what is none."""
        order = decode_hold(record.value)
        known = paused(unit.get(PAUSED))
        if order.on:
            known[order.what] = Pause(order.at, order.why)
        else:
            known.pop(order.what, None)
        unit.put(PAUSED, _encode(known) if known else None)
        before = {type for type in self._types if self.reason(type)}
        self._lanes[unit.partition] = known
        about = self._flows.get(order.what) or [type for type in self._types if order.what in (type, self._types[type])]
        for type in about if not order.on else ():
            unit.emit(MAIL, type.encode(), encode(Rouse(entity=type, early=True)), (), unit.partition)
        return tuple(type for type in before if not self.reason(type))

    def all(self) -> dict[str, Pause]:
        """What is paused in every lane."""
        lanes = list(self._lanes.values())
        return {what: pause for what, pause in lanes[0].items() if all(what in each for each in lanes)} if lanes else {}

    def flows(self) -> frozenset[str]:
        """The flows that are paused."""
        return frozenset(what.removeprefix(FLOW) for what in self.all() if what.startswith(FLOW))

    def reason(self, type: str) -> str:
        """Why an entity type is neither read nor written to; empty if it is."""
        now = self.all()
        for what in (type, self._types.get(type, "")):
            if what in now:
                return f"{what} is paused" + (f": {now[what].why}" if now[what].why else "")
        return ""
