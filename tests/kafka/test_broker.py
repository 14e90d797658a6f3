"""The broker of the tests is what it says: its faults are real, what it acknowledged stays, and nothing of it does."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from tests.kafka.broker import Cluster, Node
from tests.kafka.jars import NoKafka, jars, java

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
Clusters = Callable[..., Cluster]


async def topic(bootstrap: str, name: str, copies: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, copies)])
    finally:
        await admin.close()


async def send(bootstrap: str, name: str, *values: bytes, **login: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", **login)
    try:
        await producer.start()
        for value in values:
            await producer.send_and_wait(name, value)
    finally:
        await producer.stop()  # one that could not start, too


async def read(bootstrap: str, name: str, count: int, **login: str) -> list[bytes]:
    async with AIOKafkaConsumer(name, bootstrap_servers=bootstrap, auto_offset_reset="earliest", **login) as consumer:
        return [(await consumer.getone()).value for _ in range(count)]


def running(node: Node) -> bool:
    return node.process is not None and node.process.poll() is None


async def test_the_shared_one_serves(kafka: str, name: str) -> None:
    await topic(kafka, name)
    await send(kafka, name, b"one", b"two")
    assert await read(kafka, name, 2) == [b"one", b"two"]


async def test_what_was_acknowledged_outlives_a_kill_and_a_stop(cluster: Clusters, name: str) -> None:
    one = cluster()
    await topic(one.bootstrap, name)
    await send(one.bootstrap, name, b"before the kill")
    await asyncio.to_thread(one.kill)
    assert not running(one.nodes[1])
    with pytest.raises(KafkaError):
        await send(one.bootstrap, name, b"to nobody", request_timeout_ms=500)
    await asyncio.to_thread(one.start)
    await send(one.bootstrap, name, b"before the stop")
    await asyncio.to_thread(one.restart)
    assert await read(one.bootstrap, name, 2) == [b"before the kill", b"before the stop"]


async def test_one_that_is_frozen_answers_when_it_goes_on(cluster: Clusters, name: str) -> None:
    one = cluster()
    await topic(one.bootstrap, name)
    async with AIOKafkaProducer(bootstrap_servers=one.bootstrap) as producer:
        one.freeze()
        sent = asyncio.ensure_future(producer.send_and_wait(name, b"later"))
        done, _ = await asyncio.wait({sent}, timeout=1)
        assert not done
        one.thaw()
        await sent
    assert await read(one.bootstrap, name, 1) == [b"later"]


async def test_of_three_any_one_may_be_lost_and_all_restarted_in_turn(cluster: Clusters, name: str) -> None:
    three = cluster(brokers=3)
    await topic(three.bootstrap, name, copies=3)
    async with AIOKafkaProducer(bootstrap_servers=three.bootstrap, acks="all") as producer:
        await producer.send_and_wait(name, b"with three")
        await asyncio.to_thread(three.kill, 2)
        await producer.send_and_wait(name, b"with two")
        await asyncio.to_thread(three.start, 2)
        await asyncio.to_thread(three.settle)
        await asyncio.to_thread(three.roll)
        await producer.send_and_wait(name, b"after all")
    assert await read(three.bootstrap, name, 3) == [b"with three", b"with two", b"after all"]


async def test_who_logs_in_may_do_what_was_allowed(cluster: Clusters, name: str) -> None:
    one = cluster(users={"ann": "a-secret", "bob": "b-secret"})
    await topic(one.bootstrap, name)
    one.allow("ann", "--operation", "Write", "--operation", "Read", "--operation", "Describe", "--topic", name)

    def login(user: str, password: str, mechanism: str) -> dict[str, str]:
        return {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": mechanism,
            "sasl_plain_username": user,
            "sasl_plain_password": password,
        }

    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        ann, bob = login("ann", "a-secret", mechanism), login("bob", "b-secret", mechanism)
        await send(one.secured, name, mechanism.encode(), **ann)
        with pytest.raises(TopicAuthorizationFailedError):
            await send(one.secured, name, b"not mine", **bob)
        with pytest.raises(KafkaError):
            await send(one.secured, name, b"nobody's", **login("ann", "b-secret", mechanism))
    assert await read(one.secured, name, 3, **ann) == [b"PLAIN", b"SCRAM-SHA-256", b"SCRAM-SHA-512"]


def test_nothing_stays_behind_when_the_tests_are_killed() -> None:
    try:
        java(), jars()
    except NoKafka as reason:
        pytest.skip(f"Kafka: {reason}")
    code = (
        "from tests.kafka.broker import Cluster\n"
        "with Cluster() as one: print(one.nodes[1].process.pid, one.nodes[1].folder.parent, flush=True); input()\n"
    )
    tests = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with tests:
        assert tests.stdout is not None
        pid, folder = tests.stdout.readline().split()
        assert Path(f"/proc/{pid}").exists()
        assert Path(folder, "1", "data").is_dir()
        tests.kill()
    until = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() or Path(folder).exists():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("variable", "found"),
    [("PATH", "found no Java"), ("XDG_CACHE_HOME", "Maven would be right")],
)
def test_what_is_missing_is_named(variable: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(NoKafka, match=found):
        java() if variable == "PATH" else jars()


def lend(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in ("LINKSTREAM_TEST_KAFKA", "JAVA_HOME")}
    return subprocess.run(
        [sys.executable, "-m", "tests.kafka.lend", *command],
        capture_output=True,
        text=True,
        check=False,
        env={**own, **environment},
        cwd=Path(__file__).parents[2],
    )


def test_a_command_is_lent_a_broker_or_told_what_is_missing(tmp_path: Path) -> None:
    done = lend("true", PATH=os.fspath(tmp_path))
    assert (done.returncode, "kafka: found no Java; Java 17 or newer would be right" in done.stderr) == (3, True)
    given = lend(sys.executable, "-c", "import sys; sys.exit(sys.argv[1] != 'a:1')", "{}", LINKSTREAM_TEST_KAFKA="a:1")
    assert given.returncode == 0
    try:
        java(), jars()
    except NoKafka as reason:
        pytest.skip(f"Kafka: {reason}")
    (tmp_path / "java").symlink_to(java())
    done = lend("true", PATH=os.fspath(tmp_path), XDG_CACHE_HOME=os.fspath(tmp_path))
    assert (done.returncode, "Maven would be right, to fetch what pom.xml names" in done.stderr) == (3, True)
    code = "import socket, sys; socket.create_connection(sys.argv[1].split(':')).close(); sys.exit(7)"
    assert lend(sys.executable, "-c", code, "{}").returncode == 7
