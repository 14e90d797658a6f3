"""A replay in memory: what would be written if records were told again, under the flows of a configuration.

The rows of the log are taken as they are, and what is under way is decided anew. Then the chosen records are told, and
every row that was made under other flows is woken, so that new ones may look for counterparts: of such a row only what
it knows is known, and a field that nobody mapped so far is in a replay of its record alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stream.codec import decode_change, decode_message
from stream.core.row import Row
from stream.errors import BadRecord
from stream.join import Join
from stream.model import Counted, Message, Resync, Rouse, Time, Wake, type_of
from stream.operate.plan import Log, kept
from stream.rehearsal import Rehearsal, granted
from stream.topics import MAIL, changes
from stream.topology import Topology


class Retold:
    """What would come of a replay. ``skipped`` counts records that no flow of the configuration speaks of."""

    def __init__(self, topology: Topology, clock: Callable[[], Time], log: Log) -> None:
        self.topology = topology
        self.told = 0
        self.skipped = 0
        self.rehearsal = Rehearsal(topology.flows, clock(), granted, kept(log))
        self._reading = Join(topology.flows, clock).reading
        self._types = {changes(name): name for name in topology.flows.paths}

    def make(self, records: Iterable[tuple[str, bytes, bytes | None]], on_told: Callable[[int], object]) -> Rehearsal:
        """Tell records: topic, key and value of each."""
        flows, rehearsal = self.topology.flows, self.rehearsal
        rehearsal.again()
        for topic, key, value in records:
            message = self._message(topic, value)
            if message is None:
                self.skipped += 1
            else:
                self.told += 1
                rehearsal.tell(key.decode(errors="replace"), message)
                on_told(self.told)
        for ref, row in list(rehearsal.rows.items()):
            if isinstance(row, Row) and flows.ends(type_of(ref)) and row.plan != flows.plan(type_of(ref)):
                rehearsal.tell(ref, Wake())
        rehearsal.open(flows.paths)
        rehearsal.settle()
        return rehearsal

    def _message(self, topic: str, value: bytes | None) -> Message | None:
        """What a record says to its row; nothing if it cannot be understood, or speaks to none."""
        try:
            if topic in self._types:
                return self._reading(self._types[topic], decode_change(value))
            found = decode_message(value) if topic == MAIL else None
        except BadRecord:
            return None
        return None if isinstance(found, Counted | Rouse | Resync) else found
