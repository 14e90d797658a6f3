"""Where the page is served. Off this machine only with a token: it shows records, and the metrics tell much as well."""

from __future__ import annotations

import ipaddress
import re

from msgspec import UNSET, Struct

from connectors.auth import Secret
from stream.configuration.report import Report
from stream.configuration.systems import secret_of
from stream.configuration.written import WrittenWeb

SHORTEST = 16
"""Characters of a token that cannot be guessed."""

PLACES = {"topic", "partition", "offset"}
_PORTS = 65_536


class Web(Struct, frozen=True, kw_only=True):
    """An address, and who may ask there."""

    host: str
    port: int
    token: Secret | None
    write_token: Secret | None
    hosts: frozenset[str]
    topic_link: str = ""
    """Where a browser of the log shows a record, with {topic}, {partition} and {offset}."""


def read_web(written: WrittenWeb | None, report: Report) -> Web | None:
    """Read the section; nothing if there is none."""
    if written is None:
        return None
    host, _, port = written.listen.rpartition(":")
    host = host.strip("[]")
    if int(port) >= _PORTS:
        report.add(("web", "listen"), f"found port {port}; 0 to {_PORTS - 1} would be right")
    tokens = {
        name: None if value is UNSET else _token(name, value, report)
        for name, value in (("token", written.token), ("write_token", written.write_token))
    }
    if not loopback(host) and not any(tokens.values()):
        found = report.shown(("web", "listen"), written.listen)
        report.add(
            ("web", "listen"), f"found {found} without a token; token: ${{NAME}}, or 127.0.0.1:{port}, would be right"
        )
    return Web(
        host=host,
        port=int(port),
        token=tokens["token"],
        write_token=tokens["write_token"],
        hosts=frozenset(name.lower() for name in written.hosts),
        topic_link=_link(written.topic_link, report),
    )


def _link(text: str, report: Report) -> str:
    """The template; empty where there is none."""
    parts = re.findall(r"\{(.*?)\}", text)
    if text and (not re.match(r"https?://[^/{]+/", text) or "topic" not in parts or {*parts} - PLACES):
        found = report.shown(("web", "topic_link"), text)
        wanted = "http://host/... with {topic}, and where they belong {partition} and {offset},"
        report.add(("web", "topic_link"), f"found {found}; {wanted} would be right")
        return ""
    return text


def _token(name: str, value: object, report: Report) -> Secret:
    path = ("web", name)
    secret = secret_of(path, value, report)
    if 0 < len(secret.reveal()) < SHORTEST and not report.unknown(path):
        report.add(path, f"found fewer than {SHORTEST} characters; more, by chance, would be right")
    return secret


def loopback(host: str) -> bool:
    """Whether only this machine can ask there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
