"""Rows: all that is known of one entity.

A row is a value: ``decide`` never changes the one it is given. What is usual is left out, so that a linked row in
step costs little more than its values: the register of a field whose record shows the newest value is kept as a
version alone, names of fields are kept once, and so are the record at which several of them were typed, and the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import Literal, TypeAlias

from msgspec import Struct, msgpack

from stream.core.shared import Brake, Creates, Index
from stream.model import FORMAT, Ref, Seen, Stated, Time, Value, Version

State: TypeAlias = Literal[
    "alone",
    "waiting",
    "matching",
    "proposed",
    "creating",
    "unknown",
    "asking",
    "linked",
    "refused",
    "copy",
    "claiming",
    "severed",
]
"""How far an end has come. alone: nobody has its match values, and it may not create. waiting: it wants to create,
and ``reason`` says what is missing. unknown: it may have created; a person decides. copy: a person copied a record
that we created, and this end is nobody's. severed: one of the two was deleted; only the same two are ever linked
again, when it comes back. asking: it carries no marker, and may be one that is being created for somebody (C7)."""

SEEKING = frozenset({"alone", "waiting", "matching"})
"""States of an end that has no counterpart and may yet get one."""


class Cell(Struct, frozen=True):
    """The register of one field: the newest version known, and how far the record itself is behind it."""

    version: Version
    author: Ref = ""
    """The record at which it was typed; empty for this one."""
    newer: tuple[Value, ...] = ()
    """The value of ``version``, where the record shows another one (not written yet, or in its own normal form)."""
    carried: Version | None = None
    """The version that the record shows, where that is an older one: the field is to be written."""
    rejected: Version | None = None
    """The version that the record refused or silently ignored (A11)."""
    base: Version | None = None
    """The version it was typed over, as long as somebody has to be told of it."""


class Rest(Struct, frozen=True, array_like=True):
    """What a row keeps of a cell beyond its version and author: of the few that are not in step."""

    newer: tuple[Value, ...]
    carried: Version | None
    rejected: Version | None
    base: Version | None


class Edge(
    Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "state": "s",
        "peer": "p",
        "number": "n",
        "owed": "o",
        "key": "k",
        "position": "i",
        "locks": "l",
        "want": "w",
        "left_out": "x",
        "reason": "r",
        "due": "d",
        "tries": "t",
        "attempt": "a",
        "told": "R",
        "idle": "I",
        "off": "f",
        "ended": "e",
        "sure": "S",
        "orphan": "O",
    },
):
    """One end of a flow: who the counterpart is, or how far finding or making one has come."""

    state: State = "linked"
    peer: Ref = ""
    number: int = 0
    """Names the attempt; answers to an earlier one are known by it."""
    owed: tuple[str, ...] = ()
    """Fields that the peer has not been told of: new to it, or waiting for a reference."""
    key: str = ""
    position: int = 0
    locks: tuple[str, ...] = ()
    want: dict[str, Stated] = {}
    """What a create asks for, in the peer's fields; kept until the new record has accepted."""
    left_out: tuple[str, ...] = ()
    """Fields of the peer that it refused in a create (C9)."""
    reason: str = ""
    due: Time = 0
    tries: int = 0
    attempt: int = 0
    told: str = ""
    """Why there is no link, as it was reported last."""
    idle: bool = False
    """The record does not meet the flow's condition: nothing goes through this end."""
    off: tuple[str, ...] = ()
    """Pairs whose own condition does not hold."""
    ended: int = 0
    """The newest number of a link of this end that is over: nobody is to be told of its end again."""
    sure: int = 0
    """No create up to this number made anything, as a person said."""
    orphan: bool = False
    """Its counterpart of then is gone: what its mark says of it is over, until the two are linked again."""


class Write(Struct, frozen=True, array_like=True):
    """The one write in flight: what it wants, what it was based on, and the versions that this stands for."""

    number: int
    want: dict[str, Value]
    base: dict[str, Value]
    versions: dict[str, Version]
    issued_at: Time
    attempt: int = 0
    due: Time = 0


class Deletion(Struct, frozen=True, array_like=True):
    """A counterpart was deleted, and this record is to follow it."""

    alive_at: Time
    """When the first of them all was last known to be there; what is newer wins over the deletion."""
    how: Literal["archive", "delete"]
    edge: str
    shown: dict[str, Version] = {}
    """What the one that was deleted showed then; these are not newer, whatever the clocks say."""


class Leave(Struct, frozen=True, array_like=True):
    """A record that is gone asked the brake of its type whether its links may end."""

    since: Time
    due: Time
    verdict: Literal["", "go", "keep", "stay"] = ""


class Damp(Struct, frozen=True, array_like=True):
    """A field that is rewritten after our writes: how often in a row, and when it may be written next."""

    count: int
    not_before: Time


class Twin(Struct, frozen=True, array_like=True):
    """Who a referenced record's counterpart is, as far as it told us."""

    ref: Ref = ""
    number: int = 0
    lost: bool = False
    """It had this one; it will say when it has one again."""


