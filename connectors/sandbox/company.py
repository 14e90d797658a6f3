"""A small made-up company in Norway: its customers, projects and tasks, the same for the same seed."""

from __future__ import annotations

import random
from datetime import date, timedelta

from msgspec import Struct

_PLACES = ("Tromsø", "Bodø", "Ålesund", "Førde", "Øygarden", "Hønefoss", "Røros", "Bærum", "Ås", "Mosjøen")
_TRADES = ("Bygg", "Fisk", "Rør", "Maskin", "Regnskap", "Møbler", "Skipsverft", "Kjøkken", "Eiendom", "Verksted")
_ENDINGS = ("AS", "ANS", "Samvirkelag", "& Sønner AS", "DA")
_WORKS = ("Ombygging", "Årsoppgjør", "Nytt tak", "Flytting", "Opplæring", "Kjøkkenøy", "Varmepumper", "Nettbutikk")
_VERBS = ("Ring", "Bestill", "Kontroller", "Fakturer", "Avtal møte med", "Lag tilbud til", "Følg opp", "Rydd hos")
_OBJECTS = ("byggeleder", "leverandør", "kommunen", "rørlegger", "elektriker", "regnskapsfører", "kunden", "naboen")
_NOTES = (
    "Husk å spørre om målene på døråpningen.",
    "Kunden ønsker «grønn» løsning, se vedlegg.",
    "Avtalt på møtet. Påminnelse uka før.",
    "Første utkast er sendt på e-post.\nSvar ventes innen fredag.",
    "",
)
_EPOCH = date(2026, 1, 5)


class Customer(Struct, frozen=True):
    """A customer, with a nine-digit organization number."""

    name: str
    number: str
    email: str
    notes: str


class Project(Struct, frozen=True):
    """A project for a customer, by the customer's place in the list."""

    name: str
    customer: int
    notes: str
    start: date
    end: date


class Task(Struct, frozen=True):
    """A task of a project, by the project's place in the list."""

    name: str
    project: int
    notes: str
    due: date | None
    done: bool


class Company(Struct, frozen=True):
    """All there is."""

    customers: tuple[Customer, ...]
    projects: tuple[Project, ...]
    tasks: tuple[Task, ...]


def company(tasks: int, seed: int) -> Company:
    """Make up a company with so many tasks; a project for each twenty, a customer for each two projects."""
    chance = random.Random(seed)  # noqa: S311 - chance to be repeated, not to be safe
    projects = max(1, tasks // 20) if tasks else 0
    customers = max(1, projects // 2) if tasks else 0
    return Company(
        tuple(_customer(chance, number) for number in range(customers)),
        tuple(_project(chance, number, customers) for number in range(projects)),
        tuple(_task(chance, number, projects) for number in range(tasks)),
    )


def _customer(chance: random.Random, number: int) -> Customer:
    name = f"{chance.choice(_PLACES)} {chance.choice(_TRADES)} {chance.choice(_ENDINGS)}"
    address = f"post{number}@{name.split(maxsplit=1)[0].lower().translate(str.maketrans('æøå', 'eoa'))}.example"
    return Customer(name, f"{910_000_000 + number * 37:09d}", address, chance.choice(_NOTES))


def _project(chance: random.Random, number: int, customers: int) -> Project:
    start = _EPOCH + timedelta(days=chance.randrange(200))
    name = f"{chance.choice(_WORKS)} {chance.choice(_PLACES)} {number + 1}"
    return Project(
        name,
        chance.randrange(customers),
        chance.choice(_NOTES),
        start,
        start + timedelta(days=chance.randrange(7, 120)),
    )


def _task(chance: random.Random, number: int, projects: int) -> Task:
    due = _EPOCH + timedelta(days=chance.randrange(330)) if chance.random() < 0.8 else None  # noqa: PLR2004
    name = f"{chance.choice(_VERBS)} {chance.choice(_OBJECTS)} ({number + 1})"
    return Task(name, chance.randrange(projects), chance.choice(_NOTES), due, chance.random() < 0.3)  # noqa: PLR2004
