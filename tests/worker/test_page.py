"""The page in a real browser over a real worker: read, searched, clicked, watched; by keyboard and on a phone."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from stream.codec import encode
from stream.engine.ask import ask, publishing
from stream.engine.backends import open_reader
from stream.engine.log import Outgoing
from stream.model import Conflict, Stated, Version
from stream.operate.orders import row_at
from stream.topics import CONFLICTS, MAIL
from tests.worker.office import Office
from tests.worker.rig import TASKS, linked, pairs, parked, rename, rig, settled, shown, status, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = ROOT / ".venv/axe/node_modules/axe-core/axe.min.js"
PATHS = ("/", "/records", "/links", "/conflicts", "/parked")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
WRITE = "write-" + "x" * 20

if CHROMIUM is None:
    pytest.skip("no browser is here; Debian's package chromium is one", allow_module_level=True)


class Visit:
    """A worker, its page, and a browser before it."""

    def __init__(self, office: Office, url: str, browser: Browser) -> None:
        self.office = office
        self.url = url
        self.browser = browser
        self.complaints: list[str] = []
        """What the browser's console said: a script or style that the policy forbids, an error."""

    async def page(self, path: str = "/", **context: Any) -> Page:
        made = await self.browser.new_context(**context)
        page = await made.new_page()
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(self.url + path)
        return page


@asynccontextmanager
async def visit(folder: Path, web: str = "{listen: 127.0.0.1:0}") -> AsyncIterator[Visit]:
    async with rig(folder, tasks=12) as office, async_playwright() as playwright:
        written = office.config.read_text("utf-8")
        office.config.write_text(f"web: {web}\n{written}", "utf-8")
        await office.start()
        await linked(office)
        await settled(office)
        url = (await status(office))["worker"]["web"]
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if os.getuid() == 0 else []
        )
        try:
            yield Visit(office, url, browser)
        finally:
            await browser.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Visit]:
    """A visit for tests that only look."""
    async with visit(tmp_path_factory.mktemp("page")) as made:
        yield made


looking = pytest.mark.asyncio(loop_scope="module")


async def test_an_edit_is_found_followed_and_explained_by_clicks(tmp_path: Path) -> None:
    link = "http://kafbat.test/{topic}/messages?partitions={partition}&offset={offset}"
    async with visit(tmp_path, f"{{listen: 127.0.0.1:0, topic_link: '{link}'}}") as here:
        left, right = pairs(here.office)[0]
        await rename(here.office, left, 'Ring <b>byggeleder</b> & "kona"')
        await until(lambda: here.office.record(right)["title"].startswith("Ring <b>"), "the edit arrives")
        page = await here.page()
        await page.get_by_label("Find a record").fill("BYGGELEDER")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Records")
        await page.get_by_role("rowheader", name=left).get_by_role("link").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(left)
        assert await page.locator("main b").count() == 0  # what people write is text, never a part of the page
        field = page.locator("tr", has=page.get_by_role("rowheader", name="name", exact=True))
        await expect(field).to_contain_text('Ring <b>byggeleder</b> & \\"kona\\"')
        await expect(page.locator(".story")).to_contain_text("at " + right)
        place = page.locator(".story .place a", has_text="changes.asana.tasks/").first
        topic, partition, offset = (await place.inner_text()).split("/")
        wanted = f"http://kafbat.test/{topic}/messages?partitions={partition}&offset={offset}"
        assert await place.get_attribute("href") == wanted
        await page.get_by_role("link", name=right, exact=True).first.click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(right)
        await page.get_by_role("navigation").get_by_role("link", name="Links").click()
        await page.get_by_label("Flow").select_option(TASKS)
        await page.get_by_role("button", name="Show").click()
        await expect(page.locator("tbody tr")).to_have_count(12)
        assert here.complaints == []


