"""Paths into foreign records, and the times that stand in them. Pure.

A path is names with dots between: ``address.city``. Through a list it means every item: ``projects.gid`` picks
all gids. Times are microseconds since the epoch, whatever spelling a system has.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from msgspec import UNSET

TimeFormat: TypeAlias = Literal["iso", "seconds", "milliseconds"]

ABSENT: Final = UNSET
"""What ``pick`` answers when nothing is there; ``None`` is a value."""

_TOO_LATE = 7_258_118_400_000_000
"""The year 2200, in microseconds."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def pick(record: Any, path: str) -> Any:
    """Answer the value at the path, or ``ABSENT``; through a list, the list of its items' values."""
    value = record
    names = path.split(".") if path else []
    for index, name in enumerate(names):
        if isinstance(value, list):
            rest = ".".join(names[index:])
            return [found for item in value if (found := pick(item, rest)) is not ABSENT]
        if not isinstance(value, dict) or name not in value:
            return ABSENT
        value = value[name]
    return value


def place(record: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at the path, making the objects on the way."""
    *way, last = path.split(".")
    for name in way:
        inner = record.get(name)
        if not isinstance(inner, dict):
            inner = record[name] = {}
        record = inner
    record[last] = value


def without(record: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Answer the record without the value at the path; the original stays as it is."""
    head, _, rest = path.partition(".")
    if head not in record:
        return dict(record)
    if not rest:
        return {name: value for name, value in record.items() if name != head}
    inner = record[head]
    return {**record, head: without(inner, rest)} if isinstance(inner, dict) else dict(record)


def read_time(value: Any, format: TimeFormat = "iso", zone: str = "UTC") -> int | None:
    """Read a time; ``None`` if there is none. Raises ValueError if it cannot be understood.

    A time without an offset is one in the zone; in the hour that comes twice a year, the first of the two is meant.
    """
    if value is None or value is ABSENT or value == "":
        return None
    if format == "iso" and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone))
        return (moment - _EPOCH) // timedelta(microseconds=1)
    if format != "iso" and isinstance(value, int | float) and not isinstance(value, bool):
        return round(value * (1_000_000 if format == "seconds" else 1_000))
    raise ValueError(f"found {value!r:.80}; a time as {format} would be right")


def changed_at(value: Any, field: str, format: TimeFormat = "iso", zone: str = "UTC") -> int | None:
    """Read the time of a change. Raises ValueError with its field, also for a time at which no system was there."""
    try:
        time = read_time(value, format, zone)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{field}: {str(error)[:200]}") from None
    if time is not None and not 0 <= time < _TOO_LATE:
        raise ValueError(f"{field}: found {value!r:.80}; a time between 1970 and 2200 would be right")
    return time


def write_time(time: int, format: TimeFormat = "iso", zone: str | None = None) -> str:
    """Spell a time for a query, rounded down, so that nothing at its edge is left out.

    With a zone it is spelled without an offset. In the hour that comes twice that would be two times, and before it
    is the time an hour earlier: to ask for too much is harmless.
    """
    match format:
        case "iso":
            whole = _EPOCH + timedelta(milliseconds=time // 1_000)
            if zone is None:
                return whole.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            there = whole.astimezone(ZoneInfo(zone))
            while there.replace(fold=0).utcoffset() != there.replace(fold=1).utcoffset():
                there = (there.astimezone(UTC) - timedelta(hours=1)).astimezone(there.tzinfo)
            return there.replace(tzinfo=None).isoformat(timespec="milliseconds")
        case "seconds":
            return str(time // 1_000_000)
        case "milliseconds":
            return str(time // 1_000)


def texts(value: Any) -> list[str]:
    """List the texts of a value that is one, or a list with some."""
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
