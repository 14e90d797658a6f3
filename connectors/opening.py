"""How an endpoint is opened from its settings: a system that has a connector in code, or one that is declared."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import asdict
from yarl import URL

from connectors import asana_records, powerofficego_records
from connectors.asana import AsanaEndpoint
from connectors.asana import Scope as AsanaScope
from connectors.auth import Anonymous, ApiKey, Auth, Basic, Bearer, Grant, OAuth1, Secret, secrets
from connectors.breaker import Breaker, Guarded
from connectors.breaker import Settings as BreakerSettings
from connectors.budget import Limits
from connectors.declaration import Declaration, FromSetting
from connectors.endpoint import Endpoint
from connectors.listing import filled
from connectors.oauth import OAuth2, token_url
from connectors.plan import Budgets, Plan, client, secret, texts
from connectors.powerofficego import PowerOfficeEndpoint
from connectors.powerofficego import Scope as PowerOfficeScope
from connectors.records import complaint
from connectors.registry import BadSettings, declared, problems, settings_of
from connectors.rest import RestEndpoint
from connectors.trello import TrelloEndpoint
from connectors.trello_lists import Scope as TrelloScope
from connectors.trello_writes import complaint as trello_complaint
from connectors.trello_writes import judge, pause
from connectors.verdicts import Verdict

Now = Callable[[], float]

ASANA_URL = "https://app.asana.com/api/1.0"
_ASANA_LIMITS = Limits(windows=((1_500, 60.0),), reads=40, writes=12)
"""1,500 a minute, and below the 50 reads and 15 writes at once of a paid plan; a free one has 150 a minute."""

TRELLO_URL = "https://api.trello.com/1"
_TRELLO_LIMITS = Limits(windows=((99, 10.0),), below={"/members/": ((99, 900.0),)})
_TRELLO_KEY = Limits(windows=((298, 10.0),))
"""Documented: 100 in 10 s of a token, 100 in 900 s for /members, 300 in 10 s of a key, whatever its tokens. A little
less, because an answer that says that none are left is obeyed for a whole window."""

POWEROFFICE_URL = "https://goapi.poweroffice.net/v2"
_POWEROFFICE_LIMITS = Limits(windows=((10, 1.0),), reads=4, writes=4)
"""10 a second of a subscription key, whoever's customers they are for."""
_SUBSCRIPTION = "Ocp-Apim-Subscription-Key"


def _asana(settings: Mapping[str, Any], budgets: Budgets | None, now: Now) -> Endpoint:
    token = secret(settings["token"])
    plan = Plan(
        url=ASANA_URL,
        auth=Bearer(token),
        credential=(token.reveal(),),
        limits=_ASANA_LIMITS,
        complaint=asana_records.complaint,
    )
    scope = AsanaScope(
        workspace=settings.get("workspace") or None,
        projects=texts(settings, "projects"),
        assignees=texts(settings, "assignees"),
        rename_workspaces=bool(settings.get("rename_workspaces", False)),
        overlap=float(settings.get("overlap", AsanaScope().overlap)),
    )
    return AsanaEndpoint(client(plan, settings, budgets), scope, now=now)


def _trello(settings: Mapping[str, Any], budgets: Budgets | None, now: Now) -> Endpoint:
    key, token = secret(settings["key"]), secret(settings["token"])
    plan = Plan(
        url=TRELLO_URL,
        auth=OAuth1(key, token),
        credential=(key.reveal(), token.reveal()),
        limits=_TRELLO_LIMITS,
        shared=((key.reveal(),), _TRELLO_KEY),
        complaint=trello_complaint,
        judge=judge,
        pause=lambda status, headers: pause(status, headers, roll=random.random()),  # noqa: S311 - spreads waits
        headers={"X-Trello-Client-Identifier": "linkstream"},
    )
    scope = TrelloScope(
        organizations=texts(settings, "organizations"),
        boards=texts(settings, "boards"),
        list=settings.get("list") or None,
        card=settings.get("card") or None,
        actions=texts(settings, "actions") or TrelloScope().actions,
        overlap=float(settings.get("overlap", TrelloScope().overlap)),
        **{name: bool(settings.get(name, False)) for name in ("invite", "remove_members", "delete_organizations")},
    )
    return TrelloEndpoint(client(plan, settings, budgets), scope, now=now)


