"""``linkstream run``: the long-running worker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from stream.cli.shell import Shell, config_option

if TYPE_CHECKING:
    from stream.configuration.written import WrittenTraces
    from stream.traces import Traces


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
        worker.traces = traced(topology.traces)
    if topology.web is not None:
        from stream.operate.web.server import attach

        attach(worker)
    if status if status is not None else sys.stderr.isatty():
        from stream.cli.line import show

        show(worker)
    run(worker.app)


def traced(wanted: WrittenTraces) -> Traces:
    """Traces that go to a collector. Raises BadTopology where OpenTelemetry is missing."""
    from stream.errors import BadTopology

    try:
        from stream.operate.spans import sending
    except ImportError:
        raise BadTopology(
            ["traces: found no OpenTelemetry; pip install 'linkstream[otel]', or no `traces:`, would be right"]
        ) from None
    return sending(wanted.to, wanted.sample)
