"""What is written to a declared system: values by path, laid out as its declaration says. Pure.

Only what the caller wants is laid out, unless the system insists on whole records; what may not be written is refused
here, by field, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.declaration import Marker, Operation, Type, field_type
from connectors.endpoint import Entity, Record
from connectors.errors import Refused
from connectors.fields import ABSENT, pick, place
from connectors.marks import join, short


def checked(type: str, said: Type, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the values in the system's own types. Raises Refused for what may not be written."""
    refused = {path: "is not writable" for path in wanted if said.writable is not None and path not in said.writable}
    if refused:
        raise Refused(f"{type}: found {', '.join(refused)}; writable fields would be right", fields=refused)
    return {path: _typed(type, said, path, value) for path, value in wanted.items()}


def new(type: str, said: Type, operation: Operation, wanted: Mapping[str, Any], mark: str) -> dict[str, Any]:
    """Answer the values of a new record, marked if there is a mark. Raises Refused for what is missing."""
    missing = {path: "is required" for path in said.required if wanted.get(path) in (None, "")}
    if missing:
        raise Refused(f"{type}: found no {', '.join(missing)}; values would be right", fields=missing)
    written = {path: value for path, value in wanted.items() if value is not None or said.nulls == "send"}
    above = {said.parent.field} if said.parent and f"{{{said.parent.field}}}" in operation.path else set()
    values = checked(type, said, {path: value for path, value in written.items() if path not in above})
    values = {**{path: value for path, value in operation.defaults.items() if path not in values}, **values}
    marker = said.marker
    if marker is None or not mark:
        return values
    carries = join(_text(values.get(marker.field)), mark) if marker.kind == "line" else spelt(marker, mark)
    return {**values, marker.field: carries}


def spelt(marker: Marker, mark: str) -> str:
    """Answer our mark as it stands in a field of its own."""
    return short(mark, marker.longest) if marker.kind == "code" else mark


def changed(type: str, said: Type, wanted: Mapping[str, Any], mark: str | None) -> dict[str, Any]:
    """Answer the values of a change; a text with our mark keeps it. Raises Refused for what cannot be emptied."""
    if said.nulls == "omit":
        empty = {path: "cannot be emptied" for path, value in wanted.items() if value is None}
        if empty:
            raise Refused(f"{type}: found no value for {', '.join(empty)}; values would be right", fields=empty)
    values = checked(type, said, wanted)
    if said.marker and said.marker.kind == "line" and said.marker.field in values:
        values[said.marker.field] = join(_text(values[said.marker.field]), mark)
    return values


def whole(said: Type, base: Entity, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Answer all that may be written, with these changes; our mark must be among it, or it would be gone."""
    held = {path: value for path in said.writable or () if (value := pick(base.record, path)) is not ABSENT}
    marker = said.marker
    if marker is not None and base.marker:
        text = _text(held.get(marker.field))
        held[marker.field] = join(text, base.marker) if marker.kind == "line" else spelt(marker, base.marker)
    return {**held, **fields}


def laid_out(operation: Operation, said: Type, values: Mapping[str, Any], base: Record | None = None) -> Any:
    """Answer the body of a request. Raises Refused for one value where there is a list of objects."""
    values = _objects(said, values, base or {})
    if operation.body == "json patch":
        return _patch(said, values, base or {})
    laid: dict[str, Any] = {}
    for path, value in values.items():
        place(laid, path, value)
    body = {operation.wrap: laid} if operation.wrap else laid
    return dict(_form("", body)) if operation.body == "form" else body


def _objects(said: Type, values: Mapping[str, Any], base: Record) -> dict[str, Any]:
    """Answer values in lists of objects as these lists: who stays keeps all that it has, who is new has this alone."""
    laid: dict[str, Any] = {}
    for path, value in values.items():
        names = path.split(".")
        above = [".".join(names[:count]) for count in range(1, len(names))]
        listed = next((way for way in above if _is_list(said, base, way)), None)
        if listed is None:
            laid[path] = value
            continue
        if not isinstance(value, list):
            what = f"found one value for the objects of {listed}; a list, by set: true, would be right"
            raise Refused(f"{path}: {what}", fields={path: what})
        inside, held = path.removeprefix(f"{listed}."), pick(base, listed)
        known = {str(pick(each, inside)): each for each in (held if isinstance(held, list) else ())}
        laid[listed] = [known.get(str(each)) or _object(inside, each) for each in value]
    return laid


def _is_list(said: Type, base: Record, path: str) -> bool:
    return field_type(said, path) == "list" or isinstance(pick(base, path), list)


def _object(path: str, value: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    place(made, path, value)
    return made


def _patch(said: Type, values: Mapping[str, Any], base: Record) -> list[dict[str, Any]]:
    """Answer a JSON Patch (RFC 6902); where the system shall compare, what is replaced is tested first."""
    tests, changes = [], []
    ours = said.marker.field if said.marker else None  # holds more than we show
    for path, value in values.items():
        pointer = "/" + "/".join(name.replace("~", "~0").replace("/", "~1") for name in path.split("."))
        held = pick(base, path)
        if said.compare == "test" and held is not ABSENT and path != ours:
            tests.append({"op": "test", "path": pointer, "value": held})
        changes.append({"op": "add" if held is ABSENT else "replace", "path": pointer, "value": value})
    return [*tests, *changes]


def _form(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Answer a form's pairs; what is inside of something is ``outer[inner]``."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        where = f"{prefix}[{name}]" if prefix else name
        match value:
            case dict():
                pairs += _form(where, value)
            case list():
                raise Refused(f"{where}: found a list; a value that a form can hold would be right")
            case None:
                pairs.append((where, ""))
            case bool():
                pairs.append((where, "true" if value else "false"))
            case _:
                pairs.append((where, str(value)))
    return pairs


def _typed(type: str, said: Type, path: str, value: Any) -> Any:
    """Give an id of another record, which is text with us, the number that an integer field wants."""
    if field_type(said, path) != "integer" or not isinstance(value, str):
        return value
    try:
        return int(value)
    except ValueError:
        fields = {path: "must be an integer"}
        raise Refused(f"{type}: found {value[:80]!r} for {path}; an integer would be right", fields=fields) from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
