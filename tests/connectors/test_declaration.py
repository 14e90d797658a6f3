"""A declaration that is wrong says where, what was found, and what would be right."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from connectors.declaration import declaration, read_declaration
from connectors.positions import BadDocument, load
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
    ("kind: bearer", "kind: oauth2", "2:14: found 'oauth2'; one of basic, bearer, header, none, query would be right"),
    ("kind: offset", "kind: last id", "3:16: found 'last id'; one of cursor, link, none, offset, page would be right"),
    ("size: 50", "size: many", "3:30: found 'many'; integer would be right"),
    ("size: 50", "siez: 50", "3:24: found 'siez'; 'size' would be right"),
    ("record: data", "record: [data]", "6:35: found a list; text would be right"),
    ('read: {path: "/things/{id}"}', "read: {path: /things}", "7:18: found '/things'; a path with {id} would be right"),
    (
        "create: {path: /things}",
        'create: {path: "/things/{id}"}',
        "8:20: found '/things/{id}'; a path without parameters would be right",
    ),
    (
        "method: PUT",
        "method: MERGE",
        "9:44: found 'MERGE'; one of DELETE, GET, PATCH, POST, PUT would be right",
    ),
    ("method: PUT", "body: json patch", "9:42: found 'json patch'; one of json would be right"),
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
    with pytest.raises(BadDocument, match="2000003 bytes"):
        load("a: " + "x" * 2_000_000, "x.yaml")


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
