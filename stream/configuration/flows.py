"""Flows: every name must lead somewhere, and every pair must be able to do what is asked of it.

A pair that says nothing of its direction goes both ways as far as both fields can be written. What a flow could never
do is refused here, at the desk, and not at night by a system: a field that cannot be written, a word that cannot be
undone, a create without its required fields, two pairs that would fight over one field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import UNSET, Struct, UnsetType

from connectors.document import Path
from connectors.endpoint import Traits
from stream.configuration.conditions import condition
from stream.configuration.form import Parts
from stream.configuration.report import Report, near
from stream.configuration.resting import reasons
from stream.configuration.written import WrittenCreate, WrittenField, WrittenFlow
from stream.core.conversions import conversion, injective, one_way, together
from stream.core.fields import PART, SET, paths_of
from stream.core.flows import Condition, Conversion, Direction, Flow, Pair

_REFERENCE: Final = re.compile(r"\s*(\S+)\s*->\s*(\S+)\s*")
_ELEMENTS: Final = ("same", "text", "integer", "enum")
"""Conversions that never make one element of two."""
_SAYS: Final[Mapping[Direction, str]] = {"both": "in both directions", "forward": "forward", "backward": "backward"}


class _Ends(Struct, frozen=True):
    """The traits of both types of a flow, as far as they are known."""

    left: Traits | None
    right: Traits | None


def read_flows(
    parts: Parts, value: Any, typed: Mapping[Path, Any], report: Report, traits: Mapping[str, Traits]
) -> list[Flow]:
    """Check all flows; what is wrong goes to the report."""
    names = {index: _name(flow) for index, flow in parts.flows.items()}
    first: dict[str, int] = {}
    for index, name in names.items():
        if first.setdefault(name, index) != index:
            at: Path = ("flows", index, "name") if parts.flows[index].name is not UNSET else ("flows", index)
            report.add(at, f"found the flow {name!r} twice; another name would be right")
    reader = _Reader(parts, names, value, typed, report, traits)
    flows = [reader.read(index, flow) for index, flow in parts.flows.items()]
    _forms(flows, list(parts.flows), report)
    return flows


def _forms(flows: Iterable[Flow], indexes: Iterable[int], report: Report) -> None:
    """A field is alone, a set, or part of one group, and the same in every flow: a row keeps it once."""
    known: dict[tuple[str, str], str] = {}
    for index, flow in zip(indexes, flows, strict=True):
        for type_, field in [at for pair in flow.pairs for at in ((flow.left, pair.left), (flow.right, pair.right))]:
            clash = [
                (path, other) for path in paths_of(field) if (other := known.setdefault((type_, path), field)) != field
            ]
            for path, other in clash[:1]:
                found = f"found {path!r} of {type_} {_form(field)} here and {_form(other)} elsewhere"
                report.add(("flows", index), f"{found}; the same everywhere would be right")


def _form(field: str) -> str:
    return "as a set" if SET in field else f"together with {field}" if PART in field else "alone"


def exists(traits: Traits | None, path: str) -> bool:
    """Whether a type has a field, as far as its connector tells."""
    if traits is None or traits.fields is None:
        return True
    inside = f"{path}."
    return any(way in traits.fields for way in _ways(path)) or any(field.startswith(inside) for field in traits.fields)


def writable(traits: Traits | None, path: str) -> bool:
    """Whether a field can be written, as far as the connector tells."""
    return traits is None or traits.writable is None or any(way in traits.writable for way in _ways(path))


def _ways(path: str) -> Iterable[str]:
    """A path, and the paths it lies in: ``address.city``, ``address``."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _name(flow: WrittenFlow) -> str:
    return f"{flow.from_}~{flow.to}" if flow.name is UNSET else flow.name


