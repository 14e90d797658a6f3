"""The pages: each is a question to the worker or to the log, and a template. They work without JavaScript.

Everything that is shown is text to the templates (autoescape), whoever wrote it. What changes something is a form that
is sent back to where it stands, and is there only for those who may.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from msgspec.json import encode
from yarl import URL

from stream.errors import BadRecord
from stream.operate.aside import Aside, retried, settling
from stream.operate.orders import Overtaken, holding, pausable
from stream.operate.web.gate import COOKIE, RIGHT, Gate
from stream.operate.web.graph import ROOM, drawn
from stream.operate.web.looking import MOST, Look
from stream.operate.web.numbers import Overview, age
from stream.operate.words import shown
from stream.topics import CONFLICTS, PARKED
from stream.worker import Worker, clock

PENALTY = 1.0
"""Seconds that a wrong token waits for its answer."""

OUT = "out of step"
STATES = ("linked", OUT, "waiting", "refused", "unknown", "copy", "alone", "severed")


NOTICES = {
    "read": "It is being read.",
    "pause": "It is paused. What waits goes on when it is resumed.",
    "resume": "It goes on; what waited goes at once.",
    "retry": "It is tried again. If its cause is still there, it comes back.",
    "drop": "It needs no more attention. It stays in the topic as long as that keeps records.",
    "lost": "What lost is an edit of now, and goes to all copies.",
    "won": "What won stays.",
    "overtaken": "Nothing was done: somebody was faster. What the record holds now stays.",
}
"""What is said after a form was sent; the address only names which."""


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
        app.on_cleanup.append(self._close)
        for path, page in (
            ("/", self.overview),
            ("/records", self.records),
            ("/links", self.links),
            ("/conflicts", self.conflicts),
            ("/parked", self.parked),
            ("/enter", self.enter),
            ("/points", self.points),
        ):
            app.router.add_get(path, page)
        app.router.add_post("/enter", self.entered)
        app.router.add_post("/types/{type}/read", self.read)
        app.router.add_post("/parked/{partition}/{offset}/{verb}", self.settle)
        app.router.add_post("/conflicts/{partition}/{offset}/{keep}", self.resolve)
        app.router.add_post("/pauses/{verb}", self.pause)

    async def _close(self, _: web.Application) -> None:
        await self._look.close()

    def _shown(self, request: web.Request, name: str, status: int = 200, **facts: Any) -> web.Response:
        topology = self._worker.topology
        text = self._templates.get_template(f"{name}.html.j2").render(
            here=name,
            may_write=request.get(RIGHT) == "write",
            stamp=self._gate.stamp,
            notice=NOTICES.get(request.query.get("done", ""), ""),
            closed=self._gate.closed,
            topology=topology,
            paused=self._worker.pauses.all(),
            topic_link=self._topic_link,
            **facts,
        )
        return web.Response(text=text, content_type="text/html", status=status)

    def _topic_link(self, place: str) -> str:
        """Where a browser shows a place in the log, given as topic/partition/offset; empty where nothing does."""
        rules = self._worker.topology.web
        topic, _, rest = place.partition("/")
        partition, _, offset = rest.partition("/")
        if rules is None or not rules.topic_link or not (partition.isdecimal() and offset.isdecimal()):
            return ""
        parts = {"topic": quote(topic, safe=""), "partition": partition, "offset": offset}
        return re.sub(r"\{(\w+)\}", lambda name: parts[name[1]], rules.topic_link)

    async def overview(self, request: web.Request) -> web.Response:
        """How everything is."""
        out = self._worker.out(8)
        waiting, aside = await asyncio.gather(
            self._look.told(self._look.waiting, out), self._look.told(self._look.open)
        )
        numbers = self._overview.numbers()
        spots, lines = drawn(self._worker.topology)
        levels = [spot.y for spot in spots] or [0]
        top, tall = min(levels) - ROOM, max(levels) - min(levels) + 2 * ROOM
        picture: dict[str, Any] = {"spots": spots, "lines": lines, "top": top, "tall": tall}
        return self._shown(request, "overview", numbers=numbers, waiting=waiting, aside=aside, **picture)

    async def points(self, _: web.Request) -> web.Response:
        """How it was, for the charts: a list of moments."""
        return web.Response(body=encode(list(self._overview.points)), content_type="application/json")

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
        found = await self._look.told(self._look.search, text, kind) if text else None
        return self._shown(request, "records", text=text, kind=kind, found=found)

    async def _record(self, request: web.Request, ref: str) -> web.Response:
        known = ref.partition(":")[0] in self._worker.topology.types
        told = await self._look.told(self._look.record, ref) if known else None
        return self._shown(request, "record", 200 if told else 404, ref=ref, told=told)

    async def links(self, request: web.Request) -> web.Response:
        """Who is linked to whom."""
        flow, state = request.query.get("flow", ""), request.query.get("state", "")
        flow = flow if flow in self._worker.topology.flows.flows else ""
        state = state if state in STATES else ""
        if state == OUT:
            found = await self._look.told(self._look.apart, flow, self._worker.out(MOST))
        else:
            found = await self._look.told(self._look.links, flow, state)
        return self._shown(request, "links", flow=flow, state=state, states=STATES, found=found)

    async def conflicts(self, request: web.Request) -> web.Response:
        """What lost against what."""
        return self._shown(request, "conflicts", found=await self._look.told(self._look.conflicts))

    async def parked(self, request: web.Request) -> web.Response:
        """What was set aside, and why."""
        return self._shown(request, "parked", found=await self._look.told(self._look.parked))

    # For those who may

    async def read(self, request: web.Request) -> web.Response:
        """Read a type now."""
        wish = self._worker.wishes.get(request.match_info["type"])
        if wish is None:
            raise web.HTTPNotFound
        wish.set()
        raise _seen("/", "read")

    async def settle(self, request: web.Request) -> web.Response:
        """Try a parked record again, or drop it."""
        verb = request.match_info["verb"]
        each = await self._aside(request, PARKED)
        if verb not in ("retry", "drop"):
            raise web.HTTPNotFound
        if each.settled:
            raise _seen("/parked", "overtaken")
        orders = retried([each]) if verb == "retry" else [settling(each, "dropped")]
        await self._worker.app.broker.publish(orders)
        raise _seen("/parked", verb)

    async def resolve(self, request: web.Request) -> web.Response:
        """Say which of two values is right."""
        keep = request.match_info["keep"]
        each = await self._aside(request, CONFLICTS)
        if keep not in ("lost", "won"):
            raise web.HTTPNotFound
        try:
            orders = await self._look.told(self._look.resolving, each, "won" if keep == "won" else "lost")
        except (Overtaken, BadRecord):
            raise _seen("/conflicts", "overtaken") from None
        await self._worker.app.broker.publish(orders)
        raise _seen("/conflicts", keep)

    async def _aside(self, request: web.Request, topic: str) -> Aside:
        parts = request.match_info
        each = await self._look.told(self._look.aside, topic, f"{parts['partition']}/{parts['offset']}")
        if each is None:
            raise web.HTTPNotFound
        return each

    async def pause(self, request: web.Request) -> web.Response:
        """Pause something, or have it go on; answered when the readers' lanes know it."""
        form, verb = await request.post(), request.match_info["verb"]
        what, why = str(form.get("what", "")), " ".join(str(form.get("why", "")).split())[:200]
        if verb not in ("pause", "resume") or not pausable(self._worker.topology, what):
            raise web.HTTPNotFound
        orders = holding(self._worker.topology, what, clock(), on=verb == "pause", why=why)
        await self._worker.app.broker.publish(orders)
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                while (what in self._worker.pauses.all()) != (verb == "pause"):  # noqa: ASYNC110 - told by rows
                    await asyncio.sleep(0.02)
        raise _seen("/", verb)

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


def _seen(path: str, done: str) -> web.HTTPSeeOther:
    """Back to where the form stood, which says what was done."""
    return web.HTTPSeeOther(URL(path).with_query(done=done))
