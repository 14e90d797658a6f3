"""YAML as data from somebody else: what is read, what is refused, and that nothing takes long."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.document import DEEPEST, LARGEST, Document, Place, Problem, Unreadable, load, scalar


def outcome(data: bytes) -> Document | Problem:
    try:
        return load(data)
    except Unreadable as error:
        return error.problem


SCALARS = [
    ("no", "no"),
    ("on", "on"),
    ("Yes", "Yes"),
    ("12:30", "12:30"),
    ("1_000", "1_000"),
    ("2026-05-01", "2026-05-01"),
    ("0o17", 15),
    ("017", 17),
    ("0x1F", 31),
    ("-3", -3),
    ("1.5", 1.5),
    ("1e3", 1000.0),
    (".5", 0.5),
    (".inf", ".inf"),
    (".nan", ".nan"),
    ("True", True),
    ("FALSE", False),
    ("tRue", "tRue"),
    ("~", None),
    ("null", None),
    ("", None),
    ("=", "="),
]


def refused(document: Document) -> list[str]:
    return [problem.text for problem in document.problems]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    read = scalar(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_quotes_make_text(text: str, value: Any) -> None:
    assert load(f"a: '{text}'".encode()).value == {"a": text}
    assert load(f"a: {text}".encode()).value == {"a": value}


def test_every_key_and_value_has_its_place() -> None:
    document = load(b"a:\n  - b: 1\n    c: two\n")
    assert document.value == {"a": [{"b": 1, "c": "two"}]}
    assert document.at(("a", 0, "c")) == Place(3, 8)
    assert document.at(("a", 0, "c"), key=True) == Place(3, 5)
    assert document.at(("a", 0, "gone", "further")) == Place(2, 5)
    assert document.at(("gone",)) == Place(1, 1)


def test_a_key_remembers_what_it_would_be_as_a_value() -> None:
    document = load(b"{true: 1, 'true ': 2, 7: 3, ~: 4, x: 5, 'false': 6}")
    assert document.typed == {("true",): True, ("7",): 7, ("~",): None}


REFUSED = [
    ("a: 1\nb: 2\na: 3", "found the key 'a' twice"),
    ("a: &x 1\nb: *x", "found the alias *x"),
    ("a: &x 1", "found the anchor &x"),
    ("a: &x {b: *x}", "found the alias *x"),
    ("<<: {a: 1}", "found a merge"),
    ("a: !!python/object/apply:os.system [x]", "found the tag"),
    ("a: !!str 1", "found the tag"),
    ("a: !secret x", "found the tag '!secret'"),
    ("? [a, b]\n: 1", "found a key that is no text"),
    ("? {a: b}\n: 1", "found a key that is no text"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_more_than_plain_values_is_refused(text: str, words: str) -> None:
    assert any(words in problem for problem in refused(load(text.encode())))


def test_all_that_is_refused_is_told_at_once() -> None:
    document = load(b"a: &x 1\na: 2\nb: !!int 3\nc: *x\n")
    assert [problem.place.line for problem in document.problems] == [1, 2, 3, 4]
    assert document.value == {"a": 1, "b": "3", "c": None} or document.value["a"] == 1


UNREADABLE = [
    (b"a:\n\tb: 1", 2, "would be right"),
    (b"a: [1, 2", 1, "YAML would be right"),
    (b"a: 'x", 1, "YAML would be right"),
    (b"a: b: c", 1, "YAML would be right"),
    (b"- a\nb: c", 2, "YAML would be right"),
    (b"%YAML 9.9\n---\na: 1", 1, "YAML would be right"),
    (b"a: 1\n---\nb: 2", 2, "second document"),
    (b"a: \xff\xfe", 1, "UTF-8"),
    (b"a: 1\nb: \x00", 2, "U+0000"),
    (b"a: 1\nb: \x1b[31m", 2, "U+001B"),
    (b"\x7fELF\x02\x01\x01\x00", 1, "U+007F"),
    ("a: 1\nb: \ufeff".encode(), 2, "U+FEFF"),
    (b"\xff\xfea\x00:\x00", 1, "UTF-8"),
    (b"a: *", 1, "YAML would be right"),
]


@pytest.mark.parametrize(("data", "line", "words"), UNREADABLE)
def test_what_is_no_yaml_is_told_with_its_place(data: bytes, line: int, words: str) -> None:
    with pytest.raises(Unreadable) as told:
        load(data)
    assert words in told.value.problem.text
    assert told.value.problem.place.line in (line, line + 1)


def bomb() -> bytes:
    levels = ["a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    levels += [f"{b}: &{b} [{', '.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=False)]
    return "\n".join(levels).encode()


HOSTILE = {
    "an alias bomb": bomb(),
    "a deep list": b"[" * 500_000,
    "a deep mapping": b"{a: " * 200_000,
    "a deep block": b"".join(b" " * n + b"a:\n" for n in range(1_000)),
    "a deep list of dashes": b"- " * 300_000,
    "a long key": b"a" * 900_000 + b": 1",
    "a long number": b"a: " + b"9" * 900_000,
    "a long hexadecimal number": b"a: 0x" + b"f" * 900_000,
    "an exponent": b"a: 1e999999999",
    "many keys": b"".join(b"k%d: 1\n" % n for n in range(80_000)),
    "one key again and again": b"k: 1\n" * 150_000,
    "many documents": b"---\n" * 200_000,
    "many anchors": b"".join(b"- &a%d x\n" % n for n in range(60_000)),
    "many question marks": b"? " * 300_000,
    "an open quote": b"a: '" + b"x" * 900_000,
    "a long comment": b"#" * 1_000_000,
    "many indents": b"a:" + b" " * 1_000_000,
    "too much": b"a" * (LARGEST + 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_takes_more_than_its_length(name: str) -> None:
    begin = time.process_time()
    read = outcome(HOSTILE[name])
    assert time.process_time() - begin < 5
    assert isinstance(read, Document) or len(read.text) < 300


def test_the_bomb_does_not_go_off() -> None:
    assert len(refused(load(bomb()))) > 9 * 8


def test_the_last_level_is_allowed() -> None:
    inside = DEEPEST - 1
    assert load(b"[" * inside + b"]" * inside).problems == ()
    with pytest.raises(Unreadable, match=f"more than {DEEPEST} levels"):
        load(b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read = outcome(data)
    assert isinstance(read, Document) or read.place.line >= 1


@given(st.text(alphabet="ab:-[]{}&*!#'\"\n ?|>%@,~", max_size=60))
def test_any_punctuation_is_read_or_refused(text: str) -> None:
    assert isinstance(outcome(text.encode()), Document | Problem)