class _Reader:
    def __init__(
        self,
        parts: Parts,
        names: dict[int, str],
        value: Any,
        typed: Mapping[Path, Any],
        report: Report,
        traits: Mapping[str, Traits],
    ) -> None:
        self._parts = parts
        self._names = names
        self._value = value
        self._typed = typed
        self._report = report
        self._traits = traits
        self._by_types: dict[tuple[str, str], list[int]] = {}
        for index, flow in parts.flows.items():
            self._by_types.setdefault((flow.from_, flow.to), []).append(index)

    def read(self, index: int, flow: WrittenFlow) -> Flow:
        path: Path = ("flows", index)
        ends = _Ends(self._type((*path, "from"), flow.from_), self._type((*path, "to"), flow.to))
        pairs = [
            pair
            for number, field in enumerate(flow.fields)
            if not reasons(field) and (pair := self._pair((*path, "fields", number), field, flow, ends)) is not None
        ]
        self._itself(path, flow)
        self._match(path, flow, ends)
        self._create(path, flow, ends, pairs)
        self._delete(path, flow, ends)
        self._fights(flow, pairs)
        pairs = self._together(path, flow, pairs)
        return Flow(
            name=self._names[index],
            left=flow.from_,
            right=flow.to,
            create="forward" if isinstance(flow.create, WrittenCreate) else flow.create,
            match=tuple(tuple(each.items()) for each in flow.match),
            pairs=tuple(pair for _, pair in pairs),
            when=self._when((*path, "when"), flow.when, flow, ends),
            linked=tuple(self._linked((*path, "create"), flow, ends)),
            delete=flow.delete,
            ours=flow.ours,
            source=tuple(flow.source),
        )

    def _type(self, path: Path, name: str) -> Traits | None:
        if name not in self._parts.topics_named and not self._report.unknown(path):
            right = near(name, self._parts.topics_named)
            self._report.add(path, f"found {name!r}, which is not among the topics; {right} would be right")
        return self._traits.get(name)

    def _field(self, path: Path, type: str, traits: Traits | None, field: str) -> None:
        if exists(traits, field) or traits is None:
            return
        right = near(field, traits.fields or ())
        self._report.add(path, f"found no field {field!r} in {type}; {right} would be right")

    def _when(self, path: Path, text: str | UnsetType, flow: WrittenFlow, ends: _Ends) -> Condition | None:
        if text is UNSET:
            return None
        try:
            found = condition(text)
        except ValueError as error:
            self._report.add(path, str(error))
            return None
        for field in found.reads:
            self._field(path, flow.from_, ends.left, field)
        return found

    def _linked(self, path: Path, flow: WrittenFlow, ends: _Ends) -> Iterable[tuple[str, str]]:
        """The references of which one must lead to a linked record, each with its flow."""
        if not isinstance(flow.create, WrittenCreate):
            return
        for number, each in enumerate(flow.create.when_linked):
            for field, text in each.items():
                at = (*path, "when_linked", number, field)
                self._field(at, flow.from_, ends.left, field)
                index = self._through(at, text)
                if index is None:
                    continue
                left = self._parts.flows[index].from_
                if _system(left) != _system(flow.from_):
                    found = f"found the flow {self._names[index]!r}, whose left side is {left}"
                    self._report.add(at, f"{found}; a flow from a type of {_system(flow.from_)} would be right")
                yield field, self._names[index]

    def _pair(self, path: Path, field: WrittenField, flow: WrittenFlow, ends: _Ends) -> tuple[Path, Pair] | None:
        self._field((*path, "from"), flow.from_, ends.left, field.from_)
        self._field((*path, "to"), flow.to, ends.right, field.to)
        spec = self._spec(path)
        try:
            made = conversion(spec)
        except ValueError as error:
            self._report.add((*path, "as"), str(error))
            return None
        direction = self._direction(path, field, ends, narrow=one_way(spec))
        if direction is None:
            return None
        self._undoing(path, spec, made, direction)
        if field.set_:
            self._set(path, spec, field, flow)
        mark = SET if field.set_ else ""
        return path, Pair(
            left=field.from_ + mark,
            right=field.to + mark,
            conversion=made,
            direction=direction,
            reference=self._reference((*path, "reference"), field, flow),
            required=_required(field, flow, direction, ends),
            when=self._when((*path, "when"), field.when, flow, ends),
        )

    def _set(self, path: Path, spec: Any, field: WrittenField, flow: WrittenFlow) -> None:
        """Each element has one word on the other side, and that word means no other element."""
        name = spec if isinstance(spec, str) else next(iter(spec))
        if name not in _ELEMENTS or not injective(spec):
            found = (
                f"found {name!r} for the elements of a set" if injective(spec) else "found one word for two elements"
            )
            self._report.add((*path, "as"), f"{found}; one word for each, by {', '.join(_ELEMENTS)}, would be right")
        for number, each in enumerate(flow.match):
            for left, right in each.items():
                if left == field.from_ or right == field.to:
                    text = f"found the set {left if left == field.from_ else right!r}; a single value would be right"
                    self._report.add(("flows", path[1], "match", number, left), text)

    def _together(self, path: Path, flow: WrittenFlow, pairs: list[tuple[Path, Pair]]) -> list[tuple[Path, Pair]]:
        """Make one pair of each group, where its first field stands."""
        for number, names in enumerate(flow.together):
            at = (*path, "together", number)
            by_name = {pair.left: (place, pair) for place, pair in pairs}
            written = {field.from_ for field in flow.fields}
            for name in names:
                if name not in written:
                    text = f"found {name!r}, which is not from any of the fields; {near(name, written)} would be right"
                    self._report.add(at, text)
                elif f"{name}{SET}" in by_name:
                    self._report.add(at, f"found the set {name!r}; a field with one value would be right")
            found = [by_name[name] for name in names if name in by_name]
            if len(found) < len(names):
                continue  # told above, or where the field is; one that rests keeps the others apart
            each = [pair for _, pair in found]
            if any(pair.reference for pair in each):
                self._report.add(at, "found a reference; fields without one would be right")
            if any(pair.when for pair in each):
                self._report.add(at, "found a condition; fields without one, or one for the flow, would be right")
            if len({pair.direction for pair in each}) > 1:
                says = ", ".join(f"{pair.left} {_SAYS[pair.direction]}" for pair in each)
                self._report.add(at, f"found {says}; one direction would be right")
            group = Pair(
                left=PART.join(pair.left for pair in each),
                right=PART.join(pair.right for pair in each),
                conversion=together([pair.conversion for pair in each]),
                direction=each[0].direction,
                required=max(pair.required for pair in each),
            )
            first = found[0][0]
            pairs = [
                (place, group if place == first else pair)
                for place, pair in pairs
                if place == first or pair not in each
            ]
        return pairs

    def _spec(self, path: Path) -> Any:
        """An ``as`` as it is written; the left words of an enum are what they would be as values, not as keys."""
        at = (*path, "as")
        spec: Any = self._raw(at, "same")
        words = spec.get("enum") if isinstance(spec, dict) else None
        if not isinstance(words, dict):
            return spec
        typed = self._typed
        return {**spec, "enum": [(typed.get((*at, "enum", key), key), word) for key, word in words.items()]}

    def _raw(self, path: Path, default: Any) -> Any:
        value = self._value
        for step in path:
            if isinstance(value, dict) and step not in value:
                return default
            value = value[step]
        return value

    def _direction(self, path: Path, field: WrittenField, ends: _Ends, *, narrow: bool) -> Direction | None:
        forward, backward = writable(ends.right, field.to), writable(ends.left, field.from_) and not narrow
        if field.direction is not UNSET:
            self._possible(path, field, field.direction, ends)
            return field.direction
        match forward, backward:
            case True, True:
                return "both"
            case True, False:
                return "forward"
            case False, True:
                return "backward"
            case _:
                found = f"found {field.from_!r} and {field.to!r}, which can both not be written"
                self._report.add(path, f"{found}; one field that can be written would be right")
                return None

    def _possible(self, path: Path, field: WrittenField, direction: Direction, ends: _Ends) -> None:
        for way, end, key, name in (
            ("forward", ends.right, "to", field.to),
            ("backward", ends.left, "from", field.from_),
        ):
            if direction in (way, "both") and exists(end, name) and not writable(end, name):
                known = end.writable if end and end.writable else ()
                self._report.add(
                    (*path, key), f"found {name!r}, which cannot be written; {near(name, known)} would be right"
                )

    def _undoing(self, path: Path, spec: Any, made: Conversion, direction: Direction) -> None:
        if direction == "forward":
            return
        if one_way(spec):
            text = f"found {made.name!r} {_SAYS[direction]}; direction: forward would be right"
            self._report.add((*path, "direction"), text)
        elif not injective(spec):
            found = f"found one right word for two left ones {_SAYS[direction]}"
            text = f"{found}; direction: forward, or another word, would be right"
            self._report.add((*path, "as", "enum"), text)

    def _reference(self, path: Path, field: WrittenField, flow: WrittenFlow) -> str | None:
        if field.reference is UNSET:
            return None
        index = self._through(path, field.reference)
        if index is None:
            return None
        through = self._parts.flows[index]
        if (_system(through.from_), _system(through.to)) != (_system(flow.from_), _system(flow.to)):
            found = f"found the flow {self._names[index]!r}, which is between other systems"
            right = f"one from {_system(flow.from_)} to {_system(flow.to)}"
            self._report.add(path, f"{found}; {right} would be right")
        return self._names[index]

    def _through(self, path: Path, text: str) -> int | None:
        """The flow that is meant, by its types or by its name."""
        types = _REFERENCE.fullmatch(text)
        if types is None:
            found = [index for index, name in self._names.items() if name == text]
            known: Sequence[str] = list(self._names.values())
        else:
            found = self._by_types.get((types[1], types[2]), [])
            known = [f"{left} -> {right}" for left, right in self._by_types]
            text = f"{types[1]} -> {types[2]}"
        match found:
            case [index]:
                return index
            case [] if self._parts.complete:
                back = types is not None and (types[2], types[1]) in self._by_types
                right = "a flow in this direction" if back else near(text, known)
                self._report.add(path, f"found no flow {text!r:.100}; {right} would be right")
            case [_, *_]:
                names = [self._names[index] for index in found]
                self._report.add(path, f"found {len(found)} flows {text}; a name, {near('', names)}, would be right")
        return None

    def _itself(self, path: Path, flow: WrittenFlow) -> None:
        """Each record would be a left and a right one, and so would the counterpart that it gets, for ever.

        Who writes this means two accounts, and those are two systems, of which each has its own types.
        """
        if flow.from_ == flow.to:
            name = _system(flow.to)
            text = f"found {flow.to} on both sides, so that each counterpart would get one of its own"
            right = f"a second entry under systems with the connector of {name}, for the other account"
            self._report.add((*path, "to"), f"{text}; {right}, and its type here would be right")

    def _match(self, path: Path, flow: WrittenFlow, ends: _Ends) -> None:
        for number, each in enumerate(flow.match):
            for left, right in each.items():
                at = (*path, "match", number, left)
                self._field(at, flow.from_, ends.left, left)
                self._field(at, flow.to, ends.right, right)
        if flow.create == "never" and not flow.match:
            text = (
                "found neither 'create' nor 'match', so that no two records are ever linked; one of them would be right"
            )
            self._report.add(path, text)

    def _create(self, path: Path, flow: WrittenFlow, ends: _Ends, pairs: list[tuple[Path, Pair]]) -> None:
        if flow.create != "never":
            mapped = {path for _, pair in pairs if pair.direction != "backward" for path in paths_of(pair.right)}
            self._creatable((*path, "create"), flow.to, ends.right, mapped)
        if flow.create == "both":
            mapped = {path for _, pair in pairs if pair.direction != "forward" for path in paths_of(pair.left)}
            self._creatable((*path, "create"), flow.from_, ends.left, mapped)

    def _creatable(self, path: Path, type: str, traits: Traits | None, mapped: set[str]) -> None:
        if traits is None:
            return
        if traits.create is None:
            self._report.add(path, f"found {type}, of which none can be created; create: never would be right")
            return
        for field in sorted(traits.required):
            if not any(way in mapped for way in _ways(field)) and not any(
                other.startswith(f"{field}.") for other in mapped
            ):
                text = f"found no pair for {field!r}, without which {type} creates nothing; one would be right"
                self._report.add(path, text)

    def _delete(self, path: Path, flow: WrittenFlow, ends: _Ends) -> None:
        if flow.delete == "keep":
            return
        for name, traits in ((flow.from_, ends.left), (flow.to, ends.right)):
            if traits is not None and flow.delete not in traits.remove:
                right = near(flow.delete, {"keep", *traits.remove})
                text = f"found {flow.delete!r}, which {name} cannot do; {right} would be right"
                self._report.add((*path, "delete"), text)

    def _fights(self, flow: WrittenFlow, pairs: list[tuple[Path, Pair]]) -> None:
        for side, backwards, name in (("to", "backward", flow.to), ("from", "forward", flow.from_)):
            whole: set[str] = set()
            inside: set[str] = set()
            for at, pair in pairs:
                [field] = paths_of(pair.right if side == "to" else pair.left)
                if pair.direction == backwards:
                    continue
                if field in inside or not whole.isdisjoint(_ways(field)):
                    text = f"found a second pair that writes {field!r} of {name}; one, or a direction, would be right"
                    self._report.add((*at, side), text)
                whole.add(field)
                inside.update(_ways(field))


def _required(field: WrittenField, flow: WrittenFlow, direction: Direction, ends: _Ends) -> Literal["", "a", "b"]:
    """The side that cannot be created without this pair; the right one if it is both."""
    needed = ends.right is not None and (field.required or field.to in ends.right.required)
    if needed and flow.create != "never" and direction != "backward":
        return "b"
    if ends.left and flow.create == "both" and direction != "forward" and field.from_ in ends.left.required:
        return "a"
    return ""


def _system(type: str) -> str:
    return type.partition(".")[0]
