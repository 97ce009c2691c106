"""docker-compose.yml keeps its rules, and each of them can fail. Nothing is started: there is no engine."""

import copy
from typing import Any

import pytest

from compose import COMPOSE_RULES, load
from rules import MISSING, Rule, ids, put

# Rule, where, what a careless edit makes of it (nothing: it is removed).
FAULTS: list[tuple[str, str, Any]] = [
    ("profiles_are_as_asked", "rollup-worker.profiles", MISSING),
    ("profiles_are_as_asked", "grafana.profiles", ["metrics"]),
    ("ports_are_on_loopback", "postgres.ports", ["5432:5432"]),
    ("ports_are_on_loopback", "ingest-api.ports.0", "0.0.0.0:8080:8080"),
    ("ports_are_on_loopback", "prometheus.ports", ["127.0.0.1:9090:9090"]),
    ("ports_are_on_loopback", "ingest-api.network_mode", "host"),
    ("ports_are_those_of_the_config", "ingest-api.ports.0", "127.0.0.1:8080:80"),
    ("ports_are_those_of_the_config", "ingest-api.environment.PLG__METRICS__PORT", "9100"),
    ("ports_are_those_of_the_config", "ingest-api.environment.PLG__SERVER__HOST", MISSING),
    ("images_are_pinned", "postgres.image", "postgres:17.6-bookworm"),
    ("images_are_pinned", "migrate.image", "plg:old"),
    ("images_are_pinned", "frontend.build.dockerfile", "examples/Dockerfile"),
    ("programs_are_locked_down", "ingest-api.read_only", MISSING),
    ("programs_are_locked_down", "migrate.cap_drop", []),
    ("programs_are_locked_down", "rollup-worker.security_opt", MISSING),
    ("programs_are_locked_down", "ingest-api.user", "root"),
    ("programs_exist", "rollup-worker.entrypoint", ["/usr/local/bin/rollup"]),
    ("programs_exist", "migrate.entrypoint.1", "upgrade"),
    ("environment_is_known", "ingest-api.environment.PLG__SERVER__PROT", "8080"),
    ("environment_is_known", "migrate.environment.DATABASE_URL", "postgres://plg:plg@127.0.0.1:5432/plg"),
    ("environment_is_known", "postgres.environment.POSTGRES_PASSWORD", "secret"),
    ("secrets_are_long_enough", "ingest-api.environment.PLG__ACCESS__SESSION_SECRET", "development"),
    ("secrets_are_long_enough", "ingest-api.environment.PLG__ACCESS__ROOT_KEY", "development-" * 4),
    ("order_is_database_schema_service", "ingest-api.depends_on", {"postgres": {"condition": "service_healthy"}}),
    ("order_is_database_schema_service", "migrate.depends_on.postgres.condition", "service_started"),
    ("order_is_database_schema_service", "grafana.depends_on", ["prometheus"]),
    ("health_is_asked_where_it_is", "migrate.healthcheck", MISSING),
    ("health_is_asked_where_it_is", "ingest-api.healthcheck", {"disable": True}),
    ("health_is_asked_where_it_is", "postgres.healthcheck.test", ["CMD-SHELL", "pg_isready"]),
    ("stop_is_longer_than_drain", "ingest-api.stop_grace_period", "25s"),
    ("stop_is_longer_than_drain", "ingest-api.stop_grace_period", MISSING),
    ("stop_is_longer_than_drain", "ingest-api.environment.PLG__SERVER__DRAIN_SECONDS", "60"),
    ("mounts_exist", "postgres.volumes.0", "pgdata:/var/lib/postgresql/data"),
    ("mounts_exist", "grafana.volumes.0", "./deploy/grafana/source.yml:/etc/x.yml:ro"),
    ("mounts_exist", "grafana.volumes.0", "./deploy/grafana/datasource.yml:/etc/x.yml"),
    ("dashboards_find_their_data", "prometheus.ports", ["127.0.0.1:9091:9091"]),
    ("dashboards_find_their_data", "grafana.volumes", []),
]


@pytest.mark.parametrize("rule", COMPOSE_RULES, ids=ids(COMPOSE_RULES))
def test_compose_keeps_rule(rule: Rule) -> None:
    assert list(rule(load())) == []


@pytest.mark.parametrize(("rule", "path", "value"), FAULTS)
def test_planted_fault_is_seen(rule: str, path: str, value: Any) -> None:
    # Merged services share what they were merged from; a fault is in one of them.
    project = load()
    project["services"] = {name: copy.deepcopy(body) for name, body in project["services"].items()}
    put(project["services"], path, value)
    assert list(COMPOSE_RULES.named(rule)(project))


def test_every_rule_is_tried() -> None:
    assert {rule for rule, _, _ in FAULTS} == set(ids(COMPOSE_RULES))
