from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.conversions import CONVERSIONS, conversion, injective, one_way, together

OSLO = {"time": "right", "zone": "Europe/Oslo"}
ENUM = {True: "done", False: "open"}

TO = [
    ("text", None, ""),
    ("text", "a", "a"),
    ("text", 7, "7"),
    ("text", True, "true"),
    ("text", False, "false"),
    ("date", "2026-05-01", "2026-05-01"),
    ("date", "20260501", "2026-05-01"),
    ("date", "2026-05-01T23:30:00Z", "2026-05-01"),
    ({"date": OSLO}, "2026-05-01", "2026-05-01T00:00:00+02:00"),
    ({"date": OSLO}, "2026-12-01", "2026-12-01T00:00:00+01:00"),
    ({"date": {"time": "left", "zone": "Europe/Oslo"}}, "2026-05-01T22:30:00Z", "2026-05-02"),
    ("datetime", "2026-05-01T12:00:00+02:00", "2026-05-01T10:00:00Z"),
    ("datetime", "2026-05-01T12:00:00.250Z", "2026-05-01T12:00:00.250000Z"),
    ({"datetime": {"zone": "Europe/Oslo"}}, "2026-05-01T12:00:00", "2026-05-01T10:00:00Z"),
    ({"text": {"right": 3}}, "abcd", "abc"),
    ({"text": {"left": 3}}, "abcd", "abcd"),
    ("integer", "12", 12),
    ("integer", 12.0, 12),
    ("integer", "-3", -3),
    ("integer", " +3 ", 3),
    ("integer", "9" * 400, int("9" * 400)),
    ({"integer": {"text": "right"}}, 12, "12"),
    ({"integer": {"text": "left"}}, "12", 12),
    ("decimal", 1.005, 1.0),
    ("decimal", "2.675", 2.68),
    ("decimal", 0.125, 0.12),
    ("decimal", 0.375, 0.38),
    ("decimal", "0." + "9" * 398, 1.0),
    ({"decimal": {"digits": 12}}, 0.1234567890125, 0.123456789012),
    ({"decimal": {"digits": 0}}, 2.5, 2.0),
    ({"decimal": {"digits": 3, "text": "right"}}, 1, "1.000"),
    ("decimal", -0.001, 0.0),
    ("boolean", "TRUE", True),
    ("boolean", 0, False),
    ("boolean", "1", True),
    ("boolean", "0", False),
    ({"boolean": {"text": "right"}}, False, "false"),
    ({"boolean": {"text": "right"}}, True, "true"),
    ({"enum": ENUM}, True, "done"),
    ({"enum": [[1, "one"], [True, "yes"]]}, True, "yes"),
    ({"enum": [[1, "one"], [True, "yes"]]}, 1, "one"),
    ("first", ["a", "b"], "a"),
    ("first", [], None),
    ("first", "a", "a"),
]

BACK = [
    ("text", None, ""),
    ({"date": OSLO}, "2026-04-30T22:00:00Z", "2026-05-01"),
    ({"date": OSLO}, "2026-05-01T10:00:00", "2026-05-01"),
    ({"integer": {"text": "left"}}, 12, "12"),
    ({"boolean": {"text": "left"}}, True, "true"),
    ({"date": {"time": "left", "zone": "Europe/Oslo"}}, "2026-05-01", "2026-05-01T00:00:00+02:00"),
    ({"enum": ENUM}, "open", False),
]

DAY = "a date as 2026-05-01"
MOMENT = "a date-time as 2026-05-01T12:00:00Z"
WORDLESS = [
    ("text", {"a": 1}, "a text"),
    ("text", ["a"], "a text"),
    ("date", "soon", DAY),
    ("date", 7, DAY),
    ("date", "", DAY),
    ("date", "2026-13-01", DAY),
    ({"date": OSLO}, "0001-01-01T00:00:00+14:00", DAY),
    ("datetime", "2026-05-01T99:00:00Z", MOMENT),
    ("datetime", "0001-01-01T00:00:00+14:00", MOMENT),
    ("datetime", 7, MOMENT),
    ("integer", "1.5", "an integer"),
    ("integer", 1.5, "an integer"),
    ("integer", True, "an integer"),
    ("integer", "9" * 401, "an integer"),
    ("integer", "+-3", "an integer"),
    ("integer", "X3", "an integer"),
    ("integer", "²", "an integer"),
    ("decimal", "NaN", "a finite number"),
    ("decimal", "1e999", "a finite number"),
    ("decimal", True, "a number"),
    ("decimal", [1], "a number"),
    ("decimal", "much", "a number"),
    ("decimal", "0." + "9" * 399, "a number"),
    ("decimal", "", "a number"),
    ("boolean", "perhaps", "true or false"),
    ("boolean", 2, "true or false"),
    ("boolean", [], "true or false"),
    ({"enum": ENUM}, "done", "one of True, False"),
    ({"enum": ENUM}, 1, "one of True, False"),
    ({"enum": ENUM}, [], "one of True, False"),
]

