"""Many histories with fresh seeds on all cores, and what they compared: ``python -m tests.simulation.run 10000``.

Every seed is walked in all shapes and modes before the next one. It stops at the first violation, with the command
that tells its story; with ``--keep-going`` it collects them. While it runs it says how to go on from there later.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import Pool
from typing import NamedTuple

from tests.simulation.histories import combinations, judged, plan
from tests.simulation.invariants import told
from tests.simulation.modes import MODES

BATCH = 50
"""Histories that one process walks before it tells of them."""

EVERY = 10.0
"""Seconds between two lines that say how far it has come."""


class Batch(NamedTuple):
    """Histories of one seed: the combinations from one place to another."""

    seed: int
    pairs: list[tuple[str, str]]


class Outcome(NamedTuple):
    """What became of a batch."""

    seed: int
    counts: Counter[str]
    wrong: list[tuple[str, str, int, str]]
    rounds: int


def walked(batch: Batch) -> Outcome:
    """Walk the histories of a batch."""
    counts: Counter[str] = Counter()
    wrong, rounds = [], 0
    for shape, mode in batch.pairs:
        world, oracle, problems = judged(plan(shape, mode, batch.seed))
        world.close()
        counts.update(oracle.counts)
        counts.update(world.happened, histories=1, steps=world.steps, crashes=world.crashes)
        counts["answers lost"] += world.lost
        rounds = max(rounds, world.rounds)
        wrong += [(shape, mode, batch.seed, problem) for problem in problems[:3]]
    return Outcome(batch.seed, counts, wrong, rounds)


def batches(histories: int, first: int, only: str) -> Iterator[Batch]:
    """All batches in order, of as many histories as are wanted."""
    pairs = [pair for pair in combinations() if not only or only in pair]
    if not pairs:
        raise SystemExit(f"--only: found no shape or mode {only!r}; one of modes.py or shapes.py would be right")
    seed = first
    while histories > 0:
        for start in range(0, len(pairs), BATCH):
            some = pairs[start : start + BATCH][:histories]
            if some:
                yield Batch(seed, some)
            histories -= len(some)
        seed += 1


class Report:
    """What was found so far."""

    def __init__(self, first: int) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.seed, self.rounds = first, 0
        self.began = self.said = time.monotonic()

    def add(self, outcome: Outcome) -> None:
        self.counts.update(outcome.counts)
        self.seed, self.rounds = outcome.seed, max(self.rounds, outcome.rounds)
        for shape, mode, seed, problem in outcome.wrong:
            print(f"{shape}, {mode}, seed {seed}: {problem}")
            print(f"  python -m tests.simulation.story {shape!r} {mode!r} {seed}", flush=True)
        self.wrong.update({mode for _, mode, _, _ in outcome.wrong})
        if time.monotonic() - self.said > EVERY:
            self.said = time.monotonic()
            print(self.progress(), file=sys.stderr, flush=True)

    def progress(self) -> str:
        many, took = self.counts["histories"], time.monotonic() - self.began
        return (
            f"{many:,} histories, {many / took:.0f} a second, {sum(self.wrong.values())} modes with violations; "
            f"to go on from here: --first {self.seed}"
        )

    def __str__(self) -> str:
        lines = [f"{count:>14,} {name}" for name, count in sorted(self.counts.items())]
        lines.append(f"{self.rounds:>14,} rounds to come to rest, at most")
        lines.append(told(self.counts))
        for mode, how in MODES.items():
            if how.excused:
                lines.append(f"{mode}: not promised, and not checked: {', '.join(sorted(how.excused))}; {how.why}")
        return "\n".join([*lines, f"{self.progress()}; {dict(self.wrong) or 'no violation'}"])


def run(asked: argparse.Namespace) -> Report:
    """Walk on all cores until there are enough, or one is wrong."""
    report = Report(asked.first)
    with Pool(asked.cores) as pool, closing(batches(asked.histories, asked.first, asked.only)) as wanted:
        try:
            for outcome in pool.imap(walked, wanted):
                report.add(outcome)
                if report.wrong and not asked.keep_going:
                    break
        except KeyboardInterrupt:
            print(f"interrupted: {report.progress()}", file=sys.stderr)
        pool.terminate()
    return report


def arguments() -> argparse.ArgumentParser:
    asked = argparse.ArgumentParser(prog="make simulate", description=__doc__.partition("\n")[0])
    asked.add_argument("histories", type=int, nargs="?", default=10_000)
    fresh = time.time_ns() // 1_000_000_000 % 1_000_000 * 1000
    asked.add_argument(
        "--first", type=int, default=fresh, metavar="SEED", help="the first seed; a fresh one if left out"
    )
    asked.add_argument("--only", default="", metavar="WORD", help="one shape or one mode")
    asked.add_argument("--keep-going", action="store_true", help="collect violations instead of stopping at the first")
    asked.add_argument("--cores", type=int, default=os.cpu_count())
    return asked


def main() -> int:
    report = run(arguments().parse_args())
    print(report)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
