"""What Asana accepts in a request and how it shows a record; the sandbox's rules, without HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from msgspec import Struct

from connectors.fields import read_time


class Rules(Struct, frozen=True, kw_only=True):
    """What a type's fields take. A type is a name of a check; those with ``?`` take null too."""

    create: dict[str, str]
    update: dict[str, str]
    defaults: dict[str, Any] = {}
    references: dict[str, str] = {}


_PROJECT = {
    "name": "text",
    "notes": "text",
    "archived": "flag",
    "color": "text?",
    "due_on": "day?",
    "start_on": "day?",
    "owner": "gid?",
    "team": "gid",
    "privacy_setting": "text",
    "default_view": "text",
}
_TASK = {
    "name": "text",
    "notes": "text",
    "completed": "flag",
    "due_on": "day?",
    "due_at": "time?",
    "start_on": "day?",
    "start_at": "time?",
    "assignee": "gid?",
    "resource_subtype": "text",
    "liked": "flag",
}
_TEAM = {"name": "text", "description": "text", "visibility": "text"}

WORKSPACE = Rules(create={}, update={"name": "text"})
TEAM = Rules(
    create={**_TEAM, "organization": "gid"},
    update=_TEAM,
    defaults={"name": "", "description": "", "visibility": "secret"},
)
PROJECT = Rules(
    create={**_PROJECT, "workspace": "gid"},
    update=_PROJECT,
    defaults={
        "name": "",
        "notes": "",
        "archived": False,
        "color": None,
        "due_on": None,
        "start_on": None,
        "owner": None,
        "team": None,
        "workspace": None,
        "completed": False,
        "completed_at": None,
        "privacy_setting": "public_to_workspace",
        "default_view": "list",
    },
    references={"workspace": "workspace", "team": "team", "owner": "user"},
)
TASK = Rules(
    create={**_TASK, "workspace": "gid", "projects": "gids"},
    update=_TASK,
    defaults={
        "name": "",
        "notes": "",
        "completed": False,
        "completed_at": None,
        "due_on": None,
        "due_at": None,
        "start_on": None,
        "start_at": None,
        "assignee": None,
        "workspace": None,
        "projects": [],
        "resource_subtype": "default_task",
        "liked": False,
    },
    references={"workspace": "workspace", "projects": "project", "assignee": "user"},
)

_COMPACT = {
    "workspace": ("gid", "resource_type", "name"),
    "team": ("gid", "resource_type", "name"),
    "project": ("gid", "resource_type", "name"),
    "task": ("gid", "resource_type", "name", "resource_subtype"),
    "user": ("gid", "resource_type", "name"),
}
_LINKS = {
    "workspace": "workspace",
    "team": "team",
    "organization": "workspace",
    "owner": "user",
    "assignee": "user",
    "projects": "project",
}


def check(rules: Rules, data: dict[str, Any], *, creating: bool) -> list[str]:
    """Say what is wrong with the fields of a request, in Asana's words."""
    known = rules.create if creating else rules.update
    said = [f"{name}: Cannot write this property" for name in data if name not in known]
    for name, kind in known.items():
        if name in data and not (data[name] is None and kind.endswith("?")) and not _is(kind.rstrip("?"), data[name]):
            said.append(f"{name}: Not a valid {kind.rstrip('?')}: {data[name]!r}")
    return said


def task_dates(data: dict[str, Any]) -> list[str]:
    """Say what is wrong with the dates of a task's request."""
    said = []
    if data.get("due_on") and data.get("due_at"):
        said.append("due_on: Cannot be used together with due_at")
    if data.get("start_on") and not (data.get("due_on") or data.get("due_at")):
        said.append("start_on: due_on or due_at must be present in the request when setting start_on")
    if data.get("start_at") and not data.get("due_at"):
        said.append("start_at: due_at must be present in the request when setting start_at")
    if data.get("start_on") and data.get("due_on") and data["start_on"] > data["due_on"]:
        said.append("start_on: Must not be after due_on")
    return said


def project_dates(data: dict[str, Any]) -> list[str]:
    """Say what is wrong with the dates of a project's request."""
    if data.get("start_on") and not data.get("due_on"):
        return ["start_on: due_on must be present in the request when setting start_on"]
    if data.get("start_on") and data["start_on"] >= data["due_on"]:
        return ["start_on: Must be before due_on"]
    return []


def shaped(
    type: str, record: dict[str, Any], names: list[str] | None, named: Callable[[str, str], dict[str, Any]]
) -> dict[str, Any]:
    """Show a record as ``opt_fields`` asks; without them, compact. ``named`` shows a linked record."""
    full = {**record, "resource_type": type}
    if names is None:
        return {name: full[name] for name in _COMPACT[type] if name in full}
    shown: dict[str, Any] = {"gid": full["gid"], "resource_type": type}
    for name in dict.fromkeys(name.partition(".")[0] for name in names):
        if name in full:
            shown[name] = _linked(name, full[name], names, named)
    return shown


def _linked(name: str, value: Any, names: list[str], named: Callable[[str, str], dict[str, Any]]) -> Any:
    target = _LINKS.get(name)
    if target is None or value is None:
        return value
    if isinstance(value, list):
        return [_part(name, named(target, gid), names) for gid in value]
    return _part(name, named(target, value), names)


def _part(name: str, linked: dict[str, Any], names: list[str]) -> dict[str, Any]:
    inner = {part.partition(".")[2] for part in names if part.startswith(f"{name}.")}
    wanted = {"gid", "resource_type", *(inner or {"name"})}
    return {key: value for key, value in linked.items() if key in wanted}


def _is(kind: str, value: Any) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "flag":
            return isinstance(value, bool)
        case "gid":
            return isinstance(value, str) and value.isdecimal()
        case "gids":
            return isinstance(value, list) and all(_is("gid", item) for item in value)
        case _:
            return isinstance(value, str) and _is_moment(kind, value)


def _is_moment(kind: str, value: str) -> bool:
    try:
        return bool(date.fromisoformat(value)) if kind == "day" else read_time(value) is not None
    except ValueError:
        return False
