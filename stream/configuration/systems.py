"""Systems and their entity types: each connector must exist, get its settings, and know the types that are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path as File
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from connectors.auth import Secret
from connectors.document import Path, scalar
from connectors.endpoint import Traits
from connectors.settings import plain
from stream.configuration.form import Parts, complain
from stream.configuration.report import Report, near
from stream.configuration.written import WrittenSystem, WrittenTopic, seconds

FASTEST: Final = 0.1
SLOWEST: Final = 86_400.0


class Setting(Protocol):
    """One setting of a connector."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """Its form, as JSON Schema."""
        ...

    @property
    def required(self) -> bool:
        """Whether there is nothing without it."""
        ...

    @property
    def secret(self) -> bool:
        """Whether it is kept out of every text."""
        ...


class Kind(Struct, frozen=True, kw_only=True):
    """What there is to know of a connector without a network: its entity types, and its settings by name."""

    traits: Mapping[str, Traits]
    settings: Mapping[str, Setting]


Kinds: TypeAlias = Callable[[str, File], Kind]
"""Looks a connector up, by name or by the path of a declaration. Raises ValueError, saying what would be right."""


class System(Struct, frozen=True, kw_only=True):
    """A system of the topology. Settings that are secrets are ``Secret``s."""

    name: str
    connector: str
    settings: Mapping[str, Any]
    rank: int


class Polled(Struct, frozen=True, kw_only=True):
    """An entity type that is read every ``poll`` seconds."""

    name: str
    system: str
    type: str
    poll: float


class Systems(Struct, frozen=True, kw_only=True):
    """What was right. ``traits`` are by entity type, ``asana.tasks``, also of types that are not read."""

    systems: dict[str, System]
    types: dict[str, Polled]
    traits: dict[str, Traits]


def read_systems(parts: Parts, value: Mapping[str, Any], report: Report, kinds: Kinds, base_dir: File) -> Systems:
    """Check all systems and topics; what is wrong goes to the report."""
    systems: dict[str, System] = {}
    traits: dict[str, Traits] = {}
    once = cache(lambda connector: kinds(connector, base_dir))
    for rank, (name, written) in enumerate(parts.systems.items()):
        kind = _kind(name, written, report, once)
        if kind is not None:
            settings = {key: item for key, item in value["systems"][name].items() if key != "connector"}
            systems[name] = System(
                name=name, connector=written.connector, settings=_settings(name, settings, kind, report), rank=rank
            )
            traits |= {f"{name}.{short}": its for short, its in kind.traits.items()}
    types = {
        name: polled
        for name, topic in parts.topics.items()
        if (polled := _polled(name, topic, parts, traits, report, systems)) is not None
    }
    return Systems(systems=systems, types=types, traits=traits)


def _kind(name: str, written: WrittenSystem, report: Report, kinds: Callable[[str], Kind]) -> Kind | None:
    path: Path = ("systems", name, "connector")
    if report.unknown(path):
        return None
    try:
        return kinds(written.connector)
    except ValueError as error:
        if report.comes_from_outside(path):
            shown = report.shown(path, written.connector)
            report.add(
                path, f"found {shown}, which leads to no connector; a name, or a declaration's path, would be right"
            )
            return None
        for problem in str(error).splitlines():
            report.add(path, problem if ";" in problem else f"{problem}; a connector would be right")
        return None


def _settings(name: str, written: Mapping[str, Any], kind: Kind, report: Report) -> dict[str, Any]:
    path: Path = ("systems", name)
    settings: dict[str, Any] = {}
    for key, value in written.items():
        at = (*path, key)
        setting = kind.settings.get(key)
        if setting is None:
            right = near(key, kind.settings.keys() - written.keys())
            report.add(at, f"found the setting {key!r:.80}; {right} would be right", key=True)
        elif value == "" and report.comes_from_outside(at) and not report.unknown(at) and not setting.required:
            continue  # ${NAME:-} says that a setting may be left out
        else:
            settings[key] = secret_of(at, value, report) if setting.secret else _open(at, value, setting, report)
    for key in sorted(key for key, setting in kind.settings.items() if setting.required and key not in written):
        report.add(path, f"found no setting {key!r}; one would be right", key=True)
    return settings


def secret_of(path: Path, value: Any, report: Report) -> Secret:
    """A secret as it may be written: it comes from outside of the file."""
    if report.unknown(path):
        return Secret("")
    if not isinstance(value, str):
        report.add(path, "found a secret that is no text; ${NAME} or ${file:/run/secrets/name} would be right")
    elif not report.comes_from_outside(path):
        report.add(path, "found a secret in the file itself; ${NAME} or ${file:/run/secrets/name} would be right")
    elif not value:
        report.add(path, f"found nothing in {report.shown(path, value)}; a secret would be right")
    return Secret(value if isinstance(value, str) else "")


def _open(path: Path, value: Any, setting: Setting, report: Report) -> Any:
    """A setting that is no secret. What a variable holds is text, and a number where a number is wanted."""
    if isinstance(value, str) and setting.schema.get("type") in ("integer", "number", "boolean"):
        value = scalar(value) if report.comes_from_outside(path) else value
    if not plain(value, setting.schema):
        complain(value, setting.schema, report, path)
    return value


def _polled(
    name: str,
    topic: WrittenTopic,
    parts: Parts,
    traits: Mapping[str, Traits],
    report: Report,
    systems: Mapping[str, System],
) -> Polled | None:
    path: Path = ("topics", name)
    system, _, short = name.partition(".")
    poll = seconds(topic.poll)
    if not FASTEST <= poll <= SLOWEST:
        report.add((*path, "poll"), f"found {report.shown((*path, 'poll'), topic.poll)}; 100ms to 24h would be right")
    if system not in parts.systems_named:
        report.add(path, f"found the system {system!r}; {near(system, parts.systems_named)} would be right", key=True)
        return None
    if system not in systems:
        return None
    if name not in traits:
        known = {other.partition(".")[2] for other in traits if other.startswith(f"{system}.")}
        report.add(path, f"found the type {short!r} of {system}; {near(short, known)} would be right", key=True)
        return None
    return Polled(name=name, system=system, type=short, poll=poll)
