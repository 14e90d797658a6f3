"""``linkstream run``: the long-running worker."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click

from stream.cli.shell import Shell, config_option


@click.command("run")
@config_option
@click.option("--status/--no-status", default=None, help="A live line about the work; by default on a terminal only.")
@click.pass_obj
def command(shell: Shell, config: Path, status: bool | None) -> None:
    """Keep everything in step until stopped (Ctrl-C or SIGTERM).

    Reads each system at its interval, joins what changed with the links, writes to the others. Stopping takes at most
    five seconds; being killed loses nothing and repeats nothing.

    \b
    The file here:
      linkstream run
    Another one, with its variables from a file, as a service:
      linkstream --env-file /etc/linkstream.env --log-format json run -c /etc/linkstream/topics.yaml
    """
    topology = shell.topology(config)
    shell.log(topology)
    from stream.engine.app import run
    from stream.wiring import build

    worker = build(topology)
    if topology.traces is not None:
        from stream.traces import opened

        worker.traces = opened(topology.traces)
    if topology.web is not None:
        from stream.operate.web.server import attach

        attach(worker)
    if status if status is not None else sys.stderr.isatty():
        from stream.cli.line import show

        show(worker)
    run(worker.app)
