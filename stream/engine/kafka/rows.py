"""Rows of a lane on this machine: a copy of its changelog partition in a SQLite file, with the place it reaches to.

The changelog is the truth. What was committed lately is kept in memory (*fresh*) and goes to the file later, beside the
loop, many transactions in one. So the file can be behind and never ahead; when it is behind, the tail is read again;
when it does not belong to this changelog at all, or is damaged, it is thrown away and made anew. A *token* says who may
write: after a claim only its owner's writes change anything, so a worker that was stopped and goes on cannot put old
rows over newer ones.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_bytes

from msgspec import Struct, msgpack

from stream.engine.embedded.schema import explained
from stream.engine.kafka.address import Address
from stream.engine.log import Corrupt, EngineError, Fenced, LaneId, Mismatch
from stream.engine.rows import overlaid
from stream.model import Time

META = b"\x00lane"
"""The key under which a changelog keeps what is not a row: every transaction ends with it."""

SEVERAL = 500
PAGE = 500

_TABLES = """
create table if not exists rows(key blob primary key, value blob not null) without rowid;
create table if not exists place(one integer primary key check (one = 1), at int, meta blob, token blob);
insert or ignore into place values (1, -1, x'', x'');
"""


class Meta(Struct, frozen=True, array_like=True):
    """What a lane keeps beside its rows: which changelog this is, and the next offset to process, per topic.

    By what a log that lost it is known: the life of the log, the cluster, and when the broker took it (milliseconds;
    noted beside a copy alone). And under whose transactional ids commits are written from now on.
    """

    born: bytes
    offsets: dict[str, int]
    life: Time = 0
    cluster: str = ""
    writer: str = ""
    moment: int = 0


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(Meta).decode


def encode_meta(meta: Meta) -> bytes:
    """As the changelog keeps it."""
    return _encode(meta)


def decode_meta(data: bytes) -> Meta:
    """The reverse."""
    return _decode(data)


def rows_at(address: Address, lane: LaneId) -> Path:
    """Where the copy of a lane's rows is."""
    return address.state / f"{address.group}-{lane.agent}-{lane.partition}.rows"


def noted(path: Path) -> tuple[int, Meta] | None:
    """The place that a copy reaches to, and what stands there; nothing where there is no copy that can be read."""
    if not path.exists():
        return None
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as connection:
        at, meta = connection.execute("select at, meta from place").fetchone()
        return (at, decode_meta(meta)) if meta else None
    return None


