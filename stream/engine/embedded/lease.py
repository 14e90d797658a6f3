"""The lease: one process owns a log. The kernel's lock says who, the lock file beside the log says whom to ask.

``<log>.lock`` is locked with ``flock``, which ends with the process however it ends. In it stand pid, host and the
address for commands; a thread touches it every two seconds. Who finds it locked and fresh gives up (``InUse``). Locked
and silent for 15 seconds means a process that is stopped or hangs: on this host it is killed; elsewhere the file is
replaced, the owner notices at its next touch and ends, and the epoch of the lanes refuses whatever it still commits.

At each touch the owner also looks whether the log is still the file that it opened: what is written into one that was
moved away, deleted or replaced is seen by nobody, and lost with it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct

from stream.engine.log import EngineError, Fenced, InUse, Mismatch

BEAT = 2.0  # seconds between two touches
SILENT = 15.0  # seconds without one after which the owner counts as hung
WAIT = 1.0  # seconds that a process about to end is waited for
LOOK = 0.05


class Holder(Struct, frozen=True):
    """Who holds a log. ``born`` tells a process from a later one with the same pid."""

    pid: int
    host: str
    born: str
    address: str = ""


class Lease:
    """A log's lock; held from ``acquire`` to ``release``."""

    def __init__(self, log: Path, *, silent: float = SILENT, wait: float = WAIT) -> None:
        self.path = log.with_name(log.name + ".lock")
        self.on_lost: Callable[[EngineError], None] = lambda _: None
        self._log = log
        self._silent = silent
        self._wait = wait
        self._file: int | None = None
        self._opened: tuple[int, int] | None = None
        self._over = threading.Event()

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._file is not None

    def acquire(self, address: str = "") -> None:
        """Take the lease. Raises ``InUse`` with the owner's name, ``Mismatch`` when the folder cannot be written."""
        if self._file is not None:
            return
        deadline = time.monotonic() + self._wait
        beat, watched = -1.0, 0.0
        while (file := self._lock()) is None:
            if (last := self._last_beat()) != beat:
                beat, watched = last, time.monotonic()
            age = max(0.0, time.time() - beat)
            if age < self._silent and time.monotonic() >= deadline:
                raise InUse(self._refusal(age))
            if age >= self._silent and time.monotonic() - watched > 1.5 * BEAT:  # a clock that jumped is no silence
                self._end_owner()
                deadline = time.monotonic() + self._wait
            time.sleep(LOOK)
        holder = Holder(os.getpid(), socket.gethostname(), _born(os.getpid()), address)
        os.ftruncate(file, 0)
        os.pwrite(file, msgspec.json.encode(holder), 0)
        os.utime(file)
        self._file = file
        self._over.clear()
        threading.Thread(target=self._beat, args=(file,), name="log-lease", daemon=True).start()

    def opened(self) -> None:
        """The log is open: from now on it must stay this very file."""
        about = self._log.stat()
        self._opened = about.st_dev, about.st_ino

    def release(self) -> None:
        """Let go; the file stays, unlocked."""
        file, self._file = self._file, None
        self._opened = None
        self._over.set()
        if file is not None:
            with suppress(OSError):
                os.close(file)

    def _lock(self) -> int | None:
        """The locked file, or nothing: another process has it, or has just replaced it."""
        with suppress(OSError):  # that it is there, or cannot be, shows when it is written to
            self.path.parent.mkdir(mode=0o700)
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Mismatch(
                f"{self.path}: {error.strerror}; a folder that can be written to, in one that exists, would be right"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return None
        if not self._same(file):
            os.close(file)
            return None
        return file

    def _same(self, file: int) -> bool:
        """Whether the path still names the file that we have open."""
        try:
            return self.path.stat().st_ino == os.fstat(file).st_ino
        except OSError:
            return False

    def _last_beat(self) -> float:
        try:
            return self.path.stat().st_mtime
        except OSError:
            return time.time()

    def _refusal(self, age: float) -> str:
        holder = holder_of(self._log)
        who = f"pid {holder.pid} on {holder.host}" if holder else "a process that has not written its name yet"
        return f"{self._log}: in use by {who}, alive {age:.1f} s ago; stop it first, or name another file"

    def _end_owner(self) -> None:
        holder = holder_of(self._log)
        if holder and holder.host == socket.gethostname() and holder.born == _born(holder.pid):
            with suppress(OSError):
                os.kill(holder.pid, signal.SIGKILL)
            os.utime(self.path)  # its lock goes with it; look again before taking sharper measures
        else:
            with suppress(OSError):
                self.path.unlink()

    def _beat(self, file: int) -> None:
        while not self._over.wait(BEAT):
            if not self._same(file):
                self.on_lost(Fenced(f"{self.path}: another process has taken the log over"))
                return
            if self._replaced():
                self.on_lost(
                    EngineError(
                        f"{self._log}: found another file, or none, in the place of the one that was opened; what is "
                        "written goes nowhere. To stop the worker before its log is moved or restored would be right"
                    )
                )
                return
            with suppress(OSError):
                os.utime(file)

    def _replaced(self) -> bool:
        """Whether the log's name leads to another file than the one that we write, or to none."""
        opened = self._opened
        try:
            about = self._log.stat()
        except FileNotFoundError:
            return opened is not None and not self._over.is_set()
        except OSError:
            return False  # that it cannot be told does not say that it is so
        return opened not in (None, (about.st_dev, about.st_ino)) and not self._over.is_set()


def holder_of(log: Path) -> Holder | None:
    """Who holds, or last held, a log."""
    try:
        return msgspec.json.decode(log.with_name(log.name + ".lock").read_bytes(), type=Holder)
    except (OSError, msgspec.MsgspecError):
        return None


def address_of(log: Path) -> Path:
    """The UNIX socket for commands to the owner; not beside the log, for its path may have 107 bytes."""
    folder = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/linkstream-{os.getuid()}"  # noqa: S108 - checked before use
    name = blake2b(os.fsencode(log.resolve()), digest_size=8).hexdigest()
    return Path(folder) / f"linkstream-{name}.sock"


def _born(pid: int) -> str:
    """What tells a process from a later one with its pid: this boot, and its start in clock ticks since (proc(5))."""
    with suppress(OSError, IndexError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
        return f"{boot}:{started}"
    return ""
