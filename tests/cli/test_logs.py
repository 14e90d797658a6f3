"""Logs: one line for each event, without secrets, that nothing foreign can forge."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from stream.cli.logs import LONGEST, _text_line, begin, redacting

CANARY = "canary-4711-s3cret/+="


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    out = io.StringIO()
    begin(format="json", secrets=[CANARY], to=out)
    yield out
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def events(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_is_one_line_of_json(out: io.StringIO) -> None:
    structlog.get_logger("stream.poll").info("read", type="asana.tasks", count=3)
    logging.getLogger("stream.push").warning("waiting %d s", 5, extra={"system": "asana"})
    ours, theirs = events(out)
    assert (ours["event"], ours["type"], ours["count"], ours["level"], ours["logger"]) == (
        "read", "asana.tasks", 3, "info", "stream.poll",
    )  # fmt: skip
    assert (theirs["event"], theirs["system"], theirs["level"]) == ("waiting 5 s", "asana", "warning")
    assert ours["timestamp"].endswith("Z")


LEAKS = [
    lambda log: log.info("token %s is bad", CANARY),
    lambda log: log.info("bad", extra={"url": f"http://x/?token={CANARY}"}),
    lambda log: log.info("bad", extra={"deep": {"list": [{"a": CANARY}]}}),
    lambda log: log.info("bad", extra={"token": "another-canary"}),
    lambda log: log.info("bad", extra={"headers": {"Authorization": "Bearer another-canary"}}),
    lambda log: log.info("GET /x?access_token=another-canary&a=1"),
    lambda log: log.info("Authorization: Bearer another-canary"),
    lambda log: log.info("%s", ValueError(CANARY)),
    lambda log: log.info("sent %r", {"Authorization": f"Basic {CANARY}"}),
]


@pytest.mark.parametrize("leak", LEAKS)
def test_no_secret_is_logged(leak: Any, out: io.StringIO) -> None:
    leak(logging.getLogger("leaky"))
    assert "canary" not in out.getvalue()
    assert "***" in out.getvalue()


def test_no_secret_is_logged_with_an_exception(out: io.StringIO) -> None:
    try:
        {}[CANARY]
    except KeyError:
        logging.getLogger("leaky").exception("stumbled")
        structlog.get_logger("leaky").exception("stumbled")
    assert "canary" not in out.getvalue()
    assert all("KeyError" in event["exception"] for event in events(out))


def test_foreign_text_forges_no_line_and_no_terminal(out: io.StringIO) -> None:
    logging.getLogger("x").warning("name: %s", 'a\n{"event": "forged"}\r\x1b[2J\x9b\u2028')
    [event] = events(out)
    assert event["event"] == 'name: a\\n{"event": "forged"}\\r\\x1b[2J\\x9b\\u2028'


def test_foreign_text_is_cut(out: io.StringIO) -> None:
    logging.getLogger("x").warning("x" * 100_000)
    assert len(events(out)[0]["event"]) < LONGEST + 50


def test_libraries_are_quiet_about_themselves(out: io.StringIO) -> None:
    for name in ("faust", "aiokafka.consumer", "mode", "asyncio"):
        logging.getLogger(name).info("I am well")
        logging.getLogger(name).error("I am not")
    assert [event["level"] for event in events(out)] == ["error"] * 4


def test_debug_is_off_unless_asked_for(out: io.StringIO) -> None:
    structlog.get_logger("x").debug("record", fields={"name": "Ada"})
    logging.getLogger("x").debug("record")
    assert out.getvalue() == ""


def test_a_person_reads_text() -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    out = io.StringIO()
    begin(format="text", secrets=[CANARY], to=out)
    try:
        logging.getLogger("x").warning("waiting\nlong", extra={"system": "asana", "why": CANARY})
        assert out.getvalue()[8:] == " warning waiting\\nlong  system=asana why=***\n"
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()


def test_a_person_is_not_told_twice() -> None:
    event = {"timestamp": "2026-01-01T00:00:00Z", "level": "info", "event": "tasks: read again", "type": "tasks"}
    assert _text_line(None, "", {**event, "what": "read_again"}).endswith(" tasks: read again")
    assert _text_line(None, "", {**event}).endswith("type=tasks")


JSON = st.recursive(
    st.none() | st.text() | st.floats(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=9
)


@given(JSON, st.text(min_size=6))
def test_wherever_a_secret_stands_it_is_taken_out(value: Any, secret: str) -> None:
    event = redacting([secret])(
        None, "info", {"event": f"a{secret}b", "value": value, "also": [secret, {secret: secret}]}
    )
    assert event["event"] == "a***b"
    assert event["also"][0] == "***"
