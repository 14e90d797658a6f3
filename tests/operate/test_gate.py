"""Who may ask the worker's server for what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from connectors.auth import Secret
from stream.configuration.web import Web
from stream.operate.web.gate import Gate
from stream.operate.web.server import Occupied, Server
from tests.operate.test_metrics import worker

READ, WRITE = "r" * 20, "w" * 20
HEALTH = ("/livez", "/readyz", "/startupz")


def rules(*, token: str = "", write: str = "", hosts: tuple[str, ...] = (), port: int = 0) -> Web:
    return Web(
        host="127.0.0.1",
        port=port,
        token=Secret(token) if token else None,
        write_token=Secret(write) if write else None,
        hosts=frozenset(hosts),
    )


@asynccontextmanager
async def served(folder: Path, web: Web) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    made = worker(folder)
    server = Server(made, web)
    await server.open()
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            yield made.web, session
    finally:
        await server.close()


async def status(session: aiohttp.ClientSession, url: str, **headers: str) -> int:
    async with session.get(url, headers=headers, allow_redirects=False) as answer:
        return answer.status


async def test_a_worker_that_has_not_begun_is_alive_and_not_ready(tmp_path: Path) -> None:
    async with served(tmp_path, rules()) as (url, session):
        assert [await status(session, url + path) for path in HEALTH] == [200, 503, 503]


async def test_a_stranger_s_name_that_leads_here_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path, rules(hosts=("page.example.com",))) as (url, session):
        for host, wanted in {
            "evil.example.com": 403,
            "localhost.evil.example.com:8900": 403,
            "": 403,
            "127.0.0.1@evil.example.com": 403,
            "localhost:1234": 200,
            "127.0.0.1": 200,
            "[::1]:8900": 200,
            "page.example.com": 200,
            "PAGE.example.com:443": 200,
        }.items():
            assert await status(session, f"{url}/metrics", Host=host) == wanted, host


async def test_a_page_of_another_site_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path, rules()) as (url, session):
        for origin in ("https://evil.example.com", "null", "http://127.0.0.1:1", "http://["):
            assert await status(session, f"{url}/metrics", Origin=origin) == 403, origin
        assert await status(session, f"{url}/metrics", Origin=url) == 200


async def test_with_a_token_nothing_but_health_is_open(tmp_path: Path) -> None:
    async with served(tmp_path, rules(token=READ)) as (url, session):
        assert await status(session, f"{url}/livez") == 200
        for header in ("", "Bearer", "Bearer wrong", f"Basic {READ}", f"Bearer {READ}x", "Bearer \xe5"):
            assert await status(session, f"{url}/metrics", Authorization=header) == 401, header
        assert await status(session, f"{url}/metrics", Authorization=f"bearer {READ}") == 200
        assert await status(session, f"{url}/metrics", Cookie="linkstream=read.0") == 401


async def test_every_answer_says_what_a_browser_may_do_with_it(tmp_path: Path) -> None:
    async with served(tmp_path, rules()) as (url, session):
        for path in ("/livez", "/metrics", "/nowhere"):
            async with session.get(url + path) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'; script-src 'self';")
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Cache-Control"] == "no-store"


def test_rights_are_those_of_the_token() -> None:
    gate = Gate(rules(token=READ, write=WRITE))
    assert [gate.right_of(token) for token in (READ, WRITE, "", "x")] == ["read", "write", "none", "none"]
    assert Gate(rules(write=WRITE)).right_of(READ) == "none"


def test_a_ticket_opens_one_right_of_one_process() -> None:
    one, other = Gate(rules(token=READ)), Gate(rules(token=READ))
    assert len({one.ticket("read"), one.ticket("write"), other.ticket("read"), READ}) == 4


async def posted(session: aiohttp.ClientSession, url: str, stamp: str, **headers: str) -> int:
    """Send a form of the page, to a place that is none."""
    data = {"stamp": stamp} if stamp else {}
    headers = {"Origin": url, **headers}
    async with session.post(f"{url}/types/none/read", data=data, headers=headers, allow_redirects=False) as answer:
        return answer.status


@asynccontextmanager
async def stamped(folder: Path, web: Web) -> AsyncIterator[tuple[str, aiohttp.ClientSession, str]]:
    made = worker(folder)
    server = Server(made, web)
    await server.open()
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            yield made.web, session, server.gate.stamp
    finally:
        await server.close()


LET = 404
"""The gate let it through: there is no such type."""


async def test_at_this_machine_a_form_of_ours_changes_something_and_no_other(tmp_path: Path) -> None:
    async with stamped(tmp_path, rules(hosts=("page.example.com",))) as (url, session, stamp):
        assert await posted(session, url, stamp) == LET
        for wrong in ("", "x", stamp[:-1], stamp + "0"):
            assert await posted(session, url, wrong) == 403, wrong
        assert await posted(session, url, stamp, Origin="https://evil.example.com") == 403
        for header in ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"):
            assert await posted(session, url, stamp, **{header: "127.0.0.1"}) == 403, header
        proxied = {"Host": "page.example.com", "Origin": "https://page.example.com"}
        assert await posted(session, url, stamp, **proxied) == 403
        assert await status(session, f"{url}/metrics", **proxied) == 200  # to read


async def test_a_token_that_only_reads_changes_nothing_even_with_a_form_of_ours(tmp_path: Path) -> None:
    async with stamped(tmp_path, rules(token=READ, write=WRITE)) as (url, session, stamp):
        assert await posted(session, url, stamp) == 401
        assert await posted(session, url, stamp, Authorization=f"Bearer {READ}") == 403
        assert await posted(session, url, "", Authorization=f"Bearer {WRITE}") == LET
        form = {"data": {"token": WRITE}, "headers": {"Origin": url}, "allow_redirects": False}
        async with session.post(f"{url}/enter", **form) as answer:  # type: ignore[arg-type]
            assert answer.status == 303
        assert await posted(session, url, "") == 403  # by the cookie, but the form is none of ours
        assert await posted(session, url, stamp) == LET


async def test_with_a_token_to_read_nobody_at_this_machine_changes_anything(tmp_path: Path) -> None:
    async with stamped(tmp_path, rules(token=READ)) as (url, session, stamp):
        assert await posted(session, url, stamp) == 401
        assert await posted(session, url, stamp, Authorization=f"Bearer {READ}") == 403


async def test_while_there_is_no_log_the_page_says_so(tmp_path: Path) -> None:
    async with served(tmp_path, rules()) as (url, session), session.get(url) as answer:
        assert answer.status == 503
        assert "no such file; a worker creates it" in await answer.text()


async def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    async with served(tmp_path, rules()) as (url, _):
        port = int(url.rpartition(":")[2])
        with pytest.raises(Occupied, match=f"web.listen: found 127.0.0.1:{port} taken"):
            await Server(worker(tmp_path), rules(port=port)).open()
    assert Occupied.exit_code == 3
