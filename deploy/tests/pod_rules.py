"""What every pod has to be: locked down, with known settings, bounded, and probed where it answers."""

import re
from collections.abc import Iterator
from math import ceil

import source
from manifests import Docs, Pod, api, containers, environment, is_embedded, pods, setting
from rules import Rules

POD_RULES = Rules()
# The user of distroless' `nonroot`.
USER = 65532
# Time between the last answer and the process' end, in seconds: the lanes finish.
STOP_MARGIN_SECONDS = 5
# Variables that are not settings of ours.
OTHER_VARIABLES = {"DATABASE_URL", "SQLITE_TMPDIR"}


@POD_RULES.add
def runs_as_non_root(docs: Docs) -> Iterator[str]:
    for pod in pods(docs):
        context = pod.spec.get("securityContext", {})
        wanted = {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER}
        for key, value in wanted.items():
            if context.get(key) != value:
                yield f"{pod.owner}: {key} is {context.get(key)}"
        for body in pod.containers:
            for key in wanted.keys() & body.get("securityContext", {}).keys():
                yield f"{pod.owner} {body['name']}: overrides {key}"


@POD_RULES.add
def has_read_only_root(docs: Docs) -> Iterator[str]:
    for container in containers(docs):
        if container.body.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{container.name}: its root file system is writable"


@POD_RULES.add
def has_no_privileges(docs: Docs) -> Iterator[str]:
    for pod in pods(docs):
        for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
            if pod.spec.get(key):
                yield f"{pod.owner}: {key}"
        if any("hostPath" in volume for volume in pod.spec.get("volumes", [])):
            yield f"{pod.owner}: mounts the node's files"
    for container in containers(docs):
        context = container.body.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{container.name}: may gain privileges"
        if context.get("privileged"):
            yield f"{container.name}: is privileged"
        if context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{container.name}: keeps capabilities"


@POD_RULES.add
def has_seccomp(docs: Docs) -> Iterator[str]:
    for pod in pods(docs):
        if pod.spec.get("securityContext", {}).get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pod.owner}: no seccomp profile"
        for body in pod.containers:
            if "seccompProfile" in body.get("securityContext", {}):
                yield f"{pod.owner} {body['name']}: overrides the seccomp profile"


@POD_RULES.add
def has_no_service_account_token(docs: Docs) -> Iterator[str]:
    for pod in pods(docs):
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.owner}: gets a service-account token"
        if any("projected" in volume for volume in pod.spec.get("volumes", [])):
            yield f"{pod.owner}: mounts a projected volume, perhaps a token"


@POD_RULES.add
def writes_only_where_it_must(docs: Docs) -> Iterator[str]:
    """Nowhere; with SQLite, on the volume of the database."""
    for pod in pods(docs):
        volumes = pod.spec.get("volumes", [])
        if not is_embedded(docs):
            yield from (f"{pod.owner}: has a volume {volume['name']}" for volume in volumes)
            continue
        if not any("persistentVolumeClaim" in volume for volume in volumes):
            yield f"{pod.owner}: its database is on no persistent volume"
        if pod.spec["securityContext"].get("fsGroup") != USER:
            yield f"{pod.owner}: cannot write to its volume"
        yield from _mounts(docs, pod)


def _mounts(docs: Docs, pod: Pod) -> Iterator[str]:
    for body in pod.containers:
        url = environment(docs, body).get("DATABASE_URL") or ""
        file = url.removeprefix("sqlite://").split("?")[0]
        mounts = [m["mountPath"] for m in body.get("volumeMounts", []) if not m.get("readOnly")]
        if not any(file.startswith(mount + "/") for mount in mounts):
            yield f"{pod.owner}: {file} is not on a writable volume"


@POD_RULES.add
def probes_hit_routes(docs: Docs) -> Iterator[str]:
    body = api(docs).body
    ports = {port["name"]: port["containerPort"] for port in body.get("ports", [])}
    wanted = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for probe, path in wanted.items():
        request = body.get(probe, {}).get("httpGet", {})
        if request.get("path") != path or path not in source.routes():
            yield f"{probe}: asks {request.get('path')}"
        port = ports.get(request.get("port"), request.get("port"))
        if port != setting(docs, "PLG__SERVER__PORT", 8080):
            yield f"{probe}: asks at port {port}"


