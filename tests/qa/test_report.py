"""The checklist in all its forms."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from stream.qa.checklist import CREATION, DELETE, THERE, Checklist, Result, Statement, Verdict, ordered
from stream.qa.report import as_html, as_json, as_junit


def line(check: str, verdict: Verdict, reason: str = "", field: str = "") -> Result:
    return Result(statement="a.t~b.t", check=check, verdict=verdict, reason=reason, field=field)


def checklist(*results: Result) -> Checklist:
    statement = Statement(name="a.t~b.t", left="a.t", right="b.t", ours=True, results=ordered(results))
    return Checklist(statements=(statement,), systems=("a", "b"), live=False, seconds=1.5)


GOOD = checklist(
    line(THERE, "passed", field="x -> y"), line(CREATION, "passed"), line(DELETE, "not applied", "<vendor>")
)
BAD = checklist(line(CREATION, "passed"), line(THERE, "failed", "found 1;\x00 2 would be right", "x -> y"))


def test_a_statement_passes_if_something_passed_and_nothing_failed() -> None:
    assert GOOD.good
    assert GOOD.passed == 1
    assert not BAD.good
    assert not checklist(line(DELETE, "not applied", "no")).good
    assert not checklist().good
    assert not Checklist(statements=(), systems=(), live=False, seconds=0.0).good


def test_lines_come_in_the_order_of_the_list() -> None:
    assert [result.check for result in GOOD.statements[0].results] == [CREATION, THERE, DELETE]


def test_json_has_every_line() -> None:
    said = as_json(BAD)
    assert (said["good"], said["passed"], said["of"]) == (False, 0, 1)
    assert said["lines"] == {"passed": 1, "failed": 1, "not applied": 0}
    assert [check["verdict"] for check in said["statements"][0]["checks"]] == ["passed", "failed"]


def test_junit_can_be_parsed_and_counts() -> None:
    root = ET.fromstring(as_junit(BAD))
    [suite] = root
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "found 1;� 2 would be right"
    skipped = ET.fromstring(as_junit(GOOD)).find("testsuite/testcase/skipped")
    assert skipped is not None
    assert skipped.get("message") == "<vendor>"


def test_html_needs_nothing_else_and_quotes_what_vendors_say() -> None:
    page = as_html(GOOD, datetime(2026, 5, 1, 12, tzinfo=UTC))
    assert "1 of 1 statements passed" in page
    assert "&lt;vendor&gt;" in page
    assert "2026-05-01 12:00" in page
    assert "http" not in page
    assert "<script" not in page
