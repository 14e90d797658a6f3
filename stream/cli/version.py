"""``linkstream version``: what runs here, for reports of mistakes."""

from __future__ import annotations

import platform
import sqlite3
from importlib import metadata
from typing import Final

import rich_click as click

from stream.cli.shell import Format, format_option, say

PARTS: Final = ("faust-streaming", "aiokafka", "aiohttp", "orjson", "msgspec", "PyYAML", "jsonschema", "structlog")


@click.command("version")
@format_option
def command(format: Format) -> None:
    """Print the versions of linkstream and of its parts.

    \b
    For a report of a mistake:
      linkstream version --format json
    """
    versions = _versions()
    if format != "table":
        say(versions, format)
        return
    width = max(map(len, versions))
    for name, version in versions.items():
        click.echo(f"{name:<{width}}  {version}")


def _versions() -> dict[str, str]:
    return {
        "linkstream": _of("linkstream"),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        **{part: _of(part) for part in PARTS},
    }


def _of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
