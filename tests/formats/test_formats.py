"""Records as other tools read them: Debezium's envelope, CloudEvents in the headers, Kafka Connect's dead letters.

The golden files are what lies in the topics. ``LINKSTREAM_GOLDEN=write pytest tests/formats`` writes them anew.
"""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from connectors.endpoint import Entity, Traits
from stream.codec import decode_change, decode_mark, encode, encode_mark
from stream.envelope import Envelope, headers_of
from stream.errors import BadRecord
from stream.model import Change, Conflict, Counted, Stated, Version
from stream.parking import parked
from stream.ports import Headers, Record
from tests.kafka.jars import FLINK, NoKafka, jars, java
from tests.stages.build import bench

HERE = Path(__file__).parent
SECOND = 1_000_000
AT = 1_700_000_000 * SECOND
TASK = Entity(
    id="1207",
    record={"gid": "1207", "name": "Blåbær", "due_on": None, "projects": [{"gid": "9"}]},
    updated_at=AT + 123_456,
    marker="f|custompms.task:5",
    by_us=False,
)
TASKS = Envelope("asana.tasks", "asana", Traits(key="gid"))
READ = TASKS.seen(TASK, AT + 2 * SECOND, ahead=1500, first=True)
AGAIN = TASKS.seen(TASK, AT + 9 * SECOND)
AWAY = TASKS.gone("1207", AT + 20 * SECOND)


