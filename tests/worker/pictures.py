"""Takes the picture of the page that the README shows: the demo's systems, some edits, and one system that is down."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from stream.engine.ask import ask
from stream.operate.demo import EDITS, Demo, linked
from stream.qa.stand import sandboxed
from tests.worker.test_page import CHROMIUM

ROOT = Path(__file__).parents[2]
SIZE = {"width": 1200, "height": 800}


async def take(folder: Path) -> None:
    async with sandboxed(ROOT / "topics.yaml", folder, page="127.0.0.1:0") as stand, async_playwright() as playwright:
        demo = Demo(stand)
        await stand.worker.start()
        await linked(demo)
        for edit in EDITS:
            made = await demo.make(edit)
            if made is not None:
                await demo.arrival(*made)
        url = (await ask(stand.topology.broker, "worker"))["web"]
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = await browser.new_page(viewport=SIZE, color_scheme="light")
        await page.goto(url)
        await page.wait_for_timeout(2000)
        await page.screenshot(path=ROOT / "docs" / "page.png")
        await browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(take(Path(made)))
