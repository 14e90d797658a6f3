"""The reference of all commands as Markdown, drawn from the commands themselves: ``python -m stream.cli.reference``.

A help text is paragraphs; one that begins with a backspace is laid out by hand: lines that say what for, and indented
below them what to type.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import cleandoc

import click

from stream.cli.main import COMMANDS, GROUPS, linkstream

HEAD = """\
# Commands

Drawn from the commands themselves (`make reference`); `linkstream COMMAND --help` says the same. Every command that
looks or changes something takes `-c` for the configuration and `--format table|json|yaml`. Nothing is changed in a
system but by `run`, `qa --live`, and what waits for them.
"""

CODES = (
    (0, "done"),
    (1, "failed: could not do what was asked, or found something"),
    (2, "bad configuration, or a command line that is wrong"),
    (3, "bad environment: a file, a port, room"),
    (4, "refused by a safety limit: so much is not done without being told twice"),
    (10, "a plan found changes; nothing was done"),
    (69, "the worker could not do it, or did not answer"),
    (70, "another worker took over, or a mistake of ours"),
    (75, "the log is in use, or there is no room: later"),
    (78, "the log is damaged, or does not fit"),
    (130, "interrupted"),
)


def reference() -> str:
    """The whole document."""
    parts = [HEAD]
    context = click.Context(linkstream, info_name="linkstream")
    for group, names in GROUPS.items():
        listed = "\n".join(f"- [`{name}`](#linkstream-{name}): {COMMANDS[name][1]}" for name in names)
        parts.append(f"**{group}**\n\n{listed}\n")
    codes = "\n".join(f"| {code} | {text} |" for code, text in CODES)
    parts.append(f"## Exit codes\n\n| code | means |\n|---|---|\n{codes}\n")
    parts.append("## Global options\n\n" + _options(linkstream, context))
    for names in GROUPS.values():
        for name in names:
            command = linkstream.get_command(context, name)
            assert command is not None
            parts += _command(command, click.Context(command, info_name=name, parent=context), 2)
    return "\n".join(parts)


def _command(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    title = f"{'#' * depth} {context.command_path}\n"
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    yield "\n".join((title, f"```sh\n{usage}\n```\n", *_words(command.help or ""), _options(command, context)))
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _command(inner, click.Context(inner, info_name=name, parent=context), depth + 1)


def _words(text: str) -> Iterator[str]:
    """The paragraphs of a help text; what was laid out by hand keeps its lines."""
    for paragraph in cleandoc(text).split("\n\n"):
        if not paragraph.startswith("\b\n"):
            yield f"{paragraph.strip()}\n"
            continue
        lines = paragraph.removeprefix("\b\n").splitlines()
        if any(line.startswith("  linkstream") for line in lines):
            shown = [f"# {line}" if line[:1].strip() else line[2:] for line in lines]
            yield "```sh\n" + "\n".join(shown) + "\n```\n"
        else:
            yield "```text\n" + "\n".join(lines) + "\n```\n"


def _options(command: click.Command, context: click.Context) -> str:
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None and "--help" not in record[0]:
            names, about = (" ".join(part.replace("|", "\\|").split()) for part in record)
            rows.append(f"| `{names}` | {about} |")
    return "| option | |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else ""


if __name__ == "__main__":
    sys.stdout.write(reference())
