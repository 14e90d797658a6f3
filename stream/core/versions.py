"""Versions: who wins.

The newest edit wins, per field. An edit is never older than what it was typed over (B1), so an answer beats its
question even when the clock that stamped it is ten minutes behind. Two marks lie below every time: a field that was
empty at first contact, and a value that nobody typed.
"""

from __future__ import annotations

from zlib import crc32

from msgspec import json

from stream.model import Stated, Time, Value, Version

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


def mint(value: Value, time: Time, over: Version, rank: int) -> Version:
    """The version of an edit typed over another version (B1).

    Without "never older than what it was typed over", clocks ten minutes apart let a question overwrite its answer.
    """
    return Version(max(time, over.time + TICK), rank, digest(value))


def born(value: Value, time: Time, rank: int) -> Version:
    """The version of a value that stood there at first contact (B2).

    An empty text is as empty as no value: of a younger record, it erased the text of an older one.
    """
    empty = not any(value) if isinstance(value, list) else value is None or value == ""
    return NULL if empty else Version(time, rank, digest(value))


def lost_unseen(lost: Stated, won: Stated) -> bool:
    """Whether a displaced value was overwritten by somebody who had not seen it (B5).

    Not when both come from one author, when they are equal, or when the winner was typed over the loser.
    """
    return lost.version.time >= 0 and lost.author != won.author and lost.value != won.value and lost.version != won.base
