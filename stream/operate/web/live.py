"""The live stream: what has changed on the overview, once a second, to every browser that looks (Server-Sent Events).

The numbers are made once for all of them, and only while somebody looks. Who cannot keep up is told the next time what
he has missed: each looker has his own memory of what he was told, and nothing is kept for him.
"""

from __future__ import annotations

import asyncio
import logging

import orjson
from aiohttp import web
from msgspec.json import encode

from stream.operate.web.gate import HEADERS
from stream.operate.web.numbers import Numbers, Overview

EVERY = 1.0
MOST = 50
"""Lookers at once."""

logger = logging.getLogger(__name__)


class Live:
    """One stream for many."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._lookers = 0
        self._newest: Numbers = {}
        self._told = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to count."""
        self._task = asyncio.ensure_future(self._go_on())

    async def close(self) -> None:
        """Let everybody go."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        async with self._told:
            self._told.notify_all()

    async def _go_on(self) -> None:
        while True:
            try:
                self._overview.sample()
                if self._lookers:
                    self._newest = self._overview.numbers()
            except Exception:  # the edge: one number that cannot be made must not stop them all
                logger.exception("the page's numbers were not made", extra={"what": "not_counted"})
            async with self._told:
                self._told.notify_all()
            await asyncio.sleep(EVERY)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Tell one browser, until it goes or we do."""
        if self._lookers >= MOST:
            return web.Response(status=503, text=f"{MOST} look already\n", headers={"Retry-After": "30"})
        kind = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers={**HEADERS, **kind})
        known: dict[str, tuple[str, str]] = {}
        drawn = 0
        self._lookers += 1
        try:
            await response.prepare(request)
            while self._task is not None:
                newest = self._overview.numbers() if not known else self._newest
                changed = {name: said for name, said in newest.items() if known.get(name) != said}
                known |= changed
                point = self._overview.points[-1] if self._overview.points else None
                news = b"data: " + orjson.dumps(changed) + b"\n\n" if changed else b": \n\n"
                if point is not None and point.at > drawn:
                    drawn = point.at
                    news += b"event: point\ndata: " + encode(point) + b"\n\n"
                await response.write(news)
                async with self._told:
                    await self._told.wait()
        except ConnectionError:
            pass
        finally:
            self._lookers -= 1
        return response
