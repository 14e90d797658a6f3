"""The check of a declaration: first its form, then what is well-formed and cannot work. Every mistake at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from connectors.declaration import Declaration, FromSetting, Operation, Type
from connectors.mistakes import against, nearest
from connectors.paging import Paging, stops
from connectors.positions import BadDocument, Document, load

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
TAKEN = ("url", "limits", "deadlines", "breaker", "id")
"""Names that a declaration's own settings cannot have."""

_OPERATIONS = ("list", "read", "create", "update", "delete")
_OF_ONE = frozenset(("read", "update", "delete"))

At = tuple[str | int, ...]


def read_declaration(file: Path) -> Declaration:
    """Read and check a declaration. Raises BadDocument with every problem, each with its place."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "bytes that are not UTF-8"
        raise BadDocument([f"{file}:1:1: found {reason}; a readable file would be right"]) from None
    return declaration(text, str(file))


def declaration(text: str, file: str) -> Declaration:
    """Check the text of a declaration. Raises BadDocument with every problem."""
    document = load(text, file)
    try:
        said = msgspec.convert(document.value, Declaration)
    except msgspec.ValidationError:
        problems = against(msgspec.json.schema(Declaration), document)
        if not problems:
            raise
        raise BadDocument(problems) from None
    problems = [f"{document.at(at, key=_of_key(at, told))}: {told}" for at, told in _contradictions(document, said)]
    if problems:
        raise BadDocument(problems)
    return said


def _of_key(at: At, told: str) -> bool:
    """Whether a mistake is about a key: what is missing below it, or that it is there at all."""
    return told.startswith(("found no ", f"found {at[-1]!r} ", f"found {at[-1]!r};", f"found {at[-1]!r},"))


def _contradictions(document: Document, said: Declaration) -> Iterator[tuple[At, str]]:
    yield from _top(said)
    yield from _auth(document, said)
    yield from _paging(("paging",), said.paging)
    for name, entity in said.types.items():
        at = ("types", name)
        yield from _unknown_fields(at, entity)
        yield from _operations(document, at, said, entity)
        yield from _reading(at, said, entity)
        yield from _writing(at, entity, document.value["types"][name])


def _top(said: Declaration) -> Iterator[tuple[At, str]]:
    try:
        ZoneInfo(said.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield ("zone",), f"found {said.zone!r}; a time zone as Europe/Oslo would be right"
    for name in said.settings:
        if name in TAKEN:
            yield ("settings", name), f"found {name!r}, which means something else; another name would be right"
    for name, value in said.headers.items():
        if isinstance(value, str):
            yield from _placeholders(("headers", name), value, [*said.settings])
    seen: dict[int, str] = {}
    for meaning, statuses in msgspec.structs.asdict(said.statuses).items():
        for status in statuses:
            if status in seen:
                yield ("statuses", meaning), f"found {status}, which is {seen[status]} already; one would be right"
            seen[status] = meaning


def _auth(document: Document, said: Declaration) -> Iterator[tuple[At, str]]:
    auth = said.auth
    if auth.kind == "oauth2" and auth.token is None:
        yield ("auth",), "found no 'token'; the address of the token endpoint would be right"
    written = document.value.get("auth", {})
    of = {"oauth2": ("token", "client", "refresh", "scope", "place", "headers"), "basic": ("user",)}
    of |= {"header": ("name",), "query": ("name",)}
    for name in written.keys() - {"kind", "secret"}:
        if name not in of.get(auth.kind, ()):
            kinds = " or ".join(kind for kind, names in of.items() if name in names)
            yield ("auth", name), f"found {name!r} beside kind {auth.kind}; kind {kinds} would be right"
    for index, name in enumerate(auth.headers):
        if name not in said.headers:
            yield ("auth", "headers", index), f"found {name!r}; {nearest(name, [*said.headers])} would be right"
    secrets = [auth.setting, *(value.setting for value in said.headers.values() if isinstance(value, FromSetting))]
    for name in secrets:
        if name in TAKEN or name in said.settings:
            yield ("auth",), f"found the setting {name!r}, which means something else; another name would be right"


def _paging(at: At, paging: Paging) -> Iterator[tuple[At, str]]:
    for rule, path in (("total", paging.total), ("no more", paging.more)):
        if rule in stops(paging) and path is None:
            right = "more" if rule == "no more" else rule
            yield (*at, "stop"), f"found {rule!r} without {right!r}; the path to it would be right"
    if paging.kind == "cursor" and paging.next is None:
        yield at, "found no 'next'; the path to the next page's cursor would be right"
    if paging.kind in {"offset", "page", "last id"} and paging.next is not None:
        yield (*at, "next"), f"found 'next' beside kind {paging.kind}; kind cursor or link would be right"
    if paging.kind != "none" and not stops(paging):
        yield (*at, "stop"), "found no rule; one that ends the list would be right"


def _unknown_fields(at: At, entity: Type) -> Iterator[tuple[At, str]]:
    known = sorted(entity.fields)
    for key, paths in (("writable", entity.writable or ()), ("required", entity.required)):
        for index, path in enumerate(paths):
            if known and path not in known and path.partition(".")[0] not in {name.partition(".")[0] for name in known}:
                yield (*at, key, index), f"found {path!r}; {nearest(path, known)} would be right"


def _operations(document: Document, at: At, said: Declaration, entity: Type) -> Iterator[tuple[At, str]]:
    parent = [entity.parent.field] if entity.parent else []
    for key in _OPERATIONS:
        operation: Operation | None = getattr(entity, key)
        if operation is None:
            continue
        one = key in _OF_ONE
        upserts = key == "create" and entity.marker is not None and "{marker}" in operation.path
        own = ["id"] if one else ["marker"] if upserts else []
        known = [*own, *parent, *said.settings]
        yield from _placeholders((*at, key, "path"), operation.path, known)
        for name, value in operation.query.items():
            yield from _placeholders((*at, key, "query", name), value, known)
        if one and "{id}" not in operation.path and "{id}" not in operation.query.values():
            yield (*at, key, "path"), f"found {operation.path!r}; a path with {{id}} would be right"
        if key == "list" and parent and f"{{{parent[0]}}}" not in operation.path:
            yield (*at, key, "path"), f"found {operation.path!r}; a path with {{{parent[0]}}} would be right"
        yield from _misplaced((*at, key), key, document.value["types"][at[-1]][key])


def _misplaced(at: At, key: str, written: dict[str, Any]) -> Iterator[tuple[At, str]]:
    of = {"defaults": ("create",), "whole": ("update",), "empty": ("list", "read")}
    of |= dict.fromkeys(("wrap", "body", "returns"), ("create", "update"))
    for name, keys in of.items():
        if name in written and key not in keys:
            yield (*at, name), f"found {name!r}; {' or '.join(keys)} would be the place for it"


def _placeholders(at: At, text: str, known: Sequence[str]) -> Iterator[tuple[At, str]]:
    for name in PLACEHOLDER.findall(text):
        if name not in known:
            right = nearest(name, known) if known else "a path without parameters"
            yield at, f"found {{{name}}}; {right} would be right"


def _reading(at: At, said: Declaration, entity: Type) -> Iterator[tuple[At, str]]:
    if entity.paging is not None:
        yield from _paging((*at, "paging"), entity.paging)
    if entity.since and not entity.updated:
        yield (*at, "since"), "found no 'updated' beside it; the field that it compares would be right"
    if entity.since and entity.since.local and entity.since.format != "iso":
        yield (*at, "since", "local"), f"found 'local' with {entity.since.format}; format iso would be right"
    if entity.parent is not None:
        above = said.types.get(entity.parent.type)
        others = [name for name, each in said.types.items() if each.parent is None]
        if above is None or above.parent is not None:
            yield (
                (*at, "parent", "type"),
                f"found {entity.parent.type!r}; {nearest(entity.parent.type, others)} would be right",
            )


def _writing(at: At, entity: Type, written: dict[str, Any]) -> Iterator[tuple[At, str]]:
    update = entity.update
    if update and update.whole and not entity.writable:
        yield (*at, "update"), "found 'whole' without 'writable'; the fields to send would be right"
    if update and update.body == "json patch" and (update.whole or update.wrap):
        yield (*at, "update"), "found a JSON Patch with 'whole' or 'wrap'; neither would be right"
    if entity.create and entity.create.body == "json patch":
        yield (*at, "create", "body"), "found 'json patch' for a new record; json would be right"
    if entity.compare == "test" and (update is None or update.body != "json patch"):
        yield (*at, "compare"), "found 'test' without a JSON Patch; 'read' would be right, or body: json patch"
    marker = entity.marker
    if marker and marker.kind == "line" and entity.writable is not None and marker.field not in entity.writable:
        yield (*at, "marker", "field"), f"found {marker.field!r}; a text that is writable would be right"
    if marker and marker.kind != "code" and "longest" in (written.get("marker") or {}):
        yield (*at, "marker", "longest"), f"found 'longest' beside kind {marker.kind}; kind code would be right"
    if entity.archive is not None and update is None:
        yield (*at, "archive"), "found no 'update' that could write it; one would be right"
