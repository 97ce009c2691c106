"""Every overlay keeps every rule, and every rule sees the faults that are planted for it."""

import pytest
import yaml

from k8s_faults import FAULTS, Fault
from manifests import OVERLAYS, Docs, name_of
from pod_rules import POD_RULES
from render_alerts import ALERTS, RULE, rendered_rule
from rules import Rule, Rules, ids
from wiring_rules import WIRING_RULES

RULES = Rules(POD_RULES + WIRING_RULES)
COMMON = {
    "Namespace/plg",
    "Service/ingest-api",
    "Deployment/ingest-api",
    "CronJob/rollup-worker",
    "CronJob/rollup-worker-full",
    "CronJob/rollup-worker-retain",
    "NetworkPolicy/ingest-api",
    "NetworkPolicy/rollup-worker",
}
PRODUCTION = COMMON | {
    "NetworkPolicy/database",
    "HorizontalPodAutoscaler/ingest-api",
    "PodDisruptionBudget/ingest-api",
    "Job/migrate",
}
CONTENTS = {
    "sqlite-single": COMMON | {"PersistentVolumeClaim/plg-data"},
    "production": PRODUCTION,
    "citus": PRODUCTION,
    "production-monitored": PRODUCTION | {"ServiceMonitor/ingest-api", "PrometheusRule/plg"},
}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_holds_what_it_promises(rendered: dict[str, Docs], overlay: str) -> None:
    names = {name_of(doc) for doc in rendered[overlay] if doc["kind"] != "ConfigMap"}
    assert names == CONTENTS[overlay]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", RULES, ids=ids(RULES))
def test_overlay_keeps_rule(rendered: dict[str, Docs], overlay: str, rule: Rule) -> None:
    assert list(rule(rendered[overlay])) == []


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_planted_fault_is_seen(rendered: dict[str, Docs], fault: Fault) -> None:
    assert list(RULES.named(fault.rule)(fault.planted(rendered[fault.overlay])))


def test_every_rule_is_tried() -> None:
    assert {fault.rule for fault in FAULTS} == set(ids(RULES))


def test_citus_distributes_after_the_migrations(rendered: dict[str, Docs]) -> None:
    """An init container runs before the others; both run the same program on the same database."""
    job = next(doc for doc in rendered["citus"] if name_of(doc) == "Job/migrate")
    spec = job["spec"]["template"]["spec"]
    first, then = spec["initContainers"], spec["containers"]
    assert [box["args"] for box in first + then] == [["up"], ["distribute"]]
    assert first[0] | {"name": "", "args": []} == then[0] | {"name": "", "args": []}


def test_alert_rules_are_those_of_prometheus() -> None:
    again = "run target/deploy-check/venv/bin/python deploy/tests/render_alerts.py"
    assert yaml.safe_load(RULE.read_text()) == yaml.safe_load(rendered_rule(ALERTS)), again


@pytest.mark.parametrize("overlay", ["production", "citus"])
def test_migrate_can_be_applied_alone(rendered: dict[str, Docs], overlay: str) -> None:
    """By its label, before the rollout: it brings its way to the database, and needs no setting."""
    label = ("app.kubernetes.io/name", "migrate")
    alone = [doc for doc in rendered[overlay] if label in doc["metadata"].get("labels", {}).items()]
    assert {name_of(doc) for doc in alone} == {"Job/migrate", "NetworkPolicy/database"}
    assert list(RULES.named("references_resolve")(alone)) == []
