"""Rendered manifests, and ways through them."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from source import ROOT

Doc = dict[str, Any]
Docs = list[Doc]

K8S = ROOT / "deploy/k8s"
# What is rendered: each overlay, and what one gets with the optional component.
OVERLAYS = {path.name: path for path in sorted((K8S / "overlays").iterdir())} | {
    "production-monitored": ROOT / "deploy/tests/production-monitored",
}
# What the cluster's people bring: secrets are never rendered.
SECRET = yaml.safe_load((K8S / "secrets.example.yaml").read_text())


def render(directory: Path) -> Docs:
    """As `kubectl apply -k` would send it."""
    command = [os.environ["KUBECTL"], "kustomize", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Deprecated fields are told here.
    assert not done.stderr, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def name_of(doc: Doc) -> str:
    """For people, and for finding it again."""
    return f"{doc['kind']}/{doc['metadata']['name']}"


def of_kind(docs: Docs, *kinds: str) -> Docs:
    """Those of these kinds."""
    return [doc for doc in docs if doc["kind"] in kinds]


@dataclass(frozen=True)
class Pod:
    """A pod template, and whose it is."""

    owner: str
    template: Doc

    @property
    def spec(self) -> Doc:
        """The pod's specification."""
        return self.template["spec"]

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return self.template.get("metadata", {}).get("labels", {})

    @property
    def containers(self) -> Docs:
        """All of them, those that run first included."""
        return self.spec.get("initContainers", []) + self.spec["containers"]


@dataclass(frozen=True)
class Container:
    """A container, and whose it is."""

    name: str
    body: Doc
    pod: Pod


def pods(docs: Docs) -> Iterator[Pod]:
    """Every pod that these would start."""
    for doc in docs:
        match doc["kind"]:
            case "CronJob":
                yield Pod(name_of(doc), doc["spec"]["jobTemplate"]["spec"]["template"])
            case "Deployment" | "StatefulSet" | "DaemonSet" | "Job":
                yield Pod(name_of(doc), doc["spec"]["template"])


def containers(docs: Docs) -> Iterator[Container]:
    """Every container that these would start."""
    for pod in pods(docs):
        for body in pod.containers:
            yield Container(f"{pod.owner} {body.get('name')}", body, pod)


def environment(docs: Docs, container: Doc) -> dict[str, str | None]:
    """Its environment; `None` is a value that a Secret holds."""
    maps = {doc["metadata"]["name"]: doc.get("data", {}) for doc in of_kind(docs, "ConfigMap")}
    result: dict[str, str | None] = {}
    for source in container.get("envFrom", []):
        result |= maps.get(source.get("configMapRef", {}).get("name"), {})
    for entry in container.get("env", []):
        result[entry["name"]] = entry.get("value")
    return result


def api(docs: Docs) -> Container:
    """The container that serves."""
    return next(c for c in containers(docs) if c.pod.owner == "Deployment/ingest-api")


def setting(docs: Docs, name: str, default: int) -> int:
    """A number among the service's settings."""
    return int(environment(docs, api(docs).body).get(name) or default)


def selects(selector: Doc, labels: dict[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(
        expression["operator"] == "In" and labels.get(expression["key"]) in expression["values"]
        for expression in selector.get("matchExpressions", [])
    )


def is_embedded(docs: Docs) -> bool:
    """Whether the data is in a SQLite file."""
    return (environment(docs, api(docs).body).get("DATABASE_URL") or "").startswith("sqlite:")
