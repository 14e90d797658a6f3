"""The nouns: what rows, topics and stages speak of.

A *ref* names one entity: ``asana.tasks:1207`` (system, type, the system's id) and is the key of its records and
its row. Times are integers, microseconds since the epoch, UTC. A *version* is compared, carried along and never
taken apart. Values are JSON. Messages of ``links.mail`` are one closed, tagged union; the key of the record is
the receiver. ``edge`` in a message is always the *receiver's* end of a flow: ``<flow>/a`` or ``<flow>/b``.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

Value: TypeAlias = Any
"""A JSON value; ``None`` for an empty field and for one that the record does not have."""

Ref: TypeAlias = str
"""``<system>.<type>:<id>``."""

Time: TypeAlias = int
"""Microseconds since the epoch, UTC."""

FORMAT = 1
"""The format of rows and messages; a reader refuses a newer one."""


def type_of(ref: Ref) -> str:
    """The entity type of a ref: ``asana.tasks``."""
    return ref[: ref.index(":")]


def id_of(ref: Ref) -> str:
    """The system's own id in a ref."""
    return ref[ref.index(":") + 1 :]


class Version(Struct, frozen=True, array_like=True, order=True, gc=False):
    """When a value came to be, and where: the order that decides between values.

    A ``time`` below zero is no time but one of the marks of ``core.versions``. ``rank`` is the order of the system,
    ``digest`` a number made of the value: with them no two different edits are ever equal.
    """

    time: Time
    rank: int = 0
    digest: int = 0


class Stated(Struct, frozen=True, array_like=True):
    """A value, since when it holds, the version it was typed over, and the record at which it was typed."""

    value: Value
    version: Version
    base: Version | None = None
    author: Ref = ""


class Seen(Struct, frozen=True, kw_only=True, tag="seen", omit_defaults=True):
    """The record was read. ``fields`` has every mapped path of its type."""

    fields: dict[str, Value]
    read_at: Time
    updated_at: Time | None = None
    revision: int | None = None
    marker: str | None = None
    pristine: bool = False
    by_us: bool | None = None
    ahead: Time = 0
    """By how much the clock behind ``updated_at`` was known to be ahead of ours."""


class Gone(Struct, frozen=True, kw_only=True, tag="gone", omit_defaults=True):
    """The system says that the record is not there any more."""

    read_at: Time


class Offer(Struct, frozen=True, kw_only=True, tag="offer"):
    """These fields have these values since these versions; in the receiver's own words."""

    edge: str
    sender: Ref
    fields: dict[str, Stated]


class Propose(Struct, frozen=True, kw_only=True, tag="propose", omit_defaults=True):
    """Be my counterpart; ``key`` is the match value that speaks for it. ``anew``: you are, tell me everything again."""

    edge: str
    sender: Ref
    number: int
    key: str
    anew: bool = False


class Nudge(Struct, frozen=True, kw_only=True, tag="nudge", omit_defaults=True):
    """Propose to me: I am the other side, or I lost our link; with a number, I was deleted and came back.

    An index that is the sender itself says: ask me anew.
    """

    edge: str
    sender: Ref
    number: int = 0
    key: str = ""
    """The index that knew of nobody else, when this was said."""


class Accept(Struct, frozen=True, kw_only=True, tag="accept"):
    """I am your counterpart."""

    edge: str
    sender: Ref
    number: int


class Refuse(Struct, frozen=True, kw_only=True, tag="refuse"):
    """I am not your counterpart, or not any more."""

    edge: str
    sender: Ref
    number: int
    why: Literal["taken", "gone", "mismatch", "given up", "forgotten", "copy", "over", "left"]


class Attach(Struct, frozen=True, kw_only=True, tag="attach", omit_defaults=True):
    """You were created for me: this is what I asked for and what was seen.

    ``echo``: the create's own answer. ``claimed``: I know nothing of the create that made you; this is what I hold now.
    """

    edge: str
    sender: Ref
    number: int
    want: dict[str, Stated]
    seen: Seen | None = None
    echo: bool = False
    claimed: bool = False


class Claim(Struct, frozen=True, kw_only=True, tag="claim"):
    """I carry your marker: you created me."""

    edge: str
    sender: Ref


class Detach(Struct, frozen=True, kw_only=True, tag="detach", omit_defaults=True):
    """The record that was deleted was last known to be there at this time; the link with this number is over.

    ``parted``: nothing was deleted, a person ended the link; ``never``: these two are not to be linked again.
    ``keep``: it had left the flow, whose policy does not speak of it any more. ``shown``: the versions on the screen of
    who deleted it, by the receiver's fields.
    """

    edge: str
    sender: Ref
    number: int
    alive_at: Time
    keep: bool = False
    parted: bool = False
    never: bool = False
    shown: dict[str, Version] = {}


