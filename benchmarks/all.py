"""Run every benchmark and write what came out into docs/benchmarks.md.

python benchmarks/all.py [--rounds 3] [--quick]
python benchmarks/all.py --api figures.json [more.json ...]

``--quick`` is for trying it: one round of everything, small, and nothing is written. ``--api`` writes nothing but the
section on what the systems are asked, from what ``benchmarks/api.py`` printed; what was not measured keeps its figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "benchmarks.md"


def measured(script: str, *arguments: str) -> dict[str, Any]:
    """One benchmark's own last line."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    print("$", "python", f"benchmarks/{script}", *arguments, flush=True)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    print(done.stdout, flush=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    rows = [head, tuple("---" for _ in head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}".rstrip("0").rstrip(".")


PAGE = """\
# Benchmarks

Made by `make bench` ({stand}; {rounds} rounds, medians; Python {python}, {cores} cores of a shared virtual machine).
Absolute figures move by a third from run to run on such a machine; ratios are taken round by round.

## Aims, and what was reached

{aims}

## The engine alone, beside stock Faust

The neutral join: decode, row get, last write wins over four fields, row put, one upsert. 300,000 changes over 20,000
entities, 8 partitions, one file; rows, outputs and offsets committed, and checked to be exact. Stock Faust uses its own
fetch loop, `Table` and `topic.send` on the same file, in the same run. `python benchmarks/engine.py --peers`

{engine}

Median of the rounds' ratios: {ratios}.

## The product

Real rows, real decisions, a real file (`synchronous=full`). A change that is an edit is two decisions, two rows, an
offer and a command. `python benchmarks/product.py`

{product}

## Deciding alone

Messages a second through `decide`, rows decoded beforehand. `python benchmarks/decide.py`

{decide}

State of a linked pair with five fields, in bytes:

{sizes}

{api}"""

API = """\
## What the systems are asked

Measured {stand}, on sandboxes. `python benchmarks/api.py`

Requests about a record for an edit that reaches it; at most 1.2 times the minimum:

{edits}

Requests of a round in which nothing happened, all types read at one interval; at most the minimum, and a tenth more
because rounds of different types are not of one length:

{idle}

A first load, until every record has its twin and the link is written down: without limits, memory below 300 MiB; and
with the limit that the vendor documents, within 5 % of the time that it dictates for the writes that are needed,
however much is read beside them, counted from the first write. The sandbox enforces the limit; *too many* is how often
it refused. Where others use the machine (its *load* at the end), the worker's CPU seconds say more than the clock.

{load}

{limited}
"""
HEADING = API.partition("\n")[0]
FIGURES = "<!-- figures: {} -->"
"""Where the section keeps what it was made of."""


def judged(reached: float, most: float) -> str:
    return "" if reached <= most else "**missed**"


def section(figures: dict[str, Any]) -> str:
    """What the systems are asked, as a part of the page."""
    edits = [
        (
            name,
            *(shown(each[what]) for what in ("edits", "requests", "minimum")),
            each["why"],
            judged(each["requests"], 1.2 * each["minimum"]),
        )
        for name, each in sorted(figures.get("edits", {}).items())
    ]
    idle = [
        (
            name,
            shown(each["a round"]),
            str(each["minimum"]),
            each["why"],
            judged(each["a round"], 1.1 * each["minimum"]),
        )
        for name, each in sorted(figures.get("idle", {}).items())
    ]
    loads = [
        (name, *(shown(each[what]) for what in LOADED), judged(each["peak MiB"], 300))
        for name, each in sorted(figures.get("load", {}).items())
    ]
    limited = [
        (
            name,
            *(shown(each[what]) for what in (*LIMITED, "dictated s")),
            judged(each["seconds"], 1.05 * each["dictated s"]),
        )
        for name, each in sorted(figures.get("limited", {}).items())
    ]
    text = API.format(
        stand=datetime.now(UTC).strftime("%Y-%m-%d"),
        edits=table(("followed by", "edits", "requests an edit", "minimum", "why", ""), edits),
        idle=table(("", "requests a round", "minimum", "for", ""), idle),
        load=table(("into", *LOADED, ""), loads),
        limited=table(("into, limited", *LIMITED, "dictated s", ""), limited),
    )
    return f"{text}\n{FIGURES.format(json.dumps(figures))}\n"


LOADED = ("entities", "seconds", "entities/s", "worker's CPU s", "peak MiB", "requests", "machine's load")
LIMITED = ("entities", "seconds", "requests", "too many", "machine's load")


