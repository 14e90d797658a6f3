"""Shapes of flows, and modes of systems, that histories are made of."""

from __future__ import annotations

from stream.core.flows import Flow, Pair
from tests.simulation.world import SECOND, Faults, Quirks, World

FIELDS = tuple(Pair(left=field, right=field) for field in ("name", "x1", "x2"))
MATCH = ((("name", "name"),),)


def flow(left: str, right: str, *, match: bool = True) -> Flow:
    return Flow(
        name=f"{left}~{right}", left=left, right=right, create="forward", match=MATCH if match else (), pairs=FIELDS
    )


SHAPES = {
    "pair": [flow("a.t", "b.t")],
    "pair without match": [flow("a.t", "b.t", match=False)],
    "chain": [flow("a.t", "b.t"), flow("b.t", "c.t")],
    "fan": [flow("a.t", "b.t"), flow("a.t", "b.u")],
    "fan in": [flow("a.t", "b.t"), flow("a.u", "b.t")],
}

MODES: dict[str, tuple[dict[str, Quirks], float]] = {
    "plain": ({}, 0.0),
    "trims": ({"b": Quirks(trims=True), "c": Quirks(trims=True)}, 0.0),
    "trims, names modifier": ({"b": Quirks(trims=True, names_modifier=True)}, 0.0),
    "seconds": ({name: Quirks(seconds=True) for name in "abc"}, 0.0),
    "skew": ({"a": Quirks(skew=-600 * SECOND), "c": Quirks(skew=600 * SECOND)}, 0.0),
    "lists": ({"a": Quirks(listed=True), "b": Quirks(listed=True)}, 0.0),
    "revisions": ({name: Quirks(revisions=True) for name in "abc"}, 0.0),
    "racing people": ({}, 0.3),
}


def history(shape: str, mode: str, seed: int, *, steps: int = 150, faults: bool = True) -> World:
    """One history: records on the left, some with a twin on the right; edits and faults; then rest."""
    quirks, racing = MODES[mode]
    world = World(seed, SHAPES[shape], quirks, Faults())
    origins = {flow.left for flow in SHAPES[shape]} - {flow.right for flow in SHAPES[shape]}
    number = 0
    for name in sorted(origins):
        for _ in range(2):
            number += 1
            fields = {"name": f"n{number}", "x1": world.fresh(), "x2": None}
            system, _, kind = name.partition(".")
            world.systems[system].add(kind, fields)
            first = next(flow for flow in SHAPES[shape] if flow.left == name)
            if first.match and world.random.random() < 0.4:
                system, _, kind = first.right.partition(".")
                world.now += SECOND
                world.systems[system].add(kind, {"name": f" N{number} ", "x1": world.fresh(), "x2": world.fresh()})
    if faults:
        world.faults = Faults(crash=world.random.choice([0.0, 0.01, 0.04]), lost=world.random.choice([0.0, 0.05, 0.2]))
    world.racing = racing
    for _ in range(steps):
        world.random_step(editing=True)
    world.faults, world.racing = Faults(), 0.0
    world.settle()
    return world
