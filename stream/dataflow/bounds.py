"""What a document may be before anything looks into it: text, of bounded size, that asks for nothing.

A document is data from somebody else. Everything that could make reading slow, deep or curious is found here, line by
line, and refused with its place: sizes, depths, bytes that are no text, and every directive but the harmless ones. The
reader behind it has file insertion switched off as well; this is the first of two doors.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from msgspec import Struct

LARGEST: Final = 1 << 20
"""Bytes that a document may have."""
LONGEST: Final = 4_000
"""Characters that a line may have."""
INDENTED: Final = 60
"""Columns at which a line may begin."""
NESTED: Final = 8
"""Lists that may begin on one line."""
WRAPPED: Final = 400
"""Lines that may follow each other without a blank one or a bullet."""

ALLOWED: Final = frozenset(("list-table", "note", "tip", "hint", "important", "attention", "caution", "warning"))
"""Directives that carry text and nothing else."""

_DIRECTIVE: Final = re.compile(r"(?:^|\s)\.\.[ \t]+(?:\|[^|]*\|[ \t]*)?([A-Za-z0-9][\w:.+-]*?)[ \t]?::(?:\s|$)")
_SUBSTITUTION: Final = re.compile(r"(?:^|\s)\.\.[ \t]+\|")
_MARKS: Final = "-*+\u2022\u2023\u2043"
_BULLETS: Final = re.compile(r"[ \t]*(?:[-*+\u2022\u2023\u2043][ \t]+)*")
_STRANGE: Final = re.compile("[^\t\n\r\f\x20-\x7e\x85\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_GRID: Final = re.compile(r"[ \t]*\+[-=+]{3,}")


class Fault(Struct, frozen=True, order=True):
    """What was found in a file, and what would be right."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class Unfit(Exception):
    """The file is no document that can be read."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def read_text(path: Path) -> str:
    """Read a document's text. Raises Unfit, naming file and line."""
    file = str(path)
    try:
        if not path.is_file():
            reason = "a folder" if path.is_dir() else "no file" if not path.exists() else "no regular file"
            raise Unfit(Fault(file, 1, f"found {reason}; a document (.rst or .txt) would be right"))
        with path.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise Unfit(Fault(file, 1, f"found no readable file: {reason}; a document would be right")) from None
    return decode(data, file)


def decode(data: bytes, file: str) -> str:
    """A document's bytes as text with plain line ends, within bounds. Raises Unfit."""
    if len(data) > LARGEST:
        raise Unfit(
            Fault(file, 1, f"found more than {LARGEST} bytes; one document for one pair of systems would be right")
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"found the byte {data[error.start]:#04x}"
        raise Unfit(Fault(file, line, f"{byte}, perhaps of Latin-1; UTF-8 would be right")) from None
    strange = _STRANGE.search(text)
    if strange is not None:
        line = text.count("\n", 0, strange.start()) + 1
        raise Unfit(Fault(file, line, f"found the character U+{ord(strange[0]):04X}; printable text would be right"))
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\x85", "\n")
    _check(text, file)
    return text


def _check(text: str, file: str) -> None:
    together = 0
    for number, line in enumerate(text.split("\n"), 1):
        together = together + 1 if line.strip() and not line.lstrip().startswith(("*", "-")) else 0
        found = _fault(line)
        if found is None and together > WRAPPED:
            found = f"found {together} lines without a blank one; paragraphs would be right"
        if found is not None:
            raise Unfit(Fault(file, number, found))


def _fault(line: str) -> str | None:
    start = line.expandtabs(8)
    bullets = _BULLETS.match(line)
    if len(line) > LONGEST:
        return f"found a line of {len(line)} characters; at most {LONGEST} would be right"
    if len(start) - len(start.lstrip()) > INDENTED:
        return f"found a line that begins after column {INDENTED}; less depth would be right"
    if bullets is not None and sum(bullets[0].count(mark) for mark in _MARKS) > NESTED:
        return f"found more than {NESTED} lists in each other; a table of two levels would be right"
    if _GRID.match(line):
        return "found a drawn table; a list-table would be right"
    return _asking(line) if ".." in line else None


def _asking(line: str) -> str | None:
    for directive in _DIRECTIVE.finditer(line):
        if directive[1].lower() not in ALLOWED:
            return f"found the directive {directive[1]!r:.40}; list-table would be right"
    return "found a substitution; the text itself would be right" if _SUBSTITUTION.search(line) else None
