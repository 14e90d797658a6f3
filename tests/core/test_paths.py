from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.fields import ABSENT, pick
from stream.core.fields import Observer
from stream.core.paths import getter

RECORD: dict[str, Any] = {
    "name": "Ada",
    "address": {"city": "Oslo", "geo": {"lat": 59.9}},
    "projects": [{"gid": "1", "name": "A"}, {"gid": "2"}, {"name": "no gid"}],
    "nested": [[{"a": 1}], [{"a": 2}, {}]],
    "empty": None,
    "none": [],
}

CASES = [
    ("name", "Ada"),
    ("address.city", "Oslo"),
    ("address.geo.lat", 59.9),
    ("address.street", None),
    ("nothing", None),
    ("nothing.at.all", None),
    ("name.first", None),
    ("empty.city", None),
    ("projects.gid", ["1", "2"]),
    ("projects.name", ["A", "no gid"]),
    ("nested.a", [[1], [2]]),
    ("none.gid", []),
    ("projects", RECORD["projects"]),
]


@pytest.mark.parametrize(("path", "value"), CASES)
def test_a_path_finds_its_value(path: str, value: Any) -> None:
    assert getter(path)(RECORD) == value


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b"])
def test_a_path_without_names_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="single dots"):
        getter(path)


def test_an_observer_has_every_path_and_no_other() -> None:
    observe = Observer(["name", "address.city", "nothing", "name"])
    assert observe(RECORD) == {"name": "Ada", "address.city": "Oslo", "nothing": None}


@pytest.mark.parametrize("record", [{}, {"address": 7}, {"address": "text"}])
def test_a_record_of_another_form_has_no_value(record: dict[str, Any]) -> None:
    assert getter("address.city")(record) is None
    assert getter("name")("no record") is None


NAMES = st.sampled_from("abc")
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


def without_none(value: Any) -> Any:
    """The connectors keep "not there" and "nothing" apart; fields do not."""
    if isinstance(value, list):
        return [without_none(item) for item in value if item is not None]
    return None if value is ABSENT else value


@given(st.dictionaries(NAMES, JSON, max_size=3), st.lists(NAMES, min_size=1, max_size=4).map(".".join))
def test_the_stream_and_the_connectors_mean_the_same_by_a_path(record: dict[str, Any], path: str) -> None:
    if path.count(".") == 0:
        assert getter(path)(record) == record.get(path)
    else:
        assert without_none(getter(path)(record)) == without_none(pick(record, path))
