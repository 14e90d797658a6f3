"""Model systems: endpoints with a truth log and their own manners.

A system keeps what people and we wrote, in order, and says so to nobody but the oracle. Its quirks are those of real
systems: they trim, stamp coarsely, lag behind, refuse, rewrite. Fields are kept by path; records are shown nested.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from connectors.endpoint import Cursor, Entity, Page, Traits, Usage
from connectors.errors import BadAnswer, ConnectorError, Missing, Refused, Retry, Stale, Unsure
from connectors.paging import Paging, Seen, advance
from connectors.rounds import Round, newest, next_since, resume
from stream.core.fields import PART, Observer, parts, paths_of
from stream.model import Ref, Time

SECOND = 1_000_000
LATE = 30 * SECOND
"""What all systems here say of how long a request may be on its way."""

NOTE = "note"
"""A field of every record that no flow maps."""


class Edit(msgspec.Struct, frozen=True):
    """One write in a system's truth log."""

    at: Time
    ref: Ref
    field: str
    value: Any
    over: Any
    person: bool
    real: Time
    """When it happened, by no system's clock."""


class Removal(msgspec.Struct, frozen=True):
    """A record was deleted, archived or brought back: ``how`` says which."""

    at: Time
    ref: Ref
    how: str
    person: bool


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """How a model system behaves."""

    trims: bool = False
    cuts: bool = False
    """It keeps of ``e5.50`` only ``e5``."""
    brief: bool = False
    """Flows give its ``x1`` only ``e5`` of ``e5.50``, and know it."""
    seconds: bool = False
    skew: Time = 0
    dated: bool = False
    """Its answers tell how its clock stands, to about half a second."""
    compares: bool = True
    names_modifier: bool = False
    listed: bool = False
    timeless: bool = False
    """It does not say when a record was changed."""
    undated: frozenset[str] = frozenset()
    """Types of which alone it does not say that."""
    pages: int = 0
    """Records on a page; zero for all of them."""
    revisions: bool = False
    pristine: bool = True
    lag: Time = 0
    """Pages may show records as they were so long ago."""
    settle: Time = 0
    """A created record is found by its marker only after so long."""
    unmarked: bool = False
    """Nothing in a record says that we created it (class 5, or 2)."""
    bare: frozenset[str] = frozenset()
    """Types of which alone nothing says that (class 5)."""
    lists_new: bool = True
    """Without a marker: it can list what was created lately."""
    upserts: bool = False
    """A create under a marker that it knows changes the record that has it (class 1)."""
    idempotent: bool = False
    """A create under a marker that was used before answers the record of then (class 2, and marked)."""
    remembers: Time = 0
    """For so long, a create under a marker that was used before gets the answer of then (class 2)."""
    late: Time = 0
    """A create may arrive so long after it was given up."""
    numbers: bool = False
    """A new record's name is rewritten: ``No. n4`` for ``n4``."""
    refuses: frozenset[str] = frozenset()
    ignores: frozenset[str] = frozenset()
    stamps: frozenset[str] = frozenset()
    """Fields that it fills itself, once, whatever it is given."""
    needs: frozenset[str] = frozenset()
    """Fields without which a create is refused, and no field is named."""
    spells: bool = False
    """Its own values look different: ``R:e5`` for ``e5``."""
    tells: bool = True
    """Pages report what was deleted; otherwise only who reads the record finds out."""
    rewrites: str = ""
    """Some time after a write it puts texts into ``upper`` or ``lower`` case."""


