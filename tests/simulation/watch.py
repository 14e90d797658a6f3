"""What must hold at every moment, faults or not: checked while a history runs.

The watch stands between the stages and the systems. It sees each write before it is done and each row before it is
kept, and knows what the topics have told so far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stream.codec import row_of
from stream.core.fields import SET, Observer, elements, paths_of, whole
from stream.core.flows import parse_marker
from stream.core.row import Row

if TYPE_CHECKING:
    from connectors.endpoint import Entity
    from tests.simulation.log import Lane
    from tests.simulation.systems import ModelSystem
    from tests.simulation.world import World


class Watch:
    def __init__(self, world: World) -> None:
        self.world = world
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.excused: frozenset[str] = frozenset()
        """Checks that a mode's own faults make meaningless."""

    def problem(self, kind: str, text: str) -> None:
        if kind not in self.excused:
            self.problems.append(f"{kind}: {text}")
            self.world.tell("WRONG: {}", text)

    def writing(self, system: ModelSystem, kind: str, base: Entity, wanted: Mapping[str, Any]) -> None:
        """Before a write: only mapped fields, and nothing that nobody has read (A5, I7).

        A system that does not compare takes a write also over what was typed since the guard read (``base``): nobody
        can hold it back, and nothing is promised. What stood there at the guard read is judged everywhere.
        """
        type, ref = f"{system.name}.{kind}", f"{system.name}.{kind}:{base.id}"
        self.counts["writes"] += 1
        takes = frozenset().union(*(end.takes for end in self.world.flows.ends(type).values()))
        paths = {path for field in takes for path in paths_of(field)}
        self._lists(system, ref, takes, base, wanted)
        for field in self.world.regrouped(type, wanted):
            self.counts["fields written"] += 1
            if not paths.issuperset(paths_of(field)):
                self.problem("untouched", f"{ref}: {field} is written, and no flow leads to it")
            if f"{field}{SET}" in takes:
                continue
            held = self.world.value(ref, field)
            if not self._typed(system, ref, field) or self._unguarded(system, field, base, held):
                continue
            if held is None and field in self.world.unordered:
                continue  # at first contact an empty field gives way to any value
            self.counts["overwritten"] += 1
            if field == "x1" and isinstance(held, str) and "." in held and not system.quirks.brief:
                self.counts["fuller values"] += 1
                less = any(each.quirks.brief for each in self.world.systems.values())
                if less and wanted[field] == held.partition(".")[0]:
                    self.problem("fuller", f"{ref} {field}: {wanted[field]!r} is written over {held!r} (B7)")
            if (ref, field, tuple(held) if isinstance(held, list) else held) not in self.world.first_shown:
                self.problem("unread", f"{ref} {field}: {held!r} is overwritten, and nobody has read it")

    @staticmethod
    def _unguarded(system: ModelSystem, field: str, base: Entity, held: Any) -> bool:
        """Whether what a field holds came after the guard read, at a system that does not compare."""
        return (
            not system.quirks.compares
            and Observer((whole(field) if SET in field else field,))(base.record).get(field) != held
        )

    def _lists(
        self, system: ModelSystem, ref: str, takes: frozenset[str], base: Entity, wanted: Mapping[str, Any]
    ) -> None:
        """Before a list is written: nothing goes that nobody has read (A13)."""
        for name in takes:
            path = name.removesuffix(SET)
            if SET in name and path in wanted:
                stays = elements(name, wanted[path])
                for field in elements(name, self.world.record(ref)["fields"].get(path)):
                    self.counts["elements kept"] += field in stays
                    if field in stays or self._unguarded(system, field, base, True):
                        continue
                    if (ref, field, True) not in self.world.first_shown:
                        self.problem("unread", f"{ref} {field}: goes, and nobody has read it")

    @staticmethod
    def _typed(system: ModelSystem, ref: str, field: str) -> bool:
        """Whether a person set what the field holds."""
        for edit in reversed(system.truth):
            if edit.ref == ref and edit.field == field:
                return edit.person
        return False

    def creating(self, system: ModelSystem, kind: str, wanted: Mapping[str, Any], marker: str) -> None:
        """Before a create: nothing with this marker was created, at any moment (I2)."""
        type = f"{system.name}.{kind}"
        self.counts["creates"] += 1
        for ref, person, mark in system.created:
            if mark == marker and not person and ref.startswith(f"{type}:") and self.world.is_there(ref):
                self.problem("doubles", f"{type}: a second record for {marker}; {ref} is there")
        takes = frozenset().union(*(end.takes for end in self.world.flows.ends(type).values()))
        paths = {path for field in takes for path in paths_of(field)}
        for field in wanted:
            if field not in paths:
                self.problem("untouched", f"{type}: {field} is in a create, and no flow leads to it")
        flow, origin = parse_marker(marker) or ("", "")
        end = self.world.flows.ends(origin.partition(":")[0]).get(f"{flow}/a") if origin else None
        for field, leads in end.leads.items() if end is not None else ():
            for lead in leads:
                if lead.required and lead.reference is not None and self._always_held(origin, field):
                    self.counts["required references"] += 1
                    if wanted.get(lead.peer) is None:
                        self.problem("unready", f"{type}: is created for {origin} without {lead.peer}, which it needs")

    def _always_held(self, ref: str, field: str) -> bool:
        """Whether a field was never empty."""
        system = self.world.systems[ref.partition(".")[0]]
        values = [edit.value for edit in system.truth if (edit.ref, edit.field) == (ref, field)]
        return bool(values) and None not in values

    def removing(self, system: ModelSystem, kind: str, id: str, how: str) -> None:
        """Before a removal: a flow asks for it, and nothing was typed there after anything was deleted (D2)."""
        ref = f"{system.name}.{kind}:{id}"
        self.counts["removals"] += 1
        together, deleted = self._together(ref), {}
        for other in self.world.systems.values():
            for each in other.removals:
                if each.how in ("delete", "archive") and each.ref in together:
                    deleted[each.ref] = max(each.at, deleted.get(each.ref, 0)) if each.person else 0
        row, ends = self.world.row(ref), self.world.flows.ends(f"{system.name}.{kind}")
        edges = {} if row is None else row.edges
        asked = [name for name, edge in edges.items() if ends[name].removal == how and edge.peer in deleted]
        if not asked:
            self.problem("removed", f"{ref}: {how}d, and no flow asks for that: {edges}")
        skew = max(abs(each.quirks.skew) for each in self.world.systems.values())
        latest = max(deleted.values(), default=0) + 3 * skew
        mapped = self.world.flows.paths[f"{system.name}.{kind}"]
        for edit in system.truth if system.quirks.compares else ():
            if edit.person and edit.ref == ref and edit.field in mapped:
                self.counts["edits before a removal"] += 1
                what = self.world.people.kinds[f"{system.name}.{kind}"].get(edit.field, "")
                if edit.value is None or what not in ("text", "date"):
                    continue  # put back or emptied before a lost answer was looked into, it is not seen
                if edit.real > latest and edit.value == self.world.value(ref, edit.field):
                    self.problem("removed", f"{ref}: {how}d, with {edit.value!r} typed after the last deletion")

    def _together(self, ref: str) -> set[str]:
        """All that is or was linked to a record, over any number of links."""
        found, todo = {ref}, [ref]
        rows = self.world.rows()
        while todo:
            each = todo.pop()
            peers = {edge.peer for edge in rows[each].edges.values() if edge.peer} if each in rows else set()
            peers |= {other for other, row in rows.items() if any(edge.peer == each for edge in row.edges.values())}
            todo += peers - found
            found |= peers
        return found

    def keeping(self, puts: Mapping[bytes, bytes | None], lane: Lane) -> None:
        """Before rows are kept: versions never go back (I14)."""
        for key, data in puts.items():
            before = lane.rows.get(key)
            if before is None or data is None or b"." not in key.partition(b":")[0]:
                continue
            old, new = row_of(before), row_of(data)
            if not isinstance(old, Row) or not isinstance(new, Row) or not old.versions:
                continue
            if old.versions == new.versions and len(old.remote) == len(new.remote):
                self.counts["versions"] += len(old.versions)
                continue
            after = new.cells
            for field, cell in old.cells.items():
                now = after.get(field)
                self.counts["versions"] += 1
                if field in new.remote and (now is None or now.version < cell.version):
                    was = f"from {cell.version} to {now and now.version}"
                    self.problem("versions", f"{key.decode()} {field}: went back {was}")
