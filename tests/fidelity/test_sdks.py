"""Programs that others wrote against the vendors work against our sandboxes: they know nothing of us, nor we of them.

``asana`` is Asana's own client, generated from its OpenAPI file; ``py-trello`` has been used against Trello for years.
Both wait for answers in their own thread, so that a script runs in one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asana
import pytest
import requests
from asana.rest import ApiException
from trello import ResourceUnavailable, TrelloClient, Unauthorized

from connectors.sandbox.run import Sandbox, serve
from connectors.sandbox.trello_door import KEY


@pytest.fixture(params=["asana", "trello"])
async def box(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    box = await serve(request.param, count=7)
    yield box
    await box.close()


def asana_client(box: Sandbox, token: str) -> asana.ApiClient:
    settings = asana.Configuration()
    settings.host = box.url
    settings.access_token = token
    settings.page_limit = 3  # so that there are pages
    return asana.ApiClient(settings)


def ops(box: Sandbox) -> list[tuple[str, str]]:
    return [(one.op, one.type) for one in box.truth]


@pytest.mark.parametrize("box", ["asana"], indirect=True)
async def test_asana_s_own_client(box: Sandbox) -> None:
    await asyncio.to_thread(with_asana, asana_client(box, box.token))
    assert ops(box) == [
        *[("create", "team"), ("update", "team")],
        *[("create", "project"), ("update", "project"), ("create", "task"), ("update", "task")],
        *[("update", "task"), ("update", "task"), ("delete", "task"), ("delete", "project")],
    ]


def with_asana(client: asana.ApiClient) -> None:
    workspaces, teams = asana.WorkspacesApi(client), asana.TeamsApi(client)
    projects, tasks = asana.ProjectsApi(client), asana.TasksApi(client)

    [home, private] = workspaces.get_workspaces({"opt_fields": "name,is_organization"})
    assert (home["is_organization"], private["is_organization"]) == (True, False)
    assert workspaces.get_workspace(home["gid"], {})["name"] == home["name"]

    team = teams.create_team({"data": {"name": "Tak", "organization": home["gid"]}}, {})
    teams.update_team({"data": {"name": "Tak og vegg"}}, team["gid"], {})
    assert "Tak og vegg" in [each["name"] for each in teams.get_teams_for_workspace(home["gid"], {})]

    body = {"name": "Nytt tak", "workspace": home["gid"], "team": team["gid"], "due_on": "2026-12-01"}
    project = projects.create_project({"data": body}, {})
    projects.update_project({"data": {"notes": "Ærlig talt"}}, project["gid"], {})
    shown = projects.get_project(project["gid"], {"opt_fields": "name,notes,due_on,archived,modified_at"})
    assert (shown["name"], shown["notes"], shown["due_on"], shown["archived"]) == (
        "Nytt tak",
        "Ærlig talt",
        "2026-12-01",
        False,
    )
    listed = list(projects.get_projects({"workspace": home["gid"], "opt_fields": "name"}))
    assert project["gid"] in [each["gid"] for each in listed]

    task = tasks.create_task({"data": {"name": "Mål opp", "projects": [project["gid"]]}}, {})
    tasks.update_task({"data": {"completed": True, "due_on": "2026-11-30"}}, task["gid"], {})
    shown = tasks.get_task(task["gid"], {"opt_fields": "completed,completed_at,due_on"})
    assert shown["completed"]
    assert shown["completed_at"].endswith("Z")
    other = listed[0]["gid"]
    tasks.add_project_for_task({"data": {"project": other}}, task["gid"])
    found = list(tasks.get_tasks({"project": other, "opt_fields": "name"}))
    assert len(found) > 3  # more than one page
    assert task["gid"] in [each["gid"] for each in found]
    assert len({each["gid"] for each in found}) == len(found)
    since = {"project": project["gid"], "modified_since": "2026-01-01T00:00:00.000Z", "opt_fields": "name"}
    assert [each["name"] for each in tasks.get_tasks(since)] == ["Mål opp"]
    tasks.remove_project_for_task({"data": {"project": other}}, task["gid"])

    tasks.delete_task(task["gid"])
    with pytest.raises(ApiException) as gone:
        tasks.get_task(task["gid"], {})
    assert gone.value.status == 404
    with pytest.raises(ApiException) as refused:
        tasks.create_task({"data": {"name": "ingensteds"}}, {})
    assert refused.value.status == 400
    projects.delete_project(project["gid"])


@pytest.mark.parametrize("box", ["asana"], indirect=True)
async def test_asana_s_own_client_with_a_wrong_token(box: Sandbox) -> None:
    def script() -> None:
        with pytest.raises(ApiException) as refused:
            list(asana.WorkspacesApi(asana_client(box, "wrong")).get_workspaces({}))
        assert refused.value.status == 401

    await asyncio.to_thread(script)


class Elsewhere(requests.Session):
    """Calls a sandbox where the client names the vendor, whose address it has fixed."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.trust_env = False
        self._url = url

    def request(self, method: str, url: str, *given: Any, **named: Any) -> requests.Response:  # type: ignore[override]
        head = "https://api.trello.com/1"
        assert url.startswith(head)
        return super().request(method, self._url + url.removeprefix(head), *given, **named)


