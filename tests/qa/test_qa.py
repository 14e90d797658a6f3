"""Statements tried out by the real thing; and a statement that does not hold is found out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream.qa import checklist
from stream.qa.run import incomplete, tried
from stream.qa.stand import CannotTry, sandboxed

TOPICS = Path(__file__).parents[2] / "topics.yaml"
FIVE = Path(__file__).parents[1] / "five.yaml"
TASKS = "asana.tasks~custompms.task"


@pytest.mark.timeout(240)
async def test_every_statement_passes_and_every_check_was_tried(tmp_path: Path) -> None:
    async with sandboxed(TOPICS, tmp_path) as stand:
        found = await tried(stand, stand.topology.flows.flows.values(), lambda _: None)
    failed = [line for each in found.statements for line in each.results if line.verdict == "failed"]
    assert failed == []
    assert found.passed == found.of == 20
    assert incomplete(found) == []
    [task] = [each for each in found.statements if each.name == TASKS]
    passed = {line.check for line in task.results if line.verdict == "passed"}
    assert passed == set(checklist.CHECKS)


@pytest.mark.timeout(240)
async def test_a_worker_that_does_not_keep_a_promise_is_found_out(tmp_path: Path) -> None:
    async with sandboxed(FIVE, tmp_path, patience=8.0) as stand:
        config = tmp_path / "topics.yaml"
        value = json.loads(config.read_text("utf-8"))
        [task] = [flow for flow in value["flows"] if (flow["from"], flow["to"]) == ("asana.tasks", "custompms.task")]
        task["fields"] = [pair for pair in task["fields"] if pair["from"] != "due_on"]
        config.write_text(json.dumps(value), "utf-8")
        found = await tried(stand, [stand.topology.flows.flows[TASKS]], lambda _: None)
    assert not found.good
    failed = {(line.check, line.field) for line in found.statements[0].results if line.verdict == "failed"}
    there, back = (checklist.THERE, "due_on -> dueDate"), (checklist.BACK, "dueDate -> due_on")
    assert failed == {(checklist.CREATION, ""), there, back}


async def test_a_system_without_a_sandbox_is_named(tmp_path: Path) -> None:
    config = tmp_path / "topics.yaml"
    config.write_text("systems: {x: {connector: own.yaml}}\ntopics: {}\nflows: []\n")
    with pytest.raises(CannotTry, match="no sandbox of 'own'"):
        async with sandboxed(config, tmp_path):
            pass


async def test_a_stand_serves_no_page_whose_port_another_worker_may_have(tmp_path: Path) -> None:
    config = tmp_path / "topics.yaml"
    config.write_text(f"web: {{listen: 127.0.0.1:8900}}\n{FIVE.read_text('utf-8')}", "utf-8")
    async with sandboxed(config, tmp_path) as stand:
        assert stand.topology.web is None
