"""The ceiling: aiokafka alone copies records in transactions of as many: ``raw.py SERVERS FROM TO COUNT``.

One consumer, one producer, one transaction after the other; nothing is decoded, merged or kept.
"""

from __future__ import annotations

import asyncio
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.producer import sender

from benchmarks.neutral import report
from stream.engine.log import partition_of

BATCH, PARTITIONS = 1000, 8


async def main(servers: str, source: str, target: str, count: int) -> None:
    sender.BACKOFF_OVERRIDE = 0.001
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, transactional_id=f"{target}-raw", max_batch_size=512 << 10, compression_type="zstd"
    )
    producer._sender._retry_backoff = 0.005  # noqa: SLF001
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=f"{target}-raw", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await producer.start()
    await consumer.start()
    consumer.assign([TopicPartition(source, number) for number in range(PARTITIONS)])
    began, used, done = 0.0, 0.0, 0
    while done < count:
        fetched = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
        if not began:
            began, used = time.perf_counter(), time.process_time()
        batches = {}
        for records in fetched.values():
            for record in records:
                number = partition_of(record.key, PARTITIONS)
                batch = batches.get(number)
                if batch is None:
                    batch = batches[number] = producer.create_batch()
                assert batch.append(timestamp=None, key=record.key, value=record.value) is not None
            done += len(records)
        async with producer.transaction():
            sent = [await producer.send_batch(batch, target, partition=number) for number, batch in batches.items()]
            offsets = {tp: records[-1].offset + 1 for tp, records in fetched.items()}
            await producer.send_offsets_to_transaction(offsets, f"{target}-raw")
            await asyncio.gather(*sent)
    report(done, began, used)
    await consumer.stop()
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
