"""Write what the benchmarks on Kafka printed into docs/benchmarks.md: ``page.py FIGURES [FIGURES ...]``.

FIGURES are files with what ``engines.py`` and ``product.py`` printed; what was not measured now keeps its figures.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.all import shown, table  # noqa: E402

TARGET = ROOT / "docs" / "benchmarks.md"
HEADING = "## On Kafka"
FIGURES = "<!-- kafka: {} -->"

TEXT = """\
## On Kafka

Measured {stand}: Apache Kafka 4.1.1, one broker in KRaft mode, replication 1, on the loopback address of the machine
that also runs what is measured: {cores} cores of a shared virtual machine, and what is measured was niced. The load
average was {load} at the end of the engines' runs and {product_load} at the end of the product's. Where others work at
the same time, absolute figures move by a factor of two and more from round to round, and processor time a change
least. `make bench-kafka` starts the broker, runs the contenders in turns and prints the first table;
`benchmarks/kafka/product.py` the others; `benchmarks/kafka/page.py` writes what they printed here.

### Aims on Kafka, and what was reached

{aims}

### The engine alone, beside others

The neutral join: decode, row get, last write wins over four fields, row put, one upsert; 200,000 changes
of 140-200 bytes over 20,000 entities in 8 partitions, units of 1000, zstd. Medians, and medians of the rounds'
ratios, of two rounds for ours, raw aiokafka, Quix exactly-once and Kafka Streams in memory with one thread, of one
where 1,200,000 changes are said. The others were not measured again since lanes share transactions: their figures and
ratios are of one to three rounds before, at a load of 7.7, and so are too low. Kafka Streams at least once
is among the contenders, and has no figures here yet. A run is done when its outputs are acknowledged and its offsets
committed; then it is checked: as many upserts as changes, the last of every entity what it must be, and row counters
in the changelog that add up (of raw aiokafka, which keeps no rows, the number of upserts alone). linkstream commits
rows, upserts and offsets of several units in one transaction, or of one, as they come. Kafka Streams (Java 17, 512 MiB
of heap, otherwise its defaults) runs twice in one virtual machine, of which the second run counts. Quix Streams 3.28.1
keeps its rows in RocksDB and commits every five seconds. *raw* copies records, in transactions of as many, without
decoding or rows. Stock Faust gets fewer changes, for it is slower. Of linkstream's memory 53 MiB are what it imports
and 7 its connections to eight lanes; the rest comes with work: 20,000 rows, some 18,000 records at hand, two units and
two connections to SQLite for each lane.

{engines}

### The product, recovery, several workers

Real rows and decisions, 4 partitions, exactly once; one round, of *chain* four, of *moving* three. *join*: an edit is
two decisions, two rows, an offer and a command; others repeat what is known. *chain*: from the reading of a page to the
commit of the receipt. *recover*: all lanes of the joining agent claimed by a new process, from the changelog and from
the files of a former one; *explain* of a record among as many, with a change in the topics for every second row.
*workers*: 20,000 edits shared among processes on the same cores. *moving*: 500 edits a second over 50,000 rows, each
from being sent to its command in the hands of a reader of committed records: with one worker; while a second one comes,
with an empty folder; and when the first is killed (`python benchmarks/kafka/product.py --only moving`).
*joining_extra_ms* is the slowest edit of the second part less the median of the first, *staying_extra_ms* the same of
the partitions that stay where they are, *moving_extra_ms* of those that move; the start of the second process is in it,
which takes a core for two seconds. *after_session_s* is the slowest of the last part less the session of ten seconds.
*load* says how much else the machine did; nothing here suffers more from that.

Before a worker that comes prepared for it, *joining_extra_ms* was 761. A busy machine makes more of it: in turns, three
rounds each at a load of 9 to 12, it was 1,983 before and 914 after (staying 914, moving 879). Traced once at a load of
3 to 5, from the moment that the first worker hears of it to the first commit: partitions that stay stood still for
255 ms before and 217 after, those that move for 477 and 214. Of these 34 ms are the last commit, 11 the group, 110 the
claim (60 of them four transactional ids), 60 the first unit.

{product}

