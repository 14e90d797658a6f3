"""Flows, as a row sees them: its ends, and along each end which field leads where.

A flow keeps two entity types in step; ``a`` is its left side, ``b`` its right. Both ends of all flows of a type
are laid out once, when the topology is read, so that deciding is a walk through tuples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeAlias
from zlib import crc32

from msgspec import Struct, field

from stream.core.fields import SET, whole
from stream.model import Ref, Value

Convert: TypeAlias = Callable[[Value], Value]
"""A value of one side in the other side's words; raises ValueError when there is no such word."""

ROSTER = "roster:"
"""Before the edge on which records are created without a marker: the key of the roster (C7)."""

Holds: TypeAlias = Callable[[Mapping[str, Value]], bool]
"""Whether a record, given by its fields, meets a condition; raises ValueError when it cannot be told."""

Direction: TypeAlias = Literal["both", "forward", "backward"]


class Condition(Struct, frozen=True):
    """What a record of a flow's left side has to meet, as it is written, and the fields that it reads."""

    text: str
    reads: tuple[str, ...]
    holds: Holds


class Conversion(Struct, frozen=True):
    """A named pair of functions. Law: ``back(to(x))`` means what ``x`` meant. ``None`` leaves the value as it is."""

    name: str = "same"
    to: Convert | None = None
    back: Convert | None = None
    words: tuple[tuple[Value, Value], ...] = ()
    """The left and right words of an enumeration."""


class Pair(Struct, frozen=True, kw_only=True):
    """One field on each side that mean the same."""

    left: str
    right: str
    conversion: Conversion = Conversion()
    direction: Direction = "both"
    reference: str | None = None
    """The flow whose links translate the ids that this field holds."""
    required: Literal["", "a", "b"] = ""
    """The side on which a record cannot be created without this field."""
    when: Condition | None = None
    """The pair holds only while the left record meets this, in both directions."""


class Flow(Struct, frozen=True, kw_only=True):
    """Two entity types kept in step."""

    name: str
    left: str
    right: str
    create: Literal["forward", "both", "never"] = "never"
    match: tuple[tuple[tuple[str, str], ...], ...] = ()
    """Alternatives; in each, pairs of fields that must all be equal."""
    pairs: tuple[Pair, ...] = ()
    when: Condition | None = None
    """Only left records that meet this take part."""
    linked: tuple[tuple[str, str], ...] = ()
    """Fields of the left with ids, each with the flow of the records they name: one of those must be linked, or no
    counterpart is created."""
    delete: Literal["keep", "archive", "delete"] = "keep"
    ours: bool = False
    """The pairs are our choice; the customer's document left them open."""
    source: tuple[str, ...] = ()
    """The statements of customers' documents that say so."""


class Reference(Struct, frozen=True):
    """How an id in a field is translated: ask ``type``:id who its twin is on ``edge``."""

    edge: str
    type: str
    twin: str
    integer: bool = False
    """The twin's system writes ids as numbers."""


class Lead(Struct, frozen=True):
    """Where one of our fields leads: the peer's field, and how the value gets there."""

    field: str
    peer: str
    convert: Convert | None = None
    reference: Reference | None = None
    required: bool = False
    when: Condition | None = None


class Guard(Struct, frozen=True):
    """A pair that holds only under a condition on this record."""

    name: str
    field: str
    when: Condition
    leads: bool
    takes: bool


