"""What a connector asks an operator for.

A setting is described by JSON Schema, so that whoever reads a configuration can say where in it something is unknown
or missing, and which settings are secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from connectors.breaker import Settings as BreakerSettings
from connectors.budget import Limits
from connectors.wire import Deadlines


class Setting(Struct, frozen=True, kw_only=True):
    """One setting of a connector; ``schema`` is JSON Schema."""

    schema: Mapping[str, Any]
    required: bool = False
    secret: bool = False
    about: str = ""


TEXT = {"type": "string", "minLength": 1}
WORD = {"type": ["string", "integer"], "minLength": 1}
TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
FLAG = {"type": "boolean"}
SECONDS = {"type": "number", "minimum": 0}
COMMON = {
    "limits": Setting(schema=msgspec.json.schema(Limits), about="requests per window, requests at once"),
    "deadlines": Setting(schema=msgspec.json.schema(Deadlines), about="seconds to wait: connect, read, total"),
    "breaker": Setting(schema=msgspec.json.schema(BreakerSettings), about="what counts as an outage, and its tries"),
}


def plain(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a setting that may be any text is one, as most are; what is not is looked through by jsonschema."""
    return isinstance(value, str) and bool(value) and schema in (TEXT, WORD)
