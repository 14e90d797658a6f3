"""The systemd unit, judged by systemd's own tool; the program under what it forbids, as far as that can be had here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy/systemd/linkstream.service"
PROGRAM = "/opt/linkstream/bin/linkstream"
SET_MDWE = 65  # prctl(2): PR_SET_MDWE, which a process hands on to what it becomes


def said(name: str) -> list[str]:
    """What the unit says of a setting."""
    return [
        word for line in re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE) for word in line.split()
    ]


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not here; Debian's package systemd has it")
    return found


def here(folder: Path, text: str) -> Path:
    """The unit with a program that this machine has."""
    unit = folder / UNIT.name
    unit.write_text(text.replace(PROGRAM, sys.executable), "utf-8")
    return unit


def test_systemd_finds_nothing_wrong_and_little_exposed(analyze: str, tmp_path: Path) -> None:
    unit = here(tmp_path, UNIT.read_text("utf-8"))
    checked = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    judged = [
        analyze,
        "security",
        "--offline=yes",
        "--no-pager",
        "--threshold=15",
        unit,
    ]  # of 100, in tenths of its score
    done = subprocess.run(judged, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("broken", [("Type=exec", "Type=exact"), ("ProtectHome=yes", "ProtectHomes=yes")])
def test_systemd_would_find_what_is_wrong(analyze: str, tmp_path: Path, broken: tuple[str, str]) -> None:
    unit = here(tmp_path, UNIT.read_text("utf-8").replace(*broken))
    assert subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False).stderr


def test_it_starts_again_but_where_a_person_is_needed() -> None:
    assert said("Restart") == ["always"]
    assert {int(code) for code in said("RestartPreventExitStatus")} == {2, 78}
    table = (ROOT / "docs/operations.md").read_text("utf-8")
    assert "on any exit code but 0, 2 and 78" in table


def test_commands_reach_the_worker_from_outside() -> None:
    """Its own /tmp is seen by nobody else: every order was answered with 75, as if the worker were in the way."""
    assert said("PrivateTmp") == ["yes"]
    (folder,) = said("RuntimeDirectory")
    assert f"XDG_RUNTIME_DIR=%t/{folder}" in said("Environment")
    assert said("RuntimeDirectoryMode") == ["0700"]  # or the worker refuses it


def test_it_says_what_the_image_says() -> None:
    image = (ROOT / "Dockerfile").read_text("utf-8")
    for setting in said("Environment"):
        assert setting in image or setting.startswith("XDG_RUNTIME_DIR=")
    assert said("ExecStart")[0] == PROGRAM
    assert "/opt/linkstream/bin/linkstream version" in image


def test_the_program_runs_where_no_memory_may_be_written_and_run(tmp_path: Path) -> None:
    assert said("MemoryDenyWriteExecute") == ["yes"]
    code = f"""
import ctypes, mmap, os, sys
if ctypes.CDLL(None, use_errno=True).prctl({SET_MDWE}, 1, 0, 0, 0):
    sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    sys.exit("found memory to write and to run")
except PermissionError:
    os.execv(sys.executable, [sys.executable, "-m", "stream.cli.main", "validate", "-c", "topics.yaml"])
"""
    named = re.findall(r"\$\{(\w+)\}", (ROOT / "topics.yaml").read_text("utf-8"))
    environment = {**os.environ, **dict.fromkeys(named, "https://x.example/secret-of-a-test")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.stderr == "prctl: Invalid argument\n":
        pytest.skip("this kernel is older than 6.3, and systemd does it by other means")
    assert done.returncode == 0, done.stderr + done.stdout
