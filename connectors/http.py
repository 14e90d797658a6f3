"""The one HTTP client of all connectors: where a request leaves, and where an answer is believed or not.

Rules that hold here and need no second thought anywhere else: credentials go to the configured origin alone, and
no address that an answer gives leads elsewhere; no answer is read beyond its limits of time and size; a write is
never repeated and never redirected; whatever goes wrong becomes one of the errors of ``connectors.errors``, without
a secret in its text. A write that had begun to leave when something broke is ``Unsure``, all else is ``Retry``.
An expired token (401) is renewed and the request sent once more: it was refused, so nothing was done.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from yarl import URL

from connectors.auth import (
    Anonymous,
    ApiKey,
    Auth,
    Basic,
    Bearer,
    OAuth1,
    Redactor,
    Secret,
    Tokens,
    credentials,
    secrets,
)
from connectors.budget import Budget, Limits, Place
from connectors.clock import Ahead, date_of
from connectors.endpoint import Entity, Record, Usage
from connectors.errors import BadAnswer, ConnectorError, Refused
from connectors.foreign import decode
from connectors.origin import base_of, origin_of, same_origin
from connectors.spread import QUICK, Spread
from connectors.trail import note
from connectors.verdicts import Verdict, error_of, retry_after, verdict
from connectors.wire import (
    MEDIA,
    SHOWN,
    Answer,
    Complaint,
    Deadlines,
    Judge,
    Pause,
    Request,
    Sizes,
    TooLarge,
    broken,
    read_body,
    read_refusal,
    unbelievable,
    write_body,
)

if TYPE_CHECKING:
    import aiohttp

_EXPIRED = 401
_REDIRECTS = 3
_PLACE: ContextVar[Place | None] = ContextVar("place", default=None)
"""The place that the task holds at the moment."""
FRESH = 2.0
"""Seconds for which a reading stands for the record itself.

