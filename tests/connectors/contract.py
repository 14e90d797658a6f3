"""What every endpoint must do, whatever system is behind it. A connector inherits these tests by making a ``Bench``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import pytest

from connectors.endpoint import Cursor, Endpoint, Entity
from connectors.errors import Missing, Refused, Stale, Unsure
from connectors.fields import pick


class Bench(Protocol):
    """An endpoint with its system, and hands that act on the system as a person does."""

    endpoint: Endpoint
    type: str
    title: str
    """A text field that a record must have."""
    text: str
    """Another text field."""
    needed: Mapping[str, Any]
    """What else a record needs."""
    update: int
    """Requests of a write: two where its answer says nothing of the record, so that it is read back."""
    secret: str
    page: int
    """The size of a page."""

    async def add(self, title: str) -> str: ...
    async def edit(self, id: str, path: str, value: Any) -> None: ...
    async def drop(self, id: str) -> None: ...
    def lose_answer(self) -> None: ...
    def forget_us(self) -> None: ...
    def requests(self) -> int: ...
    def sent(self) -> list[dict[str, Any]]: ...


async def read_all(endpoint: Endpoint, type: str, cursor: Cursor = None) -> tuple[list[Entity], Cursor]:
    found: list[Entity] = []
    for _ in range(10_000):
        page = await endpoint.page(type, cursor)
        found += page.entities
        cursor = json.loads(json.dumps(page.cursor))
        if not page.more:
            return found, cursor
    pytest.fail("the list has no end")


def long_ago(base: Entity) -> Entity:
    """A base that was read so long ago that nothing can stand on it."""
    return msgspec.structs.replace(base, reading=None)


class EndpointContract:
    async def test_traits_need_no_network_and_name_the_type(self, bench: Bench) -> None:
        traits = bench.endpoint.traits()[bench.type]
        assert traits.create in {1, 2, 3, 4, 5}
        assert traits.writable is None or {bench.title, bench.text} <= traits.writable

    async def test_its_clock_is_told_or_not(self, bench: Bench) -> None:
        for _ in range(4):
            await read_all(bench.endpoint, bench.type)
        assert bench.endpoint.clock_ahead() in {None, 0.0}

    async def test_a_round_brings_every_record_once(self, bench: Bench) -> None:
        ids = {await bench.add(f"number {n}") for n in range(3 * bench.page + 1)}
        found, _ = await read_all(bench.endpoint, bench.type)
        assert ids <= {one.id for one in found}
        assert all(isinstance(one.id, str) and one.updated_at for one in found)

    async def test_a_later_round_brings_what_changed_since(self, bench: Bench) -> None:
        first = await bench.add("first")
        _, cursor = await read_all(bench.endpoint, bench.type)
        await bench.edit(first, bench.text, "edited")
        second = await bench.add("second")
        found, _ = await read_all(bench.endpoint, bench.type, cursor)
        latest = {one.id: one for one in found}
        assert pick(latest[first].record, bench.text) == "edited"
        assert second in latest

    async def test_nothing_is_skipped_when_records_change_while_paging(self, bench: Bench) -> None:
        ids = [await bench.add(f"number {n}") for n in range(4 * bench.page)]
        first = await bench.endpoint.page(bench.type, None)
        assert first.more
        await bench.edit(ids[0], bench.text, "moved")
        await bench.drop(ids[1])
        await bench.edit(ids[-1], bench.text, "late")
        rest, cursor = await read_all(bench.endpoint, bench.type, first.cursor)
        again, _ = await read_all(bench.endpoint, bench.type, cursor)
        seen = {one.id: one for one in (*first.entities, *rest, *again)}
        assert set(ids) - {ids[1]} <= seen.keys()
        assert pick(seen[ids[0]].record, bench.text) == "moved"
        assert pick(seen[ids[-1]].record, bench.text) == "late"

    async def test_a_page_can_be_read_again_from_its_cursor(self, bench: Bench) -> None:
        for n in range(2 * bench.page):
            await bench.add(f"number {n}")
        first = await bench.endpoint.page(bench.type, None)
        once, twice = [await bench.endpoint.page(bench.type, first.cursor) for _ in range(2)]
        assert [one.id for one in once.entities] == [one.id for one in twice.entities]

    async def test_a_foreign_cursor_is_refused(self, bench: Bench) -> None:
        with pytest.raises(Refused):
            await bench.endpoint.page(bench.type, {"not": "ours"})

    async def test_reading_gives_the_record_as_it_is_now(self, bench: Bench) -> None:
        one = await bench.add("one")
        await bench.edit(one, bench.text, "æøå «»")
        assert pick((await bench.endpoint.read(bench.type, one)).record, bench.text) == "æøå «»"

    async def test_what_is_not_there_is_missing(self, bench: Bench) -> None:
        one = await bench.add("one")
        base = await bench.endpoint.read(bench.type, one)
        await bench.drop(one)
        with pytest.raises(Missing):
            await bench.endpoint.read(bench.type, one)
        with pytest.raises(Missing):
            await bench.endpoint.update(bench.type, base, {bench.title: "two"})
        with pytest.raises(Missing):
            await bench.endpoint.remove(bench.type, base, "delete")

    async def test_a_created_record_carries_the_marker_and_is_found_by_it(self, bench: Bench) -> None:
        made = await bench.endpoint.create(bench.type, {bench.title: "new", **bench.needed}, "a.b~c.d|a.b:1")
        assert made.marker == "a.b~c.d|a.b:1"
        assert pick(made.record, bench.title) == "new"
        assert "a.b~c.d|a.b:1" not in json.dumps(made.record)
        (found,) = await bench.endpoint.find(bench.type, "a.b~c.d|a.b:1", made.updated_at or 0)
        assert found == await bench.endpoint.read(bench.type, made.id)
        listed, _ = await read_all(bench.endpoint, bench.type)
        assert [one.id for one in listed if one.marker == "a.b~c.d|a.b:1"] == [made.id]
        assert await bench.endpoint.find(bench.type, "a.b~c.d|a.b:2", 0) == ()

    async def test_an_empty_marker_marks_nothing(self, bench: Bench) -> None:
        made = await bench.endpoint.create(bench.type, {**bench.needed, bench.title: "a person's"}, "")
        assert not made.marker
        again = await bench.endpoint.read(bench.type, made.id)
        assert again.marker is None
        assert pick(again.record, bench.title) == "a person's"

    async def test_the_marker_outlives_writes(self, bench: Bench) -> None:
        made = await bench.endpoint.create(bench.type, {bench.title: "new", **bench.needed}, "a.b~c.d|a.b:1")
        other = await bench.endpoint.update(bench.type, made, {bench.title: "newer"})
        text = await bench.endpoint.update(bench.type, other, {bench.text: "line one\nline two"})
        assert pick(text.record, bench.text) == "line one\nline two"
        assert text.marker == "a.b~c.d|a.b:1"
        assert len(await bench.endpoint.find(bench.type, "a.b~c.d|a.b:1", made.updated_at or 0)) == 1

    async def test_an_update_sends_the_wanted_fields_and_no_others(self, bench: Bench) -> None:
        base = await bench.endpoint.read(bench.type, await bench.add("one"))
        bench.forget_us()
        changed = await bench.endpoint.update(bench.type, base, {bench.title: "two"})
        assert [set(fields) for fields in bench.sent()] == [{bench.title}]
        assert pick(changed.record, bench.title) == "two"
        assert changed.updated_at is not None
        assert changed.updated_at >= (base.updated_at or 0)

    async def test_a_write_on_an_old_base_is_stale(self, bench: Bench) -> None:
        one = await bench.add("one")
        base = long_ago(await bench.endpoint.read(bench.type, one))
        await bench.edit(one, bench.text, "somebody was faster")
        bench.forget_us()
        with pytest.raises(Stale):
            await bench.endpoint.update(bench.type, base, {bench.title: "two"})
        with pytest.raises(Stale):
            await bench.endpoint.remove(bench.type, base, "delete")
        assert bench.sent() == []

    async def test_a_write_on_what_was_read_just_now_is_one_request_and_on_an_old_base_two(self, bench: Bench) -> None:
        base = await bench.endpoint.read(bench.type, await bench.add("one"))
        before = bench.requests()
        assert base.reading is not None or before == 0, "an endpoint in memory is not asked, and compares by itself"
        changed = await bench.endpoint.update(bench.type, base, {bench.title: "two"})
        once = bench.requests()
        assert pick(changed.record, bench.title) == "two"
        assert once - before == bench.update
        await bench.endpoint.update(bench.type, long_ago(changed), {bench.title: "three"})
        assert bench.requests() - once == (bench.update + 1 if before else 0)

    async def test_what_the_system_does_not_take_is_refused(self, bench: Bench) -> None:
        with pytest.raises(Refused) as refused:
            await bench.endpoint.create(bench.type, {bench.text: "no title", **bench.needed}, "a.b~c.d|a.b:1")
        assert bench.title in refused.value.fields
        base = await bench.endpoint.read(bench.type, await bench.add("one"))
        if bench.endpoint.traits()[bench.type].writable is not None:
            with pytest.raises(Refused) as refused:
                await bench.endpoint.update(bench.type, base, {"no_such_field": 1})
            assert "no_such_field" in refused.value.fields
        with pytest.raises(Refused):
            await bench.endpoint.page("no_such_type", None)

    async def test_a_create_whose_answer_is_lost_is_found_once(self, bench: Bench) -> None:
        bench.lose_answer()
        with pytest.raises(Unsure):
            await bench.endpoint.create(bench.type, {bench.title: "new", **bench.needed}, "a.b~c.d|a.b:1")
        assert len(await bench.endpoint.find(bench.type, "a.b~c.d|a.b:1", 0)) == 1

    async def test_what_has_no_look_up_says_so(self, bench: Bench) -> None:
        traits = bench.endpoint.traits()[bench.type]
        assert traits.marked == (traits.look_up == "marker")
        if traits.look_up == "none":
            with pytest.raises(Refused):
                await bench.endpoint.recent(bench.type, 0)

    async def test_a_deleted_record_is_gone(self, bench: Bench) -> None:
        base = await bench.endpoint.read(bench.type, await bench.add("one"))
        await bench.endpoint.remove(bench.type, base, "delete")
        with pytest.raises(Missing):
            await bench.endpoint.read(bench.type, base.id)

    async def test_no_secret_is_in_an_error(self, bench: Bench) -> None:
        with pytest.raises(Refused) as refused:
            await bench.endpoint.create(bench.type, {bench.title: "", bench.text: bench.secret, **bench.needed}, "m")
        assert bench.secret not in f"{refused.value!r} {refused.value.fields}"
        with pytest.raises(Missing) as missing:
            await bench.endpoint.read(bench.type, f"77{bench.secret}")
        assert bench.secret not in repr(missing.value) or bench.secret == "none"


class OnceContract:
    """What a type must do whose records are made once without a marker that anybody could look for."""

    async def test_a_create_said_twice_makes_one_record(self, bench: Bench) -> None:
        traits = bench.endpoint.traits()[bench.type]
        if traits.create in {1, 2}:
            bench.lose_answer()
            with pytest.raises(Unsure):
                await bench.endpoint.create(bench.type, {bench.title: "new", **bench.needed}, "a.b~c.d|a.b:1")
            again = await bench.endpoint.create(bench.type, {bench.title: "new", **bench.needed}, "a.b~c.d|a.b:1")
            listed, _ = await read_all(bench.endpoint, bench.type)
            assert [one.id for one in listed] == [again.id]

    async def test_another_marker_makes_another_record(self, bench: Bench) -> None:
        made = [
            await bench.endpoint.create(bench.type, {bench.title: "new", **bench.needed}, mark) for mark in ("1", "2")
        ]
        assert len({one.id for one in made}) == 2

    async def test_what_was_created_since_is_listed_oldest_first(self, bench: Bench) -> None:
        traits = bench.endpoint.traits()[bench.type]
        if traits.look_up == "recent":
            await bench.add("old")
            first, second = [
                await bench.endpoint.create(bench.type, {bench.title: "new", **bench.needed}, mark)
                for mark in ("1", "2")
            ]
            await bench.edit((await read_all(bench.endpoint, bench.type))[0][0].id, bench.text, "edited")
            listed = await bench.endpoint.recent(bench.type, first.updated_at or 0)
            assert [one.id for one in listed] == [first.id, second.id]
            assert {one.marker for one in listed} == {None}
