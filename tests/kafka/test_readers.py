"""Programs that others wrote read what our codec wrote: the commands and files of docs/kafka.md, exactly as they stand.

Only the addresses are others: the broker's and Connect's own. kcat is a program of the system; Kafka's commands are the
same classes that its scripts start.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream.parking import CONNECT, PREFIX
from tests.conftest import started
from tests.formats.test_formats import RECORDS
from tests.kafka.broker import Cluster, free_ports
from tests.kafka.jars import VERSION

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

TEXT = (Path(__file__).parents[2] / "docs" / "kafka.md").read_text("utf-8")
FILES = dict(re.findall(r"```properties\n# (\S+)\n(.*?)```", TEXT, re.DOTALL))
LINES = [line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
CLASSES = {
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "connect-standalone.sh": "org.apache.kafka.connect.cli.ConnectStandalone",
}


@pytest.fixture(scope="module")
def written() -> Iterator[Cluster]:
    """A broker on which all records of the golden files lie in their topics."""
    with ExitStack() as stack:
        cluster = started(stack)
        asyncio.run(write(cluster.bootstrap))
        yield cluster


async def write(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    topics = {each.topic for each in RECORDS.values()} | {"broken", "dead"}
    await admin.create_topics([NewTopic(name, 1, 1) for name in topics])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="writer") as producer:
        async with producer.transaction():
            for each in RECORDS.values():
                await producer.send_and_wait(each.topic, each.value, each.key, headers=list(each.headers))
            await producer.send_and_wait("broken", b"{", b"k")
        await producer.begin_transaction()
        await producer.send_and_wait("changes.asana.tasks", b"{}", b"never committed")
        await producer.abort_transaction()


@pytest.fixture
def shell(written: Cluster, tmp_path: Path) -> Callable[[str], list[str]]:
    """How a line of the document is run: by bash, in an empty folder, where Kafka's scripts are at hand."""
    for name, java_class in CLASSES.items():
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(written.command(java_class, heap=512))} "$@"\n')
        script.chmod(0o755)
    return lambda line: ["bash", "-c", f"PATH={shlex.quote(str(tmp_path))}:$PATH\n{at(line, written)}"]


def at(text: str, cluster: Cluster) -> str:
    """A text of the document with this broker's address."""
    return text.replace("localhost:9092", cluster.bootstrap)


def test_the_document_is_read_whole() -> None:
    assert list(FILES) == ["connect.properties", "tasks.properties", "parked.properties"]
    assert {line.split()[0] for line in LINES} == {"kcat", *CLASSES}
    assert f"Kafka {VERSION}" in TEXT


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith("connect")])
def test_a_command_of_the_document_shows_our_records(
    line: str, shell: Callable[[str], list[str]], tmp_path: Path
) -> None:
    if line.startswith("kcat") and shutil.which("kcat") is None:
        pytest.skip("found no kcat; Debian's package kcat would be right")
    done = subprocess.run(shell(line), capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    [topic] = re.findall(r"(?:-t|--topic) (\S+)", line)
    expected = [each for each in RECORDS.values() if each.topic == topic]
    said = done.stdout
    assert "never committed" not in said
    if "%h" not in line and "print.headers" not in line:
        assert len(said.splitlines()) == len(expected)  # a stack trace in a header has lines of its own
    for each in expected:
        if "%k" in line or "print.key" in line:
            assert each.key.decode() in said
        if "%s" in line or "kafka-console" in line:
            assert (each.value or b"").decode() in said
        if "%h" in line or "print.headers" in line:
            for name, value in each.headers:
                assert any(f"{name}{sign}{value.decode()}" in said for sign in "=:")


def test_kafka_connect_writes_changes_and_parked_records_into_files(
    written: Cluster, shell: Callable[[str], list[str]], tmp_path: Path
) -> None:
    [port] = free_ports(1)
    for name, body in FILES.items():
        (tmp_path / name).write_text(at(body, written).replace("localhost:8083", f"localhost:{port}"))
    [start] = [line for line in LINES if line.startswith("connect")]
    process = connect(written, shell(start), tmp_path)
    tasks, parked = tmp_path / "tasks.txt", tmp_path / "parked.txt"
    until = time.monotonic() + 90
    while not all(file.exists() and len(file.read_bytes().splitlines()) == 2 for file in (tasks, parked)):
        over = process.poll() is not None or time.monotonic() > until
        assert not over, (tmp_path / "connect.log").read_text("utf-8")[-4000:]
        time.sleep(0.1)
    for line in tasks.read_text("utf-8").splitlines():  # Java's words for a map, in no order
        assert set(line[1:-1].split(", ")) == {"gid=1207", "name=Blåbær", "due_on=null", "projects=[{gid=9}]"}
    assert parked.read_text("utf-8").splitlines() == ['{"op":"x"}', "{}"]


async def test_a_dead_letter_of_kafka_connect_has_the_headers_that_ours_have(
    written: Cluster, shell: Callable[[str], list[str]], tmp_path: Path
) -> None:
    [port] = free_ports(1)
    common = at(FILES["connect.properties"], written).replace("localhost:8083", f"localhost:{port}")
    (tmp_path / "connect.properties").write_text(common)
    (tmp_path / "broken.properties").write_text(
        "name=broken\nconnector.class=FileStreamSink\ntopics=broken\nfile=broken.txt\nerrors.tolerance=all\n"
        "errors.deadletterqueue.topic.name=dead\nerrors.deadletterqueue.context.headers.enable=true\n"
        "errors.deadletterqueue.topic.replication.factor=1\n"
    )
    connect(written, shell("connect-standalone.sh connect.properties broken.properties"), tmp_path)
    consumer = AIOKafkaConsumer("dead", bootstrap_servers=written.bootstrap, auto_offset_reset="earliest")
    async with consumer:
        theirs = dict((await consumer.getone()).headers)
    assert list(theirs) == [PREFIX + name for name in CONNECT]
    for ours in (RECORDS["parked-undecodable"], RECORDS["parked-not-applied"]):
        assert set(theirs) <= {name for name, _ in ours.headers}
    assert theirs[PREFIX + "stage"] == dict(RECORDS["parked-undecodable"].headers)[PREFIX + "stage"]
    assert all(value is not None for value in theirs.values())


def connect(cluster: Cluster, command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start Kafka Connect; it ends with the cluster."""
    with (folder / "connect.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    cluster.adopt(process)
    return process
