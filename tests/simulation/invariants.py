"""What must always hold, by name: what histories compared for it, or the tests elsewhere that judge it.

An invariant of which nothing was compared is one that the oracle looks away from; a named test that is gone is one that
nobody judges any more. ``test_histories`` asks for both.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Invariant(Struct, frozen=True):
    """A promise, what is counted when it is compared, and the tests that judge what no history can."""

    name: str
    says: str
    counts: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


INVARIANTS = (
    Invariant(
        "I1",
        "an edit is the final value, or was overtaken by a newer one, or is in conflicts",
        ("edits", "overwritten"),
    ),
    Invariant("I2", "at most one record is ever created per link", ("creates", "created", "names", "ends linked")),
    Invariant(
        "I3",
        "after edits stop, all copies agree within two poll cycles",
        ("values agreed", "links", "references", "names without a link"),
    ),
    Invariant("I4", "the latest edit wins", ("edits by time", "edits by cause")),
    Invariant(
        "I5",
        "no ping-pong: at most one write per edit and linked copy, none in quiescence",
        ("writes against edits", "writes by time", "silences"),
    ),
    Invariant("I6", "replaying everything twice writes nothing", ("replays",)),
    Invariant("I7", "a field that nobody mapped is never in a request", ("fields written", "creates")),
    Invariant(
        "I8",
        "offsets and cursors never pass an uncommitted record",
        ("commits of former owners refused",),
        (
            "tests/engine/contract.py::test_rows_records_and_offsets_commit_together",
            "tests/engine/contract.py::test_a_lane_starts_where_the_last_commit_ended_in_every_topic",
            "tests/stages/test_poll.py::test_a_page_and_its_cursor_are_committed_together",
        ),
    ),
    Invariant("I9", "every parked record can be replayed to the state it would have had", ("records put back",)),
    Invariant(
        "I10",
        "planted secrets appear nowhere",
        (),
        (
            "tests/cli/test_logs.py::test_no_secret_is_logged",
            "tests/cli/test_logs.py::test_no_secret_is_logged_with_an_exception",
            "tests/connectors/contract.py::test_no_secret_is_in_an_error",
            "tests/connectors/test_http.py::test_a_secret_echoed_by_the_system_is_in_no_error",
            "tests/connectors/test_registry.py::test_all_wrong_settings_are_named_and_no_secret_is_shown",
        ),
    ),
    Invariant(
        "I11",
        "credentials go to the configured host alone",
        (),
        (
            "tests/connectors/test_http.py::test_a_redirection_to_another_host_gets_no_credentials",
            "tests/connectors/test_rest.py::test_links_to_another_host_are_not_followed",
        ),
    ),
    Invariant(
        "I12",
        "memory stays bounded",
        (),
        ("tests/engine/contract.py::test_what_waits_in_the_log_does_not_fill_memory",),
    ),
    Invariant("I13", "nothing waits without a reason and a wake-up", ("rows at rest", "ends that wait")),
    Invariant("I14", "versions never go back", ("versions",)),
    Invariant("E1", "what a condition leaves out is not kept in step", ("edits apart",)),
    Invariant("counted", "what lanes count as their rows change is what a scan finds", ("counts kept",)),
    Invariant("A13", "no element of a list goes that nobody has read", ("elements kept",)),
    Invariant("D2", "nothing is removed that was edited after the deletion", ("removals", "deletions")),
    Invariant("E3", "what must be connected is created only then", ("created if connected",)),
)


USUAL = ("links", "versions", "fields written")
"""What every mode compares."""

ABOUT: dict[str, tuple[str, ...]] = {
    "trims": ("values put into a system's own form",),
    "trims, names modifier": ("values put into a system's own form", "modifiers told"),
    "seconds": ("stamps in whole seconds",),
    "skew": ("stamps of a wrong clock",),
    "skew that is known": ("stamps of a wrong clock",),
    "seconds, skew": ("stamps in whole seconds", "stamps of a wrong clock"),
    "lists": ("lists read whole",),
    "no times": ("records shown without a time",),
    "revisions": ("revisions told",),
    "revisions, lag": ("revisions told", "records shown as they were before"),
    "lag": ("records shown as they were before",),
    "lag, seconds, skew": ("records shown as they were before", "stamps in whole seconds", "stamps of a wrong clock"),
    "pages": ("pages with more to come",),
    "listed pages": ("pages with more to come", "lists read whole"),
    "expiring pages": ("page tokens expired",),
    "second reader": ("glances",),
    "second reader, seconds": ("glances", "stamps in whole seconds"),
    "late requests": ("requests done late",),
    "late requests, idempotent": ("requests done late", "creates answered with the record of then"),
    "two owners": ("commits of former owners refused",),
    "clocks set": ("clocks set",),
    "set aside": ("records set aside", "records put back"),
    "no comparing": ("writes without a comparison",),
    "no comparing, lag": ("writes without a comparison", "records shown as they were before"),
    "no comparing, racing": ("writes without a comparison", "races"),
    "canonical form": ("values put into a system's own form",),
    "cuts": ("values put into a system's own form",),
    "cuts, unanswered": ("values put into a system's own form", "answers lost"),
    "one rewriter": ("values rewritten",),
    "rewriters of one mind": ("values rewritten",),
    "rewriters": ("values rewritten", "writes by time"),
    "rollback, idempotent": ("rollbacks",),
    "rollback": ("rollbacks",),
    "rollback, unseen": ("rollbacks",),
    "restored": ("logs set back",),
    "restored, at rest": ("logs set back",),
    "restored, late requests": ("logs set back", "requests done late"),
    "restored, swarm": ("logs set back",),
    "erased": ("logs set back",),
    "erased, at rest": ("logs set back",),
    "restored, unread": ("logs set back", "edits that were unread"),
    "erased, unread": ("logs set back", "edits that were unread"),
    "erased, unread, no times": ("logs set back", "edits that were unread"),
    "find lags": ("look-ups",),
    "racing people": ("races",),
    "renaming people": ("names changed",),
    "refuses": ("fields refused",),
    "refuses creates": ("creates refused",),
    "refuses, tried again": ("fields refused", "tries ordered"),
    "people link": ("links parted", "links made by people"),
    "ignores": ("fields ignored",),
    "gives less": ("fuller values",),
    "spells": ("values spelled differently",),
    "field later": ("configured later",),
    "flow later": ("configured later",),
    "match later": ("configured later",),
    "late duplicates": ("late duplicates",),
    "zombies": ("zombies",),
    "copies": ("copies",),
    "crowds": ("crowds",),
    "both at once": ("things added twice at once",),
    "no comparing, zombies": ("zombies", "races"),
    "deletes, kept": ("deletions",),
    "deletes, archived": ("removals",),
    "deletes, deleted": ("removals",),
    "deletes": ("removals", "edits before a removal"),
    "deletes, held": ("deletions released", "deletions cancelled"),
}
"""What is counted of that which a mode is about; none of it may stay at zero."""


def told(counts: Mapping[str, int]) -> str:
    """Every invariant, what was compared for it, and where else it is judged."""
    lines = []
    for each in INVARIANTS:
        lines.append(f"{each.name:>4}  {each.says}")
        lines += [f"{counts.get(name, 0):>18,} {name}" for name in each.counts]
        lines += [f"{'':>18} {test}" for test in each.tests]
    return "\n".join(lines)
