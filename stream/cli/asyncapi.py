"""``linkstream asyncapi``: the topics and what lies in them, for programs that read along."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Literal

import rich_click as click

from stream.cli.shell import Shell, config_option, say


@click.command("asyncapi")
@config_option
@click.option(
    "--format",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="How the document is written.",
)
@click.pass_obj
def command(shell: Shell, config: Path, format: Literal["yaml", "json"]) -> None:
    """Describe all topics as an AsyncAPI 3.0 document: keys, headers, the form of every value, how long they are kept.

    It touches no system and no broker; tokens need not be set.

    \b
    Write it into a file:
      linkstream asyncapi > asyncapi.yaml
    Of another topics.yaml, as JSON:
      linkstream asyncapi -c deploy/topics.yaml --format json
    """
    from stream.engine.log import ALWAYS
    from stream.operate.asyncapi import document
    from stream.wanted import topics_of

    topology = shell.chart(config)
    topics = {**ALWAYS, **topics_of(topology)}
    say(document(topology, topics, metadata.version("linkstream")), format)
