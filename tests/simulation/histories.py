"""Histories: a plan of steps drawn from a seed, and the walk through it.

Every step has chances of its own, drawn from the seed and the step's number, so that a step that is left out changes
nothing about the dice of the others. That is what makes a failing history small enough to be told (``story``).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from stream.core.flows import Flow
from tests.simulation import faults
from tests.simulation.modes import MODES, X2, Removal
from tests.simulation.oracle import Oracle
from tests.simulation.shapes import (
    CRISSCROSS,
    NAMESAKES,
    SHAPES,
    earlier,
    facts_of,
    fits,
    flows_of,
    quirks_of,
    traits_of,
)
from tests.simulation.systems import SECOND, Quirks
from tests.simulation.world import Faults, World

STEPS = 150


class Step(Struct, frozen=True):
    """One step: its number, what it is, and whether nothing may go wrong in it."""

    number: int
    kind: str
    calm: bool = False


class Plan(Struct, frozen=True, kw_only=True):
    """All of a history but its dice."""

    shape: str
    mode: str
    seed: int
    steps: tuple[Step, ...]
    partitions: int
    faults: Faults
    stalled: tuple[int, int, int]
    """A partition, and from when to when it stands still."""
    quirks: dict[str, Quirks]
    removals: tuple[Removal, ...] = ("keep",)
    """What flows do about deletions, in turns."""


def combinations() -> list[tuple[str, str]]:
    """All shapes in all modes that say something about them."""
    return [(shape, mode) for shape in SHAPES for mode in MODES if fits(shape, mode)]


def plan(shape: str, mode: str, seed: int, *, steps: int = STEPS) -> Plan:
    """Draw a history."""
    how, dice = MODES[mode], random.Random(f"{shape}|{mode}|{seed}")
    quirks = _drawn(dice) if how.swarm else how.quirks
    if how.unmarked:
        quirks = {
            name: replace(each, unmarked=True, idempotent=False, remembers=1000 * SECOND * each.idempotent)
            for name, each in quirks.items()
        }
    weights = {
        "edit": 130,
        "again": dice.choice([0, 0, 15]),
        "slow page": dice.choice([0, 0, 15]),
        "revive": 20,
        "rewrite": 60 if any(each.rewrites for each in quirks.values()) else 0,
        **how.steps,
    }
    if how.swarm and all(each.idempotent or each.remembers for each in quirks.values()):
        weights["zombie"] = 20
    weights["stage"] = 1000 - sum(weights.values())
    kinds = dice.choices(list(weights), list(weights.values()), k=steps)
    kinds[0] = "found"
    kinds[steps // 3] = kinds[steps // 2] = "late"
    if how.later:
        kinds[steps // 2 + 1] = "replan"
    start = dice.randrange(steps)
    return Plan(
        shape=shape,
        mode=mode,
        seed=seed,
        steps=tuple(Step(number, kind) for number, kind in enumerate(kinds)),
        partitions=dice.choice([1, 2, 2, 3, 4]),
        faults=Faults(
            crash=dice.choice([0.0, 0.01, 0.04]) * (not how.answered),
            lost=dice.choice([0.0, 0.05, 0.2]) * (not how.answered),
            stop=dice.choice([0.0, 0.0, 0.1]),
            racing=how.racing,
            late=how.late,
            odd=how.odd,
            expire=how.expire,
            shuffled=dice.random() < 0.5,
        ),
        stalled=(dice.choice([-1, 0, 1]), start, start + 40),
        quirks=quirks_of(shape, quirks),
        removals=_policies(how.removals, dice),
    )


def _policies(removals: tuple[Removal, ...], dice: random.Random) -> tuple[Removal, ...]:
    """One for all flows, or, where there are several, any for each."""
    return removals if len(removals) == 1 else tuple(dice.choices(removals, k=4))


def _drawn(dice: random.Random) -> dict[str, Quirks]:
    """Any manners that go together."""
    idempotent = dice.random() < 0.4
    return {
        name: Quirks(
            trims=dice.random() < 0.4,
            seconds=dice.random() < 0.3,
            tells=dice.random() < 0.7,
            skew=dice.choice([0, 0, -3 * SECOND, 600 * SECOND]),
            names_modifier=dice.random() < 0.3,
            listed=dice.random() < 0.3,
            revisions=dice.random() < 0.3,
            pristine=dice.random() < 0.7,
            settle=dice.choice([0, 0, 20 * SECOND]),
            idempotent=idempotent,
        )
        for name in "abcd"
    }


def walk(drawn: Plan) -> World:
    """Go through the steps, then let everything come to rest."""
    how = MODES[drawn.mode]
    flows = flows_of(drawn.shape, drawn.quirks, drawn.removals, canonically=how.canonical)
    world = World(
        drawn.seed,
        flows,
        drawn.quirks,
        partitions=drawn.partitions,
        facts=facts_of(drawn.shape),
        traits=traits_of(drawn.shape),
        patience=how.patience,
    )
    world.watch.excused = how.excused
    if how.later:
        world.unordered = X2 if how.later == "field" else frozenset()
        world.replan(earlier(flows, how))
    world.renaming = how.renaming
    world.people.namesakes = drawn.shape in NAMESAKES
    renamed = how.renaming or {"at once", "copy", "crowd", "restore"} & set(how.steps)
    world.namesakes = world.people.namesakes or drawn.shape in CRISSCROSS or bool(renamed)
    for step in drawn.steps:
        world.random.seed(drawn.seed << 12 | step.number)
        world.steps += 1
        world.now += world.random.choice([1000, 50_000, 700_000])
        world.faults = _faults(drawn, step)
        _take(world, step, flows)
    world.faults = Faults()
    world.random.seed(drawn.seed)
    while world.paused:
        faults.revive(world)
    while world.under_way:
        faults.lands(world)
    while world.glances:
        faults.told(world)
    faults.put_back(world)
    for flow in sorted(world.resting):
        world.stop_flow(flow)
    if how.later and not any(step.kind == "replan" for step in drawn.steps):
        world.replan(flows)
    if "rollback unseen" in how.steps:
        faults.recover(world, 0)
    world.tell("people and faults rest")
    world.rounds = world.settle()
    while world.join.held or world.people.decide():
        faults.orders(world)
        world.rounds = world.settle()
    if world.happened["rollbacks"] or (world.happened["late duplicates"] and world.happened["deletes"]):
        faults.resync(world)  # the slow one: a row that was lost as a whole has been read again only now
        world.rounds = world.settle()
    return world


def _faults(drawn: Plan, step: Step) -> Faults:
    if step.calm:
        return Faults()
    partition, start, end = drawn.stalled
    return replace(drawn.faults, stalled=partition if start <= step.number < end else -1)


def _take(world: World, step: Step, flows: list[Flow]) -> None:  # noqa: PLR0912, PLR0915  # one arm for each kind of step
    match step.kind:
        case "found":
            world.people.found()
        case "late":
            world.people.late()
        case "edit":
            world.people.anybody_edits()
        case "at once":
            world.people.at_once()
        case "crowd":
            world.people.crowd()
        case "orders":
            faults.orders(world)
        case "delete" | "archive" | "restore":
            world.people.removes(step.kind)
        case "copy":
            world.people.copy()
        case "decide":
            world.people.decide()
        case "try again":
            world.people.tries_again()
        case "part" | "never":
            world.people.parts(never=step.kind == "never")
        case "pair":
            world.people.pairs()
        case "replan":
            world.tell("all flows are configured")
            world.count("configured later")
            world.replan(flows)
        case "again":
            faults.again(world)
        case "zombie":
            faults.zombie(world)
        case "slow page":
            faults.slow_page(world)
        case "revive":
            faults.revive(world)
        case "snapshot":
            faults.snapshot(world, world.random.randrange(world.partitions))
        case "rollback":
            faults.rollback(world, detected=True, positions=world.roll() < 0.5)
        case "rollback unseen":
            faults.rollback(world, detected=False, positions=world.roll() < 0.5)
        case "back up":
            faults.back_up(world)
        case "restore log" | "restore log at rest" | "restore log unread":
            unread = step.kind.endswith("unread")
            faults.restore(world, at_rest=unread or step.kind.endswith("rest"), unread=unread)
        case "erase" | "erase at rest" | "erase unread":
            unread = step.kind.endswith("unread")
            faults.erase(world, at_rest=unread or step.kind.endswith("rest"), unread=unread)
        case "rewrite":
            faults.rewriting(world)
        case _ if step.kind in FAULTS:
            FAULTS[step.kind](world)
        case _:
            world.random_step()


FAULTS: dict[str, Callable[[World], None]] = {
    "lands": faults.lands,
    "glance": faults.glance,
    "told": faults.told,
    "two owners": faults.two_owners,
    "clock": faults.jump,
    "set aside": faults.set_aside,
    "put back": faults.put_back,
    "pause flow": faults.pause_flow,
}


def judged(drawn: Plan) -> tuple[World, Oracle, list[str]]:
    """Walk, and say what was wrong; the caller closes the world."""
    world = walk(drawn)
    oracle = Oracle(world, MODES[drawn.mode].excused)
    problems = [*world.watch.problems, *oracle.problems()]
    if not problems:
        problems = oracle.rest()
    oracle.counts.update(world.watch.counts)
    return world, oracle, problems
