"""``linkstream doctor``: what may keep a worker from doing its work here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from stream.cli import exits
from stream.cli.shell import Format, Shell, config_option, format_option, say
from stream.errors import BadTopology

if TYPE_CHECKING:
    from stream.operate.doctor import Finding
    from stream.topology import Topology


@click.command("doctor")
@config_option
@format_option
@click.option("--offline", is_flag=True, help="Look at this machine and the log alone; ask no system.")
@click.option("--verbose", "-v", is_flag=True, help="Show also what is good.")
@click.pass_obj
def command(shell: Shell, config: Path, format: Format, offline: bool, verbose: bool) -> int:
    """Look for what may keep a worker from doing its work here, and say what to do about it.

    Looks at Python, the configuration, the log with its room, topics and lock, and what is assumed of the systems. Then
    reads one page of every entity type with the worker's own credentials: are they right, is the type within their
    scope, does the system's clock agree with ours, how much may still be asked. Writes nothing anywhere; works while a
    worker runs.

    \b
    Everything:
      linkstream doctor
    Without asking any system:
      linkstream doctor --offline

    Exit codes: 0 nothing is wrong, 1 something is, 2 topics.yaml cannot be read.
    """
    from stream.operate.doctor import Finding, assumptions, log, machine, merged

    findings: list[Finding] = list(machine())
    whole = True
    try:
        topology = shell.topology(config)
        findings.append(Finding("good", "configuration", f"{config} is right"))
    except BadTopology as error:
        topology, whole = shell.chart(config), False
        remedy = "say what would be right; linkstream validate tells whether it is"
        findings += [Finding("wrong", "configuration", line, remedy) for line in error.problems]
    findings += [*log(topology), *assumptions(topology)]
    if whole and not offline:
        findings += asyncio.run(_asked(topology))
    findings = merged(findings)
    if format != "table":
        import msgspec

        say(msgspec.to_builtins(findings), format)
    else:
        _print(findings, verbose=verbose)
    return exits.FAILED if any(each.level == "wrong" for each in findings) else exits.OK


async def _asked(topology: Topology) -> list[Finding]:
    from stream.operate.doctor import systems

    return [each async for each in systems(topology)]


def _about(finding: Finding) -> str:
    return f"{', '.join(finding.about)}: " if finding.about else ""


def _print(findings: list[Finding], *, verbose: bool) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    colours = {"good": "green", "note": "yellow", "wrong": "red"}
    for each in sorted(findings, key=lambda each: list(colours).index(each.level), reverse=True):
        if verbose or each.level != "good":
            colour = colours[each.level]
            console.print(f"[{colour}]{each.level:<5}[/{colour}] {each.check}: {escape(_about(each) + each.found)}")
            if each.remedy:
                console.print(f"      {escape(each.remedy)}")
    count = {level: sum(each.level == level for each in findings) for level in colours}
    console.print(f"{count['wrong']} wrong, {count['note']} to know, {count['good']} good")
