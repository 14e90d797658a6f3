"""Access tokens that expire (OAuth 2.0, RFC 6749): asked for when needed, renewed ahead, once for everybody.

The token endpoint is one more system with one more ``Client``, so its answers are bounded and believed as little as
any other. Its address is configured and no answer moves it. Whoever needs a token while one is being asked for waits
for that one; what the wait brings, a token or an error, is everybody's.

A refresh token may be replaced with every use, and then only the newest opens anything. Where a file is given, the
newest one is in it, on disk before the token that came with it is used; it is taken at the next start if it came from
the refresh token that is configured, so that a person who configures another one is not overruled.
"""

from __future__ import annotations

import asyncio
import math
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from yarl import URL

from connectors.auth import Basic, Bearer, Grant, Secret, secrets
from connectors.errors import BadAnswer, ConnectorError, Locked, Missing, Refused, Retry, Stale, Unsure
from connectors.http import Client
from connectors.origin import same_origin
from connectors.wire import Answer, Complaint, Request

EARLY = 60.0
"""Seconds before its end at which a token is renewed, or a quarter of its life if that is less."""


PARTING = 5.0
"""Seconds that a refresh token's replacement is waited for when the process ends."""


class _Kept(Struct, frozen=True, kw_only=True):
    """The newest refresh token, and which configured one it descends from."""

    origin: str
    token: str


class OAuth2:
    """The tokens of one grant. ``clock`` is monotonic seconds; ``kept`` is the file for replaced refresh tokens."""

    def __init__(self, grant: Grant, *, kept: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        url = URL(grant.url)
        self._grant = grant
        self._client = Client(
            str(url),
            auth=Basic(grant.client, grant.secret) if grant.place == "header" else None,
            headers=dict(grant.headers),
            complaint=_complaint,
        )
        self._clock = clock
        self._kept = kept
        self._refresh = _newest(grant, kept)
        self._client.hide(*self.secrets())
        self._bearer: Bearer | None = None
        self._good_until = 0.0
        self._renewal: asyncio.Task[Bearer] | None = None

    def secrets(self) -> tuple[str, ...]:
        """List the secrets behind the tokens, for redaction."""
        return (*secrets(self._grant), *((self._refresh.reveal(),) if self._refresh else ()))

    async def bearer(self, refused: Bearer | None = None) -> Bearer:
        """Answer a token that is not the refused one. Raises Locked, Retry."""
        now = self._bearer
        if now is not None and self._clock() < self._good_until and not _same(now, refused):
            return now
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(_noticed)
        # Shielded: one caller that gives up must not take the token from all the others.
        return await asyncio.shield(self._renewal)

    def left(self) -> float | None:
        """Seconds until the token is renewed; nothing where there is none yet, or it does not expire."""
        known = self._bearer is not None and math.isfinite(self._good_until)
        return max(0.0, self._good_until - self._clock()) if known else None

    async def close(self) -> None:
        """Give connections back."""
        if self._renewal is not None and not self._renewal.done():
            if self._refresh is not None:  # replaced by an answer that nobody reads, nothing would open any more
                await asyncio.wait((self._renewal,), timeout=PARTING)
            self._renewal.cancel()
            with suppress(asyncio.CancelledError, ConnectorError):
                await self._renewal
        await self._client.close()

    async def _renew(self) -> Bearer:
        begun = self._clock()
        answer = await self._asked()
        token, life = _granted(answer)
        replaced = answer.body.get("refresh_token")
        if self._refresh is not None and isinstance(replaced, str) and replaced:
            self._keep(replaced)
        self._good_until = begun + life - min(EARLY, life / 4)
        self._bearer = Bearer(Secret(token))
        return self._bearer

    async def _asked(self) -> Answer:
        """Ask the token endpoint. What it will not give stays locked; everything else may work later."""
        request = Request(
            method="POST", path=self._grant.url, body=self._form(), encoding="form", one=True, success=frozenset({200})
        )
        try:
            return await self._client.call(request)
        except (Refused, Stale, Missing, Locked) as error:
            if self._replaced():
                return await self._asked()
            raise Locked(f"token endpoint: {error}; credentials that it takes would be right") from None
        except (Unsure, BadAnswer) as error:
            raise Retry(f"token endpoint: {error}") from None

    def _replaced(self) -> bool:
        """Whether another process has had the refresh token replaced; then the one that it left is ours, too."""
        newest = _newest(self._grant, self._kept)
        if newest is None or self._refresh is None or newest.reveal() == self._refresh.reveal():
            return False
        self._refresh = newest
        self._client.hide(newest.reveal(), passing=True)
        return True

    def _form(self) -> dict[str, str]:
        grant = self._grant
        form = {"grant_type": "client_credentials"}
        if self._refresh is not None:
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh.reveal()}
        if grant.scope:
            form["scope"] = grant.scope
        if grant.place == "form":
            form |= {"client_id": grant.client, "client_secret": grant.secret.reveal()}
        return form

    def _keep(self, token: str) -> None:
        self._refresh = Secret(token)
        self._client.hide(token, passing=True)
        if self._kept is None or self._grant.refresh is None:
            return
        written = msgspec.json.encode(_Kept(origin=_digest(self._grant.refresh), token=token))
        name = ""
        try:
            handle, name = tempfile.mkstemp(dir=self._kept.parent, prefix=f".{self._kept.name}.")  # readable by us
            with os.fdopen(handle, "wb") as file:
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._kept)
        except OSError as error:
            if name:
                Path(name).unlink(missing_ok=True)
            raise Retry(f"token_file: found {error.strerror}; a folder that can be written to would be right") from None


def token_url(base: str, said: str) -> str:
    """Resolve the address of a token endpoint against the system's own. Raises ValueError unless it is safe."""
    root = URL(f"{base.rstrip('/')}/")
    try:
        return str(root.join(URL(said)) if "://" in said else same_origin(root, root, said))
    except BadAnswer as error:
        raise ValueError(f"token endpoint: {error}") from None


def _granted(answer: Answer) -> tuple[str, float]:
    """Read a token and the seconds it lives; without word of its life it is used until it is refused."""
    said: Any = answer.body
    token = said.get("access_token") if isinstance(said, dict) else None
    kind = said.get("token_type", "bearer") if isinstance(said, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise Retry("token endpoint: found no access_token; one would be right")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise Locked("token endpoint: found a token of another type; bearer would be right")
    try:
        life = float(said.get("expires_in"))
    except (TypeError, ValueError):
        life = 0.0
    return token, life if life > 0.0 else math.inf


def _noticed(renewal: asyncio.Task[Bearer]) -> None:
    """Take the error even if everybody who waited for it has gone."""
    if not renewal.cancelled():
        renewal.exception()


def _complaint(body: Any) -> Complaint:
    said = body if isinstance(body, dict) else {}
    texts = [said.get(name) for name in ("error", "error_description", "title", "detail", "message")]
    return ": ".join(text for text in texts if isinstance(text, str)), {}


def _same(now: Bearer, refused: Bearer | None) -> bool:
    return refused is not None and now.token.reveal() == refused.token.reveal()


def _newest(grant: Grant, kept: Path | None) -> Secret | None:
    if grant.refresh is None or kept is None:
        return grant.refresh
    try:
        found = msgspec.json.decode(kept.read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return grant.refresh
    return Secret(found.token) if found.origin == _digest(grant.refresh) else grant.refresh


def _digest(token: Secret) -> str:
    return sha256(token.reveal().encode()).hexdigest()
