"""Planned flows -> topics.yaml: what is new is added, what stands stays, and a second time changes nothing.

A flow remembers the statements that it comes from, with a sum of what each said. A statement that is known is not
worked in again, so that what a person has changed or taken out since stays changed. A new or changed one only adds:
pairs, alternatives to match on, and to a flow that comes from documents also creation and conditions. A flow without a
source was written by a person: it keeps both, and what differs is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from connectors.document import Document, Problem, Unreadable, load
from stream.configuration.written import FIRST_LINE
from stream.dataflow.bounds import Fault
from stream.dataflow.known import Known
from stream.dataflow.plan import UNREAD, Pair, Planned, Point, Source, directed, unread
from stream.dataflow.words import is_path
from stream.dataflow.yaml import Page, in_lines, mapping, plain
from stream.errors import BadTopology

HEAD: Final = f"{FIRST_LINE}\nbroker: ${{LINKSTREAM_BROKER:-sqlite:///var/linkstream.db}}\n"
_SOURCE: Final = re.compile(r"(.+):(\d{1,9})#([0-9a-f]{8})")
_CREATES: Final = {"never": set(), "forward": {0}, "both": {0, 1}}


class Merged(Struct, frozen=True, kw_only=True):
    """The new text, and what became of the flows."""

    text: str
    added: int
    changed: int
    same: int
    resting: int
    """Flows of the file that rest."""
    points: tuple[Point, ...]
    variables: tuple[str, ...]
    """Variables that new systems need."""


def read_standing(data: bytes, file: str) -> Document:
    """A topics.yaml as it stands. Raises BadTopology if it cannot be read."""
    try:
        document = load(data)
    except Unreadable as error:
        raise _bad(file, [error.problem]) from None
    value = {} if document.value is None else document.value
    if document.problems or not isinstance(value, dict):
        raise _bad(file, document.problems or [Problem(document.at(()), "found no mapping; one would be right")])
    for part, kind in (("systems", dict), ("topics", dict), ("flows", list)):
        if value.get(part) is not None and not isinstance(value[part], kind):
            found = f"found {part} of another kind; {'a list' if kind is list else 'a mapping'} would be right"
            raise _bad(file, [Problem(document.at((part,)), found)])
    return document


def _bad(file: str, problems: Iterable[Problem]) -> BadTopology:
    return BadTopology([f"{file}:{each.place.line}:{each.place.column}: {each.text}" for each in problems])


def types_named(value: Any) -> list[str]:
    """The entity types that a file names: its topics, and the ends of its flows."""
    top = value if isinstance(value, dict) else {}
    named = [*(top.get("topics") or {})]
    for flow in _flows(top):
        named += [each for each in (flow.get("from"), flow.get("to")) if isinstance(each, str)]
    return [name for name in dict.fromkeys(named) if "." in name]


def running(value: Any) -> list[tuple[str, str, str]]:
    """The flows of a file that do not rest: their types, and what they create."""
    awake = [flow for flow in _flows(value if isinstance(value, dict) else {}) if not _rests(flow)]
    found = []
    for flow in awake:
        create = flow.get("create", "never")
        found.append((str(flow.get("from")), str(flow.get("to")), create if isinstance(create, str) else "forward"))
    return found


def _rests(written: Mapping[str, Any]) -> bool:
    """Whether a flow or a pair rests, as ``stream.configuration.resting`` has it, in a file that may be wrong."""
    decided = "when" in written or isinstance(written.get("create"), dict)
    return bool(written.get("open")) or ("condition" in written and not decided)


def merged(data: bytes, file: str, planned: Iterable[Planned], known: Known) -> Merged:
    """Work flows into a file. Raises BadTopology if the file cannot be read."""
    document = read_standing(data, file)
    value = document.value or {}
    text = data.decode("utf-8-sig").replace("\r\n", "\n")
    if not value:
        text = f"{HEAD}{text}" if not text.startswith(FIRST_LINE) else text
        document = load(text.encode())
    else:
        text = in_lines(text, document, ("systems", "topics", "flows"))
        document = load(text.encode())
    page = Page(text, document)
    work = _Work(page, _flows(value), known)
    entries = [entry for flow in planned if (entry := work.take(flow)) is not None]
    variables = _systems(page, value, work.taken, known)
    page.append("flows", entries)
    made = page.text()
    resting = _checked(made, file, len(_flows(value)) + len(entries))
    if "\r\n" in data.decode("utf-8-sig"):
        made = made.replace("\n", "\r\n")
    return Merged(
        text=made,
        added=len(entries),
        changed=work.changed,
        same=work.same,
        resting=resting,
        points=tuple(work.points),
        variables=tuple(variables),
    )


def _checked(text: str, file: str, count: int) -> int:
    """What we are about to write must be what we meant; nothing else is ever written. Answer how many flows rest."""
    again = load(text.encode())
    if again.problems or len(_flows(again.value or {})) != count:
        told = again.problems or [Problem(again.at(("flows",)), "found other flows than were written")]
        raise _bad(f"{file} (as it would be)", told)
    return sum(map(_rests, _flows(again.value or {})))


def _flows(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [flow if isinstance(flow, dict) else {} for flow in value.get("flows") or []]


class _Work:
    """Flow by flow."""

    def __init__(self, page: Page, standing: list[dict[str, Any]], known: Known) -> None:
        self._page = page
        self._standing = standing
        self._known = known
        self._by_types: dict[frozenset[Any], list[int]] = {}
        for index, flow in enumerate(standing):
            self._by_types.setdefault(frozenset((flow.get("from"), flow.get("to"))), []).append(index)
        self.taken: list[Planned] = []
        self.points: list[Point] = []
        self.changed = 0
        self.same = 0

    def take(self, planned: Planned) -> str | None:
        """Answer the entry of a flow that is not there yet; change one that is."""
        if planned.left == planned.right and self._apart(planned):
            self.same += 1
            return None
        self.taken.append(planned)
        there = self._by_types.get(frozenset((planned.left, planned.right)))
        if not there:
            self.points += planned.points
            return entry(planned)
        index = self._meant(there, planned)
        flow = self._standing[index]
        turned = planned if flow.get("from") == planned.left else _turned(planned)
        before = _sources(flow)
        known = {(source.file, source.sum) for source in before}
        fresh = [source for source in planned.sources if (source.file, source.sum) not in known]
        self.points += [
            point for point in planned.points if _matters(point, flow, fresh=bool(fresh), by_hand=not before)
        ]
        if fresh:
            self._widen(index, flow, turned, before)
        elif any(str(source) not in map(str, before) for source in planned.sources):
            lines = _renewed(flow, planned.sources)
            self._page.edit(index, lambda item: item.update(source=_sequence(lines)))
            self.changed += 1
        elif self._known_now(flow):
            self._page.edit(index, lambda item: _refresh(item, turned))
            self.changed += 1
        else:
            self.same += 1
        return None

    def _apart(self, planned: Planned) -> bool:
        """Whether a flow of a type with itself, as documents say it, has been given a second system by now."""
        said = {(source.file, source.sum) for source in planned.sources}
        return any(
            said <= {(source.file, source.sum) for source in _sources(flow)}
            for flow in self._standing
            if flow.get("from") != flow.get("to")
        )

    def _known_now(self, flow: Mapping[str, Any]) -> bool:
        """Whether a flow rests for a system that a connector reads by now."""
        ends = [str(flow.get(end, "")) for end in ("from", "to")]
        said = {unread(end.partition(".")[0]) for end in ends if self._known.of(end).kind is not None}
        return not said.isdisjoint(flow.get("open") or ())

    def _meant(self, there: list[int], planned: Planned) -> int:
        files = {source.file for source in planned.sources}
        ours = [i for i in there if files & {source.file for source in _sources(self._standing[i])}]
        straight = [i for i in there if self._standing[i].get("from") == planned.left]
        return (ours or straight or there)[0]

    def _widen(self, index: int, flow: Mapping[str, Any], planned: Planned, before: list[Source]) -> None:
        """Add to a flow that stands what a statement says beyond it."""
        imported = bool(before)
        standing = [_pair(each) for each in flow.get("fields") or [] if isinstance(each, dict)]
        held = {(pair.left, pair.right) for pair in standing}
        new = [] if planned.ours and standing else [p for p in planned.pairs if (p.left, p.right) not in held]
        whole = Planned(left=planned.left, right=planned.right, pairs=(*standing, *new))
        pairs = directed(whole, self._known).pairs[len(standing) :]
        match = [each for each in flow.get("match") or [] if isinstance(each, dict)]
        asked = [] if planned.ours and flow.get("match") else [{left: right} for left, right in planned.match]
        create = flow.get("create", "never")
        wider = _wider(create, planned.create)

        def change(item: Any) -> None:
            item["source"] = _sequence(_renewed(flow, planned.sources))
            if pairs:
                item.setdefault("fields", []).extend(mapping(field(pair)) for pair in pairs if _fits(pair))
            if more := [each for each in asked if each not in match]:
                item.setdefault("match", []).extend(map(mapping, more))
            if imported:
                if wider != create:
                    item["create"] = wider
                if planned.condition and "condition" not in item:
                    item["condition"] = planned.condition

        if not imported and (wider != create or planned.condition):
            said = f"creates {planned.create}" + (f", {planned.condition:.120}" if planned.condition else "")
            text = f"found {said}, where a flow written by hand creates {create}; one of them would be right"
            self.points.append(Point("differs", Fault(planned.at[0], planned.at[1], text)))
        self._page.edit(index, change)
        self.changed += 1


def _wider(create: Any, asked: str) -> Any:
    """What a flow creates if it also creates what is asked; what a person has said more closely stays."""
    if not isinstance(create, str):
        return create
    ways = _CREATES.get(create, set()) | _CREATES[asked]
    return next((name for name, each in _CREATES.items() if each == ways), create)


def _refresh(item: Any, planned: Planned) -> None:
    """Say anew what is open in a flow, once there is a connector that tells of its types."""
    theirs = [why for why in item["open"] if not UNREAD.fullmatch(why)]
    now = list(dict.fromkeys((*theirs, *planned.open)))
    if now:
        item["open"] = _sequence(now)
    else:
        del item["open"]
    if planned.ours and not item.get("fields"):
        item["fields"] = [mapping(field(pair)) for pair in planned.pairs]
        item["ours"] = True
        if planned.match and not item.get("match"):
            item["match"] = [mapping({left: right}) for left, right in planned.match]
    if item.get("create") == "forward" and planned.create == "never":
        item["create"] = "never"
    said = {(pair.left, pair.right): pair for pair in planned.pairs}
    for each in item.get("fields") or []:
        pair = said.get((each.get("from"), each.get("to")))
        if pair is not None and pair.open and "open" not in each:
            each["open"] = _sequence(pair.open)
        if pair is not None and pair.direction and "direction" not in each:
            each["direction"] = pair.direction


def _matters(point: Point, flow: Mapping[str, Any], *, fresh: bool, by_hand: bool) -> bool:
    """Whether a statement's point is one of a flow that stands: what a person has decided is not asked again."""
    match point.kind:
        case "condition" | "connected" | "system" | "entity" | "flow":
            return _rests(flow)
        case "qualifier" | "property":
            pairs = [each for each in flow.get("fields") or [] if isinstance(each, dict)]
            return fresh or any(map(_rests, (flow, *pairs)))
        case "identifier":
            return True
        case _:
            return not by_hand


