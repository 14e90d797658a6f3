"""Shapes of flows, and modes of systems, that histories are made of."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from stream.core.flows import Conversion, Flow, Pair
from stream.model import Value
from tests.simulation.world import SECOND, Faults, Quirks, World


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
SPELLED_FIELDS = (FIELDS[0], Pair(left="x1", right="x1", conversion=SPELLED), FIELDS[2])
MATCH = ((("name", "name"),),)


def flow(
    left: str,
    right: str,
    *,
    match: bool = True,
    pairs: tuple[Pair, ...] = FIELDS,
    create: Literal["forward", "both"] = "forward",
) -> Flow:
    name = f"{left}~{right}"
    return Flow(name=name, left=left, right=right, create=create, match=MATCH if match else (), pairs=pairs)


def parented(*, required: bool) -> list[Flow]:
    parent = Pair(left="parent", right="parent", reference="a.p~b.p", required="b" if required else "")
    return [flow("a.p", "b.p"), flow("a.t", "b.t", pairs=(*FIELDS, parent))]


SHAPES = {
    "pair": [flow("a.t", "b.t")],
    "pair without match": [flow("a.t", "b.t", match=False)],
    "chain": [flow("a.t", "b.t"), flow("b.t", "c.t")],
    "fan": [flow("a.t", "b.t"), flow("a.t", "b.u")],
    "fan in": [flow("a.t", "b.t"), flow("a.u", "b.t")],
    "both": [flow("a.t", "b.t", create="both")],
    "references": parented(required=False),
    "required references": parented(required=True),
}


class Mode(Struct, frozen=True, kw_only=True):
    quirks: dict[str, Quirks] = {}
    racing: float = 0.0
    renaming: float = 0.0
    later: Literal["", "field", "flow"] = ""
    """What is configured only in the middle of the history."""


def everywhere(**quirks: Any) -> dict[str, Quirks]:
    return {name: Quirks(**quirks) for name in "abc"}


X2 = frozenset({"x2"})
MODES = {
    "plain": Mode(),
    "trims": Mode(quirks={"b": Quirks(trims=True), "c": Quirks(trims=True)}),
    "trims, names modifier": Mode(quirks={"b": Quirks(trims=True, names_modifier=True)}),
    "seconds": Mode(quirks=everywhere(seconds=True)),
    "skew": Mode(quirks={"a": Quirks(skew=-600 * SECOND), "c": Quirks(skew=600 * SECOND)}),
    "lists": Mode(quirks={"a": Quirks(listed=True), "b": Quirks(listed=True)}),
    "revisions": Mode(quirks=everywhere(revisions=True)),
    "revisions, lag": Mode(quirks=everywhere(revisions=True, lag=3 * SECOND // 2)),
    "lag": Mode(quirks=everywhere(lag=3 * SECOND // 2)),
    "racing people": Mode(racing=0.3),
    "renaming people": Mode(renaming=0.2),
    "refuses": Mode(quirks={"b": Quirks(refuses=X2)}),
    "ignores": Mode(quirks={"b": Quirks(ignores=X2)}),
    "spells": Mode(quirks={"b": Quirks(spells=True)}),
    "field later": Mode(later="field"),
    "flow later": Mode(later="flow"),
}


def flows_of(shape: str, mode: Mode) -> list[Flow]:
    """The flows of a shape; where b spells differently, those across it convert."""
    spelling = {name for name, quirks in mode.quirks.items() if quirks.spells}
    found = []
    for each in SHAPES[shape]:
        left, right = (name.partition(".")[0] in spelling for name in (each.left, each.right))
        pairs = list(each.pairs)
        if left != right:
            way = SPELLED if right else Conversion("back", _back, _to)
            pairs[1] = Pair(left="x1", right="x1", conversion=way)
        found.append(replaced(each, tuple(pairs)))
    return found


def replaced(each: Flow, pairs: tuple[Pair, ...]) -> Flow:
    return Flow(name=each.name, left=each.left, right=each.right, create=each.create, match=each.match, pairs=pairs)


def earlier(flows: list[Flow], mode: Mode) -> list[Flow]:
    """What was configured at first."""
    if mode.later == "field":
        return [replaced(each, tuple(pair for pair in each.pairs if pair.left != "x2")) for each in flows]
    return flows[:1] if mode.later == "flow" else flows


def history(shape: str, mode: str, seed: int, *, steps: int = 150, faults: bool = True) -> World:
    """One history: records on the left, some with a twin on the right; edits and faults; then rest."""
    how = MODES[mode]
    flows = flows_of(shape, how)
    world = World(seed, flows, how.quirks, Faults())
    if how.later:
        world.unordered = X2 if how.later == "field" else frozenset()
        world.replan(earlier(flows, how))
    people = Founders(world, flows)
    people.settle_in()
    if faults:
        world.faults = Faults(crash=world.random.choice([0.0, 0.01, 0.04]), lost=world.random.choice([0.0, 0.05, 0.2]))
    world.racing, world.renaming = how.racing, how.renaming
    for step in range(steps):
        if step == steps // 2 and how.later:
            world.replan(flows)
        if step in (steps // 3, steps // 2):
            people.late()
        world.random_step(editing=True)
    world.faults, world.racing = Faults(), 0.0
    world.settle()
    return world


class Founders:
    """People who make records, each with a name of its own; some make a twin on the other side too."""

    def __init__(self, world: World, flows: list[Flow]) -> None:
        self.world = world
        self.flows = flows
        rights = {flow.right for flow in flows if flow.create == "forward"}
        self.origins = sorted({flow.left for flow in flows} - rights)
        self.both = sorted({flow.right for flow in flows if flow.create == "both"})
        self.number = 0

    def settle_in(self) -> None:
        for name in self.origins:
            for _ in range(2):
                self.add(name, twin=self.world.random.random() < 0.4)
        for name in self.both:
            self.add(name)

    def late(self) -> None:
        """Later records: a project that is referred to at once, a task on the other side."""
        if not (self.both or "a.p" in self.origins):
            return
        for name in (*self.origins, *self.both):
            self.add(name)

    def add(self, name: str, *, twin: bool = False) -> None:
        self.number += 1
        self._add(name, f"n{self.number}", None)
        first = next((flow for flow in self.flows if flow.left == name), None)
        if twin and first is not None and first.match:
            self.world.now += SECOND
            self._add(first.right, f" N{self.number} ", self.world.fresh())

    def _add(self, name: str, title: str, x2: str | None) -> None:
        system_name, _, kind = name.partition(".")
        system = self.world.systems[system_name]
        x1 = self.world.fresh()
        fields: dict[str, Any] = {"name": title, "x1": f"R:{x1}" if system.quirks.spells else x1, "x2": x2}
        if "p" in system.records and kind == "t":
            fields["parent"] = self.world.random.choice([None, *system.records["p"]])
        system.add(kind, fields)
