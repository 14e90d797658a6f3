"""Shared rows: what stands in the table under a key that is no entity's, and that entities ask.

One for each match value of a flow (``index``), one for each side that is created without a marker (``rosters``), one
for each type's deletions (``brake``). They are values like an entity's row, and as bounded: a message costs what the
row costs.
"""

from __future__ import annotations

from msgspec import Struct

from stream.model import FORMAT, ClaimKey, Ref, Time


class Member(Struct, frozen=True, array_like=True, gc=False):
    """A record that carries a match value."""

    places: str
    """Its sides; a capital when it is linked there."""
    number: int = 0
    """Of the word by which it is kept as it is."""


class Index(
    Struct,
    tag_field="k",
    tag=1,
    omit_defaults=True,
    rename={
        "members": "m",
        "lock": "l",
        "queue": "q",
        "crowded": "c",
        "alarm": "A",
        "format": "f",
    },
):
    """Who carries one match value of one flow, and who is about to create a counterpart for it (C3)."""

    members: dict[Ref, Member] = {}
    crowded: dict[str, Time] = {}
    """Sides on which there may be more than are kept, and until when."""
    lock: tuple[Ref, int, str] | None = None
    """Who may create, by which number, and for which of its ends."""
    queue: tuple[ClaimKey, ...] = ()
    alarm: Time = 0
    format: int = FORMAT

    @property
    def places(self) -> dict[Ref, str]:
        """The sides of each record that carries the value; a capital where it is linked."""
        return {ref: member.places for ref, member in self.members.items()}


class Creates(Struct, tag_field="k", tag=2, omit_defaults=True, rename={"open": "o", "alarm": "A", "format": "f"}):
    """The roster of a flow: which creates are under way on a side whose records carry no marker (C7)."""

    open: dict[Ref, tuple[int, int]] = {}
    """Per origin, oldest first: the largest number that it claimed with, and its place."""
    alarm: Time = 0
    """Always zero: a roster waits for nothing."""
    format: int = FORMAT


class Brake(
    Struct,
    frozen=True,
    tag_field="k",
    tag=3,
    omit_defaults=True,
    rename={"begun": "b", "held_at": "h", "released_at": "r", "cancelled_at": "c", "format": "f"},
):
    """How many links of a type are about to end because their records are gone, and what a person said to it."""

    begun: tuple[tuple[Time, int], ...] = ()
    """Minutes, and the links of the records that vanished in each."""
    held_at: Time = 0
    """Since when all of them are held; zero while they are not too many."""
    released_at: Time = 0
    cancelled_at: Time = 0
    format: int = FORMAT
