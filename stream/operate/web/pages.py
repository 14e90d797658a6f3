"""The pages: each is a question to the worker or to the log, and a template. They work without JavaScript.

Everything that is shown is text to the templates (autoescape), whoever wrote it. What changes something is a form that
is sent back to where it stands, and is there only for those who may.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from yarl import URL

from stream.operate.aside import retrying, settling
from stream.operate.web.gate import COOKIE, RIGHT, Gate
from stream.operate.web.graph import drawn
from stream.operate.web.looking import MOST, Look
from stream.operate.web.numbers import Overview, age
from stream.operate.words import shown
from stream.topics import PARKED
from stream.worker import Worker

PENALTY = 1.0
"""Seconds that a wrong token waits for its answer."""

OUT = "out of step"
STATES = ("linked", OUT, "waiting", "refused", "unknown", "copy", "alone", "severed")


class Pages:
    """The pages of one worker."""

    def __init__(self, worker: Worker, gate: Gate, overview: Overview) -> None:
        self._worker = worker
        self._gate = gate
        self._overview = overview
        self._look = Look(worker.topology)
        self._templates = Environment(
            loader=PackageLoader("stream.operate.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"age": age, "json": shown}

    def add_to(self, app: web.Application) -> None:
        """Have them served."""
        for path, page in (
            ("/", self.overview),
            ("/records", self.records),
            ("/links", self.links),
            ("/conflicts", self.conflicts),
            ("/parked", self.parked),
            ("/enter", self.enter),
        ):
            app.router.add_get(path, page)
        app.router.add_post("/enter", self.entered)
        app.router.add_post("/types/{type}/read", self.read)
        app.router.add_post("/parked/{partition}/{offset}/{verb}", self.settle)

    def _shown(self, request: web.Request, name: str, status: int = 200, **facts: Any) -> web.Response:
        topology = self._worker.topology
        text = self._templates.get_template(f"{name}.html.j2").render(
            here=name,
            may_write=request.get(RIGHT) == "write",
            closed=self._gate.closed,
            topology=topology,
            **facts,
        )
        return web.Response(text=text, content_type="text/html", status=status)

    async def overview(self, request: web.Request) -> web.Response:
        """How everything is."""
        out = self._worker.out(8)
        waiting, aside = await asyncio.gather(
            asyncio.to_thread(self._look.waiting, out), asyncio.to_thread(self._look.open)
        )
        numbers = self._overview.numbers()
        spots, lines = drawn(self._worker.topology)
        facts: dict[str, Any] = {"numbers": numbers, "waiting": waiting, "aside": aside, "spots": spots, "lines": lines}
        return self._shown(request, "overview", **facts)

    async def records(self, request: web.Request) -> web.Response:
        """Find a record, or show one."""
        ref = request.query.get("ref", "").strip()
        if ref:
            return await self._record(request, ref)
        text, kind = request.query.get("q", "").strip()[:200], request.query.get("type", "")
        if kind not in self._worker.topology.types:
            kind = ""
        if text.partition(":")[0] in self._worker.topology.types and ":" in text:
            raise web.HTTPSeeOther(URL("/records").with_query(ref=text))
        found = await asyncio.to_thread(self._look.search, text, kind) if text else None
        return self._shown(request, "records", text=text, kind=kind, found=found)

    async def _record(self, request: web.Request, ref: str) -> web.Response:
        known = ref.partition(":")[0] in self._worker.topology.types
        told = await asyncio.to_thread(self._look.record, ref) if known else None
        return self._shown(request, "record", 200 if told else 404, ref=ref, told=told)

    async def links(self, request: web.Request) -> web.Response:
        """Who is linked to whom."""
        flow, state = request.query.get("flow", ""), request.query.get("state", "")
        flow = flow if flow in self._worker.topology.flows.flows else ""
        state = state if state in STATES else ""
        if state == OUT:
            found = await asyncio.to_thread(self._look.apart, flow, self._worker.out(MOST))
        else:
            found = await asyncio.to_thread(self._look.links, flow, state)
        return self._shown(request, "links", flow=flow, state=state, states=STATES, found=found)

    async def conflicts(self, request: web.Request) -> web.Response:
        """What lost against what."""
        return self._shown(request, "conflicts", found=await asyncio.to_thread(self._look.conflicts))

    async def parked(self, request: web.Request) -> web.Response:
        """What was set aside, and why."""
        return self._shown(request, "parked", found=await asyncio.to_thread(self._look.parked))

    # For those who may

    async def read(self, request: web.Request) -> web.Response:
        """Read a type now."""
        wish = self._worker.wishes.get(request.match_info["type"])
        if wish is None:
            raise web.HTTPNotFound
        wish.set()
        raise web.HTTPSeeOther("/")

    async def settle(self, request: web.Request) -> web.Response:
        """Try a parked record again, or drop it."""
        parts = request.match_info
        each = await asyncio.to_thread(self._look.aside, PARKED, f"{parts['partition']}/{parts['offset']}")
        if each is None or parts["verb"] not in ("retry", "drop"):
            raise web.HTTPNotFound
        if parts["verb"] == "retry":
            await self._worker.app.broker.publish([*retrying(each), settling(each, "retried")])
        else:
            await self._worker.app.broker.publish([settling(each, "dropped")])
        raise web.HTTPSeeOther("/parked")

    # The door

    async def enter(self, request: web.Request) -> web.Response:
        """Ask for the token."""
        return self._shown(request, "enter", wrong=False)

    async def entered(self, request: web.Request) -> web.Response:
        """Give a ticket for a token."""
        form = await request.post()
        right = self._gate.right_of(str(form.get("token", "")))
        if right == "none":
            await asyncio.sleep(PENALTY)
            return self._shown(request, "enter", 403, wrong=True)
        response = web.Response(status=303, headers={"Location": "/"})
        secure = request.headers.get("X-Forwarded-Proto", request.scheme) == "https"
        response.set_cookie(COOKIE, self._gate.ticket(right), httponly=True, samesite="Strict", secure=secure)
        return response
