"""Mutants at large in random histories: which rules does a walk miss when they are turned off, and where.

``make mutants`` lets each mutant loose on histories of the shapes and modes that its rule is about, seed after seed,
until one goes wrong that the same seed does not show with the rule on. What caught it is kept in ``caught.json``, which
``test_mutants`` walks again. A rule that no history misses within the bound is left to its written test.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path

from msgspec import Struct
from msgspec import json as as_json

from tests.core.mutants import MUTANTS as OF_THE_CORE
from tests.core.mutants import Mutant
from tests.simulation.histories import judged, plan
from tests.simulation.shapes import fits
from tests.stages.mutants import MUTANTS as OF_THE_STAGES

MUTANTS = {each.rule: each for each in (*OF_THE_CORE, *OF_THE_STAGES)}
CAUGHT = Path(__file__).with_name("caught.json")
SEEDS = 80
"""Seeds of each combination that a rule is about."""

FEW = 10
"""Seeds of each usual one."""


class Caught(Struct, frozen=True):
    """A history that goes wrong without a rule."""

    shape: str
    mode: str
    seed: int
    wrong: str


USUAL = [
    ("pair", "plain"),
    ("chain", "swarm"),
    ("both", "swarm"),
    ("fan in", "trims, names modifier"),
    ("references", "swarm"),
    ("diamond", "late duplicates"),
    ("twenty", "plain"),
]
FITTING = {
    "A1": [("chain", "lag, seconds, skew"), ("pair", "no comparing, lag"), ("pair", "seconds")],
    "A3": [("pair", "racing people"), ("chain", "seconds"), ("pair", "second reader")],
    "A4": [("pair", "second reader"), ("chain", "racing people"), ("chain", "seconds, skew")],
    "A5": [("pair", "no comparing"), ("pair", "racing people")],
    "A6": [("pair", "racing people"), ("pair", "trims"), ("references", "racing people")],
    "A7": [("pair", "find lags"), ("pair", "late duplicates"), ("chain", "racing people"), ("pair", "late requests")],
    "A8": [("pair", "trims"), ("pair", "trims, names modifier"), ("pair", "rollback, idempotent")],
    "A9": [("pair", "skew"), ("chain", "skew"), ("pair", "racing people")],
    "A10": [("pair", "zombies"), ("pair", "late duplicates"), ("chain", "rollback")],
    "A11": [("pair", "refuses"), ("chain", "ignores"), ("both", "refuses")],
    "A12": [("pair", "rewriters")],
    "B1": [("pair", "skew"), ("chain", "seconds, skew")],
    "B5": [("pair", "plain"), ("chain", "skew"), ("fan in", "plain")],
    "B6": [("pair", "rollback"), ("chain", "rollback"), ("diamond", "rollback")],
    "C1": [
        ("fan in", "plain"),
        ("chain", "set aside"),
        ("topics.yaml", "plain"),
        ("pair", "rollback"),
        ("fan in", "rollback"),
        ("conflict", "restored"),
    ],
    "C2": [("chain", "deletes, swarm"), ("pair", "deletes, returns")],
    "C3": [("conflict", "plain"), ("fan in", "plain")],
    "C4": [
        ("conflict", "plain"),
        ("conflict", "renaming people"),
        ("both", "renaming people"),
        ("pair", "crowds"),
        ("two criteria crosswise", "plain"),
    ],
    "C5": [("pair", "restored"), ("both", "restored"), ("pair", "restored, late requests")],
    "C6": [
        ("both without match", "plain"),
        ("both without match", "rollback"),
        ("both", "second reader"),
        ("conflict", "erased"),
        ("both without match", "deletes, restored"),
    ],
    "C8": [
        ("pair", "trims"),
        ("pair", "erased, at rest"),
        ("pair without match", "erased, unread"),
        ("chain", "rollback"),
        ("pair", "racing people"),
    ],
    "C9": [("pair", "refuses"), ("pair", "refuses creates")],
    "C10": [("pair", "copies"), ("chain", "rollback, idempotent"), ("both", "copies")],
    "C7": [("both without match", "plain")],
    "D2": [("chain", "deletes"), ("diamond", "deletes"), ("pair", "deletes, returns"), ("pair", "deletes, deleted")],
    "A13": [("sets", "plain"), ("sets", "late duplicates"), ("sets of references", "plain"), ("sets", "swarm")],
    "A14": [("groups", "trims"), ("groups", "plain")],
    "B7": [("pair", "gives less"), ("groups", "gives less")],
    "C11": [("pair", "late requests"), ("pair", "plain")],
    "D1": [("references", "plain"), ("required references", "plain"), ("references", "late duplicates")],
    "D3": [("pair", "rollback"), ("chain", "rollback")],
    "D4": [("pair", "rollback"), ("chain", "rollback"), ("fan", "deletes, rollback")],
    "I8": [
        ("pair", "restored"),
        ("pair", "expiring pages"),
        ("pair", "field later"),
        ("pair", "no times"),
        ("chain", "no times"),
    ],
    "I13": [("pair", "find lags"), ("chain", "plain")],
}
"""Where a rule is looked for first; a rule that is not here, or not found there, in the usual ones."""


def wrong(mutant: Mutant, shape: str, mode: str, seed: int) -> str:
    """What is wrong with a history while a mutant is at large; empty if nothing is."""
    with mutant.at_large():
        try:
            world, _, problems = judged(plan(shape, mode, seed))
        except Exception as error:  # noqa: BLE001  # a mutant may fail in any way
            return f"raised: {error!r}"[:120]
        world.close()
    return problems[0][:120] if problems else ""


def clean(shape: str, mode: str, seed: int) -> bool:
    """Whether everything is right with all rules on."""
    world, _, problems = judged(plan(shape, mode, seed))
    world.close()
    return not problems


def histories(rule: str) -> Iterator[tuple[str, str, int]]:
    """Where a rule is looked for, in order."""
    fitting = FITTING.get(rule.partition(" ")[0], [])
    for pairs, seeds in ((fitting, SEEDS), (USUAL, FEW)):
        for seed in range(1, seeds + 1):
            yield from ((shape, mode, seed) for shape, mode in pairs if fits(shape, mode))


def caught(rule: str) -> Caught | None:
    """The first history that goes wrong without a rule, and not with it."""
    for shape, mode, seed in histories(rule):
        found = wrong(MUTANTS[rule], shape, mode, seed)
        if found and clean(shape, mode, seed):
            return Caught(shape, mode, seed, found)
    return None


def still(rule: str, known: Caught) -> bool:
    """Whether a history that caught a rule still does."""
    return bool(wrong(MUTANTS[rule], known.shape, known.mode, known.seed)) and clean(
        known.shape, known.mode, known.seed
    )


def recorded() -> dict[str, Caught]:
    """What is known to catch which rule."""
    return as_json.decode(CAUGHT.read_bytes(), type=dict[str, Caught]) if CAUGHT.exists() else {}


def searched(rule: str) -> tuple[str, Caught | None]:
    known = recorded().get(rule)
    return rule, known if known is not None and still(rule, known) else caught(rule)


def main(rules: list[str]) -> int:
    """Look for every rule, say what was found, and keep it."""
    known, uncaught = recorded(), []
    with Pool() as pool:
        for rule, found in pool.imap(searched, rules or list(MUTANTS)):
            if found is not None:
                known[rule] = found
                print(f"{rule:>16}  {found.shape}, {found.mode}, seed {found.seed}: {found.wrong}", flush=True)
                continue
            known.pop(rule, None)
            tests = ", ".join(MUTANTS[rule].killers)
            print(f"{rule:>16}  no history; {tests or 'AND NO TEST'}", flush=True)
            uncaught += [] if tests else [rule]
    kept = {rule: as_json.decode(as_json.encode(known[rule])) for rule in sorted(known) if rule in MUTANTS}
    CAUGHT.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"{len(kept)} of {len(MUTANTS)} are caught by histories, the others by their written tests")
    return 1 if uncaught else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