"""


def engines(figures: dict[str, Any]) -> str:
    lines = []
    for name, each in figures["medians"].items():
        ratio = {what: figures["ratios"][what].get(name) for what in ("per_second", "cpu_us", "rss_mib")}
        times = [f"{value:.2f}" if value is not None else "" for value in ratio.values()]
        lines.append((name, *(shown(each[what]) for what in ratio), *times))
    return table(("", "changes/s", "CPU us each", "MiB", "our speed", "our CPU", "our memory"), lines)


def aims(figures: dict[str, Any], product: dict[str, Any]) -> list[tuple[str, ...]]:
    """Every aim beside the figure, and whether it was reached."""
    ratios = figures["ratios"]
    speed, cpu, memory = (ratios[what] for what in ("per_second", "cpu_us", "rss_mib"))
    streams = "Kafka Streams exactly_once_v2, memory, 1 thread"
    found: list[tuple[str, float, float | None, bool]] = [
        ("times stock Faust", 25, speed.get("stock Faust"), True),
        ("times Quix Streams, exactly once", 2.5, speed.get("Quix exactly-once"), True),
        ("times Kafka Streams exactly_once_v2 in memory", 1.5, speed.get(streams), True),
        ("the same, 1,200,000 changes", 1.5, speed.get(f"{streams}, 1,200,000 changes"), True),
        ("its CPU a change", 0.5, cpu.get(streams), False),
        ("its memory", 0.25, memory.get(streams), False),
        ("of what raw aiokafka copies", 0.4, speed.get("raw aiokafka"), True),
    ]
    for name, aim, part, figure, more in (
        ("product, changes/s, each an edit", 15_000, "join, every change an edit", "per_second", True),
        ("product, changes/s, one in ten an edit", 15_000, "join, one change in ten an edit", "per_second", True),
        ("chain at 100 edits/s, p50 ms", 40, "chain, 100 edits/s, one a page", "p50_ms", False),
        ("chain at 100 edits/s, p99 ms", 200, "chain, 100 edits/s, one a page", "p99_ms", False),
        ("200,000 rows from the changelog, s", 1, "recover 200,000 rows", "changelog_s", False),
        ("200,000 rows from files, s", 0.2, "recover 200,000 rows", "files_s", False),
        ("1,000,000 rows from the changelog, s", 6, "recover 1,000,000 rows", "changelog_s", False),
        ("1,000,000 rows, MiB", 1024, "recover 1,000,000 rows", "changelog_mib", False),
        ("explain among 1,000,000 rows, s", 2, "recover 1,000,000 rows", "explain_s", False),
        (
            "a second worker joins at 500 edits/s, extra ms at most",
            300,
            "moving, 500 edits/s",
            "joining_extra_ms",
            False,
        ),
        ("a killed worker's partitions go on after its session, s", 2, "moving, 500 edits/s", "after_session_s", False),
    ):
        found.append((name, aim, product.get("medians", {}).get(part, {}).get(figure), more))
    return [
        (
            name,
            f"{'at least' if more else 'at most'} {shown(aim)}",
            "" if reached is None else shown(reached),
            "" if reached is None or (reached >= aim if more else reached <= aim) else "**missed**",
        )
        for name, aim, reached, more in found
    ]


def section(kept: dict[str, Any]) -> str:
    first, second = kept["engines"], kept.get("product", {"medians": {}})
    lines = [
        (what, ", ".join(f"{name} {shown(figure)}" for name, figure in each.items()))
        for what, each in second["medians"].items()
    ]
    text = TEXT.format(
        stand=datetime.now(UTC).strftime("%Y-%m-%d"),
        cores=first["about"]["cores"],
        load=first["about"]["load"],
        product_load=second.get("load", "not measured"),
        aims=table(("", "aim", "reached", ""), aims(first, second)),
        engines=engines(first),
        product=table(("", "measured"), lines),
    )
    return f"{text}{FIGURES.format(json.dumps(kept))}\n"


def updated(text: str, measured: list[dict[str, Any]]) -> str:
    """The page with these figures; all other sections, and figures not measured now, stay."""
    found = re.search(re.escape(FIGURES).replace(r"\{\}", "(.*)"), text)
    kept: dict[str, Any] = json.loads(found[1]) if found else {}
    for each in measured:
        known = kept.setdefault("engines" if "ratios" in each else "product", {})
        known["medians"] = {**known.get("medians", {}), **each["medians"]}
        for what, ratios in each.get("ratios", {}).items():
            known.setdefault("ratios", {})[what] = {**known.get("ratios", {}).get(what, {}), **ratios}
        known |= {part: told for part, told in each.items() if part not in {"medians", "ratios"}}
    before, _, behind = text.partition(HEADING)
    others = behind.partition("\n## ")[2]
    return f"{before.rstrip()}\n\n{section(kept)}" + (f"\n## {others}" if others else "")


def main() -> None:
    measured = [json.loads(Path(name).read_text("utf-8").splitlines()[-1]) for name in sys.argv[1:]]
    TARGET.write_text(updated(TARGET.read_text("utf-8"), measured), "utf-8")


if __name__ == "__main__":
    main()
