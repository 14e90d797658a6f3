"""What a tester types: records that the systems take, and other values for fields, each spelt as people there do."""

from __future__ import annotations

from msgspec import Struct

from connectors.endpoint import Record
from connectors.errors import Refused
from stream.core.flows import Flow, Pair
from stream.core.paths import getter
from stream.model import Ref, Value, type_of
from stream.qa.stand import Stand
from stream.qa.values import Words, converted

_ATTEMPTS = 2


class Side(Struct, frozen=True):
    """One side of a field pair, as an edit starts from it."""

    pair: Pair
    left: bool

    @property
    def field(self) -> str:
        """The field that is edited."""
        return self.pair.left if self.left else self.pair.right

    @property
    def shows(self) -> str:
        """The field that is to follow."""
        return self.pair.right if self.left else self.pair.left

    @property
    def leads(self) -> bool:
        """Whether the pair's direction lets an edit through."""
        return self.pair.direction != ("backward" if self.left else "forward")

    def there(self, value: Value) -> Value:
        """A value in the other side's words. Raises ValueError."""
        return converted(value, self.pair.conversion.to if self.left else self.pair.conversion.back)


class Expected(Struct, frozen=True):
    """What an edit must lead to."""

    side: Side
    value: Value
    target: Ref


class Tester:
    """Somebody who works in both systems of a flow."""

    def __init__(self, flow: Flow, stand: Stand) -> None:
        self.flow = flow
        self.stand = stand
        self.words = Words(flow.name.replace(".", " ").replace("~", " "))

    async def make(self, type: str, *, left: bool, alike: Record | None = None) -> Ref:
        """Make a record; what the system does not take is tried once more as other records have it."""
        wanted = await self._new(left=left)
        if alike is not None:
            wanted |= self._alike(alike, left=left)
        try:
            return await self.stand.make(type, wanted)
        except Refused as error:
            for field in error.fields:
                known = await self.stand.known(type, field)
                if not known:
                    raise
                wanted[field] = known[0]
            if not error.fields:
                raise
        return await self.stand.make(type, wanted)

    def _alike(self, other: Record, *, left: bool) -> dict[str, Value]:
        """The fields by which a record matches another one: the worker may not see all that a person sees."""
        pairs = [pair for alternative in self.flow.match for pair in alternative]
        found = {pair[not left]: getter(pair[left])(other) for pair in pairs}
        return {field: value for field, value in found.items() if value not in (None, "")}

    async def _new(self, *, left: bool) -> dict[str, Value]:
        """The fields of a new record: every one that can be written and that the tester has a word for."""
        type = self.flow.left if left else self.flow.right
        traits = self.stand.traits(type)
        wanted: dict[str, Value] = {}
        for side in self._sides(type, left=left):
            if side.field in wanted or not is_writable(traits.writable, side.field):
                continue
            value = await self._named(side) if side.pair.reference else await self._worded(type, side, None)
            if value is not None:
                wanted[side.field] = value
        for field in sorted(traits.required - wanted.keys()):
            known = await self.stand.known(type, field)
            wanted[field] = known[0] if known else self.words.text()
        for each in self.flow.match[:1]:
            for one, other in each:
                wanted.setdefault(one if left else other, self.words.text())
        return wanted

    async def _worded(self, type: str, side: Side, now: Value) -> Value | None:
        """Another word for a field, spelt as other records have it."""
        known = await self.stand.known(type, side.field)
        return self.words.another(side.pair, left=side.left, now=now, like=known[0] if known else None)

    def _sides(self, type: str, *, left: bool) -> list[Side]:
        """The pairs of this flow, and then those of all others: a system may want fields that this one leaves out."""
        others = [flow for flow in self.stand.topology.flows.flows.values() if flow is not self.flow]
        return [
            *(Side(pair, left) for pair in self.flow.pairs),
            *(Side(pair, left=True) for flow in others if flow.left == type for pair in flow.pairs),
            *(Side(pair, left=False) for flow in others if flow.right == type for pair in flow.pairs),
        ]

    async def _named(self, side: Side) -> Value:
        """The id of some record that a reference may name, as the field holds it."""
        through = self.stand.topology.flows.flows[side.pair.reference or ""]
        type = through.left if side.left else through.right
        there = next(iter(await self.stand.samples(type)), None)
        if there is None:
            return None
        id: Value = int(there.id) if self.stand.traits(type).id == "integer" else there.id
        return [id] if side.left and side.pair.conversion.name == "first" else id

    async def type(self, side: Side, here: Ref, there: Ref) -> Expected | None:
        """Type another value into a field of a record; its twin is to follow. Raises ConnectorError."""
        record = (await self.stand.read(here)).record
        now = getter(side.field)(record)
        if side.pair.reference is not None:
            return await self._referred(side, here, there, now)
        known = await self.stand.known(type_of(here), side.field)
        words = [await self._worded(type_of(here), side, now), *(value for value in known if value != now)]
        words = [word for word in words if word is not None][:_ATTEMPTS]
        for word in words:
            try:
                held = getter(side.field)((await self.stand.edit(here, {side.field: word})).record)
            except Refused:
                if word is words[-1]:
                    raise
                continue
            return Expected(side, side.there(held), there)
        return None

    async def _referred(self, side: Side, here: Ref, there: Ref, now: Value) -> Expected | None:
        """Refer to another record, which has a counterpart."""
        through = self.stand.topology.flows.flows[side.pair.reference or ""]
        for left, right in self.stand.pairs(through):
            mine, its = (left, right) if side.left else (right, left)
            id, twin = mine.partition(":")[2], its.partition(":")[2]
            if str(now) in (id, f"['{id}']"):
                continue
            integer = self.stand.traits(type_of(mine)).id == "integer"
            value: Value = int(id) if integer else id
            await self.stand.edit(here, {side.field: [value] if isinstance(now, list) else value})
            return Expected(side, int(twin) if self.stand.traits(type_of(its)).id == "integer" else twin, there)
        return None


def is_writable(writable: frozenset[str] | None, field: str) -> bool:
    """Whether a field is, or is a part of, one that a system lets people write."""
    return writable is None or field in writable or field.partition(".")[0] in writable
