"""The AsyncAPI document: right by AsyncAPI's own schema, and true of what lies in the topics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT7

from stream.cli.main import execute
from stream.operate.asyncapi import _servers
from stream.topics import PARKED
from stream.topology import parse_topology
from stream.wanted import topics_of
from tests.formats.test_formats import RECORDS

ROOT = Path(__file__).parents[2]
OFFICIAL = ROOT / ".venv/asyncapi/node_modules/@asyncapi/specs/schemas/3.0.0.json"
MESSAGES = sorted((ROOT / "tests" / "core" / "golden").glob("message-*.json"))


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert execute(["asyncapi", "-c", str(ROOT / "topics.yaml")]) == 0
    found: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return found


def official(document: Any) -> list[str]:
    """What AsyncAPI's own schema has against a document."""
    if not OFFICIAL.exists():
        pytest.skip("found no schema of AsyncAPI; `make asyncapi` would be right")
    schema = json.loads(OFFICIAL.read_text("utf-8"))
    resource = DRAFT7.create_resource(schema)
    registry = Registry().with_resource(schema["$id"], resource).crawl()
    checker = jsonschema.Draft7Validator(schema, registry=registry)
    return [error.message for error in checker.iter_errors(document)]


def test_asyncapi_itself_finds_nothing_wrong(said: dict[str, Any]) -> None:
    assert official(said) == []


@pytest.mark.parametrize("place", ["partitions", "retention", "action", "schema"])
def test_asyncapi_itself_would_find_what_is_wrong(said: dict[str, Any], place: str) -> None:
    kafka = said["channels"]["links.mail"]["bindings"]["kafka"]
    match place:
        case "partitions":
            kafka["partitions"] = "four"
        case "retention":
            kafka["topicConfiguration"]["retention.ms"] = "7 days"
        case "action":
            said["operations"]["send.links.mail"]["action"] = "push"
        case _:
            said["components"]["schemas"]["Change"]["type"] = "record"
    assert official(said)


def test_every_topic_is_in_it_with_its_partitions_and_how_long_it_is_kept(said: dict[str, Any]) -> None:
    text = (ROOT / "topics.yaml").read_bytes()
    variables = dict.fromkeys(_variables(text.decode()), "http://127.0.0.1:1")
    topology = parse_topology(text, variables, base_dir=ROOT)
    assert set(said["channels"]) == {*topics_of(topology), PARKED}
    for name, kept in topics_of(topology).items():
        binding = said["channels"][name]["bindings"]["kafka"]
        assert binding["partitions"] == topology.partitions
        assert binding["topicConfiguration"]["retention.ms"] == round((kept.retention or 0) * 1000)


def _variables(text: str) -> set[str]:
    return {part.partition("}")[0] for part in text.split("${")[1:]}


def test_every_reference_leads_somewhere(said: dict[str, Any]) -> None:
    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [found for each in part.values() for found in references(each)]
        return [found for each in part for found in references(each)] if isinstance(part, list) else []

    for reference in references(said):
        place: Any = said
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


@pytest.mark.parametrize("name", RECORDS)
def test_what_lies_in_the_topics_is_as_it_says(said: dict[str, Any], name: str) -> None:
    record = RECORDS[name]
    [*known] = said["channels"][record.topic]["messages"]
    kind = "mark" if name == "mark" else known[0]
    message = said["components"]["messages"][kind]
    headers = {header: value.decode() for header, value in record.headers}
    _conforms(said, message.get("headers", {}), headers)
    _conforms(said, message["payload"], None if record.value is None else json.loads(record.value))
    if name != "parked-undecodable":
        assert "headers" not in message or not _fits(said, message["headers"], {})


@pytest.mark.parametrize("file", MESSAGES, ids=lambda file: file.stem)
def test_messages_of_rows_are_as_it_says(said: dict[str, Any], file: Path) -> None:
    kind = "command" if file.stem == "message-command" else "mail"
    payload = said["components"]["messages"][kind]["payload"]
    value = json.loads(file.read_bytes())
    _conforms(said, payload, value)
    assert not _fits(said, payload, {**value, "number": "x", "type": 5})


def _conforms(document: dict[str, Any], schema: Any, value: Any) -> None:
    jsonschema.Draft7Validator({**schema, "components": document["components"]}).validate(value)


def _fits(document: dict[str, Any], schema: Any, value: Any) -> bool:
    return jsonschema.Draft7Validator({**schema, "components": document["components"]}).is_valid(value)


def test_brokers_are_servers_without_what_one_logs_in_with() -> None:
    hosts = {"broker1": {"host": "a:9092", "protocol": "kafka"}, "broker2": {"host": "b:9092", "protocol": "kafka"}}
    assert dict(_servers("kafka://ann:canary@a:9092,b:9092/x?sasl=plain")) == hosts
    assert dict(_servers("sqlite:///var/linkstream.db")) == {}
