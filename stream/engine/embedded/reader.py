"""Looking into a log while its worker runs, or when none does: read-only, never in the writer's way.

Every query is short, so no checkpoint waits for it; long listings go page by page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from stream.engine.embedded import schema
from stream.engine.embedded.witness import loss_of
from stream.engine.log import LaneId, Mismatch, partition_of
from stream.engine.reader import Lag, TopicInfo
from stream.ports import Loss, Record

PAGE = 500


class Reader:
    """A log, opened for reading. Raises ``Mismatch`` when there is none, ``Corrupt`` when it is damaged."""

    def __init__(self, url: str) -> None:
        self.path: Path = schema.place_of(url).path
        self._connection = schema.open_reader(self.path)
        self.fresh = 0.0  # a look into a file costs nothing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _select(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        with schema.explained(self.path):
            return self._connection.execute(statement, parameters).fetchall()

    def forget(self) -> None:
        """Nothing is kept."""

    def topics(self) -> list[TopicInfo]:
        """All topics, by name."""
        heads = dict(self._select("select tp, next from heads"))
        found = []
        for number, name, partitions in self._select("select id, name, partitions from topics order by name"):
            tps = [schema.tp_of(number, partition) for partition in range(partitions)]
            tops = tuple(heads.get(tp, 0) for tp in tps)
            found.append(TopicInfo(name, partitions, tuple(map(self._first, tps, tops)), tops))
        return found

    def _first(self, tp: int, head: int) -> int:
        ids = (schema.first_id(tp), schema.first_id(tp + 1))
        ((first,),) = self._select("select min(id) from records where id >= ? and id < ?", ids)
        return head if first is None else int(first) & schema.OFFSET_MASK

    def count(self, topic: str) -> int:
        """The records in a topic; 0 when it is not there."""
        return sum(sum(info.heads) - sum(info.first) for info in self.topics() if info.name == topic)

    def lags(self) -> list[Lag]:
        """Every lane's place in every topic it reads."""
        found = self._select(
            "select agent, part, name, offsets.next, coalesce(heads.next, 0) from offsets "
            "join lanes on lanes.id = offsets.lane join topics on topics.id = offsets.tp >> 8 "
            "left join heads on heads.tp = offsets.tp order by agent, name, part",
        )
        return [Lag(*row) for row in found]

    def records(
        self,
        topic: str,
        partition: int,
        *,
        start: int | None = None,
        limit: int = PAGE,
        newest_first: bool = False,
    ) -> list[Record]:
        """Records of a partition from ``start`` on (inclusive; downwards if newest first), at most ``limit``."""
        tp = schema.tp_of(self._topic(topic)[0], partition)
        low, high = schema.first_id(tp), schema.first_id(tp + 1)
        if start is not None and newest_first:
            high = low + start + 1
        elif start is not None:
            low += start
        order = "desc" if newest_first else "asc"
        found = self._select(
            f"select id, ts, key, value, headers from records where id >= ? and id < ? order by id {order} limit ?",  # noqa: S608
            (low, high, limit),
        )
        return [
            Record(topic, partition, number & schema.OFFSET_MASK, key, value, moment, schema.unpack_headers(headers))
            for number, moment, key, value, headers in found
        ]

    def keyed(self, topic: str, key: bytes, *, limit: int = PAGE) -> list[Record]:
        """The newest records of one key, newest first; nothing for a topic that is not there. Reads a partition."""
        known = self._select("select id, partitions from topics where name = ?", (topic,))
        if not known:
            return []
        number, partitions = known[0]
        partition = partition_of(key, partitions)
        tp = schema.tp_of(number, partition)
        found = self._select(
            "select id, ts, value, headers from records where id >= ? and id < ? and key = ? order by id desc limit ?",
            (schema.first_id(tp), schema.first_id(tp + 1), key, limit),
        )
        return [
            Record(topic, partition, number & schema.OFFSET_MASK, key, value, moment, schema.unpack_headers(headers))
            for number, moment, value, headers in found
        ]

    def rows(self, agent: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows of an agent, in key order within each partition. Raises ``Corrupt`` at a damaged one."""
        for lane, partition in self._select("select id, part from lanes where agent = ? order by part", (agent,)):
            after, sign = prefix, ">="
            while True:
                found = self._select(
                    f"select key, value from rows where lane = ? and key {sign} ? order by key limit {PAGE}",  # noqa: S608
                    (lane, after),
                )
                wanted = [(key, stored) for key, stored in found if key.startswith(prefix)]
                for key, stored in wanted:
                    yield key, self._unseal(LaneId(agent, partition), key, stored)
                if len(wanted) < PAGE:
                    break
                after, sign = found[-1][0], ">"

    def row(self, agent: str, key: bytes, partition: int | None = None) -> bytes | None:
        """One row; without a partition, of the one its key belongs to."""
        count = self._select("select partitions from topics limit 1")
        lane = LaneId(agent, partition_of(key, count[0][0] if count else 1) if partition is None else partition)
        found = self._select(
            "select value from rows join lanes on lanes.id = rows.lane where agent = ? and part = ? and key = ?",
            (agent, lane.partition, key),
        )
        return self._unseal(lane, key, found[0][0]) if found else None

    def loss(self) -> Loss:
        """The latest loss of state that was noticed."""
        with schema.explained(self.path):
            return loss_of(self._connection)

    def size(self) -> dict[str, int]:
        """Bytes: of the file, its write-ahead log, and of what in it is free for use."""
        ((pages,),) = self._select("pragma page_size")
        ((free,),) = self._select("pragma freelist_count")
        wal = self.path.with_name(self.path.name + "-wal")
        return {
            "file": self.path.stat().st_size,
            "wal": wal.stat().st_size if wal.exists() else 0,
            "free": int(pages) * int(free),
        }

    def check(self) -> list[str]:
        """What SQLite's own check finds wrong, if anything; reads the whole file, 17 s per GiB when cold."""
        with schema.explained(self.path):
            found = self._select("pragma quick_check")
        return [text for (text,) in found if text != "ok"]

    def _topic(self, name: str) -> tuple[int, int]:
        found = self._select("select id, partitions from topics where name = ?", (name,))
        if not found:
            raise Mismatch(
                f"{self.path}: no topic {name!r}; there are {', '.join(info.name for info in self.topics())}"
            )
        number, partitions = found[0]
        return int(number), int(partitions)

    def _unseal(self, lane: LaneId, key: bytes, stored: bytes) -> bytes:
        row = schema.unseal(key, stored)
        if row is None:
            raise schema.damaged(self.path, f"row {key!r} of lane {lane} fails its checksum")
        return row
