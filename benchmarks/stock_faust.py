"""The neutral join on stock Faust; run by ``engine.py``: ``stock_faust.py URL COUNT``.

A whole Faust transport over the same file format and the same writer with its group commit: Faust's own fetch loop,
conductor, streams, acks, a Table with its changelog, ``topic.send``, offset commits. Only reading and appending bytes
are ours, so the difference is the engine's. ``stream_buffer_maxsize`` is raised, because the default stalls for
seconds (Faust's ``getmany`` sleeps when every partition's buffer is full).
"""

# ruff: noqa: ARG002, ASYNC109 - Faust's signatures

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import faust
from faust.transport import base
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.producer import Producer as FaustProducer
from faust.types import TP, ConsumerMessage
from faust.types.tuples import RecordMetadata

from benchmarks.engine import CHANGES, PARTITIONS, TOPICS, UPSERTS
from benchmarks.neutral import Row, decode_change, decode_row, encode, merge, report
from stream.engine.app import Worker
from stream.engine.embedded.log import EmbeddedClaim, EmbeddedLog
from stream.engine.log import LaneId, Outgoing, Staged, partition_of

BATCH = 500  # records of one partition per fetch, Kafka's own default


class Consumer(FaustConsumer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.assigned: set[TP] = set()
        self.positions: dict[TP, int] = {}
        self.claims: dict[int, EmbeddedClaim] = {}
        self.data = asyncio.Event()

    async def on_start(self) -> None:
        log = self.app.records
        await log.open()
        await log.declare(TOPICS, PARTITIONS)
        for partition in range(PARTITIONS):
            lane = LaneId("stock", partition)
            self.claims[partition] = await log.claim(lane, list(TOPICS), self.data.set)

    async def on_stop(self) -> None:
        await super().on_stop()
        await self.app.records.close()

    async def subscribe(self, topics: Iterable[str]) -> None:
        self.add_future(self._assign(set(topics)))

    async def _assign(self, topics: set[str]) -> None:
        assignor = self.app.assignor
        self.app.on_rebalance_start()
        await self.on_partitions_revoked(set())
        made = assignor._assign(Cluster(), {"local": assignor.metadata(topics)})  # noqa: SLF001 - what a broker would do
        assignor.on_assignment(made["local"])
        self.assigned = {TP(topic, part) for topic, parts in made["local"].assignment for part in parts}
        self.app.consumer_generation_id += 1
        await self.on_partitions_assigned(set(self.assigned), self.app.consumer_generation_id)

    def assignment(self) -> set[TP]:
        return self.assigned

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Any]]:
        found: dict[TP, list[Any]] = {}
        if not self.flow_active:
            return found
        self.data.clear()
        for tp in active_partitions or self.assigned:
            start = self.positions.get(tp, 0)
            if records := self.claims[tp.partition].read(tp.topic, start, BATCH):
                found[tp] = list(records)
                self.positions[tp] = records[-1].offset + 1
        if not found:
            try:
                async with asyncio.timeout(min(timeout, 0.05)):
                    await self.data.wait()
            except TimeoutError:
                pass
        return found

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        return ConsumerMessage(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp / 1000.0,
            0,
            record.headers,
            record.key,
            record.value,
            None,
            len(record.key),
            len(record.value),
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        staged = [
            Staged(LaneId("stock", tp.partition), self.claims[tp.partition].epoch, {}, (), {tp.topic: offset})
            for tp, offset in offsets.items()
        ]
        await self.app.records.commit(staged)
        return True

    async def seek_to_committed(self) -> dict[TP, int | None]:
        self.positions = {tp: self.claims[tp.partition].offsets[tp.topic] for tp in self.assigned}
        return {tp: offset or None for tp, offset in self.positions.items()}

    async def _seek(self, partition: TP, offset: int) -> None:
        self.positions[partition] = offset

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self.positions.update(partitions)

    def highwater(self, tp: TP) -> int:
        return self.claims[tp.partition].head(tp.topic)

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, 0)

    async def position(self, tp: TP) -> int | None:
        return self.positions.get(tp)

    def topic_partitions(self, topic: str) -> int:
        return PARTITIONS

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        return partition_of(key or b"", PARTITIONS) if partition is None else partition

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        pass

    def close(self) -> None:
        pass


class Cluster:
    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(PARTITIONS))

    def topics(self, exclude_internal_topics: bool = True) -> set[str]:
        return set(TOPICS)


class Producer(FaustProducer):
    async def send(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> asyncio.Future[RecordMetadata]:
        where = partition_of(key, PARTITIONS) if partition is None else partition
        written = self.transport.app.records.writer.write((), (Outgoing(topic, key, value, (), where),))
        done: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        metadata = RecordMetadata(topic=topic, partition=where, topic_partition=TP(topic, where), offset=-1)
        written.add_done_callback(lambda _: done.set_result(metadata))
        return done

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> RecordMetadata:
        return await (await self.send(*args, **kwargs))

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        pass

    def key_partition(self, topic: str, key: bytes) -> TP:
        return TP(topic, partition_of(key, PARTITIONS))

    def supports_headers(self) -> bool:
        return True


class Transport(base.Transport):
    Consumer = Consumer
    Producer = Producer
    driver_version = "stock"
    default_port = 0


class App(faust.App):
    records: EmbeddedLog

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return Transport(self.conf.broker_producer, self)

    def _create_directories(self) -> None:
        pass


def build(url: str, count: int) -> App:
    app = App(
        "neutral",
        broker=url.partition("?")[0],
        topic_partitions=PARTITIONS,
        topic_disable_leader=True,
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        web_enabled=False,
        stream_buffer_maxsize=100_000,
        stream_recovery_delay=0.0,
        table_standby_replicas=0,
    )
    app.records = EmbeddedLog(url)
    upserts = app.topic(UPSERTS, key_type=bytes, value_type=bytes)
    table = app.Table("links", key_type=bytes, value_type=bytes, partitions=PARTITIONS)
    began, used = 0.0, 0.0

    @app.agent(app.topic(CHANGES, key_type=bytes, value_type=bytes), name="join")
    async def join(stream: Any) -> None:
        nonlocal began, used
        async for event in stream.events():
            if not began:
                began, used = time.perf_counter(), time.process_time()
            change = decode_change(event.value)
            stored = table.get(event.key)
            row = merge(decode_row(stored) if stored is not None else Row(), change)
            table[event.key] = encode(row)
            await upserts.send(key=event.key, value=encode(row.values))

    @app.task
    async def finish() -> None:
        log = app.records

        def arrived(topic: str) -> int:
            return sum(log.heads.get(log.tp(topic, part), 0) for part in range(PARTITIONS))

        while any(arrived(topic) < count for topic in TOPICS):  # noqa: ASYNC110 - what is waited for is in the log
            await asyncio.sleep(0.01)
        report(count, began, used)
        os.kill(os.getpid(), signal.SIGTERM)

    return app


def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = build(url, count)
    app.finalize()
    worker = Worker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
