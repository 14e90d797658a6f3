"""Reading as the brokers send it: what is asked, what is answered, and the records in it.

The client's consumer makes an object of a dozen fields out of every record, one by one, which takes longer than all
else together. Here batches are handed over as they are; what is not committed is left out by the client's own rules.
``batches`` reads one partition in bulk, to look for a key, or to make a table anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import (
    CorruptRecordException,
    LeaderNotAvailableError,
    NotLeaderForPartitionError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

SIZE: Final = 2 << 20
"""Bytes that the broker gives at a time; as they are sent, so mostly compressed."""
MOST: Final = 50 << 20
"""The same, of all partitions together."""
WAIT: Final = 0.2
AGAIN: Final = 0.05
"""Seconds after which a partition without a leader is asked for again."""


class Plain(Protocol):
    """A record in a batch."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: list[tuple[str, bytes]]


class Page(PartitionRecords):  # type: ignore[misc]  # aiokafka's types are not looked at
    """What a broker gave of a partition, from an offset on."""

    def __init__(self, tp: TopicPartition, start: int, data: bytes, aborted: Any) -> None:
        super().__init__(tp, MemoryRecords(data), aborted, start, None, None, True, READ_COMMITTED)
        self.next = start
        """The place after what was read; in the end, the one to go on from."""

    def batches(self) -> Iterator[list[Plain]]:
        """What is committed of it, batch by batch, none of them empty; read once."""
        while self._records.has_next():
            batch = self._records.next_batch()
            if not batch.validate_crc():
                raise CorruptRecordException(
                    f"{self._tp}: found a batch whose checksum is wrong at {batch.base_offset}"
                )
            self._consume_aborted_up_to(batch.base_offset)
            undone = batch.producer_id in self._aborted_producers and batch.is_transactional
            records: list[Plain] = []
            if batch.is_control_batch:
                if self._contains_abort_marker(batch):
                    self._aborted_producers.discard(batch.producer_id)
            elif not undone:
                records = list(batch)
                if records and records[0].offset < self.next:
                    records = [record for record in records if record.offset >= self.next]
            self.next = batch.next_offset
            if records:
                yield records


class Answer(NamedTuple):
    """What a broker says of a partition that it was asked for."""

    tp: TopicPartition
    error: Any
    stable: int
    aborted: Any
    data: bytes


def asked(places: Mapping[TopicPartition, int], wait: float, size: int) -> FetchRequest:
    """The request for partitions from these offsets on: answered when there is anything, or after ``wait`` seconds."""
    topics: dict[str, list[tuple[int, int, int]]] = {}
    for tp, start in places.items():
        topics.setdefault(tp.topic, []).append((tp.partition, start, size))
    return FetchRequest(round(wait * 1000), 1, MOST, READ_COMMITTED, list(topics.items()))


def answered(answer: Any) -> Iterator[Answer]:
    """What an answer holds, partition by partition."""
    start_is_told = answer.API_VERSION >= 5  # noqa: PLR2004 - of the log
    for topic, partitions in answer.topics:
        for partition, code, _, stable, *more in partitions:
            yield Answer(TopicPartition(topic, partition), for_code(code), stable, more[start_is_told], more[-1])


async def batches(consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int) -> AsyncIterator[list[Plain]]:
    """The committed records of a partition from ``start`` up to ``end``, batch by batch.

    ``start`` is not before the first record, ``end`` not behind the last stable offset. Raises the client's errors;
    for a partition without a leader, too, when it has none for longer than a request may take.
    """
    client = consumer._client  # noqa: SLF001 - the client sends what the consumer has no method for
    await client._wait_on_metadata(tp.topic)  # noqa: SLF001
    moved, patience = time.monotonic(), client._request_timeout_ms / 1000  # noqa: SLF001
    while start < end:
        leader = client.cluster.leader_for_partition(tp)
        if leader in (None, -1):
            told = Answer(tp, LeaderNotAvailableError, 0, (), b"")
        else:
            [told] = answered(await client.send(leader, asked({tp: start}, WAIT, SIZE)))
        led = told.error not in (LeaderNotAvailableError, NotLeaderForPartitionError)
        if not led and time.monotonic() - moved < patience:
            await client.force_metadata_update()
            await asyncio.sleep(AGAIN)
            continue
        if told.error.errno:
            raise told.error(tp)
        page = Page(tp, start, told.data, told.aborted)
        for records in page.batches():
            if records[-1].offset < end:
                yield records
            elif some := [record for record in records if record.offset < end]:
                yield some
        start, moved = page.next, time.monotonic()
