"""What can go wrong at a system, named for what the caller does next.

    ConnectorError
    ├── Retry      nothing was changed: ask again later (429, 5xx on reads, refused connections)
    ├── Unsure     a write may or may not have happened: look before repeating it (time-out, 5xx after sending)
    ├── Stale      the record is not what the write was based on: read again and merge (409, 412)
    ├── Missing    there is no such record (404, 410)
    ├── Refused    the system will not take this: set it aside for a person (400, 422)
    ├── Locked     credentials do not open this: stop until they change (401, 403)
    └── BadAnswer  the system answered something that is not its own format: set it aside, do not go past it

A message reads *where: what was found; what would be right* and never holds a secret.
"""

from __future__ import annotations


class ConnectorError(Exception):
    """A system did not do what was asked."""


class Retry(ConnectorError):
    """Nothing was changed; asking again later may work. ``after`` is the system's own wish, in seconds."""

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Unsure(ConnectorError):
    """The write may or may not have happened; look before repeating it."""


class Stale(ConnectorError):
    """The record changed since it was read; read again and merge."""


class Missing(ConnectorError):
    """There is no such record."""


class Refused(ConnectorError):
    """The system will not take this. ``fields`` names the refused ones, when the system says which."""

    def __init__(self, message: str, *, fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = fields or {}


class Locked(ConnectorError):
    """The credentials do not open this; nothing works before they are changed."""


class BadAnswer(ConnectorError):
    """The answer is not in the system's own format. ``body`` holds its first bytes, redacted."""

    def __init__(self, message: str, *, body: bytes = b"") -> None:
        super().__init__(message)
        self.body = body