class Ask(Struct, frozen=True, kw_only=True, tag="ask"):
    """Who is your counterpart on this edge? Tell me now, and when it changes."""

    edge: str
    sender: Ref


class Answer(Struct, frozen=True, kw_only=True, tag="answer", omit_defaults=True):
    """My counterpart on this edge of mine; none any more without ``twin``. The highest number is the latest.

    ``later``: too many ask for me to tell you by myself; ask again.
    """

    edge: str
    sender: Ref
    number: int
    twin: Ref | None = None
    later: bool = False


class Register(Struct, frozen=True, kw_only=True, tag="register", omit_defaults=True):
    """To an index: I carry your key, or not any more."""

    sender: Ref
    edge: str
    """The sender's own."""
    present: bool = True
    linked: bool = False
    holds: bool = False
    """I hold the right to create."""
    number: int = 0
    """The newest word counts: an older one may be said again, and late."""


class ClaimKey(Struct, frozen=True, kw_only=True, tag="claimkey", omit_defaults=True):
    """To an index: who on the other side carries your key? If nobody, may I create?"""

    edge: str
    sender: Ref
    number: int
    create: bool = False


class Release(Struct, frozen=True, kw_only=True, tag="release"):
    """To an index: I need the lock no more."""

    sender: Ref
    number: int


class Found(Struct, frozen=True, kw_only=True, tag="found"):
    """From an index: these carry the key; ``taken``: all are linked already; ``many``: it is full, come again later."""

    edge: str
    key: str
    number: int
    candidates: tuple[Ref, ...]
    taken: bool = False
    many: bool = False


class Free(Struct, frozen=True, kw_only=True, tag="free"):
    """From an index: nobody carries the key; if you asked to create, the lock is yours."""

    edge: str
    key: str
    number: int


class Counted(Struct, frozen=True, kw_only=True, tag="counted"):
    """To a lane: every record of a type that was there at the first reading, and lay in this partition, was sent."""

    entity: str
    plan: int
    source: int
    of: int
    life: Time = 0
    """The life of the log in which it was read; see ``ports.Loss``."""


class Leaving(Struct, frozen=True, kw_only=True, tag="leaving", omit_defaults=True):
    """To the brake of a type: I am gone; may my links end? ``since`` is when I asked first."""

    sender: Ref
    since: Time
    links: int = 1
    first: bool = False


class Verdict(Struct, frozen=True, kw_only=True, tag="verdict"):
    """From a brake: end your links, end them and let the copies be kept, or stay as you are."""

    since: Time
    verdict: Literal["go", "keep", "stay"]


class Settle(Struct, frozen=True, kw_only=True, tag="settle"):
    """From a person to a brake: what becomes of all who asked before this time."""

    verdict: Literal["go", "keep"]
    at: Time


class Rouse(Struct, frozen=True, kw_only=True, tag="rouse", omit_defaults=True):
    """To every lane: wake what waits of this type; with ``early`` before its time."""

    entity: str
    early: bool = False


class Resync(Struct, frozen=True, kw_only=True, tag="resync", omit_defaults=True):
    """To a lane: have all rows of these types tell everything anew; of no type: all were told, in this life."""

    types: tuple[str, ...]
    life: Time = 0


class Roster(Struct, frozen=True, kw_only=True, tag="roster"):
    """Between a roster of creates under way and a record of a type without a marker.

    ask: may one of them have made me? wait: ask again with this number. clear: none of them made you.
    """

    kind: Literal["ask", "wait", "clear"]
    edge: str
    sender: Ref
    number: int


class Decide(Struct, frozen=True, kw_only=True, tag="decide", omit_defaults=True):
    """A person knows what became of a create in doubt: this record, or none without ``peer``."""

    edge: str
    peer: Ref = ""


class Correct(Struct, frozen=True, kw_only=True, tag="correct"):
    """A person says that a field has this value; said by who saw the value of the version ``over``."""

    field: str
    value: Value
    over: Version


class Part(Struct, frozen=True, kw_only=True, tag="part", omit_defaults=True):
    """A person ends the link to this record; with ``never`` the two are not to be linked again."""

    edge: str
    peer: Ref
    never: bool = False


class Pair(Struct, frozen=True, kw_only=True, tag="pair"):
    """A person says that this record is your counterpart; to the left side of a flow."""

    edge: str
    peer: Ref


