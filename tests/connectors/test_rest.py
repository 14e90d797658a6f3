"""What a declaration can say about a system is done as it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from connectors.auth import ApiKey, Auth, Secret
from connectors.errors import BadAnswer, Missing, Refused, Stale, Unsure
from connectors.http import Client
from connectors.proofreading import declaration
from connectors.records import complaint
from connectors.rest import RestEndpoint
from tests.connectors.contract import long_ago, read_all
from tests.connectors.test_http import server

PLAIN = """\
connector: things
types:
  thing:
    list: {path: /things}
    read: {path: "/things/{id}"}
    create: {path: /things}
    update: {path: "/things/{id}", method: PUT}
    delete: {path: "/things/{id}"}
"""

Store = dict[str, dict[str, Any]]
Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def things(
    text: str, handler: Answerer, *, auth: Auth | None = None, values: Mapping[str, str] | None = None
) -> AsyncIterator[RestEndpoint]:
    said = declaration(text, "things.yaml")
    async with server(handler) as url:
        client = Client(url, auth=auth, complaint=complaint(said.errors))
        endpoint = RestEndpoint(said, client, values, now=lambda: 1_000.0)
        yield endpoint
        await endpoint.close()


class Things:
    """A system that notes what it is asked and answers from a script."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.headers: list[dict[str, str]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        form = request.content_type == "application/x-www-form-urlencoded"
        body = (dict(await request.post()) if form else await request.json()) if request.body_exists else None
        self.headers.append(dict(request.headers))
        self.asked.append((request.method, request.path, dict(request.query), body))
        answer = self.answers.pop(0)
        return answer if isinstance(answer, web.Response) else web.json_response(answer)


def said(text: str, **more: str) -> str:
    """Add lines to the declared type."""
    return text + "".join(f"    {name}: {value}\n" for name, value in more.items())


async def test_a_bare_list_is_one_page_of_everything() -> None:
    system = Things([{"id": "1"}, {"id": "2"}])
    async with things(PLAIN, system) as endpoint:
        page = await endpoint.page("thing", None)
    assert [one.id for one in page.entities] == ["1", "2"]
    assert (page.cursor, page.more, page.since) == (None, False, None)


async def test_bad_records_are_set_aside_and_cost_nothing_else() -> None:
    items = [{"id": "1"}, {"id": 2}, {"name": "x"}, "text", None, {"id": "3"}]
    async with things(PLAIN, Things(items)) as endpoint:
        page = await endpoint.page("thing", None)
    assert [one.id for one in page.entities] == ["1", "3"]
    assert [one.id for one in page.rejected] == ["2", None, None, None]
    assert page.rejected[0].reason == "thing:2: id: found 2; string would be right"
    assert page.rejected[0].body == b'{"id":2}'


async def test_a_list_that_is_not_there_is_no_missing_record() -> None:
    async with things(PLAIN, Things(web.Response(status=404))) as endpoint:
        with pytest.raises(BadAnswer, match="check url and path"):
            await endpoint.page("thing", None)


async def test_envelopes_wraps_and_nested_paths() -> None:
    text = PLAIN.replace("/things}", "/things, record: data.items, wrap: thing}", 2)
    text = text.replace("data.items, wrap: thing}", "data.items}", 1).replace("data.items, wrap", "thing, wrap")
    system = Things({"data": {"items": [{"id": "1"}]}}, {"thing": {"id": "2", "a": {"b": "x"}}})
    async with things(text, system) as endpoint:
        assert (await endpoint.page("thing", None)).entities[0].id == "1"
        assert (await endpoint.create("thing", {"a.b": "x", "a.c": None}, "m")).id == "2"
    assert system.asked[1][3] == {"thing": {"a": {"b": "x", "c": None}}}


