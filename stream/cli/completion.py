"""``linkstream completion``: what a shell needs to complete commands, options and choices."""

from __future__ import annotations

import rich_click as click

from stream.cli.exits import Failed

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print what a shell needs to complete commands, options and choices.

    \b
    For this session of bash, and for all of them:
      source <(linkstream completion bash)
      linkstream completion bash > ~/.local/share/bash-completion/completions/linkstream
    For fish:
      linkstream completion fish > ~/.config/fish/completions/linkstream.fish
    """
    from click.shell_completion import get_completion_class

    from stream.cli.main import linkstream

    made = get_completion_class(shell)
    if made is None:
        raise Failed(f"found no completion for {shell}; one of {', '.join(SHELLS)} would be right")
    click.echo(made(linkstream, {}, "linkstream", "_LINKSTREAM_COMPLETE").source())
