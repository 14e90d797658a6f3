"""The census: which entity types were read completely, as far as one lane knows (C1).

At the end of the first complete reading of a type its poller sends one mark down every partition of its change
topic; the lane that meets it there sends it on to every lane. A lane that has heard from all of them has every match
key of the type before it: marks and keys take the same way, in order. Only then may it say "nobody has this value".

After a loss of state the log has another life, and the marks of a former one count no more: what was read then may be
forgotten by now. Then every lane must have had its rows tell everything anew, too, and says so by the same kind of
mark: an index that was set back has given a lock that nobody but its holder knows of.
"""

from __future__ import annotations

from msgspec import Struct, msgpack

from stream.core.flows import Flows
from stream.model import Counted, Time


class Mark(Struct, frozen=True, array_like=True):
    """What was heard of one type: the plan it was read under, of how many partitions, and which of them."""

    plan: int
    of: int
    sources: tuple[int, ...]


ROWS = "*"
"""In a mark instead of a type: the rows of the lane that it comes from, which were told to tell everything anew."""

PLANS = 4
"""Plans of one type whose marks are kept; marks of a former plan may still be on their way."""


class Census(Struct, frozen=True, array_like=True):
    """The marks of all types, by plan, the plan last heard of at the end; and the life of the log that they are of."""

    marks: dict[str, tuple[Mark, ...]] = {}
    life: Time = 0

    def complete(self, flows: Flows) -> frozenset[str]:
        """The types that were read completely under the plan of today; none before all rows of this life were told."""
        whole = frozenset(
            name
            for name, marks in self.marks.items()
            for mark in marks
            if mark.plan == flows.plan(name) and len(mark.sources) == mark.of
        )
        if self.life and ROWS not in whole:
            return frozenset()
        return whole - {ROWS}

    def hear(self, counted: Counted) -> Census:
        """The census after one more mark."""
        if counted.life != self.life:
            return self
        marks = self.marks.get(counted.entity, ())
        same = [mark for mark in marks if (mark.plan, mark.of) == (counted.plan, counted.of)]
        others = [mark for mark in marks if mark.plan != counted.plan]
        sources = {counted.source, *(source for mark in same for source in mark.sources)}
        heard = Mark(counted.plan, counted.of, tuple(sorted(sources)))
        return Census({**self.marks, counted.entity: (*others[1 - PLANS :], heard)}, self.life)


encode_census = msgpack.Encoder().encode
decode_census = msgpack.Decoder(Census).decode
