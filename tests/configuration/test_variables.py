"""Variables and secrets: where they come from, and that they are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.document import load
from stream.configuration.variables import LARGEST, Filled, fill

ENVIRONMENT = {"HOST": "example.com", "EMPTY": "", "TOKEN": "canary-4711", "LINE": "a\nb", "NESTED": "${HOST}"}


def filled(text: str, base_dir: Path = Path()) -> Filled:
    return fill(load(f"a: {text}".encode()), ENVIRONMENT, base_dir)


FILLED = [
    ("${HOST}", "example.com", "${HOST}"),
    ("http://${HOST}:80/${HOST}", "http://example.com:80/example.com", "http://${HOST}:80/${HOST}"),
    ("${NONE:-other}", "other", "${NONE}"),
    ("${EMPTY:-other}", "other", "${EMPTY}"),
    ("${NONE:-}", "", "${NONE}"),
    ("'${NONE:-a: b, c}'", "a: b, c", "${NONE}"),
    ("$${HOST}", "${HOST}", "$${HOST}"),
    ("${NESTED}", "${HOST}", "${NESTED}"),
]


@pytest.mark.parametrize(("text", "value", "written"), FILLED)
def test_variables_are_filled_in(text: str, value: str, written: str) -> None:
    found = filled(text)
    assert found.problems == ()
    assert found.value == {"a": value}
    assert found.origins[("a",)].written == written


@pytest.mark.parametrize("text", ["$HOST", "a$b", "5$", "$$", "{HOST: x}"])
def test_other_dollars_are_text(text: str) -> None:
    assert filled(text).origins == {}


MISSING = [
    ("${NONE}", "found ${NONE}, which is not set; a value, or ${NONE:-default}, would be right"),
    ("${EMPTY}", "found ${EMPTY}, which is empty"),
    ("'${'", "found ${ without its }"),
    ("'${HOST'", "found ${ without its }"),
    ("${}", "found ${}; ${NAME}"),
    ("${a b}", "found ${a b}; ${NAME}"),
    ("${1A}", "found ${1A}"),
    ("${HOST-x}", "found ${HOST-x}"),
    ("${LINE}", "found a line break or control character in ${LINE}"),
    ("${file:/nowhere/at/all}", "No such file or directory"),
    ("${file:/}", "a readable file would be right"),
    ('"a\\nb"', "found a line break"),
    ('"a\\u0007"', "found a line break or control character"),
]


@pytest.mark.parametrize(("text", "words"), MISSING)
def test_what_is_missing_is_told(text: str, words: str) -> None:
    found = filled(text)
    assert [words in problem.text for problem in found.problems] == [True]
    assert found.problems[0].place.line == 1


def test_all_that_is_missing_is_told_at_once() -> None:
    assert len(filled("${NONE}-${ALSO}-${file:/nowhere}").problems) == 3


def test_a_value_that_is_not_there_cannot_be_judged() -> None:
    assert filled("${NONE}").unknown(("a",))
    assert not filled("${HOST}").unknown(("a",))


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "pms").write_text("canary-0815\r\n")
    found = filled("${file:pms}", tmp_path)
    assert found.value == {"a": "canary-0815"}
    assert found.origins[("a",)].written == "${file:pms}"


def test_a_file_of_one_secret_is_small_and_text(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * (LARGEST + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "lines").write_text("a\nb\n")
    for name, words in (("big", "more than"), ("binary", "no UTF-8"), ("lines", "line break")):
        [problem] = filled(f"${{file:{name}}}", tmp_path).problems
        assert words in problem.text


def test_a_default_is_not_shown() -> None:
    [problem] = filled("'${a b:-canary-1}'").problems
    assert "canary" not in problem.text


def test_keys_are_of_one_line() -> None:
    found = fill(load(b'"a\\nb": 1'), {}, Path())
    assert "line break" in found.problems[0].text
