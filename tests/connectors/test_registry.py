"""Connectors are opened by name, and wrong settings are named all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.asana import AsanaEndpoint
from connectors.budget import Budget
from connectors.opening import guarded, open_endpoint
from connectors.positions import BadDocument
from connectors.registry import BUILT_IN, BadSettings, describe, settings_of
from connectors.rest import RestEndpoint
from connectors.sandbox.run import SYSTEMS, serve
from connectors.vendors import VENDORS

HERE = Path(__file__).parent
TOKEN = "canary-91b3"


async def test_every_connector_can_be_described_and_has_a_sandbox() -> None:
    assert set(BUILT_IN) == set(SYSTEMS)
    for name in BUILT_IN:
        assert all(one.create in {None, 1, 2, 3, 4, 5} for one in describe(name, HERE).values())
        sandbox = await serve(name)
        asked = settings_of(name, HERE)
        assert {one for one, setting in asked.items() if setting.secret} == sandbox.secrets().keys()
        assert {one for one, setting in asked.items() if setting.required} <= {
            **sandbox.settings(),
            **sandbox.secrets(),
        }.keys()
        await sandbox.close()


def test_every_file_of_a_connector_is_registered() -> None:
    root = Path(__file__).parents[2] / "connectors"
    assert {file.stem for file in root.glob("*.yaml")} | set(VENDORS) == set(BUILT_IN)


async def test_endpoints_are_opened_by_name_and_by_path(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text((Path(__file__).parents[2] / "connectors/custompms.yaml").read_text())
    settings = {"url": "https://pms.example.com", "token": TOKEN}
    opened = [
        open_endpoint("a", "asana", {"token": TOKEN}, HERE),
        open_endpoint("b", "custompms", settings, HERE),
        open_endpoint("c", "own.yaml", settings, tmp_path),
    ]
    assert [type(one) for one in opened] == [AsanaEndpoint, RestEndpoint, RestEndpoint]
    assert opened[1].traits() == opened[2].traits() == describe("own.yaml", tmp_path)
    for one in opened:
        await one.close()


def test_all_wrong_settings_are_named_and_no_secret_is_shown() -> None:
    settings = {"tokn": TOKEN, "workspace": 5, "limits": {"raeds": 1}, "deadlines": {"total": TOKEN}}
    with pytest.raises(BadSettings) as bad:
        open_endpoint("asana", "asana", settings, HERE)
    assert [name for name, _ in bad.value.problems] == ["tokn", "workspace", "limits", "deadlines", "token"]
    assert TOKEN not in str(bad.value)
    assert "asana.tokn: found an unknown setting; token would be right" in str(bad.value)


@pytest.mark.parametrize("url", ["http://pms.example.com", "https://u:p@pms.example.com", "pms"])
def test_an_unsafe_address_is_refused(url: str) -> None:
    with pytest.raises(BadSettings, match=r"pms\.url: found"):
        open_endpoint("pms", "custompms", {"url": url, "token": TOKEN}, HERE)


def test_an_unknown_connector_is_refused_with_a_hint() -> None:
    with pytest.raises(LookupError, match="asana would be right"):
        open_endpoint("x", "asanna", {}, HERE)
    with pytest.raises(BadDocument, match=r"nowhere\.yaml"):
        open_endpoint("x", "nowhere.yaml", {}, HERE)


async def test_endpoints_with_one_credential_share_its_budget() -> None:
    budgets: dict[str, Budget] = {}
    settings = {"url": "https://pms.example.com", "token": TOKEN}
    for name, token in (("a", TOKEN), ("b", TOKEN), ("c", "other")):
        await open_endpoint(name, "custompms", {**settings, "token": token}, HERE, budgets=budgets).close()
    assert len(budgets) == 2
    assert TOKEN not in repr(budgets)


async def test_limits_and_the_breaker_can_be_set() -> None:
    settings = {"token": TOKEN, "limits": {"windows": [[150, 60]]}, "breaker": {"failures": 1}}
    endpoint = guarded(open_endpoint("a", "asana", settings, HERE), settings)
    assert endpoint.traits().keys() == {"workspaces", "teams", "projects", "tasks"}
    await endpoint.close()
