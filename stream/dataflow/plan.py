"""Statements -> flows as topics.yaml can hold them, and what a person must decide first.

Statements about the same two types are one flow, also when one of them reads from right to left. Nothing is decided by
guess: whatever is not certain stands in the flow or the pair as an open point, and that rests until a person has
decided. The points are told as well, each with the line of the document that it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from stream.configuration.flows import exists, writable
from stream.configuration.report import near
from stream.dataflow.bounds import Fault
from stream.dataflow.forms import Merge, Paper, Property, Statement
from stream.dataflow.known import Known
from stream.dataflow.propose import proposals
from stream.dataflow.words import Having, is_path, squashed

Direction = Literal["", "forward", "backward"]


class Pair(Struct, frozen=True, kw_only=True):
    """Two properties that are kept in step, or rest."""

    left: str
    right: str
    conversion: Any = "same"
    direction: Direction = ""
    condition: str = ""
    when: str = ""
    """The condition as an expression, where that is certain."""
    open: tuple[str, ...] = ()
    at: tuple[str, int] = ("", 0)

    def rests(self) -> bool:
        """Whether something is to be decided first."""
        return bool(self.open or (self.condition and not self.when))


class Source(Struct, frozen=True):
    """The place of a statement, and a sum of what it says."""

    file: str
    line: int
    sum: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}#{self.sum}"


class Point(Struct, frozen=True):
    """Something for a person: to decide, or to know."""

    kind: str
    fault: Fault


class Planned(Struct, frozen=True, kw_only=True):
    """A flow, as far as documents say it."""

    left: str
    right: str
    create: Literal["forward", "both", "never"] = "never"
    match: tuple[tuple[str, str], ...] = ()
    pairs: tuple[Pair, ...] = ()
    ours: bool = False
    sources: tuple[Source, ...] = ()
    condition: str = ""
    open: tuple[str, ...] = ()
    at: tuple[str, int] = ("", 1)
    """File and line of the first statement, as a person can open it."""
    points: tuple[Point, ...] = ()
    """What is to be told of it."""

    def rests(self) -> bool:
        """Whether something is to be decided first."""
        return bool(self.open or self.condition)


_RIGHT: Final = " would be right"
_CODE: Final = re.compile(r"[A-Za-z0-9_-]+")
"""A code that a field can hold as it stands; ``wd:Q906278`` is a concept, for which every system has its own words."""
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CONNECTED: Final = "if it is connected to "
"""How a condition begins that asks for a link of something else."""
_IDS: Final = frozenset(("id", "gid"))
_TYPES: Final[Mapping[str, str]] = {"integer": "integer", "boolean": "boolean"}
_QUIET_TYPES: Final = frozenset(("", "string", "float", "n/a", "integer", "boolean"))


def flows(papers: Iterable[Paper], known: Known, standing: Iterable[tuple[str, str, str]] = ()) -> list[Planned]:
    """The flows of all statements, in their order, each with what is to be told of it.

    ``standing`` are the flows that run already: left type, right type, and what they create.
    """
    groups: dict[frozenset[str], list[tuple[str, str, Statement]]] = {}
    for paper in papers:
        for statement in paper.statements:
            left, right = known.type(statement.left), known.type(statement.right)
            groups.setdefault(frozenset((left, right)), []).append((left, right, statement))
    return _without_circles((_Group(known, group).flow() for group in groups.values()), standing)


def told(points: Iterable[Point]) -> tuple[Point, ...]:
    """Points to be read: a type that is not there once, at the first of many flows; everything else at its line."""
    once: dict[Hashable, Point] = {}
    for point in points:
        once.setdefault((point.kind, point.fault.text) if point.kind in ("system", "entity") else point, point)
    return tuple(once.values())


def _without_circles(planned: Iterable[Planned], standing: Iterable[tuple[str, str, str]]) -> list[Planned]:
    """Let a flow rest that would close a circle: a record's copy of a copy would be created beside it, for ever."""
    leads: dict[str, list[str]] = {}
    there: set[frozenset[str]] = set()

    def lead(left: str, right: str, create: str) -> None:
        there.add(frozenset((left, right)))
        for one, other, asked in ((left, right, ("forward", "both")), (right, left, ("both",))):
            if create in asked:
                leads.setdefault(one, []).append(other)

    for each in standing:
        lead(*each)
    made = []
    for flow in planned:
        if flow.rests() or flow.create == "never" or frozenset((flow.left, flow.right)) in there:
            made.append(flow)
            continue
        back = _way(flow.right, flow.left, leads)
        if back is None and flow.create == "both":
            back = _way(flow.left, flow.right, leads)
        if back is None:
            lead(flow.left, flow.right, flow.create)
            made.append(flow)
            continue
        why = f"records would be created in a circle: {' -> '.join((*back, back[0]))}"
        point = Point("flow", Fault(*flow.at, f"found {why}; a decision would be right"))
        made.append(replace(flow, open=(*flow.open, why), points=(*flow.points, point)))
    return made


