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

import click as plain
import rich_click as click

from stream.cli import exits
from stream.cli.shell import Shell, environment

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "demo": ("stream.cli.demo", "Keep six made-up systems in step before your eyes."),
    "qa": ("stream.cli.qa", "Try out every statement, and tick off the checklist."),
    "run": ("stream.cli.run", "Keep everything in step until stopped."),
    "init": ("stream.cli.init", "Write a first topics.yaml that validates."),
    "validate": ("stream.cli.validate", "Check topics.yaml without touching any system."),
    "import": ("stream.cli.importing", "Work customers' dataflow documents into topics.yaml."),
    "document": ("stream.cli.document", "Write the flows between two systems as a dataflow document."),
    "config": ("stream.cli.config", "Look at the configuration as a worker sees it."),
    "map": ("stream.cli.mapping", "Try what a flow makes of a record."),
    "plan": ("stream.cli.plan", "Say what a worker would link, create and write, before it does."),
    "poll": ("stream.cli.poll", "Have entity types read now, or see what a reading would bring."),
    "status": ("stream.cli.status", "Show systems, links, how many are in step, and what waits."),
    "monitor": ("stream.cli.monitor", "Watch all of that on one screen, going on."),
    "explain": ("stream.cli.explain", "Say how a record came to look as it does, and what it waits for."),
    "doctor": ("stream.cli.doctor", "Look for what may keep a worker from doing its work here."),
    "tail": ("stream.cli.tail", "Show what goes through a topic, in words."),
    "links": ("stream.cli.links", "List links, show how one record stands, find what stands twice."),
    "pause": ("stream.cli.pause", "Stop a system, an entity type or a flow for a while."),
    "resume": ("stream.cli.resume", "Go on with what was paused."),
    "parked": ("stream.cli.parked", "Look at records that were set aside, and try them again."),
    "conflicts": ("stream.cli.conflicts", "Look at values that lost, and bring one back."),
    "deletes": ("stream.cli.deletes", "Decide about deletions that are held."),
    "resync": ("stream.cli.resync", "Have records tell everything anew."),
    "replay": ("stream.cli.replay", "Tell again what was read, or see what that would write."),
    "topics": ("stream.cli.topics", "Look after the topics of the log on a Kafka cluster."),
    "schema": ("stream.cli.schema", "Print the form of topics.yaml as JSON Schema."),
    "asyncapi": ("stream.cli.asyncapi", "Describe all topics as an AsyncAPI document."),
    "connector": ("stream.cli.connector", "Declare a system of your own."),
    "sandbox": ("stream.cli.sandbox", "Run a small server that behaves as a business system does."),
    "completion": ("stream.cli.completion", "Print what a shell needs to complete commands."),
    "version": ("stream.cli.version", "Print the versions of linkstream and of its parts."),
}
"""Every command by name, in the order of the help: the module that has it as ``command``, and a line for the help."""

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Try it": ("demo", "qa", "sandbox"),
    "Say what is kept in step": (
        "init",
        "validate",
        "config",
        "map",
        "import",
        "document",
        "schema",
        "asyncapi",
        "connector",
    ),
    "Run it": ("plan", "run", "poll", "topics"),
    "See how it goes, and why": ("status", "monitor", "explain", "links", "tail", "doctor"),
    "Put it right": ("pause", "resume", "parked", "conflicts", "deletes", "resync", "replay"),
    "This command line": ("completion", "version"),
}
"""The same commands as the help shows them."""


class _Lazy(click.RichGroup):
    """A group whose commands are imported when they are asked for; its help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; while the help is written, its line will do."""
        if cmd_name not in COMMANDS:
            return None
        module, line = COMMANDS[cmd_name]
        return click.Command(cmd_name, short_help=line) if ctx.meta.get(_HELP) else import_module(module).command

    def format_help(self, ctx: click.RichContext, formatter: Any) -> None:  # type: ignore[override]
        """Write the help."""
        ctx.meta[_HELP] = True
        super().format_help(ctx, formatter)


_HELP: Final = "stream.cli.main.help"
_SHOWN: Final = [{"name": name, "commands": list(commands)} for name, commands in GROUPS.items()]


@click.rich_config({"text_paragraph_linebreaks": "\n\n", "command_groups": {"linkstream": _SHOWN}})
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

    Exit codes: 0 done, 1 failed, 2 bad configuration or usage, 3 bad environment, 4 refused by a safety limit,
    10 a plan found changes, 69 the worker could not do it, 70 log taken over or mistake of ours, 75 log in use or no
    room, 78 log damaged or misfit, 130 interrupted. Colours go away with NO_COLOR=1.
    """
    context.obj = Shell(environment=environment(env_file), log_format=log_format, log_level=log_level)


def _tell_version() -> None:
    """Give click its version: rich-click asks for it, and click would read its metadata: a fifth of a help."""
    for folder in Path(plain.__file__).parents[1].glob("click-*.dist-info"):
        vars(plain)["__version__"] = folder.stem.removeprefix("click-")


def execute(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and answer its exit code."""
    _tell_version()
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
