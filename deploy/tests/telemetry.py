"""What dashboard, alerts and handbook say about metrics, alerts and errors, and whether it exists.

The metrics are those of docs/METRICS.md, which a test of the service compares with what it exports.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

import source
from render_alerts import ALERTS
from rules import Rules

DASHBOARD = ALERTS.with_name("dashboard.json")
METRICS = source.ROOT / "docs/METRICS.md"
HANDBOOK = source.ROOT / "docs/OPERATIONS.md"
CONTRACT = source.ROOT / "docs/openapi.json"

# Of samples, by the family's type.
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"], "gauge": [""]}
# What Prometheus adds, and what the alerts' own series carry.
ADDED_LABELS = {"namespace", "job", "instance", "le"}
# A tenant in a label is a leak, and a series each.
TENANTS = re.compile("hotel|user|key|session")
QUERY_RULES = Rules()
HANDBOOK_RULES = Rules()


class Family:
    """A row of docs/METRICS.md."""

    def __init__(self, row: str) -> None:
        cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
        quoted = [set(re.findall("`([^`]*)`", cell)) for cell in cells]
        (self.name,) = quoted[0]
        self.type = cells[1]
        self.labels, self.values = quoted[2], quoted[3]


@cache
def families() -> list[Family]:
    """Every metric there is."""
    return [Family(line) for line in METRICS.read_text().splitlines() if line.startswith("| `")]


@cache
def samples() -> dict[str, Family]:
    """What a query may name, and of which family it is."""
    return {f.name + suffix: f for f in families() for suffix in SUFFIXES[f.type]}


def alert_rules(groups: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Alerts by name."""
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def groups() -> list[dict[str, Any]]:
    """What alerts.yml holds."""
    found: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"]
    return found


@cache
def codes() -> set[str]:
    """Of the error table."""
    return set(json.loads(CONTRACT.read_text())["components"]["schemas"]["Code"]["enum"])


def dashboard_queries(dashboard: dict[str, Any]) -> dict[str, str]:
    """By panel, with Grafana's variables put in."""
    variables = {"$__rate_interval": "5m", "$instance": ".*"}
    queries = {}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for variable, value in variables.items():
                query = query.replace(variable, value)
            queries[f"{panel['title']} {target['refId']}"] = query
    return queries


def queries() -> dict[str, str]:
    """All of them, by where they stand."""
    rules = {rule.get("alert") or rule["record"]: rule["expr"] for group in groups() for rule in group["rules"]}
    return rules | dashboard_queries(json.loads(DASHBOARD.read_text()))


def selectors(query: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Each metric with its matchers: label, operator, value."""
    for name, matchers in re.findall(r"(?<![\w:])(plg_\w+)(?:\{([^}\"]*(?:\"[^\"]*\"[^}\"]*)*)\})?", query):
        yield name, re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers)


@QUERY_RULES.add
def metrics_exist(found: dict[str, str]) -> Iterator[str]:
    for where, query in found.items():
        yield from (f"{where}: there is no {name}" for name, _ in selectors(query) if name not in samples())


@QUERY_RULES.add
def labels_exist(found: dict[str, str]) -> Iterator[str]:
    known = ADDED_LABELS.union(*(family.labels for family in families()))
    for where, query in found.items():
        for name, matchers in selectors(query):
            labels = samples()[name].labels | ADDED_LABELS if name in samples() else known
            yield from (f"{where}: {name} has no label {key}" for key, _, _ in matchers if key not in labels)
        for grouped in re.findall(r"(?:by|on|ignoring|without)\s*\(([^)]*)\)", query):
            yield from (f"{where}: no label {key}" for key in re.findall(r"\w+", grouped) if key not in known)


@QUERY_RULES.add
def values_exist(found: dict[str, str]) -> Iterator[str]:
    for where, query in found.items():
        for name, matchers in selectors(query):
            family = samples().get(name)
            values = {"code": codes(), "route": source.routes(), "outcome": family.values if family else set()}
            values["state"] = values["outcome"]
            for label, operator, value in matchers:
                if operator in ("=", "!=") and value not in values.get(label, {value}):
                    yield f"{where}: {label} is never {value}"


@QUERY_RULES.add
def nobody_is_in_a_label(found: dict[str, str]) -> Iterator[str]:
    for family in families():
        yield from (f"{family.name}: {label}" for label in family.labels if TENANTS.search(label))
    for where, query in found.items():
        keys = {label for _, matchers in selectors(query) for label, _, _ in matchers}
        yield from (f"{where}: {label}" for label in keys if TENANTS.search(label))


def anchors(text: str) -> set[str]:
    """Of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@HANDBOOK_RULES.add
def alerts_are_explained(text: str) -> Iterator[str]:
    for name, rule in alert_rules(groups()).items():
        if rule["annotations"].get("runbook_url") != f"docs/OPERATIONS.md#{name.lower()}":
            yield f"{name}: its runbook is {rule['annotations'].get('runbook_url')}"
        if name.lower() not in anchors(text):
            yield f"{name}: not in the handbook"
        if not {"summary", "description"} <= rule["annotations"].keys():
            yield f"{name}: does not say what it means"
        if rule["labels"].get("severity") not in ("page", "ticket", "info"):
            yield f"{name}: nobody knows whom to tell"
    headings = re.findall(r"^### (Plg\w+)$", text, re.MULTILINE)
    yield from (f"there is no alert {name}" for name in headings if name not in alert_rules(groups()))


@HANDBOOK_RULES.add
def errors_are_explained(text: str) -> Iterator[str]:
    yield from (f"{code}: not in the handbook" for code in sorted(codes()) if f"| `{code}` |" not in text)


@HANDBOOK_RULES.add
def what_it_names_exists(text: str) -> Iterator[str]:
    known = samples().keys() | {family.name for family in families()}
    for name in re.findall(r"\bplg_(?:build|http|events|hotels|writer|database|draining|rollup)\w*", text):
        if name not in known:
            yield f"there is no metric {name}"
    for name in re.findall(r"\bPLG__\w+", text):
        if not source.knows_setting(name):
            yield f"there is no setting {name}"
    sections = {name.split("__")[1].lower() for name in source.settings()} - {"plans"}
    for section, key in re.findall(r"`(\w+)\.([\w.]+)`", text):
        name = f"PLG__{section}__{key}".upper().replace(".", "__")
        if section in sections and not any(known.startswith(name) for known in source.settings()):
            yield f"there is no setting {section}.{key}"
    for target in re.findall(r"\]\(([^)#:]+)", text):
        if not (HANDBOOK.parent / target).exists():
            yield f"{target} does not exist"
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        if anchor not in anchors(text):
            yield f"#{anchor} leads nowhere"
