"""A document's sections -> its statements: the eight forms that a sentence may have, and the tables.

A sentence is known by its fixed words, compared without blanks, case and punctuation: so an article that sticks to the
next word, a double blank or a line break does not matter. Whose sentence it is stands in the section's title, and is
held against the names in it. Every paragraph, table and row ends in a statement or among what was left unread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from stream.dataflow.bounds import Fault
from stream.dataflow.tree import Paragraph, Section, Stray, Table
from stream.dataflow.words import Having, qualified, singular, squashed, without_system


class Name(Struct, frozen=True):
    """One side: the system as the document calls it, and the entity."""

    system: str
    entity: str


class Property(Struct, frozen=True, kw_only=True):
    """A row of a property table."""

    line: int
    left: str
    right: str
    type: str = ""
    left_having: tuple[Having, ...] = ()
    right_having: tuple[Having, ...] = ()
    odd: str = ""
    """Words of a qualifier that are neither code nor path."""


class Merge(Struct, frozen=True):
    """A row of a merge table."""

    line: int
    left: str
    right: str


class Statement(Struct, frozen=True, kw_only=True):
    """What a document says about one pair of entities."""

    file: str
    line: int
    left: Name
    right: Name
    every: bool = False
    condition: str = ""
    """For which records, in the customer's words."""
    connected: str = ""
    """What a record must be connected to, in the customer's words."""
    before: bool = False
    existing: bool = False
    keeps: bool = False
    merges: tuple[Merge, ...] = ()
    properties: tuple[Property, ...] = ()


class Paper(Struct, frozen=True, kw_only=True):
    """One document, read."""

    file: str
    systems: tuple[str, str]
    statements: tuple[Statement, ...]
    unread: tuple[Fault, ...]


_TITLE: Final = re.compile(r"(.*?)\s+to(?:\s+(.*?))?\s+Dataflow\.?", re.IGNORECASE)
_TO: Final = re.compile(r"\s+to(?=\s)", re.IGNORECASE)
_OPENERS: Final = re.compile(r"(?<=[.:])\s+(?=(?:Every|Before|An? |If |Once|The following|When)\b)")
_IT_WILL: Final = re.compile(r"(.*\S)\s*,?\s*\bit\s+will\s+be\s+synchronized\s+with\b", re.IGNORECASE | re.DOTALL)
_CONNECTED: Final = re.compile(r".*?\bif\s+it\s+is\s+connected\s+to\s+(.*?)\.?", re.IGNORECASE | re.DOTALL)

_MARKS: Final = (
    "willbesynchronizedwith",
    "willbecreatedfrom",
    "mustbeestablished",
    "propertycombinationsmatch",
    "alreadyexiststhe",
    "ifnomatching",
    "keepinsyncbetween",
    "propertiesaresynchronized",
)
"""Words that stand once in every sentence."""

_FORMS: Final = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("every", "every(.+)willbesynchronizedwith(.+)"),
        ("condition", "(?:.+)itwillbesynchronizedwith(.+)"),
        ("connected", "anew(.+)willbecreatedfroma(.+)ifitisconnectedto.+thatissynchronizedinto.*"),
        ("before", "beforeanysynchronizationcantakeplacealinkbetween(.+)mustbeestablished"),
        ("merge", "a(.+)willmergewith(.+)ifoneofthefollowingpropertycombinationsmatch"),
        ("existing", "ifamatching(.+)alreadyexiststhe(.+)willbemergedwiththeexistingone"),
        ("creates", "ifnomatching(.+)isfoundanew(.+)willbecreated"),
        ("keeps", "oncealinkbetween(.+)isestablisheditwillkeepinsyncbetweenthetwosystemsregardlessofwhereitisedited"),
        ("properties", "thefollowingpropertiesaresynchronizedbetween(.+)"),
    )
)
_ONE_SIDED: Final = frozenset(("condition", "creates"))
"""Forms that name the right entity alone, or call the left one as they like."""


