"""What a worker logs, while much goes wrong: lines with names for programs, and nothing of secrets or records."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.worker.rig import linked, pairs, parked, rename, rig, until

ROOT = Path(__file__).parents[2]
CANARY = "canary-of-a-record-9b1f"
pytestmark = [pytest.mark.process]


def whats() -> set[str]:
    """The names of events in the code."""
    texts = [file.read_text("utf-8") for file in (ROOT / "stream").rglob("*.py")]
    return {name for text in texts for name in re.findall(r'"what": "(\w+)"', text)}


def test_every_name_of_an_event_is_documented_and_no_other() -> None:
    table = (ROOT / "docs/operations.md").read_text("utf-8").partition("| `what` | when |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`[^|]+`) \| ", table, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"\w+", row)} == whats()
    assert len(whats()) > 10


@pytest.mark.timeout(180)
async def test_its_lines_hold_no_secret_and_nothing_of_a_record(tmp_path: Path) -> None:
    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "worker.log").read_text("utf-8").splitlines()]

    def heard(what: str) -> bool:
        return any(line.get("what") == what for line in lines())

    async with rig(tmp_path, tasks=6, twins=2) as office:
        secrets = {office.asana.token, office.pms.token}
        await office.start()
        await linked(office)
        (left, right), (other, _) = pairs(office)[:2]
        await rename(office, left, f"{CANARY} renamed")
        await until(lambda: CANARY in str(office.record(right)), "the edit arrives")

        # Systems that say in their answers what they were told, token and record and all.
        office.pms.fault("text", status=400, text=f"{CANARY} for Bearer {office.pms.token}", method="PATCH")
        await rename(office, other, f"{CANARY} refused")
        await until(lambda: parked(office), "the refused value is set aside")
        office.pms.heal()
        page = json.dumps({"data": f"{CANARY} {office.asana.token}"})
        office.asana.fault("body", text=page, method="GET")
        await until(lambda: heard("not_read"), "a page that cannot be understood is said")
        office.asana.heal()
        await until(lambda: heard("read_again"), "and its end")
        office.pms.fault("status", status=401)
        await until(lambda: heard("system_away"), "a system that is locked is said")
        office.pms.heal()
        assert await office.stop() == 0
        records = [office.record(ref) for pair in pairs(office) for ref in pair]
        names = {str(record.get("name") or record.get("title")) for record in records}
    text = (tmp_path / "worker.log").read_text("utf-8")
    assert {line["what"] for line in lines()} >= {"started", "read_whole", "not_read", "read_again", "system_away"}
    assert {line["level"] for line in lines()} <= {"info", "warning", "error"}
    assert [line for line in lines() if CANARY in json.dumps(line)] == []
    assert [name for name in names if len(name) > 5 and name in text] == []
    assert [secret for secret in secrets if secret in text] == []
