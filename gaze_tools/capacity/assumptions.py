"""Every number that the capacity plan assumes, with its source."""

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Origin:
    """Meaning and source of an assumption.

    Attributes:
        meaning: Quantity, with its unit.
        source: Where the value comes from.
        command: Command that measures or shows it.
    """

    meaning: str
    source: str
    command: str


_MEASURE = "gaze capacity measure"
_MANIFEST = "k8s-hpa/base, knative/base"
_SHOW_MANIFEST = "kubectl kustomize k8s-hpa/base"


def _assume(default: float, meaning: str, source: str, command: str) -> Any:  # noqa: ANN401 - like dataclasses.field
    return field(default=default, metadata={"origin": Origin(meaning, source, command)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Every number that the plan assumes; `list_origins` returns the sources."""

    frame_rate_fps: float = _assume(
        20.0, "frame rate of one viewer, frames/s", "the wire contract's nominal rate", "none"
    )
    frame_cpu_ms: float = _assume(15.4, "CPU time per frame in the function, user and system, ms", "measured", _MEASURE)
    detect_ms: float = _assume(12.1, "time for which a frame occupies a landmarker, ms", "measured", _MEASURE)
    scoring_cpu_ms: float = _assume(0.46, "CPU time per frame of scoring a session, ms", "measured", _MEASURE)
    refusal_cpu_ms: float = _assume(
        0.14,
        "CPU time of refusing a frame, ms; up to 0.5 if its head is unusual and must be parsed",
        "docs/server.md",
        "none",
    )
    service_variation: float = _assume(
        0.5, "coefficient of variation of a frame's service time", "assumed; 1 is exponential", "none"
    )
    video_s: float = _assume(180.0, "duration of a viewing, s", "assumed", "none")
    request_cores: float = _assume(1.0, "CPU request of the container, cores", _MANIFEST, _SHOW_MANIFEST)
    limit_cores: float = _assume(2.0, "CPU limit of the container, cores", _MANIFEST, _SHOW_MANIFEST)
    available_cores: float = _assume(
        1.0,
        "cores per pod when all pods are busy; up to the limit if nodes have spare CPU",
        "assumed: nodes fully requested",
        "kubectl top node",
    )
    landmarkers: int = _assume(2, "LANDMARKERS", "knative/common/settings.env", _SHOW_MANIFEST)
    landmarker_wait_s: float = _assume(2.0, "LANDMARKER_WAIT_S", "knative/common/settings.env", _SHOW_MANIFEST)
    sidecar_request_cores: float = _assume(
        0.025, "CPU request of queue-proxy, Knative, cores", "Knative's default", "kubectl get pod --output yaml"
    )
    target_percent: float = _assume(50.0, "CPU target of the autoscaler, % of the request", _MANIFEST, _SHOW_MANIFEST)
    min_pods: int = _assume(
        3, "minimum number of pods (minReplicas, min-scale)", "overlays/prod", "kubectl kustomize k8s-hpa/overlays/prod"
    )
    max_pods: int = _assume(
        50,
        "maximum number of pods (maxReplicas, max-scale)",
        "overlays/prod",
        "kubectl kustomize k8s-hpa/overlays/prod",
    )
    sync_s: float = _assume(15.0, "interval between autoscaler decisions, s", "Kubernetes' default", "none")
    tolerance: float = _assume(0.1, "relative deviation from the target that is ignored", "Kubernetes' default", "none")
    metric_window_s: float = _assume(
        15.0, "averaging window of metrics-server, s", "default --metric-resolution", "kubectl top pod"
    )
    metric_delay_s: float = _assume(
        15.0,
        "age of the metric when the autoscaler uses it, s",
        "assumed: one scrape and one kubelet sample",
        "kubectl top pod",
    )
    pod_start_s: float = _assume(
        10.0,
        "time from decision to ready pod, image already on the node, s",
        "measured 0.9 s for the process, assumed 9.1 s for scheduling and probes",
        _MEASURE,
    )
    retries: int = _assume(4, "retries of a refused frame by the gateway", "assumed", "none")
    retry_wait_s: float = _assume(
        3.5,
        "wait before the first retry, s; n times that before the n-th",
        "mean Retry-After of a function whose queue takes 2 s",
        "none",
    )
    request_bytes: float = _assume(33_000, "size of a frame's request, base64 in JSON, bytes", "measured", _MEASURE)
    record_bytes: float = _assume(540, "size of a frame's record as JSON, bytes", "measured", _MEASURE)
    stored_bytes: float = _assume(584, "size of a frame in the session API's database, bytes", "measured", _MEASURE)
    map_bytes: float = _assume(8_200, "size of a stored saliency map of 240×135 pixels, bytes", "measured", _MEASURE)
    session_reads: float = _assume(
        1.2, "full reads of a session while it is scored", "func/session/completion.py", "none"
    )
    session_cpu_ms: float = _assume(
        2.2, "CPU time per frame in the session API, ms", "measured with gaze_tools.stack.session_api", _MEASURE
    )
    database_cpu_ms: float = _assume(
        1.6, "CPU time per frame in its database, ms", "measured with the MongoDB stand-in", _MEASURE
    )
    writes_per_frame: float = _assume(1.05, "database writes per frame", "measured", _MEASURE)
    reads_per_frame: float = _assume(1.0, "database reads per frame", "measured", _MEASURE)
    kept_s: float = _assume(
        480.0,
        "lifetime of a session's data, s: the viewing and 300 s; at most 21,600",
        "gaze_tools/stack/session_api.py",
        "none",
    )
    watching_s_a_day: float = _assume(
        28_800.0, "time for which these viewers watch per day, s", "assumed: 8 hours", "none"
    )
    shard_writes: float = _assume(
        10_000.0, "journalled writes/s of one shard", "assumed; measure your own", "mongostat"
    )
    shard_replicas: int = _assume(3, "replicas per shard", "usual size of a MongoDB replica set", "none")
    cluster_pods: int = _assume(
        150_000,
        "maximum number of pods per cluster",
        "https://kubernetes.io/docs/setup/best-practices/cluster-large/",
        "none",
    )

    @property
    def cpu_per_frame_s(self) -> float:
        """CPU time per frame in the function, including its share of the scoring."""
        return (self.frame_cpu_ms + self.scoring_cpu_ms) / 1000

    @property
    def pod_cores(self) -> float:
        """Cores that a busy pod gets."""
        return min(self.limit_cores, self.available_cores)

    @property
    def pod_capacity_fps(self) -> float:
        """Maximum frame rate of one pod, limited by its CPU or its landmarkers."""
        return min(self.pod_cores / self.cpu_per_frame_s, self.landmarkers / (self.detect_ms / 1000))

    @property
    def pod_room(self) -> float:
        """Maximum number of frames in one pod; the next one would wait longer than LANDMARKER_WAIT_S."""
        return self.landmarkers + self.landmarker_wait_s * self.pod_capacity_fps


def list_origins(assumptions: Assumptions) -> list[tuple[str, float, Origin]]:
    """Return the name, value and origin of each assumption."""
    return [(entry.name, getattr(assumptions, entry.name), entry.metadata["origin"]) for entry in fields(assumptions)]
