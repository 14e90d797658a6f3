"""The contract of a connector: six calls on one system, and the facts about its entity types.

An endpoint is one system with its credentials. It reads pages, reads and finds single records, and writes;
it keeps no state between calls but connections, tokens and rate budgets. Where it has got to is the caller's,
in an opaque cursor. Errors are those of ``connectors.errors`` and no others.

Times are integers: microseconds since the epoch, UTC. Ids are strings, whatever the system's own type; a
*record* is the system's own JSON object, never modelled. *Paths* name fields: ``address.city``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Struct

from connectors.spread import Spread

Time: TypeAlias = int
"""Microseconds since the epoch, UTC."""

Record: TypeAlias = dict[str, Any]
"""A record as the system writes it, decoded JSON."""

Cursor: TypeAlias = Any
"""How far a type has been read: JSON that only its connector understands; ``None`` is the very beginning."""


class Reading(Struct, frozen=True):
    """A record as the system sent it when it was read by itself, and when that was asked for: on a clock of its own."""

    record: Record
    at: float

    def __eq__(self, other: object) -> bool:
        """It says nothing of the record's state: two entities are equal, whenever and however they were read."""
        return other is None or isinstance(other, Reading)

    __hash__ = object.__hash__


class Entity(Struct, frozen=True, kw_only=True):
    """One record as one system held it when it was read."""

    id: str
    record: Record
    updated_at: Time | None = None
    """When the system last changed it, by the system's own clock; ``None`` if it does not say."""
    revision: int | None = None
    """A number that grows with every change of the record, where the system has one."""
    marker: str | None = None
    """Our own mark, written when we created the record; taken out of the record's fields."""
    pristine: bool = False
    """The system says that it was never changed since it was created."""
    by_us: bool | None = None
    """Whether our credentials made the last change; ``None`` if the system does not say."""
    reading: Reading | None = None
    """What a write on this record stands on; ``None`` is as good as long ago."""


class Rejected(Struct, frozen=True, kw_only=True):
    """A part of an answer that could not be understood, kept with its reason."""

    reason: str
    body: bytes
    id: str | None = None


class Page(Struct, frozen=True, kw_only=True):
    """One answer to "what is there since this cursor"."""

    entities: tuple[Entity, ...] = ()
    gone: tuple[str, ...] = ()
    """Ids that the system itself reports as deleted. Absence is not in here."""
    rejected: tuple[Rejected, ...] = ()
    cursor: Cursor = None
    """Where to go on: the next page while ``more``, the next round after that."""
    more: bool = False
    whole: str | None = None
    """The round that this page belongs to lists every record there is whose id is this or greater; empty: all of them.
    ``None``: it lists what changed, or nobody can tell."""
    since: Time | None = None
    """Later rounds will read records changed at or after this time again (the overlap)."""


UPSERTED, KEYED, _UNMARKED = 1, 2, 5
"""Create classes that somebody has to know by name."""


