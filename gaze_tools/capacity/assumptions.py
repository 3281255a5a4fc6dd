"""Every number that the capacity plan rests on, and where it comes from."""

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the number of an assumption comes from.

    Attributes:
        meaning: What it is, with its unit.
        source: Who says so.
        command: That measures or shows it.
    """

    meaning: str
    source: str
    command: str


_MEASURE = "python -m gaze_tools.capacity measure"
_MANIFEST = "k8s-hpa/base, knative/base"
_SHOW_MANIFEST = "kubectl kustomize k8s-hpa/base"


def _assume(default: float, meaning: str, source: str, command: str) -> Any:  # noqa: ANN401 - like dataclasses.field
    return field(default=default, metadata={"origin": Origin(meaning, source, command)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Every number that the plan rests on; `list_origins` says where each comes from."""

    frame_rate_fps: float = _assume(20.0, "frames a second of one viewer", "the wire contract's nominal rate", "none")
    frame_cpu_ms: float = _assume(13.0, "CPU of a frame in the function, user + system", "measured", _MEASURE)
    detect_ms: float = _assume(10.0, "time for which a frame holds a landmarker", "measured", _MEASURE)
    scoring_cpu_ms: float = _assume(0.3, "CPU of a frame when its session is scored", "measured", _MEASURE)
    scoring_ms: float = _assume(1.0, "time of the same", "measured", _MEASURE)
    service_variation: float = _assume(
        0.5, "standard deviation of a frame's service time over its mean", "assumed; 1 is exponential", "none"
    )
    video_s: float = _assume(180.0, "length of a viewing", "assumed", "none")
    request_cores: float = _assume(1.0, "CPU request of the container", _MANIFEST, _SHOW_MANIFEST)
    limit_cores: float = _assume(2.0, "CPU limit of the container", _MANIFEST, _SHOW_MANIFEST)
    available_cores: float = _assume(
        1.0,
        "CPU that a pod gets while all are busy; up to its limit where nodes have spare",
        "assumed: nodes that are full by requests",
        "kubectl top node",
    )
    landmarkers: int = _assume(2, "LANDMARKERS", "knative/common/settings.env", _SHOW_MANIFEST)
    threads: int = _assume(10, "THREADS", "knative/common/settings.env", _SHOW_MANIFEST)
    scoring_places: int = _assume(2, "SCORING_PLACES", "knative/common/settings.env", _SHOW_MANIFEST)
    landmarker_wait_s: float = _assume(2.0, "LANDMARKER_WAIT_S", "knative/common/settings.env", _SHOW_MANIFEST)
    container_concurrency: int = _assume(
        8, "requests in a container at a time, Knative; 0 is no limit", "knative/base", "kubectl kustomize knative/base"
    )
    server_connections: int = _assume(
        1000, "connections that gunicorn takes up beyond its threads", "its default worker_connections", "none"
    )
    sidecar_request_cores: float = _assume(
        0.025, "CPU request of queue-proxy, Knative", "Knative's default", "kubectl get pod --output yaml"
    )
    target_percent: float = _assume(50.0, "the autoscaler's target, of the request", _MANIFEST, _SHOW_MANIFEST)
    min_pods: int = _assume(3, "minReplicas, min-scale", "overlays/prod", "kubectl kustomize k8s-hpa/overlays/prod")
    max_pods: int = _assume(50, "maxReplicas, max-scale", "overlays/prod", "kubectl kustomize k8s-hpa/overlays/prod")
    sync_s: float = _assume(15.0, "between two decisions of the autoscaler", "Kubernetes' default", "none")
    tolerance: float = _assume(0.1, "deviation from the target that changes nothing", "Kubernetes' default", "none")
    metric_window_s: float = _assume(
        15.0, "over which metrics-server averages CPU", "its default --metric-resolution", "kubectl top pod"
    )
    metric_delay_s: float = _assume(
        15.0,
        "age of such a metric when it is used",
        "assumed: up to a scrape and a kubelet's sample",
        "kubectl top pod",
    )
    pod_start_s: float = _assume(
        10.0,
        "from the decision to readiness, on a node that has the image",
        "3 s measured from process to readiness, 7 s assumed for scheduling and probes",
        _MEASURE,
    )
    retries: int = _assume(4, "how often the gateway repeats a refused frame", "gaze_tools/stack/gateway.py", "none")
    retry_wait_s: float = _assume(
        1.0,
        "before the first repetition; n times that before the n-th",
        "Retry-After of the function; the gateway takes 0.5 without one",
        "none",
    )
    probe_timeout_s: float = _assume(2.0, "of the readiness probe", _MANIFEST, _SHOW_MANIFEST)
    request_bytes: float = _assume(33_000, "of a frame's request, base64 in JSON", "measured", _MEASURE)
    record_bytes: float = _assume(330, "of a frame's record as JSON", "measured", _MEASURE)
    stored_bytes: float = _assume(345, "of a frame in the session API's database", "measured", _MEASURE)
    map_bytes: float = _assume(8_200, "of one saliency map as stored, 240×135", "measured", _MEASURE)
    session_reads: float = _assume(
        1.2, "reads of a whole session while it is scored", "func/session/completion.py", "none"
    )
    session_cpu_ms: float = _assume(
        2.0, "CPU of a frame in the session API", "measured on gaze_tools.stack.session_api", _MEASURE
    )
    database_cpu_ms: float = _assume(1.5, "CPU of a frame in its database", "measured on the stand-in", _MEASURE)
    writes_per_frame: float = _assume(1.06, "of the session API to its database", "measured", _MEASURE)
    reads_per_frame: float = _assume(1.0, "likewise", "measured", _MEASURE)
    kept_s: float = _assume(
        480.0,
        "life of a session's data: the viewing and 300 s; at most 21,600",
        "gaze_tools/stack/session_api.py",
        "none",
    )
    watching_s_a_day: float = _assume(28_800.0, "for which these viewers watch each day", "assumed: 8 hours", "none")
    shard_writes: float = _assume(
        10_000.0, "journalled writes a second of one shard", "assumed; measure your own", "mongostat"
    )
    shard_replicas: int = _assume(3, "copies that a shard keeps", "MongoDB's usual replica set", "none")
    cluster_pods: int = _assume(
        150_000, "pods of one cluster", "https://kubernetes.io/docs/setup/best-practices/cluster-large/", "none"
    )

    @property
    def cpu_per_frame_s(self) -> float:
        """CPU of a frame in the function, its share of the scoring included."""
        return (self.frame_cpu_ms + self.scoring_cpu_ms) / 1000

    @property
    def pod_capacity_fps(self) -> float:
        """Frames a second of one pod at most: what its CPU or its landmarkers allow."""
        cores = min(self.limit_cores, self.available_cores)
        return min(cores / self.cpu_per_frame_s, self.landmarkers / (self.detect_ms / 1000))


def list_origins(assumptions: Assumptions) -> list[tuple[str, float, Origin]]:
    """Return name, value and origin of each assumption."""
    return [(entry.name, getattr(assumptions, entry.name), entry.metadata["origin"]) for entry in fields(assumptions)]
