"""A log that was set back is noticed at its next start, by the count that its witness keeps."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from stream.engine.backends import open_reader
from stream.engine.embedded.log import EmbeddedLog
from stream.engine.embedded.schema import place_of
from stream.engine.embedded.witness import Witness
from stream.engine.log import Fenced, Mismatch
from stream.ports import Loss
from tests.engine.contract import PARTITIONS, TOPICS, lane_of, sent

NOW = 1_700_000_000.0


def url_of(folder: Path, options: str = "") -> str:
    return f"sqlite:///{folder}/log.db{options}"


@asynccontextmanager
async def opened(folder: Path, at: float = NOW, options: str = "") -> AsyncIterator[EmbeddedLog]:
    log = EmbeddedLog(url_of(folder, options), clock=lambda: at)
    await log.open()
    await log.declare(TOPICS, PARTITIONS)
    try:
        yield log
    finally:
        await log.close()


async def backed_up(folder: Path) -> Path:
    """A log that went on after its backup."""
    kept = folder / "backup.db"
    async with opened(folder) as log:
        await log.publish(sent("a"))
        with closing(sqlite3.connect(folder / "log.db")) as source, closing(sqlite3.connect(kept)) as target:
            source.backup(target)
        await log.publish(sent("b"))
    return kept


async def loss(folder: Path, at: float = NOW + 60, options: str = "") -> Loss:
    async with opened(folder, at, options) as log:
        return log.loss


async def test_a_log_as_it_was_left_has_lost_nothing(tmp_path: Path) -> None:
    assert await loss(tmp_path) == Loss()
    await backed_up(tmp_path)
    assert await loss(tmp_path) == Loss()
    with open_reader(url_of(tmp_path)) as reader:
        assert reader.loss() == Loss()


async def test_a_restored_backup_is_noticed_once_and_until_it_has_been_made_good(tmp_path: Path) -> None:
    kept = await backed_up(tmp_path)
    shutil.copy(kept, tmp_path / "log.db")
    found = await loss(tmp_path)
    assert (found.at, found.since, found.healed) == ((NOW + 60) * 1e6, NOW * 1e6, 0)
    assert found.reason.startswith("the log is older than it was: 1 transactions are missing")
    async with opened(tmp_path, NOW + 120) as log:
        assert log.loss == found
        await log.heal()
        assert log.loss.healed == (NOW + 120) * 1e6
    assert await loss(tmp_path, NOW + 180) == Loss(found.at, found.since, found.reason, round((NOW + 120) * 1e6))


async def test_a_second_loss_before_the_first_was_made_good_reaches_back_as_far(tmp_path: Path) -> None:
    kept = await backed_up(tmp_path)
    for number in (1, 2):
        shutil.copy(kept, tmp_path / "log.db")
        found = await loss(tmp_path, NOW + 60 * number)
        assert (found.at, found.since) == ((NOW + 60 * number) * 1e6, NOW * 1e6)
    shutil.copy(tmp_path / "log.db", kept)
    async with opened(tmp_path, NOW + 500) as log:
        await log.publish(sent("c"))
    shutil.copy(kept, tmp_path / "log.db")
    assert (await loss(tmp_path, NOW + 600)).since == NOW * 1e6


async def test_a_later_backup_of_the_former_life_is_noticed_too(tmp_path: Path) -> None:
    kept = await backed_up(tmp_path)
    async with opened(tmp_path) as log:
        for _ in range(9):
            await log.publish(sent("c"))
    shutil.copy(tmp_path / "log.db", tmp_path / "later.db")
    shutil.copy(kept, tmp_path / "log.db")
    assert (await loss(tmp_path)).at
    shutil.copy(tmp_path / "later.db", tmp_path / "log.db")
    assert "another log" in (await loss(tmp_path, NOW + 120)).reason


async def test_rows_that_were_saved_alone_count_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        lane = await lane_of(log)
        shutil.copy(tmp_path / "log.db-wal", tmp_path / "kept-wal")
        async with lane.turn() as unit:
            unit.put(b"note", b"begun")
        shutil.copy(tmp_path / "log.db", tmp_path / "kept")
    shutil.copy(tmp_path / "kept", tmp_path / "log.db")
    shutil.copy(tmp_path / "kept-wal", tmp_path / "log.db-wal")
    assert (await loss(tmp_path)).at


async def test_a_log_that_is_gone_is_noticed_by_what_it_left(tmp_path: Path) -> None:
    await backed_up(tmp_path)
    (tmp_path / "log.db").unlink()
    found = await loss(tmp_path)
    assert (found.since, found.reason) == (0, "the log is gone and was begun anew; its witness is still there")
    with open_reader(url_of(tmp_path)) as reader:
        assert reader.loss() == found


async def test_a_log_without_its_witness_or_with_another_ones_is_not_trusted(tmp_path: Path) -> None:
    await backed_up(tmp_path)
    witness = tmp_path / "log.db.witness"
    witness.unlink()
    assert "no witness" in (await loss(tmp_path)).reason
    for other in ("0123456789abcdef 00000000000000000007\n", "nothing that makes sense"):
        witness.write_text(other)
        assert "another log" in (await loss(tmp_path)).reason


async def test_the_witness_may_stand_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "kept" / "elsewhere"
    with pytest.raises(Mismatch, match=r"w: No such file or directory; a file that the worker may write"):
        await loss(tmp_path, options=f"?witness={folder}/w")
    folder.mkdir(parents=True)
    assert await loss(tmp_path, options=f"?synchronous=normal&witness={folder}/w") == Loss()
    assert (folder / "w").read_bytes()
    assert not (tmp_path / "log.db.witness").exists()
    assert place_of(url_of(tmp_path)).witnessed() == tmp_path / "log.db.witness"


async def test_the_witness_is_never_ahead(tmp_path: Path) -> None:
    """A unit of a former owner, and a round that finds no room, commit nothing and count nothing."""
    async with opened(tmp_path) as log:
        former = await lane_of(log)
        await lane_of(log)
        with pytest.raises(Fenced):
            async with former.turn() as unit:
                unit.put(b"row", b"1")
    assert await loss(tmp_path) == Loss()


def test_a_witness_that_cannot_be_written_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    witness = Witness(tmp_path / "w")
    witness.begin("log", 7)
    assert witness.said() == ("log", 7)
    os.close(witness._file)
    with caplog.at_level(logging.WARNING):
        witness.note(8)
        witness.note(9)
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}/w: Bad file descriptor; a log that was set back will not be noticed"
    ]
    witness.close()
