"""Each word of the language of declarations, against a system that answers from a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connectors.auth import ApiKey, Secret
from connectors.errors import BadAnswer, Locked, Missing, Refused, Retry, Stale, Unsure
from connectors.fields import read_time, write_time
from connectors.marks import short
from connectors.opening import open_endpoint
from connectors.registry import BadSettings, settings_of
from connectors.wire import Request
from tests.connectors.contract import read_all
from tests.connectors.test_http import server
from tests.connectors.test_rest import PLAIN, Things, said, things

BELOW = """\
connector: things
types:
  project:
    list: {path: /projects}
    read: {path: "/projects/{id}"}
    paging: {kind: page, size: 2}
  task:
    list: {path: "/projects/{projectId}/tasks"}
    read: {path: "/tasks/{id}"}
    create: {path: "/projects/{projectId}/tasks"}
    parent: {type: project, field: projectId}
    paging: {kind: cursor, next: next, stop: [missing next]}
"""
NESTED = BELOW.replace("/tasks/{id}", "/projects/{projectId}/tasks/{id}")


def answer(status: int, text: str = "", **headers: str) -> web.Response:
    return web.Response(status=status, text=text or None, headers=headers)


# bodies


async def test_a_patch_tests_what_it_replaces() -> None:
    text = said(PLAIN, compare="test", marker="{field: ref}").replace("method: PUT", "body: json patch")
    now = {"id": "1", "name": "old", "a": {"b/c": 1}, "ref": "m"}
    system = Things(now, now)
    async with things(text, system) as endpoint:
        base = await endpoint.read("thing", "1")
        await endpoint.update("thing", base, {"name": None, "a.b/c": 2, "new": 3})
    assert system.asked[1][::3] == (
        "PATCH",
        [
            {"op": "test", "path": "/name", "value": "old"},
            {"op": "test", "path": "/a/b~1c", "value": 1},
            {"op": "replace", "path": "/name", "value": None},
            {"op": "replace", "path": "/a/b~1c", "value": 2},
            {"op": "add", "path": "/new", "value": 3},
        ],
    )
    assert system.headers[1]["Content-Type"] == "application/json-patch+json"


async def test_a_form_holds_texts() -> None:
    text = PLAIN.replace("create: {path: /things}", "create: {path: /things, body: form, wrap: thing}")
    system = Things({"id": "1"})
    async with things(text, system) as endpoint:
        await endpoint.create("thing", {"name": "Å & co", "done": True, "a.b": 5, "none": None}, "m")
        with pytest.raises(Refused, match=r"thing\[tags\]: found a list"):
            await endpoint.create("thing", {"tags": ["x"]}, "m")
    sent = {"thing[name]": "Å & co", "thing[done]": "true", "thing[a][b]": "5", "thing[none]": ""}
    assert system.asked == [("POST", "/things", {}, sent)]


async def test_a_new_record_gets_values_that_nobody_gave() -> None:
    text = PLAIN.replace("create: {path: /things}", "create: {path: /things, defaults: {active: true, name: x}}")
    system = Things({"id": "1"})
    async with things(said(text, writable="[name]"), system) as endpoint:
        await endpoint.create("thing", {"name": "y"}, "m")
    assert system.asked[0][3] == {"active": True, "name": "y"}


async def test_a_whole_update_keeps_our_mark() -> None:
    text = said(PLAIN, writable="[a, b]", marker="{field: ref}").replace("method: PUT", "method: PUT, whole: true")
    now = {"id": "1", "a": 1, "b": 2, "c": 3, "ref": "m"}
    system = Things(now, now, now)
    async with things(text, system) as endpoint:
        await endpoint.update("thing", await endpoint.read("thing", "1"), {"a": 9})
    assert system.asked[2][3] == {"a": 9, "b": 2, "ref": "m"}


async def test_a_mark_may_be_the_last_line_of_a_text() -> None:
    text = said(PLAIN, marker="{field: notes, kind: line}", writable="[name, notes]", compare="never")
    held = {"id": "1", "name": "x", "notes": "two\nlines\nref: f|a.b:1"}
    system = Things({"id": "1", "notes": "ref: f|a.b:1"}, held, held, held, [held, {"id": "2", "notes": None}])
    async with things(text, system) as endpoint:
        made = await endpoint.create("thing", {"name": "x"}, "f|a.b:1")
        read = await endpoint.read("thing", "1")
        await endpoint.update("thing", read, {"notes": "other"})
        await endpoint.update("thing", read, {"name": "y"})
        (found,) = await endpoint.find("thing", "f|a.b:1", 0)
    assert (made.marker, made.record["notes"]) == ("f|a.b:1", "")
    assert (read.marker, read.record["notes"]) == ("f|a.b:1", "two\nlines")
    assert [body for _, _, _, body in system.asked if body] == [
        {"name": "x", "notes": "ref: f|a.b:1"},
        {"notes": "other\nref: f|a.b:1"},
        {"name": "y"},
    ]
    assert found == read


@pytest.mark.parametrize("longest", [29, 200])
async def test_a_mark_may_be_a_code_among_those_of_people(longest: int) -> None:
    mark = "own.first~own.second|own.first:qXz7Kp2LmV9RtW4yB8cN"
    code = short(mark, longest)
    text = said(PLAIN, marker=f"{{field: code, kind: code, filter: codes, longest: {longest}}}", compare="never")
    ours, theirs = {"id": "1", "code": code.upper()}, {"id": "2", "code": "10-A"}
    system = Things(ours, [ours, theirs], [ours, theirs], theirs)
    async with things(text, system) as endpoint:
        made = await endpoint.create("thing", {"a": 1}, mark)
        (found,) = await endpoint.find("thing", mark, 0)
        listed = (await endpoint.page("thing", None)).entities
        await endpoint.update("thing", listed[1], {"a": 2})
    assert len(code) <= longest
    assert system.asked[0][3] == {"a": 1, "code": code}
    assert system.asked[1][2] == {"codes": code}
    assert (made.marker, made.record, found) == (mark, {"id": "1"}, made)
    assert [one.marker for one in listed] == [mark if longest > 29 else code, None]
    assert listed[1].record == theirs
    assert system.asked[3][3] == {"a": 2}


# answers


async def test_a_write_may_be_answered_with_an_id() -> None:
    text = PLAIN.replace("create: {path: /things}", "create: {path: /things, record: made, returns: id}")
    system = Things({"made": {"id": "7"}}, {"id": "7", "a": 1}, {"made": "8"}, {"id": "8"}, {"made": None})
    async with things(text, system) as endpoint:
        assert (await endpoint.create("thing", {"a": 1}, "m")).record == {"id": "7", "a": 1}
        assert (await endpoint.create("thing", {"a": 1}, "m")).id == "8"
        with pytest.raises(Unsure, match="found null; the id of the record would be right"):
            await endpoint.create("thing", {"a": 1}, "m")


@pytest.mark.parametrize(
    "place",
    ["https://evil.example.com/things/7", "//evil.example.com/things/7", "/others/7", "/things/7/parts", "/things"],
)
async def test_a_location_elsewhere_says_nothing(place: str) -> None:
    system = Things(answer(201, Location=place))
    async with things(PLAIN, system) as endpoint:
        with pytest.raises(Unsure):
            await endpoint.create("thing", {"a": 1}, "m")
    assert len(system.asked) == 1


async def test_a_location_names_the_record_below_the_base_address() -> None:
    system = Things(answer(201, Location="things/a%20b"), {"id": "a b"})
    async with things(PLAIN, system) as endpoint:
        assert (await endpoint.create("thing", {"a": 1}, "m")).id == "a b"
    assert system.asked[1][1] == "/things/a b"


async def test_no_body_is_an_empty_list_only_where_that_is_said() -> None:
    async with things(PLAIN, Things(answer(204), answer(200))) as endpoint:
        assert (await endpoint.page("thing", None)).entities == ()
        with pytest.raises(BadAnswer, match="found no body"):
            await endpoint.page("thing", None)


async def test_a_record_may_come_as_a_list_of_one() -> None:
    text = PLAIN.replace('read: {path: "/things/{id}"}', 'read: {path: /things, query: {ids: "{id}"}, record: items}')
    system = Things({"items": [{"id": "a&b"}]}, {"items": []}, answer(204), {"items": [{"id": "1"}, {"id": "2"}]})
    async with things(text, system) as endpoint:
        assert (await endpoint.read("thing", "a&b")).id == "a&b"
        for _ in range(2):
            with pytest.raises(Missing):
                await endpoint.read("thing", "1")
        with pytest.raises(BadAnswer, match="found a list"):
            await endpoint.read("thing", "1")
    assert system.asked[0][1:3] == ("/things", {"ids": "a&b"})


async def test_another_record_than_asked_for_is_no_answer() -> None:
    async with things(PLAIN, Things({"id": "2"}, {"id": "1"}, {"id": "2"})) as endpoint:
        with pytest.raises(BadAnswer, match="found the record '2'; the one that was asked for would be right"):
            await endpoint.read("thing", "1")
        with pytest.raises(Unsure, match="found the record '2'"):
            await endpoint.update("thing", await endpoint.read("thing", "1"), {"a": 1})


@pytest.mark.parametrize("id", [".", "..", ""])
async def test_an_id_that_is_a_way_is_never_asked_for(id: str) -> None:
    system = Things([{"id": id}])
    async with things(PLAIN, system) as endpoint:
        with pytest.raises(Refused, match="an id that can stand in an address"):
            await endpoint.read("thing", id)
    assert system.asked == []


# refusals


@pytest.mark.parametrize(
    ("errors", "response", "words", "fields"),
    [
        ("{message: [detail, title]}", {"title": "Bad", "detail": "no"}, r"\(no; Bad\)", {}),
        ("{message: errors.text, field: errors.path}", {"errors": [{"text": "a"}, {"text": "b", "path": "/Name"}]},
         "a; b", {"name": "b"}),
        ("{message: title, fields: errors}", {"title": "T", "errors": {"Name": ["is empty", "too short"]}},
         "T; Name: is empty; too short", {"name": "is empty; too short"}),
        ("{message: message}", "The field 'name' is too long.", "field 'name' is too long", {"name": "is refused"}),
        ("{message: message}", ["name is taken"], "status 422;", {}),
        ('{message: ""}', ["name is taken"], "name is taken", {"name": "is refused"}),
    ],
)  # fmt: skip
async def test_refusals_come_in_many_shapes(errors: str, response: Any, words: str, fields: dict[str, str]) -> None:
    text = PLAIN.replace("types:", f"errors: {errors}\ntypes:")
    body = answer(422, response) if isinstance(response, str) else web.json_response(response, status=422)
    async with things(said(text, fields="{id: string, name: string}"), Things(body)) as endpoint:
        with pytest.raises(Refused, match=words) as refused:
            await endpoint.create("thing", {"name": "x", "other": 1}, "m")
    assert refused.value.fields == fields


async def test_markup_is_not_shown_as_words() -> None:
    page = web.Response(status=422, text="<html>secret</html>", content_type="text/html")
    async with things(PLAIN, Things(page)) as endpoint:
        with pytest.raises(Refused) as refused:
            await endpoint.create("thing", {"name": "x"}, "m")
    assert "html" not in str(refused.value)


async def test_a_status_can_mean_something_else(tmp_path: Path) -> None:
    statuses = "statuses: {retry: [403, 419], stale: [422], missing: [400], locked: [418], refused: [409]}"
    (tmp_path / "x.yaml").write_text(PLAIN.replace("types:", f"auth: {{kind: none}}\n{statuses}\ntypes:"))
    system = Things()
    async with server(system) as url:
        endpoint = open_endpoint("x", "x.yaml", {"url": url}, tmp_path)
        for status, error in ((403, Retry), (419, Retry), (422, Stale), (400, Missing), (418, Locked), (409, Refused)):
            system.answers.append(answer(status))
            with pytest.raises(error):
                await endpoint.read("thing", "1")
        await endpoint.close()


# settings, headers, credentials


async def test_settings_stand_in_paths_queries_and_headers(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("""\
connector: things
settings: {company: the company's number}
auth: {kind: query, name: apikey, secret: key}
headers: {X-Company: "{company}", Subscription-Key: {setting: subscription}}
types:
  thing:
    list: {path: "/c/{company}/things", query: {of: "{company}", fixed: "1"}}
    read: {path: "/c/{company}/things/{id}"}
""")
    assert {name for name, one in settings_of("x.yaml", tmp_path).items() if one.secret} == {"key", "subscription"}
    with pytest.raises(BadSettings, match=r"x\.company: found nothing; the company's number would be right"):
        open_endpoint("x", "x.yaml", {"url": "https://x.example.com", "key": "k", "subscription": "s"}, tmp_path)
    system = Things([{"id": "1"}], web.json_response({"message": "canary-key canary-subscription"}, status=400))
    async with server(system) as url:
        given = {"url": url, "key": "canary-key", "subscription": "canary-subscription", "company": "a/b"}
        endpoint = open_endpoint("x", "x.yaml", given, tmp_path)
        await endpoint.page("thing", None)
        with pytest.raises(Refused) as refused:
            await endpoint.read("thing", "1")
        await endpoint.close()
    assert system.asked[0][1:3] == ("/c/a/b/things", {"of": "a/b", "fixed": "1", "apikey": "canary-key"})
    assert {"X-Company": "a/b", "Subscription-Key": "canary-subscription"}.items() <= system.headers[0].items()
    assert "canary" not in f"{refused.value!r} {vars(refused.value)}"


async def test_a_system_with_oauth2_is_opened_by_its_declaration(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        PLAIN.replace(
            "types:",
            "auth: {kind: oauth2, token: ../token, client: app, secret: app_secret, headers: [Key]}\n"
            "headers: {Key: {setting: key}}\ntypes:",
        )
    )
    system = Things({"access_token": "canary-token", "expires_in": 60}, [{"id": "1"}])
    async with server(system) as url:
        given = {"url": f"{url}/api/v2", "app": "us", "app_secret": "canary-secret", "key": "canary-key"}
        endpoint = open_endpoint("x", "x.yaml", given, tmp_path)
        await endpoint.page("thing", None)
        await endpoint.close()
        with pytest.raises(BadSettings, match="https would be right"):
            open_endpoint("x", "x.yaml", {**given, "token_url": "http://login.example.com/"}, tmp_path)
    assert [path for _, path, _, _ in system.asked] == ["/api/token", "/api/v2/things"]
    assert [headers["Key"] for headers in system.headers] == ["canary-key", "canary-key"]
    assert system.headers[1]["Authorization"] == "Bearer canary-token"


async def test_a_key_in_the_query_is_in_no_error_and_no_cursor() -> None:
    text = PLAIN.replace("types:", "paging: {kind: link, limit: null, next: next}\ntypes:").replace(
        "/things}", "/things, record: items}", 1
    )
    system = Things({"items": [{"id": "1"}], "next": "https://evil.example.com/things?key=canary-1"})
    async with things(text, system, auth=ApiKey("query", "key", Secret("canary-1"))) as endpoint:
        with pytest.raises(BadAnswer) as bad:
            await endpoint.page("thing", None)
    assert "canary-1" not in f"{bad.value!r} {vars(bad.value)}"


async def test_a_key_in_the_query_is_not_in_what_an_answer_says_of_itself() -> None:
    system = Things(answer(302, Location="/things/1?a=b&key=canary-1"), {"id": "1"})
    async with things(PLAIN, system, auth=ApiKey("query", "key", Secret("canary-1"))) as endpoint:
        got = await endpoint._client.call(Request(method="GET", path="/old"))
    assert system.asked[1][2] == {"a": "b", "key": "canary-1"}
    assert got.url.endswith("/things/1?a=b")


# times


@pytest.mark.parametrize(
    ("spelled", "utc"),
    [
        ("2026-01-15T12:00:00", "2026-01-15T11:00:00"),
        ("2026-07-15T12:00:00", "2026-07-15T10:00:00"),
        ("2026-07-15T12:00:00Z", "2026-07-15T12:00:00"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00"),  # the first of the two
        ("2026-07-15T12:00:00.1234567", "2026-07-15T10:00:00.123456"),
    ],
)
def test_a_time_without_an_offset_is_one_in_the_zone(spelled: str, utc: str) -> None:
    assert read_time(spelled, "iso", "Europe/Oslo") == read_time(utc)


@pytest.mark.parametrize(
    ("utc", "asked"),
    [
        ("2026-07-15T10:00:00", "2026-07-15T12:00:00.000"),
        ("2026-10-25T00:30:00", "2026-10-25T01:30:00.000"),
        ("2026-10-25T01:30:00", "2026-10-25T01:30:00.000"),
        ("2026-10-25T02:30:00", "2026-10-25T03:30:00.000"),
    ],
)
def test_a_time_in_the_hour_that_comes_twice_is_asked_for_from_before_it(utc: str, asked: str) -> None:
    assert write_time(read_time(utc) or 0, "iso", "Europe/Oslo") == asked


async def test_changes_may_be_asked_for_in_the_systems_own_words() -> None:
    since = '{parameter: $filter, value: "changed ge {since}", local: true, overlap: 0}'
    text = said(PLAIN.replace("types:", "zone: Europe/Oslo\ntypes:"), updated="{field: changed}", since=since)
    system = Things([{"id": "1", "changed": "2026-07-15T12:00:00"}], [])
    async with things(text, system) as endpoint:
        page = await endpoint.page("thing", None)
        cursor = {**page.cursor, "since": read_time("2026-07-15T10:00:00Z")}
        await endpoint.page("thing", cursor)
    assert system.asked[1][2] == {"$filter": "changed ge 2026-07-15T12:00:00.000"}


# deleted records


@pytest.mark.parametrize(
    ("deleted", "gone"),
    [
        ("{field: state, value: x}", ["1"]),
        ("{field: at}", ["2"]),
        ("{field: flag, value: true}", ["3"]),
        ("{field: flag, value: 1}", ["4"]),
        ("{field: no.such}", []),
    ],
)
async def test_a_field_says_that_a_record_is_deleted(deleted: str, gone: list[str]) -> None:
    items: list[Any] = [
        {"id": "1", "state": "x", "at": None},
        {"id": "2", "at": "2026-01-01"},
        {"id": "3", "flag": True, "at": ""},
        {"id": "4", "flag": 1},
    ]
    async with things(said(PLAIN, deleted=deleted), Things(items)) as endpoint:
        page = await endpoint.page("thing", None)
    assert list(page.gone) == gone
    assert [one.id for one in page.entities] == [each["id"] for each in items if each["id"] not in gone]


# records below others


async def test_a_list_below_others_is_read_parent_by_parent() -> None:
    text = BELOW.replace('/tasks"}\n    read', '/tasks", record: items}\n    read')
    system = Things(
        [{"id": "p1"}, {"id": "p2"}],
        {"items": [{"id": "1"}], "next": "c"},
        {"items": [{"id": "2", "projectId": "p1"}]},
        answer(404),  # p2 was deleted meanwhile
        [{"id": "p2"}, {"id": "p3"}],
        {"items": []},
        {"items": [{"id": "3"}]},
        [],
    )
    async with things(text.replace("size: 2", "size: 2, stop: [empty]"), system) as endpoint:
        found, cursor = await read_all(endpoint, "task")
    assert [(one.id, one.record["projectId"]) for one in found] == [("1", "p1"), ("2", "p1"), ("3", "p3")]
    assert cursor is None
    assert [path for _, path, _, _ in system.asked] == [
        "/projects", "/projects/p1/tasks", "/projects/p1/tasks", "/projects/p2/tasks",
        "/projects", "/projects/p2/tasks", "/projects/p3/tasks", "/projects",
    ]  # fmt: skip


async def test_a_record_is_made_below_its_parent() -> None:
    system = Things({"id": "1"})
    async with things(BELOW, system) as endpoint:
        made = await endpoint.create("task", {"projectId": "p/1", "name": "x"}, "m")
        with pytest.raises(Refused) as refused:
            await endpoint.create("task", {"name": "x"}, "m")
        assert "projectId" in endpoint.traits()["task"].required
    assert refused.value.fields == {"projectId": "is required"}
    assert system.asked == [("POST", "/projects/p/1/tasks", {}, {"name": "x"})]
    assert made.record == {"id": "1", "projectId": "p/1"}


async def test_a_record_that_is_read_below_its_parent_has_both_in_its_id() -> None:
    task = {"id": "1", "name": "x"}
    system = Things([{"id": "p1"}], [task], task, task, answer(201, Location="/projects/p1/tasks/9"), {"id": "9"})
    text = NESTED.replace(", stop: [missing next]", "").replace("kind: cursor, next: next", "kind: none")
    text += '    update: {path: "/projects/{projectId}/tasks/{id}"}\n    compare: never\n'
    async with things(text, system) as endpoint:
        ((one,), _) = await read_all(endpoint, "task")
        assert one.id == "p1/1"
        assert await endpoint.read("task", "p1/1") == one
        await endpoint.update("task", one, {"name": "y"})
        assert (await endpoint.create("task", {"projectId": "p1"}, "m")).id == "p1/9"
    assert [path for _, path, _, _ in system.asked[2:]] == [
        "/projects/p1/tasks/1", "/projects/p1/tasks/1", "/projects/p1/tasks", "/projects/p1/tasks/9",
    ]  # fmt: skip


async def test_a_bad_parent_stops_what_is_below_it() -> None:
    async with things(BELOW, Things([{"id": "p1"}, {"id": 5}])) as endpoint:
        with pytest.raises(BadAnswer, match="project:5: id: found 5; string would be right; what is below it"):
            await endpoint.page("task", None)
