"""``linkstream document``: a document says what flows say, and whoever reads it gets the same flows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.document import load
from stream.cli.main import execute
from stream.configuration.written import WrittenFlow
from stream.dataflow.bounds import decode
from stream.dataflow.forms import statements
from stream.dataflow.known import Known
from stream.dataflow.merge import HEAD, merged
from stream.dataflow.plan import CONNECTED, flows, is_identifier
from stream.dataflow.tree import sections
from stream.dataflow.words import squashed
from stream.dataflow.write import document
from tests.dataflow import five

ROOT = Path(__file__).parents[2]
WHEN = "2026-01-02 03:04:05"


def read_back(text: str, file: str = "one-other.rst") -> list[dict[str, Any]]:
    """The flows of a document, as an empty topics.yaml gets them."""
    paper = statements(sections(decode(text.encode(), file), file), file)
    assert paper.unread == ()
    known = Known({}, paper.systems)
    made = merged(HEAD.encode(), "topics.yaml", flows([paper], known), known)
    return list(load(made.text.encode()).value["flows"])


def said(flow: dict[str, Any]) -> dict[str, Any]:
    """What of a flow the format can say."""
    kept = {key: flow[key] for key in ("from", "to", "create", "condition") if key in flow}
    return {
        "create": "never",
        **kept,
        "match": flow.get("match", []),
        "fields": [
            {key: field[key] for key in ("from", "to", "as", "condition") if key in field}
            for field in flow.get("fields", [])
        ],
    }


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
NAMES = st.text(_LETTERS, min_size=3, max_size=10)
TYPES = st.from_regex(r"[a-z][a-z0-9]{0,8}(?:[-_][a-z0-9]{1,6}){0,2}", fullmatch=True)
SEGMENTS = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"], exclude_characters=".~"), min_size=1, max_size=8
).filter(lambda text: "ependa" not in text and "ependen" not in text)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map(".".join).filter(lambda path: not is_identifier(path))
WORDS = (
    st.lists(
        st.text(_LETTERS + "ÆØÅ0123456789%\\*-_`|:;,'\"()[]{}#!?<>=+", min_size=1, max_size=12), min_size=1, max_size=12
    )
    .map(" ".join)
    .filter(lambda text: " | " not in f" {text} " and not text.endswith(",") and squashed(text) != "")
    .filter(lambda text: not text.startswith(CONNECTED) and not squashed(text).startswith("every"))
)
CONNECTIONS = st.lists(NAMES, min_size=1, max_size=3).map(
    lambda names: f"{CONNECTED}a Crm {', '.join(names)} that is synchronized into Shop"
)
CODES = st.one_of(st.just("?"), st.from_regex(r"[A-Za-z0-9:]{1,8}", fullmatch=True).filter(lambda code: code != "in"))
HAVING = st.builds(
    lambda side, code, path: f"{side} having {code} in {path}",
    st.sampled_from(["left", "right"]),
    CODES,
    st.one_of(
        st.just("?"), st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5}){0,2}", fullmatch=True).filter(lambda p: p != "in")
    ),
)


@st.composite
def fields(draw: st.DrawFn) -> list[dict[str, Any]]:
    lefts = draw(st.lists(PATHS, max_size=5, unique_by=lambda path: path.partition(".")[0]))
    rights = draw(
        st.lists(PATHS, min_size=len(lefts), max_size=len(lefts), unique_by=lambda path: path.partition(".")[0])
    )
    made: list[dict[str, Any]] = []
    for left, right in zip(lefts, rights, strict=True):
        field: dict[str, Any] = {"from": left, "to": right}
        conversion = draw(st.sampled_from(["same", "same", "integer", "boolean"]))
        if conversion != "same":
            field["as"] = conversion
        if draw(st.booleans()):
            having = draw(st.lists(HAVING, min_size=1, max_size=3, unique=True))
            field["condition"] = " | ".join(sorted(having, key=lambda text: text.split()[0]))
        made.append(field)
    return made


@st.composite
def flow(draw: st.DrawFn, left: str, right: str) -> dict[str, Any]:
    ends = [f"{left}.{draw(TYPES)}", f"{right}.{draw(TYPES)}"]
    if draw(st.booleans()):
        ends.reverse()
    made: dict[str, Any] = {
        "from": ends[0],
        "to": ends[1],
        "create": draw(st.sampled_from(["forward", "both", "never"])),
    }
    match = draw(st.lists(st.tuples(PATHS, PATHS), max_size=3, unique=True))
    if match:
        made["match"] = [{one: other} for one, other in match]
    if made["create"] != "never" and draw(st.booleans()):
        made["condition"] = draw(st.one_of(WORDS, CONNECTIONS))
    made["fields"] = draw(fields())
    return made


@st.composite
def graphs(draw: st.DrawFn) -> tuple[str, str, list[dict[str, Any]]]:
    left, right = draw(
        st.tuples(NAMES, NAMES).filter(lambda pair: not pair[0].startswith(pair[1]) and not pair[1].startswith(pair[0]))
    )
    made = draw(
        st.lists(
            flow(left, right),
            min_size=1,
            max_size=5,
            unique_by=lambda each: frozenset((squashed(each["from"]), squashed(each["to"]))),
        )
    )
    shorts = [name for each in made for name in (each["from"], each["to"])]
    # Two types that differ in a hyphen or a plural only are one type to whoever reads documents.
    by_word: dict[str, str] = {}
    distinct = all(by_word.setdefault(squashed(name), name) == name for name in shorts)
    return left, right, made if distinct else made[:1]


# A whole graph with all its names is much to draw, the first time above all.
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(graphs())
def test_reading_what_was_written_gives_the_same_flows(graph: tuple[str, str, list[dict[str, Any]]]) -> None:
    left, right, made = graph
    written = document([msgspec.convert(each, WrittenFlow) for each in made], left, right, WHEN)
    assert written.unsaid == ()
    assert [said(each) for each in read_back(written.text)] == [said(each) for each in made]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"delete": "archive"}, "delete: archive"),
        ({"ours": True}, "our own choice"),
        ({"when": "record.a == 1"}, "the expression of its condition"),
        ({"together": [["a", "b"]]}, "which fields are one thing"),
        ({"create": {"when_linked": [{"a": "x.b -> y.c"}]}}, "through which fields something must be linked"),
        ({"fields": [{"from": "a", "to": "b", "set": True}]}, "a ~ b: that it is a set"),
        ({"fields": [{"from": "a", "to": "b", "when": "record.a == 1"}]}, "a ~ b: the expression"),
        ({"open": ["x"]}, "what is to be decided first: x"),
        ({"match": [{"a": "b", "c": "d"}]}, "several properties at once: a = b, c = d"),
        ({"match": [{"id": "id"}]}, "own identifiers: id = id"),
        ({"create": "never", "condition": "x"}, "a condition for a flow that creates nothing"),
        ({"condition": "x" * 4_000}, "longer than a line"),
        ({"fields": [{"from": "a", "to": "b", "as": "date"}]}, "a ~ b: the conversion (date)"),
        ({"fields": [{"from": "a", "to": "b", "as": {"enum": {"x": "y"}}}]}, "a ~ b: the conversion (its own words)"),
        ({"fields": [{"from": "a", "to": "b", "direction": "forward"}]}, "a ~ b: its direction (forward)"),
        ({"fields": [{"from": "a", "to": "b", "reference": "x.a -> y.b"}]}, "that it is a reference"),
        ({"fields": [{"from": "id", "to": "caseId"}]}, "two systems' own identifiers"),
        ({"fields": [{"from": "a", "to": "b", "condition": "odd words"}]}, "a ~ b: its condition"),
        ({"fields": [{"from": "a", "to": "b", "open": ["why"]}]}, "a ~ b: what is to be decided first: why"),
    ],
)
def test_what_the_format_cannot_say_is_told(more: dict[str, Any], told: str) -> None:
    flow = msgspec.convert({"from": "x.a", "to": "y.b", "create": "forward", **more}, WrittenFlow)
    written = document([flow], "x", "y", WHEN)
    assert any(told in text for text in written.unsaid), written.unsaid
    decode(written.text[:900].encode(), "x.rst")


def test_the_committed_flows_can_be_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["document", "asana", "custompms", "-c", str(ROOT / "topics.yaml")]) == 0
    said = capsys.readouterr()
    assert "Every Asana Tasks will be synchronized with a Custompms Task." in said.out
    assert "not said: asana.tasks~custompms.task: due_on ~ dueDate: the conversion (date)" in said.err
    flows = read_back(said.out, "asana-custompms.rst")
    assert ("asana.tasks", "custompms.task") in {(flow["from"], flow["to"]) for flow in flows}


def test_a_file_for_every_pair(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["import", *map(str, five.write(tmp_path / "in"))]) == 0
    before = load((tmp_path / "topics.yaml").read_bytes()).value["flows"]
    assert execute(["document", "--to", "out"]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 5
    capsys.readouterr()
    (tmp_path / "topics.yaml").unlink()
    assert execute(["import", *sorted(map(str, (tmp_path / "out").iterdir()))]) == 0
    after = load((tmp_path / "topics.yaml").read_bytes()).value["flows"]
    assert {(flow["from"], flow["to"]) for flow in after} == {(flow["from"], flow["to"]) for flow in before}


def test_what_is_asked_for_must_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["document"]) == 2
    assert execute(["import", *map(str, five.write(tmp_path / "in"))]) == 0
    for arguments, told in (
        (["asana"], "found 1 systems; two, or none for all"),
        (["asana", "nobody"], "found no flow between asana and nobody"),
        ([], "found 5 pairs of systems"),
    ):
        assert execute(["document", *arguments]) == 2
        assert told in " ".join(capsys.readouterr().err.replace("│", " ").split())
    (tmp_path / "topics.yaml").write_text("flows:\n  - {from: a.b}\n")
    assert execute(["document"]) == 2
    assert "topics.yaml:2:" in capsys.readouterr().err
