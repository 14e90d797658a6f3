"""What rows and messages look like where they are kept. A change of these files is a change of the format: rows of
before must still be read, or ``FORMAT`` counts up.

``LINKSTREAM_GOLDEN=write pytest tests/core/test_golden.py`` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream.codec import bytes_of, decode_message, encode, row_of
from stream.core.matching import key_of
from stream.core.row import Kept
from stream.core.shared import Creates
from stream.errors import BadRecord
from stream.model import (
    FORMAT,
    Attach,
    Claim,
    Command,
    Decide,
    Found,
    Offer,
    Propose,
    Receipt,
    Roster,
    Stated,
    Version,
    Wake,
)
from tests.core.build import A, B, Table, created, linked, only, seen

HERE = Path(__file__).parent / "golden"


def writing() -> Table:
    table = linked()
    table.read(B, 20, x="x1")
    table.tell(A, seen(30, name="n", x="x0", y="held"))
    return table


ROWS: dict[str, Kept] = {
    "linked-left": linked().row(A),
    "linked-right": linked().row(B),
    "creating": created()[0].row(A),
    "writing": writing().row(A),
    "roster": Creates({A: (5, 4)}),
    "index": linked().rows[key_of("f", "name=name", ["n"])],
}
STATED = Stated("x1", Version(5, 1, 7), Version(4, 0, 6), B)
MESSAGES: dict[str, Any] = {
    "seen": seen(10, 11, name="n", x=None, revision=3, marker="f|a.t:1", pristine=True, by_us=False),
    "offer": Offer(edge="f/a", sender=B, fields={"x": STATED}),
    "propose": Propose(edge="f/b", sender=A, number=5, key="index:0"),
    "attach": Attach(edge="f/b", sender=A, number=5, want={"x": STATED}, seen=seen(10, x="x1"), echo=True),
    "claim": Claim(edge="f/a", sender=B),
    "found": Found(edge="f/a", key="index:0", number=5, candidates=(B,)),
    "receipt": Receipt(number=5, outcome="refused", target=A, fields={"x": "too long"}, reason="no"),
    "roster": Roster(kind="ask", edge="f/b", sender=B, number=4),
    "decide": Decide(edge="f/a", peer=B),
    "wake": Wake(resync=True),
    "command": only(Command, created()[0].out),
}


def golden(name: str, text: str) -> str:
    file = HERE / name
    if os.environ.get("LINKSTREAM_GOLDEN") == "write":
        file.write_text(text)
    return file.read_text()


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_kept_as_it_always_was(name: str) -> None:
    row = ROWS[name]
    data = bytes_of(row)
    twin = msgspec.json.format(msgspec.json.encode(msgspec.msgpack.decode(data))).decode()
    assert golden(f"row-{name}.txt", f"{data.hex()}\n{twin}\n").splitlines()[0] == data.hex()
    assert row_of(bytes.fromhex(golden(f"row-{name}.txt", f"{data.hex()}\n{twin}\n").splitlines()[0])) == row


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_written_as_it_always_was(name: str) -> None:
    message = MESSAGES[name]
    text = encode(message).decode() + "\n"
    assert golden(f"message-{name}.json", text) == text
    if name != "command":
        assert decode_message(text.encode()) == message


def test_a_row_of_a_newer_format_is_refused() -> None:
    row = linked().row(A)
    row.format = FORMAT + 1
    with pytest.raises(BadRecord, match=f"format {FORMAT + 1}"):
        row_of(bytes_of(row))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x81\xa1k\x09", b"\xff" * 20])
def test_what_is_no_row_is_refused(data: bytes) -> None:
    with pytest.raises(BadRecord):
        row_of(data)


def test_no_row_is_none() -> None:
    assert row_of(None) is None
