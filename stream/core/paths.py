"""Fields of foreign records, by path. Pure; compiled once when the topology is read, then a few hundred nanoseconds.

A path is names with dots between: ``address.city``. Through a list it means every item that has the field:
``projects.gid`` is the list of all gids. What is not there is ``None``, like a field without a value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

from stream.model import Value

Getter: TypeAlias = Callable[[Any], Value]


def getter(path: str) -> Getter:
    """Compile a path. Raises ValueError for one with an empty name."""
    names = path.split(".")
    if not all(names):
        raise ValueError(f"found {path!r}; names with single dots between would be right")
    if len(names) == 1:
        return _one(names[0])
    return _way(tuple(names))


def _one(name: str) -> Getter:
    def get(record: Any) -> Value:
        return record.get(name) if isinstance(record, dict) else None

    return get


@cache
def _way(names: tuple[str, ...]) -> Getter:
    def get(record: Any) -> Value:
        value = record
        for index, name in enumerate(names):
            if isinstance(value, dict):
                value = value.get(name)
            elif isinstance(value, list):
                return _each(value, names[index:])
            else:
                return None
        return value

    return get


def _each(items: list[Any], names: tuple[str, ...]) -> list[Value]:
    get = _way(names)
    return [found for item in items if (found := get(item)) is not None]
