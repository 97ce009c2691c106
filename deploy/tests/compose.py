"""docker-compose.yml as an engine would see it, and what it has to be."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import source
from rules import Rules

FILE = source.ROOT / "docker-compose.yml"
COMPOSE_RULES = Rules()
Project = dict[str, Any]
PROGRAMS = ("migrate", "ingest-api", "rollup-worker")
PROFILES = {
    None: {"postgres", "migrate", "ingest-api"},
    "rollup": {"rollup-worker"},
    "observability": {"prometheus", "grafana"},
    "frontend": {"frontend"},
}


def load(path: Path = FILE) -> Project:
    """With the defaults of its variables, and its merges done."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", path.read_text())
    project: Project = yaml.safe_load(text)
    assert "${" not in text, "a variable has no default: `docker compose up` alone would not do"
    return project


def programs(project: Project) -> dict[str, dict[str, Any]]:
    """The services that are ours."""
    return {name: project["services"][name] for name in PROGRAMS}


def seconds(duration: str) -> int:
    """Of a duration in plain seconds."""
    return int(duration.removesuffix("s"))


@COMPOSE_RULES.add
def profiles_are_as_asked(project: Project) -> Iterator[str]:
    found: dict[str | None, set[str]] = {}
    for name, body in project["services"].items():
        for profile in body.get("profiles", [None]):
            found.setdefault(profile, set()).add(name)
    if found != PROFILES:
        yield f"profiles are {found}"


@COMPOSE_RULES.add
def ports_are_on_loopback(project: Project) -> Iterator[str]:
    published = []
    for name, body in project["services"].items():
        for port in body.get("ports", []):
            host, outside, _ = ("::" + port).rsplit(":", 2)
            published.append(outside)
            if host.strip(":") != "127.0.0.1":
                yield f"{name}: {port} is open to the network"
        if body.get("network_mode"):
            yield f"{name}: is in the network of {body['network_mode']}"
    if len(published) != len(set(published)):
        yield f"two services want one port: {published}"


@COMPOSE_RULES.add
def ports_are_those_of_the_config(project: Project) -> Iterator[str]:
    body = project["services"]["ingest-api"]
    inside = [int(port.rsplit(":", 1)[1]) for port in body["ports"]]
    values = source.settings() | body["environment"]
    if inside != [int(values["PLG__SERVER__PORT"]), int(values["PLG__METRICS__PORT"])]:
        yield f"published are {inside}"
    for name in ("PLG__SERVER__HOST", "PLG__METRICS__HOST"):
        if values[name] != "0.0.0.0":
            yield f"{name} is {values[name]}: nobody gets there"


@COMPOSE_RULES.add
def images_are_pinned(project: Project) -> Iterator[str]:
    for name, body in project["services"].items():
        if "build" not in body and not re.fullmatch(
            r"[\w./-]+:v?\d+[\w.-]*@sha256:[0-9a-f]{64}", body["image"]
        ):
            yield f"{name}: {body['image']} is not pinned by tag and digest"
        if "build" in body and not (source.ROOT / body["build"]["dockerfile"]).is_file():
            yield f"{name}: there is no {body['build']['dockerfile']}"
    if len({str((body["image"], body["build"])) for body in programs(project).values()}) != 1:
        yield "our programs are of different images"


@COMPOSE_RULES.add
def programs_are_locked_down(project: Project) -> Iterator[str]:
    for name, body in programs(project).items():
        if body.get("read_only") is not True or body.get("cap_drop") != ["ALL"]:
            yield f"{name}: writable, or capable"
        if body.get("security_opt") != ["no-new-privileges:true"]:
            yield f"{name}: may gain privileges"
        if body.get("privileged") or "user" in body or body.get("volumes"):
            yield f"{name}: differs from what production runs"


@COMPOSE_RULES.add
def programs_exist(project: Project) -> Iterator[str]:
    for name, body in programs(project).items():
        path, *arguments = body["entrypoint"]
        program = path.removeprefix(source.BINARIES + "/")
        if program not in source.PROGRAMS or not set(arguments) <= source.words(program):
            yield f"{name}: there is no {body['entrypoint']}"


