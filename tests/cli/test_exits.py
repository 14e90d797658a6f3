"""How errors become exit codes and last words."""

from __future__ import annotations

from typing import Any

import click
import pytest

from connectors.errors import Locked, Retry
from connectors.positions import BadDocument
from connectors.registry import BadSettings
from stream.cli.exits import BadEnvironment, Failed, code_of, told
from stream.engine.log import Corrupt, EngineError, Fenced, Full, InUse, Mismatch
from stream.errors import BadTopology

CODES: list[tuple[BaseException, int]] = [
    (BadTopology(["topics.yaml:1:1: found nothing; a mapping would be right"]), 2),
    (BadDocument(["x.yaml:1:1: found nothing; a mapping would be right"]), 2),
    (BadSettings("asana", [("token", "found nothing; a token would be right")]), 2),
    (click.UsageError("no such option"), 2),
    (click.ClickException("no"), 1),
    (Failed("found no answer; one would be right"), 1),
    (Retry("later"), 1),
    (Locked("the token opens nothing"), 1),
    (BadEnvironment("found port 8801 in use; a free one would be right"), 3),
    (PermissionError(13, "Permission denied"), 3),
    (OSError(98, "Address already in use"), 3),
    (EngineError("unknown"), 70),
    (Fenced("taken over"), 70),
    (InUse("in use"), 75),
    (Full("no room"), 75),
    (Corrupt("damaged"), 78),
    (Mismatch("misfit"), 78),
    (ValueError("canary"), 70),
    (KeyboardInterrupt(), 130),
    (click.Abort(), 130),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_every_error_has_its_code_and_a_word(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(error) == code
    assert told(error) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.strip()


def test_a_mistake_of_ours_says_where_and_not_what_with(capsys: pytest.CaptureFixture[str]) -> None:
    def stumble(secret: str) -> Any:
        raise RuntimeError(f"cannot use {secret}")

    try:
        stumble("canary-4711")
    except RuntimeError as error:
        assert told(error) == 70  # noqa: PT017
    said = capsys.readouterr().err
    assert "canary" not in said
    assert "RuntimeError" in said
    assert "in stumble" in said
