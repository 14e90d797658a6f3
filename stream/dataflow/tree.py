"""A document's text -> its sections, by docutils: titles, paragraphs and tables, each with its line.

docutils builds the tree, and is kept to that. Files and raw text are switched off, no transform runs, and what stands
inside a line is not looked into: property names are full of what is markup there (``name_``, ``*``, ``|``). A table is
ours, since docutils refuses one that has only a header, and those are most of them. What is neither title, paragraph
nor table is handed on as stray, so that whoever reads the document can say that it was left unread.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from docutils import frontend, nodes, utils
from docutils.parsers.rst import Directive, Parser, directives, states
from msgspec import Struct

from stream.dataflow.bounds import LARGEST, LONGEST, Fault, Unfit


class Paragraph(Struct, frozen=True):
    """Text in lines."""

    line: int
    text: str


class Table(Struct, frozen=True):
    """Rows of cells, the header's among them; ``odd`` are the lines of what is no row of plain cells."""

    line: int
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    header: int
    odd: tuple[int, ...] = ()


class Stray(Struct, frozen=True):
    """Something else, in short."""

    line: int
    text: str


Part = Paragraph | Table | Stray


class Section(Struct, frozen=True):
    """A title and what stands under it, without what stands under titles further in."""

    line: int
    title: str
    parts: tuple[Part, ...]


def sections(text: str, file: str) -> list[Section]:
    """The sections in their order; the first has no title if text stands before any. Raises Unfit."""
    document = utils.new_document(file, _settings())
    with _table():
        try:
            Parser(inliner=_Verbatim()).parse(text, document)
        except RecursionError:
            raise Unfit(Fault(file, 1, "found parts too deep in each other; flat sections would be right")) from None
    found: list[Section] = []
    _walk(document, found, Section(1, "", ()))
    return found


@cache
def _settings() -> Any:
    settings = frontend.get_default_settings(Parser)
    settings.file_insertion_enabled = False
    settings.raw_enabled = False
    settings.halt_level = 5
    settings.report_level = 2
    settings.line_length_limit = LONGEST
    settings.input_encoding = "utf-8"
    settings.warning_stream = io.StringIO()
    settings.max_characters = LARGEST
    return settings


class _Verbatim(states.Inliner):
    """What stands in a line is its text."""

    def init_customizations(self, settings: Any) -> None:
        """Nothing of a line is looked for."""

    def parse(self, text: str, *_: Any) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Answer the text."""
        return [nodes.Text(_plain(text))], []


class _Rows(nodes.General, nodes.Element):
    """A table as it is written: its rows, if they are plain, else the list that docutils makes of it."""


class _ListTable(Directive):
    """``list-table``, also one with nothing but a header.

    Options and plain rows are read right here: docutils sets up a machine of sixteen states for each of them, which is
    two thirds of all its time. Whatever is not plain is left to docutils.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Keep the rows, and how many of them are a header."""
        made = _Rows()
        made.line = self.lineno
        lines = list(self.content)
        start = 0
        while start < len(lines) and (option := _OPTION.fullmatch(lines[start].strip())):
            made[option[1].lower()] = option[2].strip()
            start += 1
        if start == 0 and lines and not lines[0].startswith("*"):
            start = 1  # the table's own title
        made["rows"] = self._plain(lines, start)
        if made["rows"] is None:
            self.state.nested_parse(self.content[start:], self.content_offset + start, made)
        return [made]

    def _plain(self, lines: list[str], start: int) -> list[tuple[int, tuple[str, ...]]] | None:
        rows: list[tuple[int, list[str]]] = []
        for number, line in enumerate(lines[start:], start):
            found = _CELL.fullmatch(line)
            if found is None and line.strip():
                return None
            if found is None:
                continue
            if found[1] == "*":
                rows.append((int(self.content.offset(number)) + 1, []))
            elif not rows:
                return None
            rows[-1][1].append(_plain(found[2].strip()))
        return [(line, tuple(cells)) for line, cells in rows]


_OPTION: Final = re.compile(r":([A-Za-z-]+):(?:\s+(.*))?")
_CELL: Final = re.compile(r"([*]| ) -((?: .*)?)")


def _plain(text: str) -> str:
    """A backslash stands for the character behind it, as everywhere in this markup."""
    return str(nodes.unescape(utils.escape2null(text))) if "\\" in text else text


_LOCK: Final = threading.Lock()


@contextmanager
def _table() -> Iterator[None]:
    # docutils looks directives up in one table for the whole process: ours is there while we read, and no longer.
    with _LOCK:
        directives.register_directive("list-table", _ListTable)
        try:
            yield
        finally:
            directives._directives.pop("list-table", None)  # type: ignore[attr-defined]  # noqa: SLF001 - the only way back


def _walk(node: nodes.Element, found: list[Section], head: Section) -> None:
    parts: list[Part] = []
    inner: list[nodes.section] = []
    for child in node.children:
        match child:
            case nodes.section():
                inner.append(child)
            case nodes.title():
                pass
            case _:
                parts += _parts(child)
    found.append(Section(head.line, head.title, tuple(parts)))
    for section in inner:
        title = next((child for child in section.children if isinstance(child, nodes.title)), None)
        line = (section.line or (title.line if title is not None else None) or 1) - 1
        _walk(section, found, Section(max(line, 1), title.astext() if title is not None else "", ()))


def _parts(node: nodes.Node) -> Iterator[Part]:
    match node:
        case nodes.paragraph():
            yield Paragraph(node.line or 1, node.astext())
        case _Rows():
            yield _rows(node)
        case nodes.comment() | nodes.target():
            return
        case nodes.system_message():
            # docutils says where it stumbled; that its own text is shown beside it would say everything twice.
            if int(node["level"]) >= 3:  # noqa: PLR2004 - an error, as docutils counts
                yield Stray(int(node.get("line", 1)), _short(node.astext().partition("\n")[0]))
        case nodes.Admonition():
            return
        case nodes.block_quote():
            for child in node.children:
                yield from _parts(child)
        case _:
            yield Stray(_line(node), _short(node.astext()))


def _rows(node: _Rows) -> Table:
    asked = str(node.get("header-rows") or "0")
    header = int(asked) if asked in ("0", "1", "2") else 0
    if node["rows"] is not None:
        return Table(node.line or 1, tuple(node["rows"]), header)
    rows: list[tuple[int, tuple[str, ...]]] = []
    odd: list[int] = []
    items = [item for child in node.children if isinstance(child, nodes.bullet_list) for item in child.children]
    for item in [*items, *(child for child in node.children if not isinstance(child, nodes.bullet_list))]:
        cells = _cells(item)
        if cells is None:
            odd.append(_line(item))
        else:
            rows.append((_line(item), cells))
    return Table(node.line or 1, tuple(rows), header, tuple(odd))


def _cells(item: nodes.Node) -> tuple[str, ...] | None:
    """The texts of a row, if it is one list of plain texts."""
    if len(item.children) != 1 or not isinstance(item.children[0], nodes.bullet_list):
        return None
    cells: list[str] = []
    for cell in item.children[0].children:
        match cell.children:
            case []:
                cells.append("")
            case [nodes.paragraph() as only]:
                cells.append(only.astext())
            case _:
                return None
    return tuple(cells)


def _line(node: nodes.Node) -> int:
    for inner in node.findall():
        if inner.line:
            return int(inner.line)
    return 1


def _short(text: str) -> str:
    return " ".join(text.split())[:80]
