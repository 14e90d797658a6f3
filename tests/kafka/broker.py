"""Real Apache Kafka for tests: one broker or three in KRaft mode, on the loopback address alone, with knobs for faults.

A cluster is the broker's own processes, started from Maven's jars. Each node is broker and controller at once; with
three, one may be lost. Ports lie below the range from which the system takes ports for outgoing connections: a broker
that was killed gets its port back, and no client connects to itself meanwhile. What it writes lies in a folder that
goes with it.

Nothing is left behind: ``close`` ends the processes by their own ids, and when the tests are killed first, a *warden*
does. It is a process that reads the ids and waits for the end of its input, which comes when ours does.

Methods block. An async test calls those that take seconds in a thread: ``await asyncio.to_thread(cluster.restart)``.
"""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.kafka.jars import jars, java

READY = "Kafka Server started"
PATIENCE = 60.0
"""Seconds that a node may take to start or to stop."""

_WARDEN = """
import contextlib, os, shutil, signal, sys
running = set()
for line in sys.stdin:
    pid = int(line)
    running.add(pid) if pid > 0 else running.discard(-pid)
for pid in running:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""

_LOGGING = "-Dorg.slf4j.simpleLogger."


class Warden:
    """Ends the processes that it was told of, and removes a folder, when it is closed or when we are no more."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", _WARDEN, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def watch(self, pid: int) -> None:
        self._tell(pid)

    def forget(self, pid: int) -> None:
        self._tell(-pid)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, number: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n".encode())
        self._process.stdin.flush()


@dataclass
class Node:
    """One broker: where it listens, where its data lie, its process while it runs."""

    number: int
    folder: Path
    port: int
    controller: int
    secured: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / "broker.log"


