"""The witness: a few bytes outside the log that say how far it had come, so that a log that was set back is noticed.

A backup that was restored looks like any other log: nothing in it says that it is not the latest. So the log counts
its transactions, and after each of them writes the count into this file, too; the count there is never ahead of the
log's own. At the start both are compared. A log that is behind its witness, or another one, or has none although it is
not new, has lost state: it begins a new *life* (``ports.Loss``), and whoever works on it makes that good. To be taken
for set back by mistake costs a reading of all systems, and harms nothing.

The file is written without waiting for the disk: it need not survive a loss of power, at which it falls behind, but
the end of the process, which it does. It belongs where the backups of the log do not reach.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path

from stream.engine.log import Mismatch
from stream.model import Time
from stream.ports import Loss

logger = logging.getLogger(__name__)

LARGEST = 64
"""Bytes of a witness, at most."""


class Witness:
    """The file. Raises ``Mismatch`` when it cannot be had."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = ""
        self._troubled = False
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Mismatch(f"{path}: {error.strerror}; a file that the worker may write would be right") from error

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            os.close(self._file)

    def said(self) -> tuple[str, int] | None:
        """Of which log, and how many transactions; nothing when the file is new."""
        data = os.pread(self._file, LARGEST, 0)
        if not data:
            return None
        log, _, count = data.decode("ascii", errors="replace").strip().partition(" ")
        return (log, int(count)) if count.isdecimal() else ("", 0)

    def begin(self, log: str, count: int) -> None:
        """Bear witness of this log from now on."""
        self._log = log
        self.note(count)

    def note(self, count: int) -> None:
        """Remember that so many transactions were committed; a failure is told once and hinders nothing."""
        try:
            os.pwrite(self._file, f"{self._log} {count:020d}\n".encode(), 0)
        except OSError as error:
            if not self._troubled:
                logger.warning("%s: %s; a log that was set back will not be noticed", self.path, error.strerror)
            self._troubled = True


def examine(connection: sqlite3.Connection, witness: Witness, now: Time) -> Loss:
    """Compare a log with its witness, and begin a new life of the log if it lost state."""
    found = connection.execute("select name, commits, saved_at from life").fetchone()
    said = witness.said()
    if found is None:
        name, count, saved_at = secrets.token_hex(8), 0, 0
        connection.execute("insert into life(name, commits, saved_at) values (?, 0, 0)", (name,))
        reason = "" if said is None else "the log is gone and was begun anew; its witness is still there"
    else:
        name, count, saved_at = found
        reason = _set_back(name, count, said)
    if reason:
        since = saved_at
        before = loss_of(connection)
        if before.at and not before.healed:
            since = min(since, before.since)
        name, count = (
            secrets.token_hex(8),
            count + 1,
        )  # another name: a later backup of the former life is no part of it
        connection.execute(
            "update life set name = ?, commits = ?, lost_at = ?, since = ?, reason = ?, healed_at = 0",
            (name, count, max(now, before.at + 1), since, reason),
        )
    witness.begin(name, count)
    return loss_of(connection)


def _set_back(name: str, count: int, said: tuple[str, int] | None) -> str:
    if said is None:
        return "the log has no witness: it was restored, or came from elsewhere"
    if said[0] != name:
        return "its witness speaks of another log"
    if count < said[1]:
        return f"the log is older than it was: {said[1] - count} transactions are missing; was a backup restored?"
    return ""


def loss_of(connection: sqlite3.Connection) -> Loss:
    """The latest loss of state that a log knows of."""
    found = connection.execute("select lost_at, since, reason, healed_at from life").fetchone()
    return Loss() if found is None else Loss(*found)


def saved_at(connection: sqlite3.Connection) -> float:
    """When something was committed last, in seconds since the epoch; zero for never."""
    (at,) = connection.execute("select saved_at from life").fetchone()
    return float(at) / 1e6


def count(connection: sqlite3.Connection, now: Time) -> int:
    """Count the transaction that is about to be committed."""
    (number,) = connection.execute(
        "update life set commits = commits + 1, saved_at = ? returning commits", (now,)
    ).fetchone()
    return int(number)
