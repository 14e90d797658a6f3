"""``linkstream explain`` tells the chain from poll to write, and why something was not applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import Refused, Retry
from stream.cli.main import execute
from stream.model import Wake
from stream.topics import MAIL
from tests.cli.kept import kept


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LINKSTREAM_CONFIG", "LINKSTREAM_BROKER"):
        monkeypatch.delenv(name, raising=False)


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert execute(["explain", *arguments, "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def kinds(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(event["kind"], event["ref"]) for event in found["events"] if event["kind"] not in ("link", "index")]


async def test_an_edit_is_told_from_the_page_to_the_receipt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "before"})
        await table.settle()
        left, right = table.only("a"), table.only("b")
        table.a.edit("t", left.partition(":")[2], {"x": "after"})
        await table.settle()
    found = explained(capsys, left)
    assert found["links"] == [
        {"edge": "f/a", "state": "linked", "peer": right, "why": found["links"][0]["why"]},
    ]
    assert f"{right} was created for {left}" in found["links"][0]["why"]
    change, offer, write, receipt = found["events"][-4:]
    assert [each["kind"] for each in (change, offer, write, receipt)] == ["change", "offer", "write", "receipt"]
    assert change["lines"] == ['x: "before" -> "after"']
    assert [offer["cause"], write["cause"], receipt["cause"]] == [change["place"], offer["place"], write["place"]]
    assert [each["ref"] for each in (offer, write, receipt)] == [right] * 3
    assert write["lines"] == ['x: "before" -> "after"']
    assert receipt["lines"] == ['x: held "before" before, "after" after']
    [x] = [field for field in found["fields"] if field["field"] == "x"]
    assert (x["value"], x["state"], x["typed_at"]) == ("after", "in step", left)
    assert x["copies"] == [{"ref": right, "field": "x", "shown": "after", "state": "in step", "note": ""}]
    assert found["waits"] == []
    twin = explained(capsys, right)
    way = [("change", left), ("offer", right), ("write", right), ("receipt", right)]
    assert kinds(twin)[-5:] == [*way, ("change", right)]  # its own reader sees it last


async def test_records_that_were_there_say_by_what_they_match(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "One"})
        table.b.add("t", {"name": " one"})
        await table.settle()
        left = table.only("a")
    [link] = explained(capsys, left)["links"]
    assert link["why"].startswith("they match: name=name (one)")


async def test_why_a_record_asks_anew_for_a_match_that_was_taken_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one"})
        await table.settle()
        right = table.only("b")
        table.a.add("t", {"name": "one"})
        await table.settle()
        table.b.edit("t", right.partition(":")[2], {"name": "two"})
        await table.settle()
        [other] = {f"b.t:{id}" for id in table.b.all("t")} - {right}
    [link] = explained(capsys, other)["links"]
    told = [event["what"] for event in explained(capsys, link["peer"])["events"]]
    assert "who carries its match value has changed: it asks anew" in told


async def test_a_refused_field_is_told_with_the_systems_own_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "before"})
        await table.settle()
        left, right = table.only("a"), table.only("b")
        table.b.fail("update", Refused("400", fields={"x": "too long"}))
        table.a.edit("t", left.partition(":")[2], {"x": "after"})
        await table.settle()
    found = explained(capsys, left, "--field", "x")
    [x] = found["fields"]
    [copy] = x["copies"]
    assert (copy["shown"], copy["state"], copy["note"]) == ("before", "not applied", "not applied: too long")
    assert any(line == "x refused: too long" for event in found["events"] for line in event["lines"])
    twin = explained(capsys, right)
    assert twin["waits"] == [{"what": "x", "why": "not applied: too long", "next": None}]
    assert any(event["kind"] == "parked" for event in twin["events"])
    assert execute(["explain", left, "--field", "x"]) == 0
    assert "not applied" in capsys.readouterr().out


async def test_a_write_that_waits_says_for_what_and_until_when(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "before"})
        await table.settle()
        left, right = table.only("a"), table.only("b")
        table.b.fail("update", Retry("b: 503", after=600.0), count=9)
        table.a.edit("t", left.partition(":")[2], {"x": "after"})
        await table.settle()
    [wait] = explained(capsys, right)["waits"]
    assert wait["what"].endswith("(x), attempt 2")
    assert wait["why"] == "b: 503"
    assert wait["next"] is not None


async def test_a_conflict_is_told_with_both_values_and_both_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "before"})
        await table.settle()
        left, right = table.only("a"), table.only("b")
        table.now += 1_000_000
        table.a.edit("t", left.partition(":")[2], {"x": "of a"})
        table.now += 1_000_000
        table.b.edit("t", right.partition(":")[2], {"x": "of b"})
        await table.settle()
    found = explained(capsys, left)
    [conflict] = [event for event in found["events"] if event["kind"] == "conflict"]
    lost, won = conflict["lines"]
    assert lost.startswith(f'lost: "of a" typed at {left}, 2023-')
    assert won.startswith(f'won:  "of b" typed at {right}, 2023-')


async def test_an_origin_that_is_not_found_any_more_is_told_without_a_time_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        table.b.add("t", {"name": "one"}, marker="f|a.t:404")
        await table.settle()
        right = table.only("b")
        table.now += 60_000_000
        await table.publish(MAIL, right, Wake())
        await table.settle()
    assert explained(capsys, "a.t:404")["gone"].startswith("2023-")
    found = explained(capsys, right)
    assert [(each["state"], each["peer"]) for each in found["links"]] == [("severed", "a.t:404")]
    assert "a.t:404 is not found any more: the link ends, nothing follows" in [each["what"] for each in found["events"]]


async def test_what_is_not_known_is_said_and_so_is_what_would_be_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one"})
        await table.settle()
        left = table.only("a")
    assert execute(["explain", "a.t:nobody"]) == 1
    assert "a.t:nobody: nothing is known of it" in capsys.readouterr().err
    for wrong in ("a.u:1", "a.t", "a.t:", "nonsense"):
        assert execute(["explain", wrong]) == 2
        assert "a.t, b.t would be right" in " ".join(capsys.readouterr().err.replace("│", "").split())
    assert execute(["explain", left, "--field", "z"]) == 2
