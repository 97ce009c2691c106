"""Dashboard, alerts and handbook name what exists, and the alerts fire when they should."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from render_alerts import ALERTS
from rules import Rule, ids
from telemetry import (
    DASHBOARD,
    HANDBOOK,
    HANDBOOK_RULES,
    QUERY_RULES,
    alert_rules,
    dashboard_queries,
    families,
    groups,
    queries,
)
from test_validators import promtool

ALERT_TESTS = sorted(ALERTS.parent.glob("alerts*.test.yml"))

# Rule, a query that breaks it.
QUERY_FAULTS = [
    ("metrics_exist", "rate(plg_event_total[5m])"),
    ("metrics_exist", "plg_events"),
    ("metrics_exist", "sum(plg_draining_total)"),
    ("labels_exist", 'plg_events_total{type="x"}'),
    ("labels_exist", "sum by (lanes) (plg_writer_queued_events)"),
    ("values_exist", 'plg_http_requests_total{code="overload"}'),
    ("values_exist", 'plg_events_total{event_type="x", outcome="refused"}'),
    ("values_exist", 'plg_http_requests_total{route="/ready"}'),
    ("values_exist", 'plg_database_connections{state="busy"}'),
    ("nobody_is_in_a_label", 'plg_events_total{hotel_id="x"}'),
]

# Rule, what of the handbook a careless edit takes away or changes.
HANDBOOK_FAULTS = [
    ("alerts_are_explained", "### PlgDown\n", "### Down\n"),
    ("alerts_are_explained", "### PlgDown\n", "### PlgDown\n### PlgGone\n"),
    ("errors_are_explained", "| `overloaded` |", "| `overload` |"),
    ("what_it_names_exists", "# ", "# plg_events_seen "),
    ("what_it_names_exists", "# ", "# PLG__SERVER__PROT "),
    ("what_it_names_exists", "# ", "# `server.prot` "),
    ("what_it_names_exists", "# ", "# [x](NOWHERE.md) "),
    ("what_it_names_exists", "# ", "# [x](#nowhere) "),
]

# A test of the alerts, and what a careless edit makes of the rule that it is about.
ALERT_FAULTS = [
    ("nothing fires while all is well", "14.4 * 0.001", "0.00001"),
    ("all replicas are down", "for: 3m", "for: 8m"),
    ("one of two replicas is down", "== 0\n        for: 10m", "== 1\n        for: 10m"),
    ("no replica is ready", 'status="200"}[1m', 'status="503"}[1m'),
    ("one deployment of two is down, and not ready before; the other is well", "sum by (namespace) (up", "sum (up"),
    ("the database of all replicas is away", "/v1/.*|/readyz", "/v1/.*"),
    ("one of two lanes is dead", "lanes_alive > 0", "lanes_alive > 1"),
    ("a COMMIT is lost", "(plg_writer_batches_total{outcome=\"unknown\"} unless", "(plg_writer_batches{outcome=\"unknown\"} unless"),
    ("a COMMIT is lost", "offset 15m", "offset 45m"),
    ("slow reads and one slow write are not slow writes", 'method=~"POST|PUT|DELETE"', 'method=~".*"'),
    ("a queue fills", "> 0.5 *", "> 1.0 *"),
    ("the reconciliation has never run", "for: 26h", "for: 20h"),
    ("the reconciliation has stopped, though a replica has just started and knows of none yet",
     "time() - max by", "time() - min by"),
    ("counters had drifted, and events are gone, until the next run", "drifted) > 0", "drifted) > 3"),
    ("events are given up, and others are gone then", "min by (namespace) (min_over", "min (min_over"),
    ("events are given up, and a replica has just started and knows of none yet",
     "timestamp_seconds > 0)[", "timestamp_seconds >= 0)["),
    ("the retention fails, a recount does not, and of the nightly run the database tells",
     "-(full|retain)-.*", ".*"),
    ("a plan is lost from the configuration", "plan) > 0\n        for: 15m", "plan) > 0\n        for: 5m"),
    ("expired tokens and a few refusals are usual", "> 0.2", "> 0.1"),
]  # fmt: skip


def as_rules(found: dict[str, str]) -> str:
    """Promtool checks rules, and thereby expressions."""
    rules = [{"record": f"plg:query:{number}", "expr": query} for number, query in enumerate(found.values())]
    return yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]})


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def test_dashboard_queries_parse(tmp_path: Path) -> None:
    (tmp_path / "queries.yml").write_text(as_rules(dashboard_queries(dashboard())))
    done = promtool("check", "rules", tmp_path / "queries.yml")
    assert done.returncode == 0, done.stderr


def test_dashboard_query_fault_is_seen(tmp_path: Path) -> None:
    (tmp_path / "queries.yml").write_text(as_rules({"": "sum(rate(plg_events_total[5m])"}))
    assert promtool("check", "rules", tmp_path / "queries.yml").returncode != 0


def test_dashboard_can_be_read() -> None:
    """Every panel says in which unit, of which data source, and of which instances."""
    found = dashboard()
    assert [variable["name"] for variable in found["templating"]["list"]] == ["datasource", "instance"]
    panels = [panel for panel in found["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        for target in panel["targets"]:
            metrics = re.findall(r"\b(?:plg_\w+|up)\{", target["expr"])
            assert metrics, panel["title"]
            assert target["expr"].count('instance=~"$instance"') == len(metrics), f"{panel['title']}: of all instances"


@pytest.mark.parametrize("rule", QUERY_RULES, ids=ids(QUERY_RULES))
def test_queries_keep_rule(rule: Rule) -> None:
    assert len(families()) > 10
    assert list(rule(queries())) == []


@pytest.mark.parametrize(("rule", "query"), QUERY_FAULTS)
def test_query_fault_is_seen(rule: str, query: str) -> None:
    assert list(QUERY_RULES.named(rule)({"planted": query}))


@pytest.mark.parametrize("rule", HANDBOOK_RULES, ids=ids(HANDBOOK_RULES))
def test_handbook_keeps_rule(rule: Rule) -> None:
    assert list(rule(HANDBOOK.read_text())) == []


@pytest.mark.parametrize(("rule", "text", "fault"), HANDBOOK_FAULTS)
def test_handbook_fault_is_seen(rule: str, text: str, fault: str) -> None:
    changed = HANDBOOK.read_text().replace(text, fault, 1)
    assert list(HANDBOOK_RULES.named(rule)(changed))


@pytest.mark.parametrize("file", ALERT_TESTS, ids=[file.name for file in ALERT_TESTS])
def test_alerts_fire_when_they_should(file: Path) -> None:
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire() -> None:
    expected = "".join(str(test) for file in ALERT_TESTS for test in yaml.safe_load(file.read_text())["tests"])
    assert [name for name in alert_rules(groups()) if f"'{{alertname=\"{name}\"" not in expected] == []


@pytest.mark.parametrize(("name", "text", "fault"), ALERT_FAULTS)
def test_alert_fault_is_seen(tmp_path: Path, name: str, text: str, fault: str) -> None:
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text().replace(text, fault))
    suites = [yaml.safe_load(file.read_text()) for file in ALERT_TESTS]
    (suite,) = (suite for suite in suites if any(test["name"] == name for test in suite["tests"]))
    suite["tests"] = [test for test in suite["tests"] if test["name"] == name]
    (tmp_path / "alerts.test.yml").write_text(yaml.safe_dump(suite))
    assert text in ALERTS.read_text()
    assert promtool("test", "rules", tmp_path / "alerts.test.yml").returncode != 0
