"""Which connectors there are, what settings each one takes, and how an endpoint is opened from them.

Every connector is in the table below; nothing registers itself. A connector is named by a built-in name or by the
path of a declaration. Settings are checked against a schema that can be asked for, so that whoever reads a
configuration can say where in it a setting is unknown or missing, and which of them are secrets.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict

from connectors.auth import Anonymous, ApiKey, Auth, Basic, Bearer, Grant, Secret, secrets
from connectors.breaker import Breaker, Guarded
from connectors.breaker import Settings as BreakerSettings
from connectors.declaration import AuthKind, Declaration, FromSetting
from connectors.endpoint import Endpoint, Traits
from connectors.listing import filled
from connectors.oauth import OAuth2, token_url
from connectors.proofreading import read_declaration
from connectors.records import complaint, traits
from connectors.rest import RestEndpoint
from connectors.settings import COMMON, TEXT, WORD, Budgets, Plan, Setting, client, plain, secret
from connectors.vendors import VENDORS
from connectors.verdicts import Verdict


class BadSettings(Exception):
    """Settings do not open an endpoint. ``problems`` are (setting, what was found; what would be right)."""

    def __init__(self, where: str, problems: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{where}.{name}: {said}" for name, said in problems))
        self.problems = problems


_DECLARED = ("crmoffice", "customerp", "custompms")
"""Declarations that come with the package."""

BUILT_IN: tuple[str, ...] = (*VENDORS, *_DECLARED)


def settings_of(connector: str, base_dir: Path) -> Mapping[str, Setting]:
    """Answer the settings that a connector takes. Raises BadDocument for a bad declaration, LookupError for none."""
    if connector in VENDORS:
        return VENDORS[connector].settings
    said = declared(connector, base_dir)
    asked: dict[str, Setting] = {"url": Setting(schema=TEXT, required=said.url is None, about="the address")}
    asked |= {name: Setting(schema=WORD, required=True, about=about) for name, about in said.settings.items()}
    asked |= {
        header.setting: Setting(schema=TEXT, required=True, secret=True, about=f"the value of {name}")
        for name, header in said.headers.items()
        if isinstance(header, FromSetting)
    }
    return {**asked, **_auth_settings(said.auth), **COMMON}


def _auth_settings(auth: AuthKind) -> dict[str, Setting]:
    asked: dict[str, Setting] = {}
    if auth.kind != "none":
        asked[auth.setting] = Setting(schema=TEXT, required=True, secret=True, about="the secret that opens the system")
    if auth.kind == "basic":
        asked[auth.user] = Setting(schema=TEXT, required=True, about="the user's name")
    if auth.kind == "oauth2":
        asked[auth.client] = Setting(schema=TEXT, required=True, about="the client's id")
        asked["token_url"] = Setting(schema=TEXT, about="another token endpoint, such as a sandbox's")
    if auth.kind == "oauth2" and auth.refresh:
        asked[auth.refresh] = Setting(schema=TEXT, required=True, secret=True, about="a refresh token")
        asked["token_file"] = Setting(schema=TEXT, about="a file for refresh tokens that replace the configured one")
    return asked


def describe(connector: str, base_dir: Path) -> Mapping[str, Traits]:
    """Tell what the entity types of a connector can do, without a network."""
    if connector in VENDORS:
        return VENDORS[connector].traits
    return traits(declared(connector, base_dir))


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
    problems = _problems(settings, settings_of(connector, base_dir))
    if problems:
        raise BadSettings(name, problems)
    try:
        if connector in VENDORS:
            return VENDORS[connector].open(settings, budgets, now)
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


def _problems(settings: Mapping[str, Any], known: Mapping[str, Setting]) -> list[tuple[str, str]]:
    problems = []
    for name in settings:
        if name not in known:
            close = get_close_matches(name, known, n=1) or [", ".join(known)]
            problems.append((name, f"found an unknown setting; {close[0]} would be right"))
        elif not isinstance(settings[name], Secret) and not plain(settings[name], known[name].schema):
            import jsonschema  # noqa: PLC0415 - few settings need it

            errors = jsonschema.Draft202012Validator(known[name].schema).iter_errors(settings[name])
            problems += [(name, f"found {_what(error)}; {known[name].about} would be right") for error in errors]
    problems += [
        (name, f"found nothing; {setting.about} would be right")
        for name, setting in known.items()
        if setting.required and name not in settings
    ]
    return problems


def _what(error: Any) -> str:
    """Name a mistake without showing the value, which may be a secret."""
    return f"a value against {error.validator} {error.validator_value}"[:160]


def declared(connector: str, base_dir: Path) -> Declaration:
    """Read a declaration, by its name or its path. Raises BadDocument, LookupError."""
    if connector in _DECLARED:
        return read_declaration(Path(__file__).with_name(f"{connector}.yaml"))
    if not connector.endswith((".yaml", ".yml")):
        close = get_close_matches(connector, BUILT_IN, n=1)
        right = close[0] if close else f"one of {', '.join(BUILT_IN)}, or the path of a declaration (.yaml),"
        raise LookupError(f"connector: found {connector!r}; {right} would be right")
    return read_declaration(base_dir / connector)


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
