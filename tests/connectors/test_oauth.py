"""Access tokens are got, renewed ahead, renewed once for everybody, and never seen."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connectors.auth import Grant, Secret
from connectors.errors import ConnectorError, Locked, Retry
from connectors.http import Client
from connectors.oauth import OAuth2, token_url
from connectors.wire import Request
from tests.connectors.test_http import server

SECRET, REFRESH, KEY = "canary-secret-1", "canary-refresh-1", "canary-subscription-1"
GET = Request(method="GET", path="/things", one=True)
POST = Request(method="POST", path="/things", body={"a": 1}, one=True)


class Vendor:
    """A token endpoint and an API behind it: token n is ``token-n``; ``good`` is the one that opens."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.calls: list[tuple[str, str]] = []
        self.good = ""
        self.life: Any = 1200
        self.answers: list[web.Response] = []
        self.replaces = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append({"headers": dict(request.headers), "form": dict(await request.post())})
        self.begun.set()
        await self.gate.wait()
        if self.answers:
            return self.answers.pop(0)
        self.good = f"canary-token-{len(self.asked)}"
        body = {"access_token": self.good, "token_type": "Bearer", "expires_in": self.life}
        return web.json_response({**body, **({"refresh_token": f"next-{len(self.asked)}"} if self.replaces else {})})

    async def api(self, request: web.Request) -> web.Response:
        self.calls.append((request.method, request.headers["Authorization"]))
        opened = request.headers["Authorization"] == f"Bearer {self.good}"
        return web.json_response({}, status=200 if opened else 401)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(
    vendor: Vendor, clock: Callable[[], float] | None = None, *, kept: Path | None = None, **more: Any
) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_post("/connect/token", vendor.token)
    app.router.add_route("*", "/api/things", vendor.api)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    grant = Grant(url=f"{origin}/connect/token", client="us", secret=Secret(SECRET), **more)
    client = Client(f"{origin}/api", auth=OAuth2(grant, kept=kept, clock=clock or Clock()))
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_client_credentials_open_the_system_with_one_token() -> None:
    vendor = Vendor()
    async with opened(vendor, scope="things", headers=(("Subscription-Key", Secret(KEY)),)) as client:
        await client.call(GET)
        await client.call(POST)
    (asked,) = vendor.asked
    assert asked["form"] == {"grant_type": "client_credentials", "scope": "things"}
    assert asked["headers"]["Authorization"] == "Basic " + base64.b64encode(f"us:{SECRET}".encode()).decode()
    assert asked["headers"]["Subscription-Key"] == KEY
    assert asked["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    assert vendor.calls == [("GET", "Bearer canary-token-1"), ("POST", "Bearer canary-token-1")]


async def test_the_client_may_name_itself_in_the_form() -> None:
    vendor = Vendor()
    async with opened(vendor, place="form") as client:
        await client.call(GET)
    assert vendor.asked[0]["form"] == {"grant_type": "client_credentials", "client_id": "us", "client_secret": SECRET}
    assert "Authorization" not in vendor.asked[0]["headers"]


@pytest.mark.parametrize(("life", "still_good", "renewed"), [(1200, 1139.0, 1141.0), (40, 29.0, 31.0), ("40", 29, 31)])
async def test_a_token_is_renewed_ahead_of_its_end(life: Any, still_good: float, renewed: float) -> None:
    vendor, clock = Vendor(), Clock()
    vendor.life = life
    async with opened(vendor, clock) as client:
        assert client.usage().token_left is None
        await client.call(GET)
        clock.now = 1000.0 + still_good
        await client.call(GET)
        assert len(vendor.asked) == 1
        assert client.usage().token_left == pytest.approx((renewed + still_good) / 2 - still_good)
        clock.now = 1000.0 + renewed
        await client.call(GET)
    assert [token for _, token in vendor.calls] == [f"Bearer canary-token-{n}" for n in (1, 1, 2)]


@pytest.mark.parametrize("life", [None, 0, -5, "soon", "nan"])
async def test_a_token_without_an_end_is_used_until_it_is_refused(life: Any) -> None:
    vendor, clock = Vendor(), Clock()
    vendor.life = life
    async with opened(vendor, clock) as client:
        await client.call(GET)
        clock.now += 1e9
        await client.call(GET)
        assert len(vendor.asked) == 1
        assert client.usage().token_left is None
        vendor.good = "revoked"
        await client.call(POST)
    assert vendor.calls[-2:] == [("POST", "Bearer canary-token-1"), ("POST", "Bearer canary-token-2")]


async def test_many_callers_share_one_renewal() -> None:
    vendor = Vendor()
    vendor.gate.clear()
    async with opened(vendor) as client:
        first = asyncio.create_task(client.call(GET))
        others = [asyncio.create_task(client.call(GET)) for _ in range(7)]
        await vendor.begun.wait()
        first.cancel()  # who asked first giving up costs the others nothing
        vendor.gate.set()
        await asyncio.gather(*others)
        vendor.good = "revoked"
        await asyncio.gather(*(client.call(GET) for _ in range(8)))
    assert len(vendor.asked) == 2


async def test_a_token_refused_anew_is_not_renewed_for_ever() -> None:
    vendor = Vendor()
    async with opened(vendor) as client:
        await client.call(GET)
        vendor.answers = [web.json_response({"access_token": "canary-useless", "expires_in": 60})]
        vendor.good = "another"
        with pytest.raises(Locked, match="found status 401"):
            await client.call(POST)
    assert len(vendor.asked) == 2
    assert [method for method, _ in vendor.calls] == ["GET", "POST", "POST"]


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((401, {"error": "invalid_client"}), Locked, "invalid_client"),
        ((400, {"error": "invalid_grant", "error_description": f"{REFRESH} is used up"}), Locked, "invalid_grant: "),
        ((404, "no"), Locked, "status 404"),
        ((503, "later"), Retry, "status 503"),
        ((429, "later"), Retry, "status 429"),
        ((302, "go"), Locked, "status 302"),
        ((200, [1]), Retry, "no access_token"),
        ((200, {"access_token": ""}), Retry, "no access_token"),
        ((200, {"access_token": "a\r\nb"}), Retry, "no access_token"),
        ((200, {"access_token": "a", "token_type": "mac"}), Locked, "another type"),
    ],
)
async def test_what_the_token_endpoint_does_is_an_error_of_ours(
    answer: tuple[int, Any], error: type[ConnectorError], said: str
) -> None:
    vendor = Vendor()
    vendor.answers = [web.json_response(answer[1], status=answer[0], headers={"Location": "https://evil.example.com/"})]
    async with opened(vendor, refresh=Secret(REFRESH), place="form") as client:
        with pytest.raises(error, match=said) as caught:
            await client.call(POST)
        assert vendor.calls == []
        await client.call(POST)  # and it is asked again the next time
    told = f"{caught.value!r} {vars(caught.value)}"
    assert not [one for one in (SECRET, REFRESH, KEY) if one in told]


