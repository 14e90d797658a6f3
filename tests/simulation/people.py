"""What people do: they add records and twins of records, type, rename, refer, and copy."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from stream.codec import encode
from stream.core.fields import PART, SET
from stream.core.flows import Convert, Flow, marker
from stream.core.index import MOST
from stream.core.row import Row
from stream.model import Decide, Pair, Part, Ref, Wake
from stream.topics import MAIL
from tests.simulation.systems import NOTE, SECOND, ModelSystem

if TYPE_CHECKING:
    from tests.simulation.world import World

FLAGS = ("completed", "dueComplete")
"""Fields that are yes or no, where the other side has words."""

CODES = ("code", "email", "OrganizationNumber")
"""Fields that records are matched by and that are no names."""

MANY = 4
"""Types of which records are added at one time, at most."""

DAY = date(2000, 1, 1).toordinal()


class People:
    """Everybody who works in the systems; every text they type is new."""

    def __init__(self, world: World, flows: list[Flow]) -> None:
        self.world, self.flows = world, flows
        lefts = {flow.left for flow in flows}
        rights = {flow.right for flow in flows if flow.create != "never"}
        self.origins = sorted(lefts - rights) or sorted(lefts)
        self.both = sorted({flow.right for flow in flows if flow.create == "both"})
        self.number = 0
        self.kinds: dict[str, dict[str, str]] = {}
        """Per type, the fields that people type and what belongs into them."""
        self.refers: dict[tuple[str, str], str] = {}
        self.names = {type: _name_field(type, flows) for flow in flows for type in (flow.left, flow.right)}
        self.codes = _codes(flows) - set(self.names.items())
        """Fields that records are matched by beside their names."""
        self.spelling: dict[tuple[str, str], Convert | None] = {}
        """How a type writes its dates."""
        for flow in flows:
            for pair in flow.pairs:
                for type, field, left in ((flow.left, pair.left, True), (flow.right, pair.right, False)):
                    kind = pair.conversion.name if pair.conversion.name in ("date", "enum") else "text"
                    if pair.reference is not None:
                        through = next(each for each in flows if each.name == pair.reference)
                        self.refers[type, field.removesuffix(SET)] = through.left if left else through.right
                        kind = "one of many" if pair.conversion.name == "first" and left else "one"
                        kind = "own" if pair.left == "id" else kind
                    elif kind == "enum":
                        kind = "flag" if field in FLAGS else "word"
                    if PART in field:
                        kind = "group"
                    elif SET in field:
                        kind = "elements of another" if pair.reference is not None else "elements"
                    elif (type, field) in self.codes:
                        kind = "code"
                    elif kind == "date":
                        self.spelling[type, field] = pair.conversion.back if left else pair.conversion.to
                    self.kinds.setdefault(type, {})[field.removesuffix(SET)] = kind
            for when in (flow.when, *(pair.when for pair in flow.pairs)):
                for field in when.reads if when else ():
                    self.kinds[flow.left].setdefault(field, "word")
            for field, name in flow.linked:
                through = next(each for each in flows if each.name == name)
                self.refers[flow.left, field] = through.left
                self.kinds[flow.left][field] = "one"
        self.namesakes = False
        """Every record has another one of its name beside it."""

    # Records

    def found(self) -> None:
        """Two records of every origin, some with a twin; and what the other side has of its own."""
        for name in self._some(self.origins):
            for _ in range(2):
                self.add(name, twin=self.world.roll() < 0.4)
                if self.namesakes:
                    self._add(name, f"N{self.number} ")
        for name in self.both:
            self.add(name)

    def late(self) -> None:
        """A record that comes later: one to which others refer at once, or one on the other side."""
        for name in self._some([*self.origins, *self.both]):
            self.add(name)

    def _some(self, names: list[str]) -> list[str]:
        return names if len(names) <= MANY else sorted(self.world.random.sample(names, MANY))

    def at_once(self) -> None:
        """Two people add the same on both sides of a flow within a moment."""
        self.world.count("things added twice at once")
        flow = self.world.random.choice([flow for flow in self.flows if flow.match] or self.flows)
        self.number += 1
        self._add(flow.left, f"n{self.number}")
        self._add(flow.right, f"N{self.number}")

    def crowd(self) -> None:
        """Several people add what has one name, on one side of a flow or on both; seldom more than an index keeps."""
        self.world.count("crowds")
        flow = self.world.random.choice([flow for flow in self.flows if flow.match] or self.flows)
        self.number += 1
        for name, many in ((flow.left, [1, 2, 2, 3, MOST + 2]), (flow.right, [0, 1, 2, 3, 3])):
            for _ in range(self.world.random.choice(many)):
                self._add(name, f"n{self.number}")

    def add(self, name: str, *, twin: bool = False) -> None:
        self.number += 1
        like = self._add(name, f"n{self.number}")
        first = next((flow for flow in self.flows if flow.left == name), None)
        if twin and first is not None and first.match:
            self.world.now += SECOND
            self._add(first.right, f" N{self.number} ", like=like)

    def copy(self) -> None:
        """Somebody duplicates a record, marker and all; the system gives it a new id."""
        made = [
            (system, kind, id)
            for system in self.world.systems.values()
            for kind, records in system.records.items()
            for id, record in records.items()
            if record["marker"]
        ]
        if made:
            system, kind, id = self.world.random.choice(made)
            record = system.records[kind][id]
            copied = system.add(kind, record["fields"], marker=record["marker"])
            self.world.happened["copies"] += 1
            self.world.tell("somebody copies {}.{}:{} as :{}", system.name, kind, id, copied)

    def decide(self) -> bool:
        """Whoever is asked what became of a create goes and looks, once nothing can arrive any more (C11).

        Whether anybody was asked.
        """
        doubts = [
            (ref, self.world.flows.ends(ref.partition(":")[0])[name])
            for ref, row in self.world.rows().items()
            for name, edge in row.edges.items()
            if edge.state == "unknown" and not any(system.on_the_way for system in self.world.systems.values())
        ]
        for ref, end in doubts:
            system, _, kind = end.peer_type.partition(".")
            mark = marker(end.flow, ref)
            records = self.world.systems[system].records[kind]
            made = [f"{end.peer_type}:{id}" for id, each in records.items() if each["marker"] == mark]
            peer = next((each for each in made if not self._linked_elsewhere(each, end.peer_edge, ref)), "")
            self.world.happened["decisions"] += 1
            self.world.tell("somebody decides that {} became {!r} on {}", ref, peer, end.edge)
            self.world.append(MAIL, ref.encode(), encode(Decide(edge=end.edge, peer=peer)), (), None)
        return bool(doubts)

    def _linked_elsewhere(self, ref: Ref, edge: str, to: Ref) -> bool:
        row = self.world.row(ref)
        known = None if row is None else row.edges.get(edge)
        return known is not None and known.state == "linked" and known.peer != to

    def tries_again(self) -> None:
        """A person says of some record that what was refused may be tried again, or what waits for a time need not."""
        refs = sorted(self.world.rows())
        if refs:
            ref, again = self.world.random.choice(refs), self.world.roll() < 0.5
            self.world.happened["tries ordered"] += 1
            self.world.tell("somebody says of {}: {}", ref, "try again" if again else "do not wait")
            self.world.append(MAIL, ref.encode(), encode(Wake(retry=again, early=not again)), (), None)

    def parts(self, *, never: bool) -> None:
        """A person ends a link, on either side."""
        linked = [
            (ref, name, edge.peer)
            for ref, row in sorted(self.world.rows().items())
            for name, edge in row.edges.items()
            if edge.state == "linked"
        ]
        if linked:
            ref, name, peer = self.world.random.choice(linked)
            self.world.happened["links parted"] += 1
            self.world.tell("somebody parts {} and {}{}", ref, peer, " for good" if never else "")
            self.world.append(MAIL, ref.encode(), encode(Part(edge=name, peer=peer, never=never)), (), None)

    def pairs(self) -> None:
        """A person links two records that were parted, or whom nothing links."""
        flow = self.world.random.choice(self.flows)
        rows = self.world.rows()
        ends = ((flow.left, f"{flow.name}/a"), (flow.right, f"{flow.name}/b"))
        refs = sorted(rows)
        free = [[ref for ref in refs if ref.startswith(f"{type}:") and _free(rows[ref], end)] for type, end in ends]
        if all(free):
            left, right = (self.world.random.choice(each) for each in free)
            self.world.happened["links made by people"] += 1
            self.world.tell("somebody links {} and {}", left, right)
            self.world.append(MAIL, left.encode(), encode(Pair(edge=f"{flow.name}/a", peer=right)), (), None)

    # Removals

    def removes(self, how: str) -> None:
        """Somebody deletes or archives a record, or brings one back."""
        found = []
        for system in self.world.systems.values():
            for kind, records in system.records.items():
                there = [(id, record["archived"]) for id, record in records.items()]
                dead = [(id, True) for id in system.dead[kind]]
                found += [(system, kind, id) for id, put_away in (*there, *dead) if put_away == (how == "restore")]
        if found:
            system, kind, id = self.world.random.choice(found)
            self.world.happened[f"{how}s"] += 1
            self.world.tell("somebody {}s {}.{}:{}", how, system.name, kind, id)
            system.remove_(kind, id, how)

    def _add(self, name: str, title: str, *, like: dict[str, Any] | None = None) -> dict[str, Any]:
        system_name, _, kind = name.partition(".")
        system = self.world.systems[system_name]
        fields: dict[str, Any] = {}
        for field, what in sorted(self.kinds[name].items()):
            if what == "own":
                fields[field] = f"{system._next + 1}"
            elif field == self.names[name]:
                fields[field] = title
            elif what == "flag":
                fields[field] = False
            elif what == "word":
                fields[field] = self.world.random.choice(["open", "done"]) if field == "state" else "open"
            elif what.startswith("elements"):
                fields[field] = self._elements(system, name, field, what, [])
            elif what == "group":
                fields[field] = [self.fresh(), self.fresh() if self.world.roll() < 0.5 else None]
            elif what in ("one", "one of many") or (self.world.roll() < 0.6 and field != "x1"):
                fields[field] = self._word(system, name, field, what) if what.startswith("one") else None
            else:
                fields[field] = self._word(system, name, field, what)
        if like is not None and name in {type for type, _ in self.codes} and self.world.roll() < 0.5:
            fields.update(self._codes_of(name, like))
        if like is not None and system.quirks.brief and isinstance(like.get("x1"), str):
            fields["x1"] = like["x1"].partition(".")[0]
        fields[NOTE] = self.fresh()
        id = system.add(kind, fields)
        self.world.tell("somebody adds {}:{} {}", name, id, fields)
        return fields

    def _codes_of(self, name: str, like: dict[str, Any]) -> dict[str, Any]:
        """The codes of the record on the left whose twin one is, by the twin's fields."""
        pairs = [pair for flow in self.flows if flow.right == name for each in flow.match for pair in each]
        return {right: like[left] for left, right in pairs if (name, right) in self.codes and left in like}

    # Edits

    def fresh(self) -> str:
        self.world.counter += 1
        return f"e{self.world.counter}"

    def _text(self, system: ModelSystem, field: str) -> str:
        text = self.fresh()
        if any(each.quirks.cuts for each in self.world.systems.values()):
            return f"{text}.5"
        if field == "x1" and not system.quirks.brief and any(each.quirks.brief for each in self.world.systems.values()):
            return f"{text}.5"
        if system.quirks.spells and field == "x1":
            self.world.count("values spelled differently")
            return f"R:{text}"
        return text

    def edits(self, system: ModelSystem, kind: str, id: str) -> None:
        type, world = f"{system.name}.{kind}", self.world
        record = system.records[kind][id]["fields"]
        kinds = self.kinds[type]
        others = {self.names[type], *system.quirks.stamps}
        typed = {field for field, what in kinds.items() if what != "own" and field not in others}
        field = world.random.choice([*sorted(typed), NOTE])
        if world.renaming and world.roll() < world.renaming:
            field = self.names[type]
            self.world.count("names changed")
        if kinds.get(field, "").startswith("elements"):
            value: Any = self._elements(system, type, field, kinds[field], record.get(field) or [])
        elif kinds.get(field) == "group":
            value = [record.get(path) for path in field.split(PART)]
            value[int(world.roll() < 0.5)] = world.random.choice([self.fresh(), f" {self.fresh()} "])
        else:
            named = field in (NOTE, self.names[type])
            value = self.fresh() if named else self._word(system, type, field, kinds[field])
        dice = world.roll()
        if isinstance(value, str) and kinds.get(field) == "text" and field != self.names[type] and dice < 0.4:
            value = f" {value} " if dice < 0.3 else None
        held = [record.get(path) for path in field.split(PART)] if PART in field else record.get(field)
        if system.normal(value) != held:
            world.tell("somebody types {!r} over {!r} in {} of {}:{}", value, held, field, type, id)
            system.edit(kind, id, field, value)

    def anybody_edits(self) -> None:
        system = self.world.systems[self.world.random.choice(sorted(self.world.systems))]
        kind = self.world.random.choice(sorted(system.records))
        there = sorted((id for id, record in system.records[kind].items() if not record["archived"]), key=int)
        if there:
            self.edits(system, kind, self.world.random.choice(there))

    def _elements(self, system: ModelSystem, type: str, field: str, what: str, held: list[str]) -> list[str]:
        """A list with some that are new, or without one that was there; what was removed is seldom put back."""
        if held and self.world.roll() < 0.4:
            gone = self.world.random.choice(held)
            return [each for each in held if each != gone]
        if what == "elements":
            return [*held, *(self.fresh() for _ in range(self.world.random.choice([0, 1, 2])))]
        there = sorted(system.records[self.refers[type, field].partition(".")[2]], key=int)
        return [*held, *(each for each in there if each not in held and self.world.roll() < 0.5)]

    def _word(self, system: ModelSystem, type: str, field: str, what: str) -> Any:  # noqa: PLR0911  # an arm each
        match what:
            case "flag":
                return self.world.roll() < 0.5
            case "word":
                return self.world.random.choice(["open", "done"])
            case "date":
                spell = self.spelling[type, field]
                day = date.fromordinal(DAY + int(self.fresh()[1:])).isoformat()
                return day if spell is None else spell(day)
            case "one" | "one of many":
                there = sorted(system.records[self.refers[type, field].partition(".")[2]], key=int)
                chosen = self.world.random.choice([None, *there])
                if what == "one of many":
                    return [] if chosen is None else [chosen]
                integer = self.world.facts[type].integer_ids
                return int(chosen) if integer and chosen is not None else chosen
            case "code":
                return f"c{self.world.random.randrange(6)}" if field == "code" else self.fresh()
            case _:
                return self._text(system, field)


def _name_field(type: str, flows: list[Flow]) -> str:
    for flow in flows:
        for criterion in flow.match:
            if type in (flow.left, flow.right) and criterion[0][0] not in CODES:
                return criterion[0][0] if type == flow.left else criterion[0][1]
    fields = {
        field
        for flow in flows
        for pair in flow.pairs
        for end, field in ((flow.left, pair.left), (flow.right, pair.right))
        if end == type
    }
    return "name" if "name" in fields else ""


def _codes(flows: list[Flow]) -> set[tuple[str, str]]:
    return {
        each
        for flow in flows
        for criterion in flow.match
        for left, right in criterion
        if left in CODES
        for each in ((flow.left, left), (flow.right, right))
    }


def _free(row: Row, name: str) -> bool:
    edge = row.edges.get(name)
    return edge is None or edge.state in ("severed", "alone", "refused")
