"""How soon an operator sees something: the page's first paint and the commands, over a log with many links.

The log is filled as a worker would have left it: two rows a link, and the counts of how they stand. Then a worker is
started on it, whose systems do not answer, so that it does nothing but serve; a browser loads the page on loopback, and
commands are typed. ``python benchmarks/operate.py --write`` puts the figures into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import async_playwright

from stream.codec import bytes_of
from stream.core.row import Edge, Row
from stream.engine.ask import ask
from stream.engine.embedded.log import EmbeddedLog
from stream.engine.log import EngineError, partition_of
from stream.engine.memory import lanes_of
from stream.operate.process import WorkerProcess
from stream.standing import Standing, standing
from stream.topics import MAIL
from stream.topology import Topology, read_topology
from stream.wanted import topics_of

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs/benchmarks.md"
HEADING = "## The page and the commands"
AIMS = {"page, first paint": 200, "--help": 100, "status": 300, "explain": 300}
FLOW = "asana.tasks~custompms.task"


def pair(number: int) -> list[tuple[str, Row]]:
    """A link: both rows."""
    left, right = f"asana.tasks:{1_200_000_000_000_000 + number}", f"custompms.task:{number}"
    name = f"Ring byggeleder {number} om befaring"
    return [
        (left, Row(remote={"name": name, "notes": "", "due_on": None}, edges={f"{FLOW}/a": Edge(peer=right)})),
        (right, Row(remote={"title": name, "description": ""}, edges={f"{FLOW}/b": Edge(peer=left)})),
    ]


async def filled(topology: Topology, links: int) -> None:
    """Write the rows and their counts, each into its lane."""
    log = EmbeddedLog(topology.broker)
    await log.open()
    await log.declare(topics_of(topology), topology.partitions)
    rows: list[list[tuple[str, Row]]] = [[] for _ in range(topology.partitions)]
    for number in range(links):
        for ref, row in pair(number):
            rows[partition_of(ref.encode(), topology.partitions)].append((ref, row))
    for lane in await lanes_of(log, "join", [MAIL]):
        mine = rows[lane.id.partition]
        for start in range(0, len(mine), 2000):
            async with lane.turn() as unit:
                counts = Standing(unit)
                for ref, row in mine[start : start + 2000]:
                    unit.put(ref.encode(), bytes_of(row))
                    counts.moved(unit, ref.encode(), (), standing(ref, row), 0)
                counts.end(unit, 0)
    await log.close()


async def address(broker: str) -> str:
    """Where the worker's page is, once it answers."""
    async with asyncio.timeout(120):
        while True:
            try:
                return str((await ask(broker, "worker"))["web"])
            except EngineError:
                await asyncio.sleep(0.2)


async def painted(url: str, times: int) -> dict[str, float]:
    """Milliseconds from the click to the first paint, and to the whole answer."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        page = await browser.new_page(bypass_csp=True)
        paints, answers = [], []
        for _ in range(times):
            await page.goto(url, wait_until="load")
            await page.wait_for_function("performance.getEntriesByName('first-paint').length > 0")
            paints.append(await page.evaluate("performance.getEntriesByName('first-paint')[0].startTime"))
            answers.append(await page.evaluate("performance.getEntriesByType('navigation')[0].responseEnd"))
        await browser.close()
    return {"page, first paint": statistics.median(paints), "page, answered": statistics.median(answers)}


def typed(words: list[str], environment: dict[str, str], times: int) -> float:
    """Milliseconds of a command, from its start to its end: the best, since whatever else runs here only adds to it."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        command = [sys.executable, "-c", "from stream.cli.main import main; main()", *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**environment, "PYTHONPATH": str(ROOT)})
        took.append((time.perf_counter() - began) * 1000)
    return min(took)


async def measured(folder: Path, links: int, times: int) -> dict[str, float]:
    """All figures, in milliseconds."""
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": f"{folder}/compiled",  # as an installed package has it
        "LINKSTREAM_BROKER": f"sqlite:///{folder}/log.db",
        **dict.fromkeys(("ASANA_TOKEN", "PMS_TOKEN", "ASANA_WORKSPACE"), "1"),
        **dict.fromkeys(("ASANA_URL", "PMS_URL"), "http://127.0.0.1:1"),
    }
    config = folder / "topics.yaml"
    config.write_text("web: {listen: 127.0.0.1:0}\n" + (ROOT / "tests/five.yaml").read_text("utf-8"), "utf-8")
    topology = read_topology(config, environment)
    await filled(topology, links)
    worker = WorkerProcess(folder, config, topology.broker, environment)
    await worker.start()
    try:
        url = await address(topology.broker)
        found = await painted(url, times)
        for name, words in (
            ("--help", ["--help"]),
            ("status", ["status", "-c", str(config)]),
            ("explain", ["explain", pair(links // 2)[0][0], "-c", str(config)]),
            ("links find", ["links", "find", f"BYGGELEDER {links - 1}", "-c", str(config)]),
        ):
            found[name] = typed(words, environment, times)
    finally:
        await worker.stop()
    return found


def section(found: dict[str, float], links: int) -> str:
    """The figures as a part of the document."""
    lines = [
        f"| {name} | {f'at most {AIMS[name]}' if name in AIMS else ''} | {took:.0f} | "
        f"{'**missed**' if took > AIMS.get(name, took) else ''} |"
        for name, took in found.items()
    ]
    table = "\n".join(["| | aim, ms | ms | |", "| --- | --- | --- | --- |", *lines])
    return f"""{HEADING}

Over a log with {links:,} links, {datetime.now(UTC):%Y-%m-%d}. The page is loaded by a browser on loopback, medians;
commands count from start to end, Python's own start included, the best of some, with compiled files at hand; `links
find` looks at all records. `python benchmarks/operate.py`

{table}
"""


def kept(text: str) -> str:
    """This section, as a document has it."""
    _, found, behind = text.partition(HEADING)
    mine, _, _ = behind.partition("\n## ")
    return f"{HEADING}{mine.rstrip()}\n" if found else ""


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--links", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=11)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = section(await measured(Path(folder), asked.links, asked.times), asked.links)
    if not asked.write:
        print(made)
        return
    text = TARGET.read_text("utf-8")
    old = kept(text)
    TARGET.write_text(text.replace(old, made) if old else f"{text.rstrip()}\n\n{made}", "utf-8")


if __name__ == "__main__":
    asyncio.run(main())
