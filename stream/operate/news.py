"""What a reading would bring: the pages that the worker would read next, compared with what it has published."""

from __future__ import annotations

from typing import Protocol

from connectors.endpoint import Endpoint
from stream.engine.log import partition_of
from stream.poll import DIGEST, decode_state, digest_of

MOST = 100
"""Pages that are read at most."""


class Rows(Protocol):
    """Whatever has the rows of readers."""

    def row(self, agent: str, key: bytes, partition: int | None = None) -> bytes | None:
        """A row."""
        ...


async def news(log: Rows, endpoint: Endpoint, name: str, plan: int, partitions: int) -> tuple[int, int]:
    """How many records of a type are new, and how many its system says are gone. Raises ConnectorError."""
    partition = partition_of(name.encode(), partitions)
    data = log.row("poll", name.encode())
    state = decode_state(data) if data is not None else None
    anew = 0 if state is None else state.anew
    cursor = state.cursor if state is not None and state.plan == plan else None
    new = gone = 0
    for _ in range(MOST):
        page = await endpoint.page(name.partition(".")[2], cursor)
        gone += len(page.gone)
        for entity in page.entities:
            known = log.row("poll", DIGEST + f"{name}:{entity.id}".encode(), partition)
            new += known != digest_of(entity, plan, anew)
        if not page.more:
            break
        cursor = page.cursor
    return new, gone