def record(topic: str, key: str, value: bytes | None, headers: Headers = (), offset: int = 7) -> Record:
    return Record(topic, 2, offset, key.encode(), value, AT // 1000, headers)


def changed(change: Change) -> Record:
    return record("changes.asana.tasks", "asana.tasks:1207", encode(change), headers_of(change))


def aside(one: Record, **about: Any) -> Record:
    key, value, headers = parked(one, **about)
    return record("parked", key.decode(), value, headers)


def failed(data: bytes) -> Exception:
    try:
        decode_change(data)
    except BadRecord as error:
        return error.with_traceback(None)  # its lines are of no interest here
    raise AssertionError("decoded")


BROKEN = record("changes.asana.tasks", "asana.tasks:1207", b'{"op":"x"}', headers_of(READ))
LOST = Conflict(
    ref="asana.tasks:1207",
    field="name",
    lost=Stated("Left", Version(AT, 1, 7), None, "asana.tasks:1207"),
    won=Stated("Right", Version(AT + SECOND, 2, 8), None, "custompms.task:5"),
    at=AT + 3 * SECOND,
)
MARK = Counted(entity="asana.tasks", plan=2**63, source=2, of=4)
RECORDS = {
    "read": changed(READ),
    "read-again": changed(AGAIN),
    "gone": changed(AWAY),
    "mark": record("changes.asana.tasks", encode_mark(MARK).decode(), None),
    "parked-undecodable": aside(BROKEN, stage="VALUE_CONVERTER", error=failed(b'{"op":"x"}'), reason="undecodable"),
    "parked-not-applied": aside(
        record("links.mail", "asana.tasks:1207", b"{}"),
        stage="TRANSFORMATION",
        error="due_on: found 'soon'; a date would be right",
        reason="not applied",
    ),
    "conflict": record("conflicts", "asana.tasks:1207", encode(LOST)),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_looks_as_it_always_did(name: str) -> None:
    one = RECORDS[name]
    about = {
        "topic": one.topic,
        "key": one.key.decode(),
        "headers": {name: value.decode() for name, value in one.headers},
        "value": None if one.value is None else msgspec.json.decode(one.value),
    }
    file = HERE / "golden" / f"{name}.json"
    text = msgspec.json.format(msgspec.json.encode(about), indent=2).decode() + "\n"
    if os.environ.get("LINKSTREAM_GOLDEN") == "write":
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")


async def test_what_is_polled_looks_like_the_golden_files() -> None:
    table = await bench(Traits(key="gid", changes="list", create=3))
    table.systems["a"].add("t", {"name": "n"})
    await table.poll()
    table.systems["a"].edit("t", "1", {"name": "m"})
    await table.poll()
    first, second = (each for each in table.read("changes.a.t") if each.value is not None)
    for one, golden, snapshot in ((first, "read", "true"), (second, "read-again", "incremental")):
        value = msgspec.json.decode(one.value or b"")
        shape = msgspec.json.decode((HERE / "golden" / f"{golden}.json").read_bytes())
        assert set(value) == set(shape["value"])
        assert [name for name, _ in one.headers] == list(shape["headers"])
        assert (value["op"], value["source"]["snapshot"]) == ("r", snapshot)
        assert one.headers == headers_of(decode_change(one.value))


class TestDebezium:
    def test_our_own_reader_takes_what_a_connector_of_debeziums_writes(self) -> None:
        theirs = (
            b'{"before":{"id":1,"name":"a"},"after":{"id":1,"name":"b"},"op":"u","ts_ms":5,"ts_us":5000,"ts_ns":5000000,'
            b'"transaction":null,"source":{"version":"3.3.1.Final","connector":"postgresql","name":"erp","ts_ms":4,'
            b'"snapshot":"last","db":"erp","sequence":null,"schema":"public","table":"customer","id":"1","lsn":9}}'
        )
        change = decode_change(theirs)
        assert (change.source.entity, change.source.ts_ms, change.after) == ("customer", 4, {"id": 1, "name": "b"})

    def test_flink_reads_our_changes_and_passes_over_our_marks(self) -> None:
        assert flink("gid", "name", READ, None, AGAIN, AWAY) == [
            ("+I", "1207", "Blåbær", "2023-11-14T22:13:22", "2023-11-14T22:13:20.123", "asana", "tasks"),
            ("+I", "1207", "Blåbær", "2023-11-14T22:13:29", "2023-11-14T22:13:20.123", "asana", "tasks"),
            ("-D", "1207", "-", "2023-11-14T22:13:40", "-", "asana", "tasks"),
        ]

    def test_flink_would_refuse_an_update_without_before(self) -> None:
        with pytest.raises(AssertionError, match='The "before" field of UPDATE message is null'):
            flink("gid", "name", msgspec.structs.replace(READ, op="u"))

    @pytest.mark.parametrize(
        ("traits", "id", "before"),
        [
            (Traits(), "1207", {"id": "1207"}),
            (Traits(id="integer", key="Id"), "1207", {"Id": 1207}),
            (Traits(id="integer"), "12x", {"id": "12x"}),
            (Traits(key="meta.id"), "a", {"meta": {"id": "a"}}),
            (Traits(key=""), "parent/own", {}),
        ],
    )
    def test_before_holds_the_id_as_the_record_did(self, traits: Traits, id: str, before: dict[str, Any]) -> None:
        assert Envelope("s.t", "s", traits).gone(id, AT).before == before


def flink(id: str, name: str, *changes: Change | None) -> list[tuple[str, ...]]:
    """Rows that Flink reads: kind, id, name, time of reading, time of change, system, type."""
    try:
        run = [java(), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars(FLINK)}/*"]
    except NoKafka as reason:
        pytest.skip(f"Flink: {reason}")
    done = subprocess.run(
        [*run, "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", str(HERE / "Flink.java"), id, name],
        input=b"".join((b"" if each is None else encode(each)) + b"\n" for each in changes),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [tuple(line.split("\t")) for line in done.stdout.decode().splitlines()]


class TestCloudEvents:
    @pytest.mark.parametrize(
        ("change", "type", "at"),
        [(READ, "linkstream.seen.v1", AT + 123_456), (AWAY, "linkstream.gone.v1", AT + 20 * SECOND)],
    )
    def test_the_official_library_reads_a_change(self, change: Change, type: str, at: int) -> None:
        one = changed(change)
        message = KafkaMessage(headers=dict(one.headers), key=one.key, value=one.value or b"")
        event = from_kafka(message, JSONFormat(), CloudEvent)
        assert (event.get_type(), event.get_source(), event.get_subject()) == (type, "/asana/tasks", "1207")
        assert event.get_datacontenttype() == "application/json"
        assert event.get_time() == datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=at % SECOND)
        assert event.get_extension("partitionkey") == "asana.tasks:1207"
        assert event.get_data() == msgspec.json.decode(one.value or b"")

    def test_no_two_changes_have_one_id(self) -> None:
        ids = [dict(headers_of(each))["ce_id"] for each in (READ, AGAIN, AWAY, TASKS.gone("1207", READ.ts_us))]
        assert len(set(ids)) == len(ids)

    @pytest.mark.parametrize(
        ("updated", "time"),
        [
            (None, "2023-11-14T22:13:20Z"),
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (10**18, "2023-11-14T22:13:20Z"),  # the year 33658
            (10**30, "2023-11-14T22:13:20Z"),
        ],
    )
    def test_a_time_that_cannot_be_written_is_not(self, updated: int | None, time: str) -> None:
        change = TASKS.seen(Entity(id="1", record={}, updated_at=updated), AT)
        assert dict(headers_of(change))["ce_time"].decode() == time


class TestMarks:
    def test_a_mark_comes_back_as_it_was(self) -> None:
        assert decode_mark(encode_mark(MARK)) == MARK

    @pytest.mark.parametrize("key", [b"counted:", b"counted:a.t", b"counted:a.t:1:2", b"counted:a.t:1:2:x", b"\xff"])
    def test_what_is_no_mark_is_told(self, key: bytes) -> None:
        with pytest.raises(BadRecord, match="counted:<type>:<plan>:<partition>:<of> would be right"):
            decode_mark(key)


class TestParked:
    def test_it_carries_its_own_headers_and_none_of_an_earlier_error(self) -> None:
        once = RECORDS["parked-undecodable"]
        twice = aside(once, stage="VALUE_CONVERTER", error="again", reason="undecodable")
        names = [name for name, _ in twice.headers]
        assert len(names) == len(set(names))
        assert dict(twice.headers)["ce_id"] == b"1207/r/1700000002000000"
        assert dict(twice.headers)["__connect.errors.topic"] == b"parked"

    @pytest.mark.parametrize(
        ("stage", "word"),
        [("join", "TRANSFORMATION"), ("push.asana", "TASK_PUT"), ("VALUE_CONVERTER", "VALUE_CONVERTER")],
    )
    def test_its_stage_is_one_of_connects(self, stage: str, word: str) -> None:
        one = aside(record("links.mail", "k", b""), stage=stage, error="no", reason="no")
        assert dict(one.headers)["__connect.errors.stage"].decode() == word

    @pytest.mark.parametrize(
        ("topic", "name"),
        [
            ("changes.asana.tasks", "asana"),
            ("upserts.custompms.task", "custompms"),
            ("links.mail", "linkstream"),
            ("polls", "linkstream"),
            ("changes.", "linkstream"),
        ],
    )
    def test_it_names_the_system_where_a_connector_is_expected(self, topic: str, name: str) -> None:
        one = aside(record(topic, "k", b""), stage="TRANSFORMATION", error="no", reason="not applied")
        assert dict(one.headers)["__connect.errors.connector.name"].decode() == name


def test_a_change_is_read_as_it_was_written() -> None:
    assert decode_change(encode(READ)) == READ
    assert decode_change(encode(AWAY)) == AWAY
