"""topics.yaml -> ``Topology``: which systems there are, what is read of them, and which flows keep it in step.

A file goes through five steps: places (``configuration.document``), variables, form, what contradicts itself
(``systems`` and ``flows``), and then it is a frozen value. All problems are told at once, each with its place; a
topology that exists has none. Secrets are ``Secret``s from the moment they are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from connectors.auth import Secret
from connectors.document import LARGEST, Unreadable, load, scalar
from connectors.endpoint import Traits
from stream.configuration.flows import read_flows
from stream.configuration.form import read_form
from stream.configuration.kinds import registered
from stream.configuration.report import Report
from stream.configuration.resting import Resting, awake
from stream.configuration.systems import Kinds, Polled, System, Systems, read_systems
from stream.configuration.variables import fill
from stream.configuration.web import Web, read_web
from stream.configuration.written import WrittenTraces, seconds
from stream.core.flows import Flow, Flows, TypeFacts
from stream.engine.backends import KINDS, is_kafka, secrets_of, shown
from stream.engine.kafka.address import address_of
from stream.engine.log import Mismatch
from stream.errors import BadTopology

__all__ = ["Polled", "System", "Topology", "parse_topology", "read_topology"]

_SECOND = 1_000_000


class Topology(Struct, frozen=True, kw_only=True):
    """The configuration of a worker, right in itself."""

    broker: str
    partitions: int
    resync: float
    """Seconds after which all rows tell everything anew."""
    systems: Mapping[str, System]
    """By name, in the order of the file."""
    types: Mapping[str, Polled]
    """The entity types that are read, by name: ``asana.tasks``."""
    flows: Flows
    traits: Mapping[str, Traits]
    """Of every entity type that a system has, read or not."""
    base_dir: Path
    """Where paths in the file begin."""
    web: Web | None = None
    """Where the page is served, if anywhere."""
    traces: WrittenTraces | None = None
    """Where traces go, and of how many changes."""
    resting: Resting
    """Flows and pairs that do nothing before a person has decided something, and what."""

    def secrets(self) -> Iterator[Secret]:
        """All secrets among the settings, for whoever keeps them out of texts."""
        yield from map(Secret, secrets_of(self.broker))
        for system in self.systems.values():
            yield from (value for value in system.settings.values() if isinstance(value, Secret))
        if self.web is not None:
            yield from (token for token in (self.web.token, self.web.write_token) if token is not None)


def read_topology(file: Path, environment: Mapping[str, str], *, kinds: Kinds = registered) -> Topology:
    """Read a file; paths in it begin where it lies. Raises BadTopology with all problems."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_ENOUGH)
    except OSError as error:
        reason = error.strerror or "no file"
        raise BadTopology([f"{file}:1:1: found no readable file: {reason}; a topics.yaml would be right"]) from None
    return parse_topology(data, environment, file=str(file), base_dir=file.parent, kinds=kinds)


def parse_topology(
    data: bytes,
    environment: Mapping[str, str],
    *,
    file: str = "topics.yaml",
    base_dir: Path = Path(),
    kinds: Kinds = registered,
) -> Topology:
    """Read a file's bytes. Raises BadTopology with all problems."""
    try:
        document = load(data)
    except Unreadable as error:
        place = error.problem.place
        raise BadTopology([f"{file}:{place.line}:{place.column}: {error.problem.text}"]) from None
    filled = fill(document, environment, base_dir)
    report = Report(file, document, filled)
    value = _numbers(filled.value, document.plain)
    parts, resting = awake(read_form(value, report))
    _check_broker(parts.broker, report)
    resync = seconds(parts.resync)
    if resync < MOST_OFTEN:
        report.add(("resync",), f"found {report.shown(('resync',), parts.resync)}; 1m or more would be right")
    systems = read_systems(parts, value, report, kinds, base_dir)
    flows = read_flows(parts, value, document.typed, report, systems.traits)
    web = read_web(parts.web, report)
    problems = report.lines()
    if problems:
        raise BadTopology(problems)
    return Topology(
        broker=parts.broker,
        partitions=parts.partitions,
        resync=resync,
        systems=systems.systems,
        types=systems.types,
        flows=_laid_out(flows, systems),
        traits=systems.traits,
        base_dir=base_dir,
        web=web,
        traces=parts.traces,
        resting=resting,
    )


PATIENCE = 60_000_000
"""Microseconds that a deletion waits, to see how many there are at once."""

MOST_OFTEN = 60.0
"""Seconds between two resyncs, at least."""

_ENOUGH = LARGEST + 1
_OPTION = r"(synchronous=(full|normal)|witness=[^&?]+)"
_BROKER = re.compile(rf"sqlite:///[^?]+(\?{_OPTION}(&{_OPTION})*)?", re.IGNORECASE)
"""What the embedded log takes for an address; others are asked themselves."""


def _check_broker(url: str, report: Report) -> None:
    """What the log takes for an address; no option's value is shown, for a variable may have brought a secret."""
    if not url or _BROKER.fullmatch(url):
        return
    found = report.shown(("broker",), shown(url) if is_kafka(url) else url)
    right = f"{KINDS} would be right"
    if is_kafka(url):
        try:
            address_of(url)
        except Mismatch as error:
            told = str(error).removeprefix(f"{shown(url)}: ")
            outside = report.comes_from_outside(("broker",))
            found, right = (found, told.rpartition("; ")[2]) if outside else ("", told)
        else:
            return
    report.add(("broker",), f"found {found}; {right}" if found else right)


def _numbers(value: Any, plain: frozenset[tuple[str | int, ...]]) -> Any:
    """Variables are text; at the top of the file, where a number is wanted, they are read as one."""
    if isinstance(value, dict) and isinstance(value.get("partitions"), str) and ("partitions",) in plain:
        return {**value, "partitions": scalar(value["partitions"])}
    return value


def _laid_out(flows: list[Flow], systems: Systems) -> Flows:
    facts = {
        name: TypeFacts(
            rank=systems.systems[polled.system].rank,
            integer_ids=systems.traits[name].id == "integer",
            marked=systems.traits[name].marked,
            lag=round(systems.traits[name].lag * _SECOND),
            fixed=systems.traits[name].fixed,
            patience=PATIENCE,
        )
        for name, polled in systems.types.items()
    }
    return Flows(flows, facts)
