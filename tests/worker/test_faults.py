"""What goes wrong at systems and in the log: shown, waited out, set aside; never lost, never repeated."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path

import pytest

from stream.engine.ask import ask, publishing
from stream.engine.log import Outgoing
from tests.worker.office import PMS
from tests.worker.rig import linked, pairs, parked, reason, rename, rig, settled, shown, status, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


async def test_an_outage_is_shown_and_waited_out_and_nothing_is_parked(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        left, right = pairs(office)[0]
        await office.pms.down()
        await rename(office, left, "While it was down")
        await shown(office, "custompms", "down")
        assert (await status(office))["worker"]["systems"]["asana"]["state"] == "ok"
        await office.pms.up()
        await until(lambda: office.record(right)["title"] == "While it was down", "the edit arrives after the outage")
        assert parked(office) == []
        assert (await status(office))["worker"]["systems"]["custompms"]["state"] == "ok"


async def test_credentials_that_no_longer_open_lock_the_system_alone(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        left, right = pairs(office)[0]
        office.asana.fault("status", status=401)
        await rename(office, right, "Typed at the other one")
        await shown(office, "asana", "locked")
        assert (await status(office))["worker"]["systems"]["custompms"]["state"] == "ok"
        office.asana.heal()
        await until(lambda: office.record(left)["name"] == "Typed at the other one", "it opens again")
        assert parked(office) == []


@pytest.mark.parametrize("kind", ["garbage", "html", "wrong-shape", "huge", "bomb", "deep", "nan", "truncate"])
async def test_an_answer_that_cannot_be_read_is_set_aside_once_and_the_rest_goes_on(tmp_path: Path, kind: str) -> None:
    async with rig(tmp_path, tasks=6, twins=2) as office:
        await office.start()
        await linked(office)
        left, right = pairs(office)[0]
        other = next(link for link in office.links() if link.flow == "asana.teams~custompms.customer")
        office.asana.fault(kind, path="*/tasks", method="GET")
        await rename(office, left, "Behind the bad page")
        await until(lambda: len(parked(office)) > 0, "the page is set aside", seconds=45)
        await rename(office, other.peer, "Others go on")
        await until(lambda: office.record(other.ref)["name"] == "Others go on", "other types go on")
        assert office.record(right)["title"] != "Behind the bad page"
        office.asana.heal()
        await until(lambda: office.record(right)["title"] == "Behind the bad page", "the cursor did not pass the page")
        aside = parked(office)
        assert len(aside) == 1
        assert reason(aside[0])


async def test_a_record_of_a_bad_shape_is_set_aside_and_the_page_goes_on(tmp_path: Path) -> None:
    async with rig(tmp_path, tasks=6, twins=2) as office:
        await office.start()
        await linked(office)
        left, right = pairs(office)[0]
        office.asana.fault("duplicate-ids", path="*/tasks", method="GET", count=1)
        await rename(office, left, "Said twice on one page")
        await until(lambda: office.record(right)["title"] == "Said twice on one page", "the record arrives")
        await settled(office)


async def test_creates_whose_answers_are_lost_are_found_and_not_repeated(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        office.pms.fault("reset-after-apply", method="POST", probability=0.4, seed=5)
        await office.start()
        await linked(office)
        lost = [truth for truth in office.pms.truth if truth.op == "create"]
        assert len(lost) > 10
        assert office.doubled() == 0
        office.pms.heal()
        await settled(office)


async def test_a_system_that_asks_for_patience_gets_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        office.pms.fault("status", status=429, retry_after="1", method="P*", count=3)
        office.pms.fault("status", status=429, retry_after="1", method="POST", count=3)
        await office.start()
        await linked(office)
        await settled(office)
        assert office.doubled() == 0


async def test_records_that_nobody_can_read_are_parked_with_their_bytes(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        left, right = pairs(office)[0]
        bad = [
            Outgoing("changes.asana.tasks", left.encode(), b"\xff\x00 no JSON"),
            Outgoing("changes.asana.tasks", b"asana.tasks:1", b'{"op":"u"}'),
            Outgoing("links.mail", left.encode(), b'{"type":"no such message"}'),
            Outgoing("links.mail", b"\xff\xfe", b'{"type":"wake"}'),
            Outgoing("upserts.custompms.task", right.encode(), b"[" * 5000),
            Outgoing("polls", b"asana.nothing", b"{}"),
        ]
        await ask(office.topology.broker, "publish", publishing(bad))
        await rename(office, left, "The next record")
        await until(lambda: office.record(right)["title"] == "The next record", "the records behind them go on")
        await until(lambda: len(parked(office)) == len(bad), "all of them are parked")
        assert sorted((r.key, r.value) for r in parked(office)) == sorted((r.key, r.value) for r in bad)
        assert all(reason(record) for record in parked(office))


async def test_sigterm_ends_it_within_five_seconds_with_everything_committed(tmp_path: Path) -> None:
    async with rig(tmp_path, tasks=30) as office:
        await office.start()
        await until(lambda: office.writes() > 5, "it is at work")
        began = time.monotonic()
        assert await office.stop() == 0
        assert time.monotonic() - began < 5.0
        await office.start()
        await linked(office)
        await settled(office)
        assert office.doubled() == 0


async def test_a_call_that_outlasts_the_stopping_is_left_without_a_word_and_found_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        office.pms.fault("delay-after-apply", seconds=10.0, method="POST")
        await office.start()
        await until(lambda: office.writes() > 0, "it is at work")
        began = time.monotonic()
        assert await office.stop() == 0
        assert time.monotonic() - began < 5.0
        assert b"Traceback" not in (tmp_path / "worker.log").read_bytes()
        office.pms.heal()
        await office.start()
        await linked(office)
        await settled(office)
        assert office.doubled() == 0


async def test_its_log_tells_an_operator_what_happened_and_nothing_else(tmp_path: Path) -> None:
    def said() -> list[str]:
        return [json.loads(line)["event"] for line in (tmp_path / "worker.log").read_text("utf-8").splitlines()]

    def types(*, again: bool) -> set[str]:
        told = [line for line in said() if line.startswith("custompms.") and "first complete" not in line]
        return {line.partition(":")[0] for line in told if line.endswith(": read again") == again}

    def failed() -> set[str]:
        return types(again=False)

    def again() -> set[str]:
        return types(again=True)

    async with rig(tmp_path, tasks=6, twins=2) as office:
        await office.start()
        await linked(office)
        await office.pms.down()
        await until(lambda: any(line.startswith("custompms is down: ") for line in said()), "the outage is said")
        await office.pms.up()
        await until(lambda: any(line.startswith("custompms is back after ") for line in said()), "its end is said")
        await until(lambda: failed() == again(), "every type that failed is read again")  # a write may fail first
        assert await office.stop() == 0
        lines = said()
    assert lines[0] == f"started: asana, custompms; log {office.topology.broker}"
    assert lines[-1] == "stopped"
    assert sum(": first complete reading, records: " in line for line in lines) == len(office.topology.types)
    systems, kinds = ("custompms is down", "custompms is back"), tuple(f"custompms.{name}: " for name in PMS)
    assert [line for line in lines[1:-1] if not line.startswith((*systems, *kinds, "asana."))] == []
    assert "asana" not in "".join(line for line in lines[1:] if "first complete" not in line)


async def test_a_second_worker_on_the_same_log_is_refused(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        first = office.worker.process
        await office.start()
        second = office.worker.process
        assert second is not None
        assert await second.wait() == 75
        assert b"in use" in (tmp_path / "worker.log").read_bytes()
        office.worker.process = first
        assert office.alive()


async def test_the_edit_that_lost_is_kept(tmp_path: Path) -> None:
    async with rig(tmp_path) as office:
        await office.start()
        await linked(office)
        left, right = pairs(office)[0]
        assert office.worker.process is not None
        office.worker.process.send_signal(signal.SIGSTOP)
        await rename(office, left, "Typed first")
        await asyncio.sleep(0.05)
        await rename(office, right, "Typed last")
        office.worker.process.send_signal(signal.SIGCONT)
        await until(lambda: office.record(left)["name"] == "Typed last", "the latest edit wins")
        await settled(office)
        assert (await status(office))["conflicts"] == 1
