"""What one page tells about a declaration, before anything is kept in step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connectors.trying import tried
from stream.cli.main import execute
from tests.connectors.test_language import BELOW
from tests.connectors.test_rest import PLAIN, Things, said, things

COUNTED = PLAIN.replace("types:", "paging: {kind: offset}\ntypes:")


def many(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": str(number), **more} for number in range(count)]


@pytest.mark.parametrize(
    ("text", "answer", "doubt"),
    [
        (PLAIN, [], "found no records; with some, more could be said"),
        (PLAIN, many(50), "found exactly 50 records; paging may be right if there are more"),
        (PLAIN, many(49), None),
        (COUNTED, many(50), "found 50 records where 100 were asked for; if the system gives no more, size: 50"),
        (COUNTED, many(49), None),
        (COUNTED, many(150), "found 150 records where 100 were asked for; another name than limit may be right"),
        (said(PLAIN, fields="{id: string, naem: string}"), many(2), "found no value of naem in any record; other"),
        (said(PLAIN, fields="{id: string}"), many(2, b=1, a=2), "found also a, b, which are not declared"),
        (said(PLAIN, updated="{field: changed}"), many(2), "found no time at changed; the field that says when"),
        (PLAIN.replace("/things}", "/things, record: data.items}", 1), {"data": {"items": many(2), "totalCount": 9}},
         "found totalCount beside the records; paging may be right"),
    ],
)  # fmt: skip
async def test_what_looks_odd_is_told(text: str, answer: Any, doubt: str | None) -> None:
    async with things(text, Things(answer)) as endpoint:
        found = await tried(endpoint, "thing")
    assert found.wrong == ()
    assert [each[: len(doubt or "")] for each in found.doubts] == ([doubt] if doubt else [])


async def test_what_would_be_set_aside_or_fails_is_wrong() -> None:
    system = Things([{"id": "1"}, {"id": 2}, {"id": "3", "gone": True}], web.Response(status=404), {"error": 1})
    async with things(said(PLAIN, deleted="{field: gone}"), system) as endpoint:
        found = [await tried(endpoint, "thing") for _ in range(3)]
    assert (found[0].records, found[0].deleted, found[0].example) == (1, 1, "1")
    assert found[0].wrong == ("thing:2: id: found 2; string would be right",)
    assert "check url and path" in found[1].wrong[0]
    assert "found an object at the top; a list would be right" in found[2].wrong[0]


async def test_below_other_records_a_few_parents_are_tried() -> None:
    system = Things([{"id": "p1"}, {"id": "p2"}], [], [{"id": "1"}])
    async with things(
        BELOW.replace("kind: cursor, next: next, stop: [missing next]", "kind: none"), system
    ) as endpoint:
        found = await tried(endpoint, "task")
    assert (found.records, found.example) == (1, "1")
    assert [path for _, path, _, _ in system.asked] == ["/projects", "/projects/p1/tasks", "/projects/p2/tasks"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["custompms"], 0, "custompms is right: 3 entity types"),
        (["crmofice"], 2, "found 'crmofice'; crmoffice would be right"),
        (["asana"], 2, "found asana, which is code; a declaration would be right"),
        (["nowhere.yaml"], 2, "nowhere.yaml:1:1: found No such file or directory; a readable file would be right"),
        (["custompms", "-s", "url=x"], 2, "found -s without --live; --live would be right"),
        (["custompms", "--live", "-s", "url"], 2, "-s: found no NAME=VALUE; one would be right"),
        (["custompms", "--live", "-s", "token=${NOBODY_SETS_THIS}"], 2, "-s token: found"),
        (
            ["custompms", "--live", "-s", "url=http://pms.example.com", "-s", "token=canary-1"],
            2,
            "https would be right",
        ),
        (["custompms", "--live", "-s", "url=http://127.0.0.1:9", "-s", "token=canary-1"], 1, "wrong: GET /customers: "),
    ],
)
def test_how_the_check_ends(arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["connector", "check", *arguments]) == code
    told = capsys.readouterr()
    assert said in " ".join((told.out + told.err).split())
    assert "canary" not in told.out + told.err


def test_the_check_speaks_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["connector", "check", "customerp", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["type"] for each in told["types"]] == ["customer", "contact", "project", "employee"]
    assert ["lists", "GET /customers/{customerNo}/contacts for each customer; records at data"] in told["types"][1][
        "words"
    ]


def test_the_help_teaches(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for line in (["connector"], ["connector", "check"], ["connector", "schema"]):
        assert execute([*line, "--help"]) == 0
        assert "linkstream connector" in capsys.readouterr().out
