"""What an HTTP status means for the caller: one table, and the reading of ``Retry-After``.

The table answers for reads and for writes apart, because the same 500 says "ask again" after a read and "look
first" after a write. Every status from 300 to 599 has an answer; a test walks them all.
"""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from enum import Enum

from connectors.errors import BadAnswer, ConnectorError, Locked, Missing, Refused, Retry, Stale, Unsure

LONGEST_WAIT = 900.0
"""Seconds; a system that asks for more is asked again after this."""


class Verdict(Enum):
    """The error a status becomes."""

    RETRY = "retry"
    UNSURE = "unsure"
    STALE = "stale"
    MISSING = "missing"
    REFUSED = "refused"
    LOCKED = "locked"
    BAD = "bad answer"


_FORBIDDEN = 403
"""One forbidden record is no reason to stop a whole system, a forbidden list is."""

_GAVE_UP = 408
"""Gateways send it for time-outs of every kind, some of them after a write."""

_SEE_OTHER = 303
"""It says that a write was done, and where to look (RFC 9110, 15.4.4)."""

_EITHER = {
    401: Verdict.LOCKED,
    403: Verdict.LOCKED,
    404: Verdict.MISSING,
    407: Verdict.LOCKED,
    409: Verdict.STALE,
    410: Verdict.MISSING,
    412: Verdict.STALE,
    421: Verdict.RETRY,  # the wrong server was asked: nothing was done
    423: Verdict.RETRY,  # somebody has the record locked
    425: Verdict.RETRY,
    429: Verdict.RETRY,
    501: Verdict.REFUSED,
    505: Verdict.REFUSED,
}


def verdict(status: int, *, write: bool, one: bool) -> Verdict:
    """Say what a status that is no success means. ``one``: the request was about one record, not a list."""
    found = _EITHER.get(status)
    if found is not None:
        return Verdict.REFUSED if status == _FORBIDDEN and one else found
    match status // 100:
        case _ if status == _GAVE_UP:
            return Verdict.UNSURE if write else Verdict.RETRY
        case 5:
            return Verdict.UNSURE if write else Verdict.RETRY
        case 4:
            return Verdict.REFUSED
        case 3 if status != _SEE_OTHER:
            return Verdict.REFUSED if write else Verdict.BAD
        case _:
            return Verdict.UNSURE if write else Verdict.BAD


def retry_after(text: str | None, now: float) -> float | None:
    """Read ``Retry-After``: seconds or an HTTP date (RFC 9110, 10.2.3); ``None`` when absent or nonsense.

    ``now`` is seconds since the epoch. Never negative, never more than a quarter of an hour.
    """
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else None


def error_of(  # noqa: PLR0911 - one line for each verdict
    meaning: Verdict, message: str, *, after: float | None, fields: dict[str, str], body: bytes
) -> ConnectorError:
    """The error for a refusal, told what would be right."""
    match meaning:
        case Verdict.RETRY:
            return Retry(f"{message}; asking again later may work", after=after)
        case Verdict.UNSURE:
            return Unsure(f"{message}; whether it was done is unknown")
        case Verdict.STALE:
            return Stale(f"{message}; reading it again and merging would be right")
        case Verdict.MISSING:
            return Missing(f"{message}; there is no such record")
        case Verdict.REFUSED:
            return Refused(f"{message}; the system does not take this", fields=fields)
        case Verdict.LOCKED:
            return Locked(f"{message}; valid credentials with enough rights would be right")
        case Verdict.BAD:
            return BadAnswer(f"{message}; a success would be right", body=body)
