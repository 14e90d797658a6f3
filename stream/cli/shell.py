"""What all commands share: the environment with its file, how to log, and how to get at the topology."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

import rich_click as click

from stream.errors import BadTopology

Format: TypeAlias = Literal["table", "json", "yaml"]
C = TypeVar("C", bound=Callable[..., Any])

VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BROKER: Final = re.compile(r"^broker:.*\n(?:[ #].*\n|\n)*", re.MULTILINE)
"""What says where the log is: every command needs that."""
_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")


class Shell(NamedTuple):
    """The global options. A command takes it with ``@click.pass_obj``."""

    environment: Mapping[str, str]
    log_format: Literal["auto", "json", "text"] = "auto"
    log_level: str = "info"

    def topology(self, file: Path) -> Any:
        """Read topics.yaml. Raises BadTopology."""
        from stream.topology import read_topology

        return read_topology(file, self.environment)

    def chart(self, file: Path) -> Any:
        """Read topics.yaml for a command that touches no system: tokens that are not set do not matter to it."""
        from stream.topology import read_topology

        try:
            text = file.read_text(encoding="utf-8")
            named = set(VARIABLE.findall(_BROKER.sub("", text)))
        except (OSError, UnicodeDecodeError):
            named = set()  # the reader says what is wrong
        return read_topology(file, {**dict.fromkeys(named, "http://not.set.invalid"), **self.environment})

    def log(self, topology: Any | None = None) -> None:
        """Begin to log, without the topology's secrets. For commands that go on for a while."""
        from stream.cli import logs

        secrets = () if topology is None else tuple(secret.reveal() for secret in topology.secrets())
        logs.begin(format=self.log_format, level=self.log_level, secrets=secrets)


def environment(files: tuple[Path, ...]) -> dict[str, str]:
    """The process's environment over what the files say; a later file wins over an earlier. Raises BadTopology."""
    found: dict[str, str] = {}
    for file in files:
        found |= _read(file)
    return {**found, **os.environ}


def config_option(command: C) -> C:
    """Add ``-c/--config``: the topics.yaml of a command."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        default=Path("topics.yaml"),
        show_default=True,
        envvar="LINKSTREAM_CONFIG",
        show_envvar=True,
        help="The file that says which systems there are and what is kept in step.",
    )(command)


def format_option(command: C) -> C:
    """Add ``--format table|json|yaml``: for people, or for programs."""
    return click.option(
        "--format",
        type=click.Choice(["table", "json", "yaml"]),
        default="table",
        show_default=True,
        help="A table for people, or JSON or YAML for programs.",
    )(command)


def say(found: Any, format: Format) -> None:
    """Print plain values for programs."""
    if format == "yaml":
        import yaml

        click.echo(
            yaml.safe_dump(json.loads(json.dumps(found)), allow_unicode=True, sort_keys=False, width=1000), nl=False
        )
    else:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))


def _read(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BadTopology([f"{file}:1:1: found no readable file; lines NAME=value would be right"]) from None
    found, problems = {}, []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        read = _LINE.fullmatch(line.strip())
        if read is None:
            problems.append(f"{file}:{number}:1: found no NAME=value; one would be right")
        else:
            found[read[1]] = _unquoted(read[2])
    if problems:
        raise BadTopology(problems)
    return found


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
