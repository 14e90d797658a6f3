"""Lanes and their units: order, positions, rows at hand and back-pressure, the same over every log.

A lane has one unit out and one commit in flight. While a commit flies, the next unit already sees its rows; before a
second commit may start, the first must have landed. That is all the back-pressure there is: at most two units of
records per lane are in memory, whatever waits in the log. Records that were read but whose unit failed go back to the
lane's backlog, in order, so that a retry sees exactly the same ones.

A *turn* is a unit without records, for work that begins outside the log (a page fetched from a network). Turns and the
body's units take the lane one after the other.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

from stream.engine.log import Claim, EngineError, LaneId, Log, Outgoing, Staged, must_exist
from stream.engine.rows import Missing, Rows, overlaid
from stream.errors import TooLarge
from stream.ports import Headers, Record

FEW = 4
"""Fewer rows than these are looked up when they are asked for."""


class LaneUnit:
    """A ``stream.ports.Unit`` over a lane."""

    def __init__(self, lane: Lane, records: Sequence[Record]) -> None:
        self.partition = lane.id.partition
        self.partitions = lane.log.partitions
        self.loss = lane.log.loss
        self.records = records
        self._lane = lane
        self._largest = lane.log.largest
        self._rows: dict[bytes, bytes | None] = {}
        self._emitted: list[Outgoing] = []

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def get(self, key: bytes) -> bytes | None:
        """The row of a key: own puts, the commit in flight, rows at hand, the log."""
        rows = self._rows
        if key in rows:
            return rows[key]
        return self._lane.row(key)

    def put(self, key: bytes, row: bytes | None) -> None:
        """Stage a row; ``None`` deletes it. Raises ``TooLarge``."""
        if row is not None and len(key) + len(row) > self._largest:
            raise self._too_large("row", key, row)
        self._rows[key] = row

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        """Rows by prefix, in key order; own puts included as they are when the scan begins."""
        return self._lane.scan(prefix, after, self._rows)

    def emit(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> None:
        """Stage a record. Raises ``TooLarge``, and ``LookupError`` for a topic or partition that does not exist."""
        must_exist(self._lane.log, "emit", topic, partition)
        if value is not None and len(key) + len(value) > self._largest:
            raise self._too_large(f"record for {topic}", key, value)
        self._emitted.append(Outgoing(topic, key, value, headers, partition))

    def _too_large(self, what: str, key: bytes, value: bytes) -> TooLarge:
        return TooLarge(
            f"found a {what} of {len(key) + len(value)} bytes (key {key[:80]!r}); at most {self._largest} would be "
            "right, for the log takes no more"
        )

    def sure(self) -> None:
        """Raises ``Fenced`` when the lane may be somebody else's by now."""
        self._lane.log.sure()

    async def save(self) -> None:
        """Make the rows put so far durable; a later failure of the unit does not undo them."""
        rows, self._rows = self._rows, {}
        await self._lane.save(rows)

    def staged(self) -> Staged:
        """What is to be committed: rows that differ, records, and where to go on."""
        lane = self._lane
        offsets = {record.topic: record.offset + 1 for record in self.records}
        return Staged(lane.id, lane.claim.epoch, lane.changed(self._rows), self._emitted, offsets)


