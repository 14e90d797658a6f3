"""A worker between two systems in memory, and the spans of one edit: ``python -m tests.worker.traced LOG SAMPLE TO``.

``TO`` is a collector's address, ``memory`` for spans on standard output, or ``off``; the last line: what was loaded.
"""
# ruff: noqa: ASYNC110, PLC0415 - waits are told by counts; what is loaded is what is tested

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any

from benchmarks.product import LEFT, RIGHT, endpoints, records, topology
from stream.engine.app import run
from stream.wiring import build

NOTES = "canary-of-a-record's-own-words"


def main(url: str, sample: float, to: str) -> None:
    opened = endpoints()
    left, _ = records(1)
    opened["left"].add("tasks", left)
    worker = build(topology(url, poll=0.1), opened)
    exporter: Any = None
    if to == "memory":
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        from stream.operate.spans import Spans

        exporter = InMemorySpanExporter()
        worker.traces = Spans(SimpleSpanProcessor(exporter), sample)
    elif to != "off":
        from stream.cli.run import traced
        from stream.configuration.written import WrittenTraces

        worker.traces = traced(WrittenTraces(to=to, sample=sample))

    async def quiet() -> None:
        while sum(worker.lag().values()) or any(lane.flying or not lane.idle for lane in worker.app.lanes):
            await asyncio.sleep(0.02)

    @worker.app.task
    async def edit() -> None:
        while not opened["right"].all("items"):
            await asyncio.sleep(0.02)
        await quiet()
        if exporter is not None:
            exporter.clear()
        [id] = opened["left"].all("tasks")
        opened["left"].edit("tasks", id, {"notes": NOTES})
        while [each.record["description"] for each in opened["right"].all("items").values()] != [NOTES]:
            await asyncio.sleep(0.02)
        await quiet()
        await asyncio.sleep(0.3)  # the reading back of what was written
        await quiet()
        spans = exporter.get_finished_spans() if exporter is not None else ()
        print(json.dumps([told(span) for span in spans]))
        print(json.dumps(sorted(name for name in sys.modules if name.startswith("opentelemetry"))), flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    run(worker.app)


def told(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "trace": span.context.trace_id,
        "id": span.context.span_id,
        "parent": span.parent.span_id if span.parent is not None else None,
        "from": span.start_time,
        "to": span.end_time,
        "kind": span.kind.name,
        "about": dict(span.attributes),
    }


if __name__ == "__main__":
    assert (LEFT, RIGHT) == ("left.tasks", "right.items")
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
