"""topics.yaml -> Topology: what a right file means, and what each wrong one is told."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.auth import Secret
from connectors.document import load
from connectors.endpoint import Traits
from connectors.settings import Setting
from stream.configuration.systems import Kind
from stream.errors import BadTopology
from stream.topology import Topology, parse_topology, read_topology

CANARY = "canary-4711-do-not-show"
ENVIRONMENT = {"TOKEN": CANARY, "URL": "http://canary-url", "FOUR": "4", "WRONG": "canary-wrong", "YES": "true"}

TEXT = {"type": "string", "minLength": 1}
SETTINGS = {
    "url": Setting(schema=TEXT, required=True),
    "token": Setting(schema=TEXT, required=True, secret=True),
    "size": Setting(schema={"type": "integer"}),
    "rename": Setting(schema={"type": "boolean"}),
    "workspace": Setting(schema=TEXT),
}
KINDS = {
    "left": Kind(
        traits={
            "tasks": Traits(
                create=3,
                lag=1.5,
                fields=frozenset({"gid", "name", "notes", "done", "due", "projects", "owner.name", "team", "labels"}),
                writable=frozenset({"name", "notes", "done", "due", "projects", "labels"}),
                required=frozenset({"name"}),
                remove=frozenset({"delete"}),
            ),
            "projects": Traits(create=3, fields=frozenset({"gid", "name"}), required=frozenset({"name"})),
            "spaces": Traits(fields=frozenset({"name"}), writable=frozenset()),
        },
        settings=SETTINGS,
    ),
    "right": Kind(
        traits={
            "task": Traits(
                id="integer",
                create=5,
                look_up="none",
                fields=frozenset({"id", "title", "text", "status", "deadline", "projectId", "address", "tags"}),
                writable=frozenset({"title", "text", "status", "deadline", "projectId", "address", "tags"}),
                required=frozenset({"title"}),
                remove=frozenset({"archive", "delete"}),
            ),
            "project": Traits(id="integer", create=2, fields=frozenset({"id", "name"}), required=frozenset({"name"})),
        },
        settings={"token": Setting(schema=TEXT, secret=True)},
    ),
}

HEAD = """\
systems:
  a: {connector: left, url: "${URL}", token: "${TOKEN}"}
  b: {connector: right}
topics:
  a.tasks: {poll: 30s}
  a.projects:
  a.spaces: {}
  b.task: {poll: 500ms}
  b.project: {poll: 1.5m}
