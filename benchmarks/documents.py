"""Imports as many documents as there are in public, made up here, on one core: python benchmarks/documents.py"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from stream.dataflow.importing import account  # noqa: E402 - from the tree this file lies in
from tests.dataflow import papers  # noqa: E402


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    facts = papers.Facts()
    with tempfile.TemporaryDirectory() as folder:
        files = papers.corpus(Path(folder), seed=7, facts=facts)
        config, data = Path(folder, "topics.yaml"), b""
        for run in ("into nothing", "again"):
            wall, cpu = time.perf_counter(), time.process_time()
            done = account(files, data, config)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            found = (done.documents, done.statements, done.properties, done.merges, done.conditions, len(done.unread))
            assert found == (facts.documents, facts.statements, facts.properties, facts.merges, facts.conditions, 0)
            assert run == "into nothing" or done.merged.text.encode() == data
            data = done.merged.text.encode()
            print(
                f"{run}: {done.documents} documents, {done.statements} statements in {wall:.1f} s ({cpu:.1f} s of CPU)"
            )


if __name__ == "__main__":
    main()
