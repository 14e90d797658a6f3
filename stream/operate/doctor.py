"""The doctor: what may keep a worker from doing its work here, each finding with its remedy.

Every check is a small function that yields findings and changes nothing. Those of this machine and of the log need no
network; those of the systems read one page of each entity type with the worker's own credentials.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from connectors.endpoint import Endpoint
from connectors.errors import ConnectorError, Locked
from connectors.trail import Asked, trail
from stream.engine.ask import ask
from stream.engine.backends import is_kafka, open_reader, shown
from stream.engine.embedded.lease import SILENT, holder_of
from stream.engine.embedded.schema import place_of
from stream.engine.log import EngineError
from stream.topology import Topology
from stream.wanted import topics_of
from stream.worker import opened

Level: TypeAlias = Literal["good", "note", "wrong"]

ROOM: Final = 1 << 30
"""Bytes that are to be free beside the log, and as many again as it has."""
SKEW: Final = 5.0
"""Seconds by which a system's clock may differ before anybody has to know."""
LOOKS: Final = 3
"""Answers after which a system's clock is known."""
NETWORKS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"})
OLDEST: Final = (3, 11)
DOUBTFUL: Final = 4
"""The first create class that is not sure at once."""


class Finding(Struct, frozen=True):
    """What was looked at, what was found, and what to do about it; nothing for what is good."""

    level: Level
    check: str
    found: str
    remedy: str = ""
    about: tuple[str, ...] = ()
    """The entity types that it is about."""


def machine() -> Iterator[Finding]:
    """Check Python and SQLite."""
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST:
        yield Finding("wrong", "python", f"Python {python}", "Python 3.11 or newer would be right")
    else:
        yield Finding("good", "python", f"Python {python}, SQLite {sqlite3.sqlite_version}")


def log(topology: Topology) -> Iterator[Finding]:
    """Check that the log is there, its topics, and whoever works on it."""
    if not is_kafka(topology.broker):
        yield from _room(place_of(topology.broker).path)
        path = place_of(topology.broker).path
        if not path.parent.parent.exists():
            yield Finding("wrong", "log", f"{path.parent.parent} is not there", "make it; linkstream run does not")
        elif not path.exists():
            yield Finding("note", "log", f"{shown(topology.broker)} is not there yet", "linkstream run creates it")
        if not path.exists():
            return
    try:
        with open_reader(topology.broker) as reader:
            there = {info.name: info.partitions for info in reader.topics()}
            size = reader.size().get("file")
            yield Finding("good", "log", shown(topology.broker) + (f", {_size(size)}" if size else ""))
            yield from _topics(topology, there)
    except EngineError as error:
        yield Finding("wrong", "log", str(error), "see docs/operations.md, The file")
    if not is_kafka(topology.broker):
        yield _lock(topology)


def _room(path: Path) -> Iterator[Finding]:
    """Check the place of a file: a local disk with room on it."""
    folder = next(each for each in (path.parent, *path.parents) if each.exists())
    kind = _filesystem(str(folder))
    if kind in NETWORKS:
        yield Finding("wrong", "log", f"{folder} is on {kind}", "put the log on a local disk: locks do not hold there")
    free = shutil.disk_usage(folder).free
    wanted = ROOM + (path.stat().st_size if path.exists() else 0)
    if free < wanted:
        remedy = f"free {_size(wanted - free)}, or put the log elsewhere"
        yield Finding("wrong", "room", f"{_size(free)} are free at {folder}", remedy)


def _topics(topology: Topology, there: Mapping[str, int]) -> Iterator[Finding]:
    missing = [name for name in topics_of(topology) if name not in there]
    if missing:
        some = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")  # noqa: PLR2004
        yield Finding("note", "topics", f"{some}: not there yet", "linkstream run creates them")
    ours = topics_of(topology)
    wrong = {name: count for name, count in there.items() if name in ours and count != topology.partitions}
    for name, count in list(wrong.items())[:1]:
        remedy = f"say partitions: {count} in topics.yaml, or begin with a new log"
        yield Finding(
            "wrong", "topics", f"{name} has {count} partitions, topics.yaml says {topology.partitions}", remedy
        )
    if not missing and not wrong:
        yield Finding("good", "topics", f"{len(there)} topics with {topology.partitions} partitions")


