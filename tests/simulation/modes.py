"""Modes: how systems behave in a history, what goes wrong in it, and what then cannot be promised."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from tests.simulation.systems import LATE, SECOND, Quirks

Removal: TypeAlias = Literal["keep", "archive", "delete"]


class Mode(Struct, frozen=True, kw_only=True):
    """``excused`` names the checks of the oracle and the watch that the mode makes meaningless; all others stand."""

    quirks: dict[str, Quirks] = {}
    racing: float = 0.0
    renaming: float = 0.0
    late: float = 0.0
    odd: float = 0.0
    expire: float = 0.0
    answered: bool = False
    """Every call is answered."""
    canonical: bool = False
    """Flows give texts the form that systems which trim keep."""
    later: Literal["", "field", "flow", "match"] = ""
    """What is configured only in the middle of the history."""
    steps: dict[str, int] = {}
    """How often, beside the usual: faults and acts of people by name, as weights of 1000."""
    patience: int = 0
    """How long a deletion waits for others; more than one at once are held then."""
    removals: tuple[Removal, ...] = ("keep",)
    """What flows do about deletions; of several, each flow draws one."""
    swarm: bool = False
    """Quirks are drawn for each history."""
    unmarked: bool = False
    """Of these quirks, no system has a marker."""
    excused: frozenset[str] = frozenset()
    why: str = ""
    """Why there is no promise."""


def everywhere(**quirks: Any) -> dict[str, Quirks]:
    return {name: Quirks(**quirks) for name in "abcd"}


X2 = frozenset({"x2"})
LAG = 3 * SECOND // 2
ANY: tuple[Removal, ...] = ("keep", "archive", "delete")
DELETING = {"delete": 12, "archive": 6}
RETURNING = {**DELETING, "restore": 8}
FILLED = "a field that was emptied between a create whose answer was lost and its look-up is filled again"
RESTORED = frozenset({"latest", "lost", "few", "versions"})
BORN_AGAIN = "versions are born again: what we wrote there ourselves, late, may win over an edit that nobody had read"
TWICE = "what was written before the log was set back may be written once more; " + FILLED
LINKING = {"part": 8, "never": 4, "pair": 14}
SAID = frozenset({"linked", "matched", "taken", "names", "replay", "deletions", "few", "lost"})
ROLLED = frozenset({"latest", "lost", "few", "versions", "replay"})
ASKED = {"decide": 8}
GIVEN_UP = 0.1
EMPTIED = frozenset({"emptied"})
FEW = frozenset({"few", "emptied"})
REWRITTEN = (
    "in a record that was found later, a name that was rewritten is taken for an edit and goes round once, and a field "
    "that was emptied meanwhile is filled again"
)
CREATES = {
    "class 1": Mode(quirks=everywhere(upserts=True)),
    "class 1, late": Mode(
        quirks=everywhere(upserts=True, late=LATE),
        late=GIVEN_UP,
        steps={"zombie": 30, "revive": 30},
        excused=frozenset({"lost", "latest", "few"}),
        why="a create that arrives late, or again, writes over what was typed into its record since",
    ),
    "class 2": Mode(
        quirks=everywhere(remembers=100_000 * SECOND, unmarked=True, numbers=True, late=LATE),
        late=GIVEN_UP,
        steps={"zombie": 30, "revive": 30},
        excused=FEW,
        why=REWRITTEN,
    ),
    "class 2, forgets": Mode(
        quirks=everywhere(remembers=150 * SECOND, unmarked=True, numbers=True, late=LATE),
        late=GIVEN_UP,
        steps=ASKED,
        excused=FEW,
        why=REWRITTEN,
    ),
    "class 2, forgets, marked": Mode(
        quirks=everywhere(remembers=150 * SECOND, late=LATE), late=GIVEN_UP, excused=EMPTIED, why=FILLED
    ),
    "class 3": Mode(quirks=everywhere(late=LATE, numbers=True), late=GIVEN_UP, excused=FEW, why=REWRITTEN),
    "class 4": Mode(
        quirks=everywhere(settle=20 * SECOND, late=LATE, numbers=True), late=GIVEN_UP, excused=FEW, why=REWRITTEN
    ),
    "class 5": Mode(
        quirks=everywhere(unmarked=True, late=LATE), late=GIVEN_UP, steps=ASKED, excused=EMPTIED, why=FILLED
    ),
    "class 5, renames": Mode(
        quirks=everywhere(unmarked=True, numbers=True, late=LATE),
        late=GIVEN_UP,
        steps=ASKED,
        excused=FEW,
        why=REWRITTEN,
    ),
    "class 5, lags": Mode(
        quirks=everywhere(unmarked=True, numbers=True, settle=20 * SECOND, lag=LAG),
        late=GIVEN_UP,
        steps=ASKED,
        excused=FEW,
        why=REWRITTEN,
    ),
    "class 5, blind": Mode(
        quirks=everywhere(unmarked=True, numbers=True, lists_new=False, late=LATE),
        late=GIVEN_UP,
        steps=ASKED,
        excused=FEW,
        why=REWRITTEN,
    ),
    "class 5, zombies": Mode(
        quirks=everywhere(unmarked=True, numbers=True),
        steps={**ASKED, "zombie": 60, "revive": 30},
        excused=frozenset({"few", "emptied", "doubles", "names", "linked", "matched"}),
        why="a former pusher creates what its successor did, and nothing marks either",
    ),
    "class 3, zombies": Mode(
        quirks=everywhere(numbers=True),
        steps={"zombie": 60, "revive": 30},
        excused=frozenset({"few", "emptied", "doubles", "names", "linked", "matched"}),
        why="a former pusher creates what its successor looked for and did not find yet; the double has no link",
    ),
    "class 3, very late": Mode(
        quirks=everywhere(late=20 * LATE),
        late=GIVEN_UP,
        excused=frozenset({"doubles", "names", "linked", "matched"}),
        why="a create arrives long after the system said that it cannot any more",
    ),
    "class 5, rollback": Mode(
        quirks=everywhere(unmarked=True),
        steps={**ASKED, "snapshot": 20, "rollback": 15},
        excused=ROLLED | {"doubles", "names", "linked", "matched", "mutual", "agree"},
        why="a roster forgets a create that is under way: its record is taken for a stranger; a link of which "
        "one side alone knows comes back with the next offer",
    ),
}
MODES = {
    "plain": Mode(),
    "swarm": Mode(swarm=True),
    "locked, odd": Mode(odd=0.15),
    "locked, odd, unmarked": Mode(quirks=everywhere(unmarked=True), odd=0.15, steps=ASKED, excused=EMPTIED, why=FILLED),
    "swarm, unmarked": Mode(swarm=True, unmarked=True, steps=ASKED, excused=EMPTIED, why=FILLED),
    "trims": Mode(quirks={"b": Quirks(trims=True), "c": Quirks(trims=True)}),
    "trims, names modifier": Mode(quirks={"b": Quirks(trims=True, names_modifier=True)}),
    "seconds": Mode(quirks=everywhere(seconds=True)),
    "skew": Mode(quirks={"a": Quirks(skew=-600 * SECOND), "c": Quirks(skew=600 * SECOND)}),
    "skew that is known": Mode(
        quirks={
            "a": Quirks(skew=-600 * SECOND, dated=True),
            "b": Quirks(dated=True),
            "c": Quirks(skew=600 * SECOND, dated=True),
            "d": Quirks(skew=90 * SECOND, dated=True),
        }
    ),
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
    "revisions, lag": Mode(quirks=everywhere(revisions=True, lag=LAG)),
    "lag": Mode(quirks=everywhere(lag=LAG)),
    "lag, seconds, skew": Mode(
        quirks={
            "a": Quirks(seconds=True, lag=LAG, skew=-3 * SECOND),
            "b": Quirks(seconds=True, lag=LAG),
            "c": Quirks(seconds=True, lag=LAG, skew=3 * SECOND),
        }
    ),
    "pages": Mode(quirks=everywhere(pages=2)),
    "listed pages": Mode(quirks=everywhere(pages=2, listed=True)),
    "expiring pages": Mode(quirks=everywhere(pages=2), expire=0.2),
    "second reader": Mode(steps={"glance": 60, "told": 20}),
    "second reader, seconds": Mode(quirks=everywhere(seconds=True), steps={"glance": 60, "told": 20}),
    "late requests": Mode(late=0.2, steps={"lands": 30}),
    "late requests, idempotent": Mode(quirks=everywhere(idempotent=True), late=0.2, steps={"lands": 30}),
    "two owners": Mode(steps={"two owners": 60}),
    "clocks set": Mode(steps={"clock": 20}),
    "flows paused": Mode(steps={"pause flow": 25}),
    "flows paused, deletes": Mode(steps={**RETURNING, "pause flow": 25}, removals=ANY),
    "set aside": Mode(steps={"set aside": 20, "put back": 15}),
    "no comparing": Mode(quirks=everywhere(compares=False)),
    "no comparing, lag": Mode(quirks=everywhere(compares=False, lag=LAG)),
    "no comparing, racing": Mode(quirks=everywhere(compares=False), racing=0.2),
    "canonical form": Mode(quirks={"b": Quirks(trims=True), "c": Quirks(trims=True)}, canonical=True),
    "cuts": Mode(quirks={"b": Quirks(cuts=True)}, answered=True),
    "cuts, unanswered": Mode(
        quirks={"b": Quirks(cuts=True)},
        excused=frozenset({"latest", "lost", "few"}),
        why="after a lost answer our value, cut short, may be taken for an edit, and come back or win",
    ),
    "one rewriter": Mode(quirks={"b": Quirks(rewrites="upper")}),
    "rewriters of one mind": Mode(quirks={"a": Quirks(rewrites="upper"), "b": Quirks(rewrites="upper")}),
    "rollback, idempotent": Mode(
        quirks=everywhere(idempotent=True),
        steps={"snapshot": 20, "rollback": 15},
        excused=ROLLED,
        why="versions are born again: an older value may win, and is told of to nobody",
    ),
    "find lags": Mode(quirks=everywhere(settle=20 * SECOND)),
    "racing people": Mode(racing=0.3),
    "renaming people": Mode(renaming=0.2),
    "refuses": Mode(quirks={"b": Quirks(refuses=X2)}),
    "refuses, tried again": Mode(quirks={"b": Quirks(refuses=X2)}, steps={"try again": 40}),
    "people link": Mode(
        steps=LINKING,
        excused=SAID,
        why="who belongs together is what people say, and what was seen under a former link is not known any more",
    ),
    "refuses creates": Mode(quirks={"b": Quirks(needs=X2)}),
    "ignores": Mode(quirks={"b": Quirks(ignores=X2)}),
    "gives less": Mode(quirks={"b": Quirks(brief=True)}),
    "spells": Mode(quirks={"b": Quirks(spells=True)}),
    "field later": Mode(later="field"),
    "flow later": Mode(later="flow"),
    "match later": Mode(later="match"),
    "late duplicates": Mode(steps={"again": 60}),
    "zombies": Mode(
        quirks=everywhere(idempotent=True),
        steps={"zombie": 60, "revive": 30},
        excused=frozenset({"emptied"}),
        why="what was emptied between a create and its repetition is filled again",
    ),
    "copies": Mode(
        steps={"copy": 15},
        excused=frozenset({"names"}),
        why="a copy has the name of its original; it is reported, and linked to nobody",
    ),
    **CREATES,
    "deletes, kept": Mode(steps=RETURNING),
    "deletes, archived": Mode(steps=DELETING, removals=("archive",)),
    "deletes, deleted": Mode(steps=DELETING, removals=("delete",)),
    "deletes": Mode(steps=DELETING, removals=ANY, racing=0.1),
    "deletes, unsaid": Mode(steps=DELETING, removals=ANY, quirks={"a": Quirks(tells=False), "c": Quirks(tells=False)}),
    "deletes, held": Mode(steps={**RETURNING, "orders": 8}, removals=ANY, patience=20 * SECOND),
    "deletes, returns": Mode(steps=RETURNING, removals=ANY),
    "deletes, seconds, skew": Mode(
        steps=RETURNING,
        removals=ANY,
        quirks={
            "a": Quirks(seconds=True, skew=-3 * SECOND),
            "b": Quirks(seconds=True),
            "c": Quirks(seconds=True, skew=600 * SECOND),
        },
    ),
    "deletes, swarm": Mode(steps=RETURNING, removals=ANY, swarm=True),
    "deletes, late duplicates": Mode(steps={**RETURNING, "again": 60}, removals=ANY),
    "deletes, zombies": Mode(
        quirks=everywhere(idempotent=True),
        steps={**RETURNING, "zombie": 60, "revive": 30},
        removals=ANY,
        excused=frozenset({"causal", "latest"}),
        why="a record that a former pusher made once more shows the value from before an edit; it is taken for an edit",
    ),
    "rollback": Mode(
        steps={"snapshot": 20, "rollback": 15},
        excused=ROLLED,
        why="versions are born again: an older value may win, and is told of to nobody",
    ),
    "deletes, rollback": Mode(
        steps={**RETURNING, "snapshot": 20, "rollback": 15},
        removals=ANY,
        excused=ROLLED | {"mutual", "taken", "deletions", "removed"},
        why="versions are born again: an older value may win, and is told of to nobody; what the rows that were set "
        "back alone knew of a deletion is forgotten, and by them it is judged whether a removal was asked for",
    ),
    "people link, rollback": Mode(
        steps={**LINKING, "snapshot": 20, "rollback": 15},
        excused=ROLLED | SAID | {"mutual"},
        why="who belongs together is what people say, and what they said may be forgotten by one row of two",
    ),
    "restored": Mode(
        steps={"back up": 15, "restore log": 12},
        excused=RESTORED,
        why=BORN_AGAIN,
    ),
    "restored, at rest": Mode(
        steps={"back up": 15, "restore log at rest": 10}, excused=frozenset({"few", "versions", "emptied"}), why=TWICE
    ),
    "erased": Mode(steps={"erase": 10}, excused=RESTORED, why=BORN_AGAIN),
    "erased, at rest": Mode(steps={"erase at rest": 8}, excused=frozenset({"few", "versions", "emptied"}), why=TWICE),
    "restored, unread": Mode(
        steps={"back up": 15, "restore log unread": 10}, excused=frozenset({"few", "versions", "emptied"}), why=TWICE
    ),
    "erased, unread": Mode(steps={"erase unread": 8}, excused=frozenset({"few", "versions", "emptied"}), why=TWICE),
    "erased, unread, no times": Mode(
        quirks={"b": Quirks(timeless=True)},
        steps={"erase unread": 8},
        excused=frozenset({"latest", "references", "few", "versions", "emptied"}),
        why="what has no time of change is as new as its reading, which is newer than an edit that was not read yet; "
        "where a field goes one way, each side keeps its own",
    ),
    "restored, late requests": Mode(
        quirks=everywhere(late=LATE),
        late=GIVEN_UP,
        steps={"back up": 15, "restore log": 12},
        excused=RESTORED | {"emptied"},
        why=BORN_AGAIN,
    ),
    "restored, swarm": Mode(swarm=True, steps={"back up": 15, "restore log": 12}, excused=RESTORED, why=BORN_AGAIN),
    "deletes, restored": Mode(
        steps={**RETURNING, "back up": 15, "restore log": 12}, removals=ANY, excused=RESTORED, why=BORN_AGAIN
    ),
    "deletes, erased": Mode(steps={**RETURNING, "erase": 10}, removals=ANY, excused=RESTORED, why=BORN_AGAIN),
    "copies, erased": Mode(
        steps={"copy": 15, "erase": 10},
        excused=RESTORED | {"names"},
        why=f"{BORN_AGAIN}; a copy has the name of its original",
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
    "crowds": Mode(
        steps={"crowd": 8},
        excused=frozenset({"names"}),
        why="several things have one name, and nothing says which of them are one; none is taken by guess",
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