@pytest.mark.parametrize(
    ("bound", "asked"), [("inclusive", "1970-01-01T00:16:30.000Z"), ("exclusive", "1970-01-01T00:16:29.000Z")]
)
async def test_changes_are_asked_for_with_an_overlap(bound: str, asked: str) -> None:
    text = said(
        PLAIN,
        updated="{field: changed}",
        since=f"{{parameter: after, bound: {bound}, overlap: 10}}",
    )
    at = "1970-01-01T00:16:40Z"
    system = Things([{"id": "1", "changed": at}], [{"id": "1", "changed": at}], [])
    async with things(text, system) as endpoint:
        _, cursor = await read_all(endpoint, "thing")
        _, again = await read_all(endpoint, "thing", cursor)
        page = await endpoint.page("thing", again)
    assert [query for _, _, query, _ in system.asked] == [{}, {"after": asked}, {"after": asked}]
    assert again == cursor
    assert page.since == 990_000_000


@pytest.mark.parametrize(
    ("format", "value", "asked"), [("seconds", 1000, "940"), ("milliseconds", 1_000_000, "940000")]
)
async def test_times_may_be_numbers(format: str, value: int, asked: str) -> None:
    text = said(
        PLAIN,
        updated=f"{{field: changed, format: {format}}}",
        since=f"{{parameter: after, format: {format}}}",
    )
    system = Things([{"id": "1", "changed": value}], [])
    async with things(text, system) as endpoint:
        _, cursor = await read_all(endpoint, "thing")
        await endpoint.page("thing", cursor)
    assert system.asked[1][2] == {"after": asked}


async def test_tombstones_are_gone_and_missing() -> None:
    text = said(PLAIN, deleted="{field: removed, value: true}")
    system = Things([{"id": "1", "removed": True}, {"id": "2"}], {"id": "1", "removed": True})
    async with things(text, system) as endpoint:
        page = await endpoint.page("thing", None)
        with pytest.raises(Missing):
            await endpoint.read("thing", "1")
    assert ([one.id for one in page.entities], page.gone) == (["2"], ("1",))


async def test_a_whole_update_carries_every_writable_field_of_the_newest_state() -> None:
    text = said(PLAIN, writable="[a, b]").replace("method: PUT", "method: PUT, whole: true")
    now = {"id": "1", "a": 1, "b": 2, "c": 3}
    system = Things(now, now, {**now, "a": 9})
    async with things(text, system) as endpoint:
        base = await endpoint.read("thing", "1")
        await endpoint.update("thing", base, {"a": 9})
    assert system.asked[2] == ("PUT", "/things/1", {}, {"a": 9, "b": 2})


async def test_without_times_only_the_wanted_fields_are_compared() -> None:
    system = Things({"id": "1", "a": 1}, {"id": "1", "a": 1, "b": "new"}, {"id": "1", "a": 9}, {"id": "1", "a": 5})
    async with things(PLAIN, system) as endpoint:
        base = long_ago(await endpoint.read("thing", "1"))
        await endpoint.update("thing", base, {"a": 9})
        with pytest.raises(Stale):
            await endpoint.update("thing", base, {"a": 9})


async def test_comparing_can_be_left_out() -> None:
    system = Things({"id": "1", "a": 1}, {"id": "1", "a": 9})
    async with things(said(PLAIN, compare="never"), system) as endpoint:
        await endpoint.update("thing", await endpoint.read("thing", "1"), {"a": 9})
    assert [method for method, _, _, _ in system.asked] == ["GET", "PUT"]


async def test_nulls_may_have_to_be_left_out() -> None:
    system = Things({"id": "1"}, {"id": "1"})
    async with things(said(PLAIN, nulls="omit"), system) as endpoint:
        base = await endpoint.create("thing", {"a": None, "b": 1}, "m")
        with pytest.raises(Refused) as refused:
            await endpoint.update("thing", base, {"a": None})
    assert system.asked[0][3] == {"b": 1}
    assert refused.value.fields == {"a": "cannot be emptied"}


async def test_an_empty_answer_is_read_back() -> None:
    made = web.Response(status=201, headers={"Location": "/things/7"})
    system = Things(made, {"id": "7"}, web.Response(status=204), {"id": "7", "a": 2})
    async with things(PLAIN, system) as endpoint:
        base = await endpoint.create("thing", {"a": 1}, "m")
        assert base.id == "7"
        assert (await endpoint.update("thing", base, {"a": 2})).record["a"] == 2


