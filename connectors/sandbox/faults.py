"""What can be made to go wrong in a sandbox, by order and repeatably.

A fault names the requests that it hits, by method and by a pattern of paths, how often, and how likely. Chance comes
from the fault's own seed, so a run can be repeated. The kinds are the ways in which real systems fail.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

import orjson
from aiohttp import web
from msgspec import Struct

Apply: TypeAlias = Callable[[], Awaitable[web.StreamResponse]]

Kind: TypeAlias = Literal[
    "status",  # answer with ``status`` (and ``retry_after``) instead of doing anything
    "status-after-apply",  # do it, then answer with ``status``
    "delay",  # do it after ``seconds``
    "delay-after-apply",  # do it, and answer after ``seconds``
    "reset-before",  # break the connection, do nothing
    "reset-after-apply",  # do it, then break the connection
    "down",  # break every connection
    "truncate",  # do it, then send half of the answer
    "text",  # answer with ``status`` and ``text`` as plain text
    "body",  # answer with ``text`` as JSON, whatever it is
    "html",  # a page with status 200 instead of an answer
    "garbage",  # bytes that are no JSON
    "wrong-shape",  # JSON that is no answer
    "empty",  # status 200 and no body
    "huge",  # ten megabytes
    "bomb",  # a small packed body that unpacks to a gigabyte
    "deep",  # ten thousand levels
    "nan",  # a number that is none
    "duplicate-ids",  # every record of a list twice
    "redirect",  # to ``location``
]


class Fault(Struct, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong. Without ``count`` it lasts until cleared."""

    kind: Kind
    path: str = "*"
    method: str = "*"
    count: int | None = None
    probability: float = 1.0
    seed: int = 1
    status: int = 503
    retry_after: str | None = None
    seconds: float = 0.05
    text: str = ""
    location: str = "http://127.0.0.1:9/elsewhere"


class Faults:
    """The faults now in force, in the order in which they were ordered."""

    def __init__(self) -> None:
        self._now: list[tuple[Fault, random.Random]] = []

    def __bool__(self) -> bool:
        return bool(self._now)

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self._now.append((fault, random.Random(fault.seed)))  # noqa: S311 - chance to be repeated, not to be safe

    def clear(self) -> None:
        """Let everything work again."""
        self._now.clear()

    def hit(self, method: str, path: str) -> Fault | None:
        """Answer the fault that strikes this request, if one does, and use it up."""
        for fault, chance in self._now:
            if not fnmatchcase(path, fault.path) or fault.method not in {"*", method} or fault.count == 0:
                continue
            if chance.random() < fault.probability:
                if fault.count is not None:
                    fault.count -= 1
                return fault
        return None


def json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answer JSON; ``None`` is no body at all."""
    if body is None:
        return web.Response(status=status, headers=headers)
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)


_FIXED: dict[str, Callable[[], web.Response]] = {
    "html": lambda: web.Response(text="<!doctype html><title>Vedlikehold</title>", content_type="text/html"),
    "garbage": lambda: web.Response(body=b"\x00\xff{not json", content_type="application/json"),
    "wrong-shape": lambda: json({"unexpected": [1, 2, 3]}),
    "empty": lambda: web.Response(status=200),
    "huge": lambda: web.Response(body=b'{"data": "' + b"x" * (10 << 20) + b'"}', content_type="application/json"),
    "deep": lambda: web.Response(body=b"[" * 10_000 + b"]" * 10_000, content_type="application/json"),
    "nan": lambda: web.Response(
        body=b'{"data": [{"gid": "1", "n": NaN}], "items": []}', content_type="application/json"
    ),
    "bomb": lambda: web.Response(body=_bomb(), headers={"Content-Encoding": "gzip"}, content_type="application/json"),
}


async def go_wrong(fault: Fault, request: web.Request, apply: Apply) -> web.StreamResponse:
    """Answer as the fault orders; ``apply`` does what was asked and answers as if all were well."""
    match fault.kind:
        case "status" | "redirect" | "text" | "body":
            return _instead(fault)
        case "reset-before" | "down":
            return _cut(request)
        case "delay":
            await asyncio.sleep(fault.seconds)
            return await apply()
        case "status-after-apply" | "delay-after-apply" | "reset-after-apply" | "truncate" | "duplicate-ids":
            return await _afterwards(fault, request, await apply())
        case _:
            return _FIXED[fault.kind]()


def _instead(fault: Fault) -> web.Response:
    if fault.kind == "text":
        return web.Response(status=fault.status, text=fault.text)
    if fault.kind == "body":
        return web.Response(text=fault.text, content_type="application/json")
    if fault.kind == "redirect":
        return web.Response(status=307, headers={"Location": fault.location})
    headers = {"Retry-After": fault.retry_after} if fault.retry_after else None
    return json({"errors": [{"message": "fault"}]}, fault.status, headers)


async def _afterwards(fault: Fault, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    match fault.kind:
        case "status-after-apply":
            return _instead(fault)
        case "delay-after-apply":
            await asyncio.sleep(fault.seconds)
            return response
        case "reset-after-apply":
            return _cut(request)
        case _:
            return _spoilt(fault, response)


def _cut(request: web.Request) -> web.Response:
    """Break the connection; the response goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _spoilt(fault: Fault, response: web.StreamResponse) -> web.StreamResponse:
    body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
    if fault.kind == "truncate":
        return web.Response(status=response.status, body=body[: len(body) // 2], content_type="application/json")
    value = orjson.loads(body)
    if isinstance(value, list):
        value = [record for record in value for _ in range(2)]
    for name in ("data", "items"):
        if isinstance(value, dict) and isinstance(value.get(name), list):
            value[name] = [record for record in value[name] for _ in range(2)]
    return json(value, response.status)


def _bomb() -> bytes:
    """Pack half a gigabyte of spaces, in pieces, without ever holding it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join([*(packer.compress(b" " * (1 << 20)) for _ in range(512)), packer.flush()])
