"""What a connector asks an operator for, and a client made from the answers.

A setting is described by JSON Schema, so that whoever reads a configuration can say where in it something is unknown
or missing, and which settings are secrets. A client's rate budget belongs to its credential: endpoints that are given
the same ``budgets`` share one for each credential, and one for each key that several credentials belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from connectors.auth import Anonymous, Auth, Secret, Tokens
from connectors.breaker import Settings as BreakerSettings
from connectors.budget import Budget, Limits
from connectors.http import Client, Complaint, Judge, Pause
from connectors.verdicts import Verdict
from connectors.wire import Deadlines

Budgets = MutableMapping[str, Budget]


class Setting(Struct, frozen=True, kw_only=True):
    """One setting of a connector; ``schema`` is JSON Schema."""

    schema: Mapping[str, Any]
    required: bool = False
    secret: bool = False
    about: str = ""


TEXT = {"type": "string", "minLength": 1}
WORD = {"type": ["string", "integer"], "minLength": 1}
TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
FLAG = {"type": "boolean"}
SECONDS = {"type": "number", "minimum": 0}
COMMON = {
    "limits": Setting(schema=msgspec.json.schema(Limits), about="requests per window, requests at once"),
    "deadlines": Setting(schema=msgspec.json.schema(Deadlines), about="seconds to wait: connect, read, total"),
    "breaker": Setting(schema=msgspec.json.schema(BreakerSettings), about="what counts as an outage, and its tries"),
}


def plain(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a setting that may be any text is one, as most are; what is not is looked through by jsonschema."""
    return isinstance(value, str) and bool(value) and schema in (TEXT, WORD)


class Plan(Struct, frozen=True, kw_only=True):
    """What a connector brings to its client; settings may change some of it."""

    url: str
    auth: Auth | Tokens = Anonymous()
    credential: tuple[str, ...] = ()
    """Whose budget it is: the secrets by which the system counts."""
    limits: Limits = Limits()
    shared: tuple[tuple[str, ...], Limits] | None = None
    """What all credentials that belong to the same key may do together."""
    complaint: Callable[[Any], Complaint] | None = None
    verdicts: Mapping[int, Verdict] = {}
    judge: Judge | None = None
    pause: Pause | None = None
    headers: Mapping[str, str | Secret] = {}


def client(plan: Plan, settings: Mapping[str, Any], budgets: Budgets | None) -> Client:
    """Make the client that a plan and the settings ask for."""
    base = str(settings.get("url") or plan.url)
    wanted = msgspec.convert({**msgspec.to_builtins(plan.limits), **settings.get("limits", {})}, Limits)
    around = None
    if plan.shared is not None and "windows" not in settings.get("limits", {}):  # whoever sets windows knows better
        keys, limits = plan.shared
        around = _budget((base, "shared", *keys), limits, budgets, None)
    return Client(
        base,
        auth=plan.auth,
        budget=_budget((base, *plan.credential), wanted, budgets, around),
        deadlines=msgspec.convert(settings.get("deadlines", {}), Deadlines),
        headers=plan.headers,
        complaint=plan.complaint,
        verdicts=plan.verdicts,
        judge=plan.judge,
        pause=plan.pause,
    )


def secret(value: Any) -> Secret:
    """Wrap a setting that is a secret."""
    return value if isinstance(value, Secret) else Secret(str(value))


def texts(settings: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Answer a setting that is one text or several."""
    value = settings.get(name) or ()
    return (value,) if isinstance(value, str) else tuple(value)


def _budget(key: tuple[str, ...], limits: Limits, budgets: Budgets | None, around: Budget | None) -> Budget:
    name = sha256("\0".join(key).encode()).hexdigest()
    budget = (budgets or {}).get(name) or Budget(limits, within=around)
    if budgets is not None:
        budgets[name] = budget
    return budget
