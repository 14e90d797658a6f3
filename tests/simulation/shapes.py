"""Shapes: the flows that histories are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from connectors.endpoint import Traits
from stream.configuration.conditions import condition
from stream.core.flows import Condition, Conversion, Flow, Pair, TypeFacts
from stream.model import Value
from stream.topology import read_topology
from tests.simulation.modes import MODES, Mode, Removal
from tests.simulation.systems import Quirks
from tests.simulation.twenty import MANNERS, TWENTY


def _to(value: Value) -> Value:
    return None if value is None else f"R:{value}"


def _back(value: Value) -> Value:
    if value is None:
        return None
    if not value.strip().startswith("R:"):
        raise ValueError(f"found {value!r}; R:... would be right")
    return value.strip().removeprefix("R:")


def _less(value: Value) -> Value:
    return value.partition(".")[0] if isinstance(value, str) else value


SPELLED = Conversion("spelled", _to, _back)
FIELDS = tuple(Pair(left=field, right=field) for field in ("name", "x1", "x2"))
MATCH = ((("name", "name"),),)


CANONICAL = Conversion("canonical", lambda value: value.strip() if isinstance(value, str) else value)


def flow(
    left: str,
    right: str,
    *,
    match: bool = True,
    pairs: tuple[Pair, ...] = FIELDS,
    create: Literal["forward", "both", "never"] = "forward",
    when: Condition | None = None,
    linked: tuple[tuple[str, str], ...] = (),
) -> Flow:
    name, found = f"{left}~{right}", MATCH if match else ()
    return Flow(name=name, left=left, right=right, create=create, match=found, pairs=pairs, when=when, linked=linked)


def parented(*, required: bool) -> list[Flow]:
    parent = Pair(left="parent", right="parent", reference="a.p~b.p", required="b" if required else "")
    return [flow("a.p", "b.p"), flow("a.t", "b.t", pairs=(*FIELDS, parent))]


SETS = (*FIELDS, Pair(left="labels~", right="labels~"))
GROUP = "g1, g2"
GROUPS = (*FIELDS, Pair(left=GROUP, right=GROUP))
MEMBERS = Pair(left="members~", right="members~", reference="a.p~b.p")
SELF = Pair(left="parent", right="parent", reference="a.t~b.t")
REQUIRED_SELF = Pair(left="parent", right="parent", reference="a.t~b.t", required="b")
ONE_WAY = (FIELDS[0], Pair(left="x1", right="x1", direction="forward"), FIELDS[2])
CODED = (*FIELDS, Pair(left="code", right="code"))
CODE = ((("code", "code"),),)
BOTH = ((("code", "code"), ("x2", "x2")),)
OPEN = condition("record.state == 'open'")
DEPENDENT = (FIELDS[0], Pair(left="x1", right="x1", when=OPEN), FIELDS[2])
PARENT = (("parent", "a.p~b.p"), ("other", "a.q~b.p"))
FIVE = read_topology(
    Path(__file__).parents[1] / "five.yaml", {"ASANA_TOKEN": "t", "PMS_URL": "http://localhost", "PMS_TOKEN": "t"}
)

# A flow of a type with itself is not among them: the configuration refuses it.
SHAPES = {
    "pair": [flow("a.t", "b.t")],
    "pair without match": [flow("a.t", "b.t", match=False)],
    "one way": [flow("a.t", "b.t", pairs=ONE_WAY)],
    "chain": [flow("a.t", "b.t"), flow("b.t", "c.t")],
    "fan": [flow("a.t", "b.t"), flow("a.t", "b.u")],
    "fan in": [flow("a.t", "b.t"), flow("a.u", "b.t")],
    "both": [flow("a.t", "b.t", create="both")],
    "both without match": [flow("a.t", "b.t", create="both", match=False)],
    "conflict": [flow("a.t", "b.t")],
    "references": parented(required=False),
    "required references": parented(required=True),
    "references to its own type": [flow("a.t", "b.t", pairs=(*FIELDS, SELF))],
    "required references to its own type": [flow("a.t", "b.t", pairs=(*FIELDS, REQUIRED_SELF))],
    "sets": [flow("a.t", "b.t", pairs=SETS), flow("b.t", "c.t", pairs=SETS)],
    "sets of references": [flow("a.p", "b.p"), flow("a.t", "b.t", pairs=(*FIELDS, MEMBERS))],
    "groups": [flow("a.t", "b.t", pairs=GROUPS), flow("b.t", "c.t", pairs=GROUPS)],
    "diamond": [flow("a.t", "b.t"), flow("a.t", "c.t"), flow("b.t", "d.t"), flow("c.t", "d.t", create="never")],
    "cycle": [flow("a.t", "b.t"), flow("b.t", "c.t"), flow("c.t", "a.t", create="never")],
    "cycle of four": [flow("a.t", "b.t"), flow("b.t", "c.t"), flow("c.t", "d.t"), flow("d.t", "a.t")],
    "two criteria": [replace(flow("a.t", "b.t", pairs=CODED), match=(*MATCH, *CODE))],
    "two criteria crosswise": [replace(flow("a.t", "b.t", pairs=CODED), match=(*CODE, *MATCH))],
    "three criteria": [replace(flow("a.t", "b.t", pairs=CODED), match=(*MATCH, *BOTH, *CODE))],
    "condition": [flow("a.t", "b.t", when=OPEN)],
    "condition in a chain": [flow("a.t", "b.t"), flow("b.t", "c.t", when=OPEN)],
    "dependent field": [flow("a.t", "b.t", pairs=DEPENDENT)],
    "connected": [flow("a.p", "b.p"), flow("a.q", "b.p"), flow("a.t", "b.t", linked=PARENT)],
    "topics.yaml": list(FIVE.flows.flows.values()),
    "twenty": list(TWENTY.flows.flows.values()),
}
CRISSCROSS = frozenset({"two criteria", "two criteria crosswise", "three criteria"})
"""Shapes in which several records have one code, so that some are never linked."""
NAMESAKES = frozenset({"conflict"})
"""Shapes in which every name is given twice."""


FILES = {"topics.yaml": FIVE, "twenty": TWENTY}
"""Shapes that are read from files: the flows of one document, and all that we ship."""


def facts_of(shape: str) -> dict[str, TypeFacts] | None:
    return FILES[shape].flows.facts if shape in FILES else None


def traits_of(shape: str) -> dict[str, Traits] | None:
    return dict(FILES[shape].traits) if shape in FILES else None


def fits(shape: str, mode: str) -> bool:
    """Whether a mode says anything about a shape: some name fields, which those of real systems have not.

    Where a target rewrites names, a second origin with the same name does not find what the first one created, and of
    one thing two are made: nothing but its name would say that it is one. The same where people rename what is on its
    way round a ring in which every flow creates: its old name met nobody; or where a row of the ring forgot that what
    comes round was deleted. And where some types have no times of change,
    what was typed before a log was lost and read after that is judged in a mode of its own.
    """
    if shape == "cycle of four" and (MODES[mode].renaming or mode == "deletes, rollback"):
        return False
    renamed = any(quirks.numbers for quirks in MODES[mode].quirks.values())
    if shape == "twenty" and mode in DATED:
        return False
    return not (shape in ROLES and mode in NAMING) and not (
        shape in {*CRISSCROSS, "conflict", "cycle of four"} and renamed
    )


NAMING = frozenset(
    {"gives less", "refuses", "refuses, tried again", "refuses creates", "ignores", "spells", "field later"}
)
DATED = frozenset({"restored, unread", "erased, unread"})
ROLES = {
    "topics.yaml": {"asana": "a", "custompms": "b"},
    "twenty": {
        "asana": "a",
        "custompms": "b",
        "trello": "c",
        "powerofficego": "a",
        "customerp": "d",
        "crmoffice": "c",
    },
}
"""Which of a mode's systems the real ones are."""


