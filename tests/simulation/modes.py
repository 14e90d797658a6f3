"""Modes: how systems behave in a history, what goes wrong in it, and what then cannot be promised."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from tests.simulation.systems import SECOND, Quirks


class Mode(Struct, frozen=True, kw_only=True):
    """``excused`` names the checks of the oracle and the watch that the mode makes meaningless; all others stand."""

    quirks: dict[str, Quirks] = {}
    racing: float = 0.0
    renaming: float = 0.0
    later: Literal["", "field", "flow"] = ""
    """What is configured only in the middle of the history."""
    steps: dict[str, int] = {}
    """How often, beside the usual: faults and acts of people by name, as weights of 1000."""
    swarm: bool = False
    """Quirks are drawn for each history."""
    excused: frozenset[str] = frozenset()
    why: str = ""
    """Why there is no promise."""


def everywhere(**quirks: Any) -> dict[str, Quirks]:
    return {name: Quirks(**quirks) for name in "abcd"}


X2 = frozenset({"x2"})
LATE = 3 * SECOND // 2
ROLLED = frozenset({"latest", "lost", "few", "versions", "replay"})
MODES = {
    "plain": Mode(),
    "swarm": Mode(swarm=True),
    "trims": Mode(quirks={"b": Quirks(trims=True), "c": Quirks(trims=True)}),
    "trims, names modifier": Mode(quirks={"b": Quirks(trims=True, names_modifier=True)}),
    "seconds": Mode(quirks=everywhere(seconds=True)),
    "skew": Mode(quirks={"a": Quirks(skew=-600 * SECOND), "c": Quirks(skew=600 * SECOND)}),
    "seconds, skew": Mode(
        quirks={
            "a": Quirks(seconds=True, skew=-3 * SECOND),
            "b": Quirks(seconds=True),
            "c": Quirks(seconds=True, skew=600 * SECOND),
        }
    ),
    "lists": Mode(quirks={"a": Quirks(listed=True), "b": Quirks(listed=True)}),
    "no times": Mode(quirks={"b": Quirks(timeless=True)}),
    "revisions": Mode(quirks=everywhere(revisions=True)),
    "revisions, lag": Mode(quirks=everywhere(revisions=True, lag=LATE)),
    "lag": Mode(quirks=everywhere(lag=LATE)),
    "find lags": Mode(quirks=everywhere(settle=20 * SECOND)),
    "racing people": Mode(racing=0.3),
    "renaming people": Mode(renaming=0.2),
    "refuses": Mode(quirks={"b": Quirks(refuses=X2)}),
    "refuses creates": Mode(quirks={"b": Quirks(needs=X2)}),
    "ignores": Mode(quirks={"b": Quirks(ignores=X2)}),
    "spells": Mode(quirks={"b": Quirks(spells=True)}),
    "field later": Mode(later="field"),
    "flow later": Mode(later="flow"),
    "late duplicates": Mode(steps={"again": 60}),
    "zombies": Mode(quirks=everywhere(idempotent=True), steps={"zombie": 60, "revive": 30}),
    "copies": Mode(
        steps={"copy": 15},
        excused=frozenset({"names"}),
        why="a copy has the name of its original; it is reported, and linked to nobody",
    ),
    "rollback": Mode(
        steps={"snapshot": 20, "rollback": 15},
        excused=ROLLED,
        why="versions are born again: an older value may win, and is told of to nobody",
    ),
    "rollback, unseen": Mode(
        steps={"snapshot": 20, "rollback unseen": 15},
        excused=ROLLED | {"doubles", "names", "linked"},
        why="what was lost creates again until somebody notices; links and values agree after that",
    ),
    "both at once": Mode(
        steps={"at once": 8},
        excused=frozenset({"names"}),
        why="two people make the same within one look: two things, of which at most one is linked",
    ),
    "rewriters": Mode(
        quirks={"a": Quirks(rewrites="upper"), "b": Quirks(rewrites="lower"), "c": Quirks(rewrites="upper")},
        excused=frozenset({"latest", "lost", "few", "replay", "quiet", "restless", "waiting", "agree"}),
        why="they never agree; each takes the other's form for an edit, and we only slow them down",
    ),
    "no comparing, zombies": Mode(
        quirks=everywhere(compares=False),
        racing=0.2,
        steps={"zombie": 60, "revive": 30},
        excused=frozenset({"doubles", "names", "latest", "lost", "few", "linked"}),
        why="a former pusher writes and creates what its successor did or undid, and nothing holds it back",
    ),
}
