"""``linkstream schema``: the form of topics.yaml, for editors."""

from __future__ import annotations

import rich_click as click


@click.command("schema")
def command() -> None:
    """Print the form of topics.yaml as JSON Schema.

    An editor that finds this line at the top of the file completes and checks it while you type:

    \b
      # yaml-language-server: $schema=./schema/topics.schema.json

    \b
    Write it where that line looks for it:
      linkstream schema > schema/topics.schema.json
    """
    from stream.configuration.written import schema_text

    click.echo(schema_text(), nl=False)
