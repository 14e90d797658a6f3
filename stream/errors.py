"""What the stream itself can stumble over.

BadTopology   topics.yaml cannot be run: all problems at once, before anything starts
BadRecord     a record of a topic cannot be understood: it is set aside with its bytes
TooLarge      a record or a row is larger than the log takes: what it comes from is set aside
"""

from __future__ import annotations


class BadTopology(Exception):
    """The configuration cannot be run. ``problems`` holds one line each: where: what was found; what would be right."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class BadRecord(Exception):
    """A record cannot be understood; it is set aside."""


class TooLarge(Exception):
    """A record or a row is larger than the log takes."""
