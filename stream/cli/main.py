"""The command ``linkstream``: global options, and a table of the commands.

Each command lives in a module of its own, which is imported when the command is named and offers it as ``command``.
Such a module imports what is heavy (Faust, aiohttp, the connectors) inside the function, so that help is there at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import rich_click as click

from stream.cli import exits
from stream.cli.shell import Shell, environment

COMMANDS: Final[Mapping[str, str]] = {
    "demo": "stream.cli.demo",
    "qa": "stream.cli.qa",
    "run": "stream.cli.run",
    "validate": "stream.cli.validate",
    "import": "stream.cli.importing",
    "document": "stream.cli.document",
    "status": "stream.cli.status",
    "links": "stream.cli.links",
    "deletes": "stream.cli.deletes",
    "schema": "stream.cli.schema",
    "connector": "stream.cli.connector",
    "sandbox": "stream.cli.sandbox",
    "version": "stream.cli.version",
}
"""Every command by name, in the order of the help: the module that has it as ``command``."""


class _Lazy(click.RichGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        module = COMMANDS.get(cmd_name)
        return None if module is None else import_module(module).command


@click.rich_config({"text_paragraph_linebreaks": "\n\n"})
@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Lines NAME=value for the variables of topics.yaml; the environment itself wins. Can be given several times.",
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    show_default=True,
    envvar="LINKSTREAM_LOG_FORMAT",
    show_envvar=True,
    help="Log as JSON lines or as text; auto: text on a terminal.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="LINKSTREAM_LOG_LEVEL",
    show_envvar=True,
    help="How much to log. What records hold is never logged above debug.",
)
@click.pass_context
def linkstream(
    context: click.Context, env_file: tuple[Path, ...], log_format: Literal["auto", "json", "text"], log_level: str
) -> None:
    """Keep the same customers, projects and tasks in step between business systems, both ways.

    What is kept in step is said in topics.yaml: systems, the entity types that are read, and the flows between them.

    \b
    Check a configuration, all problems at once:
      linkstream validate
    Let an editor complete and check it:
      linkstream schema > schema/topics.schema.json
    Try without an account anywhere:
      linkstream sandbox asana --port 8801

    Exit codes: 0 done, 1 failed, 2 bad configuration or usage, 3 bad environment,
    70 log taken over or mistake of ours, 75 log in use or no room, 78 log damaged or misfit, 130 interrupted.
    """
    context.obj = Shell(environment=environment(env_file), log_format=log_format, log_level=log_level)


def execute(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and answer its exit code."""
    try:
        answer: Any = linkstream.main(args=arguments, prog_name="linkstream", standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the edge of the process
        if exits.is_broken_pipe(error):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return exits.FAILED
        return exits.told(error)
    return answer if isinstance(answer, int) else exits.OK


def main() -> NoReturn:
    """Enter here from the console script."""
    sys.exit(execute())


if __name__ == "__main__":
    main()