class Surroundings(Protocol):
    """What a system asks of the world around it."""

    now: Time

    def special(self, ref: Ref) -> Observer: ...
    def regrouped(self, type: str, values: Mapping[str, Any]) -> Mapping[str, Any]: ...
    def maybe_crash(self, where: str) -> None: ...
    def answer_lost(self) -> bool: ...
    def refused_connection(self) -> bool: ...
    def rate_stop(self) -> float | None: ...
    def trouble(self) -> ConnectorError | None: ...
    def late(self, system: ModelSystem, done: Callable[[], Entity]) -> bool: ...
    def expired(self) -> bool: ...
    def count(self, what: str) -> None: ...
    async def pause(self) -> None: ...
    def interrupt(self, system: ModelSystem, kind: str, id: str) -> None: ...
    def removing(self, system: ModelSystem, kind: str, id: str, how: str) -> None: ...
    def trails(self) -> bool: ...
    def comes_late(self) -> bool: ...

    @property
    def random(self) -> random.Random: ...
    def writing(self, system: ModelSystem, kind: str, base: Entity, wanted: Mapping[str, Any]) -> None: ...
    def creating(self, system: ModelSystem, kind: str, wanted: Mapping[str, Any], marker: str) -> None: ...
    def name_of(self, system: ModelSystem, kind: str) -> str: ...
    def fields_of(self, system: ModelSystem, kind: str) -> frozenset[str]: ...
    def tell(self, text: str, *about: Any) -> None: ...


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by path as a record has them; a list of values is a list of objects."""
    record: dict[str, Any] = {}
    for path, value in fields.items():
        place, (*way, name) = record, path.split(".")
        several = bool(way) and isinstance(value, list)
        for each in way[: len(way) - several]:
            place = place.setdefault(each, {})
        place.update({way[-1]: [{name: each} for each in value]} if several else {name: value})
    return record


def by_path(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with the parts of each group apart."""
    apart: dict[str, Any] = {}
    for field, value in fields.items():
        apart.update(zip(field.split(PART), parts(field, value), strict=True) if PART in field else [(field, value)])
    return apart


