"""What the tree promises, read from the tree."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from stream.topology import parse_topology, read_topology

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("stream", "connectors")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TOP = {
    ".ci",
    ".dockerignore",
    ".editorconfig",
    ".gitattributes",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmarks",
    "connectors",
    "deploy",
    "docker-compose.yml",
    "mkdocs.yml",
    "docs",
    "pyproject.toml",
    "requirements",
    "schema",
    "stream",
    "tests",
    "topics.yaml",
}
VARIABLES = re.findall(r"\$\{(\w+)\}", (ROOT / "topics.yaml").read_text("utf-8"))
DUMMIES = {name: "http://127.0.0.1:8802" if name.endswith("URL") else "x" for name in VARIABLES}


def tracked() -> list[Path]:
    """The files that are in git; without git, all but what .gitignore leaves out."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
        return [ROOT / name for name in names if (ROOT / name).is_file()]
    top = [path for path in ROOT.iterdir() if path.name in TOP]
    return [path for each in top for path in (each.rglob("*") if each.is_dir() else [each]) if path.is_file()]


def texts() -> dict[str, str]:
    found = {}
    for path in tracked():
        try:
            found[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_only_what_belongs_there_lies_at_the_top() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP


def test_imports_point_inward() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_an_init_file_holds_a_docstring_and_nothing_else() -> None:
    for path in MODULES:
        if path.name == "__init__.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert ast.get_docstring(tree), path
            assert len(tree.body) == 1, path


def test_every_file_opens_with_its_theory() -> None:
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_no_file_is_called_what_it_could_all_be() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
    assert [path for path in MODULES if path.stem in vague] == []


def test_nothing_happens_on_import() -> None:
    """Every module is imported in a process that may not read, write, connect, start or look at its environment."""
    code = """
import sys, importlib
root, names = sys.argv[1], sys.argv[2:]
seen = []

def ours(frame):
    # Whose doing it is: the nearest file that is no part of Python itself.
    while frame is not None:
        file = frame.f_code.co_filename
        if "site-packages" in file:
            return False
        if file.startswith((root + "/stream", root + "/connectors")):
            return True
        frame = frame.f_back
    return False

def audit(event, args):
    acts = ("socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.putenv", "sqlite3.connect")
    reads = event == "open" and isinstance(args[1], str) and not str(args[0]).endswith((".py", ".pyc"))
    if (event in acts or reads) and ours(sys._getframe(1)):
        seen.append((event, str(args)[:200]))

sys.addaudithook(audit)
for name in names:
    importlib.import_module(name)
    if seen:
        sys.exit(f"{name}: {seen}")
"""
    names = [module_name(path) for path in MODULES if path.stem != "__main__"]
    done = subprocess.run(
        [sys.executable, "-B", "-W", "ignore", "-c", code, str(ROOT), *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_the_committed_topology_is_right() -> None:
    topology = read_topology(ROOT / "topics.yaml", DUMMIES)
    flows = topology.flows.flows.values()
    assert sum(max(1, len(flow.source)) for flow in flows) == 20
    assert {(flow.left.partition(".")[0], flow.right.partition(".")[0]) for flow in flows} == {
        ("custompms", "trello"),
        ("customerp", "trello"),
        ("crmoffice", "trello"),
        ("asana", "custompms"),
        ("powerofficego", "custompms"),
    }
    assert [flow.name for flow in flows if not flow.ours] == ["crmoffice.activities~trello.actions"]


def test_every_topology_in_the_documentation_is_right() -> None:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if not path.exists():
            continue
        for block in re.findall(r"^```yaml\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            if {"systems:", "topics:"} <= set(block.splitlines()):  # whole ones, not fragments
                text = re.sub(r"\$\{file:[^}]*\}", "${SECRET}", block)
                text = re.sub(r"\bmy-\w+\.yaml", "connectors/custompms.yaml", text)  # the reader's own declaration
                variables = dict.fromkeys(re.findall(r"\$\{(\w+)", text), "http://127.0.0.1:1")
                parse_topology(text.encode(), variables, file=str(path), base_dir=ROOT)


def test_every_dependency_has_its_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    asked = [*PYPROJECT["project"]["dependencies"], *PYPROJECT["dependency-groups"]["dev"]]
    for one in asked:
        assert any(re.match(rf'\s*"{re.escape(one)}",\s*# \S', line) for line in lines), f"{one}: no reason"


def test_pins_are_of_this_project_and_every_one_has_a_hash() -> None:
    check = subprocess.run(
        [sys.executable, "requirements/lock.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr
    for name in ("run.lock", "dev.lock"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        pins = re.findall(
            r"^([A-Za-z0-9._-]+)==\S+(?: ;[^\n\\]*)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n?)+)",
            text,
            re.MULTILINE,
        )
        named = re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)
        assert len(pins) == len(named) > 20


def test_a_worker_and_its_tests_run_with_the_same_versions() -> None:
    def pins(name: str) -> set[str]:
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        return set(re.findall(r"^([A-Za-z0-9._-]+==[^\s;]+)", text, re.MULTILINE))

    assert pins("run.lock") <= pins("dev.lock")


def test_no_file_says_where_packages_come_from() -> None:
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org", "repo1.maven" + ".org/simple")
    options = re.compile(r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b", re.MULTILINE)
    for name, text in texts().items():
        assert not any(host in text for host in hosts), name
        if name.startswith("requirements/") and name.endswith(".lock"):
            assert not options.search(text), name
            assert "://" not in text, name


def test_scripts_can_be_started() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_ci_and_the_readme_run_the_same_tests() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name in ("CONTRIBUTING.md", "README.md", ".ci/run"):
        path = ROOT / name
        if path.exists():
            named = set(re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE))
            assert named <= targets, name


def test_the_licence_is_the_one_that_is_declared() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PYPROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
