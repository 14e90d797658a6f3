from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import stream.engine.ask as ask_module
from stream.engine.ask import Desk, Unanswered, ask, bring, built_in, publishing
from stream.engine.embedded import lease
from stream.engine.embedded.lease import Lease, address_of
from stream.engine.embedded.log import EmbeddedLog
from stream.engine.embedded.reader import Lag, Reader
from stream.engine.embedded.schema import place_of
from stream.engine.embedded.upkeep import Belief
from stream.engine.log import Closed, Corrupt, EngineError, Fenced, InUse, Mismatch, Outgoing, TopicSettings
from stream.engine.memory import drain
from tests.engine.contract import PARTITIONS, TOPICS, LogContract, echo, keys, lane_of, read, sent, until


def url_of(folder: Path, options: str = "") -> str:
    return f"sqlite:///{folder}/log.db{options}"


async def opened(folder: Path, **settings: object) -> EmbeddedLog:
    log = EmbeddedLog(url_of(folder), **settings)  # type: ignore[arg-type]
    await log.open()
    await log.declare(TOPICS, PARTITIONS)
    return log


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EmbeddedLog]:
    log = await opened(tmp_path)
    yield log
    await log.close()


class TestEmbeddedLog(LogContract):
    """The contract, over a file."""


# The file


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    first = await opened(tmp_path)
    await first.publish(sent("a", "b"))
    await drain(await lane_of(first), echo)
    async with (await lane_of(first)).turn() as unit:
        unit.put(b"row", b"1")
    await first.close()
    second = await opened(tmp_path)
    lane = await lane_of(second)
    assert lane.claim.get(b"row") == b"1"
    assert (lane.claim.epoch, lane.waits()) == (3, False)
    assert await keys(second, "out") == ["a", "b"]
    await second.close()


async def test_units_that_wait_share_a_transaction(log: EmbeddedLog) -> None:
    before = log.writer.transactions
    await asyncio.gather(*(log.publish(sent("a")) for _ in range(50)))
    assert log.writer.transactions - before < 10
    assert len(await read(log, "in")) == 50


async def test_only_the_owner_may_read_the_file(log: EmbeddedLog) -> None:
    assert log.place.path.stat().st_mode & 0o777 == 0o600


def test_an_address_is_checked_whole() -> None:
    assert place_of("sqlite:////var/x.db").path == Path("/var/x.db")
    assert place_of("sqlite:///x.db?synchronous=NORMAL").synchronous == "normal"
    assert place_of("sqlite:///var/a%20b.db").path == Path("var/a b.db").absolute()
    for wrong in (
        "kafka://x",
        "sqlite:///",
        "sqlite://x.db",
        "sqlite:///x.db?sync=off",
        "sqlite:///x.db?synchronous=off",
    ):
        with pytest.raises(Mismatch):
            place_of(wrong)


