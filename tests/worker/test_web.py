"""A real worker's server: its health and its metrics, while systems come and go."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from tests.worker.office import Office
from tests.worker.rig import linked, pairs, rename, rig, settled, shown, status, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Office, Any]]:
    """A worker with a server on a free port, and how to ask it."""
    async with rig(folder) as office, aiohttp.ClientSession() as session:
        written = office.config.read_text("utf-8")
        office.config.write_text(f"web: {{listen: 127.0.0.1:0}}\n{written}", "utf-8")
        await office.start()
        await linked(office)
        address = (await status(office))["worker"]["web"]

        async def ask(path: str) -> tuple[int, str]:
            async with session.get(f"{address}{path}") as answer:
                return answer.status, await answer.text()

        yield office, ask


def numbers(text: str) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in families(text)
        for sample in family.samples
    }


async def test_a_system_that_is_down_is_seen_in_the_metrics_and_fails_no_health(tmp_path: Path) -> None:
    async with served(tmp_path) as (office, ask):
        for path in ("/livez", "/readyz", "/startupz"):
            assert await ask(path) == (200, "ok\n")
        await settled(office)
        left, right = pairs(office)[0]
        before = numbers((await ask("/metrics"))[1])
        assert before["linkstream_in_step_ratio['asana.tasks~custompms.task']"] == 1.0
        await rename(office, left, "Told to Prometheus")
        await until(lambda: office.record(right)["title"] == "Told to Prometheus", "the edit arrives")
        await office.pms.down()
        await shown(office, "custompms", "down")
        down = numbers((await ask("/metrics"))[1])
        assert down["linkstream_system_state['custompms', 'down']"] == 1
        assert down["linkstream_system_state['asana', 'ok']"] == 1
        update = "linkstream_writes_total['custompms.task', 'done', 'update']"
        assert down[update] > before.get(update, 0)
        assert down["linkstream_end_to_end_seconds_count['custompms.task']"] > 0
        assert down["linkstream_poll_failures_total['custompms.task']"] > 0
        assert down["linkstream_request_seconds_count['GET', 'asana']"] > 1
        assert down["linkstream_request_seconds_sum['GET', 'asana']"] > 0
        assert down["linkstream_rebalances_total[]"] == 1
        assert down["linkstream_commit_seconds_total['0', 'join']"] > 0
        for path in ("/livez", "/readyz", "/startupz"):
            assert await ask(path) == (200, "ok\n")
        await office.pms.up()
        await shown(office, "custompms", "ok")


async def test_no_label_is_the_id_of_a_record(tmp_path: Path) -> None:
    async with served(tmp_path) as (office, ask):
        _, text = await ask("/metrics")
        ids = {link.ref.partition(":")[2] for link in office.links()}
        told = set(re.findall(r'="([^"]*)"', text))
        assert len(ids) > 10
        assert {one for one in ids if len(one) > 5} & told == set()
        assert not any(label.rpartition(":")[2] in ids for label in told if ":" in label)