class End(Struct, frozen=True, kw_only=True):
    """One type's end of a flow."""

    edge: str
    peer_edge: str
    side: Literal["a", "b"]
    flow: str
    peer_type: str
    leads: dict[str, tuple[Lead, ...]]
    takes: Mapping[str, Convert | None]
    """Own fields that the peer may set; and how a value of ours looks in its words, which may say less."""
    criteria: tuple[tuple[str, ...], ...]
    """Own fields of each match alternative."""
    criterion_names: tuple[str, ...]
    """The same on both ends."""
    watched: tuple[str, ...]
    """All of them: no match value changes but with one of these."""
    creates: bool
    """This side creates the other."""
    created: bool
    """The other side creates this one."""
    roster: str = ""
    """The roster to be in before the other side is created; empty where its records carry our marker (C7)."""
    asks: str = ""
    """The roster that a new record of this side asks; empty where it would carry our marker, or is never created."""
    removal: Literal["keep", "archive", "delete"] = "keep"
    """What becomes of this record when the other one is deleted (D2)."""
    when: Condition | None = None
    """What this record has to meet; only left sides are asked."""
    guards: tuple[Guard, ...] = ()
    needs: tuple[tuple[str, Reference], ...] = ()
    """References of which one must lead to a linked record before a counterpart is created."""

    def leads_of(self, field: str) -> tuple[Lead, ...]:
        """Where a field leads; an element of a set, where its set does."""
        return self.leads.get(field) or (self.leads.get(whole(field), ()) if SET in field else ())

    def may_set(self, field: str) -> bool:
        """Whether the peer may set an own field."""
        return field in self.takes or (SET in field and whole(field) in self.takes)


class TypeFacts(Struct, frozen=True, kw_only=True):
    """What the core must know of an entity type."""

    rank: int = 0
    """Order of its system; decides between edits of one instant."""
    integer_ids: bool = False
    marked: bool = True
    """Records that we create show our marker when they are read."""
    lag: int = 0
    """Microseconds by which a read may trail behind a write."""
    fixed: Mapping[str, str] = {}
    """Fields that a create may be given and that show something of the system's own, each with the reason."""
    patience: int = 0
    """Microseconds that a deletion waits for others like it (see ``core.brake``); zero: nothing is ever held."""
    fewest: int = 10
    """So many links may end at once, however few there are."""


