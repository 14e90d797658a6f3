"""The neutral join on Faust as it comes, over its own Kafka driver: ``stock.py SERVERS FROM TO COUNT``.

Its own fetch loop, ``Table`` and ``topic.send``. The buffer is raised, because the default stalls for seconds; the
offsets are committed as soon as all is done, so that no interval is waited for. At least once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import Any

import faust
from faust.worker import Worker

from benchmarks.neutral import Row, decode_change, decode_row, encode, merge, report

PARTITIONS = 8


def build(servers: str, source: str, target: str, count: int) -> faust.App:
    app = faust.App(
        f"{target}-faust",
        broker=f"kafka://{servers}",
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        topic_disable_leader=True,
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        web_enabled=False,
        stream_buffer_maxsize=100_000,
        stream_recovery_delay=0.0,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
    )
    upserts = app.topic(target, key_type=bytes, value_type=bytes)
    table = app.Table("links", key_type=bytes, value_type=bytes, partitions=PARTITIONS)
    began, used, done = 0.0, 0.0, 0

    @app.agent(app.topic(source, key_type=bytes, value_type=bytes), name="join")
    async def join(stream: Any) -> None:
        nonlocal began, used, done
        sent = []
        async for event in stream.events():
            if not began:
                began, used = time.perf_counter(), time.process_time()
            change = decode_change(event.value)
            stored = table.get(event.key)
            row = merge(decode_row(stored) if stored is not None else Row(), change)
            table[event.key] = encode(row)
            sent.append(await upserts.send(key=event.key, value=encode(row.values)))
            done += 1
            if done == count:
                await asyncio.gather(*sent)

    @app.task
    async def finish() -> None:
        while done < count:  # noqa: ASYNC110 - Faust tells nobody
            await asyncio.sleep(0.01)
        await app.producer.flush()
        await app.consumer.commit()
        report(count, began, used)
        os.kill(os.getpid(), signal.SIGTERM)

    return app


def main() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = build(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
    app.finalize()
    Worker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
