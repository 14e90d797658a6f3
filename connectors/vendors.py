"""The systems that have a connector in code: their settings, and what their entity types can do."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from connectors import asana_records, powerofficego_records, trello_records
from connectors.endpoint import Traits
from connectors.settings import COMMON, FLAG, SECONDS, TEXT, TEXTS, Setting


class Vendor(Struct, frozen=True, kw_only=True):
    """One connector in code."""

    settings: Mapping[str, Setting]
    traits: Mapping[str, Traits]


_URL = Setting(schema=TEXT, about="another address, such as a sandbox")
_OVERLAP = Setting(schema=SECONDS, about="seconds that every round reads again")

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
    ),
}
"""Every connector in code, by name."""
