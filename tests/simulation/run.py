"""Many histories with fresh seeds, and what they compared: ``python -m tests.simulation.run 10000 [SEED]``.

Goes on after a violation; prints each with the command that tells its story, and ends with 1 if there were any.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.simulation.histories import combinations, judged, plan
from tests.simulation.modes import MODES


def main(histories: int, first: int, only: str = "") -> int:
    counts: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    pairs = [pair for pair in combinations() if not only or only in pair]
    longest = 0
    began = time.monotonic()
    for number in range(histories):
        shape, mode = pairs[number % len(pairs)]
        seed = first + number // len(pairs)
        world, oracle, problems = judged(plan(shape, mode, seed))
        world.close()
        counts.update(oracle.counts, histories=1, steps=world.steps, crashes=world.crashes, **world.happened)
        counts["answers lost"] += world.lost
        longest = max(longest, world.rounds)
        for problem in problems[:3]:
            print(
                f"{shape}, {mode}, seed {seed}: {problem}\n  python -m tests.simulation.story {shape!r} {mode!r} {seed}"
            )
        wrong[mode] += bool(problems)
    took = time.monotonic() - began
    for name, count in sorted(counts.items()):
        print(f"{count:>14,} {name}")
    print(f"{longest:>14,} rounds to come to rest, at most")
    for mode, how in MODES.items():
        if how.excused:
            print(f"{mode}: not promised, and not checked: {', '.join(sorted(how.excused))}; {how.why}")
    bad = sum(wrong.values())
    print(f"{histories / took:.0f} histories a second, {took:.0f} s; {bad} with violations {dict(+wrong) or ''}")
    return 1 if bad else 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(
        main(
            int(arguments[0]) if arguments else 1000,
            int(arguments[1]) if len(arguments) > 1 else time.time_ns() // 1_000_000_000 % 1_000_000 * 1000,
            arguments[2] if len(arguments) > 2 else "",
        )
    )