def entry(planned: Planned) -> str:
    """A flow in the notation of topics.yaml, without indentation."""
    lines = [f"from: {plain(planned.left)}", f"to: {plain(planned.right)}"]
    lines.append(f"create: {planned.create}")
    if planned.match:
        lines.append(f"match: {plain([{left: right} for left, right in planned.match])}")
    if planned.sources:
        lines.append(f"source: {plain([str(source) for source in planned.sources])}")
    if planned.condition:
        lines.append(f"condition: {plain(planned.condition)}")
    if planned.open:
        lines.append(f"open: {plain(planned.open)}")
    pairs = [f"    - {plain(field(pair))}" for pair in planned.pairs if _fits(pair)]
    lines += ["fields:", *(pair[2:] for pair in pairs)] if pairs else []
    if planned.ours:
        lines.append("ours: true")
    return "- " + "\n  ".join(lines)


def field(pair: Pair) -> dict[str, Any]:
    """A pair as it stands among a flow's fields."""
    made: dict[str, Any] = {"from": pair.left, "to": pair.right}
    if pair.conversion != "same":
        made["as"] = pair.conversion
    if pair.direction:
        made["direction"] = pair.direction
    if pair.when:
        made["when"] = pair.when
    if pair.condition:
        made["condition"] = pair.condition
    if pair.open:
        made["open"] = list(pair.open)
    return made


