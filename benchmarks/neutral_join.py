"""The neutral join on our engine; run by ``engine.py``: ``neutral_join.py URL COUNT``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from stream.engine.agents import Stream
from stream.engine.app import create_app, run
from stream.engine.log import TopicSettings

FIELDS = ("name", "email", "phone", "city")


class Change(msgspec.Struct):
    ref: str
    seen: int
    fields: dict[str, str]


class Row(msgspec.Struct):
    count: int = 0
    values: dict[str, str] = {}
    seen: dict[str, int] = {}


decode_change = msgspec.json.Decoder(Change).decode
decode_row = msgspec.json.Decoder(Row).decode
encode = msgspec.json.Encoder().encode


def merge(row: Row, change: Change) -> Row:
    """The last write of each field wins."""
    for name in FIELDS:
        value = change.fields.get(name)
        if value is not None and change.seen > row.seen.get(name, 0):
            row.values[name] = value
            row.seen[name] = change.seen
    row.count += 1
    return row


def report(count: int, began: float, used: float) -> None:
    seconds = time.perf_counter() - began
    cpu = time.process_time() - used
    status = Path("/proc/self/status").read_text()
    rss = int(status.partition("VmHWM:")[2].split()[0]) / 1024  # getrusage would tell the parent's, if that was larger
    figures = {"per_second": count / seconds, "cpu_us": cpu / count * 1e6, "rss_mib": rss}
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    topics = {name: TopicSettings() for name in ("changes", "upserts", "neutral-links-changelog")}
    app = create_app("neutral", url, topics=topics, partitions=8)
    began, used = 0.0, 0.0

    @app.agent(app.topic("changes"), name="join", retries=0)
    async def join(stream: Stream) -> None:
        nonlocal began, used
        async for unit in stream.units(1000):
            if not began:
                began, used = time.perf_counter(), time.process_time()
            for record in unit:
                change = decode_change(record.value)
                stored = unit.get(record.key)
                row = merge(decode_row(stored) if stored is not None else Row(), change)
                unit.put(record.key, encode(row))
                unit.emit("upserts", record.key, encode(row.values))

    @app.task
    async def finish() -> None:
        while not began or sum(lane["lag"] for lane in app.broker.status()["lanes"]):  # noqa: ASYNC110 - of commits
            await asyncio.sleep(0.01)
        report(count, began, used)
        os.kill(os.getpid(), signal.SIGTERM)

    run(app)


if __name__ == "__main__":
    main()
