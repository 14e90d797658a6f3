"""A worker as a process of its own: started, stopped as an operator stops it, killed as nobody would like to end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from stream.engine.backends import socket_at

FAREWELL = 8.0
"""Seconds that a worker has to end itself; it promises five."""


class WorkerProcess:
    """``linkstream run`` on a configuration; what it says goes to ``worker.log`` in its folder."""

    def __init__(self, folder: Path, config: Path, broker: str, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.killed = 0
        self._config = config
        self._broker = broker
        self._environment = environment
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it."""
        arguments = ("-m", "stream.cli.main", "--log-format", "json", "run", "-c", str(self._config), "--no-status")
        with (self.folder / "worker.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                env=dict(self._environment),
                stdout=log,
                stderr=log,
                stdin=asyncio.subprocess.DEVNULL,
            )

    async def kill(self) -> None:
        """End it without a warning."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        self.killed += 1

    async def stop(self) -> int | None:
        """Stop it; its exit code, or nothing if it never ran."""
        process = self.process
        if process is None or process.returncode is not None:
            return None if process is None else process.returncode
        process.terminate()
        try:
            async with asyncio.timeout(FAREWELL):
                return await process.wait()
        except TimeoutError:  # it hangs, or somebody has stopped it
            process.kill()
            return await process.wait()
        finally:
            socket_at(self._broker, process.pid).unlink(missing_ok=True)  # one that was killed leaves it

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process is not None and self.process.returncode is None

    def ready(self) -> bool:
        """Whether it answers: on a cluster, where every process has its own address, that it has its share."""
        return self.process is not None and socket_at(self._broker, self.process.pid).exists()

    def last_words(self, lines: int = 12) -> list[str]:
        """The end of what it said."""
        log = self.folder / "worker.log"
        return log.read_text("utf-8", errors="replace").splitlines()[-lines:] if log.exists() else []
