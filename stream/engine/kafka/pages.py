"""Reading as the brokers send it: what is asked, what is answered, and the records in it.

The client's consumer makes an object of a dozen fields out of every record, one by one, which takes longer than all
else together. Here batches are handed over as they are; what is not committed is left out by the client's own rules.
``batches`` reads one partition in bulk, to look for a key, or to make a table anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from struct import unpack_from
from typing import Any, Final, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
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
HEAD: Final = 61
"""Bytes before the records of a batch, in the format that brokers have kept all in since version 4."""
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


def after(data: bytes, start: int) -> int:
    """The place after all that a broker gave from ``start`` on, by the heads of the batches alone."""
    at = 0
    while at + HEAD <= len(data):
        base, length = unpack_from(">qi", data, at)
        if at + 12 + length > len(data):
            break  # the rest of it is not here
        (last,) = unpack_from(">i", data, at + 23)
        start, at = base + last + 1, at + 12 + length
    return start


async def batches(consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int) -> AsyncIterator[list[Plain]]:
    """The committed records of a partition from ``start`` up to ``end``, batch by batch; the next ones come meanwhile.

    ``start`` is not before the first record, ``end`` not behind the last stable offset. Raises the client's errors;
    for a partition without a leader, too, when it has none for longer than a request may take.
    """
    if start >= end:
        return
    client = consumer._client  # noqa: SLF001 - the client sends what the consumer has no method for
    await client._wait_on_metadata(tp.topic)  # noqa: SLF001
    coming = asyncio.ensure_future(_told(client, tp, start))
    try:
        while start < end:
            told, place = await coming, start
            start = after(told.data, start)
            if start < end:
                coming = asyncio.ensure_future(_told(client, tp, start))
            for records in Page(tp, place, told.data, told.aborted).batches():
                if some := records if records[-1].offset < end else [each for each in records if each.offset < end]:
                    yield some
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def _told(client: AIOKafkaClient, tp: TopicPartition, start: int) -> Answer:
    """What the leader of a partition gives from an offset on, as soon as there is one."""
    began, patience = time.monotonic(), client._request_timeout_ms / 1000  # noqa: SLF001
    while True:
        leader = client.cluster.leader_for_partition(tp)
        if leader in (None, -1):
            told = Answer(tp, LeaderNotAvailableError, 0, (), b"")
        else:
            [told] = answered(await client.send(leader, asked({tp: start}, WAIT, SIZE)))
        led = told.error not in (LeaderNotAvailableError, NotLeaderForPartitionError)
        if led or time.monotonic() - began > patience:
            if told.error.errno:
                raise told.error(tp)
            return told
        await client.force_metadata_update()
        await asyncio.sleep(AGAIN)
