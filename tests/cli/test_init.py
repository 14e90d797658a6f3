"""``linkstream init`` writes a configuration that validates, and never over one that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.cli.main import execute
from tests.cli.kept import DECLARED


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.delenv("LINKSTREAM_CONFIG", raising=False)


@pytest.mark.parametrize(
    ("types", "field"),
    [
        (("asana.tasks", "custompms.task"), '{from: "name", to: "title"}'),
        (("crmoffice.companies", "customerp.customer"), 'to: "name"'),
        (("trello.cards", "custompms.task"), '{from: "name", to: "title"}'),
    ],
)
def test_it_validates_once_the_variables_are_set(
    types: tuple[str, str],
    field: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert execute(["init", *types]) == 0
    said = capsys.readouterr().out
    assert "linkstream validate" in said
    written = (tmp_path / "topics.yaml").read_text()
    assert field in written
    assert "create: never" in written
    for name in said.partition("set ")[2].partition(";")[0].split(", "):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("LINKSTREAM_BROKER", raising=False)
    assert execute(["validate"]) == 0, capsys.readouterr().err


def test_a_declaration_of_ones_own_and_fields_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plain.yaml").write_text(DECLARED)
    line = ["init", "a.t", "b.t", "--connector", "a=plain.yaml", "--connector", "b=plain.yaml"]
    assert execute([*line, "--field", "x=y", "--match", "x=y", "--create", "forward"]) == 0, capsys.readouterr().err
    written = (tmp_path / "topics.yaml").read_text()
    assert 'match: [{"x": "y"}]' in written
    assert '{from: "x", to: "y"}' in written


def test_a_file_that_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "topics.yaml").write_text("mine")
    assert execute(["init", "asana.tasks", "custompms.task"]) == 1
    assert "found a file already" in capsys.readouterr().err
    assert (tmp_path / "topics.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ([], 2, "found no LEFT and RIGHT"),
        (["asana.tasks", "nonsense"], 2, "<system>.<type>"),
        (["asana.tasks", "nonsense.x"], 2, "would be right"),
        (["asana.nonsense", "custompms.task"], 2, "found no type 'nonsense' of asana; "),
        (["asana.tasks", "custompms.task", "--field", "x"], 2, "--field: found no pair"),
        (["asana.tasks", "custompms.task", "--field", "nonsense=title"], 2, "would be right"),
    ],
)
def test_nonsense_writes_nothing(
    line: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["init", *line]) == code
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
