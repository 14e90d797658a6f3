"""Commands of a second process, answered by a worker on this machine.

One JSON object per line over a UNIX socket: ``{"name", "payload"}`` up, ``{"answer"}`` or ``{"error"}`` down. A worker
registers handlers by name. With no worker here the caller opens the log for a moment and does the built-in commands,
``publish`` and ``status``, itself; over an embedded log that takes its lease. Bytes travel as base64, as msgspec writes
them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import msgspec

from stream.engine.backends import is_kafka, log_at, shown, sockets_at
from stream.engine.log import EngineError, InUse, Log, Mismatch, Outgoing

Handler: TypeAlias = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

LONGEST = 107  # bytes of a socket's path, unix(7)
LINE = 64 << 20  # bytes of one request or answer
SHARE = 3  # a request of records is at most so manieth a part of that: base64 makes four bytes of three

ALONE = 7.0
"""Seconds that a command waits for a log which takes nothing; SQLite itself waits five for a lock."""

logger = logging.getLogger(__name__)


class Unanswered(EngineError):
    """The owner could not do what was asked; the message is its own."""

    exit_code: ClassVar[int] = 69


def built_in(log: Log) -> dict[str, Handler]:
    """The commands that need nothing but the log."""

    async def publish(payload: dict[str, Any]) -> dict[str, Any]:
        records = msgspec.convert(payload.get("records"), list[Outgoing])
        await log.publish(records)
        return {"published": len(records)}

    async def status(_: dict[str, Any]) -> dict[str, Any]:
        return log.status()

    return {"publish": publish, "status": status}


def publishing(records: Sequence[Outgoing]) -> dict[str, Any]:
    """The payload of ``publish``."""
    payload: dict[str, Any] = msgspec.to_builtins({"records": records})
    return payload


class Desk:
    """Answers commands while the worker runs."""

    def __init__(self, address: Path, handlers: dict[str, Handler]) -> None:
        self._address = address
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; the lease is held, so a socket file that is there is dead."""
        folder = self._address.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
        if about.st_uid != os.getuid() or not stat.S_ISDIR(about.st_mode) or about.st_mode & 0o022:
            raise Mismatch(f"{folder}: not a folder that only this user may write; set XDG_RUNTIME_DIR to one that is")
        if len(os.fsencode(self._address)) > LONGEST:
            raise Mismatch(f"{self._address}: too long for a socket; a shorter XDG_RUNTIME_DIR would be right")
        self._address.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._address, limit=LINE)
        self._address.chmod(0o600)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None
            with suppress(OSError):
                self._address.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            logger.debug("a command's connection ended early")
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
            name = request.get("name")
            handler = self._handlers.get(str(name))
            if handler is None:
                return {"error": f"unknown command {name!r}; known: {', '.join(sorted(self._handlers))}"}
            return {"answer": await handler(request.get("payload") or {})}
        except Exception as error:  # noqa: BLE001 - the edge: whoever asked gets to know
            return {"error": f"{type(error).__name__}: {error}"}


async def ask(url: str, name: str, payload: dict[str, Any] | None = None, *, seconds: float = 60.0) -> dict[str, Any]:
    """Have a worker over a log do something. Raises ``Unanswered`` with its reason, ``InUse`` if out of reach."""
    if is_kafka(url) and name == "publish":
        return await _alone(url, name, payload or {})  # a topic takes records from anybody
    request = msgspec.json.encode({"name": name, "payload": payload or {}}) + b"\n"
    for address in sockets_at(url):
        try:
            reader, writer = await asyncio.open_unix_connection(address, limit=LINE)
        except OSError as error:
            if isinstance(error, ConnectionRefusedError) and is_kafka(url):
                address.unlink(missing_ok=True)  # of a worker that was killed
            continue
        try:
            async with asyncio.timeout(seconds):
                writer.write(request)
                await writer.drain()
                line = await reader.readline()
        except (OSError, TimeoutError, ValueError) as error:  # the last: longer than a line may be
            raise Unanswered(
                f"{shown(url)}: the worker took {name!r} and did not answer: {error or 'time is up'}"
            ) from error
        finally:
            writer.close()
        if not line.endswith(b"\n"):
            raise Unanswered(f"{shown(url)}: the worker ended before it answered {name!r}; look whether it was done")
        return _opened(msgspec.json.decode(line, type=dict[str, Any]))
    return await _alone(url, name, payload or {})


async def bring(url: str, records: Sequence[Outgoing]) -> None:
    """Have records published, in order: at once, but in pieces where they are too many for one request."""
    piece: list[Outgoing] = []
    weight = 0
    for record in records:
        size = len(record.key) + len(record.value or b"") + sum(len(n) + len(v) for n, v in record.headers) + 200
        if piece and weight + size > LINE // SHARE:
            await ask(url, "publish", publishing(piece))
            piece, weight = [], 0
        piece.append(record)
        weight += size
    await ask(url, "publish", publishing(piece))


def _opened(reply: dict[str, Any]) -> dict[str, Any]:
    if "error" in reply:
        raise Unanswered(str(reply["error"]))
    answer: dict[str, Any] = reply["answer"]
    return answer


async def _alone(url: str, name: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Nobody here works on the log: do it."""
    log = log_at(url)
    handler = built_in(log).get(name)
    if handler is None:
        raise Unanswered(f"{shown(url)}: {name!r} needs a running worker on this machine; start one")
    if not log.exists():
        raise Mismatch(f"{shown(url)}: no such log, and no worker that could create it; start the worker first")
    try:
        await log.open()
        async with asyncio.timeout(ALONE):
            return await handler(payload)
    except TimeoutError:  # a worker waits until the log takes records again; a person is told
        reason = log.health()["reason"] or f"{shown(url)}: the log took nothing for {ALONE:.0f} s"
        raise InUse(f"{reason}; nothing was done") from None
    finally:
        await log.close()
