"""Our marker in a field that was made for something else: the last line of a text, a code, a slug. Pure.

In a text it stands below what the person wrote, as ``ref: <marker>``. A code or a slug takes few letters, and a
marker names a flow, an origin and two types on the way, so there it is packed, with a dictionary of the words that
markers are made of, and spelt in small letters and digits, which every such field takes. A marker that is too long
even so becomes its digest: the record is found by it, but does not say by itself whose it is.

The dictionary is part of what stands in customers' systems: it never changes; another one would get another head.
"""

from __future__ import annotations

import base64
import re
import zlib
from hashlib import blake2b
from urllib.parse import quote, unquote

_PACKED, _DIGEST = "ls1", "ls0"
_WORDS = (
    b"workspaces.teams.employees.contactpersons.activities.companies.contacts.organizations.members.actions.cards"
    b"crmoffice.customerp.employee~|customerp.contact~|asana.projects~asana.tasks~trello.organizations~trello.members~"
    b"trello.actions~trello.cards~powerofficego.departments~powerofficego.projects~powerofficego.customers|custompms.task:"
    b"custompms.customer:custompms.project:1234567890"
)
_MARK = re.compile(r"ls[01][a-z2-7]{2,}", re.IGNORECASE)
_LONGEST = 1_000
_REF = re.compile(r"(?:^|\n)ref: ([^\s|]+\|[^\s:]+:\S+)\s*\Z")
"""As markers are made: a flow, a bar, a type and an id. People write ``ref: 4711`` there, too, and that is theirs."""
_PARTS = re.compile(r"[\s%]")


def split(notes: str) -> tuple[str, str | None]:
    """Part notes into the person's text and our marker."""
    found = _REF.search(notes)
    return (notes[: found.start()], unquote(found[1])) if found else (notes, None)


def join(text: str, marker: str | None) -> str:
    """Put our marker below the person's text, as one word: an id may hold spaces."""
    if not marker:
        return text
    line = f"ref: {_PARTS.sub(lambda part: quote(part[0]), marker)}"
    return f"{text}\n{line}" if text else line


def short(marker: str, limit: int) -> str:
    """Spell a marker in at most so many letters of a-z and 0-9."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, _WORDS)
    packed = _PACKED + _letters(packer.compress(marker.encode()) + packer.flush())
    return packed if len(packed) <= limit else _DIGEST + _letters(blake2b(marker.encode(), digest_size=16).digest())


def long(text: object) -> str | None:
    """Read what ``short`` wrote, in whatever case; a digest stands for itself; ``None`` for what is none of ours."""
    if not isinstance(text, str) or not _MARK.fullmatch(text):
        return None
    head, letters = text[:3].lower(), text[3:].upper()
    if head == _DIGEST:
        return text.lower()
    try:
        data = base64.b32decode(letters + "=" * (-len(letters) % 8))
        packer = zlib.decompressobj(-15, _WORDS)
        marker = packer.decompress(data, _LONGEST).decode()
    except (ValueError, zlib.error):
        return None
    return marker if packer.eof and not packer.unused_data else None


def _letters(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()
