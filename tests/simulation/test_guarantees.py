"""docs/guarantees.md says what the modes show: no more, and nothing that they excuse is left unsaid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec import Struct

from tests.simulation.modes import MODES
from tests.simulation.oracle import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
WATCHED = {"untouched", "unread", "fuller", "doubles", "removed", "versions"}
ALWAYS = {"quiet", "replay", "restless", "emptied"}
KNOWN = WATCHED | ALWAYS | set(CHECKS)


class Line(Struct, frozen=True):
    """One sentence of the page, the checks that judge it, and the modes that show it."""

    section: str
    says: str
    checks: tuple[str, ...]
    modes: tuple[str, ...]


def _lines() -> list[Line]:
    found, section = [], ""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[-1] != "modes" and not set(cells[-1]) <= {"-"}:
            checks, modes = (tuple(re.split(r";\s*", cell)) for cell in cells[-2:])
            found.append(Line(section, cells[0], checks, modes))
    return found


LINES = _lines()
NOT = "Not guaranteed"


def test_the_page_has_sentences_of_every_kind() -> None:
    sections = [line.section for line in LINES]
    assert sections.count("Guaranteed") > 10
    assert sections.count("Creating once, by what a system offers") == 6
    assert sections.count(NOT) > 10


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.section[:3]} {line.says[:40]}")
def test_a_sentence_is_what_its_modes_show(line: Line) -> None:
    assert set(line.checks) <= KNOWN
    assert set(line.modes) <= MODES.keys()
    for mode in line.modes:
        excused = set(line.checks) & MODES[mode].excused
        assert excused == (set(line.checks) if line.section == NOT else set()), mode


def test_whatever_a_mode_excuses_is_said() -> None:
    said = {mode for line in LINES if line.section == NOT for mode in line.modes}
    assert {name for name, mode in MODES.items() if mode.excused} == said
