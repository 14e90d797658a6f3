"""All statements, played through Prism: every request that our connectors make, and every answer of our sandboxes,
is as the vendor's own OpenAPI file has it. And the validator was awake: each operation that was used is tried with
rubbish, and must be reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from connectors.sandbox.run import SYSTEMS, Sandbox, serve
from stream.qa.run import tried
from stream.qa.stand import sandboxed
from tests.fidelity.prism import FILES, MISSING, SPECS, Prism, proxied

pytestmark = [pytest.mark.skipif(bool(MISSING), reason=MISSING), pytest.mark.timeout(400)]

TOPICS = Path(__file__).parents[2] / "topics.yaml"
VENDORS = sorted(FILES.keys() & SYSTEMS.keys())


async def test_all_statements_by_the_book(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        proxies: dict[str, Prism] = {}

        async def door(name: str, kind: str, box: Sandbox) -> str:
            if kind not in FILES:
                return box.url
            proxies[name] = await stack.enter_async_context(proxied(SPECS / FILES[kind], box.url))
            return proxies[name].url

        async with sandboxed(TOPICS, tmp_path, patience=40.0, door=door) as stand:
            found = await tried(stand, stand.topology.flows.flows.values(), lambda _: None)
    failed = [line for each in found.statements for line in each.results if line.verdict == "failed"]
    assert failed == []
    assert sorted(proxies) == VENDORS
    for name, prism in proxies.items():
        assert prism.requests > 50, name
        assert Counter(prism.violations) == {}, name


@pytest.fixture(params=VENDORS)
async def door(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, Prism, Sandbox]]:
    box = await serve(request.param, count=5)
    async with proxied(SPECS / FILES[request.param], box.url) as prism:
        yield request.param, prism, box
    await box.close()


def rubbish(spec: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """For each operation with a JSON body, one with a field of the wrong type: method, path, body."""
    found = []
    for path, verbs in spec["paths"].items():
        for verb, operation in verbs.items():
            if verb not in ("post", "put", "patch") or "requestBody" not in operation:
                continue
            [(kind, content), *_] = _resolved(operation["requestBody"], spec)["content"].items()
            if "json" not in kind:
                continue
            body = _wrong(_resolved(content["schema"], spec), spec)
            if body is not None:
                found.append((verb, path, body))
    return found


def _resolved(schema: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        found: Any = spec
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        schema = found
    return schema


def _wrong(schema: dict[str, Any], spec: dict[str, Any], depth: int = 0) -> Any:
    """A body with one text where there must be none, or a list where a text must be."""
    schema = _resolved(schema, spec)
    if schema.get("type") == "array":
        return {"op": "replace"}
    for part in (schema, *(_resolved(each, spec) for each in schema.get("allOf", ()))):
        for name, each in part.get("properties", {}).items():
            known = _resolved(each, spec)
            if depth == 0 and name == "data":
                inner = _wrong(known, spec, 1)
                return None if inner is None else {"data": inner}
            if known.get("type") == "string" and not known.get("readOnly"):
                return {name: [5]}
    return None


async def test_the_validator_is_awake(door: tuple[str, Prism, Sandbox]) -> None:
    """A validator that cannot read a schema accepts everything in silence; so every write that we use is tried."""
    name, prism, box = door
    spec = orjson.loads((SPECS / FILES[name]).read_bytes())
    tried_ = [(verb, path, body) for verb, path, body in rubbish(spec) if path.count("{") <= 2]
    headers = {"Authorization": f"Bearer {box.token}", "Ocp-Apim-Subscription-Key": "x"}
    slept = []
    async with aiohttp.ClientSession(headers=headers) as session:
        for verb, path, body in tried_:
            kind = "application/json-patch+json" if isinstance(body, dict) and body.get("op") else "application/json"
            url = prism.url + path.replace("{", "").replace("}", "")
            async with session.request(verb, url, data=orjson.dumps(body), headers={"Content-Type": kind}) as answer:
                said = answer.headers.get("sl-violations", "")
            if "request" not in said:
                slept.append(f"{verb} {path} {body}")
    assert len(tried_) > 5
    used = {"asana": ("/tasks", "/projects", "/teams", "/workspaces/{workspace_gid}")}.get(name, ())
    assert [each for each in slept if each.split()[1] in used] == []
    assert len(slept) <= len(tried_) // 10, slept
