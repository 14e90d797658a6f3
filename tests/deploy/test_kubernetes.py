"""The Kubernetes manifests, without a cluster: their form by Kubernetes' own schemas, and that their parts fit.

``kubernetes.json`` is cut out of Kubernetes' own schemas by ``reduce.py``. Where kubectl is, what it makes of both
folders is held to them, too. Whether a cluster would schedule the pods, mount the disks and let the packets through
stays unproven.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
FORM = json.loads(Path(__file__).with_name("kubernetes.json").read_text("utf-8"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
SECRETS = "/run/secrets/linkstream/"
OBJECTS: list[dict[str, Any]] = [
    each
    for name in ("job", "worker", "network")
    for each in yaml.safe_load_all((FOLDER / "kafka" / f"{name}.yaml").read_text("utf-8"))
]
CUSTOM: dict[str, Any] = yaml.safe_load((FOLDER / "kafka/kustomization.yaml").read_text("utf-8"))


def wrong(thing: dict[str, Any]) -> list[str]:
    """What Kubernetes would not take."""
    schema = {"$ref": f"#/$defs/{FORM['kinds'][thing['kind']]}", "$defs": FORM["$defs"]}
    found = jsonschema.Draft202012Validator(schema).iter_errors(thing)
    return [f"{thing['kind']} {error.json_path}: {error.message}" for error in found]


def of(kind: str) -> dict[str, Any]:
    [found] = [each for each in OBJECTS if each["kind"] == kind]
    return found


def pods() -> Iterator[dict[str, Any]]:
    for kind in ("Job", "StatefulSet"):
        yield of(kind)["spec"]["template"]


def selected(selector: dict[str, str]) -> list[str]:
    """The components whose pods have these labels."""
    return [
        labels["app.kubernetes.io/component"]
        for pod in pods()
        if (labels := pod["metadata"]["labels"]).items() >= selector.items()
    ]


@pytest.mark.parametrize("thing", OBJECTS, ids=lambda thing: thing["kind"])
def test_kubernetes_finds_nothing_wrong(thing: dict[str, Any]) -> None:
    assert wrong(thing) == []


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("StatefulSet", ("spec", "replica"), 2),
        ("StatefulSet", ("spec", "template", "spec", "containers", 0, "livenessProbe", "httpGet", "port"), [8900]),
        ("StatefulSet", ("spec", "template", "spec", "securityContext", "runAsNonRoot"), "yes"),
        ("NetworkPolicy", ("spec", "egress"), {"ports": []}),
        ("PodDisruptionBudget", ("apiVersion",), "policy/v1beta1"),
    ],
)
def test_kubernetes_would_find_what_is_wrong(kind: str, path: tuple[str | int, ...], value: Any) -> None:
    broken = json.loads(json.dumps(of(kind)))
    place = broken
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert wrong(broken)


def test_pods_may_do_no_more_than_they_must() -> None:
    user = next(
        int(line.split()[1].partition(":")[0])
        for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines()
        if line.startswith("USER")
    )
    for pod in pods():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == user
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"requests", "limits"} <= container["resources"].keys()
            assert "env" not in container  # a secret in the environment is one that every child and dump has


def test_what_is_selected_is_there() -> None:
    assert selected(of("Service")["spec"]["selector"]) == ["worker"]
    assert selected(of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]) == ["worker"]
    assert selected(of("StatefulSet")["spec"]["selector"]["matchLabels"]) == ["worker"]
    assert selected(of("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]) == ["topics", "worker"]
    assert of("StatefulSet")["spec"]["serviceName"] == of("Service")["metadata"]["name"]
    for pod in pods():
        assert pod["spec"]["serviceAccountName"] == of("ServiceAccount")["metadata"]["name"]


def test_what_is_mounted_is_there() -> None:
    claims = {claim["metadata"]["name"] for claim in of("StatefulSet")["spec"]["volumeClaimTemplates"]}
    made = {each["name"] for each in CUSTOM["configMapGenerator"]}
    for pod in pods():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        assert volumes["configuration"]["configMap"]["name"] in made
        for container in pod["spec"]["containers"]:
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts.keys() <= {*volumes, *claims}
            assert mounts["secrets"] + "/" == SECRETS
            assert mounts["configuration"] == "/etc/linkstream"  # where the image looks for topics.yaml


def test_probes_ask_what_a_worker_answers() -> None:
    [worker] = of("StatefulSet")["spec"]["template"]["spec"]["containers"]
    asked = {name: worker[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: each["path"] for name, each in asked.items()} == {
        "startup": "/startupz",
        "liveness": "/livez",
        "readiness": "/readyz",
    }
    [port] = worker["ports"]
    assert {each["port"] for each in asked.values()} == {port["name"]}
    for name in ("kafka", "sqlite"):
        listen = yaml.safe_load((FOLDER / name / "topics.yaml").read_text("utf-8"))["web"]["listen"]
        assert listen == f"0.0.0.0:{port['containerPort']}"


def test_what_is_customised_is_there() -> None:
    for folder in (FOLDER / "kafka", FOLDER / "sqlite"):
        custom = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
        named = [*custom["resources"], *(file for each in custom["configMapGenerator"] for file in each["files"])]
        named += [each["path"] for each in custom.get("patches", ()) if "path" in each]
        assert [name for name in named if not (folder / name).exists()] == []
    [image] = CUSTOM["images"]
    assert image["newTag"] == VERSION
    assert {container["image"] for pod in pods() for container in pod["spec"]["containers"]} == {image["name"]}


@pytest.mark.process
@pytest.mark.parametrize("name", ["kafka", "sqlite"])
def test_the_configuration_validates_with_secrets_from_files_alone(name: str, tmp_path: Path) -> None:
    text = (FOLDER / name / "topics.yaml").read_text("utf-8")
    for secret in re.findall(rf"{SECRETS}(\w+)", text):
        (tmp_path / secret).write_text(f"the-{secret}-of-a-test", "utf-8")
    (tmp_path / "topics.yaml").write_text(text.replace(SECRETS, f"{tmp_path}/"), "utf-8")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOSTNAME": "linkstream-0"}
    command = [sys.executable, "-m", "stream.cli.main", "validate", "-c", str(tmp_path / "topics.yaml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "kinds"), [("kafka", {"Job", "ConfigMap"}), ("sqlite", {"ConfigMap"})])
def test_what_kubectl_makes_of_it_is_right_too(name: str, kinds: set[str]) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not here")
    done = subprocess.run([kubectl, "kustomize", FOLDER / name], capture_output=True, text=True, check=True)
    made = list(yaml.safe_load_all(done.stdout))
    assert {each["kind"] for each in made} == ({each["kind"] for each in OBJECTS} - {"Job"}) | kinds
    assert [mistake for each in made for mistake in wrong(each)] == []
    [worker] = [each for each in made if each["kind"] == "StatefulSet"]
    [config] = [each for each in made if each["kind"] == "ConfigMap"]
    spec = worker["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == f"linkstream:{VERSION}"
    assert config["metadata"]["name"] in {volume.get("configMap", {}).get("name") for volume in spec["volumes"]}
    assert config["data"]["topics.yaml"] == (FOLDER / name / "topics.yaml").read_text("utf-8")
    assert worker["spec"]["replicas"] == (1 if name == "sqlite" else 2)
