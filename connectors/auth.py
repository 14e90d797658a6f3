"""Credentials, and where in a request they go. No input or output happens here.

A secret is wrapped from the moment a connector gets it: printing, formatting or encoding the wrapper gives stars,
so that only the line that builds the request can spell it out. ``Redactor`` is the second net: every text of an
error passes through it, whatever a system has echoed back.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Literal, TypeAlias
from urllib.parse import quote, quote_plus

from msgspec import Struct

STARS = "***"


class Secret:
    """A value that shows itself only when asked by ``reveal``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Give the value itself; for the line that sends it, and for comparing."""
        return self._value

    def __repr__(self) -> str:
        return STARS

    def __format__(self, spec: str) -> str:
        return STARS


class Anonymous(Struct, frozen=True, tag="none"):
    """No credentials at all."""


class Bearer(Struct, frozen=True, tag="bearer"):
    """``Authorization: Bearer <token>`` (RFC 6750)."""

    token: Secret


class Basic(Struct, frozen=True, tag="basic"):
    """``Authorization: Basic <user:password>`` (RFC 7617)."""

    user: str
    password: Secret


class ApiKey(Struct, frozen=True, tag="key"):
    """A key under a name of the system's choice, in a header or in the query."""

    place: Literal["header", "query"]
    name: str
    key: Secret


Auth: TypeAlias = Anonymous | Bearer | Basic | ApiKey
Pairs: TypeAlias = tuple[tuple[str, str], ...]


def credentials(auth: Auth) -> tuple[Pairs, Pairs]:
    """Answer what the credentials add to a request: headers, then query parameters."""
    match auth:
        case Anonymous():
            return (), ()
        case Bearer(token):
            return (("Authorization", f"Bearer {token.reveal()}"),), ()
        case Basic():
            return (("Authorization", f"Basic {_basic(auth)}"),), ()
        case ApiKey("header", name, key):
            return ((name, key.reveal()),), ()
        case ApiKey(_, name, key):
            return (), ((name, key.reveal()),)


def secrets(auth: Auth) -> tuple[str, ...]:
    """List every spelling of the secrets in these credentials, for redaction."""
    match auth:
        case Anonymous():
            return ()
        case Bearer(token):
            return (token.reveal(),)
        case Basic(_, password):
            return password.reveal(), _basic(auth)
        case ApiKey(_, _, key):
            return (key.reveal(),)


def _basic(auth: Basic) -> str:
    return base64.b64encode(f"{auth.user}:{auth.password.reveal()}".encode()).decode()


_KNOWN_SHAPES = re.compile(
    r"(?i)(?P<head>\b(?:authorization|cookie|set-cookie|proxy-authorization)\b[\"']?\s*[:=]\s*[\"']?"
    r"(?:(?:bearer|basic)\s+)?|\b(?:bearer)\s+|[?&;](?:access_token|token|key|api_?key|sig|signature|secret|password)=)"
    r"[^\s\"'&,;}]+|(?P<jwt>\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*)",
)


class Redactor:
    """Replaces known secrets, and whatever looks like one, by stars."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings = {
            form
            for secret in secrets
            if secret
            for form in (secret, quote(secret, safe=""), quote_plus(secret), base64.b64encode(secret.encode()).decode())
        }
        longest_first = sorted(spellings, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """Answer the text without secrets."""
        known = self._known.sub(STARS, text) if self._known else text
        return _KNOWN_SHAPES.sub(lambda found: (found["head"] or "") + STARS, known)

    def body(self, body: bytes) -> bytes:
        """Answer the bytes without secrets."""
        return self.text(body.decode("utf-8", "replace")).encode()
