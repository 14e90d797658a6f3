"""The graph that we ship, topics.yaml as it stands, and the manners of its systems."""

from __future__ import annotations

import re
from pathlib import Path

from stream.topology import Topology, read_topology
from tests.simulation.systems import Quirks

_FILE = Path(__file__).parents[2] / "topics.yaml"


def _shipped() -> Topology:
    """The file, with something for every variable that has no default."""
    needed = re.findall(r"\$\{(\w+)\}", _FILE.read_text())
    return read_topology(_FILE, {name: "http://localhost" if name.endswith("_URL") else "t" for name in needed})


TWENTY = _shipped()

MANNERS = {
    "custompms": Quirks(seconds=True),
    "trello": Quirks(
        undated=frozenset({"organizations", "members"}),
        bare=frozenset({"members"}),
        stamps=frozenset({"date", "memberCreator.id"}),
        pristine=False,
    ),
    "asana": Quirks(names_modifier=True),
    "powerofficego": Quirks(trims=True),
    "customerp": Quirks(listed=True),
    "crmoffice": Quirks(listed=True, seconds=True),
}
"""What the systems do anyway."""
