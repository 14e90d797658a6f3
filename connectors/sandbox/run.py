"""Starting and stopping sandboxes: inside a test or a demonstration, or alone until interrupted."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from connectors.sandbox.asana import Asana
from connectors.sandbox.crmoffice import CrmOffice
from connectors.sandbox.customerp import CustomErp
from connectors.sandbox.custompms import CustomPms
from connectors.sandbox.faults import Fault
from connectors.sandbox.powerofficego import PowerOfficeGo
from connectors.sandbox.server import LINKSTREAM, PERSON, Door, RateLimit, System, Truth, World, application, door_of
from connectors.sandbox.trello import Trello

SYSTEMS: dict[str, Callable[[World], System]] = {
    "asana": Asana,
    "crmoffice": CrmOffice,
    "customerp": CustomErp,
    "custompms": CustomPms,
    "powerofficego": PowerOfficeGo,
    "trello": Trello,
}
"""Every sandbox by name."""


class Sandbox:
    """A running sandbox. ``url`` is what a connector's ``url`` setting takes."""

    def __init__(self, system: System, world: World, runner: web.AppRunner, port: int, host: str) -> None:
        self.system = system
        self.host = host
        self.world = world
        self.port = port
        self._runner = runner
        self._site: web.TCPSite | None = None
        self._visitors: list[aiohttp.ClientSession] = []

    @property
    def origin(self) -> str:
        """The server's address, without the vendor's path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The address for connectors."""
        return f"{self.origin}{self.system.prefix}"

    @property
    def token(self) -> str:
        """The token for connectors."""
        return LINKSTREAM

    def settings(self) -> dict[str, Any]:
        """The settings of a connector for this sandbox that are no secrets."""
        return {"url": self.url, **getattr(self.system, "settings", {})}

    def secrets(self, *, person: bool = False) -> dict[str, str]:
        """Its secret settings: linkstream's own, or a person's."""
        return self.door.secrets(PERSON if person else LINKSTREAM)

    @property
    def door(self) -> Door:
        """How the system is entered."""
        return door_of(self.system)

    @property
    def truth(self) -> list[Truth]:
        """Every change that really happened, oldest first."""
        return self.world.truth

    def fault(self, kind: str, **more: Any) -> None:
        """Order a fault; the words are those of ``Fault``."""
        self.world.faults.add(Fault(kind=kind, **more))  # type: ignore[arg-type]

    def heal(self) -> None:
        """Let everything work again."""
        self.world.faults.clear()

    async def act(
        self, method: str, path: str, body: Any = None, *, token: str = PERSON, media: str = "application/json"
    ) -> Any:
        """Do what a person does at the vendor's own API; answer the decoded body. Raises RuntimeError on refusal."""
        session = self._visitor()
        headers = {**self.door.headers(token), "Content-Type": media}
        async with session.request(method, f"{self.url}{path}", json=body, headers=headers) as response:
            text = await response.text()
            if response.status >= 400:  # noqa: PLR2004 - refusals begin there
                raise RuntimeError(f"{method} {path}: found {response.status} {text[:300]}; a success would be right")
            return orjson.loads(text) if text else None

    async def down(self) -> None:
        """Stop listening, as a machine that is off: connections are refused."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
            for connection in self._runner.server.connections if self._runner.server else ():
                connection.force_close()

    async def up(self) -> None:
        """Listen, again on the same port."""
        if self._site is None:
            self._site = web.TCPSite(self._runner, self.host, self.port, reuse_address=True)
            await self._site.start()
            self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop for good."""
        for session in self._visitors:
            await session.close()
        await self._runner.cleanup()

    def _visitor(self) -> aiohttp.ClientSession:
        if not self._visitors:
            self._visitors.append(aiohttp.ClientSession(trust_env=False))
        return self._visitors[0]


async def serve(  # noqa: PLR0913 - each has a default but the first
    system: str,
    port: int = 0,
    *,
    count: int = 0,
    seed: int = 1,
    limit: tuple[int, float] | None = None,
    latency: float = 0.0,
    clock: Callable[[], int] | None = None,
    record: bool = False,
    options: dict[str, Any] | None = None,
    host: str = "127.0.0.1",
) -> Sandbox:
    """Start a sandbox with about ``count`` tasks made up from ``seed``.

    ``limit`` is (calls, seconds) for each token, ``clock`` answers microseconds since the epoch, ``record`` keeps
    every request with its answer, ``options`` are the system's own switches. Port 0 takes a free one; ``host`` is where
    it listens, and is none of its address.
    """
    world = World(clock)
    if record:
        world.exchanges = deque(maxlen=100_000)
    made = SYSTEMS[system](world)
    for name, value in (options or {}).items():
        setattr(made, name, value)
    made.seed(count, seed)
    world.limit = RateLimit(*limit) if limit else None
    runner = web.AppRunner(
        application(made, world, latency=latency),
        access_log=None,
        keepalive_timeout=60,
        shutdown_timeout=0.1,
    )
    await runner.setup()
    sandbox = Sandbox(made, world, runner, port, host)
    await sandbox.up()
    return sandbox


def main(
    system: str, *, host: str = "127.0.0.1", port: int = 0, count: int = 40, seed: int = 1, say: Callable[[str], object]
) -> None:
    """Run a sandbox alone until SIGINT or SIGTERM; ``say`` prints a line."""

    async def run() -> None:
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):  # the loop's own handlers wake it even as it falls asleep
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        sandbox = await serve(system, port, count=count, seed=seed, host=host)
        say(f"{system} sandbox: {sandbox.url}")
        for name, value in {**sandbox.settings(), **sandbox.secrets()}.items():
            if name != "url":
                say(f"{name} for linkstream: {value}")
        say(f"token for a person: {PERSON}")
        say(f"what really happened: {sandbox.origin}/_sandbox/truth")
        await stopped.wait()
        await sandbox.close()

    asyncio.run(run())
    say(f"{system} sandbox: stopped")
