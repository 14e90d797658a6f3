"""Histories that a seed once found, told step by step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream.codec import decode_message, encode
from stream.model import Offer, Propose
from stream.topics import MAIL
from tests.simulation import faults
from tests.simulation.log import Crash
from tests.simulation.shapes import SHAPES
from tests.simulation.systems import SECOND, Quirks
from tests.simulation.world import World


@pytest.fixture
def pair() -> Iterator[World]:
    world = World(1, SHAPES["pair"], partitions=1)
    world.systems["a"].add("t", {"name": "n1", "x1": "e1", "x2": None})
    world.systems["b"].add("t", {"name": "n1", "x1": "e1", "x2": None})
    world.settle()
    yield world
    world.close()


def read_all(world: World) -> None:
    for name in world.types:
        world.step_poll(name)
    for partition in range(world.partitions):
        world.step_join(partition, 100)


def test_an_update_that_ended_without_a_write_is_over(pair: World) -> None:
    """Read again, it found the record as it had once believed it to be, and wrote an old value over a newer one."""
    a, b = pair.systems["a"], pair.systems["b"]
    a.edit("t", "1", "x2", "old")
    for _ in range(3):
        read_all(pair)
    pair.now += SECOND
    b.edit("t", "1", "x2", "newer")  # so that the write of "old" ends as stale
    pair.settle()
    assert b.records["t"]["1"]["fields"]["x2"] == "newer"
    pair.now += SECOND
    b.edit("t", "1", "x2", None)
    pair.settle()
    for (agent, _), lane in pair.lanes.items():
        if agent == "push.b":
            lane.positions = {}
    pair.settle()
    assert [system.records["t"]["1"]["fields"]["x2"] for system in (a, b)] == [None, None]


def test_a_write_whose_receipt_was_lost_with_its_row_is_sent_again(pair: World) -> None:
    """The row waited for ever: the command had been read, and so had its receipt."""
    a, b = pair.systems["a"], pair.systems["b"]
    a.edit("t", "1", "x1", "new")
    for _ in range(2):
        read_all(pair)
    faults.snapshot(pair, 0)
    assert pair.row("b.t:1").writing is not None
    pair.settle()
    faults.rollback(pair, detected=True, positions=False)
    pair.settle()
    assert pair.row("b.t:1").writing is None
    assert b.records["t"]["1"]["fields"]["x1"] == "new"


def test_a_record_that_changed_while_its_create_was_refused_is_created() -> None:
    """It was judged by what it had been, and nobody came back to it."""
    world = World(1, SHAPES["pair"], {"b": Quirks(needs=frozenset({"x2"}))}, partitions=1)
    world.systems["a"].add("t", {"name": "n1", "x1": "e1", "x2": None})
    while not world.log.get(("upserts.b.t", 0)):
        world.now += SECOND
        read_all(world)
        world.step_wake()
    world.now += SECOND
    world.systems["a"].edit("t", "1", "x2", "e2")
    read_all(world)  # before the create is answered
    world.settle()
    assert world.systems["b"].records["t"]["1"]["fields"]["x2"] == "e2"
    world.close()


def test_a_create_whose_receipt_was_lost_with_its_row_is_sent_again() -> None:
    """Its marker finds what it made: there is one record, and it is linked."""
    world = World(1, SHAPES["pair"], partitions=1)
    world.systems["a"].add("t", {"name": "n1", "x1": "e1", "x2": None})
    while not world.log.get(("upserts.b.t", 0)):
        world.now += SECOND
        read_all(world)
        world.step_wake()
    faults.snapshot(world, 0)
    assert world.row("a.t:1").edges["a.t~b.t/a"].state == "creating"
    world.step_push("b", 0, 10)
    world.step_join(0, 100)
    faults.rollback(world, detected=True, positions=False)
    assert world.row("a.t:1").edges["a.t~b.t/a"].state == "creating"
    world.settle()
    assert world.row("a.t:1").edges["a.t~b.t/a"].state == "linked"
    assert len(world.systems["b"].records["t"]) == 1
    world.close()


def test_a_counterpart_that_begins_anew_is_told_everything_again(pair: World) -> None:
    """While it asked for the second time it dropped what it was offered for the first, and nobody said it again."""
    pair.systems["b"].edit("t", "1", "x2", "e2")
    pair.settle()
    told = len(pair.log[MAIL, 0])
    anew = Propose(edge="a.t~b.t/b", sender="a.t:1", number=pair.now, key="")
    for _ in range(2):
        pair.append(MAIL, b"b.t:1", encode(anew), (), None)
    pair.drain()
    offers = [decode_message(record.value) for record in pair.log[MAIL, 0][told:]]
    assert [sorted(offer.fields) for offer in offers if isinstance(offer, Offer)] == [["name", "x1", "x2"]]


def test_of_two_readings_in_one_second_the_earlier_one_stays_the_earlier_one() -> None:
    """Read again, it passed for an edit, and was written back over what had been typed since."""
    whole = Quirks(seconds=True)
    world = World(1, SHAPES["pair"], {"a": whole, "b": whole}, partitions=1)
    a, b = world.systems["a"], world.systems["b"]
    a.add("t", {"name": "n1", "x1": "e1", "x2": None})
    read_all(world)
    a.edit("t", "1", "x1", "e2")
    world.settle()
    for (agent, _), lane in world.lanes.items():
        if agent != "poll":
            lane.positions = {}
    writes = world.writes
    world.settle()
    assert world.writes == writes
    assert [system.records["t"]["1"]["fields"]["x1"] for system in (a, b)] == ["e2", "e2"]
    world.close()


def test_each_attempt_of_a_create_waits_until_the_one_before_could_be_found() -> None:
    """The wait counted from the first attempt; the second one's record was not found yet, and made once more."""
    world = World(1, SHAPES["pair"], {"b": Quirks(settle=20 * SECOND)}, partitions=1)
    world.systems["a"].add("t", {"name": "n1", "x1": "e1", "x2": None})
    while not world.log.get(("upserts.b.t", 0)):
        world.now += SECOND
        read_all(world)
        world.step_wake()
    dying = iter(["right after its note was kept", "right after that call"])
    dies_at = next(dying)

    def maybe_crash(where: str) -> None:
        nonlocal dies_at
        if where == dies_at:
            dies_at = next(dying, "")
            raise Crash

    world.maybe_crash = maybe_crash  # type: ignore[method-assign]
    for wait in (0, 30, 0, 0):
        world.now += wait * SECOND
        world.step_push("b", 0, 10)
    world.settle()
    assert len(world.systems["b"].records["t"]) == 1
    assert world.watch.problems == []
    world.close()


