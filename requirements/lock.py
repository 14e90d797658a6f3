"""Pins every package with its hashes: ``python requirements/lock.py`` writes the files, ``--check`` compares them.

``run.lock`` is what a worker needs, ``dev.lock`` that and the tools. They hold names, versions and hashes and no
address: where packages come from is the business of the machine. Their first line is a hash of what pyproject.toml
asks for, so that a forgotten ``make lock`` is noticed without a network.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
HERE = ROOT / "requirements"
LOCKS = {"run.lock": [], "dev.lock": ["--group", "dev", "--extra", "otel", "--constraints", "requirements/run.lock"]}


def wanted() -> str:
    """A first line for what pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [project["build-system"]["requires"], project["project"]["dependencies"], project["dependency-groups"]]
    asked.append(project["project"]["optional-dependencies"])
    return f"# pyproject: {hashlib.sha256(json.dumps(asked).encode()).hexdigest()}"


def write() -> None:
    """Resolve anew, keeping the versions that still fit."""
    for name, more in LOCKS.items():
        subprocess.run(
            [
                *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", *more),
                *("--universal", "--generate-hashes", "--python-version", "3.11", "--no-annotate", "--no-header"),
                *("--no-emit-index-url", "--no-emit-find-links", "--quiet", "--output-file", f"requirements/{name}"),
                *sys.argv[1:],
            ],
            cwd=ROOT,
            check=True,
            env={name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"},
        )
    for name in LOCKS:
        pinned = (HERE / name).read_text(encoding="utf-8")
        (HERE / name).write_text(f"{wanted()}\n# Made by `make lock`; do not edit.\n{pinned}", encoding="utf-8")


def check() -> int:
    """Whether the files are of this pyproject.toml."""
    stale = [name for name in LOCKS if not (HERE / name).read_text(encoding="utf-8").startswith(wanted())]
    for name in stale:
        sys.stderr.write(f"requirements/{name}: found pins of another pyproject.toml; `make lock` would be right\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(check() if sys.argv[1:] == ["--check"] else write())
