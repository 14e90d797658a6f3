"""All topics of a topology as an AsyncAPI 3.0 document: names, keys, headers, the form of every value, how long kept.

The forms are made of the nouns themselves (msgspec), so they cannot say anything else than the code does. AsyncAPI's
schemas are those of JSON Schema's draft 7: what msgspec says in newer words is said in the old ones here. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import cleandoc
from typing import Any, TypeAlias

import msgspec

from stream.codec import ToLane
from stream.engine.log import TopicSettings
from stream.envelope import GONE, SEEN
from stream.model import Change, Command, Conflict, Hold, Order, Reread
from stream.operate.replay import REPLAYED
from stream.parking import CONNECT, PREFIX
from stream.topics import CONFLICTS, COUNTED, MAIL, PARKED, POLLS
from stream.topology import Topology

Json: TypeAlias = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_BINDING = "0.5.0"
_REF = "A ref, <system>.<type>:<id>: the record that it is about."


def document(topology: Topology, topics: Mapping[str, TopicSettings], version: str) -> Json:
    """The document. ``topics`` are all topics with how long they are kept."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "linkstream",
            "version": version,
            "description": (
                "Topics by which linkstream keeps records of business systems in step. Others may read all of them: "
                "changes and parked are made for it. What others write is to be keyed as is said here, or it is lost."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        **({"servers": servers} if (servers := dict(_servers(topology.broker))) else {}),
        "channels": {name: _channel(name, kept, topology.partitions) for name, kept in sorted(topics.items())},
        "operations": dict(_operations(sorted(topics))),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _servers(broker: str) -> Iterator[tuple[str, Json]]:
    """The brokers of an address, without what one logs in with; a file is no server."""
    scheme, _, rest = broker.partition("://")
    if not scheme.lower().startswith("kafka"):
        return
    hosts = rest.partition("?")[0].partition("/")[0].rpartition("@")[2]
    for number, host in enumerate(hosts.split(","), 1):
        yield f"broker{number}", {"host": host, "protocol": "kafka"}


def _channel(topic: str, kept: TopicSettings, partitions: int) -> Json:
    configuration: Json = {"cleanup.policy": ["compact" if kept.compact else "delete"]}
    if not kept.compact:
        configuration["retention.ms"] = -1 if kept.retention is None else round(kept.retention * 1000)
    binding = {"partitions": partitions, "topicConfiguration": configuration, "bindingVersion": _BINDING}
    names = _CARRIES.get(topic) or _CARRIES[topic.partition(".")[0]]
    return {
        "address": topic,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"kafka": binding},
    }


_CARRIES = {
    "changes": ("change", "mark"),
    "upserts": ("command",),
    MAIL: ("mail",),
    CONFLICTS: ("conflict",),
    PARKED: ("parked",),
    POLLS: ("order", "hold"),
}
"""What lies in a topic, or in those that begin so."""

_STAGES = {
    "changes": ("poll", "join"),
    "upserts": ("join", "push"),
    MAIL: ("join and push", "join"),
    CONFLICTS: ("join", ""),
    PARKED: ("whoever cannot work a record in", ""),
    POLLS: ("push", "poll"),
}
"""Who of linkstream writes it, and who reads it."""


def _operations(topics: list[str]) -> Iterator[tuple[str, Json]]:
    for topic in topics:
        writer, reader = _STAGES.get(topic) or _STAGES[topic.partition(".")[0]]
        for action, who in (("send", writer), ("receive", reader)):
            if who:
                channel = {"$ref": f"#/channels/{topic}"}
                yield f"{action}.{topic}", {"action": action, "channel": channel, "summary": f"By {who}."}


def _messages() -> Json:
    nothing = {"type": "null"}
    return {
        "change": _message("A record as it was read, or gone", _REF, "Change", headers=_EVENT),
        "mark": {
            **_message("The first complete reading of a type ends here; passed over by others", _MARK, None),
            "payload": nothing,
        },
        "mail": _message("What rows tell each other", _REF, "Mail"),
        "command": _message("Make a record look like this", f"{_REF} It is the one that asks.", "Command"),
        "conflict": _message("A value that lost, and what won over it", _REF, "Conflict"),
        "parked": {
            **_message("A record that could not be worked in, as it was", "As it was.", None, headers=_DEAD),
            "contentType": "application/octet-stream",
            "payload": {"description": "The bytes of the record, whatever they are."},
        },
        "order": _message("Publish a record, or all of a type, at the next reading", "The entity type.", "Instruction"),
        "hold": _message("A system or an entity type is paused, or goes on", "`paused`.", "Hold"),
    }


_MARK = f"{COUNTED.decode()}<type>:<plan>:<partition>:<of>[:<life>]"


def _message(title: str, key: str, schema: str | None, headers: Json | None = None) -> Json:
    return {
        "title": title,
        **({"headers": headers} if headers else {}),
        **({"payload": {"$ref": _SCHEMAS + schema}} if schema else {}),
        "bindings": {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": _BINDING}},
    }


_TEXT = {"type": "string"}
_EVENT: Json = {
    "type": "object",
    "description": "CloudEvents 1.0, binary mode.",
    "properties": {
        "content-type": {"const": "application/json"},
        "ce_specversion": {"const": "1.0"},
        "ce_id": _TEXT,
        "ce_source": {"type": "string", "pattern": "^/[^/]+/[^/]+$"},
        "ce_type": {"enum": [SEEN, GONE]},
        "ce_subject": _TEXT,
        "ce_time": {"type": "string", "format": "date-time"},
    },
}
_EVENT["required"] = list(_EVENT["properties"])
_EVENT["properties"][REPLAYED] = {**_TEXT, "description": "Where the first one stands, if it was told again."}
_DEAD: Json = {
    "type": "object",
    "description": "The record's own, and those of Kafka Connect's dead letters.",
    "properties": {PREFIX + name: _TEXT for name in CONNECT},
    "required": [PREFIX + name for name in CONNECT],
}


def _schemas() -> Json:
    nouns = (Change, Command, Conflict, Hold, Order | Reread, ToLane)
    forms, parts = msgspec.json.schema_components(nouns, ref_template=_SCHEMAS + "{name}")
    parts["Instruction"] = {"description": "What a person or a writer wants of the reader of a type.", **forms[-2]}
    parts["Mail"] = {"description": "Every message that a row, or a lane, can be told.", **forms[-1]}
    return {name: _older(part) for name, part in sorted(parts.items())}


def _older(part: Any) -> Any:
    """A part of a schema in the words of draft 7."""
    if isinstance(part, list):
        return [_older(each) for each in part]
    if not isinstance(part, dict):
        return part
    said = {name: _older(each) for name, each in part.items() if name != "discriminator"}
    if "prefixItems" in said:
        said["items"] = said.pop("prefixItems")
    if isinstance(said.get("description"), str):
        said["description"] = cleandoc(said["description"])
    return said
