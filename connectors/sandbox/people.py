"""Made-up people of a company in Norway, the same for the same seed; their names use what letters there are."""

from __future__ import annotations

import random

from msgspec import Struct

_GIVEN = (
    "Kari",
    "Ole",
    "Åse",
    "Bjørn",
    "Máret",
    "Łukasz",
    "Zoë",
    "Søren",
    "Þóra",
    "Nguyễn",
    "Özlem",
    "Jean-Luc",
    "李娜",
)
_FAMILY = (
    "Nordmann",
    "Ødegård",
    "Sæther",
    "Čáhppe",
    "Wiśniewski",
    "O'Hara",
    "Müller",
    "Håkonsen",
    "Đặng",
    "Brænd",
    "Ås",
)
_PLAIN = str.maketrans("æøåéöüłśćđčáíóþðëễạặ'", "eoaeoulscdcaiotdeeaa ")


class Person(Struct, frozen=True):
    """One person, with a phone number as people write it."""

    given: str
    family: str
    email: str
    phone: str


def people(count: int, seed: int) -> tuple[Person, ...]:
    """Make up so many people."""
    chance = random.Random(seed)  # noqa: S311 - chance to be repeated, not to be safe
    return tuple(_person(chance, number) for number in range(count))


def _person(chance: random.Random, number: int) -> Person:
    given, family = chance.choice(_GIVEN), chance.choice(_FAMILY)
    plain = "".join(letter for letter in given.lower().translate(_PLAIN) if letter.isascii() and letter.isalpha())
    phone = f"9{chance.randrange(10)} {chance.randrange(100):02d} {chance.randrange(100):02d} {number % 100:02d}"
    return Person(given, family, f"{plain or 'post'}.{number}@firma.example", phone)