async def test_numbers_go_on_while_somebody_looks_and_say_when_they_do_not(tmp_path: Path) -> None:
    async with visit(tmp_path) as here:
        page = await here.page()
        await expect(page.locator("#pulse")).to_have_text("live")
        state = page.locator('.card [data-live="system custompms state"]')
        await expect(state).to_have_text("ok")
        await here.office.pms.down()
        await shown(here.office, "custompms", "down")
        await expect(state).to_have_text("down")
        await expect(page.locator('[data-live="system custompms reason"]')).not_to_be_empty()
        await rename(here.office, pairs(here.office)[0][0], "While it was down")
        await expect(page.locator('[data-live="in_step"]')).not_to_have_text("100 %")
        await expect(page.locator('.graph [data-live="system custompms state"]')).to_have_class(re.compile(r"\bbad\b"))
        await expect(page.locator('.graph [data-live="pair asana custompms"]')).not_to_contain_text("100 %")
        await here.office.pms.up()
        await expect(state).to_have_text("ok", timeout=20_000)
        await expect(page.locator('[data-live="in_step"]')).to_have_text("100 %", timeout=20_000)
        assert here.complaints == []
        await here.office.stop()
        await expect(page.locator("#pulse")).to_contain_text("these numbers are old")


@looking
async def test_without_scripts_everything_can_be_read(here: Visit) -> None:
    page = await here.page(java_script_enabled=False)
    text = await page.locator("main").inner_text()
    assert "100 %" in text
    assert "asana.tasks" in text
    for path in PATHS:
        answer = await page.goto(here.url + path)
        assert answer is not None
        assert answer.status == 200
        assert await page.locator("h1").count() == 1


@looking
async def test_the_page_is_there_at_once(here: Visit) -> None:
    page = await here.page()
    took = []
    for _ in range(5):
        began = time.monotonic()
        await page.goto(here.url, wait_until="commit")
        took.append(time.monotonic() - began)
    assert min(took) < 0.5, took


@looking
async def test_nothing_is_fetched_from_elsewhere(here: Visit) -> None:
    page = await here.page("/records")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in PATHS:
        await page.goto(here.url + path)
    assert len(asked) > 2 * len(PATHS)
    assert {re.match(r"https?://[^/]+", url)[0] for url in asked} == {here.url}  # type: ignore[index]


@looking
async def test_a_keyboard_is_enough(here: Visit) -> None:
    page = await here.page()
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("Skip to the content")).to_be_focused()
    seen = set()
    for _ in range(8):
        await page.keyboard.press("Tab")
        seen.add(await page.evaluate("document.activeElement.textContent.trim() || document.activeElement.name"))
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
    assert {"Overview", "Records", "Links", "Conflicts", "Parked", "q"} <= seen


@looking
async def test_a_phone_shows_all_of_it_without_scrolling_sideways(here: Visit) -> None:
    left, _ = pairs(here.office)[0]
    page = await here.page(**PHONE)
    for path in (*PATHS, f"/records?ref={left}"):
        await page.goto(here.url + path)
        await page.evaluate(
            "for (const a of document.querySelectorAll('main a, .why')) a.textContent += 'x'.repeat(90)"
        )
        wide = await page.evaluate("Math.max(...[...document.querySelectorAll('*')].map(e => e.scrollWidth))")
        assert wide <= 390, path


async def test_axe_finds_nothing_serious(tmp_path: Path) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not here; `make axe` installs it")
    async with visit(tmp_path) as here:
        left, _ = pairs(here.office)[0]
        await here.office.pms.down()
        await shown(here.office, "custompms", "down")
        for scheme, size in (("light", {}), ("dark", {}), ("dark", PHONE)):
            page = await here.page(color_scheme=scheme, **size)
            for path in (*PATHS, "/records?q=a", f"/records?ref={left}", "/records?ref=asana.tasks:none", "/enter"):
                await page.goto(here.url + path)
                await page.evaluate(AXE.read_text("utf-8"))
                found = await page.evaluate("axe.run()")
                bad = [
                    (each["id"], [node["html"][:120] for node in each["nodes"]][:3])
                    for each in found["violations"]
                    if each["impact"] in ("serious", "critical", "moderate")
                ]
                assert len(found["passes"]) > 10
                assert bad == [], path


