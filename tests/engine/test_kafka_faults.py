"""What operators and machines do to workers over a real Kafka: each fault is named, loses nothing, and is overcome.

By the worker itself where it can be; where a person has to mend something, by the next start after that.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.errors import KafkaError

from stream.engine.backends import open_reader
from stream.engine.kafka import cluster as topics
from stream.engine.kafka.address import address_of
from stream.engine.kafka.errors import Unreachable
from tests.engine.team import STUCK, Faults, Team, check, finish, hired
from tests.engine.test_worker import until
from tests.kafka.broker import Cluster
from tests.kafka.proxy import proxied

pytestmark = [pytest.mark.process, pytest.mark.timeout(170)]

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.fixture
def silent() -> Iterator[str]:
    """A broker that takes calls and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as door:
        yield f"127.0.0.1:{door.getsockname()[1]}"


def test_a_broker_that_says_nothing_is_passed_over_for_one_that_answers(
    tmp_path: Path, kafka: str, silent: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hired(tmp_path, kafka, name, monkeypatch, told=f"{silent},{kafka}?") as team:
        team.hire()
        until(lambda: team.pushed() > 50, 20)
        check(team, finish(team))


def test_a_start_does_not_wait_long_for_a_broker_that_says_nothing(
    tmp_path: Path, kafka: str, silent: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hired(tmp_path, kafka, name, monkeypatch, told=f"{silent}?timeout=2&") as team:
        assert team.gone(team.hire()) == 75
        assert f"no broker answers ({silent}: nothing for 2 s); one that runs would be right" in team.said()


def test_a_broker_that_falls_silent_is_told_of_whatever_was_asked(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a command; then under a worker, which ends, and goes on when it is heard again."""
    with (
        proxied(cluster) as network,
        hired(tmp_path, f"127.0.0.1:{network.port}", name, monkeypatch) as team,
        ExitStack() as readers,
    ):
        faults = Faults(team)
        team.hire()
        until(lambda: team.pushed() > 50, 40)
        for look in (
            lambda reader: reader.topics(),
            lambda reader: reader.records("changes", 0),
            lambda reader: list(reader.rows("join")),
            lambda reader: reader.lags(),
            lambda reader: reader.loss(),
        ):
            reader = readers.enter_context(open_reader(f"{team.url}&timeout=1"))
            network.silent = True
            began = time.monotonic()
            with pytest.raises(Unreachable, match="no broker answers"):
                look(reader)
            assert time.monotonic() - began < 4
            network.silent = False
        network.silent = True
        assert team.gone(worker := team.workers[0]) == 70
        assert "no heartbeat was answered" in team.said()
        again = team.hire()
        network.silent = False
        faults.over()
        assert (team.ended, again.poll(), worker.returncode) == ([], None, 70)
        check(team, finish(team))


def test_rights_and_passwords_that_change_under_a_worker(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured = cluster(users={"ann": "right"})
    with hired(
        tmp_path, secured.bootstrap, name, monkeypatch, told=f"{secured.secured}?user=ann&password=right&"
    ) as team:
        faults = Faults(team)
        prefixed = ("--resource-pattern-type", "prefixed", "--operation", "All")
        ours = ("--topic", f"{name}.")
        secured.allow("ann", *prefixed, *ours, "--group", f"{name}.", "--transactional-id", f"{name}.")
        worker = team.hire()
        until(lambda: team.pushed() > 50, 40)
        secured.forbid("ann", *prefixed, *ours)
        assert team.gone(worker) == 78
        assert "User:ann is not allowed to; an ACL would be right for topic " in team.said()
        secured.allow("ann", *prefixed, *ours)
        worker = team.hire()
        faults.over()

        change = ("--alter", "--entity-type", "users", "--entity-name", "ann", "--add-config")
        secured.tool("kafka.admin.ConfigCommand", *change, "SCRAM-SHA-512=[password=newer]")
        faults.over()
        assert worker.poll() is None, "who is in stays in"
        assert team.gone(worker, signal.SIGTERM) == 0
        assert team.gone(team.hire()) == 78
        assert "found a user or password that the broker refuses (user ann, mechanism scram-sha-512)" in team.said()
        assert "password=right" not in team.said()
        team.url = team.url.replace("password=right", "password=newer")
        team.hire()
        faults.over()
        check(team, finish(team))


def test_topics_that_are_deleted_under_workers_are_named(
    tmp_path: Path, kafka: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was in them is lost, with whatever else; workers do not go on beside it as if nothing were."""
    with ExitStack() as stack:
        teams = {}
        for topic in ("changes", "upserts", "linkstream-join-changelog"):
            (folder := tmp_path / topic).mkdir()
            team = stack.enter_context(hired(folder, kafka, f"{name}.{topic}", monkeypatch, told=f"{kafka}?timeout=5&"))
            team.hire()
            teams[topic] = team
        for team in teams.values():
            until(lambda team=team: team.pushed() > 50, STUCK)
        for topic, team in teams.items():
            asyncio.run(topics.remove(team.address, [each for each in team.wanted if each.name.endswith(topic)]))
        for topic, team in teams.items():
            code = team.gone(team.workers[0])
            while code != 78:
                assert code in {70, 75}, team.said()[-2000:]
                code = team.gone(team.hire())
            assert f"{team.address.topic(topic)}" in team.said()
            assert "linkstream topics apply creates what is missing" in team.said()


def test_partitions_that_are_added_under_a_worker_change_nothing_for_it(
    tmp_path: Path, kafka: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until partitions are given out anew: keys go by the number that it knows. Who comes then is refused."""

    async def more(team: Team) -> None:
        async with topics.administering(team.address) as admin:
            await admin.create_partitions({team.address.topic("changes"): NewPartitions(6)})

    with hired(tmp_path, kafka, name, monkeypatch) as team:
        team.hire()
        until(lambda: team.pushed() > 50, 40)
        asyncio.run(more(team))
        Faults(team).over()
        assert team.gone(team.hire(state="other")) == 78
        assert "partitions: found 6 partitions; 4 would be right: keys and rows live by that number" in team.said()
        assert team.alive()
        check(team, finish(team))


def test_a_disk_that_is_full_under_a_broker(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker ends; workers wait for it, and go on when there is room and it was started again."""
    with small_disk(tmp_path / "disk", 60) as disk:
        broken = cluster(settings={"log.dirs": f"{disk}/data"})
        with hired(tmp_path, broken.bootstrap, name, monkeypatch) as team:
            faults = Faults(team)
            team.hire(), team.hire(state="other")
            until(lambda: team.pushed() > 50, 40)
            asyncio.run(fill(broken.bootstrap, f"{name}.filler"))
            process = broken.nodes[1].process
            assert process is not None
            until(lambda: team.keep() or process.poll() is not None, STUCK)
            until(lambda: team.keep() or 75 in team.ended, STUCK)
            room(disk, 300)
            broken.kill()
            broken.start()
            faults.over()
            print(faults.figures(f"times a full disk, since the broker served again; exit codes {team.ended}"))
            assert "no broker answers" in team.said()
            check(team, finish(team))
        broken.kill()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of this size, in memory."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def room(folder: Path, megabytes: int) -> None:
    """Give it more."""
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", folder], check=True)


async def fill(servers: str, topic: str) -> None:
    """Write until the broker takes no more."""
    async with topics.administering(address_of(f"kafka://{servers}")) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    with suppress(KafkaError, TimeoutError):
        async with (
            asyncio.timeout(30),
            AIOKafkaProducer(bootstrap_servers=servers, request_timeout_ms=3000) as producer,
        ):
            while True:
                await producer.send_and_wait(topic, os.urandom(900_000))


def test_clocks_that_are_set_lose_nothing_and_are_no_lost_log(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three days back, when all that is kept is kept for one, and two days ahead, also where one starts."""
    if FAKETIME is None:
        pytest.skip("found no libfaketime to set a worker's clock with; it would be right (Debian: libfaketime)")
    quick = cluster(settings={"log.retention.check.interval.ms": "10", "log.initial.task.delay.ms": "0"})
    clock = tmp_path / "clock"
    with hired(tmp_path, quick.bootstrap, name, monkeypatch) as team:
        faults = Faults(team)
        clock.write_text("-3d")
        for variable, value in {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }.items():
            monkeypatch.setenv(variable, value)
        worker = team.hire()
        until(lambda: team.pushed() > 500, 40)
        for before, after in (("+0", "-3d"), ("+2d", "-3d"), ("+0", "+0")):
            clock.write_text(before)
            faults.over()
            clock.write_text(after)
            faults.over()
            assert team.gone(worker, signal.SIGTERM) == 0
            worker = team.hire()
            faults.over()
        assert team.ended == []
        with open_reader(team.url) as reader:
            assert reader.loss().at == 0
        check(team, finish(team))
