"""``linkstream sandbox``: a business system on this machine, to try things with."""

from __future__ import annotations

import rich_click as click

SYSTEMS = ("asana", "crmoffice", "customerp", "custompms", "powerofficego", "trello")


@click.command("sandbox")
@click.argument("system", type=click.Choice(SYSTEMS))
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it listens; 0.0.0.0 lets others in.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="The port.")
@click.option("--count", type=click.IntRange(0, 1_000_000), default=40, show_default=True, help="Tasks to begin with.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes up the same records.")
def command(system: str, host: str, port: int, count: int, seed: int) -> None:
    """Run a small server that behaves as a business system does, until interrupted.

    It speaks the vendor's own API with its quirks, keeps everything in memory and lets nobody in but this machine.

    \b
    Asana and a company's own project management system, side by side:
      linkstream sandbox asana --port 8801 &
      linkstream sandbox custompms --port 8802 &

    It prints the address and the settings that topics.yaml needs.
    """
    from connectors.sandbox import run

    run.main(system, host=host, port=port, count=count, seed=seed, say=click.echo)
