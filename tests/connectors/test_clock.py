"""How a system's clock stands, by the dates of its answers."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from connectors.clock import Ahead, date_of
from connectors.wire import Request
from tests.connectors.test_http import answering, client

NOW = 1_780_000_000.0


def header(at: float) -> dict[str, str]:
    return {"date": format_datetime(datetime.fromtimestamp(int(at), UTC), usegmt=True)}


def heard(ahead: float, *, count: int = 31, travel: float = 0.2) -> Ahead:
    told = Ahead()
    for number in range(count):
        at = NOW + number * 1.37
        told.hear(header(at + travel / 2 + ahead), at, at + travel)
    return told


@pytest.mark.parametrize("ahead", [600.0, -600.0, 3.0, -45.5])
def test_a_clock_that_is_wrong_is_known_to_half_a_second(ahead: float) -> None:
    assert heard(ahead).seconds() == pytest.approx(ahead, abs=0.5)


@pytest.mark.parametrize("ahead", [0.0, 1.2, -1.2])
def test_less_than_two_seconds_are_none(ahead: float) -> None:
    assert heard(ahead).seconds() == 0.0


def test_little_is_not_believed() -> None:
    assert heard(600.0, count=2).seconds() is None


def test_one_wrong_date_changes_nothing() -> None:
    told = heard(600.0)
    told.hear(header(NOW - 1e7), NOW, NOW + 0.1)
    assert told.seconds() == pytest.approx(600.0, abs=0.5)


@pytest.mark.parametrize(
    ("headers", "took"),
    [({}, 0.1), ({"date": "soon"}, 0.1), ({**header(NOW), "age": "30"}, 0.1), (header(NOW), 20.0), (header(NOW), -1.0)],
)
def test_an_answer_that_says_nothing_is_not_asked(headers: dict[str, str], took: float) -> None:
    told = Ahead()
    for _ in range(5):
        told.hear(headers, NOW, NOW + took)
    assert told.seconds() is None


def test_a_date_is_read() -> None:
    assert date_of({"date": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 1445412480.0


async def test_every_answer_is_heard() -> None:
    async with client(answering(), now=lambda: time.time() - 600) as asking:
        for _ in range(3):
            await asking.call(Request(method="GET", path="/things"))
        assert asking.ahead.seconds() == pytest.approx(600.0, abs=2.0)
