"""A list of strangers parted into records and what cannot be understood, the same way for every connector. Pure.

One bad record never costs its page: it is set aside with its type, its id, the field and the reason. A record that
comes twice counts once, as it was last; where the system dates its changes, which one that is must show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from connectors.endpoint import Entity, Rejected

LARGEST = 1 << 19
"""Bytes of the largest record: what comes of it must still fit into one message of a log, which take a megabyte."""
_SHOWN = 1 << 12
"""Bytes of a bad record that are kept."""


def parted(
    type: str,
    items: list[Any],
    read: Callable[[Any], Entity],
    *,
    named: Callable[[Any], str | None],
    key: str,
    dated: bool = True,
) -> tuple[tuple[Entity, ...], tuple[Rejected, ...]]:
    """Part a list. ``read`` raises ValueError with the field and the reason; ``named`` answers the id, if it is one.

    ``key`` is the field of the id; of what is not ``dated`` the last of several counts.
    """
    entities: dict[str, Entity] = {}
    rejected: list[Rejected] = []
    twice: dict[str, bytes] = {}
    for item in items:
        try:
            one = read(item)
            data = packed(item)
        except ValueError as error:
            id = named(item)
            why = f"{type}:{(id or '?')[:80]}: {error}"
            rejected.append(Rejected(reason=why, body=orjson.dumps(item)[:_SHOWN], id=id))
            continue
        other = entities.get(one.id)
        if dated and other is not None and other != one and (other.updated_at or 0) == (one.updated_at or 0):
            twice[one.id] = data
        if other is None or (one.updated_at or 0) >= (other.updated_at or 0):
            entities.pop(one.id, None)
            entities[one.id] = one
    for id, data in twice.items():
        del entities[id]
        why = f"{key}: found the record twice, with different values; once would be right"
        rejected.append(Rejected(reason=f"{type}:{id}: {why}", body=data[:_SHOWN], id=id))
    return tuple(entities.values()), tuple(rejected)


def packed(item: Any) -> bytes:
    """Write a record. Raises ValueError with its longest field if no message could carry it."""
    data = orjson.dumps(item)
    if len(data) > LARGEST:
        longest = max(item, key=lambda name: len(orjson.dumps(item[name]))) if isinstance(item, dict) and item else ""
        raise ValueError(f"{longest}: found a record of {len(data)} bytes; at most {LARGEST} would be right")
    return data
