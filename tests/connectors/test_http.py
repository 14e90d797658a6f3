"""The HTTP client believes nothing: limits, origins, statuses, secrets."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from yarl import URL

from connectors.auth import ApiKey, Basic, Bearer, Redactor, Secret
from connectors.budget import Budget, Limits
from connectors.errors import BadAnswer, ConnectorError, Locked, Missing, Refused, Retry, Stale, Unsure
from connectors.http import Client
from connectors.origin import same_origin
from connectors.verdicts import LONGEST_WAIT, Verdict, retry_after, verdict
from connectors.wire import Deadlines, Request, Sizes

TOKEN = "canary-4f1d8a77c2"
GET = Request(method="GET", path="/x", one=True)
POST = Request(method="POST", path="/x", body={"a": 1}, one=True)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client(handler: Handler, **more: object) -> AsyncIterator[Client]:
    async with server(handler) as url:
        made = Client(url, auth=Bearer(Secret(TOKEN)), **more)  # type: ignore[arg-type]
        yield made
        await made.close()


def answering(status: int = 200, body: bytes = b"{}", **headers: str) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=given)

    return handler


async def outcome(handler: Handler, request: Request, **more: object) -> ConnectorError:
    async with client(handler, **more) as made:
        with pytest.raises(ConnectorError) as caught:
            await made.call(request)
    assert TOKEN not in f"{caught.value!r} {vars(caught.value)}"
    return caught.value


# statuses


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("one", [False, True])
def test_every_status_has_a_verdict(write: bool, one: bool) -> None:
    for status in range(300, 600):
        found = verdict(status, write=write, one=one)
        assert found in Verdict
        if status >= 500 and status not in {501, 505}:
            assert found is (Verdict.UNSURE if write else Verdict.RETRY)
        if 400 <= status < 500:
            assert found is not Verdict.BAD


@pytest.mark.parametrize(
    ("status", "read", "write"),
    [
        (400, Refused, Refused),
        (401, Locked, Locked),
        (402, Refused, Refused),
        (403, Refused, Refused),
        (404, Missing, Missing),
        (408, Retry, Unsure),
        (409, Stale, Stale),
        (410, Missing, Missing),
        (412, Stale, Stale),
        (422, Refused, Refused),
        (429, Retry, Retry),
        (500, Retry, Unsure),
        (501, Refused, Refused),
        (502, Retry, Unsure),
        (503, Retry, Unsure),
        (504, Retry, Unsure),
    ],
)
async def test_a_status_becomes_an_error(status: int, read: type[ConnectorError], write: type[ConnectorError]) -> None:
    assert type(await outcome(answering(status), GET)) is read
    assert type(await outcome(answering(status), POST)) is write


async def test_see_other_says_that_a_write_was_done() -> None:
    assert isinstance(await outcome(answering(303, Location="/x/1"), POST), Unsure)


async def test_a_date_that_no_calendar_has_costs_nothing() -> None:
    """It broke off a write that had been done, with an error that nobody knew."""
    async with client(answering(200, Date="Mon, 01 Jan 99999999999999999999 00:00:00 GMT")) as made:
        assert (await made.call(POST)).date is None


async def test_addresses_of_pages_may_come_in_several_headers() -> None:
    async def handler(_request: web.Request) -> web.Response:
        answer = web.json_response([])
        answer.headers.add("Link", '</x?page=2>; rel="next"')
        answer.headers.add("Link", '</x?page=9>; rel="last"')
        return answer

    async with client(handler) as made:
        assert (await made.call(GET)).headers["link"] == '</x?page=2>; rel="next", </x?page=9>; rel="last"'


def test_a_secret_is_known_however_many_tokens_come_and_go() -> None:
    known = Redactor((TOKEN,))
    known.learn("canary-key")
    for number in range(1_000):
        known.learn(f"token-{number:04}", passing=True)
    assert known.text(f"{TOKEN} canary-key token-0999") == "*** *** ***"
    assert known.text("token-0001") == "token-0001"


async def test_a_forbidden_list_locks_and_a_forbidden_record_does_not() -> None:
    assert isinstance(await outcome(answering(403), Request(method="GET", path="/x")), Locked)
    assert isinstance(await outcome(answering(403), GET), Refused)


NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("36000", LONGEST_WAIT),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        (format_datetime(NOW + timedelta(days=400), usegmt=True), LONGEST_WAIT),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_never_believed_too_much(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW.timestamp()) == seconds


async def test_a_long_pause_is_given_back_and_asks_nothing_meanwhile() -> None:
    asked = 0

    async def busy(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=429, headers={"Retry-After": "60"})

    async with client(busy) as made:
        for _ in range(3):
            with pytest.raises(Retry) as retry:
                await made.call(GET)
            assert retry.value.after is not None
            assert 59 < retry.value.after <= 60
    assert asked == 1


# the wire


async def test_a_refused_connection_is_retry_for_reads_and_writes() -> None:
    async with server(answering()) as url:
        pass
    made = Client(url)
    for request in (GET, POST):
        with pytest.raises(Retry):
            await made.call(request)
    await made.close()


async def test_a_broken_connection_is_retry_for_reads_and_unsure_for_writes() -> None:
    asked: list[str] = []

    async def cut(request: web.Request) -> web.Response:
        asked.append(request.method)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    assert isinstance(await outcome(cut, GET), Retry)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        asked.clear()
        assert isinstance(await outcome(cut, Request(method=method, path="/x")), Unsure)
        assert asked == [method]


async def test_a_put_is_not_repeated_when_a_kept_connection_breaks() -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.method)
        if request.method == "PUT":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({})

    async with client(handler) as made:
        await made.call(GET)
        with pytest.raises(Unsure):
            await made.call(Request(method="PUT", path="/x", body={}))
    assert asked == ["GET", "PUT"]


async def test_no_answer_in_time() -> None:
    async def silent(_request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    short = Deadlines(connect=1, read=0.1, total=0.2)
    assert isinstance(await outcome(silent, GET, deadlines=short), Retry)
    assert isinstance(await outcome(silent, POST, deadlines=short), Unsure)


async def test_an_answer_byte_by_byte_does_not_outlast_the_deadline() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    assert isinstance(await outcome(drip, GET, deadlines=Deadlines(read=1, total=0.2)), Retry)


# what an answer may be

HOSTILE = {
    "markup": b"<html>maintenance</html>",
    "text": b"OK",
    "half": b'{"data": [1, 2',
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "too large a number": b'{"a": 1e999}',
    "a long integer": b'{"a": ' + b"9" * 10_000 + b"}",
    "a key twice": b'{"a": 1, "a": 2}',
    "deep": b"[" * 10_000 + b"]" * 10_000,
    "deep objects": b'{"a":' * 100 + b"1" + b"}" * 100,
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "control": b'{"a": "\x00"}',
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_answer_is_bad_for_a_read_and_unsure_for_a_write(name: str) -> None:
    handler = answering(body=HOSTILE[name], Content_Type="application/json")
    bad = await outcome(handler, GET)
    assert isinstance(bad, BadAnswer)
    assert len(bad.body) <= 1500
    assert isinstance(await outcome(handler, POST), Unsure)


async def test_a_large_answer_is_not_read_to_its_end() -> None:
    error = await outcome(answering(body=b" " * 20_000), GET, sizes=Sizes(packed=10_000))
    assert isinstance(error, BadAnswer)


async def test_a_packed_answer_is_not_unpacked_to_its_end() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    handler = answering(body=bomb, Content_Encoding="gzip")
    assert isinstance(await outcome(handler, GET, sizes=Sizes(unpacked=1 << 20)), BadAnswer)


async def test_packed_answers_are_unpacked() -> None:
    async with client(answering(body=gzip.compress(b'{"a": 1}'), Content_Encoding="gzip")) as made:
        assert (await made.call(GET)).body == {"a": 1}


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "nonsense"])
async def test_other_packings_are_refused(encoding: str) -> None:
    assert isinstance(await outcome(answering(Content_Encoding=encoding), GET), BadAnswer)


async def test_packed_data_that_is_none_or_ends_early_is_retried() -> None:
    packed = gzip.compress(b'{"a": "' + bytes(range(97, 123)) * 50 + b'"}')
    for body in (b"not packed at all", packed[: len(packed) // 2]):
        assert isinstance(await outcome(answering(body=body, Content_Encoding="gzip"), GET), Retry)


# origins

BASE = URL("https://api.example.com/v1")


@pytest.mark.parametrize(
    "link", ["/v1/x?page=2", "https://api.example.com/other", "?page=2", "https://api.example.com:443/x"]
)
def test_links_within_the_origin_are_followed(link: str) -> None:
    assert same_origin(BASE, BASE, link).host == BASE.host


@pytest.mark.parametrize(
    "link",
    [
        "http://api.example.com/x",
        "https://api.example.com:8443/x",
        "https://evil.example.com/x",
        "//evil.example.com/x",
        "https://api.example.com@evil.example.com/x",
        "https://user:pass@api.example.com/x",
        "https://api.example.com.evil.example/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ],
)
def test_links_elsewhere_are_not(link: str) -> None:
    with pytest.raises(BadAnswer):
        same_origin(BASE, BASE, link)


async def test_a_redirection_to_another_host_gets_no_credentials() -> None:
    heard: list[str] = []

    async def listener(request: web.Request) -> web.Response:
        heard.append(str(request.headers))
        return web.json_response({})

    async with server(listener) as elsewhere:
        for status in (301, 302, 303, 307, 308):
            assert isinstance(await outcome(answering(status, Location=f"{elsewhere}/y"), GET), BadAnswer)
    assert heard == []


async def test_reads_follow_three_redirections_within_the_origin_and_writes_none() -> None:
    asked: list[str] = []

    async def around(request: web.Request) -> web.Response:
        asked.append(request.method)
        steps = int(request.query.get("n", "0"))
        return (
            web.Response(status=302, headers={"Location": f"/x?n={steps + 1}"})
            if steps < 3
            else web.json_response([steps])
        )

    async with client(around) as made:
        assert (await made.call(GET)).body == [3]
    assert isinstance(await outcome(answering(302, Location="/x"), GET), BadAnswer)
    asked.clear()
    assert isinstance(await outcome(around, POST), Refused)
    assert asked == ["POST"]


@pytest.mark.parametrize("url", ["http://x.example", "ftp://x.example", "https://a:b@x.example", "x.example"])
def test_only_https_is_taken_except_on_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match=r"would be right|credentials"):
        Client(url)


async def test_an_absolute_address_elsewhere_is_refused_before_it_is_asked() -> None:
    assert isinstance(await outcome(answering(), Request(method="GET", path="https://evil.example.com/x")), BadAnswer)


# secrets


@pytest.mark.parametrize(
    "auth",
    [
        Bearer(Secret(TOKEN)),
        Basic("kari", Secret(TOKEN)),
        ApiKey("header", "X-Key", Secret(TOKEN)),
        ApiKey("query", "key", Secret(TOKEN)),
    ],
)
async def test_a_secret_echoed_by_the_system_is_in_no_error(auth: object) -> None:
    async def echo(request: web.Request) -> web.Response:
        said = f"{request.url} {dict(request.headers)}"
        return web.json_response({"error": said}, status=int(request.query["status"]))

    async with server(echo) as url:
        made = Client(url, auth=auth, complaint=lambda body: (body["error"], {"field": body["error"]}))  # type: ignore[arg-type]
        for status in (400, 401, 404, 409, 429, 500, 302):
            with pytest.raises(ConnectorError) as caught:
                await made.call(Request(method="GET", path="/x", query=(("status", str(status)),)))
            assert TOKEN not in f"{caught.value!r} {vars(caught.value)}"
            assert "a2FyaTpjYW5hcnk" not in repr(caught.value)
        await made.close()
    assert TOKEN not in repr(auth)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def",
        "{'authorization': 'Basic a2FyaTpwdw=='}",
        "GET https://x.example/a?access_token=abc123&b=1",
        "cookie: session=abc123",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_secret_is_starred(text: str) -> None:
    shown = Redactor(()).text(text)
    assert "***" in shown
    assert not any(part in shown for part in ("abc", "a2FyaTpwdw", "c2lnbmF0dXJl"))


# budgets


async def test_no_more_calls_are_under_way_than_allowed() -> None:
    now = most = 0

    async def count(_request: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return web.json_response({})

    async with client(count, budget=Budget(Limits(reads=3, writes=2))) as made:
        await asyncio.gather(*(made.call(GET) for _ in range(20)))
        assert most == 3
        most = 0
        await asyncio.gather(*(made.call(POST) for _ in range(20)))
        assert most == 2


async def test_no_more_calls_are_made_in_a_window_than_allowed() -> None:
    times: list[float] = []

    async def note(_request: web.Request) -> web.Response:
        times.append(asyncio.get_running_loop().time())
        return web.json_response({})

    async with client(note, budget=Budget(Limits(windows=((5, 0.4),)))) as made:
        await asyncio.gather(*(made.call(GET) for _ in range(11)))
    times.sort()
    assert all(later - earlier > 0.3 for earlier, later in zip(times, times[5:], strict=False))


async def test_some_paths_have_a_window_of_their_own_and_a_long_wait_is_given_back() -> None:
    budget = Budget(Limits(below={"/members/": ((3, 900.0),)}))
    async with budget.slot(write=False, path="/members/me", cost=2):
        pass
    with pytest.raises(Retry, match="/members/") as retry:
        async with budget.slot(write=False, path="/members/me", cost=2):
            pass
    assert retry.value.after == 90.0
    async with budget.slot(write=False, path="/cards/1", cost=10):
        pass


async def test_what_lies_within_one_budget_shares_it_and_its_gate() -> None:
    around = Budget(Limits(windows=((4, 0.4),)))
    inner = [Budget(Limits(), within=around) for _ in range(2)]
    begun = time.perf_counter()
    for n in range(6):
        async with inner[n % 2].slot(write=False):
            pass
    assert time.perf_counter() - begun > 0.3
    around.shut(60.0)
    assert inner[0].wait() > 50.0


async def test_two_clients_with_one_budget_share_it() -> None:
    budget = Budget(Limits())
    async with server(answering(429, Retry_After="30")) as url:
        first, second = Client(url, budget=budget), Client(url, budget=budget)
        with pytest.raises(Retry):
            await first.call(GET)
        with pytest.raises(Retry, match="asked for a pause"):
            await second.call(GET)
        await first.close()
        await second.close()
