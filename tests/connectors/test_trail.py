"""Requests leave a trail for whoever wants to know, without a credential in it."""

from __future__ import annotations

import asyncio

from connectors.trail import trail
from connectors.wire import Request
from tests.connectors.test_http import TOKEN, answering, client


async def test_a_request_is_told_with_the_systems_own_id_and_its_rate() -> None:
    handler = answering(X_Request_Id="abc-1", X_RateLimit_Remaining="7")
    async with client(handler) as made:
        with trail() as asked:
            await made.call(Request(method="GET", path="/x", query=(("key", TOKEN),)))
            await made.call(Request(method="POST", path="/x", body={}))
        await made.call(Request(method="GET", path="/later"))
    assert [str(each) for each in asked] == ["GET /x 200 request abc-1", "POST /x 200 request abc-1"]
    assert [each.writes for each in asked] == [False, True]
    assert asked[0].rate == {"x-ratelimit-remaining": "7"}


async def test_works_side_by_side_have_trails_of_their_own() -> None:
    async with client(answering()) as made:

        async def work(path: str) -> list[str]:
            with trail() as asked:
                await made.call(Request(method="GET", path=path))
                await asyncio.sleep(0)
                await made.call(Request(method="GET", path=path))
            return [each.path for each in asked]

        found = await asyncio.gather(work("/a"), work("/b"))
    assert found == [["/a"] * 2, ["/b"] * 2]


async def test_what_a_system_calls_a_request_is_cut_and_printable() -> None:
    async with client(answering(X_Request_Id="x" * 500)) as made:
        with trail() as asked:
            await made.call(Request(method="GET", path="/x"))
    assert asked[0].id == "x" * 80