def _poweroffice(settings: Mapping[str, Any], budgets: Budgets | None, now: Now) -> Endpoint:
    base = str(settings.get("url") or POWEROFFICE_URL).rstrip("/")
    application, subscription = secret(settings["application_key"]), secret(settings["subscription_key"])
    grant = Grant(
        url=token_url(base, f"{URL(base).path.removesuffix('/v2')}/OAuth/Token"),
        client=application.reveal(),
        secret=secret(settings["client_key"]),
        headers=((_SUBSCRIPTION, subscription),),
    )
    plan = Plan(
        url=base,
        auth=OAuth2(grant),
        credential=(subscription.reveal(),),  # one limit for all customers of the subscription
        limits=_POWEROFFICE_LIMITS,
        complaint=powerofficego_records.complaint,
        judge=powerofficego_records.judge,
        pause=lambda status, _: powerofficego_records.pause(status, roll=random.random()),  # noqa: S311 - spreads waits
        headers={_SUBSCRIPTION: subscription},
    )
    made = client(plan, {**settings, "url": base}, budgets)
    made.hide(application.reveal())
    default = PowerOfficeScope()
    scope = PowerOfficeScope(
        overlap=float(settings.get("overlap", default.overlap)), full=float(settings.get("full", default.full))
    )
    return PowerOfficeEndpoint(made, scope, now=now)


_VENDORS: Final[Mapping[str, Callable[[Mapping[str, Any], Budgets | None, Now], Endpoint]]] = {
    "asana": _asana,
    "trello": _trello,
    "powerofficego": _poweroffice,
}


def open_endpoint(
    name: str,
    connector: str,
    settings: Mapping[str, Any],
    base_dir: Path,
    *,
    budgets: Budgets | None = None,
    now: Callable[[], float] = time.time,
) -> Endpoint:
    """Open one system. Raises BadSettings, BadDocument, LookupError; needs no network yet.

    Endpoints that are given the same ``budgets`` share one rate budget for each credential.
    """
    if found := problems(settings, settings_of(connector, base_dir)):
        raise BadSettings(name, found)
    try:
        if connector in _VENDORS:
            return _VENDORS[connector](settings, budgets, now)
        return _opened(declared(connector, base_dir), settings, base_dir, budgets, now)
    except ValueError as error:
        raise BadSettings(name, [("url", str(error).removeprefix("url: "))]) from None


def _opened(
    said: Declaration,
    settings: Mapping[str, Any],
    base_dir: Path,
    budgets: Budgets | None,
    now: Callable[[], float],
) -> RestEndpoint:
    values = {name: str(settings[name]) for name in said.settings}
    headers = {
        name: secret(settings[value.setting]) if isinstance(value, FromSetting) else filled(value, values)
        for name, value in said.headers.items()
    }
    auth = _auth(said, settings, headers, base_dir)
    plan = Plan(
        url=said.url or "",
        auth=auth,
        credential=auth.secrets() if isinstance(auth, OAuth2) else secrets(auth),
        limits=said.limits,
        complaint=complaint(said.errors),
        headers=headers,
        verdicts={status: Verdict[name.upper()] for name, each in asdict(said.statuses).items() for status in each},
    )
    return RestEndpoint(said, client(plan, settings, budgets), values, now=now)


def guarded(
    endpoint: Endpoint,
    settings: Mapping[str, Any],
    *,
    clock: Callable[[], float] = time.monotonic,
    roll: Callable[[], float] = random.random,
) -> Guarded:
    """Put the breaker that the settings ask for before an endpoint."""
    wanted = msgspec.convert(settings.get("breaker", {}), BreakerSettings)
    return Guarded(endpoint, Breaker(wanted, clock=clock, roll=roll))


def _auth(
    said: Declaration, settings: Mapping[str, Any], headers: Mapping[str, str | Secret], base_dir: Path
) -> Auth | OAuth2:
    auth = said.auth
    match auth.kind:
        case "none":
            return Anonymous()
        case "bearer":
            return Bearer(secret(settings[auth.setting]))
        case "basic":
            return Basic(str(settings[auth.user]), secret(settings[auth.setting]))
        case "header" | "query":
            return ApiKey(auth.kind, auth.name, secret(settings[auth.setting]))
        case "oauth2":
            base = settings.get("url") or said.url or ""
            grant = Grant(
                url=settings.get("token_url") or token_url(base, auth.token or ""),
                client=str(settings[auth.client]),
                secret=secret(settings[auth.setting]),
                refresh=secret(settings[auth.refresh]) if auth.refresh else None,
                scope=auth.scope,
                place=auth.place,
                headers=tuple((name, secret(headers[name])) for name in auth.headers),
            )
            kept = settings.get("token_file")
            return OAuth2(grant, kept=base_dir / kept if kept else None)
