"""Fields: what a row keeps of a record, and how it gets there and back. Pure.

Most fields are one path with one value. Two kinds are more than that, and their names say so; the rest of the core
need not know. (A path holds neither ``~`` nor white space.)

``labels~"red"``
    A *set* (A13): ``labels~`` is a list whose elements are texts or integers, and each element is a field of its own,
    ``True`` or ``None``. So two people who add different labels at the same time both keep theirs; as one value, the
    list of the one would erase what the other added. ``labels~`` itself is a field that is always empty: it says that
    the list was read.
``street, city``
    A *group*: several paths with one value, the list of theirs, and therefore with one version. Nobody ever reads the
    street of one edit with the city of another.

An ``Observer`` *spreads* a record into fields, and *gathers* fields that are to be written into what the record's
system takes: whole lists, and single paths. An element missing from a record is missing among its fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from msgspec import DecodeError, json

from stream.core.paths import getter
from stream.model import Value

SET: Final = "~"
PART: Final = ", "

MOST: Final = 1000
"""Elements of one list; a longer one is no set of labels or members but a table."""

Element: TypeAlias = str | int


def whole(field: str) -> str:
    """The name that is configured for a field: of an element, that of its set."""
    path, tilde, _ = field.partition(SET)
    return path + tilde


def paths_of(field: str) -> list[str]:
    """The paths of a record that a field stands for."""
    return [field.partition(SET)[0]] if SET in field else field.split(PART)


def element(field: str) -> Element:
    """The element that a field stands for. Raises ValueError for a field that is none."""
    try:
        found: Element = _decode(field.partition(SET)[2])
    except DecodeError:
        raise ValueError(f"found {field!r:.80}; an element of a set would be right") from None
    return found


def element_field(set_: str, value: Value) -> str:
    """The field of an element. Raises ValueError for a value that cannot be one."""
    try:
        if isinstance(value, str) and (text := value.strip()):
            return set_ + _encode(text).decode()
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _ROOM:
            return set_ + _encode(value).decode()
    except UnicodeEncodeError:
        pass
    raise ValueError(f"found the element {value!r:.80}; a text or an integer would be right")


def elements(set_: str, value: Value) -> dict[str, Value]:
    """The elements of a list by their fields, as they are written. Raises ValueError for what is no such list.

    No list at all is an empty one, and so is an empty text no element.
    """
    if value is None:
        return {}
    if not isinstance(value, list):
        raise ValueError(f"found {value!r:.80}; a list would be right")  # noqa: TRY004 - one error for callers
    found = {element_field(set_, each): each for each in value if not _blank(each)}
    if len(found) > MOST:
        raise ValueError(f"found {len(found)} elements; {MOST} at most would be right")
    return found


def _blank(value: Value) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def parts(field: str, value: Value) -> list[Value]:
    """The value of a group as a list of all its parts."""
    return value if isinstance(value, list) else [None] * (field.count(PART) + 1)


def group(values: list[Value]) -> Value:
    """The parts of a group as one value: ``None`` for one that is empty."""
    return values if any(each is not None for each in values) else None


class Observer:
    """All mapped fields of a type, compiled: from a record to its fields, and back to what is written."""

    __slots__ = ("_groups", "_plain", "_sets")

    def __init__(self, fields: Iterable[str]) -> None:
        fields = tuple(dict.fromkeys(fields))
        self._plain = tuple((each, getter(each)) for each in fields if SET not in each and PART not in each)
        self._sets = {each: getter(each.removesuffix(SET)) for each in fields if SET in each}
        self._groups = {each: [getter(path) for path in each.split(PART)] for each in fields if PART in each}

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Value]:
        """The fields of a record; what is wrong about a set stands under its own name."""
        fields = {path: get(record) for path, get in self._plain}
        for name, gets in self._groups.items():
            fields[name] = group([get(record) for get in gets])
        for name, get in self._sets.items():
            fields[name] = None
            try:
                fields.update(dict.fromkeys(elements(name, get(record)), True))
            except ValueError as error:
                fields[name] = str(error)
        return fields

    def gather(self, fields: Mapping[str, Value], record: Mapping[str, Any]) -> dict[str, Value]:
        """Fields to be written to a record, as values by path. Raises ValueError for a set that is none there.

        A list is written as a whole: what the record shows now, without the elements that go, and with the new ones.
        """
        wanted: dict[str, Value] = {}
        lists: dict[str, dict[str, Value]] = {}
        for field, value in fields.items():
            if PART in field:
                wanted.update(zip(field.split(PART), parts(field, value), strict=True))
            elif SET in field:
                name = whole(field)
                if name not in lists:
                    lists[name] = elements(name, self._sets[name](record))
                if value is None:
                    lists[name].pop(field, None)
                else:
                    lists[name].setdefault(field, element(field))
            else:
                wanted[field] = value
        return wanted | {name.removesuffix(SET): list(each.values()) for name, each in lists.items()}

    @staticmethod
    def refused(paths: Mapping[str, str], fields: Iterable[str], *, apart: bool) -> dict[str, str]:
        """What a system says of paths, as said of the fields that were to be written there.

        ``apart``: where several elements of a refused list can still be written one by one, none is to blame yet.
        """
        said = dict(paths)
        blamed: dict[str, list[str]] = {}
        for field in fields:
            for path in paths_of(field):
                if path in paths:
                    blamed.setdefault(path, []).append(field)
        for path, those in blamed.items():
            del said[path]
            if len(those) == 1 or not apart:
                said.update(dict.fromkeys(those, paths[path]))
        return said


_ROOM: Final = 1 << 63
_encode = json.Encoder().encode
_decode = json.Decoder(str | int).decode
