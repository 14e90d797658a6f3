"""Variables and secrets in a file: ``${NAME}``, ``${NAME:-default}``, ``${file:/run/secrets/name}``; ``$${`` is ``${``.

What comes in this way may be a secret, whatever it is called. So the place remembers how it was written, and messages
show that and never the value. Values are text, and are not looked through again. Flows have no variables: what is kept
in step is the same on every machine, and a file that was checked on one is right on the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path as File
from typing import Any, Final

from msgspec import Struct

from connectors.document import Document, Path, Problem

LARGEST: Final = 1 << 16
"""Bytes that a secret's file may have."""

_VARIABLE: Final = re.compile(r"\$(\$?)\{([^{}]*)(\}?)")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Origin(Struct, frozen=True):
    """How a value with variables was written, without defaults; ``known`` is false if one of them is not there."""

    written: str
    known: bool = True


class Filled(Struct, frozen=True, kw_only=True):
    """A document's value with its variables filled in."""

    value: Any
    origins: dict[Path, Origin]
    problems: tuple[Problem, ...]

    def unknown(self, path: Path) -> bool:
        """Whether the value at the path cannot be judged, because a variable in it is not there."""
        return not self.origins.get(path, Origin("")).known


def fill(document: Document, environment: Mapping[str, str], base_dir: File) -> Filled:
    """Fill in all variables; paths of files are taken from ``base_dir``. Missing ones are problems."""
    filler = _Filler(document, environment, base_dir)
    value = filler.fill(document.value, ())
    return Filled(value=value, origins=filler.origins, problems=tuple(filler.problems))


class _Filler:
    def __init__(self, document: Document, environment: Mapping[str, str], base_dir: File) -> None:
        self.origins: dict[Path, Origin] = {}
        self.problems: list[Problem] = []
        self._document = document
        self._environment = environment
        self._base_dir = base_dir

    def fill(self, value: Any, path: Path) -> Any:
        match value:
            case dict():
                for key in value:
                    self._one_line(key, (*path, key))
                return {key: self.fill(item, (*path, key)) for key, item in value.items()}
            case list():
                return [self.fill(item, (*path, index)) for index, item in enumerate(value)]
            case str():
                self._one_line(value, path)
                if "${" in value and path[:1] == ("flows",):
                    self._problem(path, "found a variable in a flow; what it stands for would be right")
                    return value
                return self._text(value, path) if "${" in value else value
            case _:
                return value

    def _one_line(self, text: str, path: Path) -> None:
        # A name ending in a line break would pass as the name, and one in a setting would end a header.
        if _CONTROL.search(text):
            self._problem(path, "found a line break or control character; text of one line would be right")

    def _text(self, text: str, path: Path) -> str:
        parts: list[str] = []
        written: list[str] = []
        known = True
        end = 0
        for found in _VARIABLE.finditer(text):
            between = text[end : found.start()]
            end = found.end()
            name = f"${{{found[2].partition(':-')[0]}}}"
            try:
                value, name = (found[0][1:], found[0]) if found[1] else (_one_line(self._variable(found), name), name)
            except ValueError as error:
                self._problem(path, str(error))
                value, known = "", False
            parts += (between, value)
            written += (between, name)
        self.origins[path] = Origin("".join((*written, text[end:])), known)
        return "".join((*parts, text[end:]))

    def _variable(self, found: re.Match[str]) -> str:
        if not found[3]:
            raise ValueError("found ${ without its }; ${NAME} would be right")
        if found[2].startswith("file:"):
            return _contents(self._base_dir / found[2].removeprefix("file:"))
        named = _NAME.fullmatch(found[2])
        if named is None:
            shown = found[2].partition(":-")[0]
            raise ValueError(f"found ${{{shown:.40}}}; ${{NAME}}, ${{NAME:-default}} or ${{file:...}} would be right")
        name, default = named[1], named[2]
        value = self._environment.get(name) or default
        if value is None:
            state = "empty" if name in self._environment else "not set"
            raise ValueError(f"found ${{{name}}}, which is {state}; a value, or ${{{name}:-default}}, would be right")
        return value

    def _problem(self, path: Path, text: str) -> None:
        self.problems.append(Problem(self._document.at(path), text))


def _one_line(value: str, name: str) -> str:
    if _CONTROL.search(value):
        raise ValueError(f"found a line break or control character in {name}; one line would be right")
    return value


def _contents(file: File) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise ValueError(f"found ${{file:{file}}}: {reason}; a readable file would be right") from None
    if len(data) > LARGEST:
        raise ValueError(f"found more than {LARGEST} bytes in {file}; one secret would be right")
    try:
        return data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"found bytes in {file} that are no UTF-8; text would be right") from None
