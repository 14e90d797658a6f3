"""Reading a partition in bulk: to look for a key, or to make a table anew.

The client's consumer makes an object of a dozen fields out of every record, which takes longer than all else together.
Here records are handed over as they lie in their batches, a few megabytes at a time; what is not committed is left out
by the client's own code, as it would for the consumer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import LeaderNotAvailableError, NotLeaderForPartitionError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

SIZE: Final = 2 << 20
"""Bytes that the broker gives at a time; as they are sent, so mostly compressed."""
WAIT: Final = 200
AGAIN: Final = 0.05
"""Seconds after which a partition without a leader is asked for again."""


class Plain(Protocol):
    """A record in a batch."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: list[tuple[str, bytes]]


class _Records(PartitionRecords):  # type: ignore[misc]  # aiokafka's types are not looked at
    def _consumer_record(self, _: TopicPartition, record: Plain) -> Plain:
        return record


async def pages(consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int) -> AsyncIterator[Iterator[Plain]]:
    """The committed records of a partition from ``start`` up to ``end``, page by page; read each before the next.

    ``start`` is not before the first record, ``end`` not behind the last stable offset. Raises the client's errors;
    for a partition without a leader, too, when it has none for longer than a request may take.
    """
    client = consumer._client  # noqa: SLF001 - the client sends what the consumer has no method for
    await client._wait_on_metadata(tp.topic)  # noqa: SLF001
    moved, patience = time.monotonic(), client._request_timeout_ms / 1000  # noqa: SLF001
    while start < end:
        leader = client.cluster.leader_for_partition(tp)
        answer = None if leader in (None, -1) else await client.send(leader, _request(tp, start))
        error, aborted, data = (LeaderNotAvailableError, (), b"") if answer is None else _answered(answer)
        if error in (LeaderNotAvailableError, NotLeaderForPartitionError) and time.monotonic() - moved < patience:
            await client.force_metadata_update()
            await asyncio.sleep(AGAIN)
            continue
        if error.errno:
            raise error(tp)
        page = _Records(tp, MemoryRecords(data), aborted, start, None, None, True, READ_COMMITTED)
        yield (record for record in page if record.offset < end)
        start, moved = page.next_fetch_offset, time.monotonic()


def _request(tp: TopicPartition, start: int) -> FetchRequest:
    return FetchRequest(WAIT, 1, SIZE, READ_COMMITTED, [(tp.topic, [(tp.partition, start, SIZE)])])


def _answered(answer: Any) -> tuple[Any, Any, bytes]:
    """The error, the aborted transactions and the records of the one partition that was asked for."""
    [(_, [(_, code, _, _, *more)])] = answer.topics
    return for_code(code), more[answer.API_VERSION >= 5], more[-1]  # noqa: PLR2004 - from then on the log's start is told