def kept(text: str) -> dict[str, Any]:
    """The figures that the page's section was made of."""
    head, _, tail = FIGURES.partition("{}")
    _, found, rest = text.partition(head)
    figures: dict[str, Any] = json.loads(rest.partition(tail)[0]) if found else {}
    return figures


def updated(text: str, figures: dict[str, Any]) -> str:
    """The page with these figures in its section; all other sections, and figures not measured now, stay."""
    known = kept(text)
    for part, each in figures.items():
        known[part] = {**known.get(part, {}), **each}
    before, found, behind = text.partition(HEADING)
    _, more, others = behind.partition("\n## ") if found else ("", "", "")
    return f"{before.rstrip()}\n\n{section(known)}" + (f"\n## {others}" if more else "")


def aims(engine: dict[str, Any], product: dict[str, Any], decide: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Every aim beside the figure, and whether it was reached."""
    parts = product["medians"]
    edits, chain = parts["join, every change an edit"], parts["chain, 200 edits/s, one a page"]
    starts = [figures for name, figures in parts.items() if name.startswith("start")]
    for name, aim, reached, more in (
        ("engine, times stock Faust", 12, engine["ratios"]["full"], True),
        ("product, edits/s", 15_000, edits["per_second"], True),
        ("decide, messages/s", 40_000, decide["per_second"]["mix"], True),
        ("decide, readings without news/s", 150_000, decide["per_second"]["unchanged"], True),
        ("chain, p50 ms", 4, chain["p50_ms"], False),
        ("chain, p99 ms", 15, chain["p99_ms"], False),
        ("start, s", 1.5, max(each["first_record_s"] for each in starts), False),
        ("idle, % of a core", 1, max(each["idle_cpu_percent"] for each in starts), False),
        ("idle, MiB", 80, max(each["idle_rss_mib"] for each in starts), False),
        ("state of a linked pair beyond its values, bytes", 700, decide["bytes"]["beyond values"], False),
    ):
        met = reached >= aim if more else reached <= aim
        yield name, f"{'at least' if more else 'at most'} {shown(aim)}", shown(reached), "" if met else "**missed**"


def page(
    engine: dict[str, Any], product: dict[str, Any], decide: dict[str, Any], api: dict[str, Any], rounds: int
) -> str:
    """The whole document."""
    stand = datetime.now(UTC).strftime("%Y-%m-%d")
    joins = [
        (name, shown(each["per_second"]), shown(each["cpu_us"]), shown(each["rss_mib"]))
        for name, each in engine["medians"].items()
    ]
    ratios = "; ".join(f"{name}: **{shown(ratio)} times** stock Faust" for name, ratio in engine["ratios"].items())
    parts = [
        (what, ", ".join(f"{name} {shown(figure)}" for name, figure in figures.items()))
        for what, figures in product["medians"].items()
    ]
    alone = [(name, shown(each)) for name, each in decide["per_second"].items()]
    sizes = [(name, shown(each)) for name, each in decide["bytes"].items()]
    return PAGE.format(
        aims=table(("", "aim", "reached", ""), list(aims(engine, product, decide))),
        stand=stand,
        rounds=rounds,
        python=platform.python_version(),
        cores=os.cpu_count(),
        engine=table(("", "changes/s", "CPU us each", "MiB"), joins),
        ratios=ratios,
        product=table(("", "medians"), parts),
        decide=table(("messages", "a second"), alone),
        sizes=table(("part", "bytes"), sizes),
        api=section(api),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--api", nargs="+", type=Path, default=(), help="what benchmarks/api.py printed")
    asked = parser.parse_args()
    if asked.api:
        text = TARGET.read_text("utf-8")
        for file in asked.api:
            text = updated(text, json.loads(file.read_text("utf-8").splitlines()[-1]))
        TARGET.write_text(text, "utf-8")
        return
    rounds = 1 if asked.quick else asked.rounds
    less = ("--changes", "20000") if asked.quick else ()
    engine = measured("engine.py", "--peers", "--rounds", str(rounds), *less)
    rows = ("--rows", "20000") if asked.quick else ()
    product = measured("product.py", "--rounds", str(rounds), *less, *rows)
    decide = measured("decide.py")
    few = ("--edits", "1", "--entities", "500", "--limited", "0", "--systems", "custompms") if asked.quick else ()
    api = measured("api.py", *few)
    text = page(engine, product, decide, api, rounds)
    if asked.quick:
        print(text)
    else:
        kept = re.split(r"^(?=## )", TARGET.read_text("utf-8"), flags=re.MULTILINE)
        kept = [part for part in kept[1:] if f"\n{part.splitlines()[0]}\n" not in text]  # what others wrote
        TARGET.write_text("\n".join((text, *kept)), "utf-8")
        print(f"written: {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
