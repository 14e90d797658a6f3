"""The file: its tables, how ids are packed, and how it is opened without ever harming what is there.

A record's id is ``topic << 48 | partition << 40 | offset``, so a prefix of a partition is one range of ids. Rows end
with a CRC-32 of key and value, because no check of SQLite sees a flipped byte inside a value. Only the owner of the
lease opens the file for writing, and only with one connection: SQLite before 3.51.3 may corrupt a WAL file that two
connections write and checkpoint at once (sqlite.org/wal.html, "the WAL-reset bug").
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote
from zlib import crc32

import msgspec
from msgspec import Struct

from stream.engine.log import Corrupt, EngineError, Forbidden, Full, InUse, Mismatch
from stream.ports import Headers

APPLICATION: Final = 0x6C6E6B73  # "lnks", SQLite's application_id
VERSION: Final = 1
OFFSET_BITS: Final = 40
PARTITION_BITS: Final = 8
OFFSET_MASK: Final = (1 << OFFSET_BITS) - 1

TABLES: Final = """
create table topics (id integer primary key, name text unique not null, partitions int not null);
create table heads  (tp integer primary key, next int not null);
create table records(id integer primary key, ts int not null, key blob, value blob, headers blob);
create table lanes  (id integer primary key, agent text not null, part int not null, epoch int not null,
                     unique(agent, part));
create table offsets(lane int, tp int, next int not null, primary key(lane, tp)) without rowid;
create table life   (name text not null, commits int not null, saved_at int not null, lost_at int not null default 0,
                     since int not null default 0, reason text not null default '', healed_at int not null default 0);
create table rows   (lane int, key blob, value blob not null, primary key(lane, key)) without rowid;
"""

_encode_headers = msgspec.msgpack.Encoder().encode
_decode_headers = msgspec.msgpack.Decoder(Headers).decode


class Place(Struct, frozen=True):
    """Where a log is (``sqlite:///relative/path``, ``sqlite:////absolute/path``), and how safely it is written."""

    path: Path
    synchronous: str = "full"
    witness: Path | None = None

    def witnessed(self) -> Path:
        """Where the witness is: beside the log, if nothing else is said."""
        return self.witness or self.path.with_name(self.path.name + ".witness")


def place_of(url: str) -> Place:
    """Parse a URL. Raises ``Mismatch`` for what it does not know."""
    rest = url.removeprefix("sqlite:///")
    path, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "full").lower()
    witness = options.pop("witness", "")
    if rest == url or not path:
        raise Mismatch(f"{url}: not the address of an embedded log; write sqlite:///path/to/file.db")
    if options or synchronous not in ("full", "normal"):
        raise Mismatch(f"{url}: unknown option; only ?synchronous=full or normal, and ?witness=<file>, can be said")
    return Place(Path(unquote(path)).absolute(), synchronous, Path(witness).absolute() if witness else None)


def tp_of(topic: int, partition: int) -> int:
    """A topic's id and a partition in one number."""
    return topic << PARTITION_BITS | partition


def first_id(tp: int) -> int:
    """The id of a partition's offset 0; ``first_id(tp + 1)`` ends it."""
    return tp << OFFSET_BITS


def pack_headers(headers: Headers) -> bytes | None:
    """Headers as stored; nothing for none."""
    return _encode_headers(headers) if headers else None


def unpack_headers(stored: bytes | None) -> Headers:
    """The reverse."""
    return _decode_headers(stored) if stored else ()


def seal(key: bytes, row: bytes) -> bytes:
    """A row as stored: followed by its checksum."""
    return row + crc32(row, crc32(key)).to_bytes(4, "little")


def unseal(key: bytes, stored: bytes) -> bytes | None:
    """The row, or ``None`` when its bytes are damaged."""
    row = stored[:-4]
    return row if crc32(row, crc32(key)).to_bytes(4, "little") == stored[-4:] else None


def damaged(path: Path, what: str) -> Corrupt:
    """The error for damage found in a file."""
    return Corrupt(
        f"{path}: {what}; nothing was overwritten. Restore the file (with its -wal, if there is one) from a backup, "
        f"or move it away to start with an empty log",
    )


def known(error: sqlite3.Error, path: Path) -> EngineError:
    """What an error of SQLite means for this process."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(path, f"not a database or damaged ({name}: {error})")
    if name.startswith("SQLITE_FULL"):
        return Full(f"{path}: no room to write ({error}); free some and it goes on by itself")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return InUse(f"{path}: locked by another process ({name}); end whatever writes this file")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return Forbidden(f"{path}: cannot be opened ({error}); a file that this user may read and write would be right")
    return EngineError(f"{path}: {name or type(error).__name__}: {error}")


@contextmanager
def explained(path: Path, but: type[sqlite3.Error] | None = None) -> Iterator[None]:
    """Turn errors of SQLite into the engine's, but one kind."""
    try:
        yield
    except sqlite3.Error as error:
        if but is not None and isinstance(error, but):
            raise
        raise known(error, path) from error


def open_writer(place: Place) -> sqlite3.Connection:
    """The one writing connection, on a file of ours or a new one. Raises ``EngineError``."""
    _no_folder(place.path)
    # Nobody else reads business data. Never one that is there: to close it ends the locks of this process on it.
    with suppress(OSError):
        os.close(os.open(place.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with explained(place.path):
        connection = sqlite3.connect(
            str(place.path), isolation_level=None, check_same_thread=False, cached_statements=256, timeout=5.0
        )
        try:
            fresh = _recognise(connection, place.path)
            if fresh:
                connection.execute("pragma page_size=4096")
                connection.execute("pragma auto_vacuum=INCREMENTAL")
            connection.execute("pragma journal_mode=WAL")
            connection.execute(f"pragma synchronous={place.synchronous}")
            for setting in (
                "wal_autocheckpoint=1000",
                "journal_size_limit=67108864",
                "cache_size=-16384",
                "temp_store=MEMORY",
            ):
                connection.execute(f"pragma {setting}")
            if fresh:
                connection.executescript(
                    f"begin immediate; {TABLES} pragma application_id={APPLICATION}; "
                    f"pragma user_version={VERSION}; commit;"
                )
        except BaseException:
            with suppress(sqlite3.Error):
                connection.close()
            raise
        return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises ``EngineError``."""
    if not path.exists():
        raise Mismatch(f"{path}: no such file; a worker creates it")
    _no_folder(path)
    with explained(path):
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, check_same_thread=False, timeout=5.0
        )
        try:
            empty = _recognise(connection, path)
        except BaseException:
            connection.close()
            raise
    if empty:
        connection.close()
        raise Mismatch(f"{path}: still empty; a worker fills it")
    return connection


def _no_folder(path: Path) -> None:
    """Say what SQLite calls a failing disk."""
    if path.is_dir():
        raise Mismatch(f"{path}: found a folder; a file would be right")


def _recognise(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is empty. Raises ``Mismatch`` when it is not one of ours."""
    (tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
    (application,) = connection.execute("pragma application_id").fetchone()
    (version,) = connection.execute("pragma user_version").fetchone()
    if not tables and not application:
        return True
    if application != APPLICATION:
        raise Mismatch(f"{path}: a database of another program; name a file of its own for the log")
    if version > VERSION:
        raise Mismatch(
            f"{path}: written by a newer version (format {version}, this one knows {VERSION}); upgrade, or "
            "name another file"
        )
    return False
