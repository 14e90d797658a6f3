from __future__ import annotations

from stream.codec import decode_command, encode_mark
from stream.core.turn import Report
from stream.join import Join
from stream.model import Change, Counted, Source, Wake
from stream.topics import MAIL, WAKE, changes, upserts
from tests.stages.build import PARTITIONS, SECOND, bench

TOPIC = changes("a.t")


def change(id: str = "1", **fields: object) -> Change:
    source = Source(connector="memory", name="a", entity="t", id=id, ts_us=5 * SECOND)
    return Change(op="u", before=None, after={"name": "n", "x": "x0", **fields}, ts_ms=5000, source=source)


async def test_what_cannot_be_decoded_is_parked_with_its_bytes_and_the_next_follows() -> None:
    table = await bench()
    await table.publish(TOPIC, "a.t:1", b"\xff{")
    await table.publish(MAIL, "a.t:1", b'{"type":"unheard of"}')
    await table.publish(MAIL, "a.t:1", None)
    await table.publish(TOPIC, "a.t:1", change())
    await table.run_join()
    parked = table.parked()
    assert {reason for _, reason in parked} == {"undecodable"}
    assert {data for data, _ in parked} == {b'{"type":"unheard of"}', b"\xff{", None}
    assert table.read(MAIL)


async def test_a_change_under_the_key_of_another_is_parked() -> None:
    table = await bench()
    await table.publish(TOPIC, "a.t:2", change())
    await table.run_join()
    assert [reason for _, reason in table.parked()] == ["undecodable"]
    assert table.read(MAIL) == []


async def test_the_tombstone_after_a_delete_says_nothing() -> None:
    table = await bench()
    await table.publish(TOPIC, "a.t:1", None)
    await table.run_join()
    assert (table.parked(), table.read(MAIL)) == ([], [])


async def test_a_record_that_nobody_can_have_as_a_key_is_parked_or_passed_over() -> None:
    table = await bench()
    for key in ("", "a", ":", "a.t", "z.z:1"):
        await table.publish(MAIL, key, Wake())
    await table.run_join()
    assert table.parked() == []


async def test_nothing_is_created_before_every_partition_of_both_types_was_counted() -> None:
    table = await bench()
    await table.publish(TOPIC, "a.t:1", change())
    await table.run_join()
    plans = {name: table.flows.plan(name) for name in ("a.t", "b.t")}
    marks = [(name, source) for name in plans for source in range(PARTITIONS)]
    for name, source in marks:
        assert table.read(upserts("b.t")) == []
        mark = Counted(entity=name, plan=plans[name], source=source, of=PARTITIONS)
        await table.publish(changes(name), encode_mark(mark).decode(), None)
        await table.run_join()
    [command] = [decode_command(each.value) for each in table.read(upserts("b.t"))]
    assert command.want == {"name": "n", "x": "x0"}


async def test_every_output_names_its_cause() -> None:
    table = await bench()
    await table.publish(TOPIC, "a.t:1", change())
    await table.run_join()
    first = table.read(TOPIC)[0]
    assert dict(table.read(MAIL)[0].headers)["cause"] == f"{TOPIC}/{first.partition}/{first.offset}".encode()


async def test_alarms_are_kept_with_the_rows_and_learnt_anew_after_a_start() -> None:
    table = await bench()
    await table.publish(TOPIC, "a.t:1", change())
    await table.run_join()
    assert list(table.join.due()) == []
    fresh = type(table.join)(table.flows, table.clock)
    for lane in table.lanes["join"]:
        async with lane.turn() as unit:
            fresh.load(unit)
    assert {key: at for lane in fresh.alarms.values() for key, at in lane.items()} == {
        key: at for lane in table.join.alarms.values() for key, at in lane.items()
    }
    table.now += 3600 * SECOND
    woken = {key for _, key, _, _ in fresh.due()}
    assert b"a.t:1" in woken
    assert list(fresh.due()) == []
    assert all(not key.startswith(WAKE) for key in woken)


async def test_a_report_is_parked_once() -> None:
    table = await bench()
    await table.settle()
    for id in ("1", "2"):
        table.systems["b"].add("t", {"name": "same", "x": id})
    table.systems["a"].add("t", {"name": "same", "x": "x0"})
    await table.settle()
    table.systems["a"].edit("t", "1", {"x": "x1"})
    await table.settle()
    assert [reason for _, reason in table.parked()] == ["not applied"]
    assert Report("x").field == ""


async def test_an_edit_is_timed_from_when_it_was_made_to_its_receipt_and_older_ones_are_not() -> None:
    table = await bench()
    table.systems["a"].add("t", {"name": "n", "x": "x0"})
    await table.settle()
    meters = table.join.meters
    before = sum(sum(spread.counts) for spread in meters.arrived.values())
    (id,) = table.systems["a"].all("t")
    edited = table.now
    table.systems["a"].edit("t", id, {"x": "x1"})
    await table.settle()
    spread = meters.arrived["b.t"]
    assert sum(spread.counts) == before + 1
    assert 0 < spread.sum <= (table.now - edited) / SECOND


async def test_an_edit_from_before_the_worker_began_is_not_timed() -> None:
    table = await bench()
    table.systems["a"].add("t", {"name": "n", "x": "x0"})
    table.join = Join(table.flows, lambda: table.clock() + 3600 * SECOND)
    await table.settle()
    assert table.join.meters.arrived == {}