async def test_full_synchronous_is_the_default(log: EmbeddedLog) -> None:
    assert await log.writer.order(lambda c: c.execute("pragma synchronous").fetchone(), bare=True) == (2,)
    assert await log.writer.order(lambda c: c.execute("pragma journal_mode").fetchone(), bare=True) == ("wal",)


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with sqlite3.connect(path) as other:
        other.execute("create table theirs(x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(Mismatch, match=r"log\.db: a database of another program"):
        await opened(tmp_path)
    assert path.read_bytes() == before


async def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    with sqlite3.connect(tmp_path / "log.db") as newer:
        newer.execute("pragma user_version=99")
    newer.close()
    with pytest.raises(Mismatch, match=r"newer version \(format 99"):
        await opened(tmp_path)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match=r"nowhere/deeper.*a folder that can be written to, in one that exists"):
        await opened(tmp_path / "nowhere" / "deeper")
    log = await opened(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    await log.close()


# Damage


async def test_a_damaged_header_is_named_and_never_overwritten(tmp_path: Path) -> None:
    log = await opened(tmp_path)
    await log.publish(sent("a"))
    await log.close()
    path = tmp_path / "log.db"
    damaged = b"garbage!" + path.read_bytes()[8:]
    path.write_bytes(damaged)
    with pytest.raises(Corrupt, match=r"log\.db: .*damaged.*backup") as caught:
        await opened(tmp_path)
    assert caught.value.exit_code == 78
    assert path.read_bytes() == damaged


async def test_a_flipped_byte_inside_a_row_is_found(tmp_path: Path) -> None:
    log = await opened(tmp_path)
    async with (await lane_of(log)).turn() as unit:
        unit.put(b"key", b"a value that is long enough to be found")
    await log.close()
    path = tmp_path / "log.db"
    bytes_ = path.read_bytes()
    assert bytes_.count(b"long enough") == 1
    path.write_bytes(bytes_.replace(b"long enough", b"long enougH"))
    log = await opened(tmp_path)
    fatal: list[EngineError] = []
    log.on_fatal = fatal.append
    lane = await lane_of(log)
    with pytest.raises(Corrupt, match=r"log\.db: row b'key' of lane join/0 fails its checksum"):
        lane.row(b"key")
    assert [error.exit_code for error in fatal] == [78]
    with Reader(url_of(tmp_path)) as reader, pytest.raises(Corrupt, match="checksum"):
        reader.row("join", b"key", 0)
    await log.close()


async def test_damage_found_while_writing_ends_the_process(tmp_path: Path) -> None:
    log = await opened(tmp_path)
    for _ in range(50):
        await log.publish([Outgoing("in", b"k", bytes(1000), partition=0) for _ in range(20)])
    await log.close()
    path = tmp_path / "log.db"
    whole = bytearray(path.read_bytes())
    for page in range(12, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 8] = b"\xff" * 8  # the head of every b-tree page but the first ones
    path.write_bytes(bytes(whole))
    log = await opened(tmp_path)
    fatal: list[EngineError] = []
    log.on_fatal = fatal.append
    with pytest.raises(Corrupt):
        await log.publish(sent("b"))
    await until(lambda: fatal)
    assert isinstance(fatal[0], Corrupt)
    with pytest.raises(Corrupt):
        await log.publish(sent("c"))
    await log.close()


# No room


async def test_a_full_disk_loses_nothing_and_goes_on_by_itself(log: EmbeddedLog) -> None:
    await log.publish(sent(*(f"k{n}" for n in range(300))))
    lane = await lane_of(log)
    (pages,) = await log.writer.order(lambda c: c.execute("pragma page_count").fetchone(), bare=True)
    log.writer.max_pages = pages + 4

    async def body(stream: object) -> None:
        async for unit in stream.units(20):  # type: ignore[attr-defined]
            for record in unit:
                unit.put(record.key, b"seen")
                unit.emit("out", record.key, bytes(2000), partition=0)

    working = asyncio.ensure_future(drain(lane, body))
    await until(lambda: log.health()["state"] == "red")
    assert "no room" in log.health()["reason"]
    assert not working.done()
    log.writer.max_pages = None
    await asyncio.wait_for(working, 10)
    assert log.health() == {"state": "green", "reason": ""}
    assert await keys(log, "out") == [f"k{n}" for n in range(300)]
    assert len(list(lane.claim.scan(b""))) == 300


async def test_closing_a_full_log_gives_up_what_was_not_written(tmp_path: Path) -> None:
    log = await opened(tmp_path)
    (pages,) = await log.writer.order(lambda c: c.execute("pragma page_count").fetchone(), bare=True)
    log.writer.max_pages = pages
    waiting = asyncio.ensure_future(log.publish([Outgoing("in", b"k", bytes(100_000))]))
    await until(lambda: log.health()["state"] == "red")
    await log.close()
    with pytest.raises(Closed):
        await waiting
    again = await opened(tmp_path)
    assert await read(again, "in") == []
    await again.close()


# One owner


async def test_a_second_owner_is_refused_by_name(log: EmbeddedLog, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(InUse, match=rf"log\.db: in use by pid {os.getpid()} on .*, alive \d\.\d s ago") as caught:
        await opened(tmp_path)
    assert caught.value.exit_code == 75
    assert time.monotonic() - began < 3


async def test_the_owner_notices_that_its_lease_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.05)
    log = await opened(tmp_path)
    fatal: list[EngineError] = []
    log.on_fatal = fatal.append
    log.lease.path.unlink()
    successor = Lease(log.place.path)
    successor.acquire()
    await until(lambda: fatal)
    assert isinstance(fatal[0], Fenced)
    successor.release()
    await log.close()


@pytest.mark.parametrize("by", ["another file", "nothing"])
async def test_the_owner_notices_that_its_file_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.05)
    log = await opened(tmp_path)
    fatal: list[EngineError] = []
    log.on_fatal = fatal.append
    await log.publish(sent("k"))
    log.place.path.rename(tmp_path / "away.db")
    if by == "another file":
        log.place.path.write_bytes((tmp_path / "away.db").read_bytes())
    await until(lambda: fatal)
    assert "found another file, or none" in str(fatal[0])
    assert fatal[0].exit_code == 70
    await log.close()


