"""The neutral join on our engine, over a file or a cluster: ``neutral_join.py URL COUNT``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from benchmarks.neutral import Row, decode_change, decode_row, encode, merge, report
from stream.engine.agents import Stream
from stream.engine.app import create_app, run
from stream.engine.log import TopicSettings

TOPICS = {name: TopicSettings() for name in ("changes", "upserts", "neutral-links-changelog")}


def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    app = create_app("neutral", url, topics=TOPICS, partitions=8)
    began, used, done = 0.0, 0.0, 0

    @app.agent(app.topic("changes"), name="join", retries=0)
    async def join(stream: Stream) -> None:
        nonlocal began, used, done
        async for unit in stream.units(1000):
            if not began:
                began, used = time.perf_counter(), time.process_time()
            for record in unit:
                change = decode_change(record.value)
                stored = unit.get(record.key)
                row = merge(decode_row(stored) if stored is not None else Row(), change)
                unit.put(record.key, encode(row))
                unit.emit("upserts", record.key, encode(row.values))
            done += len(unit)

    @app.task
    async def finish() -> None:
        while done < count or any(lane.flying or not lane.idle for lane in app.lanes):  # noqa: ASYNC110 - of commits
            await asyncio.sleep(0.01)
        report(count, began, used)
        os.kill(os.getpid(), signal.SIGTERM)

    run(app)


if __name__ == "__main__":
    main()
