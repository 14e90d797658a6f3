"""The neutral join on Quix Streams: ``quix.py SERVERS FROM TO COUNT GUARANTEE``; it has a venv of its own.

State as bytes, so that nothing is encoded twice. ``run(count=...)`` ends with the checkpoint in which all is committed.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from quixstreams import Application, State

from benchmarks.neutral import Row, decode_change, decode_row, encode, merge, report


def main(servers: str, source: str, target: str, count: int, guarantee: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            broker_address=servers,
            consumer_group=f"{target}-quix",
            auto_offset_reset="earliest",
            state_dir=folder,
            processing_guarantee=guarantee,
            loglevel=logging.WARNING,
        )
        changes = app.topic(source, value_deserializer="bytes", key_deserializer="bytes")
        upserts = app.topic(target, value_serializer="bytes", key_serializer="bytes")
        began, used = 0.0, 0.0

        def join(value: bytes, state: State) -> Any:
            nonlocal began, used
            if not began:
                began, used = time.perf_counter(), time.process_time()
            stored = state.get_bytes("row")
            row = merge(decode_row(stored) if stored is not None else Row(), decode_change(value))
            state.set_bytes("row", encode(row))
            return encode(row.values)

        frame = app.dataframe(changes)
        frame.apply(join, stateful=True).to_topic(upserts)
        app.run(count=count)
        report(count, began, used)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
