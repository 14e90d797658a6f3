"""The picture of systems and flows: systems on an oval, a line for each two that have flows. Places, no numbers."""

from __future__ import annotations

from math import cos, pi, sin

from msgspec import Struct

from stream.topology import Topology

WIDTH, HEIGHT = 900, 300
ROOM = 38
"""From the middle of the highest and the lowest system to the edge of the picture."""
_ACROSS, _DOWN = 350, 112


class Spot(Struct, frozen=True):
    """Where a system stands."""

    name: str
    x: int
    y: int


class Line(Struct, frozen=True):
    """Two systems with flows between them, and where that is written."""

    name: str
    left: Spot
    right: Spot
    x: int
    y: int


def pairs(topology: Topology) -> dict[str, list[str]]:
    """The flows between each two systems, by the two names in order."""
    found: dict[str, list[str]] = {}
    for name, flow in topology.flows.flows.items():
        ends = sorted({flow.left.partition(".")[0], flow.right.partition(".")[0]})
        found.setdefault(" ".join(ends), []).append(name)
    return found


def drawn(topology: Topology) -> tuple[list[Spot], list[Line]]:
    """The picture of a topology; flows within one system have no line."""
    names = list(topology.systems)
    spots = {name: _spot(name, number, len(names)) for number, name in enumerate(names)}
    lines = []
    for pair in pairs(topology):
        ends = pair.split(" ")
        if len(ends) == 2:  # noqa: PLR2004 - a line has two ends
            left, right = (spots[end] for end in ends)
            lines.append(Line(pair, left, right, (left.x + right.x) // 2, (left.y + right.y) // 2))
    return list(spots.values()), lines


def _spot(name: str, number: int, of: int) -> Spot:
    angle = pi + 2 * pi * number / of
    return Spot(name, round(WIDTH / 2 + _ACROSS * cos(angle)), round(HEIGHT / 2 + _DOWN * sin(angle)))