No vendor but one compares and sets, so between the read that a write stands on and the write somebody may always be
faster, and is overwritten. Reading again does not close that window, it makes it smaller: to one way there and back.
That is worth a request when the reading is old at the moment in which the write leaves, because it waited for a budget
or for other records. When it is young it buys nothing that a person could notice, and a third of all that a system is
asked for an edit.
"""


_FIXED = Anonymous | Bearer | Basic | ApiKey | OAuth1


class Client:
    """Sends requests to one system with one credential."""

    def __init__(  # noqa: PLR0913 - each has a default but the first
        self,
        base: str,
        *,
        auth: Auth | Tokens | None = None,
        budget: Budget | None = None,
        deadlines: Deadlines | None = None,
        sizes: Sizes | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        complaint: Callable[[Any], Complaint] | None = None,
        verdicts: Mapping[int, Verdict] | None = None,
        judge: Judge | None = None,
        pause: Pause | None = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = base_of(base)
        self._auth = auth or Anonymous()
        self.budget = budget or Budget(Limits())
        self._deadlines = deadlines or Deadlines()
        self._sizes = sizes or Sizes()
        self._headers: Mapping[str, str | Secret] = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            **(headers or {}),
        }
        self._complaint = complaint or _no_complaint
        self._verdicts = verdicts or {}
        self._judge = judge or _no_judge
        self._pause = pause or _no_pause
        self._now = now
        self._clock = clock
        self.ahead = Ahead()
        """How the system's clock stands."""
        known = secrets(self._auth) if isinstance(self._auth, _FIXED) else self._auth.secrets()
        more = (value.reveal() for value in self._headers.values() if isinstance(value, Secret))
        self._redactor = Redactor((*known, *more))
        self._answers: Counter[tuple[str, str]] = Counter()
        self._took: dict[str, Spread] = {}
        self._session: aiohttp.ClientSession | None = None

    def usage(self) -> Usage:
        """Tell what was asked of the system, and how much may still be asked."""
        return Usage(
            answers=self._answers,
            rooms=self.budget.rooms(),
            wait=max(0.0, self.budget.wait()),
            took=self._took,
            token_left=None if isinstance(self._auth, _FIXED) else self._auth.left(),
        )

    @property
    def address(self) -> str:
        """The base address."""
        return str(self._base)

    async def call(self, request: Request) -> Answer:
        """Send one request and answer what came back. Raises every error of a connector, and no other."""
        try:
            place = _PLACE.get()
            if place is not None:
                place.left -= request.cost
                return replace(await self._follow(request), asked_at=self._clock())
            write = request.writes
            listed = not write and not request.one
            async with self.budget.slot(write=write, path=request.path, cost=request.cost, listed=listed):
                asked_at = self._clock()
                return replace(await self._follow(request), asked_at=asked_at)
        except ConnectorError as error:
            raise self._redacted(error) from None

    @asynccontextmanager
    async def place(self, base: Entity | None) -> AsyncIterator[None]:
        """Hold a place for a write on a record, and for reading it once more, should it be old when its turn comes.

        Calls of this task within leave at once: so no wait lies between what was read and the write. ``None`` is a
        write that reads in any case.
        """
        try:
            async with self.budget.place(lambda: 2 if base is None or self.fresh(base) is None else 1) as place:
                token = _PLACE.set(place)
                try:
                    yield
                finally:
                    _PLACE.reset(token)
        except ConnectorError as error:
            raise self._redacted(error) from None

    def fresh(self, base: Entity) -> Record | None:
        """Tell what the system sent for a record, if that was read so lately that a write may stand on it."""
        reading = base.reading
        return reading.record if reading is not None and 0.0 <= self._clock() - reading.at <= FRESH else None

    def link(self, answer: Answer, address: str) -> str:
        """Resolve an address that an answer gave, without credentials in it, to be kept. Raises BadAnswer."""
        try:
            return self._bare(same_origin(self._base, URL(answer.url), address))
        except BadAnswer as error:
            raise self._redacted(error) from None

    def hide(self, *secrets: str, passing: bool = False) -> None:
        """Keep these out of every error from now on, besides the credentials; the latest of ``passing`` ones."""
        self._redactor.learn(*secrets, passing=passing)

    async def close(self) -> None:
        """Give connections back."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if not isinstance(self._auth, _FIXED):
            await self._auth.close()

    async def _follow(self, request: Request) -> Answer:
        url, auth = self._url(request.path), await self._credentials()
        for hop in range(_REDIRECTS + 1):
            status, headers, body = await self._send(request, url, auth, with_query=hop == 0)
            if status == _EXPIRED and isinstance(auth, Bearer) and not isinstance(self._auth, _FIXED):
                auth = await self._credentials(refused=auth)
                status, headers, body = await self._send(request, url, auth, with_query=hop == 0)
            location = headers.get("location")
            if status not in {301, 302, 303, 307, 308} or request.writes or location is None:
                return self._understand(request, url, status, headers, body)
            url = same_origin(self._base, url, location)
        raise BadAnswer(f"{request.name}: found {_REDIRECTS + 1} redirections in a row; an answer would be right")

    async def _credentials(self, refused: Bearer | None = None) -> Auth:
        if isinstance(self._auth, _FIXED):
            return self._auth
        auth = await self._auth.bearer(refused)
        self._redactor.learn(*secrets(auth), passing=True)
        return auth

    def _bare(self, url: URL) -> str:
        """Spell an address without the credentials in its query."""
        names = [name for name, _ in credentials(self._auth)[1]] if isinstance(self._auth, _FIXED) else []
        return str(url.without_query_params(*names))

    async def _send(
        self, request: Request, url: URL, auth: Auth, *, with_query: bool
    ) -> tuple[int, Mapping[str, str], bytes]:
        import aiohttp  # noqa: PLC0415 - a tenth of a second that a command which asks no system need not wait

        headers, query = credentials(auth)
        if origin_of(url) != origin_of(self._base):
            raise BadAnswer(f"{request.name}: found the address {url.origin()}; {self._base.origin()} would be right")
        url = url.update_query((*(request.query if with_query else ()), *query)) if request.query or query else url
        own = {name: value.reveal() if isinstance(value, Secret) else value for name, value in self._headers.items()}
        body = None if request.body is None else write_body(request)
        kind = {} if body is None else {"Content-Type": MEDIA[request.encoding]}
        sent, at, began = SimpleNamespace(begun=False), self._now(), self._clock()
        try:
            async with (
                asyncio.timeout(self._deadlines.total),
                self._open().request(
                    request.method,
                    url,
                    data=body,
                    headers={**own, **kind, **dict(request.headers), **dict(headers)},
                    allow_redirects=False,
                    trace_request_ctx=sent,
                ) as response,
            ):
                told = _lower(response.headers)
                self.ahead.hear(told, at, self._now())
                note(request.method, url.path, response.status, told)
                self._answers[request.method, str(response.status)] += 1
                read = await read_body(response, self._sizes)
                self._took.setdefault(request.method, Spread(QUICK)).add((self._clock() - began,))
                return response.status, told, read
        except (OSError, aiohttp.ClientError, zlib.error, ValueError) as error:
            self._answers[request.method, "none"] += 1
            raise broken(request, error, begun=sent.begun) from None
        except TooLarge as error:
            raise unbelievable(request, f"found {error}; less would be right") from None

    def _understand(self, request: Request, url: URL, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        if status not in request.success:
            raise self._refusal(request, status, headers, body)
        wait = self._pause(status, headers)
        if wait:
            self.budget.shut(wait)
        try:
            value = decode(body, request.name)
        except BadAnswer as error:
            raise unbelievable(request, str(error).partition(": ")[2], error.body) from None
        return Answer(status=status, headers=headers, body=value, url=self._bare(url), date=_date(headers))

    def _refusal(self, request: Request, status: int, headers: Mapping[str, str], body: bytes) -> ConnectorError:
        found = read_refusal(headers, body)
        meaning = self._judge(request, status, found)
        after = None
        if meaning is None:
            write = request.writes
            meaning = self._verdicts.get(status) or verdict(status, write=write, one=request.one)
            asked = retry_after(headers.get("retry-after"), self._now()) if status in {429, 503} else None
            after = self._pause(status, headers) if asked is None else asked
        if after:
            self.budget.shut(after)
        said, fields = self._complaint(found)
        message = f"{request.name}: found status {status}{f' ({said[:SHOWN]})' if said else ''}"
        return error_of(meaning, message, after=after, fields=fields, body=body[:SHOWN])

    def _redacted(self, error: ConnectorError) -> ConnectorError:
        error.args = tuple(self._redactor.text(str(part)) for part in error.args)
        match error:
            case BadAnswer():
                error.body = self._redactor.body(error.body)
            case Refused():
                error.fields = {name: self._redactor.text(said) for name, said in error.fields.items()}
            case _:
                pass
        return error

    def _url(self, path: str) -> URL:
        if path.startswith("/") and not path.startswith("//"):
            return URL(f"{str(self._base).rstrip('/')}{path}", encoded=True)
        return same_origin(self._base, self._base, path)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp  # noqa: PLC0415 - see above

            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_begin)
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=self._deadlines.connect,
                    sock_connect=self._deadlines.connect,
                    sock_read=self._deadlines.read,
                ),
            )
            # aiohttp repeats a PUT or DELETE by itself when a kept connection breaks; a write must not be repeated.
            self._session._retry_connection = False  # noqa: SLF001 - there is no public switch
        return self._session


async def _begin(_session: object, context: SimpleNamespace, _parameters: object) -> None:
    context.trace_request_ctx.begun = True


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by small names; the addresses of several pages may come in as many headers (RFC 9110, 5.3)."""
    links = ", ".join(value for name, value in headers.items() if name.lower() == "link")
    return {name.lower(): value for name, value in headers.items()} | ({"link": links} if links else {})


def _date(headers: Mapping[str, str]) -> int | None:
    date = date_of(headers)
    return None if date is None else round(date) * 1_000_000


def _no_complaint(_body: Any) -> Complaint:
    return "", {}


def _no_judge(_request: Request, _status: int, _body: Any) -> Verdict | None:
    return None


def _no_pause(_status: int, _headers: Mapping[str, str]) -> float | None:
    return None
