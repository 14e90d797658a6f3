"""How Trello is entered: with a key and a token in one header, and a count of what is left in every answer."""

from __future__ import annotations

import re

from aiohttp import web

from connectors.sandbox.server import Door, Problem, RateLimit

KEY = "sandbox-trello-key"
_OAUTH = re.compile(r'OAuth oauth_consumer_key="([^"]*)", oauth_token="([^"]*)"')


class TrelloDoor(Door):
    """A key and a token in one header; a count of what is left in every answer."""

    def secrets(self, token: str) -> dict[str, str]:
        """Answer the secret settings of a connector that calls with this token."""
        return {"key": KEY, "token": token}

    def headers(self, token: str) -> dict[str, str]:
        """Answer the headers with which a person's program calls."""
        return {"Authorization": f'OAuth oauth_consumer_key="{KEY}", oauth_token="{token}"'}

    def token(self, request: web.Request) -> str:
        """Answer whose token a request carries, in the header or in the query."""
        found = _OAUTH.fullmatch(request.headers.get("Authorization", ""))
        query = request.query
        key, token = (found[1], found[2]) if found else (query.get("key", ""), query.get("token", ""))
        if key != KEY:
            raise Problem(401, "invalid key")
        return token

    def slow_down(self, wait: int) -> dict[str, str]:  # noqa: ARG002 - others tell it
        """Answer no header: how long to wait is not told."""
        return {}

    def decorate(self, request: web.Request, response: web.StreamResponse, limit: RateLimit | None) -> None:
        """Tell the token's limit and what is left of it."""
        found = _OAUTH.fullmatch(request.headers.get("Authorization", ""))
        if limit is not None and found is not None:
            head = "x-rate-limit-api-token"
            response.headers[f"{head}-interval-ms"] = str(round(limit.seconds * 1000))
            response.headers[f"{head}-max"] = str(limit.calls)
            response.headers[f"{head}-remaining"] = str(limit.remaining(found[2]))