class Traits(Struct, frozen=True, kw_only=True):
    """What one entity type of a system can do."""

    id: Literal["string", "integer"] = "string"
    """The type an id has inside the system's own JSON."""
    key: str = "id"
    """The path of the id in a record; empty where no field of it holds the id."""
    changes: Literal["since", "list"] = "list"
    """``since``: a cursor brings only what changed; ``list``: every round brings everything."""
    create: Literal[1, 2, 3, 4, 5] | None = None
    """How surely a create is made once: 1 the system upserts by our key, 2 idempotency key, 3 marker that can
    be looked up at once, 4 marker whose look-up lags (``settle``), 5 no marker. ``None``: cannot be created."""
    look_up: Literal["marker", "recent", "none"] = "marker"
    """How a record is looked for whose create was not answered: by its marker, which it shows whenever it is read;
    among the records created lately; or not at all, so that a person has to look."""
    settle: float = 0.0
    """Seconds after which a created record is surely found by its look-up."""
    late: float = 0.0
    """Seconds for which a request may still arrive after it was given up, or after its process died."""
    idempotent_for: float = 0.0
    """Seconds for which class 2 remembers a key. A create that is older is looked up as its ``look_up`` says."""
    lag: float = 0.0
    """Seconds by which a read may trail behind a write."""
    fields: frozenset[str] | None = None
    """Paths known to exist; ``None`` when the system does not tell."""
    writable: frozenset[str] | None = None
    """Paths that may be written; ``None`` means all that exist."""
    required: frozenset[str] = frozenset()
    """Paths without which a create is refused."""
    fixed: Mapping[str, str] = {}
    """Fields that a create may be given, that show something of the system's own all the same, and that nobody can
    change; each with the reason. The date of a comment: it stands in the text."""
    remove: frozenset[Literal["archive", "delete"]] = frozenset()
    unverified: tuple[str, ...] = ()
    """What is assumed about the system and nobody has confirmed."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.create == _UNMARKED and self.look_up == "marker":
            raise ValueError("create: found class 5, which has no marker, and look_up: marker; recent or none is right")

    @property
    def marked(self) -> bool:
        """Whether the records that we create show our marker, whoever reads them."""
        return self.create is not None and self.look_up == "marker"


class Room(Struct, frozen=True, kw_only=True):
    """A window of a rate budget: of ``count`` requests in ``seconds``, so many may leave now."""

    count: int
    seconds: float
    left: int


class Usage(Struct, frozen=True, kw_only=True):
    """What was asked of a system since the start, and what may still be asked of it."""

    answers: Mapping[tuple[str, str], int] = {}
    """By method and status; ``none`` where no answer came."""
    rooms: tuple[Room, ...] = ()
    wait: float = 0.0
    """Seconds for which the system asked to be left alone."""
    took: Mapping[str, Spread] = {}
    """By method: from the first byte sent to the last byte read, of requests that were answered."""
    token_left: float | None = None
    """Seconds until the access token is renewed; nothing where it does not expire, or none was asked for yet."""


class Endpoint(Protocol):
    """One system, open for reading and writing. ``type`` is an entity type's short name: ``tasks``."""

    def traits(self) -> Mapping[str, Traits]:
        """Tell what each entity type can do; answers without a network."""
        ...

    def clock_ahead(self) -> float | None:
        """Tell by how many seconds the system's clock is ahead of ours; ``None`` where that is not known."""
        ...

    def usage(self) -> Usage:
        """Tell what was asked of the system, and how much may still be asked."""
        ...

    async def page(self, type: str, cursor: Cursor) -> Page:
        """Read what comes after the cursor. Raises Retry, Locked, BadAnswer; Refused if the cursor is of no use.

        A record whose only news is what our own write was answered with may be left out.
        """
        ...

    async def read(self, type: str, id: str) -> Entity:
        """Read one record, past any cache. Raises Missing, Retry, Locked, BadAnswer."""
        ...

    async def find(self, type: str, marker: str, since: Time) -> tuple[Entity, ...]:
        """Find the records with this marker that were created at or after ``since``, oldest first."""
        ...

    async def recent(self, type: str, since: Time) -> tuple[Entity, ...]:
        """List the records created at or after ``since``, oldest first. Raises Refused where traits say it cannot."""
        ...

    async def create(self, type: str, wanted: Mapping[str, Any], marker: str) -> Entity:
        """Create a record with these values by path, marked; answers what the system then held.

        An empty marker marks nothing: so a person's record is made.

        Raises Refused (with fields when known), Retry (surely not created), Unsure, Locked.
        """
        ...

    async def update(self, type: str, base: Entity, wanted: Mapping[str, Any]) -> Entity:
        """Change these paths and no others of a record that was just read; answers what the system then held.

        A base that was not read just now is read once more and compared, where the system does not compare itself.

        Raises Stale where the system can compare, Missing, Refused, Retry, Unsure, Locked.
        """
        ...

    async def remove(self, type: str, base: Entity, how: Literal["archive", "delete"]) -> None:
        """Archive or delete a record that was just read. Raises as ``update`` does."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...
