"""docker-compose.yml and the Dockerfile, without Docker: their form, and every command of theirs, run as they say.

The form is checked with the Compose Specification's own schema (``compose-spec.json``: its own file, unchanged, under
the Apache License 2.0). The image is built by the Dockerfile's own commands into a folder, and the services are run
from it by their own commands, with the environment that they get; only ports and the roots of folders are others. Where
root runs the tests, they run as the user that the image names, to whom nothing of the image can be written. What Docker
itself would do - pull, publish, mount - stays unproven.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from aiokafka import AIOKafkaConsumer

from connectors.sandbox.server import PERSON
from tests.kafka.broker import Warden, free_ports
from tests.kafka.jars import VERSION, NoKafka, jars, java

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FORM = json.loads(Path(__file__).with_name("compose-spec.json").read_text("utf-8"))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
SANDBOXES = {name: service for name, service in OURS.items() if service.get("command", [""])[0] == "sandbox"}
SCRIPTS = {"/opt/kafka/bin/kafka-broker-api-versions.sh": "org.apache.kafka.tools.BrokerApiVersionsCommand"}
TOPICS = (ROOT / "topics.yaml").read_text("utf-8")


def lines_of(file: str) -> list[list[str]]:
    """The Dockerfile's instructions: the word, and the rest on one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / file).read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", "")
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]


DOCKERFILE = lines_of("Dockerfile")
STAGES = [number for number, (word, _) in enumerate(DOCKERFILE) if word == "FROM"]
BUILD, IMAGE = DOCKERFILE[STAGES[0] : STAGES[1]], DOCKERFILE[STAGES[1] :]
USER = int(next(rest for word, rest in IMAGE if word == "USER").partition(":")[0])


def variables(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


# Their form


def test_compose_itself_finds_nothing_wrong() -> None:
    jsonschema.Draft7Validator(FORM).validate(COMPOSE)


@pytest.mark.parametrize(("service", "key", "value"), [("kafka", "imagee", "x"), ("topics", "depends_on", 5)])
def test_compose_itself_would_find_what_is_wrong(service: str, key: str, value: Any) -> None:
    broken = {**COMPOSE, "services": {**SERVICES, service: {**SERVICES[service], key: value}}}
    assert not jsonschema.Draft7Validator(FORM).is_valid(broken)


def test_versions_are_those_of_the_tests_and_of_the_project() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{VERSION}"
    for service in SERVICES.values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"]), "a tag of which there is one"
    assert {service["image"] for service in OURS.values()} == {f"linkstream:{PROJECT['version']}"}
    [[_, base]] = [line for line in DOCKERFILE if line[0] == "ARG"]
    python = re.fullmatch(r"PYTHON=python:(\d+\.\d+)\.\d+-slim-\w+", base)
    assert python is not None
    assert python[1] == PROJECT["requires-python"].removeprefix(">=")
    assert [rest for word, rest in DOCKERFILE if word == "FROM"] == ["${PYTHON} AS build", "${PYTHON}"]


def test_what_waits_for_another_waits_for_one_that_is_there_and_can_be_waited_for() -> None:
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            assert (condition == "service_healthy") == ("test" in SERVICES[name]["healthcheck"])
            assert condition in ("service_healthy", "service_completed_successfully")
        assert "healthcheck" in service  # the image's own would ask everybody for a worker's health
        assert service["network_mode"] in ("bridge", "service:machine")
        for source, _, _ in (volume.partition(":") for volume in service.get("volumes", ())):
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]


def test_our_containers_may_do_no_more_than_they_must() -> None:
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert USER > 0
    for service in SERVICES.values():
        assert service in OURS.values() or "ALL" in service["cap_drop"]
        assert all(volume.endswith(":ro") for volume in service.get("volumes", ()) if volume.startswith("."))
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert "privileged" not in service


