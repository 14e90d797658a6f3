"""What a tester types can be said on the other side, and is something else than what stands there."""

from __future__ import annotations

from typing import Any

import pytest

from stream.core.conversions import conversion
from stream.core.flows import Pair
from stream.qa.values import Words, same


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize(
    ("spec", "now"),
    [
        ("same", "e1"),
        ("same", None),
        ("same", 7),
        ("same", False),
        ("same", "2026-01-01"),
        ("text", ""),
        ("date", None),
        ("date", "2026-01-01"),
        ({"date": {"time": "right", "zone": "Europe/Oslo"}}, None),
        ("datetime", None),
        ("integer", 3),
        ({"decimal": {"digits": 1}}, None),
        ("boolean", None),
    ],
)
def test_another_value_is_another_one_on_both_sides(spec: Any, now: Any, left: bool) -> None:
    pair = Pair(left="x", right="y", conversion=conversion(spec))
    value = Words("t").another(pair, left=left, now=now)
    assert value is not None
    assert value != now
    convert = pair.conversion.to if left else pair.conversion.back
    assert convert is None or convert(value) is not None


def test_of_an_enumeration_another_word_is_chosen() -> None:
    pair = Pair(left="done", right="status", conversion=conversion({"enum": [[True, "done"], [False, "open"]]}))
    assert Words("t").another(pair, left=True, now=True) is False
    assert Words("t").another(pair, left=False, now="open") == "done"
    assert Words("t").another(pair, left=False, now=None) == "done"


def test_a_word_that_is_the_only_one_has_no_other() -> None:
    pair = Pair(left="x", right="y", conversion=conversion({"enum": {"a": "b"}}))
    assert Words("t").another(pair, left=True, now="a") is None


def test_what_begins_comes_before_what_ends() -> None:
    words = Words("t")
    ends = [words.day("due_on") for _ in range(300)]
    assert max(words.day("start_on") for _ in range(50)) < min(ends)


def test_systems_may_write_a_value_in_their_own_way() -> None:
    assert same(" a ", "a")
    assert same("", None)
    assert same("2026-01-01T10:00:00.000Z", "2026-01-01T10:00:00+00:00")
    assert not same("a", "A")
    assert not same(1, 2)
