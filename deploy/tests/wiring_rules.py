"""Whether what names something else names something that is there, and what issue and design ask for."""

import re
from collections.abc import Iterator
from typing import Any

import source
from manifests import (
    SECRET,
    Doc,
    Docs,
    Pod,
    api,
    containers,
    environment,
    is_embedded,
    name_of,
    of_kind,
    pods,
    selects,
    setting,
)
from rules import Rules

WIRING_RULES = Rules()
CLUSTER_WIDE = {"Namespace"}
DAY_SECONDS = 86_400
# When each is due, and with what it is started.
CRON_JOBS = {
    "rollup-worker": ("0 2 * * *", ["--json"]),
    "rollup-worker-full": ("0 5 * * 0", ["--full", "--json"]),
    "rollup-worker-retain": ("30 21 2 * *", ["retain", "--months=13", "--gate-months=13", "--json"]),
}


def _cron_jobs(docs: Docs) -> dict[str, Doc]:
    return {doc["metadata"]["name"]: doc["spec"] for doc in of_kind(docs, "CronJob")}


@WIRING_RULES.add
def cron_jobs_are_as_asked(docs: Docs) -> Iterator[str]:
    jobs = _cron_jobs(docs)
    if jobs.keys() != CRON_JOBS.keys():
        yield f"the CronJobs are {sorted(jobs)}"
        return
    for name, (schedule, arguments) in CRON_JOBS.items():
        yield from (f"{name}: {wrong}" for wrong in _cron_job(jobs[name], schedule, arguments))


def _cron_job(spec: Doc, schedule: str, arguments: list[str]) -> Iterator[str]:
    job = spec["jobTemplate"]["spec"]
    exact = {"schedule": schedule, "timeZone": "Etc/UTC", "concurrencyPolicy": "Forbid"}
    for key, value in exact.items():
        if spec.get(key) != value:
            yield f"{key} is {spec.get(key)}"
    if spec.get("suspend"):
        yield "it is suspended"
    started = [body.get("args") for body in job["template"]["spec"]["containers"]]
    if started != [arguments]:
        yield f"it is started with {started}"
    bounds: list[tuple[Doc, str, int, int]] = [
        # Less than ten seconds, and the controller misses it.
        (spec, "startingDeadlineSeconds", 600, DAY_SECONDS - 1),
        (spec, "successfulJobsHistoryLimit", 1, 10),
        (spec, "failedJobsHistoryLimit", 1, 10),
        # It has to be over before the next one is due.
        (job, "activeDeadlineSeconds", 600, DAY_SECONDS - 1),
        (job, "backoffLimit", 1, 6),
        # Longer than until somebody looks.
        (job, "ttlSecondsAfterFinished", DAY_SECONDS, 7 * DAY_SECONDS),
    ]
    for where, key, least, most in bounds:
        value = where.get(key)
        if not isinstance(value, int) or not least <= value <= most:
            yield f"{key} is {value}, not {least} to {most}"
    if job["template"]["spec"].get("restartPolicy") != "Never":
        yield "a failed attempt would leave no pod to read its log from"


@WIRING_RULES.add
def selectors_match_labels(docs: Docs) -> Iterator[str]:
    everything = list(pods(docs))
    for owner, selector in _selectors(docs):
        if not selector or not any(selects(selector, pod.labels) for pod in everything):
            yield f"{owner}: selects no pod: {selector}"
    for doc in of_kind(docs, "Deployment"):
        if not selects(doc["spec"]["selector"], doc["spec"]["template"]["metadata"]["labels"]):
            yield f"{name_of(doc)}: does not select its own pods"
    services = of_kind(docs, "Service")
    for doc in of_kind(docs, "ServiceMonitor"):
        if not any(selects(doc["spec"]["selector"], s["metadata"]["labels"]) for s in services):
            yield f"{name_of(doc)}: selects no Service"


def _selectors(docs: Docs) -> Iterator[tuple[str, Doc]]:
    for doc in docs:
        match doc["kind"]:
            case "Service":
                yield name_of(doc), {"matchLabels": doc["spec"]["selector"]}
            case "PodDisruptionBudget":
                yield name_of(doc), doc["spec"]["selector"]
            case "NetworkPolicy":
                yield name_of(doc), doc["spec"]["podSelector"]
    for pod in pods(docs):
        for constraint in pod.spec.get("topologySpreadConstraints", []):
            yield pod.owner, constraint["labelSelector"]
        for term in pod.spec.get("affinity", {}).get("podAffinity", {}).get(
            "requiredDuringSchedulingIgnoredDuringExecution", []
        ):
            yield pod.owner, term["labelSelector"]


