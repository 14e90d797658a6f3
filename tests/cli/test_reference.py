"""docs/cli.md says what the commands say, and every command says enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from stream.cli.main import COMMANDS, GROUPS, linkstream
from stream.cli.reference import reference

ROOT = Path(__file__).parents[2]
NO_CONFIGURATION = {"demo", "connector", "sandbox", "completion", "version", "schema"}
NO_FORMAT = {"run", "document", "sandbox", "completion", "schema", "export", "tail"}


def commands(group: click.Group = linkstream, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands())


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert written == reference(), "`make reference` writes it anew"


def test_every_command_is_in_one_group_of_the_help() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMMANDS)


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_the_same_grammar(name: str) -> None:
    options = {option for parameter in ALL[name].params for option in parameter.opts}
    words = set(name.split())
    assert ("-c" in options) == (not words & NO_CONFIGURATION), "-c for the configuration"
    if not words & NO_FORMAT:
        assert "--format" in options
    assert all(isinstance(each, click.Argument) or getattr(each, "help", "") for each in ALL[name].params)
    assert len((ALL[name].help or "").splitlines()[0]) < 121


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_how_it_is_typed(name: str) -> None:
    context = click.Context(linkstream)
    command = linkstream.get_command(context, name)
    assert command is not None
    assert f"  linkstream {name}" in (command.help or "").replace("linkstream --env-file .env", "linkstream")