def test_every_port_that_somebody_listens_at_is_published_and_no_other() -> None:
    published = set()
    for port in SERVICES["machine"]["ports"]:
        first, _, last = port.split(":")[1].partition("-")
        published |= set(range(int(first), int(last or first) + 1))
    listening = {int(service["command"][service["command"].index("--port") + 1]) for service in SANDBOXES.values()}
    watching = json.dumps([SERVICES[name] for name in ("prometheus", "grafana", "kafbat")])
    listening |= {int(port) for port in re.findall(r'(?:listen-address=0.0.0.0:|_PORT": ")(\d+)', watching)}
    assert published == listening | {9092}
    assert "localhost:9092" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_the_variables_are_those_of_topics_yaml() -> None:
    given = variables(ROOT / "deploy" / "sandboxes.env")
    named = dict(re.findall(r"\$\{(\w+)(:-)?", TOPICS))
    assert set(given) == set(named) - {"LINKSTREAM_BROKER"}
    for service in OURS.values():
        if service.get("command", [""])[0] in ("run", "topics"):
            assert service["env_file"] == "deploy/sandboxes.env"
            assert service["environment"]["LINKSTREAM_BROKER"].startswith("kafka://localhost:9092")


def test_what_watches_looks_at_what_is_there() -> None:
    workers = {service["environment"]["LINKSTREAM_WEB"] for name, service in OURS.items() if name.startswith("worker")}
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    [job] = config["scrape_configs"]
    assert {target for each in job["static_configs"] for target in each["targets"]} == workers
    assert all((ROOT / "deploy/prometheus" / name).exists() for name in config["rule_files"])

    provisioning = ROOT / "deploy/grafana/provisioning"
    [source] = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text("utf-8"))["datasources"]
    assert f"--web.listen-address=0.0.0.0:{source['url'].rpartition(':')[2]}" in SERVICES["prometheus"]["command"]
    [provider] = yaml.safe_load((provisioning / "dashboards/linkstream.yml").read_text("utf-8"))["providers"]
    mounted = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home in mounted
    assert Path(home).parent == Path(provider["options"]["path"])
    assert "/etc/grafana/provisioning" in mounted

    kafbat = SERVICES["kafbat"]["environment"]
    listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert listeners == f"PLAINTEXT://{kafbat['KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS']}"


def test_what_the_image_is_built_from_is_sent_to_the_builder() -> None:
    let_in = {
        line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"
    }
    for word, rest in DOCKERFILE:
        if word == "COPY" and "--from" not in rest:
            for name in rest.split()[:-1]:
                assert (ROOT / name).exists()
                assert name.rstrip("/") in {each.partition("/")[0] for each in let_in}


# Their commands


def interpreter() -> tuple[Path, bool]:
    """A Python for the image, and whether another user may run it: one in somebody's home is nobody else's."""
    for found in (Path(sys.base_prefix, "bin", "python3").resolve(), Path("/usr/bin/python3")):
        if os.geteuid() == 0 and all(folder.stat().st_mode & 0o001 for folder in (found, *found.resolve().parents)):
            code = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))"
            if subprocess.run([found, "-c", code], check=False, capture_output=True).returncode == 0:
                return found, True
    return Path(sys.executable), False


