"""Trello's records as pure functions: what a record is, which fields it has, and where our marker stands in it.

The marker of a card is the last line of its description, that of a comment the last line of its text, that of an
organization its slug, packed. A comment of ours also opens with a line of its own, ``Anne, 2026-11-03 10:15 UTC:``,
because Trello signs and dates every comment itself. Marker and opening are taken out when a record is read, so that
other systems see what a person wrote, and put back whenever the text is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from msgspec import Struct

from connectors.endpoint import Entity, Record, Rejected, Time, Traits
from connectors.fields import ABSENT, changed_at, pick, read_time
from connectors.foreign import outsized
from connectors.marks import join, long, split
from connectors.parting import parted
from connectors.records import kind as kind_of

LONGEST = 16_384
"""Letters of a name, a description or a comment."""

COMMENT = "commentCard"
_ID = re.compile(r"[0-9a-fA-F]{24}")
_OPENING = re.compile(r"\A([^\n]*):\n")


class Kind(Struct, frozen=True, kw_only=True):
    """One entity type: its path, and what may be done with its fields."""

    path: str
    traits: Traits
    unwritable: Mapping[str, str] = {}
    """Fields that a new record may be given and that nobody can change, each with the reason."""


def _paths(names: str) -> frozenset[str]:
    return frozenset(names.split())


_COMMENTED = {
    "date": "read-only: Trello stamps comments itself",
    "data.card.id": "read-only: a comment stays on its card",
    "data.board.id": "read-only: it follows from the card",
    **{f"memberCreator.{part}": "read-only: a comment is the token owner's" for part in ("id", "fullName", "username")},
}
_LISTED = "a record is in the lists as soon as it has been created"

KINDS: Mapping[str, Kind] = {
    "organizations": Kind(
        path="/organizations",
        traits=Traits(
            create=3,
            late=30.0,
            fields=_paths("id name displayName desc website url idMemberCreator idBoards dateLastActivity teamType"),
            writable=frozenset({"name", "displayName", "desc", "website"}),
            required=frozenset({"displayName"}),
            remove=frozenset({"delete"}),
            unverified=("a slug that is asked for in small letters and digits is kept as it is unless it is taken",),
        ),
    ),
    "members": Kind(
        path="/members",
        traits=Traits(
            create=5,
            look_up="none",
            fields=_paths("id fullName username email initials url confirmed memberType avatarUrl bio"),
            writable=frozenset({"email", "fullName"}),
            required=frozenset({"email", "fullName"}),
            remove=frozenset({"delete"}),
            unverified=("an invitation answers the workspace with its members, or the member",),
        ),
        unwritable=dict.fromkeys(("email", "fullName"), "read-only: it belongs to the person's own account"),
    ),
    "actions": Kind(
        path="/actions",
        traits=Traits(
            changes="since",
            fixed={path: _COMMENTED[path] for path in ("date", "memberCreator.id", "memberCreator.fullName")},
            create=3,
            late=30.0,
            fields=frozenset(
                {"id", "type", "date", "idMemberCreator", "memberCreator", "memberCreator.id", "data"}
                | {"memberCreator.fullName", "memberCreator.username", "data.text", "data.dateLastEdited"}
                | {f"data.{thing}{part}" for thing in ("card", "board", "list") for part in ("", ".id", ".name")}
            ),
            writable=frozenset(
                {"data.text", "data.card.id", "data.board.id", "date"}
                | {"memberCreator.id", "memberCreator.fullName", "memberCreator.username"}
            ),
            required=frozenset({"data.text"}),
            remove=frozenset({"delete"}),
            unverified=(_LISTED, "an edited comment says so in data.dateLastEdited"),
        ),
        unwritable=_COMMENTED,
    ),
    "cards": Kind(
        path="/cards",
        traits=Traits(
            changes="since",
            create=3,
            late=30.0,
            fields=_paths(
                "id name desc closed idBoard idList idMembers idLabels labels due start dueComplete pos address "
                "locationName coordinates dateLastActivity idShort shortLink shortUrl url badges"
            ),
            writable=_paths(
                "name desc closed idBoard idList idMembers idLabels due start dueComplete pos address "
                "locationName coordinates"
            ),
            required=frozenset({"name"}),
            remove=frozenset({"archive", "delete"}),
            unverified=(_LISTED, "the last line of a description survives edits in Trello's own editor"),
        ),
    ),
}


def entity(type: str, record: Any) -> Entity:
    """Read a record. Raises ValueError with the field and the reason if it is none."""
    if not isinstance(record, dict):
        raise ValueError(f"found {kind_of(record)}; a record would be right")  # noqa: TRY004 - it is data, not a bug
    id = record.get("id")
    if not is_id(id):
        raise ValueError(f"id: found {kind_of(record.get('id', ABSENT))}; 24 hexadecimal digits would be right")
    outsized(record)
    match type:
        case "cards":
            text, marker = split(_text(record, "desc"))
            record = {**record, "desc": text} if "desc" in record else record
            return Entity(id=id, record=record, updated_at=_time(record, "dateLastActivity"), marker=marker)
        case "actions":
            return _action(id, record)
        case "organizations":
            marker = long(record.get("name"))
            record = {name: value for name, value in record.items() if name != "name"} if marker else record
            return Entity(id=id, record=record, marker=marker)
        case _:
            return Entity(id=id, record=record)


def is_id(value: Any) -> TypeGuard[str]:
    """Tell whether this is one of Trello's ids."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def sorted_out(type: str, records: list[Any]) -> tuple[tuple[Entity, ...], tuple[Rejected, ...]]:
    """Part a list into records and what cannot be understood; a member of several workspaces comes several times."""

    def named(record: Any) -> str | None:
        id = record.get("id") if isinstance(record, dict) else None
        return id if is_id(id) else None

    return parted(
        type, records, lambda record: entity(type, record), named=named, key="id", dated=type in ("cards", "actions")
    )


