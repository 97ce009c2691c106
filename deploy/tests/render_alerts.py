"""Writes the PrometheusRule of deploy/k8s from the rule file of Prometheus, which kustomize cannot.

    python deploy/tests/render_alerts.py
"""

from pathlib import Path

import yaml

from source import ROOT

ALERTS = ROOT / "deploy/observability/alerts.yml"
RULE = ROOT / "deploy/k8s/components/monitoring/prometheusrule.yaml"
HEAD = f"# Rendered from {ALERTS.relative_to(ROOT)} by deploy/tests/render_alerts.py; do not edit.\n"


def rendered_rule(alerts: Path) -> str:
    """The manifest."""
    groups = yaml.safe_load(alerts.read_text())["groups"]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "plg"},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.safe_dump(rule, sort_keys=False, width=100, allow_unicode=True)


if __name__ == "__main__":
    RULE.write_text(rendered_rule(ALERTS))
