"""Conditions: a CEL expression becomes a plain function over the fields of a record.

The only file that names CEL. An expression comes from a document that nobody has checked: it has a length, a budget of
iterations and CEL's own functions, which reach nothing outside of what they are given. Which fields it reads is taken
from its syntax tree, so that they are observed, even where no flow maps them.

An empty field and one that the record does not have are both ``null``, as everywhere else; so ``has()``, which could
not tell them apart, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

from stream.core.flows import Condition
from stream.model import Value

LONGEST: Final = 2000
"""Characters of an expression."""
SHOWN: Final = 160
"""Characters of an error that a note keeps."""

_RECORD: Final = "record"
_EXAMPLE: Final = "a condition as record.status == 'won' would be right"

Message: TypeAlias = list[tuple[int, Any]]


def condition(text: str) -> Condition:
    """Compile an expression. Raises ValueError that says what is wrong, with the place marked by a caret."""
    if len(text) > LONGEST:
        raise ValueError(f"found a condition of {len(text)} characters; at most {LONGEST} would be right")
    try:
        compiled = _environment().compile(text)
        tree = compiled.serialize()
    except RuntimeError as error:
        raise ValueError(f"found no condition: {_told(str(error))}") from None
    kind = compiled.return_type().name()
    if kind not in ("BOOL", "DYN"):
        raise ValueError(f"found a value of type {kind.lower()}, which is neither true nor false; {_EXAMPLE}")
    reads = _reads(tree)
    shape = [tuple(path.split(".")) for path in reads]

    def holds(fields: Mapping[str, Value]) -> bool:
        try:
            found = compiled.eval(data={_RECORD: _nested(shape, reads, fields)})
            value = found.value()
        except RuntimeError as error:
            raise ValueError(f"{error}"[:SHOWN]) from None
        if value is not True and value is not False:
            raise ValueError(f"{value}"[:SHOWN] if found.type().name() == "ERROR" else "neither true nor false")
        return value

    return Condition(text, reads, holds)


@cache
def _environment() -> Any:
    """Made once; the library has 16 MB, which only a file with conditions needs."""
    from cel_expr_python import cel  # noqa: PLC0415

    return cel.NewEnv(variables={_RECORD: cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})


def _nested(shape: Sequence[Sequence[str]], reads: Sequence[str], fields: Mapping[str, Value]) -> dict[str, Any]:
    """Fields by path as the record that an expression sees; no path lies within another one."""
    record: dict[str, Any] = {}
    for names, path in zip(shape, reads, strict=True):
        inner = record
        for name in names[:-1]:
            inner = inner.setdefault(name, {})
        inner[names[-1]] = fields.get(path)
    return record


def _told(error: str) -> str:
    """The library's first complaint in one line, and the line of the expression with a caret below."""
    first, *rest = error.removeprefix("INVALID_ARGUMENT: ").split("\nERROR: ")[0].split("\n")
    what = first.removeprefix("ERROR: ").removeprefix("<input>:").replace("Syntax error: ", "").split(" [")[0]
    shown = "".join(f"\n    {line.split(' [INVALID')[0]}" for line in rest if line.startswith(" |"))
    return f"{what.split(' expecting ')[0]}{shown}\n    {_EXAMPLE}"


# What it reads, from the syntax tree: a protobuf message ``cel.expr.CheckedExpr`` (github.com/google/cel-spec,
# proto/cel/expr/syntax.proto), of which only the shape is needed.

_EXPR = 4
_CONST, _IDENT, _SELECT, _CALL, _LIST, _STRUCT, _LOOP = 3, 4, 5, 6, 7, 8, 9
_BYTES, _EIGHT, _FOUR = 2, 1, 5


def _reads(tree: bytes) -> tuple[str, ...]:
    """The paths that an expression reads; of one within another, the outer one."""
    checked = _one(_message(tree), 2)
    paths = set(_walk(_message(_one(_message(checked), _EXPR))))
    return tuple(sorted(path for path in paths if not any(path.startswith(f"{other}.") for other in paths)))


def _message(data: bytes) -> Message:
    """The fields of a protobuf message, by number."""
    found: Message = []
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        match tag & 7:
            case 2:
                size, place = _varint(data, place)
                found.append((tag >> 3, data[place : place + size]))
                place += size
            case 0:
                number, place = _varint(data, place)
                found.append((tag >> 3, number))
            case kind:
                place += 8 if kind == _EIGHT else 4
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:  # noqa: PLR2004  # the eighth bit says that more follows
            return value, place


def _one(message: Message, number: int) -> Any:
    return next((value for at, value in message if at == number), b"")


def _walk(expr: Message) -> Iterator[str]:
    path = _path(expr)
    if path is not None:
        if not path:
            raise ValueError("found 'record' as a whole; a field of it, as record.status, would be right")
        yield ".".join(path)
        return
    for kind, data in expr:
        if kind == _SELECT:
            yield from _walk(_message(_one(_message(data), 1)))
        elif kind in (_CALL, _LIST, _LOOP):
            yield from _parts(kind, _message(data))
        elif kind == _STRUCT:
            for number, entry in _message(data):
                if number == 2:  # noqa: PLR2004  # its entries
                    yield from _parts(kind, _message(entry))


_INNER: Final = {_CALL: (1, 3), _LIST: (1,), _STRUCT: (3, 4), _LOOP: (2, 4, 5, 6, 7)}


def _parts(kind: int, message: Message) -> Iterator[str]:
    if kind == _LOOP and _RECORD.encode() in (_one(message, 1), _one(message, 3), _one(message, 8)):
        raise ValueError(f"found {_RECORD!r} as the name of an item; another one would be right")
    for number, data in message:
        if number in _INNER[kind]:
            yield from _walk(_message(data))


def _path(expr: Message) -> tuple[str, ...] | None:
    """The way from the record to a field; ``None`` for what does not begin at the record."""
    for kind, data in expr:
        inner = _message(data) if kind in (_IDENT, _SELECT, _CALL) else []
        if kind == _IDENT:
            return () if _one(inner, 1) == _RECORD.encode() else None
        if kind == _SELECT:
            outer = _path(_message(_one(inner, 1)))
            if outer is None:
                return None
            name = _name(_one(inner, 2))
            if _one(inner, 3):
                whole = ".".join((_RECORD, *outer, name))
                raise ValueError(f"found has(), to which an empty field is one too; {whole} != null would be right")
            return (*outer, name)
        if kind == _CALL and _one(inner, 2) == b"_[_]":
            item, key = (_message(each) for number, each in inner if number == 3)  # noqa: PLR2004  # its arguments
            outer, constant = _path(item), _message(_one(key, _CONST) or b"")
            text = _one(constant, 6)
            return (*outer, _name(text)) if outer is not None and text else None
    return None


def _name(text: bytes) -> str:
    name = text.decode()
    if "." in name:
        raise ValueError(f"found the name {name!r}; one without a dot would be right")
    return name
