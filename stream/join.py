"""Join: every message meets its row.

A record of a change topic or of ``links.mail`` is decoded, brought to the row of its key, and what ``decide`` says is
put and emitted. Rows, outputs and offsets commit together; nothing here can be half done. What cannot be understood
goes to ``parked`` with its bytes, and the next record follows.

A lane also keeps some things of its own among its rows: the census, the number of its links, how its rows stand
(``stream/standing.py``), how far its resync has come, and one alarm per row that waits.

After a loss of state (``ports.Loss``) a lane *recovers*: its census is empty again, so that nothing is created before
everything was read anew, and all its rows are told to tell everything anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import msgpack

from stream import resync
from stream.codec import ToLane, bytes_of, decode_change, decode_mark, decode_message, encode, encode_mark, row_of
from stream.core.brake import BRAKE
from stream.core.census import ROWS, Census, decode_census, encode_census
from stream.core.decide import decide
from stream.core.fields import Observer
from stream.core.flows import Flows, View
from stream.core.row import Row
from stream.core.shared import Brake
from stream.core.turn import Alarm, Mail, Output, Report, Tally
from stream.errors import BadRecord
from stream.meters import Meters
from stream.model import (
    Change,
    Command,
    Conflict,
    Counted,
    Gone,
    Message,
    Receipt,
    Resync,
    Rouse,
    Seen,
    Time,
    Version,
    Wake,
    type_of,
)
from stream.parking import park
from stream.ports import Headers, Record, Unit
from stream.standing import Standing, alike, standing
from stream.topics import CENSUS, CONFLICTS, COUNTED, MAIL, TALLY, WAKE, changes, upserts

_encode_tally = msgpack.Encoder().encode
_decode_tally = msgpack.Decoder(dict[str, int]).decode

AGAIN = 5_000_000
"""Microseconds after which a wake-up that brought nothing is repeated."""


class Join:
    """The middle stage of one worker: units in, rows and records out."""

    def __init__(
        self,
        flows: Flows,
        clock: Callable[[], Time],
        meters: Meters | None = None,
        paused: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._flows = flows
        self._clock = clock
        self._paused = paused
        """Says which flows a person has paused."""
        self.meters = meters or Meters()
        self._began = clock()
        self._arrived: dict[str, list[float]] = {}
        self._observe = {name: Observer(paths) for name, paths in flows.paths.items()}
        self._changes = {changes(name): name for name in flows.paths}
        self._links: dict[str, int] = {}
        self._now: Time = 0
        self.standing: dict[int, Standing] = {}
        """Per partition, how its rows stand."""
        self.held: dict[str, Time] = {}
        """Types whose deletions are held, and since when."""
        self.alarms: dict[int, dict[bytes, Time]] = {}
        """Per partition, the rows that wait and when they want to be woken."""
        self.pace = resync.PACE
        self.recovering: set[int] = set()
        """Partitions in which not everything was read and told anew since the loss of state."""

    def __call__(self, unit: Unit) -> None:
        """Bring every record of a unit to its row."""
        census = self._census(unit)
        self._links = dict(_decode_tally(unit.get(TALLY) or b"\x80"))
        before = dict(self._links)
        self._counts = self.standing.get(unit.partition) or self.standing.setdefault(unit.partition, Standing(unit))
        self._counts.begin(unit)
        view = View(self._flows, census.complete(self._flows), self._links, unit.partitions, self._paused())
        for record in unit:
            try:
                message = self._message(record)
                if message is None:
                    continue
                if isinstance(message, Rouse):
                    self._rouse(unit, f"{message.entity}:".encode(), early=message.early)
                    continue
                if isinstance(message, Resync):
                    self._resync(unit, message)
                    continue
                if isinstance(message, Counted):
                    census, view = self._count(unit, record, message, census, view)
                    continue
                self._turn(unit, record, message, view)
            except BadRecord as error:
                park(unit, record, "VALUE_CONVERTER", error, "undecodable")
        if self._links != before:
            unit.put(TALLY, _encode_tally(self._links))
        self._counts.end(unit, self._now)
        for type, seconds in self._arrived.items():
            self.meters.arrive(type, seconds)
        self._arrived.clear()
        self._recovered(unit, census)

    def _census(self, unit: Unit) -> Census:
        """What was heard in this life of the log; a lane of a former one begins anew."""
        data = unit.get(CENSUS)
        census = Census() if data is None else decode_census(data)
        if census.life != unit.loss.at:
            census = Census(life=unit.loss.at)
            unit.put(CENSUS, encode_census(census))
            resync.wanted(unit, self._flows.paths, self._clock(), whole=True)
            self.recovering.add(unit.partition)
        return census

    def _recovered(self, unit: Unit, census: Census) -> None:
        if unit.partition in self.recovering and census.complete(self._flows).issuperset(self._flows.paths):
            self.recovering.discard(unit.partition)

    def _resync(self, unit: Unit, message: Resync) -> None:
        """Have rows tell everything anew; when they were told, let every lane know (C1).

        Not if that was in another life: in a backup that was taken at the end of a sweep its word still waits to be
        read, and opened the gate before any row was told.
        """
        if message.types:
            whole = {*message.types} >= {*self._flows.paths}
            resync.wanted(unit, message.types, self._clock(), whole=whole)
        elif unit.loss.at and message.life == unit.loss.at:
            mark = Counted(entity=ROWS, plan=0, source=unit.partition, of=unit.partitions, life=unit.loss.at)
            for partition in range(unit.partitions):
                unit.emit(MAIL, encode_mark(mark), encode(mark), (), partition)

    def sweep(self, unit: Unit, period: Time) -> None:
        """Go on with having the rows of a partition tell everything anew, which begins every ``period``."""
        self._census(unit)
        resync.go_on(unit, self._flows.paths, self._clock(), period, self.pace)

    @staticmethod
    def _rouse(unit: Unit, prefix: bytes = b"", *, early: bool = False) -> None:
        """Wake the rows that wait, all of them or those of a type."""
        for key, _ in list(unit.scan(WAKE + prefix)):
            unit.emit(MAIL, key[len(WAKE) :], encode(Wake(early=early)), (), unit.partition)

    def _message(self, record: Record) -> ToLane | None:
        """What a record says; a change becomes a reading of its mapped fields. Raises BadRecord."""
        entity = self._changes.get(record.topic)
        if entity is None:
            return decode_message(record.value) if record.topic == MAIL else None
        if record.value is None:
            return decode_mark(record.key) if record.key.startswith(COUNTED) else None
        change = decode_change(record.value)
        ref = f"{change.source.name}.{change.source.entity}:{change.source.id}"
        if ref.encode() != record.key:
            raise BadRecord(f"key {record.key!r} of a change of {ref}; they would be equal")
        return self.reading(entity, change)

    def reading(self, entity: str, change: Change) -> Seen | Gone:
        """A change as its row sees it."""
        source = change.source
        read_at = change.ts_us or change.ts_ms * 1000
        if change.op == "d" or change.after is None:
            return Gone(read_at=read_at)
        return Seen(
            fields=self._observe[entity](change.after),
            read_at=read_at,
            updated_at=source.ts_us,
            revision=source.revision,
            marker=source.marker,
            pristine=source.pristine,
            by_us=source.by_us,
            ahead=source.ahead_us,
        )

    def _turn(self, unit: Unit, record: Record, message: Message, view: View) -> None:
        key = record.key
        old = row_of(unit.get(key))
        try:
            name = key.decode()
        except UnicodeDecodeError:
            raise BadRecord(f"key {key!r} is not UTF-8") from None
        now = self._now = self._clock()
        if isinstance(message, Receipt) and isinstance(old, Row):
            self._arrive(old, message, now)
        row, outputs = decide(name, old, message, view, now)
        if row is not old:
            if not alike(old, row):
                self._counts.moved(unit, key, standing(name, old), standing(name, row), now)
            unit.put(key, None if row is None else bytes_of(row))
            if isinstance(row, Brake):
                self._note(name, row)
        if outputs:
            self._emit(unit, record, outputs)

    def _arrive(self, row: Row, receipt: Receipt, now: Time) -> None:
        """Note how long ago the edit was made that a write has brought; one from before our time says nothing of us."""
        if receipt.outcome not in ("done", "found") or receipt.target is None:
            return
        versions: Iterable[Version] = ()
        if row.writing is not None and row.writing.number == receipt.number:
            versions = row.writing.versions.values()
        else:
            for edge in row.edges.values():
                if edge.state == "creating" and edge.number == receipt.number:
                    versions = (stated.version for stated in edge.want.values())
        edited = max((version.time for version in versions), default=0)
        if edited >= self._began:
            self._arrived.setdefault(type_of(receipt.target), []).append(max(0, now - edited) / 1e6)

    def _emit(self, unit: Unit, record: Record, outputs: Iterable[Output]) -> None:
        cause: Headers = (("cause", f"{record.topic}/{record.partition}/{record.offset}".encode()),)
        for output in outputs:
            match output:
                case Mail(to=to, message=message):
                    unit.emit(MAIL, to.encode(), encode(message), cause)
                case Command():
                    unit.emit(upserts(output.type), record.key, encode(output), cause)
                case Conflict():
                    unit.emit(CONFLICTS, record.key, encode(output), cause)
                case Report(reason=reason, field=field):
                    park(unit, record, "TRANSFORMATION", f"{field}: {reason}" if field else reason, "not applied")
                case Alarm(at=at):
                    self._alarm(unit, record.key, at)
                case Tally(entity=entity, links=links):
                    self._links[entity] = self._links.get(entity, 0) + links
                case Rouse():
                    for partition in range(unit.partitions):
                        unit.emit(MAIL, record.key, encode(output), cause, partition)

    def _count(self, unit: Unit, record: Record, counted: Counted, census: Census, view: View) -> tuple[Census, View]:
        """Send a mark on to every lane, or keep the one that came; a type that is complete now wakes who waits."""
        if record.topic != MAIL:
            for partition in range(unit.partitions):
                unit.emit(MAIL, record.key, encode(counted), (), partition)
            return census, view
        census = census.hear(counted)
        unit.put(CENSUS, encode_census(census))
        complete = census.complete(self._flows)
        if complete != view.counted:
            self._rouse(unit)
        return census, View(self._flows, complete, self._links, unit.partitions, view.paused)

    def _alarm(self, unit: Unit, key: bytes, at: Time) -> None:
        waiting = self.alarms.setdefault(unit.partition, {})
        if at:
            unit.put(WAKE + key, at.to_bytes(8, "big"))
            waiting[key] = at
        else:
            unit.put(WAKE + key, None)
            waiting.pop(key, None)

    def forget(self) -> None:
        """Other partitions will be taken over: what is kept of the former ones is somebody else's now."""
        self.alarms.clear()
        self.held.clear()
        self.recovering.clear()
        self.standing.clear()

    def load(self, unit: Unit) -> None:
        """Learn the alarms of a partition that was just taken over, and what is held in it; notice a loss of state."""
        if unit.loss.at:
            self.recovering.add(unit.partition)
            self._recovered(unit, self._census(unit))
        for key, data in unit.scan(BRAKE.encode()):
            brake = row_of(data)
            assert isinstance(brake, Brake)
            self._note(key.decode(), brake)
        self.standing[unit.partition] = Standing(unit)
        self.alarms[unit.partition] = {key[len(WAKE) :]: int.from_bytes(at, "big") for key, at in unit.scan(WAKE)}

    def _note(self, key: str, brake: Brake) -> None:
        entity = key.removeprefix(BRAKE)
        if brake.held_at:
            self.held[entity] = brake.held_at
        else:
            self.held.pop(entity, None)

    def due(self) -> Iterator[tuple[str, bytes, bytes, int]]:
        """The wake-ups whose time has come: topic, key, value, partition."""
        now = self._clock()
        for partition, waiting in self.alarms.items():
            for key, at in waiting.items():
                if at <= now:
                    waiting[key] = now + AGAIN
                    yield MAIL, key, encode(Wake()), partition