flows:
"""


def kinds(connector: str, base_dir: Path) -> Kind:
    if connector not in KINDS:
        raise ValueError(f"found {connector!r}; left would be right")
    return KINDS[connector]


def read(text: str, environment: Mapping[str, str] = ENVIRONMENT, **more: Any) -> Topology:
    return parse_topology(text.encode(), environment, kinds=kinds, **more)


def problems(text: str, environment: Mapping[str, str] = ENVIRONMENT) -> list[str]:
    with pytest.raises(BadTopology) as told:
        read(text, environment)
    return list(told.value.problems)


def outcome(text: str) -> tuple[str, ...]:
    """The problems of a text that may have none."""
    try:
        read(text)
    except BadTopology as error:
        return tuple(error.problems)
    return ()


def flow(fields: str = "{from: name, to: title}", **more: str) -> str:
    """One flow a.tasks -> b.task, with some of its lines changed; an empty one is left out."""
    lines = {
        "from": "a.tasks",
        "to": "b.task",
        "create": "forward",
        "match": "[{name: title}]",
        "fields": f"[{fields}]",
        **more,
    }
    inside = "".join(f"    {key}: {value}\n" for key, value in lines.items() if value)
    return f"  -\n{inside}"


def file(*flows: str) -> str:
    return HEAD + "".join(flows or (flow(),))


# what a right file means


def test_a_flow_rests_until_something_is_decided() -> None:
    told = '["which of the two"]'
    topology = read(file(flow(name="one"), flow(name="two", to="nobody.knows", open=told)))
    assert list(topology.flows.flows) == ["one"]
    assert topology.resting == {"two": ("which of the two",)}


def test_a_flow_with_a_condition_in_words_rests() -> None:
    topology = read(file(flow(condition='"When it rains"')))
    assert not topology.flows.flows
    assert topology.resting == {"a.tasks~b.task": ("condition: When it rains",)}


def test_a_pair_rests_and_the_others_do_not() -> None:
    resting = "{from: nowhere, to: at-all, open: [no such field]}, {from: done, to: status, condition: x}"
    topology = read(file(flow(f"{resting}, {{from: name, to: title}}")))
    [only] = topology.flows.flows.values()
    assert [(pair.left, pair.right) for pair in only.pairs] == [("name", "title")]
    assert topology.resting == {
        "a.tasks~b.task: nowhere ~ at-all": ("no such field",),
        "a.tasks~b.task: done ~ status": ("condition: x",),
    }


def test_no_reference_leads_through_a_flow_that_rests() -> None:
    through = flow("{from: name, to: name}", **{"from": "a.projects", "to": "b.project", "open": "[later]"})
    told = problems(
        file(through, flow("{from: name, to: title}, {from: team, to: projectId, reference: a.projects -> b.project}"))
    )
    assert "found no flow 'a.projects -> b.project'" in told[0]


def test_a_set_and_a_group_are_fields_by_their_names() -> None:
    fields = "{from: name, to: title}, {from: labels, to: tags, set: true}, {from: due, to: deadline, as: date}, "
    topology = read(file(flow(fields + "{from: notes, to: text}", together="[[due, notes]]")))
    [only] = topology.flows.flows.values()
    assert [(pair.left, pair.right, pair.direction) for pair in only.pairs] == [
        ("name", "title", "both"),
        ("labels~", "tags~", "both"),
        ("due, notes", "deadline, text", "both"),
    ]
    convert = only.pairs[2].conversion.to
    assert convert is not None
    assert convert(["2026-05-01T10:00:00Z", "x"]) == ["2026-05-01", "x"]
    assert topology.flows.sets == {"a.tasks": ("labels~",), "b.task": ("tags~",)}


def test_a_group_with_a_pair_that_rests_waits_for_it() -> None:
    fields = "{from: name, to: title}, {from: due, to: deadline, open: [which]}, {from: notes, to: text}"
    [only] = read(file(flow(fields, together="[[due, notes]]"))).flows.flows.values()
    assert [pair.left for pair in only.pairs] == ["name", "notes"]


def test_systems_keep_their_order_and_their_secrets() -> None:
    topology = read(file())
    assert [(system.name, system.connector, system.rank) for system in topology.systems.values()] == [
        ("a", "left", 0),
        ("b", "right", 1),
    ]
    settings = topology.systems["a"].settings
    assert settings["url"] == "http://canary-url"
    assert isinstance(settings["token"], Secret)
    assert [secret.reveal() for secret in topology.secrets()] == [CANARY]


def test_types_are_polled_as_often_as_they_say() -> None:
    types = read(file()).types
    assert {name: polled.poll for name, polled in types.items()} == {
        "a.tasks": 30.0,
        "a.projects": 30.0,
        "a.spaces": 30.0,
        "b.task": 0.5,
        "b.project": 90.0,
    }
    assert (types["a.tasks"].system, types["a.tasks"].type) == ("a", "tasks")


def test_the_core_gets_the_facts_of_every_type() -> None:
    facts = read(file()).flows.facts
    assert (facts["a.tasks"].rank, facts["a.tasks"].integer_ids, facts["a.tasks"].marked) == (0, False, True)
    assert facts["a.tasks"].lag == 1_500_000
    assert (facts["b.task"].rank, facts["b.task"].integer_ids, facts["b.task"].marked) == (1, True, False)
    assert not facts["a.spaces"].marked


def test_a_flow_is_laid_out_on_both_ends() -> None:
    topology = read(
        file(
            flow(
                "{from: name, to: title}, {from: due, to: deadline, as: date}, "
                "{from: done, to: status, as: {enum: {true: x, false: y}}}"
            )
        )
    )
    made = topology.flows.flows["a.tasks~b.task"]
    assert (made.left, made.right, made.create, made.delete, made.ours) == (
        "a.tasks",
        "b.task",
        "forward",
        "keep",
        False,
    )
    assert made.match == ((("name", "title"),),)
    assert [(pair.left, pair.right, pair.direction, pair.required) for pair in made.pairs] == [
        ("name", "title", "both", "b"),
        ("due", "deadline", "both", ""),
        ("done", "status", "both", ""),
    ]
    to = made.pairs[2].conversion.to
    assert to is not None
    assert (to(True), to(False)) == ("x", "y")
    assert set(topology.flows.ends("b.task")) == {"a.tasks~b.task/b"}


NARROWED = [
    ("{from: name, to: title}", "both"),
    ("{from: team, to: text}", "forward"),
    ("{from: notes, to: id}", "backward"),
    ("{from: owner.name, to: text}", "forward"),
    ("{from: projects.gid, to: projectId, as: first}", "forward"),
    ("{from: name, to: title, direction: backward}", "backward"),
    ("{from: name, to: address.city}", "both"),
]


@pytest.mark.parametrize(("field", "direction"), NARROWED)
def test_a_pair_goes_as_far_as_its_fields_can_be_written(field: str, direction: str) -> None:
    [pair] = read(file(flow(field, create="never"))).flows.flows["a.tasks~b.task"].pairs
    assert pair.direction == direction


def test_a_reference_names_the_flow_between_the_types() -> None:
    projects = flow("{from: name, to: name}", **{"from": "a.projects", "to": "b.project", "match": ""})
    for reference in ("a.projects -> b.project", "a.projects~b.project"):
        tasks = flow(f"{{from: name, to: title}}, {{from: projects, to: projectId, reference: {reference}}}")
        pair = read(file(tasks, projects)).flows.flows["a.tasks~b.task"].pairs[1]
        assert pair.reference == "a.projects~b.project"


def test_a_condition_reads_fields_that_are_observed_and_never_written() -> None:
    text = flow(
        "{from: name, to: title, when: record.owner.name != ''}", when="record.done == true && record.due < '2'"
    )
    flows = read(file(text)).flows
    assert flows.paths["a.tasks"] == ("done", "due", "name", "owner.name")
    assert flows.written["a.tasks"] == {"name"}
    ours, theirs = flows.ends("a.tasks")["a.tasks~b.task/a"], flows.ends("b.task")["a.tasks~b.task/b"]
    assert ours.when is not None
    assert ours.when.holds({"done": True, "due": "1"})
    assert not ours.when.holds({"done": False, "due": "1"})
    assert [guard.name for guard in ours.guards] == ["name -> title"]
    assert (theirs.when, theirs.guards) == (None, ())


def test_a_create_may_ask_for_a_linked_reference() -> None:
    through = flow("{from: name, to: name}", **{"from": "a.projects", "to": "b.project", "match": ""})
    flows = read(file(flow(create="{when_linked: [{projects: a.projects -> b.project}]}"), through)).flows
    end = flows.ends("a.tasks")["a.tasks~b.task/a"]
    assert end.creates
    assert [(field, reference.edge) for field, reference in end.needs] == [("projects", "a.projects~b.project/a")]
    assert "projects" in flows.paths["a.tasks"]


def test_defaults() -> None:
    topology = read(file())
    assert (topology.broker, topology.partitions) == ("sqlite:///var/linkstream.db", 4)


def test_variables_may_stand_where_a_number_is_wanted() -> None:
    head = HEAD.replace(
        'token: "${TOKEN}"', "token: '${TOKEN}', size: '${FOUR}', rename: '${YES}', workspace: '${NONE:-}'"
    )
    topology = read("partitions: ${FOUR}\n" + head.removesuffix("flows:\n"))
    assert topology.partitions == 4
    assert topology.systems["a"].settings["size"] == 4
    assert topology.systems["a"].settings["rename"] is True
    assert "workspace" not in topology.systems["a"].settings


# what a wrong file is told

S = HEAD.replace("flows:\n", "")

BAD = {
    # form
    "an empty file": ("", ":1:1: found nothing; a mapping would be right"),
    "a list": ("[]", "found a list; a mapping would be right"),
    "no systems": ("topics: {}", "found no 'systems'; one would be right"),
    "an unknown key": (S + "flow: []", "found 'flow'; 'flows' would be right"),
    "a key twice": (S + "topics: {}", "found the key 'topics' twice"),
    "a tag": (S + "partitions: !!int 4", "found the tag"),
    "an alias": (S + "broker: &x y\nflows: *x", "found the alias *x"),
    "partitions as text": (S + "partitions: many", "found 'many'; a value of type integer would be right"),
    "no partitions": (S + "partitions: 0", "found 0; at least 1 would be right"),
    "too many partitions": (S + "partitions: 4000", "found 4000; at most 1024 would be right"),
    "partitions out of a variable": (S + "partitions: ${WRONG}", "found ${WRONG}; a value of type integer"),
    "an empty broker": (S + "broker: ''", "found ''; a text that is not empty would be right"),
    "flows as a mapping": (S + "flows: {}", "found a mapping; a list would be right"),
    "a flow as text": (S + "flows: [x]", "found 'x'; a mapping would be right"),
    "a field as text": (file(flow("name")), "found 'name'; a mapping would be right"),
    "a topic as text": (S.replace("{poll: 30s}", "30s"), "found '30s'; a mapping or nothing would be right"),
    "a system as text": ("systems: {a: left}\ntopics: {}", "found 'left'; a mapping would be right"),
    "a system's name": ("systems: {a.b: {connector: left}}\ntopics: {}", "found 'a.b'; a name of letters"),
    "a name with a line break": ('systems: {"a\\n": {connector: left}}\ntopics: {}', "found a line break"),
    "a topic's name": (S + "  tasks: {}", "found 'tasks'; <system>.<type> would be right"),
    "a duration without a unit": (S.replace("30s", "30"), "found 30; a text would be right"),
    "an odd duration": (
        S.replace("30s", "30 seconds"),
        "found '30 seconds'; a duration as 500ms, 30s, 5m would be right",
    ),
    "too often": (S.replace("500ms", "1ms"), "found '1ms'; 100ms to 24h would be right"),
    "too seldom": (S.replace("1.5m", "25h"), "found '25h'; 100ms to 24h would be right"),
    "a scope": (S.replace("poll: 30s", "scope: {}"), "found 'scope'; what is read of a type is said in the settings"),
    "a condition within a group": (
        file(
            flow(
                "{from: name, to: title}, {from: due, to: deadline, when: record.done}, {from: notes, to: text}",
                together="[[due, notes]]",
            )
        ),
        "found a condition; fields without one, or one for the flow, would be right",
    ),
    "a type and itself": (
        file(flow("{from: name, to: notes}", to="a.tasks", create="never", match="[{name: notes}]")),
        "a second entry under systems with the connector of a, for the other account, and its type here would be right",
    ),
    "no condition": (file(flow(when="name = 1")), "found no condition: 1:6: token recognition error at: '= '"),
    "a condition on nothing": (file(flow(when="done == true")), "undeclared reference to 'done'"),
    "a condition on an unknown field": (
        file(flow(when="record.nam == 'x'")),
        "found no field 'nam' in a.tasks; 'name' would be right",
    ),
    "a condition on a field": (
        file(flow("{from: name, to: title, when: has(record.done)}")),
        "found has(), to which an empty field is one too; record.done != null would be right",
    ),
    "no connection": (file(flow(create="{when_linked: []}")), "found a list; 1 items would be right"),
    "a connection by nothing": (file(flow(create="{when: x}")), "found 'when'; 'when_linked' would be right"),
    "a connection of no flow": (
        file(flow(create="{when_linked: [{projects: a.projects -> b.task}]}")),
        "found no flow 'a.projects -> b.task'; 'a.tasks -> b.task' would be right",
    ),
    "a connection of another system": (
        file(
            flow(create="{when_linked: [{projects: back}]}"),
            flow("{from: title, to: name}", **{"name": "back", "from": "b.task", "to": "a.projects", "match": ""}),
        ),
        "found the flow 'back', whose left side is b.task; a flow from a type of a would be right",
    ),
    "an unknown create": (file(flow(create="forwards")), "found 'forwards'; 'forward' would be right"),
    "an unknown delete": (file(flow(delete="purge")), "found 'purge'; one of archive, delete, keep would be right"),
    "ours as text": (file(flow(ours="maybe")), "found 'maybe'; true or false would be right"),
    "yes is text": (file(flow(ours="yes")), "found 'yes'; true or false would be right"),
    "an odd path": (file(flow("{from: a..b, to: title}")), "found 'a..b'; a path as address.city would be right"),
    "an odd path in match": (file(flow(match="[{a b: title}]")), "found 'a b'; a path as address.city would be right"),
    "an empty match": (file(flow(match="[{}]")), "found a mapping; at least 1 pair would be right"),
    "match as pairs": (file(flow(match="[[name, title]]")), "found a list; a mapping would be right"),
    "an odd name": (file(flow(name="a|b")), "found 'a|b'; a name of letters, digits, -, _, . and ~ would be right"),
    "a field without to": (file(flow("{from: name}")), "found no 'to'; one would be right"),
    "an unknown conversion": (file(flow("{from: name, to: title, as: dat}")), "found 'dat'; 'date' would be right"),
    "an unknown conversion with options": (
        file(flow("{from: name, to: title, as: {enmu: {a: b}}}")),
        "found 'enmu'; 'enum' would be right",
    ),
    "two conversions": (file(flow("{from: name, to: title, as: {date: {}, integer: {}}}")), "found 2 conversions; one"),
    "no conversion": (file(flow("{from: name, to: title, as: {}}")), "found 0 conversions; one would be right"),
    "an unknown option": (
        file(flow("{from: name, to: title, as: {date: {zon: UTC}}}")),
        "found 'zon'; 'zone' would be right",
    ),
    "an unknown zone": (
        file(flow("{from: due, to: deadline, as: {date: {time: right, zone: Oslo}}}")),
        "found the zone 'Oslo'; one like Europe/Oslo would be right",
    ),
    "words that are no pairs": (file(flow("{from: name, to: title, as: {enum: {a: [b]}}}")), "would be right"),
    # systems
    "an unknown connector": ("systems: {a: {connector: lft}}\ntopics: {}", ":1:26: found 'lft'; left would be right"),
    "an unknown setting": (S.replace("url:", "ulr: x, url:"), "found the setting 'ulr'; one of"),
    "a missing setting": (S.replace('url: "${URL}", ', ""), "found no setting 'url'; one would be right"),
    "a misspelt setting": (S.replace("url:", "ulr:"), "found the setting 'ulr'; 'url' would be right"),
    "a setting of the wrong kind": (S.replace("url:", "size: x, url:"), "found 'x'; a value of type integer"),
    "a setting of the wrong kind out of a variable": (
        S.replace("url:", "size: '${WRONG}', url:"),
        "found ${WRONG}; a value of type integer would be right",
    ),
    "a secret in the file": (
        S.replace('"${TOKEN}"', "canary-literal"),
        "found a secret in the file itself; ${NAME} or",
    ),
    "a secret that is a number": (S.replace('"${TOKEN}"', "4711"), "found a secret that is no text"),
    "an empty secret": (S.replace('"${TOKEN}"', "'${NONE:-}'"), "found nothing in ${NONE}; a secret would be right"),
    "a variable without quotes": (
        S.replace('"${TOKEN}"', "${TOKEN}"),
        "quotes around a value with ${...} would be right",
    ),
    "an unset variable": (S.replace("TOKEN", "TOKN"), "found ${TOKN}, which is not set"),
    "a missing file": (S.replace("${TOKEN}", "${file:/nowhere/token}"), "No such file or directory"),
    "a connector out of a variable": (
        S.replace("connector: left", "connector: '${WRONG}'"),
        "found ${WRONG}, which leads",
    ),
    "a duration out of a variable": (S.replace("30s", "'${FOUR}h0'"), "found ${FOUR}h0; a duration as"),
    "too seldom out of a variable": (S.replace("30s", "'${FOUR}4h'"), "found ${FOUR}4h; 100ms to 24h"),
    "a variable in a flow": (file(flow(name="'${TOKEN}'")), "found a variable in a flow; what it stands for would be"),
    # topics
    "an unknown system": (S + "  aa.tasks: {}", "found the system 'aa'; 'a' would be right"),
    "an unknown type": (S + "  a.taks: {}", "found the type 'taks' of a; 'tasks' would be right"),
    # flows
    "an unknown left type": (
        file(flow(**{"from": "a.task"})),
        "found 'a.task', which is not among the topics; 'a.tasks'",
    ),
    "an unknown right type": (
        file(flow(to="b.tasks")),
        "found 'b.tasks', which is not among the topics; 'b.task' would",
    ),
    "an unknown left field": (
        file(flow("{from: nme, to: title}")),
        "found no field 'nme' in a.tasks; 'name' would be right",
    ),
    "an unknown right field": (
        file(flow("{from: name, to: titel}")),
        "found no field 'titel' in b.task; 'title' would",
    ),
    "a field of the other case": (file(flow("{from: name, to: projectid}")), "'projectId' would be right"),
    "an unknown field in match": (file(flow(match="[{name: titel}]")), "found no field 'titel' in b.task; 'title'"),
    "two ends that cannot be written": (
        file(flow("{from: name, to: title}, {from: team, to: id}")),
        "found 'team' and 'id', which can both not be written",
    ),
    "a left end that cannot be written": (
        file(flow("{from: name, to: title}, {from: team, to: text, direction: both}")),
        "found 'team', which cannot be written",
    ),
    "a right end that cannot be written": (
        file(flow("{from: name, to: title}, {from: notes, to: id, direction: forward}")),
        "found 'id', which cannot be written",
    ),
    "a word for two words": (
        file(flow("{from: name, to: title}, {from: notes, to: status, as: {enum: {a: x, b: x}}}")),
        "found one right word for two left ones in both directions; direction: forward, or another word,",
    ),
    "a way back for first": (
        file(flow("{from: name, to: title}, {from: projects, to: projectId, as: first, direction: both}")),
        "found 'first' in both directions; direction: forward would be right",
    ),
    "two pairs on one right field": (
        file(flow("{from: name, to: title}, {from: notes, to: title, direction: forward}")),
        "found a second pair that writes 'title' of b.task",
    ),
    "two pairs on one left field": (
        file(flow("{from: name, to: title}, {from: name, to: text}")),
        "found a second pair that writes 'name' of a.tasks",
    ),
    "a field of a name that means something else": (
        file(flow("{from: name, to: title}, {from: labels~x, to: tags}")),
        "a path as address.city would be right",
    ),
    "a set of dates": (
        file(flow("{from: name, to: title}, {from: labels, to: tags, set: true, as: date}")),
        "found 'date' for the elements of a set; one word for each, by same, text, integer, enum, would be right",
    ),
    "a set with one word for two": (
        file(
            flow(
                "{from: name, to: title}, "
                "{from: labels, to: tags, set: true, direction: forward, as: {enum: {red: x, blue: x}}}"
            )
        ),
        "found one word for two elements; one word for each, by same, text, integer, enum, would be right",
    ),
    "a set to match by": (
        file(flow("{from: name, to: title}, {from: labels, to: tags, set: true}", match="[{labels: title}]")),
        "found the set 'labels'; a single value would be right",
    ),
    "a set to match by on the right": (
        file(flow("{from: name, to: title}, {from: labels, to: tags, set: true}", match="[{name: tags}]")),
        "found the set 'tags'; a single value would be right",
    ),
    "a set here and a list there": (
        file(
            flow("{from: name, to: title}, {from: labels, to: tags, set: true}", name="one"),
            flow("{from: name, to: title}, {from: labels, to: tags}", name="two"),
        ),
        "found 'labels' of a.tasks alone here and as a set elsewhere; the same everywhere would be right",
    ),
    "two groups of one field": (
        file(
            flow("{from: name, to: title}, {from: due, to: deadline}", name="one", together="[[name, due]]"),
            flow("{from: name, to: title}, {from: due, to: deadline}", name="two", together="[[due, name]]"),
        ),
        "found 'due' of a.tasks together with due, name here and together with name, due elsewhere",
    ),
    "a group of what is not mapped": (
        file(flow("{from: name, to: title}, {from: due, to: deadline}", together="[[name, do]]")),
        "found 'do', which is not from any of the fields",
    ),
    "a group of one": (
        file(flow("{from: name, to: title}", together="[[name]]")),
        "2 items would be right",
    ),
    "a set in a group": (
        file(flow("{from: name, to: title}, {from: labels, to: tags, set: true}", together="[[name, labels]]")),
        "found the set 'labels'; a field with one value would be right",
    ),
    "a group with a reference": (
        file(
            flow("{from: name, to: name}", **{"from": "a.projects", "to": "b.project"}),
            flow(
                "{from: name, to: title}, {from: projects, to: projectId, reference: a.projects -> b.project}",
                together="[[name, projects]]",
            ),
        ),
        "found a reference; fields without one would be right",
    ),
    "a group of two directions": (
        file(
            flow("{from: name, to: title}, {from: due, to: deadline, direction: forward}", together="[[name, due]]"),
        ),
        "found name in both directions, due forward; one direction would be right",
    ),
    "a pair inside another": (
        file(flow("{from: name, to: title}, {from: notes, to: address}, {from: due, to: address.city}")),
        "found a second pair that writes 'address.city' of b.task",
    ),
    "a pair around another": (
        file(flow("{from: name, to: title}, {from: due, to: address.city}, {from: notes, to: address}")),
        "found a second pair that writes 'address' of b.task",
    ),
    "a reference without a flow": (
        file(flow("{from: name, to: title}, {from: projects, to: projectId, reference: a.projects -> b.project}")),
        "found no flow 'a.projects -> b.project'; 'a.tasks -> b.task' would be right",
    ),
    "a reference by an unknown name": (
        file(flow("{from: name, to: title}, {from: projects, to: projectId, reference: taks}", name="tasks")),
        "found no flow 'taks'; 'tasks' would be right",
    ),
    "a reference the wrong way round": (
        file(
            flow("{from: name, to: title}, {from: projects, to: projectId, reference: a.projects -> b.project}"),
            flow("{from: name, to: name}", **{"from": "b.project", "to": "a.projects", "match": ""}),
        ),
        "found no flow 'a.projects -> b.project'; a flow in this direction would be right",
    ),
    "a reference between other systems": (
        file(
            flow("{from: name, to: title}, {from: projects, to: projectId, reference: copies}"),
            flow("{from: name, to: notes}", to="a.tasks", create="never", match="[{name: notes}]", name="copies"),
        ),
        "found the flow 'copies', which is between other systems; one from a to b would be right",
    ),
    "two flows for a reference": (
        file(
            flow("{from: name, to: title}, {from: projects, to: projectId, reference: a.tasks -> b.task}", name="one"),
            flow(name="two"),
        ),
        "found 2 flows a.tasks -> b.task; a name, one of one, two, would be right",
    ),
    "a flow twice": (file(flow(), flow()), "found the flow 'a.tasks~b.task' twice; another name would be right"),
    "a flow that links nothing": (file(flow(create="never", match="")), "found neither 'create' nor 'match'"),
    "a create without its field": (
        file(flow("{from: notes, to: text}")),
        "found no pair for 'title', without which b.task creates nothing",
    ),
    "a create whose field goes the other way": (
        file(flow("{from: name, to: title, direction: backward}")),
        "found no pair for 'title', without which b.task creates nothing",
    ),
    "a create back without its field": (
        file(flow("{from: notes, to: title}", create="both", match="")),
        "found no pair for 'name', without which a.tasks creates nothing",
    ),
    "a create of what cannot be created": (
        file(flow("{from: title, to: name, direction: backward}", **{"from": "b.task", "to": "a.spaces", "match": ""})),
        "found a.spaces, of which none can be created; create: never would be right",
    ),
    "a delete that one side cannot do": (
        file(flow(delete="archive")),
        "found 'archive', which a.tasks cannot do; one of delete, keep would be right",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_file_is_told_what_would_be_right(name: str) -> None:
    text, words = BAD[name]
    told = problems(text)
    assert any(words in line for line in told), "\n".join(told)
    for line in told:
        where, _, rest = line.partition(": ")
        assert where.startswith("topics.yaml:")
        assert where.count(":") == 2
        assert rest.startswith("found ")
        assert rest.endswith("would be right")
        assert "canary" not in line
    assert len(told) <= 3, "one mistake is told once, not again and again: " + "\n".join(told)


def test_the_place_of_a_problem_is_where_it_stands() -> None:
    [told] = problems(
        HEAD + "  - from: a.tasks\n    to: b.task\n    create: forward\n    fields:\n"
        "      - {from: name, to: titel}\n      - {from: notes, to: title}\n"
    )
    assert told.startswith("topics.yaml:15:26: found no field 'titel'")


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = file(
        flow("{from: nme, to: title}", create="forwards"),
        flow("{from: name, to: titel, whem: x}", delet="keep"),
        flow(),
    )
    text = (
        text.replace("poll: 30s", "pol: 30s")
        .replace("${TOKEN}", "${NONE}")
        .replace("connector: right", "connector: rigt")
    )
    told = problems(text + "a: &x 1\n")
    lines = [int(line.split(":")[1]) for line in told]
    assert lines == sorted(lines)
    for words in ("'pol'", "${NONE}", "'rigt'", "'forwards'", "'whem'", "'delet'", "anchor &x", "found 'a'"):
        assert any(words in line for line in told), (words, told)


def test_a_broken_system_brings_no_further_problems() -> None:
    told = problems(file().replace("connector: left", "connector: '${NONE}'"))
    assert told == ["topics.yaml:2:18: found ${NONE}, which is not set; a value, or ${NONE:-default}, would be right"]


def test_very_many_problems_are_counted() -> None:
    told = problems(S + "".join("  a.tasks: {}\n" for _ in range(3_000)))
    assert len(told) < 600
    assert "problems more" in told[-1]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(BadTopology, match="found no readable file"):
            read_topology(path, {})


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "topics.yaml"
    path.write_bytes(b"# " + b"x" * (1 << 23))
    with pytest.raises(BadTopology, match="at most 4194304 would be right"):
        read_topology(path, {})


def test_paths_begin_where_the_file_lies(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(CANARY + "\n")
    path = tmp_path / "topics.yaml"
    path.write_text(file().replace("${TOKEN}", "${file:token}"))
    topology = read_topology(path, ENVIRONMENT, kinds=kinds)
    assert [secret.reveal() for secret in topology.secrets()] == [CANARY]
    assert topology.base_dir == tmp_path


# secrets


def test_a_topology_shows_no_secret() -> None:
    topology = read(file())
    for text in (repr(topology), str(topology), f"{topology}", repr(topology.systems), str(list(topology.secrets()))):
        assert CANARY not in text
    token = topology.systems["a"].settings["token"]
    assert (repr(token), str(token), f"{token}", f"{token!s:>20}".strip()) == ("***",) * 4
    assert orjson.dumps({"token": token}, default=str) == b'{"token":"***"}'
    assert msgspec.json.encode({"token": token}, enc_hook=str) == b'{"token":"***"}'
    for encode in (orjson.dumps, msgspec.json.encode):
        with pytest.raises(TypeError):
            encode({"token": token})


@given(
    st.sampled_from(sorted(BAD)),
    st.sampled_from(["${TOKEN}", "${WRONG}", "${URL}", "${NONE:-canary-default}"]),
    st.integers(0, 400),
)
def test_whatever_a_variable_holds_and_wherever_it_stands_it_is_not_shown(name: str, variable: str, at: int) -> None:
    words = BAD[name][0].split(" ")
    words[at % len(words)] = f"'{variable}'"
    told = "".join(outcome(" ".join(words)))
    assert "canary" not in told.replace("canary-literal", "").replace(variable, "")


# anything

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(0, 2)
    | st.sampled_from(["", "x", "a.tasks", "${TOKEN}", "${", "5s"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["from", "to", "enum", "x", "a.tasks"]), inner, max_size=2)
    ),
    max_leaves=4,
)
WHOLE = load(
    file(
        flow("{from: name, to: title}, {from: projects, to: projectId, as: first, reference: a.tasks -> b.task}"),
        flow(
            "{from: done, to: status, as: {enum: {true: x}}}, {from: due, to: deadline, as: {date: {time: left}}}",
            name="n",
        ),
    ).encode()
).value


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inside for place in places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    if isinstance(value, dict):
        return {key: changed(item, path[1:], junk) if key == path[0] else item for key, item in value.items()}
    return [changed(item, path[1:], junk) if index == path[0] else item for index, item in enumerate(value)]


@given(st.sampled_from(places(WHOLE)), JUNK, st.sampled_from(places(WHOLE)), JUNK)
def test_whatever_stands_wherever_is_read_or_told(one: Any, junk: Any, other: Any, more: Any) -> None:
    value = changed(WHOLE, one, junk)
    if other in places(value):
        value = changed(value, other, more)
    told = outcome(orjson.dumps(value).decode())
    assert CANARY not in "".join(told)
    assert all(" would be right" in line for line in told)


def test_a_setting_may_ask_for_any_form() -> None:
    forms = {"either": {"type": ["string", "null"]}, "closed": {"type": "object", "additionalProperties": False}}
    kind = Kind(traits={}, settings={name: Setting(schema=form) for name, form in forms.items()})
    with pytest.raises(BadTopology) as told:
        parse_topology(
            b"systems: {a: {connector: x, either: 1, closed: {z: 1}}}\ntopics: {}",
            {},
            kinds=lambda connector, base_dir: kind,
        )
    assert list(told.value.problems) == [
        "topics.yaml:1:37: found 1; a text or nothing would be right",
        "topics.yaml:1:49: found 'z'; nothing would be right",
    ]


# size


def test_five_hundred_flows_are_read_in_under_a_second() -> None:
    flows = "".join(
        flow(
            "{from: name, to: title}, {from: notes, to: text}, {from: done, to: status, as: {enum: {a: x, b: y}}}",
            name=f"f{n}",
        )
        for n in range(500)
    )
    text = HEAD + flows
    begin = time.process_time()
    topology = read(text)
    assert time.process_time() - begin < 1.0
    assert len(topology.flows.flows) == 500


def test_five_hundred_wrong_flows_are_told_in_a_few_seconds() -> None:
    flows = "".join(flow("{from: nme, to: title}", name=f"f{n}", create="forwards") for n in range(500))
    begin = time.process_time()
    assert len(problems(HEAD + flows)) == 500
    assert time.process_time() - begin < 5.0
