"""What the stages see of the engine: records in, one atomic commit out.

A *unit* is a batch of records of one partition. Nothing that a body puts or emits is visible before the unit's
commit, all of it after. The owner of (agent, partition) is a *lane*: its records come in order, it has its own
rows, and one commit of it is in flight at a time. Bodies see units; only ``stream.engine`` knows lanes and logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeAlias

from msgspec import Struct

from stream.model import Time

Headers: TypeAlias = tuple[tuple[str, bytes], ...]


class Record(Struct, frozen=True, gc=False):
    """One record of a topic. ``timestamp`` is milliseconds since the epoch; a tombstone has no value."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    timestamp: int
    headers: Headers = ()


class Loss(Struct, frozen=True):
    """What is known of a loss of state: the log is not what it was when something was committed last.

    With it a new *life* of the log begins, named by the time at which the loss was noticed.
    """

    at: Time = 0
    """When it was noticed; zero for never."""
    since: Time = 0
    """From when on nothing is known; zero if nothing is known at all."""
    reason: str = ""
    healed: Time = 0
    """When it had been made good; zero until then."""


class Unit(Protocol):
    """A batch of records of one partition, with the lane's rows at hand."""

    partition: int
    partitions: int
    loss: Loss
    """The latest loss of state."""

    def __iter__(self) -> Iterator[Record]:
        """The records, in log order."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """The row of a key: own puts first, then units in flight, then committed rows."""
        ...

    def put(self, key: bytes, row: bytes | None) -> None:
        """Stage a row; ``None`` deletes it. Raises ``TooLarge``."""
        ...

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        """The lane's rows whose keys begin with ``prefix``, in key order, from beyond ``after``; own puts included."""
        ...

    def emit(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> None:
        """Stage a record for a topic; without a partition the key chooses it. Raises ``TooLarge``."""
        ...

    def sure(self) -> None:
        """Before anything outside that cannot be undone: raises when the lane may be somebody else's by now."""
        ...

    async def save(self) -> None:
        """Make the rows put so far durable now; offsets and emitted records wait for the commit."""
        ...
