"""Every command that the documents show is run here, against a log that a short demo has left."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.cli import settings
from tests.dataflow import five
from tests.kafka.broker import free_ports

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITING = {"import", "document"}
FOR_EVER = {"run", "sandbox", "monitor"}
IN_ORDER = "quickstart.md"
"""The document whose commands follow from each other; all others stand for themselves."""


def commands() -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for block in re.findall(r"```console\n(.*?)```", document.read_text("utf-8"), re.DOTALL):
            for line in block.splitlines():
                if line.startswith("$ ") and document.name != IN_ORDER:
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


@pytest.mark.process
@pytest.mark.timeout(180)
def test_the_quickstart_from_its_first_command_to_its_last(tmp_path: Path) -> None:
    text = (ROOT / "docs" / IN_ORDER).read_text("utf-8")
    for number, port in zip(("8801", "8802"), map(str, free_ports(2)), strict=True):
        text = text.replace(number, port)
    [file] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "topics.yaml").write_text(file, "utf-8")
    lines = re.findall(r"^\$ (?!make)(.*)$", text, re.MULTILINE)
    assert len(lines) > 8
    (tmp_path / "linkstream").write_text(f'#!/bin/sh\nexec {sys.executable} -m stream.cli.main "$@"\n', "utf-8")
    (tmp_path / "linkstream").chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    running: list[subprocess.Popen[str]] = []
    said: dict[str, str] = {}
    try:
        for line in lines:
            words = line.split()
            if words[0] == "export":
                environment |= dict(word.split("=", 1) for word in words[1:])
            elif words[1] in FOR_EVER:
                with (tmp_path / f"{len(running)}.log").open("w") as log:
                    running.append(
                        subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=log, stderr=log, text=True)
                    )
                heard(tmp_path / f"{len(running) - 1}.log", "started" if words[1] == "run" else "really happened")
            else:
                until = time.monotonic() + 30
                while True:
                    done = subprocess.run(
                        ["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
                    )
                    if (
                        done.returncode == (10 if words[1] == "plan" else 0)
                        and PROMISED.get(words[1], "") in done.stdout
                    ):
                        break
                    assert time.monotonic() < until, f"{line}\n{done.stdout}{done.stderr}"
                    time.sleep(0.5)
                said[words[1]] = done.stdout
        assert "40" in said["plan"]
        assert all(process.poll() is None for process in running)
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(20)


PROMISED = {"status": "40 links, in step 100 %", "explain": 'title = "Ring byggeleder"'}
"""What the document says that a command shows, after a while."""


def heard(log: Path, word: str) -> None:
    """Wait until a process has said so."""
    until = time.monotonic() + 30
    while word not in (text := log.read_text("utf-8")):
        assert time.monotonic() < until, text
        time.sleep(0.1)


def test_the_reference_of_the_file_is_that_of_its_schema() -> None:
    assert (ROOT / "docs/topics.md").read_text("utf-8") == settings.reference(), "`make reference` would be right"


def test_every_document_is_in_the_index_and_in_the_site() -> None:
    pages = {file.name for file in (ROOT / "docs").glob("*.md")}
    listed = set(re.findall(r"\]\((\w+\.md)\)", (ROOT / "docs/index.md").read_text("utf-8")))
    assert pages - listed == {"index.md"}
    assert set(re.findall(r": (\w+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)) == pages


def site(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Build it as ``make docs`` does."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)


def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    done = site(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site/concepts.html").read_text("utf-8")
    assert 'src="way.svg"' in page
    outside = [
        f"{file.name}: {address}"
        for file in (tmp_path / "site").glob("*.html")
        for address in re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)', file.read_text("utf-8"))
        if "localhost" not in address
    ]
    assert outside == []
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs/faq.md").open("a", encoding="utf-8") as faq:
        faq.write("\n[nowhere](operations.md#nowhere)\n")
    assert "nowhere" in site(tmp_path, tmp_path / "other").stderr


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{document.name}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8"))
        if not (document.parent / target).exists()
    ]
    assert not broken