async def test_the_token_endpoint_tells_no_secret_by_itself() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"error": f"{SECRET} {KEY} {(await request.post())['refresh_token']}"}, status=400)

    async with server(echo) as url:
        headers = (("Key", Secret(KEY)),)
        grant = Grant(
            url=url, client="us", secret=Secret(SECRET), refresh=Secret(REFRESH), place="form", headers=headers
        )
        tokens = OAuth2(grant)
        with pytest.raises(Locked) as locked:
            await tokens.bearer()
        await tokens.close()
    assert "canary" not in str(locked.value)


async def test_a_refresh_token_whose_replacement_is_on_its_way_when_the_process_ends_is_kept(tmp_path: Path) -> None:
    """Spent, and its successor read by nobody, it opened nothing at the next start."""
    vendor, file = Vendor(), tmp_path / "kept"
    vendor.replaces = True
    vendor.gate.clear()
    async with opened(vendor, kept=file, refresh=Secret(REFRESH)) as client:
        call = asyncio.ensure_future(client.call(GET))
        await vendor.begun.wait()
        call.cancel()
        asyncio.get_running_loop().call_later(0.01, vendor.gate.set)
    assert b"next-1" in file.read_bytes()


async def test_a_refresh_token_that_another_process_had_replaced_is_taken_from_the_file(tmp_path: Path) -> None:
    """It was refused for ever, until somebody started that process anew."""
    vendor, clock, file = Vendor(), Clock(), tmp_path / "kept"
    vendor.replaces = True
    async with opened(vendor, clock, kept=file, refresh=Secret(REFRESH)) as client:
        await client.call(GET)
        file.write_bytes(file.read_bytes().replace(b"next-1", b"theirs"))
        clock.now += 1e6
        vendor.answers = [web.json_response({"error": "invalid_grant"}, status=400)]
        await client.call(GET)
        assert [each["form"]["refresh_token"] for each in vendor.asked] == [REFRESH, "next-1", "theirs"]
        vendor.answers = [web.json_response({"error": "invalid_grant"}, status=400)]
        clock.now += 1e6
        with pytest.raises(Locked):
            await client.call(GET)


