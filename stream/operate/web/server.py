"""The worker's HTTP server: health, metrics, and the page.

    /livez      is this process alive?       no network, no system: one that is down must not restart us
    /readyz     may work be given to it?     its partitions are its own, and the log takes records
    /startupz   is it through its beginning?

It opens before the log does, so that a probe gets an answer while a worker starts, and closes after it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar

from aiohttp import web

from stream.configuration.web import Web, loopback
from stream.engine.log import EngineError
from stream.operate.metrics import Metrics
from stream.operate.web.gate import Gate, Handler
from stream.operate.web.live import Live
from stream.operate.web.numbers import Overview
from stream.operate.web.pages import Pages
from stream.worker import Worker

STATIC = Path(__file__).with_name("static")
LARGEST = 64 << 10
"""Bytes of a request's body: a form with a few fields."""

logger = logging.getLogger(__name__)


class Occupied(EngineError):
    """Somebody else listens there: say another address, or end the other."""

    exit_code: ClassVar[int] = 3


class Server:
    """Serves one worker."""

    def __init__(self, worker: Worker, rules: Web) -> None:
        self._worker = worker
        self._rules = rules
        self._metrics = Metrics(worker)
        self.gate = Gate(rules)
        self._overview = Overview(worker)
        self._live = Live(self._overview)
        self._runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        """The routes, behind the gate."""
        app = web.Application(middlewares=[self.gate.middleware, _without_log], client_max_size=LARGEST)
        app.router.add_get("/livez", self.livez)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/startupz", self.startupz)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/live", self._live.answer)
        app.router.add_static("/static", STATIC)
        Pages(self._worker, self.gate, self._overview).add_to(app)
        return app

    async def open(self) -> None:
        """Listen. Raises Occupied."""
        rules = self._rules
        self._runner = web.AppRunner(self.application(), access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, rules.host, rules.port).start()
        except OSError as error:
            await self._runner.cleanup()
            where = f"{rules.host}:{rules.port}"
            raise Occupied(f"web.listen: found {where} taken ({error.strerror}); a free one would be right") from None
        self._live.start()
        port = self._runner.addresses[0][1]
        host = f"[{rules.host}]" if ":" in rules.host else rules.host
        self._worker.web = f"http://{host}:{port}"
        logger.info("page at %s%s", self._worker.web, "" if loopback(rules.host) else ", seen from the network")

    async def close(self) -> None:
        """Listen no more."""
        await self._live.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def livez(self, _: web.Request) -> web.Response:
        """The loop answers; so it is alive unless the watchdog thinks that it stands still."""
        return _said(self._worker.watchdog.reason)

    async def readyz(self, _: web.Request) -> web.Response:
        """Its lanes are its own, it is not leaving, and the log is in order."""
        app = self._worker.app
        if not app.claimed:
            return _said("starting: its partitions are not its own yet")
        if app.draining:
            return _said("leaving: it takes nothing new")
        health = app.broker.health()
        return _said("" if health["state"] == "green" else health.get("reason", "the log is not in order"))

    async def startupz(self, _: web.Request) -> web.Response:
        """It has begun to work."""
        return _said("" if self._worker.app.claimed else "starting: its partitions are not its own yet")

    async def metrics(self, request: web.Request) -> web.Response:
        """Everything for Prometheus."""
        body, kind = self._metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})


@web.middleware
async def _without_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page that the log cannot tell anything for, at the start or when it is out of reach, says why."""
    try:
        return await handler(request)
    except EngineError as error:
        return web.Response(status=503, text=f"{error}\n", headers={"Retry-After": "5"})


def _said(reason: str) -> web.Response:
    return web.Response(status=503 if reason else 200, text=f"{reason or 'ok'}\n")


def attach(worker: Worker) -> Server | None:
    """Have a worker served as its topology says; nothing if it says nothing."""
    rules = worker.topology.web
    if rules is None:
        return None
    server = Server(worker, rules)
    worker.app.at_open.append(server.open)
    worker.app.at_end.append(server.close)
    return server
