"""CEL behind one door: what an expression reads, what it says, and what it cannot do."""

from __future__ import annotations

import time
from typing import Any

import pytest

from stream.configuration.conditions import LONGEST, condition

READS = {
    "record.status == 'won' && record.address.city != ''": ("address.city", "status"),
    "record['a'].b > 1": ("a.b",),
    "record.`a b` == 1": ("a b",),
    "record.projects.exists(p, p.gid == record.x)": ("projects", "x"),
    "record.a != null && record.a.b == 1": ("a",),
    "{'k': record.z}['k'] == record.l[0] && 1.5 < double(record.n)": ("l", "n", "z"),
    "record.address.tags[record.i] in [record.q]": ("address.tags", "i", "q"),
    "(record.a ? record.b : record.c)": ("a", "b", "c"),
    "record.a.map(x, x.b)[0].c == record.status.size()": ("a", "status"),
    "'record.no' != \"record.neither\" // record.nor\n": (),
}

HOLDS: list[tuple[str, dict[str, Any], bool]] = [
    ("record.status == 'won'", {"status": "won"}, True),
    ("record.status == 'won'", {"status": None}, False),
    ("record.status == 'won'", {}, False),
    ("record.status != null", {}, False),
    ("record.country != 'NO'", {}, True),
    ("record.probability == 100", {"probability": 100.0}, True),
    ("record.probability > 50", {"probability": 50.5}, True),
    ("record.address.city == 'Oslo'", {"address.city": "Oslo"}, True),
    ("'1' in record.projects.gid", {"projects.gid": ["2", "1"]}, True),
    ("record.projects.exists(p, p.gid == '1')", {"projects": [{"gid": "1"}]}, True),
    ("record.name.matches('^[A-Z]')", {"name": "n"}, False),
    ("timestamp(record.due) < timestamp('2026-01-01T00:00:00Z')", {"due": "2025-01-01T00:00:00Z"}, True),
    ("record.done", {"done": True}, True),
]

UNTOLD: list[tuple[str, dict[str, Any], str]] = [
    ("record.amount > 5", {}, "No matching overloads"),
    ("record.amount > 5", {"amount": 2**70}, "out of range"),
    ("record.a != null && record.a.b == 1", {"a": {}}, "Key not found"),
    ("record.done", {"done": "yes"}, "neither true nor false"),
    ("record.name == 'x'", {"name": "\ud800"}, "."),
    ("record.name.matches(record.name)", {"name": "("}, "invalid regular expression"),
    ("record.l.all(a, record.l.all(b, record.l.all(c, true)))", {"l": list(range(150))}, "Iteration budget exceeded"),
]

WRONG = {
    "record.status = 'won'": "1:15: token recognition error at: '= '\n"
    "     | record.status = 'won'\n     | ..............^\n    a condition as",
    "record.x ==\n foo(": "2:6: mismatched input '<EOF>'\n     |  foo(\n     | .....^\n",
    "status == 'won'": "1:1: undeclared reference to 'status'",
    "open('/etc/passwd') != ''": "undeclared reference to 'open'",
    "1 + 1": "found a value of type int, which is neither true nor false",
    "has(record.a.b)": "found has(), to which an empty field is one too; record.a.b != null would be right",
    "record == record": "found 'record' as a whole",
    "record[record.x] == 1": "found 'record' as a whole",
    "record.a.exists(record, true)": "found 'record' as the name of an item",
    "record['a.b'] == 1": "found the name 'a.b'; one without a dot would be right",
    "(" * 99 + "true" + ")" * 99: "recursion limit exceeded",
    f"record.x == '{'x' * LONGEST}'": f"characters; at most {LONGEST} would be right",
}


@pytest.mark.parametrize("text", READS)
def test_what_it_reads(text: str) -> None:
    assert condition(text).reads == READS[text]


@pytest.mark.parametrize(("text", "fields", "expected"), HOLDS)
def test_what_it_says(text: str, fields: dict[str, Any], expected: bool) -> None:
    assert condition(text).holds(fields) is expected


@pytest.mark.parametrize(("text", "fields", "why"), UNTOLD)
def test_what_cannot_be_told_is_an_error_that_the_core_knows(text: str, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why) as told:
        condition(text).holds(fields)
    assert len(str(told.value)) < 200


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match=r"^found ") as told:
        condition(text)
    assert WRONG[text] in str(told.value)
    assert str(told.value).endswith("would be right")


def test_a_record_that_asks_for_much_gets_little() -> None:
    costly = condition("record.l.all(a, record.l.all(b, record.l.all(c, record.l.all(d, true))))")
    began = time.perf_counter()
    with pytest.raises(ValueError, match="budget"):
        costly.holds({"l": list(range(1000))})
    assert time.perf_counter() - began < 1
