"""The form of topics.yaml: the committed schema, and that it and the program mean the same."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import jsonschema
import msgspec
import pytest

from connectors.document import load
from stream.configuration.written import FIRST_LINE, WrittenAs, WrittenField, WrittenFlow, schema, schema_text, seconds
from stream.core.conversions import CONVERSIONS
from stream.core.flows import Direction, Flow

ROOT = Path(__file__).parents[2]
DURATIONS = [("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("1.5h", 5400.0)]


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = (ROOT / "schema" / "topics.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "`make schema` would be right"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_committed_topology_has_the_form_and_tells_editors() -> None:
    data = (ROOT / "topics.yaml").read_bytes()
    assert data.decode().splitlines()[0] == FIRST_LINE
    jsonschema.validate(load(data).value, schema())


def test_every_conversion_can_be_written() -> None:
    structs = schema()["$defs"]
    [names] = [each["enum"] for each in structs["WrittenField"]["properties"]["as"]["anyOf"] if "enum" in each]
    with_options = {name for name, named in CONVERSIONS.items() if named.options}
    assert {*names, "enum"} == set(CONVERSIONS)
    assert set(WrittenAs.__struct_fields__) == {*with_options, "enum"}


def test_every_option_of_a_conversion_can_be_written() -> None:
    structs = schema()["$defs"]
    for name, named in CONVERSIONS.items():
        if named.options:
            struct = structs["WrittenAs"]["properties"][name]["$ref"].rpartition("/")[2]
            assert set(structs[struct]["properties"]) == named.options


def test_what_can_be_written_is_what_the_core_knows() -> None:
    properties = schema()["$defs"]["WrittenFlow"]["properties"]
    [words] = [each["enum"] for each in properties["create"]["anyOf"] if "enum" in each]
    assert set(words) == {"forward", "both", "never"}
    assert set(properties["delete"]["enum"]) == {"keep", "archive", "delete"}
    documents = {"condition", "open"}  # what customers said, and what is to be decided
    others = {"left", "right", "pairs", "linked"}
    known = {"from", "to", *Flow.__struct_fields__, "fields", "together"} - others
    assert set(properties) - documents == known
    assert set(schema()["$defs"]["WrittenField"]["properties"]["direction"]["enum"]) == set(get_args(Direction))
    assert "from_" not in WrittenField.__struct_encode_fields__


def test_everything_an_operator_writes_is_described() -> None:
    for name, struct in schema()["$defs"].items():
        assert struct["description"], name
        if name != "WrittenAs":  # its conversions are described where they are
            undescribed = [key for key, value in struct["properties"].items() if "description" not in value]
            assert undescribed == [], name


@pytest.mark.parametrize(("text", "expected"), DURATIONS)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_the_flow_that_is_shown_to_people_has_the_form() -> None:
    text = (ROOT / "docs" / "fields.md").read_text(encoding="utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    [flow] = load(example.encode()).value["flows"]
    read = msgspec.convert(flow, WrittenFlow)
    assert [field.set_ for field in read.fields].count(True) == 2
    assert read.together == [["street", "city"]]
