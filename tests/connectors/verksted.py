"""Verksted, the system of the documentation, as its developers describe it there."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from connectors.fields import read_time, write_time

KEY = "canary-verksted-key"
STATES = ("waiting", "mending", "ready")


class Verksted:
    def __init__(self) -> None:
        self.jobs: dict[int, dict[str, Any]] = {}
        self.ours: list[dict[str, Any]] = []
        self.methods: list[str] = []
        self.lose = False
        self._number, self._time = 40, 1_763_600_000_000_000

    def put(self, number: int, fields: dict[str, Any]) -> dict[str, Any]:
        self._time += 1_000_000
        empty = {"id": number, "title": "", "note": "", "state": "waiting", "promised": None, "tag": None}
        self.jobs[number] = {**self.jobs.get(number, empty), **fields, "changed": write_time(self._time)}
        return self.jobs[number]

    def add(self, fields: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        return self.put(self._number, fields)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.methods.append(request.method)
        if request.headers.get("X-Key") != KEY:
            return web.json_response({"problems": [{"text": "unknown key"}]}, status=401)
        number = request.path.removeprefix("/api/jobs").strip("/")
        if not number:
            return self._list(request) if request.method == "GET" else await self._write(None, request)
        if not number.isdecimal() or int(number) not in self.jobs:
            return web.json_response({"problems": [{"text": "no such job"}]}, status=404)
        return self._show(int(number)) if request.method == "GET" else await self._write(int(number), request)

    def _show(self, number: int) -> web.Response:
        return web.json_response({"job": self.jobs[number]})

    def _list(self, request: web.Request) -> web.Response:
        query = request.query
        since = read_time(query.get("changedSince")) or 0
        found = [job for job in self.jobs.values() if (read_time(job["changed"]) or 0) >= since]
        found = [job for job in found if "tag" not in query or job["tag"] == query["tag"]]
        after, size = int(query.get("from", "b0")[1:]), int(query.get("size", "20"))
        page = [job for job in found if job["id"] > after][:size]
        more = bool(page) and page[-1]["id"] < max(job["id"] for job in found)
        return web.json_response({"jobs": page, **({"next": f"b{page[-1]['id']}"} if more else {})})

    async def _write(self, number: int | None, request: web.Request) -> web.Response:
        sent = (await request.json())["job"] if request.body_exists else {}
        self.ours.append(sent)
        problems = [
            (name, "is not known") for name in sent if name not in {"title", "note", "state", "promised", "tag"}
        ]
        if not str(sent.get("title", "" if number is None else "x")).strip():
            problems.append(("title", "is missing"))
        if problems:
            body = {"problems": [{"about": name, "text": text} for name, text in problems]}
            return web.json_response(body, status=422)
        if request.method == "DELETE" and number is not None:
            del self.jobs[number]
            return web.Response(status=204)
        if number is not None:
            self.put(number, sent)
            return web.Response(status=204)
        made = self.add(sent)
        if self.lose and request.transport is not None:
            self.lose = False
            request.transport.abort()
        return web.json_response({"job": made}, status=201)
