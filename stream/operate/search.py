"""The search: records whose id, or a value of whose fields, has a text in it. Capitals do not matter.

A table may have a million rows, and most have nothing of what is looked for, so a row is decoded only where its bytes
may have the text: they are compared as they lie, in small letters. Where that would miss something (numbers and words
of JSON are no text in a row's bytes, and letters beyond ASCII have other small forms) every row is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from stream.codec import row_of
from stream.core.row import Row
from stream.model import Ref, Value
from stream.operate.table import JOIN, Rows
from stream.operate.words import shown

_NO_TEXT = frozenset('0123456789+-.,:"[]{}\\')
"""What may stand in a value as it is shown, and not in its bytes."""
_WORDS = frozenset({"true", "false", "null"})
"""Found only where they are meant: an "a" is none of what "false" says."""


class Hit(Struct, frozen=True):
    """A record that was found: the field that has the text, or none if its id does; and its counterparts."""

    ref: Ref
    field: str
    value: Value
    peers: tuple[Ref, ...]


def search(reader: Rows, text: str, types: Iterable[str], on: Callable[[int], bool] = lambda _: True) -> Iterator[Hit]:
    """Records of some types that have a text, while ``on`` (given the number of rows looked at) says to go on."""
    wanted = text.casefold()
    sought = wanted.encode()
    everywhere = not text.isascii() or bool(_NO_TEXT & set(text)) or wanted in _WORDS
    looked = 0
    for type in types:
        for key, data in reader.rows(JOIN, f"{type}:".encode()):
            looked += 1
            if not on(looked):
                return
            if everywhere or sought in data.lower() or sought in key.lower():
                row = row_of(data)
                if isinstance(row, Row) and (hit := _hit(key.decode(), row, wanted)):
                    yield hit


def _hit(ref: Ref, row: Row, wanted: str) -> Hit | None:
    peers = tuple(edge.peer for edge in row.edges.values() if edge.state == "linked")
    for field, value in row.remote.items():
        said = value if isinstance(value, str) else shown(value)
        if said == wanted if said in _WORDS else wanted in said.casefold():
            return Hit(ref, field, value, peers)
    return Hit(ref, "", None, peers) if wanted in ref.casefold() else None
