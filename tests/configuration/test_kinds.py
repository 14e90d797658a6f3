"""What a topology is told about the connectors that there really are."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.configuration.kinds import registered
from stream.errors import BadTopology
from stream.topology import parse_topology


def problems(connector: str, base_dir: Path) -> list[str]:
    text = f"systems: {{a: {{connector: {connector}, token: '${{T}}'}}}}\ntopics: {{}}\n"
    with pytest.raises(BadTopology) as told:
        parse_topology(text.encode(), {"T": "canary"}, base_dir=base_dir)
    return list(told.value.problems)


def test_a_connector_has_types_and_settings() -> None:
    kind = registered("asana", Path())
    assert {"tasks", "projects", "teams", "workspaces"} <= kind.traits.keys()
    assert kind.settings["token"].secret
    assert kind.settings["token"].required
    assert not kind.settings["url"].secret


def test_a_misspelt_connector(tmp_path: Path) -> None:
    assert problems("asanna", tmp_path) == ["topics.yaml:1:26: found 'asanna'; asana would be right"]


def test_a_declaration_that_is_not_there(tmp_path: Path) -> None:
    [told] = problems("none.yaml", tmp_path)
    assert "none.yaml" in told
    assert told.endswith("would be right")


def test_a_wrong_declaration_is_told_with_its_own_places(tmp_path: Path) -> None:
    (tmp_path / "pms.yaml").write_text("connector: pms\ntypes: {task: {list: {path: /tasks}, raed: {path: /x}}}\n")
    told = problems("pms.yaml", tmp_path)
    assert len(told) > 1
    for line in told:
        assert line.startswith(f"topics.yaml:1:26: {tmp_path / 'pms.yaml'}:2:")
        assert line.endswith("would be right")