@pytest.mark.parametrize("box", ["trello"], indirect=True)
async def test_py_trello(box: Sandbox) -> None:
    with Elsewhere(box.url) as session:
        await asyncio.to_thread(with_trello, TrelloClient(KEY, box.token, http_service=session))
    assert ops(box) == [
        *[("create", "organization"), ("create", "card")],
        *[("update", "card")] * 4,
        *[("create", "action"), ("update", "action"), ("delete", "action"), ("delete", "card")],
    ]


def with_trello(client: TrelloClient) -> None:
    made = client.add_organization("Bodø Fisk AS", "Fersk", "bodofisk")
    assert client.get_organization("bodofisk").id == made.id
    assert made.id in [each.id for each in client.list_organizations()]

    boards = client.list_boards()
    board = next(each for each in boards if each.all_cards())
    assert client.get_board(board.id).name == board.name
    assert client.get_organization("fjordbygg").all_boards()
    todo, doing, *_ = board.open_lists()

    due = datetime(2026, 12, 1, 9, tzinfo=UTC)
    card = todo.add_card("Mål opp", "på taket", due=due.isoformat())
    card = client.get_card(card.id)
    assert (card.name, card.description, card.due_date) == ("Mål opp", "på taket", due)
    assert card.id in [each.id for each in todo.list_cards()]
    card.set_name("Mål opp taket")
    card.set_due_complete()
    card.change_list(doing.id)
    card.set_closed(True)
    card = client.get_card(card.id)
    assert (card.name, card.is_due_complete, card.idList, card.closed) == ("Mål opp taket", True, doing.id, True)
    assert card.id in [each.id for each in board.closed_cards()]

    comment = card.comment("Ferdig")
    card.update_comment(comment["id"], "Nesten")
    assert [each["data"]["text"] for each in card.get_comments()] == ["Nesten"]
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    kinds = [each["type"] for each in board.fetch_actions("createCard,updateCard,commentCard", 100, since=since)]
    assert kinds[0] == "commentCard"
    assert "createCard" in kinds
    card.delete_comment(comment)
    card.delete()
    with pytest.raises(ResourceUnavailable):
        client.get_card(card.id)


@pytest.mark.parametrize("box", ["trello"], indirect=True)
async def test_py_trello_with_a_wrong_token(box: Sandbox) -> None:
    with Elsewhere(box.url) as session:
        client = TrelloClient(KEY, "wrong", http_service=session)
        with pytest.raises(Unauthorized):
            await asyncio.to_thread(client.list_boards)
