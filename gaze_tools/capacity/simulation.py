"""Viewers, pods, queues and neighbours: what a number of viewers needs, and what happens while they come and go.

The simulation is a fluid one: frames are a flow, pods of the same age are one queue, and the autoscaler of
`gaze_tools.capacity.autoscaler` sees their CPU as metrics-server shows it, late and as a mean. On top of the flow comes
the wait of frames that arrive at random, by `gaze_tools.capacity.queues`.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from gaze_tools.capacity.assumptions import Assumptions
from gaze_tools.capacity.autoscaler import KNATIVE, KUBERNETES, Autoscaler, Usage
from gaze_tools.capacity.queues import mean_wait_s

STEP_S = 0.5


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