async def test_a_refresh_token_that_cannot_be_kept_is_an_error_of_a_connector(tmp_path: Path) -> None:
    """Any other error parks what was to be written."""
    vendor = Vendor()
    vendor.replaces = True
    async with opened(vendor, kept=tmp_path / "missing" / "kept", refresh=Secret(REFRESH)) as client:
        with pytest.raises(Retry, match="token_file: found No such file or directory"):
            await client.call(POST)
    assert vendor.calls == []


async def test_a_replaced_refresh_token_is_used_and_kept(tmp_path: Path) -> None:
    vendor, clock, file = Vendor(), Clock(), tmp_path / "refresh"
    vendor.replaces = True
    async with opened(vendor, clock, kept=file, refresh=Secret(REFRESH)) as client:
        await client.call(GET)
        clock.now += 1e6
        await client.call(GET)
    assert file.stat().st_mode & 0o777 == 0o600
    async with opened(vendor, kept=file, refresh=Secret(REFRESH)) as client:
        await client.call(GET)
    async with opened(vendor, kept=file, refresh=Secret("another one was configured")) as client:
        await client.call(GET)
    used = [one["form"]["refresh_token"] for one in vendor.asked]
    assert used == [REFRESH, "next-1", "next-2", "another one was configured"]
    assert names(tmp_path) == ["refresh"]


async def test_a_token_that_is_echoed_is_not_shown() -> None:
    vendor = Vendor()

    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"error": request.headers["Authorization"].removeprefix("Bearer ")}, status=422)

    vendor.api = echo  # type: ignore[method-assign]
    async with opened(vendor) as client:
        client._complaint = lambda body: (str(body), {"field": str(body)})
        with pytest.raises(ConnectorError) as caught:
            await client.call(GET)
    assert "canary" not in f"{caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("/connect/token", "https://api.example.com/connect/token"),
        ("OAuth/Token", "https://api.example.com/demo/v2/OAuth/Token"),
        ("../OAuth/Token", "https://api.example.com/demo/OAuth/Token"),
        ("https://login.example.com/token", "https://login.example.com/token"),
    ],
)
def test_the_address_of_the_token_endpoint(said: str, right: str) -> None:
    assert token_url("https://api.example.com/demo/v2", said) == right


def test_a_token_endpoint_elsewhere_by_trick_is_refused() -> None:
    with pytest.raises(ValueError, match=r"evil\.example\.com"):
        token_url("https://api.example.com", "//evil.example.com/token")
    with pytest.raises(ValueError, match="https would be right"):
        OAuth2(Grant(url="http://login.example.com/token", client="us", secret=Secret(SECRET)))
