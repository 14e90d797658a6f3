"""What the pages read from the log: records, links, what was set aside. Asked in threads; each borrows a reader.

A person looks while the worker works, so no question may take long: a search stops after two seconds and says so, a
list after its length. The threads are the page's own, and few: those of the loop look names of systems up, and behind
a dozen people who look at long pages, systems would seem to be away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from heapq import nlargest
from itertools import islice
from typing import Any, Literal, TypeAlias, TypeVar

from msgspec import Struct

from stream.codec import decode_conflict, row_of
from stream.core.row import Row
from stream.engine.log import Outgoing
from stream.engine.readers import Readers
from stream.errors import BadRecord
from stream.model import Ref, Stated, Time
from stream.operate import aside
from stream.operate.aside import Aside
from stream.operate.explain import Explainer
from stream.operate.orders import resolving
from stream.operate.search import search
from stream.operate.survey import Link, links, reason
from stream.operate.table import JOIN, rows_of
from stream.operate.words import moment, shown
from stream.topics import CONFLICTS, PARKED
from stream.topology import Topology

PATIENCE = 2.0
"""Seconds that a search may take."""
MOST = 100
"""Lines of a list."""
AT_ONCE = 2
"""Questions that are answered at a time."""

T = TypeVar("T")

Waiting: TypeAlias = tuple[Ref, str, str, float]
"""A record out of step: what of it, why, and for how many seconds."""


class Listed(Struct, frozen=True):
    """Lines of a list, and whether there may be more."""

    lines: Sequence[Any]
    more: str = ""


class Look:
    """One log, looked into."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._readers = Readers(topology.broker)
        self._threads = ThreadPoolExecutor(AT_ONCE, "page")

    async def told(self, question: Callable[..., T], *about: Any) -> T:
        """The answer to one of the questions below."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, question, *about)

    async def close(self) -> None:
        """Let go of the log."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._readers.close)

    def record(self, ref: Ref) -> dict[str, Any] | None:
        """All that is known of a record."""
        with self._readers.lent() as reader:
            return Explainer(reader, self._topology.flows, limit=60)(ref)

    def waiting(self, out: Sequence[tuple[bytes, Time]]) -> list[Waiting]:
        """Why these rows are out of step."""
        found = []
        with self._readers.lent() as reader:
            for key, since in out:
                row = row_of(reader.row(JOIN, key))
                what, why = reason(row if isinstance(row, Row) else None)
                found.append((key.decode(), what, why, time.time() - since / 1e6))
        return found

    def search(self, text: str, kind: str) -> Listed:
        """Records whose id or a value of whose fields has this text in it."""
        ends, more = time.monotonic() + PATIENCE, ""

        def on(looked: int) -> bool:
            nonlocal more
            if time.monotonic() > ends:
                more = f"stopped after {PATIENCE:.0f} s and {looked} records; choose a type"
            return not more

        with self._readers.lent() as reader:
            hits = list(islice(search(reader, text, [kind] if kind else self._topology.types, on), MOST))
        return Listed(hits, more or (f"these are the first {MOST}" if len(hits) == MOST else ""))

    def apart(self, flow: str, out: Sequence[tuple[bytes, Time]]) -> Listed:
        """The links of these rows that are not in step."""
        found: list[Link] = []
        with self._readers.lent() as reader:
            for key, _ in out:
                row = row_of(reader.row(JOIN, key))
                if row is not None:
                    found += [link for link in links([(key.decode(), row)]) if flow in ("", link.flow)]
        more = f"these are so for longest, of the first {MOST} records" if len(out) >= MOST else ""
        return Listed([link for link in found if not link.in_step], more)

    def links(self, flow: str, state: str) -> Listed:
        """Links, each once; those that are not, as the record sees it that wants one."""
        found: list[Link] = []
        ends = time.monotonic() + PATIENCE
        types = {end for name, each in self._flows() if flow in ("", name) for end in (each.left, each.right)}
        with self._readers.lent() as reader:
            for kind in sorted(types):
                for link in links(rows_of(reader, f"{kind}:")):
                    if time.monotonic() > ends:
                        return Listed(found, f"stopped after {PATIENCE:.0f} s; choose a flow")
                    if _wanted(link, flow, state):
                        found.append(link)
                        if len(found) == MOST:
                            return Listed(found, f"these are the first {MOST}")
        return Listed(found)

    def _flows(self) -> Iterator[tuple[str, Any]]:
        yield from self._topology.flows.flows.items()

    def conflicts(self) -> Listed:
        """Values that lost, newest first."""
        return self._newest(CONFLICTS, _conflict)

    def parked(self) -> Listed:
        """Records that were set aside, newest first."""
        return self._newest(PARKED, _parked)

    def open(self) -> dict[str, int]:
        """How many records stand in the topics for people."""
        with self._readers.lent() as reader:
            return {topic: reader.count(topic) for topic in (CONFLICTS, PARKED)}

    def aside(self, topic: str, id: str) -> Aside | None:
        """One record of a topic for people."""
        with self._readers.lent() as reader:
            return aside.found(reader, topic, id)

    def resolving(self, each: Aside, keep: Literal["lost", "won"]) -> list[Outgoing]:
        """The orders that settle a conflict. Raises Overtaken, BadRecord."""
        with self._readers.lent() as reader:
            return resolving(reader, each, keep)

    def _newest(self, topic: str, plain: Any) -> Listed:
        found: list[Aside] = []
        count = 0
        ends, more = time.monotonic() + PATIENCE, ""
        with self._readers.lent() as reader:
            for each in aside.asides(reader, topic):
                if time.monotonic() > ends:
                    more = f"stopped after {PATIENCE:.0f} s; the command line shows all"
                    break
                if not each.settled:
                    count += 1
                    found.append(each)
                    if len(found) > 2 * MOST:  # of many, with all their bytes, only the lines are kept
                        found = _youngest(found)
        if count > MOST:
            more = more or f"these are the newest {MOST} of {count}"
        return Listed([plain(each) for each in _youngest(found)], more)


def _youngest(found: Sequence[Aside]) -> list[Aside]:
    return nlargest(MOST, found, key=lambda each: each.record.timestamp)


def _wanted(link: Link, flow: str, state: str) -> bool:
    if flow not in ("", link.flow):
        return False
    if state and link.state != state:
        return False
    return link.side == "a" or link.state != "linked"


def _conflict(each: Aside) -> dict[str, Any]:
    told: dict[str, Any] = {"id": each.id, "at": moment(each.record.timestamp * 1000), "ref": each.record.key.decode()}
    try:
        conflict = decode_conflict(each.record.value)
    except BadRecord:
        return {**told, "field": "cannot be read", "lost": None, "won": None}
    return {**told, "field": conflict.field, "lost": _stated(conflict.lost), "won": _stated(conflict.won)}


def _stated(stated: Stated) -> dict[str, str]:
    return {"value": shown(stated.value), "at": moment(stated.version.time), "author": stated.author}


def _parked(each: Aside) -> dict[str, Any]:
    about = each.about
    return {
        "id": each.id,
        "at": moment(each.record.timestamp * 1000),
        "ref": each.record.key.decode(errors="replace"),
        "kind": about.get("class.name", ""),
        "why": about.get("exception.message", ""),
        "from": f"{about.get('topic', '')}/{about.get('partition', '')}/{about.get('offset', '')}",
    }
