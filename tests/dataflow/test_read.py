"""Documents as people hand them in: which statements they hold, and what is left unread, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.dataflow.bounds import Fault, Unfit, decode, read_text
from stream.dataflow.forms import Name, Paper, statements
from stream.dataflow.tree import sections
from stream.dataflow.words import Having, qualified, singular, slug, without_system
from tests.dataflow import papers

HEAD = """\
====================
{title}
====================

Generated: 2026-01-02 03:04:05

Introduction
------------

Words that nobody reads. They may say that something will be synchronized.

"""
KEEPS = """\
Once a link between a Crm Deal and a Shop Order is established, it will keep in sync between the two systems,
regardless of where it is edited.

"""
TABLE = """\
The following properties are synchronized between a Crm Deal and a Shop Order:

.. list-table::
   :header-rows: 1

   * - Crm Deal Property
     - Shop Order Property
     - Shop Data Type
"""
MERGE = """\
A Crm Deal will merge with a Shop Order if one of the following property combinations match:

.. list-table::
   :header-rows: 1

   * - Crm Deal Property
     - Shop Order Property
   * - email
     - contact.email
   * - vat
     - vat

"""


def read(text: str, file: str = "crm-shop.rst", known: tuple[str, ...] = ()) -> Paper:
    return statements(sections(decode(text.encode(), file), file), file, known)


def about(body: str, title: str = "Crm to Shop Dataflow", head: str = "Crm Deal to Shop Order") -> str:
    return f"{HEAD.format(title=title)}{head}\n{'-' * len(head)}\n{body}"


@pytest.mark.parametrize(
    ("sentence", "field", "value"),
    [
        ("Every Crm Deal will be synchronized with a Shop Order.", "every", True),
        ("every  CRM deal will be\nsynchronized with aShop Order", "every", True),
        ("When a Crm Deal is won, it will be synchronized with a Shop Order.", "condition", "When a Crm Deal is won"),
        ("old ones. not yet, it  will be synchronized with a Shop Order.", "condition", "old ones. not yet"),
        (
            "A new Shop Order will be created from a Crm Deal if it is connected to a Q that is synchronized into S.",
            "connected",
            "a Q that is synchronized into S",
        ),
        (
            "Before any synchronization can take place, a link between a Crm Deal and a Shop Order must be established",
            "before",
            True,
        ),
        (
            "If a matching Shop Order already exists, the Crm Deal will be merged with the existing one.",
            "existing",
            True,
        ),
        ("If no matching Shop Order is found, a new Shop Order will be created.", "existing", True),
    ],
)
def test_a_sentence_is_read(sentence: str, field: str, value: object) -> None:
    paper = read(about(f"{sentence}\n\n{KEEPS}{TABLE}"))
    assert paper.unread == ()
    [statement] = paper.statements
    assert getattr(statement, field) == value
    assert statement.keeps
    assert (statement.left, statement.right) == (Name("Crm", "Deal"), Name("Shop", "Order"))


def test_sentences_that_run_together_are_taken_apart() -> None:
    paper = read(about(f"Every Crm Deal will be synchronized with a Shop Order.\n{KEEPS}{TABLE}"))
    assert paper.unread == ()
    assert paper.statements[0].every
    assert paper.statements[0].keeps


def test_a_name_that_ends_like_a_condition_is_none() -> None:
    text = about(f"Every Crm Visit will be synchronized with a Shop Order.\n\n{KEEPS}", head="Crm Visit to Shop Order")
    paper = read(text.replace("Crm Deal", "Crm Visit"))
    assert paper.unread == ()
    assert paper.statements[0].every
    assert not paper.statements[0].condition


def test_rows_are_read_with_their_lines() -> None:
    rows = '   * - name\n     - title\n     - "string"\n   * - a.b.c.d\n     - $id\n     - N/A\n'
    text = about(f"{MERGE}{KEEPS}{TABLE}{rows}")
    paper = read(text)
    assert paper.unread == ()
    [statement] = paper.statements
    assert [(row.left, row.right) for row in statement.merges] == [("email", "contact.email"), ("vat", "vat")]
    assert [(row.left, row.right, row.type) for row in statement.properties] == [
        ("name", "title", '"string"'),
        ("a.b.c.d", "$id", "N/A"),
    ]
    lines = text.splitlines()
    for row in (*statement.merges, *statement.properties):
        assert lines[row.line - 1].strip() == f"* - {row.left}"
    assert lines[statement.line - 1] == "Crm Deal to Shop Order"


@pytest.mark.parametrize("name", ["name_", "*", "|x|", "`", "a*b*c", "[1]_", "1.", ":a:b", "- x", "__type", "a::"])
def test_a_property_may_look_like_markup(name: str) -> None:
    paper = read(about(f"{KEEPS}{TABLE}   * - {name}\n     - x\n     - \n"))
    assert paper.unread == ()
    assert paper.statements[0].properties[0].left == name


@pytest.mark.parametrize(
    ("cell", "having"),
    [
        ("vat (Dependant on having NO in address.country)", (Having("NO", "address.country"),)),
        ("vat (Dependant on having wd:Q1 in  )", (Having("wd:Q1", ""),)),
        ("vat (Dependant on having  in type)", (Having("", "type"),)),
        (
            "vat (Dependant on having A in bDependant on having A in bDependant on having C in d)",
            (Having("A", "b"), Having("C", "d")),
        ),
    ],
)
def test_a_qualifier_is_code_and_path(cell: str, having: tuple[Having, ...]) -> None:
    assert qualified(cell) == ("vat", having, "")


def test_a_cell_over_two_lines_is_one() -> None:
    paper = read(about(f"{KEEPS}{TABLE}   * - vat (Dependant on\n       having NO in country)\n     - x\n     - N/A\n"))
    assert paper.unread == ()
    assert paper.statements[0].properties[0].left_having == (Having("NO", "country"),)


LEFT = {
    "an odd sentence": ("Crm Deals are nice.\n\n", "one of the eight forms"),
    "other entities": ("Every Crm Quote will be synchronized with a Shop Order.\n\n", "the same would be right"),
    "a table of nothing": (
        ".. list-table::\n   :header-rows: 1\n\n   * - a\n     - b\n\n",
        "that no sentence announces",
    ),
    "one cell": (f"{TABLE}   * - alone\n", "two names and a type"),
    "an empty name": (f"{TABLE}   * -\n     - b\n     - N/A\n", "two names and a type"),
    "three to merge": (MERGE.replace("     - vat\n", "     - vat\n     - more\n"), "two names would be right"),
    "a list in a cell": (f"{TABLE}   * - a\n\n       - b\n     - c\n", "a row that is no list of plain cells"),
    "a list": ("1. first\n2. second\n\n", "a sentence or a list-table"),
    "literal text": ("Like this::\n\n   a b c\n\n", "one of the eight forms"),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_not_read_is_told_with_its_line(case: str) -> None:
    body, right = LEFT[case]
    text = about(f"{KEEPS}{body}")
    unread = read(text).unread
    assert unread, case
    assert any(right in fault.text for fault in unread)
    assert all(
        text.splitlines().index("Crm Deal to Shop Order") < fault.line <= len(text.splitlines()) for fault in unread
    )


def test_a_section_that_is_no_statement_is_told() -> None:
    assert "'Something else'" in read(about(KEEPS, head="Something else")).unread[0].text


@pytest.mark.parametrize("text", ["", "Nothing but text.\n", "- a list\n"])
def test_a_file_that_is_no_document_is_told(text: str) -> None:
    assert any("found no title" in fault.text for fault in read(text).unread)


@pytest.mark.parametrize(
    ("name", "system", "left"),
    [
        ("CustomPMS Customer", "Custom PMS", (2, "Customer")),
        ("Custompms Project", "Custom PMS", (2, "Project")),
        ("Custom Contact", "CustomERP", (1, "Contact")),
        ("Exact Items", "Exact Online", (1, "Items")),
        ("Exact Online Items", "Exact Online", (2, "Items")),
        ("Wix.com Wix-orders", "Wix", (1, "Wix-orders")),
        ("Customer", "Customer", (0, "Customer")),
        ("Orders", "", (0, "Orders")),
        ("Wixen Orders", "Wix", (0, "Wixen Orders")),
        ("Shop Customer (human data)", "Shop", (2, "Customer (human data)")),
    ],
)
def test_a_system_is_spelled_in_many_ways(name: str, system: str, left: tuple[int, str]) -> None:
    assert without_system(name, system) == left


def test_a_title_may_leave_a_system_out() -> None:
    text = about(KEEPS.replace("Shop Order", " Order"), title="Crm to  Dataflow", head="Crm Deal to  Order")
    assert read(text).statements[0].right == Name("shop", "Order")
    assert read(text, "one.rst").statements[0].right == Name("", "Order")
    spelled = about(KEEPS, title="Crm to  Dataflow")
    assert read(spelled, "one.rst", ("shop", "asana")).statements[0].right == Name("shop", "Order")


def test_sides_may_be_the_other_way_round() -> None:
    statement = read(about("", head="Shop Order to Crm Deal")).statements[0]
    assert (statement.left, statement.right) == (Name("Shop", "Order"), Name("Crm", "Deal"))


def test_a_name_with_to_in_it_is_divided_where_the_sentences_divide_it() -> None:
    text = about(KEEPS.replace("Crm Deal", "Crm Answers to Questions"), head="Crm Answers to Questions to Shop Order")
    assert read(text).statements[0].left == Name("Crm", "Answers to Questions")


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Customer (human data)", "customer-human-data"),
        ("Order-lines", "order-lines"),
        ("snake_case", "snake_case"),
        ("2 things", "x2-things-d04b98"),
    ],
)
def test_a_name_for_topics(name: str, made: str) -> None:
    assert slug(name)[:8] == made[:8]
    assert slug(name) == slug(name)


def test_names_for_topics_never_collide_by_being_cut() -> None:
    assert len({slug("x" * 60), slug("x" * 61), slug("ø"), slug("å")}) == 4


@pytest.mark.parametrize(("many", "one"), [("companies", "company"), ("tasks", "task"), ("task", "task"), ("s", "s")])
def test_plurals(many: str, one: str) -> None:
    assert singular(many) == one


def test_a_byte_order_mark_and_carriage_returns_do_not_matter() -> None:
    text = about(f"{KEEPS}{TABLE}")
    data = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    assert decode(data, "f") == text


def test_latin_1_is_refused_with_a_word() -> None:
    with pytest.raises(Unfit, match=r"f:2: found the byte 0xf8, perhaps of Latin-1; UTF-8 would be right"):
        decode("a\nbl\xf8t".encode("latin-1"), "f")


@pytest.mark.parametrize("seed", range(3))
def test_every_row_of_made_documents_is_accounted_for(seed: int, tmp_path: Path) -> None:
    facts = papers.small(60)
    found = [
        statements(sections(read_text(path), str(path)), str(path)) for path in papers.corpus(tmp_path, seed, facts)
    ]
    assert [fault for paper in found for fault in paper.unread] == []
    said = [statement for paper in found for statement in paper.statements]
    assert len(said) == facts.statements
    assert sum(statement.every for statement in said) == facts.every
    assert sum(bool(statement.condition) for statement in said) == facts.conditions
    assert sum(bool(statement.connected) for statement in said) == facts.connected
    assert sum(statement.existing for statement in said) == facts.existing
    assert sum(statement.before for statement in said) == facts.connected + facts.links
    assert all(statement.keeps for statement in said)
    assert sum(len(statement.properties) for statement in said) == facts.properties
    assert sum(len(statement.merges) for statement in said) == facts.merges
    assert all(isinstance(fault, Fault) for paper in found for fault in paper.unread)
