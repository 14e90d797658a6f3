"""What goes over the wire: a request as a connector means it, its answer as it comes, and both in bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import urlencode

import orjson
from msgspec import Struct

from connectors.errors import BadAnswer, ConnectorError, Refused, Retry, Unsure
from connectors.foreign import decode
from connectors.verdicts import Verdict

if TYPE_CHECKING:
    import aiohttp

Encoding: TypeAlias = Literal["json", "form", "json patch", "merge patch"]

MEDIA: Mapping[Encoding, str] = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "json patch": "application/json-patch+json",  # RFC 6902
    "merge patch": "application/merge-patch+json",  # RFC 7396
}

_READS: Final = frozenset({"GET", "HEAD"})
SHOWN: Final = 300
"""Letters of an answer that a message quotes."""


class Request(Struct, frozen=True, kw_only=True):
    """One request, before credentials. ``path`` is below the base address, or an address that an answer gave."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    encoding: Encoding = "json"
    """How the body is written; a form wants texts by name."""
    headers: tuple[tuple[str, str], ...] = ()
    one: bool = False
    """It is about one record, so that a refusal says nothing about the whole system."""
    cost: int = 1
    """As how many requests the system counts it."""
    success: frozenset[int] = frozenset({200, 201, 202, 204})

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method not in _READS

    @property
    def name(self) -> str:
        """Method and path, for people."""
        return f"{self.method} {self.path.partition('?')[0]}"


class Answer(Struct, frozen=True, kw_only=True):
    """A successful answer, decoded. ``date`` is the server's clock in microseconds, if it told."""

    status: int
    headers: Mapping[str, str]
    body: Any
    url: str
    date: int | None = None
    asked_at: float = 0.0
    """When the request left, on the client's own clock."""


Complaint: TypeAlias = tuple[str, dict[str, str]]
"""What a system says about a refusal: in words, and by field."""

Judge: TypeAlias = Callable[[Request, int, Any], Verdict | None]
"""What a refusal's body says about its meaning, where the status does not tell; ``None`` where it does."""

Pause: TypeAlias = Callable[[int, Mapping[str, str]], float | None]
"""What a status and its headers ask for besides ``Retry-After``: seconds without a request."""


class Deadlines(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds until a connection, between two reads, and for everything together."""

    connect: float = 5.0
    read: float = 20.0
    total: float = 30.0


class Sizes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes of the largest answer, as it travels and unpacked."""

    packed: int = 16 << 20
    unpacked: int = 64 << 20


class TooLarge(Exception):
    """An answer that is not read to its end."""


async def read_body(response: aiohttp.ClientResponse, sizes: Sizes) -> bytes:
    """Read the body and unpack it, never holding more than the limits allow."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"identity", "gzip", "x-gzip", "deflate"}:
        raise TooLarge(f"the encoding {encoding[:40]!r}")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if encoding != "identity" else None
    packed = 0
    body = bytearray()
    async for chunk in response.content.iter_any():
        packed += len(chunk)
        if packed > sizes.packed:
            raise TooLarge(f"more than {sizes.packed} bytes")
        body += chunk if unpack is None else unpack.decompress(chunk, sizes.unpacked - len(body) + 1)
        if len(body) > sizes.unpacked:
            raise TooLarge(f"more than {sizes.unpacked} bytes unpacked")
    if unpack is not None and packed and not unpack.eof:
        raise ValueError("packed data that ends too early")
    return bytes(body)


def write_body(request: Request) -> bytes:
    """The body in bytes. Raises Refused."""
    try:
        return urlencode(request.body).encode() if request.encoding == "form" else orjson.dumps(request.body)
    except (TypeError, ValueError) as error:
        raise Refused(f"{request.name}: found a body that cannot be sent ({error}); JSON would be right") from None


def read_refusal(headers: Mapping[str, str], body: bytes) -> Any:
    """Read the body of a refusal: JSON, or plain text in one line."""
    try:
        return decode(body)
    except BadAnswer:
        plain = headers.get("content-type", "").startswith("text/plain")
        return " ".join(body[:SHOWN].decode("utf-8", "replace").split()) if plain else None


def broken(request: Request, error: Exception, *, begun: bool) -> ConnectorError:
    """Name the error for an exchange that broke off; ``begun``: something of the request had left."""
    what = "no answer in time" if isinstance(error, TimeoutError) else f"{type(error).__name__} {error}"[:SHOWN]
    if begun and request.writes:
        return Unsure(f"{request.name}: found {what}; whether it was done is unknown")
    return Retry(f"{request.name}: found {what}; asking again later may work")


def unbelievable(request: Request, what: str, body: bytes = b"") -> ConnectorError:
    """Name the error for a success that cannot be understood: a write was most likely done."""
    if not request.writes:
        return BadAnswer(f"{request.name}: {what}", body=body)
    return Unsure(f"{request.name}: {what}; whether it was done is unknown")