NAMES = "same, text, date, datetime, integer, decimal, boolean, enum, first"
BAD = [
    ("dat", f"the conversion 'dat'; one of {NAMES}"),
    ({}, "0 conversions; one"),
    ({"date": {}, "text": {}}, "2 conversions; one"),
    ({"text": {"up": 1}}, "the option 'up'; text: {left: ..., right: ...}"),
    ({"boolean": "x"}, "'x'; boolean: {text: ...}"),
    ({"boolean": {"text": "up"}}, "'up' as boolean's text; left or right"),
    ({"first": {"left": 1}}, "the option 'left'; first alone"),
    ({"text": {"left": 0}}, "0 as text's left; a number of characters"),
    ({"text": {"right": True}}, "True as text's right; a number of characters"),
    ({"text": {"right": "80"}}, "'80' as text's right; a number of characters"),
    ({"date": {"zone": "Europe/Oslo"}}, "a zone and no side with a time; date: {time: right, zone: ...}"),
    ({"date": {"time": "up"}}, "'up' as date's time; left or right"),
    ({"date": {"time": "left", "zone": "Mars/Base"}}, "the zone 'Mars/Base'; one like Europe/Oslo"),
    ({"datetime": {"zone": "../../etc/passwd"}}, "the zone '../../etc/passwd'; one like Europe/Oslo"),
    ({"datetime": {"zone": 7}}, "the zone 7; one like Europe/Oslo"),
    ({"decimal": {"digits": -1}}, "-1 digits; 0 to 12"),
    ({"decimal": {"digits": 13}}, "13 digits; 0 to 12"),
    ({"decimal": {"digits": True}}, "True digits; 0 to 12"),
    ({"decimal": 2}, "2; decimal: {digits: ..., text: ...}"),
    ("enum", "no words; enum: {left: right, ...}"),
    ({"enum": {}}, "no words; enum: {left: right, ...}"),
    ({"enum": {"a": ["b"]}}, "words that are no pairs; texts, numbers, true and false"),
    ({"enum": [["a"]]}, "words that are no pairs; texts, numbers, true and false"),
    ({"enum": [["a", "b"], ["a", "c"]]}, "a left word twice; once"),
]


@pytest.mark.parametrize(("spec", "value", "right"), TO)
def test_a_value_in_the_other_sides_words(spec: Any, value: Any, right: Any) -> None:
    convert = conversion(spec).to
    assert convert is not None
    converted = convert(value)
    assert converted == right
    assert type(converted) is type(right)


@pytest.mark.parametrize(("spec", "value", "left"), BACK)
def test_and_back(spec: Any, value: Any, left: Any) -> None:
    convert = conversion(spec).back
    assert convert is not None
    assert convert(value) == left


@pytest.mark.parametrize(("spec", "value", "right"), WORDLESS)
def test_a_value_without_a_word_is_refused_with_what_was_found_and_what_would_be_right(
    spec: Any, value: Any, right: str
) -> None:
    convert = conversion(spec).to
    assert convert is not None
    with pytest.raises(ValueError, match="found") as refused:
        convert(value)
    assert str(refused.value) == f"found {value!r:.80}; {right} would be right"


def test_of_many_words_only_the_first_are_told() -> None:
    convert = conversion({"enum": {f"word {number}": number for number in range(100)}}).to
    assert convert is not None
    with pytest.raises(ValueError, match="found") as refused:
        convert("x")
    told = str(refused.value).removeprefix("found 'x'; one of ").removesuffix(" would be right")
    assert told == ", ".join(f"word {number}" for number in range(100))[:200]


def test_a_group_of_another_size_is_refused() -> None:
    convert = together([conversion("same"), conversion("integer")]).to
    assert convert is not None
    assert convert(["a", "1"]) == ["a", 1]
    with pytest.raises(ValueError, match=r"^found \['a'\]; 2 values would be right$"):
        convert(["a"])


@pytest.mark.parametrize("name", CONVERSIONS)
def test_a_conversion_goes_by_its_name(name: str) -> None:
    assert conversion({"enum": {"a": "b"}} if name == "enum" else name).name == name


def test_a_group_goes_by_its_name_too() -> None:
    assert together([conversion("same")]).name == "group"


def test_an_enum_knows_its_words() -> None:
    assert conversion({"enum": {"a": "b", True: "c"}}).words == (("a", "b"), (True, "c"))


@pytest.mark.parametrize(("spec", "words"), BAD)
def test_what_is_no_conversion_is_refused(spec: Any, words: str) -> None:
    with pytest.raises(ValueError, match="would be right") as refused:
        conversion(spec)
    assert str(refused.value) == f"found {words} would be right"


@pytest.mark.parametrize("spec", ["date", "datetime", "integer", "decimal", "boolean", "first", {"enum": ENUM}])
def test_an_empty_field_stays_empty(spec: Any) -> None:
    made = conversion(spec)
    assert made.to is not None
    assert made.to(None) is None
    if not one_way(spec):
        assert made.back is not None
        assert made.back(None) is None


def test_first_has_no_way_back() -> None:
    back = conversion("first").back
    assert one_way("first")
    assert back is not None
    with pytest.raises(ValueError, match=r"^found 'a'; a pair with direction: forward would be right$"):
        back("a")


