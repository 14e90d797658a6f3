"""A declaration against the system itself: one page of each entity type is read, and nothing is written.

What was found is compared with what was said, and what looks as if it would go wrong later is told now: fields that
are never there, times that cannot be read, a page that is smaller than asked for, a list that seems to go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from connectors.declaration import Declaration, Type
from connectors.endpoint import Entity
from connectors.errors import ConnectorError
from connectors.fields import ABSENT, pick
from connectors.listing import Listed
from connectors.paging import stops
from connectors.records import sorted_out
from connectors.rest import RestEndpoint

_PARENTS_TRIED = 5
_ROUND = frozenset((10, 20, 25, 30, 50, 100, 200, 250, 500, 1000))
_GOES_ON = ("next", "cursor", "more", "total", "count", "page")
_SHOWN = 8


class Found(Struct, frozen=True, kw_only=True):
    """What one page of an entity type was. ``wrong`` would be set aside or fail; ``doubts`` are for a person."""

    type: str
    records: int = 0
    deleted: int = 0
    example: str | None = None
    wrong: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


async def tried(endpoint: RestEndpoint, name: str) -> Found:
    """Read one page of an entity type."""
    said = endpoint.declaration.types[name]
    try:
        listed = await _first(endpoint, name)
    except ConnectorError as error:
        return Found(type=name, wrong=(str(error),))
    entities, gone, rejected = sorted_out(name, said, listed.items, listed.parent, endpoint.declaration.zone)
    return Found(
        type=name,
        records=len(entities),
        deleted=len(gone),
        example=entities[0].id if entities else None,
        wrong=tuple(each.reason for each in rejected),
        doubts=tuple(_doubts(endpoint.declaration, said, listed, entities)),
    )


async def _first(endpoint: RestEndpoint, name: str) -> Listed:
    """Read the first page; below other records the first of a few parents that has any."""
    listed = await endpoint.lists.page(name, None, ())
    for _ in range(_PARENTS_TRIED if endpoint.declaration.types[name].parent else 0):
        if listed.items or listed.following is None:
            break
        listed = await endpoint.lists.page(name, listed.following, ())
    return listed


def _doubts(declaration: Declaration, said: Type, listed: Listed, entities: list[Entity]) -> Iterator[str]:
    if not listed.items:
        yield "found no records; with some, more could be said"
        return
    yield from _fields(said, entities)
    yield from _pages(declaration, said, listed)


def _fields(said: Type, entities: list[Entity]) -> Iterator[str]:
    records = [entity.record for entity in entities]
    never = [path for path in said.fields if not any(_held(record, path) for record in records)]
    if never and records:
        yield f"found no value of {_some(never)} in any record; other names may be right"
    known = {path.partition(".")[0] for path in (*said.fields, said.id.field, *said.required)}
    known |= {each.field.partition(".")[0] for each in (said.updated, said.created, said.deleted, said.marker) if each}
    more = sorted({name for record in records for name in record} - known)
    if more and said.fields:
        yield f"found also {_some(more)}, which are not declared"
    if said.updated and records and not any(entity.updated_at for entity in entities):
        yield f"found no time at {said.updated.field}; the field that says when a record changed would be right"


def _pages(declaration: Declaration, said: Type, listed: Listed) -> Iterator[str]:
    paging, count = said.paging or declaration.paging, len(listed.items)
    if paging.kind == "none":
        names = [name for name in _envelope(listed.answer.body) if any(part in name.lower() for part in _GOES_ON)]
        if names:
            yield f"found {_some(names)} beside the records; paging may be right, for now only this page is read"
        elif count in _ROUND:
            yield f"found exactly {count} records; paging may be right if there are more"
    elif "short" in stops(paging) and count < paging.size and count in _ROUND:
        yield f"found {count} records where {paging.size} were asked for; if the system gives no more, size: {count}"
    elif count > paging.size:
        yield f"found {count} records where {paging.size} were asked for; another name than {paging.limit} may be right"


def _envelope(body: Any, depth: int = 2) -> list[str]:
    """Name what stands beside the records, a level down too."""
    if not isinstance(body, dict) or depth == 0:
        return []
    return [
        name
        for key, value in body.items()
        for name in (key, *_envelope(value, depth - 1))
        if not isinstance(value, list)
    ]


def _held(record: dict[str, Any], path: str) -> bool:
    found = pick(record, path)
    return found is not ABSENT and found is not None and found != []


def _some(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
