"""Cut a vendor's OpenAPI file down to the operations that a connector uses, for validating recorded traffic.

Prose is dropped. Three things are mended: an ``enum`` that is ``nullable`` gets a null, and a link that is ``allOf`` of
a thing and a nullable thing becomes ``anyOf``, because no null would satisfy them; and a text whose ``default`` is none
has no default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

USED = {
    "/workspaces": ("get",),
    "/workspaces/{workspace_gid}": ("get", "put"),
    "/workspaces/{workspace_gid}/teams": ("get",),
    "/teams": ("post",),
    "/teams/{team_gid}": ("get", "put"),
    "/projects": ("get", "post"),
    "/projects/{project_gid}": ("get", "put", "delete"),
    "/tasks": ("get", "post"),
    "/tasks/{task_gid}": ("get", "put", "delete"),
    "/tasks/{task_gid}/addProject": ("post",),
    "/tasks/{task_gid}/removeProject": ("post",),
}
_PROSE = frozenset({"description", "example", "examples", "externalDocs", "summary", "x-docs-overrides", "tags"})


def reduced(spec: dict[str, Any], used: Mapping[str, Sequence[str]] = USED, *, secured: bool = False) -> dict[str, Any]:
    """Answer the part of a vendor's file that these operations need; ``secured`` keeps what opens them."""
    paths = {
        path: {verb: spec["paths"][path][verb] for verb in (*verbs, "parameters") if verb in spec["paths"][path]}
        for path, verbs in used.items()
    }
    kept: dict[str, dict[str, Any]] = {}
    todo: list[Any] = [paths]
    while todo:
        for reference in _references(todo.pop()):
            _, _, kind, name = reference.split("/")
            if name not in kept.setdefault(kind, {}):
                kept[kind][name] = spec["components"][kind][name]
                todo.append(kept[kind][name])
    info = {name: spec["info"][name] for name in ("title", "version", "license") if name in spec["info"]}
    made = {"openapi": spec["openapi"], "info": info, "servers": spec["servers"], "paths": paths, "components": kept}
    if secured:
        made["security"] = spec["security"]
        kept["securitySchemes"] = spec["components"]["securitySchemes"]
    return dict(_bare(made, named=False))


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for item in value.values() for found in _references(item)]


def _bare(value: Any, *, named: bool) -> Any:
    """Drop prose; ``named`` says that the keys here are names of fields, which may well be called description."""
    if isinstance(value, list):
        return [_bare(item, named=False) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: item for name, item in value.items() if named or not _is_prose(name, item)}
    bare = {name: _bare(item, named=name == "properties" and not named) for name, item in kept.items()}
    if not named and bare.get("nullable") is True and None not in bare.get("enum", (None,)):
        bare["enum"] = [*bare["enum"], None]
    if not named and any(isinstance(part, dict) and part.get("nullable") for part in bare.get("allOf", ())):
        bare["anyOf"] = [*bare.pop("allOf"), {"type": "object", "nullable": True, "maxProperties": 0}]
    if not named and bare.get("type") == "string" and not isinstance(bare.get("default", ""), str):
        del bare["default"]
    if not named and ("content" in bare or not bare) and "description" in value:
        bare["description"] = ""  # an answer must have one
    return bare


def _is_prose(name: str, item: Any) -> bool:
    return name == "allowEmptyValue" or (name in _PROSE and isinstance(item, str | list | dict))
