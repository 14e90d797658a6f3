"""A customer's document is tried out as it is; what rests in it is on the list, and not ticked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream.cli.main import execute

ROOT = Path(__file__).parents[2]
DOCUMENT = """\
=========================
Asana to Trello Dataflow
=========================

Asana Teams to Trello Organizations
-----------------------------------

Every Asana Teams will be synchronized with a Trello Organizations

Once a link between a Asana Teams and a Trello Organizations is established, it will keep in sync between the two systems, regardless of where it is edited.

.. list-table::
   :header-rows: 1

   * - Asana Teams Property
     - Trello Organizations Property
     - Trello Organizations Data Type
   * - name
     - displayName
     - "string"
   * - description
     - desc
     - "string"

Asana Tasks to Trello Cards
---------------------------

When an Asana Tasks is of type Agent, it will be synchronized with a Trello Cards

Once a link between a Asana Tasks and a Trello Cards is established, it will keep in sync between the two systems, regardless of where it is edited.
"""  # noqa: E501 - the sentences are the form's own


@pytest.mark.process
@pytest.mark.timeout(240)
def test_a_document_is_tried_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "asana-to-trello.rst"
    document.write_text(DOCUMENT, "utf-8")
    before = (ROOT / "topics.yaml").read_bytes()
    code = execute(["qa", str(document), "-c", str(ROOT / "topics.yaml"), "--format", "json"])
    said = json.loads(capsys.readouterr().out)
    verdicts = {each["name"]: each["verdict"] for each in said["statements"]}
    assert verdicts == {
        "asana.teams~trello.organizations": "passed",
        "asana.tasks~trello.cards": "not applied",
    }
    [line] = said["statements"][1]["checks"]
    assert line["reason"].startswith("it rests: ")
    assert code == 1
    assert (ROOT / "topics.yaml").read_bytes() == before


def test_what_is_no_document_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.rst").write_text("Nothing here.\n")
    assert execute(["qa", str(tmp_path / "empty.rst"), "-c", str(ROOT / "topics.yaml")]) == 1
    assert "a dataflow document would be right" in capsys.readouterr().err
