"""Problems of one file, gathered while the reading goes on, and told without giving away what came from outside."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from connectors.document import Document, Path, Problem
from stream.configuration.variables import Filled

MOST = 500
"""Problems that are told one by one."""
SHOWN = 80
"""Characters of a value that a message shows."""


class Report:
    """The problems of a document whose variables are filled in."""

    def __init__(self, file: str, document: Document, filled: Filled) -> None:
        self._file = file
        self._document = document
        self._filled = filled
        self._problems = {*document.problems, *filled.problems}

    def add(self, path: Path, text: str, *, key: bool = False) -> None:
        """Note a problem at a path, or at the key that leads there."""
        self._problems.add(Problem(self._document.at(path, key=key), text))

    def unknown(self, path: Path) -> bool:
        """Whether the value there cannot be judged, for a variable in it is not there."""
        return self._filled.unknown(path)

    def comes_from_outside(self, path: Path) -> bool:
        """Whether the value there was filled in from a variable."""
        return path in self._filled.origins

    def shown(self, path: Path, value: Any) -> str:
        """A value as a message may show it: with its variables as they were written."""
        origin = self._filled.origins.get(path)
        if origin is not None:
            return origin.written[:SHOWN]
        return shown(value)

    def lines(self) -> list[str]:
        """The problems in the order of the file; of very many the first ones, and how many there are."""
        ordered = sorted(self._problems)
        lines = [f"{self._file}:{p.place.line}:{p.place.column}: {p.text}" for p in ordered[:MOST]]
        if len(ordered) > MOST:
            last = ordered[-1].place
            more = len(ordered) - MOST
            lines.append(f"{self._file}:{last.line}:{last.column}: found {more} problems more; none would be right")
        return lines


def shown(value: Any) -> str:
    """A value of the file itself, in short."""
    match value:
        case dict() | list():
            return "a mapping" if isinstance(value, dict) else "a list"
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str() if len(value) > SHOWN:
            return f"{value[:SHOWN]!r}..."
        case _:
            return repr(value)[: SHOWN + 2]


def near(name: str, known: Iterable[str]) -> str:
    """What was probably meant; else all there is, up to a dozen."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    lower = {other.lower(): other for other in names}
    if name.lower() in lower:
        close = [lower[name.lower()]]
    if close:
        return repr(close[0])
    match names:
        case []:
            return "nothing"
        case [only]:
            return repr(only)
        case _:
            return f"one of {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"  # noqa: PLR2004 - a dozen
