"""``linkstream init``: a first topics.yaml that validates."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from stream.cli.asking import done
from stream.cli.exits import BadEnvironment, Failed
from stream.cli.shell import Format, config_option, format_option

if TYPE_CHECKING:
    from stream.configuration.systems import Kind

HEAD = """\
# yaml-language-server: $schema=./schema/topics.schema.json
broker: ${LINKSTREAM_BROKER:-sqlite:///var/linkstream.db}
"""


@click.command("init")
@click.argument("left", required=False)
@click.argument("right", required=False)
@config_option
@format_option
@click.option(
    "--connector", "connectors", multiple=True, metavar="SYSTEM=NAME|FILE", help="If a system goes by another name."
)
@click.option("--field", "fields", multiple=True, metavar="LEFT=RIGHT", help="Two fields that mean the same.")
@click.option(
    "--match", "matches", multiple=True, metavar="LEFT=RIGHT", help="Two fields by which records are matched."
)
@click.option(
    "--create",
    type=click.Choice(["forward", "both", "never"]),
    default="never",
    show_default=True,
    help="Whether a record without counterpart gets one: on the right, on both sides, or never.",
)
def command(  # noqa: PLR0913, PLR0917  # one for each option
    left: str | None,
    right: str | None,
    config: Path,
    format: Format,
    connectors: tuple[str, ...],
    fields: tuple[str, ...],
    matches: tuple[str, ...],
    create: str,
) -> None:
    """Write a first topics.yaml: two entity types, LEFT and RIGHT, and what surely means the same in both.

    What is not told is asked on a terminal. Fields that can hardly be anything else are paired by themselves. Nothing
    is created in any system unless --create says so, and a file that is there is never written over.

    \b
      linkstream init asana.tasks custompms.task
      linkstream init shop.order custompms.project --connector shop=./shop.yaml --field title=name --match title=name

    Exit codes: 0 written, 1 there is a file already, or no field is known to mean the same, 2 no such system or type.
    """
    if config.exists():
        raise Failed(f"{config}: found a file already; another name (-c) would be right, or linkstream validate")
    left = left or _asked("What is kept in step? An entity type, such as asana.tasks")
    right = right or _asked("And with what? Such as custompms.task")
    named = _pairs("--connector", connectors)
    kinds = {name: _kind(name, dict(named), config.parent) for name in dict.fromkeys((_system(left), _system(right)))}
    text = _written((left, right), kinds, dict(named), _paired(kinds, left, right, fields, matches), create)
    variables = _checked(text, config)
    try:
        config.write_text(text, "utf-8")
    except OSError as error:
        raise BadEnvironment(f"{config}: {error.strerror}; a file that can be written would be right") from None
    steps = f"set {', '.join(variables)}; then: linkstream validate" if variables else "next: linkstream validate"
    done(f"{config}: written; {steps}", format, file=str(config), variables=variables, next="linkstream validate")


def _asked(question: str) -> str:
    """Ask on a terminal. Raises UsageError elsewhere."""
    if not sys.stdin.isatty():
        raise click.UsageError(
            "found no LEFT and RIGHT; two entity types, as asana.tasks custompms.task, would be right"
        )
    return str(click.prompt(question))


def _pairs(option: str, given: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = [(one, other) for one, _, other in (each.partition("=") for each in given)]
    if not all(one and other for one, other in pairs):
        raise click.UsageError(f"{option}: found no pair with =; one would be right")
    return pairs


def _system(type: str) -> str:
    system, dot, short = type.partition(".")
    if not (dot and system and short):
        raise click.UsageError(f"found {type!r}; <system>.<type>, as asana.tasks, would be right")
    return system


def _kind(name: str, connectors: Mapping[str, str], folder: Path) -> Kind:
    from stream.configuration.kinds import registered

    try:
        return registered(connectors.get(name, name), folder)
    except ValueError as error:
        raise click.UsageError(f"{name}: {error}") from None


def _paired(
    kinds: Mapping[str, Kind], left: str, right: str, fields: tuple[str, ...], matches: tuple[str, ...]
) -> list[tuple[str, str, Any, bool]]:
    """Pairs of fields, how they are converted, and whether they match records. Raises UsageError, Failed."""
    from stream.dataflow.propose import proposals

    traits = []
    for type in (left, right):
        known = kinds[_system(type)].traits
        short = type.partition(".")[2]
        if short not in known:
            raise click.UsageError(f"found no type {short!r} of {_system(type)}; {', '.join(known)} would be right")
        traits.append(known[short])
    pairs = [(each.left, each.right, each.conversion, each.names_it) for each in proposals(*traits)]
    mine = [(one, other, "same", False) for one, other in _pairs("--field", fields)]
    pairs = [*mine, *(each for each in pairs if all(each[0] != one and each[1] != other for one, other, _, _ in mine))]
    wanted = _pairs("--match", matches)
    if wanted:
        pairs = [(one, other, how, (one, other) in wanted) for one, other, how, _ in pairs]
        there = {(one, other) for one, other, _, _ in pairs}
        pairs += [(one, other, "same", True) for one, other in wanted if (one, other) not in there]
    if not pairs:
        raise Failed(f"{left}, {right}: found no fields that surely mean the same; --field LEFT=RIGHT would be right")
    return pairs


def _written(
    types: tuple[str, str],
    kinds: Mapping[str, Kind],
    connectors: Mapping[str, str],
    pairs: list[tuple[str, str, Any, bool]],
    create: str,
) -> str:
    lines = [HEAD, "systems:"]
    for name, kind in kinds.items():
        lines += [f"  {name}:", f"    connector: {connectors.get(name, name)}"]
        lines += [
            f"    {key}: ${{{name.upper()}_{key.upper()}}}"
            for key, setting in kind.settings.items()
            if setting.required
        ]
    lines += ["", "topics:", *(f"  {type}: {{poll: 1m}}" for type in dict.fromkeys(types)), "", "flows:"]
    lines += [f"  - from: {types[0]}", f"    to: {types[1]}", f"    create: {create}"]
    by = [f"{{{json.dumps(one)}: {json.dumps(other)}}}" for one, other, _, names_it in pairs if names_it]
    lines += [f"    match: [{', '.join(by)}]"] if by else []
    lines.append("    fields:")
    for one, other, how, _ in pairs:
        converted = "" if how == "same" else f", as: {json.dumps(how)}"
        lines.append(f"      - {{from: {json.dumps(one)}, to: {json.dumps(other)}{converted}}}")
    return "\n".join(lines) + "\n"


def _checked(text: str, config: Path) -> list[str]:
    """The variables that have to be set. Raises BadTopology for what would not validate."""
    from stream.cli.shell import VARIABLE
    from stream.topology import parse_topology

    variables = list(dict.fromkeys(VARIABLE.findall(text)))
    environment = dict.fromkeys(variables, "http://not.set.invalid")
    parse_topology(text.encode(), environment, file=str(config), base_dir=config.parent)
    return variables
