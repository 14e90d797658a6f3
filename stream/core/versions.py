"""Versions: who wins.

The newest edit wins, per field. An edit is never older than what it was typed over (B1), so an answer beats its
question even when the clock that stamped it is ten minutes behind. Three marks lie below every time: a field
never seen, a field empty at first contact, a value that nobody typed.
"""

from __future__ import annotations

from zlib import crc32

from msgspec import json

from stream.model import Ref, Stated, Time, Value, Version

TICK = 1
"""The smallest step of time, one microsecond."""

NULL = Version(-2)
"""An empty field at first contact: any value wins over it."""

DEFAULT = Version(-1)
"""A value nobody typed: a system's default in a record that we created, or an old value of ours."""

_encode = json.Encoder(order="deterministic").encode


def digest(value: Value) -> int:
    """A number that is the same for equal values everywhere; breaks ties between edits of one instant."""
    return crc32(_encode(value))


def mint(value: Value, time: Time, over: Version | None, rank: int, author: Ref) -> Version:
    """The version of an edit typed over another version (B1).

    Without "never older than what it was typed over", clocks ten minutes apart let a question overwrite its answer.
    """
    if over is None or over.time < 0:
        return Version(time, rank, digest(value), (), author)
    return Version(max(time, over.time + TICK), rank, digest(value), over.identity, author)


def born(value: Value, time: Time, rank: int, author: Ref) -> Version:
    """The version of a value that stood there at first contact (B2)."""
    return NULL if value is None else Version(time, rank, digest(value), (), author)


def lost_unseen(lost: Stated, won: Stated) -> bool:
    """Whether a displaced value was overwritten by somebody who had not seen it (B5).

    Not when both come from one author, when they are equal, or when the winner was typed over the loser.
    """
    return (
        lost.version.time >= 0
        and lost.version.author != won.version.author
        and lost.value != won.value
        and won.version.base != lost.version.identity
    )
