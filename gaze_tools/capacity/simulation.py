"""Simulation of an audience that arrives, watches and leaves.

This is a fluid simulation: frames are a flow, pods of the same age form one queue, and the autoscaler of
`gaze_tools.capacity.autoscaler` sees their CPU as metrics-server reports it, late and averaged. The waiting time of
randomly arriving frames (`gaze_tools.capacity.queues`) is added to that of the flow.
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
    """Platform that the pods run on.

    Attributes:
        name: Name for tables.
        is_knative: Whether queue-proxy runs in front of the container.
    """

    name: str
    is_knative: bool

    def request_cores(self, assumptions: Assumptions) -> float:
        """Return the CPU request of a pod, including sidecars."""
        return assumptions.request_cores + (assumptions.sidecar_request_cores if self.is_knative else 0)


KNATIVE_PLATFORM = Platform("Knative", is_knative=True)
KUBERNETES_PLATFORM = Platform("Kubernetes", is_knative=False)
PLATFORMS = {"knative": KNATIVE_PLATFORM, "kubernetes": KUBERNETES_PLATFORM}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """An audience over time.

    Attributes:
        viewers: Viewers at the peak.
        ramp_s: Time in which they arrive at a constant rate, and later leave.
        hold_s: Time for which all of them watch.
        rest_s: Time without viewers at the end.
    """

    viewers: float
    ramp_s: float = 300.0
    hold_s: float = 600.0
    rest_s: float = 600.0

    @property
    def duration_s(self) -> float:
        """Total duration."""
        return 2 * self.ramp_s + self.hold_s + self.rest_s

    def watching(self, now_s: float) -> float:
        """Return the number of viewers at a time."""
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
        now_s: Time since the first viewer.
        viewers: Number of viewers.
        pods: Pods requested by the autoscaler.
        ready: Pods that serve.
        usage_cores: CPU usage of all pods.
        utilisation_percent: CPU usage of the serving pods, percent of their request.
        offered_fps: Arriving frames/s, retries included.
        wait_s: Mean wait of an accepted frame before its own service.
        refused_fps: Frames/s answered with 503.
        lost_fps: Frames/s given up after the last retry.
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
    """Result of a simulation.

    Attributes:
        assumptions: Assumptions of the simulation.
        platform: Platform of the pods.
        moments: State at each step.
        frames: Frames sent by the viewers, each counted once.
    """

    assumptions: Assumptions
    platform: Platform
    moments: Sequence[Moment]
    frames: float

    @property
    def peak_pods(self) -> int:
        """Largest number of pods."""
        return max(moment.pods for moment in self.moments)

    @property
    def refused_percent(self) -> float:
        """Number of 503 responses per 100 frames; one frame may get several."""
        return 100 * sum(moment.refused_fps for moment in self.moments) * STEP_S / self.frames

    @property
    def lost_percent(self) -> float:
        """Percent of the frames that were never answered with 200."""
        return 100 * sum(moment.lost_fps for moment in self.moments) * STEP_S / self.frames

    @property
    def longest_wait_s(self) -> float:
        """Longest mean wait of the frames of one step."""
        return max(moment.wait_s for moment in self.moments)

    @property
    def pod_hours(self) -> float:
        """Pod hours of all pods, including those that are starting."""
        return sum(moment.pods for moment in self.moments) * STEP_S / 3600

    def wait_percentile_s(self, percent: float) -> float:
        """Return a percentile of the wait over frames."""
        by_wait = sorted((moment.wait_s, moment.offered_fps) for moment in self.moments)
        left = sum(weight for _, weight in by_wait) * percent / 100
        for wait_s, weight in by_wait:
            left -= weight
            if left <= 0:
                return wait_s
        return by_wait[-1][0]

    def at(self, now_s: float) -> Moment:
        """Return the state at a time."""
        return self.moments[min(len(self.moments) - 1, round(now_s / STEP_S))]


@dataclass(slots=True)
class _Cohort:
    """Pods created by one decision: they become ready together and have equally long queues.

    Attributes:
        pods: Number of pods.
        ready_s: Time at which they become ready.
        queued: Frames in each pod, including those in service.
    """

    pods: int
    ready_s: float
    queued: float = 0.0


def simulate(assumptions: Assumptions, crowd: Crowd, platform: Platform) -> Simulation:
    """Simulate a crowd on a platform.

    Each arriving frame goes to a random ready pod. A pod refuses a frame that would wait too long, which takes CPU too.
    A refused frame is retried as the gateway does it; every accepted frame is served.
    """
    autoscaler = Autoscaler(
        KNATIVE if platform.is_knative else KUBERNETES,
        assumptions.min_pods,
        assumptions.max_pods,
        platform.request_cores(assumptions),
        assumptions.target_percent,
        assumptions.tolerance,
    )
    cohorts = [_Cohort(assumptions.min_pods, -math.inf)]
    # By number of earlier refusals: (time of the retry, frames).
    again: list[deque[tuple[float, float]]] = [deque() for _ in range(assumptions.retries)]
    used_cores: list[float] = []  # mean per ready pod
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
            done, over = _serve(assumptions, cohort.queued + share)
            cohort.queued += share - done - over
            refused += over * cohort.pods
            served += done * cohort.pods
            waited_s += cohort.pods / ready * _wait_s(assumptions, share / STEP_S, cohort.queued)
        share_refused = refused / offered if offered else 0.0
        for refusals, queue in enumerate(again, start=1):
            if coming[refusals - 1] * share_refused:
                queue.append((now_s + refusals * assumptions.retry_wait_s, coming[refusals - 1] * share_refused))
        cpu_s = served * assumptions.cpu_per_frame_s + refused * assumptions.refusal_cpu_ms / 1000
        usage_cores = min(cpu_s / STEP_S, ready * assumptions.pod_cores)
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


def _serve(assumptions: Assumptions, frames: float) -> tuple[float, float]:
    """Return how many frames in a pod it serves and how many it refuses within one step."""
    done = min(frames, assumptions.pod_capacity_fps * STEP_S)
    over = max(0.0, frames - done - assumptions.pod_room)
    if over:
        # Served and refused frames share the CPU: cpu × done + refusal × (frames − room − done) = cores × step.
        refusal_s, excess = assumptions.refusal_cpu_ms / 1000, frames - assumptions.pod_room
        affordable = (assumptions.pod_cores * STEP_S - refusal_s * excess) / (assumptions.cpu_per_frame_s - refusal_s)
        done = min(done, max(0.0, affordable))
        over = excess - done
    return done, over


def _wait_s(assumptions: Assumptions, rate_fps: float, queued: float) -> float:
    """Return the mean wait of a frame in a pod: behind the queue of the flow, or due to random arrivals."""
    capacity_fps = assumptions.pod_capacity_fps
    random_s = mean_wait_s(
        assumptions.landmarkers,
        rate_fps,
        assumptions.landmarkers / capacity_fps,
        variation=assumptions.service_variation,
    )
    return max(queued / capacity_fps, min(random_s, assumptions.pod_room / capacity_fps))


def _scale(
    cohorts: list[_Cohort], autoscaler: Autoscaler, now_s: float, assumptions: Assumptions, used_cores: Sequence[float]
) -> None:
    """Let the autoscaler read the metrics and scale."""
    end_s = now_s - assumptions.metric_delay_s
    window = used_cores[max(0, round((end_s - assumptions.metric_window_s) / STEP_S)) : max(0, round(end_s / STEP_S))]
    current = sum(cohort.pods for cohort in cohorts)
    counted = sum(cohort.pods for cohort in cohorts if cohort.ready_s <= end_s - assumptions.metric_window_s)
    mean_cores = sum(window) / len(window) if window else 0.0
    wanted = autoscaler.decide(now_s, current, Usage(counted, counted * mean_cores, current - counted))
    if wanted > current:
        cohorts.append(_Cohort(wanted - current, now_s + assumptions.pod_start_s))
    for cohort in reversed(cohorts):  # the youngest first, like a ReplicaSet
        gone = min(cohort.pods, max(0, current - wanted))
        cohort.pods -= gone
        current -= gone
    cohorts[:] = [cohort for cohort in cohorts if cohort.pods]


def least_min_pods(assumptions: Assumptions, crowd: Crowd) -> int:
    """Return the number of ready pods with which no frame of a crowd is refused while it arrives.

    These pods serve everyone who arrives before the first additional pods are ready, one metric window, metric delay,
    sync and pod start later. This assumes a target of 50 %, at which full pods ask for twice as many; with a higher
    target the autoscaler falls behind.
    """
    reaction_s = assumptions.metric_window_s + assumptions.metric_delay_s + assumptions.sync_s + assumptions.pod_start_s
    coming = crowd.viewers * min(1.0, reaction_s / crowd.ramp_s) if crowd.ramp_s else crowd.viewers
    return math.ceil(coming * assumptions.frame_rate_fps / assumptions.pod_capacity_fps - 1e-9)
