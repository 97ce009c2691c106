"""Faults to plant in rendered manifests. Each has to be seen by the rule that it names."""

import copy
from dataclasses import dataclass
from typing import Any

from manifests import Doc, Docs, name_of
from rules import MISSING, put

API, WORKER, MIGRATE = "Deployment/ingest-api", "CronJob/rollup-worker", "Job/migrate"
RECOUNT, RETENTION = f"{WORKER}-full", f"{WORKER}-retain"
CONFIG, SERVICE, SCALER = "ConfigMap/plg-config", "Service/ingest-api", "HorizontalPodAutoscaler/ingest-api"
BUDGET, POLICY, DATABASE = "PodDisruptionBudget/ingest-api", "NetworkPolicy/ingest-api", "NetworkPolicy/database"
POD = "spec.template.spec"
BOX = f"{POD}.containers.0"
CRON_JOB = "spec.jobTemplate.spec"
CRON_POD = f"spec.jobTemplate.{POD}"
CRON_BOX = f"{CRON_POD}.containers.0"


@dataclass(frozen=True)
class Fault:
    """What is changed, and which rule has to see it. Without a value something is removed."""

    rule: str
    where: str
    path: str
    value: Any = MISSING
    overlay: str = "production"

    def __str__(self) -> str:
        value = "removed" if self.value is MISSING else self.value
        return f"{self.rule}:{self.where}.{self.path.split('spec.')[-1]}={value}"

    def planted(self, docs: Docs) -> Docs:
        """A copy with the fault."""
        faulty = copy.deepcopy(docs)
        put(find(faulty, self.where), self.path, self.value)
        return faulty


def find(docs: Docs, where: str) -> Doc:
    """The one of this kind and name, whatever hash a generator has added to it; not one whose name goes on."""
    return min((doc for doc in docs if name_of(doc).startswith(where)), key=lambda doc: len(name_of(doc)))


# Of every CronJob.
CRON_FAULTS = [
    ("spec.schedule", "0 3 * * *"),
    ("spec.timeZone", MISSING),
    ("spec.concurrencyPolicy", "Allow"),
    ("spec.startingDeadlineSeconds", MISSING),
    ("spec.successfulJobsHistoryLimit", MISSING),
    ("spec.failedJobsHistoryLimit", 0),
    ("spec.suspend", True),
    (f"{CRON_JOB}.activeDeadlineSeconds", MISSING),
    (f"{CRON_JOB}.backoffLimit", MISSING),
    (f"{CRON_JOB}.ttlSecondsAfterFinished", MISSING),
    (f"{CRON_POD}.restartPolicy", "OnFailure"),
    (f"{CRON_BOX}.args", ["--dry-run", "--json"]),
    ("metadata.name", "rollup-worker-2"),
]

