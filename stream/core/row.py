"""Rows: all that is known of one entity, and of one match value.

A row is a value: ``decide`` never changes the one it is given. What is usual is left out, so that a linked row in
step costs little more than its values: a *cell* whose record shows the newest value is its version alone.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct, msgpack

from stream.model import FORMAT, ClaimKey, Ref, Seen, Stated, Time, Value, Version

State: TypeAlias = Literal[
    "waiting", "matching", "proposed", "creating", "unknown", "linked", "refused", "severed", "claiming"
]


class Cell(Struct, frozen=True, array_like=True):
    """The register of one field: the newest version known, and how far the record itself is behind it."""

    version: Version
    author: Ref = ""
    """The record at which it was typed; empty for this one."""
    newer: tuple[Value, ...] = ()
    """The value of ``version``, where the record shows another one (not written yet, or in its own normal form)."""
    carried: Version | None = None
    """The version that the record shows, where that is an older one: the field is to be written."""
    rejected: Version | None = None
    """The version that the record refused or silently ignored (A11)."""
    base: Version | None = None
    """The version it was typed over, as long as somebody has to be told of it."""


class Edge(
    Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "state": "s",
        "peer": "p",
        "number": "n",
        "owed": "o",
        "key": "k",
        "position": "i",
        "locks": "l",
        "want": "w",
        "left_out": "x",
        "reason": "r",
        "due": "d",
        "tries": "t",
        "attempt": "a",
    },
):
    """One end of a flow: who the counterpart is, or how far finding or making one has come."""

    state: State
    peer: Ref = ""
    number: int = 0
    """Names the attempt; answers to an earlier one are known by it."""
    owed: tuple[str, ...] = ()
    """Fields that the peer has not been told of: new to it, or waiting for a reference."""
    key: str = ""
    position: int = 0
    locks: tuple[str, ...] = ()
    want: dict[str, Stated] = {}
    """While creating: what the create asks for, in the peer's fields."""
    left_out: tuple[str, ...] = ()
    """Fields of the peer that it refused in a create (C9)."""
    reason: str = ""
    due: Time = 0
    tries: int = 0
    attempt: int = 0


class Write(Struct, frozen=True, array_like=True):
    """The one write in flight: what it wants, what it was based on, and the versions that this stands for."""

    number: int
    want: dict[str, Value]
    base: dict[str, Value]
    versions: dict[str, Version]
    issued_at: Time
    attempt: int = 0
    due: Time = 0


class Twin(Struct, frozen=True, array_like=True):
    """Who a referenced record's counterpart is, as far as it told us."""

    ref: Ref = ""
    number: int = 0


class Row(
    Struct,
    tag="row",
    omit_defaults=True,
    rename={
        "remote": "r",
        "cells": "c",
        "edges": "e",
        "plan": "p",
        "updated_at": "u",
        "revision": "v",
        "read_at": "q",
        "written_at": "w",
        "writing": "W",
        "held": "h",
        "last": "n",
        "twins": "t",
        "askers": "a",
        "singly": "1",
        "notes": "N",
        "gone_at": "g",
        "alarm": "A",
        "format": "f",
    },
):
    """All that is known of one entity."""

    remote: dict[str, Value] = {}
    """The values last known at the record."""
    cells: dict[str, Cell] = {}
    """What is believed to be right; empty until the first link (the birth)."""
    edges: dict[str, Edge] = {}
    plan: int = 0
    """The flows of its type under which its match keys were registered."""
    updated_at: Time = 0
    revision: int | None = None
    read_at: Time = 0
    written_at: Time = 0
    """When the read was made that ended our last write."""
    writing: Write | None = None
    held: tuple[Seen, ...] = ()
    """Readings that arrived while a write was in flight, in order (A3)."""
    last: int = 0
    """The largest number used."""
    twins: dict[str, Twin] = {}
    askers: dict[str, tuple[Ref, ...]] = {}
    singly: bool = False
    """A write was refused without a name: fields go one at a time until the bad one is found."""
    notes: dict[str, str] = {}
    """Per field, why it is not in step."""
    gone_at: Time = 0
    alarm: Time = 0
    format: int = FORMAT


class Index(
    Struct,
    tag="index",
    omit_defaults=True,
    rename={
        "members": "m",
        "lock": "l",
        "queue": "q",
        "alarm": "A",
        "format": "f",
    },
):
    """Who carries one match value of one flow, and who is about to create a counterpart for it (C3)."""

    members: dict[Ref, str] = {}
    """Side of each record that carries it; a capital when it is linked."""
    lock: tuple[Ref, int] | None = None
    queue: tuple[ClaimKey, ...] = ()
    alarm: Time = 0
    format: int = FORMAT


encode_row = msgpack.Encoder().encode
"""A row as bytes."""

decode_row = msgpack.Decoder(Row | Index).decode
"""Bytes as a row. Raises msgspec.ValidationError for what is none."""
