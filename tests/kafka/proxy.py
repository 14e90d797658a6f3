"""Between workers and a broker: a network that is slow, or away, while the broker itself is well.

A broker tells its clients where to find it, so it must name the proxy: ``proxied`` starts both. Every piece waits
``delay`` seconds, each way; while it is ``cut``, connections end and none is made, and while it is ``silent``, they are
made and stand, and nothing comes.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.kafka.broker import Cluster, free_ports


class Proxy:
    """Passes on what comes at a port to another one."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.target = 0
        self.delay = 0.0
        self.passed = 0
        """Pieces."""
        self.silent = False
        self._cut = False
        self._open: set[socket.socket] = set()
        self._door = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        """End all connections, and make none."""
        self._cut = True
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let connections be made."""
        self._cut = False

    def close(self) -> None:
        self.silent = False
        self.cut()
        self._door.close()

    def _listen(self) -> None:
        with suppress(OSError):  # closed
            while True:
                caller, _ = self._door.accept()
                try:
                    called = None if self._cut else socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    called = None
                if called is None:
                    caller.close()
                    continue
                self._open |= {caller, called}
                for one, other in ((caller, called), (called, caller)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                self.passed += 1
                time.sleep(self.delay)
                while self.silent:
                    time.sleep(0.01)
                other.sendall(data)
        for each in (one, other):
            self._open.discard(each)
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def proxied(cluster: Callable[..., Cluster]) -> Iterator[Proxy]:
    """A broker that can be reached through the proxy alone, as far as it says."""
    [port] = free_ports(1)
    proxy = Proxy(port)
    try:
        broker = cluster(settings={"advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"})
        proxy.target = broker.nodes[1].port
        yield proxy
    finally:
        proxy.close()
