"""The Grafana dashboard, written by ``python deploy/grafana/board.py``: what is asked first stands first.

A row answers one question. Panels are small values here and large JSON there, so that what they ask can be read; a test
asks whether the file is that of this script, and whether each metric in it is one that a worker has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
FILE = HERE / "linkstream.json"
WIDTH, HEIGHT = 24, 8


class Panel(NamedTuple):
    """A title, what is asked with a legend for each, a unit, and how it is drawn."""

    title: str
    asked: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    about: str = ""
    wide: int = 8


REQUESTS = "rate(linkstream_request_seconds_bucket[5m])"
ROWS: dict[str, list[Panel]] = {
    "Is it in step?": [
        Panel(
            "In step",
            {'sum(linkstream_links{state="in_step"}) / sum(linkstream_links{state="linked"})': "in step"},
            "percentunit",
            "stat",
            "Links whose two sides agree.",
            wide=4,
        ),
        Panel("Links", {'sum(linkstream_links{state="linked"})': "links"}, "short", "stat", wide=4),
        Panel("Oldest disagreement", {"max(linkstream_oldest_disagreement_seconds)": "oldest"}, "s", "stat", wide=4),
        Panel(
            "Share in step by flow",
            {
                'sum by (flow) (linkstream_links{state="in_step"})'
                ' / sum by (flow) (linkstream_links{state="linked"})': "{{flow}}"
            },
            "percentunit",
            wide=12,
        ),
    ],
    "Does an edit arrive?": [
        Panel(
            "From edit to write",
            {
                f"histogram_quantile({share}, sum by (le) (rate(linkstream_end_to_end_seconds_bucket[5m])))": name
                for share, name in ((0.5, "half"), (0.95, "19 of 20"), (0.99, "99 of 100"))
            },
            "s",
            about="From an edit until its write was acknowledged.",
        ),
        Panel(
            "Writes by outcome",
            {"sum by (outcome) (rate(linkstream_writes_total[5m]))": "{{outcome}}"},
            "ops",
        ),
        Panel("Changes read", {"sum by (type) (rate(linkstream_changes_total[5m]))": "{{type}}"}, "ops"),
    ],
    "Are the systems there?": [
        Panel(
            "State",
            {'max by (system, state) (linkstream_system_state{state!="ok"}) * 1': "{{system}} {{state}}"},
            about="1 while a system is paused, down or locked.",
        ),
        Panel(
            "Requests", {"sum by (system, code) (rate(linkstream_requests_total[5m]))": "{{system}} {{code}}"}, "reqps"
        ),
        Panel(
            "Time of requests",
            {f"histogram_quantile(0.95, sum by (system, le) ({REQUESTS}))": "{{system}}"},
            "s",
            about="19 of 20 take less.",
        ),
        Panel(
            "Rate budget left",
            {"linkstream_budget_left_requests / linkstream_budget_requests": "{{system}} {{window}}"},
            "percentunit",
        ),
        Panel("Behind the source", {"max by (type) (linkstream_source_behind_seconds)": "{{type}}"}, "s"),
        Panel("Since a page was read", {"max by (type) (linkstream_poll_age_seconds)": "{{type}}"}, "s"),
        Panel("Readings that failed", {"sum by (type) (increase(linkstream_poll_failures_total[5m]))": "{{type}}"}),
    ],
    "What waits?": [
        Panel("Records waiting", {"sum by (agent) (linkstream_lag_records)": "{{agent}}"}),
        Panel("Oldest uncommitted", {"max by (agent) (linkstream_oldest_uncommitted_seconds)": "{{agent}}"}, "s"),
        Panel("Writes in flight", {"sum(linkstream_writes_in_flight)": "in flight"}),
        Panel("Parked", {"sum by (type) (increase(linkstream_parked_total[1h]))": "{{type}}"}),
        Panel("Conflicts", {"sum by (type) (increase(linkstream_conflicts_total[1h]))": "{{type}}"}),
        Panel(
            "Not linked, or not applied",
            {'sum by (state) (linkstream_links{state!~"linked|in_step"})': "{{state}}"},
        ),
    ],
    "Is the worker well?": [
        Panel("Memory", {'process_resident_memory_bytes{job="linkstream"}': "{{instance}}"}, "bytes"),
        Panel("Processor", {'rate(process_cpu_seconds_total{job="linkstream"}[5m])': "{{instance}}"}, "percentunit"),
        Panel("Event loop late", {"linkstream_loop_lag_seconds": "{{instance}}"}, "s"),
        Panel("Commits", {"sum by (agent) (rate(linkstream_commits_total[5m]))": "{{agent}}"}, "ops"),
        Panel(
            "Time of a commit",
            {
                "sum by (agent) (rate(linkstream_commit_seconds_total[5m]))"
                " / sum by (agent) (rate(linkstream_commits_total[5m]))": "{{agent}}"
            },
            "s",
        ),
        Panel("Rebalances", {"increase(linkstream_rebalances_total[1h])": "{{instance}}"}),
    ],
}


def board() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    down = 0
    for title, row in ROWS.items():
        panels.append(
            {
                "type": "row",
                "title": title,
                "id": len(panels) + 1,
                "collapsed": False,
                "panels": [],
                "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": down},
            }
        )
        down, across = down + 1, 0
        for panel in row:
            if across + panel.wide > WIDTH:
                down, across = down + HEIGHT, 0
            place = {"h": HEIGHT, "w": panel.wide, "x": across, "y": down}
            panels.append(_panel(panel, len(panels) + 1, place))
            across += panel.wide
        down += HEIGHT
    return {
        "uid": "linkstream",
        "title": "linkstream",
        "tags": ["linkstream"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}
            ]
        },
        "panels": panels,
    }


def _panel(panel: Panel, id: int, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": source, "expr": asked, "legendFormat": legend}
            for number, (asked, legend) in enumerate(panel.asked.items())
        ],
    }


def text() -> str:
    """The file."""
    return json.dumps(board(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
