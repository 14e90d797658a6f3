"""A producer, and what it does at once: one transaction, in which everything is acknowledged before the commit.

``InitProducerId`` makes us the owner of a transactional id: it ends what a former owner had begun, and whatever that
one sends afterwards is refused. Three traps of the client are avoided here. It backs off for 100 ms when a transaction
follows another at once, because the broker still writes the markers of the first. Its commit succeeds although a record
of it has failed, so every acknowledgement is awaited before. And once it was refused, it says of whatever is sent next
that no transaction is open: what it was refused for is raised instead.

A producer without an id appends to one partition, in one batch; that needs no transaction, and a process that is killed
meanwhile leaves none open, for which readers would wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.producer import sender

from stream.engine.kafka.address import Address
from stream.engine.kafka.errors import explained
from stream.engine.log import Mismatch, Outgoing, partition_of

BACKOFF: Final = 0.005
BETWEEN: Final = 0.001
FAREWELL: Final = 2.0
BATCH: Final = 512 << 10
"""Bytes of a batch before it is compressed; a larger record goes alone."""

_NONE: Final[list[tuple[str, bytes]]] = []


def parts_of(records: Iterable[Outgoing], address: Address, partitions: int) -> dict[TopicPartition, list[Outgoing]]:
    """Records by where they go, in order."""
    found: dict[tuple[str, int], list[Outgoing]] = {}
    for record in records:
        partition = record.partition
        where = record.topic, partition_of(record.key, partitions) if partition is None else partition
        if (some := found.get(where)) is None:
            found[where] = [record]
        else:
            some.append(record)
    return {TopicPartition(address.topic(topic), partition): some for (topic, partition), some in found.items()}


class Place(NamedTuple):
    """Where a record stands, and since when by the clock of the broker that took it (milliseconds)."""

    offset: int
    moment: int


class Producer:
    """Owns a transactional id, or has none."""

    def __init__(self, address: Address, id: str = "") -> None:
        self.id = id
        self._address = address
        self._producer: AIOKafkaProducer | None = None

    async def open(self, topics: Collection[str] = ()) -> None:
        """Fence whoever had the id; returns when all of its transactions have ended. Asks where topics are, too."""
        address = self._address
        sender.BACKOFF_OVERRIDE = BETWEEN
        with explained(address, f"transactional id {self.id}" if self.id else "publishing"):
            producer = AIOKafkaProducer(
                **address.client(),
                client_id=self.id or f"{address.group}-publish",
                transactional_id=self.id or None,
                transaction_timeout_ms=round(address.transaction * 1000),
                enable_idempotence=True,
                compression_type=None if address.compression == "none" else address.compression,
                max_batch_size=min(BATCH, address.largest),
                max_request_size=max(BATCH, address.largest),
                linger_ms=0,
                acks="all",
            )
            producer._sender._retry_backoff = BACKOFF  # noqa: SLF001 - its option also drives the metadata
            try:
                async with asyncio.timeout(address.timeout):
                    await producer.start()
                    if topics:
                        await producer.client.set_topics(topics)
            except BaseException:
                await _stop(producer)
                raise
        self._producer = producer

    async def transact(
        self, parts: Mapping[TopicPartition, Iterable[Outgoing]], what: str
    ) -> dict[TopicPartition, Place]:
        """One transaction. Returns each partition's last place. After an error its outcome may be unknown."""
        producer = self._producer
        assert producer is not None
        with explained(self._address, what):
            async with asyncio.timeout(self._address.timeout):
                try:
                    return await self._transacted(producer, parts)
                except Exception:
                    sending = producer._sender.sender_task  # noqa: SLF001 - it tells nobody else
                    if sending.done():
                        sending.result()
                    raise

    async def _transacted(
        self, producer: AIOKafkaProducer, parts: Mapping[TopicPartition, Iterable[Outgoing]]
    ) -> dict[TopicPartition, Place]:
        await producer.begin_transaction()
        sent = [
            await self._send(producer, tp, batch)
            for tp, some in parts.items()
            for batch in self._batches(producer, tp, some)
        ]
        done: list[Any] = await asyncio.gather(*(sending for _, sending, _ in sent), return_exceptions=True)
        if errors := [each for each in done if isinstance(each, BaseException)]:
            raise errors[0]
        last = {
            tp: Place(each.offset + count - 1, each.timestamp) for (tp, _, count), each in zip(sent, done, strict=True)
        }
        await producer.commit_transaction()
        return last

    async def append(self, tp: TopicPartition, parts: Iterable[Outgoing]) -> bool:
        """Append to one partition, all or nothing. No, when that is too much for one batch."""
        producer = self._producer
        assert producer is not None
        with explained(self._address, "publishing"):
            async with asyncio.timeout(self._address.timeout):
                batches = list(self._batches(producer, tp, parts))
                if len(batches) > 1:
                    return False
                await (await producer.send_batch(batches[0], tp.topic, partition=tp.partition))
        return True

    def _batches(self, producer: AIOKafkaProducer, tp: TopicPartition, parts: Iterable[Outgoing]) -> Iterable[Any]:
        batch, largest = producer.create_batch(), self._address.largest
        for record in parts:
            key, value = record.key, record.value
            if len(key) + len(value or b"") > largest:
                raise Mismatch(
                    f"{self._address}: topic {tp.topic}: found a record of {len(key) + len(value or b'')} bytes (key "
                    f"{key[:80]!r}); at most {self._address.largest} would be right, or a higher max.message.bytes of "
                    "the topic and largest= in the broker's address"
                )
            headers = list(record.headers) if record.headers else _NONE
            if batch.append(timestamp=record.timestamp, key=key, value=value, headers=headers) is None:
                yield batch
                batch = producer.create_batch()
                batch.append(timestamp=record.timestamp, key=key, value=value, headers=headers)
        if batch.record_count():
            yield batch

    @staticmethod
    async def _send(producer: AIOKafkaProducer, tp: TopicPartition, batch: Any) -> tuple[TopicPartition, Any, int]:
        count = batch.record_count()
        return tp, await producer.send_batch(batch, tp.topic, partition=tp.partition), count

    async def close(self) -> None:
        """Close the connections; an open transaction is left to the next owner, or to its timeout."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop, also when no broker is there to hear of it. What is not acknowledged has failed: it is sent no more."""
    sending = producer._sender.sender_task  # noqa: SLF001 - the client would send the rest first
    if sending is not None:
        sending.cancel()
    with suppress(TimeoutError, Exception):
        async with asyncio.timeout(FAREWELL):
            await producer.stop()
