"""Every command that the documents show is run here, against a log that a short demo has left."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dataflow import five

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITING = {"import", "document"}
FOR_EVER = {"run", "sandbox", "monitor"}


def commands() -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for block in re.findall(r"```console\n(.*?)```", document.read_text("utf-8"), re.DOTALL):
            for line in block.splitlines():
                if line.startswith("$ "):
                    yield document.name, line[2:].partition("  #")[0].strip()


COMMANDS = sorted(set(commands()))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a demo has run."""
    folder = tmp_path_factory.mktemp("docs") / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "stream.cli.main", "demo", "--no-checklist", "--keep", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def with_documents(folder: Path, other: Path) -> Path:
    """A place of its own for a command that writes, with documents to import."""
    shutil.copy(folder / "topics.yaml", other)
    five.write(other / "documents")
    return other


def spread(word: str, folder: Path) -> list[str]:
    """What a shell makes of a word with a star."""
    return [str(path) for path in sorted(folder.glob(word))] if "*" in word else [word]


def environment(folder: Path, *, secrets: bool = True) -> dict[str, str]:
    named = re.findall(r"\$\{(\w+)", (folder / "topics.yaml").read_text("utf-8")) if secrets else ()
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        **dict.fromkeys(named, "documents-secret"),
    }


def test_the_documents_show_commands() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.process
@pytest.mark.parametrize(("document", "line"), COMMANDS)
def test_a_command_of_the_documents_works(document: str, line: str, place: Path, tmp_path: Path) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=True, capture_output=True)
        return
    if words[0] == "python":
        assert (ROOT / words[1]).exists(), f"{document}: {line}"
        return
    assert words[0] == "linkstream", f"{document}: {line}: a command that no test knows how to run"
    command = [sys.executable, "-m", "stream.cli.main", *words[1:]]
    if words[1] in FOR_EVER:
        process = subprocess.Popen(
            command, cwd=place, env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        said = process.stdout.readline()  # it has something to say once it is there
        assert process.poll() is None, said + process.stdout.read()
        process.send_signal(signal.SIGTERM if words[1] == "run" else signal.SIGINT)
        output, _ = process.communicate(timeout=10)
        assert process.returncode == (130 if words[1] == "monitor" else 0), output
    else:
        if words[1] in WRITING:
            place = with_documents(place, tmp_path)
            command = command[:4] + [name for word in words[2:] for name in spread(word, place)]
        looks = words[1] in {
            "status",
            "links",
            "explain",
            "parked",
            "conflicts",
            "pause",
            "resume",
            "tail",
            "map",
            "replay",
            *WRITING,
        }
        done = subprocess.run(
            command, cwd=place, env=environment(place, secrets=not looks), capture_output=True, text=True, check=False
        )
        # an exit code may say that something was found, and a plan that the systems of the demo are gone
        finds = {
            "doctor": {0, 1},
            "plan": {1},
            "replay": {0, 10},
            "links": {0, 1} if words[2:3] == ["check"] else {0},
        }.get(words[1], {0})
        assert done.returncode in finds, done.stdout + done.stderr
        assert done.stdout.strip()


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{document.name}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8"))
        if not (document.parent / target).exists()
    ]
    assert not broken