def _lock(topology: Topology) -> Finding:
    path = place_of(topology.broker).path
    holder, lock = holder_of(path), path.with_name(path.name + ".lock")
    if holder is None or not lock.exists() or time.time() - lock.stat().st_mtime > SILENT:
        return Finding("good", "lock", "no worker holds the log")
    who = f"held by pid {holder.pid} on {holder.host}"
    try:
        health = asyncio.run(ask(topology.broker, "status", seconds=5.0))["health"]
    except (EngineError, OSError) as error:
        remedy = "wait a quarter of a minute; if it stays so, end that process"
        return Finding("wrong", "lock", f"{who}, which does not answer: {error}", remedy)
    if health.get("state") != "green":
        return Finding(
            "wrong", "worker", f"{who}: {health.get('reason', '')}", "see its last lines; then start it anew"
        )
    return Finding("good", "lock", f"{who}, which answers")


def assumptions(topology: Topology) -> Iterator[Finding]:
    """Tell what is assumed of the systems in use, and creates that are not sure at once."""
    created = {end.peer_type for name in topology.types for end in topology.flows.ends(name).values() if end.creates}
    for name in topology.types:
        traits = topology.traits[name]
        for each in traits.unverified:
            yield Finding("note", "unverified", each, "try it, or ask the vendor; then take the line out", (name,))
        if name in created and (traits.create or 0) >= DOUBTFUL:
            remedy = "docs/guarantees.md says what may be doubled, and when a person has to look"
            yield Finding("note", "creates", f"{name} is of create class {traits.create}", remedy)
    for name, why in topology.resting.items():
        yield Finding("note", "flows", f"{name} rests: {'; '.join(why)}", "decide it in topics.yaml")


async def systems(topology: Topology) -> AsyncIterator[Finding]:
    """Read one page of every entity type: credentials, scopes, clocks, and what may still be asked."""
    endpoints = opened(topology)
    try:
        for system, endpoint in endpoints.items():
            kinds = [name for name, polled in topology.types.items() if polled.system == system]
            with trail() as asked:
                for name in kinds:
                    yield await _page(endpoint, name)
                for _ in range(LOOKS - len(asked) if asked else 0):
                    await _page(endpoint, kinds[0])
            for finding in _told(system, endpoint, asked):
                yield finding
    finally:
        for endpoint in endpoints.values():
            await endpoint.close()


async def _page(endpoint: Endpoint, name: str) -> Finding:
    kind = name.partition(".")[2]
    try:
        page = await endpoint.page(kind, None)
    except Locked as error:
        remedy = "give the token the right to read and write this type"
        return Finding("wrong", "credentials", str(error), remedy, (name,))
    except ConnectorError as error:
        remedy = "see whether the address is right, and the system up"
        return Finding("wrong", "systems", str(error), remedy, (name,))
    if page.rejected:
        remedy = f"linkstream connector check --live says more; the first: {page.rejected[0].reason}"
        return Finding("wrong", "systems", f"{name}: {len(page.rejected)} records cannot be understood", remedy)
    return Finding("good", "systems", f"{name}: {len(page.entities)} records on the first page")


def _told(system: str, endpoint: Endpoint, asked: list[Asked]) -> Iterator[Finding]:
    ahead = endpoint.clock_ahead()
    if ahead is not None and abs(ahead) >= SKEW:
        way = "ahead of" if ahead > 0 else "behind"
        remedy = "set this machine's clock by NTP; if it is right, the system's own is wrong, and we allow for it"
        yield Finding("note", "clock", f"{system}: its clock is {abs(ahead):.0f} s {way} ours", remedy)
    elif ahead is not None:
        yield Finding("good", "clock", f"{system}: its clock is as ours")
    rates = [each.rate for each in asked if each.rate]
    if rates:
        told = ", ".join(f"{name}: {value}" for name, value in sorted(rates[-1].items()))
        yield Finding("good", "rate", f"{system}: {told}")


def _filesystem(folder: str) -> str:
    """The kind of filesystem that a folder is on (proc(5)); empty where that is not known."""
    try:
        with open("/proc/self/mounts", encoding="utf-8") as mounts:  # noqa: PTH123  # no file of ours
            known = [line.split()[1:3] for line in mounts]
    except OSError:
        return ""
    inside = [(mount, kind) for mount, kind in known if f"{folder}/".startswith(mount.rstrip("/") + "/")]
    return max(inside, key=lambda each: len(each[0]), default=("", ""))[1]


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":  # noqa: PLR2004  # of a unit
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that say the same of several types, as one."""
    found: dict[tuple[str, str, str], Finding] = {}
    for each in findings:
        key = (each.level, each.check, each.found)
        about = (*found[key].about, *each.about) if key in found else each.about
        found[key] = replace(each, about=tuple(dict.fromkeys(about)))
    return list(found.values())