@pytest.mark.parametrize("order", [("b.t", "a.t"), ("a.t", "b.t")], ids=["counterpart first", "origin first"])
@pytest.mark.parametrize("typed_at", ["a", "b"])
def test_what_was_typed_when_the_log_was_lost_wins_whoever_is_read_first(order: tuple[str, str], typed_at: str) -> None:
    """The counterpart claimed an origin that was not read yet; found later, its old value passed for an edit."""
    world = World(1, SHAPES["pair"], partitions=1)
    world.systems["a"].add("t", {"name": "n1", "x1": "e1", "x2": None})
    world.settle()
    for name in "ba":  # so that no record is as it was created
        world.now += SECOND
        world.systems[name].edit("t", "1", "name", f"by {name}")
        world.settle()
    world.now += SECOND
    world.systems[typed_at].edit("t", "1", "name", "just before")
    world.now += SECOND
    faults.erase(world, at_rest=False)
    for name in order:
        world.step_poll(name)
        world.drain()
    for _ in range(10):  # all that can be done at once, before anybody says again what was not answered
        world.step_wake()
        world.step_join(0, 100)
    world.settle()
    assert [system.records["t"]["1"]["fields"]["name"] for system in world.systems.values()] == ["just before"] * 2
    assert world.row("a.t:1").edges["a.t~b.t/a"].state == "linked"
    world.close()
