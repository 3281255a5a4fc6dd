"""Viewers, pods, queues and neighbours: what a number of viewers needs, and what happens while they come and go.

The simulation is a fluid one: frames are a flow, pods of the same age are one queue, and the autoscaler of
`gaze_tools.capacity.autoscaler` sees their CPU as metrics-server shows it, late and as a mean. On top of the flow comes
the wait of frames that arrive at random, by `gaze_tools.capacity.queues`.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from gaze_tools.capacity.autoscaler import KNATIVE, KUBERNETES, Autoscaler, Usage
from gaze_tools.capacity.queues import mean_wait_s, probability_of_blocking

STEP_S = 0.5
SECONDS_A_DAY = 86_400


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


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the pods run, as far as it matters to their queues.

    Attributes:
        name: For tables.
        is_knative: Whether queue-proxy stands before the container.
    """

    name: str
    is_knative: bool

    def request_cores(self, assumptions: Assumptions) -> float:
        """Return the CPU request of a pod, as the autoscaler sees it."""
        return assumptions.request_cores + (assumptions.sidecar_request_cores if self.is_knative else 0)

    def room(self, assumptions: Assumptions) -> float:
        """Return how many frames may be in a pod, waiting ones included, before one more is refused.

        A frame that holds a thread waits for a landmarker at most LANDMARKER_WAIT_S. Where the threads are so few that
        they never wait so long, frames wait outside: in queue-proxy, ten for each request that it lets through
        (Knative's queue depth), or as connections of the server.
        """
        threads = assumptions.threads
        if self.is_knative and assumptions.container_concurrency:
            threads = min(threads, assumptions.container_concurrency)
        waiting = threads - assumptions.landmarkers
        patient = assumptions.landmarker_wait_s * assumptions.pod_capacity_fps
        if patient < waiting:
            return assumptions.landmarkers + patient
        if self.is_knative and assumptions.container_concurrency:
            return threads + 10 * assumptions.container_concurrency
        return threads + assumptions.server_connections

    def crowds_out_probes(self, assumptions: Assumptions) -> bool:
        """Return whether frames can take every thread, so that a probe waits behind all of them."""
        if self.is_knative and 0 < assumptions.container_concurrency < assumptions.threads:
            return False
        return assumptions.landmarker_wait_s * assumptions.pod_capacity_fps >= (
            assumptions.threads - assumptions.landmarkers
        )


