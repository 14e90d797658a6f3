"""Which log a URL names: ``sqlite:///path/to/file.db`` or ``kafka://host:port``. Nothing else asks.

A backend is imported when its URL comes: a worker over one file loads no Kafka client for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stream.engine.embedded.lease import address_of as socket_of
from stream.engine.log import InUse, Log, Mismatch
from stream.engine.reader import Reader

KINDS = "sqlite:///path/to/file.db or kafka://host:9092"


def log_at(url: str) -> Log:
    """The log that a URL names, not open yet. Raises ``Mismatch``."""
    if is_kafka(url):
        from stream.engine.kafka.log import KafkaLog  # noqa: PLC0415 - see above

        return KafkaLog(url)
    if url.startswith("sqlite:"):
        from stream.engine.embedded.log import EmbeddedLog  # noqa: PLC0415

        return EmbeddedLog(url)
    raise Mismatch(f"{shown(url)}: unknown kind of log; {KINDS} would be right")


def open_reader(url: str) -> Reader:
    """Open a log for reading. Raises ``Mismatch`` when there is none, and whatever else is in its way."""
    if is_kafka(url):
        from stream.engine.kafka.reader import KafkaReader  # noqa: PLC0415

        return KafkaReader(url)
    from stream.engine.embedded.reader import Reader as EmbeddedReader  # noqa: PLC0415

    return EmbeddedReader(url)


def is_kafka(url: str) -> bool:
    """Whether the log is a cluster: several workers share it, and each of them answers for itself alone."""
    return url.startswith("kafka:")


def folder_at(url: str) -> Path:
    """Where a process over this log may keep what is its own on this machine."""
    if is_kafka(url):
        from stream.engine.kafka.address import address_of  # noqa: PLC0415

        return address_of(url).state
    from stream.engine.embedded.schema import place_of  # noqa: PLC0415

    return place_of(url).path.parent


async def worker_on(url: str) -> str:
    """Who works on a log now, in words; empty for nobody. Raises ``EngineError`` when that cannot be told."""
    if is_kafka(url):
        from stream.engine.kafka.address import address_of  # noqa: PLC0415
        from stream.engine.kafka.cluster import members, reach  # noqa: PLC0415

        address = await reach(address_of(url))
        hosts = [worker.host for worker in (await members(address)).values()]
        return f"{len(hosts)} in the group {address.group}, on {', '.join(sorted(set(hosts)))}" if hosts else ""
    from stream.engine.embedded.lease import Lease  # noqa: PLC0415
    from stream.engine.embedded.schema import place_of  # noqa: PLC0415

    lease = Lease(place_of(url).path, wait=0.0)
    try:
        lease.acquire()
    except InUse as error:
        return str(error).partition("in use by ")[2].partition(";")[0]
    lease.release()
    return ""


def socket_at(url: str, pid: int) -> Path:
    """Where a worker over this log answers commands."""
    if is_kafka(url):
        one = _cluster(url)
        return one.with_name(f"{one.stem}-{pid}.sock")
    from stream.engine.embedded.schema import place_of  # noqa: PLC0415

    return socket_of(place_of(url).path)


def sockets_at(url: str) -> Sequence[Path]:
    """Where workers over this log may answer commands on this machine."""
    if is_kafka(url):
        one = _cluster(url)
        return sorted(one.parent.glob(f"{one.stem}-*.sock"))
    from stream.engine.embedded.lease import holder_of  # noqa: PLC0415
    from stream.engine.embedded.schema import place_of  # noqa: PLC0415

    path = place_of(url).path
    holder = holder_of(path)
    return [Path(holder.address) if holder and holder.address else socket_of(path)]


def _cluster(url: str) -> Path:
    from stream.engine.kafka.address import address_of  # noqa: PLC0415

    address = address_of(url)
    return socket_of(Path("/kafka") / ",".join(address.servers) / address.group)


def shown(url: str) -> str:
    """A URL as it may be shown: without options, among which secrets may be."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.partition('?')[0].rpartition('@')[2]}"


def secrets_of(url: str) -> tuple[str, ...]:
    """What in a URL must never be seen, as written and as meant."""
    if not is_kafka(url):
        return ()
    from stream.engine.kafka.address import secrets_of as found  # noqa: PLC0415

    return found(url)
