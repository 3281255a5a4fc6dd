"""A model of Kubernetes' HorizontalPodAutoscaler.

It follows the documentation (https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/,
"Algorithm details" and "Configurable scaling behavior"): desiredReplicas = ceil(currentReplicas × currentMetricValue /
desiredMetricValue), a tolerance, pods that are not ready counted as idle when scaling up, the most conservative
recommendation of a stabilisation window, and policies that limit the change within a period.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Policy:
    """A limit on the change of the number of pods within a period.

    Attributes:
        value: Number of pods, or percent of the pods at the beginning of the period.
        period_s: Length of the period.
        is_percent: Whether `value` is a percentage.
    """

    value: float
    period_s: float
    is_percent: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """Scaling behaviour in one direction; the policy that allows the largest change applies.

    Attributes:
        stabilisation_s: Window over which the most conservative recommendation applies.
        policies: Limits on the change, at least one.
    """

    stabilisation_s: float
    policies: Sequence[Policy]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Scaling behaviour in both directions."""

    up: Rules
    down: Rules


_REMEMBERED_S = 3600.0
"""Longest window that Kubernetes accepts."""

UP = Rules(0, (Policy(100, 15, is_percent=True), Policy(4, 15)))

KUBERNETES = Behaviour(UP, Rules(300, (Policy(25, 60, is_percent=True), Policy(1, 60))))
"""Behaviour in k8s-hpa/base/horizontal-pod-autoscaler.yaml."""

KNATIVE = Behaviour(UP, Rules(300, (Policy(100, 15, is_percent=True),)))
"""Kubernetes' defaults, which Knative Serving leaves unchanged without the annotation `window`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Pods as the autoscaler sees them.

    Attributes:
        counted_pods: Ready pods with a metric that covers a whole window.
        usage_cores: Total CPU usage of the counted pods.
        other_pods: Pods that are not ready or have no such metric yet.
    """

    counted_pods: int
    usage_cores: float
    other_pods: int


def desired_pods(
    current: int, usage: Usage, *, request_cores: float, target_percent: float, tolerance: float = 0.1
) -> int:
    """Return the number of pods that the metric asks for, before stabilisation and policies.

    Args:
        current: Number of pods after the last decision.
        usage: Pods and their CPU usage.
        request_cores: CPU request of a pod.
        target_percent: Target, percent of the request.
        tolerance: Relative deviation from the target that is ignored.
    """
    if not usage.counted_pods:
        return current
    ratio = _percent(usage.usage_cores, usage.counted_pods * request_cores) / target_percent
    if ratio <= 1 or not usage.other_pods:
        return current if abs(ratio - 1) <= tolerance + 1e-9 else _ceil(ratio * usage.counted_pods)
    pods = usage.counted_pods + usage.other_pods
    ratio = _percent(usage.usage_cores, pods * request_cores) / target_percent
    if ratio <= 1 + tolerance + 1e-9:  # within the tolerance, or the direction would reverse
        return current
    return max(current, _ceil(ratio * pods))


def _percent(usage_cores: float, requested_cores: float) -> int:
    """Return the utilisation in whole percent, rounded down as the autoscaler does."""
    return math.floor(100 * usage_cores / requested_cores + 1e-9)


def _ceil(pods: float) -> int:
    return math.ceil(pods - 1e-9)


@dataclass(slots=True)
class Autoscaler:
    """An autoscaler with its history of recommendations and changes; call `decide` at every sync.

    Attributes:
        behaviour: Scaling behaviour.
        min_pods: Minimum number of pods.
        max_pods: Maximum number of pods.
        request_cores: CPU request of a pod.
        target_percent: Target, percent of the request.
        tolerance: Relative deviation from the target that is ignored.
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
        """Return the new number of pods."""
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
        """Return the recommendation within the windows that is closest to the current number."""
        *earlier, (_, latest) = self._recommended

        def since(window_s: float) -> list[int]:
            return [latest, *(desired for at_s, desired in earlier if at_s > now_s - window_s)]

        lowest = min(since(self.behaviour.up.stabilisation_s))
        highest = max(since(self.behaviour.down.stabilisation_s))
        return min(max(current, lowest), highest)

    def _limit(self, now_s: float, current: int, wanted: int) -> int:
        """Return the wanted number, limited by the policies."""
        if wanted > current:
            bounds = [math.ceil(self._step(now_s, current, policy, 1)) for policy in self.behaviour.up.policies]
            return min(wanted, max(current, *bounds))
        bounds = [math.floor(self._step(now_s, current, policy, -1)) for policy in self.behaviour.down.policies]
        return max(wanted, min(current, *bounds))

    def _step(self, now_s: float, current: int, policy: Policy, sign: int) -> float:
        """Return the furthest number that a policy allows, from the number at the beginning of its period."""
        before = current - sum(change for at_s, change in self._changes if at_s > now_s - policy.period_s)
        return before + sign * (before * policy.value / 100 if policy.is_percent else policy.value)
