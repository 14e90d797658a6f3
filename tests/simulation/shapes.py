"""Shapes: the flows that histories are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from connectors.endpoint import Traits
from stream.core.flows import Conversion, Flow, Pair, TypeFacts
from stream.model import Value
from stream.topology import read_topology
from tests.simulation.modes import Mode
from tests.simulation.systems import Quirks


def _to(value: Value) -> Value:
    return None if value is None else f"R:{value}"


def _back(value: Value) -> Value:
    if value is None:
        return None
    if not value.strip().startswith("R:"):
        raise ValueError(f"found {value!r}; R:... would be right")
    return value.strip().removeprefix("R:")


SPELLED = Conversion("spelled", _to, _back)
FIELDS = tuple(Pair(left=field, right=field) for field in ("name", "x1", "x2"))
MATCH = ((("name", "name"),),)


def flow(
    left: str,
    right: str,
    *,
    match: bool = True,
    pairs: tuple[Pair, ...] = FIELDS,
    create: Literal["forward", "both", "never"] = "forward",
) -> Flow:
    name = f"{left}~{right}"
    return Flow(name=name, left=left, right=right, create=create, match=MATCH if match else (), pairs=pairs)


def parented(*, required: bool) -> list[Flow]:
    parent = Pair(left="parent", right="parent", reference="a.p~b.p", required="b" if required else "")
    return [flow("a.p", "b.p"), flow("a.t", "b.t", pairs=(*FIELDS, parent))]


SELF = Pair(left="parent", right="parent", reference="a.t~b.t")
ONE_WAY = (FIELDS[0], Pair(left="x1", right="x1", direction="forward"), FIELDS[2])
FIVE = read_topology(
    Path(__file__).parents[2] / "topics.yaml", {"ASANA_TOKEN": "t", "PMS_URL": "http://localhost", "PMS_TOKEN": "t"}
)

# A flow of a type with itself is not among them: an index keeps one side for each record, and such a record has two.
SHAPES = {
    "pair": [flow("a.t", "b.t")],
    "pair without match": [flow("a.t", "b.t", match=False)],
    "one way": [flow("a.t", "b.t", pairs=ONE_WAY)],
    "chain": [flow("a.t", "b.t"), flow("b.t", "c.t")],
    "fan": [flow("a.t", "b.t"), flow("a.t", "b.u")],
    "fan in": [flow("a.t", "b.t"), flow("a.u", "b.t")],
    "both": [flow("a.t", "b.t", create="both")],
    "references": parented(required=False),
    "required references": parented(required=True),
    "references to its own type": [flow("a.t", "b.t", pairs=(*FIELDS, SELF))],
    "diamond": [flow("a.t", "b.t"), flow("a.t", "c.t"), flow("b.t", "d.t"), flow("c.t", "d.t", create="never")],
    "cycle": [flow("a.t", "b.t"), flow("b.t", "c.t"), flow("c.t", "a.t", create="never")],
    "topics.yaml": list(FIVE.flows.flows.values()),
}


def facts_of(shape: str) -> dict[str, TypeFacts] | None:
    return FIVE.flows.facts if shape == "topics.yaml" else None


def traits_of(shape: str) -> dict[str, Traits] | None:
    return dict(FIVE.traits) if shape == "topics.yaml" else None


def fits(shape: str, mode: str) -> bool:
    """Whether a mode says anything about a shape: some name fields, which topics.yaml has not."""
    return shape != "topics.yaml" or mode not in NAMING


NAMING = frozenset({"refuses", "refuses creates", "ignores", "spells", "field later"})


def quirks_of(shape: str, quirks: dict[str, Quirks]) -> dict[str, Quirks]:
    """The quirks of a mode by the names that a shape's systems have."""
    if shape != "topics.yaml":
        return quirks
    return {name: quirks[role] for name, role in (("asana", "a"), ("custompms", "b")) if role in quirks}


def flows_of(shape: str, quirks: dict[str, Quirks]) -> list[Flow]:
    """The flows of a shape; where a system spells differently, those across it convert."""
    spelling = {name for name, each in quirks.items() if each.spells}
    found = []
    for each in SHAPES[shape]:
        left, right = (name.partition(".")[0] in spelling for name in (each.left, each.right))
        pairs = list(each.pairs)
        if left != right:
            way = SPELLED if right else Conversion("back", _back, _to)
            pairs[1] = Pair(left="x1", right="x1", conversion=way, direction=pairs[1].direction)
        found.append(replaced(each, tuple(pairs)))
    return found


def replaced(each: Flow, pairs: tuple[Pair, ...]) -> Flow:
    return Flow(name=each.name, left=each.left, right=each.right, create=each.create, match=each.match, pairs=pairs)


def earlier(flows: list[Flow], mode: Mode) -> list[Flow]:
    """What was configured at first."""
    if mode.later == "field":
        return [replaced(each, tuple(pair for pair in each.pairs if pair.left != "x2")) for each in flows]
    return flows[:1] if mode.later == "flow" else flows
