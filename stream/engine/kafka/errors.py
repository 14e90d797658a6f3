"""What an error of Kafka means for this process, in words; and a log that does not drown in one broker's absence.

aiokafka tells most of what goes wrong by the class of an exception. Here each becomes one of the engine's errors with
what was found and what would be right; whatever is not known ends the process as *unknown outcome*, and the next start
settles it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiokafka import errors as kafka

from stream.engine.kafka.address import Address
from stream.engine.log import EngineError, Fenced, Mismatch

APART = 30.0
"""Seconds between two equal lines of the client; it writes a thousand a second while a broker is away."""


REFUSED: Final = (
    kafka.AuthenticationFailedError,
    kafka.SaslAuthenticationFailed,
    kafka.UnsupportedSaslMechanismError,
    kafka.IllegalSaslStateError,
)
"""What the client raises when a broker does not let us in."""


class Unreachable(EngineError):
    """No broker answers: try again later."""

    exit_code = 75


class Unsaid(EngineError):
    """A broker failed and does not say at what; so does one that is asked to end what somebody else is ending."""


def known(error: BaseException, address: Address, what: str) -> EngineError:
    """The engine's error for one of the client's; ``what`` says what was being done."""
    if isinstance(error, EngineError):
        return error
    while type(error) is kafka.KafkaError and error.__cause__ is not None:  # of its tasks the client tells no more
        error = error.__cause__
    for classes, meaning in _MEANINGS:
        if isinstance(error, classes):
            return meaning(error, address, what)
    return EngineError(f"{address}: {what}: {type(error).__name__}: {error}")


def refused(address: Address) -> Mismatch:
    """Who we say we are is not believed."""
    if address.mechanism == "OAUTHBEARER":
        return Mismatch(f"{address}: found a token that the broker refuses; a fresh one in token_file would be right")
    return Mismatch(
        f"{address}: found a user or password that the broker refuses (user {address.user or 'none'}, "
        f"mechanism {address.mechanism.lower() or 'none'}); those of a user that it knows, in a mechanism that it "
        "speaks, would be right"
    )


def _denied(address: Address, what: str, wanted: str) -> Mismatch:
    return Mismatch(
        f"{address}: {what}: {address.principal} is not allowed to; an ACL would be right for {wanted}. "
        "linkstream topics plan prints all that are needed"
    )


def _named(error: BaseException) -> str:
    return ", ".join(sorted(map(str, error.args[0] if error.args and isinstance(error.args[0], set) else error.args)))


def _fenced(_: BaseException, __: Address, what: str) -> EngineError:
    return Fenced(f"{what}: another worker has taken it over")


def _too_large(_: BaseException, address: Address, what: str) -> EngineError:
    return Mismatch(
        f"{address}: {what}: found a record larger than the broker takes; a higher max.message.bytes of its topic, "
        "and largest= in the broker's address to match, would be right"
    )


def _no_topic(_: BaseException, address: Address, what: str) -> EngineError:
    return Mismatch(f"{address}: {what}: found no such topic; linkstream topics apply creates what is missing")


def _away(error: BaseException, address: Address, what: str) -> EngineError:
    found = f"{address}: {what}: no broker answers ({type(error).__name__})"
    if address.mechanism == "OAUTHBEARER":  # brokers that refuse one say nothing more
        return Unreachable(
            f"{found}, or none takes the token; one that runs, and a fresh token in token_file, would be right"
        )
    return Unreachable(f"{found}; one that runs would be right")


def _forgotten(_: BaseException, __: Address, what: str) -> EngineError:
    return EngineError(
        f"{what}: found that the brokers have forgotten its transactional id, as they do after a week without a "
        "commit; the next start takes it anew"
    )


def _place_gone(error: BaseException, address: Address, what: str) -> EngineError:
    return EngineError(
        f"{address}: {what}: found another topic than was read before ({error}); the next start sees what is there"
    )


_MEANINGS: Final[tuple[tuple[Any, Callable[[BaseException, Address, str], EngineError]], ...]] = (
    ((kafka.ProducerFenced, kafka.InvalidProducerEpoch), _fenced),
    (kafka.InvalidProducerIdMapping, _forgotten),
    (
        kafka.TopicAuthorizationFailedError,
        lambda error, address, what: _denied(address, what, f"topic {_named(error)}: READ and WRITE"),
    ),
    (
        kafka.GroupAuthorizationFailedError,
        lambda _, address, what: _denied(address, what, f"group {address.group}: READ"),
    ),
    (
        kafka.TransactionalIdAuthorizationFailed,
        lambda _, address, what: _denied(address, what, f"transactional ids that begin with {address.group}-: WRITE"),
    ),
    (
        kafka.ClusterAuthorizationFailedError,
        lambda _, address, what: _denied(address, what, "the cluster: IDEMPOTENT_WRITE"),
    ),
    ((kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError), _too_large),
    (REFUSED, lambda _, address, __: refused(address)),
    (kafka.UnknownTopicOrPartitionError, _no_topic),
    (kafka.OffsetOutOfRangeError, _place_gone),
    (
        kafka.UnknownError,
        lambda _, address, what: Unsaid(f"{address}: {what}: a broker failed and does not say at what"),
    ),
    (
        (
            TimeoutError,
            OSError,
            kafka.KafkaConnectionError,
            kafka.KafkaTimeoutError,
            kafka.GroupCoordinatorNotAvailableError,
            kafka.LeaderNotAvailableError,
            kafka.NodeNotReadyError,
            kafka.RequestTimedOutError,
        ),
        _away,
    ),
)


@contextmanager
def explained(address: Address, what: str) -> Iterator[None]:
    """Turn errors of the client into the engine's."""
    try:
        yield
    except asyncio.CancelledError:
        raise
    except (kafka.KafkaError, OSError, TimeoutError, AssertionError, ValueError) as error:
        raise known(error, address, what) from error


class Sparse(logging.Filter):
    """Lets an equal line through once in ``APART`` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        now, said = time.monotonic(), str(record.msg)
        if now - self._seen.get(said, -APART) < APART:
            return False
        self._seen[said] = now
        return True


def quieten() -> None:
    """Filter what aiokafka says; each of its loggers, for those of a parent do not see a child's lines."""
    for name in list(logging.Logger.manager.loggerDict):
        if name.split(".")[0] == "aiokafka":
            logger = logging.getLogger(name)
            if not any(isinstance(each, Sparse) for each in logger.filters):
                logger.addFilter(Sparse())
