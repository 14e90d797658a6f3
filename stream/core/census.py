"""The census: which entity types were read completely, as far as one lane knows (C1).

At the end of the first complete reading of a type its poller sends one mark down every partition of its change
topic; the lane that meets it there sends it on to every lane. A lane that has heard from all of them has every match
key of the type before it: marks and keys take the same way, in order. Only then may it say "nobody has this value".
"""

from __future__ import annotations

from msgspec import Struct, msgpack

from stream.core.flows import Flows
from stream.model import Counted

KEY = b"census"


class Mark(Struct, frozen=True, array_like=True):
    """What was heard of one type: the plan it was read under, of how many partitions, and which of them."""

    plan: int
    of: int
    sources: tuple[int, ...]


class Census(Struct, frozen=True, array_like=True):
    """The marks of all types."""

    marks: dict[str, Mark] = {}

    def complete(self, flows: Flows) -> frozenset[str]:
        """The types that were read completely under the plan of today."""
        return frozenset(
            name for name, mark in self.marks.items() if mark.plan == flows.plan(name) and len(mark.sources) == mark.of
        )

    def hear(self, counted: Counted) -> Census:
        """The census after one more mark."""
        mark = self.marks.get(counted.entity)
        sources = mark.sources if mark is not None and (mark.plan, mark.of) == (counted.plan, counted.of) else ()
        heard = Mark(counted.plan, counted.of, tuple(sorted({*sources, counted.source})))
        return Census({**self.marks, counted.entity: heard})


encode_census = msgpack.Encoder().encode
decode_census = msgpack.Decoder(Census).decode
