"""``linkstream import``: what becomes of topics.yaml, and what a person is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.document import load
from connectors.proofreading import read_declaration
from stream.cli.main import execute
from stream.dataflow.words import singular
from stream.topology import Topology, read_topology
from tests.dataflow import five, papers

ROOT = Path(__file__).parents[2]
VARIABLES = {"ASANA_TOKEN": "a", "CUSTOMPMS_URL": "http://127.0.0.1:1", "CUSTOMPMS_TOKEN": "b"}
TWENTY = {
    ("custompms.customer", "trello.organizations"),
    ("custompms.project", "trello.actions"),
    ("custompms.task", "trello.actions"),
    ("custompms.task", "trello.cards"),
    ("customerp.contact", "trello.members"),
    ("customerp.customer", "trello.organizations"),
    ("customerp.project", "trello.actions"),
    ("customerp.employee", "trello.members"),
    ("crmoffice.activities", "trello.actions"),
    ("crmoffice.contacts", "trello.members"),
    ("crmoffice.companies", "trello.organizations"),
    ("asana.tasks", "custompms.project"),
    ("asana.teams", "custompms.customer"),
    ("asana.workspaces", "custompms.customer"),
    ("asana.projects", "custompms.project"),
    ("asana.tasks", "custompms.task"),
    ("powerofficego.departments", "custompms.customer"),
    ("powerofficego.customers", "custompms.customer"),
    ("powerofficego.projects", "custompms.project"),
}
HAND = """\
# Ours since 2025; ask Kari before you touch it.
systems:
  asana:      {connector: asana,     token: "${ASANA_TOKEN}"}   # personal
  crm:        {connector: './crm.yaml', url: "${CUSTOMPMS_URL}", token: "${CUSTOMPMS_TOKEN}"}

topics:
  asana.tasks:  {poll: 10s}
  crm.case:     {poll: 10s}   # often

flows:

  # The old one.
  -   from: asana.tasks
      to:   crm.case
      create: forward
      fields:
        # Only the title, people said.
        - {from: name,   to: title}
  # The end.
"""
CRM = """\
connector: crm
types:
  case:
    list: {path: /case}
    read: {path: "/case/{id}"}
    create: {path: /case}
    update: {path: "/case/{id}"}
    fields: {id: string, title: string, text: string, country: string, code: integer}
    writable: [title, text, country, code]
    required: [title]
  note:
    list: {path: /note}
    read: {path: "/note/{id}"}
    fields: {id: string, title: string}
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LINKSTREAM_CONFIG", raising=False)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert execute(["import", "--format", "json", *map(str, arguments)]) == code
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def topology() -> Topology:
    return read_topology(Path("topics.yaml"), VARIABLES)


def written() -> dict[tuple[str, str], dict[str, Any]]:
    value = load(Path("topics.yaml").read_bytes()).value
    return {(flow["from"], flow["to"]): flow for flow in value["flows"]}


def paper(*statements: str, name: str = "asana-crm.rst", title: str = "Asana to Crm") -> Path:
    bar = "=" * (len(title) + 9)
    Path(name).write_text("\n".join([f"{bar}\n{title} Dataflow\n{bar}\n", *statements]), encoding="utf-8")
    return Path(name)


def about(a: str = "Tasks", b: str = "Case", rows: tuple[tuple[str, str], ...] = (), **more: str) -> str:
    return five.statement("Asana", "Crm", a, b, list(rows), **more)


def by_hand() -> None:
    Path("topics.yaml").write_text(HAND)
    Path("crm.yaml").write_text(CRM)


# the five


def test_the_five_documents_are_one_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = run(capsys, *five.write(tmp_path / "in"))
    assert {name: answer[name] for name in ("documents", "statements", "properties", "merges", "conditions")} == {
        "documents": 5,
        "statements": 20,
        "properties": 2,
        "merges": 0,
        "conditions": 0,
    }
    assert answer["unread"] == []
    flows = written()
    # By the connectors' own names, whether they say it in the singular or in the plural.
    assert {tuple(map(singular, pair)) for pair in flows} == {tuple(map(singular, pair)) for pair in TWENTY}
    assert all(len(flow["source"]) == 1 + ("crmoffice.activit" in flow["from"]) for flow in flows.values())
    assert all(flow["create"] in ("forward", "never") for flow in flows.values())


