"""What others' validators say: schemas of Kubernetes and compose, linters of Dockerfile, YAML and alerts."""

import copy
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from image import DOCKERFILE, FRONTEND
from k8s_faults import find
from manifests import OVERLAYS, SECRET, Doc, Docs
from operator_schema import SCHEMAS
from render_alerts import ALERTS
from rules import MISSING, put
from source import ROOT

# The oldest in which all that is used here is stable, and the newest that the validator knows.
KUBERNETES = ["1.31", kubernetes_validate.latest_version()]
YAMLLINT = ["yamllint", "--strict", "--config-file", "deploy/tests/yamllint.yml"]
COMPOSE = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec"]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False)


def validate(doc: Doc, version: str) -> None:
    """As `kubernetes-validate --strict`; a kind that it does not know, and only warns of, is an error."""
    schema = SCHEMAS.get((doc["apiVersion"], doc["kind"]))
    if schema is None:
        kubernetes_validate.validate(doc, version, strict=True)
    else:
        jsonschema.validate(doc, schema)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_is_valid(rendered: dict[str, Docs], overlay: str, version: str) -> None:
    for doc in [*rendered[overlay], SECRET]:
        validate(doc, version)


@pytest.mark.parametrize(
    ("where", "path", "value"),
    [
        ("Deployment/ingest-api", "spec.template.spec.containers.0.readinessProb", {}),
        ("Deployment/ingest-api", "spec.template.spec.terminationGracePeriodSeconds", "45s"),
        ("Deployment/ingest-api", "spec.selector", MISSING),
        ("CronJob/rollup-worker", "spec.timezone", "Etc/UTC"),
        ("CronJob/rollup-worker", "spec.schedule", MISSING),
        ("NetworkPolicy/ingest-api", "spec.ingress.0.form", []),
        ("Service/ingest-api", "kind", "Servise"),
        ("ServiceMonitor/ingest-api", "spec.endpoints.0.intervall", "15s"),
        ("PrometheusRule/plg", "spec.groups.-", {"name": "a", "rules": [{"alert": "b"}]}),
    ],
)
def test_planted_fault_is_seen(rendered: dict[str, Docs], where: str, path: str, value: Any) -> None:
    doc = copy.deepcopy(find(rendered["production-monitored"], where))
    put(doc, path, value)
    with pytest.raises((kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError,
                        jsonschema.ValidationError)):  # fmt: skip
        validate(doc, KUBERNETES[0])


def test_compose_is_valid() -> None:
    done = run(*COMPOSE, "docker-compose.yml")
    assert done.returncode == 0, done.stdout


def test_compose_fault_is_seen(tmp_path: Path) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    (tmp_path / "compose.yml").write_text(text.replace("depends_on", "depend_on"))
    assert run(*COMPOSE, tmp_path / "compose.yml").returncode == 1


@pytest.mark.parametrize("file", [DOCKERFILE, FRONTEND], ids=["service", "frontend"])
def test_dockerfile_is_clean(file: Path) -> None:
    done = run("hadolint", file)
    assert done.returncode == 0, done.stdout


def test_dockerfile_fault_is_seen(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.read_text().replace("ENTRYPOINT [", "ENTRYPOINT x ["))
    assert run("hadolint", tmp_path / "Dockerfile").returncode == 1


def test_yaml_is_clean() -> None:
    done = run(*YAMLLINT, "docker-compose.yml", "deploy")
    assert done.returncode == 0, done.stdout


def test_yaml_fault_is_seen(tmp_path: Path) -> None:
    (tmp_path / "twice.yml").write_text("a: 1\na: 2\n")
    assert run(*YAMLLINT, tmp_path / "twice.yml").returncode == 1


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Prometheus' own checks."""
    return run(os.environ.get("PROMTOOL", "promtool"), *arguments)


def test_alerts_are_clean() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alert_fault_is_seen(tmp_path: Path) -> None:
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text().replace("expr: ", "expr: ) ", 1))
    assert promtool("check", "rules", tmp_path / "alerts.yml").returncode != 0


def test_prometheus_is_configured() -> None:
    done = promtool("check", "config", "--syntax-only", ALERTS.with_name("prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