def _way(start: str, end: str, leads: Mapping[str, Sequence[str]]) -> list[str] | None:
    """How creating leads from one type to another, if it does."""
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop()
        if way[-1] == end:
            return way
        for further in leads.get(way[-1], ()):
            if further not in seen:
                seen.add(further)
                ways.append([*way, further])
    return None


def is_identifier(path: str) -> bool:
    """Whether a property names a record by its system's own number."""
    last = path.rpartition(".")[2]
    return squashed(last) in _IDS or last.endswith(("Id", "_id", "ID"))


class _Group:
    """The statements about two types."""

    def __init__(self, known: Known, group: Sequence[tuple[str, str, Statement]]) -> None:
        first = next((each for each in group if _creates(each[2])), group[0])
        self._known = known
        self._group = group
        self._points: list[Point] = []
        self._left, self._right = first[0], first[1]
        self._at = (group[0][2].file, group[0][2].line)

    def flow(self) -> Planned:
        statements = [self._straight(*each) for each in self._group]
        made = Planned(
            left=self._left,
            right=self._right,
            create=self._create(),
            match=self._match(statements),
            pairs=_merged(pair for statement in statements for pair in self._pairs(statement)),
            sources=tuple(dict.fromkeys(_source(each[2]) for each in self._group)),
            condition=self._condition(statements),
            at=self._at,
        )
        if not any(statement.properties for statement in statements):
            made = self._proposed(made)
        made = self._creatable(directed(made, self._known, self._tell))
        made = replace(made, open=(*self._unknown(made), *self._doubts(made, statements)))
        return replace(made, points=tuple(self._points))

    def _straight(self, left: str, right: str, statement: Statement) -> Statement:  # noqa: ARG002 - one of a group's three
        """A statement as it reads from the flow's left to its right."""
        if left == self._left:
            return statement
        return replace(
            statement,
            left=statement.right,
            right=statement.left,
            merges=tuple(Merge(row.line, row.right, row.left) for row in statement.merges),
            properties=tuple(
                replace(row, left=row.right, right=row.left, left_having=row.right_having, right_having=row.left_having)
                for row in statement.properties
            ),
        )

    def _create(self) -> Literal["forward", "both", "never"]:
        ways = {left == self._left for left, _, statement in self._group if _creates(statement)}
        return "both" if len(ways) > 1 else "forward" if ways else "never"

    def _match(self, statements: Iterable[Statement]) -> tuple[tuple[str, str], ...]:
        found: dict[tuple[str, str], None] = {}
        for statement in statements:
            for row in statement.merges:
                if "$id" in (row.left.rpartition(".")[2], row.right.rpartition(".")[2]) or (
                    is_identifier(row.left) and is_identifier(row.right) and self._left != self._right
                ):
                    right = "something that both systems hold"
                    self._tell(
                        "identifier", (statement.file, row.line), f"found {row.left} = {row.right} to merge on; {right}"
                    )
                elif not (is_path(row.left) and is_path(row.right)):
                    text = f"found {row.left!r} = {row.right!r} to merge on; paths"
                    self._tell("property", (statement.file, row.line), text)
                else:
                    found[row.left, row.right] = None
        return tuple(found)

    def _pairs(self, statement: Statement) -> Iterator[Pair]:
        for row in statement.properties:
            kind = row.type.strip('"').casefold()
            if kind not in _QUIET_TYPES:
                self._tell("type", (statement.file, row.line), f"found the data type {row.type!r:.40}; one of the five")
            pair = Pair(
                left=row.left,
                right=row.right,
                conversion=_TYPES.get(kind, "same"),
                condition=_words(row),
                when=self._when(row),
                at=(statement.file, row.line),
                open=tuple(self._faults(row)),
            )
            if pair.condition and not pair.when:
                text = f"found {row.left} ~ {row.right} for some records only: {pair.condition}; a 'when'"
                self._tell("qualifier", (statement.file, row.line), text)
            for why in pair.open:
                self._tell(
                    "property",
                    (statement.file, row.line),
                    f"found {row.left} ~ {row.right}: {why.removesuffix(_RIGHT)}",
                )
            yield pair

    def _when(self, row: Property) -> str:
        """A qualifier as an expression: a plain code in a field of the left record that its connector tells of."""
        traits = self._known.traits(self._left)
        sure = [
            having
            for having in row.left_having
            if _CODE.fullmatch(having.code)
            and _FIELD.fullmatch(having.path)
            and traits is not None
            and traits.fields is not None
            and having.path in traits.fields
        ]
        if row.right_having or row.odd or len(sure) != len(row.left_having):
            return ""
        return " || ".join(f"record.{having.path} == '{having.code}'" for having in sure)

    def _faults(self, row: Property) -> Iterator[str]:
        for type, path in ((self._left, row.left), (self._right, row.right)):
            traits = self._known.traits(type)
            if is_path(path) and traits is not None and not exists(traits, path):
                yield f"{type} has no {path}; {near(path, traits.fields or ())} would be right"
        if is_identifier(row.left) and is_identifier(row.right):
            yield "two systems' own identifiers; a reference through a flow would be right"

    def _condition(self, statements: Sequence[Statement]) -> str:
        words = dict.fromkeys(
            said
            for statement in statements
            for said in (statement.condition, statement.connected and f"{CONNECTED}{statement.connected}")
            if said
        )
        for statement in statements:
            if statement.condition:
                text = f"found a condition in words: {statement.condition:.200}; a 'when'"
                self._tell("condition", (statement.file, statement.line), text)
            if statement.connected:
                text = f"found creation only if connected to {statement.connected:.200}; a decision"
                self._tell("connected", (statement.file, statement.line), text)
        return " | ".join(words)

    def _proposed(self, made: Planned) -> Planned:
        """Pairs of ours, where the document leaves them open."""
        found = proposals(self._known.traits(made.left), self._known.traits(made.right))
        pairs = tuple(Pair(left=each.left, right=each.right, conversion=each.conversion) for each in found)
        match = made.match or tuple((each.left, each.right) for each in found if each.names_it)
        if made.create == "never":
            match = made.match
        return replace(made, pairs=pairs, match=match, ours=bool(pairs))

    def _creatable(self, made: Planned) -> Planned:
        """Link only what cannot be created, if something says by what."""
        right, left = self._known.traits(made.right), self._known.traits(made.left)
        if made.create == "both" and left is not None and left.create is None:
            self._tell(
                "create", made.at, f"found {made.left}, of which none can be created; creating to the right only"
            )
            made = replace(made, create="forward")
        if made.create != "never" and right is not None and right.create is None and made.match:
            self._tell("create", made.at, f"found {made.right}, of which none can be created; linking only")
            made = replace(made, create="never")
        return made

    def _unknown(self, made: Planned) -> Iterator[str]:
        for type in dict.fromkeys((made.left, made.right)):
            system = self._known.of(type)
            if system.kind is None:
                yield unread(system.name)
                self._tell("system", made.at, f"found {type}, which nothing reads yet; a declaration")
            elif self._known.traits(type) is None:
                short = near(type.partition(".")[2], system.kind.traits)
                yield f"{system.name} has no {type.partition('.')[2]}; {short} would be right"
                self._tell("entity", made.at, f"found {type}, which {system.name} does not have; {short}")

    def _doubts(self, made: Planned, statements: Sequence[Statement]) -> Iterator[str]:
        found = [*self._linking(made), *self._filling(made)]
        if not any(statement.keeps for statement in statements):
            found.append("no sentence says that it keeps in sync")
        for text in found:
            self._tell("flow", made.at, f"found {made.left} ~ {made.right}: {text}; a decision")
        yield from found
        yield from self._itself(made)
        for pair in made.pairs:
            if not (is_path(pair.left) and is_path(pair.right)):
                yield f"{pair.left} ~ {pair.right}: no paths"
                self._tell("property", pair.at, f"found {pair.left!r} ~ {pair.right!r}; paths")

    def _itself(self, made: Planned) -> Iterator[str]:
        """Two accounts of one system are two systems, but a document has one name for both."""
        if made.left == made.right:
            system = self._known.of(made.left).name
            text = "copies of a type within itself would be copied again"
            right = f"a second entry under systems with the connector of {system}, and its type on one side,"
            for _, _, statement in self._group:
                self._tell(
                    "flow", (statement.file, statement.line), f"found {made.left} on both sides: {text}; {right}"
                )
            yield f"{text}; {right}{_RIGHT}"

    def _linking(self, made: Planned) -> Iterator[str]:
        right = self._known.traits(made.right)
        if made.create == "never" and not made.match:
            yield "it only links, and nothing says by what"
        elif made.create != "never" and right is not None and right.create is None:
            yield f"none of {made.right} can be created, and nothing says what to link by"

    def _filling(self, made: Planned) -> Iterator[str]:
        awake = [pair for pair in made.pairs if not pair.rests()]
        left, right = self._known.traits(made.left), self._known.traits(made.right)
        if left is None or right is None:
            return  # what there is to fill is known once both are read
        if not awake:
            yield "no property says what to keep in step"
            return
        sides = [
            (made.create != "never", right, made.right, {pair.right for pair in awake if pair.direction != "backward"})
        ]
        sides.append(
            (made.create == "both", left, made.left, {pair.left for pair in awake if pair.direction != "forward"})
        )
        for creates, traits, type, written in sides:
            if creates and traits.create is not None:
                for field in sorted(traits.required):
                    if not any(
                        field == path or path.startswith(f"{field}.") or field.startswith(f"{path}.")
                        for path in written
                    ):
                        yield f"{type} creates nothing without {field}, and no property fills it"

    def _tell(self, kind: str, at: tuple[str, int], text: str) -> None:
        self._points.append(Point(kind, Fault(*at, f"{text}{_RIGHT}")))


