"""A YAML file of ours: read as ``connectors.document`` reads it, its mistakes told at once, each where it stands."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from connectors.document import Document as Read
from connectors.document import Path, Problem, Unreadable
from connectors.document import load as read

_WHERE = re.compile(r".*?:(\d+):(\d+): ")


class BadDocument(Exception):
    """A file is not what it should be. A problem reads *file:line:col: what was found; what would be right*."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = sorted(set(problems), key=_in_order)
        super().__init__("\n".join(self.problems))


class Document(Struct, frozen=True, kw_only=True):
    """A file's value, and where its parts stand."""

    file: str
    read: Read

    @property
    def value(self) -> Any:
        """All that the file says."""
        return self.read.value

    def at(self, path: Path, *, key: bool = False) -> str:
        """Answer ``file:line:col`` of what is nearest to the path."""
        place = self.read.at(path, key=key)
        return f"{self.file}:{place.line}:{place.column}"


def load(text: str, file: str) -> Document:
    """Read a YAML text. Raises BadDocument with all problems."""
    try:
        document = read(text.encode(errors="surrogatepass"))
    except Unreadable as error:
        problems: tuple[Problem, ...] = (error.problem,)
    else:
        problems = document.problems
    if problems:
        raise BadDocument([f"{file}:{each.place.line}:{each.place.column}: {each.text}" for each in problems])
    return Document(file=file, read=document)


def _in_order(problem: str) -> tuple[int, int, str]:
    found = _WHERE.match(problem)
    return (int(found[1]), int(found[2]), problem) if found else (0, 0, problem)
