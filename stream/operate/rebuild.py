"""Rebuild: rows and links made anew from the change topics, when the table is lost or cannot be trusted.

Of every record the newest reading counts. Links come of the marks in records and of what matches, as at a first start,
by the same rules; values get their versions at the link, by the times that systems gave. A record that the topics hold
no more keeps its old row, where that can be read: whoever is at its other end hears of it and links again. Nothing is
created here: what has no counterpart waits, as it does while types are read for the first time.

Then the old table is compared, and replaced. The order makes an interruption harmless at any moment: first the readers'
lanes forget how far they are, so that everything will be read anew; then those that write pass over the commands of the
old rows, which may have lost all note of what was done already; then lane by lane rows are exchanged, some at a time,
and with the first of them each forgets which types were read completely, so that nothing is created before that (C1).
Half exchanged is a table of which parts were set back, and rows know how to live with that; run again, it is finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import msgpack

from stream.codec import bytes_of, decode_change
from stream.core.fields import SET
from stream.core.reading import order
from stream.core.row import Kept, Row
from stream.engine.log import LaneId, Log, Staged, partition_of
from stream.errors import BadRecord
from stream.join import Join
from stream.model import Gone, Pair, Ref, Seen, Time, Wake, type_of
from stream.operate.outlook import peers, standings
from stream.operate.replay import Log as Topics
from stream.operate.replay import Selection, begin, chosen
from stream.operate.table import JOIN
from stream.pauses import PAUSED
from stream.rehearsal import HORIZON, LATER, Rehearsal, put_off
from stream.standing import STEPS, encode_counts
from stream.topics import CENSUS, MAIL, POLLS, TALLY, WAKE, changes, upserts
from stream.topology import Topology
from stream.wanted import push_agent

SOME = 500
"""Rows that are exchanged in one commit."""

_encode_tally = msgpack.Encoder().encode

Link = tuple[str, Ref, Ref]
"""A flow, its left record, its right one."""


class Rebuilt:
    """A table made anew, and the old one beside it."""

    def __init__(self, topology: Topology, clock: Callable[[], Time], old: Mapping[str, Kept]) -> None:
        self.topology = topology
        self.old = {ref: row for ref, row in old.items() if isinstance(row, Row) and row.remote}
        self.began = clock()
        self.read = 0
        """Readings in the topics."""
        self.damaged = 0
        """Records of the topics that could not be understood."""
        self.carried = 0
        """Rows that were taken over, because the topics do not hold their records any more."""
        self.heads: dict[str, tuple[int, ...]] = {}
        """Where the topics ended, partition by partition."""
        self._reading = Join(topology.flows, clock).reading
        self.rehearsal = Rehearsal(topology.flows, self.began, put_off)
        self.links: set[Link] = set()

    def make(self, log: Topics, on_read: Callable[[int], object], *, keep_links: bool = False) -> None:
        """Make the rows. ``keep_links``: links that nothing but the old rows shows are taken for a person's word."""
        newest = self._newest(log, on_read)
        left = {ref: row for ref, row in self.old.items() if ref not in newest}
        self.carried = len(left)
        began = self.began - HORIZON - round(LATER * 2e6)  # so that what waits at the end is due when a worker starts
        rehearsal = self.rehearsal = Rehearsal(self.topology.flows, began, put_off, left)
        types = self.topology.flows.paths
        rehearsal.again()
        for ref, seen in newest.items():
            if isinstance(seen, Seen):
                rehearsal.tell(ref, seen)
        rehearsal.open(types, create=False)
        for ref, row in list(rehearsal.rows.items()):
            if isinstance(row, Row) and ref in left:
                rehearsal.tell(ref, Wake(resync=True))
        rehearsal.settle()
        if keep_links:
            for flow, ref, peer in sorted(links_of(self.old) - links_of(rehearsal.rows)):
                rehearsal.tell(ref, Pair(edge=f"{flow}/a", peer=peer))
            rehearsal.settle()
        self.links = links_of(rehearsal.rows)
        self._shut()

    def _newest(self, log: Topics, on_read: Callable[[int], object]) -> dict[Ref, Seen | Gone]:
        names = {changes(name): name for name in self.topology.flows.paths}
        self.heads = {info.name: info.heads for info in log.topics()}
        place = begin(log, Selection(types=tuple(names.values())))
        found: dict[Ref, Seen | Gone] = {}
        for record in chosen(log, place):
            self.read += 1
            on_read(self.read)
            try:
                seen = self._reading(names[record.topic], decode_change(record.value))
                ref = record.key.decode()
            except (BadRecord, UnicodeDecodeError):
                self.damaged += 1
                continue
            if ref not in found or _newer(seen, found[ref]):
                found[ref] = seen
        return found

    def _shut(self) -> None:
        """Nobody has looked at the systems: what has no counterpart looks for one again when they were read."""
        self.rehearsal.shut()
        for ref, row in list(self.rehearsal.rows.items()):
            if isinstance(row, Row):
                self.rehearsal.tell(ref, Wake(resync=True))
        self.rehearsal.work()

    # What came of it

    def missing(self) -> list[Link]:
        """Links of the old table that nothing else shows."""
        return sorted(links_of(self.old) - self.links)

    def differences(self) -> dict[str, Any]:
        """The old table and the new one."""
        rows = {ref: row for ref, row in self.rehearsal.rows.items() if isinstance(row, Row)}
        old, both = links_of(self.old), self.old.keys() & rows.keys()
        flows = {
            name: {
                "old": sum(link[0] == name for link in old),
                "new": sum(link[0] == name for link in self.links),
                "missing": sum(link[0] == name for link in old - self.links),
                "other": sum(link[0] == name for link in self.links - old),
            }
            for name in self.topology.flows.flows
        }
        values = {ref: fields for ref in sorted(both) if (fields := _differing(self.old[ref], rows[ref]))}
        return {
            "read": self.read,
            "damaged": self.damaged,
            "records": {"old": len(self.old), "new": len(rows), "carried": self.carried},
            "flows": flows,
            "missing": [{"flow": flow, "left": left, "right": right} for flow, left, right in self.missing()],
            "values": [{"ref": ref, "fields": fields} for ref, fields in values.items()],
            "writes": sum(any(each.fields) for each in self.rehearsal.written.values()),
        }

    # Into the log

    async def switch(self, log: Log, on_done: Callable[[int], object]) -> None:
        """Exchange the rows of a log that is open, declared and nobody else's. Raises EngineError."""
        topics = [MAIL, *(changes(name) for name in self.topology.types)]
        for partition in range(log.partitions):
            await _forget(log, partition)
            for system in {polled.system for polled in self.topology.types.values()}:
                await self._pass_over(log, system, partition)
        done = 0
        for partition in range(log.partitions):
            offsets = self._ends(topics, partition)
            rows = self._rows(partition, log.partitions)
            claim = await log.claim(LaneId(JOIN, partition), topics, lambda: None)
            gone = {key: None for key, _ in claim.scan(b"") if key not in rows}
            left: Iterator[tuple[bytes, bytes | None]] = iter(({CENSUS: None} | gone | rows).items())
            while True:
                some = dict(islice(left, SOME))
                await log.commit(Staged(claim.lane, claim.epoch, some, (), offsets))
                done += len(some)
                on_done(done)
                offsets = {}
                if len(some) < SOME:
                    break
            await log.release(claim.lane)

    async def _pass_over(self, log: Log, system: str, partition: int) -> None:
        """Have the lane that writes to a system begin after the commands that there are."""
        topics = [upserts(name) for name, polled in self.topology.types.items() if polled.system == system]
        claim = await log.claim(LaneId(push_agent(system), partition), topics, lambda: None)
        await log.commit(Staged(claim.lane, claim.epoch, {}, (), self._ends(topics, partition)))
        await log.release(claim.lane)

    def _ends(self, topics: list[str], partition: int) -> dict[str, int]:
        return {topic: self.heads[topic][partition] for topic in topics if topic in self.heads}

    def _rows(self, partition: int, of: int) -> dict[bytes, bytes]:
        """What a lane keeps: its rows, when they want to be woken, how many links there are, how all of them stand."""
        mine = {ref: row for ref, row in self.rehearsal.rows.items() if partition_of(ref.encode(), of) == partition}
        rows = {ref.encode(): bytes_of(row) for ref, row in mine.items()}
        rows |= {
            WAKE + ref.encode(): at.to_bytes(8, "big")
            for ref, at in self.rehearsal.alarms.items()
            if partition_of(ref.encode(), of) == partition
        }
        links: dict[str, int] = {}
        for ref, row in mine.items():
            if isinstance(row, Row):
                count = sum(edge.state == "linked" for edge in row.edges.values())
                links[type_of(ref)] = links.get(type_of(ref), 0) + count
        return rows | {TALLY: _encode_tally(links), STEPS: encode_counts(dict(standings(mine.items())))}


