"""A client made from what a connector brings and what an operator set.

A client's rate budget belongs to its credential: endpoints that are given the same ``budgets`` share one for each
credential, and one for each key that several credentials belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from connectors.auth import Anonymous, Auth, Secret, Tokens
from connectors.budget import Budget, Limits
from connectors.http import Client
from connectors.verdicts import Verdict
from connectors.wire import Complaint, Deadlines, Judge, Pause

Budgets = MutableMapping[str, Budget]


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