async def test_a_silent_owner_elsewhere_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Lease(tmp_path / "log.db")
    first.acquire()
    first._over.set()  # its heart stands still
    monkeypatch.setattr(lease, "BEAT", 0.05)
    monkeypatch.setattr(lease.socket, "gethostname", lambda: "another-host")
    os.utime(first.path, (1, 1))
    second = Lease(tmp_path / "log.db", wait=0.2)
    second.acquire()
    assert second.held
    with pytest.raises(InUse, match="another-host"):
        Lease(tmp_path / "log.db", wait=0.1).acquire()
    second.release()
    first.release()


# Upkeep


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


DAY = 86_400.0


async def kept(folder: Path, topics: dict[str, TopicSettings]) -> tuple[EmbeddedLog, Clock]:
    clock = Clock()
    log = EmbeddedLog(url_of(folder), clock=clock)
    await log.open()
    await log.declare(topics, 1)
    return log, clock


async def offsets(log: EmbeddedLog, topic: str) -> list[int]:
    return [
        number & 0xFFFFFFFFFF
        for (number,) in log.select("select id from records where id >> 40 = ?", (log.tp(topic, 0),))
    ]


async def test_retention_takes_what_is_old_and_read_but_never_the_tail(tmp_path: Path) -> None:
    log, clock = await kept(tmp_path, {"in": TopicSettings(DAY), "out": TopicSettings()})
    for _ in range(13):
        await log.publish(sent(*["k"] * 100))
    lane = await lane_of(log)
    clock.now += 2 * DAY
    await log.tidy()
    assert len(await offsets(log, "in")) == 1300  # nobody has read them
    unit = lane.take(700)
    await lane.finish(unit)
    await lane.settled()
    await log.tidy()
    assert await offsets(log, "in") == list(range(700, 1300))
    await drain(lane, echo)
    await log.publish(sent("young"))
    await log.tidy()
    assert await offsets(log, "in") == [1300]
    clock.now += 9 * DAY
    await drain(lane, echo)
    await log.tidy()
    assert await offsets(log, "in") == [1300]  # the tail stays
    await log.publish(sent("next"))
    assert (await offsets(log, "in"))[-1] == 1301
    assert len(await offsets(log, "out")) == 601  # kept for ever
    await log.close()


async def test_a_lane_goes_on_over_what_retention_took(tmp_path: Path) -> None:
    log, clock = await kept(tmp_path, {"in": TopicSettings(DAY), "out": TopicSettings()})
    await log.publish(sent(*"abcdef"))
    clock.now += 2 * DAY
    await log.tidy()  # nobody reads it: all but the tail go
    lane = await lane_of(log)
    await drain(lane, echo)
    assert await keys(log, "out") == ["f"]
    assert not lane.waits()
    await log.close()


async def test_compaction_keeps_the_last_of_every_key(tmp_path: Path) -> None:
    log, clock = await kept(tmp_path, {"table": TopicSettings(compact=True)})
    names = [f"k{n % 7}" for n in range(2000)]
    await log.publish(sent(*names, topic="table"))
    await log.publish(sent("gone", topic="table", value=None))
    await log.publish(sent("k1", topic="table", value=None))
    await log.tidy()
    left = log.select("select key, value from records order by id")
    assert dict(left) == {**{b"k%d" % n: b"v" for n in range(7) if n != 1}, b"gone": None, b"k1": None}
    assert len(left) == 8
    clock.now += 2 * DAY
    log._upkeep._compacted.clear()
    await log.tidy()
    names = [key for (key,) in log.select("select key from records order by id")]
    assert b"gone" not in names
    assert names[-1] == b"k1"  # a tombstone, but the tail
    await log.close()