async def _forget(log: Log, partition: int) -> None:
    """Have the readers of a partition begin anew; what a person paused stays so."""
    claim = await log.claim(LaneId("poll", partition), [POLLS], lambda: None)
    rows = iter([(key, None) for key, _ in claim.scan(b"") if key != PAUSED])
    while some := dict(islice(rows, SOME)):
        await log.commit(Staged(claim.lane, claim.epoch, some, (), {}))
    await log.release(claim.lane)


def _newer(one: Seen | Gone, other: Seen | Gone) -> bool:
    if isinstance(one, Seen) and isinstance(other, Seen):
        return order(one) >= order(other)
    return one.read_at >= other.read_at


def links_of(rows: Mapping[str, Kept]) -> set[Link]:
    """All links, by their left ends."""
    return {(flow, ref, peer) for ref, row in rows.items() for flow, peer in peers(row).items()}


def _differing(old: Row, new: Row) -> dict[str, dict[str, Any]]:
    """The fields that the two tables believe to be different."""
    one, other = _right(old), _right(new)
    fields = [field for field in one.keys() | other.keys() if SET not in field or field in one.keys() & other.keys()]
    return {
        field: {"old": one.get(field), "new": other.get(field)}
        for field in sorted(fields)
        if one.get(field) != other.get(field)
    }


def _right(row: Row) -> dict[str, Any]:
    cells = row.cells
    return {
        field: cells[field].newer[0] if field in cells and cells[field].newer else value
        for field, value in row.remote.items()
    }
