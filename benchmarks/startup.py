"""How soon the command line answers: the best of many starts, since whatever else runs here only adds to them.

.venv/bin/python benchmarks/startup.py [TIMES]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = (["--help"], ["version"], ["explain", "--help"])


def measured(arguments: list[str]) -> tuple[float, float]:
    """Wall and processor milliseconds of one start."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-c", "from stream.cli.main import main; main()", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (time.perf_counter() - began) * 1000, spent * 1000


if __name__ == "__main__":
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for arguments in COMMANDS:
        runs = [measured(arguments) for _ in range(times)]
        wall, spent = min(run[0] for run in runs), min(run[1] for run in runs)
        print(
            f"linkstream {' '.join(arguments):<16} {wall:6.0f} ms, {spent:6.0f} ms of processor time, best of {times}"
        )