async def test_space_goes_back_to_the_file_system(tmp_path: Path) -> None:
    log, clock = await kept(tmp_path, {"in": TopicSettings(DAY)})
    for _ in range(40):
        await log.publish([Outgoing("in", b"k", bytes(4000)) for _ in range(100)])
    clock.now += 2 * DAY
    await log.tidy()
    await log.writer.order(lambda c: c.execute("pragma wal_checkpoint(truncate)").fetchone(), bare=True)
    assert log.place.path.stat().st_size < 2500 * 4096
    await log.close()


async def test_upkeep_runs_by_itself_between_transactions(tmp_path: Path) -> None:
    clock = Clock()
    log = EmbeddedLog(url_of(tmp_path), clock=clock, upkeep=0.02)
    await log.open()
    await log.declare({"in": TopicSettings(DAY)}, 1)
    await log.publish(sent(*["k"] * 1200))
    assert log._upkeep.belief is not None
    log._upkeep.belief.doubt = 0.0
    clock.now += 2 * DAY
    await until(lambda: log.select("select count(*) from records") == [(1,)])
    await log.close()


async def test_a_clock_that_jumps_ahead_throws_nothing_away_before_it_is_believed(tmp_path: Path) -> None:
    log, clock = await kept(tmp_path, {"in": TopicSettings(DAY)})
    await log.publish(sent("a", "b", "c"))
    await log.close()
    clock.now += 2 * DAY  # while nobody worked, or at the start of the machine
    log = EmbeddedLog(url_of(tmp_path), clock=clock)
    await log.open()
    await log.declare({"in": TopicSettings(DAY)}, 1)

    def round_(connection: sqlite3.Connection) -> None:
        for _ in range(10):
            log._upkeep.step(connection, clock())

    await log.writer.order(round_, bare=True)
    assert await offsets(log, "in") == [0, 1, 2]
    assert log._upkeep.belief is not None
    log._upkeep.belief.doubt = 0.0
    await log.writer.order(round_, bare=True)
    assert await offsets(log, "in") == [2]
    await log.close()


def test_a_clock_is_believed_unless_it_jumped_ahead_within_the_last_hour() -> None:
    belief = Belief(1000.0, 0.0)
    assert belief.time(1010.0, 10.0) == 1010.0
    assert belief.time(9_000_000.0, 20.0) == 1020.0
    assert belief.time(1030.0, 30.0) == 1030.0  # set right again
    assert belief.time(9_000_000.0, 40.0) == 1040.0
    assert belief.time(9_003_000.0, 3040.0) == 4040.0
    assert belief.time(9_003_600.0, 3640.0) == 9_003_600.0
    assert belief.time(5000.0, 3650.0) == 5000.0  # back is believed at once: it keeps what is there
    assert belief.time(9_000_000.0, 3660.0) == 5010.0


# Reading and asking from outside


async def test_a_reader_sees_a_running_log(log: EmbeddedLog, tmp_path: Path) -> None:
    await log.publish(sent(*(f"k{n}" for n in range(10))))
    lane = await lane_of(log)
    async with lane.turn() as unit:
        for number in range(1200):
            unit.put(b"r%04d" % number, b"x")
        unit.put(b"s", b"y")
    unit = lane.take(4)
    await lane.finish(unit)
    await lane.settled()
    with Reader(url_of(tmp_path)) as reader:
        info = {topic.name: topic for topic in reader.topics()}
        assert (info["in"].heads, info["in"].first, info["out"].heads) == ((10, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))
        assert reader.lags() == [Lag("join", 0, "in", 4, 10)]
        assert reader.lags()[0].lag == 6
        assert [r.key for r in reader.records("in", 0, start=7)] == [b"k7", b"k8", b"k9"]
        assert [r.key for r in reader.records("in", 0, newest_first=True, limit=2)] == [b"k9", b"k8"]
        assert [r.key for r in reader.records("in", 0, start=3, newest_first=True, limit=2)] == [b"k3", b"k2"]
        assert [key for key, _ in reader.rows("join", b"r")] == [b"r%04d" % number for number in range(1200)]
        assert reader.row("join", b"s", 0) == b"y"
        assert reader.row("join", b"absent", 0) is None
        assert reader.size()["file"] + reader.size()["wal"] > 0
        assert reader.check() == []
        with pytest.raises(Mismatch, match="no topic 'nowhere'; there are in, more"):
            reader.records("nowhere", 0)
        await log.publish(sent("later"))
        assert reader.records("in", 0, newest_first=True, limit=1)[0].key == b"later"


