"""The oracle: is what came of a history right?

It looks at the model systems' truth logs and at the topics, and at rows only for who is linked to whom. Each check
answers in words: what was wrong, where. What was compared is counted, so that an oracle that looks away is seen.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from stream.model import Ref
from tests.simulation.world import SECOND, Edit, World


def norm(value: Any) -> Any:
    return value.strip().removeprefix("R:").strip() if isinstance(value, str) else value


class Oracle:
    def __init__(self, world: World) -> None:
        self.world = world
        self.counts: Counter[str] = Counter()
        self.rows = world.rows()
        self.groups = self._groups()

    def _groups(self) -> list[set[Ref]]:
        """Linked components, by the rows' edges."""
        parent: dict[Ref, Ref] = {}

        def root(ref: Ref) -> Ref:
            while parent.setdefault(ref, ref) != ref:
                ref = parent[ref]
            return ref

        for ref, row in self.rows.items():
            root(ref)
            for edge in row.edges.values():
                if edge.state == "linked":
                    parent[root(ref)] = root(edge.peer)
        groups: dict[Ref, set[Ref]] = {}
        for ref in self.rows:
            groups.setdefault(root(ref), set()).add(ref)
        return list(groups.values())

    def field(self, ref: Ref, field: str) -> Any:
        system, _, rest = ref.partition(".")
        kind, _, id = rest.partition(":")
        return self.world.systems[system].records[kind][id]["fields"].get(field)

    def problems(self) -> list[str]:
        return [
            *self.linked(),
            *self.mutual(),
            *self.doubles(),
            *self.names(),
            *self.agree(),
            *self.references(),
            *self.latest(),
            *self.not_lost(),
            *self.waiting(),
        ]

    def linked(self) -> list[str]:
        """Every record has the counterparts that its flows promise."""
        wrong = []
        for ref, row in self.rows.items():
            for end in self.world.flows.ends(ref.split(":")[0]).values():
                self.counts["ends"] += 1
                edge = row.edges.get(end.edge)
                if self.world.renaming and edge is not None and edge.state == "refused":
                    continue  # it has the name that another record had when that was linked
                if end.creates and (edge is None or edge.state != "linked"):
                    wrong.append(f"{ref}: no counterpart on {end.edge}: {edge}")
        return wrong

    def mutual(self) -> list[str]:
        wrong = []
        for ref, row in self.rows.items():
            for name, edge in row.edges.items():
                if edge.state == "linked":
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
            if not person
        )
        self.counts["created"] += len(marks)
        return [f"{kind}: {count} records with the marker {mark}" for (mark, kind), count in marks.items() if count > 1]

    def names(self) -> list[str]:
        """No name stands twice in a type: people give each but once, and a twin is found by it."""
        wrong = []
        for system in self.world.systems.values():
            for kind, records in system.records.items():
                found = Counter(str(norm(record["fields"].get("name"))).casefold() for record in records.values())
                wrong += [
                    f"{system.name}.{kind}: {name} stands {many} times" for name, many in found.items() if many > 1
                ]
        return wrong

    def follows(self, ref: Ref, field: str) -> bool:
        """Whether the system takes writes of this field."""
        quirks = self.world.systems[ref.partition(".")[0]].quirks
        return field not in quirks.refuses | quirks.ignores

    def final(self, group: set[Ref], field: str) -> Any:
        """What all records of a group that follow hold in the end."""
        return norm(self.field(min(group, key=lambda ref: (not self.follows(ref, field), ref)), field))

    def references(self) -> list[str]:
        """Linked records name linked records."""
        group_of = {ref: number for number, group in enumerate(self.groups) for ref in group}
        wrong = []
        for group in self.groups:
            named = {ref: self.field(ref, "parent") for ref in group if "parent" in self.rows[ref].remote}
            twins = {id and group_of.get(f"{ref.partition('.')[0]}.p:{id}", ref) for ref, id in named.items()}
            self.counts["references"] += len(named)
            if any(isinstance(twin, int) and len(self.groups[twin]) == 1 for twin in twins):
                continue  # a project without a counterpart: the other side has no word for it
            if len(twins) > 1:
                wrong.append(f"parents differ: {named}")
        return wrong

    def agree(self) -> list[str]:
        """All linked records hold the same values, each in its own normal form (I3)."""
        wrong = []
        for group in self.groups:
            for field in ("name", "x1", "x2"):
                values = {norm(self.field(ref, field)) for ref in group if self.follows(ref, field)}
                self.counts["agreed"] += len(group)
                if len(values) > 1:
                    said = {ref: self.field(ref, field) for ref in sorted(group)}
                    wrong.append(f"{field} differs: {said}")
        return wrong

    def _edits(self, group: set[Ref], field: str) -> list[Edit]:
        return [
            edit
            for system in self.world.systems.values()
            for edit in system.truth
            if edit.person and edit.field == field and edit.ref in group
        ]

    def _shown(self, edit: Edit) -> int | None:
        return self.world.first_shown.get((edit.ref, edit.field, edit.value))

    def _version(self, group: set[Ref], final: Any, field: str) -> int | None:
        """The newest time at which the final value was first read as an edit, at any record."""
        times = [
            shown
            for edit in self._edits(group, field)
            if norm(edit.value) == final and (shown := self._shown(edit)) is not None
        ]
        return max(times, default=None)

    def latest(self) -> list[str]:
        """No edit is newer than the one that won (I4)."""
        skew = max(abs(system.quirks.skew) for system in self.world.systems.values())
        coarse = SECOND if any(system.quirks.seconds for system in self.world.systems.values()) else 0
        wrong = []
        for group in self.groups:
            for field in ("x1", "x2"):
                if field in self.world.unordered:
                    continue
                final = self.final(group, field)
                won = self._version(group, final, field)
                if won is None or final is None:
                    continue
                for edit in self._edits(group, field):
                    shown = self._shown(edit)
                    self.counts["compared"] += 1
                    if not shown or shown < edit.at or norm(edit.value) == final or self._overtyped(group, edit):
                        continue
                    if edit.at > won + 3 * skew + coarse:
                        wrong.append(f"{edit.ref} {field}: {edit.value!r} at {edit.at} lost to {final!r} of {won}")
        return wrong

    def _overtyped(self, group: set[Ref], edit: Edit) -> bool:
        return any(
            norm(other.over) == norm(edit.value) and other.real >= edit.real
            for other in self._edits(group, edit.field)
            if other is not edit
        )

    def not_lost(self) -> list[str]:
        """Every edit that was read is the final value, was typed over, or is among the conflicts (I1)."""
        lost = {(conflict.ref, conflict.field, norm(conflict.lost.value)) for conflict in self.world.conflicts()}
        wrong = []
        for group in self.groups:
            for field in ("x1", "x2"):
                final = self.final(group, field)
                for edit in self._edits(group, field):
                    self.counts["edits"] += 1
                    value = norm(edit.value)
                    if value is None or value == final or self._shown(edit) is None or self._overtyped(group, edit):
                        continue
                    if not any((ref, field, value) in lost for ref in group):
                        wrong.append(f"{edit.ref} {field}: {value!r} is gone and nobody was told; {final!r} stands")
        return wrong

    def waiting(self) -> list[str]:
        """Nothing waits without a wake-up (I13)."""
        wrong = [f"{key!r}: an alarm is left over" for key in self.world.alarms()]
        for ref, row in self.rows.items():
            if row.writing is not None:
                wrong.append(f"{ref}: still writing {row.writing}")
            wrong += [
                f"{ref}.{field}: still dirty" for field, cell in row.cells.items() if cell.carried and not cell.rejected
            ]
        return wrong
