"""``linkstream document``: flows as a dataflow document, for a customer to read, correct and hand in again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rich_click as click

from stream.cli import exits
from stream.cli.shell import config_option


@click.command("document")
@click.argument("systems", nargs=-1, metavar="[SYSTEM SYSTEM]")
@config_option
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write one file for every pair of systems into this folder.",
)
def command(systems: tuple[str, ...], config: Path, folder: Path | None) -> int:
    """Write the flows between two systems as a dataflow document.

    What the format cannot say, as conversions and directions, is told on standard error, flow by flow. Importing the
    document gives the same flows again, as far as the format can say them.

    \b
    The flows between two systems:
      linkstream document asana custompms > asana-custompms.rst
    A file for every pair of systems:
      linkstream document --to documents

    Exit codes: 0 written, 2 topics.yaml or the command line is wrong, 3 a file cannot be written.
    """
    if len(systems) not in (0, 2):
        raise click.UsageError(f"found {len(systems)} systems; two, or none for all, would be right")
    pairs = _pairs(config, systems)
    if not pairs:
        raise click.UsageError(f"{config}: found no flow{_between(systems)}; one would be right")
    if folder is None and len(pairs) > 1:
        named = ", ".join(f"{left} {right}" for left, right in pairs)
        raise click.UsageError(
            f"found {len(pairs)} pairs of systems; one of them ({named}), or --to FOLDER, would be right"
        )
    for (left, right), flows in pairs.items():
        _put(left, right, flows, folder)
    return exits.OK


def _pairs(config: Path, systems: tuple[str, ...]) -> dict[tuple[str, str], list[Any]]:
    """The flows by pairs of systems, in the order of the file; a pair has the direction of its first flow."""
    found: dict[tuple[str, str], list[Any]] = {}
    for flow in _flows(config):
        ends = (flow.from_.partition(".")[0], flow.to.partition(".")[0])
        if systems and set(systems) != set(ends):
            continue
        key = systems or (ends[::-1] if ends[::-1] in found else ends)
        found.setdefault((key[0], key[1]), []).append(flow)
    return found


def _flows(config: Path) -> list[Any]:
    import msgspec

    from stream.configuration.written import WrittenFlow
    from stream.dataflow.merge import read_standing
    from stream.errors import BadTopology

    if not config.is_file():
        raise BadTopology([f"{config}:1:1: found no readable file; a topics.yaml would be right"])
    standing = read_standing(config.read_bytes(), str(config))
    flows, problems = [], []
    for index, written in enumerate((standing.value or {}).get("flows") or []):
        try:
            flows.append(msgspec.convert(written, WrittenFlow))
        except msgspec.ValidationError as error:
            place = standing.at(("flows", index))
            problems.append(
                f"{config}:{place.line}:{place.column}: {error}; `linkstream validate` says what would be right"
            )
    if problems:
        raise BadTopology(problems)
    return flows


def _put(left: str, right: str, flows: list[Any], folder: Path | None) -> None:
    from stream.dataflow.write import document

    made = document(flows, left, right, time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()))
    if folder is None:
        click.echo(made.text, nl=False)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{left}-{right}.rst"
        file.write_text(made.text, encoding="utf-8")
        click.echo(f"{file}: {len(flows)} flows")
    for text in made.unsaid:
        click.echo(f"not said: {text}", err=True)


def _between(systems: tuple[str, ...]) -> str:
    return f" between {systems[0]} and {systems[1]}" if systems else ""
