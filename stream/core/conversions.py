"""Conversions: pairs of functions that put a value into the other side's words, and back. Pure.

The set is closed and each has a law, so that a mapping can be trusted both ways without being run. ``None`` is an
empty field and stays one, but for ``text``. A value for which the other side has no word raises ValueError, and is
then not offered; nothing is ever guessed. *Left* is the flow's ``from``, *right* its ``to``.

What a conversion loses it loses once: ``to(back(to(x))) == to(x)``, and the same the other way round, for whatever
the two sides can hold. So what comes back as the lesser form of a value is known for that value, and is never written
over it (B7, ``offers``). How a single value is read stands in ``scalars``; here stands which conversions there are,
what they are made from, and how both ways of each belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct
from msgspec.structs import replace

from stream.core.fields import group
from stream.core.flows import Conversion, Convert
from stream.core.scalars import boolean_of, day_of, integer_of, moment_of, number_of, text_of, wrong
from stream.model import Value

Options: TypeAlias = Mapping[str, Any]


class Named(Struct, frozen=True, kw_only=True):
    """One conversion of the set: what it means, its law, and how it is made from its options."""

    meaning: str
    law: str
    build: Callable[[Options], Conversion]
    options: frozenset[str] = frozenset()
    one_way: bool = False
    """There is no way back: only for pairs with a direction."""


def conversion(spec: str | Mapping[str, Any]) -> Conversion:
    """Make a conversion from an ``as:`` value: a name, or ``{name: options}``.

    Raises ValueError for names and options that do not exist, and for words that are not one to one where they must be.
    """
    if isinstance(spec, str):
        name, options = spec, None
    elif len(spec) == 1:
        [(name, options)] = spec.items()
    else:
        raise ValueError(f"found {len(spec)} conversions; one would be right")
    known = CONVERSIONS.get(name)
    if known is None:
        raise ValueError(f"found the conversion {name!r}; one of {', '.join(CONVERSIONS)} would be right")
    return known.build(_checked(name, known.options, options))


def together(each: Sequence[Conversion]) -> Conversion:
    """The conversion of a group: each part by its own, and an empty group stays empty."""
    return Conversion("group", _by_parts([one.to for one in each]), _by_parts([one.back for one in each]))


def _by_parts(converts: Sequence[Convert | None]) -> Convert:
    def convert(value: Value) -> Value:
        values = [None] * len(converts) if value is None else value
        if not isinstance(values, list) or len(values) != len(converts):
            raise wrong(value, f"{len(converts)} values")
        return group([each if one is None else one(each) for one, each in zip(converts, values, strict=True)])

    return convert


def one_way(spec: str | Mapping[str, Any]) -> bool:
    """Whether a conversion that exists has no way back."""
    name = spec if isinstance(spec, str) else next(iter(spec))
    return CONVERSIONS[name].one_way


def _checked(name: str, known: frozenset[str], options: Any) -> Options:
    if name == "enum":
        if not isinstance(options, Mapping | list | tuple) or not options:
            raise ValueError("found no words; enum: {left: right, ...} would be right")
        return {"words": options}
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ValueError(f"found {options!r}; {_shape(name, known)} would be right")  # noqa: TRY004 - one error for callers
    for option in options:
        if option not in known:
            raise ValueError(f"found the option {option!r}; {_shape(name, known)} would be right")
    return options


def _shape(name: str, known: frozenset[str]) -> str:
    return f"{name}: {{{', '.join(f'{option}: ...' for option in sorted(known))}}}" if known else f"{name} alone"


def _keeping_none(convert: Convert) -> Convert:
    def kept(value: Value) -> Value:
        return None if value is None else convert(value)

    return kept


def _both(name: str, to: Convert, back: Convert) -> Conversion:
    return Conversion(name, _keeping_none(to), _keeping_none(back))


def _same(_: Options) -> Conversion:
    return Conversion()


def _text(options: Options) -> Conversion:
    """``{right: 80}``: the right side has room for 80 characters."""
    return Conversion("text", _cut(options, "right"), _cut(options, "left"))


def _cut(options: Options, side: str) -> Convert:
    longest = options.get(side)
    if longest is None:
        return text_of
    if isinstance(longest, bool) or not isinstance(longest, int) or longest < 1:
        raise ValueError(f"found {longest!r} as text's {side}; a number of characters would be right")
    return lambda value: text_of(value)[:longest]


def _side(name: str, options: Options, option: str) -> str:
    side = options.get(option, "")
    if side not in ("", "left", "right"):
        raise ValueError(f"found {side!r} as {name}'s {option}; left or right would be right")
    return str(side)


def _spelled(name: str, options: Options, read: Convert, spell: Callable[[Any], str]) -> Conversion:
    """A value that one side may hold as text: ``{text: left}`` or ``{text: right}``."""

    def spelled(value: Value) -> str:
        return spell(read(value))

    side = _side(name, options, "text")
    return _both(name, spelled if side == "right" else read, spelled if side == "left" else read)


def _integer(options: Options) -> Conversion:
    return _spelled("integer", options, integer_of, str)


def _decimal(options: Options) -> Conversion:
    digits = options.get("digits", 2)
    if isinstance(digits, bool) or not isinstance(digits, int) or not 0 <= digits <= _PLACES:
        raise ValueError(f"found {digits!r} digits; 0 to {_PLACES} would be right")
    step = Decimal(1).scaleb(-digits)

    def read(value: Value) -> float:
        number = number_of(value)
        # Beyond 2**53 a float has no decimals left to round; and quantize would run out of its 28 places.
        return float(number if abs(number) >= _WHOLE else number.quantize(step, ROUND_HALF_EVEN)) + 0.0

    def spell(number: float) -> str:
        return f"{number:.{digits}f}"

    return _spelled("decimal", options, read, spell)


def _boolean(options: Options) -> Conversion:
    return _spelled("boolean", options, boolean_of, lambda value: "true" if value else "false")


def _date(options: Options) -> Conversion:
    """``{time: right, zone: Europe/Oslo}``: the right side has a date-time, midnight in that zone."""
    zone = _zone(options)
    side = _side("date", options, "time")
    if "zone" in options and not side:
        raise ValueError("found a zone and no side with a time; date: {time: right, zone: ...} would be right")

    def day(value: Value) -> str:
        return day_of(value, zone if side else None)

    def midnight(value: Value) -> str:
        return datetime.combine(date.fromisoformat(day(value)), time(), zone).isoformat()

    return _both("date", midnight if side == "right" else day, midnight if side == "left" else day)


def _datetime(options: Options) -> Conversion:
    """A date-time without an offset is one of ``zone``; what is written is UTC."""
    zone = _zone(options)

    def moment(value: Value) -> str:
        return moment_of(value, zone)

    return _both("datetime", moment, moment)


def _zone(options: Options) -> ZoneInfo:
    name = options.get("zone", "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ValueError(f"found the zone {name!r}; one like Europe/Oslo would be right") from None


def _enum(options: Options) -> Conversion:
    words = options["words"]
    pairs = list(words.items()) if isinstance(words, Mapping) else [tuple(pair) for pair in words]
    if any(len(pair) != _PAIR or not all(isinstance(word, str | int | float) for word in pair) for pair in pairs):
        raise ValueError("found words that are no pairs; texts, numbers, true and false would be right")
    to = _words(pairs)
    if len(to) < len(pairs):
        raise ValueError("found a left word twice; once would be right")
    both = _both("enum", _lookup(to), _lookup(_words((right, left) for left, right in reversed(pairs))))
    return replace(both, words=tuple((left, right) for left, right in pairs))


def injective(spec: str | Mapping[str, Any]) -> bool:
    """Whether a conversion that exists can be undone; an ``enum`` with one right word for two left ones cannot."""
    words = None if isinstance(spec, str) else spec.get("enum")
    if words is None:
        return True
    rights = words.values() if isinstance(words, Mapping) else [pair[1] for pair in words]
    return len(_words((right, None) for right in rights)) == len(words)


def _words(pairs: Iterable[Iterable[Value]]) -> dict[tuple[bool, Value], Value]:
    # True equals 1 in Python and is another word in JSON.
    return {(isinstance(key, bool), key): word for key, word in pairs}


def _lookup(words: Mapping[tuple[bool, Value], Value]) -> Convert:
    known = ", ".join(str(word) for _, word in words)[:200]

    def look(value: Value) -> Value:
        try:
            return words[isinstance(value, bool), value]
        except (KeyError, TypeError):
            raise wrong(value, f"one of {known}") from None

    return look


def _first(_: Options) -> Conversion:
    return Conversion("first", _pick_first, _no_way_back)


def _pick_first(value: Value) -> Value:
    if isinstance(value, list):
        return value[0] if value else None
    return value


def _no_way_back(value: Value) -> Value:
    raise wrong(value, "a pair with direction: forward")


_PLACES: Final = 12
_WHOLE: Final = 2**53
_PAIR: Final = 2

CONVERSIONS: Final[Mapping[str, Named]] = {
    "same": Named(meaning="the value as it is", law="back(to(x)) == x", build=_same),
    "text": Named(
        meaning='a text on both sides; no value and "" are the same; with {left|right: 80} that side has so much room',
        law='back(to(x)) == x, and "" for none; with a length, its beginning',
        build=_text,
        options=frozenset({"left", "right"}),
    ),
    "date": Named(
        meaning="a date; with {time: left|right, zone: ...} that side holds midnight in the zone",
        law="back(to(x)) is the same day",
        build=_date,
        options=frozenset({"time", "zone"}),
    ),
    "datetime": Named(
        meaning="an instant, written as UTC; without an offset it is one of the zone",
        law="back(to(x)) is the same instant",
        build=_datetime,
        options=frozenset({"zone"}),
    ),
    "integer": Named(
        meaning="an integer; with {text: left|right} that side holds it as text",
        law="back(to(x)) == x",
        build=_integer,
        options=frozenset({"text"}),
    ),
    "decimal": Named(
        meaning="a number rounded half to even to {digits: 2}; with {text: left|right} that side holds it as text",
        law="back(to(x)) == round(x, digits)",
        build=_decimal,
        options=frozenset({"digits", "text"}),
    ),
    "boolean": Named(
        meaning="true or false; with {text: left|right} that side holds it as text",
        law="back(to(x)) == x",
        build=_boolean,
        options=frozenset({"text"}),
    ),
    "enum": Named(
        meaning="word for word: {left: right, ...}",
        law="back(to(x)) == x; with one right word for two left ones there is only one direction",
        build=_enum,
    ),
    "first": Named(
        meaning="the first item of a list, or nothing for an empty one",
        law="forward only",
        build=_first,
        one_way=True,
    ),
}
"""The whole set, by name."""
