"""How the pods of the new version do: their start, their restarts, their upstream services, their errors."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gaze_tools.deploy.kubectl import DeployError, Kubectl, KubectlError
from gaze_tools.deploy.pods import HOPELESS, Pod, describe_pods

SAMPLED_PODS = 3
"""Pods whose counters are read; each read is a `kubectl exec`."""
MIN_ERRORS = 5
"""Errors below this number prove nothing."""
READ_OWN_PAGE = (
    "import os, sys, urllib.request as request; port = os.environ.get('MANAGEMENT_PORT') or '8080'; "
    "print(request.urlopen(f'http://127.0.0.1:{port}{sys.argv[1]}', timeout=10).read().decode())"
)
"""Program that prints a page of the pod that it runs in. Without `MANAGEMENT_PORT`, all pages are on the only port."""
REQUESTS = re.compile(r'^gaze_requests_total\{(?=[^}]*route="/gaze")[^}]*status="(\d+)"[^}]*\} (\S+)$', re.MULTILINE)


class PodFailures:
    """Counts for how many polls in a row a pod has not been able to start."""

    def __init__(self, kubectl: Kubectl, grace_polls: int) -> None:
        self._kubectl = kubectl
        self._grace_polls = grace_polls
        self._polls: Counter[str] = Counter()

    def check(self, pods: Sequence[Pod]) -> None:
        """Look at the pods once more.

        Raises:
            DeployError: A pod cannot start.
        """
        failing = {pod.name for pod in pods if pod.failure}
        self._polls = Counter({name: polls for name, polls in self._polls.items() if name in failing})
        for pod in pods:
            if pod.failure is None:
                continue
            self._polls[pod.name] += 1
            if pod.failure in HOPELESS or self._polls[pod.name] > self._grace_polls:
                raise DeployError(f"pod {pod.name} does not start: {pod.message}{self._read_last_words(pod)}")

    def _read_last_words(self, pod: Pod) -> str:
        if pod.failure != "CrashLoopBackOff":
            return ""
        try:
            line = self._kubectl.ask("logs", pod.name, "--container", "function", "--previous", "--tail", "1")
        except KubectlError:
            return ""
        return f"; its last line: {read_log_line(line.strip())}"


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Requests to `/gaze` that a pod has answered since it started."""

    answered: int
    failed: int
    """Status 5xx."""


class PodPages:
    """Reads pages of pods from inside: NetworkPolicies do not admit the API server."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self.failure = "no pod is ready"
        """Why the last page could not be read."""
        self._is_forbidden = False

    def find_unreachable(self, pods: Sequence[Pod]) -> list[str] | None:
        """Return the upstream services that a ready pod cannot reach; None if no pod can be asked."""
        for pod in choose_pods(pods):
            if (page := self._read(pod, "/health/readiness")) is not None:
                states = json.loads(page).get("neighbours") or {}
                return sorted(name for name, state in states.items() if state == "unreachable")
        return None

    def count_requests(self, pods: Sequence[Pod]) -> dict[str, RequestCounts]:
        """Return what some ready pods have answered, by name of the pod."""
        pages = {pod.name: self._read(pod, "/metrics") for pod in choose_pods(pods)}
        return {name: read_counts(page) for name, page in pages.items() if page is not None}

    def _read(self, pod: Pod, path: str) -> str | None:
        if self._is_forbidden:
            return None
        command = ("python", "-c", READ_OWN_PAGE, path)
        try:
            return self._kubectl.run(
                "exec", pod.name, "--namespace", self._kubectl.namespace, "--container", "function", "--", *command
            )
        except KubectlError as error:
            self.failure = error.message.strip()
            self._is_forbidden = error.is_forbidden
            return None  # a pod that has just gone says nothing about the version


def choose_pods(pods: Sequence[Pod]) -> list[Pod]:
    """Return the ready pods to ask."""
    return sorted((pod for pod in pods if pod.is_ready), key=lambda pod: pod.name)[:SAMPLED_PODS]


class StepHealth:
    """Compares the pods of the new version with what they were before they got a greater share of the traffic."""

    def __init__(
        self, kubectl: Kubectl, pages: PodPages, pods: Sequence[Pod], needed_pods: int, grace_polls: int
    ) -> None:
        self._pages = pages
        self._needed_pods = needed_pods
        self._grace_polls = grace_polls
        self._failures = PodFailures(kubectl, grace_polls)
        self._restarts = {pod.name: pod.restart_count for pod in pods}
        self._counts = pages.count_requests(pods)
        self._were_ready = {pod.name for pod in pods if pod.is_ready}
        self._unready_polls: Counter[str] = Counter()
        self._short_polls = 0

    def check(self, pods: Sequence[Pod]) -> None:
        """Look at the pods once more.

        Raises:
            DeployError: A pod has restarted, or pods have not been ready for too long.
        """
        self._failures.check(pods)
        for pod in pods:
            if pod.restart_count > self._restarts.get(pod.name, 0):
                raise DeployError(f"pod {pod.name} restarted. {pod.message}".strip())
        self._were_ready |= {pod.name for pod in pods if pod.is_ready}
        unready = [pod.name for pod in pods if not pod.is_ready and pod.name in self._were_ready]
        self._unready_polls = Counter({name: self._unready_polls[name] + 1 for name in unready})
        for name, polls in self._unready_polls.items():
            if polls > self._grace_polls:
                raise DeployError(f"pod {name} is not ready any more")
        ready = sum(pod.is_ready for pod in pods)
        self._short_polls = self._short_polls + 1 if ready < self._needed_pods else 0
        if ready == 0 or self._short_polls > self._grace_polls:
            raise DeployError(f"only {ready} of {self._needed_pods} pods are ready. {describe_pods(pods)}".strip())

    def check_errors(self, pods: Sequence[Pod], max_share: float) -> None:
        """Compare the counters of the pods with those at the beginning.

        Raises:
            DeployError: More than `max_share` of the requests failed.
        """
        compare_counts(self._counts, self._pages.count_requests(pods), max_share)


def read_log_line(line: str) -> str:
    """Return what a line of the function's log says, without the other fields if it is JSON (`LOG_FORMAT=json`)."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(fields, dict) or not isinstance(fields.get("event"), str):
        return line
    event, detail = fields["event"], fields.get("detail") or fields.get("trace")
    if not isinstance(detail, str):
        return str(event)
    return detail if event in detail else f"{event}: {detail}"


def read_counts(page: str) -> RequestCounts:
    """Return the counts of a page of metrics."""
    counts = [(status, float(value)) for status, value in REQUESTS.findall(page)]
    return RequestCounts(
        answered=int(sum(value for _, value in counts)),
        failed=int(sum(value for status, value in counts if status.startswith("5"))),
    )


def compare_counts(before: dict[str, RequestCounts], after: dict[str, RequestCounts], max_share: float) -> None:
    """Compare counters with those at the beginning of a step.

    Raises:
        DeployError: More than `max_share` of the requests failed.
    """
    none = RequestCounts(0, 0)
    answered = sum(counts.answered - before.get(name, none).answered for name, counts in after.items())
    failed = sum(counts.failed - before.get(name, none).failed for name, counts in after.items())
    if failed >= MIN_ERRORS and failed > max_share * answered:
        raise DeployError(f"{failed} of {answered} requests to /gaze failed in the pods that were asked (status 5xx)")
