"""All statements, played through Prism: every request that our connectors make, and every answer of our sandboxes,
is as the vendor's own OpenAPI file has it. And the validator was awake: every field of every body that is written is
tried with rubbish, and so is an answer; each must be reported.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from connectors.sandbox.run import Sandbox, serve
from connectors.sandbox.server import PERSON
from stream.qa.checklist import LATEST
from stream.qa.run import tried
from stream.qa.stand import sandboxed
from tests.fidelity.files import FILES, HOSTS, WRITES, Body, bodies, made, template
from tests.fidelity.prism import MISSING, Prism, proxied

pytestmark = [pytest.mark.skipif(bool(MISSING), reason=MISSING), pytest.mark.timeout(400)]

TOPICS = Path(__file__).parents[2] / "topics.yaml"


def small() -> dict[str, Any]:
    """Ids that Node can hold: PowerOffice Go's have 64 bits, and Prism writes every number anew."""
    return {"ids": count(1_000)}


@asynccontextmanager
async def before(kind: str, box: Sandbox, folder: Path) -> AsyncIterator[tuple[Prism, str]]:
    """Prism before a sandbox, and the address to call."""
    whole = kind in HOSTS
    async with proxied(made(kind, folder), box.origin if whole else box.url) as prism:
        yield prism, prism.url + (box.system.prefix if whole else "")


def overtaken(box: Sandbox) -> set[str]:
    """The paths at which a person wrote between our reading and our own write: who is overwritten so, nobody can tell.

    docs/guarantees.md says when that may happen; Prism makes the moment long.
    """
    found, typed, looked = set(), set[str](), set[str]()
    for one in box.world.exchanges or ():
        ours = PERSON not in str(one.headers)
        if ours and one.method == "GET":
            looked.add(one.path)
            typed.discard(one.path)
        elif not ours and one.method != "GET" and one.path in looked:
            typed.add(one.path)
        elif ours and one.path in typed:
            found.add(one.path)
    return found


async def test_all_statements_by_the_book(tmp_path: Path) -> None:
    """Of two edits the latest wins, unless the sandbox has seen that it was made between our reading and our write."""
    proxies: dict[str, Prism] = {}
    async with AsyncExitStack() as stack:

        async def door(name: str, kind: str, box: Sandbox) -> str:
            if kind not in FILES:
                return box.url
            proxies[kind], url = await stack.enter_async_context(before(kind, box, tmp_path))
            return url

        async with sandboxed(TOPICS, tmp_path, patience=40.0, door=door, options=small(), record=True) as stand:
            found = await tried(stand, stand.topology.flows.flows.values(), lambda _: None)
            races = {name: overtaken(box) for name, box in stand.sandboxes.items()}
    failed = [line for each in found.statements for line in each.results if line.verdict == "failed"]
    overwritten = [line for line in failed if line.check == LATEST]
    assert len(overwritten) <= sum(map(len, races.values())), (overwritten, races)
    assert [line for line in failed if line not in overwritten] == []
    assert proxies.keys() == FILES.keys()
    for kind, prism in proxies.items():
        assert prism.violations == [], kind
        written = {template(kind, *call.split(" ", 1)) for call in prism.calls} & set(bodies(kind))
        assert len(written) >= 3, written
        assert written <= WRITES[kind], "a write that is not tried with rubbish below"


class Caller:
    """Calls a sandbox through Prism, and says what Prism has to say about it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def said(self, method: str, path: str, body: Body | None = None) -> list[str]:
        headers = {} if body is None else {"Content-Type": body.media}
        data = None if body is None else orjson.dumps(body.value)
        async with self._session.request(method, self._url + path, data=data, headers=headers) as answer:
            return [place(each["location"]) for each in orjson.loads(answer.headers.get("sl-violations", "[]"))]


def place(parts: list[str]) -> str:
    return ".".join(parts)


SHOWN = {
    "asana": ("task", "/tasks", "gid", "name"),
    "powerofficego": ("customers", "/v2/Customers", "Id", "Name"),
    "trello": ("card", "/cards", "id", "name"),
}
"""Where a record is that is spoilt: its table, its path, its id, a text of it."""


@pytest.mark.parametrize("kind", sorted(FILES))
async def test_the_validator_is_awake(kind: str, tmp_path: Path) -> None:
    """A validator that cannot read a schema accepts everything in silence; so all of it is tried."""
    assert set(bodies(kind)) >= WRITES[kind]
    async with AsyncExitStack() as stack:
        box = await serve(kind, count=5, options=small())
        stack.push_async_callback(box.close)
        prism, _ = await stack.enter_async_context(before(kind, box, tmp_path))
        session = await stack.enter_async_context(aiohttp.ClientSession(headers=box.door.headers(box.token)))
        caller = Caller(session, prism.url)

        slept = []
        tried_ = [(*call, body) for call in sorted(WRITES[kind]) for body in bodies(kind)[call]]
        for method, path, body in tried_:
            wrong = place(["request", "body", *body.field])
            said = await caller.said(method, path.replace("{", "").replace("}", ""), body)
            if not any(each == wrong or each.startswith(f"{wrong}.") for each in said):
                slept.append((method, path, body.value, said))
        assert slept == []
        assert {call[:2] for call in tried_} == WRITES[kind], "a body without a field that has a type"
        assert await caller.said("get", "/nonsense") == ["request"]

        type, path, id, name = SHOWN[kind]
        row = box.system.tables[type].rows()[0]  # type: ignore[attr-defined]
        assert await caller.said("get", f"{path}/{row.record[id]}") == []
        row.record = {**row.record, name: {"wrong": 5}}
        assert any(f".{name}" in each for each in await caller.said("get", f"{path}/{row.record[id]}"))

        await prism.until(lambda heard: "response.body" in " ".join(heard.violations))
        assert len(prism.violations) > len(tried_)
