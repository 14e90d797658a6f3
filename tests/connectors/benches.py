"""The endpoints under test, each with its system."""

from __future__ import annotations

import re
import tempfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from connectors.endpoint import Traits
from connectors.errors import Unsure
from connectors.memory import MemoryEndpoint
from connectors.opening import open_endpoint
from connectors.sandbox.asana import Asana
from connectors.sandbox.powerofficego import PATCH, PowerOfficeGo
from connectors.sandbox.run import Sandbox, serve
from connectors.sandbox.server import PERSON
from connectors.sandbox.trello import Trello

HERE = Path(__file__).parent


class MemoryBench:
    type, title, text, secret, page, update = "things", "title", "text", "none", 3, 0
    needed: Mapping[str, Any] = {}

    def __init__(
        self, create: Literal[1, 2, 3, 4, 5] = 3, look_up: Literal["marker", "recent", "none"] = "marker"
    ) -> None:
        traits = Traits(
            changes="since",
            create=create,
            look_up=look_up,
            idempotent_for=3600.0,
            writable=frozenset({"title", "text"}),
            required=frozenset({"title"}),
            remove=frozenset({"delete"}),
        )
        self.endpoint = MemoryEndpoint({"things": traits}, size=self.page)
        self._from = 0

    async def add(self, title: str) -> str:
        return self.endpoint.add("things", {"title": title}).id

    async def edit(self, id: str, path: str, value: Any) -> None:
        self.endpoint.edit("things", id, {path: value})

    async def drop(self, id: str) -> None:
        self.endpoint.drop("things", id)

    def lose_answer(self) -> None:
        self.endpoint.fail("create", Unsure("the answer was lost"), when="after")

    def forget_us(self) -> None:
        self._from = len(self.endpoint.truth)

    def sent(self) -> list[dict[str, Any]]:
        return [dict(one.wanted) for one in self.endpoint.truth[self._from :] if one.author == "us"]

    def requests(self) -> int:
        return 0

    async def close(self) -> None:
        await self.endpoint.close()


class SandboxBench:
    path: str
    needed: Mapping[str, Any] = {}
    page, update = 3, 1

    def __init__(self, sandbox: Sandbox, connector: str, settings: Mapping[str, Any]) -> None:
        self.sandbox = sandbox
        self.secret = sandbox.token
        given = {**sandbox.settings(), **sandbox.secrets(), **settings}
        self.endpoint = open_endpoint("bench", connector, given, HERE)
        self._from = 0
        if sandbox.world.exchanges is None:
            sandbox.world.exchanges = deque()

    def requests(self) -> int:
        """How often linkstream asked."""
        return sum(PERSON not in str(one.headers) for one in self.sandbox.world.exchanges or ())

    async def drop(self, id: str) -> None:
        await self.sandbox.act("DELETE", f"{self.path}/{id}")

    def lose_answer(self) -> None:
        self.sandbox.fault("reset-after-apply", method="POST", path=f"*{self.path}*", count=1)

    def forget_us(self) -> None:
        self._from = len(self.sandbox.truth)

    def heal(self) -> None:
        """Let everything work again, and forget that the system asked for a pause."""
        self.sandbox.heal()
        client: Any = self.endpoint
        client._client.budget._closed_until = 0.0

    def bodies(self) -> list[dict[str, Any]]:
        return [one.request["body"] for one in self.sandbox.truth[self._from :] if one.author == "linkstream"]

    def sent(self) -> list[dict[str, Any]]:
        return self.bodies()

    async def close(self) -> None:
        await self.endpoint.close()
        await self.sandbox.close()


def small(name: str, page: int) -> str:
    """The declaration of that name with small pages, in a file of its own."""
    text = (HERE.parents[1] / f"connectors/{name}.yaml").read_text()
    file = Path(tempfile.mkdtemp()) / f"{name}.yaml"
    changed, count = re.subn(r"\bsize: \d+", f"size: {page}", text)
    assert count
    file.write_text(changed)
    return str(file)


class CustomPmsBench(SandboxBench):
    type, title, text, path = "task", "title", "description", "/tasks"

    @classmethod
    async def open(cls, *, record: bool = False) -> CustomPmsBench:
        return cls(await serve("custompms", record=record), small("custompms", cls.page), {})

    async def add(self, title: str) -> str:
        return str((await self.sandbox.act("POST", self.path, {"title": title}))["id"])

    async def edit(self, id: str, path: str, value: Any) -> None:
        await self.sandbox.act("PATCH", f"{self.path}/{id}", {path: value})


class CrmOfficeBench(SandboxBench):
    type, title, text, path = "activities", "subject", "note", "/activities"

    @classmethod
    async def open(cls, *, record: bool = False) -> CrmOfficeBench:
        return cls(await serve("crmoffice", record=record), small("crmoffice", cls.page), {})

    async def add(self, title: str) -> str:
        return str((await self.sandbox.act("POST", self.path, {self.title: title}))["id"])

    async def edit(self, id: str, path: str, value: Any) -> None:
        await self.sandbox.act("PATCH", f"{self.path}/{id}", {path: value})


