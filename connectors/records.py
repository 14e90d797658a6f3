"""Records of a declared system: what one is, and how the system's words about them are understood. Pure.

The foreign record goes through as it came; only the marker is taken out, because it is ours, and the id of the record
above it is put in where the list was that record's. What is not a record, or not what the declaration says it is, is
set aside with its id, its field and the reason, one by one, so that one bad record never costs its page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Literal

from connectors.declaration import Declaration, Errors, Field, FieldType, Type, field_type
from connectors.endpoint import Entity, Record, Rejected, Traits
from connectors.fields import ABSENT, changed_at, pick, place, read_time, texts, without
from connectors.marks import long, split
from connectors.parting import parted
from connectors.wire import Complaint

_EARLIEST, _LATEST = date(1800, 1, 1), date(2200, 1, 1)


def traits(declaration: Declaration) -> dict[str, Traits]:
    """Tell what a declared system can do; needs no network."""
    return {name: _traits(declaration, said) for name, said in declaration.types.items()}


def _traits(declaration: Declaration, said: Type) -> Traits:
    ways: list[Literal["archive", "delete"]] = []
    ways += ["archive"] if said.archive and said.update else []
    ways += ["delete"] if said.delete else []
    marker = said.marker
    upserts = said.create is not None and "{marker}" in said.create.path
    sure: Literal[1, 2, 3, 4, 5] = (
        1 if upserts else 2 if said.key else 5 if marker is None else 4 if marker.settle > 0 else 3
    )
    look_up: Literal["marker", "recent", "none"] = "marker" if marker else "recent" if said.created else "none"
    above = {said.parent.field} if said.parent and said.create and _names(said, said.create.path) else set()
    return Traits(
        id="string" if nested(said) else said.id.type,
        key="" if nested(said) else said.id.field,
        changes="since" if said.since else "list",
        create=sure if said.create else None,
        look_up=look_up,
        settle=marker.settle if marker else 0.0,
        late=said.late,
        idempotent_for=said.key.remembered if said.key else 0.0,
        lag=said.lag,
        fields=frozenset(said.fields) or None,
        writable=None if said.writable is None else frozenset(said.writable),
        required=frozenset(said.required) | above,
        remove=frozenset(ways),
        unverified=(*declaration.unverified, *said.unverified),
    )


def _names(said: Type, path: str) -> bool:
    return said.parent is not None and f"{{{said.parent.field}}}" in path


def nested(said: Type) -> bool:
    """Tell whether a record is read below its parent, so that its id is the parent's and its own: ``7/12``."""
    return _names(said, said.read.path)


def entity(said: Type, record: Any, parent: str | None = None, zone: str = "UTC") -> Entity:
    """Read a record of this type. Raises ValueError with the field and the reason if it is none."""
    if not isinstance(record, dict):
        raise ValueError(f"found {kind(record)}; a record would be right")  # noqa: TRY004 - it is data, not a bug
    name = pick(record, said.id.field)
    if isinstance(name, bool) or not isinstance(name, int if said.id.type == "integer" else str) or name == "":
        raise ValueError(f"{said.id.field}: found {kind(name)}; {said.id.type} would be right")
    if said.parent is not None:
        parent, record = _below(said.parent.field, record, parent)
    _as_declared(said, record, zone)
    record, marker = _unmarked(said, record)
    return Entity(
        id=f"{parent}/{name}" if nested(said) else str(name),
        record=record,
        updated_at=_changed(said, record, zone),
        marker=marker,
    )


def _below(field: str, record: Record, parent: str | None) -> tuple[str, Record]:
    """Answer the parent's id, and the record with it."""
    own = pick(record, field)
    if isinstance(own, str | int) and not isinstance(own, bool):
        return str(own) if parent is None else parent, record
    if parent is None:
        raise ValueError(f"{field}: found {kind(own)}; the id of the record above would be right")
    record = {**record}
    place(record, field, parent)
    return parent, record


def _unmarked(said: Type, record: Record) -> tuple[Record, str | None]:
    """Answer the record without our mark, and the mark."""
    if said.marker is None:
        return record, None
    field, found = said.marker.field, pick(record, said.marker.field)
    match said.marker.kind:
        case "value":
            return without(record, field), found if isinstance(found, str) and found else None
        case "code":
            mark = long(found)
            return (record if mark is None else without(record, field)), mark
        case "line":
            text, mark = split(found) if isinstance(found, str) else ("", None)
            if mark is not None:
                record = without(record, field)
                place(record, field, text)
            return record, mark


def _changed(said: Type, record: Record, zone: str) -> int | None:
    if said.updated is None:
        return None
    return changed_at(pick(record, said.updated.field), said.updated.field, said.updated.format, zone)