def _action(id: str, record: Record) -> Entity:
    data = record.get("data")
    if not isinstance(data, dict):
        raise ValueError(f"data: found {kind_of(record.get('data', ABSENT))}; an object would be right")  # noqa: TRY004
    marker = None
    if record.get("type") == COMMENT:
        _, text, marker = opened(_text(data, "text"))
        record = {**record, "data": {**data, "text": text}}
    times = (_time(record, "date"), _time(data, "dateLastEdited"))
    latest = max((time for time in times if time is not None), default=None)
    return Entity(id=id, record=record, updated_at=latest, marker=marker)


def opened(text: str) -> tuple[str | None, str, str | None]:
    """Part a comment into our opening, the person's text and our marker; one without a marker is all the person's."""
    body, marker = split(text)
    found = _OPENING.match(body) if marker else None
    return (found[1], body[found.end() :], marker) if found else (None, body, marker)


def signed(opening: str | None, text: str, marker: str | None) -> str:
    """Put a comment together; ``opened`` parts it again."""
    if marker and (opening is not None or _OPENING.match(text)):
        text = f"{' '.join((opening or '').split())}:\n{text}"
    return join(text, marker)


def opening(wanted: Mapping[str, Any], name: str | None) -> str | None:
    """Say who wrote a comment and when, for its first line; ``None`` if nothing is known."""
    said = wanted.get("memberCreator.fullName") or name or wanted.get("memberCreator.username")
    who = said or wanted.get("memberCreator.id")
    return ", ".join(str(part)[:200] for part in (who, _moment(wanted.get("date"))) if part) or None


def _moment(date: Any) -> str:
    try:
        read_time(date)
    except ValueError:
        return str(date)
    return f"{date[:10]} {date[11:16]} UTC" if isinstance(date, str) and date.endswith("Z") else str(date or "")


def same(kind: Kind, base: Record, fresh: Record) -> bool:
    """Tell whether two states of a record agree in all that can be written; comments and votes are no matter."""
    return all(pick(base, path) == pick(fresh, path) for path in kind.traits.writable or ())


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name}: found {kind_of(value)}; text would be right")  # noqa: TRY004 - it is data, not a bug
    return value


def _time(record: Record, name: str) -> Time | None:
    return changed_at(record.get(name), name)
