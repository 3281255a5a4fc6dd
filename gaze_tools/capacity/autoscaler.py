"""Kubernetes' HorizontalPodAutoscaler, step by step.

As the documentation describes it (https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/,
"Algorithm details" and "Configurable scaling behavior"): desiredReplicas = ceil(currentReplicas × currentMetricValue /
desiredMetricValue), a tolerance, pods that are not ready counted as idle when it scales up, the most careful
recommendation of a stabilisation window, and policies that bound the change within a period.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Policy:
    """A bound on how far the number of pods may change within a period.

    Attributes:
        value: Percent of the pods that there were when the period began, or pods.
        period_s: Its length.
        is_percent: Which of the two.
    """

    value: float
    period_s: float
    is_percent: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """Behaviour in one direction; of several policies the one that allows most counts.

    Attributes:
        stabilisation_s: Over which the most careful recommendation counts.
        policies: At least one.
    """

    stabilisation_s: float
    policies: Sequence[Policy]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How fast it may scale."""

    up: Rules
    down: Rules


_REMEMBERED_S = 3600.0
"""The longest window that Kubernetes takes."""

UP = Rules(0, (Policy(100, 15, is_percent=True), Policy(4, 15)))

KUBERNETES = Behaviour(UP, Rules(300, (Policy(25, 60, is_percent=True), Policy(1, 60))))
"""Of k8s-hpa/base/horizontal-pod-autoscaler.yaml."""

KNATIVE = Behaviour(UP, Rules(300, (Policy(100, 15, is_percent=True),)))
"""Kubernetes' defaults: Knative Serving sets none of its own without the annotation `window`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the autoscaler sees of the pods.

    Attributes:
        counted_pods: Ready, with a metric of a whole window since they became so.
        usage_cores: Of these together.
        other_pods: Not ready, or without such a metric yet.
    """

    counted_pods: int
    usage_cores: float
    other_pods: int


def desired_pods(
    current: int, usage: Usage, *, request_cores: float, target_percent: float, tolerance: float = 0.1
) -> int:
    """Return how many pods the metric asks for, before stabilisation and policies.

    Args:
        current: Pods that there are by the last decision.
        usage: What is seen of them.
        request_cores: CPU request of a pod.
        target_percent: Of the request.
        tolerance: Relative deviation from the target that changes nothing.
    """
    if not usage.counted_pods:
        return current
    ratio = _percent(usage.usage_cores, usage.counted_pods * request_cores) / target_percent
    if ratio <= 1 or not usage.other_pods:
        return current if abs(ratio - 1) <= tolerance + 1e-9 else _ceil(ratio * usage.counted_pods)
    pods = usage.counted_pods + usage.other_pods
    ratio = _percent(usage.usage_cores, pods * request_cores) / target_percent
    if ratio <= 1 + tolerance + 1e-9:  # within the tolerance, or the change would go the other way
        return current
    return max(current, _ceil(ratio * pods))


def _percent(usage_cores: float, requested_cores: float) -> int:
    """Return a utilisation as the autoscaler reckons it, cut to whole percent."""
    return math.floor(100 * usage_cores / requested_cores + 1e-9)


def _ceil(pods: float) -> int:
    return math.ceil(pods - 1e-9)


@dataclass(slots=True)
class Autoscaler:
    """Remembers recommendations and changes; call `decide` at every sync.

    Attributes:
        behaviour: How fast it may scale.
        min_pods: Bound.
        max_pods: Bound.
        request_cores: CPU request of a pod.
        target_percent: Of the request.
        tolerance: Relative deviation from the target that changes nothing.
    """

    behaviour: Behaviour
    min_pods: int
    max_pods: int
    request_cores: float
    target_percent: float
    tolerance: float = 0.1
    _recommended: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)

    def decide(self, now_s: float, current: int, usage: Usage) -> int:
        """Return how many pods there shall be from now on."""
        desired = desired_pods(
            current,
            usage,
            request_cores=self.request_cores,
            target_percent=self.target_percent,
            tolerance=self.tolerance,
        )
        if not self._recommended:
            self._recommended.append((now_s, current))
        self._recommended.append((now_s, desired))
        wanted = self._stabilise(now_s, current)
        wanted = min(max(wanted, self.min_pods), self.max_pods)
        wanted = self._limit(now_s, current, wanted)
        if wanted != current:
            self._changes.append((now_s, wanted - current))
        self._recommended = [entry for entry in self._recommended if entry[0] > now_s - _REMEMBERED_S]
        self._changes = [entry for entry in self._changes if entry[0] > now_s - _REMEMBERED_S]
        return wanted

    def _stabilise(self, now_s: float, current: int) -> int:
        """Return the recommendation that is nearest to the present number within the windows."""
        *earlier, (_, latest) = self._recommended

        def since(window_s: float) -> list[int]:
            return [latest, *(desired for at_s, desired in earlier if at_s > now_s - window_s)]

        lowest = min(since(self.behaviour.up.stabilisation_s))
        highest = max(since(self.behaviour.down.stabilisation_s))
        return min(max(current, lowest), highest)

    def _limit(self, now_s: float, current: int, wanted: int) -> int:
        """Return what the policies allow of a change."""
        if wanted > current:
            bounds = [math.ceil(self._step(now_s, current, policy, 1)) for policy in self.behaviour.up.policies]
            return min(wanted, max(current, *bounds))
        bounds = [math.floor(self._step(now_s, current, policy, -1)) for policy in self.behaviour.down.policies]
        return max(wanted, min(current, *bounds))

    def _step(self, now_s: float, current: int, policy: Policy, sign: int) -> float:
        """Return how far a policy lets the number go from where it was a period ago."""
        before = current - sum(change for at_s, change in self._changes if at_s > now_s - policy.period_s)
        return before + sign * (before * policy.value / 100 if policy.is_percent else policy.value)
