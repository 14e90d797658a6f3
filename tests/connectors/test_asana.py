"""What is particular to Asana: scopes, pairs of dates, offsets that expire, workspaces and teams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.asana import Listing
from connectors.asana_records import complaint, dated
from connectors.endpoint import Entity
from connectors.errors import Refused, Retry, Stale, Unsure
from connectors.marks import join, split
from connectors.opening import open_endpoint
from tests.connectors.benches import AsanaBench
from tests.connectors.contract import long_ago, read_all


@pytest.fixture
async def bench() -> AsyncIterator[AsanaBench]:
    bench = await AsanaBench.open()
    yield bench
    await bench.close()


async def task(bench: AsanaBench, **fields: Any) -> Entity:
    body = {"data": {"name": "one", "projects": [bench.project], **fields}}
    made = await bench.sandbox.act("POST", "/tasks", body)
    return await bench.endpoint.read("tasks", made["data"]["gid"])


async def project(bench: AsanaBench, name: str) -> str:
    body = {"data": {"name": name, "workspace": bench.system.organization, "team": bench.system.team}}
    return str((await bench.sandbox.act("POST", "/projects", body))["data"]["gid"])


# markers


@settings(deadline=None)
@given(st.text(), st.text(min_size=1))
def test_a_marker_goes_in_and_out_of_notes(text: str, id: str) -> None:
    marker = f"custompms.task~asana.tasks|custompms.task:{id}"
    assert split(join(text, marker)) == (text, marker)


@settings(deadline=None)
@given(st.text())
def test_notes_without_a_marker_stay_as_they_are(text: str) -> None:
    if "ref: " not in text:
        assert split(text) == (text, None)


@pytest.mark.parametrize(
    ("notes", "text", "marker"),
    [
        ("ref: f|a.b:1", "", "f|a.b:1"),
        ("a\nref: f|a.b:1", "a", "f|a.b:1"),
        ("a\n\nref: f|a.b:1\n", "a\n", "f|a.b:1"),
        ("a\nref: f|a.b:1\nb", "a\nref: f|a.b:1\nb", None),
        ("see ref: f|a.b:1", "see ref: f|a.b:1", None),
        ("a\nref: f|a.b:1 n", "a\nref: f|a.b:1 n", None),
        ("an order\nref: 4711", "an order\nref: 4711", None),  # it was taken away, and came to no other system
        ("a\nref: f|a.b:1%202%25", "a", "f|a.b:1 2%"),
    ],
)
def test_only_the_last_line_is_a_marker(notes: str, text: str, marker: str | None) -> None:
    assert split(notes) == (text, marker)


# dates

HELD = {"due_on": "2026-05-01", "due_at": None, "start_on": None, "start_at": None}
TIMED = {**HELD, "due_at": "2026-05-01T10:00:00.000Z"}
BARE = dict.fromkeys(HELD)


@pytest.mark.parametrize(
    ("record", "wanted", "sent"),
    [
        (BARE, {"due_on": "2026-05-02"}, {"due_on": "2026-05-02"}),
        (HELD, {"start_on": "2026-04-01"}, {"start_on": "2026-04-01", "due_on": "2026-05-01"}),
        (TIMED, {"start_on": "2026-04-01"}, {"start_on": "2026-04-01", "due_at": "2026-05-01T10:00:00.000Z"}),
        (
            BARE,
            {"start_on": "2026-04-01", "due_on": "2026-05-02"},
            {"start_on": "2026-04-01", "due_on": "2026-05-02"},
        ),
        (
            TIMED,
            {"start_at": "2026-04-01T08:00:00Z"},
            {"start_at": "2026-04-01T08:00:00Z", "due_at": "2026-05-01T10:00:00.000Z"},
        ),
        (HELD, {"start_on": None}, {"start_on": None}),
        (HELD, {"name": "x"}, {"name": "x"}),
    ],
)
def test_a_start_brings_its_end(record: dict[str, Any], wanted: dict[str, Any], sent: dict[str, Any]) -> None:
    assert dated("tasks", wanted, record) == sent


@pytest.mark.parametrize(
    ("type", "record", "wanted", "fields"),
    [
        ("tasks", BARE, {"due_on": "2026-05-01", "due_at": "2026-05-01T10:00:00Z"}, {"due_on", "due_at"}),
        ("tasks", BARE, {"start_on": "2026-04-01"}, {"start_on", "due_on"}),
        ("tasks", HELD, {"start_at": "2026-04-01T08:00:00Z"}, {"start_at", "due_at"}),
        ("projects", BARE, {"start_on": "2026-04-01", "due_on": "2026-04-01"}, {"start_on", "due_on"}),
        ("projects", BARE, {"start_on": "2026-04-01"}, {"start_on", "due_on"}),
    ],
)
def test_pairs_that_cannot_be_are_refused(
    type: str, record: dict[str, Any], wanted: dict[str, Any], fields: set[str]
) -> None:
    with pytest.raises(Refused) as refused:
        dated(type, wanted, record)
    assert set(refused.value.fields) == fields


async def test_dates_are_written_in_the_pairs_that_asana_takes(bench: AsanaBench) -> None:
    base = await task(bench, due_on="2026-05-01")
    started = await bench.endpoint.update("tasks", base, {"start_on": "2026-04-01"})
    assert (started.record["start_on"], started.record["due_on"]) == ("2026-04-01", "2026-05-01")
    ended = await bench.endpoint.update("tasks", started, {"due_on": None})
    assert (ended.record["start_on"], ended.record["due_on"]) == (None, None)


async def test_completion_is_written_and_its_time_is_not(bench: AsanaBench) -> None:
    base = await task(bench)
    done = await bench.endpoint.update("tasks", base, {"completed": True})
    assert done.record["completed_at"] is not None
    with pytest.raises(Refused) as refused:
        await bench.endpoint.update("tasks", done, {"completed_at": "2026-01-01T00:00:00Z"})
    assert set(refused.value.fields) == {"completed_at"}


# tasks and their projects


async def test_projects_are_listed_once_for_themselves_and_for_their_tasks(bench: AsanaBench) -> None:
    asked = lambda: bench.sandbox.world.requests["GET /api/1.0/projects"]  # noqa: E731
    await read_all(bench.endpoint, "projects")
    once = asked()
    _, cursor = await read_all(bench.endpoint, "tasks")
    assert asked() == once, "the list was read a moment ago"
    gid = await project(bench, "late")
    late = await task(bench, projects=[gid])
    found, cursor = await read_all(bench.endpoint, "tasks", cursor)
    assert late.id in {one.id for one in found}, "a list serves one round only"
    assert asked() > once


async def test_some_pages_of_projects_are_no_list(bench: AsanaBench) -> None:
    for name in ("one", "two", "three"):
        await project(bench, name)
    part = await bench.endpoint.page("projects", None)
    mine = await task(bench)
    other = _scoped(bench)
    other._scope = bench.endpoint._scope  # type: ignore[attr-defined] # small pages
    await read_all(other, "projects", part.cursor)
    found, _ = await read_all(other, "tasks")
    assert mine.id in {one.id for one in found}, "all projects, not those of the last pages alone"
    await other.close()


def test_a_list_of_projects_is_followed_from_its_start_and_serves_one_round() -> None:
    listing = Listing()
    page = lambda *gids: [{"gid": gid} for gid in gids]  # noqa: E731
    listing.add(page("1"), None, "b")
    listing.add([*page("2"), "nonsense"], "b", None)
    assert listing.take() == ("1", "2")
    assert listing.take() is None
    listing.add(page("1"), None, "b")
    assert listing.take() is None, "the reading is not over"
    listing.add(page("2"), "b", None)
    assert listing.take() is None, "it began before the round"
    listing.add(page("1"), None, "b")
    listing.add(page("9"), "z", None)
    assert listing.take() is None, "a page of another reading"


async def test_a_new_project_is_read_whole_and_then_by_what_changed(bench: AsanaBench) -> None:
    _, cursor = await read_all(bench.endpoint, "tasks")
    gid = await project(bench, "late")
    old = await task(bench, projects=[gid])
    found, cursor = await read_all(bench.endpoint, "tasks", cursor)
    assert old.id in {one.id for one in found}
    asked = bench.sandbox.world.requests["GET /api/1.0/tasks"]
    await read_all(bench.endpoint, "tasks", cursor)
    assert bench.sandbox.world.requests["GET /api/1.0/tasks"] == asked + 2


async def test_a_project_that_goes_away_does_not_stop_the_round(bench: AsanaBench) -> None:
    gids = [await project(bench, f"project {n}") for n in range(3)]
    last = await task(bench, projects=[gids[2]])
    first = await bench.endpoint.page("tasks", None)
    await bench.sandbox.act("DELETE", f"/projects/{gids[1]}")
    found, _ = await read_all(bench.endpoint, "tasks", first.cursor)
    assert last.id in {one.id for one in found}


async def test_an_expired_offset_begins_its_list_again() -> None:
    bench = await AsanaBench.open()
    for n in range(7):
        await task(bench, name=f"number {n}")
    first = await bench.endpoint.page("tasks", None)
    bench.system._offsets.clear()
    found, _ = await read_all(bench.endpoint, "tasks", first.cursor)
    assert len({one.id for one in found}) == 8
    await bench.close()


async def test_an_offset_that_always_expires_is_given_up() -> None:
    bench = await AsanaBench.open()
    bench.system.offset_life = -1.0
    for n in range(7):
        await task(bench, name=f"number {n}")
    with pytest.raises(Refused, match="expired"):
        await read_all(bench.endpoint, "tasks")
    await bench.close()


async def test_a_task_moves_between_projects_and_is_never_in_none(bench: AsanaBench) -> None:
    base = await task(bench)
    gid = await project(bench, "other")
    bench.forget_us()
    moved = await bench.endpoint.update("tasks", base, {"projects.gid": gid})
    assert [one["gid"] for one in moved.record["projects"]] == [gid]
    assert [one.request["path"].rpartition("/")[2] for one in bench.sandbox.truth[-2:]] == [
        "addProject",
        "removeProject",
    ]


async def test_a_move_that_breaks_in_the_middle_is_unsure(bench: AsanaBench) -> None:
    base = await task(bench)
    gid = await project(bench, "other")
    bench.sandbox.fault("status", path="*/removeProject", status=429)
    with pytest.raises(Unsure):
        await bench.endpoint.update("tasks", base, {"projects": [gid]})


async def test_a_task_without_a_project_in_scope_is_not_created(bench: AsanaBench) -> None:
    with pytest.raises(Refused) as refused:
        await bench.endpoint.create("tasks", {"name": "homeless"}, "m")
    assert "projects" in refused.value.fields


async def test_only_the_projects_in_scope_are_read_and_written() -> None:
    bench = await AsanaBench.open()
    inside = await project(bench, "inside")
    scope = _scoped(bench, projects=inside)
    ours, theirs = await task(bench, projects=[inside]), await task(bench)
    found, _ = await read_all(scope, "tasks")
    assert {one.id for one in found} == {ours.id}
    made = await scope.create("tasks", {"name": "new"}, "m")
    assert [one["gid"] for one in made.record["projects"]] == [inside]
    with pytest.raises(Refused, match="out of scope"):
        await scope.create("tasks", {"name": "new", "projects": [bench.project]}, "m")
    assert theirs.id not in {one.id for one in found}
    await scope.close()
    await bench.close()


async def test_a_project_in_scope_that_is_not_there_is_refused() -> None:
    bench = await AsanaBench.open()
    scope = _scoped(bench, projects=["999"])
    with pytest.raises(Refused, match="404"):
        await scope.page("tasks", None)
    await scope.close()
    await bench.close()


async def test_tasks_of_an_assignee_are_read_too(bench: AsanaBench) -> None:
    kari = next(row.record["gid"] for row in bench.system.tables["user"].rows() if "Kari" in row.record["name"])
    body = {"data": {"name": "alone", "workspace": bench.system.organization, "assignee": kari}}
    alone = (await bench.sandbox.act("POST", "/tasks", body))["data"]["gid"]
    scope = _scoped(bench, assignees=[kari])
    found, _ = await read_all(scope, "tasks")
    assert alone in {one.id for one in found}
    await scope.close()


# workspaces, teams, projects


async def test_a_workspace_is_renamed_only_if_allowed_and_never_created(bench: AsanaBench) -> None:
    workspace = await bench.endpoint.read("workspaces", bench.system.organization)
    with pytest.raises(Refused, match="rename_workspaces"):
        await bench.endpoint.update("workspaces", workspace, {"name": "Annet AS"})
    with pytest.raises(Refused):
        await bench.endpoint.create("workspaces", {"name": "Annet AS"}, "m")
    allowed = _scoped(bench, rename_workspaces=True)
    assert (await allowed.update("workspaces", workspace, {"name": "Annet AS"})).record["name"] == "Annet AS"
    with pytest.raises(Stale):
        await allowed.update("workspaces", long_ago(workspace), {"name": "Tredje AS"})
    await allowed.close()


async def test_teams_are_created_marked_and_never_deleted(bench: AsanaBench) -> None:
    made = await bench.endpoint.create("teams", {"name": "Salg", "description": "Nordland"}, "f|a.b:1")
    assert (made.record["description"], made.marker) == ("Nordland", "f|a.b:1")
    assert [one.id for one in await bench.endpoint.find("teams", "f|a.b:1", 0)] == [made.id]
    changed = await bench.endpoint.update("teams", made, {"description": "Troms"})
    assert (changed.record["description"], changed.marker) == ("Troms", "f|a.b:1")
    with pytest.raises(Refused):
        await bench.endpoint.remove("teams", made, "delete")


async def test_projects_are_created_changed_and_archived(bench: AsanaBench) -> None:
    wanted = {"name": "Nytt tak", "team.gid": bench.system.team, "due_on": "2026-09-01"}
    made = await bench.endpoint.create("projects", wanted, "f|a.b:1")
    assert (made.record["team"]["gid"], made.marker) == (bench.system.team, "f|a.b:1")
    started = await bench.endpoint.update("projects", made, {"start_on": "2026-08-01"})
    assert started.record["start_on"] == "2026-08-01"
    await bench.endpoint.remove("projects", started, "archive")
    assert (await bench.endpoint.read("projects", made.id)).record["archived"] is True


@pytest.mark.parametrize("type", ["workspaces", "teams", "projects"])
async def test_types_without_a_filter_bring_everything_every_round(bench: AsanaBench, type: str) -> None:
    assert bench.endpoint.traits()[type].changes == "list"
    first, cursor = await read_all(bench.endpoint, type)
    again, _ = await read_all(bench.endpoint, type, cursor)
    assert [one.id for one in first] == [one.id for one in again]


async def test_several_workspaces_need_a_setting(bench: AsanaBench) -> None:
    unset = _scoped(bench, workspace=None)
    with pytest.raises(Refused, match="Fjordbygg AS"):
        await unset.page("tasks", None)
    await unset.close()


async def test_too_many_calls_are_a_pause(bench: AsanaBench) -> None:
    bench.sandbox.fault("status", status=429, retry_after="30", count=1)
    with pytest.raises(Retry) as retry:
        await bench.endpoint.page("projects", None)
    assert retry.value.after == 30.0


def test_refusals_name_their_fields() -> None:
    body = {"errors": [{"message": "due_on: Not a valid day"}, {"message": "Something: else is wrong"}, {"help": "x"}]}
    said, fields = complaint(body)
    assert said == "due_on: Not a valid day; Something: else is wrong"
    assert fields["due_on"] == "Not a valid day"
    for odd in (None, [], "x", {"errors": 5}, {"errors": ["x"]}):
        assert complaint(odd) == ("", {})


def _scoped(bench: AsanaBench, **settings: Any) -> Any:
    given = {"url": bench.sandbox.url, "token": bench.sandbox.token, "workspace": bench.system.organization, **settings}
    return open_endpoint("a", "asana", {name: value for name, value in given.items() if value is not None}, Path())
