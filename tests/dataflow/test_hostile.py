"""Documents that mean harm: refused at once, with file and line, and nothing of them is opened or run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from docutils.parsers.rst import directives, languages
from docutils.parsers.rst.directives import tables

from stream.dataflow.bounds import LARGEST, Unfit, decode, read_text
from stream.dataflow.forms import statements
from stream.dataflow.tree import sections
from tests.dataflow import five

GOOD = "A to B Dataflow\n===============\n\nAx to Bx\n--------\n\n"

REFUSED: dict[str, tuple[str, str]] = {
    "include": (".. include:: /etc/passwd\n", "the directive 'include'"),
    "include of code": (".. include:: secret\n   :code: python\n", "the directive 'include'"),
    "include in a list": ("- .. include:: /etc/passwd\n", "the directive 'include'"),
    "include in a field": (":x: .. include:: /etc/passwd\n", "the directive 'include'"),
    "include in a cell": (".. list-table::\n\n   * - .. include:: /etc/passwd\n", "the directive 'include'"),
    "include by substitution": (".. |x| include:: /etc/passwd\n", "the directive 'include'"),
    "literalinclude": (".. literalinclude:: /etc/passwd\n", "the directive 'literalinclude'"),
    "raw": (".. raw:: html\n\n   <script>\n", "the directive 'raw'"),
    "raw of a file": (".. raw:: html\n   :file: /etc/passwd\n", "the directive 'raw'"),
    "raw of an address": (".. raw:: html\n   :url: http://169.254.169.254/\n", "the directive 'raw'"),
    "csv of a file": (".. csv-table::\n   :file: /etc/passwd\n", "the directive 'csv-table'"),
    "csv of an address": (".. csv-table:: x\n   :url: file:///etc/passwd\n", "the directive 'csv-table'"),
    "an image": (".. image:: http://elsewhere/\n", "the directive 'image'"),
    "a role": (".. role:: raw-html(raw)\n   :format: html\n", "the directive 'role'"),
    "capitals": (".. INCLUDE:: /etc/passwd\n", "the directive 'INCLUDE'"),
    "a blank before the colons": (".. include :: /etc/passwd\n", "the directive 'include'"),
    "a tab": ("..\tinclude:: /etc/passwd\n", "the directive 'include'"),
    "a substitution": (".. |a| replace:: |b| |b|\n", "the directive 'replace'"),
    "a drawn table": ("+----+----+\n| a  | b  |\n+----+----+\n", "a drawn table"),
    "a long line": ("x" * 5_000 + "\n", "a line of 5000 characters"),
    "an endless paragraph": ("x\n" * 2_000, "lines without a blank one"),
    "a deep list": ("- " * 300 + "x\n", "lists in each other"),
    "deep indentation": (" " * 400 + "x\n", "begins after column"),
    "a null": ("a\0b\n", "U+0000"),
    "an escape": ("a\x1b[2Jb\n", "U+001B"),
    "another line end": ("a\u2028b\n", "U+2028"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_hostile_document_is_refused_where_it_is(case: str) -> None:
    text, found = REFUSED[case]
    with pytest.raises(Unfit) as told:
        decode((GOOD + text).encode(), "bad.rst")
    assert told.value.fault.file == "bad.rst"
    assert told.value.fault.line >= 7
    assert found in told.value.fault.text
    assert "would be right" in told.value.fault.text


@pytest.mark.parametrize("case", [case for case in REFUSED if "clude" in case or "raw" in case or "csv" in case])
def test_nothing_is_opened_even_behind_the_first_door(case: str, tmp_path: Path) -> None:
    """The reader itself opens nothing either, should a directive ever get past the bounds."""
    secret = tmp_path / "secret"
    secret.write_text("canary-4711")
    text = (GOOD + REFUSED[case][0]).replace("/etc/passwd", str(secret)).replace(" secret\n", f" {secret}\n")
    sections("Warm up\n=======\n", "bad.rst")
    opened: list[str] = []
    watching = True

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in ("open", "socket.connect", "subprocess.Popen", "os.system", "urllib.Request"):
            opened.append(str(arguments[0]))

    sys.addaudithook(audit)
    paper = statements(sections(text, "bad.rst"), "bad.rst")
    watching = False
    assert not [name for name in opened if not name.endswith((".py", ".pyc"))]
    assert "canary" not in repr(paper)


SLOW: dict[str, Callable[[], str]] = {
    "stars": lambda: "*a " * 1_300 + "\n",
    "quotes": lambda: ("`" * 3_000 + "\n\n") * 300,
    "titles": lambda: "".join(f"T{n}\n{mark * 9}\n\n" for n in range(400) for mark in "=-~^\"'#*+.,:;<>"),
    "sections": lambda: "Ax to Bx\n--------\n\n" * 20_000,
    "rows": lambda: ".. list-table::\n\n" + "   * - a\n     - b\n" * 40_000,
    "odd rows": lambda: ".. list-table::\n\n   * - a\n\n       b\n" + "   * - a\n     - b\n" * 5_000,
    "sentences": lambda: ("Every " * 500 + "\n\n") * 300,
    "to": lambda: "a to " * 700 + "b\n" + "-" * 3_600 + "\n",
    "having": lambda: GOOD + ".. list-table::\n\n   * - x (" + "Dependant on having " * 150 + ")\n     - b\n",
    "quotes in each other": lambda: "".join(" " * depth + "x\n\n" for depth in range(60)) * 100,
    "definitions": lambda: "".join("  " * depth + "x\n" for depth in range(30)) * 10,
    "options": lambda: "-a  x\n" * 5_000,
    "literals": lambda: "x::\n\n   y\n\n" * 5_000,
    "footnotes": lambda: ".. [1] x\n\n" * 5_000,
}


@pytest.mark.parametrize("case", SLOW)
def test_no_document_takes_long(case: str) -> None:
    data = (GOOD + SLOW[case]()).encode()[:LARGEST]
    before = time.process_time()
    with suppress(Unfit):
        statements(sections(decode(data, "slow.rst"), "slow.rst"), "slow.rst")
    assert time.process_time() - before < 20


def test_a_file_of_a_hundred_megabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.rst"
    with path.open("wb") as opened:
        opened.truncate(100 << 20)
    before = time.process_time()
    with pytest.raises(Unfit, match=r"big\.rst:1: found more than 1048576 bytes"):
        read_text(path)
    assert time.process_time() - before < 1


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.rst")
    for path, found in (
        (tmp_path, "a folder"),
        (tmp_path / "none.rst", "no file"),
        (tmp_path / "pipe.rst", "no regular file"),
        (Path("/dev/zero"), "no regular file"),
        (tmp_path / "nul\0.rst", "no file"),
    ):
        with pytest.raises(Unfit, match=found):
            read_text(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.rst"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(Unfit, match=r"binary\.rst:2: "):
        read_text(path)


def test_reading_leaves_docutils_as_it_was(tmp_path: Path) -> None:
    for path in five.write(tmp_path):
        sections(read_text(path), str(path))
    english = languages.get_language("en", None)
    found, _ = directives.directive("list-table", english, None)
    assert found is tables.ListTable
