"""Rows tell everything anew, a piece at a time; a lane that lost state does so before anything is created."""

from __future__ import annotations

import pytest

from stream import resync
from stream.codec import decode_command, decode_message, encode, encode_mark
from stream.engine.log import Outgoing
from stream.model import Counted, Resync, Wake
from stream.ports import Loss, Record
from stream.topics import MAIL, changes, upserts
from tests.stages.build import PARTITIONS, SECOND, TYPES, Bench, bench

DAY = 86_400 * SECOND


async def filled(records: int = 20) -> Bench:
    """Records of two types, linked and at rest; the first sweep is over."""
    table = await bench()
    for number in range(records):
        table.systems["a"].add("t", {"name": f"n{number}", "x": "x0"})
    await table.settle()
    await swept(table)
    return table


async def tick(table: Bench, pace: tuple[int, int] = (3, 7)) -> list[str]:
    """One tick of every lane: the rows that were told in it."""
    table.join.pace = pace
    for lane in table.lanes["join"]:
        async with lane.turn() as unit:
            table.join.sweep(unit, DAY)
    found = [record.key.decode() for record in told(table)]
    await table.run_join()
    return found


def told(table: Bench) -> list[Record]:
    """Messages to rows that are still to be brought."""
    positions = {lane.id.partition: lane.next[MAIL] for lane in table.lanes["join"]}
    return [
        record
        for record in table.read(MAIL)
        if record.offset >= positions[record.partition] and decode_message(record.value) == Wake(resync=True)
    ]


async def swept(table: Bench, pace: tuple[int, int] = (3, 7)) -> list[list[str]]:
    """Tick until nothing is left: what was told in each."""
    ticks = []
    while True:
        ticks.append(await tick(table, pace))
        left = []
        for lane in table.lanes["join"]:
            async with lane.turn() as unit:
                left += resync.sweep_of(unit).left
        if not left:
            return ticks


def rows(table: Bench) -> list[str]:
    keys = [key for lane, found in table.log.rows.items() if lane.agent == "join" for key in found]
    return sorted(key.decode() for key in keys if key.startswith((b"a.t:", b"b.t:")))


async def test_once_a_day_every_row_is_told_a_few_at_a_time() -> None:
    table = await filled()
    assert await tick(table) == []
    table.now += DAY
    ticks = await swept(table)
    assert sorted(key for each in ticks for key in each) == rows(table)
    assert max(map(len, ticks)) <= 3 * PARTITIONS
    assert await tick(table) == []


async def test_what_a_person_asks_for_is_quicker_and_only_that() -> None:
    table = await filled()
    for partition in range(PARTITIONS):
        await table.log.publish([resync_of("b.t", partition)])
    await table.run_join()
    ticks = await swept(table)
    assert sorted(key for each in ticks for key in each) == [key for key in rows(table) if key.startswith("b.t:")]
    assert max(map(len, ticks)) > 3 * PARTITIONS
    table.now += DAY
    assert len([key for each in await swept(table) for key in each]) == len(rows(table))


def resync_of(type: str, partition: int) -> Outgoing:
    return Outgoing(MAIL, b"resync", encode(Resync(types=(type,))), (), partition)


async def test_a_sweep_that_was_interrupted_goes_on_where_it_was() -> None:
    table = await filled()
    table.now += DAY
    first = await tick(table)
    table.join = type(table.join)(table.flows, table.clock)
    await table.start()
    rest = [key for each in await swept(table) for key in each]
    assert sorted(first + rest) == rows(table)


async def test_nothing_is_written_that_is_right_already() -> None:
    table = await filled()
    writes = [len(system.calls) for system in table.systems.values()]
    table.now += DAY
    await swept(table)
    for system in table.systems:
        await table.run_push(system)
    assert [len(system.calls) for system in table.systems.values()] == writes


async def lose(table: Bench) -> None:
    """The log notices that it was set back, at its next start."""
    table.log.loss = Loss(at=table.clock(), since=table.now - 60 * SECOND, reason="set back")
    table.join = type(table.join)(table.flows, table.clock)
    await table.start()
    for lane in table.lanes["join"]:
        async with lane.turn() as unit:
            table.join.load(unit)


async def test_after_a_loss_nothing_is_created_before_all_was_told_and_read_anew() -> None:
    table = await filled(4)
    await lose(table)
    assert table.join.recovering == set(range(PARTITIONS))
    table.systems["a"].add("t", {"name": "later", "x": "x0"})
    created = len(table.read(upserts("b.t")))
    for name in TYPES:
        await table.poll(name)
    await table.run_join()
    assert len(table.read(upserts("b.t"))) == created, "not all rows were told"
    await swept(table)
    await table.run_join()
    assert table.join.recovering == set()
    assert decode_command(table.read(upserts("b.t"))[-1].value).want == {"name": "later", "x": "x0"}


async def test_marks_of_what_was_read_before_the_loss_open_nothing() -> None:
    table = await filled(4)
    await lose(table)
    table.systems["a"].add("t", {"name": "later", "x": "x0"})
    await table.poll()
    await swept(table)
    created = len(table.read(upserts("b.t")))
    for source in range(PARTITIONS):
        mark = Counted(entity="b.t", plan=table.flows.plan("b.t"), source=source, of=PARTITIONS)
        await table.publish(changes("b.t"), encode_mark(mark).decode(), None)
    await table.run_join()
    assert len(table.read(upserts("b.t"))) == created
    assert table.join.recovering


async def test_the_end_of_a_sweep_before_the_loss_opens_nothing() -> None:
    """A backup was taken when it had been said and not yet been read."""
    table = await filled(4)
    await lose(table)
    table.systems["a"].add("t", {"name": "later", "x": "x0"})
    created = len(table.read(upserts("b.t")))
    over = encode(Resync(types=()))
    await table.log.publish([Outgoing(MAIL, b"resync", over, (), partition) for partition in range(PARTITIONS)])
    for name in TYPES:
        await table.poll(name)
    await table.run_join()
    assert len(table.read(upserts("b.t"))) == created
    assert table.join.recovering == set(range(PARTITIONS))


async def test_after_a_loss_everything_is_read_and_told_although_nothing_looks_new() -> None:
    table = await filled(4)
    published = len(table.read("changes.a.t"))
    await table.poll()
    assert len(table.read("changes.a.t")) == published
    await lose(table)
    await table.poll()
    assert len(table.read("changes.a.t")) == published + 4 + PARTITIONS
    told_ = [key for each in await swept(table) for key in each]
    assert sorted(told_) == rows(table)


async def test_a_lane_that_knows_of_a_loss_begins_only_once() -> None:
    table = await filled(4)
    await lose(table)
    for name in TYPES:
        await table.poll(name)
    await swept(table)
    assert table.join.recovering == set()
    table.join = type(table.join)(table.flows, table.clock)
    for lane in table.lanes["join"]:
        async with lane.turn() as unit:
            table.join.load(unit)
            assert resync.sweep_of(unit).left == ()
    assert table.join.recovering == set()


@pytest.mark.parametrize("pace", [(1, 1), (1, 500)])
async def test_any_pace_comes_to_the_end(pace: tuple[int, int]) -> None:
    table = await filled(3)
    table.now += DAY
    assert sorted(key for each in await swept(table, pace) for key in each) == rows(table)


async def test_a_clock_that_was_ahead_holds_no_sweep_back() -> None:
    table = await filled(4)
    assert await tick(table) == []
    table.now -= 300 * DAY
    assert await tick(table) != []
