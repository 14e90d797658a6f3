"""Killed again and again under load, the worker loses nothing and doubles nothing."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

from tests.worker.office import Office
from tests.worker.rig import linked, pairs, redundant, rename, repeated, rig, settled, until

KILLS = int(os.environ.get("LINKSTREAM_KILLS", "25"))


class People:
    """They rename tasks, each on one side, and add new ones; what they typed last is remembered."""

    def __init__(self, office: Office, chance: random.Random) -> None:
        self.office, self.chance = office, chance
        self.typed: dict[str, str] = {}
        self.made = 0
        self.edits = 0
        self.enough = False
        self._sides: dict[str, str] = {}

    async def go_on(self) -> None:
        """Edit until it is enough, about fifty times a second; no edit is left half done."""
        everybody = pairs(self.office)
        for left, right in everybody:
            self._sides[left] = self.chance.choice([left, right])
        while not self.enough:
            left, right = self.chance.choice(everybody)
            ref = self._sides[left]
            self.edits += 1
            self.typed[ref] = f"Edit {self.edits}"
            await rename(self.office, ref, self.typed[ref])
            if self.edits % 40 == 0:
                self.made += 1
                fields = {"name": f"New task {self.made}", "workspace": "1200000000000001"}
                fields["projects"] = [self.office.ids("asana.projects")[0]]
                await self.office.asana.act("POST", "/tasks", {"data": fields})
            await asyncio.sleep(0.02)


async def moment(office: Office, chance: random.Random) -> None:
    """Wait until the worker has written, then for a moment: before the receipt is in the log, or a little later.

    It follows what the worker does, not the clock: on a busy machine it starts later, and is killed later.
    """
    before = office.writes()
    await until(lambda: office.writes() > before, "the worker writes", every=0.001)
    await asyncio.sleep(chance.choice([0.0, chance.uniform(0.0, 0.02), chance.uniform(0.0, 1.0)]))


@pytest.mark.process
@pytest.mark.timeout(300)
async def test_twenty_five_kills_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("LINKSTREAM_SEED", str(time.time_ns() % 1_000_000)))
    chance = random.Random(seed)
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        people = People(office, chance)
        editing = asyncio.ensure_future(people.go_on())
        for kill in range(KILLS):
            if kill % 5 == 4:
                await asyncio.sleep(chance.uniform(0.0, 1.0))  # as it starts
            else:
                await moment(office, chance)
            assert office.alive(), f"seed {seed}: the worker ended by itself"
            await office.kill()
            await office.start()
        people.enough = True
        await editing
        await settled(office)
        writes = office.writes()
        print(f"seed {seed}: {KILLS} kills; {people.edits} edits, {people.made} new tasks, {writes} writes")
        for ref, value in people.typed.items():
            twin = next(b if ref == a else a for a, b in pairs(office) if ref in (a, b))
            field = "title" if twin.startswith("custompms") else "name"
            assert office.record(twin)[field] == value, f"seed {seed}: the last edit of {ref} was lost"
        assert office.doubled() == 0, f"seed {seed}: a record was created twice"
        assert not redundant(office), f"seed {seed}: written twice: {redundant(office)[:3]}"
        assert not [*repeated(office, "title"), *repeated(office, "name")], f"seed {seed}: a value was written twice"
        await asyncio.sleep(2.0)
        assert office.writes() == writes, f"seed {seed}: written while nobody edits"
