"""Flows -> a document in the customers' format, and what of them the format cannot say.

The fixed phrases are the format's; nothing else is said but names. Reading a document that was written here gives the
same flows again, as far as the format can say them; what it cannot say is told, flow by flow, and never hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import UNSET, Struct

from stream.configuration.written import WrittenField, WrittenFlow
from stream.dataflow.bounds import LONGEST
from stream.dataflow.plan import CONNECTED, is_identifier

_TYPES: Final = {"same": "string", "integer": "integer", "boolean": "boolean"}
_ROOM: Final = LONGEST - 500
_LIKE_A_LIST: Final = re.compile(r"\W|\w{1,8}[.)](\s|$)|\(?\w{1,8}\)(\s|$)")
_HAVING: Final = re.compile(r"(left|right) having (\S+) in (\S+)")


class Written(Struct, frozen=True):
    """A document, and what it does not say."""

    text: str
    unsaid: tuple[str, ...]


def document(flows: Iterable[WrittenFlow], left: str, right: str, generated: str) -> Written:
    """Write the document of two systems; ``generated`` is the time to put into it."""
    title = f"{_shown(left)} to {_shown(right)} Dataflow"
    bar = "=" * len(title)
    parts = [f"{bar}\n{title}\n{bar}\n\nGenerated: {generated}\n"]
    parts.append("Introduction\n------------\n\nThis is how linkstream keeps the two systems in step.\n")
    unsaid: list[str] = []
    for flow in flows:
        name = f"{flow.from_}~{flow.to}" if flow.name is UNSET else flow.name
        unsaid += [f"{name}: {text}" for text in _unsaid(flow)]
        parts.append(_section(flow))
        if flow.create == "both":
            parts.append(_back(flow))
    return Written("\n".join(parts), tuple(unsaid))


def _section(flow: WrittenFlow) -> str:
    left, right = _entity(flow.from_), _entity(flow.to)
    lines = [*_titled(left, right), *_beginning(flow, left, right)]
    rows = [row for each in flow.match if (row := _merge_row(each)) is not None]
    if rows:
        lines.append(f"A {left} will merge with a {right} if one of the following property combinations match:\n")
        lines += _table((f"{left} Property", f"{right} Property"), rows)
    lines.append(_keeps(left, right))
    lines.append(f"The following properties are synchronized between a {left} and a {right}:\n")
    head = (f"{left} Property", f"{right} Property", f"{right} Data Type")
    lines += _table(head, [_property_row(field) for field in flow.fields if _sayable(field)])
    return "\n".join(lines)


def _back(flow: WrittenFlow) -> str:
    """What a flow that creates both ways says in the other direction."""
    left, right = _entity(flow.to), _entity(flow.from_)
    every = f"Every {left} will be synchronized with a {right}.\n"
    return "\n".join((*_titled(left, right), every, _keeps(left, right)))


def _titled(left: str, right: str) -> list[str]:
    title = f"{left} to {right}"
    return [title, "-" * len(title), ""]


def _keeps(left: str, right: str) -> str:
    link = f"Once a link between a {left} and a {right} is established"
    return f"{link}, it will keep in sync between the two systems, regardless of where it is edited.\n"


def _beginning(flow: WrittenFlow, left: str, right: str) -> Iterator[str]:
    before = f"Before any synchronization can take place, a link between a {left} and a {right} must be established.\n"
    if flow.create == "never":
        yield before
    elif flow.condition is UNSET or not flow.condition:
        yield f"Every {left} will be synchronized with a {right}.\n"
    else:
        for words in flow.condition.split(" | "):
            if words.startswith(CONNECTED) and " that is synchronized into" in words:
                yield before
                yield f"A new {right} will be created from a {left} {_escaped(words)}.\n"
            else:
                yield f"{_begun(words)}, it will be synchronized with a {right}.\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        first, *more = row
        lines += [f"   * - {first}", *(f"     - {cell}" for cell in more)]
    return [*lines, ""]


def _merge_row(each: dict[str, str]) -> tuple[str, str] | None:
    if len(each) != 1:
        return None
    [(left, right)] = each.items()
    if is_identifier(left) and is_identifier(right):
        return None
    return _escaped(left), _escaped(right)


def _property_row(field: WrittenField) -> tuple[str, str, str]:
    kind = field.as_ if isinstance(field.as_, str) else ""
    return (
        _escaped(field.from_) + _qualifier(field, "left"),
        _escaped(field.to) + _qualifier(field, "right"),
        f'"{_TYPES.get(kind, "string")}"',
    )


def _qualifier(field: WrittenField, side: str) -> str:
    words = "" if field.condition is UNSET else field.condition
    having = [found for each in words.split(" | ") if (found := _HAVING.fullmatch(each)) and found[1] == side]
    said = "".join(f"Dependant on having {_said(found[2])} in {_said(found[3]) or ' '}" for found in having)
    return f" ({said})" if said else ""


def _said(word: str) -> str:
    return "" if word == "?" else word


def _unsaid(flow: WrittenFlow) -> Iterator[str]:
    if flow.create == "never" and flow.condition is not UNSET:
        yield "a condition for a flow that creates nothing"
    if flow.condition is not UNSET and len(flow.condition) > _ROOM:
        yield "a condition that is longer than a line may be"
    if flow.when is not UNSET:
        yield "the expression of its condition"
    if not isinstance(flow.create, str):
        yield "through which fields something must be linked before it creates"
    if flow.together:
        yield "which fields are one thing"
    if flow.delete != "keep":
        yield f"delete: {flow.delete}"
    if flow.ours:
        yield "that the fields are our own choice"
    yield from _undecided(flow.open)
    yield from _unsaid_matches(flow)
    for field in flow.fields:
        yield from (f"{field.from_} ~ {field.to}: {text}" for text in _unsaid_of(field))


def _undecided(points: Iterable[str]) -> Iterator[str]:
    return (f"what is to be decided first: {text}" for text in points)


def _unsaid_matches(flow: WrittenFlow) -> Iterator[str]:
    for each in flow.match:
        if len(each) != 1:
            yield f"matching on several properties at once: {', '.join(f'{a} = {b}' for a, b in each.items())}"
        elif _merge_row(each) is None:
            yield f"matching on the systems' own identifiers: {', '.join(f'{a} = {b}' for a, b in each.items())}"


def _unsaid_of(field: WrittenField) -> Iterator[str]:
    if not isinstance(field.as_, str) or field.as_ not in _TYPES:
        name = field.as_ if isinstance(field.as_, str) else "its own words"
        yield f"the conversion ({name})"
    if field.direction is not UNSET and field.direction != "both":
        yield f"its direction ({field.direction})"
    if field.reference is not UNSET:
        yield "that it is a reference; the whole pair is left out"
    elif not _sayable(field):
        yield "two systems' own identifiers; the whole pair is left out"
    if field.when is not UNSET:
        yield "the expression of its condition"
    if field.set_:
        yield "that it is a set"
    if field.condition is not UNSET and not all(map(_HAVING.fullmatch, field.condition.split(" | "))):
        yield "its condition"
    yield from _undecided(field.open)


def _sayable(field: WrittenField) -> bool:
    return field.reference is UNSET and not (is_identifier(field.from_) and is_identifier(field.to))


def _entity(type: str) -> str:
    system, _, short = type.partition(".")
    return f"{_shown(system)} {_shown(short)}"


def _shown(name: str) -> str:
    return name[:1].upper() + name[1:]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\")


def _begun(words: str) -> str:
    """Words at the beginning of a paragraph, which must not pass for a list or a mark."""
    return f"\\{_escaped(words)}" if _LIKE_A_LIST.match(words) and words[0] != "\\" else _escaped(words)
