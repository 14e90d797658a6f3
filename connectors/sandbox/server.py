"""What all sandboxes share: who calls, what is true, what goes wrong, and how a server is started and stopped.

A sandbox is a real HTTP server on this machine. It writes down every change that really happened, with its author
and its request (the *truth*), so that a test can compare what connectors believe with what is. Faults are ordered
from outside; they never touch what is written down. Below ``/_sandbox`` it speaks for itself, elsewhere it behaves
like the vendor.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any, Final, Protocol, TypeAlias

import msgspec
import orjson
from aiohttp import web
from msgspec import Struct

from connectors.sandbox.faults import Fault, Faults, go_wrong, json

LINKSTREAM, PERSON, READER = "sandbox-linkstream-token", "sandbox-person-token", "sandbox-reader-token"
TOKENS = {LINKSTREAM: "linkstream", PERSON: "Kari Nordmann", READER: "reader"}
"""Who calls, by token. The reader may not write."""

AUTHOR: Final = web.RequestKey("author", str)
SENT: Final = web.RequestKey("sent", object)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Truth(Struct, frozen=True, kw_only=True):
    """One change that really happened. ``time`` is microseconds since the epoch."""

    number: int
    time: int
    author: str
    op: str
    type: str
    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request: dict[str, Any]


class Exchange(Struct, frozen=True, kw_only=True):
    """One request and its answer, as they travelled."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    status: int
    answer: bytes


class Problem(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}")
        self.status = status
        self.body = body
        self.headers = headers


class Door:
    """How a vendor is entered: with a bearer's token, and by its own way of saying "too often"."""

    def secrets(self, token: str) -> dict[str, str]:
        """Answer the secret settings of a connector that calls with this token."""
        return {"token": token}

    def headers(self, token: str) -> dict[str, str]:
        """Answer the headers with which a person's program calls."""
        return {"Authorization": f"Bearer {token}"}

    def token(self, request: web.Request) -> str:
        """Answer whose token a request carries. Raises Problem if the vendor says more than 401."""
        return request.headers.get("Authorization", "").removeprefix("Bearer ")

    def is_open(self, request: web.Request) -> bool:  # noqa: ARG002 - a vendor's own may look at it
        """Tell whether this call needs no token."""
        return False

    def slow_down(self, wait: int) -> dict[str, str]:
        """Answer the headers of a refusal for being too often."""
        return {"Retry-After": str(wait)}

    def decorate(self, request: web.Request, response: web.StreamResponse, limit: RateLimit | None) -> None:
        """Add what the vendor tells with every answer."""


class System(Protocol):
    """One vendor's behaviour. One that is entered otherwise than by a bearer's token has a ``door``."""

    prefix: str

    def routes(self) -> list[web.RouteDef]:
        """List the vendor's calls."""
        ...

    def problem(self, status: int) -> Any:
        """Answer the vendor's body for a status that the shared part decides."""
        ...

    def seed(self, count: int, seed: int) -> None:
        """Fill the system with about so many tasks of a made-up company."""
        ...


