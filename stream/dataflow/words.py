"""How documents spell systems, entities and properties, and the names that topics.yaml has for them.

One system is written in several ways, in one file. So names are compared without case, blanks and punctuation, and a
system may be shortened. What cannot be a name in topics.yaml as it stands gets the nearest one that can, the same one
every time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from typing import Final

from msgspec import Struct

_LONGEST: Final = 40
_SHORTEST: Final = 3
"""Letters that a shortened system name has at least."""
_PATH: Final = re.compile(r"[^.~\s]+(\.[^.~\s]+)*")
_QUALIFIED: Final = re.compile(r"(.*?)\s*\(\s*(Depend[ae]nt on having\b.*)\)\s*", re.IGNORECASE)
_HAVING: Final = re.compile(r"Depend[ae]nt on having\b", re.IGNORECASE)
_CODE: Final = re.compile(r"\s*(\S*)\s+in(?:\s+(\S+))?\s*")


@cache
def squashed(text: str) -> str:
    """A name as it is compared: letters and digits only, small."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in folded if letter.isalnum())


def singular(name: str) -> str:
    """A squashed name without its plural."""
    for ending, instead in (("ies", "y"), ("ses", "s"), ("s", "")):
        if name.endswith(ending) and len(name) > len(ending) + 1:
            return name[: -len(ending)] + instead
    return name


def is_path(text: str) -> bool:
    """Whether a property's name can be a path in topics.yaml."""
    return len(text) <= 200 and _PATH.fullmatch(text) is not None  # noqa: PLR2004 - as FieldPath


@cache
def slug(name: str) -> str:
    """A name as topics.yaml takes it: letters, digits, ``-`` and ``_``, at most 40 of them."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.lower()) if not unicodedata.combining(c))
    made = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")
    sure = bool(made) and made[0].isalpha() and plain.isascii() and len(made) <= _LONGEST
    if sure:
        return made
    mark = sha256(squashed(name).encode()).hexdigest()[:6]
    return f"{('x' if not made[:1].isalpha() else '')}{made}"[: _LONGEST - 7].rstrip("-_") + f"-{mark}"


def without_system(name: str, system: str) -> tuple[int, str]:
    """What is left of an entity's name without its system's; and 2 if that was spelled out, 1 shortened, 0 absent."""
    wanted = squashed(system)
    words = name.split()
    best = (0, " ".join(words))
    if not wanted:
        return best
    for count in range(1, len(words)):
        start = squashed("".join(words[:count]))
        sure = 2 if start == wanted else 1 if _shortened(start, wanted, words[count - 1]) else 0
        if sure >= best[0] and sure and squashed("".join(words[count:])):
            best = (sure, " ".join(words[count:]))
    return best


def _shortened(start: str, wanted: str, last: str) -> bool:
    if len(start) >= _SHORTEST and wanted.startswith(start):
        return True
    # The other way round only with a mark between: Wix.com is Wix, but Wixen is not.
    return bool(start.startswith(wanted) and re.match(re.escape(wanted) + r"\W", last, re.IGNORECASE))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is meant: spelled the same, else the same but for a plural, if there is one only."""
    wanted = squashed(name)
    names = list(known)
    for spelled in (lambda each: each, singular):
        found = [each for each in names if spelled(squashed(each)) == spelled(wanted)]
        if len(found) == 1 and wanted:
            return found[0]
    return None


class Having(Struct, frozen=True):
    """A qualifier: the path must hold the code. Either may be missing."""

    code: str
    path: str


def qualified(cell: str) -> tuple[str, tuple[Having, ...], str]:
    """A property's name, its qualifiers without repetitions, and words among them that say neither code nor path."""
    cell = " ".join(cell.split())
    found = _QUALIFIED.fullmatch(cell)
    if found is None:
        return cell, (), ""
    having: dict[Having, None] = {}
    odd: list[str] = []
    for piece in _HAVING.split(found[2])[1:]:
        read = _CODE.fullmatch(piece)
        if read is None:
            odd.append(piece.strip())
        else:
            having[Having(read[1], read[2] or "")] = None
    return found[1], tuple(having), "; ".join(odd)