FAULTS = [
    Fault("runs_as_non_root", API, f"{POD}.securityContext.runAsNonRoot"),
    Fault("runs_as_non_root", WORKER, f"{CRON_POD}.securityContext.runAsUser", 0),
    Fault("runs_as_non_root", MIGRATE, f"{BOX}.securityContext.runAsUser", 0),
    Fault("has_read_only_root", API, f"{BOX}.securityContext.readOnlyRootFilesystem"),
    Fault("has_read_only_root", MIGRATE, f"{POD}.initContainers.0.securityContext", {}, "citus"),
    Fault("has_no_privileges", API, f"{BOX}.securityContext.allowPrivilegeEscalation"),
    Fault("has_no_privileges", API, f"{BOX}.securityContext.privileged", True),
    Fault("has_no_privileges", WORKER, f"{CRON_BOX}.securityContext.capabilities.add", ["NET_ADMIN"]),
    Fault("has_no_privileges", API, f"{POD}.hostNetwork", True),
    Fault("has_no_privileges", API, f"{POD}.volumes", [{"name": "v", "hostPath": {"path": "/"}}]),
    Fault("has_seccomp", WORKER, f"{CRON_POD}.securityContext.seccompProfile.type", "Unconfined"),
    Fault("has_seccomp", API, f"{BOX}.securityContext.seccompProfile", {"type": "Unconfined"}),
    Fault("has_no_service_account_token", API, f"{POD}.automountServiceAccountToken"),
    Fault("has_no_service_account_token", WORKER, f"{CRON_POD}.volumes", [{"name": "v", "projected": {}}]),
    Fault("writes_only_where_it_must", WORKER, f"{CRON_POD}.volumes", [{"name": "v", "emptyDir": {}}]),
    Fault("writes_only_where_it_must", API, f"{POD}.securityContext.fsGroup", overlay="sqlite-single"),
    Fault("writes_only_where_it_must", API, f"{BOX}.volumeMounts.0.mountPath", "/db", "sqlite-single"),
    Fault("writes_only_where_it_must", API, f"{POD}.volumes.0", {"name": "data", "emptyDir": {}}, "sqlite-single"),
    Fault("probes_hit_routes", API, f"{BOX}.readinessProbe.httpGet.path", "/healthz"),
    Fault("probes_hit_routes", API, f"{BOX}.livenessProbe.httpGet.path", "/readyz"),
    Fault("probes_hit_routes", API, f"{BOX}.livenessProbe.httpGet.port", "metrics"),
    Fault("probes_hit_routes", API, f"{BOX}.startupProbe"),
    Fault("environment_is_known", CONFIG, "data.PLG__WRITER__LANE", "2"),
    Fault("environment_is_known", CONFIG, "data.PLG_WRITER_LANES", "2"),
    Fault("environment_is_known", CONFIG, "data.PLG__PLANS__GOLD__IMPORT", "2"),
    Fault("environment_is_known", CONFIG, "data.PLG__WRITER__LANES", "two"),
    Fault("environment_is_known", API, f"{BOX}.env.0.name", "DATABASE_URI"),
    Fault("environment_is_known", API, f"{BOX}.env.-", {"name": "DATABASE_URL", "value": "x"}),
    Fault("programs_exist", WORKER, f"{CRON_BOX}.command", ["/usr/local/bin/rollup"]),
    Fault("programs_exist", WORKER, f"{CRON_BOX}.command", ["rollup-worker"]),
    Fault("programs_exist", WORKER, f"{CRON_BOX}.args", ["--jsonl"]),
    Fault("programs_exist", RETENTION, f"{CRON_BOX}.args", ["retain", "--keep-months=13"]),
    Fault("programs_exist", MIGRATE, f"{BOX}.args", ["upp"]),
    Fault("stop_is_longer_than_drain", API, f"{POD}.terminationGracePeriodSeconds", 35),
    Fault("stop_is_longer_than_drain", API, f"{POD}.terminationGracePeriodSeconds"),
    Fault("stop_is_longer_than_drain", CONFIG, "data.PLG__SERVER__DRAIN_SECONDS", "60"),
    Fault("stop_is_longer_than_drain", CONFIG, "data.PLG__SERVER__READY_GRACE_SECONDS", "0"),
    Fault("connections_fit_the_memory", CONFIG, "data.PLG__SERVER__CONNECTIONS"),
    Fault("connections_fit_the_memory", CONFIG, "data.PLG__SERVER__THREADS", "4"),
    Fault("connections_fit_the_memory", API, f"{BOX}.resources.limits.memory", "384Mi"),
    Fault("is_bounded", API, f"{BOX}.resources.limits.memory", "512MB"),
    Fault("is_bounded", API, f"{BOX}.resources.limits.memory", "512"),
    Fault("is_bounded", API, f"{BOX}.resources.requests.memory", "1Gi"),
    Fault("is_bounded", WORKER, f"{CRON_BOX}.resources.limits"),
    Fault("is_bounded", MIGRATE, f"{BOX}.resources.requests.cpu"),
    Fault("images_agree", WORKER, f"{CRON_BOX}.image", "ghcr.io/OWNER/plg:0.0.9"),
    Fault("images_agree", MIGRATE, f"{BOX}.image", "plg"),
    *(Fault("cron_jobs_are_as_asked", job, path, value)
      for job in (WORKER, RECOUNT, RETENTION) for path, value in CRON_FAULTS),
    Fault("selectors_match_labels", SERVICE, "spec.selector.app~kubernetes~io/name", "ingest"),
    Fault("selectors_match_labels", BUDGET, "spec.selector.matchLabels.app~kubernetes~io/name", "api"),
    Fault("selectors_match_labels", POLICY, "spec.podSelector.matchLabels.tier", "web"),
    Fault("selectors_match_labels", POLICY, "spec.podSelector", {}),
    Fault("selectors_match_labels", API, "spec.selector.matchLabels.tier", "web"),
    Fault("selectors_match_labels", API, f"{POD}.topologySpreadConstraints.0.labelSelector.matchLabels", {"a": "b"}),
    Fault("selectors_match_labels", "ServiceMonitor/", "spec.selector.matchLabels", {"a": "b"}, "production-monitored"),
    Fault("ports_agree", CONFIG, "data.PLG__SERVER__PORT", "8081"),
    Fault("ports_agree", CONFIG, "data.PLG__METRICS__HOST", "127.0.0.1"),
    Fault("ports_agree", API, f"{BOX}.ports.1.containerPort", 9091),
    Fault("ports_agree", SERVICE, "spec.ports.0.targetPort", "web"),
    Fault("ports_agree", SERVICE, "spec.ports.0.targetPort", 9090),
    Fault("ports_agree", POLICY, "spec.ingress.0.ports.0.port", "web"),
    Fault("ports_agree", "ServiceMonitor/", "spec.endpoints.0.port", "http", "production-monitored"),
    Fault("ports_agree", "ServiceMonitor/", "spec.endpoints.0.path", "/metric", "production-monitored"),
    Fault("references_resolve", API, f"{BOX}.envFrom.0.configMapRef.name", "plg-config"),
    Fault("references_resolve", API, f"{BOX}.env.0.valueFrom.secretKeyRef.key", "DATABASE_URL"),
    Fault("references_resolve", MIGRATE, f"{BOX}.env.0.valueFrom.secretKeyRef.name", "plg-secret"),
    Fault("references_resolve", API, f"{POD}.volumes.0.name", "disk", "sqlite-single"),
    Fault("references_resolve", "PersistentVolumeClaim/", "metadata.name", "disk", "sqlite-single"),
    Fault("secrets_are_only_named", CONFIG, "data.PLG__ACCESS__ROOT_KEY", "a" * 32),
    Fault("secrets_are_only_named", MIGRATE, f"{BOX}.env.0", {"name": "DATABASE_URL", "value": "postgres://u:p@h/d"}),
    Fault("secrets_are_only_named", API, f"{BOX}.env.1.valueFrom.secretKeyRef.optional", True),
    Fault("secrets_are_only_named", API, f"{BOX}.env.1"),
    Fault("secrets_are_only_named", CONFIG, "kind", "Secret"),
    Fault("replicas_are_looked_after", SCALER, "spec.scaleTargetRef.name", "ingest"),
    Fault("replicas_are_looked_after", SCALER, "spec.scaleTargetRef.kind", "StatefulSet"),
    Fault("replicas_are_looked_after", SCALER, "spec.minReplicas", 1),
    Fault("replicas_are_looked_after", SCALER, "spec.maxReplicas", 2),
    Fault("replicas_are_looked_after", API, "spec.replicas", 2),
    Fault("replicas_are_looked_after", API, f"{POD}.topologySpreadConstraints.1"),
    Fault("replicas_are_looked_after", BUDGET, "spec.maxUnavailable", 0),
    Fault("replicas_are_looked_after", BUDGET, "kind", "Budget"),
    Fault("rollout_waits_for_schema", API, "spec.strategy.rollingUpdate.maxUnavailable", 1),
    Fault("rollout_waits_for_schema", API, "spec.strategy.type", "Recreate"),
    Fault("rollout_waits_for_schema", MIGRATE, f"{BOX}.args", ["status"]),
    Fault("rollout_waits_for_schema", MIGRATE, "metadata.name", "schema"),
    Fault("rollout_waits_for_schema", API, "spec.replicas", 2, "sqlite-single"),
    Fault("rollout_waits_for_schema", API, "spec.strategy.type", "RollingUpdate", "sqlite-single"),
    Fault("rollout_waits_for_schema", WORKER, f"{CRON_POD}.affinity", overlay="sqlite-single"),
    Fault("rollout_waits_for_schema", RETENTION, f"{CRON_POD}.affinity", overlay="sqlite-single"),
    Fault("distributed_means_one_hotel_each", CONFIG, "data.PLG__WRITER__HOTELS_PER_TRANSACTION", "0", "citus"),
    Fault("distributed_means_one_hotel_each", MIGRATE, f"{BOX}.args", ["up"], "citus"),
    Fault("network_is_closed", POLICY, "spec.ingress.0.from"),
    Fault("network_is_closed", POLICY, "spec.ingress.0.ports"),
    Fault("network_is_closed", DATABASE, "spec.policyTypes", ["Ingress"]),
    Fault("network_is_closed", DATABASE, "spec.egress.0.ports.0.port", 5433),
    Fault("network_is_closed", DATABASE, "spec.egress.-", {}),
    Fault("network_is_closed", DATABASE, "spec.ingress", [{"from": [{}], "ports": [{"port": 1}]}]),
    Fault("network_is_closed", RECOUNT, f"{CRON_JOB}.template.metadata.labels.app~kubernetes~io/name", "recount"),
    Fault("network_is_closed", "NetworkPolicy/rollup-worker", "kind", "Policy", "sqlite-single"),
    Fault("namespace_is_one_and_restricted", WORKER, "metadata.namespace", "default"),
    Fault("namespace_is_one_and_restricted", "Namespace/", "metadata.labels.pod-security~kubernetes~io/enforce", "baseline"),
]