KNATIVE_PLATFORM = Platform("Knative", is_knative=True)
KUBERNETES_PLATFORM = Platform("Kubernetes", is_knative=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """How many watch, and when.

    Attributes:
        viewers: At the height.
        ramp_s: In which they come, evenly; and go.
        hold_s: For which all of them watch.
        rest_s: For which nobody does, at the end.
    """

    viewers: float
    ramp_s: float = 300.0
    hold_s: float = 600.0
    rest_s: float = 600.0

    @property
    def duration_s(self) -> float:
        """Of everything."""
        return 2 * self.ramp_s + self.hold_s + self.rest_s

    def watching(self, now_s: float) -> float:
        """Return how many watch at a moment."""
        left_s = 2 * self.ramp_s + self.hold_s - now_s
        if now_s < 0 or left_s <= 0:
            return 0.0
        if not self.ramp_s:
            return self.viewers
        return self.viewers * min(1.0, now_s / self.ramp_s, left_s / self.ramp_s)


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of a simulation.

    Attributes:
        now_s: Since the first viewer.
        viewers: Who watch.
        pods: That the autoscaler has asked for.
        ready: That serve.
        usage_cores: Of all pods.
        utilisation_percent: Of the request of those that serve.
        offered_fps: Frames that come, repeated ones included.
        wait_s: Mean wait of a frame that comes now and is taken, before its own service.
        refused_fps: Frames that are answered 503.
        lost_fps: Frames that are given up after the last repetition.
    """

    now_s: float
    viewers: float
    pods: int
    ready: int
    usage_cores: float
    utilisation_percent: float
    offered_fps: float
    wait_s: float
    refused_fps: float
    lost_fps: float


@dataclass(frozen=True, slots=True)
class Simulation:
    """What happened.

    Attributes:
        assumptions: That it rests on.
        platform: Where the pods ran.
        moments: One for each step.
        frames: That the viewers sent, each counted once.
    """

    assumptions: Assumptions
    platform: Platform
    moments: Sequence[Moment]
    frames: float

    @property
    def peak_pods(self) -> int:
        """The most that there were."""
        return max(moment.pods for moment in self.moments)

    @property
    def refused_percent(self) -> float:
        """503 answers for each hundred frames; a frame may get several."""
        return 100 * sum(moment.refused_fps for moment in self.moments) * STEP_S / self.frames

    @property
    def lost_percent(self) -> float:
        """Frames that were never answered 200, of a hundred."""
        return 100 * sum(moment.lost_fps for moment in self.moments) * STEP_S / self.frames

    @property
    def longest_wait_s(self) -> float:
        """The longest that frames waited."""
        return max(moment.wait_s for moment in self.moments)

    @property
    def late_probes_s(self) -> float:
        """For how long a readiness probe would have waited beyond its timeout, so that full pods count as unready."""
        if not self.platform.crowds_out_probes(self.assumptions):
            return 0.0
        return STEP_S * sum(moment.wait_s > self.assumptions.probe_timeout_s for moment in self.moments)

    @property
    def pod_hours(self) -> float:
        """Of all pods, waiting ones included."""
        return sum(moment.pods for moment in self.moments) * STEP_S / 3600

    def wait_percentile_s(self, percent: float) -> float:
        """Return the wait that so many percent of the frames did not exceed."""
        by_wait = sorted((moment.wait_s, moment.offered_fps) for moment in self.moments)
        left = sum(weight for _, weight in by_wait) * percent / 100
        for wait_s, weight in by_wait:
            left -= weight
            if left <= 0:
                return wait_s
        return by_wait[-1][0]

    def at(self, now_s: float) -> Moment:
        """Return the moment at a time."""
        return self.moments[min(len(self.moments) - 1, round(now_s / STEP_S))]


@dataclass(slots=True)
class _Cohort:
    """Pods that were made by one decision: they serve from the same moment and their queues are equally long.

    Attributes:
        pods: How many.
        ready_s: When they serve.
        queued: Frames in each, the ones in service included.
    """

    pods: int
    ready_s: float
    queued: float = 0.0


def simulate(assumptions: Assumptions, crowd: Crowd, platform: Platform) -> Simulation:
    """Let viewers come and go, and return what happened at each step.

    Every frame that comes is given to one of the ready pods at random. A refused frame comes again as the gateway
    sends it; one that is taken is served in the end.
    """
    autoscaler = Autoscaler(
        KNATIVE if platform.is_knative else KUBERNETES,
        assumptions.min_pods,
        assumptions.max_pods,
        platform.request_cores(assumptions),
        assumptions.target_percent,
        assumptions.tolerance,
    )
    capacity_fps, room = assumptions.pod_capacity_fps, platform.room(assumptions)
    cohorts = [_Cohort(assumptions.min_pods, -math.inf)]
    # By the number of earlier refusals: (when they come again, frames).
    again: list[deque[tuple[float, float]]] = [deque() for _ in range(assumptions.retries)]
    used_cores: list[float] = []  # by one ready pod, on average
    moments: list[Moment] = []
    frames, next_sync_s = 0.0, 0.0
    for step in range(math.ceil(crowd.duration_s / STEP_S)):
        now_s = step * STEP_S
        if now_s >= next_sync_s:
            _scale(cohorts, autoscaler, now_s, assumptions, used_cores)
            next_sync_s += assumptions.sync_s
        viewers = crowd.watching(now_s)
        coming = [viewers * assumptions.frame_rate_fps * STEP_S, *(_take_due(queue, now_s) for queue in again)]
        frames += coming[0]
        offered = sum(coming)
        serving = [cohort for cohort in cohorts if cohort.ready_s <= now_s]
        ready = sum(cohort.pods for cohort in serving)
        refused = served = waited_s = 0.0
        for cohort in serving:
            share = offered / ready
            done = min(cohort.queued + share, capacity_fps * STEP_S)
            cohort.queued += share - done
            over = max(0.0, cohort.queued - room)
            cohort.queued -= over
            refused += over * cohort.pods
            served += done * cohort.pods
            waited_s += cohort.pods / ready * _wait_s(assumptions, share / STEP_S, cohort.queued, room)
        share_refused = refused / offered if offered else 0.0
        for refusals, queue in enumerate(again, start=1):
            if coming[refusals - 1] * share_refused:
                queue.append((now_s + refusals * assumptions.retry_wait_s, coming[refusals - 1] * share_refused))
        usage_cores = served / STEP_S * assumptions.cpu_per_frame_s
        used_cores.append(usage_cores / ready)
        moments.append(
            Moment(
                now_s=now_s,
                viewers=viewers,
                pods=sum(cohort.pods for cohort in cohorts),
                ready=ready,
                usage_cores=usage_cores,
                utilisation_percent=100 * usage_cores / (ready * autoscaler.request_cores),
                offered_fps=offered / STEP_S,
                wait_s=waited_s,
                refused_fps=refused / STEP_S,
                lost_fps=coming[-1] * share_refused / STEP_S,
            )
        )
    return Simulation(assumptions, platform, moments, frames)


def _take_due(queue: deque[tuple[float, float]], now_s: float) -> float:
    due = 0.0
    while queue and queue[0][0] <= now_s:
        due += queue.popleft()[1]
    return due


def _wait_s(assumptions: Assumptions, rate_fps: float, queued: float, room: float) -> float:
    """Return the mean wait of a frame in a pod: behind the flow's queue, or as arrivals are random."""
    capacity_fps = assumptions.pod_capacity_fps
    random_s = mean_wait_s(
        assumptions.landmarkers,
        rate_fps,
        assumptions.landmarkers / capacity_fps,
        variation=assumptions.service_variation,
    )
    return max(queued / capacity_fps, min(random_s, room / capacity_fps))


def _scale(
    cohorts: list[_Cohort], autoscaler: Autoscaler, now_s: float, assumptions: Assumptions, used_cores: Sequence[float]
) -> None:
    """Let the autoscaler look and act."""
    end_s = now_s - assumptions.metric_delay_s
    window = used_cores[max(0, round((end_s - assumptions.metric_window_s) / STEP_S)) : max(0, round(end_s / STEP_S))]
    current = sum(cohort.pods for cohort in cohorts)
    counted = sum(cohort.pods for cohort in cohorts if cohort.ready_s <= end_s - assumptions.metric_window_s)
    mean_cores = sum(window) / len(window) if window else 0.0
    wanted = autoscaler.decide(now_s, current, Usage(counted, counted * mean_cores, current - counted))
    if wanted > current:
        cohorts.append(_Cohort(wanted - current, now_s + assumptions.pod_start_s))
    for cohort in reversed(cohorts):  # the youngest first, as a ReplicaSet does
        gone = min(cohort.pods, max(0, current - wanted))
        cohort.pods -= gone
        current -= gone
    cohorts[:] = [cohort for cohort in cohorts if cohort.pods]


def least_min_pods(assumptions: Assumptions, crowd: Crowd) -> int:
    """Return how many pods must stand ready so that none of these viewers is refused while they come.

    They take in who comes until the pods that the first of them made necessary are there: a metric's window and delay,
    a sync and a pod's start later. That supposes a target of 50 %, at which full pods ask for twice as many; with a
    higher one the autoscaler does not keep up with them.
    """
    reaction_s = assumptions.metric_window_s + assumptions.metric_delay_s + assumptions.sync_s + assumptions.pod_start_s
    coming = crowd.viewers * min(1.0, reaction_s / crowd.ramp_s) if crowd.ramp_s else crowd.viewers
    return math.ceil(coming * assumptions.frame_rate_fps / assumptions.pod_capacity_fps - 1e-9)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a steady number of viewers needs.

    Attributes:
        viewers: How many.
        frames_fps: That they send.
        busy_cores: Of the function.
        requested_cores: At the autoscaler's target.
        pods: Likewise.
        clusters: That hold so many pods.
        ingress_bytes_s: Requests that come in.
        session_cores: Of the session API.
        database_cores: Of its database.
        writes_s: Of the session API to its database.
        reads_s: Likewise.
        shards: That take these writes.
        written_bytes_day: Records of a day, once.
        kept_bytes: Records that are there at a time, in all copies.
        scorings_s: Sessions that end.
        session_read_bytes_s: Of the session API, for scoring.
        map_read_bytes_s: Of MongoDB, for scoring.
        scoring_refused_percent: Last frames that find every place for scoring taken and come again.
    """

    viewers: float
    frames_fps: float
    busy_cores: float
    requested_cores: float
    pods: int
    clusters: int
    ingress_bytes_s: float
    session_cores: float
    database_cores: float
    writes_s: float
    reads_s: float
    shards: int
    written_bytes_day: float
    kept_bytes: float
    scorings_s: float
    session_read_bytes_s: float
    map_read_bytes_s: float
    scoring_refused_percent: float


def size(assumptions: Assumptions, viewers: float) -> Footprint:
    """Return what a steady number of viewers needs, at the autoscaler's target and with no bound on the pods."""
    frames_fps = viewers * assumptions.frame_rate_fps
    busy_cores = frames_fps * assumptions.cpu_per_frame_s
    # The autoscaler's own ceil, with a grain of tolerance for what is exact but for rounding.
    pods = max(
        assumptions.min_pods,
        math.ceil(100 * busy_cores / (assumptions.target_percent * assumptions.request_cores) - 1e-9),
    )
    writes_s = frames_fps * assumptions.writes_per_frame
    scorings_s = viewers / assumptions.video_s
    scoring_s = assumptions.video_s * assumptions.frame_rate_fps * assumptions.scoring_ms / 1000
    return Footprint(
        viewers=viewers,
        frames_fps=frames_fps,
        busy_cores=busy_cores,
        requested_cores=pods * assumptions.request_cores,
        pods=pods,
        clusters=math.ceil(pods / assumptions.cluster_pods),
        ingress_bytes_s=frames_fps * assumptions.request_bytes,
        session_cores=frames_fps * assumptions.session_cpu_ms / 1000,
        database_cores=frames_fps * assumptions.database_cpu_ms / 1000,
        writes_s=writes_s,
        reads_s=frames_fps * assumptions.reads_per_frame,
        shards=math.ceil(writes_s / assumptions.shard_writes),
        written_bytes_day=frames_fps * assumptions.watching_s_a_day * assumptions.stored_bytes,
        kept_bytes=frames_fps * assumptions.kept_s * assumptions.stored_bytes * assumptions.shard_replicas,
        scorings_s=scorings_s,
        session_read_bytes_s=frames_fps * assumptions.record_bytes * assumptions.session_reads,
        map_read_bytes_s=frames_fps * assumptions.map_bytes,
        scoring_refused_percent=100
        * probability_of_blocking(assumptions.scoring_places, scorings_s / pods * scoring_s),
    )