class World:
    """The state that a system and its server share. ``clock`` answers microseconds since the epoch."""

    def __init__(self, clock: Callable[[], int] | None = None) -> None:
        self.clock = clock or (lambda: time.time_ns() // 1_000)
        self.date = self.clock
        """The clock of the ``Date`` header; a test may set the other one apart, which dates records."""
        self.truth: list[Truth] = []
        self.requests: Counter[str] = Counter()
        self.exchanges: deque[Exchange] | None = None
        """Recorded when it is a deque."""
        self.limit: RateLimit | None = None
        """How often each token may call."""
        self.faults = Faults()

    def now(self) -> int:
        """The time in whole milliseconds, as the systems store it."""
        return self.clock() // 1_000 * 1_000

    def note(
        self,
        request: web.Request,
        op: str,
        type: str,
        id: str,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
    ) -> None:
        """Write down what really happened."""
        sent = {"method": request.method, "path": request.path, "body": request.get(SENT)}
        self.truth.append(
            Truth(
                number=len(self.truth) + 1,
                time=self.now(),
                author=request[AUTHOR],
                op=op,
                type=type,
                id=id,
                before=before,
                after=after,
                request=sent,
            )
        )


class RateLimit:
    """So many calls of one token in so many seconds; refused calls count, as at Asana."""

    def __init__(self, calls: int, seconds: float) -> None:
        self.calls, self.seconds = calls, seconds
        self.refused = 0
        self._seen: dict[str, deque[float]] = {}

    def wait(self, token: str, now: float) -> int:
        """Answer for how many seconds this token must wait; zero if it may call."""
        seen = self._seen.setdefault(token, deque())
        while seen and seen[0] <= now - self.seconds:
            seen.popleft()
        seen.append(now)
        if len(seen) <= self.calls:
            return 0
        self.refused += 1
        return max(1, round(seen[0] + self.seconds - now))

    def remaining(self, token: str) -> int:
        """Answer how many calls are left to this token in the window."""
        return max(0, self.calls - len(self._seen.get(token, ())))


def application(system: System, world: World, *, latency: float = 0.0) -> web.Application:
    """Put a vendor's calls behind the gate: authors, limits, faults, records."""
    app = web.Application(middlewares=[_Gate(system, world, latency).middleware()], client_max_size=32 << 20)
    app.add_routes([*system.routes(), *_own_routes(world)])
    return app


class _Gate:
    """What every request passes before and after the vendor's own handler."""

    def __init__(self, system: System, world: World, latency: float) -> None:
        self._system, self._world, self._latency = system, world, latency
        self._door = door_of(system)

    def middleware(self) -> Any:
        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/_sandbox"):
                return await handler(request)
            self._world.requests[f"{request.method} {request.path}"] += 1
            if self._latency:
                await asyncio.sleep(self._latency)
            fault = self._world.faults.hit(request.method, request.path) if self._world.faults else None
            if fault is not None:
                return await go_wrong(fault, request, lambda: self._answer(request, handler))
            return await self._answer(request, handler)

        return gate

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            await self._admit(request)
            response = await handler(request)
        except Problem as problem:
            response = said(problem.body, problem.status, problem.headers)
        except web.HTTPException as error:
            response = said(self._system.problem(error.status), error.status)
        response.headers["Date"] = formatdate(self._world.date() / 1_000_000, usegmt=True)
        self._door.decorate(request, response, self._world.limit)
        if self._world.exchanges is not None:
            self._world.exchanges.append(await _exchange(request, response))
        return response

    async def _admit(self, request: web.Request) -> None:
        if self._door.is_open(request):
            return
        token = self._door.token(request)
        author = TOKENS.get(token)
        if author is None:
            raise Problem(401, self._system.problem(401))
        wait = limit.wait(token, time.monotonic()) if (limit := self._world.limit) else 0
        if wait:
            raise Problem(429, self._system.problem(429), self._door.slow_down(wait))
        if request.method in _WRITES and author == TOKENS[READER]:
            raise Problem(403, self._system.problem(403))
        request[AUTHOR] = author
        if request.body_exists:
            try:
                request[SENT] = orjson.loads(await request.read())
            except orjson.JSONDecodeError:
                raise Problem(400, self._system.problem(400)) from None


def door_of(system: System) -> Door:
    """Answer how a system is entered."""
    door = getattr(system, "door", None)
    return door if isinstance(door, Door) else Door()


def said(body: Any, status: int, headers: dict[str, str] | None = None) -> web.Response:
    """Answer a refusal: text as text, all else as JSON."""
    if isinstance(body, str):
        return web.Response(status=status, text=body, content_type="text/plain", headers=headers)
    return json(body, status, headers)


def _own_routes(world: World) -> list[web.RouteDef]:
    async def truth(request: web.Request) -> web.Response:
        since = int(request.query.get("since", "0"))
        return json([msgspec.to_builtins(entry) for entry in world.truth[since:]])

    async def requests(_request: web.Request) -> web.Response:
        return json({"total": world.requests.total(), "by_call": dict(world.requests)})

    async def order(request: web.Request) -> web.Response:
        try:
            world.faults.add(msgspec.json.decode(await request.read(), type=Fault))
        except msgspec.DecodeError as error:
            return json({"error": str(error)}, 400)
        return json({}, 201)

    async def clear(_request: web.Request) -> web.Response:
        world.faults.clear()
        return json({})

    return [
        web.get("/_sandbox/truth", truth),
        web.get("/_sandbox/requests", requests),
        web.post("/_sandbox/fault", order),
        web.delete("/_sandbox/fault", clear),
    ]


async def _exchange(request: web.Request, response: web.StreamResponse) -> Exchange:
    body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
    return Exchange(
        method=request.method,
        path=request.path,
        query=dict(request.query),
        headers=dict(request.headers),
        body=await request.read(),
        status=response.status,
        answer=body,
    )
