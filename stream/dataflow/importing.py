"""Many documents and one topics.yaml -> what the file would be, and an account of every row.

One document that cannot be read does not stop the others. Nothing is written here: whoever asked decides that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from connectors.registry import BUILT_IN
from stream.configuration.kinds import registered
from stream.dataflow.bounds import Fault, Unfit, read_text
from stream.dataflow.forms import Paper, statements
from stream.dataflow.known import Known, known_systems
from stream.dataflow.merge import Merged, merged, read_standing, running, types_named
from stream.dataflow.plan import Planned, Point, flows, told
from stream.dataflow.stubs import stubs
from stream.dataflow.tree import sections


class Account(Struct, frozen=True, kw_only=True):
    """What an import found, and what it would do."""

    documents: int
    statements: int
    properties: int
    merges: int
    conditions: int
    refused: int
    """Documents that could not be read at all; why stands in ``unread``."""
    unread: tuple[Fault, ...]
    points: tuple[Point, ...]
    merged: Merged
    flows: tuple[Planned, ...]
    stubs: Mapping[str, str]
    """Declarations to begin with, by system."""


def account(files: Iterable[Path], data: bytes, config: Path) -> Account:
    """Read documents against a topics.yaml's bytes. Raises BadTopology if that cannot be read."""
    value = read_standing(data, str(config)).value or {}
    systems = known_systems(value, config.parent, registered, BUILT_IN)
    papers, refused = _papers(files, systems)
    known = Known(systems, [name for paper in papers for name in paper.systems], types_named(value))
    planned = flows(papers, known, running(value))
    made = merged(data, str(config), planned, known)
    counts = _counts(papers)
    return Account(
        documents=len(papers),
        statements=counts["statements"],
        properties=counts["properties"],
        merges=counts["merges"],
        conditions=counts["conditions"],
        refused=len(refused),
        unread=tuple(sorted([*refused, *(fault for paper in papers for fault in paper.unread)])),
        points=told(made.points),
        merged=made,
        flows=tuple(planned),
        stubs=stubs(planned, known),
    )


def _papers(files: Iterable[Path], known: Iterable[str]) -> tuple[list[Paper], list[Fault]]:
    papers: list[Paper] = []
    refused: list[Fault] = []
    names = tuple(known)
    for file in dict.fromkeys(files):
        try:
            papers.append(statements(sections(read_text(file), str(file)), str(file), names))
        except Unfit as error:
            refused.append(error.fault)
    return papers, refused


def _counts(papers: Iterable[Paper]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for paper in papers:
        for statement in paper.statements:
            counts["statements"] += 1
            counts["properties"] += len(statement.properties)
            counts["merges"] += len(statement.merges)
            counts["conditions"] += bool(statement.condition)
    return counts
