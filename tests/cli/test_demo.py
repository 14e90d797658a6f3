"""The demo when somebody has seen enough: no process, no folder, no traceback is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stream.engine.kafka.address import address_of
from stream.engine.kafka.cluster import partitions_of

ROOT = Path(__file__).parents[2]


def demo(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A demo in a process group of its own, as from a shell; what it makes for a while it makes in the folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "stream.cli.main", "demo", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )


def gone(group: int) -> bool:
    """Whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.process
@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("words", ["custompms", "renames a task", "a new worker starts"])
def test_a_signal_ends_it_and_nothing_is_left(tmp_path: Path, number: signal.Signals, words: str) -> None:
    with demo(tmp_path) as running:
        assert running.stdout is not None
        said = ""
        for line in running.stdout:
            said += line
            if words in line:
                break
        running.send_signal(number)
        if number is signal.SIGTERM:
            running.send_signal(number)  # twice does not disturb it while it tidies up
        said += running.stdout.read()
        assert running.wait() == 130
    assert said.endswith("linkstream: interrupted\n")
    assert "Traceback" not in said
    assert gone(running.pid)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_to_keep_is_empty_and_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for keep, code, words in (
        (tmp_path, 1, "found files in it; an empty or a new folder would be right"),
        (tmp_path / "file" / "folder", 3, "Not a directory; a folder that can be made would be right"),
    ):
        with demo(tmp_path, "--keep", str(keep)) as running:
            said, _ = running.communicate()
        assert running.returncode == code
        assert said == f"linkstream: {keep}: {words}\n"


def test_an_address_for_the_page_that_is_none_is_said_before_anything_starts(tmp_path: Path) -> None:
    with demo(tmp_path, "--page", "8900") as running:
        said, _ = running.communicate()
    assert running.returncode == 2
    assert "found '8900'; an address with its port, as 127.0.0.1:8900, would be right" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
@pytest.mark.timeout(150)
def test_on_kafka_a_second_worker_goes_on_and_no_topic_is_left(tmp_path: Path, kafka: str, name: str) -> None:
    broker = f"kafka://{kafka}?prefix={name}."
    with demo(tmp_path, "--no-checklist", "--format", "json", "--broker", broker) as running:
        said, _ = running.communicate()
    assert running.returncode == 0, said
    assert said.index("one worker is gone") < said.index("takes its partitions over") < said.index("has joined it")
    figures = json.loads(said[said.rindex("\n{") :])
    assert figures["good"]
    assert (figures["workers killed"], figures["records doubled"], figures["edits that never arrived"]) == (1, 0, 0)
    assert figures["edits shown"] == 11
    assert asyncio.run(partitions_of(address_of(broker))) == {}
    assert list(tmp_path.iterdir()) == []


def test_another_kind_of_log_is_no_cluster(tmp_path: Path) -> None:
    with demo(tmp_path, "--broker", "sqlite:///x.db") as running:
        said, _ = running.communicate()
    assert running.returncode == 2
    assert "found 'sqlite:///x.db'; kafka://host:9092 would be right" in said