async def test_an_empty_answer_without_an_address_is_found_by_marker_or_unsure() -> None:
    text = said(PLAIN, marker="{field: ref, filter: ref}")
    system = Things(web.Response(status=201), [{"id": "7", "ref": "m"}], web.Response(status=201), [])
    async with things(text, system) as endpoint:
        assert (await endpoint.create("thing", {"a": 1}, "m")).id == "7"
        with pytest.raises(Unsure):
            await endpoint.create("thing", {"a": 1}, "m")


async def test_a_marker_without_a_filter_is_found_by_reading_what_is_new() -> None:
    text = said(PLAIN, marker="{field: ref}", updated="{field: at}", since="{parameter: after, overlap: 60}")
    system = Things([{"id": "1", "ref": "x", "at": None}, {"id": "3", "ref": "m"}, {"id": "2", "ref": "m"}])
    async with things(text, system) as endpoint:
        found = await endpoint.find("thing", "m", 1_000_000_000)
    assert [one.id for one in found] == ["2", "3"]
    assert system.asked[0][2] == {"after": "1970-01-01T00:15:40.000Z"}


async def test_a_filter_that_the_system_ignores_finds_nothing_else() -> None:
    text = said(PLAIN, marker="{field: ref, filter: ref}")
    async with things(text, Things([{"id": "1", "ref": "x"}, {"id": "2"}])) as endpoint:
        assert await endpoint.find("thing", "m", 0) == ()


async def test_ids_of_other_records_become_numbers_where_they_must() -> None:
    text = said(PLAIN, fields="{id: string, owner: integer, name: string}")
    system = Things({"id": "1"})
    async with things(text, system) as endpoint:
        await endpoint.create("thing", {"owner": "42", "name": "42"}, "m")
        with pytest.raises(Refused) as refused:
            await endpoint.create("thing", {"owner": "x42"}, "m")
    assert system.asked[0][3] == {"owner": 42, "name": "42"}
    assert "owner" in refused.value.fields


async def test_archiving_writes_what_the_declaration_says() -> None:
    system = Things({"id": "1"}, {"id": "1", "state": "old"})
    async with things(said(PLAIN, archive="{state: old}", compare="never"), system) as endpoint:
        await endpoint.remove("thing", await endpoint.read("thing", "1"), "archive")
    assert system.asked[1][3] == {"state": "old"}


async def test_links_are_followed_within_the_origin_and_keep_no_credentials() -> None:
    text = PLAIN.replace("types:", "paging: {kind: link, limit: null, next: next}\ntypes:").replace(
        "/things}", "/things, record: items}", 1
    )
    system = Things({"items": [{"id": "1"}], "next": "/things?page=2&key=canary-1"}, {"items": [{"id": "2"}]})
    async with things(text, system, auth=ApiKey("query", "key", Secret("canary-1"))) as endpoint:
        first = await endpoint.page("thing", None)
        assert "canary-1" not in repr(first)
        second = await endpoint.page("thing", first.cursor)
    assert [one.id for one in second.entities] == ["2"]
    assert system.asked[1][2] == {"page": "2", "key": "canary-1"}


async def test_links_to_another_host_are_not_followed() -> None:
    text = PLAIN.replace("types:", "paging: {kind: link, next: next}\ntypes:").replace(
        "/things}", "/things, record: items}", 1
    )
    system = Things({"items": [{"id": "1"}], "next": "https://evil.example.com/things"})
    async with things(text, system) as endpoint:
        with pytest.raises(BadAnswer, match=r"evil\.example\.com"):
            await endpoint.page("thing", None)
        with pytest.raises(BadAnswer):
            await endpoint.page("thing", {"page": {"next": "https://evil.example.com/things"}})


