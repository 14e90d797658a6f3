from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from msgspec.structs import replace

from connectors.endpoint import Page, Rejected, Traits
from connectors.errors import BadAnswer, Refused, Retry
from connectors.memory import TRAITS
from stream.codec import decode_change, decode_mark
from stream.model import Change, Counted, Order, Reread
from stream.poll import SHOWN
from stream.ports import Unit
from stream.topics import COUNTED, PARKED, POLLS, changes
from tests.stages.build import Bench, bench

LISTED = Traits(changes="list", create=3)
TOPIC = changes("a.t")


def published(table: Bench) -> list[Change]:
    return [decode_change(each.value) for each in table.read(TOPIC) if not each.key.startswith(COUNTED)]


def marks(table: Bench) -> list[Counted]:
    found = [each for each in table.read(TOPIC) if each.key.startswith(COUNTED)]
    assert {each.value for each in found} <= {None}
    return [decode_mark(each.key) for each in found]


@pytest.mark.parametrize("last", range(4))
async def test_a_page_and_its_cursor_are_committed_together(last: int) -> None:
    table = await bench(size=2)
    for number in range(3):
        table.systems["a"].add("t", {"name": f"n{number}"})
    turns = iter(range(10))

    @asynccontextmanager
    async def turn() -> AsyncIterator[Unit]:
        async with table.lanes["poll"][0].turn() as unit:
            yield unit
            if next(turns) == last:
                raise RuntimeError("the worker was killed")

    assert await table.poll() is True
    with suppress(RuntimeError):  # of a reading with fewer turns all is committed
        await table.reader().read(turn)
    assert len(published(table)) in {2, 3}
    assert await table.poll() is False
    assert [each.source.id for each in published(table)] == ["1", "2", "3"]


async def test_the_overlap_is_read_and_not_published_again() -> None:
    table = await bench(overlap=10_000_000)
    table.systems["a"].add("t", {"name": "n"})
    for _ in range(3):
        await table.poll()
    assert len(published(table)) == 1
    table.systems["a"].edit("t", "1", {"name": "m"})
    await table.poll()
    assert [(each.op, each.source.snapshot) for each in published(table)] == [("r", "true"), ("r", "incremental")]


async def test_the_end_of_the_first_reading_is_marked_in_every_partition_once() -> None:
    table = await bench(size=1)
    for number in range(2):
        table.systems["a"].add("t", {"name": f"n{number}"})
    assert await table.poll()
    assert marks(table) == []
    await table.poll()
    await table.poll()
    assert [(each.source, each.of) for each in marks(table)] == [(0, 2), (1, 2)]


async def test_another_plan_reads_everything_again() -> None:
    table = await bench()
    table.systems["a"].add("t", {"name": "n"})
    await table.poll()
    await table.poll(plan=5)
    assert len(published(table)) == 2
    assert {each.plan for each in marks(table)} == {table.flows.plan("a.t"), 5}


async def test_of_a_full_list_only_what_differs_is_published_and_absence_is_no_delete() -> None:
    table = await bench(LISTED)
    for number in range(3):
        table.systems["a"].add("t", {"name": f"n{number}"})
    await table.poll()
    table.systems["a"].edit("t", "2", {"name": "m"})
    table.systems["a"].drop("t", "3")
    await table.poll()
    assert [each.source.id for each in published(table)][3:] == ["2"]


async def test_a_record_that_was_written_elsewhere_is_published_again() -> None:
    table = await bench(LISTED)
    table.systems["a"].add("t", {"name": "n"})
    await table.poll()
    await table.publish(POLLS, "a.t", Order(ref="a.t:1"))
    await table.forget()
    await table.poll()
    assert len(published(table)) == 2


async def test_a_bad_page_is_set_aside_once_and_the_cursor_stays() -> None:
    table = await bench()
    table.systems["a"].add("t", {"name": "n"})
    table.systems["a"].fail("page", BadAnswer("page: found HTML; JSON would be right", body=b"<html>"), count=2)
    for _ in range(2):
        with pytest.raises(BadAnswer):
            await table.poll()
    assert table.parked() == [(b"<html>", "bad answer")]
    await table.poll()
    assert len(published(table)) == 1


@pytest.mark.parametrize("traits", [TRAITS, LISTED])
async def test_a_bad_record_is_set_aside_once_and_not_in_every_round(traits: Traits) -> None:
    table = await bench(traits)
    table.systems["a"].add("t", {"name": "n"})
    whole, bad = table.systems["a"].page, b"one"

    async def page(type: str, cursor: object) -> Page:
        return replace(await whole(type, cursor), rejected=(Rejected(reason="no id", body=bad),))

    table.systems["a"].page = page  # type: ignore[method-assign]
    for _ in range(3):
        await table.poll()
    assert table.parked() == [(b"one", "bad answer")]
    assert len(published(table)) == 1
    bad = b"another"
    for _ in range(3):
        await table.poll()
    assert [body for body, _ in table.parked()] == [b"one", b"another"]


async def test_a_record_that_the_log_cannot_take_is_set_aside_and_the_others_go_on() -> None:
    table = await bench()
    table.log.largest = 2000
    for name in ("m", "n" * 3000, "o"):
        table.systems["a"].add("t", {"name": name})
    for _ in range(3):
        await table.poll()
    assert [each.source.id for each in published(table)] == ["1", "3"]
    [(body, _)] = table.parked()
    assert body is not None
    assert len(body) == SHOWN
    [aside] = table.read(PARKED)
    assert b"at most 2000 would be right" in dict(aside.headers)["__connect.errors.exception.message"]
    table.systems["a"].fail("page", BadAnswer("page: found HTML; JSON would be right", body=b"<" * 3000), count=2)
    with pytest.raises(BadAnswer):
        await table.poll()
    assert [body for body, _ in table.parked()][1:] == [b"<" * SHOWN]


