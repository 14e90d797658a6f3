"""Records of a declared system: what one is, and how a body for one is laid out. Pure.

The foreign record goes through as it came; only the marker is taken out, because it is ours. What is not a record
is set aside with its reason, one by one, so that one bad record never costs its page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson

from connectors.declaration import Declaration, Type
from connectors.endpoint import Entity, Record, Rejected, Traits
from connectors.errors import Refused
from connectors.fields import ABSENT, pick, place, read_time, without
from connectors.http import Complaint


def traits(declaration: Declaration) -> dict[str, Traits]:
    """Tell what a declared system can do; needs no network."""
    return {name: _traits(declaration, said) for name, said in declaration.types.items()}


def _traits(declaration: Declaration, said: Type) -> Traits:
    ways: list[Literal["archive", "delete"]] = []
    ways += ["archive"] if said.archive and said.update else []
    ways += ["delete"] if said.delete else []
    marker = said.marker
    sure: Literal[3, 4, 5] = 5 if marker is None else 4 if marker.settle > 0 else 3
    return Traits(
        id=said.id.type,
        changes="since" if said.since else "list",
        create=sure if said.create else None,
        settle=marker.settle if marker else 0.0,
        lag=said.lag,
        fields=frozenset(said.fields) or None,
        writable=None if said.writable is None else frozenset(said.writable),
        required=frozenset(said.required),
        remove=frozenset(ways),
        unverified=(*declaration.unverified, *said.unverified),
    )


def entity(said: Type, record: Any) -> Entity:
    """Read a record of this type. Raises ValueError with the reason if it is none."""
    if not isinstance(record, dict):
        raise ValueError(f"found {kind(record)}; a record would be right")  # noqa: TRY004 - it is data, not a bug
    name = pick(record, said.id.field)
    if isinstance(name, bool) or not isinstance(name, int if said.id.type == "integer" else str) or name == "":
        raise ValueError(f"{said.id.field}: found {kind(name)}; {said.id.type} would be right")
    marker = pick(record, said.marker.field) if said.marker else None
    changed = said.updated
    try:
        updated_at = read_time(pick(record, changed.field), changed.format) if changed else None
    except ValueError as error:
        raise ValueError(f"{changed.field if changed else ''}: {error}") from None
    return Entity(
        id=str(name),
        record=without(record, said.marker.field) if said.marker else record,
        updated_at=updated_at,
        marker=marker if isinstance(marker, str) and marker else None,
    )


def complaint(declaration: Declaration) -> Callable[[Any], Complaint]:
    """Make the reader of this system's refusals."""
    errors = declaration.errors

    def read(body: Any) -> Complaint:
        said = _texts(pick(body, errors.message))
        names = _texts(pick(body, errors.field)) if errors.field else []
        return "; ".join(said), dict(zip(names, said, strict=False))

    return read


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]


def sorted_out(type: str, said: Type, items: list[Any]) -> tuple[list[Entity], list[str], list[Rejected]]:
    """Part a list into records, ids of deleted ones, and what cannot be understood; of twins the last one counts."""
    entities: dict[str, Entity] = {}
    gone: list[str] = []
    rejected: list[Rejected] = []
    for item in items:
        try:
            read = entity(said, item)
        except ValueError as error:
            name = pick(item, said.id.field)
            known = str(name) if isinstance(name, str | int) else None
            rejected.append(Rejected(reason=f"{type}: {error}", body=orjson.dumps(item), id=known))
            continue
        if is_deleted(said, read.record):
            gone.append(read.id)
        else:
            entities.pop(read.id, None)
            entities[read.id] = read
    return list(entities.values()), gone, rejected


def is_deleted(said: Type, record: Record) -> bool:
    """Tell whether the record says that it is deleted."""
    return said.deleted is not None and pick(record, said.deleted.field) == said.deleted.value


def body(type: str, said: Type, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Lay out the values by path, in the system's own types. Raises Refused for what may not be written."""
    refused = {path: "is not writable" for path in wanted if said.writable is not None and path not in said.writable}
    if refused:
        raise Refused(f"{type}: found {', '.join(refused)}; writable fields would be right", fields=refused)
    laid: dict[str, Any] = {}
    for path, value in wanted.items():
        place(laid, path, _typed(type, said, path, value))
    return laid


def _typed(type: str, said: Type, path: str, value: Any) -> Any:
    """Give an id of another record, which is text with us, the number that an integer field wants."""
    if said.fields.get(path) != "integer" or not isinstance(value, str):
        return value
    try:
        return int(value)
    except ValueError:
        fields = {path: "must be an integer"}
        raise Refused(f"{type}: found {value[:80]!r} for {path}; an integer would be right", fields=fields) from None


def writes(said: Type, value: Any) -> bool:
    """Tell whether this value can stand in a request."""
    return value is not None or said.nulls == "send"


def writable(said: Type, record: Record) -> dict[str, Any]:
    """Answer what of the record may be written, by path."""
    return {path: value for path in said.writable or () if (value := pick(record, path)) is not ABSENT}


def kind(value: Any) -> str:
    """Name a value for a message."""
    match value:
        case None:
            return "null"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _ if value is ABSENT:
            return "nothing"
        case _:
            return repr(value)[:80]
