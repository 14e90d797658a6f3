"""The smallest Faust transport: it hands out every partition and reads nothing.

Faust keeps the app, agents, topics, timers, worker and signals. Records never pass through its consumer, because its
fetch loop, acks and commits lose data (a body's exception acknowledges its record) and cost fifty times what a lane
costs. The consumer opens the log and claims the lanes before any agent starts, and drains and closes it when Faust
stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from faust.transport import base
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.producer import Producer as FaustProducer
from faust.types import TP
from faust.types.tuples import RecordMetadata

from stream.engine.log import EngineError, Outgoing, partition_of

if TYPE_CHECKING:
    from stream.engine.app import App


class Consumer(FaustConsumer):
    """Opens and closes the log; everything else a consumer does, lanes do."""

    _assigned: frozenset[TP] = frozenset()

    @property
    def engine(self) -> App:
        """The app, as ours."""
        return cast("App", self.app)

    async def on_start(self) -> None:
        """Open the log and claim the lanes of every agent; what prevents it ends the process."""
        try:
            await self.engine.open_log()
        except EngineError as error:
            if self.should_stop:
                return  # a signal closed the log while it was being opened
            self.engine.broker.on_fatal(error)
            raise

    async def on_stop(self) -> None:
        """Let the lanes finish and close the log."""
        await self.engine.close_log()

    async def wait_empty(self) -> None:
        """Faust is about to stop its agents."""
        await self.engine.drain()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Assign all partitions, in the background: Faust waits for this call to return first."""
        self.add_future(self._assign({TP(topic, part) for topic in topics for part in range(self.engine.partitions)}))

    async def _assign(self, partitions: set[TP]) -> None:
        self.app.on_rebalance_start()
        await self.on_partitions_revoked(set(self._assigned))
        self._assigned = frozenset(partitions)
        self.app.consumer_generation_id += 1
        await self.on_partitions_assigned(set(partitions), self.app.consumer_generation_id)

    def assignment(self) -> set[TP]:
        """All partitions."""
        return set(self._assigned)

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch nothing until stopped."""
        await fetcher.wait_until_stopped()

    async def _getmany(self, active_partitions: Any, timeout: float) -> dict[TP, list[Any]]:  # noqa: ARG002, ASYNC109
        return {}

    def _to_message(self, tp: TP, record: Any) -> Any:
        raise NotImplementedError

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002
        """Lanes commit."""
        return True

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:  # noqa: ARG002
        return True

    async def perform_seek(self) -> None:
        """Lanes know where they are."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Lanes know where they are."""
        return {}

    async def _seek(self, partition: TP, offset: int) -> None:
        raise NotImplementedError

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Only Faust's tables seek; there are none."""

    async def seek_to_beginning(self, *partitions: TP) -> None:
        """Only Faust's tables seek; there are none."""

    async def position(self, tp: TP) -> int | None:  # noqa: ARG002
        """Not kept here."""
        return None

    def highwater(self, tp: TP) -> int:  # noqa: ARG002
        """Not kept here."""
        return 0

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        """Only Faust's tables ask; there are none."""
        return dict.fromkeys(partitions, 0)

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        """Only Faust's tables ask; there are none."""
        return dict.fromkeys(partitions, 0)

    def topic_partitions(self, topic: str) -> int | None:  # noqa: ARG002
        """Every topic has as many."""
        return self.engine.partitions

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:  # noqa: ARG002
        """The partition of a key."""
        return partition_of(key or b"", self.engine.partitions) if partition is None else partition

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        """Topics are declared when the log is opened."""

    def close(self) -> None:
        """Closed by ``on_stop``."""


class Producer(FaustProducer):
    """``topic.send`` is ``log.publish``."""

    async def send(  # noqa: PLR0913 - Faust's signature
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,  # noqa: ARG002
    ) -> Awaitable[RecordMetadata]:
        """Append in the background; the future is done when the record is durable."""
        return asyncio.ensure_future(self.send_and_wait(topic, key, value, partition, timestamp, headers))

    async def send_and_wait(  # noqa: PLR0913 - Faust's signature
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,  # noqa: ARG002
    ) -> RecordMetadata:
        """Append a record; durable when this returns. The log does not tell its offset (-1)."""
        app = cast("App", self.transport.app)
        pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
        moment = None if timestamp is None else int(timestamp * 1000)
        record = Outgoing(topic, key or b"", value, tuple(pairs), partition, moment)
        await app.broker.publish((record,))
        where = partition_of(record.key, app.partitions) if partition is None else partition
        return RecordMetadata(topic=topic, partition=where, topic_partition=TP(topic, where), offset=-1)

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        """Topics are declared when the log is opened."""

    def key_partition(self, topic: str, key: bytes) -> TP:
        """The partition of a key."""
        return TP(topic, partition_of(key, cast("App", self.transport.app).partitions))

    def supports_headers(self) -> bool:
        """Records have headers."""
        return True


class Transport(base.Transport):
    """Faust's door to the log."""

    Consumer = Consumer
    Producer = Producer
    driver_version = "linkstream"
    default_port = 0