def _as_declared(said: Type, record: Record, zone: str) -> None:
    """Raise ValueError for the first field that is not what the declaration says."""
    for path, declared in said.fields.items():
        found = pick(record, path)
        if found is None or found is ABSENT:
            continue
        type_ = field_type(said, path)
        # Through a list, a path means each of its items.
        for value in found if isinstance(found, list) and type_ not in {"list", "any"} else [found]:
            if value is not None and not _fits(type_, value, zone):
                raise ValueError(f"{path}: found {kind(value)}; {_right(type_)} would be right")
            if isinstance(declared, Field) and declared.of and value is not None and value not in declared.of:
                raise ValueError(
                    f"{path}: found {kind(value)}; one of {', '.join(map(str, declared.of))} would be right"
                )


def _fits(type: FieldType | None, value: Any, zone: str) -> bool:  # noqa: PLR0911 - one line for each type
    match type:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "date":
            return value == "" or _is_day(value)
        case "time":
            return _is_time(value, zone)
        case "object":
            return isinstance(value, dict)
        case "list":
            return isinstance(value, list)
        case "any" | None:
            return True


def _is_day(value: Any) -> bool:
    try:
        return isinstance(value, str) and _EARLIEST <= date.fromisoformat(value) < _LATEST
    except ValueError:
        return False


def _is_time(value: Any, zone: str) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return True
    try:
        time = read_time(value, "iso", zone)
    except (ValueError, OverflowError):
        return False
    return time is None or _micros(_EARLIEST) <= time < _micros(_LATEST)


def _micros(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 86_400_000_000


def _right(type: FieldType | None) -> str:
    right = {"date": "a date as 2026-01-31", "time": "a time as 2026-01-31T12:00:00Z", "object": "an object"}
    return right.get(type or "any", "text" if type == "string" else f"{type}")


def sorted_out(
    type: str, said: Type, items: list[Any], parent: str | None = None, zone: str = "UTC"
) -> tuple[list[Entity], list[str], list[Rejected]]:
    """Part a list into records, ids of deleted ones, and what cannot be understood."""

    def named(item: Any) -> str | None:
        name = pick(item, said.id.field)
        return str(name) if isinstance(name, str | int) and not isinstance(name, bool) else None

    there, rejected = parted(type, items, lambda item: entity(said, item, parent, zone), named=named, key=said.id.field)
    gone = [one.id for one in there if is_deleted(said, one.record)]
    over = frozenset(gone)
    return [one for one in there if one.id not in over], gone, list(rejected)


def is_deleted(said: Type, record: Record) -> bool:
    """Tell whether the record says that it is deleted."""
    if said.deleted is None:
        return False
    found = pick(record, said.deleted.field)
    if said.deleted.value is None:
        return found is not ABSENT and bool(found)
    return type(found) is type(said.deleted.value) and found == said.deleted.value


def complaint(errors: Errors) -> Callable[[Any], Complaint]:
    """Make the reader of this system's refusals: what it says in words, and by field."""
    messages = (errors.message,) if isinstance(errors.message, str) else errors.message

    def read(body: Any) -> Complaint:
        if isinstance(body, str):
            return body.strip(), {}
        said = [text for path in messages for text in texts(pick(body, path))]
        fields: dict[str, str] = {}
        if errors.field:
            fields |= _beside(body, errors.field, messages[0])
        by_field = pick(body, errors.fields) if errors.fields else None
        if isinstance(by_field, dict):
            fields |= {name: "; ".join(texts(value)) or "is refused" for name, value in by_field.items()}
            said += [f"{name}: {text}" for name, text in fields.items()]
        return "; ".join(said), fields

    return read


def _beside(body: Any, field: str, message: str) -> dict[str, str]:
    """Pair names with words; what holds both may be a list of such."""
    way = [one for one, other in zip(field.split("."), message.split("."), strict=False) if one == other]
    holders = pick(body, ".".join(way))
    below = [path.split(".", len(way))[-1] for path in (field, message)]
    pairs = [[pick(each, path) for path in below] for each in (holders if isinstance(holders, list) else [holders])]
    return {name: text for name, text in pairs if isinstance(name, str) and isinstance(text, str)}


def fields_in(said: Type, fields: Mapping[str, str], message: str, sent: Mapping[str, Any]) -> dict[str, str]:
    """Name the refused fields as the declaration does; without any, those that the message names.

    Systems write names as pointers, with other capitals, or in the middle of a sentence.
    """
    known = {path.lower(): path for path in (*said.fields, *sent)}
    if fields:
        return {known.get(_plain(name), name): text for name, text in fields.items()}
    words = {word.strip(".,;:!?'\"()[]«»`") for word in message.lower().split()}
    return {
        path: "is refused" for path in sent if path.lower() in words or f"/{path.lower().replace('.', '/')}" in words
    }


def _plain(name: str) -> str:
    return name.lstrip("$/.").replace("/", ".").lower()


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
            return f"{value!r:.80}"