async def test_a_cursor_of_no_use_means_from_the_beginning() -> None:
    table = await bench(TRAITS)
    table.systems["a"].add("t", {"name": "n"})
    await table.poll()
    table.systems["a"].fail("page", Refused("cursor: found an old one; a new one would be right"))
    assert await table.poll() is True
    await table.poll()
    assert len(marks(table)) == 4
    assert len(published(table)) == 1, "it is known already"


async def test_a_record_that_is_brought_back_as_it_was_is_news() -> None:
    table = await bench()
    table.systems["a"].add("t", {"name": "n"})
    whole, gone = table.systems["a"].page, True

    async def page(type: str, cursor: object) -> Page:
        found = await whole(type, None)
        return replace(found, entities=(), gone=("1",)) if gone else found

    await table.poll()
    table.systems["a"].page = page  # type: ignore[method-assign]
    await table.poll()
    gone = False
    await table.poll()
    await table.poll()
    assert [each.op for each in published(table)] == ["r", "d", "r"]


async def test_the_note_of_a_reader_does_not_grow_with_what_it_reads_again() -> None:
    table = await bench(size=20, overlap=10_000_000_000)
    for number in range(100):
        table.systems["a"].add("t", {"name": f"n{number}"})
    while await table.poll():
        pass
    async with table.lanes["poll"][0].turn() as unit:
        assert len(unit.get(b"a.t") or b"") < 200


async def test_nothing_is_kept_of_a_page_that_was_not_read() -> None:
    table = await bench()
    table.systems["a"].fail("page", Retry("503"))
    with pytest.raises(Retry):
        await table.poll()
    assert table.read(TOPIC) == []


async def test_a_reading_from_the_beginning_publishes_what_looks_as_it_did() -> None:
    table = await bench(size=1)
    for number in range(3):
        table.systems["a"].add("t", {"name": f"n{number}"})
    while await table.poll():
        pass
    await table.publish(POLLS, "a.t", Reread(at=table.now))
    for _ in range(2):  # said twice, it is done once
        await table.forget()
        while await table.poll():
            pass
    assert [each.source.id for each in published(table)] == ["1", "2", "3"] * 2


async def test_a_page_that_was_on_its_way_when_all_was_to_be_read_anew_is_of_no_use() -> None:
    table = await bench(size=2)
    for number in range(3):
        table.systems["a"].add("t", {"name": f"n{number}"})
    assert await table.poll()
    await table.publish(POLLS, "a.t", Reread(at=table.now))
    whole = table.systems["a"].page

    async def page(type: str, cursor: object) -> Page:
        found = await whole(type, cursor)
        await table.forget()
        return found

    table.systems["a"].page = page  # type: ignore[method-assign]
    while await table.poll():
        pass
    assert [each.source.id for each in published(table)] == ["1", "2", "1", "2", "3"]


async def test_a_page_that_is_refused_however_it_is_come_to_is_told_and_not_read_without_end() -> None:
    """A project that nobody may read: the others were read again and again without a pause, and no error was shown."""
    table = await bench(size=1)
    for number in range(3):
        table.systems["a"].add("t", {"name": f"n{number}"})
    whole = table.systems["a"].page

    async def page(type: str, cursor: object) -> Page:
        if cursor is not None:
            raise Refused("GET /tasks: found status 400")
        return await whole(type, cursor)

    table.systems["a"].page = page  # type: ignore[method-assign]
    more = [await table.poll() for _ in range(3)]
    assert more == [True, True, True]
    with pytest.raises(Refused):
        await table.poll()
    table.systems["a"].page = whole  # type: ignore[method-assign]
    while await table.poll():
        pass
    assert [each.source.id for each in published(table)] == ["1", "2", "3"]
    table.systems["a"].fail("page", Refused("cursor: found an old one; a new one would be right"))
    assert await table.poll() is True, "it was read to its end meanwhile"


async def test_an_error_page_with_the_time_in_it_is_set_aside_once() -> None:
    table = await bench()
    for number in range(3):
        table.systems["a"].fail("page", BadAnswer("page: found HTML", body=b"<html>%d" % number))
        with pytest.raises(BadAnswer):
            await table.poll()
    assert table.parked() == [(b"<html>0", "bad answer")]
    await table.poll()
    table.systems["a"].fail("page", BadAnswer("page: found HTML", body=b"<html>9"))
    with pytest.raises(BadAnswer):
        await table.poll()
    assert [body for body, _ in table.parked()] == [b"<html>0", b"<html>9"]


async def test_what_is_listed_as_deleted_for_ever_is_told_twice_and_apart() -> None:
    """Each round told of every deletion that there ever was."""
    table = await bench(LISTED)
    for number in range(2):
        table.systems["a"].add("t", {"name": f"n{number}"})
    await table.poll()
    whole = table.systems["a"].page

    async def page(type: str, cursor: object) -> Page:
        found = await whole(type, cursor)
        return replace(found, entities=found.entities[:1], gone=("2",))

    table.systems["a"].page = page  # type: ignore[method-assign]
    for _ in range(150):
        await table.poll()
    told = [each.ts_us for each in published(table) if each.op == "d"]
    assert len(told) == 2
    assert told[1] - told[0] >= 60_000_000
    table.now += 4_000_000_000
    await table.poll()
    assert ("read", "t") not in table.systems["a"].calls, "nothing is to be learned by asking for it"
    table.systems["a"].page = whole  # type: ignore[method-assign]
    await table.poll()
    assert [each.op for each in published(table)] == ["r", "r", "d", "d", "r"]