def _fits(pair: Pair) -> bool:
    return is_path(pair.left) and is_path(pair.right)


def _pair(written: Mapping[str, Any]) -> Pair:
    """A pair of a file, as far as its direction and its rest matter."""
    direction = written.get("direction")
    narrow = "forward" if written.get("as") == "first" else ""
    return Pair(
        left=str(written.get("from", "")),
        right=str(written.get("to", "")),
        direction=direction if direction in ("forward", "backward") else narrow,  # type: ignore[arg-type]  # as checked
        open=("rests",) if _rests(written) else (),
    )


def _turned(planned: Planned) -> Planned:
    """A flow that the file has the other way round."""
    ways = {"forward": "backward", "backward": "forward", "": ""}
    pairs = tuple(
        Pair(
            left=pair.right,
            right=pair.left,
            conversion=_swapped(pair.conversion),
            direction=ways[pair.direction],  # type: ignore[arg-type]  # one of the three
            condition=_other_side(pair.condition),
            open=pair.open,
            at=pair.at,
        )
        for pair in planned.pairs
    )
    return Planned(
        left=planned.right,
        right=planned.left,
        create="both" if planned.create == "both" else "never",
        match=tuple((right, left) for left, right in planned.match),
        pairs=pairs,
        ours=planned.ours,
        sources=planned.sources,
        condition=planned.condition,
        at=planned.at,
    )