def unread(system: str) -> str:
    """The open point of a flow to a system that no connector reads."""
    return f"nothing reads {system} yet"


UNREAD: Final = re.compile(unread(".*"))


def directed(made: Planned, known: Known, tell: Any = None) -> Planned:
    """Give directions to pairs that would write one field twice; where no direction is left, the pair rests."""
    left, right = known.traits(made.left), known.traits(made.right)
    taken: tuple[list[str], list[str]] = ([], [])
    pairs = []
    for pair in made.pairs:
        if pair.rests():
            pairs.append(pair)
            continue
        able = (
            pair.direction != "backward" and writable(right, pair.right),
            pair.direction != "forward" and writable(left, pair.left),
        )
        free = (able[0] and not _overlaps(pair.right, taken[0]), able[1] and not _overlaps(pair.left, taken[1]))
        given = _given(pair, able, free)
        if tell is not None and pair.at[1] and free != (True, True):
            way = "forward" if free[0] else "backward"
            why = given.open[0] if given.open else f"only {way}, as the other side cannot be written, or is already"
            tell("direction", pair.at, f"found {pair.left} ~ {pair.right}: {why}; one that can be written both ways")
        if free[0]:
            taken[0].append(pair.right)
        if free[1]:
            taken[1].append(pair.left)
        pairs.append(given)
    return replace(made, pairs=tuple(pairs))


