"""A declaration in plain words: what will be asked, when a list ends, how surely a create is made once. Pure.

Whoever writes a declaration reads here what was understood, which is not always what was meant.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from connectors.declaration import Declaration, Field, FromSetting, Operation, Type
from connectors.paging import Paging, stops
from connectors.records import nested, traits

Words: TypeAlias = list[tuple[str, str]]
"""What is said, under what."""

SURE: Mapping[int, str] = {
    1: "once, the system keeps one record for our mark",
    2: "once, the system remembers a key",
    3: "once, our mark is looked up",
    4: "once, our mark is looked up after a while",
    5: "once, unless an answer is lost: then a person must look",
}
_METHODS = {"list": "GET", "read": "GET", "create": "POST", "update": "PATCH", "delete": "DELETE"}
_STOPS = {
    "empty": "a page is empty",
    "short": "a page is not full",
    "total": "all that it counts were seen",
    "no more": "it says that there is no more",
    "missing next": "nothing leads on",
}


def schema_text() -> str:
    """The language as JSON Schema (2020-12), as it stands in ``schema/connector.schema.json``."""
    made = msgspec.json.schema(Declaration)
    for struct in made["$defs"].values():
        struct["description"] = inspect.cleandoc(struct.get("description", ""))
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "a declaration of a system", **made}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def system_words(said: Declaration) -> Words:
    """Say how the system is reached."""
    words = [("address", said.url or "the setting url"), ("login", _login(said))]
    if said.headers:
        named = (
            f"{name} from the setting {value.setting}" if isinstance(value, FromSetting) else f"{name}: {value}"
            for name, value in said.headers.items()
        )
        words.append(("headers", "; ".join(named)))
    if said.settings:
        words.append(("settings", "; ".join(f"{name}: {about}" for name, about in said.settings.items())))
    limits = [f"{count} requests in {seconds:g} s" for count, seconds in said.limits.windows]
    at_once = f"{said.limits.reads} reads and {said.limits.writes} writes at once"
    words.append(("limits", "; ".join(["at most " + ", ".join(limits)] * bool(limits) + [at_once])))
    if said.zone != "UTC":
        words.append(("times", f"without an offset are those of {said.zone}"))
    meanings = {name: each for name, each in msgspec.structs.asdict(said.statuses).items() if each}
    if meanings:
        words.append(
            ("statuses", "; ".join(f"{', '.join(map(str, each))} means {name}" for name, each in meanings.items()))
        )
    return [*words, *(("unverified", each) for each in said.unverified)]


def type_words(said: Declaration, name: str) -> Words:
    """Say what is done with one entity type."""
    type_ = said.types[name]
    return [(label, text) for label, text in _type_words(said, type_) if text]


def table(said: Declaration) -> list[dict[str, str]]:
    """One line for each entity type."""
    facts = traits(said)
    return [
        {
            "type": name,
            "reads": "what changed" if type_.since else "whole lists",
            "in": _pages(type_.paging or said.paging),
            "creates": f"class {facts[name].create}" if type_.create else "no",
            "updates": _updates(type_, short=True) if type_.update else "no",
            "removes": ", ".join(sorted(facts[name].remove)) or "no",
            "writable": "everything" if type_.writable is None else str(len(type_.writable)),
            "assumes": str(len(type_.unverified)),
        }
        for name, type_ in said.types.items()
    ]


def _login(said: Declaration) -> str:
    auth = said.auth
    match auth.kind:
        case "none":
            return "none"
        case "bearer":
            return f"the token in the setting {auth.setting}"
        case "basic":
            return f"the user in the setting {auth.user}, the password in {auth.setting}"
        case "header" | "query":
            return f"the key in the setting {auth.setting}, as the {auth.kind}'s {auth.name}"
        case "oauth2":
            by = f"the refresh token in {auth.refresh}" if auth.refresh else "client credentials"
            named = f"{auth.client} and {auth.setting} in the {auth.place}"
            return f"access tokens from {auth.token} by {by}, with the settings {named}; renewed ahead"


def _type_words(said: Declaration, type_: Type) -> Iterator[tuple[str, str]]:
    paging = type_.paging or said.paging
    parent = f" for each {type_.parent.type}" if type_.parent else ""
    yield "lists", f"{_request('list', type_.list)}{parent}; records at {type_.list.record or 'the top'}"
    yield "pages", _pages_in_words(paging)
    yield "changes", _changes(type_)
    yield "one", f"{_request('read', type_.read)}; the record at {type_.read.record or 'the top'}"
    whose = f"{type_.parent.field} of its parent and " if type_.parent and nested(type_) else ""
    yield "id", f"{whose}{type_.id.field}, {_a(type_.id.type)}"
    yield "deleted", _deleted(type_)
    yield "mark", _mark(type_)
    if type_.create is not None:
        yield "create", f"{_request('create', type_.create)}{_body(type_.create)}; needs {_names(type_.required)}"
    if type_.update is not None:
        yield "update", f"{_request('update', type_.update)}{_body(type_.update)}; {_updates(type_)}"
    if type_.delete is not None:
        yield "delete", _request("delete", type_.delete)
    if type_.archive:
        yield "archive", "by writing " + ", ".join(f"{path} = {value!r}" for path, value in type_.archive.items())
    yield "fields", ", ".join(f"{path} ({_of(each)})" for path, each in type_.fields.items()) or "whatever comes"
    yield "writable", "everything" if type_.writable is None else _names(type_.writable)
    if type_.nulls == "omit":
        yield "empty", "a field cannot be emptied"
    for each in type_.unverified:
        yield "unverified", each


def _request(key: str, operation: Operation) -> str:
    query = "&".join(f"{name}={value}" for name, value in operation.query.items())
    return f"{operation.method or _METHODS[key]} {operation.path}{'?' if query else ''}{query}"


def _body(operation: Operation) -> str:
    wrap = f" under {operation.wrap}" if operation.wrap else ""
    back = {"record": "", "id": "; answered with an id, read back", "nothing": "; answered with nothing, read back"}
    kind = {"json": "JSON", "form": "a form", "json patch": "a JSON Patch", "merge patch": "a merge patch"}
    return f" with {kind[operation.body]}{wrap}{back[operation.returns]}"


def _pages(paging: Paging) -> str:
    return "one answer" if paging.kind == "none" else f"{paging.kind}, {paging.size} a page"


def _pages_in_words(paging: Paging) -> str:
    if paging.kind == "none":
        return "everything comes in one answer"
    size = f"{paging.size} at a time, asked for by {paging.limit}" if paging.limit else f"{paging.size} at a time"
    ends = " or ".join(_STOPS[rule] for rule in stops(paging))
    how = {
        "offset": f"by offset in {paging.position or 'offset'}",
        "page": f"by number in {paging.position or 'page'}",
        "cursor": f"by the cursor at {paging.next}, sent as {paging.position or 'cursor'}",
        "link": f"by the link at {paging.next or 'the header Link'}",
        "last id": f"by the last id, sent as {paging.position or 'after'}",
    }
    return f"{how[paging.kind]}, {size}, until {ends}"


def _changes(type_: Type) -> str:
    if type_.since is None:
        return "the whole list in every round; what is the same as before is passed over"
    since, field = type_.since, type_.updated.field if type_.updated else ""
    edge = "later than" if since.bound == "exclusive" else "at or later than"
    return f"{since.parameter} asks for what changed {edge} the newest {field} seen, less {since.overlap:g} s"


def _deleted(type_: Type) -> str:
    if type_.deleted is None:
        return "absence is no deletion; a record that is gone is asked for twice"
    value = "set" if type_.deleted.value is None else f"{type_.deleted.value!r}"
    return f"a record whose {type_.deleted.field} is {value}"


def _mark(type_: Type) -> str:
    marker = type_.marker
    if type_.create is None and marker is None:
        return ""
    sure = f"class {_class(type_)}: a create is made {SURE[_class(type_)]}"
    if marker is None:
        new = "; what was created since is looked through first" if type_.created and not type_.key else ""
        return f"none; {sure}{new}"
    where = {"line": f"the last line of {marker.field}", "code": f"a code in {marker.field}"}.get(
        marker.kind, f"{marker.field}, which is ours"
    )
    by = f"by the parameter {marker.filter}" if marker.filter else "by reading the list"
    late = f", surely after {marker.settle:g} s" if marker.settle else ""
    return f"{where}; found {by}{late}; {sure}"


def _class(type_: Type) -> int:
    if type_.create is not None and "{marker}" in type_.create.path:
        return 1
    if type_.key is not None:
        return 2
    return 5 if type_.marker is None else 4 if type_.marker.settle else 3


def _updates(type_: Type, *, short: bool = False) -> str:
    whole = "all that is writable" if type_.update and type_.update.whole else "what changes"
    after = {"read": ", read again first", "test": ", read again first and tested by the patch", "never": ""}
    return whole if short else whole + after[type_.compare]


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"


def _of(each: Any) -> str:
    return "|".join(map(str, each.of)) or each.type if isinstance(each, Field) else str(each)


def _a(type_: str) -> str:
    return {"string": "text", "integer": "a number"}[type_]
