"""What a record of a change topic is to other tools: Debezium's envelope as its value, CloudEvents in its headers.

A poller sees what a record is, not what was done to it. So every reading is Debezium's ``r``, as in a snapshot that is
taken again and again: ``after`` is the whole record, there is no ``before``, and the record's key says which one it
replaces. An ``u`` without ``before`` would be refused by Flink. A record that is gone is a ``d``; its ``before`` holds
the id alone, which is what a reader needs to take it away. ``source.snapshot`` tells the first complete reading (true)
from later ones (incremental). A value of null is no change: it is a mark of ours, and every tool passes over it.

The headers are the binary mode of CloudEvents' Kafka binding. What they say stands in the envelope, too.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.endpoint import Entity, Traits
from connectors.fields import place
from stream.model import FORMAT, Change, Source, Time
from stream.ports import Headers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Envelope:
    """Makes the changes of one entity type."""

    def __init__(self, name: str, connector: str, traits: Traits) -> None:
        self._system, _, self._type = name.partition(".")
        self._connector = connector
        self._traits = traits

    def seen(self, entity: Entity, read_at: Time, *, ahead: Time = 0, first: bool = False) -> Change:
        """A record as it was read; ``first`` until the type was read completely once."""
        updated = entity.updated_at
        source = Source(
            version=str(FORMAT),
            connector=self._connector,
            name=self._system,
            snapshot="true" if first else "incremental",
            db=self._system,
            entity=self._type,
            id=entity.id,
            ts_ms=None if updated is None else updated // 1000,
            ts_us=updated,
            revision=entity.revision,
            marker=entity.marker,
            pristine=entity.pristine,
            by_us=entity.by_us,
            ahead_us=ahead,
        )
        return Change(op="r", before=None, after=entity.record, ts_ms=read_at // 1000, ts_us=read_at, source=source)

    def gone(self, id: str, read_at: Time) -> Change:
        """A record that the system says is not there any more."""
        source = Source(
            version=str(FORMAT),
            connector=self._connector,
            name=self._system,
            snapshot="false",
            db=self._system,
            entity=self._type,
            id=id,
        )
        before: dict[str, Any] = {}
        if self._traits.key:
            place(before, self._traits.key, int(id) if self._traits.id == "integer" and id.isdecimal() else id)
        return Change(op="d", before=before, after=None, ts_ms=read_at // 1000, ts_us=read_at, source=source)


def headers_of(change: Change) -> Headers:
    """The attributes of CloudEvents 1.0 for a change. With its source, an id is given to no other."""
    source = change.source
    attributes = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": f"{source.id}/{change.op}/{change.ts_us}",
        "ce_source": f"/{source.name}/{source.entity}",
        "ce_type": GONE if change.op == "d" else SEEN,
        "ce_subject": source.id,
        "ce_time": _moment(source.ts_us, change.ts_us),
    }
    return tuple((name, text.encode()) for name, text in attributes.items())


SEEN, GONE = "linkstream.seen.v1", "linkstream.gone.v1"
"""The types of events."""


def _moment(happened: Time | None, read: Time) -> str:
    """When a change was made, or read where that is not known, as RFC 3339 has it."""
    for time in (happened, read):
        try:
            if time is not None:
                return (_EPOCH + timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")
        except OverflowError:
            continue  # a system may write any time, and one of the year 300000 has no such form
    return _EPOCH.isoformat().replace("+00:00", "Z")