def statements(sections: Iterable[Section], file: str, known: Iterable[str] = ()) -> Paper:
    """Read a document's sections; ``known`` are names of systems, for a title that leaves one out."""
    unread: list[Fault] = []
    found: list[Statement] = []
    systems: tuple[str, str] | None = None
    for section in sections:
        title = " ".join(section.title.split())
        whole = _TITLE.fullmatch(title)
        if systems is None and (whole is not None or squashed(title).endswith("dataflow")):
            systems = _named((whole[1], whole[2] or "") if whole else ("", ""), file)
            unread += _strays(section, file)
        elif squashed(title) == "introduction":
            continue
        elif not title:
            unread += _strays(section, file)
        elif _TO.search(title):
            systems = systems or _named(("", ""), file)
            found.append(_Reader(section, file, unread).read(systems, tuple(known)))
        else:
            text = f"found the section {title!r:.60}; '<entity> to <entity>' would be right"
            unread.append(Fault(file, section.line, text))
    if systems is None:
        unread.append(Fault(file, 1, "found no title '<system> to <system> Dataflow'; one would be right"))
    return Paper(file=file, systems=systems or ("", ""), statements=tuple(found), unread=tuple(sorted(unread)))


def _named(title: tuple[str, str], file: str) -> tuple[str, str]:
    """Both systems; what the title leaves out may stand in the file's name, ``crm-trello.rst``."""
    left, bar, right = PurePath(file).stem.partition("-")
    if (title[0] and title[1]) or not bar or "-" in right:
        return title
    if (
        title[0]
        and not squashed(title[0]).startswith(squashed(left))
        and not squashed(left).startswith(squashed(title[0]))
    ):
        return title
    return title[0] or left, title[1] or right


def _strays(section: Section, file: str) -> Iterator[Fault]:
    """What stands under the document's own title and is not the date of its making."""
    for part in section.parts:
        if not (isinstance(part, Paragraph) and squashed(part.text).startswith("generated")):
            yield Fault(file, part.line, f"found {_shown(part)} outside of a statement; a section would be right")


def _shown(part: Paragraph | Table | Stray) -> str:
    return "a table" if isinstance(part, Table) else repr(" ".join(part.text.split())[:60])


