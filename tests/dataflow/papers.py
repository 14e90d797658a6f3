"""Makes dataflow documents: any number, all forms, and the sloppiness that people and generators are capable of.

A seed decides everything. The words are ours but for the phrases that a reader must know; systems and entities are
made up. ``corpus`` makes as many documents, statements, rows and merges as there are in public, and says how many.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


def _listed(text: str) -> list[str]:
    return text.split()


SYSTEMS = _listed("""
    Fjordbase Nordlager Tidvis Kundeboka Plankart Regnskapet Sildrehavn Bergfakta Lommeplan Torgvare Arkivia Husnett
    Lagerby Ordrekart Fakturo Timelinje Skogsys Brevkassa Kontorpuls Varebane Medlemsnett Kassaby Reisekart Driftslogg
    Utleia Verkstedet Prisbanken Oppgavia Solskift Vaktbok Byggeplan Tavlebrett Havna-Online Custom-Lager
""")
SYSTEMS[-2:] = ["Havna Online", "Custom Lager"]
ENTITIES = _listed("""
    Customer Customers Project Tasks Order Orderlines Invoice Employee Departments Product Contact Supplier Activity
    Timesheets Location Visit Currency Countries Note Role
""")
ENTITIES += ["Customer (human data)", "Customer (organisation data)", "Order-lines", "Price list"]
FIELDS = _listed("""
    name title email notes address.city address.postalArea properties.email properties.phone primaryInfo.address.city
    $id id status startsAt dueDate amount orgNo website phones.number info.items.lines.code vatNumber desc_ total*
