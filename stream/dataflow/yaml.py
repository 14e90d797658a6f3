"""topics.yaml as text: where things are added to it, and how.

Whoever edited the file by hand finds it again: every line that is not touched stays as it is, to the blank. New
entries go to the end of their part, in the notation of the example. A flow that is touched is read and written by a
library that keeps comments and order; no other line is.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from connectors.document import Document, scalar

_PLAIN: Final = re.compile(r"[A-Za-z][\w./~$-]*(?: [\w./~$-]+)*", re.ASCII)
_COMMENT: Final = re.compile(r"\s*(#.*)?")


def plain(value: Any) -> str:
    """A value on one line; texts without quotes where nothing else could be meant."""
    match value:
        case str():
            sure = _PLAIN.fullmatch(value) is not None and scalar(value) == value and "${" not in value
            return value if sure else json.dumps(value, ensure_ascii=False)
        case Mapping():
            return "{" + ", ".join(f"{plain(key)}: {plain(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(plain, value)) + "]"
        case _:
            return json.dumps(value)


class Page:
    """The lines of a file, and the places that the strict reader found in them."""

    def __init__(self, text: str, document: Document) -> None:
        self.lines = text.split("\n")
        self._document = document
        self._edits: list[tuple[int, int, list[str]]] = []
        self._parts: list[str] = []

    def append(self, part: str, entries: Iterable[str]) -> None:
        """Add entries, each of one or more lines without indentation, to the end of a part of the file."""
        new = list(entries)
        begin, end = self._bounds(part)
        if not new:
            if begin == end:
                self._parts.append(f"{part}: {'[]' if part == 'flows' else '{}'}")
            elif self._document.value[part] is None:
                self._edits.append((begin, end, [f"{part}: {'[]' if part == 'flows' else '{}'}"]))
            return
        if begin == end:
            self._parts += [f"{part}:", *_indented(new, 2)]
            return
        if self._is_block(part, begin):
            self._edits.append((end, end, _indented(new, self._column(part))))
        else:
            comment = self.lines[begin].partition("#")
            head = f"{part}:{'  #' + comment[2] if comment[1] else ''}"
            self._edits.append((begin, end, [head, *_indented(new, 2)]))

    def edit(self, index: int, change: Callable[[Any], None]) -> None:
        """Change one flow; its comments and its order stay."""
        begin, end, column = self._item(index)
        before = [line[column:] for line in self.lines[begin:end]]
        after = _edited("\n".join(before), change)
        self._edits.append((begin, end, [" " * column + line if line else "" for line in after]))

    def text(self) -> str:
        """The file with all changes."""
        lines = list(self.lines)
        end = self._trimmed(0, len(lines))
        for line in reversed(self._parts):
            lines.insert(end, line)
            if line[:1] not in (" ", "") and end:
                lines.insert(end, "")
        # From the end to the beginning, so that places stay right; of two at one place the earlier comes first.
        for _, (begin, end, new) in sorted(
            enumerate(self._edits), key=lambda edit: (edit[1][0], edit[0]), reverse=True
        ):
            lines[begin:end] = new
        text = "\n".join(lines)
        return text if text.endswith("\n") or not text else f"{text}\n"

    def _bounds(self, part: str) -> tuple[int, int]:
        """The lines of a part, without the blank ones and comments behind it; an empty stretch where there is none."""
        starts = sorted(place.line - 1 for path, place in self._document.keys.items() if len(path) == 1)
        found = self._document.keys.get((part,))
        if found is None:
            return (end := self._trimmed(0, len(self.lines))), end
        begin = found.line - 1
        after = [start for start in starts if start > begin]
        return begin, self._trimmed(begin + 1, after[0] if after else len(self.lines))

    def _trimmed(self, begin: int, end: int) -> int:
        while end > begin and _COMMENT.fullmatch(self.lines[end - 1]):
            end -= 1
        return end

    def _is_block(self, part: str, begin: int) -> bool:
        place = self._document.values.get((part,))
        value = self._document.value.get(part)
        return bool(value) and place is not None and place.line - 1 > begin

    def _column(self, part: str) -> int:
        line = self.lines[self._document.values[part,].line - 1]
        return len(line) - len(line.lstrip())

    def _item(self, index: int) -> tuple[int, int, int]:
        """The lines of one flow, and the column of its dash."""
        begin = self._dash(index)
        column = len(self.lines[begin]) - len(self.lines[begin].lstrip())
        after = ("flows", index + 1) in self._document.values
        end = self._dash(index + 1) if after else self._bounds("flows")[1]
        return begin, self._trimmed(begin + 1, end), column

    def _dash(self, index: int) -> int:
        line = self._document.values["flows", index].line - 1
        while not self.lines[line].lstrip().startswith("-"):
            line -= 1
        return line


def _indented(entries: Iterable[str], column: int) -> list[str]:
    return [" " * column + line if line else "" for entry in entries for line in entry.split("\n")]


def _library() -> Any:
    from ruamel.yaml import YAML  # noqa: PLC0415 - only for a flow that is touched

    library = YAML()
    library.preserve_quotes = True
    library.width = 1 << 16
    library.brace_single_entry_mapping_in_flow_sequence = True
    library.indent(mapping=2, sequence=4, offset=2)
    return library


def _edited(text: str, change: Callable[[Any], None]) -> list[str]:
    library = _library()
    items = library.load(text)
    change(items[0])
    made = io.StringIO()
    library.dump(items, made)
    return [line.removeprefix("  ") for line in made.getvalue().rstrip("\n").split("\n")]


def in_lines(text: str, document: Document, parts: Iterable[str]) -> str:
    """A file whose parts stand one entry a line: itself, unless some are written in braces or brackets."""
    value = document.value
    root = document.values.get(())
    braces = root is not None and text.split("\n")[root.line - 1][root.column - 1 :].startswith("{")
    inline = [part for part in parts if value.get(part) and _on_one_line(part, document)]
    if not braces and not inline:
        return text
    library = _library()
    whole = library.load(text)
    whole.fa.set_block_style()
    for part in parts:
        if value.get(part):
            whole[part].fa.set_block_style()
            for item in whole[part] if part == "flows" else ():
                item.fa.set_block_style()
    made = io.StringIO()
    library.dump(whole, made)
    return made.getvalue()


def _on_one_line(part: str, document: Document) -> bool:
    return document.values[part,].line == document.keys[part,].line


def mapping(value: Mapping[str, Any]) -> Any:
    """A mapping in braces, for a flow that is edited."""
    from ruamel.yaml.comments import CommentedMap  # noqa: PLC0415

    made = CommentedMap(value)
    made.fa.set_flow_style()
    return made
