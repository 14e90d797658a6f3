"""The structure of the five documents that the product starts from: which entities go with which, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FIVE = {
    ("Custom PMS", "Trello"): "Customer-Organizations Project-Actions Task-Actions Task-Cards",
    ("CustomERP", "Trello"): "Contact-Members Customer-Organizations Project-Actions Employee-Members",
    ("CRMOffice", "Trello"): "Activities-Actions Contacts-Members Activities-Actions Companies-Organizations",
    ("Asana", "Custom PMS"): "Tasks-Project Teams-Customer Workspaces-Customer Projects-Project Tasks-Task",
    ("PowerOffice Go", "Custom PMS"): "Departments-Customer Customers-Customer Projects-Project",
}
ROWS = {("CRMOffice", "Activities"): [("ownerId", "memberCreator.id"), ("startsAt", "date")]}


def write(folder: Path) -> list[Path]:
    """Write the five; answer their paths."""
    folder.mkdir(exist_ok=True)
    return [one(folder, left, right, said.split()) for (left, right), said in FIVE.items()]


def one(folder: Path, left: str, right: str, pairs: list[str]) -> Path:
    title = f"{left} to {right} Dataflow"
    parts = [f"{'=' * len(title)}\n{title}\n{'=' * len(title)}\n\nGenerated: 2026-01-02 03:04:05\n"]
    parts.append("Introduction\n------------\n\nAn example.\n")
    told = set()
    for pair in pairs:
        rows = [] if pair in told else ROWS.get((left, pair.partition("-")[0]), [])
        told.add(pair)
        parts.append(statement(left, right, *pair.split("-"), rows))
    path = folder / f"{left}-{right}.rst".lower().replace(" ", "")
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def statement(left: str, right: str, a: str, b: str, rows: Sequence[tuple[str, str]] = (), **more: str) -> str:
    """One statement; ``every`` is another first sentence, ``merge`` rows of a merge table."""
    a, b = f"{left.replace(' ', '')} {a}", f"{right.replace(' ', '')} {b}"
    said = [f"{a} to {b}", "-" * len(f"{a} to {b}"), ""]
    said += [more.get("every", f"Every {a} will be synchronized with a {b}."), ""]
    if "merge" in more:
        said += [f"A {a} will merge with a {b} if one of the following property combinations match:", ""]
        said += [".. list-table::", "   :header-rows: 1", "", f"   * - {a} Property", f"     - {b} Property"]
        for row in more["merge"].split():
            said += [f"   * - {row.partition('=')[0]}", f"     - {row.partition('=')[2]}"]
        said += [""]
    said += [f"Once a link between a {a} and a{b} is established, it will keep in sync between the two systems,"]
    said += ["regardless of where it is edited.", ""]
    said += [f"The following properties are synchronized between a {a} and a {b}:", ""]
    said += [".. list-table::", "   :header-rows: 1", ""]
    said += [f"   * - {a} Property", f"     - {b} Property", f"     - {right} Data Type"]
    for one_side, other in rows:
        said += [f"   * - {one_side}", f"     - {other}", '     - "string"']
    return "\n".join([*said, ""])
