"""What there is to name: systems and their entity types, those of topics.yaml first, then those that come with us.

A document says ``PowerOffice GO Customers``; here that becomes ``powerofficego.customers``, with what its connector
tells of it. What nobody knows gets a name as well, the same one every time, so that a flow can stand and rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from connectors.endpoint import Traits
from stream.configuration.systems import Kind
from stream.dataflow.forms import Name
from stream.dataflow.words import nearest, slug, squashed


class System(Struct, frozen=True, kw_only=True):
    """A system by its name in topics.yaml; ``types`` is ``None`` if no connector tells of it."""

    name: str
    connector: str
    standing: bool
    """Whether topics.yaml has it."""
    kind: Kind | None


class Known:
    """The systems that are there, and the names that documents have for them."""

    def __init__(self, systems: Mapping[str, System], spelled: Iterable[str], standing: Iterable[str] = ()) -> None:
        """Take systems by name, all spellings in the documents, and the entity types that topics.yaml names."""
        self._found: dict[Name, str] = {}
        self._there: dict[str, list[str]] = {}
        for type in dict.fromkeys(standing):
            self._there.setdefault(type.partition(".")[0], []).append(type.partition(".")[2])
        self._systems = dict(systems)
        self._by_word = {squashed(system.connector): name for name, system in systems.items()}
        self._by_word |= {squashed(name): name for name in systems}
        self._longer = _longer(spelled)

    def system(self, spelled: str) -> System:
        """The system that a document means."""
        name = self._by_word.get(squashed(spelled)) or self._by_word.get(squashed(self._longer.get(spelled, "")))
        if name is None:
            whole = self._longer.get(spelled, spelled)
            name = self._by_word.setdefault(squashed(whole), slug("".join(whole.split())))
        unknown = System(name=name, connector="", standing=False, kind=None)
        return self._systems.get(name, unknown)

    def type(self, side: Name) -> str:
        """The entity type that a document means, as ``<system>.<type>``."""
        if side not in self._found:
            system = self.system(side.system)
            told = list(system.kind.traits) if system.kind is not None else []
            there = self._there.get(system.name, [])
            short = nearest(side.entity, told) or nearest(side.entity, there) or slug(side.entity)
            self._found[side] = f"{system.name}.{short}"
        return self._found[side]

    def of(self, type: str) -> System:
        """The system of an entity type."""
        name = type.partition(".")[0]
        return self._systems.get(name, System(name=name, connector="", standing=False, kind=None))

    def traits(self, type: str) -> Traits | None:
        """What an entity type can do, if its connector tells."""
        kind = self.of(type).kind
        return None if kind is None else kind.traits.get(type.partition(".")[2])


def _longer(spelled: Iterable[str]) -> dict[str, str]:
    """Shortened names of systems, and the one longer name that begins with the same whole words."""
    words = {name: tuple(re.findall(r"\w+", name.casefold())) for name in dict.fromkeys(spelled) if name}
    found = {}
    for name, short in words.items():
        more = {other for other, long in words.items() if len(long) > len(short) and long[: len(short)] == short}
        if len({squashed(other) for other in more}) == 1 and short:
            found[name] = min(more)
    return found


def known_systems(
    value: Mapping[str, Any], base_dir: Path, kinds: Callable[[str, Path], Kind], built_in: Iterable[str]
) -> dict[str, System]:
    """The systems of a topics.yaml's value, then the connectors that it has not named yet."""
    found: dict[str, System] = {}
    written = value.get("systems")
    for name, settings in (written if isinstance(written, dict) else {}).items():
        connector = settings.get("connector") if isinstance(settings, dict) else None
        text = connector if isinstance(connector, str) else ""
        kind = _kind(text, base_dir, kinds)
        found[name] = System(name=name, connector=Path(text).stem or name, standing=True, kind=kind)
    used = {squashed(system.connector) for system in found.values()}
    for connector in built_in:
        if squashed(connector) not in used and connector not in found:
            kind = _kind(connector, base_dir, kinds)
            found[connector] = System(name=connector, connector=connector, standing=False, kind=kind)
    return found


def _kind(connector: str, base_dir: Path, kinds: Callable[[str, Path], Kind]) -> Kind | None:
    try:
        return kinds(connector, base_dir)
    except ValueError:
        return None  # `linkstream validate` says what is wrong with it
