"""An endpoint in memory: the double of every connector, held to the same contract.

It keeps records by type, moves its own clock forward a little with each write, and writes down every change that
really happened. Faults are ordered by call: this error before, or after, the change is made. ``normal`` is what the
system does to values that are written, such as trimming. People edit through ``edit``, as others than us.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from connectors.endpoint import KEYED, UPSERTED, Cursor, Entity, Page, Record, Time, Traits, Usage
from connectors.errors import ConnectorError, Missing, Refused, Stale
from connectors.fields import place

Call: TypeAlias = Literal["page", "read", "find", "recent", "create", "update", "remove"]
When: TypeAlias = Literal["before", "after"]

TRAITS = Traits(changes="since", create=3, remove=frozenset({"delete"}))


class Change(Struct, frozen=True, kw_only=True):
    """One change that really happened."""

    time: Time
    author: str
    op: Literal["create", "update", "delete"]
    type: str
    id: str
    before: Record | None
    after: Record | None
    wanted: Mapping[str, Any]


class Fault(Struct, kw_only=True):
    """An error for the next ``count`` calls of a kind; ``after`` means that the change is made all the same."""

    call: Call
    error: ConnectorError
    when: When = "before"
    count: int = 1
    type: str | None = None


class _Row(Struct):
    record: Record
    marker: str | None
    created: Time
    updated: Time
    revision: int = 1


class MemoryEndpoint:
    """A system that is not there. Records are flat or nested objects with an ``id``."""

    def __init__(
        self,
        types: Mapping[str, Traits] | None = None,
        *,
        clock: Callable[[], Time] | None = None,
        normal: Callable[[str, Any], Any] | None = None,
        size: int = 100,
        overlap: Time = 0,
    ) -> None:
        self._traits = dict(types or {"things": TRAITS})
        self._clock = clock
        self._normal = normal or (lambda _path, value: value)
        self._size = size
        self._overlap = overlap
        self._rows: dict[str, dict[str, _Row]] = {name: {} for name in self._traits}
        self._changes: dict[str, list[tuple[Time, str]]] = {name: [] for name in self._traits}
        self._marked: dict[tuple[str, str], list[str]] = {}
        self._keys: dict[tuple[str, str], tuple[Time, dict[str, Any], Entity]] = {}
        self._now: Time = 0
        self._number = 0
        self.truth: list[Change] = []
        self.faults: list[Fault] = []
        self.calls: list[tuple[Call, str]] = []

    # what a person or a test does

    def edit(self, type: str, id: str, fields: Mapping[str, Any], *, author: str = "person") -> Entity:
        """Change a record as somebody else."""
        return self._put(type, id, fields, author)

    def add(self, type: str, fields: Mapping[str, Any], *, marker: str | None = None, author: str = "person") -> Entity:
        """Create a record as somebody else."""
        return self._add(type, fields, marker, author)

    def drop(self, type: str, id: str, *, author: str = "person") -> None:
        """Delete a record as somebody else."""
        self._drop(type, id, author)

    def fail(self, call: Call, error: ConnectorError, *, when: When = "before", count: int = 1) -> None:
        """Order a fault."""
        self.faults.append(Fault(call=call, error=error, when=when, count=count))

    def all(self, type: str) -> dict[str, Entity]:
        """Answer everything there is, without a call."""
        return {name: self._entity(type, name) for name in self._rows[type]}

    # the endpoint

    def traits(self) -> Mapping[str, Traits]:
        """Tell what each entity type can do."""
        return self._traits

    def clock_ahead(self) -> float | None:
        """Its clock is told by nobody."""
        return None

    def usage(self) -> Usage:
        """Nobody counts."""
        return Usage()

    async def page(self, type: str, cursor: Cursor) -> Page:
        """Read what comes after the cursor."""
        after = self._begin("page", type)
        at = _resume(cursor)
        if self._traits[type].changes == "list":
            names = [name for name in self._rows[type] if int(name) > at["id"]]
            shown, rest = names[: self._size], names[self._size :]
            ahead: Cursor = {"id": int(shown[-1])} if rest else None
            since = None
        else:
            shown, ahead, rest = self._changed(type, at)
            since = None if ahead is None else ahead["since"]
        page = Page(
            entities=tuple(self._entity(type, name) for name in shown),
            cursor=ahead,
            more=bool(rest),
            whole="" if self._traits[type].changes == "list" else None,
            since=since,
        )
        _end(after)
        return page

    async def read(self, type: str, id: str) -> Entity:
        """Read one record."""
        after = self._begin("read", type)
        found = self._entity(type, id)
        _end(after)
        return found

    async def find(self, type: str, marker: str, since: Time) -> tuple[Entity, ...]:  # noqa: ARG002 - finds all
        """Find the records with this marker."""
        after = self._begin("find", type)
        if self._traits[type].look_up != "marker":
            raise Refused(f"{type}: found a marker to look for; records of this type carry none")
        found = tuple(self._entity(type, name) for name in self._marked.get((type, marker), ()))
        _end(after)
        return found

    async def recent(self, type: str, since: Time) -> tuple[Entity, ...]:
        """List the records created since."""
        after = self._begin("recent", type)
        if self._traits[type].look_up == "none":
            raise Refused(f"{type}: found no way to list what is new")
        found = tuple(self._entity(type, name) for name, row in self._rows[type].items() if row.created >= since)
        _end(after)
        return found

    async def create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        """Create a record, marked."""
        after = self._begin("create", type)
        traits = self._traits[type]
        if traits.create is None:
            raise Refused(f"{type}: found a record to create; this type cannot be created")
        missing = {path: "is required" for path in traits.required if wanted.get(path) in (None, "")}
        if missing:
            raise Refused(f"{type}: found no {', '.join(missing)}; values would be right", fields=missing)
        self._refuse_unwritable(type, wanted)
        known = self._known(type, wanted, marker)
        made = self._add(type, wanted, marker or None, "us") if known is None else known
        if traits.create == KEYED and known is None:
            self._keys[type, marker] = (self._now, dict(wanted), made)
        _end(after)
        return made

    def _known(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity | None:
        """What a system that makes a record once says the second time: it updates it, or repeats its answer."""
        traits = self._traits[type]
        if traits.create == UPSERTED and (there := self._marked.get((type, marker))):
            return self._put(type, there[0], wanted, "us")
        at, body, answer = self._keys.get((type, marker), (0, {}, None))
        if answer is None or self._tick() > at + traits.idempotent_for * 1e6:
            return None
        if body != wanted:
            raise Refused(f"{type}: found another body under a key that was used; the body of then would be right")
        return answer

    async def update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Change these paths of a record."""
        after = self._begin("update", type)
        self._refuse_unwritable(type, wanted)
        self._compare(type, base)
        changed = self._put(type, base.id, wanted, "us")
        _end(after)
        return changed

    async def remove(self, type: str, base: Entity, how: Literal["archive", "delete"]) -> None:
        """Archive or delete a record."""
        after = self._begin("remove", type)
        if how not in self._traits[type].remove:
            raise Refused(f"{type}: found {how}; this type cannot do that")
        self._compare(type, base)
        if how == "delete":
            self._drop(type, base.id, "us")
        else:
            self._put(type, base.id, {"archived": True}, "us")
        _end(after)

    async def close(self) -> None:
        """Nothing to give back."""

    def _begin(self, call: Call, type: str) -> ConnectorError | None:
        """Note the call; raise what is to fail now, answer what is to fail afterwards."""
        if type not in self._traits:
            raise Refused(f"{type}: found no such type; one of {', '.join(self._traits)} would be right")
        self.calls.append((call, type))
        for fault in self.faults:
            if fault.count > 0 and fault.call == call and fault.type in {None, type}:
                fault.count -= 1
                if fault.when == "before":
                    raise fault.error
                return fault.error
        return None

    def _changed(self, type: str, at: dict[str, Any]) -> tuple[list[str], Cursor, list[str]]:
        """Answer a page of what changed: by time, then id, so that nothing changed meanwhile is passed over."""
        log = self._changes[type]
        rows = self._rows[type]
        start = bisect_left(log, (at["since"], at["after"]))
        shown: dict[str, None] = {}
        last = (at["since"], at["after"])
        rest: list[str] = []
        for time, name in log[start:]:
            row = rows.get(name)
            if row is None or row.updated != time or (time, name) <= last:
                continue
            if len(shown) == self._size:
                rest = [name]
                break
            shown[name] = None
            last = (time, name)
        if rest:
            return list(shown), {"since": last[0], "after": last[1]}, rest
        since = max(at["since"], (last[0] if shown else at["since"]) - self._overlap)
        return list(shown), {"since": since, "after": last[1] if self._overlap == 0 else ""}, rest

    def _compare(self, type: str, base: Entity) -> None:
        row = self._row(type, base.id)
        if base.updated_at is not None and row.updated != base.updated_at:
            raise Stale(f"{type}:{base.id}: found a newer record; reading it again and merging would be right")

    def _refuse_unwritable(self, type: str, wanted: Mapping[str, Any]) -> None:
        may = self._traits[type].writable
        refused = {path: "is not writable" for path in wanted if may is not None and path not in may}
        if refused:
            raise Refused(f"{type}: found {', '.join(refused)}; writable fields would be right", fields=refused)

    def _entity(self, type: str, id: str) -> Entity:
        row = self._row(type, id)
        return Entity(
            id=id,
            record=deepcopy(row.record),
            updated_at=row.updated,
            revision=row.revision,
            marker=row.marker if self._traits[type].look_up == "marker" else None,
            pristine=row.revision == 1,
        )

    def _row(self, type: str, id: str) -> _Row:
        row = self._rows[type].get(id)
        if row is None:
            raise Missing(f"{type}:{id}: found nothing; there is no such record")
        return row

    def _add(self, type: str, fields: Mapping[str, Any], marker: str | None, author: str) -> Entity:
        now = self._tick()
        self._number += 1
        name = str(self._number)
        record: Record = {"id": self._number if self._traits[type].id == "integer" else name}
        for path, value in fields.items():
            place(record, path, self._normal(path, value))
        self._rows[type][name] = _Row(record, marker, now, now)
        self._changes[type].append((now, name))
        if marker:
            self._marked.setdefault((type, marker), []).append(name)
        self._note(type, name, author, "create", before=None, after=record, wanted=fields)
        return self._entity(type, name)

    def _put(self, type: str, id: str, fields: Mapping[str, Any], author: str) -> Entity:
        row = self._row(type, id)
        before = row.record
        record = deepcopy(before)
        for path, value in fields.items():
            place(record, path, self._normal(path, value))
        row.record, row.updated, row.revision = record, self._tick(), row.revision + 1
        self._changes[type].append((row.updated, id))
        self._note(type, id, author, "update", before=before, after=record, wanted=fields)
        return self._entity(type, id)

    def _drop(self, type: str, id: str, author: str) -> None:
        row = self._row(type, id)
        del self._rows[type][id]
        if row.marker:
            self._marked[type, row.marker].remove(id)
        self._note(type, id, author, "delete", before=row.record, after=None, wanted={})

    def _note(  # noqa: PLR0913 - a change has these parts
        self,
        type: str,
        id: str,
        author: str,
        op: Literal["create", "update", "delete"],
        *,
        before: Record | None,
        after: Record | None,
        wanted: Mapping[str, Any],
    ) -> None:
        self.truth.append(
            Change(
                time=self._now,
                author=author,
                op=op,
                type=type,
                id=id,
                before=before,
                after=deepcopy(after),
                wanted=dict(wanted),
            )
        )

    def _tick(self) -> Time:
        """Move time: to the clock's, and always forward, so that no two writes share a moment."""
        self._now = max(self._now + 1, self._clock() if self._clock else 0)
        return self._now


def _resume(cursor: Cursor) -> dict[str, Any]:
    at = {"since": 0, "after": "", "id": 0}
    if cursor is None:
        return at
    if not isinstance(cursor, dict) or not cursor.keys() <= at.keys():
        raise Refused(f"cursor: found {cursor!r}; a cursor of this endpoint would be right")
    return {**at, **cursor}


def _end(error: ConnectorError | None) -> None:
    if error is not None:
        raise error
