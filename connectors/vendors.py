"""The systems that have a connector in code: their settings, their limits, and how an endpoint is opened."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from yarl import URL

from connectors import asana_records, powerofficego_records, trello_records
from connectors.asana import AsanaEndpoint
from connectors.asana import Scope as AsanaScope
from connectors.auth import Bearer, Grant, OAuth1
from connectors.budget import Limits
from connectors.endpoint import Endpoint, Traits
from connectors.oauth import OAuth2, token_url
from connectors.powerofficego import PowerOfficeEndpoint
from connectors.powerofficego import Scope as PowerOfficeScope
from connectors.settings import COMMON, FLAG, SECONDS, TEXT, TEXTS, Budgets, Plan, Setting, client, secret, texts
from connectors.trello import TrelloEndpoint
from connectors.trello_lists import Scope as TrelloScope
from connectors.trello_writes import complaint, judge, pause

Now = Callable[[], float]


class Vendor(Struct, frozen=True, kw_only=True):
    """One connector in code."""

    settings: Mapping[str, Setting]
    traits: Mapping[str, Traits]
    open: Callable[[Mapping[str, Any], Budgets | None, Now], Endpoint]


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

_URL = Setting(schema=TEXT, about="another address, such as a sandbox")
_OVERLAP = Setting(schema=SECONDS, about="seconds that every round reads again")


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
        complaint=complaint,
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


VENDORS: Mapping[str, Vendor] = {
    "asana": Vendor(
        settings={
            "url": _URL,
            "token": Setting(schema=TEXT, required=True, secret=True, about="a personal access token"),
            "workspace": Setting(schema=TEXT, about="the gid of the workspace; needed if the token opens several"),
            "projects": Setting(schema=TEXTS, about="only the tasks of these projects"),
            "assignees": Setting(schema=TEXTS, about="also the tasks of these people"),
            "rename_workspaces": Setting(schema=FLAG, about="allow renaming a workspace for everybody"),
            "overlap": _OVERLAP,
            **COMMON,
        },
        traits={name: kind.traits for name, kind in asana_records.KINDS.items()},
        open=_asana,
    ),
    "trello": Vendor(
        settings={
            "url": _URL,
            "key": Setting(schema=TEXT, required=True, secret=True, about="the API key of a Power-Up"),
            "token": Setting(schema=TEXT, required=True, secret=True, about="a token for that key: read and write"),
            "organizations": Setting(schema=TEXTS, about="only these workspaces, by id or short name"),
            "boards": Setting(schema=TEXTS, about="only these boards, by id"),
            "list": Setting(schema=TEXT, about="the id of the list for new cards that name none"),
            "card": Setting(schema=TEXT, about="the id of the card for new comments that name none"),
            "actions": Setting(schema=TEXTS, about="the types of actions to read; comments if nothing is said"),
            "invite": Setting(schema=FLAG, about="allow inviting people by mail, which may cost money"),
            "remove_members": Setting(schema=FLAG, about="allow ending memberships"),
            "delete_organizations": Setting(schema=FLAG, about="allow deleting workspaces, for ever"),
            "overlap": _OVERLAP,
            **COMMON,
        },
        traits={name: kind.traits for name, kind in trello_records.KINDS.items()},
        open=_trello,
    ),
    "powerofficego": Vendor(
        settings={
            "url": _URL,
            "application_key": Setting(schema=TEXT, required=True, secret=True, about="the integration's key"),
            "client_key": Setting(schema=TEXT, required=True, secret=True, about="the key that the customer gave out"),
            "subscription_key": Setting(schema=TEXT, required=True, secret=True, about="the key to the API itself"),
            "full": Setting(schema=SECONDS, about="seconds between two readings of everything"),
            "overlap": _OVERLAP,
            **COMMON,
        },
        traits={name: kind.traits for name, kind in powerofficego_records.KINDS.items()},
        open=_poweroffice,
    ),
}
"""Every connector in code, by name."""