def _ports(pod: Pod) -> dict[object, int]:
    ports = [port for body in pod.containers for port in body.get("ports", [])]
    by_name: dict[object, int] = {port["name"]: port["containerPort"] for port in ports}
    return by_name | {port["containerPort"]: port["containerPort"] for port in ports}


@WIRING_RULES.add
def ports_agree(docs: Docs) -> Iterator[str]:
    """Config, container, Service, NetworkPolicy and ServiceMonitor mean the same ones."""
    wanted = {"http": "PLG__SERVER", "metrics": "PLG__METRICS"}
    container = api(docs)
    values = environment(docs, container.body)
    for name, prefix in wanted.items():
        configured = setting(docs, f"{prefix}__PORT", 0)
        if _ports(container.pod).get(name) != configured:
            yield f"the port {name} is not {prefix}__PORT, {configured}"
        if values.get(f"{prefix}__HOST") not in ("0.0.0.0", "::"):
            yield f"{prefix}__HOST listens where nobody else gets"
    for doc in of_kind(docs, "Service"):
        targets = [p for p in pods(docs) if selects({"matchLabels": doc["spec"]["selector"]}, p.labels)]
        for port in doc["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            if any(_ports(pod).get(target) != setting(docs, f"{wanted.get(port['name'])}__PORT", 0)
                   for pod in targets):
                yield f"{name_of(doc)}: {port['name']} leads to {target}"
    for doc in of_kind(docs, "NetworkPolicy"):
        targets = [p for p in pods(docs) if selects(doc["spec"]["podSelector"], p.labels)]
        for entry in doc["spec"].get("ingress", []):
            if any(port["port"] not in _ports(pod) for port in entry.get("ports", []) for pod in targets):
                yield f"{name_of(doc)}: lets callers to a port that is none"
    names = {port["name"] for doc in of_kind(docs, "Service") for port in doc["spec"]["ports"]}
    for doc in of_kind(docs, "ServiceMonitor"):
        for endpoint in doc["spec"]["endpoints"]:
            if endpoint["port"] != "metrics" or endpoint["port"] not in names:
                yield f"{name_of(doc)}: scrapes the port {endpoint['port']}"
            if endpoint["path"] not in source.routes() or endpoint["path"] != "/metrics":
                yield f"{name_of(doc)}: scrapes {endpoint['path']}"


@WIRING_RULES.add
def references_resolve(docs: Docs) -> Iterator[str]:
    here = {(doc["kind"], doc["metadata"]["name"]) for doc in docs}
    maps = {doc["metadata"]["name"]: doc.get("data", {}) for doc in of_kind(docs, "ConfigMap")}
    secrets = {SECRET["metadata"]["name"]: SECRET["stringData"]}
    for container in containers(docs):
        for entry in container.body.get("envFrom", []):
            if entry.get("configMapRef", {}).get("name") not in maps:
                yield f"{container.name}: no such ConfigMap: {entry}"
        for entry in container.body.get("env", []):
            given = entry.get("valueFrom", {})
            for kind, known in (("secretKeyRef", secrets), ("configMapKeyRef", maps)):
                ref = given.get(kind)
                if ref and ref.get("key") not in known.get(ref.get("name"), {}):
                    yield f"{container.name}: {entry['name']} refers to nothing: {ref}"
        volumes = {volume["name"] for volume in container.pod.spec.get("volumes", [])}
        for mount in container.body.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"{container.name}: no such volume: {mount['name']}"
    for pod in pods(docs):
        for volume in pod.spec.get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and ("PersistentVolumeClaim", claim) not in here:
                yield f"{pod.owner}: no such claim: {claim}"


@WIRING_RULES.add
def secrets_are_only_named(docs: Docs) -> Iterator[str]:
    """None is rendered, and none is a plain value. Those that are needed are not optional."""
    yield from (f"{name_of(doc)} is rendered" for doc in of_kind(docs, "Secret"))
    for container in containers(docs):
        for name, value in environment(docs, container.body).items():
            secret = re.search(r"(KEY|SECRET|PASSWORD|TOKEN)$", name)
            if value is not None and (secret or re.search(r"://[^/@]*:[^/@]*@", value)):
                yield f"{container.name}: {name} is in sight"
        for entry in container.body.get("env", []):
            optional = entry.get("valueFrom", {}).get("secretKeyRef", {}).get("optional")
            if optional and entry["name"] in ("DATABASE_URL", "PLG__ACCESS__SESSION_SECRET"):
                yield f"{container.name}: starts without {entry['name']}"
    for name in ("DATABASE_URL", "PLG__ACCESS__SESSION_SECRET"):
        if name not in environment(docs, api(docs).body):
            yield f"ingest-api: has no {name}"