async def test_a_list_without_end_is_found_out() -> None:
    text = PLAIN.replace("types:", "paging: {kind: page, position: page, size: 2}\ntypes:")
    system = Things(*([[{"id": "1"}, {"id": "2"}]] * 3))
    async with things(text, system) as endpoint:
        with pytest.raises(BadAnswer, match="same page twice"):
            await read_all(endpoint, "thing")


async def test_refusals_are_explained_by_field() -> None:
    text = PLAIN.replace("types:", "errors: {message: problems.said, field: problems.about}\ntypes:")
    body = {"problems": [{"about": "name", "said": "too long"}, {"about": "age", "said": "too young"}]}
    async with things(text, Things(web.json_response(body, status=422))) as endpoint:
        with pytest.raises(Refused, match="too long; too young") as refused:
            await endpoint.create("thing", {"name": "x"}, "m")
    assert refused.value.fields == {"name": "too long", "age": "too young"}


async def test_what_a_type_cannot_do_is_refused_without_asking() -> None:
    text = "\n".join(PLAIN.splitlines()[:5]) + "\n"
    async with things(text, Things({"id": "1"})) as endpoint:
        base = await endpoint.read("thing", "1")
        for call in (
            endpoint.create("thing", {}, "m"),
            endpoint.update("thing", base, {}),
            endpoint.remove("thing", base, "delete"),
            endpoint.remove("thing", base, "archive"),
            endpoint.find("thing", "m", 0),
        ):
            with pytest.raises(Refused):
                await call


CREATED = {"created": "{field: made}", "since": "{parameter: after}", "updated": "{field: at}"}


async def test_without_a_marker_what_was_created_since_is_found_among_what_changed() -> None:
    items = [
        {"id": "3", "made": "2026-01-02T00:00:00Z"},
        {"id": "1", "made": "2026-01-01T00:00:00Z"},
        {"id": "4"},
        {"id": "2", "made": "2026-01-01T12:00:00Z"},
    ]
    system = Things(items)
    async with things(said(PLAIN, **CREATED), system) as endpoint:
        traits = endpoint.traits()["thing"]
        found = await endpoint.recent("thing", 1_767_268_800_000_000)
    assert (traits.create, traits.look_up, traits.late) == (5, "recent", 30.0)
    assert [one.id for one in found] == ["2", "3"]
    assert system.asked[0][2] == {"after": "2026-01-01T12:00:00.000Z"}


async def test_a_time_of_creation_that_is_none_is_a_bad_answer() -> None:
    async with things(said(PLAIN, created="{field: made}"), Things([{"id": "1", "made": "soon"}])) as endpoint:
        with pytest.raises(BadAnswer, match="thing:1: made"):
            await endpoint.recent("thing", 0)


async def test_without_a_time_of_creation_nothing_can_be_looked_for() -> None:
    async with things(PLAIN, Things()) as endpoint:
        assert (endpoint.traits()["thing"].create, endpoint.traits()["thing"].look_up) == (5, "none")
        with pytest.raises(Refused, match="found no time of creation"):
            await endpoint.recent("thing", 0)


async def test_a_key_goes_into_its_header() -> None:
    text = said(PLAIN, key="{header: X-Request-Key, remembered: 600}")
    system = Things({"id": "1"})
    async with things(text, system) as endpoint:
        traits = endpoint.traits()["thing"]
        await endpoint.create("thing", {"a": 1}, "f|a.t:1")
    assert (traits.create, traits.idempotent_for, traits.marked) == (2, 600.0, False)
    assert system.headers[0]["X-Request-Key"] == "f|a.t:1"


async def test_a_create_by_our_mark_is_made_once_by_the_system() -> None:
    text = said(PLAIN, marker="{field: ref}").replace(
        "create: {path: /things}", 'create: {path: "/things/by/{marker}", method: PUT}'
    )
    system = Things({"id": "1", "ref": "f|a.t:1"})
    async with things(text, system) as endpoint:
        assert endpoint.traits()["thing"].create == 1
        await endpoint.create("thing", {"a": 1}, "f|a.t:1")
    assert system.asked[0][:2] == ("PUT", "/things/by/f|a.t:1")
