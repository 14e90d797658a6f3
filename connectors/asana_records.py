"""Asana's records and requests, as pure functions: which fields are asked for, which may be written, and how.

Our marker is the last line of a record's notes, ``ref: <marker>``, because a personal token has no field of its own
to put it in. It is taken out of the notes when a record is read, and put back whenever notes are written. Dates go
in pairs: a start needs its end in the same request, and a day and a time exclude each other; both are mended here,
from the record as it stands, or refused with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from connectors.endpoint import Entity, Record, Traits
from connectors.errors import Refused
from connectors.fields import ABSENT, changed_at, pick
from connectors.foreign import outsized
from connectors.marks import join, split
from connectors.records import kind as kind_of

_UNVERIFIED = (
    "a task is listed by modified_since as soon as it has been created",
    "the last line of notes survives edits in Asana's own editor",
)


class Kind(Struct, frozen=True, kw_only=True):
    """One entity type: its path, the fields to ask for, and what may be done with them."""

    path: str
    fields: tuple[str, ...]
    writable: frozenset[str]
    notes: str | None = None
    """The field whose last line is the marker."""
    references: frozenset[str] = frozenset()
    """Fields that are read as objects and written as gids."""
    traits: Traits


def _kind(  # noqa: PLR0913 - a type has these parts
    path: str,
    fields: str,
    writable: str,
    *,
    notes: str | None = None,
    references: str = "",
    changes: Literal["since", "list"] = "list",
    create: bool = True,
    required: str = "",
    remove: str = "",
) -> Kind:
    asked, may = tuple(fields.split()), frozenset(writable.split())
    ways: frozenset[Literal["archive", "delete"]] = frozenset(w for w in ("archive", "delete") if w in remove)
    known = frozenset(asked) | {"gid"} | {f"{name.partition('.')[0]}" for name in asked}
    return Kind(
        path=path,
        fields=asked,
        writable=may,
        notes=notes,
        references=frozenset(references.split()),
        traits=Traits(
            key="gid",
            changes=changes,
            create=3 if create else None,
            late=30.0,
            fields=known,
            writable=may | {f"{name}.gid" for name in references.split()},
            required=frozenset(required.split()),
            remove=ways,
            unverified=_UNVERIFIED if notes else (),
        ),
    )


KINDS: Mapping[str, Kind] = {
    "workspaces": _kind("/workspaces", "name is_organization email_domains", "name", create=False),
    "teams": _kind(
        "/teams",
        "name description organization.name permalink_url visibility",
        "name description",
        notes="description",
        required="name",
    ),
    "projects": _kind(
        "/projects",
        "name notes archived color completed completed_at created_at modified_at due_on start_on owner team.name "
        "workspace.name permalink_url",
        "name notes archived color due_on start_on owner team",
        notes="notes",
        references="owner team",
        required="name",
        remove="archive delete",
    ),
    "tasks": _kind(
        "/tasks",
        "name notes completed completed_at created_at modified_at due_on due_at start_on start_at assignee.name "
        "projects.name workspace.name resource_subtype permalink_url",
        "name notes completed due_on due_at start_on start_at assignee projects",
        notes="notes",
        references="assignee projects",
        changes="since",
        required="name",
        remove="delete",
    ),
}


def entity(kind: Kind, record: Any) -> Entity:
    """Read a record. Raises ValueError with the field and the reason if it is none."""
    if not isinstance(record, dict):
        raise ValueError(f"found {kind_of(record)}; a record would be right")  # noqa: TRY004 - it is data, not a bug
    gid = record.get("gid")
    if not isinstance(gid, str) or not gid:
        raise ValueError(f"gid: found {kind_of(record.get('gid', ABSENT))}; text would be right")
    outsized(record)
    marker = None
    if kind.notes and isinstance(record.get(kind.notes), str):
        text, marker = split(record[kind.notes])
        record = {**record, kind.notes: text}
    changed = changed_at(record.get("modified_at"), "modified_at")
    return Entity(id=gid, record=record, updated_at=changed, marker=marker)


def flat(type: str, kind: Kind, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the wanted values by field, links as gids. Raises Refused for what Asana does not take."""
    values: dict[str, Any] = {}
    refused = {}
    for path, value in wanted.items():
        name, _, inner = path.partition(".")
        if name not in kind.writable or inner not in {"", "gid"} or (inner and name not in kind.references):
            refused[path] = "is not writable"
        elif name in kind.references:
            values[name] = _gids(value) if name == "projects" else _gid(value)
        else:
            values[name] = value
    if refused:
        raise Refused(f"{type}: found {', '.join(refused)}; writable fields would be right", fields=refused)
    return values


def dated(type: str, values: dict[str, Any], record: Record) -> dict[str, Any]:
    """Complete dates to the pairs that Asana wants in one request. Raises Refused for pairs that cannot be."""
    if type not in {"tasks", "projects"}:
        return values
    now = {name: values.get(name, record.get(name)) for name in ("due_on", "due_at", "start_on", "start_at")}
    if values.get("due_on") and values.get("due_at"):
        raise _pair(type, "due_on", "due_at", "exclude each other: one of them would be right")
    if values.get("start_at") and not now["due_at"]:
        raise _pair(type, "start_at", "due_at", "go together: a due_at, or start_on instead, would be right")
    if values.get("start_at") and "due_at" not in values:
        return {**values, "due_at": now["due_at"]}
    if values.get("start_on"):
        return _started(type, values, now)
    return values


def _started(type: str, values: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    if values.get("due_on") or values.get("due_at"):
        due = {}
    elif now["due_at"] and "due_on" not in values:
        due = {"due_at": now["due_at"]}
    elif now["due_on"]:
        due = {"due_on": now["due_on"]}
    else:
        raise _pair(type, "start_on", "due_on", "go together: a due_on would be right")
    end = values.get("due_on") or due.get("due_on")
    if type == "projects" and values["start_on"] == end:
        raise _pair(type, "start_on", "due_on", "may not be the same day for a project")
    return {**values, **due}


def _pair(type: str, one: str, other: str, why: str) -> Refused:
    return Refused(f"{type}: found {one} with {other} as they are; they {why}", fields={one: why, other: why})


def text(kind: Kind, values: dict[str, Any], marker: str | None, *, always: bool = False) -> dict[str, Any]:
    """Put the marker into the notes of a request that writes them; ``always`` for a create."""
    if kind.notes is None or (kind.notes not in values and not always):
        return values
    return {**values, kind.notes: join(str(values.get(kind.notes) or ""), marker)}


def same(base: Record, fresh: Record, wanted: Mapping[str, Any]) -> bool:
    """Tell whether two states of a record agree in what is about to be written."""
    return all(pick(base, path) == pick(fresh, path) for path in wanted)


def gids(record: Record, path: str) -> list[str]:
    """List the gids of linked records."""
    found = pick(record, f"{path}.gid")
    return [] if found is ABSENT else _gids(found)


def _gids(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [gid for item in values if (gid := _gid(item)) is not None]


def _gid(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("gid")
    return None if value in (None, "") else str(value)


def complaint(body: Any) -> tuple[str, dict[str, str]]:
    """Read Asana's refusals: messages begin with the field that they are about, as in ``due_on: ...``."""
    errors = pick(body, "errors.message")
    said = [text for text in errors if isinstance(text, str)] if isinstance(errors, list) else []
    heads = ((head, rest.strip()) for head, found, rest in (message.partition(":") for message in said) if found)
    return "; ".join(said), {head: rest for head, rest in heads if head.replace("_", "").isalpha()}