class ModelSystem:
    """A system as an endpoint, with a truth log and its own manners."""

    def __init__(
        self,
        name: str,
        types: Iterable[str],
        world: Surroundings,
        quirks: Quirks,
        traits: Mapping[str, Traits] | None = None,
    ) -> None:
        self.name = name
        self.world = world
        self.quirks = quirks
        self.records: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in types}
        self.dead: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in types}
        self.removals: list[Removal] = []
        self.truth: list[Edit] = []
        self.created: list[tuple[Ref, bool, str]] = []
        self.past: dict[tuple[str, str], list[tuple[Time, dict[str, Any]]]] = {}
        self.to_rewrite: list[tuple[str, str]] = []
        self._given = traits or {}
        self._next = 0
        self.on_the_way: list[tuple[Time, str, dict[str, Any], str]] = []
        self.answers: dict[tuple[str, str], tuple[Time, dict[str, Any], Entity]] = {}

    def stamp(self) -> Time:
        now = self.world.now + self.quirks.skew
        if self.quirks.skew:
            self.world.count("stamps of a wrong clock")
        if self.quirks.seconds:
            self.world.count("stamps in whole seconds")
            return now - now % SECOND
        return now

    def normal(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.normal(each) for each in value]
        if not isinstance(value, str):
            return value
        kept = value.strip() if self.quirks.trims else value
        kept = kept.partition(".")[0] if self.quirks.cuts else kept
        if kept != value:
            self.world.count("values put into a system's own form")
        return kept

    def dated(self, kind: str) -> bool:
        """Whether it says of this type when a record was changed."""
        return not self.quirks.timeless and kind not in self.quirks.undated

    def marked(self, kind: str) -> bool:
        """Whether a record of this type says that we created it."""
        return not self.quirks.unmarked and kind not in self.quirks.bare

    # People

    def add(self, kind: str, fields: Mapping[str, Any], *, person: bool = True, marker: str = "") -> str:
        self._next += 1
        id = f"{self._next}"
        values = {path: self.normal(value) for path, value in by_path(fields).items()}
        values.update(dict.fromkeys(sorted(self.quirks.stamps & self.world.fields_of(self, kind)), f"stamped {id}"))
        self.records[kind][id] = {
            "fields": values,
            "updated": self.stamp(),
            "revision": 1,
            "marker": marker or None,
            "us": not person,
            "born": self.world.now,
            "archived": False,
        }
        ref = f"{self.name}.{kind}:{id}"
        self._remember(kind, id)
        self.created.append((ref, person, marker))
        if person:
            self._log(ref, {}, values, person=True)
        elif self.quirks.rewrites:
            self.to_rewrite.append((kind, id))
        return id

    def edit(self, kind: str, id: str, field: str, value: Any, *, person: bool = True) -> None:
        record = self.records[kind][id]
        stored = {path: self.normal(each) for path, each in by_path({field: value}).items()}
        self._log(f"{self.name}.{kind}:{id}", record["fields"], stored, person=person)
        record["fields"].update(stored)
        record["updated"] = max(self.stamp(), record["updated"])
        record["revision"] += 1
        record["us"] = not person
        self._remember(kind, id)

    def _log(self, ref: Ref, before: Mapping[str, Any], stored: Mapping[str, Any], *, person: bool) -> None:
        """Write down what changes: each element of a set, and a group as a whole."""
        special = self.world.special(ref)
        now = {**before, **stored}
        was, becomes = special(nested(before)), special(nested(now))
        inside = {path for field in {**was, **becomes} for path in paths_of(field)}
        plain = {path: (value, before.get(path)) for path, value in stored.items() if path not in inside}
        spread = {
            field: (becomes.get(field), was.get(field))
            for field in {**was, **becomes}
            if becomes.get(field) != was.get(field)
        }
        for field, (value, over) in {**plain, **spread}.items():
            self.truth.append(Edit(self.stamp(), ref, field, value, over, person, self.world.now))

    def remove_(self, kind: str, id: str, how: str, *, person: bool = True) -> None:
        """Delete or archive a record, or bring one back (``restore``)."""
        ref = f"{self.name}.{kind}:{id}"
        self.removals.append(Removal(self.world.now, ref, how, person))
        if how == "delete":
            self.dead[kind][id] = self.records[kind].pop(id)
            return
        if how == "restore" and id in self.dead[kind]:
            self.records[kind][id] = self.dead[kind].pop(id)
        record = self.records[kind][id]
        record["archived"] = how == "archive"
        record["updated"] = max(self.stamp(), record["updated"])
        record["revision"] += 1
        record["us"] = not person
        self._remember(kind, id)

    def rewrite(self) -> None:
        """What was written lately gets the system's own case, as if somebody had typed it."""
        case = str.upper if self.quirks.rewrites == "upper" else str.lower
        pending, self.to_rewrite = self.to_rewrite, []
        for kind, id in pending:
            if id not in self.records[kind]:
                continue
            for field, value in list(self.records[kind][id]["fields"].items()):
                if field.startswith("x") and isinstance(value, str) and case(value) != value:
                    self.world.count("values rewritten")
                    self.world.tell("{}.{}:{} rewrites {} {!r}", self.name, kind, id, field, value)
                    self.edit(kind, id, field, case(value))

    def _remember(self, kind: str, id: str) -> None:
        record = self.records[kind][id]
        state = {**record, "fields": dict(record["fields"])}
        past = self.past.setdefault((kind, id), [])
        if past and past[-1][1]["updated"] == state["updated"]:
            past.pop()  # one write of several fields is seen as a whole
        past.append((self.world.now, state))

    def shown(self, kind: str, id: str) -> dict[str, Any]:
        """The record as a page shows it: a replica may trail behind."""
        if not self.quirks.lag or not self.world.trails():
            return self.records[kind][id]
        limit = self.world.now - self.quirks.lag
        known = self.past[kind, id]
        found = max((each for each in known if each[0] <= limit), default=known[-1], key=lambda each: each[0])[1]
        if found is not known[-1][1]:
            self.world.count("records shown as they were before")
        return found

    # The endpoint

    def traits(self) -> Mapping[str, Traits]:
        given = self._given or dict.fromkeys(self.records, Traits(create=3))
        return {kind: self._traits(kind, known) for kind, known in given.items() if kind in self.records}

    def _traits(self, kind: str, known: Traits) -> Traits:
        quirks, once = self.quirks, bool(self.quirks.remembers) or self.quirks.idempotent
        marked = self.marked(kind)
        return replace(
            known,
            changes="list" if quirks.listed or not self.dated(kind) else "since",
            create=known.create
            and (1 if quirks.upserts else 2 if once else 5 if not marked else 4 if quirks.settle else 3),
            look_up="marker" if marked else "recent" if quirks.lists_new else "none",
            settle=quirks.settle / SECOND,
            late=LATE / SECOND,
            idempotent_for=1e9 if quirks.idempotent else quirks.remembers / SECOND,
        )

    def entity(self, kind: str, id: str, record: dict[str, Any] | None = None) -> Entity:
        record = record or self.records[kind][id]
        if self.quirks.revisions:
            self.world.count("revisions told")
        if self.quirks.names_modifier:
            self.world.count("modifiers told")
        if not self.dated(kind):
            self.world.count("records shown without a time")
        return Entity(
            id=id,
            record=nested(record["fields"]),
            updated_at=record["updated"] if self.dated(kind) else None,
            revision=record["revision"] if self.quirks.revisions else None,
            marker=record["marker"] if self.marked(kind) else None,
            pristine=self.quirks.pristine and record["revision"] == 1,
            by_us=record["us"] if self.quirks.names_modifier else None,
        )

    def clock_ahead(self) -> float | None:
        return self.quirks.skew / SECOND + 0.4 if self.quirks.dated else None

    def usage(self) -> Usage:
        return Usage()

    async def page(self, type: str, cursor: Cursor) -> Page:
        """One page, with the paging and the rounds of the real connectors."""
        self._stop()
        cursor = cursor or {"round": None, "told": 0}
        at = resume(cursor["round"])
        if at.page is not None and self.world.expired():
            raise Refused("found a page token that has expired")
        whole = self.traits()[type].changes == "list"
        if whole:
            self.world.count("lists read whole")
        since = None if whole else at.since
        ids = [
            id
            for id, record in self.records[type].items()
            if not record["archived"] and (since is None or record["updated"] >= since)
        ]
        following = None
        if self.quirks.pages:
            ids.sort(key=lambda each: (0 if whole else self.records[type][each]["updated"], int(each)))
            start = at.page["at"] if at.page else 0
            ids = ids[start : start + self.quirks.pages]
            paging = Paging(kind="offset", size=self.quirks.pages)
            body = [(id, self.records[type][id]["revision"]) for id in ids]
            times = [] if whole else [self.records[type][id]["updated"] for id in ids]
            seen_ = Seen(ids=ids, times=times, body=body, headers={}, digest=f"{start}{body}")
            following = advance(paging, at.page, seen_)
        entities = tuple(self.entity(type, id, self.shown(type, id)) for id in ids)
        gone = {each.ref.partition(":")[2] for each in self.removals[cursor["told"] :] if self.quirks.tells}
        there, told = sorted(id for id in gone if id in self.dead[type]), len(self.removals)
        begun, seen = at.begun or self.stamp(), newest(at.newest, *(entity.updated_at for entity in entities))
        await self.world.pause()
        self.world.maybe_crash("while it reads a page")
        if following is not None:
            self.world.count("pages with more to come")
            ahead = Round(since=at.since, page=following, newest=seen, begun=begun)
        else:
            ahead = Round(since=None if whole else next_since(at.since, seen, begun, 2.0))
        round_ = {"round": msgspec.to_builtins(ahead) or None, "told": told}
        return Page(entities=entities, gone=tuple(there), cursor=round_, more=following is not None, since=ahead.since)

    async def read(self, type: str, id: str) -> Entity:
        self._stop()
        self.world.maybe_crash("at a guard read")
        if id not in self.records[type]:
            raise Missing(f"{type} {id}: not there")
        return self.entity(type, id)

    async def find(self, type: str, marker: str, since: Time) -> tuple[Entity, ...]:
        self._stop()
        self.world.maybe_crash("at a look-up")
        if not self.marked(type):
            raise Refused("records of this type carry no marker")
        self.world.count("look-ups")
        return tuple(self.entity(type, id) for id in self._marked(type, marker, self.quirks.settle))

    async def recent(self, type: str, since: Time) -> tuple[Entity, ...]:
        self._stop()
        self.world.maybe_crash("at a look-up")
        limit = self.world.now - self.quirks.settle
        self.world.count("look-ups")
        return tuple(
            self.entity(type, id)
            for id, record in self.records[type].items()
            if since <= record["born"] + self.quirks.skew and record["born"] <= limit
        )

    def _marked(self, type: str, marker: str, settle: Time = 0) -> list[str]:
        limit = self.world.now - settle
        return [
            id
            for id, record in self.records[type].items()
            if record["marker"] == marker and record["born"] <= limit and not record.get("copied")
        ]

    async def create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        await self._before()
        self._refuse(wanted)
        if any(wanted.get(field) is None for field in self.quirks.needs):
            self.world.count("creates refused")
            raise Refused("found a record that is not complete")
        if self.quirks.late and self.world.comes_late():
            arrives = self.world.now + self.world.random.randrange(self.quirks.late)
            self.on_the_way.append((arrives, type, dict(wanted), marker))
            self.world.tell("a create at {}.{} is given up, and still on its way", self.name, type)
            raise Unsure("no answer in time")
        if self.quirks.idempotent and self.world.late(self, lambda: self._create(type, wanted, marker)):
            raise Unsure("no answer in time")
        entity = self._create(type, wanted, marker)
        self._after(f"created {self.name}.{type}:{entity.id}")
        return entity

    def arrive(self) -> None:
        """What was given up arrives."""
        due = [each for each in self.on_the_way if each[0] <= self.world.now]
        self.on_the_way = [each for each in self.on_the_way if each not in due]
        for at, type, wanted, marker in due:
            made = self._create(type, wanted, marker)
            self.records[type][made.id]["born"] = min(at, self.records[type][made.id]["born"])  # the clock has leapt
            self.world.count("creates that came late")
            self.world.tell("a create of before arrives: {}.{}:{}", self.name, type, made.id)

    def _create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        """Make the record, or answer as a system does that makes it once."""
        known, there = self.answers.get((type, marker)), self._marked(type, marker)
        if known is not None and self.world.now < known[0] + self.quirks.remembers:
            if known[1] != wanted:
                raise Refused("another body under a key that was used")
            return known[2]
        if self.quirks.upserts and there:
            for field, value in self._taken(wanted).items():
                self.edit(type, there[0], field, value, person=False)
        if (self.quirks.upserts or self.quirks.idempotent) and there:
            self.world.count("creates answered with the record of then")
            return self.entity(type, there[0])
        self.world.creating(self, type, wanted, marker)
        kept = self._taken(wanted)
        name = self.world.name_of(self, type)
        if self.quirks.numbers and name in kept:
            kept[name] = f"No. {kept[name]}"
        answer = self.entity(type, self.add(type, kept, person=False, marker=marker))
        self.answers[type, marker] = (self.world.now, dict(wanted), answer)
        return answer

    async def update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        await self._before()
        self.world.interrupt(self, type, base.id)
        self._refuse(wanted)
        if self.quirks.compares and self.world.late(self, lambda: self._update(type, base, wanted)):
            raise Unsure("no answer in time")
        entity = self._update(type, base, wanted)
        self._after(f"wrote {dict(wanted)} to {self.name}.{type}:{base.id}")
        return entity

    def _update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        self._compared(type, base)
        if not self.quirks.compares:
            self.world.count("writes without a comparison")
        self.world.writing(self, type, base, wanted)
        for field, value in self.world.regrouped(f"{self.name}.{type}", self._taken(wanted)).items():
            self.edit(type, base.id, field, value, person=False)
        if self.quirks.rewrites:
            self.to_rewrite.append((type, base.id))
        return self.entity(type, base.id)

    def _taken(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """What a request changes: a system may ignore some of it, and say nothing."""
        taken = {
            field: value for field, value in wanted.items() if field not in self.quirks.ignores | self.quirks.stamps
        }
        if len(taken) < len(wanted):
            self.world.count("fields ignored")
        return taken

    async def remove(self, type: str, base: Entity, how: str) -> None:
        await self._before()
        self.world.interrupt(self, type, base.id)
        self._compared(type, base)
        self.world.removing(self, type, base.id, how)
        self.remove_(type, base.id, how, person=False)
        self._after(f"removed {self.name}.{type}:{base.id} ({how})")

    def _compared(self, type: str, base: Entity) -> dict[str, Any]:
        """The record, if it is as it was read."""
        if base.id not in self.records[type]:
            raise Missing(f"{type} {base.id}: not there")
        record = self.records[type][base.id]
        moved = self.dated(type) and record["updated"] != base.updated_at
        if self.quirks.compares and (moved or nested(record["fields"]) != base.record):
            raise Stale(f"{type} {base.id}: changed since it was read")
        return record

    async def close(self) -> None:
        return

    def _refuse(self, wanted: Mapping[str, Any]) -> None:
        refused = {field: "cannot be written" for field in wanted if field in self.quirks.refuses}
        if refused:
            self.world.count("fields refused")
            raise Refused("found fields that cannot be written", fields=refused)

    def _stop(self) -> None:
        wait = self.world.rate_stop()
        if wait is not None:
            raise Retry("too many requests", after=wait)
        trouble = self.world.trouble()
        if trouble is not None:
            raise trouble

    async def _before(self) -> None:
        self.world.now += 1000
        await self.world.pause()
        self.world.maybe_crash("before a call")
        self._stop()
        if self.world.refused_connection():
            raise Retry("refused connection")

    def _after(self, done: str) -> None:
        self.world.tell("{}", done)
        self.world.maybe_crash("right after that call")
        if self.world.answer_lost():
            raise Unsure("no answer")
        if isinstance(self.world.trouble(), BadAnswer):
            raise BadAnswer("found an answer that is none")