def test_the_same_value_needs_no_function() -> None:
    assert conversion("same").to is None
    assert conversion("same").back is None


def test_one_right_word_for_two_left_ones_cannot_be_undone() -> None:
    assert not injective({"enum": {"new": "open", "doing": "open", "done": "closed"}})
    assert injective({"enum": [[1, 1], [True, True]]})
    assert injective("date")
    assert injective({"date": OSLO})


def test_every_conversion_says_its_meaning_and_its_law() -> None:
    assert all(named.meaning and named.law for named in CONVERSIONS.values())


# laws

ZONES = st.sampled_from(["UTC", "Europe/Oslo", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia", "America/Havana"])
DAYS = st.dates(date(1950, 1, 1), date(2100, 1, 1)).map(date.isoformat)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def there_and_back(spec: Any, value: Any) -> Any:
    made = conversion(spec)
    assert made.to is not None
    assert made.back is not None
    return made.back(made.to(value))


@given(st.text())
def test_law_of_text(value: str) -> None:
    assert there_and_back("text", value) == value


@given(st.text(), st.integers(1, 5), st.sampled_from(["left", "right"]))
def test_law_of_text_with_little_room(value: str, room: int, side: str) -> None:
    assert there_and_back({"text": {side: room}}, value) == value[:room]


LOSSY = [
    {"text": {"right": 3}},
    "date",
    {"date": {"time": "left", "zone": "Europe/Oslo"}},
    {"date": {"time": "right", "zone": "Pacific/Apia"}},
    "datetime",
    {"decimal": {"digits": 1}},
    {"decimal": {"digits": 0, "text": "right"}},
    {"integer": {"text": "left"}},
    {"boolean": {"text": "right"}},
]


@given(
    st.sampled_from(LOSSY), st.text(max_size=6) | st.integers() | st.floats() | st.datetimes().map(datetime.isoformat)
)
def test_what_is_lost_is_lost_once(spec: Any, value: Any) -> None:
    """Without this law, what comes back would be taken for news (B7)."""
    made = conversion(spec)
    assert made.to is not None
    assert made.back is not None
    try:
        right = made.to(value)
    except ValueError:
        return
    left = made.back(right)
    assert made.to(left) == right
    assert made.back(made.to(left)) == left


@given(DAYS)
def test_law_of_date(value: str) -> None:
    assert there_and_back("date", value) == value


@given(DAYS, ZONES)
def test_law_of_date_against_a_date_time_in_any_zone(value: str, zone: str) -> None:
    assert there_and_back({"date": {"time": "right", "zone": zone}}, value) == value


@given(st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1), timezones=OFFSETS))  # noqa: DTZ001 - bounds are naive
def test_law_of_datetime(value: datetime) -> None:
    assert datetime.fromisoformat(there_and_back("datetime", value.isoformat())) == value


@given(st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)), ZONES)  # noqa: DTZ001 - bounds are naive
def test_law_of_datetime_without_an_offset(value: datetime, zone: str) -> None:
    value = value.replace(fold=0)  # a text cannot say which of two equal hours it means: the first
    meant = value.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    assert datetime.fromisoformat(there_and_back({"datetime": {"zone": zone}}, value.isoformat())) == meant


@given(st.integers(-(10**30), 10**30), st.sampled_from(["", "left", "right"]))
def test_law_of_integer(value: int, text: str) -> None:
    given_ = str(value) if text == "left" else value
    assert there_and_back({"integer": {"text": text} if text else {}}, given_) == given_


@given(st.floats(-1e12, 1e12), st.integers(0, 6))
def test_law_of_decimal(value: float, digits: int) -> None:
    rounded = float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN))
    assert there_and_back({"decimal": {"digits": digits}}, value) == rounded
    assert there_and_back({"decimal": {"digits": digits, "text": "right"}}, value) == rounded


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimal_is_done_after_once(value: float) -> None:
    to = conversion("decimal").to
    assert to is not None
    assert to(to(value)) == to(value)


@given(st.booleans(), st.sampled_from(["", "right"]))
def test_law_of_boolean(value: bool, text: str) -> None:
    assert there_and_back({"boolean": {"text": text} if text else {}}, value) is value


WORDS = st.booleans() | st.integers(-9, 9) | st.text(max_size=3)


@given(st.dictionaries(WORDS, WORDS, min_size=1))
def test_law_of_enum(words: dict[Any, Any]) -> None:
    spec = {"enum": words}
    if injective(spec):
        for left in words:
            assert there_and_back(spec, left) == left


@given(
    st.sampled_from([*CONVERSIONS]),
    st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists),
)
def test_a_conversion_converts_or_says_why_not(name: str, value: Any) -> None:
    made = conversion({"enum": {"a": "b"}} if name == "enum" else name)
    for convert in (made.to, made.back):
        if convert is not None:
            try:
                convert(value)
            except ValueError as error:
                assert "would be right" in str(error)  # noqa: PT017 - either is fine, anything else is not
