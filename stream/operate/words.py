"""What a record of a topic says, in a sentence and some lines, for people.

Pure: the bytes as they were committed in, words out; nothing is looked up. Values are shown as JSON and cut when they
are long; whatever cannot be decoded is said to be so. ``Teller`` remembers what it saw of a record last, so that a
reading is told as what it changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from msgspec import Struct

from stream.codec import (
    decode_change,
    decode_command,
    decode_conflict,
    decode_hold,
    decode_mark,
    decode_message,
    decode_order,
)
from stream.core.fields import Observer
from stream.errors import BadRecord
from stream.model import (
    Accept,
    Answer,
    Ask,
    Attach,
    Change,
    Claim,
    ClaimKey,
    Command,
    Correct,
    Counted,
    Decide,
    Detach,
    Found,
    Free,
    Gone,
    Leaving,
    Nudge,
    Offer,
    Order,
    Pair,
    Part,
    Propose,
    Receipt,
    Ref,
    Refuse,
    Register,
    Release,
    Resync,
    Roster,
    Rouse,
    Seen,
    Settle,
    Stated,
    Time,
    Value,
    Verdict,
    Wake,
)
from stream.parking import PREFIX
from stream.pauses import PAUSED
from stream.ports import Record
from stream.topics import CONFLICTS, COUNTED, MAIL, PARKED, POLLS

LONG = 160
"""Characters of a value that are shown."""

WHY = {
    "taken": "it is linked to another record",
    "gone": "it was deleted",
    "mismatch": "its match values are others by now",
    "given up": "it waits for this no more",
    "forgotten": "it knows of no such link",
    "copy": "it has its counterpart already: this is a copy",
    "over": "their link is over",
    "left": "their link was over when that one was deleted",
}
OUTCOMES = {
    "done": "done",
    "found": "had been done before",
    "stale": "not done: the record had changed meanwhile",
    "missing": "not done: the record is not there",
    "refused": "refused",
    "retry": "not done yet",
    "superseded": "not done: a newer one came",
    "unknown": "nobody can tell whether it was done",
}


class Said(Struct, frozen=True):
    """What one record says: a kind to filter by, a sentence, and lines below it."""

    kind: str
    what: str
    lines: tuple[str, ...] = ()


class Teller:
    """Turns records into words; ``paths`` are the mapped fields of each entity type."""

    def __init__(self, paths: Mapping[str, tuple[str, ...]]) -> None:
        self._observe = {name: Observer(fields) for name, fields in paths.items()}
        self._last: dict[Ref, dict[str, Value]] = {}
        self._commands: dict[tuple[bytes, int], Command] = {}

    def __call__(self, record: Record) -> Said:
        """What a record says."""
        try:
            return self._said(record)
        except (BadRecord, UnicodeDecodeError) as error:
            return Said("unreadable", f"cannot be read: {error}")

    def _said(self, record: Record) -> Said:  # noqa: PLR0911  # one for each kind of topic
        topic = record.topic
        if topic == PARKED:
            return _parked(record)
        if record.value is None:
            mark = topic.startswith("changes.") and record.key.startswith(COUNTED)
            return _counted(decode_mark(record.key)) if mark else Said("tombstone", "nothing: a tombstone")
        if topic == CONFLICTS:
            return _conflict(record.value)
        if topic == POLLS:
            if record.key == PAUSED:
                hold = decode_hold(record.value)
                said = f"a person says: {hold.what} {'is paused' if hold.on else 'goes on'}"
                return Said("person", said, (hold.why,) if hold.why else ())
            order = decode_order(record.value)
            who = order.ref if isinstance(order, Order) else f"all of {record.key.decode()}"
            return Said("poll", f"{who} is to be published at its next reading")
        if topic.startswith("changes."):
            return self._change(topic.removeprefix("changes."), decode_change(record.value))
        if topic.startswith("upserts."):
            command = decode_command(record.value)
            self._commands[record.key, command.number] = command
            return _command(command)
        if topic == MAIL:
            return self._message(record)
        return Said("record", shown(plain(record.value)))

    def _change(self, type: str, change: Change) -> Said:
        source = change.source
        ref = f"{source.name}.{source.entity}:{source.id}"
        page = f"page asked for at {moment(change.ts_us or change.ts_ms * 1000)}"
        if change.op == "d" or change.after is None:
            self._last.pop(ref, None)
            return Said("change", f"{source.name} says that it is gone ({page})")
        observe = self._observe.get(type)
        fields = change.after if observe is None else observe(change.after)
        before, self._last[ref] = self._last.get(ref), fields
        about = [f"changed there at {moment(source.ts_us)}"] if source.ts_us else []
        about += [f"revision {source.revision}"] if source.revision is not None else []
        about += [f"its clock is {source.ahead_us / 1e6:.1f} s ahead of ours"] if source.ahead_us else []
        about += ["last touched by us"] if source.by_us else []
        about += [f"carries our mark {source.marker}"] if source.marker else []
        what = f"read from {source.name} ({', '.join([page, *about])})"
        if before is None:
            return Said("change", what, tuple(f"{name} = {shown(value)}" for name, value in fields.items() if value))
        return Said("change", what, tuple(differences(before, fields)) or ("no mapped field differs",))

    def _message(self, record: Record) -> Said:  # noqa: C901, PLR0911, PLR0912  # one arm for each message
        match decode_message(record.value):
            case Offer(sender=sender, fields=fields):
                return Said("offer", f"{sender} offers its newer values", tuple(_stated(fields)))
            case Receipt() as receipt:
                return self._receipt(record.key, receipt)
            case Propose(sender=sender, anew=anew):
                return Said("link", f"{sender} {'asks to be told everything again' if anew else 'proposes a link'}")
            case Nudge(sender=sender, key=key) if sender == key:
                return Said("link", "who carries its match value has changed: it asks anew")
            case Nudge(sender=sender):
                return Said("link", f"{sender} asks for a proposal")
            case Accept(sender=sender):
                return Said("link", f"{sender} accepts: the two are linked")
            case Refuse(sender=sender, why=why):
                return Said("link", f"{sender} refuses a link: {WHY[why]}")
            case Attach(sender=sender, want=want):
                return Said("link", f"it was created for {sender}: the two are linked", tuple(_stated(want)))
            case Claim(sender=sender):
                return Said("link", f"{sender} carries the mark of this record: it says that it was created for it")
            case Found(candidates=candidates, taken=taken, many=many):
                some = ", ".join(candidates) or "too many to count"
                state = ", all linked already" if taken else (", and more" if many else "")
                return Said("link", f"its match value is carried by {some}{state}")
            case Free(edge=edge):
                return Said("link", f"nobody else carries its match value ({edge})")
            case Roster(kind=kind, sender=sender):
                answers = {"ask": "asks whether it is one that is being created", "wait": "says: it may be; wait"}
                return Said("link", f"{sender} {answers.get(kind, 'says: none of the creates under way made it')}")
            case Decide(edge=edge, peer=peer):
                told = f"{peer} was created" if peer else "nothing was created: create it"
                return Said("person", f"a person decides about {edge}: {told}")
            case Correct(field=field, value=value):
                return Said("person", f"a person says what {field} is", (f"{field} = {shown(value)}",))
            case Pair(peer=peer):
                return Said("person", f"a person says that {peer} is its counterpart")
            case Part(peer=peer, never=never):
                return Said("person", f"a person ends the link to {peer}{', for good' if never else ''}")
            case Detach(sender=sender, parted=True, never=never):
                return Said("person", f"a person ended the link to {sender}{', for good' if never else ''}")
            case Detach(sender=sender, alive_at=0):
                return Said("delete", f"{sender} is not found any more: the link ends, nothing follows")
            case Detach(sender=sender, alive_at=alive_at, keep=keep):
                end = "the link ends, nothing follows" if keep else "the link ends"
                return Said("delete", f"{sender} was deleted (last known to be there at {moment(alive_at)}): {end}")
            case Leaving(sender=sender, links=links):
                return Said("delete", f"{sender} is gone and asks whether its {links} links may end")
            case Verdict(verdict=verdict):
                words = {"go": "its links may end", "keep": "its links end, the copies stay", "stay": "wait"}
                return Said("delete", f"the brake says: {words[verdict]}")
            case Settle(verdict=verdict):
                told = "go on" if verdict == "go" else "are dropped, the copies stay"
                return Said("person", f"a person decides: the deletions that are held {told}")
            case Ask(sender=sender, edge=edge):
                return Said("reference", f"{sender} asks who its counterpart is on {edge}")
            case Answer(sender=sender, twin=twin):
                answer = f"its counterpart is {twin}" if twin else "it has no counterpart"
                return Said("reference", f"{sender} answers: {answer}")
            case Register(sender=sender, present=present):
                return Said("index", f"{sender} {'carries this match value' if present else 'carries it no more'}")
            case ClaimKey(sender=sender):
                return Said("index", f"{sender} asks who else carries this match value")
            case Release(sender=sender):
                return Said("index", f"{sender} needs the lock no more")
            case Wake(resync=resync, retry=retry):
                told = "what waits is tried again" if not resync else "it tells everything again"
                return Said("person" if retry else "wake", "a person says: try again" if retry else f"woken: {told}")
            case Rouse(entity=entity):
                return Said("wake", f"all that waits of {entity} is woken")
            case Resync(types=types):
                return Said("wake", f"all of {', '.join(types)} tells everything again" if types else "all was told")
            case Counted() as mark:
                return _counted(mark)
            case Seen() | Gone():
                return Said("change", "a reading")

    def _receipt(self, key: bytes, receipt: Receipt) -> Said:
        command = self._commands.get((key, receipt.number))
        target = f" at {receipt.target}" if receipt.target else ""
        what = f"write {receipt.number}{target}: {OUTCOMES[receipt.outcome]}"
        what += f": {receipt.reason}" if receipt.reason else ""
        what += f"; tried again after {receipt.wait:g} s" if receipt.wait is not None else ""
        lines = [f"{field} refused: {why}" for field, why in receipt.fields.items()]
        before = {} if receipt.before is None else receipt.before.fields
        after = {} if receipt.after is None else receipt.after.fields
        wanted = {} if command is None else command.want
        for field in wanted or sorted({*before, *after}):
            if field in wanted or before.get(field) != after.get(field):
                held = f"held {shown(before.get(field))} before" if before else ""
                then = f"{shown(after.get(field))} after" if after else ""
                lines.append(f"{field}: {', '.join(filter(None, (held, then)))}") if held or then else None
        return Said("receipt", what, (*lines, *receipt.requests))


def _command(command: Command) -> Said:
    attempt = f", attempt {command.attempt + 1}" if command.attempt else ""
    if command.kind == "create":
        lines = tuple(f"{field} = {shown(value)}" for field, value in command.want.items())
        return Said("write", f"create {command.number} ordered: a new {command.type}{attempt}", lines)
    if command.kind != "update":
        return Said("write", f"{command.kind} {command.number} ordered: {command.target}{attempt}")
    lines = tuple(
        f"{field}: {shown(command.base.get(field))} -> {shown(value)}" for field, value in command.want.items()
    )
    return Said("write", f"write {command.number} ordered: {command.target}{attempt}", lines)


def _counted(mark: Counted) -> Said:
    return Said("count", f"{mark.entity} was read completely for the first time")


def _conflict(value: bytes) -> Said:
    found = decode_conflict(value)
    lines = (
        f"lost: {shown(found.lost.value)} typed at {found.lost.author or found.ref}, {moment(found.lost.version.time)}",
        f"won:  {shown(found.won.value)} typed at {found.won.author or found.ref}, {moment(found.won.version.time)}",
    )
    return Said("conflict", f"{found.field}: edited on both sides unseen by each other; the later one won", lines)


def _parked(record: Record) -> Said:
    about = {name.removeprefix(PREFIX): value.decode() for name, value in record.headers if name.startswith(PREFIX)}
    from_ = f"{about.get('topic')}/{about.get('partition')}/{about.get('offset')}"
    return Said(
        "parked", f"set aside ({about.get('class.name')}): {about.get('exception.message')}", (f"from {from_}",)
    )


def _stated(fields: Mapping[str, Stated]) -> Iterator[str]:
    for name, each in fields.items():
        author = f", typed at {each.author}" if each.author else ""
        yield f"{name} = {shown(each.value)} ({since(each.version.time)}{author})"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What differs between two states of a record, field by field."""
    for name in [*after, *(name for name in before if name not in after)]:
        if before.get(name) != after.get(name):
            yield f"{name}: {shown(before.get(name))} -> {shown(after.get(name))}"


def since(time: Time) -> str:
    """When a value came to be; a version below zero is a mark and no time."""
    if time >= 0:
        return f"since {moment(time)}"
    return "a default that nobody typed" if time == -1 else "empty from the first"


def moment(time: Time | None) -> str:
    """A time as people and programs read it."""
    if time is None or time < 0:
        return "no time"
    return datetime.fromtimestamp(time / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(value: Value) -> str:
    """A value as JSON, cut when it is long."""
    text = orjson.dumps(value, default=str).decode() if not isinstance(value, str) else _quoted(value)
    return text if len(text) <= LONG else f"{text[:LONG]}... ({len(text)} characters)"


def _quoted(text: str) -> str:
    return orjson.dumps(text.encode(errors="replace").decode()).decode()


def plain(data: bytes | None) -> Value:
    """The bytes of a record as a value: JSON where they are, otherwise text."""
    if data is None:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data.decode(errors="replace")
