"""The systems that are declarations, each with its manners: logins, soft deletes, local times, what they rewrite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import Locked, Missing, Refused, Retry
from connectors.opening import open_endpoint
from connectors.registry import describe
from connectors.sandbox.run import Sandbox, serve
from connectors.sandbox.server import LINKSTREAM
from tests.connectors.contract import read_all

HERE = Path(__file__).parent
PATHS = {"crmoffice": "/users", "customerp": "/customers", "custompms": "/tasks"}
DECLARED = ("crmoffice", "customerp", "custompms")


class Office:
    def __init__(self, sandbox: Sandbox, connector: str) -> None:
        self.sandbox = sandbox
        given = {**sandbox.settings(), **sandbox.secrets()}
        self.endpoint = open_endpoint(connector, connector, given, HERE)

    async def close(self) -> None:
        await self.endpoint.close()
        await self.sandbox.close()


TABLES = {"companies": "company", "contacts": "contact", "activities": "activity", "users": "user"}


@pytest.fixture
async def crm() -> AsyncIterator[Office]:
    office = Office(await serve("crmoffice", count=400), "crmoffice")
    yield office
    await office.close()


@pytest.fixture
async def erp() -> AsyncIterator[Office]:
    office = Office(await serve("customerp", count=400), "customerp")
    yield office
    await office.close()


@pytest.mark.parametrize("system", DECLARED)
async def test_every_record_of_a_small_company_is_understood(system: str) -> None:
    office = Office(await serve(system, count=400, seed=5), system)
    for type in describe(system, HERE):
        cursor: Any = None
        found: list[Any] = []
        while True:
            page = await office.endpoint.page(type, cursor)
            assert page.rejected == ()
            found += page.entities
            cursor = page.cursor
            if not page.more:
                break
        assert {one.id for one in found} == set(office.sandbox.system.tables[TABLES.get(type, type)].ids())  # type: ignore[attr-defined]
        assert found
        assert await office.endpoint.read(type, found[0].id) == found[0]
    assert any(letter in str(found) for letter in "æøåÆØÅ")
    await office.close()


@pytest.mark.parametrize("system", DECLARED)
async def test_a_credential_that_does_not_open_is_told(system: str) -> None:
    sandbox = await serve(system)
    given = {**sandbox.settings(), **dict.fromkeys(sandbox.secrets(), "canary-wrong")}
    endpoint = open_endpoint(system, system, given, HERE)
    with pytest.raises(Locked) as locked:
        await endpoint.page(next(iter(describe(system, HERE))), None)
    assert "canary" not in f"{locked.value!r}"
    await endpoint.close()
    await sandbox.close()


@pytest.mark.parametrize("system", DECLARED)
async def test_a_sandbox_counts_calls(system: str) -> None:
    office = Office(await serve(system, limit=(3, 60.0)), system)
    type = next(iter(describe(system, HERE)))
    for _ in range(3):
        await office.sandbox.act("GET", PATHS[system], token=LINKSTREAM)
    with pytest.raises(Retry, match="status 429") as slow:
        await office.endpoint.page(type, None)
    assert slow.value.after
    await office.close()


async def test_phone_numbers_and_places_are_spelled_the_systems_way(crm: Office) -> None:
    (company, *_), _ = await read_all(crm.endpoint, "companies")
    wanted = {"familyName": "Ødegård", "mobilePhone": "912 34 567", "company.id": company.id}
    contact = await crm.endpoint.create("contacts", wanted, "m")
    assert contact.record["mobilePhone"] == "+4791234567"
    assert contact.record["company"] == {"id": company.id}
    moved = await crm.endpoint.update("companies", company, {"visitAddress.postalArea": " Tromsø "})
    assert moved.record["visitAddress"]["postalArea"] == "TROMSØ"
    assert moved.record["postAddress"] == company.record["postAddress"]


async def test_refusals_name_fields(crm: Office, erp: Office) -> None:
    for office, type, wanted, field in (
        (crm, "activities", {"subject": "x", "ownerId": "nobody"}, "ownerId"),
        (crm, "activities", {"subject": "x", "startsAt": "soon"}, "startsAt"),
        (erp, "project", {"name": "x", "status": "lost"}, "status"),
        (erp, "contact", {"name": " ", "customerNo": "1006"}, "name"),
    ):
        with pytest.raises(Refused) as refused:
            await office.endpoint.create(type, wanted, "m")
        assert list(refused.value.fields) == [field]


async def test_a_system_that_forgets_our_mark_is_found_out_at_the_first_create(crm: Office) -> None:
    crm.sandbox.system.drops = ("externalReference",)  # type: ignore[attr-defined]
    made = await crm.endpoint.create("activities", {"subject": "first"}, "m-1")
    assert (made.marker, made.record["subject"]) == (None, "first")
    with pytest.raises(Refused, match="the system forgets our mark in externalReference"):
        await crm.endpoint.create("activities", {"subject": "second"}, "m-2")
    assert [one.type for one in crm.sandbox.truth] == ["activity"]
    crm.sandbox.system.drops = ()  # type: ignore[attr-defined]
    assert (await crm.endpoint.create("contacts", {"familyName": "x"}, "m-3")).marker == "m-3"


async def test_what_is_new_may_show_late_in_lists(crm: Office) -> None:
    crm.sandbox.system.delay = 60.0  # type: ignore[attr-defined]
    made = await crm.endpoint.create("activities", {"subject": "x"}, "m-1")
    assert await crm.endpoint.find("activities", "m-1", 0) == ()
    assert await crm.endpoint.read("activities", made.id) == made


async def test_a_revoked_access_token_is_renewed(crm: Office) -> None:
    await crm.endpoint.page("companies", None)
    crm.sandbox.fault("status", status=401, path="/companies", count=1)
    await crm.endpoint.page("companies", None)
    assert crm.sandbox.world.requests["POST /connect/token"] == 2


async def test_soft_deletes_show_in_the_next_round(erp: Office) -> None:
    found, cursor = await read_all(erp.endpoint, "project")
    await erp.sandbox.act("DELETE", f"/projects/{found[3].id}")
    page = await erp.endpoint.page("project", cursor)
    assert page.gone == (found[3].id,)
    with pytest.raises(Missing):
        await erp.endpoint.read("project", found[3].id)


async def test_contacts_are_read_and_made_below_their_customer(erp: Office) -> None:
    customers, _ = await read_all(erp.endpoint, "customer")
    contacts, cursor = await read_all(erp.endpoint, "contact")
    assert {str(one.record["customerNo"]) for one in contacts} == {one.id for one in customers}
    made = await erp.endpoint.create("contact", {"name": "  Þóra   Čáhppe ", "customerNo": customers[1].id}, "m-1")
    assert (made.record["name"], made.record["customerNo"]) == ("Þóra Čáhppe", int(customers[1].id))
    assert [one.id for one in await erp.endpoint.find("contact", "m-1", 0)] == [made.id]
    later, _ = await read_all(erp.endpoint, "contact", cursor)
    assert made.id in {one.id for one in later}
    assert len(later) < len(contacts)
    changed = await erp.endpoint.update("contact", made, {"phone": "900 00 000"})
    assert changed.record["phone"] == "900 00 000"


async def test_local_times_are_understood(erp: Office) -> None:
    before = erp.sandbox.world.now()
    made = await erp.endpoint.create("employee", {"name": "李娜"}, "m")
    assert made.updated_at is not None
    assert before <= made.updated_at <= erp.sandbox.world.now()
    assert not str(made.record["modified"]).endswith("Z")
    assert len((await erp.endpoint.update("employee", made, {"name": "Ø" * 100})).record["name"]) == 60
