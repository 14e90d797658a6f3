"""What a link weighs: in topics, in a worker's file, in its memory. python benchmarks/kafka/sizes.py [--links 50000]

Linked pairs of ``benchmarks/product.py`` with names and notes of words that are picked by chance, so that they compress
as texts do and not as a counter does. Records are packed as a producer packs them, 500 in a batch, zstd.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from aiokafka.producer.message_accumulator import BatchBuilder  # noqa: E402

from benchmarks import product  # noqa: E402
from benchmarks.product import LEFT, rows, topology, waiting  # noqa: E402
from stream.engine.kafka.rows import LocalRows, Meta  # noqa: E402
from stream.engine.rows import Rows  # noqa: E402

ZSTD = 4


def packed(records: list[tuple[bytes, bytes]]) -> int:
    """Bytes on a broker's disk."""
    size = 0
    for start in range(0, len(records), 500):
        batch = BatchBuilder(16 << 20, ZSTD)
        for key, value in records[start : start + 500]:
            batch.append(timestamp=None, key=key, value=value, headers=[])
        batch.close()
        size += len(batch._build())  # noqa: SLF001 - as the producer does
    return size


async def filed(stored: dict[bytes, bytes]) -> int:
    """Bytes of a worker's file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.rows"
        local = LocalRows(file)
        local.apply(stored, 1, Meta(b"born", {}))
        await local.keep()
        local.close()
        return file.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--links", type=int, default=50_000)
    links = parser.parse_args().links
    words = re.findall(r"\w{3,}", "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")))
    roll, plain = random.Random(1), product.records

    def varied(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        left, right = plain(number)
        text = random.Random(number)
        name, notes = " ".join(text.choices(words, k=4)), " ".join(text.choices(words, k=9))
        return {**left, "name": name, "notes": notes}, {**right, "title": name, "description": notes}

    product.records = varied
    flows = topology("sqlite:///x.db", poll=60).flows
    stored = {ref.encode(): row for number in range(links) for ref, row in rows(flows, number)}
    changes = [waiting(links, number, f"Edited {roll.random()}") for number in range(min(links, 20_000))]
    tracemalloc.start()
    at_hand = Rows(4 * links, 1 << 40)
    for key, row in stored.items():
        at_hand.put(key[:], bytes(bytearray(row)))
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    figures = {
        "rows": sum(len(key) + len(row) for key, row in stored.items()) / links,
        "changelog, compacted": packed(sorted(stored.items(), key=lambda _: roll.random())) / links,
        "file": asyncio.run(filed(stored)) / links,
        "at hand": memory / links,
        "a change": packed([(each.key, each.value or b"") for each in changes]) / len(changes),
        "a change, plain": sum(len(each.key) + len(each.value or b"") for each in changes) / len(changes),
    }
    assert len(stored) == 2 * links
    assert all(key.startswith((LEFT.encode(), b"right")) for key in stored)
    for what, size in figures.items():
        print(f"{what:24}{size:>8.0f} bytes a link")
    print(json.dumps({what: round(size) for what, size in figures.items()}))


if __name__ == "__main__":
    main()