class CustomErpBench(SandboxBench):
    type, title, text, path = "project", "name", "comment", "/projects"
    update = 2

    @classmethod
    async def open(cls, *, record: bool = False) -> CustomErpBench:
        return cls(await serve("customerp", record=record), small("customerp", cls.page), {})

    async def add(self, title: str) -> str:
        await self.sandbox.act("POST", self.path, {"project": {"name": title}})
        return self.sandbox.truth[-1].id

    async def edit(self, id: str, path: str, value: Any) -> None:
        await self.sandbox.act("PATCH", f"{self.path}/{id}", {"project": {path: value}})

    def sent(self) -> list[dict[str, Any]]:
        return [body["project"] for body in self.bodies()]


class AsanaBench(SandboxBench):
    type, title, text, path = "tasks", "name", "notes", "/tasks"

    @classmethod
    async def open(cls, *, record: bool = False, **settings: Any) -> AsanaBench:
        sandbox = await serve("asana", count=1, record=record)
        system = sandbox.system
        assert isinstance(system, Asana)
        bench = cls(sandbox, "asana", {"workspace": system.organization, **settings})
        endpoint: Any = bench.endpoint
        endpoint._scope = msgspec.structs.replace(endpoint._scope, size=cls.page)
        bench.system = system
        (bench.project,) = system.members
        bench.needed = {"projects": [bench.project]}
        return bench

    system: Asana
    project: str

    async def add(self, title: str) -> str:
        body = {"data": {"name": title, "projects": [self.project]}}
        return str((await self.sandbox.act("POST", self.path, body))["data"]["gid"])

    async def edit(self, id: str, path: str, value: Any) -> None:
        await self.sandbox.act("PUT", f"{self.path}/{id}", {"data": {path: value}})

    def sent(self) -> list[dict[str, Any]]:
        return [body["data"] for body in self.bodies()]


class TrelloBench(SandboxBench):
    type, title, text, path = "cards", "name", "desc", "/cards"

    @classmethod
    async def open(cls, *, record: bool = False, options: dict[str, Any] | None = None, **settings: Any) -> TrelloBench:
        sandbox = await serve("trello", count=1, record=record, options=options)
        system = sandbox.system
        assert isinstance(system, Trello)
        bench = cls(sandbox, "trello", settings)
        bench.system = system
        bench.resize(size=cls.page, list=None)
        bench.needed = {"idList": system.list}
        return bench

    system: Trello

    def resize(self, **scope: Any) -> None:
        endpoint: Any = self.endpoint
        endpoint._lists.scope = msgspec.structs.replace(endpoint._lists.scope, **scope)

    async def add(self, title: str) -> str:
        return str((await self.sandbox.act("POST", self.path, {"name": title, "idList": self.system.list}))["id"])

    async def edit(self, id: str, path: str, value: Any) -> None:
        await self.sandbox.act("PUT", f"{self.path}/{id}", {path: value})

    async def comment(self, card: str, text: str) -> str:
        return str((await self.sandbox.act("POST", f"/cards/{card}/actions/comments", {"text": text}))["id"])


class PowerOfficeBench(SandboxBench):
    type, title, text, path = "customers", "Name", "LegalName", "/Customers"
    needed: Mapping[str, Any] = {"EmailAddress": "post@kunde.example"}

    @classmethod
    async def open(cls, *, record: bool = False, **settings: Any) -> PowerOfficeBench:
        sandbox = await serve("powerofficego", count=1, record=record)
        system = sandbox.system
        assert isinstance(system, PowerOfficeGo)
        limits = {"limits": {"windows": []}}  # tests ask for more than nine a second
        bench = cls(sandbox, "powerofficego", {**limits, **settings})
        await bench.endpoint._client._auth.bearer()  # type: ignore[attr-defined]  # faults are for what comes after
        bench.system = system
        bench.resize(size=cls.page)
        return bench

    system: PowerOfficeGo

    def resize(self, **scope: Any) -> None:
        endpoint: Any = self.endpoint
        endpoint._scope = msgspec.structs.replace(endpoint._scope, **scope)

    async def add(self, title: str) -> str:
        return str((await self.sandbox.act("POST", self.path, {"Name": title, **self.needed}))["Id"])

    async def edit(self, id: str, path: str, value: Any, type: str = "Customers") -> None:
        change = [{"op": "replace", "path": f"/{path}", "value": value}]
        await self.sandbox.act("PATCH", f"/{type}/{id}", change, media=PATCH)

    def sent(self) -> list[dict[str, Any]]:
        return [_fields(body) for body in self.bodies()]


def _fields(body: Any) -> dict[str, Any]:
    """The fields that a patch replaces."""
    if not isinstance(body, list):
        return dict(body)
    return {one["path"].strip("/").replace("/", "."): one["value"] for one in body if one["op"] != "test"}