async def test_who_may_only_read_changes_nothing_and_who_may_write_does(tmp_path: Path) -> None:
    os.environ["PAGE_READ"], os.environ["PAGE_WRITE"] = "read-" + "x" * 20, WRITE
    web = '{listen: 127.0.0.1:0, token: "${PAGE_READ}", write_token: "${PAGE_WRITE}"}'
    try:
        async with visit(tmp_path, web) as here:
            page = await here.page()
            await expect(page.get_by_role("heading", level=1)).to_have_text("Enter")
            await page.get_by_label("Token").fill("guessed")
            await page.get_by_role("button", name="Enter").click()
            await expect(page.get_by_role("alert")).to_have_text("This token opens nothing here.")
            await page.get_by_label("Token").fill(os.environ["PAGE_READ"])
            await page.get_by_role("button", name="Enter").click()
            await expect(page.get_by_role("heading", level=1)).to_contain_text("Overview")
            assert await page.get_by_role("button", name=re.compile("^read now")).count() == 0
            answer = await page.request.post(f"{here.url}/types/asana.tasks/read", headers={"Origin": here.url})
            assert answer.status == 403
            writer = await here.page("/enter")
            await writer.get_by_label("Token").fill(WRITE)
            await writer.get_by_role("button", name="Enter").click()
            await expect(writer.locator("#pulse")).to_have_text("live")
            await writer.get_by_role("button", name="read now: asana.tasks").click()
            await expect(writer.get_by_role("heading", level=1)).to_contain_text("Overview")
            stamp = await writer.locator("input[name=stamp]").first.input_value()
            for origin, form in (("https://evil.example.com", stamp), ("", stamp), (here.url, "guessed")):
                headers = {"Origin": origin} if origin else {}
                answer = await writer.request.post(
                    f"{here.url}/types/asana.tasks/read", headers=headers, form={"stamp": form}
                )
                assert answer.status == 403, origin
            await _settled_by_clicks(here, page, writer)
            (cookie,) = await writer.context.cookies()
            assert cookie["httpOnly"]
            assert cookie["sameSite"] == "Strict"
            assert WRITE not in cookie["value"]
    finally:
        del os.environ["PAGE_READ"], os.environ["PAGE_WRITE"]


async def test_a_conflict_is_decided_by_a_click_and_what_lost_goes_to_all_copies(tmp_path: Path) -> None:
    async with visit(tmp_path) as here:
        office = here.office
        await office.kill()  # two people type while nobody looks
        left, right = pairs(office)[0]
        await rename(office, left, "Typed first")
        await rename(office, right, "Typed second")
        await office.start()
        await until(lambda: office.record(left)["name"] == "Typed second", "the later edit wins")
        await settled(office)
        here.url = (await status(office))["worker"]["web"]
        page = await here.page("/conflicts")
        line = page.locator("tbody tr")
        await expect(line).to_contain_text("Typed first")
        await page.get_by_role("button", name=re.compile("^bring it back")).click()
        await expect(page.get_by_role("status")).to_contain_text("goes to all copies")
        await expect(page.locator("#count")).to_have_text("none")
        await until(lambda: office.record(right)["title"] == "Typed first", "what lost is there")
        await until(lambda: office.record(left)["name"] == "Typed first", "on both sides")
        assert here.complaints == []