""")
TYPES = ['"string"'] * 18 + ['"integer"', '"float"', '"boolean"', "N/A"]
CONDITIONS = (
    "When a {a} is marked as won",
    "only those of this year. Older ones are left out for now",
    "When a {a} is of type Partner",
)
CODES = ["NO", "wd:Q12345", "SE", "wd:Q777", ""]


class Facts(NamedTuple):
    """What a set of documents holds."""

    documents: int = 1152
    every: int = 4144
    conditions: int = 97
    connected: int = 55
    links: int = 261
    existing: int = 26
    properties: int = 8472
    merges: int = 380

    @property
    def statements(self) -> int:
        return self.every + self.conditions + self.connected + self.links


def small(documents: int) -> Facts:
    """The same proportions, fewer documents."""
    part = documents / 1152
    every, *others = (max(1, round(count * part)) for count in Facts()[1:])
    return Facts(documents, max(every, documents), *others)


def corpus(folder: Path, seed: int, facts: Facts | None = None) -> list[Path]:
    """Write documents into a folder; answer their paths."""
    facts = facts or Facts()
    chance = random.Random(seed)
    kinds = ["every"] * (facts.every - facts.existing) + ["existing"] * facts.existing
    kinds += ["condition"] * facts.conditions + ["connected"] * facts.connected + ["links"] * facts.links
    chance.shuffle(kinds)
    pairs = [(left, right) for left in SYSTEMS for right in SYSTEMS]
    chance.shuffle(pairs)
    sizes = spread(chance, len(kinds), facts.documents, at_least=1)
    rows = iter(spread(chance, facts.properties, len(kinds)))
    # A merge table belongs to what links; the rest goes to statements that also create.
    merging = iter(merges(chance, kinds, facts.merges))
    paths = []
    todo = iter(kinds)
    for (left, right), size in zip(pairs, sizes, strict=False):
        sections = [(next(todo), next(rows), next(merging)) for _ in range(size)]
        paths.append(put(folder, chance, left, right, sections))
    return paths


def spread(chance: random.Random, count: int, places: int, at_least: int = 0) -> list[int]:
    """Share things out, most places getting few and some very many."""
    shares = Counter(
        chance.choices(range(places), [chance.expovariate(1.0) for _ in range(places)], k=count - at_least * places)
    )
    return [at_least + shares[place] for place in range(places)]


def merges(chance: random.Random, kinds: list[str], count: int) -> list[int]:
    found = [1 if kind == "links" else 0 for kind in kinds]
    able = [place for place, kind in enumerate(kinds) if kind in ("links", "existing")]
    for _ in range(count - sum(found)):
        found[chance.choice(able)] += 1
    return found


def put(folder: Path, chance: random.Random, left: str, right: str, sections: Iterable[tuple[str, int, int]]) -> Path:
    """One document, with the line ends, marks and ending that chance gives it."""
    name = f"{squashed(left)}-{squashed(right)}{'.txt' if chance.random() < 0.05 else '.rst'}"
    text = paper(chance, left, right, sections)
    data = text.replace("\n", "\r\n").encode() if chance.random() < 0.5 else text.encode()
    path = folder / name
    path.write_bytes((b"\xef\xbb\xbf" if chance.random() < 0.1 else b"") + data)
    return path


def paper(chance: random.Random, left: str, right: str, sections: Iterable[tuple[str, int, int]]) -> str:
    """The text of a document."""
    nameless = chance.random() < 0.08
    title = f"{left} to {'' if nameless else right} Dataflow"
    bar = "=" * len(title)
    dot = chance.choice(("", "."))
    head = (
        f"{bar}\n{title}\n{bar}\n\nGenerated: 2026-01-02 03:04:05\n\nIntroduction{dot}\n------------\n\nAn example.\n\n"
    )
    used: list[tuple[str, str]] = []
    parts = []
    for kind, rows, merging in sections:
        again = bool(used) and chance.random() < 0.05
        a, b = chance.choice(used) if again else (chance.choice(ENTITIES), chance.choice(ENTITIES))
        used.append((a, b))
        parts.append("".join(section(chance, (left, a), ("" if nameless else right, b), kind, rows, merging)))
    return head + "\n".join(parts)


def section(
    chance: random.Random, left: tuple[str, str], right: tuple[str, str], kind: str, rows: int, merging: int
) -> Iterator[str]:
    """One statement."""
    a, b = spelled(chance, *left), spelled(chance, *right)
    an, gap = chance.choice(("a ", "a ", "a ", "a")), chance.choice(("", " "))
    title = f"{a} to {b}"
    yield f"{title}\n{'-' * max(4, len(title))}\n"
    if kind in ("links", "connected"):
        yield f"Before any synchronization can take place, a link between a {a} and {an}{b} must be established.\n\n"
    if kind in ("every", "existing"):
        yield f"Every {a} will be synchronized with {an}{b}.\n\n"
    if kind == "condition":
        yield f"{chance.choice(CONDITIONS).format(a=a)}, it {gap}will be synchronized with {an}{b}.\n\n"
    if kind == "connected":
        others = ", ".join(chance.sample(ENTITIES[:16], 2))
        into = right[0] or ""
        there = f"a {left[0]} {others}, or Role that is synchronized into {into}"
        yield f"A new {b} will be created from a {a} if it is connected to {there}.\n\n"
    if merging:
        yield f"A {a} will merge with {an}{b} if one of the following property combinations match:\n\n"
        yield from table(chance, (f"{a} Property", f"{b} Property"), [merge(chance) for _ in range(merging)])
    if kind == "existing":
        yield f"If a matching {b} already exists, the {a} will be merged with the existing one."
        yield chance.choice((" ", "\n", "\n\n")) + f"If no matching {b} is found, a new {b} will be created.\n\n"
    yield f"Once a link between a {a} and {an}{b} is established, it will keep in sync between the two systems,"
    yield chance.choice((" ", "\n")) + "regardless of where it is edited.\n\n"
    yield f"The following properties are synchronized between a {a} and {an}{b}:\n\n"
    head = (f"{a} Property", f"{b} Property", f"{right[0]} Data Type")
    yield from table(chance, head, [row(chance) for _ in range(rows)])


def table(chance: random.Random, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield ".. list-table::\n   :header-rows: 1\n\n"
    for cells in (head, *rows):
        first, *more = cells
        yield f"   * - {first}\n"
        for cell in more:
            broken = " " in cell and chance.random() < 0.05
            yield f"     - {cell.replace(' ', chr(10) + '       ', 1) if broken else cell}\n"
    yield "\n"


def row(chance: random.Random) -> tuple[str, str, str]:
    return qualified(chance, chance.choice(FIELDS)), qualified(chance, chance.choice(FIELDS)), chance.choice(TYPES)


def merge(chance: random.Random) -> tuple[str, str]:
    return chance.choice(FIELDS), chance.choice(FIELDS)


def qualified(chance: random.Random, name: str) -> str:
    if chance.random() > 0.01:
        return name
    said = f"Dependant on having {chance.choice(CODES)} in {chance.choice(('address.country', 'type', ' '))}"
    return f"{name} ({said * chance.choice((1, 1, 3))})"


def spelled(chance: random.Random, system: str, entity: str) -> str:
    """An entity with its system before it, in one of its spellings."""
    ways = [system, system, system.capitalize(), squashed(system), system.upper(), system.partition(" ")[0]]
    return f"{chance.choice(ways)} {entity}" if system else f" {entity}"


def squashed(text: str) -> str:
    return "".join(text.lower().split())
