"""The checklist: what is tried of each statement, and what came of it. Pure.

A statement is a flow. Of each there is a fixed list of checks; those about a field come once for every field pair and
way. A check passed, or failed, or does not apply: then the reason is the vendor's or the flow's own, in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, TypeAlias

from msgspec import Struct

Verdict: TypeAlias = Literal["passed", "failed", "not applied"]

MATCH = "link by match"
CREATION = "link by creation"
THERE = "an edit reaches the other side"
BACK = "an edit of the other side comes back"
BOTH = "two edits at once, of two fields, both survive"
LATEST = "of two edits of one field the latest wins"
ECHO = "an echo writes nothing"
POLLS = "repeated polls write nothing"
RESTART = "a kill in the middle loses nothing"
DELETE = "a deletion is followed as the flow says"

CHECKS = (MATCH, CREATION, THERE, BACK, BOTH, LATEST, ECHO, POLLS, RESTART, DELETE)


class Result(Struct, frozen=True, kw_only=True):
    """One line of the checklist."""

    statement: str
    """The flow's name."""
    check: str
    field: str = ""
    verdict: Verdict
    reason: str = ""
    seconds: float = 0.0


class Statement(Struct, frozen=True, kw_only=True):
    """A flow, as a tester sees it. ``ours``: the customer's document left the fields open."""

    name: str
    left: str
    right: str
    ours: bool
    results: tuple[Result, ...]
    count: int = 1
    """How often customers' documents make this statement."""

    @property
    def verdict(self) -> Verdict:
        """Failed if anything failed; passed if anything passed and nothing failed."""
        found = {result.verdict for result in self.results}
        return "failed" if "failed" in found or not found else "passed" if "passed" in found else "not applied"


class Checklist(Struct, frozen=True, kw_only=True):
    """All statements."""

    statements: tuple[Statement, ...]
    systems: tuple[str, ...]
    live: bool
    seconds: float

    @property
    def good(self) -> bool:
        """Whether every statement passed."""
        return bool(self.statements) and all(each.verdict == "passed" for each in self.statements)

    @property
    def passed(self) -> int:
        """How many statements passed."""
        return sum(each.count for each in self.statements if each.verdict == "passed")

    @property
    def of(self) -> int:
        """How many statements there are."""
        return sum(each.count for each in self.statements)

    def counts(self) -> Counter[Verdict]:
        """How many lines there are of each verdict."""
        return Counter(result.verdict for each in self.statements for result in each.results)


def ordered(results: Iterable[Result]) -> tuple[Result, ...]:
    """Results in the order of the list."""
    return tuple(sorted(results, key=lambda result: (CHECKS.index(result.check), result.field)))
