"""The checklist as a tester hands it on: JSON, JUnit XML for build servers, and one HTML file to mail to a customer."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from jinja2 import Environment, PackageLoader

from stream.qa.checklist import Checklist, Result


def as_json(checklist: Checklist) -> dict[str, Any]:
    """For programs."""
    counts = checklist.counts()
    return {
        "good": checklist.good,
        "passed": checklist.passed,
        "of": checklist.of,
        "lines": {verdict: counts[verdict] for verdict in ("passed", "failed", "not applied")},
        "systems": list(checklist.systems),
        "live": checklist.live,
        "seconds": checklist.seconds,
        "statements": [
            {
                "name": each.name,
                "left": each.left,
                "right": each.right,
                "ours": each.ours,
                "verdict": each.verdict,
                "checks": [_line(result) for result in each.results],
            }
            for each in checklist.statements
        ],
    }


def _line(result: Result) -> dict[str, Any]:
    return {
        "check": result.check,
        "field": result.field,
        "verdict": result.verdict,
        "reason": result.reason,
        "seconds": round(result.seconds, 2),
    }


def as_junit(checklist: Checklist) -> str:
    """JUnit XML: a suite for each statement, a case for each line; what does not apply is skipped, with its reason."""
    root = ET.Element("testsuites", name="linkstream qa", time=f"{checklist.seconds:.1f}")
    for each in checklist.statements:
        verdicts = [result.verdict for result in each.results]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=each.name,
            tests=str(len(verdicts)),
            failures=str(verdicts.count("failed")),
            skipped=str(verdicts.count("not applied")),
        )
        for result in each.results:
            name = f"{result.check}: {result.field}" if result.field else result.check
            case = ET.SubElement(suite, "testcase", classname=each.name, name=name, time=f"{result.seconds:.2f}")
            if result.verdict == "failed":
                ET.SubElement(case, "failure", message=printable(result.reason))
            elif result.verdict == "not applied":
                ET.SubElement(case, "skipped", message=printable(result.reason))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def printable(text: str) -> str:
    """A text without the characters that no XML may hold."""
    return "".join(char if char.isprintable() or char in "\t\n" else "�" for char in text)


def as_html(checklist: Checklist, at: datetime) -> str:
    """One file that needs nothing else: no script, no font, no picture from elsewhere."""
    environment = Environment(loader=PackageLoader("stream.qa", "."), autoescape=True)
    return environment.get_template("report.html.j2").render(
        checklist=checklist, counts=checklist.counts(), at=at.strftime("%Y-%m-%d %H:%M")
    )
