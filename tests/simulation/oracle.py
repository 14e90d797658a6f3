"""The oracle: is what came of a history right?

It looks at the model systems' truth logs and at the topics, and at rows only for who is linked to whom. Each check
answers in words, and its name stands first: what was wrong, where. What was compared is counted, so that an oracle
that looks away is seen.

Values are judged by *group*: the fields of linked records that flows keep equal, both ways. A pair with a direction
leads from one group into another, whose edits may then win there too.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from typing import Any, TypeAlias

from stream.codec import row_of
from stream.core.deleting import ARCHIVED
from stream.core.fields import PART, SET, element, element_field, whole
from stream.core.flows import Condition, Flow, Pair, parse_marker
from stream.core.matching import keys_of, normal
from stream.core.row import Edge, Row
from stream.core.seeking import TAKEN
from stream.model import Ref, Time
from stream.standing import STEPS, decode_counts, standing
from tests.simulation.log import Lane
from tests.simulation.systems import SECOND, Edit, Quirks
from tests.simulation.world import World, plain

Node: TypeAlias = tuple[Ref, str]
"""One field of one record."""

MIDNIGHT = re.compile(r"(?<=\d{4}-\d\d-\d\d)T00:00:00\+0\d:00")
"""What a system adds to a date that has none without a time."""
WORDS = {"done": True, "open": False, "": None}
CHECKS = (
    "linked",
    "matched",
    "taken",
    "mutual",
    "doubles",
    "names",
    "agree",
    "references",
    "apart",
    "connected",
    "deletions",
    "latest",
    "causal",
    "lost",
    "few",
    "damped",
    "waiting",
    "counted",
    "understood",
)


class Group:
    """Fields that are kept equal, and the groups that lead into it."""

    def __init__(self) -> None:
        self.nodes: set[Node] = set()
        self.sources: list[Group] = []
        self.loose = False
        """A condition kept these fields equal to others for a time, and does not any more."""

    def above(self) -> set[Node]:
        """Its own nodes, and those of every group that leads into it."""
        seen: list[Group] = [self]
        for group in seen:
            seen += [source for source in group.sources if source not in seen]
        return set().union(*(group.nodes for group in seen))


class Oracle:
    def __init__(self, world: World, excused: frozenset[str]) -> None:
        self.world = world
        self.excused = excused
        self.counts: Counter[str] = Counter()
        self.rows: dict[Ref, Row] = world.rows()
        self.links = self._links("linked")
        self.past = [*self._links("linked", "severed"), *self._barred()]
        self.cuts = any(system.quirks.cuts or system.quirks.brief for system in world.systems.values())
        self.fold = any(system.quirks.rewrites for system in world.systems.values())

    # What belongs together

    def _links(self, *states: str) -> list[tuple[Flow, Ref, Ref]]:
        flows = self.world.flows.flows
        return [
            (flows[name[:-2]], ref, edge.peer)
            for ref, row in self.rows.items()
            for name, edge in row.edges.items()
            if edge.state in states and name.endswith("/a") and edge.peer in self.rows
        ]

    def _barred(self) -> list[tuple[Flow, Ref, Ref]]:
        """Records that were linked until a person said that they never are to be."""
        flows = self.world.flows.flows
        said = [(ref, *each.split("|", 1)) for ref, row in self.rows.items() for each in row.never]
        return [(flows[name[:-2]], ref, peer) for ref, name, peer in said if name.endswith("/a") and peer in self.rows]

    def meets(self, when: Condition | None, left: Ref) -> bool:
        return when is None or when.holds({field: self.world.value(left, field) for field in when.reads})

    def holds(self, flow: Flow, pair: Pair, left: Ref) -> bool:
        """Whether a flow speaks of a record, and of its field."""
        return self.meets(flow.when, left) and self.meets(pair.when, left)

    @cached_property
    def groups(self) -> list[Group]:
        """What is kept equal now."""
        return self._groups(self.links)

    @cached_property
    def once(self) -> list[Group]:
        """What is kept equal now, or was while the records were there."""
        return self.groups if len(self.past) == len(self.links) else self._groups(self.past)

    def _groups(self, links: list[tuple[Flow, Ref, Ref]]) -> list[Group]:
        parent: dict[Node, Node] = {}

        def root(node: Node) -> Node:
            while parent.setdefault(node, node) != node:
                node = parent[node]
            return node

        arrows: list[tuple[Node, Node]] = []
        loose: set[Node] = set()
        for flow, left, right in links:
            for pair, own, its in self._pairs(flow, left, right):
                one, other = (left, own), (right, its)
                if not self.holds(flow, pair, left):
                    loose |= {one, other}
                elif pair.direction == "both":
                    parent[root(one)] = root(other)
                else:
                    arrows.append((one, other) if pair.direction == "forward" else (other, one))
        for ref, row in self.rows.items():
            for field in row.remote:
                root((ref, field))
        for arrow in arrows:  # of a row that was set back and whose record is gone, no field is known
            for node in arrow:
                root(node)
        groups: dict[Node, Group] = {}
        for node in parent:
            group = groups.setdefault(root(node), Group())
            group.nodes.add(node)
            group.loose = group.loose or node in loose
        for one, other in arrows:
            groups[root(other)].sources.append(groups[root(one)])
        return list(groups.values())

    def _pairs(self, flow: Flow, left: Ref, right: Ref) -> list[tuple[Pair, str, str]]:
        """The fields of two linked records that are to be equal: of a set, each element that either of them knows."""
        found = []
        for pair in flow.pairs:
            if SET not in pair.left:
                found.append((pair, pair.left, pair.right))
                continue
            for ref, field, back in ((left, pair.left, False), (right, pair.right, True)):
                for each in self.rows[ref].remote:
                    if whole(each) == field != each:
                        other = self._twin(pair, str(element(each)), back=back)
                        if other is not None:
                            names = element_field(pair.left, element(each)), element_field(pair.right, other)
                            if back:
                                names = element_field(pair.left, other), each
                            found.append((pair, *names))
        return found

    def _twin(self, pair: Pair, one: str, *, back: bool) -> str | None:
        """The element that is meant by an element on the other side."""
        if pair.reference is None:
            return one
        flow = self.world.flows.flows[pair.reference]
        for name, left, right in self.links:
            if name is flow:
                ids = left.partition(":")[2], right.partition(":")[2]
                if ids[back] == one:
                    return ids[not back]
        return None

    @cached_property
    def removed(self) -> set[Ref]:
        """Records that were deleted, archived or brought back at any time: meanwhile nobody could find them."""
        return {each.ref for system in self.world.systems.values() for each in system.removals}

    @cached_property
    def removed_names(self) -> set[str]:
        """Their names: a copy that was kept is not a stranger's to find, and a stranger gets one of its own."""
        return {
            str(self.held((ref, self.world.people.names[ref.partition(":")[0]]))).casefold() for ref in self.removed
        }

    @cached_property
    def written(self) -> dict[Node, list[Edit]]:
        """What people typed and we wrote, by field."""
        found: dict[Node, list[Edit]] = {}
        for system in self.world.systems.values():
            for edit in system.truth:
                found.setdefault((edit.ref, edit.field), []).append(edit)
        return found

    @cached_property
    def typed(self) -> dict[Node, list[Edit]]:
        """What people typed, by field."""
        found = {node: [edit for edit in edits if edit.person] for node, edits in self.written.items()}
        return {node: edits for node, edits in found.items() if edits}

    def norm(self, value: Any) -> Any:
        if isinstance(value, str):
            value = value.strip().removeprefix("R:").strip().replace("No. ", "")
            value = MIDNIGHT.sub("", value)
            value = value.partition(".")[0] if self.cuts else value
            return WORDS.get(value, value.casefold() if self.fold else value)
        return tuple(self.norm(each) for each in value) if isinstance(value, list) else plain(value)

    def held(self, node: Node) -> Any:
        return self.norm(self.world.value(*node))

    def quirks(self, ref: Ref) -> Quirks:
        return self.world.systems[ref.partition(".")[0]].quirks

    def follows(self, node: Node) -> bool:
        """Whether the system takes writes of this field."""
        quirks = self.quirks(node[0])
        return node[1] not in quirks.refuses | quirks.ignores | quirks.stamps

    def kind(self, node: Node) -> str:
        """What people type there; empty for what only a name or a match is made of."""
        if PART in node[1]:
            return "group"
        type = node[0].partition(":")[0]
        if SET in node[1]:
            return {"elements": "element"}.get(
                self.world.people.kinds[type][whole(node[1]).removesuffix(SET)], "member"
            )
        people = self.world.people
        return "name" if people.names.get(type) == node[1] else people.kinds.get(type, {}).get(node[1], "")

    # What is asked

    def problems(self) -> list[str]:
        found = []
        for check in CHECKS:
            if check not in self.excused and not (check == "causal" and "latest" in self.excused):
                found += [f"{check}: {text}" for text in getattr(self, check)()]
        if self.world.rounds >= ROUNDS and "restless" not in self.excused:
            found.append(f"restless: after {ROUNDS} rounds something still moves")
        return found

    def rest(self) -> list[str]:
        """Nothing is written while nobody edits (I5); nor when all topics are read once more, twice (I6)."""
        world = self.world
        if "quiet" in self.excused:
            return []
        writes, made = world.writes, self._made()
        world.settle(3)
        self.counts["silences"] += 1
        if world.writes != writes or self._made() != made:
            return [f"quiet: {world.writes - writes} writes while nobody edits"]
        if "replay" in self.excused or (self.removed and any(p.reference for f, _, _ in self.past for p in f.pairs)):
            return []  # a link that did not come to be before one was deleted is told of once more, and translates
        doubt = world.happened["crowds"] > 0 or world.happened["logs set back"] > 0
        if self._missed() or (doubt and any(len(flow.match) > 1 for flow in world.flows.flows.values())):
            return []  # in doubt by one criterion, two may be linked by another, of which somebody asks once more
        for again in ("once", "twice"):
            for (agent, _), lane in world.lanes.items():
                if agent != "poll":
                    _rewind(lane)
            world.settle()
            self.counts["replays"] += 1
            if world.writes != writes or self._made() != made:
                more = f"{world.writes - writes} writes and {self._made() - made} creates"
                return [f"replay: {more} when all topics were read {again} more"]
        return []

    def _missed(self) -> bool:
        """Whether two that were both away have not found each other again; read once more, their old mail brings them
        together, and what they differ in is written.
        """
        away = {ref for ref in self.removed & self.rows.keys() if self.world.is_there(ref)}
        apart = {
            (ref.partition(":")[0], name)
            for ref in away
            for name, edge in self.rows[ref].edges.items()
            if edge.state not in ("linked", "copy")
        }
        ends = {(type, self.world.flows.ends(type)[name].flow) for type, name in apart}
        return any(one != two and flow == other for one, flow in ends for two, other in ends)

    def _made(self) -> int:
        return sum(len(system.created) for system in self.world.systems.values())

    def linked(self) -> list[str]:
        """Every record has the counterparts that its flows promise."""
        wrong = []
        for ref, row in self.rows.items():
            for end in self.world.flows.ends(ref.split(":")[0]).values():
                edge = row.edges.get(end.edge)
                if not end.creates or not row.remote or row.gone_at or not self.meets(end.when, ref):
                    continue
                if self._may_be_refused(ref, row, end.edge) or not self.shown(ref):
                    continue
                self.counts["ends linked"] += 1
                if edge is None or edge.state != "linked":
                    wrong.append(f"{ref}: no counterpart on {end.edge}: {edge}")
        return wrong

    def _may_be_refused(  # noqa: PLR0911  # one answer for each reason
        self, ref: Ref, row: Row, name: str
    ) -> bool:
        edge = row.edges.get(name)
        if edge is None:
            return False
        if edge.state == "copy" or self._apart(ref, edge):
            return True
        if edge.state == "waiting" and "connected to nothing" in edge.reason:
            end = self.world.flows.ends(ref.split(":")[0])[name]
            return all(self.world.value(ref, field) is None for field, _ in end.needs)
        if edge.state == "waiting" and "not linked yet" in edge.reason:
            return bool(self.removed) or self.world.namesakes or self._needs()
        if edge.state == "waiting" and "counterpart is not known" in edge.reason:
            return bool(self.removed) or self._needs() or self._waits_for_another(ref, name)
        if edge.state == "matching" and self._behind(ref, name, edge):
            return True
        if edge.state == "refused":
            peer = self.world.flows.ends(ref.split(":")[0])[name].peer_type
            needs = self.quirks(peer).needs
            if any(self.world.value(ref, field) is None for field in needs):
                return True
            if self.world.namesakes or self.removed:
                return True  # it has a name that another one had when that was linked, or still has, kept
        return False

    def _needs(self) -> bool:
        """Whether there are systems that refuse some creates."""
        return any(system.quirks.needs for system in self.world.systems.values())

    def _behind(self, ref: Ref, name: str, edge: Edge) -> bool:
        """Whether a namesake has the right to create, and waits for something itself that it may wait for."""
        return any(
            other != ref and edge.key in held.locks and self._may_be_refused(other, row, name)
            for other, row in self.rows.items()
            if (held := row.edges.get(name)) is not None and held.state == "waiting"
        )

    def _waits_for_another(self, ref: Ref, name: str) -> bool:
        """Whether it names a record that has no counterpart, and cannot be created without it: a ring of such."""
        for leads in self.world.flows.ends(ref.partition(":")[0])[name].leads.values():
            for lead in leads:
                named = self.world.value(ref, lead.field)
                if lead.required and lead.reference is not None and named is not None:
                    edge = self.rows[f"{lead.reference.type}:{named}"].edges.get(lead.reference.edge)
                    if edge is None or edge.state != "linked":
                        return True
        return False

    def _apart(self, ref: Ref, edge: Edge) -> bool:
        """Whether two were linked until one was deleted."""
        if {ref, edge.peer} <= self.removed:
            return edge.state == "severed"  # both were away at some time, and asked each other in vain
        gone = self.rows[edge.peer].gone_at if edge.peer in self.rows else 0
        return edge.state == "severed" and bool(gone or edge.reason == ARCHIVED or self._archived(edge.peer))

    def shown(self, ref: Ref) -> bool:
        """Whether pages show a record; an edit of one that was put away right after is read by nobody."""
        return self.world.is_there(ref) and not self._archived(ref)

    def _archived(self, ref: Ref) -> bool:
        return bool(self.world.record(ref)["archived"])

    def matched(self) -> list[str]:
        """No two records with one name, and no third, are left without each other."""
        wrong = []
        for flow in self.world.flows.flows.values():
            for each in flow.match[:1]:
                free: dict[str, dict[str, list[Ref]]] = {}
                for ref, row in self.rows.items():
                    for side, type in (("a", flow.left), ("b", flow.right)):
                        edge = row.edges.get(f"{flow.name}/{side}")
                        if side == "a" and not self.meets(flow.when, ref):
                            continue
                        free_ = edge is None or edge.state not in ("linked", "copy", "severed")
                        if self.world.people.namesakes and edge is not None and edge.state == "refused":
                            continue  # there were two to choose from; a refusal is judged anew with the next change
                        if ref.partition(":")[0] == type and free_ and not row.gone_at and self.shown(ref):
                            name = normal(self.world.value(ref, each[0][0 if side == "a" else 1]))
                            free.setdefault(name, {}).setdefault(side, []).append(ref)
                self.counts["names without a link"] += len(free)
                wrong += [
                    f"{flow.name}: {sides['a'][0]} and {sides['b'][0]} have one name and are not linked"
                    for name, sides in free.items()
                    if name and len(sides.get("a", ())) == 1 == len(sides.get("b", ()))
                ]
        return wrong

    def taken(self) -> list[str]:
        """Who was told that its only match is linked already has such a match (C4)."""
        holders, told = set(), []
        for ref, row in self.rows.items():
            for end in self.world.flows.ends(ref.split(":")[0]).values():
                edge, keys = row.edges.get(end.edge), keys_of(end, row.remote)
                if edge is None or row.gone_at or not keys:
                    continue
                if edge.state in ("linked", "severed"):
                    holders |= {(end.edge, key) for key in keys}
                elif edge.state == "refused" and edge.reason == TAKEN:
                    told.append((ref, end, keys))
        self.counts["refusals"] += len(told)
        return [
            f"{ref}: refused on {end.edge}, and no record that matches it is linked"
            for ref, end, keys in told
            if holders.isdisjoint((end.peer_edge, key) for key in keys)
        ]

    def mutual(self) -> list[str]:
        wrong = []
        for ref, row in self.rows.items():
            for name, edge in row.edges.items():
                if edge.state == "linked":
                    self.counts["links"] += 1
                    other = name[:-1] + ("b" if name.endswith("a") else "a")
                    back = self.rows[edge.peer].edges.get(other) if edge.peer in self.rows else None
                    if back is None or back.state != "linked" or back.peer != ref:
                        wrong.append(f"{ref}: linked to {edge.peer} on {name}, which says {back}")
        return wrong

    def doubles(self) -> list[str]:
        """At most one record was created for an origin and a flow (I2)."""
        marks = Counter(
            (mark, ref.split(":")[0])
            for system in self.world.systems.values()
            for ref, person, mark in system.created
            if not person and ref not in self.removed
        )
        self.counts["created"] += len(marks)
        return [f"{kind}: {count} records with the marker {mark}" for (mark, kind), count in marks.items() if count > 1]

    def names(self) -> list[str]:
        """No name stands twice in a type: people give each but once, and a twin is found by it."""
        wrong = []
        for system in self.world.systems.values():
            for kind, records in system.records.items():
                field = self.world.people.names[f"{system.name}.{kind}"]
                if "code" in self.world.people.kinds[f"{system.name}.{kind}"]:
                    continue  # two that are one by their code take one name, which another pair has
                if not field or (self.world.people.namesakes and f"{system.name}.{kind}" in self.world.people.origins):
                    continue
                found = Counter(str(self.norm(record["fields"].get(field))).casefold() for record in records.values())
                for away in self.removed_names:
                    found.pop(away, None)
                self.counts["names"] += len(found)
                wrong += [
                    f"{system.name}.{kind}: {name} stands {many} times" for name, many in found.items() if many > 1
                ]
        return wrong

    def agree(self) -> list[str]:
        """All linked records hold the same values, each in its own normal form (I3)."""
        wrong = []
        for group in self.groups:
            if any(self.kind(node).startswith("one") for node in group.nodes):
                continue
            values = {self.held(node) for node in group.nodes if self.follows(node) and self.shown(node[0])}
            if self.kind(min(group.nodes)) == "name":  # a record found by its marker is ours up to white space and case
                values = {normal(value) for value in values}
            self.counts["values agreed"] += len(group.nodes)
            if len(values) > 1:
                wrong.append(f"{ {node: self.world.value(*node) for node in sorted(group.nodes)} }")
        return wrong

    def references(self) -> list[str]:
        """Linked records name linked records."""
        twins = {(flow.name, left): right for flow, left, right in self.links}
        linked = {(flow.name, right) for flow, _, right in self.links}
        wrong = []
        for flow, left, right in self.links:
            for pair in flow.pairs:
                if pair.reference is None or SET in pair.left:
                    continue
                through = self.world.flows.flows[pair.reference]
                one, other = self.world.value(left, pair.left), self.world.value(right, pair.right)
                one = one[0] if isinstance(one, list) and one else one or None
                if pair.direction == "forward" and (one is None or (right, pair.right) in self.typed):
                    continue
                self.counts["references"] += 1
                if {left, right, f"{through.left}:{one}", f"{through.right}:{other}"} & self.removed:
                    continue  # a reference that stands is not rewritten when its record gets another twin
                twin = one and twins.get((through.name, f"{through.left}:{one}"))
                named = other and f"{through.right}:{other}"
                if (one and twin is None) or (named and (through.name, named) not in linked):
                    continue  # a record without a counterpart: the other side has no word for it
                if twin != named:
                    wrong.append(f"{left} names {one}, whose twin is {twin}; {right} names {named}")
        return wrong

    def apart(self) -> list[str]:
        """What was typed after a record had left its flow is not at its counterpart (E1, E2)."""
        wrong = []
        for flow, left, right in self.links:
            for pair in flow.pairs:
                if self.holds(flow, pair, left) or self.fold:
                    continue
                reads = {field for when in (flow.when, pair.when) if when for field in when.reads}
                left_at = max(edit.real for field in reads for edit in self.typed[left, field])
                for edit in self.typed.get((left, pair.left), ()):
                    self.counts["edits apart"] += 1
                    value = self.norm(edit.value)
                    if edit.real > left_at and value is not None and value == self.held((right, pair.right)):
                        wrong.append(
                            f"{left} {pair.left}: {edit.value!r} came to {right}, which it has nothing to do with"
                        )
        return wrong

    def connected(self) -> list[str]:
        """Nothing was created from a record that was connected to nothing (E3)."""
        wrong = []
        for system in self.world.systems.values():
            for ref, person, mark in system.created:
                known = None if person else parse_marker(mark)
                flow = self.world.flows.flows.get(known[0]) if known else None
                if known is None or flow is None or not flow.linked:
                    continue
                self.counts["created if connected"] += 1
                if not any(edit.value for field, _ in flow.linked for edit in self.typed.get((known[1], field), ())):
                    wrong.append(f"{ref}: was created for {known[1]}, which was never connected to anything")
        return wrong

    def deletions(self) -> list[str]:
        """What is deleted is noticed, its links are over at both ends, and whoever stays is reported (D2)."""
        wrong = []
        for ref, row in self.rows.items():
            if row.remote and self.quirks(ref).tells and not self.world.is_there(ref):
                self.counts["deletions"] += 1
                if not row.gone_at:
                    wrong.append(f"{ref}: it was deleted, and nobody noticed")
            if row.gone_at and self.shown(ref):
                wrong.append(f"{ref}: it is there, and is believed to be deleted")
            for name, edge in row.edges.items():
                wrong += [f"{ref}: {name}: {each}" for each in self._edge_of_two(ref, row, edge)]
        return wrong

    def _edge_of_two(self, ref: Ref, row: Row, edge: Edge) -> list[str]:
        peer = self.rows.get(edge.peer)
        if edge.state == "linked" and (row.gone_at or (peer is not None and peer.gone_at)):
            return [f"still linked to {edge.peer}; one of both is gone"]
        if edge.state != "severed" or row.gone_at:
            return []
        self.counts["copies of deleted ones"] += 1
        if not self._apart(ref, edge):
            return [f"apart from {edge.peer}, which is there"]
        said = [
            record
            for record in self.world.parked()
            if record.key == ref.encode() and any(b"this copy is kept" in value for _, value in record.headers)
        ]
        if not said and edge.reason != ARCHIVED and ref not in self.removed:
            return [f"{edge.peer} was deleted, and nobody was told that this copy is kept"]
        return []

    # Edits

    def _edits(self, nodes: set[Node]) -> list[Edit]:
        return [edit for node in nodes for edit in self.typed.get(node, ())]

    def _shown(self, edit: Edit) -> Time | None:
        return self.world.first_shown.get((edit.ref, edit.field, plain(edit.value)))

    def _judged(self, groups: list[Group]) -> list[tuple[Group, set[Any]]]:
        """Groups of texts and dates, with what their records hold in the end; every such value was typed once."""
        found = []
        for group in groups:
            some = min(group.nodes)
            if group.loose or any(source.loose for source in group.sources):
                continue
            if self.kind(some) in ("text", "date", "element", "group") and some[1] not in self.world.unordered:
                held = {self.held(node) for node in group.nodes if self.follows(node)}
                found.append((group, held or {self.held(some)}))
        return found

    def latest(self) -> list[str]:
        """No edit is newer than the one that won (I4)."""
        systems = self.world.systems.values()
        skew = max(0 if system.quirks.dated else abs(system.quirks.skew) for system in systems)
        coarse = SECOND if any(system.quirks.seconds or system.quirks.dated for system in systems) else 0
        wrong = []
        for group, finals in self._judged(self.groups):
            if len(finals) > 1:
                continue  # one of them was deleted; "agree" says whether there is another reason
            edits, final = self._edits(group.above()), min(finals)
            won = [edit for edit in edits if self.norm(edit.value) == final]
            times = [shown - self._ahead(edit, told=True) for edit in won if (shown := self._shown(edit))]
            if not times or (final is None and self.kind(min(group.nodes)) != "element"):
                continue
            for edit in edits:
                shown = self._shown(edit)
                self.counts["edits by time"] += 1
                if edit.value is None and ("emptied" in self.excused or self._unborn(edit) or self._put_back(edit)):
                    continue
                if self.norm(edit.value) in (final, self.norm(edit.over)):
                    continue  # of the second kind are a system's own forms: they are no edits
                if not shown or shown < edit.at or self._overtyped(edits, edit):
                    continue
                if edit.at - self._ahead(edit) > max(times) + 3 * skew + coarse + self.world.jumped:
                    wrong.append(
                        f"{edit.ref} {edit.field}: {edit.value!r} at {edit.at} lost to {final!r} of {max(times)}"
                    )
        return wrong

    def _unborn(self, edit: Edit) -> bool:
        """Whether an element was removed before anybody knew what else was in its list: a union is taken (A13)."""
        return SET in edit.field and edit.at <= self.world.met.get(edit.ref, 0)

    def _put_back(self, edit: Edit) -> bool:
        """Whether it undid a write of ours of which nobody had heard: the record shows what it showed before (A8)."""
        *_, ours = [None, *(each for each in self.written.get((edit.ref, edit.field), ()) if each.real < edit.real)]
        if ours is None or ours.person or self.norm(ours.over) != self.norm(edit.value):
            return False
        shown = self._shown(ours)
        return shown is None or shown > edit.at

    def _ahead(self, edit: Edit, *, told: bool = False) -> Time:
        """By how much the clock of an edit is known to be ahead; it is judged by the real time then.

        What was ``told`` of a type without times of change has our own time.
        """
        system, _, kind = edit.ref.partition(":")[0].partition(".")
        quirks = self.quirks(edit.ref)
        ours = told and not self.world.systems[system].dated(kind)
        return quirks.skew if quirks.dated and not ours else 0

    def causal(self) -> list[str]:
        """No edit lost to the value that it was typed over, whatever the clocks say (B1)."""
        wrong: list[str] = []
        if self.fold or self.cuts:  # a value in a system's own form may be newer than what was typed over it elsewhere
            return wrong
        for group, finals in self._judged(self.groups):
            final = next(iter(finals))
            if len(finals) > 1 or final is None or self.kind(min(group.nodes)) not in ("text", "date"):
                continue
            edits = self._edits(group.nodes)
            for edit in edits:
                if self.norm(edit.over) != final or self.norm(edit.value) in (final, None):
                    continue
                if group.sources and edit.real < self.world.loss.at:
                    continue  # it stood beside its source's value, whose version was born again and is newer
                if self._shown(edit) and not self._overtyped(edits, edit):
                    wrong.append(f"{edit.ref} {edit.field}: {edit.value!r} was typed over {final!r}, which won")
            self.counts["edits by cause"] += len(edits)
        return wrong

    def _overtyped(self, edits: list[Edit], edit: Edit) -> bool:
        value = self.norm(edit.value)
        if self.removed:  # whom it was linked to before is not known any more; every text is typed once
            edits = [each for several in self.typed.values() for each in several]
        return any(other.real >= edit.real and self.norm(other.over) == value for other in edits if other is not edit)

    def lost(self) -> list[str]:
        """Every edit that was read is the final value, was typed over, or is among the conflicts (I1)."""
        lost = {(conflict.ref, conflict.field, self.norm(conflict.lost.value)) for conflict in self.world.conflicts()}
        wrong = []
        for group, finals in self._judged(self.once):
            edits = self._edits(group.nodes)
            for edit in edits:
                self.counts["edits"] += 1
                value = self.norm(edit.value)
                if value is None or value in finals or value == self.norm(edit.over) or self._shown(edit) is None:
                    continue
                if self._overtyped(edits, edit):
                    continue
                nodes = {(ref, field) for ref, field, _ in lost} if self.removed else group.nodes
                if not any((ref, field, value) in lost for ref, field in nodes):
                    wrong.append(f"{edit.ref} {edit.field}: {value!r} is gone and nobody was told; {finals} stand")
        return wrong

    def few(self) -> list[str]:
        """A record is written at most once for each edit (I5).

        Not judged where values come back, as ids and words do: put back before a lost answer was looked into, a value
        is taken for "not written yet", and written again.
        """
        written = Counter(
            (edit.ref, edit.field) for system in self.world.systems.values() for edit in system.truth if not edit.person
        )
        wrong = []
        for group in self.once:
            if self.kind(min(group.nodes)) not in ("text", "date", "name", "group") or group.loose:
                continue
            if any(ref in self.removed for ref, _ in group.nodes):
                continue  # whom it was linked to before, and whose edits it was told of, is not known any more
            most = max((written[node] for node in group.nodes), default=0)
            if most:
                edits = len(self._edits(group.above()))
                self.counts["writes against edits"] += 1
                if most > edits:
                    wrong.append(f"{sorted(group.nodes)}: {most} writes of one record, {edits} edits in all")
        return wrong

    def damped(self) -> list[str]:
        """However systems rewrite what they are given, no field is written often (A12)."""
        written: dict[Node, list[Time]] = {}
        for system in self.world.systems.values():
            for edit in system.truth:
                if not edit.person:
                    written.setdefault((edit.ref, edit.field), []).append(edit.real)
        self.counts["writes by time"] += sum(map(len, written.values()))
        return [
            f"{node}: {OFTEN} writes within an hour"
            for node, times in written.items()
            if any(late - early < 3600 * SECOND for early, late in zip(times, times[OFTEN - 1 :], strict=False))
        ]

    # What is left over

    def counted(self) -> list[str]:
        """What lanes count as their rows change is what a scan of them finds."""
        wrong = []
        for (agent, partition), lane in self.world.lanes.items():
            if agent != "join":
                continue
            found: Counter[str] = Counter()
            for key, data in lane.rows.items():
                if b"." in key.split(b":")[0]:
                    found.update(standing(key.decode(), row_of(data)))
            said = decode_counts(lane.rows.get(STEPS, b"\x80"))
            self.counts["counts kept"] += len(said)
            if said != found:
                wrong.append(f"lane {partition}: counts {said}, and a scan finds {dict(found)}")
        return wrong

    def waiting(self) -> list[str]:
        """Nothing waits without a wake-up (I13)."""
        wrong = [f"{key!r}: an alarm is left over" for key in self.world.alarms()]
        for ref, row in self.rows.items():
            self.counts["rows at rest"] += 1
            for name, edge in row.edges.items():
                if edge.state not in ("linked", "severed"):
                    self.counts["ends that wait"] += 1
                    if not (edge.due or edge.reason or edge.state == "alone"):
                        wrong.append(f"{ref}: waits on {name} without a reason or a wake-up: {edge}")
            if row.writing is not None:
                wrong.append(f"{ref}: still writing {row.writing}")
            wrong += (
                []
                if row.gone_at
                else [
                    f"{ref}.{field}: still dirty"
                    for field, cell in row.cells.items()
                    if cell.carried and not cell.rejected
                ]
            )
        return wrong

    def understood(self) -> list[str]:
        """Nothing of our own was set aside because it could not be read."""
        parked = self.world.parked()
        self.counts["parked"] += len(parked)
        return [
            f"{record.key!r}: set aside as undecodable"
            for record in parked
            if any(b"undecodable" in value for _, value in record.headers)
        ]


ROUNDS = 60
OFTEN = 20


def _rewind(lane: Lane) -> None:
    lane.positions = {}