def _given(pair: Pair, able: tuple[bool, bool], free: tuple[bool, bool]) -> Pair:
    if not any(able):
        return replace(pair, open=("neither of them can be written",))
    if not any(free):
        return replace(pair, open=("both are kept in step with other properties already",))
    # What cannot be written needs no word: the reader of topics.yaml knows it as well as we do.
    return pair if free == able else replace(pair, direction="forward" if free[0] else "backward")


def _overlaps(path: str, taken: Iterable[str]) -> bool:
    return any(path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.") for other in taken)


def _creates(statement: Statement) -> bool:
    return bool(statement.every or statement.condition or statement.connected or statement.existing)


def _merged(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """One pair for two rows about the same properties: without a condition if one of them has none."""
    found: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        first = found.setdefault((pair.left, pair.right), pair)
        if first is not pair and first.condition:
            both = " | ".join(dict.fromkeys((*first.condition.split(" | "), *pair.condition.split(" | "))))
            when = " || ".join(dict.fromkeys((first.when, pair.when))) if first.when and pair.when else ""
            always = not pair.condition
            found[pair.left, pair.right] = replace(first, condition="" if always else both, when="" if always else when)
    return tuple(found.values())


def _words(row: Property) -> str:
    sides = (("left", row.left_having), ("right", row.right_having))
    said = [f"{side} {_said(having)}" for side, all_of in sides for having in all_of]
    return " | ".join((*said, *([f"odd {row.odd}"] if row.odd else [])))


def _said(having: Having) -> str:
    return f"having {having.code or '?'} in {having.path or '?'}"


def _source(statement: Statement) -> Source:
    bare = replace(
        statement,
        file="",
        line=0,
        merges=tuple(Merge(0, row.left, row.right) for row in statement.merges),
        properties=tuple(replace(row, line=0) for row in statement.properties),
    )
    made = sha256(msgspec.json.encode(bare)).hexdigest()[:8]
    return Source(statement.file.rpartition("/")[2], statement.line, made)