@dataclass
class Cluster:
    """Apache Kafka on this machine. A context manager; ``settings`` go into every node's server.properties.

    ``users`` (name -> password) opens a second listener, ``secured``: SASL_PLAINTEXT with PLAIN and SCRAM. Who comes
    in there may do what ``allow`` says; on ``bootstrap`` nobody logs in and everything is allowed.
    """

    brokers: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    heap: int = 512
    """MiB of each node."""
    quick: bool = True
    """Start fast and compile little; for what is measured, say False."""

    def __enter__(self) -> Self:
        self._java, self._jars = java(), jars()
        self._folder = Path(tempfile.mkdtemp(prefix="linkstream-kafka-"))
        self._warden = Warden(self._folder)
        self._others: list[subprocess.Popen[bytes]] = []
        ports = free_ports(3 * self.brokers)
        self.nodes = {
            number: Node(number, self._folder / str(number), *ports[3 * number - 3 : 3 * number])
            for number in range(1, self.brokers + 1)
        }
        try:
            self._format()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def bootstrap(self) -> str:
        """``host:port`` of every broker, with commas between."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes.values())

    @property
    def secured(self) -> str:
        """The same, of the listener where one has to log in."""
        assert self.users, "a cluster without users has no such listener"
        return ",".join(f"127.0.0.1:{node.secured}" for node in self.nodes.values())

    # Faults. Without numbers, all nodes are meant.

    def start(self, *numbers: int) -> None:
        """Start nodes on the data that they have, and wait until they serve."""
        nodes = self._these(numbers)
        said = [node.log.stat().st_size if node.log.exists() else 0 for node in nodes]
        for node in nodes:
            assert node.process is None, f"node {node.number} runs already"
            with node.log.open("ab") as log:
                node.process = self._popen(
                    "kafka.Kafka", str(node.folder / "server.properties"), heap=self.heap, stdout=log, stderr=log
                )
            self._warden.watch(node.process.pid)
        for node, length in zip(nodes, said, strict=True):
            self._await(node, length)

    def kill(self, *numbers: int) -> None:
        """End nodes without a warning (SIGKILL); ones that are frozen, too."""
        for node in self._these(numbers):
            assert node.process is not None, f"node {node.number} does not run"
            node.process.kill()
            self._gone(node)

    def stop(self, *numbers: int) -> None:
        """End nodes as an operator does (SIGTERM): they hand their partitions over first."""
        for node in self._these(numbers):
            assert node.process is not None, f"node {node.number} does not run"
            node.process.terminate()
            self._gone(node)

    def restart(self, *numbers: int) -> None:
        """Stop nodes and start them again on the same data."""
        self.stop(*numbers)
        self.start(*numbers)

    def roll(self) -> None:
        """Restart one node after the other, as an upgrade does; each has caught up before the next one goes."""
        for number in self.nodes:
            self.restart(number)
            self.settle()

    def freeze(self, *numbers: int) -> None:
        """Let nodes hang (SIGSTOP): they keep their connections and answer nothing."""
        self._signal(signal.SIGSTOP, numbers)

    def thaw(self, *numbers: int) -> None:
        """Let nodes go on that hang."""
        self._signal(signal.SIGCONT, numbers)

    def settle(self) -> None:
        """Wait until no partition lacks a replica that is in step."""
        until = time.monotonic() + PATIENCE
        while behind := self.tool("org.apache.kafka.tools.TopicCommand", "--describe", "--under-replicated-partitions"):
            assert time.monotonic() < until, f"still behind after {PATIENCE:.0f} s:\n{behind}"

    # What an operator does.

    def tool(self, name: str, *arguments: str) -> str:
        """Run one of Kafka's commands by its class against this cluster; what it printed. About a second each."""
        with (self._folder / "tool.log").open("ab") as log:
            process = self._popen(
                name, "--bootstrap-server", self.bootstrap, *arguments, stdout=subprocess.PIPE, stderr=log
            )
            said = process.communicate(timeout=PATIENCE)[0].decode()
        assert process.returncode == 0, f"{name} {arguments}: exit code {process.returncode}:\n{said}"
        return said

    def allow(self, user: str, *arguments: str) -> None:
        """Let a user do something: ``allow("ann", "--operation", "Read", "--topic", "orders")``."""
        self.tool("org.apache.kafka.tools.AclCommand", "--add", "--allow-principal", f"User:{user}", *arguments)

    def forbid(self, user: str, *arguments: str) -> None:
        """Take back what ``allow`` gave, by the same words."""
        self.tool(
            "org.apache.kafka.tools.AclCommand", "--remove", "--force", "--allow-principal", f"User:{user}", *arguments
        )

    def close(self) -> None:
        """End all processes and drop all data."""
        for node in self.nodes.values():
            if node.process is not None:
                node.process.kill()
                self._gone(node)
        for process in self._others:
            process.kill()  # nothing happens to one that ended
            process.wait(PATIENCE)
            self._warden.forget(process.pid)
        self._warden.close()

    def adopt(self, process: subprocess.Popen[bytes]) -> None:
        """Let a process that goes on by itself, such as Kafka Connect, end with this cluster."""
        self._others.append(process)
        self._warden.watch(process.pid)

    def command(self, name: str, heap: int = 128) -> list[str]:
        """How one of Kafka's classes is started; its arguments follow."""
        flags = [f"-Xmx{heap}m", "-XX:+UseSerialGC" if self.quick else "-XX:+UseG1GC"]
        flags += ["-XX:TieredStopAtLevel=1"] if self.quick else []
        flags += [f"{_LOGGING}defaultLogLevel=warn", f"{_LOGGING}log.kafka.server.KafkaRaftServer=info"]
        flags += [f"{_LOGGING}showDateTime=true", f"{_LOGGING}dateTimeFormat=HH:mm:ss.SSS"]
        return [self._java, *flags, "-cp", f"{self._jars}/*", name]

    def _popen(self, name: str, *arguments: str, heap: int = 128, **streams: object) -> subprocess.Popen[bytes]:
        command = [*self.command(name, heap), *arguments]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **streams)  # type: ignore[call-overload]

    def _gone(self, node: Node) -> None:
        assert node.process is not None
        node.process.wait(PATIENCE)
        self._warden.forget(node.process.pid)
        node.process = None

    def _these(self, numbers: Sequence[int]) -> list[Node]:
        return [self.nodes[number] for number in numbers or self.nodes]

    def _signal(self, number: signal.Signals, nodes: Sequence[int]) -> None:
        for node in self._these(nodes):
            assert node.process is not None, f"node {node.number} does not run"
            node.process.send_signal(number)

    def _await(self, node: Node, length: int) -> None:
        until = time.monotonic() + PATIENCE
        while READY not in (said := node.log.read_bytes()[length:].decode(errors="replace")):
            assert node.process is not None
            over = node.process.poll() is not None or time.monotonic() > until
            assert not over, f"node {node.number} does not serve; it said:\n{said[-4000:]}"
            time.sleep(0.05)

    def _format(self) -> None:
        scram = [
            argument
            for user, password in self.users.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for argument in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
        ]
        processes = []
        for node in self.nodes.values():
            node.folder.mkdir()
            config = node.folder / "server.properties"
            config.write_text("".join(f"{name}={value}\n" for name, value in self._properties(node).items()), "utf-8")
            arguments = ("format", "-t", "linkstreamtestsAAAAAAAA", "-c", str(config), *scram)
            with node.log.open("ab") as log:
                processes.append(self._popen("kafka.tools.StorageTool", *arguments, stdout=log, stderr=log))
        for process, node in zip(processes, self.nodes.values(), strict=True):
            assert process.wait(PATIENCE) == 0, node.log.read_text("utf-8")

    def _properties(self, node: Node) -> dict[str, str]:
        copies = str(min(3, self.brokers))
        in_step = str(min(2, self.brokers))
        listeners = {"PLAINTEXT": node.port, "CONTROLLER": node.controller}
        properties = {
            "process.roles": "broker,controller",
            "node.id": str(node.number),
            "controller.quorum.voters": ",".join(f"{n.number}@127.0.0.1:{n.controller}" for n in self.nodes.values()),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(node.folder / "data"),
            "default.replication.factor": copies,
            "min.insync.replicas": in_step,
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_step,
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_step,
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "broker.session.timeout.ms": "4000",  # nobody may come back after a kill before it is over
            "broker.heartbeat.interval.ms": "500",
            "auto.create.topics.enable": "false",
            "log.cleaner.dedupe.buffer.size": str(8 << 20),  # 128 MiB of the heap otherwise
        }
        if self.users:
            listeners["SECURED"] = node.secured
            module = "org.apache.kafka.common.security"
            known = " ".join(f'user_{user}="{password}"' for user, password in self.users.items())
            properties |= {
                "listener.name.secured.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
                "listener.name.secured.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {known};",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
            }
            for kind in ("256", "512"):
                scram = f"listener.name.secured.scram-sha-{kind}.sasl.jaas.config"
                properties[scram] = f"{module}.scram.ScramLoginModule required;"
        properties["listeners"] = ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())
        return {**properties, **self.settings}


def free_ports(count: int) -> list[int]:
    """So many ports of this machine on which nobody listens."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found += [] if port in found else [port]
    return found
