"""One edit on its way from the page that showed it to the receipt of the last write, as OpenTelemetry tells it.

A traced record carries ``traceparent``, W3C's header. Whoever works on such a record opens a span under it, and what
is emitted because of it carries that span on. What was emitted because of which record is known already: every output
names its ``cause``. So the stages know nothing of traces; they are given a unit that stands in the place of theirs.

A trace begins where a change is published, for a share of them that is drawn by chance. It ends where nothing more is
emitted at once: what a row keeps for later, because a write of it is under way, goes on untraced. A unit that is
repeated tells its spans twice. Spans have keys and offsets; what a record holds is in none.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from importlib.metadata import version
from random import random
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from stream.absence import Turn
from stream.ports import Headers, Record, Unit
from stream.topics import MAIL
from stream.traces import Traces

PARENT: Final = "traceparent"
PATIENCE: Final = 2.0
"""Seconds that the last spans are given when the worker stops."""

_TAG: Final = re.compile(rb'\{"type":"(\w{1,20})"')


class Spans(Traces):
    """Traces of a share of all changes."""

    def __init__(self, to: SpanProcessor, sample: float, *, roll: Callable[[], float] = random) -> None:
        about = {"service.name": "linkstream", "service.version": version("linkstream")}
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        self._provider.add_span_processor(to)
        self._tracer = self._provider.get_tracer("linkstream")
        self._sample, self._roll = sample, roll

    @contextmanager
    def _wrapped(self, stage: str, unit: Unit) -> Iterator[Unit]:
        traced = _Traced(self._tracer, stage, unit)
        try:
            yield traced
        except BaseException as error:
            traced.close(error)
            raise
        traced.close()

    def unit(self, stage: str, unit: Unit) -> AbstractContextManager[Unit]:
        """The unit, whose outputs carry on what its records carry."""
        return self._wrapped(stage, unit)

    def turns(self, name: str, turn: Turn) -> Turn:
        """The turns of one reading: of what it publishes, a share begins a trace."""
        began = time.time_ns()

        @asynccontextmanager
        async def taken() -> AsyncIterator[Unit]:
            async with turn() as unit:
                yield _Published(self, name, began, unit)

        return taken

    def begin(self, name: str, topic: str, key: bytes, began: int) -> Headers:
        """Begin a trace with one change, or do not."""
        if self._roll() >= self._sample:
            return ()
        about = {"messaging.operation.type": "send", "messaging.destination.name": topic, **_key(key)}
        span = self._tracer.start_span(f"poll {name}", kind=SpanKind.PRODUCER, attributes=about, start_time=began)
        span.end()
        return _carried(span)

    async def close(self) -> None:
        """Tell what was not told yet; a collector that does not answer is not waited for."""
        await asyncio.to_thread(self._provider.shutdown)


class _Wrapped:
    """A unit in whose place this stands."""

    def __init__(self, unit: Unit) -> None:
        self.partition, self.partitions, self.loss = unit.partition, unit.partitions, unit.loss
        self.get, self.put, self.scan, self.sure, self.save = unit.get, unit.put, unit.scan, unit.sure, unit.save
        self._unit = unit

    def __iter__(self) -> Iterator[Record]:
        return iter(self._unit)

    def emit(
        self, topic: str, key: bytes, value: bytes | None, headers: Headers = (), partition: int | None = None
    ) -> None:
        self._unit.emit(topic, key, value, headers, partition)


class _Published(_Wrapped):
    """A reader's unit: a change that it emits may begin a trace."""

    def __init__(self, spans: Spans, name: str, began: int, unit: Unit) -> None:
        super().__init__(unit)
        self._spans, self._name, self._began = spans, name, began

    def emit(
        self, topic: str, key: bytes, value: bytes | None, headers: Headers = (), partition: int | None = None
    ) -> None:
        if value is not None and topic.startswith("changes."):
            headers = (*headers, *self._spans.begin(self._name, topic, key, self._began))
        self._unit.emit(topic, key, value, headers, partition)


class _Traced(_Wrapped):
    """A stage's unit. A span lasts until the body asks for the next record; where it takes all at once, to the end."""

    def __init__(self, tracer: Tracer, stage: str, unit: Unit) -> None:
        super().__init__(unit)
        self._tracer, self._stage = tracer, stage
        self._at_once = stage != "join"
        self._open: dict[bytes, Span] = {}

    def __iter__(self) -> Iterator[Record]:
        for record in self._unit:
            for name, value in record.headers:
                if name == PARENT:
                    self._begin(record, value.decode(errors="replace"))
                    break
            yield record
            if self._open and not self._at_once:
                self.close()

    def _begin(self, record: Record, parent: str) -> None:
        about: dict[str, Any] = {
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            **_key(record.key),
        }
        self._open[_cause(record)] = self._tracer.start_span(
            f"{self._stage} {_about(record)}",
            context=TraceContextTextMapPropagator().extract({PARENT: parent}),
            kind=SpanKind.CONSUMER,
            attributes=about,
        )

    def emit(
        self, topic: str, key: bytes, value: bytes | None, headers: Headers = (), partition: int | None = None
    ) -> None:
        if self._open:
            for name, cause in headers:
                if name == "cause" and (span := self._open.get(cause)) is not None:
                    headers = (*headers, *_carried(span))
                    break
        self._unit.emit(topic, key, value, headers, partition)

    def close(self, error: BaseException | None = None) -> None:
        """End what is open."""
        for span in self._open.values():
            if error is not None:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            span.end()
        self._open.clear()


def _about(record: Record) -> str:
    """What a record is, in words of which there are few: an entity type, or the kind of a message."""
    if record.topic == MAIL:
        found = _TAG.match(record.value or b"")
        return found[1].decode() if found else "mail"
    return record.topic.partition(".")[2]


def _cause(record: Record) -> bytes:
    return f"{record.topic}/{record.partition}/{record.offset}".encode()


def _key(key: bytes) -> dict[str, str]:
    return {"messaging.kafka.message.key": key.decode(errors="replace")}


def _carried(span: Span) -> Headers:
    at = span.get_span_context()
    return ((PARENT, f"00-{at.trace_id:032x}-{at.span_id:016x}-01".encode()),)


def sending(to: str, sample: float) -> Spans:
    """Traces that go to a collector's address, in batches, from a thread of their own: OTLP over HTTP."""
    return Spans(BatchSpanProcessor(OTLPSpanExporter(endpoint=to, timeout=PATIENCE)), sample)
