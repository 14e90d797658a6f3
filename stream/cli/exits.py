"""How a command ends: the one place where errors become exit codes and a last line for a person.

    0  done                           69  the worker could not do what it was asked, or did not answer
    1  failed                         70  the log belongs to another worker now, or a mistake of ours
    2  bad configuration or usage     75  the log is in use, or there is no room: try again later
    3  bad environment                78  the log is damaged, or does not fit the settings
    4  refused by a safety limit     130  interrupted
   10  a plan found changes: nothing was done, and there is something to do

69, 70, 75 and 78 come from the engine (``EngineError.exit_code``) and are those of sysexits.h.
"""

from __future__ import annotations

import errno
import sys
import traceback
from typing import Final

import click

from stream.errors import BadTopology

OK: Final = 0
FAILED: Final = 1
CONFIGURATION: Final = 2
ENVIRONMENT: Final = 3
REFUSED: Final = 4
CHANGES: Final = 10
INTERNAL: Final = 70
MISFIT: Final = 78
INTERRUPTED: Final = 130


class Failed(Exception):
    """The command could not do what it was asked; the message says why and what to do."""


class Unsafe(Exception):
    """So much at once is not done without being told twice; the message says how."""


class BadEnvironment(Exception):
    """The machine lacks something: a port, a file, a program; the message says what would be right."""


def told(error: BaseException) -> int:
    """Say on standard error why a command ended, and answer its exit code."""
    code = code_of(error)
    match error:
        case click.ClickException():
            error.show(sys.stderr)
        case KeyboardInterrupt() | click.Abort():
            click.echo("linkstream: interrupted", err=True)
        case BadTopology():
            click.echo("\n".join(error.problems), err=True)
            count = len(error.problems)
            click.echo(f"linkstream: {count} problem{'s' if count > 1 else ''} in the configuration", err=True)
        case OSError():
            click.echo(f"linkstream: {_where(error)}", err=True)
        case _ if code == INTERNAL and not hasattr(error, "exit_code"):
            _confess(error)
        case _:
            click.echo(f"linkstream: {error}", err=True)
    return code


def code_of(error: BaseException) -> int:
    """The exit code of an error."""
    for code, classes in _CODES:
        if isinstance(error, classes):
            return code
    for code, module, name in _CODES_ELSEWHERE:
        # Importing a module only to ask would be slow; what was never imported was not raised either.
        known = getattr(sys.modules.get(module), name, None)
        if known is not None and isinstance(error, known):
            return code
    return int(getattr(error, "exit_code", INTERNAL))


_CODES: Final = (
    (INTERRUPTED, (KeyboardInterrupt, click.Abort)),
    (CONFIGURATION, (click.UsageError, BadTopology)),
    (ENVIRONMENT, (BadEnvironment, OSError)),
    (REFUSED, (Unsafe,)),
    (FAILED, (Failed, click.ClickException)),
)
_CODES_ELSEWHERE: Final = (
    (CONFIGURATION, "connectors.registry", "BadSettings"),
    (CONFIGURATION, "connectors.positions", "BadDocument"),
    (FAILED, "connectors.errors", "ConnectorError"),
    (MISFIT, "stream.errors", "BadRecord"),  # a row of another version
)


def is_broken_pipe(error: BaseException) -> bool:
    """Whether the reader of our output went away, as ``head`` does."""
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def _where(error: OSError) -> str:
    """What the machine lacks, and where; an error without a file that speaks of room is about our own output."""
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"standard output: {error.strerror}; a place with room would be right"
    return error.strerror or str(error)


def _confess(error: BaseException) -> None:
    """A mistake of ours: where it happened, without the values that errors like to quote."""
    click.echo(
        f"linkstream: found {type(error).__name__}, which is a mistake in linkstream; please report these lines:",
        err=True,
    )
    for frame in traceback.extract_tb(error.__traceback__):
        click.echo(f"  {frame.filename}:{frame.lineno} in {frame.name}", err=True)
