"""Who may ask, and for what: the first thing that happens to every request.

The page shows records, so three kinds of strangers are kept out. A web site in the operator's own browser: a request
must name a host that we know (a name that a stranger's DNS lets point here is none), and one that would change
something must come from our own page. Somebody on the network: off this machine nothing is served without a token.
Somebody who measures how long a comparison takes: tokens are compared by digest, in constant time.

Health needs no token: it says one word. A token comes in the header ``Authorization: Bearer``, or from the page's form
in a cookie, which holds a digest under a key of this process, so that it opens nothing else and ends with it.

Where no token is set, only this machine is served, and whoever sits at it may also change something; what came through
a proxy may not. Every form of the page carries a stamp of this process, so that no other page can have one sent.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from aiohttp import web

from connectors.auth import Secret
from stream.configuration.web import Web, loopback

Right: TypeAlias = Literal["none", "read", "write"]
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

RIGHT: web.RequestKey[Right] = web.RequestKey("right", str)  # type: ignore[arg-type]  # one of three texts
"""What the request that is being answered may do."""
COOKIE = "linkstream"
STAMP = "stamp"
"""The field of every form that says that it is ours."""
PROXIED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
OPEN = frozenset({"/livez", "/readyz", "/startupz", "/enter"})
"""Paths for everybody; and what is below /static."""
READS = frozenset({"GET", "HEAD"})
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Gate:
    """The rules of one server."""

    def __init__(self, rules: Web) -> None:
        self._hosts = rules.hosts | {"localhost"}
        self._read = _digest(rules.token)
        self._write = _digest(rules.write_token)
        self._key = secrets.token_bytes(32)

    @property
    def closed(self) -> bool:
        """Whether a token is needed at all."""
        return self._read is not None or self._write is not None

    def right_of(self, token: str) -> Right:
        """What a token opens."""
        told = hashlib.sha256(token.encode()).digest()
        reads = self._read is not None and hmac.compare_digest(told, self._read)
        writes = self._write is not None and hmac.compare_digest(told, self._write)
        return "write" if writes else "read" if reads else "none"

    def ticket(self, right: Right) -> str:
        """A cookie's value for a right."""
        return f"{right}.{hmac.new(self._key, right.encode(), 'sha256').hexdigest()}"

    def right(self, request: web.Request) -> Right:
        """What this request may do."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.right_of(token.strip())
        shown = request.cookies.get(COOKIE, "").encode()
        for right in ("write", "read"):
            if hmac.compare_digest(shown, self.ticket(right).encode()):
                return right
        if self.closed:
            return "none"
        return "write" if self._at_this_machine(request) else "read"

    def _at_this_machine(self, request: web.Request) -> bool:
        """Whether somebody asks from here, and by an address of this machine: no proxy stands between."""
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
        proxied = any(header in request.headers for header in PROXIED)
        return loopback(request.remote or "") and loopback(name) and not proxied

    @property
    def stamp(self) -> str:
        """What a form of ours carries."""
        return hmac.new(self._key, b"form", "sha256").hexdigest()

    async def _forbidden(self, request: web.Request, right: Right) -> str:
        """Why nothing is changed; a program that shows its token sends no form of ours."""
        if right != "write":
            return "found who may only read; web.write_token would be right"
        if request.headers.get("Authorization", "").lower().startswith("bearer "):
            return ""
        shown = str((await request.post()).get(STAMP, ""))
        if hmac.compare_digest(shown.encode(), self.stamp.encode()):
            return ""
        return "found an old form, or none of ours; the page loaded again would be right"

    def known(self, host: str | None) -> bool:
        """Whether a Host header is an address, or a name of ours: no stranger's name that leads here."""
        name = urlsplit(f"//{host or ''}").hostname or ""
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.lower() in self._hosts
        return True

    def stranger(self, request: web.Request) -> str:
        """Why a request is refused before anybody looks at what it wants; empty for one that is not."""
        try:
            if not self.known(request.headers.get("Host")):
                return "found an unknown name in Host; an address, localhost, or one of web.hosts would be right"
            origin = request.headers.get("Origin")
            if origin is None:
                return "" if request.method in READS else "found no Origin; this page's own would be right"
            if urlsplit(origin).netloc.lower() != (request.headers.get("Host") or "").lower():
                return "found the Origin of another site; this page's own would be right"
        except ValueError:
            return "found a Host or Origin that is none; an address would be right"
        return ""

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse, or let through; every answer says what browsers may do with it."""
        response = await self._let(request, handler)
        if not response.prepared:
            response.headers.update(HEADERS)
            if "Cache-Control" not in response.headers:
                response.headers["Cache-Control"] = "no-store"
        return response

    async def _let(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if why := self.stranger(request):
            return web.Response(status=403, text=f"{why}\n")
        free = request.path in OPEN or request.path.startswith("/static/")
        right = self.right(request)
        if not free and right == "none":
            if request.method in READS and "text/html" in request.headers.get("Accept", ""):
                return web.Response(status=303, headers={"Location": "/enter"})
            return web.Response(status=401, text="a token would be right\n", headers={"WWW-Authenticate": "Bearer"})
        if not free and request.method not in READS and (why := await self._forbidden(request, right)):
            return web.Response(status=403, text=f"{why}\n")
        request[RIGHT] = right
        try:
            return await handler(request)
        except web.HTTPException as error:
            kept = {name: error.headers[name] for name in ("Location", "Allow") if name in error.headers}
            return web.Response(status=error.status, text=f"{error.reason}\n", headers=kept)


def _digest(token: Secret | None) -> bytes | None:
    return None if token is None else hashlib.sha256(token.reveal().encode()).digest()