def test_the_five_documents_are_right_as_they_are_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = run(capsys, *five.write(tmp_path / "in"))
    running = read_topology(Path("topics.yaml"), dict.fromkeys(answer["variables"], "http://127.0.0.1:1"))
    flow = running.flows.flows["asana.tasks~custompms.task"]
    assert flow.ours
    assert [(pair.left, pair.right, pair.conversion.name) for pair in flow.pairs] == [
        ("name", "title", "same"),
        ("notes", "description", "text"),
        ("due_on", "dueDate", "date"),
    ]
    assert flow.match == ((("name", "title"),),)
    assert len(running.flows.flows) + sum("~" in name and ":" not in name for name in running.resting) == len(TWENTY)


def test_importing_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = five.write(tmp_path / "in")
    run(capsys, *files)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.yaml")}
    answer = run(capsys, *reversed(files))
    assert {path: path.read_bytes() for path in tmp_path.glob("*.yaml")} == before
    assert answer["flows"]["same"] == len(TWENTY)
    assert answer["flows"]["added"] == answer["flows"]["changed"] == 0


def test_importing_one_by_one_is_importing_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = five.write(tmp_path / "in")
    run(capsys, *files)
    together = written()
    Path("topics.yaml").unlink()
    for file in files:
        run(capsys, file)
    assert written() == together


# what is there stays


