from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stream.codec import bytes_of
from stream.core.damping import FLAPPING, LONGEST, QUIET
from stream.model import Command, Wake
from tests.core.build import SECOND, START, A, B, Table, commands, linked, only, reports, seen

FULL = {"name": "n", "y": None}


class Loop:
    """A pair whose left system upper-cases, and whose right one lower-cases, a second after each write."""

    def __init__(self, *, timed: bool = True, right: bool = True) -> None:
        self.table = linked()
        self.timed = timed
        self.right = right
        self.waits: list[int] = []
        self.told: list[str] = []
        self.command: Command | None = only(Command, self.table.read(B, 99, x="word"))

    def at(self) -> float:
        return (self.table.now - START) / SECOND

    def step(self) -> None:
        """The write in flight is done and rewritten; then what waits for its time is woken."""
        table, command = self.table, self.command
        assert command is not None
        assert command.target is not None
        out = table.done(command.target, command, self.at())
        if command.target == A or self.right:
            table.now += SECOND
            value = command.want["x"]
            value = value.upper() if command.target == A else value.lower()
            reading = seen(self.at(), x=value, **FULL)
            out += table.bring(command.target, reading if self.timed else replace(reading, updated_at=None))
        self.told += reports(out)
        before, alarm = table.now, min((table.row(ref).alarm for ref in (A, B) if table.row(ref).alarm), default=0)
        if not commands(out) and alarm:
            table.now = alarm
            out += [each for ref in (A, B) for each in table.bring(ref, Wake())]
            self.waits.append((alarm - before) // SECOND)
        self.command = next(iter(commands(out)), None)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()


class TestA12Damping:
    def test_two_rewriters_slow_down(self) -> None:
        """32 writes went out in five minutes."""
        loop = Loop()
        start = loop.at()
        writes = 0
        while loop.at() < start + 300:
            loop.step()
            writes += 1
        assert writes <= 15
        assert loop.waits[:3] == sorted(loop.waits[:3])

    def test_each_wait_is_four_times_the_one_before_and_a_day_at_most(self) -> None:
        loop = Loop()
        loop.run(40)
        assert loop.waits == sorted(loop.waits)
        assert loop.waits[0] <= 30
        assert LONGEST // SECOND - 60 < loop.waits[-1] <= LONGEST // SECOND

    def test_a_person_is_told_at_the_sixth_and_nothing_is_frozen(self) -> None:
        loop = Loop()
        loop.run(20)
        assert loop.told == [FLAPPING] * 2
        assert loop.command is not None

    def test_a_system_without_times_is_damped_by_its_readings(self) -> None:
        loop = Loop(timed=False)
        loop.run(12)
        assert loop.waits != []

    def test_one_rewriter_is_no_loop(self) -> None:
        loop = Loop(right=False)
        loop.step()
        loop.step()
        assert loop.command is None
        assert loop.waits == []

    def test_an_hour_of_quiet_forgets_it(self) -> None:
        loop = Loop()
        loop.run(6)
        table, name = loop.table, loop.command
        assert name is not None
        target = name.target or ""
        counted = table.row(target).damping["x"].count
        assert counted > 2
        table.now = table.row(target).damping["x"].not_before + QUIET + SECOND
        table.done(target, name, loop.at())
        table.bring(target, seen(loop.at() + 1, x="Again", **FULL))
        assert table.row(target).damping["x"].count == 1


def counted(table: Table, ref: str = A) -> Any:
    return table.row(ref).damping


class TestWhatIsNotCounted:
    def test_a_person_who_types_later(self) -> None:
        table = linked()
        table.done(A, only(Command, table.read(B, 110, x="x1")), 120)
        table.bring(A, seen(127, x="typed", **FULL))
        assert counted(table) == {}
        assert b"\xa1d" not in bytes_of(table.row(A))

    def test_a_person_who_types_on(self) -> None:
        table = linked()
        table.done(A, only(Command, table.read(B, 110, x="x1")), 120)
        for second in (121, 122, 123, 124):
            table.bring(A, seen(second, x=f"typed {second}", **FULL))
        assert counted(table)["x"].count == 1

    def test_an_edit_of_another_field(self) -> None:
        table = linked()
        table.done(A, only(Command, table.read(B, 110, x="x1")), 120)
        table.bring(A, seen(121, name="n", x="x1", y="typed"))
        assert counted(table) == {}

    def test_a_record_that_we_never_wrote(self) -> None:
        table = linked()
        for second in (11, 12, 13, 14):
            table.bring(A, seen(second, x=f"typed {second}", **FULL))
        assert counted(table) == {}
