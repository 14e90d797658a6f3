"""Which connectors there are, what settings each one takes, and what their entity types can do; needs no network.

Every connector is in the table below; nothing registers itself. A connector is named by a built-in name or by the
path of a declaration. Settings are checked against a schema that can be asked for, so that whoever reads a
configuration can say where in it a setting is unknown or missing, and which of them are secrets. An endpoint is opened
in ``connectors.opening``.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from connectors.auth import Secret
from connectors.declaration import AuthKind, Declaration, FromSetting
from connectors.endpoint import Traits
from connectors.proofreading import read_declaration
from connectors.records import traits
from connectors.settings import COMMON, TEXT, WORD, Setting, plain
from connectors.vendors import VENDORS


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


def problems(settings: Mapping[str, Any], known: Mapping[str, Setting]) -> list[tuple[str, str]]:
    """Check settings against those that a connector takes: (setting, what was found; what would be right)."""
    found = []
    for name in settings:
        if name not in known:
            close = get_close_matches(name, known, n=1) or [", ".join(known)]
            found.append((name, f"found an unknown setting; {close[0]} would be right"))
        elif not isinstance(settings[name], Secret) and not plain(settings[name], known[name].schema):
            import jsonschema  # noqa: PLC0415 - few settings need it

            errors = jsonschema.Draft202012Validator(known[name].schema).iter_errors(settings[name])
            found += [(name, f"found {_what(error)}; {known[name].about} would be right") for error in errors]
    found += [
        (name, f"found nothing; {setting.about} would be right")
        for name, setting in known.items()
        if setting.required and name not in settings
    ]
    return found


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