class Lane:
    """One agent's share of one partition, claimed."""

    def __init__(self, log: Log, claim: Claim, *, rows: int = 20_000, size: int = 16 << 20) -> None:
        self.commits = 0
        """How many have landed."""
        self.committing = 0.0
        """Seconds that they took, added up."""
        self.on_landed: Callable[[Staged], object] = lambda _: None
        """Called with what is durable now."""
        self.log = log
        self.claim = claim
        self.id: LaneId = claim.lane
        self.topics = tuple(claim.offsets)
        self.next = dict(claim.offsets)  # committed: the next offset to process, per topic
        self.held = False  # retries pause it; a lane that parks too much stays so
        self.draining = False
        self.on_ready: Callable[[], None] = lambda: None
        self.still = asyncio.Event()  # no unit is out and no commit flies
        self.still.set()
        self._position = dict(claim.offsets)
        self._backlog: list[Record] = []
        self._out: LaneUnit | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._flying: Mapping[bytes, bytes | None] = {}
        self._landing: Sequence[Record] = ()
        """The records of the commit that flies."""
        self._flight: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._rows = Rows(rows, size)
        self._turn = 0

    # Records

    def behind(self) -> int:
        """Records that wait in the log, as far as is known."""
        return sum(max(0, self.claim.end(topic) - self.next[topic]) for topic in self.topics)

    def oldest(self) -> int | None:
        """The time, in milliseconds, of the oldest record that is not committed; nothing while none waits.

        One that was taken is known; of those in the log, the first of every topic: they are at hand for the next unit
        then, for a record that was read is not read again.
        """
        taken = [*self._landing, *(self._out.records if self._out is not None else ())]
        if not taken and not self._backlog:
            self._backlog = self._read(len(self.topics))
        return min([record.timestamp for record in (*taken, *self._backlog)], default=None)

    @property
    def flying(self) -> bool:
        """Whether a commit is on its way."""
        return self._flight is not None

    @property
    def failure(self) -> BaseException | None:
        """What ended it: no unit of it can be committed any more."""
        return None if self._flight is not None else self._failure

    @property
    def idle(self) -> bool:
        """Whether nobody has a unit or a turn of it."""
        return self._out is None

    def waiting(self) -> int:
        """About how many records wait that nobody has taken: none, or one at least."""
        return len(self._backlog) + sum(max(0, self.claim.head(topic) - self._position[topic]) for topic in self.topics)

    def waits(self) -> bool:
        """Whether any do."""
        return self.waiting() > 0

    def ready(self, limit: int = 1) -> bool:
        """Whether ``take`` would give a unit that is worth it.

        While a commit flies, that is a unit of ``limit``: a smaller one could not start before the commit has landed,
        and what comes until then would wait behind it.
        """
        if self._out is not None or self.held or self.draining:
            return False
        return self.waiting() >= (limit if self._flight is not None else 1)

    def take(self, limit: int) -> LaneUnit:
        """The next records as a unit; the caller finishes it or gives it back."""
        assert self._out is None, "one unit of a lane is out at a time"
        if (room := limit - len(self._backlog)) > 0:
            self._backlog += self._read(room)
        records, self._backlog = self._backlog[:limit], self._backlog[limit:]
        self._bring(records)
        self._out = LaneUnit(self, records)
        self.still.clear()
        return self._out

    def _bring(self, records: Sequence[Record]) -> None:
        """Have the rows of a unit at hand before its body asks for them one by one."""
        keys = {record.key for record in records}
        missing = [key for key in keys if key not in self._flying and isinstance(self._rows.get(key), Missing)]
        if len(missing) >= FEW:
            found = self.claim.several(missing)
            for key in missing:
                self._rows.put(key, found.get(key))

    def _read(self, limit: int) -> list[Record]:
        """Topics in turns, an equal share each; what one leaves the others get."""
        found: list[Record] = []
        waiting = [topic for topic in self.topics if self.claim.head(topic) > self._position[topic]]
        if waiting:
            self._turn = (self._turn + 1) % len(waiting)
            waiting = waiting[self._turn :] + waiting[: self._turn]
        while waiting and len(found) < limit:
            share = -(-(limit - len(found)) // len(waiting))
            for topic in waiting:
                found += self._advance(topic, min(share, limit - len(found)))
            waiting = [topic for topic in waiting if self.claim.head(topic) > self._position[topic]]
        return found

    def _advance(self, topic: str, limit: int) -> Sequence[Record]:
        if limit <= 0:
            return ()
        head = self.claim.head(topic)
        records = self.claim.read(topic, self._position[topic], limit)
        self._position[topic] = records[-1].offset + 1 if records else head  # nothing left below: retention took it
        return records

    async def finish(self, unit: LaneUnit) -> None:
        """Send the unit on its way to the log; waits only while an earlier commit of the lane flies."""
        try:
            await self.settled()
            self._landing = unit.records
            self._launch(unit.staged())
        except BaseException:
            self.give_back(unit)
            raise
        self._free()

    def give_back(self, unit: LaneUnit) -> None:
        """Drop what the unit staged; its records come again. Rows that were saved stay saved."""
        self._backlog = [*unit.records, *self._backlog]
        self._free()

    # Rows

    def row(self, key: bytes) -> bytes | None:
        """A row as the next unit shall see it."""
        if key in self._flying:
            return self._flying[key]
        row = self._rows.get(key)
        if isinstance(row, Missing):
            row = self.claim.get(key)
            self._rows.put(key, row)
        return row

    def changed(self, rows: Mapping[bytes, bytes | None]) -> dict[bytes, bytes | None]:
        """Rows whose bytes are not known to be in the log already."""
        flying, at_hand = self._flying, self._rows.get
        return {key: row for key, row in rows.items() if (flying[key] if key in flying else at_hand(key)) != row}

    def scan(self, prefix: bytes, after: bytes, own: Mapping[bytes, bytes | None]) -> Iterator[tuple[bytes, bytes]]:
        """Committed rows under those in flight under ``own``, in key order."""
        return overlaid(self.claim.scan(prefix, after), (self._flying, own), prefix, after)

    async def save(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Make rows durable now, without offsets or records."""
        await self.settled()
        if changed := self.changed(rows):
            self._launch(Staged(self.id, self.claim.epoch, changed, (), {}))
            await self.settled()

    # Commits

    async def settled(self) -> None:
        """Return when no commit flies. Raises what ended the lane."""
        while self._flight is not None:
            await asyncio.wait((self._flight,))
        if self._failure is not None:
            raise self._failure

    def _launch(self, staged: Staged) -> None:
        if not (staged.rows or staged.records or staged.offsets):
            return
        self._flying = staged.rows
        self.still.clear()
        self._flight = asyncio.ensure_future(self._fly(staged))

    async def _fly(self, staged: Staged) -> None:
        self._failure = EngineError(f"lane {self.id}: the outcome of a commit is unknown")
        began = time.monotonic()
        try:
            await self.log.commit(staged)
            self._rows.update(staged.rows)
            self.next.update(staged.offsets)
            self.commits += 1
            self.committing += time.monotonic() - began
            self.on_landed(staged)
            self._failure = None
        except EngineError as error:
            self._failure = error
        finally:
            self._flying = {}
            self._landing = ()
            self._flight = None
            if self._out is None:
                self.still.set()
            self.on_ready()

    # Turns

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[LaneUnit]:
        """A unit without records, while no other unit is out; durable when the block ends, dropped if it raises."""
        await self._enter()
        unit = self._out = LaneUnit(self, ())
        self.still.clear()
        try:
            yield unit
            await self.settled()
            self._launch(unit.staged())
            await self.settled()
        finally:
            self._free()

    async def _enter(self) -> None:
        if self._out is None and not self._waiting and not self.draining:
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._free()  # the lane was handed over in the very moment of the cancellation
            raise

    def _free(self) -> None:
        """The lane passes to the next turn that waits, else to the body."""
        self._out = None
        while self._waiting and not self.draining:
            place = self._waiting.popleft()
            if not place.done():
                self._out = LaneUnit(self, ())
                place.set_result(None)
                return
        if self._flight is None:
            self.still.set()
        self.on_ready()
