"""What no system should send costs its own record and no other, and says which field is why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from connectors.errors import BadAnswer
from tests.connectors.contract import read_all
from tests.connectors.test_rest import PLAIN, Things, said, things

TYPED = said(
    PLAIN,
    fields="{id: string, name: string, size: number, owner: integer, done: boolean, day: date, at: time, "
    "status: {of: [open, done]}, tags: list, address: object, address.city: string, parts.no: integer, any: any}",
    updated="{field: at}",
    since="{parameter: since, overlap: 0}",
)
GOOD = {"id": "good", "name": "Øyvind «Å»", "at": "2026-11-01T12:00:00Z"}

BAD: list[tuple[str, Any]] = [
    ("thing:?: found 'text'; a record would be right", "text"),
    ("thing:?: found a list; a record would be right", [1]),
    ("thing:?: found null; a record would be right", None),
    ("thing:?: id: found nothing; string would be right", {"name": "x"}),
    ("thing:?: id: found null; string would be right", {"id": None}),
    ("thing:?: id: found ''; string would be right", {"id": ""}),
    ("thing:7: id: found 7; string would be right", {"id": 7}),
    ("thing:?: id: found True; string would be right", {"id": True}),
    ("thing:1: name: found 5; text would be right", {"id": "1", "name": 5}),
    ("thing:1: name: found an object; text would be right", {"id": "1", "name": {}}),
    ("thing:1: size: found '5'; number would be right", {"id": "1", "size": "5"}),
    ("thing:1: owner: found 5.5; integer would be right", {"id": "1", "owner": 5.5}),
    ("thing:1: owner: found True; integer would be right", {"id": "1", "owner": True}),
    ("thing:1: done: found 1; boolean would be right", {"id": "1", "done": 1}),
    ("thing:1: status: found 'lost'; one of open, done would be right", {"id": "1", "status": "lost"}),
    ("thing:1: tags: found 'a'; list would be right", {"id": "1", "tags": "a"}),
    ("thing:1: address: found 'x'; an object would be right", {"id": "1", "address": "x"}),
    ("thing:1: address.city: found 1; text would be right", {"id": "1", "address": {"city": 1}}),
    ("thing:1: parts.no: found 'x'; integer would be right", {"id": "1", "parts": [{"no": 1}, {"no": "x"}]}),
    ("thing:1: day: found '0000-00-00'; a date as 2026-01-31 would be right", {"id": "1", "day": "0000-00-00"}),
    ("thing:1: day: found '0001-01-01'; a date as 2026-01-31 would be right", {"id": "1", "day": "0001-01-01"}),
    ("thing:1: day: found '9999-12-31'; a date as 2026-01-31 would be right", {"id": "1", "day": "9999-12-31"}),
    ("thing:1: day: found '31.12.2026'; a date as 2026-01-31 would be right", {"id": "1", "day": "31.12.2026"}),
    ("thing:1: at: found 'yesterday'; a time as 2026-01-31T12:00:00Z would be right", {"id": "1", "at": "yesterday"}),
    ("thing:1: at: found '0001-01-01T00:00:00'; a time", {"id": "1", "at": "0001-01-01T00:00:00"}),
    ("thing:1: at: found '1901-01-01T00:00:00'; a time between 1970", {"id": "1", "at": "1901-01-01T00:00:00"}),
    ("thing:1: any: found a record of 1048", {"id": "1", "any": "x" * (1 << 20), "name": "small"}),
]


@pytest.mark.parametrize(("reason", "record"), BAD, ids=[reason[:50] for reason, _ in BAD])
async def test_a_bad_record_is_set_aside_with_its_field_and_the_rest_goes_on(reason: str, record: Any) -> None:
    async with things(TYPED, Things([GOOD, record, {**GOOD, "id": "other"}])) as endpoint:
        page = await endpoint.page("thing", None)
    assert [one.id for one in page.entities] == ["good", "other"]
    (rejected,) = page.rejected
    assert rejected.reason.startswith(reason)
    assert len(rejected.body) <= 4096
    if isinstance(record, dict) and isinstance(record.get("id"), str) and record["id"]:
        assert rejected.id == record["id"]


async def test_nothing_is_not_wrong() -> None:
    empty = {"id": "1", "name": None, "day": "", "at": None, "status": None, "parts": [], "address": None}
    async with things(
        TYPED, Things([empty, {"id": "2"}, {**GOOD, "parts": [{"no": None}], "day": "2024-02-29"}])
    ) as it:
        page = await it.page("thing", None)
    assert len(page.entities) == 3
    assert page.entities[0].record == empty


async def test_half_a_surrogate_pair_becomes_a_character_that_can_be_written() -> None:
    body = b'[{"id": "1", "name": "a\\ud83d b"}, {"id": "2", "name": "\\ud83d\\ude00"}]'
    async with things(TYPED, Things(web.Response(body=body, content_type="application/json"))) as endpoint:
        page = await endpoint.page("thing", None)
    assert [one.record["name"] for one in page.entities] == ["a\ufffd b", "😀"]
    json.dumps([one.record for one in page.entities], ensure_ascii=False).encode()


async def test_a_record_that_comes_twice_counts_once() -> None:
    newer = {**GOOD, "at": "2026-11-01T13:00:00Z", "name": "newer"}
    async with things(TYPED, Things([GOOD, GOOD], [newer, GOOD], [GOOD, newer])) as endpoint:
        pages = [await endpoint.page("thing", None) for _ in range(3)]
    assert [[one.record["name"] for one in page.entities] for page in pages] == [[GOOD["name"]], ["newer"], ["newer"]]
    assert not any(page.rejected for page in pages)


async def test_a_record_that_comes_twice_with_two_values_is_set_aside() -> None:
    other = {**GOOD, "name": "other"}
    async with things(TYPED, Things([GOOD, other, {"id": "1"}], [{"id": "1", "name": "a"}, {"id": "1"}])) as endpoint:
        first, second = [await endpoint.page("thing", None) for _ in range(2)]
    assert [one.id for one in first.entities] == ["1"]
    assert [one.reason for one in (*first.rejected, *second.rejected)] == [
        f"thing:{id}: id: found the record twice, with different values; once would be right" for id in ("good", "1")
    ]


async def test_a_time_in_the_future_skips_nothing() -> None:
    future = {"id": "1", "at": "2199-01-01T00:00:00Z"}
    system = Things([future], [])
    async with things(TYPED, system) as endpoint:
        _, cursor = await read_all(endpoint, "thing")
        await endpoint.page("thing", cursor)
    asked = system.asked[1][2]["since"]
    assert asked < "2199"


async def test_a_page_that_cannot_be_believed_moves_no_cursor() -> None:
    text = PLAIN.replace("types:", "paging: {kind: cursor, next: next}\ntypes:").replace(
        "/things}", "/things, record: items}", 1
    )
    first = {"items": [{"id": "1"}], "next": "a"}
    for second in (
        {"items": [{"id": "1"}], "next": "b"},
        {"items": [{"id": "2"}], "next": "a"},
        {"items": {"id": "2"}},
        {"next": "b"},
        [],
        web.Response(text="<html>"),
    ):
        async with things(text, Things(first, second, {"items": [{"id": "2"}]})) as endpoint:
            page = await endpoint.page("thing", None)
            with pytest.raises(BadAnswer):
                await endpoint.page("thing", page.cursor)
            assert [one.id for one in (await endpoint.page("thing", page.cursor)).entities] == ["2"]