@POD_RULES.add
def environment_is_known(docs: Docs) -> Iterator[str]:
    for container in containers(docs):
        names = [entry["name"] for entry in container.body.get("env", [])]
        if len(names) != len(set(names)):
            yield f"{container.name}: a variable is set twice"
        for name, value in environment(docs, container.body).items():
            if name not in OTHER_VARIABLES and not source.knows_setting(name):
                yield f"{container.name}: nothing reads {name}"
            default = source.settings().get(name)
            if isinstance(default, int) and value is not None and not str(value).isdigit():
                yield f"{container.name}: {name} is no number: {value}"


@POD_RULES.add
def programs_exist(docs: Docs) -> Iterator[str]:
    for container in containers(docs):
        path = "".join(container.body.get("command", []))
        program = path.removeprefix(source.BINARIES + "/")
        if program not in source.PROGRAMS or program == path:
            yield f"{container.name}: the image has no program {path}"
            continue
        arguments = container.body.get("args", [])
        if not {argument.split("=")[0] for argument in arguments} <= source.words(program):
            yield f"{container.name}: {program} does not know {arguments}"


@POD_RULES.add
def stop_is_longer_than_drain(docs: Docs) -> Iterator[str]:
    grace = setting(docs, "PLG__SERVER__READY_GRACE_SECONDS", 0)
    needed = grace + setting(docs, "PLG__SERVER__DRAIN_SECONDS", 25) + STOP_MARGIN_SECONDS
    given = api(docs).pod.spec.get("terminationGracePeriodSeconds", 30)
    if given < needed:
        yield f"killed after {given} s, but needs {needed} s to stop"
    if grace == 0:
        yield "the listener closes before the cluster's proxies know"


_UNITS = {
    "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


def quantity(text: object) -> float | None:
    """A resource quantity, or `None` where Kubernetes would refuse it (or mean something else)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", str(text))
    return float(match[1]) * _UNITS[match[2]] if match and match[2] in _UNITS else None


# Below, a quantity has lost its unit; above, it has one too many.
SANE = {"cpu": (0.01, 64.0), "memory": (16e6, 64e9)}


# Of a connection that sends slowly (docs/BENCHMARKS.md, "Slow sockets"), and of everything else together.
CONNECTION_BYTES, BASE_BYTES = 60e3, 64e6


@POD_RULES.add
def connections_fit_the_memory(docs: Docs) -> Iterator[str]:
    limits = api(docs).body.get("resources", {}).get("limits", {})
    cores, memory = quantity(limits.get("cpu")), quantity(limits.get("memory"))
    threads = setting(docs, "PLG__SERVER__THREADS", 0) or ceil(cores or 1)
    connections = threads * setting(docs, "PLG__SERVER__CONNECTIONS", 10_000)
    needed = BASE_BYTES + connections * CONNECTION_BYTES
    if memory is None or memory < needed:
        yield f"{connections} connections may take {needed:.0f} bytes, and {memory} are there"


@POD_RULES.add
def is_bounded(docs: Docs) -> Iterator[str]:
    for container in containers(docs):
        resources = container.body.get("resources", {})
        for key, (least, most) in SANE.items():
            request = quantity(resources.get("requests", {}).get(key))
            limit = quantity(resources.get("limits", {}).get(key))
            if request is None or limit is None:
                yield f"{container.name}: {key} has no usable request and limit"
            elif not least <= request <= limit <= most:
                yield f"{container.name}: {key} {request} to {limit} makes no sense"


@POD_RULES.add
def images_agree(docs: Docs) -> Iterator[str]:
    images = {str(container.body.get("image")) for container in containers(docs)}
    if len(images) != 1:
        yield f"programs of different releases: {sorted(images)}"
    for image in images:
        if not re.search(r"(:\d+\.\d+\.\d+[\w.-]*|@sha256:[0-9a-f]{64})$", image):
            yield f"{image} names no release"
