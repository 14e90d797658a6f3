"""JSON of strangers is read, mended or refused, and never breaks anything further on."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import BadAnswer
from connectors.foreign import DEPTH, decode

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(values)
def test_what_is_json_goes_through_unchanged(value: object) -> None:
    assert decode(json.dumps(value).encode()) == value


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_a_value_or_a_bad_answer(body: bytes) -> None:
    try:
        orjson.dumps(decode(body))
    except BadAnswer as bad:
        assert "would be right" in str(bad)  # noqa: PT017


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec=None), min_size=1))
def test_half_a_surrogate_pair_is_replaced(text: str) -> None:
    assert orjson.dumps(decode(json.dumps({text: [text]}).encode()))


@pytest.mark.parametrize(("levels", "fits"), [(DEPTH, True), (DEPTH + 1, False)])
@pytest.mark.parametrize(("head", "tail"), [("[", "]"), ('{"a":', "}")])
def test_depth_has_a_limit(levels: int, fits: bool, head: str, tail: str) -> None:
    body = f"{head * levels}1{tail * levels}".encode()
    if fits:
        decode(body)
    else:
        with pytest.raises(BadAnswer, match="levels"):
            decode(body)


def test_brackets_in_text_are_no_levels() -> None:
    assert decode(json.dumps({"a": "[" * 500 + '\\"' + "{" * 500}).encode())


def test_nothing_is_null_and_a_byte_order_mark_is_ignored() -> None:
    assert decode(b"") is None
    assert decode(b"\xef\xbb\xbf{}") == {}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"<html>", "markup"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e400]", "too large"),
        (b"[18446744073709551616]", "20 digits"),
        (b"[-9223372036854775809]", "20 digits"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' twice"),
        (b'{"a": {"b": 1, "b": 2}}', "'b' twice"),
        (b"[1,]", "byte"),
        (b'["\xff"]', "UTF-8"),
    ],
)
def test_what_is_refused_is_named(body: bytes, found: str) -> None:
    with pytest.raises(BadAnswer, match=found) as bad:
        decode(body, "GET /things")
    assert str(bad.value).startswith("GET /things: found")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("body", [b'"' + b"a" * 1_000_000, b'["' + b"a\\\\" * 300_000, b'{"a": "' + b"\\" * 500_001])
def test_text_without_an_end_is_refused_as_quickly_as_any_other(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        decode(body)


def test_a_key_twice_among_very_many_is_found_at_once() -> None:
    """Each key was counted among all: minutes in which nothing else of the worker ran."""
    body = b"{" + b",".join(b'"%d":0' % number for number in range(50_000)) + b',"49999":0}'
    with pytest.raises(BadAnswer, match="the key '49999' twice"):
        decode(body)
