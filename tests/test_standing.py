"""Rows are counted as they change: what the counts say is what a scan of the whole table finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.errors import Refused, Retry
from stream.cli.overview import gathered
from stream.core.row import Cell, Edge, Row, Write
from stream.core.shared import Index
from stream.engine.backends import open_reader
from stream.model import Version
from stream.operate.table import out_of
from stream.standing import LONG, MOST, SINCE, STEPS, Standing, decode_counts, is_out, standing
from tests.cli.kept import Kept, kept

OLD, NEW = Version(10, 0, 1), Version(20, 0, 2)
PEER = "b.t:1"


def row(cell: Cell, **more: Any) -> Row:
    made = Row(remote={"x": "v"}, edges={"f/a": more.pop("edge", Edge(peer=PEER))}, **more)
    made.keep({"x": cell})
    return made


@pytest.mark.parametrize(
    ("kept_row", "names"),
    [
        (None, ()),
        (Index(), ()),
        (Row(edges={"f/a": Edge(peer=PEER)}), ()),
        (Row(remote={"x": 1}), ("a.t",)),
        (row(Cell(NEW)), ("a.t", "f/a linked")),
        (row(Cell(NEW, newer=("w",), carried=OLD)), ("a.t", "f/a linked", "f/a out")),
        (row(Cell(NEW, newer=("w",), carried=OLD, rejected=NEW)), ("a.t", "f/a linked", "f/a apart")),
        (row(Cell(NEW, newer=("w",), carried=OLD, rejected=OLD)), ("a.t", "f/a linked", "f/a out")),
        (row(Cell(NEW), edge=Edge(peer=PEER, owed=("x",))), ("a.t", "f/a linked", "f/a out")),
        (row(Cell(NEW), edge=Edge(peer=PEER, idle=True)), ("a.t", "f/a idle")),
        (row(Cell(NEW), edge=Edge("refused")), ("a.t", "f/a refused")),
        (row(Cell(NEW), writing=Write(1, {}, {}, {}, 1)), ("a.t", "writing", "f/a linked", "f/a out")),
    ],
)
def test_a_row_counts_for_what_it_is(kept_row: Any, names: tuple[str, ...]) -> None:
    assert standing("a.t:1", kept_row) == names
    assert is_out(names) == ("f/a out" in names)


class Rows(dict[bytes, bytes]):
    """A unit's rows, which is all that is asked of it here."""

    def put(self, key: bytes, row: bytes | None) -> None:
        if row is None:
            self.pop(key, None)
        else:
            self[key] = row

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return [item for item in self.items() if item[0].startswith(prefix)]


OUT = ("f/a linked", "f/a out")
IN = ("f/a linked",)


def moved(lane: Standing, unit: Any, key: bytes, old: tuple[str, ...], new: tuple[str, ...], now: int) -> None:
    lane.begin(unit)
    lane.moved(unit, key, old, new, now)
    lane.end(unit, now)


def test_what_is_out_of_step_for_a_moment_is_not_written_down_and_what_stays_so_is() -> None:
    unit: Any = Rows()
    lane = Standing(unit)
    moved(lane, unit, b"k", (), OUT, LONG)
    assert set(unit) == {STEPS}
    assert lane.oldest() == (b"k", LONG)
    moved(lane, unit, b"other", (), IN, 2 * LONG)
    assert set(unit) == {STEPS, SINCE + b"k"}
    assert Standing(unit).oldest() == (b"k", LONG)  # whoever takes the lane over knows it
    moved(lane, unit, b"k", OUT, IN, 3 * LONG)
    assert set(unit) == {STEPS}
    assert lane.oldest() is None
    assert decode_counts(unit[STEPS]) == {"f/a linked": 2}


def test_a_unit_that_failed_has_counted_in_vain() -> None:
    unit: Any = Rows()
    lane = Standing(unit)
    lane.begin(unit)
    lane.moved(unit, b"k", (), IN, 1)  # and then the body fails: nothing is staged
    moved(lane, unit, b"k", (), IN, 2)
    assert decode_counts(unit[STEPS]) == {"f/a linked": 1}


def test_only_so_many_are_known_by_name_and_the_oldest_stay() -> None:
    unit: Any = Rows()
    lane = Standing(unit)
    lane.begin(unit)
    for number in range(MOST + 5):
        lane.moved(unit, b"%d" % number, (), OUT, number)
    assert len(lane.since) == MOST
    assert lane.oldest() == (b"0", 0)
    assert lane.counts["f/a out"] == MOST + 5


async def agreed(table: Kept) -> dict[str, Any]:
    """What status counts, which is what a scan counts."""
    counted = await gathered(table.topology)
    scanned = await gathered(table.topology, scan=True)
    for found in (counted, scanned):
        for each in found["waiting"]:
            each.pop("seconds")
        found.pop("oldest")
        found.pop("types")
    assert counted == scanned
    return counted


async def test_counts_are_what_a_scan_finds_whatever_happened(tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        for number in range(20):
            table.a.add("t", {"name": f"n{number}", "x": "before"})
        await table.settle()
        assert (await agreed(table))["in_step_percent"] == 100
        first, second, third = list(table.a.all("t"))[:3]
        table.b.fail("update", Refused("400", fields={"x": "too long"}))
        table.a.edit("t", first, {"x": "refused"})
        await table.settle()
        found = await agreed(table)
        assert found["flows"]["f"] == {"linked": 20, "in_step": 19, "not applied": 1}
        assert found["waiting"] == []  # nothing that goes by itself
        table.b.fail("update", Retry("503", after=600.0), count=9)
        table.a.edit("t", second, {"x": "waits"})
        table.a.edit("t", third, {"x": "waits, too"})
        await table.settle()
        assert (await agreed(table))["flows"]["f"] == {"linked": 20, "in_step": 17, "not applied": 1}
        for id in list(table.a.all("t"))[5:8]:
            table.a.drop("t", id)
        await table.settle()
        await agreed(table)
        table.now += 700_000_000
        await table.settle()


async def test_the_oldest_disagreement_is_named_with_its_reason(tmp_path: Path) -> None:
    async with kept(tmp_path) as table:
        table.a.add("t", {"name": "one", "x": "before"})
        await table.settle()
        table.b.fail("update", Retry("b: 503", after=600.0), count=9)
        table.a.edit("t", table.only("a").partition(":")[2], {"x": "after"})
        await table.settle()
        table.now += 10_000_000
        table.b.add("t", {"name": "another"})
        await table.settle()
        found = await gathered(table.topology)
        with open_reader(table.topology.broker) as reader:
            [(ref, _)] = out_of(reader)
    assert ref == table.only("a").replace("a", "b", 1) or ref.startswith("b.t:")
    assert found["oldest"]["ref"] == ref
    assert (found["oldest"]["what"], found["oldest"]["reason"]) == ("x", "a write is in flight, tried 1 times")
