"""What every contender does with a change: the neutral join, without any engine."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

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
    figures = {"per_second": count / seconds, "cpu_us": cpu / count * 1e6, "rss_mib": peak()}
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    sys.stdout.flush()


def peak() -> float:
    """MiB of memory, at most; getrusage would tell the parent's, if that was larger."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
