"""What is particular to Trello: slugs, feeds, comments that others sign, people, plain text, and three budgets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.endpoint import Entity
from connectors.errors import BadAnswer, Missing, Refused, Retry, Stale, Unsure
from connectors.marks import long, short
from connectors.opening import open_endpoint
from connectors.sandbox.run import serve
from connectors.sandbox.server import LINKSTREAM
from connectors.sandbox.trello_door import KEY
from connectors.trello_records import LONGEST, opened, signed, sorted_out
from connectors.trello_writes import complaint, is_slug_of, judge, pause, slug
from connectors.verdicts import Verdict
from connectors.wire import Request
from tests.connectors.benches import HERE, TrelloBench
from tests.connectors.contract import long_ago, read_all

MARKER = "custompms.task~trello.cards|custompms.task:1001"


@pytest.fixture
async def bench() -> AsyncIterator[TrelloBench]:
    bench = await TrelloBench.open()
    yield bench
    await bench.close()


def at(bench: TrelloBench, seconds: float) -> None:
    """Move every clock."""
    world, endpoint = bench.sandbox.world, bench.endpoint
    clock = world.clock
    world.clock = world.date = lambda: clock() + round(seconds * 1_000_000)
    lists: Any = endpoint._lists  # type: ignore[attr-defined]
    now = lists.now
    lists.now = lambda: now() + seconds


async def card(bench: TrelloBench, **fields: Any) -> Entity:
    made = await bench.sandbox.act("POST", "/cards", {"name": "one", "idList": bench.system.list, **fields})
    return await bench.endpoint.read("cards", made["id"])


def scoped_to(bench: TrelloBench, **settings: Any) -> Any:
    return open_endpoint("t", "trello", {"url": bench.sandbox.url, **bench.sandbox.secrets(), **settings}, HERE)


# slugs


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Tromsø Bygg AS", "tromsobyggas"),
        ("Ærlig & Sønner", "aerligsonner"),
        ("fjord_bygg2", "fjord_bygg2"),
        ("Café Blå", "cafebla"),
        ("株式会社", ""),
    ],
)
def test_a_name_becomes_a_slug_that_the_server_has_no_reason_to_rewrite(name: str, made: str) -> None:
    assert slug(name) == made
    assert slug(slug(name)) == slug(name)


@pytest.mark.parametrize(
    ("held", "wanted", "same"),
    [
        ("tromsobyggas", "Tromsø Bygg AS", True),
        ("tromsobyggas1", "Tromsø Bygg AS", True),
        ("tromsobyggasx", "Tromsø Bygg AS", False),
        (None, "Tromsø Bygg AS", False),
    ],
)
def test_names_are_compared_as_slugs(held: Any, wanted: str, same: bool) -> None:
    assert is_slug_of(held, wanted) is same


async def test_a_name_that_stands_already_is_not_written_again(bench: TrelloBench) -> None:
    made = await bench.endpoint.create("organizations", {"displayName": "Bodø Fisk AS", "name": "Bodø Fisk AS"}, MARKER)
    assert made.record["name"] == "bodofiskas"
    bench.sandbox.world.requests.clear()
    again = await bench.endpoint.update("organizations", made, {"name": "BODØ FISK AS"})
    assert again.record["name"] == "bodofiskas"
    assert not any(call.startswith("PUT") for call in bench.sandbox.world.requests)
    other = await bench.endpoint.update("organizations", made, {"name": "Bodø Fisk og Vilt"})
    assert other.record["name"] == "bodofiskogvilt"


async def test_a_name_that_is_taken_or_too_short_is_refused_by_field(bench: TrelloBench) -> None:
    made = await bench.endpoint.create("organizations", {"displayName": "Ny"}, MARKER)
    for name in ("Fjordbygg", "Å", "株式会社"):
        with pytest.raises(Refused) as refused:
            await bench.endpoint.update("organizations", made, {"name": name})
        assert set(refused.value.fields) == {"name"}


async def test_the_slug_of_a_new_workspace_is_its_marker(bench: TrelloBench) -> None:
    marker = "custompms.customer~trello.organizations|custompms.customer:1001"
    made = await bench.endpoint.create(
        "organizations", {"displayName": " Førde Rør ", "website": "https://r.no"}, marker
    )
    assert (made.marker, made.record["displayName"]) == (marker, "Førde Rør")
    assert "name" not in made.record
    assert [one.id for one in await bench.endpoint.find("organizations", marker, 0)] == [made.id]
    assert await bench.endpoint.find("organizations", "f|a.b:2", 0) == ()
    changed = await bench.endpoint.update("organizations", made, {"desc": "x"})
    assert changed.marker == marker


async def test_a_workspace_that_was_created_before_is_not_taken_for_a_new_one(bench: TrelloBench) -> None:
    await bench.endpoint.create("organizations", {"displayName": "Ny"}, MARKER)
    with pytest.raises(Unsure, match="earlier create"):
        await bench.endpoint.create("organizations", {"displayName": "Ny"}, MARKER)


async def test_a_create_that_breaks_after_its_first_half_is_unsure_and_found(bench: TrelloBench) -> None:
    bench.sandbox.fault("status", method="PUT", status=500)
    with pytest.raises(Unsure):
        await bench.endpoint.create("organizations", {"displayName": "Ny", "name": "Ny kunde"}, MARKER)
    with pytest.raises(Unsure):
        await bench.endpoint.create("cards", {"name": "x", "closed": True, **bench.needed}, MARKER)
    bench.heal()
    assert len(await bench.endpoint.find("organizations", MARKER, 0)) == 1
    assert len(await bench.endpoint.find("cards", MARKER, 0)) == 1


async def test_workspaces_are_listed_whole_and_deleted_only_if_allowed(bench: TrelloBench) -> None:
    found, _ = await read_all(bench.endpoint, "organizations")
    assert [one.record["name"] for one in found] == ["fjordbygg"]
    with pytest.raises(Refused, match="delete_organizations"):
        await bench.endpoint.remove("organizations", found[0], "delete")
    bench.resize(delete_organizations=True)
    await bench.endpoint.remove("organizations", found[0], "delete")
    with pytest.raises(Missing):
        await bench.endpoint.read("organizations", found[0].id)


@pytest.mark.parametrize("website", ["www.example.no", "ftp://x"])
async def test_a_website_needs_its_scheme(bench: TrelloBench, website: str) -> None:
    with pytest.raises(Refused) as refused:
        await bench.endpoint.create("organizations", {"displayName": "x", "website": website}, "m")
    assert set(refused.value.fields) == {"website"}


# people


async def test_a_person_is_read_but_not_written(bench: TrelloBench) -> None:
    found, _ = await read_all(bench.endpoint, "members")
    kari = next(one for one in found if one.record["fullName"] == "Kari Nordmann")
    assert "email" not in kari.record
    with pytest.raises(Refused) as refused:
        await bench.endpoint.update("members", kari, {"fullName": "Kari N", "email": "k@n.no"})
    assert set(refused.value.fields) == {"fullName", "email"}
    assert all(why.startswith("read-only") for why in refused.value.fields.values())
    assert bench.sandbox.truth == []


async def test_people_are_invited_only_if_allowed(bench: TrelloBench) -> None:
    wanted = {"email": "ola@fjordbygg.example", "fullName": "Ola Nordmann"}
    with pytest.raises(Refused, match="invite: true"):
        await bench.endpoint.create("members", wanted, MARKER)
    assert bench.sandbox.truth == []
    bench.resize(invite=True)
    made = await bench.endpoint.create("members", wanted, MARKER)
    assert (made.record["fullName"], made.record["confirmed"]) == ("Ola Nordmann", False)
    assert (await bench.endpoint.read("members", made.id)).record["fullName"] == "Ola Nordmann"


async def test_who_is_there_is_linked_and_not_invited(bench: TrelloBench) -> None:
    me = bench.system.people["linkstream"]
    wanted = {"email": " LINKSTREAM@fjordbygg.example", "fullName": "Linkstream"}
    assert (await bench.endpoint.create("members", wanted, MARKER)).id == me
    assert bench.sandbox.truth == []


async def test_a_membership_ends_only_if_allowed_and_the_account_stays(bench: TrelloBench) -> None:
    kari = await bench.endpoint.read("members", bench.system.people["Kari Nordmann"])
    with pytest.raises(Refused, match="remove_members"):
        await bench.endpoint.remove("members", kari, "delete")
    bench.resize(remove_members=True)
    await bench.endpoint.remove("members", kari, "delete")
    with pytest.raises(Missing):
        await bench.endpoint.read("members", kari.id)
    assert bench.system.tables["member"].get(kari.id) is not None


async def test_members_are_never_asked_for_one_by_one(bench: TrelloBench) -> None:
    found, _ = await read_all(bench.endpoint, "members")
    for one in found:
        await bench.endpoint.read("members", one.id)
    for _ in range(5):
        await read_all(bench.endpoint, "cards")
    asked = [call for call in bench.sandbox.world.requests if "/1/members/" in call]
    assert set(asked) == {"GET /1/members/me/organizations", "GET /1/members/me/boards"}
    assert all(bench.sandbox.world.requests[call] == 1 for call in asked)


# comments


@settings(deadline=None)
@given(st.none() | st.text(), st.text(), st.from_regex(r"[\w.~-]+\|[\w.]+:[\w.:|~ %-]+", fullmatch=True))
def test_a_comment_goes_together_and_apart(opening: str | None, text: str, marker: str) -> None:
    first, body, found = opened(signed(opening, text, marker))
    assert (body, found) == (text, marker)
    assert (first or "") == " ".join((opening or "").split())


@settings(deadline=None)
@given(st.text())
def test_a_comment_without_a_marker_is_all_the_persons(text: str) -> None:
    if "ref: " not in text:
        assert opened(text) == (None, text, None)


async def test_a_new_comment_says_who_wrote_it_and_when(bench: TrelloBench) -> None:
    home = await card(bench)
    kari = bench.system.people["Kari Nordmann"]
    wanted = {"data.text": "Ferdig: nå", "data.card.id": home.id, "date": "2026-11-03T10:15:00.000Z"}
    made = await bench.endpoint.create("actions", {**wanted, "memberCreator.id": kari}, MARKER)
    (sent,) = [body for body in bench.bodies() if "text" in body]
    assert sent["text"] == f"Kari Nordmann, 2026-11-03 10:15 UTC:\nFerdig: nå\nref: {MARKER}"
    assert (made.record["data"]["text"], made.marker) == ("Ferdig: nå", MARKER)
    assert [one.id for one in await bench.endpoint.find("actions", MARKER, made.updated_at or 0)] == [made.id]
    changed = await bench.endpoint.update("actions", made, {"data.text": "Ferdig"})
    assert (changed.record["data"]["text"], changed.marker) == ("Ferdig", MARKER)
    assert bench.bodies()[-1]["text"].startswith("Kari Nordmann, 2026-11-03 10:15 UTC:\n")


@pytest.mark.parametrize("path", ["date", "memberCreator.id", "data.card.id", "data.board.id"])
async def test_what_a_comment_cannot_change_is_refused_by_field(bench: TrelloBench, path: str) -> None:
    home = await card(bench)
    made = await bench.endpoint.create("actions", {"data.text": "x", "data.card.id": home.id}, MARKER)
    bench.forget_us()
    with pytest.raises(Refused) as refused:
        await bench.endpoint.update("actions", made, {"data.text": "y", path: "5"})
    assert list(refused.value.fields) == [path]
    assert refused.value.fields[path].startswith("read-only")
    assert bench.sent() == []


@pytest.mark.parametrize(("card_id", "said"), [("7", "is no id"), ("a" * 24, "no such card")])
async def test_a_comment_without_its_card_is_refused(bench: TrelloBench, card_id: Any, said: str) -> None:
    with pytest.raises(Refused) as refused:
        await bench.endpoint.create("actions", {"data.text": "x", "data.card.id": card_id}, MARKER)
    assert said in refused.value.fields["data.card.id"]


async def test_a_comment_that_names_no_card_goes_to_the_configured_one(bench: TrelloBench) -> None:
    made = await bench.endpoint.create("actions", {"data.text": "x"}, MARKER)
    assert made.record["data"]["card"]["id"] == bench.system.card
    bench.resize(card=None)
    with pytest.raises(Refused) as refused:
        await bench.endpoint.create("actions", {"data.text": "x"}, MARKER)
    assert "is missing" in refused.value.fields["data.card.id"]


async def test_the_board_of_a_comment_is_left_out_by_name(bench: TrelloBench) -> None:
    home = await card(bench)
    wanted = {"data.text": "x", "data.card.id": home.id, "data.board.id": home.record["idBoard"]}
    with pytest.raises(Refused) as refused:
        await bench.endpoint.create("actions", wanted, MARKER)
    assert set(refused.value.fields) == {"data.board.id"}


async def test_only_comments_are_changed_or_deleted(bench: TrelloBench) -> None:
    bench.resize(actions=("createCard",), size=100)
    found, _ = await read_all(bench.endpoint, "actions")
    with pytest.raises(Refused):
        await bench.endpoint.update("actions", found[0], {"data.text": "x"})
    with pytest.raises(Refused):
        await bench.endpoint.remove("actions", found[0], "delete")


async def test_an_edited_comment_is_read_again_within_the_hour(bench: TrelloBench) -> None:
    home = await card(bench)
    ids = [await bench.comment(home.id, f"number {n}") for n in range(7)]
    found, cursor = await read_all(bench.endpoint, "actions")
    assert [one.id for one in found if one.id in ids] == ids[::-1]
    at(bench, 600)
    await bench.sandbox.act("PUT", f"/actions/{ids[0]}", {"text": "rettet"})
    _, cursor = await read_all(bench.endpoint, "actions", cursor)
    found, cursor = await read_all(bench.endpoint, "actions", cursor)
    assert found == []  # the feed never tells
    at(bench, 3_600)
    found, cursor = await read_all(bench.endpoint, "actions", cursor)
    edited = next(one for one in found if one.id == ids[0])
    assert edited.record["data"]["text"] == "rettet"
    assert (edited.updated_at or 0) > min(one.updated_at or 0 for one in found)


# cards and feeds


async def test_a_deleted_card_is_gone_because_the_feed_says_so(bench: TrelloBench) -> None:
    one, two = await card(bench), await card(bench)
    _, cursor = await read_all(bench.endpoint, "cards")
    await bench.edit(two.id, "name", "to")
    await bench.drop(one.id)
    bench.resize(size=100)
    page = await bench.endpoint.page("cards", cursor)
    assert page.gone == (one.id,)
    assert two.id in {each.id for each in page.entities}
    assert one.id not in {each.id for each in page.entities}


async def test_a_quiet_board_is_not_read(bench: TrelloBench) -> None:
    _, cursor = await read_all(bench.endpoint, "cards")
    at(bench, 600)
    _, cursor = await read_all(bench.endpoint, "cards", cursor)
    path = f"GET /1/boards/{bench.system.board}/actions"
    bench.sandbox.world.requests.clear()
    _, cursor = await read_all(bench.endpoint, "cards", cursor)
    assert bench.sandbox.world.requests[path] == 0
    await card(bench)
    found, _ = await read_all(bench.endpoint, "cards", cursor)
    assert len(found) == 1
    assert bench.sandbox.world.requests[path] > 0


async def test_boards_are_listed_once_for_a_round_of_cards_and_one_of_actions(bench: TrelloBench) -> None:
    asked = lambda: sum(n for call, n in bench.sandbox.world.requests.items() if call.endswith("/boards"))  # noqa: E731
    one = await card(bench)
    _, of_cards = await read_all(bench.endpoint, "cards")
    before = asked()
    _, of_actions = await read_all(bench.endpoint, "actions")
    assert asked() == before
    _, of_actions = await read_all(bench.endpoint, "actions", of_actions)
    assert asked() == before + 1, "a list serves one round"
    _, of_cards = await read_all(bench.endpoint, "cards", of_cards)
    assert asked() == before + 1
    at(bench, 600)
    _, of_cards = await read_all(bench.endpoint, "cards", of_cards)
    await bench.comment(one.id, "hei")
    at(bench, 3)
    before = asked()
    found, of_actions = await read_all(bench.endpoint, "actions", of_actions)
    assert asked() > before, "a list that is older than a moment serves nobody"
    assert [each.record["data"]["text"] for each in found] == ["hei"]


async def test_what_happens_after_a_shared_list_of_boards_is_seen_in_the_next_round(bench: TrelloBench) -> None:
    one = await card(bench)
    _, of_cards = await read_all(bench.endpoint, "cards")
    _, of_actions = await read_all(bench.endpoint, "actions")
    at(bench, 600)
    _, of_actions = await read_all(bench.endpoint, "actions", of_actions)
    at(bench, 600)
    await read_all(bench.endpoint, "cards", of_cards)
    await bench.comment(one.id, "hei")
    first, of_actions = await read_all(bench.endpoint, "actions", of_actions)
    second, _ = await read_all(bench.endpoint, "actions", of_actions)
    assert "hei" in [each.record["data"]["text"] for each in (*first, *second)]


async def test_all_cards_are_listed_once_a_day(bench: TrelloBench) -> None:
    ids = {(await card(bench)).id for _ in range(7)}
    _, cursor = await read_all(bench.endpoint, "cards")
    at(bench, 3_600)
    _, cursor = await read_all(bench.endpoint, "cards", cursor)
    found, cursor = await read_all(bench.endpoint, "cards", cursor)
    assert found == []
    at(bench, 86_400)
    found, cursor = await read_all(bench.endpoint, "cards", cursor)
    assert ids <= {one.id for one in found}
    at(bench, 600)
    found, _ = await read_all(bench.endpoint, "cards", cursor)
    assert found == []


async def test_a_feed_that_lags_loses_nothing(bench: TrelloBench) -> None:
    bench.system.lag = 60.0
    _, cursor = await read_all(bench.endpoint, "cards")
    late = await card(bench)
    at(bench, 30)
    seen: set[str] = set()
    for _ in range(4):
        found, cursor = await read_all(bench.endpoint, "cards", cursor)
        seen |= {one.id for one in found}
        at(bench, 30)
    assert late.id in seen


async def test_a_board_that_appears_is_read_whole_and_one_that_goes_away_stops_nothing(bench: TrelloBench) -> None:
    _, cursor = await read_all(bench.endpoint, "cards")
    boards = [bench.system.add_board(f"Tavle {n}", bench.sandbox.world.now() - 10**12) for n in range(2)]
    old = {"name": "gammel", "idList": bench.system._lists_of(boards[0])[0]}
    bench.system._add_card(old, bench.sandbox.world.now() - 10**12, bench.system.people["reader"])
    page = await bench.endpoint.page("cards", cursor)
    found = list(page.entities)
    await bench.sandbox.act("DELETE", f"/boards/{boards[1]}")
    rest, _ = await read_all(bench.endpoint, "cards", page.cursor)
    assert "gammel" in {one.record["name"] for one in (*found, *rest)}


async def test_a_board_in_scope_that_is_not_there_is_told(bench: TrelloBench) -> None:
    scoped = scoped_to(bench, boards="a" * 24)
    with pytest.raises((Missing, Refused), match="404"):
        await scoped.page("cards", None)
    await scoped.close()


async def test_only_the_boards_and_workspaces_in_scope_are_read(bench: TrelloBench) -> None:
    other = bench.system.add_board("Annen", bench.sandbox.world.now())
    scoped = scoped_to(bench, boards=other)
    assert (await read_all(scoped, "cards"))[0] == []
    made = await scoped.create("cards", {"name": "ny"}, MARKER)
    assert made.record["idBoard"] == other
    assert [one.id for one in (await read_all(scoped, "cards"))[0]] == [made.id]
    await scoped.close()
    named = scoped_to(bench, organizations=["fjordbygg"])
    assert made.id in {one.id for one in (await read_all(named, "cards"))[0]}
    assert len((await read_all(named, "members"))[0]) == len(bench.system.people)
    assert [one.record["name"] for one in (await read_all(named, "organizations"))[0]] == ["fjordbygg"]
    await named.close()


async def test_a_list_that_is_too_large_is_asked_for_in_smaller_pages(bench: TrelloBench) -> None:
    ids = {(await card(bench)).id for _ in range(5)}
    bench.resize(size=1000)
    bench.system.large = 100
    for n in range(120):
        bench.system._add_card({"name": f"{n}", "idList": bench.system.list}, bench.sandbox.world.now(), "")
    found, _ = await read_all(bench.endpoint, "cards")
    assert ids <= {one.id for one in found}
    assert len({one.id for one in found}) == 127


async def test_touched_cards_are_fetched_ten_at_a_time(bench: TrelloBench) -> None:
    bench.resize(size=100)
    ids = [(await card(bench)).id for _ in range(25)]
    _, cursor = await read_all(bench.endpoint, "cards")
    for id in ids:
        await bench.edit(id, "name", "nytt")
    bench.sandbox.world.requests.clear()
    found, _ = await read_all(bench.endpoint, "cards", cursor)
    assert {one.id for one in found} >= set(ids)
    assert bench.sandbox.world.requests["GET /1/batch"] == 3


def fetched(bench: TrelloBench) -> list[str]:
    """Which cards were fetched because of the feed, in all batches since the last ``clear``."""
    asked = [one.query["urls"] for one in bench.sandbox.world.exchanges or () if one.path.endswith("/batch")]
    return [url.removeprefix("/cards/") for urls in asked for url in urls.split(",")]


def forget(bench: TrelloBench) -> None:
    assert bench.sandbox.world.exchanges is not None
    bench.sandbox.world.exchanges.clear()


async def test_a_card_is_fetched_once_for_what_happened_to_it(bench: TrelloBench) -> None:
    """The overlap is read again and again; what it tells is known."""
    one = await card(bench)
    _, cursor = await read_all(bench.endpoint, "cards")
    await bench.edit(one.id, "name", "to")
    found, cursor = await read_all(bench.endpoint, "cards", cursor)
    assert one.id in {each.id for each in found}
    forget(bench)
    found, cursor = await read_all(bench.endpoint, "cards", cursor)
    assert (found, fetched(bench)) == ([], [])
    await bench.edit(one.id, "name", "tre")
    found, cursor = await read_all(bench.endpoint, "cards", cursor)
    assert [each.record["name"] for each in found] == ["tre"]


async def test_what_a_page_fetched_is_fetched_again_if_the_page_was_not_kept(bench: TrelloBench) -> None:
    one = await card(bench)
    _, cursor = await read_all(bench.endpoint, "cards")
    await bench.edit(one.id, "name", "to")
    for _ in range(3):
        page = await bench.endpoint.page("cards", cursor)
        assert one.id in {each.id for each in page.entities}


async def test_a_card_is_not_fetched_for_our_own_write_unless_more_happened_to_it(bench: TrelloBench) -> None:
    one = await card(bench)
    _, cursor = await read_all(bench.endpoint, "cards")
    at(bench, 600)
    _, cursor = await read_all(bench.endpoint, "cards", cursor)
    forget(bench)
    made = await bench.endpoint.create("cards", {"name": "vår", "idList": bench.system.list}, MARKER)
    await bench.endpoint.update("cards", await bench.endpoint.read("cards", one.id), {"name": "vårt"})
    found, cursor = await read_all(bench.endpoint, "cards", cursor)
    assert (found, fetched(bench)) == ([], [])
    base = await bench.endpoint.read("cards", one.id)
    at(bench, 0.01)
    await bench.edit(one.id, "due", "2026-11-24T12:00:00.000Z")  # somebody is faster than our write
    at(bench, 0.01)
    await bench.endpoint.update("cards", base, {"name": "nytt"})
    at(bench, 0.01)
    await bench.edit(made.id, "name", "deres")
    found, _ = await read_all(bench.endpoint, "cards", cursor)
    assert {(each.record["name"], each.record["due"]) for each in found} == {
        ("nytt", "2026-11-24T12:00:00.000Z"),
        ("deres", None),
    }


async def test_a_card_that_cannot_be_read_is_fetched_again(bench: TrelloBench) -> None:
    one = await card(bench)
    _, cursor = await read_all(bench.endpoint, "cards")
    await bench.edit(one.id, "name", "nytt")
    bench.system.tables["card"].replace(one.id, {**one.record, "desc": {"half": 1}})
    bench.resize(size=100)
    for _ in range(2):
        page = await bench.endpoint.page("cards", cursor)
        assert [each.id for each in page.rejected] == [one.id]
        cursor = page.cursor
        _, cursor = await read_all(bench.endpoint, "cards", cursor)


async def test_a_page_fetches_a_hundred_cards_and_leaves_older_news_to_the_next(bench: TrelloBench) -> None:
    bench.resize(size=1000)
    now = bench.sandbox.world.now() - 10**12
    ids = [bench.system._add_card({"name": f"{n}", "idList": bench.system.list}, now, "")["id"] for n in range(130)]
    _, cursor = await read_all(bench.endpoint, "cards")
    at(bench, 600)
    _, cursor = await read_all(bench.endpoint, "cards", cursor)
    for id in ids:
        await bench.edit(id, "name", "nytt")
    first = await bench.endpoint.page("cards", cursor)
    assert len(first.entities) == 100
    rest, _ = await read_all(bench.endpoint, "cards", first.cursor)
    assert sorted(each.id for each in (*first.entities, *rest)) == sorted(ids)


async def test_a_batch_that_is_none_is_read_one_by_one(bench: TrelloBench) -> None:
    one = await card(bench)
    _, cursor = await read_all(bench.endpoint, "cards")
    await bench.edit(one.id, "name", "nytt")
    bench.sandbox.fault("wrong-shape", path="*/batch")
    found, _ = await read_all(bench.endpoint, "cards", cursor)
    assert "nytt" in {each.record["name"] for each in found}


async def test_the_list_decides_where_a_card_is(bench: TrelloBench) -> None:
    with pytest.raises(Refused) as refused:
        await bench.endpoint.create("cards", {"name": "hjemløs"}, MARKER)
    assert set(refused.value.fields) == {"idList"}
    board = bench.system.add_board("Annen", bench.sandbox.world.now())
    made = await bench.endpoint.create("cards", {"name": "ny", "idBoard": board}, MARKER)
    assert made.record["idList"] == bench.system._lists_of(board)[0]
    bench.forget_us()
    moved = await bench.endpoint.update("cards", made, {"idBoard": bench.system.board})
    assert (moved.record["idBoard"], moved.record["idList"]) == (bench.system.board, bench.system.list)
    assert set(bench.sent()[0]) == {"idBoard", "idList"}
    bench.resize(list=bench.system.list)
    assert (await bench.endpoint.create("cards", {"name": "ny"}, "f|a.b:3")).record["idList"] == bench.system.list


async def test_archiving_can_be_undone_and_deleting_cannot(bench: TrelloBench) -> None:
    one = await card(bench)
    await bench.endpoint.remove("cards", one, "archive")
    archived = await bench.endpoint.read("cards", one.id)
    assert archived.record["closed"] is True
    assert one.id in {each.id for each in (await read_all(bench.endpoint, "cards"))[0]}
    opened_again = await bench.endpoint.update("cards", archived, {"closed": False})
    await bench.endpoint.remove("cards", opened_again, "delete")
    with pytest.raises(Missing):
        await bench.endpoint.read("cards", one.id)


async def test_a_comment_makes_no_write_on_its_card_stale(bench: TrelloBench) -> None:
    one = await card(bench)
    await bench.comment(one.id, "hei")
    assert (await bench.endpoint.update("cards", one, {"name": "to"})).record["name"] == "to"
    with pytest.raises(Stale):
        await bench.endpoint.update("cards", long_ago(one), {"due": None})


async def test_due_is_cleared_by_null_and_kept_with_its_time(bench: TrelloBench) -> None:
    one = await bench.endpoint.create("cards", {"name": "x", "due": "2026-11-03", **bench.needed}, MARKER)
    assert one.record["due"] == "2026-11-03T00:00:00.000Z"
    assert (await bench.endpoint.update("cards", one, {"due": None})).record["due"] is None


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"dateLastActivity": "2026-01-01T00:00:00Z"}, "dateLastActivity"),
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x" * (LONGEST + 1)}, "name"),
        ({"desc": "x" * 1_000_000}, "desc"),
        ({"closed": "yes"}, "closed"),
        ({"due": "soon"}, "due"),
        ({"idList": "a" * 24}, "idList"),
        ({"idMembers": ["a" * 24]}, "idMembers"),
    ],
)
async def test_what_a_card_does_not_take_is_refused_by_field(
    bench: TrelloBench, wanted: dict[str, Any], field: str
) -> None:
    one = await card(bench)
    with pytest.raises(Refused) as refused:
        await bench.endpoint.update("cards", one, wanted)
    assert set(refused.value.fields) == {field}
    assert bench.sandbox.truth[-1].op == "create"


async def test_a_text_leaves_room_for_the_marker(bench: TrelloBench) -> None:
    with pytest.raises(Refused) as refused:
        await bench.endpoint.create("cards", {"name": "x", "desc": "y" * LONGEST, **bench.needed}, MARKER)
    assert "with our mark" in refused.value.fields["desc"]


# how it is entered, and how it refuses


async def test_no_credential_is_in_an_address_and_every_call_names_itself() -> None:
    bench = await TrelloBench.open(record=True)
    one = await card(bench)
    await bench.endpoint.update("cards", one, {"name": "to"})
    await read_all(bench.endpoint, "cards")
    exchanges = list(bench.sandbox.world.exchanges or ())
    ours = [one for one in exchanges if LINKSTREAM in one.headers.get("Authorization", "")]
    assert len(ours) >= 5
    for one_of in ours:
        assert not {"key", "token"} & one_of.query.keys()
        assert KEY not in json.dumps([one_of.path, one_of.query, one_of.body.decode()])
        assert one_of.headers["X-Trello-Client-Identifier"] == "linkstream"
    await bench.close()


@pytest.mark.parametrize(
    ("method", "status", "body", "verdict"),
    [
        ("GET", 400, "invalid id", Verdict.MISSING),
        ("PUT", 400, "invalid id", None),
        ("GET", 401, "unauthorized card permission requested", Verdict.REFUSED),
        ("GET", 401, "invalid token", None),
        ("GET", 429, {"error": "API_TOO_MANY_CARDS_REQUESTED", "message": "x"}, Verdict.REFUSED),
        ("GET", 403, {"error": "API_TOO_MANY_CARDS_REQUESTED"}, Verdict.REFUSED),
        ("GET", 429, {"error": "API_TOKEN_LIMIT_EXCEEDED"}, None),
        ("PUT", 449, "", Verdict.UNSURE),
        ("GET", 500, [1], None),
    ],
)
def test_the_words_of_a_refusal_count_where_the_status_misleads(
    method: str, status: int, body: Any, verdict: Verdict | None
) -> None:
    assert judge(Request(method=method, path="/cards/1", one=True), status, body) is verdict


def test_refusals_in_plain_text_name_their_fields() -> None:
    assert complaint("invalid value for idList") == ("invalid value for idList", {"idList": "invalid value for idList"})
    assert complaint({"error": "E", "message": "m"}) == ("E: m", {})
    for odd in (None, [], 5, {"message": 5}):
        assert complaint(odd) == ("", {})


def test_a_pause_lasts_to_the_end_of_the_window_and_is_spread() -> None:
    assert (pause(429, {}, roll=0.0), pause(429, {}, roll=1.0)) == (10.0, 12.5)
    assert pause(200, {}, roll=0.5) is None
    none = {"x-rate-limit-api-token-remaining": "0", "x-rate-limit-api-token-interval-ms": "4000"}
    assert pause(200, none, roll=0.5) == 4.0
    assert pause(200, {"x-rate-limit-api-key-remaining": "0"}, roll=0.5) == 10.0
    assert pause(200, {**none, "x-rate-limit-api-token-remaining": "7"}, roll=0.5) is None


async def test_too_many_calls_stop_all_others_instead_of_adding_to_them(bench: TrelloBench) -> None:
    bench.sandbox.fault("status", status=429, count=1)
    with pytest.raises(Retry) as retry:
        await bench.endpoint.page("organizations", None)
    assert 10.0 <= (retry.value.after or 0) <= 12.5
    asked = bench.sandbox.world.requests.total()
    for _ in range(50):
        with pytest.raises(Retry):
            await bench.endpoint.page("cards", None)
    assert bench.sandbox.world.requests.total() == asked


async def test_the_last_call_of_a_window_is_noticed() -> None:
    sandbox = await serve("trello", limit=(2, 10))
    endpoint = open_endpoint("t", "trello", {**sandbox.settings(), **sandbox.secrets()}, HERE)
    await endpoint.page("organizations", None)
    await endpoint.page("organizations", None)
    with pytest.raises(Retry, match="pause"):
        await endpoint.page("organizations", None)
    assert sandbox.world.requests.total() == 2
    await endpoint.close()
    await sandbox.close()


async def test_a_card_that_is_closed_to_us_does_not_lock_the_system(bench: TrelloBench) -> None:
    one = await card(bench)
    bench.sandbox.fault("text", path="*/cards/*", status=401, text="unauthorized card permission requested")
    with pytest.raises(Refused, match="permission"):
        await bench.endpoint.read("cards", one.id)


# bad records


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (None, "found null"),
        ([1], "found a list"),
        ({}, "id: found nothing"),
        ({"id": 5}, "id: found 5"),
        ({"id": "7"}, "id: found '7'"),
        ({"id": "a" * 24, "desc": 5}, "desc: found 5"),
        ({"id": "a" * 24, "dateLastActivity": "the day before yesterday"}, "dateLastActivity: "),
        ({"id": "a" * 24, "dateLastActivity": 12}, "dateLastActivity: "),
        ({"id": "a" * 24, "name": "x" * 1_000_000}, "name: found 1000000 letters"),
    ],
)
async def test_a_bad_card_is_set_aside_and_the_others_go_on(bench: TrelloBench, record: Any, said: str) -> None:
    await card(bench)
    good = {"id": "b" * 24, "desc": "hei", "name": "god"}
    entities, rejected = sorted_out("cards", [good, record])
    assert [one.id for one in entities] == ["b" * 24]
    assert rejected[0].reason.startswith("cards:")
    assert said in rejected[0].reason
    assert rejected[0].id == (record["id"] if isinstance(record, dict) and record.get("id") == "a" * 24 else None)
    assert len(rejected[0].body) <= 100_000


@pytest.mark.parametrize("record", [{"id": "a" * 24}, {"id": "a" * 24, "data": []}, {"id": "a" * 24, "data": None}])
def test_a_bad_action_is_set_aside(record: Any) -> None:
    _, rejected = sorted_out("actions", [record])
    assert "data: " in rejected[0].reason


async def test_bad_cards_in_a_feed_are_set_aside_by_id_and_the_round_goes_on(bench: TrelloBench) -> None:
    bench.resize(size=100)
    one, two = await card(bench), await card(bench)
    _, cursor = await read_all(bench.endpoint, "cards")
    await bench.edit(one.id, "name", "nytt")
    await bench.edit(two.id, "name", "nytt")
    bench.system.tables["card"].replace(one.id, {**one.record, "desc": {"half": 1}})
    page = await bench.endpoint.page("cards", cursor)
    assert [each.id for each in page.rejected] == [one.id]
    assert two.id in {each.id for each in page.entities}
    await read_all(bench.endpoint, "cards", page.cursor)


async def test_a_page_without_an_id_is_not_passed(bench: TrelloBench) -> None:
    id = next(iter(bench.system.tables["card"].ids()))
    bench.system.tables["card"].replace(id, {"idBoard": bench.system.board, "id": None, "closed": False})
    for row in bench.system.tables["card"].rows():
        row.record = {**row.record, "idBoard": row.record["idBoard"], "id": None}
    with pytest.raises(BadAnswer, match="without a single id"):
        await read_all(bench.endpoint, "cards")


async def test_half_characters_come_as_replacement_characters(bench: TrelloBench) -> None:
    one = await card(bench)
    bench.sandbox.fault("body", path=f"*/cards/{one.id}", text=f'{{"id": "{one.id}", "name": "\\ud800x"}}')
    assert (await bench.endpoint.read("cards", one.id)).record["name"] == "\ufffdx"


async def test_half_characters_are_not_sent(bench: TrelloBench) -> None:
    with pytest.raises(Refused, match="surrogates"):
        await bench.endpoint.create("cards", {"name": "\ud800", **bench.needed}, MARKER)


async def test_a_server_that_knows_no_before_comes_to_an_end(bench: TrelloBench) -> None:
    records = [{"id": f"{n:024x}", "name": f"{n}"} for n in range(1, 6)]
    bench.sandbox.fault("body", path="*/cards/all", text=json.dumps([*records, "junk"]))
    found, _ = await read_all(bench.endpoint, "cards")
    assert {one.id for one in found} == {one["id"] for one in records}


# markers in short fields


@settings(deadline=None)
@given(st.text(max_size=80))
def test_a_short_marker_is_read_again(marker: str) -> None:
    assert long(short(marker, 10_000).upper()) == marker
    assert len(short(marker, 40)) <= 40
    assert long(short(marker, 40)) in {marker, short(marker, 40)}


@pytest.mark.parametrize(
    "text", [None, 5, "", "fjordbygg", "ls1", "ls1!!", "ls1aaaaaaaa", "ls2abc", "ls1" + "7" * 5000]
)
def test_what_is_no_short_marker_is_none(text: Any) -> None:
    assert long(text) is None


@pytest.mark.parametrize(
    "marker",
    [
        "custompms.customer~powerofficego.customers|custompms.customer:987654",
        "powerofficego.projects~custompms.project|powerofficego.projects:123456",
        "custompms.customer~trello.organizations|custompms.customer:1001",
    ],
)
def test_markers_as_they_are_fit_into_fifty_letters(marker: str) -> None:
    assert long(short(marker, 50)) == marker
