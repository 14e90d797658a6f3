"""The reference of topics.yaml as Markdown, drawn from its schema and the connectors' settings.

``python -m stream.cli.settings`` prints it. A section is a table of what may stand in one place of the file; what is a
mapping of its own has a section below.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connectors.registry import BUILT_IN, settings_of
from connectors.settings import COMMON
from stream.configuration.written import schema

HEAD = """\
# topics.yaml

Everything that may stand in the file, drawn from its schema (`make reference`); `linkstream schema` prints the schema
itself, and an editor that reads the first line of [topics.yaml](../topics.yaml) completes and checks while one types.
`linkstream validate` says what is wrong in a file, with the line and what would be right; `linkstream config show` what
it comes to with its variables.

Outside of flows, `${NAME}` stands for a variable, `${NAME:-default}` for one that may be missing, and
`${file:/run/secrets/name}` for what a file holds; `$${` is `${`. Secrets must come in one of these ways. A duration is
a number with its unit: `500ms`, `30s`, `5m`, `24h`. What fields, conversions and conditions mean is told in
[fields](fields.md) and [conditions](conditions.md).
"""

SECTIONS = {
    "WrittenTopology": ("The file", ""),
    "WrittenBroker": ("broker", "Instead of an address in one line; see [Kafka](kafka.md)."),
    "WrittenWeb": ("web", "See [watching it](monitoring.md)."),
    "WrittenTraces": ("traces", "See [watching it](monitoring.md#traces)."),
    "WrittenSystem": ("systems.*", "Beside `connector` stand the settings of that connector; see below."),
    "WrittenTopic": ("topics.*", ""),
    "WrittenFlow": ("flows", "A list. Left is `from`, right is `to`."),
    "WrittenCreate": ("flows.create", "Where one word is not enough."),
    "WrittenField": ("flows.fields", "A list of pairs."),
    "WrittenAs": ("flows.fields.as", ""),
}
_SMALL = ("WrittenText", "WrittenDate", "WrittenDatetime", "WrittenNumber", "WrittenDecimal")


def reference() -> str:
    """The whole document."""
    every = schema()["$defs"]
    parts = [HEAD]
    for name, (title, more) in SECTIONS.items():
        about = [_cell(every[name]["description"]), more]
        if name == "WrittenAs":
            said = ", ".join(f"`{key}: {_options(every, key)}`" for key in every[name]["properties"] if key != "enum")
            about.append(f"In each, what is left out is as it is without: {said}.")
        parts.append(f"## {title}\n\n{' '.join(filter(None, about))}\n\n{_table(every, every[name])}\n")
    parts.append(
        "## Settings of the systems\n\nEvery connector has these, each a mapping; without them it keeps its own.\n"
    )
    parts.append(_settings(COMMON))
    for connector in BUILT_IN:
        own = {name: each for name, each in settings_of(connector, Path()).items() if name not in COMMON}
        parts.append(f"### {connector}\n\n{_settings(own)}")
    return "\n".join(parts)


def _table(every: Mapping[str, Any], struct: Mapping[str, Any]) -> str:
    rows = ["| setting | takes | without it | |", "|---|---|---|---|"]
    for name, field in struct["properties"].items():
        without = "must be there" if name in struct.get("required", ()) else _default(field)
        rows.append(f"| `{name}` | {_takes(every, field)} | {without} | {_cell(field.get('description', ''))} |")
    return "\n".join(rows)


def _takes(every: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    if "enum" in field:
        said = [f"`{word}`" for word in field["enum"] if word != ""]
    elif "anyOf" in field:
        said = [_takes(every, each) for each in field["anyOf"] if each.get("type") != "null"]
    elif "$ref" in field:
        struct = field["$ref"].rpartition("/")[2]
        title = SECTIONS[struct][0] if struct in SECTIONS else ""
        said = [f"[{title}](#{_anchor(title)})" if title else f"`{_shape(every[struct])}`"]
    elif "prefixItems" in field:
        said = ["a pair"]
    elif "items" in field:
        said = [f"a list: {_takes(every, field['items'])}"]
    elif isinstance(field.get("additionalProperties"), dict):
        said = [f"by name: {_takes(every, field['additionalProperties'])}"]
    else:
        said = [_plain(field)]
    return (", " if "enum" in field else " or ").join(dict.fromkeys(said))


def _plain(field: Mapping[str, Any]) -> str:
    least, most = field.get("minimum"), field.get("maximum")
    limits = f", {least} to {most}" if most is not None else f", at least {least}" if least is not None else ""
    kind = {"boolean": "`true`, `false`", "integer": "a whole number", "number": "a number"}.get(field["type"], "text")
    return "a duration" if "30s" in field.get("examples", ()) else f"{kind}{limits}"


def _shape(struct: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: ..." for name in struct["properties"]) + "}"


def _options(every: Mapping[str, Any], key: str) -> str:
    return _shape(every[every["WrittenAs"]["properties"][key]["$ref"].rpartition("/")[2]])


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    return "" if value in (None, "", [], {}) else f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _settings(settings: Mapping[str, Any]) -> str:
    rows = ["| setting | | |", "|---|---|---|", *_rows(settings)]
    return "\n".join(rows) + "\n"


def _rows(settings: Mapping[str, Any]) -> Iterator[str]:
    for name, each in settings.items():
        must = ", ".join(word for word, is_so in (("must be there", each.required), ("secret", each.secret)) if is_so)
        yield f"| `{name}` | {must} | {_cell(each.about)} |"


def _cell(text: str) -> str:
    plain = re.sub(r"\s+", " ", text)
    return plain.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def _anchor(title: str) -> str:
    """The name that Markdown gives a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")


if __name__ == "__main__":
    sys.stdout.write(reference())