def test_every_line_of_a_file_by_hand_stays(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    run(capsys, paper(about("Projects", "Case", (("name", "title"),))))
    lines = Path("topics.yaml").read_text().splitlines()
    left = [line for line in HAND.splitlines() if line not in lines]
    assert left == []
    assert written()["asana.projects", "crm.case"]["fields"] == [{"from": "name", "to": "title"}]
    assert list(topology().flows.flows) == ["asana.tasks~crm.case", "asana.projects~crm.case"]


def test_a_flow_by_hand_gains_what_a_document_says_and_keeps_its_comments(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    run(capsys, paper(about(rows=(("name", "title"), ("notes", "text")), merge="name=title")))
    text = Path("topics.yaml").read_text()
    assert "# Only the title, people said." in text
    assert "# The old one." in text
    assert "# The end." in text
    assert "asana:      {connector: asana,     token" in text
    flow = written()["asana.tasks", "crm.case"]
    assert flow["fields"] == [{"from": "name", "to": "title"}, {"from": "notes", "to": "text"}]
    assert flow["match"] == [{"name": "title"}]
    assert flow["create"] == "forward"
    assert topology().flows.flows["asana.tasks~crm.case"].pairs[1].right == "text"


def test_pairs_by_hand_are_not_added_to_by_ours(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    Path("topics.yaml").write_text(HAND.replace("crm.case", "asana.projects"))
    text = paper(five.statement("Asana", "Asana", "Tasks", "Projects"), name="asana-asana.rst", title="Asana to Asana")
    run(capsys, text)
    flow = written()["asana.tasks", "asana.projects"]
    assert flow["fields"] == [{"from": "name", "to": "title"}]
    assert flow["source"]


def test_what_a_person_takes_out_stays_out(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    file = paper(about("Projects", rows=(("name", "title"), ("notes", "text"))))
    run(capsys, file)
    text = Path("topics.yaml").read_text().replace("      - {from: notes, to: text}\n", "")
    Path("topics.yaml").write_text(text)
    run(capsys, file)
    assert Path("topics.yaml").read_text() == text


def test_a_statement_that_says_more_adds_it(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    run(capsys, paper(about("Projects", rows=(("name", "title"),))))
    Path("topics.yaml").write_text(
        Path("topics.yaml").read_text() + "      # by me\n      - {from: color, to: country}\n"
    )
    answer = run(
        capsys, paper("A line more.\n", about("Projects", rows=(("name", "title"), ("notes", "text")))), code=1
    )
    assert answer["flows"]["changed"] == 1
    assert "# by me" in Path("topics.yaml").read_text()
    assert [field["to"] for field in written()["asana.projects", "crm.case"]["fields"]] == ["title", "country", "text"]


def test_a_statement_that_moved_is_found_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    run(capsys, paper(about("Projects", rows=(("name", "title"),))))
    [before] = written()["asana.projects", "crm.case"]["source"]
    run(capsys, paper("", "", about("Projects", rows=(("name", "title"),))))
    [after] = written()["asana.projects", "crm.case"]["source"]
    assert before.startswith("asana-crm.rst:5#")
    assert after == before.replace(":5#", ":7#")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "systems: {}\ntopics: {}\nflows: []   # none\n",
        "flows: [{from: asana.tasks, to: asana.projects, open: [later]}]\nsystems:\n  asana: {connector: asana}\n",
        "systems: {asana: {connector: asana, token: '${ASANA_TOKEN}'}}\ntopics: {asana.tasks: {}}\n",
        "systems:\ntopics:\nflows:\n",
        '{"systems": {"asana": {"connector": "asana"}}, "topics": {}, "flows": []}\n',
        '{"broker": "sqlite:///x.db", "flows": [{"from": "asana.tasks", "to": "custompms.task"}]}\n',
        "flows: [{from: custompms.task, to: asana.tasks}]\n",
        "flows:\n  - {from: asana.tasks, to: custompms.task}   # later\n",
        "flows:\n  -\n    from: asana.tasks\n    to: custompms.task\n  # later on\n",
        "flows:\n-   from: asana.tasks\n    to: asana.teams\n    open:\n    - later\n",
        "---\nbroker: sqlite:///x.db\r\n# end",
    ],
)
def test_any_shape_of_a_file_takes_new_flows(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("topics.yaml").write_bytes(text.encode())
    Path("in").mkdir()
    file = five.one(Path("in"), "Asana", "Custom PMS", ["Tasks-Task"])
    run(capsys, file)
    assert {frozenset(pair) for pair in written()} >= {frozenset(("asana.tasks", "custompms.task"))}
    before = Path("topics.yaml").read_bytes()
    run(capsys, file)
    assert Path("topics.yaml").read_bytes() == before
    for line in text.splitlines():
        if line.startswith("#") or "later" in line:
            assert line.strip("#[] ")[-8:-1] in before.decode()


def test_what_a_person_wrote_as_a_source_stays(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    Path("topics.yaml").write_text(HAND.replace("      fields:", "      source: ['said by Kari: 2025']\n      fields:"))
    run(capsys, paper(about(rows=(("name", "title"),))))
    kari, ours = written()["asana.tasks", "crm.case"]["source"]
    assert kari == "said by Kari: 2025"
    assert ours.startswith("asana-crm.rst:")


def test_the_committed_flows_gain_their_sources_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever is handed the five documents has what they say already."""
    before = (ROOT / "topics.yaml").read_text()
    Path("topics.yaml").write_text(before)
    answer = run(capsys, *five.write(tmp_path / "in"))
    assert answer["flows"]["added"] == 0
    # A pair of identifiers, as the customer has it; and a flow that a person has made link only.
    assert {point["kind"] for point in answer["open"]} <= {"property", "differs"}
    after = Path("topics.yaml").read_text().splitlines()
    assert [line for line in after if "source:" not in line] == [
        line for line in before.splitlines() if "source:" not in line
    ]


def test_a_file_that_is_wrong_is_not_touched(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("a: [", "- a\n", "flows: {}\n  x", "flows: text\n", "a: 1\na: 2\n"):
        Path("topics.yaml").write_text(text)
        assert execute(["import", str(paper(about()))]) == 2
        assert Path("topics.yaml").read_text() == text
        assert "topics.yaml:" in capsys.readouterr().err


# what a person must decide


def kinds(answer: dict[str, Any]) -> set[str]:
    return {point["kind"] for point in answer["open"]}


def test_a_condition_in_words_lets_its_flow_rest(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    every = "When a task is sold, it  will be synchronized with a Crm Case."
    answer = run(capsys, paper(about("Projects", rows=(("name", "title"),), every=every)))
    assert answer["conditions"] == 1
    assert kinds(answer) == {"condition"}
    assert written()["asana.projects", "crm.case"]["condition"] == "When a task is sold"
    assert topology().resting == {"asana.projects~crm.case": ("condition: When a task is sold",)}


def test_created_if_connected_lets_its_flow_rest(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    connected = "if it is connected to a Asana Tasks that is synchronized into Crm"
    every = f"A new Crm Case will be created from a Asana Projects {connected}."
    answer = run(capsys, paper(about("Projects", rows=(("name", "title"),), every=every)))
    assert kinds(answer) == {"connected"}
    flow = written()["asana.projects", "crm.case"]
    assert flow["condition"] == connected
    assert flow["create"] == "forward"
    assert "asana.projects~crm.case" in topology().resting


def test_a_pair_for_some_records_rests(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    rows = (("name", "title"), ("notes", "text (Dependant on having NO in country)"))
    answer = run(capsys, paper(about("Projects", rows=rows)))
    assert kinds(answer) == {"qualifier"}
    fields = written()["asana.projects", "crm.case"]["fields"]
    assert fields[1] == {"from": "notes", "to": "text", "condition": "right having NO in country"}
    assert len(topology().flows.flows["asana.projects~crm.case"].pairs) == 1


def test_a_pair_for_a_code_that_is_known_has_an_expression(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    rows = (("name", "title"), ("notes (Dependant on having green in color)", "text"))
    answer = run(capsys, paper(about("Projects", rows=rows)))
    assert answer["open"] == []
    field = written()["asana.projects", "crm.case"]["fields"][1]
    assert field["when"] == "record.color == 'green'"
    assert field["condition"] == "left having green in color"
    assert len(topology().flows.flows["asana.projects~crm.case"].pairs) == 2
    rows = (("name", "title"), ("notes (Dependant on having wd:Q3133 in color)", "text"))
    answer = run(capsys, paper(about("Teams", rows=rows), name="other.rst"))
    assert kinds(answer) >= {"qualifier"}


def test_a_decision_wakes_a_flow(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    every = "When a task is sold, it  will be synchronized with a Crm Case."
    file = paper(about("Projects", rows=(("name", "title"),), every=every))
    run(capsys, file)
    text = Path("topics.yaml").read_text()
    Path("topics.yaml").write_text(text.replace("    condition:", "    when: record.archived\n    condition:"))
    assert "asana.projects~crm.case" in topology().flows.flows
    before = Path("topics.yaml").read_text()
    answer = run(capsys, file)
    assert Path("topics.yaml").read_text() == before
    assert answer["open"] == []
    assert answer["flows"]["resting"] == 0


def test_only_links_never_creates(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    every = (
        "Before any synchronization can take place, a link between a Asana Projects and a Crm Case must be established."
    )
    rows = (("name", "title"),)
    run(capsys, paper(about("Projects", rows=rows, every=every, merge="name=title notes=text")))
    flow = topology().flows.flows["asana.projects~crm.case"]
    assert flow.create == "never"
    assert flow.match == ((("name", "title"),), (("notes", "text"),))
    Path("topics.yaml").unlink()
    by_hand()
    run(capsys, paper(about("Projects", rows=rows, every=every)))
    assert topology().resting["asana.projects~crm.case"] == ("it only links, and nothing says by what",)


def test_identifiers_are_nothing_to_merge_on(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    answer = run(capsys, paper(about("Projects", rows=(("name", "title"),), merge="$id=id gid=id name=title")))
    assert [point["kind"] for point in answer["open"]] == ["identifier", "identifier"]
    assert answer["merges"] == 3
    assert written()["asana.projects", "crm.case"]["match"] == [{"name": "title"}]


PAIRS = {
    "nowhere": (("name", "title"), ("nowhere", "text")),
    "neither written": (("name", "title"), ("created_at", "id")),
    "identifiers": (("name", "title"), ("owner.id", "caseId")),
    "written twice": (("name", "title"), ("notes", "title"), ("name", "text"), ("notes", "text")),
}


@pytest.mark.parametrize("case", PAIRS)
def test_a_pair_that_cannot_be_rests_and_the_file_is_right(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    answer = run(capsys, paper(about("Projects", rows=PAIRS[case])))
    assert kinds(answer) <= {"property", "direction"}
    assert kinds(answer)
    assert answer["properties"] == len(PAIRS[case])
    assert len(written()["asana.projects", "crm.case"]["fields"]) == len(PAIRS[case])
    assert topology().flows.flows["asana.projects~crm.case"].pairs
    assert any("asana.projects~crm.case: " in name for name in topology().resting)


def test_what_cannot_be_created_is_linked_or_rests(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    answer = run(capsys, paper(about("Projects", "Note", (("name", "title"),), merge="name=title")))
    assert "create" in kinds(answer)
    assert written()["asana.projects", "crm.note"]["create"] == "never"
    assert "asana.projects~crm.note" in topology().flows.flows
    run(capsys, paper(about("Teams", "Note", (("name", "title"),))))
    assert "nothing says what to link by" in topology().resting["asana.teams~crm.note"][0]


def test_what_a_create_needs_and_nobody_says_lets_the_flow_rest(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    run(capsys, paper(about("Projects", rows=(("notes", "text"),))))
    assert "creates nothing without title" in topology().resting["asana.projects~crm.case"][0]


def test_an_entity_that_the_system_has_not_rests(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    answer = run(capsys, paper(about("Projects", "Casefile", (("name", "title"),))))
    assert "entity" in kinds(answer)
    assert topology().resting["asana.projects~crm.casefile"][0] == "crm has no casefile; 'case' would be right"


# a type and itself: two accounts of one system, for which a document has one name


def of_itself(*rows: tuple[str, str]) -> Path:
    tasks = [five.statement("Asana", "Asana", "Tasks", "Tasks", [row]) for row in rows]
    projects = five.statement("Asana", "Asana", "Projects", "Teams", [("name", "name")])
    return paper(*tasks, projects, name="asana-asana.rst", title="Asana to Asana")


def test_copies_within_one_type_rest_and_each_statement_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    answer = run(capsys, of_itself(("name", "name"), ("notes", "notes")))
    [why] = topology().resting["asana.tasks~asana.tasks"]
    assert why == (
        "copies of a type within itself would be copied again; a second entry under systems with the connector of "
        "asana, and its type on one side, would be right"
    )
    told = [(point["line"], point["text"]) for point in answer["open"] if "on both sides" in point["text"]]
    lines = [line for line, text in enumerate(Path("asana-asana.rst").read_text().split("\n"), 1) if "Tasks to" in text]
    assert told == [(line, f"found asana.tasks on both sides: {why}") for line in lines]
    assert "asana.projects~asana.teams" in topology().flows.flows


def test_a_second_account_makes_two_types_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    paper = of_itself(("name", "name"))
    run(capsys, paper)
    lines = Path("topics.yaml").read_text().split("\n")
    lines.insert(lines.index("topics:") + 1, "  other.tasks: {poll: 10s}")
    lines.insert(lines.index("systems:") + 1, '  other: {connector: asana, token: "${ASANA_TOKEN}"}')
    lines[lines.index("    to: asana.tasks")] = "    to: other.tasks"
    Path("topics.yaml").write_text("\n".join(line for line in lines if "copied again" not in line))
    flow = topology().flows.flows["asana.tasks~other.tasks"]
    assert [(pair.left, pair.right) for pair in flow.pairs] == [("name", "name")]
    assert run(capsys, paper)["flows"]["added"] == 0
    assert ("asana.tasks", "asana.tasks") not in written()


def test_no_circle_creates_for_ever(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    name, title = "asana-asana.rst", "Asana to Asana"
    parts = [
        five.statement("Asana", "Asana", a, b, [("name", "name")])
        for a, b in (("Tasks", "Projects"), ("Projects", "Teams"), ("Teams", "Tasks"))
    ]
    run(capsys, paper(*parts, name=name, title=title))
    assert list(topology().flows.flows) == [
        "asana.tasks~crm.case",
        "asana.tasks~asana.projects",
        "asana.projects~asana.teams",
    ]
    assert "in a circle" in topology().resting["asana.teams~asana.tasks"][0]


def test_both_directions_are_one_flow(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    there = paper(about("Projects", rows=(("name", "title"),)))
    back = paper(
        five.statement("Crm", "Asana", "Case", "Projects", [("text", "notes")]),
        name="crm-asana.rst",
        title="Crm to Asana",
    )
    run(capsys, there, back)
    flow = written()["asana.projects", "crm.case"]
    assert flow["create"] == "both"
    assert flow["fields"] == [{"from": "name", "to": "title"}, {"from": "notes", "to": "text"}]
    assert ("crm.case", "asana.projects") not in written()


def test_a_flow_by_hand_keeps_what_it_creates(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    every = "When it is sold, it will be synchronized with a Crm Case."
    answer = run(capsys, paper(about(rows=(("name", "title"),), every=every)))
    assert "differs" in kinds(answer)
    assert "condition" not in written()["asana.tasks", "crm.case"]
    assert "asana.tasks~crm.case" in topology().flows.flows


# systems that nobody reads


def test_an_unknown_system_gets_a_declaration_to_begin_with(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    file = paper(
        five.statement("Asana", "Nova Desk", "Projects", "Case", [("name", "heading"), ("notes", "body.text")]),
        name="asana-novadesk.rst",
        title="Asana to Nova Desk",
    )
    answer = run(capsys, file)
    assert answer["systems"] == ["novadesk"]
    assert topology().resting["asana.projects~novadesk.case"] == ("nothing reads novadesk yet",)
    declared = read_declaration(Path("novadesk.yaml"))
    assert set(declared.types["case"].fields) == {"id", "heading", "body.text"}
    assert declared.unverified
    Path("novadesk.yaml").write_text(Path("novadesk.yaml").read_text() + "# mine\n")
    run(capsys, file)
    assert Path("novadesk.yaml").read_text().endswith("# mine\n")
    text = Path("topics.yaml").read_text()
    system = '  novadesk: {connector: ./novadesk.yaml, url: "${CUSTOMPMS_URL}", token: x}\n'
    Path("topics.yaml").write_text(
        text.replace("\ntopics:", f"{system}\ntopics:", 1).replace("token: x", 'token: "${ASANA_TOKEN}"')
    )
    run(capsys, file)
    assert "asana.projects~novadesk.case" in topology().flows.flows


# the command


def test_one_bad_file_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    Path("bad.rst").write_text("a\n\n.. include:: /etc/passwd\n")
    Path("latin.rst").write_bytes("bl\xf8t".encode("latin-1"))
    good = paper(about("Projects", rows=(("name", "title"),)))
    answer = run(capsys, "bad.rst", good, "latin.rst", "none.rst", code=1)
    assert answer["refused"] == 3
    assert [(each["file"], each["line"]) for each in answer["unread"]] == [
        ("bad.rst", 3),
        ("latin.rst", 1),
        ("none.rst", 1),
    ]
    assert ("asana.projects", "crm.case") in written()


def test_nothing_is_written_where_no_document_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "none.rst", code=1)
    assert not Path("topics.yaml").exists()


def test_a_dry_run_shows_a_diff_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    by_hand()
    file = paper(about("Projects", rows=(("name", "title"),)))
    assert execute(["import", "--dry-run", str(file)]) == 0
    said = capsys.readouterr().out
    assert "+  -   from" not in said
    assert "+  - from: asana.projects" in said
    assert "1 flows added" in said
    assert Path("topics.yaml").read_text() == HAND


def test_a_person_reads_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = paper(five.statement("Asana", "Nova", "Tasks", "Case"), name="asana-nova.rst", title="Asana to Nova")
    assert execute(["import", str(unknown), *map(str, five.write(tmp_path / "in"))]) == 0
    said = capsys.readouterr().out
    for word in ("documents", "statements", "properties", "merges", "conditions", "unread", "nova.yaml"):
        assert word in said
    assert "topics.yaml: 20 flows added" in said
    assert "CUSTOMPMS_URL" in said


def test_a_hundred_made_documents_are_accounted_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = papers.small(100)
    folder = tmp_path / "in"
    folder.mkdir()
    files = papers.corpus(folder, 11, facts)
    answer = run(capsys, *files)
    counts = {
        name: answer[name] for name in ("documents", "statements", "properties", "merges", "conditions", "unread")
    }
    assert counts == {
        "documents": facts.documents,
        "statements": facts.statements,
        "properties": facts.properties,
        "merges": facts.merges,
        "conditions": facts.conditions,
        "unread": [],
    }
    assert topology().resting
    told = [point for point in answer["open"] if point["kind"] == "condition"]
    assert len({(point["file"], point["line"]) for point in told}) == facts.conditions
    before = Path("topics.yaml").read_bytes()
    run(capsys, *files)
    assert Path("topics.yaml").read_bytes() == before
    for stub in tmp_path.glob("*.yaml"):
        if stub.name != "topics.yaml":
            read_declaration(stub)