@WIRING_RULES.add
def replicas_are_looked_after(docs: Docs) -> Iterator[str]:
    """Whatever scales or guards replicas means a Deployment that is there, and they stay apart."""
    deployments = {doc["metadata"]["name"]: doc["spec"] for doc in of_kind(docs, "Deployment")}
    for doc in of_kind(docs, "HorizontalPodAutoscaler"):
        target = doc["spec"]["scaleTargetRef"]
        if (target["apiVersion"], target["kind"]) != ("apps/v1", "Deployment"):
            yield f"{name_of(doc)}: scales a {target['kind']}"
        spec = deployments.get(target["name"])
        if spec is None:
            yield f"{name_of(doc)}: there is no {target['name']}"
            continue
        if "replicas" in spec:
            yield f"{name_of(doc)}: each `apply` would undo what it did"
        if not 2 <= doc["spec"]["minReplicas"] < doc["spec"]["maxReplicas"]:
            yield f"{name_of(doc)}: has no room, or leaves a single replica"
        keys = {c["topologyKey"] for c in
                spec["template"]["spec"].get("topologySpreadConstraints", [])}
        if keys != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
            yield f"{target['name']}: its replicas may share a node or zone"
        if not of_kind(docs, "PodDisruptionBudget"):
            yield f"{target['name']}: all replicas may be evicted at once"
    for doc in of_kind(docs, "PodDisruptionBudget"):
        if doc["spec"].get("maxUnavailable") != 1 or "minAvailable" in doc["spec"]:
            yield f"{name_of(doc)}: evicts none or all"


def _steps(docs: Docs) -> list[str]:
    return [str(body.get("args")) for pod in pods(docs) if pod.owner == "Job/migrate"
            for body in pod.containers]


@WIRING_RULES.add
def rollout_waits_for_schema(docs: Docs) -> Iterator[str]:
    """PostgreSQL: a Job, and no old pod goes before a new one is ready. SQLite: one process at a time."""
    spec = next(iter(of_kind(docs, "Deployment")))["spec"]
    strategy = spec.get("strategy", {})
    if is_embedded(docs):
        if strategy != {"type": "Recreate"} or spec.get("replicas") != 1:
            yield "two processes would serve one SQLite file"
        if of_kind(docs, "HorizontalPodAutoscaler", "Job"):
            yield "an embedded database is neither scaled nor migrated from outside"
        for pod in pods(docs):
            if pod.owner.startswith("CronJob/") and not pod.spec.get("affinity", {}).get("podAffinity"):
                yield f"{pod.owner}: may start on another node than the database's"
        return
    rolling: dict[str, Any] = strategy.get("rollingUpdate", {})
    if strategy.get("type") != "RollingUpdate" or rolling.get("maxUnavailable") != 0:
        yield "a rollout takes pods away before new ones are ready"
    steps = _steps(docs)
    if steps[:1] != ["['up']"]:
        yield f"the migrate Job does not begin with `migrate up`: {steps}"


@WIRING_RULES.add
def distributed_means_one_hotel_each(docs: Docs) -> Iterator[str]:
    is_distributed = "['distribute']" in _steps(docs)
    hotels = setting(docs, "PLG__WRITER__HOTELS_PER_TRANSACTION", 0)
    if is_distributed != (hotels == 1):
        yield f"distributed: {is_distributed}, hotels per transaction: {hotels}"


@WIRING_RULES.add
def network_is_closed(docs: Docs) -> Iterator[str]:
    policies = of_kind(docs, "NetworkPolicy")
    for pod in pods(docs):
        mine = [doc["spec"] for doc in policies if selects(doc["spec"]["podSelector"], pod.labels)]
        closed = {kind for spec in mine for kind in spec.get("policyTypes", [])}
        if closed != {"Ingress", "Egress"}:
            yield f"{pod.owner}: open to or for everybody"
        ingress = [entry for spec in mine for entry in spec.get("ingress", [])]
        if any(not entry.get("from") or not entry.get("ports") for entry in ingress):
            yield f"{pod.owner}: anybody may call, or any port"
        if ingress and pod.owner != "Deployment/ingest-api":
            yield f"{pod.owner}: nobody calls it, but could"
        egress = {port["port"] for spec in mine for entry in spec.get("egress", [])
                  for port in entry.get("ports", [{"port": "any"}])}
        if egress != (set() if is_embedded(docs) else {53, 5432, 6432}):
            yield f"{pod.owner}: reaches {egress}"


@WIRING_RULES.add
def namespace_is_one_and_restricted(docs: Docs) -> Iterator[str]:
    names = {doc["metadata"].get("namespace") for doc in docs if doc["kind"] not in CLUSTER_WIDE}
    spaces = of_kind(docs, "Namespace")
    if names != {space["metadata"]["name"] for space in spaces}:
        yield f"what is here is in {names}"
    for space in spaces:
        labels = space["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{name_of(space)}: admits any pod"
