"""What a newcomer does in the first hour, with nothing but the commands and the page: something goes wrong, is seen,
is understood, and is put right."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families as families

from tests.worker.office import Office
from tests.worker.rig import linked, pairs, parked, rename, rig, settled, shown, status, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]


async def typed(office: Office, *words: str, code: int = 0) -> str:
    """Type a command at the office's configuration; what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream.cli.main", *words, "-c", str(office.config)),
        env={**office.environment, "PYTHONPATH": str(ROOT), "COLUMNS": "300", "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == code, said.decode()
    return said.decode()


async def test_a_mapping_that_is_broken_is_told_by_validate_with_what_would_be_right(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await typed(office, "validate")
        written = office.config.read_text("utf-8")
        for right, wrong, told in (
            ("to: dueDate, as: date", "to: dueDate, as: dat", "date"),
            ("{from: name, to: title}", "{from: name, too: title}", "to"),
            ("match: [{name: title}]", "match: [{name: titel}]", "title"),
            ("to: custompms.task\n", "to: custompms.tasks\n", "custompms.task"),
        ):
            assert right in written
            office.config.write_text(written.replace(right, wrong), "utf-8")
            place, _, rest = (await typed(office, "validate", code=2)).splitlines()[0].partition(": ")
            line = int(re.fullmatch(r".*topics\.yaml:(\d+):\d+", place)[1])  # type: ignore[index]
            assert wrong.strip() in "\n".join(office.config.read_text("utf-8").splitlines()[line - 2 : line + 1]), rest
            assert "found" in rest
            assert told in rest, rest
        office.config.write_text(written, "utf-8")
        await typed(office, "validate")


async def test_a_value_that_lost_is_found_in_conflicts_and_brought_back(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        await settled(office)
        left, right = pairs(office)[0]
        await office.kill()
        await rename(office, left, "Typed in Asana")
        await rename(office, right, "Typed in the PMS")
        await office.start()
        await until(lambda: office.record(left)["name"] == "Typed in the PMS", "the later edit wins")
        await settled(office)
        said = await typed(office, "conflicts", "list")
        [line] = [line for line in said.splitlines() if "Typed in Asana" in line]
        assert f"{left} name" in line
        assert '"Typed in Asana" lost against "Typed in the PMS"' in line
        await typed(office, "conflicts", "resolve", line.split()[0], "--keep", "lost")
        await until(lambda: office.record(right)["title"] == "Typed in Asana", "what lost is on both sides")


async def test_a_value_that_is_refused_is_parked_explained_and_applied_once_the_cause_is_gone(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        await settled(office)
        left, right = pairs(office)[0]
        office.pms.fault("status", method="PATCH", path="*/tasks/*", status=422)
        await rename(office, left, "Nobody takes this")
        await until(lambda: parked(office), "it is parked")
        [line] = [line for line in (await typed(office, "parked", "list")).splitlines() if right in line]
        assert "title: not applied: PATCH" in line
        told = await typed(office, "explain", left, "--field", "name")
        assert re.search(r'title = ".*" not applied \(not applied: PATCH /tasks/\d+: found status 422', told)
        told = await typed(office, "explain", right, "--field", "title")
        assert 'title = "Nobody takes this" since' in told
        assert "waits\n  title: not applied: PATCH" in told
        office.pms.heal()
        await typed(office, "parked", "retry", line.split()[0])
        await until(lambda: office.record(right)["title"] == "Nobody takes this", "it is applied")
        assert await typed(office, "parked", "list") == "nothing is set aside\n"


async def test_credentials_that_are_cut_turn_a_system_red_fire_the_alert_and_all_clears(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not here; Debian's package prometheus has it"
    async with rig(tmp_path) as office, aiohttp.ClientSession() as session:
        written = office.config.read_text("utf-8")
        office.config.write_text(f"web: {{listen: 127.0.0.1:0}}\n{written}", "utf-8")
        await office.start()
        await linked(office)
        url = (await status(office))["worker"]["web"]

        async def seen() -> tuple[str, dict[str, float]]:
            """The word about the system on the page, with its tone, and its states in the metrics."""
            async with session.get(url, headers={"Accept": "text/html"}) as answer:
                [card] = re.findall(r'<span data-live="system custompms state" class="([^"]*)">', await answer.text())
            async with session.get(f"{url}/metrics") as answer:
                family = next(f for f in families(await answer.text()) if f.name == "linkstream_system_state")
            return card.split()[0], {
                f'linkstream_system_state{{system="{s.labels["system"]}",state="{s.labels["state"]}"}}': s.value
                for s in family.samples
            }

        before = await seen()
        office.pms.fault("status", status=401)
        await shown(office, "custompms", "locked")
        cut = await seen()
        assert re.search(r"custompms +locked", await typed(office, "status"))
        office.pms.heal()
        await shown(office, "custompms", "ok")
        after = await seen()
    assert [tone for tone, _ in (before, cut, after)] == ["good", "bad", "good"]
    series = [
        {"series": name, "values": f"{before[1][name]:g}x5 {cut[1][name]:g}x5 {after[1][name]:g}x5"}
        for name in before[1]
    ]
    firing = {"exp_labels": {"severity": "page", "system": "custompms"}, "exp_annotations": _said("custompms")}
    case = {
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [
            {"eval_time": "4m", "alertname": "SystemLocked", "exp_alerts": []},
            {"eval_time": "9m", "alertname": "SystemLocked", "exp_alerts": [firing]},
            {"eval_time": "15m", "alertname": "SystemLocked", "exp_alerts": []},
        ],
    }
    rules = ROOT / "deploy/prometheus/alerts.yml"
    file = tmp_path / "case.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": [case]}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)  # noqa: ASYNC221
    assert done.returncode == 0, done.stdout + done.stderr


def _said(system: str) -> dict[str, str]:
    """What the alert says of a system."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
    [rule] = [rule for rule in rules if rule["alert"] == "SystemLocked"]
    return {name: text.replace("{{ $labels.system }}", system) for name, text in rule["annotations"].items()}
