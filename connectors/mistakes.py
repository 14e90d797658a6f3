"""What a JSON Schema finds wrong with a file of ours, told as *file:line:col: what was found; what would be right*.

A schema says little about what was meant. So alternatives are followed into the one that fits best, an unknown word
is answered with the nearest known one, and types have YAML's names.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.positions import Document


def against(schema: Mapping[str, Any], document: Document) -> list[str]:
    """List every mistake."""
    import jsonschema  # noqa: PLC0415 - only a wrong file needs it

    validator = jsonschema.Draft202012Validator(schema)
    return list(
        itertools.chain.from_iterable(_told(document, error) for error in validator.iter_errors(document.value))
    )


def nearest(name: str, known: Sequence[str]) -> str:
    """Say which known word would be right."""
    if not known:
        return "leaving it out"
    close = difflib.get_close_matches(name, known, n=1)
    return repr(close[0]) if close else f"one of {', '.join(known)}"


def _told(document: Document, error: Any) -> Iterator[str]:
    path = tuple(error.absolute_path)
    match error.validator:
        case "anyOf":
            yield from _best(document, error)
        case "additionalProperties":
            known = sorted(error.schema["properties"])
            for name in error.instance.keys() - known:
                yield f"{document.at((*path, name), key=True)}: found {name!r}; {nearest(name, known)} would be right"
        case "required":
            missing = error.message.split("'")[1]
            yield f"{document.at(path, key=True)}: found no {missing!r}; one would be right"
        case "enum":
            wanted = ", ".join(str(value) for value in error.validator_value)
            yield f"{document.at(path)}: found {_shown(error.instance)}; one of {wanted} would be right"
        case "type":
            yield f"{document.at(path)}: found {_shown(error.instance)}; {_kind(error.validator_value)} would be right"
        case "minimum" | "maximum":
            right = f"at {'least' if error.validator == 'minimum' else 'most'} {error.validator_value}"
            yield f"{document.at(path)}: found {error.instance}; {right} would be right"
        case "minLength" | "minItems" | "minProperties":
            yield f"{document.at(path)}: found nothing; at least {error.validator_value} would be right"
        case "pattern":
            right = error.schema.get("description") or f"text like {error.validator_value}"
            yield f"{document.at(path)}: found {_shown(error.instance)}; {right} would be right"
        case _:
            right = f"{error.validator} {error.validator_value}"
            yield f"{document.at(path)}: found {error.message}; {right} would be right"


def _best(document: Document, error: Any) -> Iterator[str]:
    path = tuple(error.absolute_path)
    meant = [inner for inner in error.context if inner.validator != "type" or len(inner.absolute_path) > len(path)]
    if meant:
        yield from itertools.chain.from_iterable(_told(document, inner) for inner in meant)
    else:
        wanted = " or ".join(dict.fromkeys(_kind(inner.validator_value) for inner in error.context))
        yield f"{document.at(path)}: found {_shown(error.instance)}; {wanted} would be right"


def _kind(name: str) -> str:
    """Name a type of JSON Schema in YAML's words."""
    return {"object": "a mapping", "array": "a list", "string": "text", "null": "nothing"}.get(name, name)


def _shown(value: Any) -> str:
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return repr(value)[:80]
