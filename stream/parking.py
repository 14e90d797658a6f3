"""What a parked record looks like: its own key, value and headers, and Kafka Connect's ten about the error.

The ten are those of Connect's own dead letters, and none is ever empty but the stack trace: what reads those reads
ours. ``connector.name`` is the system whose topic it was, ``task.id`` the partition, ``class.name`` our reason.

Pure. The engine parks what a stage's body cannot survive; stages park what they understand and cannot do.
"""

from __future__ import annotations

import traceback

from stream.ports import Headers, Record, Unit
from stream.topics import PARKED

PREFIX = "__connect.errors."
CONNECT = (
    "topic",
    "partition",
    "offset",
    "connector.name",
    "task.id",
    "stage",
    "class.name",
    "exception.class.name",
    "exception.message",
    "exception.stacktrace",
)
"""Connect's ten, in its order."""
_STAGES = {"poll": "TRANSFORMATION", "join": "TRANSFORMATION", "push": "TASK_PUT"}
"""Connect's word for the stage in which an agent of ours fails altogether."""
LONGEST = 8000  # characters of a message or a stack trace


def parked(
    record: Record,
    *,
    stage: str,
    error: str | Exception,
    reason: str,
    system: str = "",
) -> tuple[bytes, bytes | None, Headers]:
    """Key, value and headers for the topic ``parked``; to replay is to publish key and value to ``errors.topic``."""
    if isinstance(error, str):
        kind, message, stack = reason, error, ""
    else:
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        message = str(error)
        stack = "".join(traceback.format_exception(error))
    about = (
        record.topic,
        str(record.partition),
        str(record.offset),
        system or _system(record.topic),
        str(record.partition),
        _STAGES.get(stage.partition(".")[0], stage),
        reason,
        kind,
        message[:LONGEST],
        stack[-LONGEST:],
    )
    kept = tuple(header for header in record.headers if not header[0].startswith(PREFIX))
    return (
        record.key,
        record.value,
        kept + tuple((PREFIX + name, _bytes(text)) for name, text in zip(CONNECT, about, strict=True)),
    )


def _bytes(text: str) -> bytes:
    """Text for a header; an error may quote what no encoding can write, and is parked all the same."""
    return text.encode(errors="backslashreplace")


def _system(topic: str) -> str:
    """The system that a topic belongs to; ourselves for those that belong to none."""
    kind, _, rest = topic.partition(".")
    return rest.partition(".")[0] if kind in ("changes", "upserts") and rest else "linkstream"


def park(unit: Unit, record: Record, stage: str, error: str | Exception, reason: str) -> None:
    """Set a record aside with its reason."""
    key, value, headers = parked(record, stage=stage, error=error, reason=reason)
    unit.emit(PARKED, key, value, headers)