async def test_a_system_and_a_type_are_paused_and_resumed_by_clicks_and_all_lookers_see_it(tmp_path: Path) -> None:
    async with visit(tmp_path) as here:
        watcher, page = await here.page(), await here.page(java_script_enabled=False)
        await page.get_by_label("Pause custompms", exact=True).click()
        await page.get_by_label("Why custompms is paused").fill("until <six>")
        await page.get_by_role("button", name="pause it: custompms").click()
        await expect(page.get_by_role("status").first).to_contain_text("It is paused")
        said = '[data-live="system custompms paused"]'
        await expect(page.locator(said)).to_have_text("paused by a person: until <six>")
        await expect(watcher.locator(said)).to_have_text("paused by a person: until <six>")  # told, not loaded again
        left, right = pairs(here.office)[0]
        writes = here.office.writes()
        await rename(here.office, left, "Waits for the click")
        await until(lambda: _waits(here.office, right), "the write waits")
        assert here.office.writes() == writes
        await page.get_by_role("button", name="Resume custompms").click()
        await expect(page.get_by_role("status").first).to_contain_text("It goes on")
        await until(lambda: here.office.record(right)["title"] == "Waits for the click", "what waited is written")
        await page.get_by_label("Pause asana.tasks", exact=True).click()
        await page.get_by_role("button", name="pause it: asana.tasks").click()
        await expect(watcher.locator('[data-live="type asana.tasks note"]')).to_have_text("asana.tasks is paused")
        await page.get_by_role("button", name="Resume asana.tasks").click()
        await expect(watcher.locator('[data-live="type asana.tasks note"]')).to_have_text("")
        await page.get_by_label(f"Pause flow:{TASKS}", exact=True).click()
        await page.get_by_role("button", name=f"pause it: flow:{TASKS}").click()
        await expect(watcher.locator(f'[data-live="flow {TASKS} paused"]')).to_have_text("paused by a person")
        await rename(here.office, left, "Waits for the flow")
        await until(lambda: _owes(here.office, left), "it waits in its row")
        assert here.office.record(right)["title"] == "Waits for the click"
        await page.get_by_role("button", name=f"Resume flow:{TASKS}").click()
        await until(lambda: here.office.record(right)["title"] == "Waits for the flow", "it went")
        assert here.complaints == []


def _waits(office: Office, ref: str) -> bool:
    with open_reader(office.topology.broker) as reader:
        row = row_at(reader, ref)
    return row.writing is not None and row.writing.attempt > 0


def _owes(office: Office, ref: str) -> bool:
    with open_reader(office.topology.broker) as reader:
        return bool(row_at(reader, ref).edges[f"{TASKS}/a"].owed)


@looking
async def test_charts_are_drawn_and_go_on(here: Visit) -> None:
    page = await here.page()
    await expect(page.locator(".charts canvas")).to_have_count(3)
    known = await page.evaluate("points.length")
    assert known >= 1
    await page.wait_for_function("known => points.length > known", arg=known, timeout=20_000)
    drawn = "Math.max(...[...document.querySelectorAll('.charts canvas')].map(one => one.width))"
    assert await page.evaluate(drawn) > 200


async def _settled_by_clicks(here: Visit, reader: Page, writer: Page) -> None:
    """What was set aside is listed with its reason, and whoever may tries it again or drops it."""
    left, _ = pairs(here.office)[0]
    lost = Stated(value="<i>Lost</i>", version=Version(1_700_000_000_000_000, 1, 1), author="custompms.task:9")
    won = Stated(value="Won", version=Version(1_700_000_000_000_001, 1, 1))
    conflict = Conflict(ref=left, field="name", lost=lost, won=won, at=1_700_000_000_000_002)
    junk = [Outgoing(MAIL, left.encode(), b"<script>junk"), Outgoing(CONFLICTS, left.encode(), encode(conflict))]
    await ask(here.office.topology.broker, "publish", publishing(junk))
    await until(lambda: parked(here.office), "it is parked")
    await reader.goto(f"{here.url}/conflicts")
    line = reader.locator("tbody tr")
    await expect(line).to_have_count(1)
    await expect(line).to_contain_text("<i>Lost</i>")
    await expect(line).to_contain_text("2023-11-14 22:13:20 at custompms.task:9")
    await reader.goto(f"{here.url}/parked")
    await expect(reader.locator("tbody tr")).to_contain_text("undecodable")
    assert await reader.get_by_role("button", name=re.compile("retry|drop")).count() == 0
    await writer.goto(f"{here.url}/parked")
    await writer.get_by_role("button", name=re.compile("^retry")).click()
    await until(
        lambda: sum(each.value is not None for each in parked(here.office)) == 2, "it is tried and parked again"
    )
    await writer.goto(f"{here.url}/parked")
    await writer.get_by_role("button", name=re.compile("^drop")).click()
    await expect(writer.get_by_role("status")).to_contain_text("It needs no more attention")
    await expect(writer.locator("#count")).to_have_text("none")
