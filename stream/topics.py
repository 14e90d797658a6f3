"""The names of topics, and the keys in them and among the rows that are no entity's.

One change topic and one command topic per entity type, one topic for what rows tell each other, and three for people:
what lost, what was set aside, what readers are asked to do.
"""

from __future__ import annotations

MAIL = "links.mail"
CONFLICTS = "conflicts"
PARKED = "parked"
POLLS = "polls"

COUNTED = b"counted:"
"""Before an entity type: the key of the mark at the end of its first complete reading. In a change topic the key says
it all, and there is no value (``codec.encode_mark``)."""

CENSUS = b"census"
"""The row in which a lane keeps the marks it has heard."""

RESYNC = b"resync"
"""The row in which a lane keeps how far it has come with having its rows tell everything anew."""

TALLY = b"tally"
"""The row in which a lane counts its links, by type."""

WAKE = b"wake:"
"""Before a row's key: the row in which a lane keeps when that row wants to be woken."""


def changes(entity: str) -> str:
    """The change topic of an entity type."""
    return f"changes.{entity}"


def upserts(entity: str) -> str:
    """The command topic of an entity type."""
    return f"upserts.{entity}"
