"""Stoplight Prism between a connector and a sandbox: somebody else's reading of the vendor's own OpenAPI file.

Prism forwards every call and says of each request and answer what in it is against the file. It is a program for
Node; where it is installed says ``LINKSTREAM_PRISM``, and where the vendors' files lie ``LINKSTREAM_SPECS``.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from socket import socket

SPECS = Path(os.environ.get("LINKSTREAM_SPECS") or "no folder")
PRISM = Path(os.environ.get("LINKSTREAM_PRISM") or "no program").resolve()
MISSING = (
    "the vendors' OpenAPI files are not here: LINKSTREAM_SPECS would name their folder"
    if not SPECS.is_dir()
    else "Prism is not here: LINKSTREAM_PRISM would name it, `make prism` installs it; it needs Node"
    if not PRISM.is_file() or which("node") is None
    else ""
)

_WORDS = re.compile(r"\x1b\[[0-9;]*m")
_PATIENCE = 60.0


class Prism:
    """One running proxy, and what it said."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests = 0
        self.calls: list[str] = []
        """Method and path of every call."""
        self.violations: list[str] = []
        """What was against the file, each after a call that was under way."""
        self.listens = False
        self._news = asyncio.Condition()

    async def until(self, true: Callable[[Prism], bool]) -> None:
        """Wait until what was said is so; it is said a moment after the answer."""
        async with asyncio.timeout(_PATIENCE), self._news:
            await self._news.wait_for(lambda: true(self))

    async def listen(self, said: asyncio.StreamReader) -> None:
        """Hear all lines of the program."""
        async for line in said:
            self.hear(line.decode(errors="replace").rstrip())
            async with self._news:
                self._news.notify_all()

    def hear(self, line: str) -> None:
        line = _WORDS.sub("", line)
        if "Prism is listening" in line:
            self.listens = True
        elif "Request received" in line:
            self.requests += 1
            self.calls.append(line.partition("[HTTP SERVER] ")[2].partition(" \u2139")[0].strip())
        elif "Violation:" in line:
            self.violations.append(
                f"{(*self.calls, '?')[-2 if self.calls else -1]}: {line.partition('Violation: ')[2]}"
            )


@asynccontextmanager
async def proxied(spec: Path, upstream: str) -> AsyncIterator[Prism]:
    """A proxy before a server; everything that goes through it is checked."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    prism = Prism(f"http://127.0.0.1:{port}")
    process = await asyncio.create_subprocess_exec(
        "node",
        "--require",
        str(Path(__file__).with_name("patient.cjs")),
        str(PRISM),
        "proxy",
        str(spec),
        upstream,
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 22,
    )

    assert process.stdout is not None
    listening = asyncio.ensure_future(prism.listen(process.stdout))
    try:
        await prism.until(lambda said: said.listens)
        yield prism
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await listening