def _other_side(condition: str) -> str:
    """The words of a condition whose left side is now the right one; its expression would not hold there."""
    ways = {"left": "right", "right": "left"}
    words = (each.partition(" ") for each in condition.split(" | ") if each)
    return " | ".join(f"{ways.get(side, side)}{blank}{rest}" for side, blank, rest in words)


def _swapped(conversion: Any) -> Any:
    if isinstance(conversion, dict) and conversion.get("date"):
        return {"date": {"time": "left" if conversion["date"]["time"] == "right" else "right"}}
    return conversion


def _sources(flow: Mapping[str, Any]) -> list[Source]:
    """The statements that a flow comes from; what a person wrote among them is none."""
    found = (_SOURCE.fullmatch(str(text)) for text in flow.get("source") or [])
    return [Source(each[1], int(each[2]), each[3]) for each in found if each]


def _renewed(flow: Mapping[str, Any], now: Iterable[Source]) -> list[str]:
    """The sources as they were, but those of these files as they are now."""
    fresh = list(now)
    files = {source.file for source in fresh}
    before = [(str(text), _SOURCE.fullmatch(str(text))) for text in flow.get("source") or []]
    return [*(text for text, found in before if not found or found[1] not in files), *map(str, fresh)]


def _sequence(items: Iterable[str]) -> Any:
    from ruamel.yaml.comments import CommentedSeq  # noqa: PLC0415

    made = CommentedSeq(items)
    made.fa.set_flow_style()
    return made


def _systems(page: Page, value: Mapping[str, Any], planned: Iterable[Planned], known: Known) -> list[str]:
    """Add the systems and entity types that new flows need and a connector tells of; answer their variables."""
    topics = set(value.get("topics") or {})
    variables: list[str] = []
    systems: dict[str, str] = {}
    types: dict[str, None] = {}
    for type in dict.fromkeys(end for flow in planned for end in (flow.left, flow.right)):
        system = known.of(type)
        if system.kind is None or type.partition(".")[2] not in system.kind.traits:
            continue
        if type not in topics:
            types[type] = None
        if not system.standing and system.name not in systems:
            needed = [name for name, setting in system.kind.settings.items() if setting.required]
            named = {name: f"{system.name}_{name}".upper().replace("-", "_") for name in needed}
            variables += named.values()
            settings = {"connector": system.connector, **{name: f"${{{word}}}" for name, word in named.items()}}
            systems[system.name] = f"{system.name}: {plain(settings)}"
    page.append("systems", systems.values())
    page.append("topics", [f"{type}: {{poll: 30s}}" for type in types])
    return variables
