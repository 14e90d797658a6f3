"""Programs in Java that tests need, as Maven has them: fetched once, kept for every later run and checkout.

A pom says what is needed: ``tests/kafka/pom.xml`` Apache Kafka, ``tests/formats/flink.xml`` a part of Apache Flink. The
jars lie in the user's cache, in a folder named after the pom's digest, so that a new version gets a folder of its own.
A folder appears there whole or not at all: it is filled elsewhere and renamed. ``make kafka`` calls this file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

KAFKA = Path(__file__).with_name("pom.xml")
FLINK = Path(__file__).parents[1] / "formats" / "flink.xml"
VERSION = re.findall(r"<kafka\.version>([\d.]+)<", KAFKA.read_text("utf-8"))[0]
OLDEST_JAVA = 17


class NoKafka(Exception):
    """Kafka, or another program in Java, cannot be run here; the text says what is missing."""


def cache(pom: Path = KAFKA) -> Path:
    """Where the jars of a pom are kept."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    data = pom.read_bytes()
    [name] = re.findall(rb"<artifactId>([\w-]+)</artifactId>", data)[:1]
    return root / "linkstream" / f"{name.decode()}-{hashlib.sha256(data).hexdigest()[:12]}"


def java() -> str:
    """A Java that can run Kafka. Raises NoKafka."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    wanted = f"Java {OLDEST_JAVA} or newer would be right, or the address of a Kafka in LINKSTREAM_TEST_KAFKA"
    if found is None:
        raise NoKafka(f"found no Java; {wanted}")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise NoKafka(f"found {said.partition(chr(10))[0] or 'a Java that says nothing'}; {wanted}")
    return found


def jars(pom: Path = KAFKA) -> Path:
    """The folder of a pom's jars, fetched with Maven where they were not yet. Raises NoKafka."""
    folder = cache(pom)
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise NoKafka(f"found neither {folder} nor Maven; Maven would be right, to fetch what {pom.name} names")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other test processes wait for the first
        if not folder.is_dir():
            _fetch(maven, pom, folder)
    return folder


def _fetch(maven: str, pom: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        libs = Path(aside, "libs")
        command = [maven, "-q", "-B", "--strict-checksums", "-f", str(pom), "dependency:copy-dependencies"]
        done = subprocess.run(
            [*command, "-DincludeScope=runtime", f"-DoutputDirectory={libs}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NoKafka(f"found not all of what {pom} names:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        libs.rename(folder)


if __name__ == "__main__":
    java()
    for each in (KAFKA, FLINK):
        print(f"kafka: what {each.name} names lies in {jars(each)}")