class Place:
    """The image in a folder, and the services of the compose file run from it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._warden = Warden(folder)
        stack.callback(self.close)
        self._running: list[subprocess.Popen[bytes]] = []
        wanted = ["9090", "9092", "9093", "8901", "8902", *(str(port) for port in range(8801, 8807))]
        self.ports = dict(zip(wanted, map(str, free_ports(len(wanted))), strict=True))
        self.python, self.drops = interpreter()
        self._environment = {name: value for name, value in os.environ.items() if name in ("LANG", "HOME", "TZ")}

    def here(self, text: str) -> str:
        """A text with ports and folders as they are here."""
        text = re.sub("|".join(self.ports), lambda found: self.ports[found[0]], text)
        return re.sub(r"(?<![\w.])/(opt|etc/linkstream)\b", lambda found: f"{self.folder}{found[0]}", text)

    def build(self) -> None:
        """Do what the Dockerfile says, but for the tools, which ``make setup`` installs from the same file."""
        self.folder.chmod(0o755)
        source = self.folder / "src"
        source.mkdir()
        (self.folder / "opt").mkdir()
        (self.folder / "opt" / "tools").symlink_to(Path(sys.prefix))
        path = f"{self.folder / 'shims'}:{os.environ['PATH']}"
        (self.folder / "shims").mkdir()
        (self.folder / "shims" / "python").symlink_to(self.python)
        for word, rest in BUILD:
            if word == "COPY":
                *names, _ = rest.split()
                for name in names:
                    self._copy(ROOT / name, source)
            elif word == "RUN" and "dev.lock" not in rest:
                command = ["bash", "-euc", self.here(rest)]
                environment = {**os.environ, "PATH": path}
                done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{rest}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"

    @staticmethod
    def _copy(what: Path, into: Path) -> None:
        if what.is_dir():
            shutil.copytree(what, into / what.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(what, into)

    def environment(self, service: dict[str, Any]) -> dict[str, str]:
        """The variables of a container."""
        image = " ".join(rest for word, rest in IMAGE if word == "ENV")
        found = {"PATH": os.environ["PATH"], **self._environment}
        for name, value in (each.split("=", 1) for each in shlex.split(image)):
            found[name] = value.replace("$PATH", found["PATH"])
        if "env_file" in service:
            found |= variables(ROOT / service["env_file"])
        found |= service.get("environment", {})
        return {name: self.here(value) for name, value in found.items()}

    def start(self, name: str, command: Sequence[str] | None = None) -> subprocess.Popen[bytes]:
        """Start a service of ours by its own command, as the image's user, in its own folder."""
        service = SERVICES[name]
        own = self.folder / "var" / name
        if not own.exists():
            own.mkdir(parents=True)
            if self.drops:
                os.chown(own, USER, USER)
        words = [self.here(word) for word in command or ("linkstream", *service["command"])]
        words[0] = shutil.which(words[0], path=self.environment(service)["PATH"]) or words[0]
        return self._popen(name, words, own, self.environment(service), **self._user())

    def _user(self) -> dict[str, Any]:
        return {"user": USER, "group": USER, "extra_groups": []} if self.drops else {}

    def kafka(self) -> None:
        """Format and start Kafka as the image does: of its variables, KAFKA_A_B is the setting a.b."""
        said = SERVICES["kafka"]["environment"]
        own = self.folder / "kafka"
        own.mkdir()
        settings = {
            name.removeprefix("KAFKA_").lower().replace("_", "."): self.here(value)
            for name, value in said.items()
            if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
        }
        settings["log.dirs"] = str(own / "data")
        settings["listeners"] = settings["listeners"].replace("://:", "://127.0.0.1:")
        config = own / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), "utf-8")
        run = [java(), *said["KAFKA_HEAP_OPTS"].split(), "-XX:TieredStopAtLevel=1", "-cp", f"{jars()}/*"]
        form = [*run, "kafka.tools.StorageTool", "format", "-t", said["CLUSTER_ID"], "-c", str(config)]
        subprocess.run(form, check=True, capture_output=True)
        self._popen("kafka", [*run, "kafka.Kafka", str(config)], own, dict(os.environ))

    def prometheus(self) -> bool:
        """Start Prometheus with its own command and its mounted files; whether there is one."""
        program = shutil.which("prometheus")
        if program is None:
            return False
        own, words = self.folder / "prometheus", list(SERVICES["prometheus"]["command"])
        for source, target, *_ in (volume.split(":") for volume in SERVICES["prometheus"]["volumes"]):
            into = own / target.strip("/").replace("/", "-")
            into.mkdir(parents=True)
            for file in (ROOT / source).iterdir() if source.startswith("./") else ():
                (into / file.name).write_text(self.here(file.read_text("utf-8")), "utf-8")
            words = [word.replace(f"={target}", f"={into}") for word in words]
        command = [program, *(self.here(word).replace("0.0.0.0", "127.0.0.1") for word in words)]
        self._popen("prometheus", command, own, dict(os.environ))
        return True

    def scraped(self) -> None:
        """Wait until Prometheus has heard both workers, and its rules have been asked."""
        until = time.monotonic() + 60
        while True:
            with suppress(OSError):
                targets = self._told("targets")["activeTargets"]
                rules = [rule for group in self._told("rules")["groups"] for rule in group["rules"]]
                if all(rule["health"] == "ok" for rule in rules) and {each["health"] for each in targets} == {"up"}:
                    assert len(targets) == 2
                    assert len(rules) > 12
                    return
            assert time.monotonic() < until, self.log("prometheus")
            time.sleep(0.5)

    def _told(self, what: str) -> Any:
        with urllib.request.urlopen(self.here(f"http://127.0.0.1:9090/api/v1/{what}")) as answer:
            return json.load(answer)["data"]

    def healthy(self, name: str) -> None:
        """Wait until a service's own health check says so."""
        until = time.monotonic() + 60
        while (said := self.check(name, SERVICES[name]["healthcheck"]["test"][1:], sure=False)) is not None:
            assert time.monotonic() < until, f"{name}: {said}\n{self.log(name)}"
            time.sleep(0.2)

    def check(self, name: str, words: Sequence[str], *, sure: bool = True) -> str | None:
        """Run a health check as in the container of a service; what it complained of."""
        environment = self.environment(SERVICES[name]) if name in OURS else dict(os.environ)
        command, *rest = map(self.here, words)
        if words[0] in SCRIPTS:
            run = [java(), "-Xmx128m", "-cp", f"{jars()}/*", SCRIPTS[words[0]], *rest]
        else:
            run = [shutil.which(command, path=environment["PATH"]) or command, *rest]
        done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not sure, done.stderr
        return None if done.returncode == 0 else done.stderr[-2000:]

    def happened(self, name: str, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a system's own record of what was done to it has this."""
        port = SERVICES[name]["command"][SERVICES[name]["command"].index("--port") + 1]
        until = time.monotonic() + 240
        while True:
            with urllib.request.urlopen(self.here(f"http://127.0.0.1:{port}/_sandbox/truth")) as answer:
                found = next(filter(what, json.load(answer)), None)
            if found is not None:
                return found
            assert time.monotonic() < until, self.log("worker-1") + self.log("worker-2")
            time.sleep(0.5)

    def edit(self, prefix: str, path: str, body: dict[str, str]) -> None:
        """Change a record at a system as a person does."""
        url = self.here(variables(ROOT / SERVICES["topics"]["env_file"])[f"{prefix}_URL"])
        headers = {"Authorization": f"Bearer {PERSON}", "Content-Type": "application/json"}
        request = urllib.request.Request(url + path, json.dumps(body).encode(), headers, method="PATCH")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200

    def _popen(
        self, name: str, words: list[str], folder: Path, environment: dict[str, str], **more: Any
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                words, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True, **more
            )
        self._running.append(process)
        self._warden.watch(process.pid)
        return process

    def log(self, name: str) -> str:
        """The end of what a service said."""
        return (self.folder / f"{name}.log").read_text("utf-8", errors="replace")[-4000:]

    def close(self) -> None:
        """End everything, and remove the folder."""
        for process in self._running:
            process.kill()
            process.wait()
            self._warden.forget(process.pid)
        self._warden.close()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """The image, built."""
    with ExitStack() as stack:
        found = Place(Path(tempfile.mkdtemp(prefix="linkstream-image-")), stack)
        found.build()
        yield found


@pytest.mark.process
@pytest.mark.timeout(300)
def test_the_image_is_built_by_its_own_commands_and_holds_what_a_worker_needs(place: Place) -> None:
    process = place.start("worker-1", ["linkstream", "validate"])
    assert process.wait(60) == 0, place.log("worker-1")
    assert "6 systems" in place.log("worker-1")
    installed = {path.name for path in (place.folder / "opt/linkstream").glob("lib/python3*/site-packages/*")}
    assert "faust" in installed
    assert "pytest" not in installed


@pytest.mark.process
@pytest.mark.timeout(300)
def test_sandboxes_take_what_the_variables_say(place: Place) -> None:
    processes = {name: place.start(name) for name in SANDBOXES}
    for name in SANDBOXES:
        place.healthy(name)
    given = variables(ROOT / "deploy" / "sandboxes.env").values()
    for name, process in processes.items():
        process.terminate()
        assert process.wait(20) == 0, place.log(name)
        for setting, value in re.findall(r"^(\w+) for linkstream: (\S+)$", place.log(name), re.MULTILINE):
            assert value in given, f"{name}: {setting}"
        [address] = re.findall(r"sandbox: (http://\S+)", place.log(name))
        assert address in {place.here(each) for each in given}


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.timeout(500)
def test_everything_comes_up_in_its_order_and_an_edit_travels(place: Place) -> None:
    try:
        place.kafka()
    except NoKafka as reason:
        pytest.skip(f"Kafka: {reason}")
    for name in SANDBOXES:
        place.start(name)
    place.healthy("kafka")
    topics = place.start("topics")
    assert topics.wait(60) == 0, place.log("topics")
    for name in SANDBOXES:
        place.healthy(name)
    workers = {name: place.start(name) for name in ("worker-1", "worker-2")}
    for name in workers:
        place.healthy(name)
        place.check(name, json.loads(next(rest for word, rest in IMAGE if word == "HEALTHCHECK").partition("CMD ")[2]))

    watched = place.prometheus()

    def created(one: dict[str, Any]) -> bool:
        return (one["author"], one["type"], one["op"]) == ("linkstream", "task", "create")

    def renamed(one: dict[str, Any]) -> bool:
        return one["author"] == "linkstream" and "Renamed by a person" in json.dumps(one["after"])

    made = place.happened("custompms", created)
    place.edit("PMS", f"/tasks/{made['id']}", {"title": "Renamed by a person"})
    place.happened("asana", renamed)
    described(place)
    if watched:
        place.scraped()
    for name, process in workers.items():
        process.terminate()
        assert process.wait(20) == 0, place.log(name)


def described(place: Place) -> None:
    """Everything that lies in the topics by now is as ``linkstream asyncapi`` says."""
    said = place.folder / "topics.log"
    said.unlink()
    assert place.start("topics", ["linkstream", "asyncapi", "--format", "json"]).wait(60) == 0, place.log("topics")
    document = json.loads(said.read_text("utf-8"))
    checks: dict[str, tuple[Any, Any]] = {}
    for name, message in document["components"]["messages"].items():
        parts = (message.get("headers", {}), message["payload"])
        whole = ({**part, "components": document["components"]} for part in parts)
        checks[name] = tuple(map(jsonschema.Draft7Validator, whole))
    seen: Counter[str] = Counter()
    for record in asyncio.run(everything(place.here("localhost:9092"), list(document["channels"]))):
        kinds = list(document["channels"][record.topic]["messages"])
        kind = kinds[record.value is None and "mark" in kinds]
        seen[kind] += 1
        if seen[kind] <= 300:
            headers, payload = checks[kind]
            headers.validate({name: value.decode() for name, value in record.headers})
            payload.validate(None if record.value is None else json.loads(record.value))
    assert all(seen[kind] for kind in ("change", "mark", "mail", "command")), seen


async def everything(bootstrap: str, topics: list[str]) -> list[Any]:
    """What was committed to these topics until now."""
    found: list[Any] = []
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    async with consumer:
        while not consumer.assignment():
            await consumer.getmany(timeout_ms=100)
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(each) < end for each, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                found += records
    return found
