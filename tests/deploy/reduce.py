"""Kubernetes' own schemas, cut down to what ``deploy/kubernetes`` has: ``python -m tests.deploy.reduce FOLDER``.

The folder is that of the schemas in PyPI's package kubernetes-validate, which makes them of Kubernetes' own OpenAPI
file (Apache License 2.0): ``kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict``. Strict: what Kubernetes
does not know is a mistake. What is kept is unchanged but for its descriptions; what no kind needs is left out.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("kubernetes.json")
KINDS = {
    "ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "Job": "io.k8s.api.batch.v1.Job",
    "NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
    "PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "Service": "io.k8s.api.core.v1.Service",
    "ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
    "StatefulSet": "io.k8s.api.apps.v1.StatefulSet",
}


def reduced(folder: Path) -> dict[str, Any]:
    """The definitions that the kinds reach."""
    every = json.loads((folder / "_definitions.json").read_text("utf-8"))["$defs"]
    kept: dict[str, Any] = {}
    wanted = [*KINDS.values()]
    while wanted:
        name = wanted.pop()
        if name not in kept:
            kept[name] = plain(every[name])
            wanted += re.findall(r'#/\$defs/([^"]+)"', json.dumps(kept[name]))
    version = re.search(r"v(\d+\.\d+\.\d+)", str(folder))
    assert version is not None
    return {"version": version[1], "kinds": KINDS, "$defs": dict(sorted(kept.items()))}


def plain(schema: Any) -> Any:
    """A schema without its descriptions; a property of that name stays."""
    match schema:
        case dict():
            return dict(_members(schema))
        case list():
            return [plain(item) for item in schema]
        case _:
            return schema.replace("/api/_definitions.json#", "#") if isinstance(schema, str) else schema


def _members(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        if (key == "description" and isinstance(value, str)) or key.startswith("x-kubernetes"):
            continue
        yield key, plain(value)


if __name__ == "__main__":
    FILE.write_text(json.dumps(reduced(Path(sys.argv[1])), separators=(",", ":")) + "\n", encoding="utf-8")
