"""YAML with the place of every key and value, so that a mistake is reported where it stands.

The accepted language is YAML's plain part, read by the rules of YAML 1.2: one document of mappings with text keys,
lists, text, numbers, booleans, null (``no``, ``on`` and ``12:30`` are text). Anchors, aliases, tags, merges and keys
written twice are refused. A file is data from somebody else: its size and depth are bounded, and it is read event by
event, so that no text can take more than its own length. Nothing here knows what a file is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import yaml
from msgspec import Struct

Path: TypeAlias = tuple[str | int, ...]

LARGEST: Final = 1 << 22
"""Bytes that a file may have."""
DEEPEST: Final = 32
"""Mappings and lists that may lie in each other."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL: Final = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE: Final = frozenset(("true", "True", "TRUE"))
_FALSE: Final = frozenset(("false", "False", "FALSE"))
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]{1,400}|[0-9]{1,400}(\.[0-9]{0,400})?)([eE][-+]?[0-9]{1,3})?")
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]|[\ud800-\udfff]|\ufeff|[\ufffe-\uffff]"
)
"""Characters that YAML 1.2 does not print. Told one by one: the set of all others takes Python 8 ms to compile."""


class Place(Struct, frozen=True, order=True):
    """Where something stands, counted from one."""

    line: int
    column: int


class Problem(Struct, frozen=True, order=True):
    """What was found, and what would be right."""

    place: Place
    text: str


class Document(Struct, frozen=True, kw_only=True):
    """A file's value, and where its parts stand: a path's own value, and the key that leads to it."""

    value: Any
    values: dict[Path, Place]
    keys: dict[Path, Place]
    typed: dict[Path, Any]
    """What keys would be if they were values: the key ``true`` is a boolean. Keys that are text are not in here."""
    plain: frozenset[Path]
    """Texts without quotes."""
    problems: tuple[Problem, ...]
    """What is refused; the value holds what is left without it."""

    def at(self, path: Path, *, key: bool = False) -> Place:
        """The place of what is nearest to the path."""
        while path not in self.values and path:
            path = path[:-1]
        return (self.keys.get(path) if key else None) or self.values.get(path, Place(1, 1))


class Unreadable(Exception):
    """The text is no YAML at all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def load(data: bytes) -> Document:
    """Read a file's bytes. Raises Unreadable where reading cannot go on; all else is among the problems."""
    return _Reader(_events(_decoded(data))).read()


def scalar(text: str) -> Any:
    """A plain text by the core rules of YAML 1.2."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    return float(text) if _FLOAT.fullmatch(text) else text


def _decoded(data: bytes) -> str:
    if len(data) > LARGEST:
        raise Unreadable(Problem(Place(1, 1), f"found {len(data)} bytes; at most {LARGEST} would be right"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_in(data[: error.start].decode("utf-8-sig", "replace"))
        raise Unreadable(Problem(place, f"found the byte {data[error.start]:#04x}; UTF-8 would be right")) from None
    strange = _UNPRINTABLE.search(text)
    if strange:
        found = f"found the character U+{ord(strange[0]):04X}; printable text would be right"
        raise Unreadable(Problem(_place_in(text[: strange.start()]), found))
    return text


def _place_in(before: str) -> Place:
    return Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        lines = text.splitlines()[place.line - 1 : place.line]
        right = "quotes around a value with ${...}" if lines and "${" in lines[0] else "YAML"
        raise Unreadable(
            Problem(place, f"found text that is no YAML ({error.problem}); {right} would be right")
        ) from None
    except (yaml.YAMLError, RecursionError):
        raise Unreadable(Problem(Place(1, 1), "found no YAML; YAML would be right")) from None


class _Open:
    """A mapping or list that is being read."""

    __slots__ = ("key", "path", "skip", "value")

    def __init__(self, value: dict[str, Any] | list[Any], path: Path) -> None:
        self.value = value
        self.path = path
        self.key: str | None = None
        self.skip = False


class _Reader:
    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._open: list[_Open] = []
        self._root: Any = None
        self._documents = 0
        self.problems: list[Problem] = []
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self.typed: dict[Path, Any] = {}
        self.plain: set[Path] = set()

    def read(self) -> Document:
        for event in self._events:
            self._take(event)
        return Document(
            value=self._root,
            values=self.values,
            keys=self.keys,
            typed=self.typed,
            plain=frozenset(self.plain),
            problems=tuple(self.problems),
        )

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise Unreadable(Problem(_place(event), "found a second document; one would be right"))
            case yaml.AliasEvent():
                self._problem(event, f"found the alias *{event.anchor}; the value itself would be right")
                self._put(event, None)
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._begin(event, {})
            case yaml.SequenceStartEvent():
                self._begin(event, [])
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()

    def _begin(self, event: yaml.CollectionStartEvent, value: dict[str, Any] | list[Any]) -> None:
        self._plain_only(event)
        if len(self._open) == DEEPEST:
            raise Unreadable(Problem(_place(event), f"found more than {DEEPEST} levels; fewer would be right"))
        self._open.append(_Open(value, self._put(event, value)))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._plain_only(event)
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._key(top, event)
            return
        value = scalar(event.value) if event.style in (None, "") else event.value
        path = self._put(event, value)
        if event.style in (None, "") and isinstance(value, str):
            self.plain.add(path)

    def _key(self, top: _Open, event: yaml.ScalarEvent) -> None:
        key = event.value
        path = (*top.path, key)
        if key in top.value:
            self._problem(event, f"found the key {key!r:.80} twice; once would be right")
            # What stands there first stays; the second is read for its own mistakes and dropped.
            top.skip = True
        elif key == "<<":
            self._problem(event, "found a merge; the keys themselves would be right")
        else:
            self.keys[path] = _place(event)
        meant = scalar(key) if event.style in (None, "") else key
        if not isinstance(meant, str):
            self.typed[path] = meant
        top.key = key

    def _put(self, event: yaml.Event, value: Any) -> Path:
        """Set a value where it belongs; answers its path."""
        if not self._open:
            self._root = value
            self.values[()] = _place(event)
            return ()
        top = self._open[-1]
        if isinstance(top.value, list):
            path: Path = (*top.path, len(top.value))
            top.value.append(value)
        elif top.key is None:
            self._problem(event, "found a key that is no text; text would be right")
            top.key = ""
            top.skip = True
            return (*top.path, "")
        else:
            path = (*top.path, top.key)
            if not top.skip:
                top.value[top.key] = value
            top.key = None
            top.skip = False
        self.values.setdefault(path, _place(event))
        return path

    def _plain_only(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            self._problem(event, f"found the anchor &{event.anchor}; the value alone would be right")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._problem(event, f"found the tag {tag!r:.80}; a plain value would be right")

    def _problem(self, event: yaml.Event, text: str) -> None:
        self.problems.append(Problem(_place(event), text))


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
