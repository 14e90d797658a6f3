"""Bytes to nouns and back.

Topics carry JSON, so that any tool can read them; rows are msgpack, because there are many. What cannot be decoded
raises ``BadRecord``, whose text says what was found; the caller sets the original bytes aside.
"""

from __future__ import annotations

import re
from typing import TypeAlias, TypeVar

import msgspec

from stream.core.row import Kept, decode_row, encode_row
from stream.errors import BadRecord
from stream.model import FORMAT, Change, Command, Conflict, Counted, Hold, Message, Order, Reread, Resync, Rouse
from stream.topics import COUNTED

T = TypeVar("T")

ToLane: TypeAlias = Message | Counted | Rouse | Resync
"""Whatever ``links.mail`` carries: for rows, and for lanes themselves."""

_encode = msgspec.json.Encoder().encode
_message: msgspec.json.Decoder[ToLane] = msgspec.json.Decoder(ToLane)
_change = msgspec.json.Decoder(Change)
_command = msgspec.json.Decoder(Command)
_conflict = msgspec.json.Decoder(Conflict)
_MARK = re.compile(re.escape(COUNTED) + rb"([\x21-\x39\x3b-\x7e]+):(\d{1,20}):(\d{1,9}):(\d{1,9})(?::(\d{1,20}))?")
_order: msgspec.json.Decoder[Order | Reread] = msgspec.json.Decoder(Order | Reread)
_hold = msgspec.json.Decoder(Hold)


def encode(noun: ToLane | Change | Command | Conflict | Order | Reread | Hold) -> bytes:
    """A noun as the JSON of its topic."""
    return _encode(noun)


def _decode(decoder: msgspec.json.Decoder[T], value: bytes | None, what: str) -> T:
    if value is None:
        raise BadRecord(f"a tombstone where {what} was expected")
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRecord(f"not {what}: {error}") from None


def decode_message(value: bytes | None) -> ToLane:
    """A message of ``links.mail``. Raises BadRecord."""
    return _decode(_message, value, "a message")


def decode_change(value: bytes | None) -> Change:
    """A change of a ``changes.*`` topic. Raises BadRecord."""
    return _decode(_change, value, "a change")


def decode_command(value: bytes | None) -> Command:
    """A command of an ``upserts.*`` topic. Raises BadRecord."""
    return _decode(_command, value, "a command")


def decode_order(value: bytes | None) -> Order | Reread:
    """An order of ``polls``. Raises BadRecord."""
    return _decode(_order, value, "an order")


def decode_hold(value: bytes | None) -> Hold:
    """A pause of ``polls``, or the end of one. Raises BadRecord."""
    return _decode(_hold, value, "a pause")


def decode_conflict(value: bytes | None) -> Conflict:
    """A conflict of ``conflicts``. Raises BadRecord."""
    return _decode(_conflict, value, "a conflict")


def encode_mark(mark: Counted) -> bytes:
    """The key of a mark in a change topic. It has no value: there, other tools read, and expect changes alone."""
    life = f":{mark.life}" if mark.life else ""
    return COUNTED + f"{mark.entity}:{mark.plan}:{mark.source}:{mark.of}{life}".encode()


def decode_mark(key: bytes) -> Counted:
    """A mark of a change topic. Raises BadRecord."""
    found = _MARK.fullmatch(key)
    if found is None:
        raise BadRecord(f"not a mark: found the key {key!r}; counted:<type>:<plan>:<partition>:<of> would be right")
    plan, source, of, life = (int(each or 0) for each in found.groups()[1:])
    return Counted(entity=found[1].decode(), plan=plan, source=source, of=of, life=life)


def row_of(data: bytes | None) -> Kept | None:
    """A row as it was kept. Raises BadRecord for what is none, or of a newer format."""
    if data is None:
        return None
    try:
        row = decode_row(data)
    except msgspec.DecodeError as error:
        raise BadRecord(f"not a row: {error}") from None
    if row.format > FORMAT:
        raise BadRecord(f"a row of format {row.format}; this version reads up to {FORMAT}: run the newer version")
    return row


def bytes_of(row: Kept) -> bytes:
    """A row as it is kept."""
    return encode_row(row)