class LocalRows:
    """The copy of one lane's rows. ``at`` is the offset of the last meta record in it, -1 for none.

    Raises ``FileExistsError`` when a ``new`` one is there already.
    """

    def __init__(self, path: Path, *, new: bool = False) -> None:
        self._path = path
        self._token = token_bytes(8)
        self._fresh: dict[bytes, bytes | None] = {}
        self._going: dict[bytes, bytes | None] = {}
        """Being written."""
        self._size = 0  # bytes of fresh rows, at most: those of a row that is written again are counted again
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Mismatch(
                f"{path.parent}: {error.strerror}; state=/a/folder that can be written would be right"
            ) from None
        if new:
            path.touch(mode=0o600, exist_ok=False)
        try:
            self._connection, self._writer = self._opened()
        except sqlite3.DatabaseError:
            self._discard()
            with explained(path):
                self._connection, self._writer = self._opened()
        self.at, meta = self._connection.execute("select at, meta from place").fetchone()
        self.meta: Meta | None = decode_meta(meta) if meta else None
        self.age = 0.0 if self.meta is None else time.time() - self.meta.moment / 1000
        """Seconds since the commit that it reached to when it was opened; none of one that is made anew."""

    def _opened(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        """One to read by and one to write by, for that is done in a thread."""
        reader, writer = (
            sqlite3.connect(self._path, isolation_level=None, cached_statements=64, timeout=5.0, check_same_thread=same)
            for same in (True, False)
        )
        try:
            self._path.chmod(0o600)
            for connection in (reader, writer):
                for setting in ("journal_mode=wal", "synchronous=normal", "cache_size=-1024", "temp_store=memory"):
                    connection.execute(f"pragma {setting}")
            writer.executescript(_TABLES)
            writer.execute("update place set token = ?", (self._token,))
        except BaseException:
            reader.close()
            writer.close()
            raise
        return reader, writer

    def _discard(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()

    def clear(self) -> None:
        """Forget everything. Raises ``Fenced`` as ``keep`` does."""
        self.at, self.meta, self.age = -1, None, 0.0
        self._fresh, self._size = {}, 0
        with self._transaction():
            self._place(self.at, self.meta)
            self._writer.execute("delete from rows")

    def apply(self, rows: Mapping[bytes, bytes | None], at: int, meta: Meta | None) -> None:
        """Take over what a transaction did."""
        self._fresh.update(rows)
        self._size += _size(rows)
        self.at, self.meta = at, meta

    def heavy(self, most: int) -> bool:
        """Whether fresh rows have more bytes than these, about."""
        if self._size > most:
            self._size = _size(self._fresh)
        return self._size > most

    async def keep(self) -> None:
        """Write what is fresh, beside the loop; one call at a time.

        Raises ``Fenced`` when the lane was claimed by another process.
        """
        self._going, self._fresh, self._size = self._fresh, {}, 0
        await asyncio.to_thread(self._keep, self._going, self.at, self.meta)
        self._going = {}

    def _keep(self, rows: Mapping[bytes, bytes | None], at: int, meta: Meta | None) -> None:
        there = sorted((key, row) for key, row in rows.items() if row is not None)
        with self._transaction():
            for start in range(0, len(there), SEVERAL):
                some = there[start : start + SEVERAL]  # in one statement: the interpreter is free meanwhile
                marks = ",".join(["(?,?)"] * len(some))
                self._writer.execute(
                    f"insert or replace into rows values {marks}",  # noqa: S608
                    [part for row in some for part in row],
                )
            gone = [(key,) for key, row in rows.items() if row is None]
            if gone:
                self._writer.executemany("delete from rows where key = ?", gone)
            self._place(at, meta)

    def _place(self, at: int, meta: Meta | None) -> None:
        """Write down what the file reaches to, if it is ours to write."""
        changed = self._writer.execute(
            "update place set at = ?, meta = ? where token = ?",
            (at, b"" if meta is None else encode_meta(meta), self._token),
        )
        if changed.rowcount != 1:
            raise Fenced(f"{self._path}: another process has claimed the lane")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """A copy that is damaged is no loss: the next start makes it anew."""
        try:
            with explained(self._path):
                yield
        except Corrupt:
            self._discard()
            raise EngineError(f"{self._path}: damaged; thrown away, and made anew from the changelog") from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._writer.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._writer.execute("rollback")
                raise
            self._writer.execute("commit")

    def _select(self, statement: str, parameters: Sequence[object]) -> list[tuple[bytes, bytes]]:
        with self._explained():
            return self._connection.execute(statement, parameters).fetchall()

    def get(self, key: bytes) -> bytes | None:
        """One row."""
        for rows in (self._fresh, self._going):
            if key in rows:
                return rows[key]
        found = self._select("select key, value from rows where key = ?", (key,))
        return found[0][1] if found else None

    def several(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Rows of these keys, as many as there are."""
        over = {key: rows[key] for rows in (self._going, self._fresh) for key in keys if key in rows}
        found = {key: row for key, row in over.items() if row is not None}
        asked = [key for key in keys if key not in over]
        for start in range(0, len(asked), SEVERAL):
            some = asked[start : start + SEVERAL]
            marks = ",".join("?" * len(some))
            found.update(self._select(f"select key, value from rows where key in ({marks})", some))  # noqa: S608
        return found

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows by prefix, in key order, from beyond ``after``, read page by page."""
        return overlaid(self._stored(prefix, after), (self._going, self._fresh), prefix, after)

    def _stored(self, prefix: bytes, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        after, sign = (after, ">") if after > prefix else (prefix, ">=")
        while True:
            found = self._select(
                f"select key, value from rows where key {sign} ? order by key limit ?",  # noqa: S608
                (after, PAGE),
            )
            for key, row in found:
                if not key.startswith(prefix):
                    return
                yield key, row
            if len(found) < PAGE:
                return
            after, sign = found[-1][0], ">"

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        self._writer.close()


def _size(rows: Mapping[bytes, bytes | None]) -> int:
    return sum(map(len, filter(None, rows.values()))) + 100 * len(rows)
