"""Our mark where a system has no field for it: the last line of a text that people write, ``ref: <mark>``. Pure."""

from __future__ import annotations

import re

_REF = re.compile(r"(?:^|\n)ref: (\S+)\s*\Z")


def split(text: str) -> tuple[str, str | None]:
    """Part a text into the people's and our mark."""
    found = _REF.search(text)
    return (text[: found.start()], found[1]) if found else (text, None)


def join(text: str, mark: str | None) -> str:
    """Put our mark below the people's text."""
    if not mark:
        return text
    return f"{text}\nref: {mark}" if text else f"ref: {mark}"
