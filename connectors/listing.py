"""Lists of a declared system, page by page: what is asked, and what a page is believed to be.

A list below other records is read parent by parent: a page of parents first, then the list of each of them, and so on
to the last page of parents. All of that is in the state of a page, so it can be gone on with by anybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

import orjson
from msgspec import Struct

from connectors.declaration import Declaration, Operation, Parent, Type
from connectors.errors import BadAnswer, Missing, Refused
from connectors.fields import ABSENT, pick
from connectors.http import Client
from connectors.paging import Seen, advance, ask
from connectors.proofreading import PLACEHOLDER
from connectors.records import kind, sorted_out
from connectors.wire import Answer, Request

State: TypeAlias = dict[str, Any]
Pairs: TypeAlias = tuple[tuple[str, str], ...]

_SHOWN = 500


class Listed(Struct, frozen=True, kw_only=True):
    """A page: the answer, its items, whose list it is, and the state for the next page."""

    answer: Answer
    items: list[Any]
    parent: str | None = None
    following: State | None = None


def request(  # noqa: PLR0913 - a request has these parts
    operation: Operation,
    method: str,
    values: Mapping[str, str],
    *,
    query: Pairs = (),
    body: Any = None,
    headers: Pairs = (),
    one: bool = True,
) -> Request:
    """Make a request of an operation, with the values in its places. Raises Refused for an id that is a way."""
    own = tuple((name, filled(text, values)) for name, text in operation.query.items())
    return Request(
        method=operation.method or method,
        path=filled(operation.path, {name: _segment(name, value) for name, value in values.items()}),
        query=(*own, *query),
        body=body,
        encoding=operation.body,
        headers=headers,
        one=one,
        success=frozenset(operation.success),
    )


def filled(text: str, values: Mapping[str, str]) -> str:
    """Put values where their names stand in braces; what is no name stays."""
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def _segment(name: str, value: str) -> str:
    if value in {"", ".", ".."}:
        raise Refused(f"{name}: found {value!r}; an id that can stand in an address would be right")
    return quote(value, safe="")


class Lists:
    """The lists of one system. ``values`` are its own settings, by name."""

    def __init__(self, declaration: Declaration, client: Client, values: Mapping[str, str]) -> None:
        self._declaration = declaration
        self._client = client
        self._values = values

    async def page(self, type: str, state: State | None, extra: Pairs) -> Listed:
        """Read one page; below other records that may be a page of those, which brings nothing yet."""
        said = self._declaration.types[type]
        if said.parent is None:
            return await self._page(said, state, extra, self._values)
        at = state or {"above": None, "ids": None}
        if not at["ids"]:
            return await self._parents(said.parent, at)
        parent, *others = at["ids"]
        values = {**self._values, said.parent.field: parent}
        try:
            listed = await self._page(said, at.get("page"), extra, values)
        except Missing:  # the parent was deleted meanwhile
            listed = Listed(answer=_NOTHING, items=[])
        if listed.following is not None:
            after: State | None = {**at, "page": listed.following}
        elif others or at["above"] is not None:
            after = {"above": at["above"], "ids": others}
        else:
            after = None
        return Listed(answer=listed.answer, items=listed.items, parent=parent, following=after)

    async def _parents(self, parent: Parent, at: State) -> Listed:
        said = self._declaration.types[parent.type]
        listed = await self._page(said, at["above"], (), self._values)
        entities, _, rejected = sorted_out(parent.type, said, listed.items, None, self._declaration.zone)
        if rejected:
            raise BadAnswer(f"{rejected[0].reason}; what is below it cannot be read", body=rejected[0].body)
        ids = [entity.id for entity in entities]
        more = ids or listed.following is not None
        after: State | None = {"above": listed.following, "ids": ids} if more else None
        return Listed(answer=listed.answer, items=[], following=after)

    async def _page(self, said: Type, state: State | None, extra: Pairs, values: Mapping[str, str]) -> Listed:
        paging = said.paging or self._declaration.paging
        address, pairs = ask(paging, state)
        if address is None:
            wanted = request(said.list, "GET", values, query=(*extra, *pairs), one=said.parent is not None)
        else:
            wanted = Request(method="GET", path=address)
        try:
            answer = await self._client.call(wanted)
        except Missing as error:
            if said.parent is not None:
                raise
            raise BadAnswer(f"{said.list.path}: found no list ({error}); check url and path") from None
        items = _items(said.list, answer)
        ids = [_name(said, item) for item in items]
        digest = hashlib.blake2b(orjson.dumps(ids or answer.body), digest_size=9).hexdigest()
        times = [str(pick(item, said.updated.field)) for item in items] if said.updated is not None else []
        seen = Seen(ids=ids, times=times, body=answer.body, headers=answer.headers, digest=digest)
        following = advance(paging, state, seen)
        if following is not None and paging.kind == "link":
            following["next"] = self._client.link(answer, str(following["next"]))
        return Listed(answer=answer, items=items, following=following)


_NOTHING = Answer(status=404, headers={}, body=None, url="")


def _items(operation: Operation, answer: Answer) -> list[Any]:
    """Answer the list in an answer; no body is an empty list only where that is said."""
    if answer.body is None and answer.status in operation.empty:
        return []
    items = pick(answer.body, operation.record)
    if answer.body is None or not isinstance(items, list):
        found = "no body" if answer.body is None else kind(items)
        raise BadAnswer(
            f"{operation.path}: found {found} at {operation.record or 'the top'}; a list would be right",
            body=orjson.dumps(answer.body)[:_SHOWN],
        )
    return items


def _name(said: Type, item: Any) -> str:
    """Tell an item of a list from others: by its id, or by all of it."""
    name = pick(item, said.id.field)
    if name is ABSENT or name is None or isinstance(name, dict | list):
        return hashlib.blake2b(orjson.dumps(item), digest_size=9).hexdigest()
    return str(name)
