"""Alerts and the dashboard: they fire when they should, and ask for nothing that no worker has."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.operate.test_metrics import names, worker

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yml"
CASES = ROOT / "deploy/prometheus/alerts.test.yml"
FOREIGN = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""Metrics that Prometheus and its client library make."""


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not here; Debian's package prometheus has it")
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def board() -> ModuleType:
    spec = importlib.util.spec_from_file_location("board", ROOT / "deploy/grafana/board.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked(expression: str) -> set[str]:
    """The metrics of an expression."""
    plain = re.sub(r"\{[^}]*\}|\b(by|on)\s*\([^)]*\)", "", expression)
    found = set(re.findall(r"\b(?:linkstream_\w+|process_\w+|up)\b", plain))
    return {name.removesuffix("_bucket") for name in found}


def test_rules_are_right_and_each_fires_when_it_should(promtool: str) -> None:
    for arguments in (
        ["check", "rules", RULES.name],
        ["test", "rules", CASES.name],
        ["check", "config", "prometheus.yml"],
    ):
        done = subprocess.run([promtool, *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_and_a_paragraph() -> None:
    wanted = [rule["alert"] for rule in rules()]
    cases = yaml.safe_load(CASES.read_text("utf-8"))["tests"]
    assert [case["name"] for case in cases] == wanted
    for case in cases:
        quiet, loud = case["alert_rule_test"]
        assert "exp_alerts" not in quiet, case["name"]
        assert loud["exp_alerts"], case["name"]
    book = (ROOT / "docs/runbooks.md").read_text("utf-8")
    assert re.findall(r"^## (\w+)$", book, re.MULTILINE) == wanted
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_alerts_and_dashboard_ask_for_metrics_that_exist(tmp_path: Path) -> None:
    known = {*names(worker(tmp_path)), *FOREIGN}
    wanted = {name for rule in rules() for name in asked(rule["expr"])}
    panels = [panel for panel in board().board()["panels"] if panel["type"] != "row"]
    shown = {name for panel in panels for target in panel["targets"] for name in asked(target["expr"])}
    assert wanted - known == set()
    assert shown - known == set()
    assert len(wanted) > 12
    assert len(shown) > 15


def test_the_dashboard_in_the_tree_is_that_of_its_script() -> None:
    module = board()
    assert module.FILE.read_text("utf-8") == module.text(), "python deploy/grafana/board.py would be right"


def test_panels_do_not_lie_over_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((ROOT / "deploy/grafana/linkstream.json").read_text("utf-8"))["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
