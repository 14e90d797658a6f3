"""What a declaration of a REST system may say, and the check of a file that says it.

A declaration is data: where lists and records are, how they are paged, which field is the id, which one says when
something changed, which one carries our marker. The structs below are the whole language; the reference in the
documentation and the check of files both follow from them. What the language cannot say is refused by name, never
ignored: a system that needs it needs code, or a longer language.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jsonschema
import msgspec
from msgspec import Struct

from connectors.budget import Limits
from connectors.fields import TimeFormat
from connectors.paging import Paging
from connectors.positions import BadDocument, Document, load

FieldType: TypeAlias = Literal["string", "integer", "number", "boolean", "date", "time", "object", "list", "any"]


class AuthKind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which credentials go where. ``secret`` and ``user`` name settings."""

    kind: Literal["none", "bearer", "basic", "header", "query"] = "bearer"
    secret: str = "token"  # noqa: S105 - the name of a setting
    user: str = "user"
    name: str = "X-Api-Key"
    """The header or parameter that carries the key."""


class Errors(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a refusal explains itself: a path to words, and a path to the fields' names beside them."""

    message: str = "message"
    field: str | None = None


class Operation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request. ``{id}`` in a path is the record's id; ``wrap`` is a key to put the body under."""

    path: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None
    query: dict[str, str] = {}
    body: Literal["json"] = "json"
    wrap: str | None = None
    record: str = ""
    """The path to the record, or to the list of records, in the answer."""
    success: tuple[int, ...] = (200, 201, 202, 204)
    whole: bool = False
    """An update must carry every writable field, not only the changed ones."""


class Id(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The field that names a record."""

    field: str = "id"
    type: Literal["string", "integer"] = "string"


class Moment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field that holds a time."""

    field: str
    format: TimeFormat = "iso"


class Since(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameter that asks for changes only."""

    parameter: str
    bound: Literal["inclusive", "exclusive"] = "inclusive"
    overlap: float = 60.0
    """Seconds that every round reads again, for writes that became visible late."""
    format: TimeFormat = "iso"


class Marker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The field that carries our mark, and the parameter that finds it; without one, lists are searched."""

    field: str
    filter: str | None = None
    settle: float = 0.0
    """Seconds after which the search surely finds a new record."""


class Tombstone(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field whose value says that the record is deleted."""

    field: str
    value: bool | int | str = True


class Type(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entity type."""

    list: Operation
    read: Operation
    create: Operation | None = None
    update: Operation | None = None
    delete: Operation | None = None
    archive: dict[str, Any] | None = None
    """Values whose writing archives a record."""
    id: Id = Id()
    updated: Moment | None = None
    created: Moment | None = None
    since: Since | None = None
    marker: Marker | None = None
    deleted: Tombstone | None = None
    paging: Paging | None = None
    fields: dict[str, FieldType] = {}
    writable: tuple[str, ...] | None = None
    required: tuple[str, ...] = ()
    nulls: Literal["send", "omit"] = "send"
    """Whether a field without a value is written as null, or cannot be emptied."""
    compare: bool = True
    """Read again right before a write, and refuse it if the record has changed."""
    lag: float = 0.0
    unverified: tuple[str, ...] = ()


class Declaration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A system: where it is, who we are there, and its entity types."""

    connector: str
    url: str | None = None
    auth: AuthKind = AuthKind()
    headers: dict[str, str] = {}
    limits: Limits = Limits()
    paging: Paging = Paging()
    errors: Errors = Errors()
    types: dict[str, Type]
    unverified: tuple[str, ...] = ()


def read_declaration(file: Path) -> Declaration:
    """Read and check a declaration. Raises BadDocument with every problem, each with its place."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDocument([f"{file}:1:1: found {error}; a readable file would be right"]) from None
    return declaration(text, str(file))


def declaration(text: str, file: str) -> Declaration:
    """Check the text of a declaration. Raises BadDocument with every problem."""
    document = load(text, file)
    validator = jsonschema.Draft202012Validator(msgspec.json.schema(Declaration))
    problems = list(itertools.chain.from_iterable(_told(document, e) for e in validator.iter_errors(document.value)))
    if problems:
        raise BadDocument(problems)
    said = msgspec.convert(document.value, Declaration)
    problems = list(_contradictions(document, said))
    if problems:
        raise BadDocument(problems)
    return said


def _told(document: Document, error: Any) -> Iterator[str]:
    """Say a schema's complaint in our form; alternatives are followed into the one that was meant."""
    path = tuple(error.absolute_path)
    match error.validator:
        case "anyOf":
            meant = [
                inner for inner in error.context if inner.validator != "type" or len(inner.absolute_path) > len(path)
            ]
            if meant:
                yield from itertools.chain.from_iterable(_told(document, inner) for inner in meant)
            else:
                wanted = " or ".join(_kind(inner.validator_value) for inner in error.context)
                yield f"{document.at(path)}: found {_shown(error.instance)}; {wanted} would be right"
        case "additionalProperties":
            known = sorted(error.schema["properties"])
            for name in error.instance.keys() - known:
                yield f"{document.at((*path, name), key=True)}: found {name!r}; {_near(name, known)} would be right"
        case "required":
            missing = error.message.split("'")[1]
            yield f"{document.at(path, key=True)}: found no {missing!r}; one would be right"
        case "enum":
            wanted = ", ".join(str(value) for value in error.validator_value)
            yield f"{document.at(path)}: found {_shown(error.instance)}; one of {wanted} would be right"
        case "type":
            yield f"{document.at(path)}: found {_shown(error.instance)}; {_kind(error.validator_value)} would be right"
        case _:
            right = f"{error.validator} {error.validator_value}"
            yield f"{document.at(path)}: found {error.message}; {right} would be right"


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return repr(close[0]) if close else f"one of {', '.join(known)}"


def _kind(name: str) -> str:
    """Name a type of JSON Schema in YAML's words."""
    return {"object": "a mapping", "array": "a list", "string": "text", "null": "nothing"}.get(name, name)


def _shown(value: Any) -> str:
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return repr(value)[:80]


def _contradictions(document: Document, said: Declaration) -> Iterator[str]:
    """Report what is well-formed and cannot work."""
    for name, entity in said.types.items():
        at = ("types", name)
        yield from _unknown_fields(document, at, entity)
        yield from _wrong_paths(document, at, entity)
        if entity.since and not entity.updated:
            where = document.at((*at, "since"), key=True)
            yield f"{where}: found no 'updated' beside it; the field that it compares would be right"
        if entity.update and entity.update.whole and not entity.writable:
            where = document.at((*at, "update"), key=True)
            yield f"{where}: found 'whole' without 'writable'; the fields to send would be right"


def _unknown_fields(document: Document, at: tuple[str, str], entity: Type) -> Iterator[str]:
    known = sorted(entity.fields)
    for key, paths in (("writable", entity.writable or ()), ("required", entity.required)):
        for index, path in enumerate(paths):
            if known and path.partition(".")[0] not in known:
                yield f"{document.at((*at, key, index))}: found {path!r}; {_near(path, known)} would be right"


def _wrong_paths(document: Document, at: tuple[str, str], entity: Type) -> Iterator[str]:
    for key, wants_id in (("list", False), ("create", False), ("read", True), ("update", True), ("delete", True)):
        operation: Operation | None = getattr(entity, key)
        if operation is None or ("{id}" in operation.path) == wants_id:
            continue
        right = "a path with {id}" if wants_id else "a path without parameters"
        yield f"{document.at((*at, key, 'path'))}: found {operation.path!r}; {right} would be right"
