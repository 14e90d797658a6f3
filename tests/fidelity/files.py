"""The vendors' OpenAPI files as a validator can read them: mended where they are wrong, each with its reason.

The files are the vendors' and are not part of this repository; ``LINKSTREAM_SPECS`` names the folder where they lie.
Their patched copies are taken, and a copy of those is mended here, as little as possible.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct

from tests.connectors.reduced import USED as ASANA
from tests.connectors.test_vendor_specs import POWEROFFICE, TRELLO
from tests.connectors.test_vendor_specs import USED as OTHERS
from tests.fidelity.prism import SPECS

File = dict[str, Any]

FILES = {
    "asana": "asana.patched.openapi.json",
    "powerofficego": POWEROFFICE,
    "trello": TRELLO,
}
_USED = {"asana": ASANA, **{kind: OTHERS[FILES[kind]] for kind in ("powerofficego", "trello")}}
_BODIES = frozenset({"post", "put", "patch"})
HOSTS = {"powerofficego": "/v2"}
"""Vendors of which the whole host is checked, with where the API begins."""

WRITES = {
    kind: {(verb, HOSTS.get(kind, "") + path) for path, verbs in used.items() for verb in _BODIES.intersection(verbs)}
    for kind, used in _USED.items()
}
"""Every call with a body that a connector makes: method and path, as the vendor's file writes it."""

TOKENS = "poweroffice-go-v2.auth.openapi.json"
"""PowerOffice's token endpoint has a file of its own."""


def made(kind: str, folder: Path) -> Path:
    """Write the file by which a vendor is checked."""
    target = folder / f"{kind}.json"
    target.write_bytes(orjson.dumps(spec(kind)))
    return target


@cache
def spec(kind: str) -> File:
    """A vendor's file, mended."""
    file: File = orjson.loads((SPECS / FILES[kind]).read_bytes())
    for mend in MENDS.get(kind, ()):
        mend(file)
    return file


def with_tokens(file: File) -> None:
    """Add the token endpoint, which is on the same host beside /v2 and described in another file."""
    tokens: File = orjson.loads((SPECS / TOKENS).read_bytes())
    file["paths"] = {f"/v2{path}": item for path, item in file["paths"].items()}
    file["paths"]["/OAuth/Token"] = tokens["paths"]["/Token"]
    file["paths"]["/OAuth/Token"]["post"]["security"] = [{"subscriptionKey": []}]  # as its own file has it
    file["components"]["schemas"] |= tokens["components"]["schemas"]
    file["servers"] = [{"url": "https://goapi.poweroffice.net"}]


def with_times(file: File) -> None:
    """Call two moments what they are: the file has them as days, and its own example of another one is a moment."""
    for schema, field in (("Board", "dateLastActivity"), ("Card", "due")):
        said = file["components"]["schemas"][schema]["properties"][field]
        assert said["format"] == "date"
        said["format"] = "date-time"


MENDS: dict[str, tuple[Callable[[File], None], ...]] = {
    "powerofficego": (with_tokens,),
    "trello": (with_times,),
}


class Body(Struct, frozen=True):
    """A body in which one field is of the wrong type."""

    field: tuple[str, ...]
    media: str
    value: Any


@cache
def bodies(kind: str) -> dict[tuple[str, str], list[Body]]:
    """For each operation that takes JSON: bodies with rubbish, one for each of its fields that have a type."""
    file = spec(kind)
    found = {}
    for path, verbs in file["paths"].items():
        for verb, operation in verbs.items():
            if verb not in ("post", "put", "patch") or "requestBody" not in operation:
                continue
            content = resolved(operation["requestBody"], file)["content"]
            media = next((media for media in content if "json" in media), None)
            if media is not None:
                wrong = _wrong(content[media]["schema"], file)
                found[verb, path] = [Body(field, media, value) for field, value in wrong]
    return found


def template(kind: str, method: str, path: str) -> tuple[str, str]:
    """The operation of a file that a call is."""
    parts = path.partition("?")[0].split("/")
    for each in sorted(spec(kind)["paths"], key=lambda one: one.count("{")):
        names = each.split("/")
        if len(names) == len(parts) and all(
            name == part or "{" in name for name, part in zip(names, parts, strict=True)
        ):
            return method, each
    return method, path


def resolved(schema: File, file: File) -> File:
    """Follow a reference to what it names."""
    while "$ref" in schema:
        found: Any = file
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        schema = found
    return schema


def _wrong(schema: File, file: File) -> list[tuple[tuple[str, ...], Any]]:
    """Where, and a body with rubbish there."""
    schema = resolved(schema, file)
    if schema.get("type") == "array":
        item = {"op": "replace", "path": "/Name", "value": "x"}
        return [(("0", name), [{**item, name: {}}]) for name in ("op", "path")]
    found: list[tuple[tuple[str, ...], Any]] = []
    for part in (schema, *(resolved(each, file) for each in schema.get("allOf", ()))):
        for name, each in part.get("properties", {}).items():
            known = resolved(each, file)
            if name == "data":
                found += [((name, *field), {name: value}) for field, value in _wrong(known, file)]
            elif known.keys() & {"type", "oneOf", "anyOf", "enum"} and not known.get("readOnly"):
                at = name.replace("/", "~1")  # as JSON Pointer spells it
                found.append(((at,), {name: 5 if known.get("type") == "object" else {"wrong": []}}))
    return found