def quirks_of(shape: str, quirks: dict[str, Quirks]) -> dict[str, Quirks]:
    """The quirks of a mode by the names that a shape's systems have, on top of the manners that they have anyway."""
    if shape not in ROLES:
        return quirks
    if shape == "topics.yaml":
        return {name: quirks.get(role, Quirks()) for name, role in ROLES[shape].items()}
    # A customer has several origins there: see fits.
    return {
        name: replace(together(MANNERS[name], quirks.get(role, Quirks())), numbers=False)
        for name, role in ROLES[shape].items()
    }


def together(one: Quirks, other: Quirks) -> Quirks:
    """Both: what the other does not say, or say otherwise, stays."""
    usual = Quirks()
    return replace(
        one,
        **{name: value for name in Quirks.__struct_fields__ if (value := getattr(other, name)) != getattr(usual, name)},
    )


def _system(type: str) -> str:
    return type.partition(".")[0]


def flows_of(
    shape: str, quirks: dict[str, Quirks], removals: tuple[Removal, ...] = ("keep",), *, canonically: bool = False
) -> list[Flow]:
    """The flows of a shape; where a system spells differently, those across it convert."""
    spelling = {name for name, each in quirks.items() if each.spells}
    found = []
    for number, each in enumerate(SHAPES[shape]):
        left, right = (name.partition(".")[0] in spelling for name in (each.left, each.right))
        pairs = list(each.pairs)
        brief = [name in quirks and quirks[name].brief for name in (_system(each.left), _system(each.right))]
        if any(brief):
            way = Conversion("less", *(_less if side else None for side in reversed(brief)))
            pairs[1] = Pair(left="x1", right="x1", conversion=way, direction=pairs[1].direction, when=pairs[1].when)
        if left != right:
            way = SPELLED if right else Conversion("back", _back, _to)
            pairs[1] = Pair(left="x1", right="x1", conversion=way, direction=pairs[1].direction, when=pairs[1].when)
        found.append(replace(each, pairs=tuple(pairs), delete=removals[number % len(removals)]))
    return canonical(found, {name for name, each in quirks.items() if each.trims}) if canonically else found


def canonical(flows: list[Flow], trims: set[str]) -> list[Flow]:
    """Flows that give a system which trims what it would keep anyway."""
    found = []
    for each in flows:
        left, right = (name.partition(".")[0] in trims for name in (each.left, each.right))
        strip = CANONICAL.to
        way = Conversion("canonical", strip if right else None, strip if left else None)
        pairs = [
            replace(pair, conversion=way)
            if pair.reference is None and pair.conversion.name in ("same", "text")
            else pair
            for pair in each.pairs
        ]
        found.append(replace(each, pairs=tuple(pairs)))
    return found


def earlier(flows: list[Flow], mode: Mode) -> list[Flow]:
    """What was configured at first."""
    if mode.later == "field":
        return [replace(each, pairs=tuple(pair for pair in each.pairs if pair.left != "x2")) for each in flows]
    if mode.later == "match":
        return [replace(each, match=(), create="never") for each in flows]
    return flows[:1] if mode.later == "flow" else flows
