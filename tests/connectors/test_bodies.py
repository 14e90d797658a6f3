"""What is written to a declared system, laid out: lists of objects, of which flows know one field."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.bodies import laid_out
from connectors.declaration import Operation, Type
from connectors.errors import Refused

LIST = Operation(path="/things")
SAID = Type(list=LIST, read=LIST, fields={"team.members": "list", "team.members.gid": "list"})
BASE = {"team": {"members": [{"gid": "1", "role": "lead"}, {"gid": 2}]}}


@pytest.mark.parametrize(
    ("said", "base"), [(SAID, BASE), (Type(list=LIST, read=LIST), BASE)], ids=["declared", "as the record has it"]
)
def test_of_a_list_of_objects_those_that_stay_keep_what_else_they_have(said: Type, base: dict[str, Any]) -> None:
    body = laid_out(LIST, said, {"team.members.gid": ["3", "2", "1"], "name": "n"}, base)
    assert body == {"team": {"members": [{"gid": "3"}, {"gid": 2}, {"gid": "1", "role": "lead"}]}, "name": "n"}


def test_a_new_record_gets_objects_too() -> None:
    assert laid_out(LIST, SAID, {"team.members.gid": ["1"]}) == {"team": {"members": [{"gid": "1"}]}}


def test_a_list_inside_an_object_is_a_list_of_values() -> None:
    assert laid_out(LIST, SAID, {"team.tags": ["red"]}) == {"team": {"tags": ["red"]}}


def test_a_json_patch_replaces_the_list_and_tests_it() -> None:
    said = Type(list=LIST, read=LIST, compare="test", fields=SAID.fields)
    operation = Operation(path="/things/{id}", body="json patch")
    assert laid_out(operation, said, {"team.members.gid": ["1"]}, BASE) == [
        {"op": "test", "path": "/team/members", "value": BASE["team"]["members"]},
        {"op": "replace", "path": "/team/members", "value": [{"gid": "1", "role": "lead"}]},
    ]


def test_one_value_for_several_objects_is_refused() -> None:
    with pytest.raises(
        Refused, match=r"found one value for the objects of team\.members; a list, by set: true,"
    ) as told:
        laid_out(LIST, SAID, {"team.members.gid": "1"}, BASE)
    assert list(told.value.fields) == ["team.members.gid"]
