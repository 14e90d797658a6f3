"""Property pairs for a statement whose table is empty: only those that can hardly be anything else.

Fields are paired when both sides' connectors tell that they exist, and both are names for one thing: equal, or in one
line of the table below. Each field is used once. A day and a moment are put into each other's words. Whatever a person
would have to think about - a status, an amount, a reference - is left to a person.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct

from connectors.endpoint import Traits
from stream.configuration.flows import writable

_As = Literal["same", "text", "date"]


class Meaning(Struct, frozen=True):
    """One thing, the names that systems have for it, the best first, and how it is put into the other side's words."""

    names: tuple[str, ...]
    conversion: _As = "same"
    names_it: bool = False
    """Whether two records that agree in it are taken for the same one."""


def _meaning(names: str, conversion: _As = "same", *, names_it: bool = False) -> Meaning:
    return Meaning(tuple(names.split()), conversion, names_it)


MEANINGS: Final = (
    _meaning("displayName fullName name title Name", names_it=True),
    _meaning("description notes desc Description", "text"),
    _meaning("due_on dueDate due endDate EndDate", "date"),
    _meaning("start_on startDate start StartDate", "date"),
    _meaning("email emailAddress EmailAddress"),
    _meaning("website websiteUrl WebsiteUrl", "text"),
    _meaning("orgNo organizationNumber OrganizationNumber"),
    _meaning("givenName firstName FirstName"),
    _meaning("familyName lastName LastName"),
    _meaning("phone phoneNumber PhoneNumber", "text"),
)

_MOMENTS: Final = frozenset(("due", "start"))
"""Fields that hold a moment where others of the same meaning hold a day."""


class Proposed(Struct, frozen=True):
    """A pair of ours."""

    left: str
    right: str
    conversion: Any
    names_it: bool


def proposals(left: Traits | None, right: Traits | None) -> list[Proposed]:
    """The pairs for two types, as far as both tell their fields."""
    if left is None or right is None or not left.fields or not right.fields:
        return []
    found = []
    for meaning in MEANINGS:
        one, other = _field(meaning, left), _field(meaning, right)
        if one is not None and other is not None and (writable(left, one) or writable(right, other)):
            found.append(Proposed(one, other, _conversion(meaning.conversion, one, other), meaning.names_it))
    return found


def _field(meaning: Meaning, traits: Traits) -> str | None:
    known = traits.fields or frozenset()
    there = [name for name in meaning.names if name in known]
    return next((name for name in there if writable(traits, name)), there[0] if there else None)


def _conversion(conversion: _As, left: str, right: str) -> Any:
    if conversion != "date" or (left in _MOMENTS) == (right in _MOMENTS):
        return conversion if conversion != "date" or left not in _MOMENTS else "datetime"
    return {"date": {"time": "left" if left in _MOMENTS else "right"}}