@COMPOSE_RULES.add
def environment_is_known(project: Project) -> Iterator[str]:
    postgres = project["services"]["postgres"]["environment"]
    user, password, database = (postgres[f"POSTGRES_{key}"] for key in ("USER", "PASSWORD", "DB"))
    for name, body in programs(project).items():
        for key in body["environment"].keys() - {"DATABASE_URL"}:
            if not source.knows_setting(key):
                yield f"{name}: nothing reads {key}"
        if body["environment"]["DATABASE_URL"] != f"postgres://{user}:{password}@postgres:5432/{database}":
            yield f"{name}: its database is not the one here"


@COMPOSE_RULES.add
def secrets_are_long_enough(project: Project) -> Iterator[str]:
    for key in ("PLG__ACCESS__ROOT_KEY", "PLG__ACCESS__SESSION_SECRET"):
        secret = project["services"]["ingest-api"]["environment"].get(key, "")
        if len(secret) < 32 or "development" not in secret:
            yield f"{key} is refused, or is a real one"
    if project["services"]["frontend"]["environment"]["PLG_SERVICE_KEY"] != (
        project["services"]["ingest-api"]["environment"]["PLG__ACCESS__ROOT_KEY"]
    ):
        yield "the frontend's key is not the service's"


@COMPOSE_RULES.add
def order_is_database_schema_service(project: Project) -> Iterator[str]:
    services = project["services"]
    wanted = {
        "migrate": ("postgres", "service_healthy"),
        "ingest-api": ("migrate", "service_completed_successfully"),
        "rollup-worker": ("migrate", "service_completed_successfully"),
        "frontend": ("ingest-api", "service_healthy"),
        "prometheus": ("ingest-api", "service_healthy"),
        "grafana": ("prometheus", "service_started"),
    }
    for name, (first, condition) in wanted.items():
        if services[name].get("depends_on") != {first: {"condition": condition}}:
            yield f"{name}: waits for {services[name].get('depends_on')}"


@COMPOSE_RULES.add
def health_is_asked_where_it_is(project: Project) -> Iterator[str]:
    """The image's check is the service's; the programs that end have none."""
    for name, body in programs(project).items():
        check = body.get("healthcheck")
        if check != (None if name == "ingest-api" else {"disable": True}):
            yield f"{name}: its health check is {check}"
    check = project["services"]["postgres"].get("healthcheck", {}).get("test", [""])
    if check[0] != "CMD" or "pg_isready" not in check or "127.0.0.1" not in check:
        yield f"postgres: its health check is {check}"


@COMPOSE_RULES.add
def stop_is_longer_than_drain(project: Project) -> Iterator[str]:
    body = project["services"]["ingest-api"]
    values = source.settings() | body["environment"]
    keys = ("PLG__SERVER__DRAIN_SECONDS", "PLG__SERVER__READY_GRACE_SECONDS")
    needed = sum(int(values[key]) for key in keys) + 5
    if seconds(body.get("stop_grace_period", "10s")) < needed:
        yield f"killed before {needed} s"


@COMPOSE_RULES.add
def mounts_exist(project: Project) -> Iterator[str]:
    """A file that is missing would be made, as a directory; a volume that is not declared is refused."""
    for name, body in project["services"].items():
        for mount in body.get("volumes", []):
            kind = mount["source"] if isinstance(mount, dict) else mount.split(":")[0]
            if not kind.startswith("."):
                if kind not in project["volumes"]:
                    yield f"{name}: no volume {kind}"
                continue
            path = (source.ROOT / kind).resolve()
            if not path.exists():
                yield f"{name}: {kind} does not exist"
            if path.is_file() and not mount.endswith(":ro"):
                yield f"{name}: may change {kind}"
    used = str([body.get("volumes") for body in project["services"].values()])
    yield from (f"nobody uses the volume {volume}" for volume in project["volumes"] if volume not in used)


@COMPOSE_RULES.add
def dashboards_find_their_data(project: Project) -> Iterator[str]:
    grafana = source.ROOT / "deploy/grafana"
    data = yaml.safe_load((grafana / "datasource.yml").read_text())["datasources"][0]
    name, port = data["url"].removeprefix("http://").split(":")
    ports = project["services"].get(name, {}).get("ports", [])
    if not any(published.endswith(f":{port}") for published in ports):
        yield f"{data['url']} is nobody's"
    provider = yaml.safe_load((grafana / "dashboards.yml").read_text())["providers"][0]
    mounts = project["services"]["grafana"]["volumes"]
    if not any(provider["options"]["path"] + "/" in mount for mount in mounts):
        yield f"no dashboard in {provider['options']['path']}"