async def test_a_reader_opens_a_log_that_nobody_runs(tmp_path: Path) -> None:
    log = await opened(tmp_path)
    await log.publish(sent("a"))
    await log.close()
    with Reader(url_of(tmp_path)) as reader:
        assert [record.key for record in reader.records("in", 0)] == [b"a"]
    with pytest.raises(Mismatch, match="no such file"):
        Reader(f"sqlite:///{tmp_path}/other.db")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for sockets: short, as their paths must be, and as a user's own is."""
    with tempfile.TemporaryDirectory(prefix="run") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


async def test_the_owner_answers(runtime: Path, tmp_path: Path) -> None:
    log = await opened(tmp_path)

    async def explain(payload: dict[str, object]) -> dict[str, object]:
        return {"ref": payload["ref"]}

    desk = Desk(address_of(log.place.path), {**built_in(log), "explain": explain})
    await desk.open()
    url = url_of(tmp_path)
    assert await ask(url, "explain", {"ref": "x"}) == {"ref": "x"}
    record = Outgoing("in", b"\xff", b"v", (("h", b"\x00"),), 2)
    assert await ask(url, "publish", publishing([record])) == {"published": 1}
    (found,) = await read(log, "in")
    assert (found.key, found.headers, found.partition) == (b"\xff", (("h", b"\x00"),), 2)
    assert (await ask(url, "status"))["health"]["state"] == "green"
    with pytest.raises(Unanswered, match="KeyError: 'ref'"):
        await ask(url, "explain", {})
    with pytest.raises(Unanswered, match="unknown command 'dance'; known: explain, publish, status"):
        await ask(url, "dance")
    await desk.close()
    await log.close()


async def test_more_than_one_request_takes_goes_in_pieces(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask_module, "LINE", 1 << 16)
    log = await opened(tmp_path)
    desk = Desk(address_of(log.place.path), built_in(log))
    await desk.open()
    names = [f"k{number}" for number in range(50)]
    await bring(url_of(tmp_path), [Outgoing("in", name.encode(), bytes(9000), (), 0) for name in names])
    assert await keys(log, "in") == names
    with pytest.raises(LookupError, match="in has no partition 7; 0 to 3 exist"):
        await log.publish([Outgoing("in", b"k", b"v", (), 7)])
    await desk.close()
    await log.close()


async def test_an_answer_that_breaks_off_is_told_as_what_it_is(runtime: Path, tmp_path: Path) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"answer": {"publ')
        writer.close()

    async with await asyncio.start_unix_server(half, address_of(tmp_path / "log.db")):
        with pytest.raises(Unanswered, match="the worker ended before it answered 'publish'; look whether it was done"):
            await ask(url_of(tmp_path), "publish", publishing(sent("a")))


async def test_opening_to_write_leaves_the_locks_of_a_reader(tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    shared = 0x40000002  # where SQLite locks its files: os_unix.c, SHARED_FIRST
    attempt = f"import fcntl; fcntl.lockf(open({str(tmp_path / 'log.db')!r}, 'r+'), fcntl.LOCK_EX | 4, 510, {shared})"
    with Reader(url_of(tmp_path)) as reader:
        reader.topics()
        log = await opened(tmp_path)
        await log.close()
        refused = await asyncio.create_subprocess_exec(sys.executable, "-c", attempt, stderr=asyncio.subprocess.PIPE)
        assert b"BlockingIOError" in (await refused.communicate())[1]


async def test_without_an_owner_the_caller_writes_itself(runtime: Path, tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    url = url_of(tmp_path)
    assert await ask(url, "publish", publishing(sent("a"))) == {"published": 1}
    with pytest.raises(Unanswered, match="needs a running worker"):
        await ask(url, "explain", {})
    with pytest.raises(Mismatch, match="no such log"):
        await ask(f"sqlite:///{tmp_path}/other.db", "status")
    log = await opened(tmp_path)
    assert await keys(log, "in") == ["a"]
    with pytest.raises(InUse):  # an owner that has no desk
        await ask(url, "status")
    await log.close()
