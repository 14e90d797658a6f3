"""Where requests may go: to the configured origin, and to no address beside it that an answer gives.

An origin is scheme, host and port. Whoever could lead a client elsewhere would get its credentials sent there, or
have it read what only this machine sees.
"""

from __future__ import annotations

import ipaddress

from yarl import URL

from connectors.errors import BadAnswer

_SHOWN = 300


def same_origin(base: URL, here: URL, link: str) -> URL:
    """Resolve an address that an answer gave. Raises BadAnswer unless it leads to the configured origin."""
    try:
        url = here.join(URL(link))
        theirs = origin_of(url)
    except ValueError:
        raise BadAnswer(f"{here.path}: found the address {link[:_SHOWN]!r}; a valid one would be right") from None
    if theirs != origin_of(base) or url.user is not None or url.password is not None:
        raise BadAnswer(f"{here.path}: found a link to {theirs[1]}; one to {base.origin()} would be right")
    return url


def origin_of(url: URL) -> tuple[str, str | None, int | None]:
    """Scheme, host and port."""
    return url.scheme, url.host, url.port


def base_of(text: str) -> URL:
    """Read a configured base address. Raises ValueError."""
    url = URL(text)
    if url.user is not None or url.password is not None:
        raise ValueError("url: found a name or a password; credentials belong into their own settings")
    if url.scheme != "https" and not (url.scheme == "http" and _loopback(url.host or "")):
        raise ValueError(f"url: found {url.scheme}://{url.host}; https would be right (http only for this machine)")
    return url.with_query(None).with_fragment(None)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