class _Reader:
    """One section, part by part."""

    def __init__(self, section: Section, file: str, unread: list[Fault]) -> None:
        self._section = section
        self._file = file
        self._unread = unread
        self._expected = ""

    def read(self, systems: tuple[str, str], known: tuple[str, ...]) -> Statement:
        left, right = self._names()
        self._pair = (squashed(left), squashed(right))
        made = Statement(file=self._file, line=self._section.line, left=Name("", left), right=Name("", right))
        made = _placed(made, systems, known)
        for part in self._section.parts:
            match part:
                case Paragraph():
                    for line, piece in _pieces(part):
                        made = self._sentence(made, line, piece)
                case Table():
                    made = self._table(made, part)
                case Stray():
                    self._leave(part.line, f"found {_shown(part)}; a sentence or a list-table would be right")
        return made

    def _names(self) -> tuple[str, str]:
        """The two entities of the title, divided where the sentences divide them."""
        title = " ".join(self._section.title.split())
        ways = [(title[: found.start()], title[found.end() :].strip()) for found in _TO.finditer(title)]
        if len(ways) > 1:
            said = [squashed(part.text) for part in self._section.parts if isinstance(part, Paragraph)]
            for left, right in ways:
                between = f"between{{}}{squashed(left)}and{{}}{squashed(right)}"
                if any(between.format(a, b) in text for text in said for a in ("a", "an") for b in ("a", "an")):
                    return left, right
        return ways[0]

    def _sentence(self, made: Statement, line: int, text: str) -> Statement:
        said = squashed(text)
        ways = ((form, pattern.fullmatch(said)) for form, pattern in _FORMS if form != "every" or self._is_plain(text))
        form, found = next(((form, found) for form, found in ways if found), ("", None))
        if found is None:
            self._leave(line, f"found {' '.join(text.split())[:60]!r}; one of the eight forms would be right")
            return made
        self._held(form, line, found)
        self._expected = form if form in ("merge", "properties") else self._expected
        match form:
            case "condition":
                words = _IT_WILL.match(text)
                return replace(made, condition=" ".join((words[1] if words else text).split()).removesuffix(","))
            case "connected":
                to = _CONNECTED.fullmatch(text)
                return replace(made, connected=" ".join(to[1].split()) if to else " ".join(text.split()))
            case "existing" | "creates":
                return replace(made, existing=True)
            case "merge" | "properties":
                return made
            case _:
                return replace(made, **{form: True})

    def _is_plain(self, text: str) -> bool:
        """Whether there is no condition in it: "it" may also end a name, as in a visit."""
        exact = f"every{self._pair[0]}willbesynchronizedwith"
        return squashed(text).startswith(exact) or _IT_WILL.match(text) is None

    def _held(self, form: str, line: int, found: re.Match[str]) -> None:
        """Hold a sentence's names against the title's."""
        said = "".join(found.groups())
        wanted = self._pair[1:] if form in _ONE_SIDED else self._pair
        for name in wanted:
            if name not in said and singular(name) not in said:
                self._leave(line, "found other entities than in the section's title; the same would be right")
                return

    def _table(self, made: Statement, table: Table) -> Statement:
        for line in table.odd:
            self._leave(line, "found a row that is no list of plain cells; one would be right")
        expected, self._expected = self._expected, ""
        rows = table.rows[table.header :]
        if not expected:
            self._leave(table.line, "found a table that no sentence announces; one of the forms would be right")
            return made
        if expected == "merge":
            return replace(made, merges=(*made.merges, *self._merges(rows)))
        return replace(made, properties=(*made.properties, *self._properties(rows)))

    def _merges(self, rows: Iterable[tuple[int, tuple[str, ...]]]) -> Iterator[Merge]:
        for line, cells in rows:
            names = [" ".join(cell.split()) for cell in cells]
            if len(names) == 2 and all(names):  # noqa: PLR2004 - both sides
                yield Merge(line, names[0], names[1])
            else:
                self._leave(line, f"found a merge row of {len(cells)} cells; two names would be right")

    def _properties(self, rows: Iterable[tuple[int, tuple[str, ...]]]) -> Iterator[Property]:
        for line, cells in rows:
            if len(cells) not in (2, 3) or not all(cell.strip() for cell in cells[:2]):
                self._leave(line, f"found a property row of {len(cells)} cells; two names and a type would be right")
                continue
            left, right = qualified(cells[0]), qualified(cells[1])
            yield Property(
                line=line,
                left=left[0],
                right=right[0],
                type=" ".join(" ".join(cells[2:]).split()),
                left_having=left[1],
                right_having=right[1],
                odd="; ".join(filter(None, (left[2], right[2]))),
            )

    def _leave(self, line: int, text: str) -> None:
        self._unread.append(Fault(self._file, line, text))


def _pieces(part: Paragraph) -> Iterator[tuple[int, str]]:
    """The sentences of a paragraph: one, unless no form fits the whole."""
    said = squashed(part.text)
    if sum(map(said.count, _MARKS)) <= 1:
        yield part.line, part.text
        return
    start = 0
    for gap in [*(found.span() for found in _OPENERS.finditer(part.text)), (len(part.text), len(part.text))]:
        yield part.line + part.text.count("\n", 0, start), part.text[start : gap[0]]
        start = gap[1]


def _placed(made: Statement, systems: tuple[str, str], known: tuple[str, ...]) -> Statement:
    """Say whose entities they are: in the order of the title, unless the names say that it is the other one."""
    names = (made.left.entity, made.right.entity)
    straight = [without_system(name, system) for name, system in zip(names, systems, strict=True)]
    crossed = [without_system(name, system) for name, system in zip(names, reversed(systems), strict=True)]
    order = systems
    if all(sure for sure, _ in crossed) and not all(sure for sure, _ in straight):
        straight, order = crossed, (systems[1], systems[0])
    sides = [Name(system, entity) for system, (_, entity) in zip(order, straight, strict=True)]
    sides = [side if side.system else _known(side.entity, known) for side in sides]
    return replace(made, left=sides[0], right=sides[1])


def _known(name: str, known: tuple[str, ...]) -> Name:
    ways = sorted(((*without_system(name, system), system) for system in known), key=lambda way: (-way[0], len(way[1])))
    sure = [way for way in ways if way[0] == 2]  # noqa: PLR2004 - spelled out
    return Name(sure[0][2], sure[0][1]) if sure else Name("", name)
