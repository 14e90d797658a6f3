"""Lose the whole table of all twenty statements, make it anew from the topics, and count what is written then.

The full form of ``test_replay``: six sandboxes, the flows of topics.yaml, and every row of every agent deleted.

    python -m tests.worker.disaster
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from stream.engine.backends import open_reader
from stream.operate.plan import kept
from stream.operate.rebuild import Link, links_of
from stream.qa.stand import Stand, sandboxed

STILL = 12.0
"""Seconds without a write after which all is done."""


def truth(stand: Stand) -> tuple[int, int]:
    """What was changed in all systems, and how much of it we created, by their own account."""
    entries = [entry for box in stand.sandboxes.values() for entry in box.truth]
    return len(entries), sum(entry.op == "create" and entry.author == "linkstream" for entry in entries)


async def still(stand: Stand) -> None:
    last, since = truth(stand), time.monotonic()
    while time.monotonic() - since < STILL:
        await asyncio.sleep(0.2)
        if (now := truth(stand)) != last:
            last, since = now, time.monotonic()


async def typed(folder: Path, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream.cli.main", *words, "-c", str(folder / "topics.yaml")),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, f"{' '.join(words)}: {process.returncode}"
    return out.decode()


def links(stand: Stand) -> set[Link]:
    with open_reader(stand.topology.broker) as reader:
        return links_of(kept(reader))


async def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with sandboxed(Path("topics.yaml"), folder) as stand:
            await stand.worker.start()
            await stand.until(lambda: truth(stand)[1] > 0, 60.0)
            await still(stand)
            assert await stand.worker.stop() == 0
            stood, before = links(stand), truth(stand)
            with sqlite3.connect(folder / "linkstream.db") as connection:
                connection.execute("delete from rows")
                connection.execute("update offsets set next = 0")
            began = time.monotonic()
            await typed(folder, "replay", "--rebuild", "--yes")
            seconds, made = time.monotonic() - began, links(stand)
            await stand.worker.start()
            log = folder / "worker.log"
            whole = 2 * len(stand.topology.types)
            await stand.until(lambda: log.read_text("utf-8").count("first complete reading") == whole, 120.0)
            await still(stand)
            after = truth(stand)
            await stand.worker.stop()
            now, created, written = links(stand), after[1] - before[1], after[0] - before[0]
            print(f"links: {len(stood)} stood; {len(made)} made anew in {seconds:.1f} s; {len(now)} when all was read")
            print(f"missing: {len(stood - now)}; created: {created}; written in all: {written}")
            return int(now != stood or after != before)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
