"""Logs: one line of JSON for each event, or text on a terminal; on standard error, without secrets.

Everything passes one pipe, ours and that of libraries: levels, times, then redaction as the last step before a line
is made, so that no part of an event, no exception and no library can go around it. What records hold is foreign and
private: it is not logged at all above debug, and whatever is foreign is cut and its control characters escaped.

An event is a sentence for a person; ``what`` is its name for a program, with ``type``, ``system`` or ``ref`` beside it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, Final, Literal, TextIO, TypeAlias

import structlog

from connectors.auth import Redactor

LONGEST: Final = 2048
"""Characters that one field of an event may have."""

SHORTEST: Final = 4
"""Shorter secrets are not looked for: they would be found everywhere."""

Event: TypeAlias = MutableMapping[str, Any]
Processor: TypeAlias = Callable[[Any, str, Event], Event]

_LOUD: Final = (
    "asyncio",
    "aiokafka",
    "faust",
    "mode",
    "aiohttp",
    "stream.engine.agents",  # Faust's services speak by the names of our classes
    "stream.engine.app",
    "stream.engine.transport",
)
_ESCAPES: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def begin(
    *,
    format: Literal["auto", "json", "text"] = "auto",
    level: str = "info",
    secrets: Iterable[str] = (),
    to: TextIO | None = None,
) -> None:
    """Send every log line of this process through the pipe. Later calls replace earlier ones."""
    out = to or sys.stderr
    as_text = format == "text" or (format == "auto" and out.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    ours: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redacting(secrets),
        _text_line if as_text else structlog.processors.JSONRenderer(sort_keys=False),
    ]
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=ours))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _LOUD:
        # Their info is about themselves; their debug prints records.
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared[:-1],
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redacting(secrets: Iterable[str]) -> Processor:
    """Make the step that takes secrets out of an event, cuts what is long and escapes what could forge a line."""
    redactor = Redactor(secret for secret in secrets if len(secret) >= SHORTEST)

    def clean(value: Any, depth: int = 0) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case dict() if depth < _DEEPEST:
                return {
                    clean(str(key)): _NO_VALUE if _is_secret(key) else clean(item, depth + 1)
                    for key, item in value.items()
                }
            case list() | tuple() if depth < _DEEPEST:
                return [clean(item, depth + 1) for item in value]
            case _:
                text = redactor.text(str(value)).translate(_ESCAPES)
                return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"

    def step(_: Any, __: str, event: Event) -> Event:
        cleaned: Event = clean(dict(event))
        return cleaned

    return step


_DEEPEST: Final = 6
_SAID: Final = ("what", "type", "system", "ref", "records", "state", "seconds", "stage")
_NO_VALUE: Final = "***"
_SECRET_NAMES: Final = frozenset(
    (
        "authorization",
        "cookie",
        "set-cookie",
        "proxy-authorization",
        "token",
        "access_token",
        "password",
        "secret",
        "api_key",
    )
)


def _is_secret(name: Any) -> bool:
    return str(name).lower() in _SECRET_NAMES


def _text_line(_: Any, __: str, event: Event) -> str:
    """One line for a person: time, level, what happened, and what with."""
    time, level, what = event.pop("timestamp", ""), event.pop("level", ""), event.pop("event", "")
    event.pop("logger", None)
    for name in _SAID if "what" in event else ():  # the sentence has them
        event.pop(name, None)
    trouble = event.pop("exception", None)
    rest = " ".join(f"{name}={value}" for name, value in event.items())
    lines = "" if trouble is None else "\n" + str(trouble).replace("\\n", "\n")
    return f"{time[11:19]} {level:<7} {what}{'  ' if rest else ''}{rest}{lines}"