class Wake(Struct, frozen=True, kw_only=True, tag="wake", omit_defaults=True):
    """Plan again; with ``resync`` forget what others know of you and tell them anew.

    With ``retry`` a person says that what was refused may be tried again; with ``early`` nothing waits
    for its time.
    """

    resync: bool = False
    retry: bool = False
    early: bool = False


Outcome: TypeAlias = Literal["done", "found", "stale", "missing", "refused", "retry", "superseded", "unknown"]


class Receipt(Struct, frozen=True, kw_only=True, tag="receipt", omit_defaults=True):
    """What became of a command.

    done: ``before`` is what the target held right before, ``after`` what it then held. found: a create had
    happened before, ``after`` is the record. stale: ``before`` is the record as it is now. refused: ``fields``
    says why, per field, as far as the system said. retry: nothing known to be done, ask again after ``wait``.
    ``guard_at`` is the time of the first attempt's guard read, when an earlier attempt may have written; ``at`` when a
    record was removed, or found missing.
    """

    number: int
    outcome: Outcome
    target: Ref | None = None
    before: Seen | None = None
    after: Seen | None = None
    guard_at: Time | None = None
    at: Time | None = None
    fields: dict[str, str] = {}
    reason: str = ""
    wait: float | None = None
    requests: tuple[str, ...] = ()
    """What was asked of the system, with its own ids of the requests."""
    forgotten: bool = False
    """Found: it was made by a create that was lost with the log, and nobody knows what that one asked for."""


Message: TypeAlias = (
    Seen
    | Gone
    | Offer
    | Propose
    | Nudge
    | Accept
    | Refuse
    | Attach
    | Claim
    | Detach
    | Ask
    | Answer
    | Register
    | ClaimKey
    | Release
    | Found
    | Free
    | Roster
    | Decide
    | Correct
    | Part
    | Pair
    | Wake
    | Receipt
    | Leaving
    | Verdict
    | Settle
)
"""Everything that a row can be told."""


class Command(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Make a record look like this. Keyed by the record that asks, which gets the receipt.

    update: ``target`` is the record, ``base`` what it is believed to hold. create: ``type`` and ``marker``; the
    sender is the origin and ``edge`` its end of the flow. archive, delete: the ``target`` is to go, if it still holds
    ``base``; a target that is missing went already.
    """

    number: int
    kind: Literal["update", "create", "archive", "delete"]
    type: str
    want: dict[str, Value]
    base: dict[str, Value] = {}
    target: Ref | None = None
    marker: str = ""
    edge: str = ""
    issued_at: Time = 0
    attempt: int = 0
    sure: int = 0
    """No create up to this number made anything: a person looked (C11)."""


class Order(Struct, frozen=True, kw_only=True, tag_field="order", tag="forget"):
    """To the reader of a type: this record was read or written elsewhere; what you know of it is out of date.

    A system without times of change shows a value that was put back as if nothing had happened.
    """

    ref: Ref


class Hold(Struct, frozen=True, kw_only=True, tag_field="order", tag="hold", omit_defaults=True):
    """To every reader's lane, from a person: a system or an entity type is paused, or goes on."""

    what: str
    on: bool
    at: Time
    why: str = ""


class Reread(Struct, frozen=True, kw_only=True, tag_field="order", tag="reread"):
    """To the reader of a type: read all of it from the beginning, and publish it, whether it looks new or not."""

    at: Time


class Conflict(Struct, frozen=True, kw_only=True):
    """A value that lost: what stood where, and what won over it."""

    ref: Ref
    field: str
    lost: Stated
    won: Stated
    at: Time


class Source(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a change comes from, in Debezium's place for it and, as far as it has them, in its words.

    ``ts_ms`` and ``ts_us`` are the system's own time of the change; ``name`` and ``db`` are both the system.
    """

    version: str = ""
    connector: str
    name: str
    snapshot: str = ""
    db: str = ""
    entity: str = field(name="table")
    id: str
    ts_ms: int | None = None
    ts_us: Time | None = None
    revision: int | None = None
    marker: str | None = None
    pristine: bool = False
    by_us: bool | None = None
    ahead_us: Time = 0
    """By how much the system's clock was known to be ahead of ours."""


class Change(Struct, frozen=True, kw_only=True):
    """What a change topic carries: Debezium's envelope, as ``envelope`` fills it. ``op`` is r (read) or d (gone).

    ``ts_ms`` and ``ts_us`` are when it was read.
    """

    op: Literal["c", "u", "d", "r"]
    before: dict[str, Value] | None
    after: dict[str, Value] | None
    ts_ms: int
    ts_us: Time = 0
    source: Source
