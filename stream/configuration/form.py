"""Whether a file has the form of ``written``; and if not, every place where it has not.

A right file is read by msgspec alone, in a millisecond. Only a wrong one is looked through by jsonschema, which finds
all mistakes and not the first. What is right in a wrong file is read all the same, so that it can be checked too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec

from connectors.document import Path
from stream.configuration.report import Report, near
from stream.configuration.written import (
    WrittenFlow,
    WrittenSystem,
    WrittenTopic,
    WrittenTopology,
    WrittenTraces,
    WrittenWeb,
    schema,
)

T = TypeVar("T")

_SPOKEN = {"object": "a mapping", "array": "a list", "string": "a text", "null": "nothing", "boolean": "true or false"}


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What is right in a file. Names that are written but wrong are in the ``...named`` sets only."""

    broker: str
    partitions: int
    resync: str
    web: WrittenWeb | None
    traces: WrittenTraces | None
    systems: dict[str, WrittenSystem]
    topics: dict[str, WrittenTopic]
    flows: dict[int, WrittenFlow]
    systems_named: frozenset[str]
    topics_named: frozenset[str]
    complete: bool


def read_form(value: Any, report: Report) -> Parts:
    """Read a file's value; what has not the right form goes to the report."""
    try:
        written = msgspec.convert(value, WrittenTopology)
    except msgspec.ValidationError:
        if not complain(value, schema(), report):
            report.add((), "found a value of the wrong kind; the form that `linkstream schema` prints would be right")
        return _salvaged(value)
    return Parts(
        broker=written.broker if isinstance(written.broker, str) else written.broker.url,
        partitions=written.partitions,
        resync=written.resync,
        web=written.web,
        traces=written.traces,
        systems=written.systems,
        topics={name: topic or WrittenTopic() for name, topic in written.topics.items()},
        flows=dict(enumerate(written.flows)),
        systems_named=frozenset(written.systems),
        topics_named=frozenset(written.topics),
        complete=True,
    )


def _salvaged(value: Any) -> Parts:
    top = value if isinstance(value, dict) else {}
    systems = _mapping(top.get("systems"))
    topics = _mapping(top.get("topics"))
    flows = top.get("flows")
    return Parts(
        broker="",
        partitions=1,
        resync="24h",
        web=None,
        traces=None,
        systems=dict(_sound(systems.items(), WrittenSystem)),
        topics=dict(_sound(((name, topic or {}) for name, topic in topics.items()), WrittenTopic)),
        flows=dict(_sound(enumerate(flows if isinstance(flows, list) else ()), WrittenFlow)),
        systems_named=frozenset(systems),
        topics_named=frozenset(topics),
        complete=False,
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _sound(items: Any, type: type[T]) -> Iterator[tuple[Any, T]]:
    for name, item in items:
        try:
            yield name, msgspec.convert(item, type)
        except msgspec.ValidationError:
            continue


def complain(value: Any, form: Mapping[str, Any], report: Report, at: Path = ()) -> int:
    """Tell everything in which a value at a path has not the form that a JSON Schema asks for."""
    import jsonschema  # noqa: PLC0415 - 12 MB that only a wrong file needs

    errors = list(jsonschema.Draft202012Validator(form).iter_errors(value))
    for error in errors:
        _tell(error, report, at)
    return len(errors)


def _tell(error: Any, report: Report, at: Path) -> None:
    path: Path = (*at, *error.absolute_path)
    if report.unknown(path):
        return
    match error.validator:
        case "anyOf":
            _tell_meant(error, report, at)
        case "additionalProperties":
            known = error.schema.get("properties", {})
            for name in sorted(error.instance.keys() - known.keys()):
                report.add((*path, name), _unknown(name, set(known) - error.instance.keys()), key=True)
        case "required":
            for name in [name for name in error.validator_value if name not in error.instance]:
                report.add(path, f"found no {name!r}; one would be right", key=True)
        case "pattern" | "maxLength":
            _tell_text(error, report, path)
        case _:
            report.add(path, f"found {report.shown(path, error.instance)}; {_right(error)} would be right")


def _right(error: Any) -> str:
    wanted = error.validator_value
    match error.validator:
        case "enum":
            return near(str(error.instance), [word for word in wanted if isinstance(word, str)])
        case "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            return " or ".join(_SPOKEN.get(kind, f"a value of type {kind}") for kind in kinds)
        case limit:
            return _LIMITS.get(limit, f"{limit} {{}}").format(wanted)


_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "a text that is not empty",
    "minProperties": "at least {} pair",
    "minItems": "{} items",
    "maxItems": "{} items",
    "items": "fewer items",
}


_NOT_YET = {
    "scope": "what is read of a type is said in the settings of its system, so those",
}


def _unknown(name: str, known: set[str]) -> str:
    if name in _NOT_YET:
        return f"found {name!r}; {_NOT_YET[name]} would be right"
    return f"found {name!r:.80}; {near(name, known)} would be right"


def _tell_text(error: Any, report: Report, path: Path) -> None:
    """A text of the wrong form; where it is a key, the path leads to the mapping around it."""
    is_key = "propertyNames" in error.absolute_schema_path
    at = (*path, error.instance) if is_key else path
    found = repr(error.instance)[:80] if is_key else report.shown(path, error.instance)
    examples = error.schema.get("examples")
    right = (
        f"a duration as {', '.join(examples)}"
        if examples
        else _forms().get(error.schema.get("pattern"), "another text")
    )
    report.add(at, f"found {found}; {right} would be right", key=is_key)


@cache
def _forms() -> Mapping[str, str]:
    """Patterns of the form in words; of the schema, which takes a while to draw and only a wrong file needs."""
    every = schema()["$defs"]
    top, field = every["WrittenTopology"]["properties"], every["WrittenField"]["properties"]
    return {
        top["systems"]["propertyNames"]["pattern"]: "a name of letters, digits, - and _",
        top["topics"]["propertyNames"]["pattern"]: "<system>.<type>",
        every["WrittenWeb"]["properties"]["listen"]["pattern"]: "an address with its port, as 127.0.0.1:8900,",
        every["WrittenTraces"]["properties"]["to"]["pattern"]: "an address as http://127.0.0.1:4318/v1/traces",
        every["WrittenFlow"]["properties"]["name"]["pattern"]: "a name of letters, digits, -, _, . and ~",
        field["to"]["pattern"]: "a path as address.city",
    }


def _tell_meant(error: Any, report: Report, at: Path) -> None:
    """Of alternatives, tell what is wrong with the one that was meant."""
    here = len(error.absolute_path)
    kinds = ("type", "enum") if isinstance(error.instance, dict | list) else ("type",)
    meant = [inner for inner in error.context if len(inner.absolute_path) > here or inner.validator not in kinds]
    for inner in meant:
        _tell(inner, report, at)
    if not meant:
        path = (*at, *error.absolute_path)
        wanted = dict.fromkeys(_SPOKEN.get(str(inner.validator_value), "a name") for inner in error.context)
        report.add(path, f"found {report.shown(path, error.instance)}; {' or '.join(wanted)} would be right")
