"""A declaration to begin with, for a system that no connector reads: its entity types and fields, as documents say.

Documents say nothing of addresses, paging or marks, so those are the usual ones, and every one of them is named among
what nobody has confirmed. A stub is never read by itself: a person fills it in and names it under systems. One that is
there already is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from stream.dataflow.known import Known
from stream.dataflow.plan import Planned, is_identifier
from stream.dataflow.words import is_path
from stream.dataflow.yaml import plain

_HEAD: Final = """\
# Begun by `linkstream import`: the entity types of {system}, and the fields that documents name. Paths, paging and
# marks are guesses. Fill it in, then name it in topics.yaml and import the documents once more:
#   systems:
#     {system}: {{connector: ./{system}.yaml, url: "${{{upper}_URL}}", token: "${{{upper}_TOKEN}}"}}
connector: {system}
auth: {{kind: bearer, secret: token}}
unverified: [everything in this file is a guess]
types:
"""
_TYPES: Final = {"integer": "integer", "boolean": "boolean"}


def stubs(planned: Iterable[Planned], known: Known) -> dict[str, str]:
    """The text of a declaration for every system that nothing reads, by the system's name."""
    systems: dict[str, dict[str, dict[str, str]]] = {}
    for flow in planned:
        for type, side in ((flow.left, "left"), (flow.right, "right")):
            system, _, short = type.partition(".")
            if known.of(type).kind is None:
                fields = systems.setdefault(system, {}).setdefault(short, {})
                for pair in flow.pairs:
                    path = pair.left if side == "left" else pair.right
                    if is_path(path):
                        fields.setdefault(path, "any" if is_identifier(path) else _TYPES.get(pair.conversion, "any"))
    return {
        system: _HEAD.format(system=system, upper=system.upper().replace("-", "_")) + _types(types)
        for system, types in systems.items()
    }


def _types(types: dict[str, dict[str, str]]) -> str:
    lines = []
    for name, fields in types.items():
        one = f'{{path: "/{name}/{{id}}"}}'
        lines += [f"  {name}:", f"    list: {{path: /{name}}}", f"    read: {one}", f"    create: {{path: /{name}}}"]
        lines += [f"    update: {one}"]
        lines += [
            "    fields:",
            "      id: string",
            *(f"      {plain(path)}: {kind}" for path, kind in sorted(fields.items()) if path != "id"),
        ]
    return "\n".join(lines) + "\n"
