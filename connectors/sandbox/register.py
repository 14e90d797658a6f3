"""The records of a made-up system by its rules: what may be written, what it must be, and what becomes of it. No HTTP.

A system that rewrites what it is given is the rule, not the exception: texts are trimmed or cut, numbers spelled
another way. Each field says what happens to it here, and each write says which fields were refused and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Literal

from msgspec import Struct

from connectors.fields import ABSENT, pick, place, read_time
from connectors.sandbox.server import World
from connectors.sandbox.table import Row, Table


class Rule(Struct, frozen=True, kw_only=True):
    """One field that can be written."""

    kind: Literal["text", "day", "moment", "flag", "reference"] = "text"
    required: bool = False
    of: tuple[str, ...] = ()
    refers: str = ""
    """The type that it refers to."""
    normal: Callable[[str], str] = str.strip
    """What becomes of a text."""
    default: Any = None


class Wrong(Exception):
    """A write is refused; ``fields`` says why, by path."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(str(fields))
        self.fields = fields


class Register:
    """The tables of one system.

    ``name`` makes an id of a type, a number and the values; ``stamp`` what a record says of its two times.
    """

    def __init__(
        self,
        world: World,
        rules: Mapping[str, Mapping[str, Rule]],
        *,
        name: Callable[[str, int, Mapping[str, Any]], Any],
        stamp: Callable[[int, int], dict[str, Any]],
        marker: str,
    ) -> None:
        self.tables = {type: Table() for type in rules}
        self._world, self._rules, self._name, self._stamp, self._marker = world, rules, name, stamp, marker
        self._number = 1000

    def checked(self, type: str, sent: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
        """Answer what was sent, by path, as it will be held. Raises Wrong with every mistake."""
        rules = self._rules[type]
        found = {path: value for path in rules if (value := pick(sent, path)) is not ABSENT}
        wrong = {path: "cannot be written" for path in _leaves(sent) if path not in rules and not _above(path, rules)}
        for path, rule in rules.items():
            if rule.required and (path in found or whole) and not str(found.get(path) or "").strip():
                wrong[path] = "is required"
            elif found.get(path) is not None and (said := self._mistake(rule, found[path])):
                wrong[path] = said
        if wrong:
            raise Wrong(wrong)
        return {
            path: rules[path].normal(value) if isinstance(value, str) and rules[path].kind == "text" else value
            for path, value in found.items()
        }

    def add(self, type: str, values: Mapping[str, Any], now: int) -> Row:
        """Make a record."""
        self._number += 1
        record: dict[str, Any] = {"id": self._name(type, self._number, values)}
        for path, rule in self._rules[type].items():
            place(record, path, values.get(path, rule.default))
        return self._put(type, record, now, now)

    def change(self, type: str, row: Row, values: Mapping[str, Any], now: int) -> Row:
        """Change a record."""
        record = {name: dict(value) if isinstance(value, dict) else value for name, value in row.record.items()}
        for path, value in values.items():
            place(record, path, value)
        return self._put(type, record, now, row.created)

    def find(self, type: str, mark: str) -> list[Row]:
        """List the records with this mark."""
        return [row for row in self.tables[type].rows() if pick(row.record, self._marker) == mark]

    def _put(self, type: str, record: dict[str, Any], now: int, created: int) -> Row:
        row = self.tables[type].put(str(record["id"]), record, now)
        row.record = {**record, **self._stamp(created, row.updated)}
        return row

    def _mistake(self, rule: Rule, value: Any) -> str | None:
        if rule.kind == "reference":
            fits = isinstance(value, str | int) and not isinstance(value, bool)
            return None if fits and str(value) in self.tables[rule.refers] else f"is no {rule.refers}"
        if rule.kind == "flag":
            return None if isinstance(value, bool) else "must be true or false"
        if not isinstance(value, str):
            return "must be a text"
        if rule.of and value not in rule.of:
            return f"must be one of {', '.join(rule.of)}"
        if (rule.kind == "day" and not _is(date.fromisoformat, value)) or (
            rule.kind == "moment" and not _is(read_time, value)
        ):
            return "must be a date"
        return None


def _is(read: Callable[[str], object], value: str) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


def _leaves(value: Mapping[str, Any], before: str = "") -> list[str]:
    paths: list[str] = []
    for name, inner in value.items():
        path = f"{before}{name}"
        paths += _leaves(inner, f"{path}.") if isinstance(inner, dict) else [path]
    return paths


def _above(path: str, rules: Mapping[str, Rule]) -> bool:
    return any(known.startswith(f"{path}.") for known in rules)