class Row(
    Struct,
    tag_field="k",
    tag=0,
    omit_defaults=True,
    rename={
        "remote": "r",
        "versions": "c",
        "authors": "b",
        "rests": "x",
        "edges": "e",
        "plan": "p",
        "updated_at": "u",
        "revision": "v",
        "read_at": "q",
        "written_at": "w",
        "writing": "W",
        "held": "h",
        "last": "n",
        "twins": "t",
        "askers": "a",
        "singly": "1",
        "notes": "N",
        "pristine": "P",
        "gone_at": "g",
        "missing_at": "m",
        "deletion": "D",
        "leave": "L",
        "damping": "d",
        "alarm": "A",
        "ahead": "o",
        "never": "z",
        "format": "f",
    },
):
    """All that is known of one entity."""

    remote: dict[str, Value] = {}
    """The values last known at the record."""
    versions: tuple[Version | int | None, ...] = ()
    """Of the registers, in the order of ``remote``; empty until the first link (the birth). A number is the digest of
    one that has time and system of the last before it that has a time. See ``cells``."""
    authors: dict[Ref, int | bytes] = {}
    """The other records at which values were typed, each with its fields: bit n is field n of ``remote``. Beyond 63
    fields, which a set soon has, an integer has no room; then it is bytes, the lowest first."""
    rests: dict[str, Rest] = {}
    edges: dict[str, Edge] = {}
    plan: int = 0
    """The flows of its type under which its match keys were registered."""
    updated_at: Time = 0
    revision: int | None = None
    read_at: Time = 0
    """When the newest reading was made, of a record without times of change or without versions yet, or whose system's
    clock is ahead of ours or knows whole seconds only."""
    written_at: Time = 0
    """When the read was made that ended our last write."""
    writing: Write | None = None
    held: tuple[Seen, ...] = ()
    """Readings that arrived while a write was in flight, in order (A3)."""
    last: int = 0
    """The largest number used."""
    twins: dict[str, Twin] = {}
    askers: dict[str, tuple[Ref, ...]] = {}
    singly: bool = False
    """A write was refused without a name: fields go one at a time until the bad one is found."""
    notes: dict[str, str] = {}
    """Per field or end, why it is not in step."""
    pristine: bool = False
    """The newest reading showed a record that was never changed since it was created."""
    gone_at: Time = 0
    """When it was found deleted; zero for a record that is there. While a write is in flight, not judged yet."""
    missing_at: Time = 0
    """When a write first found it missing; only the second time, a while later, is it gone."""
    deletion: Deletion | None = None
    leave: Leave | None = None
    """While it is gone and still linked: waiting for the brake."""
    damping: dict[str, Damp] = {}
    alarm: Time = 0
    ahead: Time = 0
    """By how much the clock behind ``updated_at`` was known to be ahead of ours."""
    never: tuple[str, ...] = ()
    """Who it is never to be linked to, as a person said: ``edge|ref``."""
    format: int = FORMAT

    @property
    def cells(self) -> dict[str, Cell]:
        """The register of every field, in a dict of the caller's own."""
        cells, time, rank = {}, 0, 0
        for field, kept, author in zip(self.remote, self.versions, self._authors(), strict=False):
            if isinstance(kept, int):
                cells[field] = Cell(Version(time, rank, kept), author)
            elif kept is not None:
                cells[field] = Cell(kept, author)
                if kept.time >= 0:
                    time, rank = kept.time, kept.rank
        for field, rest in self.rests.items():
            cell = cells[field]
            cells[field] = Cell(cell.version, cell.author, rest.newer, rest.carried, rest.rejected, rest.base)
        return cells

    def _authors(self) -> Iterable[Ref]:
        """The record at which each field was typed; empty for this one."""
        if not self.authors:
            return repeat("")
        authors = [""] * len(self.versions)
        for author, kept in self.authors.items():
            fields = kept if isinstance(kept, int) else int.from_bytes(kept, "little")
            for place in range(len(authors)):
                if fields >> place & 1:
                    authors[place] = author
        return authors

    def keep(self, cells: Mapping[str, Cell]) -> None:
        """Put registers into a row that is being made; each is of a field of ``remote``."""
        versions: list[Version | int | None] = []
        authors: dict[Ref, int] = {}
        self.rests = {}
        time = rank = -1
        for place, field in enumerate(self.remote):
            cell = cells.get(field)
            if cell is None:
                versions.append(None)
                continue
            version = cell.version
            if version.time == time and version.rank == rank:
                versions.append(version.digest)
            else:
                versions.append(version)
                if version.time >= 0:
                    time, rank = version.time, version.rank
            if cell.author:
                authors[cell.author] = authors.get(cell.author, 0) | 1 << place
            if cell.newer or cell.carried or cell.rejected or cell.base:
                self.rests[field] = Rest(cell.newer, cell.carried, cell.rejected, cell.base)
        self.versions = tuple(versions) if cells else ()
        self.authors = {author: _packed(fields) for author, fields in authors.items()} if authors else {}


_ROOM = 1 << 63


def _packed(fields: int) -> int | bytes:
    return fields if fields < _ROOM else fields.to_bytes((fields.bit_length() + 7) // 8, "little")


Kept: TypeAlias = Row | Index | Creates | Brake
"""Whatever stands under a key of the table."""

encode_row = msgpack.Encoder().encode
"""A row as bytes."""

_rows: msgpack.Decoder[Kept] = msgpack.Decoder(Kept)
decode_row = _rows.decode
"""Bytes as a row. Raises msgspec.ValidationError for what is none."""
