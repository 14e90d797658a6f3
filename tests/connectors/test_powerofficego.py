"""What is particular to PowerOffice Go: tokens, 204, times that do not move, patches that compare, and one limit."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.budget import Budget
from connectors.endpoint import Entity
from connectors.errors import BadAnswer, Locked, Missing, Refused, Retry, Stale, Unsure
from connectors.fields import write_time
from connectors.opening import open_endpoint
from connectors.powerofficego_records import KINDS, complaint, entity, judge, patch, pause, sorted_out
from connectors.registry import BadSettings
from connectors.sandbox.powerofficego import APPLICATION, PATCH, SUBSCRIPTION
from connectors.sandbox.run import serve
from connectors.sandbox.server import LINKSTREAM
from connectors.verdicts import Verdict
from connectors.wire import Request
from tests.connectors.benches import HERE, PowerOfficeBench
from tests.connectors.contract import long_ago, read_all

MARKER = "custompms.customer~powerofficego.customers|custompms.customer:1001"
HOME = {"AddressLine1": "Storgata 1", "City": "Bodø", "ZipCode": "8006"}


@pytest.fixture
async def bench() -> AsyncIterator[PowerOfficeBench]:
    bench = await PowerOfficeBench.open()
    yield bench
    await bench.close()


def at(bench: PowerOfficeBench, seconds: float) -> None:
    """Move every clock but the one of tokens."""
    world, endpoint = bench.sandbox.world, bench.endpoint
    clock, now = world.clock, endpoint._now  # type: ignore[attr-defined]
    world.clock = world.date = lambda: clock() + round(seconds * 1_000_000)
    endpoint._now = lambda: now() + seconds  # type: ignore[attr-defined]


async def customer(bench: PowerOfficeBench, **fields: Any) -> Entity:
    made = await bench.sandbox.act("POST", "/Customers", {"Name": "Kunde AS", **bench.needed, **fields})
    return await bench.endpoint.read("customers", str(made["Id"]))


# how it is entered


async def test_every_call_carries_a_token_and_the_subscriptions_key() -> None:
    bench = await PowerOfficeBench.open(record=True)
    await read_all(bench.endpoint, "projects")
    token, *calls = bench.sandbox.world.exchanges or ()
    assert (token.path, token.body) == ("/OAuth/Token", b"grant_type=client_credentials")
    assert token.headers["Ocp-Apim-Subscription-Key"] == SUBSCRIPTION
    assert calls
    for one in calls:
        assert one.headers["Authorization"].startswith("Bearer sandbox-access-")
        assert one.headers["Ocp-Apim-Subscription-Key"] == SUBSCRIPTION
        assert not {APPLICATION, SUBSCRIPTION, LINKSTREAM} & set(one.query.values())
    await bench.close()


async def test_a_token_that_expired_early_is_renewed_and_the_call_made_once_more(bench: PowerOfficeBench) -> None:
    await bench.endpoint.page("departments", None)
    bench.system.door._issued.clear()
    assert (await bench.endpoint.page("departments", None)).entities
    assert bench.sandbox.world.requests["POST /OAuth/Token"] == 2


@pytest.mark.parametrize("name", ["application_key", "client_key", "subscription_key"])
async def test_a_wrong_key_locks_and_is_not_shown(bench: PowerOfficeBench, name: str) -> None:
    settings = {**bench.sandbox.settings(), **bench.sandbox.secrets(), name: "canary-5513"}
    endpoint = open_endpoint("p", "powerofficego", settings, HERE)
    with pytest.raises(Locked) as locked:
        await endpoint.page("customers", None)
    assert "canary-5513" not in repr(locked.value)
    await endpoint.close()


def test_keys_are_asked_for() -> None:
    with pytest.raises(BadSettings) as bad:
        open_endpoint("p", "powerofficego", {}, HERE)
    assert {name for name, _ in bad.value.problems} == {"application_key", "client_key", "subscription_key"}


async def test_a_lack_of_rights_is_explained(bench: PowerOfficeBench) -> None:
    bench.system.wanting = ("Customer_Full",)
    bench.sandbox.fault("status", path="*/Customers", status=403)
    with pytest.raises(Locked, match="missing: Customer_Full"):
        await bench.endpoint.page("customers", None)


async def test_one_limit_holds_for_all_customers_of_a_subscription(bench: PowerOfficeBench) -> None:
    budgets: dict[str, Budget] = {}
    opened = [
        open_endpoint(
            name, "powerofficego", {"url": bench.sandbox.url, **bench.sandbox.door.secrets(name)}, HERE, budgets=budgets
        )
        for name in ("customer a", "customer b", LINKSTREAM)
    ]
    assert len(budgets) == 1
    begun = time.perf_counter()
    for _ in range(12):
        await opened[2].page("departments", None)
    assert time.perf_counter() - begun > 1.0
    for one in opened:
        await one.close()


async def test_too_many_calls_wait_a_second_at_least(bench: PowerOfficeBench) -> None:
    bench.sandbox.fault("status", status=429, count=1)
    with pytest.raises(Retry) as retry:
        await bench.endpoint.page("projects", None)
    assert 1.0 <= (retry.value.after or 0) <= 2.0
    assert (pause(429, roll=0.5), pause(503, roll=0.5)) == (1.5, None)


# reading


async def test_an_empty_list_is_204() -> None:
    sandbox = await serve("powerofficego")
    endpoint = open_endpoint("p", "powerofficego", {**sandbox.settings(), **sandbox.secrets()}, HERE)
    found, cursor = await read_all(endpoint, "customers")
    assert (found, (await read_all(endpoint, "customers", cursor))[0]) == ([], [])
    assert await endpoint.find("customers", MARKER, 0) == ()
    await endpoint.close()
    await sandbox.close()


async def test_only_what_changed_is_asked_for_and_the_edge_is_in_it(bench: PowerOfficeBench) -> None:
    now = [bench.sandbox.world.clock() // 1_000_000 * 1_000_000]
    bench.sandbox.world.clock = bench.sandbox.world.date = lambda: now[0]
    _, cursor = await read_all(bench.endpoint, "customers")
    assert cursor["since"] == now[0] - 120_000_000
    now[0] -= 120_000_000  # exactly where the next round begins
    for table in bench.system.tables.values():
        table._changes.clear()
    edge = await customer(bench)
    now[0] += 120_000_000
    found, _ = await read_all(bench.endpoint, "customers", cursor)
    assert [one.id for one in found] == [edge.id]


async def test_an_edited_address_is_read_within_the_hour_and_has_its_own_time(bench: PowerOfficeBench) -> None:
    one = await customer(bench, MailAddress=HOME)
    _, cursor = await read_all(bench.endpoint, "customers")
    at(bench, 600)
    _, cursor = await read_all(bench.endpoint, "customers", cursor)
    await bench.edit(one.id, "MailAddress/City", "Tromsø")
    found, cursor = await read_all(bench.endpoint, "customers", cursor)
    assert one.id not in {each.id for each in found}  # its own time did not move
    at(bench, 3_600)
    found, _ = await read_all(bench.endpoint, "customers", cursor)
    moved = next(each for each in found if each.id == one.id)
    assert moved.record["MailAddress"]["City"] == "Tromsø"
    assert (moved.updated_at or 0) > (one.updated_at or 0)


async def test_many_records_of_one_instant_are_read_all(bench: PowerOfficeBench) -> None:
    now = bench.sandbox.world.clock()
    bench.sandbox.world.clock = lambda: now
    ids = {(await customer(bench)).id for _ in range(10)}
    found, _ = await read_all(bench.endpoint, "customers")
    assert ids <= {one.id for one in found}


async def test_a_list_that_is_not_in_order_is_read_by_its_pages(bench: PowerOfficeBench) -> None:
    ids = [(await customer(bench)).id for _ in range(10)]
    bench.system.ordered = False
    await bench.edit(ids[0], "Name", "Sist endret, først i lista")
    await bench.edit(ids[5], "Name", "Midt i")
    found, _ = await read_all(bench.endpoint, "customers")
    assert set(ids) <= {one.id for one in found}


async def test_a_server_that_knows_no_pages_is_told_off(bench: PowerOfficeBench) -> None:
    same = [{"Id": n, "LastChangedDateTimeOffset": "2026-01-01T00:00:00Z"} for n in range(1, 4)]
    bench.sandbox.fault("body", path="*/Customers", text=json.dumps(same))
    with pytest.raises(BadAnswer, match="same page twice"):
        await read_all(bench.endpoint, "customers")


async def test_names_are_read_in_any_case(bench: PowerOfficeBench) -> None:
    one = await customer(bench, MailAddress=HOME)
    small = {name[0].lower() + name[1:]: value for name, value in one.record.items()}
    small["mailAddress"] = {name.lower(): value for name, value in one.record["MailAddress"].items()}
    assert entity(KINDS["customers"], small).record == one.record


async def test_large_numbers_are_kept_to_the_last_digit(bench: PowerOfficeBench) -> None:
    one = await customer(bench)
    assert int(one.id) > 2**53
    assert (await bench.endpoint.update("customers", one, {"LegalName": "x"})).id == one.id


# creating


async def test_the_marker_of_a_customer_is_a_reference_that_is_unique(bench: PowerOfficeBench) -> None:
    made = await bench.endpoint.create("customers", {"Name": "Ny AS", **bench.needed}, MARKER)
    assert (made.marker, "ExternalImportReference" in made.record) == (MARKER, False)
    again = await bench.endpoint.create("customers", {"Name": "Ny AS", **bench.needed}, MARKER)
    assert again.id == made.id
    assert [one.op for one in bench.sandbox.truth] == ["create"]
    await bench.endpoint.remove("customers", made, "delete")
    assert await bench.endpoint.find("customers", MARKER, 0) == ()


async def test_a_reference_that_is_anothers_is_refused(bench: PowerOfficeBench) -> None:
    made = await bench.endpoint.create("customers", {"Name": "Ny AS", **bench.needed}, MARKER)
    bench.sandbox.fault(
        "text", method="POST", status=400, text=f"already in use. 'x' is used on (contact) Id = {made.id}."
    )
    with pytest.raises(Refused):
        await bench.endpoint.create("customers", {"Name": "Ny AS", **bench.needed}, "f|a.b:2")


@pytest.mark.parametrize("type", ["departments", "projects"])
async def test_the_marker_stands_in_the_code_until_a_code_is_wanted(bench: PowerOfficeBench, type: str) -> None:
    made = await bench.endpoint.create(type, {"Name": "Uten"}, MARKER)
    assert (made.marker, "Code" in made.record) == (MARKER, False)
    assert [one.id for one in await bench.endpoint.find(type, MARKER, 0)] == [made.id]
    coded = await bench.endpoint.create(type, {"Name": "Med", "Code": "K7"}, "f|a.b:2")
    assert (coded.record["Code"], coded.marker) == ("K7", None)
    changed = await bench.endpoint.update(type, made, {"Code": "K8"})
    assert changed.record["Code"] == "K8"


async def test_a_create_that_breaks_after_its_first_half_is_unsure_and_found(bench: PowerOfficeBench) -> None:
    bench.sandbox.fault("status", method="PATCH", status=503)
    with pytest.raises(Unsure):
        await bench.endpoint.create("departments", {"Name": "Ny", "Code": "30"}, MARKER)
    bench.heal()
    assert len(await bench.endpoint.find("departments", MARKER, 0)) == 1


async def test_a_new_department_is_active_unless_that_is_not_wanted(bench: PowerOfficeBench) -> None:
    made = await bench.endpoint.create("departments", {"Name": "Ny"}, MARKER)
    idle = await bench.endpoint.create("departments", {"Name": "Hvilende", "IsActive": False}, "f|a.b:2")
    assert (made.record["IsActive"], idle.record["IsActive"]) == (True, False)


async def test_a_customer_without_mail_gets_its_invoices_on_paper(bench: PowerOfficeBench) -> None:
    made = await bench.endpoint.create("customers", {"Name": "Uten e-post"}, MARKER)
    assert made.record["InvoiceDeliveryType"] == "Print"


@pytest.mark.parametrize(
    ("type", "wanted", "fields"),
    [
        ("customers", {"EmailAddress": "a@b.no"}, {"Name"}),
        ("customers", {"IsPerson": True, "FirstName": "Kari"}, {"LastName"}),
        ("customers", {"Name": "x", "MailAddress.City": "Oslo"}, {"MailAddress.City"}),
        ("customers", {"Name": "x", "Number": 5}, {"Number"}),
        ("customers", {"Name": "x", "DepartmentId": "ten"}, {"DepartmentId"}),
        ("customers", {"Name": "x", "DepartmentId": "77"}, {"DepartmentId"}),
        ("customers", {"Name": "x", "DepartmentCode": "10"}, {"DepartmentCode"}),
        ("projects", {"Name": "x", "CustomerNo": 10001}, {"CustomerNo"}),
        ("projects", {"Name": "x", "Code": "1.2"}, {"Code"}),
        ("projects", {"Name": "x", "StartDate": "32.01.2026"}, {"StartDate"}),
        ("departments", {"Name": " "}, {"Name"}),
    ],
)
async def test_what_a_new_record_does_not_take_is_refused_by_field(
    bench: PowerOfficeBench, type: str, wanted: dict[str, Any], fields: set[str]
) -> None:
    with pytest.raises(Refused) as refused:
        await bench.endpoint.create(type, wanted, MARKER)
    assert set(refused.value.fields) == fields
    assert bench.sandbox.truth == []


# changing


def test_every_value_is_tested_before_it_is_replaced() -> None:
    held = {"Name": "a", "MailAddress": {"City": "Oslo", "ZipCode": "0161"}}
    assert patch(
        "customers", KINDS["customers"], {"Name": "b", "MailAddress.City": "Bergen", "PhoneNumber": "1"}, held
    ) == [
        {"op": "test", "path": "/Name", "value": "a"},
        {"op": "replace", "path": "/Name", "value": "b"},
        {"op": "test", "path": "/MailAddress/City", "value": "Oslo"},
        {"op": "replace", "path": "/MailAddress/City", "value": "Bergen"},
        {"op": "test", "path": "/PhoneNumber", "value": None},
        {"op": "replace", "path": "/PhoneNumber", "value": "1"},
    ]


async def test_whoever_was_faster_between_read_and_write_is_noticed_by_the_server(bench: PowerOfficeBench) -> None:
    one = await customer(bench)
    endpoint: Any = bench.endpoint
    read = endpoint._raw

    async def slow(type: str, id: str) -> Any:
        found = await read(type, id)
        await bench.edit(id, "Name", "Raskere AS")
        return found

    endpoint._raw = slow
    with pytest.raises(Stale, match="test value"):
        await bench.endpoint.update("customers", long_ago(one), {"Name": "Tregere AS"})
    endpoint._raw = read
    assert (await bench.endpoint.read("customers", one.id)).record["Name"] == "Raskere AS"


async def test_an_address_is_added_whole_or_not_at_all(bench: PowerOfficeBench) -> None:
    one = await customer(bench)
    with pytest.raises(Refused) as refused:
        await bench.endpoint.update("customers", one, {"MailAddress.City": "Oslo"})
    assert set(refused.value.fields) == {"MailAddress.City"}
    wanted = {"MailAddress.City": "Oslo", "MailAddress.ZipCode": "0161"}
    added = await bench.endpoint.update("customers", one, wanted)
    assert (added.record["MailAddress"]["City"], added.record["MailAddress"]["CountryCode"]) == ("Oslo", "NO")
    moved = await bench.endpoint.update("customers", added, {"MailAddress.City": "Bergen"})
    assert moved.record["MailAddress"]["ZipCode"] == "0161"


async def test_anything_but_a_patch_is_refused(bench: PowerOfficeBench) -> None:
    one = await customer(bench)
    for body, media in (({"Name": "x"}, PATCH), ([], "application/json")):
        with pytest.raises(RuntimeError, match="JSON Patch"):
            await bench.sandbox.act("PATCH", f"/Customers/{one.id}", body, media=media)


async def test_references_are_numbers_there_and_text_with_us(bench: PowerOfficeBench) -> None:
    one = await customer(bench)
    made = await bench.endpoint.create("projects", {"Name": "Tak", "CustomerId": one.id}, MARKER)
    assert made.record["CustomerId"] == int(one.id)
    assert (await bench.endpoint.update("projects", made, {"CustomerId": None})).record["CustomerId"] is None


async def test_what_is_in_use_is_archived_and_not_deleted(bench: PowerOfficeBench) -> None:
    one = await customer(bench)
    await bench.endpoint.create("projects", {"Name": "Tak", "CustomerId": one.id}, MARKER)
    with pytest.raises(Refused, match="in use"):
        await bench.endpoint.remove("customers", one, "delete")
    await bench.endpoint.remove("customers", one, "archive")
    assert (await bench.endpoint.read("customers", one.id)).record["IsArchived"] is True
    two = await customer(bench)
    bench.system.balances.add(two.id)
    with pytest.raises(Refused, match="ledger") as refused:
        await bench.endpoint.remove("customers", two, "archive")
    assert set(refused.value.fields) == {"IsArchived"}


@pytest.mark.parametrize(
    ("type", "field", "value"), [("departments", "IsActive", False), ("projects", "ProjectStatus", "Archived")]
)
async def test_every_type_has_its_own_way_of_being_archived(
    bench: PowerOfficeBench, type: str, field: str, value: Any
) -> None:
    made = await bench.endpoint.create(type, {"Name": "Gammel"}, MARKER)
    await bench.endpoint.remove(type, made, "archive")
    assert (await bench.endpoint.read(type, made.id)).record[field] == value


async def test_half_characters_and_long_texts_are_refused(bench: PowerOfficeBench) -> None:
    one = await customer(bench, MailAddress=HOME)
    with pytest.raises(Refused, match="surrogates"):
        await bench.endpoint.update("customers", one, {"Name": "\ud800"})
    with pytest.raises(Refused):
        await bench.endpoint.update("customers", one, {"MailAddress.City": "x" * 1_000_000})
    assert (await bench.endpoint.read("customers", one.id)).record == one.record


# refusals and bad records


def test_refusals_are_read_in_either_case_and_name_their_fields() -> None:
    said = "DepartmentPatchDto: The target location specified by path segment 'manageremployeeid' was not found."
    assert complaint({"title": "T", "detail": said}) == (f"T: {said}", {"ManagerEmployeeId": said})
    assert complaint({"Title": "T", "Detail": "Name is required."}) == (
        "T: Name is required.",
        {"Name": "Name is required."},
    )
    assert complaint({"statusCode": "429", "message": "slow"}) == ("slow", {})
    for odd in (None, [], 5, "x", {"detail": 5}):
        assert complaint(odd)[1] == {}


def test_a_failed_test_is_stale_and_a_conflict_is_a_refusal() -> None:
    said = {"detail": "The current value 'a' at path 'Name' is not equal to the test value 'b'."}
    assert judge(Request(method="PATCH", path="/Customers/1"), 400, said) is Verdict.STALE
    assert judge(Request(method="POST", path="/Customers"), 400, said) is None
    assert judge(Request(method="DELETE", path="/Customers/1"), 409, None) is Verdict.REFUSED


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (None, "found null"),
        ("x", "found 'x'"),
        ({}, "Id: found nothing"),
        ({"Id": "7"}, "Id: found '7'"),
        ({"Id": True}, "Id: found True"),
        ({"Id": 7.5}, "Id: found 7.5"),
        ({"Id": 7, "LastChangedDateTimeOffset": "31.12.1899"}, "LastChangedDateTimeOffset: "),
        ({"Id": 7, "MailAddress": "Storgata 1"}, "MailAddress: found 'Storgata 1'"),
        ({"Id": 7, "MailAddress": {"LastChangedDateTimeOffset": 5}}, "MailAddress.LastChangedDateTimeOffset: "),
        ({"Id": 7, "MailAddress": {"City": "x" * 1_000_000}}, "MailAddress.City: found 1000000 letters"),
    ],
)
def test_a_bad_record_is_set_aside_and_the_others_go_on(record: Any, said: str) -> None:
    good = {"Id": 1, "LastChangedDateTimeOffset": "0001-01-01T00:00:00+00:00"}
    entities, rejected = sorted_out("customers", [good, record, good])
    assert [one.id for one in entities] == ["1"]
    assert rejected[0].reason.startswith("customers:")
    assert said in rejected[0].reason
    assert rejected[0].id == ("7" if isinstance(record, dict) and record.get("Id") == 7 else None)
    assert len(rejected[0].body) <= 100_000


async def test_a_round_goes_past_bad_records_and_forgets_none(bench: PowerOfficeBench) -> None:
    ids = [(await customer(bench)).id for _ in range(7)]
    bench.system.tables["customers"].replace(ids[3], {"Id": int(ids[3]), "MailAddress": 5, "Name": "x"})
    entities, rejected, cursor, more = set(), set(), None, True
    while more:
        page = await bench.endpoint.page("customers", cursor)
        entities |= {one.id for one in page.entities}
        rejected |= {one.id for one in page.rejected}
        cursor, more = page.cursor, page.more
    assert set(ids) - entities == {ids[3]}
    assert rejected == {ids[3]}


@pytest.mark.parametrize("id", ["", "-1", "1.5", "x", "٣", "9" * 30])
async def test_an_id_that_is_no_number_is_missing(bench: PowerOfficeBench, id: str) -> None:
    with pytest.raises(Missing):
        await bench.endpoint.read("customers", id)


def test_times_are_asked_for_a_little_early() -> None:
    assert write_time(1_700_000_000_123_999) == "2023-11-14T22:13:20.123Z"