class Flows:
    """All flows, laid out by entity type."""

    def __init__(self, flows: Iterable[Flow], facts: Mapping[str, TypeFacts]) -> None:
        self.flows = {flow.name: flow for flow in flows}
        self.facts = dict(facts)
        self._ends: dict[str, dict[str, End]] = {}
        for flow in self.flows.values():
            for side in ("a", "b"):
                end = self._end(flow, "a" if side == "a" else "b")
                own = flow.left if side == "a" else flow.right
                self._ends.setdefault(own, {})[end.edge] = end
        self.paths = {name: self._paths(ends.values()) for name, ends in self._ends.items()}
        self.sets = {name: tuple(path for path in paths if SET in path) for name, paths in self.paths.items()}
        """Per type, all fields that are observed: mapped ones, and those that conditions and criteria read."""
        self.written = {
            name: frozenset().union(*(end.takes for end in ends.values())) for name, ends in self._ends.items()
        }
        """Per type, the fields that a flow may write."""
        self.plans = {name: self._plan(name) for name in self._ends}

    def ends(self, type: str) -> Mapping[str, End]:
        """The ends of a type, by edge name; empty for a type that no flow names."""
        return self._ends.get(type, {})

    def fact(self, type: str) -> TypeFacts:
        """The facts of a type."""
        return self.facts.get(type, _NO_FACTS)

    def mapped(self, type: str, field: str) -> bool:
        """Whether a flow names a field of a type, or the set that it is an element of."""
        return field in self.paths[type] or (SET in field and whole(field) in self.paths[type])

    def plan(self, type: str) -> int:
        """A number that changes with whatever is configured for a type: rows and cursors notice new flows."""
        return self.plans.get(type, 0)

    def _end(self, flow: Flow, side: Literal["a", "b"]) -> End:
        left = side == "a"
        leads: dict[str, tuple[Lead, ...]] = {}
        takes: dict[str, Convert | None] = {}
        for pair in flow.pairs:
            own, peer = (pair.left, pair.right) if left else (pair.right, pair.left)
            if pair.direction != ("backward" if left else "forward"):
                convert = pair.conversion.to if left else pair.conversion.back
                lead = Lead(
                    field=own,
                    peer=peer,
                    convert=convert,
                    reference=self._reference(pair.reference, left=left) if pair.reference else None,
                    required=pair.required == ("b" if left else "a"),
                    when=pair.when if left else None,
                )
                leads[own] = (*leads.get(own, ()), lead)
            if pair.direction != ("forward" if left else "backward"):
                takes[own] = pair.conversion.to if left else pair.conversion.back
        other: Literal["a", "b"] = "b" if left else "a"
        criteria = tuple(tuple(pair[0 if left else 1] for pair in each) for each in flow.match)
        own, peer = (flow.left, flow.right) if left else (flow.right, flow.left)
        creates = flow.create == "both" or (left and flow.create == "forward")
        created = flow.create == "both" or (not left and flow.create == "forward")
        return End(
            edge=f"{flow.name}/{side}",
            peer_edge=f"{flow.name}/{other}",
            side=side,
            flow=flow.name,
            peer_type=peer,
            leads=leads,
            takes=takes,
            criteria=criteria,
            criterion_names=tuple(",".join(f"{one}={two}" for one, two in each) for each in flow.match),
            watched=tuple(dict.fromkeys(field for each in criteria for field in each)),
            creates=creates,
            created=created,
            roster="" if not creates or self.fact(peer).marked else f"{ROSTER}{flow.name}/{other}",
            asks="" if not created or self.fact(own).marked else f"{ROSTER}{flow.name}/{side}",
            removal=flow.delete,
            when=flow.when if left else None,
            guards=tuple(_guards(flow.pairs)) if left else (),
            needs=tuple((field, self._reference(name, left=True)) for field, name in flow.linked) if left else (),
        )

    def _reference(self, name: str, *, left: bool) -> Reference:
        through = self.flows[name]
        own, twin = (through.left, through.right) if left else (through.right, through.left)
        return Reference(f"{through.name}/{'a' if left else 'b'}", own, twin, self.fact(twin).integer_ids)

    @staticmethod
    def _paths(ends: Iterable[End]) -> tuple[str, ...]:
        paths: set[str] = set()
        for end in ends:
            paths.update(end.leads, end.takes, *end.criteria, (field for field, _ in end.needs))
            paths.update(end.when.reads if end.when else (), *(guard.when.reads for guard in end.guards))
        return tuple(sorted(paths))

    def _plan(self, type: str) -> int:
        known = [
            (
                *(end.edge, end.peer_type, sorted(end.leads), sorted(end.takes), end.criteria, end.creates),
                *((end.when.text,) if end.when else ()),
                *((guard.name, guard.when.text) for guard in end.guards),
                *(field for field, _ in end.needs),
            )
            for end in self._ends[type].values()
        ]
        return crc32(repr(sorted(known)).encode())


def _guards(pairs: Iterable[Pair]) -> Iterable[Guard]:
    for pair in pairs:
        if pair.when is not None:
            leads, takes = pair.direction != "backward", pair.direction != "forward"
            yield Guard(f"{pair.left} -> {pair.right}", pair.left, pair.when, leads, takes)


_NO_FACTS = TypeFacts()


class View(Struct, frozen=True):
    """What ``decide`` looks at beside the row: the flows, and the types that were read completely (C1)."""

    flows: Flows
    counted: frozenset[str] = field(default_factory=frozenset)
    links: Mapping[str, int] = field(default_factory=dict)
    """Linked ends in the lane, by type."""
    partitions: int = 1
    paused: frozenset[str] = frozenset()
    """Flows that a person has stopped for a while (F7)."""

    def open(self, *types: str) -> bool:
        """Whether creating may begin between these types.

        Without this gate A's record is read first, finds nobody and creates; B's twin is read a second later.
        """
        return self.counted.issuperset(types)


def marker(flow: str, origin: Ref) -> str:
    """The mark of a record that we create: it names the flow and the origin."""
    return f"{flow}|{origin}"


def parse_marker(text: str) -> tuple[str, Ref] | None:
    """Flow and origin of a mark; ``None`` for what is not one of ours."""
    flow, bar, origin = text.partition("|")
    if not bar or "." not in origin or ":" not in origin:
        return None
    return flow, origin
