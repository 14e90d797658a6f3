"""Credentials, and where in a request they go. No input or output happens here.

A secret is wrapped from the moment a connector gets it: printing, formatting or encoding the wrapper gives stars,
so that only the line that builds the request can spell it out. ``Redactor`` is the second net: every text of an
error passes through it, whatever a system has echoed back. Tokens that expire are renewed in ``connectors.oauth``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Literal, Protocol, TypeAlias
from urllib.parse import quote, quote_plus

from msgspec import Struct

STARS = "***"
_KEPT = 100


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


class OAuth1(Struct, frozen=True, tag="oauth1"):
    """A key and a token in one header, ``Authorization: OAuth oauth_consumer_key="...", oauth_token="..."``.

    The form is that of RFC 5849, 3.5.1, without a signature.
    """

    key: Secret
    token: Secret


class Grant(Struct, frozen=True, kw_only=True):
    """How access tokens are got at ``url`` (RFC 6749): by client credentials, or by a refresh token where there is one.

    ``place`` is where the client names itself: ``Authorization: Basic``, or the form. ``headers`` are what the token
    endpoint wants besides, such as a subscription's key.
    """

    url: str
    client: str
    secret: Secret
    refresh: Secret | None = None
    scope: str = ""
    place: Literal["header", "form"] = "header"
    headers: tuple[tuple[str, Secret], ...] = ()


class Tokens(Protocol):
    """Access tokens that expire; ``connectors.oauth.OAuth2`` is the one there is."""

    def secrets(self) -> tuple[str, ...]:
        """List the secrets behind the tokens, for redaction."""
        ...

    async def bearer(self, refused: Bearer | None = None) -> Bearer:
        """Answer a token that is not the refused one. Raises Locked, Retry."""
        ...

    def left(self) -> float | None:
        """Seconds until the token is renewed; nothing where there is none yet, or it does not expire."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


Auth: TypeAlias = Anonymous | Bearer | Basic | ApiKey | OAuth1
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
        case OAuth1(key, token):
            pair = (
                f'oauth_consumer_key="{quote(key.reveal(), safe="")}", oauth_token="{quote(token.reveal(), safe="")}"'
            )
            return (("Authorization", f"OAuth {pair}"),), ()


def secrets(auth: Auth | Grant) -> tuple[str, ...]:
    """List every spelling of the secrets in these credentials, for redaction."""
    match auth:
        case Grant():
            more = (auth.refresh, *(value for _, value in auth.headers))
            named = _basic(Basic(auth.client, auth.secret))
            return auth.secret.reveal(), named, *(one.reveal() for one in more if one is not None)
        case Anonymous():
            return ()
        case Bearer(token):
            return (token.reveal(),)
        case Basic(_, password):
            return password.reveal(), _basic(auth)
        case ApiKey(_, _, key):
            return (key.reveal(),)
        case OAuth1(key, token):
            return key.reveal(), token.reveal()


def _quoted(secret: Secret) -> str:
    return quote(secret.reveal(), safe="")


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
        self._secrets: tuple[str, ...] = ()
        self._passing: tuple[str, ...] = ()
        self._known: re.Pattern[str] | None = None
        self.learn(*secrets)

    def learn(self, *secrets: str, passing: bool = False) -> None:
        """Know these from now on; of ``passing`` ones, tokens that come and go, the latest hundred."""
        known = {*self._secrets, *self._passing}
        fresh = tuple(dict.fromkeys(secret for secret in secrets if secret and secret not in known))
        if not fresh:
            return
        if passing:
            self._passing = (*self._passing, *fresh)[-_KEPT:]
        else:
            self._secrets = (*self._secrets, *fresh)
        spellings = {
            form
            for secret in (*self._secrets, *self._passing)
            for form in (secret, quote(secret, safe=""), quote_plus(secret), base64.b64encode(secret.encode()).decode())
        }
        longest_first = sorted(spellings, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """Answer the text without secrets."""
        known = self._known.sub(STARS, text) if self._known else text
        return _KNOWN_SHAPES.sub(lambda found: (found["head"] or "") + STARS, known)

    def body(self, body: bytes) -> bytes:
        """Answer the bytes without secrets."""
        return self.text(body.decode("utf-8", "replace")).encode()
