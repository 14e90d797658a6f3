"""YAML with the place of every key and value, so that a mistake is reported where it stands.

The accepted language is YAML's plain part: mappings with text keys, lists, text, numbers, booleans, null. Aliases,
tags and keys written twice are refused, all of them at once. Nothing here knows what a file is about.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import yaml
from msgspec import Struct

Path: TypeAlias = tuple[str | int, ...]

_LARGEST = 1 << 20
_WHERE = re.compile(r".*?:(\d+):(\d+): ")
_PLAIN = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))


class Place(Struct, frozen=True):
    """Where something stands, counted from one."""

    line: int
    column: int


class BadDocument(Exception):
    """A file is not what it should be. A problem reads *file:line:col: what was found; what would be right*."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = sorted(set(problems), key=_in_order)
        super().__init__("\n".join(self.problems))


class Document(Struct, frozen=True, kw_only=True):
    """A file's value, and where its parts stand: a path's own value, and the key that leads to it."""

    file: str
    value: Any
    values: dict[Path, Place]
    keys: dict[Path, Place]

    def at(self, path: Path, *, key: bool = False) -> str:
        """Answer ``file:line:col`` of what is nearest to the path."""
        while path not in self.values and path:
            path = path[:-1]
        place = (self.keys.get(path) if key else None) or self.values.get(path, Place(1, 1))
        return f"{self.file}:{place.line}:{place.column}"


def load(text: str, file: str) -> Document:
    """Read a YAML text. Raises BadDocument with all problems."""
    if len(text) > _LARGEST:
        raise BadDocument([f"{file}:1:1: found {len(text)} characters; at most {_LARGEST} would be right"])
    try:
        _refuse_aliases(text, file)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else f"{file}:1:1"
        raise BadDocument([f"{where}: found {error.problem or error}; YAML would be right"]) from None
    except yaml.YAMLError as error:
        raise BadDocument([f"{file}:1:1: found {error}; YAML would be right"]) from None
    reader = _Reader(file)
    value = reader.read(node, ()) if node is not None else None
    if reader.problems:
        raise BadDocument(reader.problems)
    return Document(file=file, value=value, values=reader.values, keys=reader.keys)


def _refuse_aliases(text: str, file: str) -> None:
    marks = [
        event.start_mark for event in yaml.parse(text, Loader=yaml.SafeLoader) if isinstance(event, yaml.AliasEvent)
    ]
    right = "found an alias; the value itself would be right"
    if marks:
        raise BadDocument([f"{file}:{mark.line + 1}:{mark.column + 1}: {right}" for mark in marks if mark])


class _Reader:
    def __init__(self, file: str) -> None:
        self.problems: list[str] = []
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self._file = file
        self._scalars = yaml.constructor.SafeConstructor()

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.values[path] = _place(node)
        if node.tag not in _PLAIN and not node.tag.endswith(":timestamp"):
            return self._problem(node, f"found the tag {node.tag!r}; plain values would be right")
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
            case _:
                return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, "found a key that is no text; text would be right")
                continue
            key = key_node.value
            if key in value:
                self._problem(key_node, f"found the key {key!r} twice; once would be right")
            self.keys[*path, key] = _place(key_node)
            value[key] = self.read(value_node, (*path, key))
        return value

    def _scalar(self, node: yaml.Node) -> Any:
        if node.tag.endswith(":timestamp"):
            return node.value
        try:
            return self._scalars.construct_object(node)
        except ValueError:
            return self._problem(node, f"found {node.value[:80]!r}; a plain value would be right")

    def _problem(self, node: yaml.Node, text: str) -> None:
        place = _place(node)
        self.problems.append(f"{self._file}:{place.line}:{place.column}: {text}")


def _in_order(problem: str) -> tuple[int, int, str]:
    found = _WHERE.match(problem)
    return (int(found[1]), int(found[2]), problem) if found else (0, 0, problem)


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
