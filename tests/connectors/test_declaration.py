"""A declaration that is wrong says where, what was found, and what would be right."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from connectors.document import LARGEST
from connectors.positions import BadDocument, load
from connectors.proofreading import declaration, read_declaration
from connectors.records import traits

GOOD = """\
connector: things
auth: {kind: bearer, secret: token}
paging: {kind: offset, size: 50}
types:
  thing:
    list: {path: /things, record: data}
    read: {path: "/things/{id}"}
    create: {path: /things}
    update: {path: "/things/{id}", method: PUT}
    marker: {field: ref, filter: ref}
    updated: {field: changed}
    since: {parameter: since}
    fields: {id: string, name: string, ref: string, changed: time}
    writable: [name]
    required: [name]
"""

CASES = [
    ("connector: things", "conector: things", "1:1: found 'conector'; 'connector' would be right"),
    ("connector: things", "connector: 5", "1:12: found 5; text would be right"),
    (
        "kind: bearer",
        "kind: oauth",
        "2:14: found 'oauth'; one of basic, bearer, header, none, oauth2, query would be right",
    ),
    (
        "kind: offset",
        "kind: pages",
        "3:16: found 'pages'; one of cursor, last id, link, none, offset, page would be right",
    ),
    ("size: 50", "size: many", "3:30: found 'many'; integer would be right"),
    ("size: 50", "siez: 50", "3:24: found 'siez'; 'size' would be right"),
    ("record: data", "record: [data]", "6:35: found a list; text would be right"),
    ('read: {path: "/things/{id}"}', "read: {path: /things}", "7:18: found '/things'; a path with {id} would be right"),
    (
        "create: {path: /things}",
        'create: {path: "/things/{id}"}',
        "8:20: found {id}; a path without parameters would be right",
    ),
    (
        "method: PUT",
        "method: MERGE",
        "9:44: found 'MERGE'; one of DELETE, GET, PATCH, POST, PUT would be right",
    ),
    ("method: PUT", "body: xml", "9:42: found 'xml'; one of form, json, json patch, merge patch would be right"),
    ("marker: {field: ref", "marker: {feild: ref", "10:14: found 'feild'; 'field' would be right"),
    ("marker: {field: ref", "marker: {feild: ref", "10:5: found no 'field'; one would be right"),
    (
        "    updated: {field: changed}\n",
        "",
        "11:5: found no 'updated' beside it; the field that it compares would be right",
    ),
    ("since: {parameter: since}", "since: since", "12:12: found 'since'; a mapping or nothing would be right"),
    ("name: string,", "name: text,", "13:32: found 'text'; one of any, boolean, date, integer, "),
    ("writable: [name]", "writable: [naem]", "14:16: found 'naem'; 'name' would be right"),
    ("required: [name]", "required: name", "15:15: found 'name'; a list would be right"),
    ("types:", "typse:", "4:1: found 'typse'; 'types' would be right"),
    ("paging: {kind: offset, size: 50}", "auth: {kind: none}", "3:1: found the key 'auth' twice; once would be right"),
    ("connector: things", "connector: !!python/name:os.system things", "1:12: found the tag"),
    ("connector: things", "connector: &a things\nurl: *a", "2:6: found the alias *a; the value itself would be right"),
    ("auth: {kind", "auth: &a {kind", "2:7: found the anchor &a; the value alone would be right"),
    (
        "connector: things",
        "connector: [things",
        "2:5: found text that is no YAML (did not find expected ',' or ']'); YAML would be right",
    ),
    ("connector: things", "? [a]\n: things", "1:3: found a key that is no text; text would be right"),
]

PATCHED = 'update: {path: "/things/{id}", method: PUT, '
TYPE = "    required: [name]\n"
CONTRADICTIONS = [
    ("auth: {kind: bearer, secret: token}", "auth: {kind: oauth2}", "2:1: found no 'token'; the address of the token"),
    (
        "kind: bearer, secret: token",
        "kind: bearer, scope: x",
        "2:22: found 'scope' beside kind bearer; kind oauth2 would",
    ),
    (
        "kind: bearer, secret: token",
        "kind: oauth2, token: /t, headers: [Key]",
        "2:43: found 'Key'; leaving it out would be right",
    ),
    (
        "auth: {kind: bearer, secret: token}",
        "auth: {secret: url}",
        "2:7: found the setting 'url', which means something",
    ),
    ("types:", "zone: Mars/Olympus\ntypes:", "4:7: found 'Mars/Olympus'; a time zone as Europe/Oslo would be right"),
    ("types:", "settings: {limits: x}\ntypes:", "4:12: found 'limits', which means something else; another name"),
    ("types:", 'headers: {A: "{b}"}\ntypes:', "4:14: found {b}; a path without parameters would be right"),
    ("types:", "statuses: {retry: [409], stale: [409]}\ntypes:", "4:33: found 409, which is retry already; one would"),
    ("types:", "statuses: {retry: [99]}\ntypes:", "4:20: found 99; at least 200 would be right"),
    ("kind: offset", "kind: cursor", "3:1: found no 'next'; the path to the next page's cursor would be right"),
    ("size: 50", "next: x", "3:24: found 'next' beside kind offset; kind cursor or link would be right"),
    ("size: 50", "stop: [total]", "3:30: found 'total' without 'total'; the path to it would be right"),
    ("size: 50", "stop: [no more]", "3:30: found 'no more' without 'more'; the path to it would be right"),
    ("size: 50", "stop: []", "3:24: found no rule; one that ends the list would be right"),
    ("size: 50", "size: 0", "3:30: found 0; at least 1 would be right"),
    ("path: /things, record", "path: things, record", "6:18: found 'things'; a path from /, below the url:"),
    ("path: /things, record", 'path: "/{tenant}/things", record', "6:18: found {tenant}; a path without parameters"),
    ("path: /things, record: data", 'path: /things, query: {a: "{id}"}', "6:38: found {id}; a path without parameters"),
    (
        "create: {path: /things}",
        "create: {path: /things, whole: true}",
        "8:29: found 'whole'; update would be the place",
    ),
    (PATCHED[:-2] + "}", PATCHED + "defaults: {a: 1}}", "9:49: found 'defaults'; create would be the place for it"),
    (
        PATCHED[:-2] + "}",
        PATCHED + "body: json patch, wrap: x}",
        "9:13: found a JSON Patch with 'whole' or 'wrap'; neither",
    ),
    (
        "create: {path: /things}",
        "create: {path: /things, body: json patch}",
        "8:35: found 'json patch' for a new record;",
    ),
    (TYPE, f"{TYPE}    compare: test\n", "16:14: found 'test' without a JSON Patch; 'read' would be right"),
    ("since: {parameter: since}", "since: {parameter: s, value: x}", "12:34: found 'x'; its value, with {since} where"),
    ("{parameter: since}", "{parameter: s, format: seconds, local: true}", "12:44: found 'local' with seconds; format"),
    (TYPE, f"{TYPE}    parent: {{type: other, field: a}}\n", "16:20: found 'other'; leaving it out would be right"),
    (
        "marker: {field: ref, filter: ref}",
        "marker: {field: ref, kind: line}",
        "10:21: found 'ref'; a text that is writable",
    ),
    ('    update: {path: "/things/{id}", method: PUT}\n', "    archive: {a: 1}\n", "9:5: found no 'update' that could"),
]


@pytest.mark.parametrize(("before", "after", "problem"), CONTRADICTIONS, ids=[case[2][:40] for case in CONTRADICTIONS])
def test_what_cannot_work_is_reported(before: str, after: str, problem: str) -> None:
    test_a_mistake_is_reported_where_it_stands(before, after, problem)


@pytest.mark.parametrize(("before", "after", "problem"), CASES, ids=[case[1][:30] for case in CASES])
def test_a_mistake_is_reported_where_it_stands(before: str, after: str, problem: str) -> None:
    assert GOOD.count(before) >= 1
    text = GOOD.replace(before, after, 1)
    with pytest.raises(BadDocument) as bad:
        declaration(text, "x.yaml")
    assert any(line.startswith(f"x.yaml:{problem}") for line in bad.value.problems), bad.value.problems


def test_all_mistakes_are_reported_at_once_in_order() -> None:
    text = GOOD.replace("kind: bearer", "kind: x").replace("size: 50", "size: y").replace("method: PUT", "method: Z")
    with pytest.raises(BadDocument) as bad:
        declaration(text, "x.yaml")
    assert [line.split(":")[1] for line in bad.value.problems] == ["2", "3", "9"]


def test_an_alias_to_a_structure_is_refused() -> None:
    with pytest.raises(BadDocument, match=r"2:4: found the alias \*x"):
        load("a: &x [1]\nb: *x\n", "x.yaml")


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(BadDocument, match=f"{LARGEST + 3} bytes"):
        load("a: " + "x" * LARGEST, "x.yaml")


@pytest.mark.parametrize("text", ["", "- a", "just text", "5"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(BadDocument, match="a mapping would be right"):
        declaration(text, "x.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match=r"nowhere\.yaml:1:1: found"):
        read_declaration(tmp_path / "nowhere.yaml")


def test_a_declaration_says_how_surely_it_creates() -> None:
    def sure(text: str) -> int | None:
        return traits(declaration(text, "x.yaml"))["thing"].create

    assert sure(GOOD) == 3
    assert sure(GOOD.replace("filter: ref", "filter: ref, settle: 30")) == 4
    assert sure(GOOD.replace("    marker: {field: ref, filter: ref}\n", "")) == 5
    assert sure(GOOD.replace("    create: {path: /things}\n", "")) is None


def test_every_declaration_that_comes_with_us_is_right() -> None:
    root = Path(__file__).parents[2] / "connectors"
    found = sorted(root.glob("*.yaml"))
    assert found
    for file in found:
        assert read_declaration(file).connector == file.stem


def test_dates_stay_text() -> None:
    assert load(
        textwrap.dedent("""\
        day: 2026-01-31
        moment: 2026-01-31T12:00:00Z
    """),
        "x.yaml",
    ).value == {"day": "2026-01-31", "moment": "2026-01-31T12:00:00Z"}
